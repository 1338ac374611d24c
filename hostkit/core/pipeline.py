"""Sightings in, visits and counts out: the one object that live hub, replay and simulation drive. Reads no clock."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import NEVER_HEARD, REVISION, Columns, Tracker
from hostkit.core.bins import BinCounter, CountBin
from hostkit.core.bleseries import BleCounter
from hostkit.core.calendar import next_rotation_us
from hostkit.core.count import CHAPMAN, undefined
from hostkit.core.flood import Flood, FloodGate, count_devices, flood_of, minutes_of
from hostkit.core.heard import SCAN_GAP_S
from hostkit.core.inside import share_inside
from hostkit.core.listening import ByChannel, Listening
from hostkit.core.methods import Method, recipe
from hostkit.core.places import PlaceModel
from hostkit.core.visits import VisitCutter
from hostkit.core.wire import Flag
from hostkit.model import EndReason, Estimate, Site, Visit

NO_KEYS: NDArray[np.uint64] = np.empty(0, np.uint64)
# Bins and visits wait for open bursts (at most 11 s) and for the slowest probe's batch.
LAG_US = 30_000_000
# Which track a burst belongs to is final after this long (Tracker's horizon_s and the time until it is linked): visits
# are made of such bursts only.
SETTLED_US = 1_080_000_000
# A device heard in more than this share of at least so many hours is furniture, not a visitor.
FIXED_SHARE = 0.8
FIXED_HOURS = 6
HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What became final since the last call."""

    visits: tuple[Visit, ...]
    bins: tuple[CountBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Over all that was fed. Addresses, devices and fixed devices are distinct within one life of the key.

    `late` counts frames whose time went back; `dropped` the frames of addresses and the bursts of open visits beyond
    the bounds on memory; `blurred` frames and addresses told apart less well for a bound of the tracker. `flood`: what
    was set aside because no phones make so many addresses, in `frames` too, in `addresses` not.
    """

    frames: int
    addresses: int
    randomised_share: float | None
    devices: Estimate
    fixed: int
    late: int
    dropped: int
    blurred: int
    flood: Flood


class Pipeline:
    """One site's chain from sightings to visits.

    `fixed_keys` (F,) are device keys of fixed devices: set apart and counted. `bin_s` is the length of a count bin,
    `method` how its devices are counted. `visit_prefix` keeps the visit ids of different runs apart. All that is keyed
    is dropped at the rotation hour.
    """

    def __init__(
        self,
        site: Site,
        *,
        bin_s: int = 600,
        fixed_keys: NDArray[np.uint64] = NO_KEYS,
        visit_prefix: str = "v",
        method: Method = Method.TRACKS,
    ) -> None:
        self._site = site
        self._method = method
        self._bin_us = bin_s * 1_000_000
        self._fixed_keys = np.unique(fixed_keys)
        self._places = PlaceModel(site)
        self._cutter = VisitCutter(site, self._places, visit_prefix)
        self._unsettled_us = max(0, SETTLED_US - int(site.thresholds.visit_timeout_s * 1e6))
        self._listening = Listening(site.probes)
        self._life: _Life | None = None
        self._rotated_us: int | None = None
        self._past: list[_LifeTotals] = []
        self._visits: list[Visit] = []
        self._bins: list[CountBin] = []

    def listened(self, probe: int, from_us: int, to_us: int, by_channel: ByChannel) -> None:
        """Take for how many milliseconds a probe listened to each channel (core.listening.BLE for BLE) in that time.

        Counts of a time are corrected by what was told before it is over; untold, by what the probes are set to.
        """
        self._listening.add(probe, from_us, to_us, by_channel)

    def reconfigure(self, site: Site) -> None:
        """Go on by another configuration: open visits are cut, placed and named by it.

        Its probes are the same in the same order, its time zone and rotation hour too.
        """
        self._site = site
        self._places = PlaceModel(site)
        self._cutter.reconfigure(site, self._places)
        self._listening.reconfigure(site.probes)
        self._unsettled_us = max(0, SETTLED_US - int(site.thresholds.visit_timeout_s * 1e6))

    def begin(self, from_us: int) -> None:
        """Take the first life to have been listened to from there on, not from its first sighting."""
        self._rotated_us = from_us

    def rotate_at(self, end_us: int) -> None:
        """Let the key's life end at `end_us` rather than at the rotation hour."""
        if self._life is not None:
            self._life.end_us = min(self._life.end_us, end_us)

    def feed(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,) whose `probe` indexes the site's probes; each call in order of time.

        What registered tags sent is left out: they are of staff and technicians, and count nobody.
        Times may lie before those of the last call; such frames are taken as of the latest time and counted late.
        """
        sightings = sightings[(sightings["flags"] & Flag.REGISTERED) == 0]
        # Not np.sort(order=...), which breaks ties by the other fields, so by the key.
        sightings = sightings[np.argsort(sightings["time_us"], kind="stable")]
        while len(sightings):
            first_us = int(sightings["time_us"][0])
            life = self._life_at(first_us)
            # Tracks are revised later on: a bin counts them as they were when it was due, however it is fed.
            due_us = life.bins.due_us(first_us) + LAG_US
            cut = int(np.searchsorted(sightings["time_us"], min(due_us, life.end_us)))
            if cut:
                self._place(life.feed(sightings[:cut]))
            sightings = sightings[cut:]
            if len(sightings):
                self._close_bins(min(int(sightings["time_us"][0]), life.end_us))

    def advance(self, now_us: int) -> Events:
        """Move event time to `now_us` and give what is over by then: bursts, visits, bins, the life of the key."""
        if self._life is not None:
            life = self._life_at(now_us)
            self._close_bins(now_us)
            self._place(life.advance(now_us))
            self._visits += self._cutter.close(now_us - LAG_US - self._unsettled_us)
        return self._take()

    def finish(self) -> Events:
        """End of input: close everything. The pipeline may be fed again afterwards, as a new life."""
        if self._life is not None:
            self._end_life(EndReason.FLUSH)
        self._rotated_us = None
        return self._take()

    def open_visits(self) -> tuple[Visit, ...]:
        """The visits that are still open, as they would end if nothing more were heard; changes nothing."""
        return self._cutter.open_visits()

    def open_bursts(self) -> NDArray[np.void]:
        """The bursts of open visits, without device keys: what `close_open` makes visits of."""
        return self._cutter.open_bursts()

    def totals(self) -> Totals:
        """Sum up all lives so far, the running one included."""
        lives = [*self._past, *([self._life.totals()] if self._life else [])]
        addresses = sum(life.addresses for life in lives)
        flood = self.flood()
        return Totals(
            frames=sum(life.frames for life in lives),
            addresses=addresses,
            randomised_share=sum(life.randomised for life in lives) / addresses if addresses else None,
            devices=count_devices(
                spans_s=np.concatenate([np.empty(0), *(life.spans_s for life in lives)]),
                scans=np.concatenate([np.empty(0, np.int64), *(life.scans for life in lives)]),
                window_s=max((life.window_s for life in lives), default=0.0),
                set_aside=flood.addresses,
                heard=float(np.average([life.heard for life in lives], weights=[1 + len(life.scans) for life in lives]))
                if lives
                else 1.0,
            ),
            fixed=max((life.fixed for life in lives), default=0),
            late=sum(life.late for life in lives),
            dropped=sum(life.dropped for life in lives) + self._cutter.dropped,
            blurred=sum(life.blurred for life in lives),
            flood=flood,
        )

    def flood(self) -> Flood:
        """What was set aside of floods of addresses, over all lives so far."""
        lives = [life.flood for life in self._past]
        return flood_of([*lives, self._life.flood()] if self._life else lives)

    def devices_of(self, device_keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Give the device of each address (N,) in this life of the key; -1 for none heard in more than one scan."""
        if self._life is None:
            return np.full(len(device_keys), -1)
        tracker = self._life.tracker
        devices, scans = tracker.tracks_of(device_keys), tracker.track_table()["scans"]
        again = devices >= 0
        again[again] = scans[devices[again]] > 1
        return np.where(again, devices, -1)

    def _life_at(self, time_us: int) -> "_Life":
        if self._life is not None and time_us >= self._life.end_us:
            self._rotated_us = self._life.now_us = self._life.end_us
            self._end_life(EndReason.ROTATION)
        if self._life is None:
            rotation_hour = self._site.privacy.rotation_hour
            end_us = next_rotation_us(time_us, self._site.time_zone, rotation_hour)
            rotated = self._rotated_us is not None
            begin_us = time_us if self._rotated_us is None else self._rotated_us
            self._life = _Life(
                self._site,
                begin_us,
                end_us,
                self._bin_us,
                self._fixed_keys,
                rotated=rotated,
                method=self._method,
                listening=self._listening,
            )
        return self._life

    def _close_bins(self, now_us: int) -> None:
        """Count every bin that is due by `now_us`, as of when it was."""
        assert self._life is not None
        while (due_us := self._life.bins.due_us(now_us) + LAG_US) <= now_us:
            self._place(self._life.advance(due_us))
            self._bins += self._life.close_bins(due_us - LAG_US)

    def _end_life(self, reason: EndReason) -> None:
        assert self._life is not None
        now_us = self._life.now_us
        self._close_bins(now_us)
        self._place(self._life.advance(self._life.end_us + LAG_US), last=True)
        self._visits += self._cutter.close(now_us - LAG_US)
        self._visits += self._cutter.flush(reason)
        self._bins += self._life.finish_bins(now_us)
        self._past.append(self._life.totals())
        self._listening.forget_before(self._life.begin_us / 1e6)
        self._life = None

    def _place(self, columns: Columns, *, last: bool = False) -> None:
        assert self._life is not None
        bursts, rssi_dbm, frames = columns
        inside = share_inside(rssi_dbm, self._site.occupancy.inside_dbm)
        self._life.bins.add_bursts(bursts, inside, frames > 0)
        self._cutter.add(self._places.rows(bursts, rssi_dbm, frames))
        revisions = self._life.take_revisions()
        self._life.bins.revise(revisions)
        self._cutter.revise(revisions)
        self._life.find_fixed(last=last)
        self._cutter.forget(self._life.fixed)

    def _take(self) -> Events:
        events = Events(visits=tuple(self._visits), bins=tuple(self._bins))
        self._visits, self._bins = [], []
        return events


def close_open(site: Site, bursts: bytes, visit_prefix: str) -> tuple[Visit, ...]:
    """Make visits of the bytes of `open_bursts`, ended by a restart that lost the key.

    ValueError for bytes that are not of this site.
    """
    places = PlaceModel(site)
    cutter = VisitCutter(site, places, visit_prefix)
    cutter.add(np.frombuffer(bursts, places.dtype))
    return cutter.flush(EndReason.RESTART)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LifeTotals:
    frames: int
    addresses: int
    randomised: int
    heard: float  # share of scans
    scans: NDArray[np.int64]
    spans_s: NDArray[np.float64]
    window_s: float
    fixed: int
    late: int
    dropped: int
    blurred: int
    flood: Flood


class _Life:
    """Everything keyed, from one rotation of the site key to the next."""

    def __init__(
        self,
        site: Site,
        begin_us: int,
        end_us: int,
        bin_us: int,
        fixed_keys: NDArray[np.uint64],
        *,
        rotated: bool,
        method: Method,
        listening: Listening,
    ) -> None:
        self.end_us = end_us
        self.begin_us = self.heard_us = self.now_us = begin_us
        self.tracker = Tracker(max(len(site.probes), 1), scan_gap_s=SCAN_GAP_S)
        self.bins = BinCounter(
            bin_us=bin_us,
            begin_us=begin_us,
            end_us=end_us,
            rotated=rotated,
            probes_expected=len(site.probes),
            listening=listening,
        )
        self._gate = FloodGate(begin_us, max(len(site.probes), 1))
        self.fixed: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._method = method
        self._recipe = recipe(method, bin_us)
        self._ble = BleCounter(bin_us)
        self._ble_counts = bool(site.probes) and not any(probe.channels for probe in site.probes)
        self._fixed_keys = fixed_keys
        self._fixed_heard: dict[int, bool] = {}  # key → randomised
        self._revisions: list[NDArray[np.void]] = []
        self._frames = 0
        self._hour = begin_us // HOUR_US

    def feed(self, sightings: NDArray[np.void]) -> Columns:
        self._frames += len(sightings)
        self.heard_us = max(self.heard_us, int(sightings["time_us"][-1]))
        self.now_us = max(self.now_us, self.heard_us)
        sightings = self._without_ble(sightings)
        if self._gate.lets_all_in(sightings, self._never_heard(sightings)):
            return self._take(sightings)
        parts = [self._take(self._let_in(minute)) for minute in minutes_of(sightings)]
        bursts, rssi_dbm, frames = (np.concatenate(column) for column in zip(*parts, strict=True))
        return bursts, rssi_dbm, frames

    def flood(self) -> Flood:
        return self._gate.flood()

    def _without_ble(self, sightings: NDArray[np.void]) -> NDArray[np.void]:
        """Count BLE apart: it is another radio of the same people. It is followed where it is alone."""
        ble = (sightings["flags"] & Flag.BLE) != 0
        if not ble.any():
            return sightings
        self._ble.add(sightings[ble])
        self.bins.add_ble(sightings[ble])
        return sightings if self._ble_counts else np.asarray(sightings[~ble])

    def _take(self, sightings: NDArray[np.void]) -> Columns:
        self.bins.add_sightings(sightings)
        known = np.isin(sightings["device_key"], self._fixed_keys)
        heard, rows = np.unique(sightings["device_key"][known], return_index=True)
        randomised = (sightings["flags"][known][rows] & Flag.RANDOMISED) != 0
        self._fixed_heard.update(zip(heard.tolist(), randomised.tolist(), strict=True))
        moving = np.ascontiguousarray(sightings[~known])
        if self._recipe and len(moving):
            self._recipe.add(moving)
        columns = self.tracker.feed(moving)
        self._revisions.append(self.tracker.revisions)
        return columns

    def _never_heard(self, sightings: NDArray[np.void]) -> NDArray[np.bool_]:
        keys = np.ascontiguousarray(sightings["device_key"])
        fresh: NDArray[np.bool_] = self.tracker.tracks_of(keys) == NEVER_HEARD
        return fresh & ~np.isin(keys, self._fixed_keys)

    def _let_in(self, sightings: NDArray[np.void]) -> NDArray[np.void]:
        """Give the sightings of one minute but those of a flood."""
        refused = self._gate.refused(sightings, self._never_heard(sightings))
        if refused.any():
            self.bins.add_flood(sightings[refused])
        return sightings[~refused]

    def advance(self, now_us: int) -> Columns:
        self.now_us = max(self.now_us, now_us)
        columns = self.tracker.advance(now_us)
        self._revisions.append(self.tracker.revisions)
        return columns

    def take_revisions(self) -> NDArray[np.void]:
        """What was revised since the last call, as REVISION rows (R,) in order."""
        revisions = np.concatenate([np.empty(0, REVISION), *self._revisions])
        self._revisions.clear()
        return revisions

    def close_bins(self, until_us: int) -> list[CountBin]:
        if not self.bins.due(until_us):
            return []
        return self._by_method(self.bins.close(until_us, self.tracker.track_table()["first_us"], self.fixed))

    def finish_bins(self, end_us: int) -> list[CountBin]:
        return self._by_method(self.bins.finish(end_us, self.tracker.track_table()["first_us"], self.fixed))

    def _by_method(self, bins: list[CountBin]) -> list[CountBin]:
        found = []
        for bin_ in bins:
            start_us, end_us = round(bin_.start_s * 1e6), round(bin_.end_s * 1e6)
            ble = self._ble.count(start_us)
            devices = ble if self._ble_counts and ble is not None else bin_.devices
            if self._method is Method.CHAPMAN:
                devices = bin_.check or undefined("no two probes heard the same device", method=CHAPMAN)
            elif self._recipe is not None:
                devices = self._recipe.count(start_us, end_us)
            found.append(replace(bin_, devices=devices, ble=ble))
        return found

    def find_fixed(self, *, last: bool) -> None:
        """Look for devices that are always there, once an hour and at the `last` call."""
        hour = self.heard_us // HOUR_US
        if hour == self._hour and not last:
            return
        self._hour = hour
        table = self.tracker.track_table()
        span = table["last_us"] // HOUR_US - table["first_us"] // HOUR_US + 1
        long = table["last_us"] - table["first_us"] >= FIXED_HOURS * HOUR_US
        steady = long & (table["hours"] > FIXED_SHARE * span)
        self.fixed = np.flatnonzero(steady).astype(np.uint32)

    def totals(self) -> _LifeTotals:
        table = np.delete(self.tracker.track_table(), self.fixed)
        table = table[table["scans"] > 0]
        return _LifeTotals(
            frames=self._frames,
            addresses=self.tracker.addresses + len(self._fixed_heard),
            randomised=self.tracker.randomised + sum(self._fixed_heard.values()),
            heard=self.bins.heard_share(self.begin_us, max(self.heard_us, self.begin_us + 1)),
            scans=table["scans"].astype(np.int64),
            spans_s=(table["last_us"] - table["first_us"]) / 1e6,
            window_s=(self.heard_us - self.begin_us) / 1e6,
            fixed=len(self._fixed_heard) + len(self.fixed),
            late=self.tracker.late,
            dropped=self.tracker.dropped,
            blurred=self.tracker.unclassed + self.tracker.refused + self.tracker.crowded,
            flood=self.flood(),
        )
