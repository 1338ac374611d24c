"""Devices per time bin. Gathers columns, counts once when the bin is final."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import BURST, revise
from hostkit.core.count import ClassRates, chapman
from hostkit.core.flood import count_devices
from hostkit.core.heard import PARKED_SHARE, SCAN_GAP_S
from hostkit.core.inside import NOBODY, Inside, count_inside
from hostkit.core.listening import Listening
from hostkit.model import Coverage, Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CountBin:
    """Devices present during [start_s, end_s). `addresses` is what counting addresses would have said.

    Shorter than others where the key rotated within it: then there is one bin for each key. `inside`: see core.inside;
    in a flood nothing is known of it.
    `coverage.listened_share` is the share of the bin between the first and the last frame of the input.
    """

    start_s: float
    end_s: float
    devices: Estimate
    addresses: int
    frames: int
    coverage: Coverage
    inside: Inside = NOBODY
    check: Estimate | None = None  # Chapman's, from two halves of the probes
    ble: Estimate | None = None  # devices heard over BLE, where any was


@dataclass(slots=True)
class _Open:
    keys: list[NDArray[np.uint64]] = field(default_factory=list)
    bursts: list[NDArray[np.void]] = field(default_factory=list)
    share: list[NDArray[np.float64]] = field(default_factory=list)
    heard: list[NDArray[np.bool_]] = field(default_factory=list)
    probes: set[int] = field(default_factory=set)
    frames: int = 0
    set_aside: int = 0  # addresses of a flood


class BinCounter:
    """Counts for bins of `bin_us` aligned to the epoch, within one life of the key, from `begin_us` to `end_us`.

    No bin is given twice: what comes too late for its bin counts in the first one that is still open. `listening` says
    when probes listened, by when a bin is closed; without it they are taken to have missed nothing.
    """

    def __init__(
        self,
        *,
        bin_us: int,
        begin_us: int,
        end_us: int,
        rotated: bool,
        probes_expected: int,
        listening: Listening | None = None,
    ) -> None:
        self._listening = listening
        self._rates = ClassRates()
        self._bin_us = bin_us
        self._begin_us = begin_us
        self._end_us = end_us
        self._rotated_us = begin_us if rotated else 0
        self._next = begin_us // bin_us
        self._probes_expected = probes_expected
        self._open: dict[int, _Open] = {}

    def add_flood(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,) in time order that were set aside: their bins are counted with wider intervals."""
        for number, rows in self._by_bin(sightings, "time_us"):
            bin_ = self._open.setdefault(number, _Open())
            bin_.frames += len(rows)
            bin_.set_aside += len(np.unique(rows["device_key"]))

    def add_ble(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,) in time order that are counted elsewhere: their bins are given all the same."""
        for number, _ in self._by_bin(sightings, "time_us"):
            self._open.setdefault(number, _Open())

    def add_sightings(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,) in time order."""
        for number, rows in self._by_bin(sightings, "time_us"):
            bin_ = self._open.setdefault(number, _Open())
            bin_.frames += len(rows)
            bin_.keys.append(np.unique(rows["device_key"]))
            bin_.probes.update(np.unique(rows["probe"]).tolist())

    def add_bursts(
        self,
        bursts: NDArray[np.void],
        share: NDArray[np.float64] | None = None,
        heard: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take BURST rows (M,), P(inside) of each (M,) and which probes heard it (M, probes).

        A burst belongs to the bin of its first frame. Without the others nobody is inside and nothing is checked.
        """
        order = np.argsort(bursts["first_us"], kind="stable")
        inside = np.zeros(len(bursts)) if share is None else share[order]
        by_probe = np.zeros((len(bursts), 1), bool) if heard is None else heard[order]
        at = 0
        for number, rows in self._by_bin(bursts[order], "first_us"):
            bin_ = self._open.setdefault(number, _Open())
            bin_.bursts.append(rows)
            bin_.share.append(inside[at : at + len(rows)])
            bin_.heard.append(by_probe[at : at + len(rows)])
            at += len(rows)

    def revise(self, revisions: NDArray[np.void]) -> None:
        """Put the bursts of bins that are still open on the tracks that REVISION rows (R,) say."""
        for bin_ in self._open.values():
            for rows in bin_.bursts:
                revise(rows, revisions)

    def due_us(self, time_us: int) -> int:
        """When the first bin ends that is open, or will be once something is heard at `time_us`."""
        return (min([*self._open, max(time_us // self._bin_us, self._next)]) + 1) * self._bin_us

    def due(self, until_us: int) -> bool:
        """Tell whether a bin ended by `until_us`."""
        return any((number + 1) * self._bin_us <= until_us for number in self._open)

    def close(self, until_us: int, first_us: NDArray[np.int64], fixed: NDArray[np.uint32]) -> list[CountBin]:
        """Give the bins that ended by `until_us`, without the tracks of fixed devices (F,).

        `first_us` (tracks,): when each track was first heard.
        """
        done = sorted(n for n in self._open if (n + 1) * self._bin_us <= until_us)
        self._next = max(self._next, until_us // self._bin_us)
        return [self._count(n, (n + 1) * self._bin_us, first_us, fixed) for n in done]

    def finish(self, end_us: int, first_us: NDArray[np.int64], fixed: NDArray[np.uint32]) -> list[CountBin]:
        """Give all bins; the last one was observed only until `end_us`."""
        return [self._count(n, end_us, first_us, fixed) for n in sorted(self._open)]

    def heard_share(self, start_us: int, end_us: int) -> float:
        """Share of the scans sent in [start_us, end_us) that any probe can have heard."""
        if self._listening is None:
            return 1.0
        told = self._listening.heard_share(start_us, end_us)
        return self._listening.planned_share() if told is None else told

    def _loud_share(self, begin_us: int, window_s: float) -> float:
        """Share of the scans sent near a probe that were heard, against one probe that never hops."""
        if self._listening is None:
            return 1.0
        told = self._listening.heard_share(begin_us, begin_us + round(window_s * 1e6), reach=1.0)
        return 1.0 if told is None else told / PARKED_SHARE

    def _by_bin(self, rows: NDArray[np.void], column: str) -> list[tuple[int, NDArray[np.void]]]:
        numbers = np.maximum(rows[column] // self._bin_us, self._next)
        cuts = np.flatnonzero(np.diff(numbers, prepend=-1))
        return list(zip(numbers[cuts].tolist(), np.split(rows, cuts[1:]), strict=False))

    def _count(
        self, number: int, observed_until_us: int, first_us: NDArray[np.int64], fixed: NDArray[np.uint32]
    ) -> CountBin:
        bin_ = self._open.pop(number)
        start_us = max(number * self._bin_us, self._rotated_us)
        end_us = min((number + 1) * self._bin_us, self._end_us)
        observed_us = max(0, min(observed_until_us, end_us) - max(start_us, self._begin_us))
        rows = np.concatenate(bin_.bursts) if bin_.bursts else np.empty(0, BURST)
        moving = ~np.isin(rows["track"], fixed)
        rows, share = rows[moving], np.concatenate([np.empty(0), *bin_.share])[moving]
        begin_us, window_s = max(start_us, self._begin_us), observed_us / 1e6
        heard = self.heard_share(begin_us, begin_us + observed_us)
        return CountBin(
            start_s=start_us / 1e6,
            end_s=end_us / 1e6,
            devices=self._devices(rows, first_us, start_us, window_s=window_s, heard=heard, set_aside=bin_.set_aside),
            addresses=bin_.set_aside + (len(np.unique(np.concatenate(bin_.keys))) if bin_.keys else 0),
            frames=bin_.frames,
            coverage=Coverage(
                listened_share=observed_us / (end_us - start_us),
                probes_up=len(bin_.probes),
                probes_expected=self._probes_expected,
                completeness=None,
            ),
            inside=NOBODY
            if bin_.set_aside
            else count_inside(rows, share, window_s, heard=self._loud_share(begin_us, window_s), life=self._begin_us),
            check=_check(rows, np.concatenate(bin_.heard)[moving]) if bin_.heard and not bin_.set_aside else None,
        )

    def _devices(
        self,
        rows: NDArray[np.void],
        first_us: NDArray[np.int64],
        start_us: int,
        *,
        window_s: float,
        heard: float,
        set_aside: int,
    ) -> Estimate:
        """Count the tracks among burst rows (M,), and learn how often their classes scan unless it is a flood's."""
        rows = rows[np.lexsort((rows["first_us"], rows["track"]))]
        starts = np.flatnonzero(np.diff(rows["track"].astype(np.int64), prepend=-1))
        classes, scans = rows["element_class"][starts], _scans(rows, starts)
        if not set_aside and len(starts):
            stops = np.append(starts[1:], len(rows)) - 1
            self._rates.learn(classes, scans, (rows["first_us"][stops] - rows["first_us"][starts]) / 1e6)
        return count_devices(
            spans_s=_spans_s(rows, starts, first_us, start_us),
            scans=scans,
            window_s=window_s,
            set_aside=set_aside,
            heard=heard,
            per_s=self._rates.per_s(classes, heard),
        )


def _scans(rows: NDArray[np.void], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    """Scans of each track (T,) whose rows, in order of time, begin at `starts`: addresses may change within one."""
    if not len(starts):
        return np.empty(0, np.int64)
    new = np.ones(len(rows), np.int64)
    new[1:] = rows["first_us"][1:] - rows["last_us"][:-1] > SCAN_GAP_S * 1e6
    new[starts] = 1
    return np.asarray(np.add.reduceat(new, starts))


def _spans_s(
    rows: NDArray[np.void], starts: NDArray[np.intp], first_us: NDArray[np.int64], start_us: int
) -> NDArray[np.float64]:
    """From when to when each track (T,) was there, within a bin that began at `start_us`, in seconds.

    A track known from before (`first_us` by track) was there from the start.
    """
    if not len(starts):
        return np.empty(0)
    first = np.maximum(first_us[rows["track"][starts]], start_us)
    last = np.maximum.reduceat(rows["last_us"], starts)
    return np.asarray(np.maximum(last - first, 0) / 1e6, np.float64)


def _check(rows: NDArray[np.void], heard: NDArray[np.bool_]) -> Estimate | None:
    """Chapman's estimate from the tracks of burst rows (M,) that these probes heard (M, probes)."""
    order = np.argsort(rows["track"], kind="stable")
    starts = np.flatnonzero(np.diff(rows["track"][order].astype(np.int64), prepend=-1))
    return chapman(np.logical_or.reduceat(heard[order], starts)) if len(starts) else None
