"""What a fingerprint is made of, without a body that could name a phone, a person or a network; and the way back.

A probe answers `cmd/describe` with the same octets, by the same C code.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hostkit.core import _dot11
from hostkit.core.dot11 import ELEMENT_TABLE, Space, Treatment
from hostkit.errors import InputError

MAX_DESCRIPTION_BYTES = 4096  # a probe request has at most 2,304 octets, and digests are small
VENDOR_ID = 221
EXTENSION_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedElement:
    """One element as far as it enters the fingerprint."""

    space: Space
    code: int  # element id, extended id, or OUI << 8 | vendor type
    treatment: Treatment
    length: int | None  # octets behind the element id; None where it does not count (PRESENCE, TYPE)
    kept: bytes  # STABLE or MASKED: the body under its mask; b"" for every vendor
    digest: int | None  # hash of a STABLE vendor's body


@dataclass(frozen=True, slots=True)
class Description:
    """The elements of one fingerprint; `data` as a probe sends it."""

    data: bytes

    @property
    def fingerprint(self) -> int:
        """Give the fingerprint of every frame of this description."""
        fingerprint = _dot11.fingerprint_of(self.data)
        assert fingerprint is not None, "checked when it was made"
        return fingerprint

    @property
    def elements(self) -> tuple[DescribedElement, ...]:
        """Give the elements in the order they were sent."""
        return tuple(_described(token) for token in split_elements(self.data))

    def __str__(self) -> str:
        """Write one line for each element."""
        return "\n".join(_line(element) for element in self.elements)


def describe_frame(body: bytes) -> Description:
    """Describe one bare probe request without FCS; InputError for any other frame."""
    data = _dot11.describe(body)
    if data is None:
        raise InputError("not a whole probe request", where="frame", next_step="pass probe requests only")
    return Description(data)


def read_description(data: bytes, *, where: str = "description") -> Description:
    """Check what a probe says it is; InputError if no frame has that description under this element table."""
    if len(data) > MAX_DESCRIPTION_BYTES or _dot11.fingerprint_of(data) is None:
        raise InputError("no description of a frame", where=where, next_step="ask the probe again or update it")
    return Description(data)


def split_elements(data: bytes) -> Iterator[bytes]:
    """Cut elements laid end to end apart; what runs over the end is left out."""
    at = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        yield data[at : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def identity(element: bytes) -> tuple[Space, int]:
    """Give what an element is: its space and its code; a vendor's shorter than four octets has code 0."""
    if element[0] == VENDOR_ID:
        return Space.VENDOR, int.from_bytes(element[2:6], "big") if element[1] >= 4 else 0
    if element[0] == EXTENSION_ID and element[1]:
        return Space.EXTENSION, element[2]
    return Space.ELEMENT, element[0]


def treatment_of(space: Space, code: int) -> Treatment:
    """Look the element up in the static table."""
    for rule in ELEMENT_TABLE:
        if rule.space == space and code & rule.select == rule.code:
            return rule.treatment
    return Treatment.STABLE


def _described(token: bytes) -> DescribedElement:
    space, code = identity(token)
    treatment = treatment_of(space, code)
    sized = treatment in {Treatment.STABLE, Treatment.MASKED}
    if space == Space.VENDOR:
        digest = int.from_bytes(token[7:11], "little") if sized else None
        return DescribedElement(
            space=space, code=code, treatment=treatment, length=token[6] if sized else None, kept=b"", digest=digest
        )
    kept = token[2:] if sized else b""
    return DescribedElement(
        space=space, code=code, treatment=treatment, length=token[1] if sized else None, kept=kept, digest=None
    )


def _line(element: DescribedElement) -> str:
    name = (
        f"{element.space.name.lower()} {element.code:#x}"
        if element.space == Space.VENDOR
        else (f"{element.space.name.lower()} {element.code}")
    )
    length = "" if element.length is None else f", {element.length} octets"
    digest = "" if element.digest is None else f", hash {element.digest:08x}"
    kept = f": {element.kept.hex()}" if element.kept else ""
    return f"{name} {element.treatment.name}{length}{digest}{kept}"
