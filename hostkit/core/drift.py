"""Whether probes hear each other as they did when they were calibrated. Finds who changed; fits no path loss.

A change of a probe's receiver moves every link to it, of its transmitter every link from it; a new shelf moves the two
links of a pair. So each probe's median change is looked at, the largest is taken out of its links, and so on: with a
handful of probes that blames the one that changed and not its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LIMIT_DB = (
    6.0  # a phone is placed 1.7 times too near or far at exponent 2.7; nights differ by 1 to 2 dB (people, stock)
)
MIN_FRAMES = 8
CLEAR_DBM = -85.0  # a link weaker than this may be gone by chance

Ends = tuple[str, str]  # sender, receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A link: frames and their median."""

    n: int
    median_dbm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A probe that hears others (`hears_db`) or is heard (`is_heard_db`) otherwise than then; None: not any more."""

    probe: str
    hears_db: float | None
    is_heard_db: float | None


def in_words(probe: str, hears_db: float | None, is_heard_db: float | None) -> str:
    """Say a drift in a few words."""
    said = [
        f"{what} not at all any more" if db is None else f"{what} {abs(db):.0f} dB {'weaker' if db < 0 else 'louder'}"
        for what, db in (("hears others", hears_db), ("is heard", is_heard_db))
        if db is None or db
    ]
    return f"{probe} {' and '.join(said)}"


def find_drift(before: Mapping[Ends, Heard], now: Mapping[Ends, Heard], probes: Sequence[str]) -> tuple[Drift, ...]:
    """Compare two nights for the probes that took part in both; give those beyond LIMIT_DB, in order."""
    usual = {ends: one for ends, one in before.items() if one.n >= MIN_FRAMES and set(ends) <= set(probes)}
    changes = {
        ends: now[ends].median_dbm - one.median_dbm
        for ends, one in usual.items()
        if ends in now and now[ends].n >= MIN_FRAMES
    }
    shifts = _shifts(changes)
    found = []
    for probe in probes:
        gone = [_gone(probe, end, usual, changes) for end in (1, 0)]
        shift = [shifts.get((probe, end), 0.0) for end in (1, 0)]
        if any(gone) or any(shift):
            hears_db, is_heard_db = (None if lost else db for lost, db in zip(gone, shift, strict=True))
            found.append(Drift(probe=probe, hears_db=hears_db, is_heard_db=is_heard_db))
    return tuple(found)


def _shifts(changes: Mapping[Ends, float]) -> dict[tuple[str, int], float]:
    """Give the shift of each (probe, end of its links) that changed: end 0 as sender, 1 as receiver."""
    left = dict(changes)
    roles = sorted({(ends[end], end) for ends in left for end in (0, 1)})
    found: dict[tuple[str, int], float] = {}
    for _ in roles:
        medians = {
            role: float(np.median([db for ends, db in left.items() if ends[role[1]] == role[0]])) for role in roles
        }
        role = max(roles, key=lambda one: abs(medians[one]))
        if abs(medians[role]) < LIMIT_DB or role in found:
            break
        found[role] = medians[role]
        left = {ends: db - medians[role] * (ends[role[1]] == role[0]) for ends, db in left.items()}
    return found


def _median(changes: Mapping[Ends, float], probe: str, end: int) -> float:
    return float(np.median([db for ends, db in changes.items() if ends[end] == probe]))


def _gone(probe: str, end: int, usual: Mapping[Ends, Heard], changes: Mapping[Ends, float]) -> bool:
    """Tell whether a probe had clear links at this end and none is left."""
    clear = [ends for ends, one in usual.items() if ends[end] == probe and one.median_dbm >= CLEAR_DBM]
    return bool(clear) and not any(ends in changes for ends in clear)
