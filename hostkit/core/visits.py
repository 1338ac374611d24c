"""Cuts the bursts of each track into visits once they are over. Knows no device key."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core._smooth import smooth
from hostkit.core.associate import revise
from hostkit.core.dwell import p_entrant
from hostkit.core.heard import MEDIAN_INTERVAL_S, SCAN_GAP_S
from hostkit.core.places import PlaceModel, Places, ring_inside
from hostkit.core.wire import Flag
from hostkit.model import Dwell, EndReason, Interval, Radio, Site, Visit, VisitClass, ZoneStay

# A phone silent for longer is likelier gone than quiet: P(heard within 300 s) is 0.995.
MAX_INTERVAL_S = 300.0
# From this posterior on a scan counts as sent inside the shop.
INSIDE_P = 0.5
# How long people stay inside or out, and in one zone, before a move becomes likely.
INSIDE_STAY_S = 600.0
ZONE_STAY_S = 240.0
# Bursts of open visits held at once, about 50 bytes each: 5,000 phones that stay for an hour have 300,000.
MAX_BURSTS = 1 << 20
# Zones less likely than this are not named.
ZONE_MIN_P = 0.05

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scans:
    """Columns over M scans in order of visit and time; `starts` (V,) is the first scan of each visit."""

    visit: NDArray[np.int32]
    starts: Indices
    stops: Indices
    track: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    first_s: NDArray[np.float64]
    last_s: NDArray[np.float64]
    rssi_dbm: NDArray[np.float32]
    heard: NDArray[np.uint16]


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

    State grows with the bursts of open visits, up to `max_bursts`; those beyond are dropped and counted in `dropped`.
    `visit_prefix` makes ids unique between runs.
    """

    def __init__(self, site: Site, places: PlaceModel, visit_prefix: str, *, max_bursts: int = MAX_BURSTS) -> None:
        self._thresholds = site.thresholds
        self._rings = site.rings
        self._zones = site.zones
        self._places = places
        self._prefix = visit_prefix
        self._made = 0
        self._max_bursts = max_bursts
        self.dropped = 0
        self._rows = np.empty(0, places.dtype)
        self._left_s: dict[int, float] = {}  # when a track's last entrant visit ended

    def reconfigure(self, site: Site, places: PlaceModel) -> None:
        """Cut and place by another configuration from now on, open visits too."""
        self._thresholds, self._rings, self._zones, self._places = site.thresholds, site.rings, site.zones, places

    def add(self, rows: NDArray[np.void]) -> None:
        """Take bursts (M,) as `PlaceModel.rows` gives them."""
        room = self._max_bursts - len(self._rows)
        self.dropped += max(0, len(rows) - room)
        if len(rows):
            self._rows = np.concatenate([self._rows, rows[:room]])

    def revise(self, revisions: NDArray[np.void]) -> None:
        """Put the bursts of open visits on the tracks that REVISION rows (R,) say."""
        revise(self._rows, revisions)

    def close(self, now_us: int) -> tuple[Visit, ...]:
        """Give the visits that are over at `now_us`."""
        return self._cut(now_us - int(self._thresholds.visit_timeout_s * 1e6), EndReason.SILENCE)

    def flush(self, reason: EndReason) -> tuple[Visit, ...]:
        """End every open visit and forget which tracks were here."""
        visits = self._cut(np.iinfo(np.int64).max, reason)
        self._left_s.clear()
        return visits

    def open_bursts(self) -> NDArray[np.void]:
        """The bursts of open visits (M,): what `add` needs to go on from here. They carry no device key."""
        return self._rows

    def open_visits(self) -> tuple[Visit, ...]:
        """Open visits as they would be if nothing more were heard. Changes nothing; their ids mean nothing."""
        rows, made, left_s = self._rows, self._made, dict(self._left_s)
        visits = self._cut(np.iinfo(np.int64).max, EndReason.SILENCE)
        self._rows, self._made, self._left_s = rows, made, left_s
        return visits

    def forget(self, tracks: NDArray[np.uint32]) -> None:
        """Drop the open bursts of devices that are not visitors (M,)."""
        self._rows = self._rows[~np.isin(self._rows["track"], tracks)]

    def _cut(self, before_us: int, reason: EndReason) -> tuple[Visit, ...]:
        rows = self._rows[np.lexsort((self._rows["first_us"], self._rows["track"]))]
        if not len(rows):
            return ()
        new_visit = _runs(rows, self._thresholds.visit_timeout_s)
        over = np.maximum.reduceat(rows["last_us"], np.flatnonzero(new_visit)) < before_us
        over_rows = over[np.cumsum(new_visit) - 1]
        self._rows = rows[~over_rows]
        if not over.any():
            return ()
        # A device that was heard again later was silent before, whatever ends the later visit.
        track = rows["track"][new_visit]
        again = np.append(track[1:] == track[:-1], False)[over]
        reasons = [EndReason.SILENCE if silent else reason for silent in again.tolist()]
        return self._visits(_scans(rows[over_rows], new_visit[over_rows]), reasons)

    def _visits(self, scans: _Scans, reasons: list[EndReason]) -> tuple[Visit, ...]:
        places = self._places.place(scans.rssi_dbm, scans.heard)
        stays = self._stays(scans, places)
        lo, hi = stays.last_s - stays.first_s, stays.after_s - stays.before_s
        p = p_entrant((lo + hi) / 2, stays.p_inside, self._thresholds)
        zones = self._zone_stays(scans, places, stays)
        made = []
        for i in np.lexsort((scans.track[scans.starts], stays.first_s)).tolist():
            self._made += 1
            track = int(scans.track[scans.starts[i]])
            reentry = bool(stays.first_s[i] - self._left_s.get(track, -np.inf) <= self._thresholds.reentry_s)
            made.append(
                Visit(
                    visit_id=f"{self._prefix}{self._made}",
                    rev=1,
                    start_s=Interval(lo=float(stays.before_s[i]), hi=float(stays.first_s[i])),
                    end_s=Interval(lo=float(stays.last_s[i]), hi=float(stays.after_s[i])),
                    dwell_s=Dwell(lo=float(lo[i]), mid=float(lo[i] + hi[i]) / 2, hi=float(hi[i])),
                    visit_class=VisitClass.ENTRANT if p[i] >= 0.5 else VisitClass.PASSERBY,
                    p_entrant=float(p[i]),
                    radio=Radio.BLE if scans.flags[scans.starts[i]] & Flag.BLE else Radio.WIFI,
                    bursts=int(scans.stops[i] - scans.starts[i]),
                    reentry=reentry,
                    zones=zones[i],
                    end_reason=reasons[i],
                )
            )
            if p[i] >= 0.5:
                self._left_s[track] = float(stays.last_s[i])
        return tuple(made)

    def _stays(self, scans: _Scans, places: Places) -> _Stays:
        starts, last = scans.starts, scans.stops - 1
        count = scans.stops - starts
        # One prior interval beside the observed gaps: two scans a second apart do not make a chatty phone.
        interval_s = (scans.last_s[last] - scans.first_s[starts] + MEDIAN_INTERVAL_S) / count
        interval_s = np.minimum(interval_s, MAX_INTERVAL_S)
        begin, end = starts, last
        if self._places.positions:
            posterior = np.column_stack([places.p_inside, 1 - places.p_inside])
            inside = smooth(posterior, self._places.inside_prior, scans.first_s, scans.visit, INSIDE_STAY_S)[:, 0]
            p_inside = np.maximum.reduceat(places.p_inside, starts).astype(float)
            begin, end = _inside_span(inside >= INSIDE_P, starts, last)
        else:
            loudest = np.fmax.reduce(scans.rssi_dbm, axis=1)
            p_inside = ring_inside(_medians(loudest, scans), self._rings).astype(float)
        after = np.minimum(end + 1, len(scans.first_s) - 1)
        return _Stays(
            before_s=np.where(begin > starts, scans.last_s[begin - 1], scans.first_s[begin] - interval_s),
            first_s=scans.first_s[begin],
            last_s=scans.last_s[end],
            after_s=np.where(end < last, scans.first_s[after], scans.last_s[end] + interval_s),
            p_inside=p_inside,
        )

    def _zone_stays(self, scans: _Scans, places: Places, stays: _Stays) -> list[tuple[ZoneStay, ...]]:
        """Runs of scans that may be from a zone; a change lies midway between two scans. Stays may overlap.

        They lie within the visit: what a device did on the street before it came in is not told.
        The expected time in a zone is the sum of p (leave - enter): taking only the likeliest zone of each scan would
        give all time to the zones where people stay longest.
        """
        found: list[list[ZoneStay]] = [[] for _ in scans.starts]
        if not self._zones or not self._places.positions:
            return [()] * len(found)
        elsewhere = np.clip(1 - places.p_zone.sum(axis=1), 0, 1)
        posterior = np.column_stack([places.p_zone, elsewhere])
        p = smooth(posterior, self._places.zone_prior, scans.first_s, scans.visit, ZONE_STAY_S)
        begins, ends = _edges_s(scans)
        begins = np.maximum(begins, stays.first_s[scans.visit])
        ends = np.minimum(ends, stays.last_s[scans.visit])
        for number, zone in enumerate(self._zones):
            inside = (p[:, number] >= ZONE_MIN_P) & (begins <= ends)
            edge = np.diff(inside, prepend=False, append=False)
            cut = np.zeros(len(edge), bool)
            cut[scans.starts] = True
            runs = np.flatnonzero(inside & (edge[:-1] | cut[:-1]))
            stops = np.flatnonzero(inside & (edge[1:] | cut[1:] | (np.arange(len(inside)) == len(inside) - 1)))
            for run, stop in zip(runs.tolist(), stops.tolist(), strict=True):
                weight = np.maximum(ends[run : stop + 1] - begins[run : stop + 1], 1e-3)
                mean = float(np.average(p[run : stop + 1, number], weights=weight))
                stay = ZoneStay(zone=zone.id, enter_s=float(begins[run]), leave_s=float(ends[stop]), p=mean)
                found[int(scans.visit[run])].append(stay)
        return [tuple(sorted(stays, key=lambda stay: (stay.enter_s, stay.zone))) for stays in found]


def _edges_s(scans: _Scans) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The time each scan stands for (M,): midway to the one before and after, within its visit."""
    begins, ends = scans.first_s.copy(), scans.last_s.copy()
    middle_s = (scans.last_s[:-1] + scans.first_s[1:]) / 2
    same = np.diff(scans.visit) == 0
    begins[1:][same] = middle_s[same]
    ends[:-1][same] = middle_s[same]
    return begins, ends


def _runs(rows: NDArray[np.void], gap_s: float) -> NDArray[np.bool_]:
    """Where, in rows sorted by track and time (M,), another track or a gap of more than `gap_s` begins a run."""
    new_track = np.diff(rows["track"], prepend=rows["track"][:1]) != 0
    # The latest end so far of each track: bursts of two addresses overlap. Tracks are a span apart on this scale.
    last_us = rows["last_us"] - rows["first_us"].min()
    offset_us = np.cumsum(new_track) * (last_us.max() + 1)
    ended_us = np.maximum.accumulate(last_us + offset_us) - offset_us + rows["first_us"].min()
    gap_us = rows["first_us"][1:] - ended_us[:-1]
    return np.concatenate([[True], new_track[1:] | (gap_us > gap_s * 1e6)])


def _scans(rows: NDArray[np.void], new_visit: NDArray[np.bool_]) -> _Scans:
    """Bursts sorted by visit and time → scans: RSSI of each probe's loudest frame."""
    new_scan = new_visit | _runs(rows, SCAN_GAP_S)
    first = np.flatnonzero(new_scan)
    visit = (np.cumsum(new_visit) - 1)[first].astype(np.int32)
    starts = np.flatnonzero(np.diff(visit, prepend=-1))
    heard = np.add.reduceat(rows["heard"].astype(np.uint32), first)
    return _Scans(
        visit=visit,
        starts=starts,
        stops=np.append(starts[1:], len(first)),
        track=rows["track"][first],
        flags=rows["flags"][first],
        first_s=rows["first_us"][first] * 1e-6,
        last_s=np.maximum.reduceat(rows["last_us"], first) * 1e-6,
        rssi_dbm=np.fmax.reduceat(rows["rssi_dbm"], first),
        heard=np.minimum(heard, 65535).astype(np.uint16),
    )


def _inside_span(inside: NDArray[np.bool_], starts: Indices, last: Indices) -> tuple[Indices, Indices]:
    """First and last inside scan of each visit (V,); the whole visit where no scan is inside."""
    scan = np.arange(len(inside))
    first = np.minimum.reduceat(np.where(inside, scan, len(inside)), starts)
    final = np.maximum.reduceat(np.where(inside, scan, -1), starts)
    none = final < 0
    return np.where(none, starts, first), np.where(none, last, final)


def _medians(values: NDArray[np.float32], scans: _Scans) -> NDArray[np.float32]:
    """Lower median of each visit's values (V,)."""
    ordered: NDArray[np.float32] = values[np.lexsort((values, scans.visit))]
    return np.asarray(ordered[(scans.starts + scans.stops - 1) // 2])
