"""Learns which parts of the elements change between frames of one address, and leaves them out of fingerprints.

It sees device keys and descriptions, never an address; what it gives to save holds neither, only counts per element.

It is how the static element table is checked and extended, and is not applied to live sightings: on labelled phones
nothing is left to learn under that table (tests/accuracy/test_volatile.py), and among computers it takes a model's
element sets of two bands for volatile (12 kinds of element, 280 fingerprints to 136 in a recorded lab). Association
learns instead, by address, which fingerprints are one model's, and loses none of what tells models apart.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from math import sqrt
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hostkit.core import _dot11
from hostkit.core.describe import identity, split_elements
from hostkit.core.dot11 import FINGERPRINT_VERSION, Space, Status
from hostkit.core.wire import Flag
from hostkit.errors import InputError

VOLATILE_RATE = 0.005  # share of pairs of consecutive frames between which a stable thing may change
SURE_SD = 3.0  # standard deviations of a Poisson count by which more changes than that must have been seen
FORMAT = 1
MAX_FIELDS = 1024  # a hostile sender can invent elements
MAX_LOADED_FIELDS = 65_536
MAX_COUNT = 2**53 - 1  # what JSON carries exactly
MAX_BODY_OCTETS = 255
MAX_DEVICES = 65_536  # whose last fingerprint is held
MAX_DESCRIPTIONS = 65_536
_DIGEST_AT = 6  # of a vendor's digest: length and hash behind header, OUI and type
_DIGEST_BYTES = 11

Key: TypeAlias = tuple[Space, int]
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | None"


@dataclass(slots=True)
class FieldCounts:
    """How often one kind of element changed between consecutive frames of an address."""

    pairs: int = 0  # of which at least one frame had it
    presence: int = 0  # only one had it
    length: int = 0  # both, of different length
    octets: dict[int, int] = field(default_factory=dict)  # by octet of the element with its header: another value

    def add(self, other: "FieldCounts", times: int = 1) -> None:
        """Count what `other` counted, `times` over."""
        self.pairs += other.pairs * times
        self.presence += other.presence * times
        self.length += other.length * times
        for at, count in other.octets.items():
            self.octets[at] = self.octets.get(at, 0) + count * times


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatileRule:
    """What to leave out of one kind of element."""

    drop: bool = False  # all of it
    bare: bool = False  # all but that it is there
    octets: tuple[int, ...] = ()  # of the element with its header


class VolatileMask:
    """Maps descriptions to fingerprints without the volatile parts. Immutable."""

    def __init__(self, rules: Mapping[Key, VolatileRule]) -> None:
        self.rules = MappingProxyType(dict(rules))

    @property
    def version(self) -> int:
        """Give the fingerprint version under this mask: FINGERPRINT_VERSION where it leaves nothing out."""
        if not self.rules:
            return FINGERPRINT_VERSION
        text = repr(
            (FINGERPRINT_VERSION, sorted((key, rule.drop, rule.bare, rule.octets) for key, rule in self.rules.items()))
        )
        return int.from_bytes(blake2s(text.encode(), digest_size=4).digest(), "little")

    def apply(self, description: bytes) -> bytes:
        """Give the description without what is volatile."""
        return b"".join(self._left(element) for element in split_elements(description))

    def classify(self, description: bytes) -> int:
        """Give the fingerprint of what is left of a description; ValueError if it is none."""
        fingerprint = _dot11.fingerprint_of(self.apply(description))
        if fingerprint is None:
            raise ValueError("no description")
        return fingerprint

    def _left(self, element: bytes) -> bytes:
        rule = self.rules.get(identity(element))
        if rule is None:
            return element
        if rule.drop:
            return b""
        if rule.bare:
            return _bare(element)
        left = bytearray(element)
        for at in rule.octets:
            if at < len(left):
                left[at] = 0
        return bytes(left)


def _bare(element: bytes) -> bytes:
    """Keep what identifies an element; a vendor's stays a digest, of nothing."""
    space, _ = identity(element)
    if space == Space.VENDOR:
        return element[:_DIGEST_AT] + bytes(len(element) - _DIGEST_AT)
    if space == Space.EXTENSION:
        return bytes((element[0], 1, element[2]))
    return bytes((element[0], 0))


class VolatileFields:
    """Counts of changes per kind of element; learns, adds up, saves, and gives the mask they amount to.

    As the `volatile` of a CaptureReader it leaves fingerprints as they are and keeps their descriptions, so that
    `learn` can be given the rows. State is bounded: MAX_FIELDS, MAX_DEVICES, MAX_DESCRIPTIONS.
    """

    def __init__(self) -> None:
        self.fields: dict[Key, FieldCounts] = {}
        self._descriptions: dict[int, bytes] = {}
        self._last: OrderedDict[int, int] = OrderedDict()  # device key: fingerprint, the longest unheard first

    def classify(self, description: bytes) -> int:
        """Remember a description; give its own fingerprint."""
        fingerprint = _dot11.fingerprint_of(description)
        if fingerprint is None:
            raise ValueError("no description")
        if len(self._descriptions) >= MAX_DESCRIPTIONS:
            self._descriptions.clear()
        self._descriptions[fingerprint] = description
        return fingerprint

    def learn(self, frames: NDArray[np.void]) -> None:
        """Count the changes between consecutive FRAME rows of one device key; rows in order of time.

        Rows are those of a reader this object is the `volatile` of. Cut and malformed frames teach nothing.
        """
        broken = frames["status"] & Status.CUT | frames["flags"] & Flag.MALFORMED
        for (before, after), times in self._pairs(frames[broken == 0]).items():
            one, other = self._descriptions.get(before), self._descriptions.get(after)
            if one is not None and other is not None:
                self._count(compare(one, other), times)

    def merged(self, other: "VolatileFields") -> "VolatileFields":
        """Give the sum of both; the order does not matter."""
        total = VolatileFields()
        for source in (self, other):
            for key, counts in source.fields.items():
                total.fields.setdefault(key, FieldCounts()).add(counts)
        return total

    def mask(self) -> VolatileMask:
        """Give what surely changes more often than VOLATILE_RATE."""
        rules = {key: _rule(counts) for key, counts in self.fields.items()}
        return VolatileMask({key: rule for key, rule in rules.items() if rule is not None})

    def to_json(self) -> dict[str, Json]:
        """Give what `from_json` reads."""
        fields: list[Json] = [
            {
                "space": key[0].name.lower(),
                "code": key[1],
                "pairs": counts.pairs,
                "presence": counts.presence,
                "length": counts.length,
                "octets": {str(at): counts.octets[at] for at in sorted(counts.octets)},
            }
            for key, counts in sorted(self.fields.items())
        ]
        return {"format": FORMAT, "element_table": FINGERPRINT_VERSION, "fields": fields}

    @classmethod
    def from_json(cls, data: Json, *, where: str = "volatile fields") -> "VolatileFields":
        """Read what `to_json` gave; InputError for anything else, and for counts under another element table."""
        learnt = cls()
        for key, counts in _read_fields(data, where):
            if key in learnt.fields:
                raise _refusal(f"{key[0].name.lower()} {key[1]} is there twice", where)
            learnt.fields[key] = counts
        return learnt

    def _pairs(self, frames: NDArray[np.void]) -> Counter[tuple[int, int]]:
        """Count (fingerprint, next fingerprint of the same key), the last one of earlier rows included."""
        if not len(frames):
            return Counter()
        order = np.argsort(frames["device_key"], kind="stable")
        keys, prints = frames["device_key"][order], frames["fingerprint"][order].astype(np.uint64)
        same = keys[1:] == keys[:-1]
        joined, times = np.unique(prints[:-1][same] << np.uint64(32) | prints[1:][same], return_counts=True)
        pairs = Counter(
            {(one >> 32, one & 0xFFFFFFFF): n for one, n in zip(joined.tolist(), times.tolist(), strict=True)}
        )
        starts = np.flatnonzero(np.concatenate([[True], ~same]))
        ends = np.append(starts[1:], len(keys)) - 1
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            key = int(keys[start])
            if (before := self._last.pop(key, None)) is not None:
                pairs[before, int(prints[start])] += 1
            self._last[key] = int(prints[end])
        while len(self._last) > MAX_DEVICES:
            self._last.popitem(last=False)
        return pairs

    def _count(self, changes: Mapping[Key, FieldCounts], times: int) -> None:
        for key, counts in changes.items():
            if key in self.fields or len(self.fields) < MAX_FIELDS:
                self.fields.setdefault(key, FieldCounts()).add(counts, times)


def compare(one: bytes, other: bytes) -> dict[Key, FieldCounts]:
    """Give how the elements of two descriptions differ, one pair each; the n-th of a kind is compared with the n-th."""
    left, right = dict(_numbered(one)), dict(_numbered(other))
    found: dict[Key, FieldCounts] = {}
    for key, number in left.keys() | right.keys():
        found.setdefault(key, FieldCounts()).add(_difference(left.get((key, number)), right.get((key, number))))
    return found


def _numbered(description: bytes) -> Iterator[tuple[tuple[Key, int], bytes]]:
    seen: Counter[Key] = Counter()
    for element in split_elements(description):
        key = identity(element)
        yield (key, seen[key]), element
        seen[key] += 1


def _difference(one: bytes | None, other: bytes | None) -> FieldCounts:
    if one is None or other is None:
        return FieldCounts(pairs=1, presence=1)
    if _length(one) != _length(other):
        return FieldCounts(pairs=1, length=1)
    octets = {at: 1 for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b}
    return FieldCounts(pairs=1, octets=octets)


def _length(element: bytes) -> int:
    """Give the length of the element that was sent; a digest names it."""
    is_digest = identity(element)[0] == Space.VENDOR and len(element) == _DIGEST_BYTES
    return element[_DIGEST_AT] if is_digest else element[1]


def _rule(counts: FieldCounts) -> VolatileRule | None:
    expected = counts.pairs * VOLATILE_RATE
    most = max(expected + SURE_SD * sqrt(expected), SURE_SD)
    if counts.presence > most:
        return VolatileRule(drop=True)
    if counts.length > most:
        return VolatileRule(bare=True)
    octets = tuple(sorted(at for at, count in counts.octets.items() if count > most))
    return VolatileRule(octets=octets) if octets else None


def _read_fields(data: Json, where: str) -> Iterable[tuple[Key, FieldCounts]]:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _refusal(f"not of format {FORMAT}", where)
    if data.get("element_table") != FINGERPRINT_VERSION:
        raise _refusal("learnt under another element table", where)
    fields = data.get("fields")
    if not isinstance(fields, list) or len(fields) > MAX_LOADED_FIELDS:
        raise _refusal(f"fields are not a list of at most {MAX_LOADED_FIELDS}", where)
    return [_read_field(entry, f"{where}: field {index}") for index, entry in enumerate(fields)]


def _read_field(entry: Json, where: str) -> tuple[Key, FieldCounts]:
    if not isinstance(entry, dict):
        raise _refusal("not an object", where)
    spaces = {space.name.lower(): space for space in Space}
    space = spaces.get(str(entry.get("space")))
    if space is None:
        raise _refusal(f"space is none of {', '.join(spaces)}", where)
    code = _whole(entry, "code", 2**32 - 1 if space == Space.VENDOR else 255, where)
    pairs = _whole(entry, "pairs", MAX_COUNT, where)
    octets = entry.get("octets")
    if not isinstance(octets, dict) or not all(_is_octet(at) for at in octets):
        raise _refusal("octets is not an object of octet numbers", where)
    counts = FieldCounts(
        pairs=pairs,
        presence=_whole(entry, "presence", pairs, where),
        length=_whole(entry, "length", pairs, where),
        octets={int(at): _whole(octets, at, pairs, where) for at in octets},
    )
    return (space, code), counts


def _is_octet(text: str) -> bool:
    """Octets behind the header, as `to_json` writes them."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and 2 <= int(text) <= MAX_BODY_OCTETS + 1


def _whole(entry: "dict[str, Json]", name: str, most: int, where: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _refusal(f"{name} is not a whole number in 0..{most}", where)
    return value


def _refusal(what: str, where: str) -> InputError:
    return InputError(what, where=where, next_step="learn the fields anew")
