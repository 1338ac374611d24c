"""A gate for addresses never heard before: as many as phones can make pass, the rest are set aside and counted.

Anybody with a cheap board can send from a million addresses a minute. Each would take memory, and many would pass for
a phone; the gate bounds both. What it cannot tell from phones is a board that makes no more addresses than phones do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from hostkit.core.count import devices_in_window
from hostkit.core.heard import SCAN_GAP_S
from hostkit.model import Estimate, Site

# A phone makes up to 12 addresses a minute (iPhone 11: 10 in a scan, 1.2 scans a minute). More than four times what was
# usual in the last ten minutes is a flood, but for what 25 phones or a bus full of people make.
LEAST_PER_MIN, MOST_PER_MIN = 300.0, 6000.0
FACTOR = 4.0
USUAL_US = 600e6
ROOM_MIN = 2.0  # minutes' worth that may come at once
GROWTH_PER_US = 2 ** (1 / 3600e6)  # what is usual doubles in an hour of flood: it may be the trade fair next door
MINUTE_US = 60_000_000
METHOD = "tracks + rate of what was heard again; at most every address: flood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What was set aside. `addresses`: one heard again counts again; `minutes`: in which any was.

    `probe_frames`: the frames by index of the probe that heard them; a board is near the probe with most.
    """

    addresses: int
    frames: int
    minutes: int
    last_us: int | None
    probe_frames: tuple[int, ...]


class FloodGate:
    """A token bucket of new addresses for one life of the key, refilled by a multiple of what was usual.

    It begins full, for to a new key all addresses are new. Where none is set aside, how input is cut hardly matters.
    """

    def __init__(self, begin_us: int, probes: int) -> None:
        self._addresses = self._minutes = 0
        self._last_us: int | None = None
        self._probe_frames = np.zeros(probes, np.int64)
        self._tokens = MOST_PER_MIN
        self._full_until_us = begin_us + ROOM_MIN * MINUTE_US
        self._usual_per_us = 0.0
        self._now_us = self._learnt_us = begin_us

    def flood(self) -> Flood:
        """Sum up what was set aside so far."""
        frames = tuple(self._probe_frames.tolist())
        return Flood(
            addresses=self._addresses,
            frames=sum(frames),
            minutes=self._minutes,
            last_us=self._last_us,
            probe_frames=frames,
        )

    def lets_all_in(self, sightings: NDArray[np.void], fresh: NDArray[np.bool_]) -> bool:
        """Tell whether there are tokens for the new addresses among SIGHTING rows (N,) and take them; else take none.

        `fresh` (N,): the row's address was never heard. Of many in more than a minute it cannot tell, and says no.
        """
        rows = sightings[fresh]
        if not len(rows):
            return True
        addresses = len(np.unique(rows["device_key"]))
        self._refill(int(rows["time_us"][0]))
        if addresses > self._tokens or (addresses > LEAST_PER_MIN and np.ptp(rows["time_us"]) > MINUTE_US):
            return False
        self._tokens -= addresses
        self._learn(addresses, int(rows["time_us"][-1]))
        return True

    def refused(self, sightings: NDArray[np.void], fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which rows (N,), N > 0, of a minute at most, are set aside: of new addresses without a token."""
        rows = np.flatnonzero(fresh)
        _, first, address = np.unique(sightings["device_key"][rows], return_index=True, return_inverse=True)
        late = self._without_token(sightings["time_us"][rows[first]])
        refused = np.zeros(len(sightings), np.bool_)
        refused[rows] = late[address]
        last_us = int(sightings["time_us"][-1])
        if late.any():
            self._count(sightings[refused], int(late.sum()))
            least = LEAST_PER_MIN / MINUTE_US / FACTOR
            self._usual_per_us = max(self._usual_per_us, least) * GROWTH_PER_US ** max(last_us - self._learnt_us, 0)
            self._learnt_us = max(self._learnt_us, last_us)
        else:
            self._learn(len(late), last_us)
        return refused

    def _without_token(self, first_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which new addresses (A,), first heard then, get no token; the earlier come first."""
        late = np.zeros(len(first_us), np.bool_)
        for at in np.argsort(first_us, kind="stable").tolist():
            self._refill(int(first_us[at]))
            late[at] = self._tokens < 1
            self._tokens -= not late[at]
        return late

    def _refill(self, now_us: int) -> None:
        """Add tokens at a multiple of the usual rate, up to what may come at once."""
        per_us = min(max(FACTOR * self._usual_per_us, LEAST_PER_MIN / MINUTE_US), MOST_PER_MIN / MINUTE_US)
        room = MOST_PER_MIN if now_us < self._full_until_us else ROOM_MIN * MINUTE_US * per_us
        self._tokens = min(self._tokens + max(now_us - self._now_us, 0) * per_us, room)
        self._now_us = max(self._now_us, now_us)

    def _learn(self, addresses: int, until_us: int) -> None:
        """Take new addresses into the running mean of their rate."""
        elapsed_us = max(until_us - self._learnt_us, 1)
        weight = -math.expm1(-elapsed_us / USUAL_US)
        self._usual_per_us += weight * (addresses / elapsed_us - self._usual_per_us)
        self._learnt_us += elapsed_us

    def _count(self, rows: NDArray[np.void], addresses: int) -> None:
        minutes = np.unique(rows["time_us"] // MINUTE_US)
        self._minutes += len(minutes) - (self._last_us is not None and int(minutes[0]) == self._last_us // MINUTE_US)
        self._addresses += addresses
        self._last_us = int(rows["time_us"][-1])
        self._probe_frames += np.bincount(rows["probe"], minlength=len(self._probe_frames))


def minutes_of(sightings: NDArray[np.void]) -> list[NDArray[np.void]]:
    """Cut SIGHTING rows (N,) in order of time at whole minutes."""
    cuts = np.flatnonzero(np.diff(sightings["time_us"] // MINUTE_US)) + 1
    return np.split(sightings, cuts)


def flood_of(floods: Sequence[Flood]) -> Flood:
    """Sum up floods of the same probes."""
    last_us = [flood.last_us for flood in floods if flood.last_us is not None]
    return Flood(
        addresses=sum(flood.addresses for flood in floods),
        frames=sum(flood.frames for flood in floods),
        minutes=sum(flood.minutes for flood in floods),
        last_us=max(last_us, default=None),
        probe_frames=tuple(map(sum, zip_longest(*(flood.probe_frames for flood in floods), fillvalue=0))),
    )


def nearest_probe(flood: Flood, site: Site) -> str | None:
    """Id of the probe that heard most of a flood."""
    frames = flood.probe_frames
    return site.probes[frames.index(max(frames))].id if site.probes and flood.frames else None


def count_devices(
    *,
    spans_s: NDArray[np.float64],
    scans: NDArray[np.int64],
    window_s: float,
    set_aside: int,
    heard: float = 1.0,
    per_s: NDArray[np.float64] | None = None,
) -> Estimate:
    """Count as `devices_in_window`; where addresses were set aside, give what can be said of a flooded time.

    Then there are at least half the devices heard in more than one scan (for some may be addresses of the board that
    passed and were linked), and at most all and one for every address.
    """
    everything = devices_in_window(spans_s=spans_s, scans=scans, window_s=window_s, heard=heard, per_s=per_s)
    if not set_aside:
        return everything
    again = spans_s > SCAN_GAP_S
    known = None if per_s is None else per_s[again]
    sure = devices_in_window(spans_s=spans_s[again], scans=scans[again], window_s=window_s, heard=heard, per_s=known)
    high = None if everything.high is None else everything.high + set_aside
    low = None if sure.low is None else sure.low / 2
    return replace(sure, low=low, high=high, method=METHOD)
