"""Cuts the placed bursts of each track into visits once they are over. Knows no device key."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core._dwell import ZoneTracker
from hostkit.core.dwell import p_entrant
from hostkit.core.heard import MEDIAN_INTERVAL_S
from hostkit.core.places import PlaceModel, ring_inside
from hostkit.core.wire import Flag
from hostkit.model import Dwell, EndReason, Interval, Radio, Site, Visit, VisitClass, ZoneStay

# A phone silent for longer is likelier gone than quiet: P(heard within 300 s) is 0.995.
MAX_INTERVAL_S = 300.0
# From this posterior on a burst counts as sent inside the shop.
INSIDE_P = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stays:
    """Columns over V visits. Times in seconds; `before` and `after` bound when the stay began and ended."""

    before_s: NDArray[np.float64]
    first_s: NDArray[np.float64]
    last_s: NDArray[np.float64]
    after_s: NDArray[np.float64]
    p_inside: NDArray[np.float64]


class VisitCutter:
    """Holds the bursts of open visits; a visit ends when its device was silent for `visit_timeout_s`.

    State grows with the bursts of open visits only. `visit_prefix` makes ids unique between runs.
    """

    def __init__(self, site: Site, places: PlaceModel, visit_prefix: str) -> None:
        self._thresholds = site.thresholds
        self._rings = site.rings
        self._zones = site.zones
        self._places = places
        self._prefix = visit_prefix
        self._made = 0
        self._rows = np.empty(0, places.dtype)
        self._ended_s: dict[int, float] = {}

    def add(self, rows: NDArray[np.void]) -> None:
        """Take placed bursts (M,) of `PlaceModel.dtype`."""
        self._rows = np.concatenate([self._rows, rows])

    def close(self, now_us: int) -> tuple[Visit, ...]:
        """Give the visits that are over at `now_us`."""
        return self._cut(now_us - int(self._thresholds.visit_timeout_s * 1e6), EndReason.SILENCE)

    def flush(self, reason: EndReason) -> tuple[Visit, ...]:
        """End every open visit and forget which tracks were here."""
        visits = self._cut(np.iinfo(np.int64).max, reason)
        self._ended_s.clear()
        return visits

    def forget(self, tracks: NDArray[np.uint32]) -> None:
        """Drop the open bursts of devices that are not visitors (M,)."""
        self._rows = self._rows[~np.isin(self._rows["track"], tracks)]

    def _cut(self, before_us: int, reason: EndReason) -> tuple[Visit, ...]:
        rows = self._rows[np.lexsort((self._rows["first_us"], self._rows["track"]))]
        if not len(rows):
            return ()
        gap_us = rows["first_us"][1:] - rows["last_us"][:-1]
        new = (np.diff(rows["track"]) != 0) | (gap_us > self._thresholds.visit_timeout_s * 1e6)
        segment = np.concatenate([[0], np.cumsum(new)])
        starts = np.flatnonzero(np.concatenate([[True], new]))
        over = np.maximum.reduceat(rows["last_us"], starts) < before_us
        self._rows = rows[~over[segment]]
        rows = rows[over[segment]]
        if not len(rows):
            return ()
        return self._visits(rows, np.unique(segment[over[segment]], return_inverse=True)[1], reason)

    def _visits(self, rows: NDArray[np.void], visit: NDArray[np.intp], reason: EndReason) -> tuple[Visit, ...]:
        """Rows sorted by visit and time, `visit` (M,) numbering them from 0 → the visits in order of their start."""
        starts = np.flatnonzero(np.diff(visit, prepend=-1))
        stays = self._stays(rows, visit, starts)
        lo, hi = stays.last_s - stays.first_s, stays.after_s - stays.before_s
        p = p_entrant((lo + hi) / 2, stays.p_inside, self._thresholds)
        zones = self._zone_stays(rows, visit, len(starts))
        bursts = np.diff(starts, append=len(rows))
        made = []
        for i in np.lexsort((rows["track"][starts], stays.first_s)).tolist():
            self._made += 1
            track = int(rows["track"][starts[i]])
            made.append(
                Visit(
                    visit_id=f"{self._prefix}{self._made}",
                    rev=1,
                    start_s=Interval(lo=float(stays.before_s[i]), hi=float(stays.first_s[i])),
                    end_s=Interval(lo=float(stays.last_s[i]), hi=float(stays.after_s[i])),
                    dwell_s=Dwell(lo=float(lo[i]), mid=float(lo[i] + hi[i]) / 2, hi=float(hi[i])),
                    visit_class=VisitClass.ENTRANT if p[i] >= 0.5 else VisitClass.PASSERBY,
                    p_entrant=float(p[i]),
                    radio=Radio.BLE if rows["flags"][starts[i]] & Flag.BLE else Radio.WIFI,
                    bursts=int(bursts[i]),
                    reentry=stays.first_s[i] - self._ended_s.get(track, -np.inf) <= self._thresholds.reentry_s,
                    zones=zones[i],
                    end_reason=reason,
                )
            )
            if p[i] >= 0.5:
                self._ended_s[track] = float(stays.last_s[i])
        return tuple(made)

    def _stays(self, rows: NDArray[np.void], visit: NDArray[np.intp], starts: NDArray[np.intp]) -> _Stays:
        first_s, last_s = rows["first_us"] * 1e-6, rows["last_us"] * 1e-6
        stops = np.append(starts[1:], len(rows)) - 1
        count = stops - starts + 1
        mean_s = (last_s[stops] - first_s[starts]) / np.maximum(count - 1, 1)
        interval_s = np.minimum(np.where(count > 1, mean_s, MEDIAN_INTERVAL_S), MAX_INTERVAL_S)
        begin, end = starts, stops
        if self._places.positions:
            p_inside = np.add.reduceat(rows["p_inside"].astype(float), starts) / count
            begin, end = _inside_span(rows["p_inside"] >= INSIDE_P, starts, stops)
        else:
            p_inside = ring_inside(_medians(rows["rssi_dbm"], visit, starts, count), self._rings).astype(float)
        before_s = np.where(begin > starts, last_s[begin - 1], first_s[begin] - interval_s)
        after_s = np.where(end < stops, first_s[np.minimum(end + 1, len(rows) - 1)], last_s[end] + interval_s)
        return _Stays(before_s=before_s, first_s=first_s[begin], last_s=last_s[end], after_s=after_s, p_inside=p_inside)

    def _zone_stays(self, rows: NDArray[np.void], visit: NDArray[np.intp], visits: int) -> list[tuple[ZoneStay, ...]]:
        found: list[list[ZoneStay]] = [[] for _ in range(visits)]
        if self._zones and self._places.positions:
            tracker = ZoneTracker(len(self._zones))
            p_zone = np.ascontiguousarray(rows["p_zone"])
            events = [tracker.update(visit.astype(np.int32), rows["first_us"].copy(), p_zone), tracker.flush()]
            for event in np.sort(np.concatenate(events), order=["device", "enter_us", "zone"]):
                found[event["device"]].append(
                    ZoneStay(
                        zone=self._zones[event["zone"]].id,
                        enter_s=float(event["enter_us"]) * 1e-6,
                        leave_s=float(event["leave_us"]) * 1e-6,
                        p=float(event["p_mean"]),
                    )
                )
        return [tuple(stays) for stays in found]


def _inside_span(
    inside: NDArray[np.bool_], starts: NDArray[np.intp], stops: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last inside row of each visit (V,); the whole visit where no row is inside."""
    row = np.arange(len(inside))
    first = np.minimum.reduceat(np.where(inside, row, len(inside)), starts)
    last = np.maximum.reduceat(np.where(inside, row, -1), starts)
    none = last < 0
    return np.where(none, starts, first), np.where(none, stops, last)


def _medians(
    values: NDArray[np.float32], visit: NDArray[np.intp], starts: NDArray[np.intp], count: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Lower median of each visit's values (V,)."""
    ordered: NDArray[np.float32] = values[np.lexsort((values, visit))]
    return ordered[starts + (count - 1) // 2]
