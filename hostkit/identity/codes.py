"""One-time codes: made, counted down by wrong tries, used once, over in time. Pure; keeps their hashes only."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hostkit.identity.invitation import NAME_CHARS, parse_code

MAX_WRONG = 5  # tries of one code with the right name and a wrong secret
KEPT_S = 30 * 86_400  # a code that is over is remembered so long, so that a second use can be named


class Verdict(StrEnum):
    """Why a code is refused."""

    UNKNOWN = "unknown"
    LOCKED = "locked"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code for `identity`. `digest` is SHA-256 of name and secret, `used_by` of the key it was used with."""

    name: str
    digest: str
    identity: str
    role: str
    made_s: int
    until_s: int
    wrong: int = 0
    used_s: int | None = None
    used_by: str | None = None

    def open(self, now_s: float) -> bool:
        """Tell whether it can still be used."""
        return self.used_s is None and self.wrong < MAX_WRONG and now_s < self.until_s


def keep(text: str, *, identity: str, role: str, now_s: float, valid_s: float) -> Code:
    """Give what is kept of a code just drawn. SHA-256 is enough: 80 random bits are not guessed from it."""
    return Code(
        name=text[:NAME_CHARS], digest=_digest(text), identity=identity, role=role, made_s=int(now_s),
        until_s=int(now_s + valid_s),
    )  # fmt: skip


def judge(codes: Sequence[Code], text: str, used_by: str, now_s: float) -> tuple[Code | None, Verdict | None]:
    """Find the code `text` is and why it is refused; a code without a verdict may be used.

    UNKNOWN with a code: its name is right, its secret is not. The key that used a code may use it again, while it is
    valid: the answer may have been lost.
    """
    code = parse_code(text)
    named = next((one for one in codes if code and one.name == code[:NAME_CHARS]), None)
    if code is None or named is None:
        return None, Verdict.UNKNOWN
    if named.wrong >= MAX_WRONG:
        return named, Verdict.LOCKED
    if not hmac.compare_digest(named.digest, _digest(code)):
        return named, Verdict.UNKNOWN
    if now_s >= named.until_s:
        return named, Verdict.EXPIRED
    if named.used_s is not None and named.used_by != used_by:
        return named, Verdict.USED
    return named, None


def wrong_try(codes: Iterable[Code], name: str) -> list[Code]:
    """Count a wrong secret against the code of that name, unless it was used already."""
    return [replace(one, wrong=one.wrong + 1) if one.name == name and one.used_s is None else one for one in codes]


def used(codes: Iterable[Code], name: str, used_by: str, now_s: float) -> list[Code]:
    """Mark the code of that name used."""
    return [replace(one, used_s=int(now_s), used_by=used_by) if one.name == name else one for one in codes]


def current(codes: Iterable[Code], now_s: float) -> list[Code]:
    """Leave out those that are long over."""
    return [one for one in codes if now_s < one.until_s + KEPT_S]


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
