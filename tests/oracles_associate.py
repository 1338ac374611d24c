"""Slow twin of the association kernel: the same rules in plain Python, one frame at a time, lists instead of tables."""

import math
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import BURST, NEW_ADDRESS, NEW_TRACK, Columns
from hostkit.core.wire import Flag

HOUR_US = 3_600_000_000
ZERO = np.float32(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Arguments of the kernel, all of them given."""

    max_addresses: int = 1 << 20
    max_fingerprints: int = 1 << 16
    max_variants: int = 8
    max_candidates: int = 4096
    burst_gap_s: float = 1.0
    burst_max_s: float = 10.0
    scan_gap_s: float = 3.0
    tau_s: float = 600.0
    horizon_s: float = 600.0
    link_scale_db: float = 6.0
    background_scale_db: float = 11.0
    independence: float = 0.8
    change_s: float = 200.0
    birth_s: float = 1800.0
    birth_weight: float = 1.0
    follow: float = 0.5
    trust_local_bit: bool = True


@dataclass(slots=True)
class _Class:
    fingerprints: int = 1
    births: np.float32 = ZERO
    since_us: int = 0
    tracks: list["_Track"] = field(default_factory=list)  # the one last listed first
    merged_into: "_Class | None" = None


@dataclass(slots=True)
class _Track:
    number: int
    element_class: _Class
    rssi: list[float]
    first_us: int = 1 << 62
    last_us: int = -(1 << 62)
    key: int = 0
    scans: int = 0
    changes: int = 0
    hours: int = 0
    hour: int = -1


@dataclass(slots=True)
class _Burst:
    first_us: int
    last_us: int
    key: int
    element_class: _Class
    rssi: list[float]
    heard: list[int]
    frames: int = 0
    flags: int = 0


def root(element_class: _Class) -> _Class:
    """Give the class that another was merged into."""
    while element_class.merged_into is not None:
        element_class = element_class.merged_into
    return element_class


class SlowTracker:
    """As `Tracker`, without gains by channel."""

    def __init__(self, probes: int, rules: Rules) -> None:
        self.rules = rules
        self.probes = probes
        self.now_us = -(1 << 62)
        self.late = self.dropped = self.unclassed = self.refused = self.crowded = 0
        self.track_of: dict[int, _Track | None] = {}
        self.open: dict[int, _Burst] = {}  # in order of the last frame
        self.classes: dict[int, _Class] = {}
        self.order: dict[int, int] = {}  # id of a class → its number
        self.other: _Class | None = None
        self.numbers = count()
        self.tracks: list[_Track] = []
        self.out: list[tuple[tuple[int, ...], list[float], list[int]]] = []

    def feed(self, sightings: NDArray[np.void]) -> Columns:
        """Take SIGHTING rows."""
        for row in sightings:
            self._hear(row)
        return self._take()

    def advance(self, now_us: int) -> Columns:
        """Move time."""
        self.now_us = max(self.now_us, now_us)
        self._close_over()
        return self._take()

    def _take(self) -> Columns:
        bursts = np.array([row for row, _, _ in self.out], BURST)
        rssi = np.array([row for _, row, _ in self.out], np.float32).reshape(-1, self.probes)
        heard = np.array([row for _, _, row in self.out], np.uint16).reshape(-1, self.probes)
        self.out = []
        return bursts, rssi, heard

    def _hear(self, row: np.void) -> None:
        self.late += int(row["time_us"]) < self.now_us
        self.now_us = max(self.now_us, int(row["time_us"]))
        self._close_over()
        key = int(row["device_key"])
        if key not in self.track_of:
            if len(self.track_of) == self.rules.max_addresses:
                self.dropped += 1
                return
            self.track_of[key] = None
        element_class = self._class(int(row["fingerprint"]))
        track = self.track_of[key]
        if track is not None:
            element_class = self._join(element_class, track.element_class)
        burst = self.open.pop(key, None)
        if burst and self.now_us - burst.first_us > self.rules.burst_max_s * 1e6:
            self._close(burst)
            burst = None
        if burst is None:
            burst = _Burst(self.now_us, self.now_us, key, element_class, [math.nan] * self.probes, [0] * self.probes)
        burst.element_class = self._join(element_class, burst.element_class)
        burst.last_us = self.now_us
        burst.flags |= int(row["flags"])
        burst.frames += 1
        probe, rssi = int(row["probe"]), float(row["rssi_dbm"])
        burst.rssi[probe] = rssi if math.isnan(burst.rssi[probe]) else max(burst.rssi[probe], rssi)
        burst.heard[probe] += 1
        self.open[key] = burst

    def _class(self, fingerprint: int) -> _Class:
        if fingerprint in self.classes:
            return self.classes[fingerprint]
        if len(self.order) - (self.other is not None) >= self.rules.max_fingerprints:
            self.unclassed += 1
            if self.other is None:
                self.other = self._new_class()
                self.other.fingerprints = self.rules.max_variants
            return self.other
        self.classes[fingerprint] = self._new_class()
        return self.classes[fingerprint]

    def _new_class(self) -> _Class:
        element_class = _Class(since_us=self.now_us)
        self.order[id(element_class)] = next(self.numbers)
        return element_class

    def _join(self, heard: _Class, known: _Class) -> _Class:
        heard, known = root(heard), root(known)
        if heard is known:
            return known
        if heard.fingerprints + known.fingerprints > self.rules.max_variants:
            self.refused += 1
            return known
        a, b = sorted((heard, known), key=lambda c: self.order[id(c)])
        a.fingerprints += b.fingerprints
        a.births += b.births
        a.since_us = min(a.since_us, b.since_us)
        a.tracks += b.tracks
        b.merged_into = a
        return a

    def _close_over(self) -> None:
        while self.open:
            key, burst = next(iter(self.open.items()))
            if self.now_us - burst.last_us <= self.rules.burst_gap_s * 1e6:
                return
            del self.open[key]
            self._close(burst)

    def _close(self, burst: _Burst) -> None:
        element_class = root(burst.element_class)
        track, status = self.track_of[burst.key], 0
        if track is None:
            status = NEW_ADDRESS
            track = self._likeliest(burst, element_class)
            if track is None:
                status |= NEW_TRACK
                track = _Track(len(self.tracks), element_class, [math.nan] * self.probes)
                self.tracks.append(track)
            self.track_of[burst.key] = track
        number = self.order[id(element_class)]
        row = (burst.first_us, burst.last_us, track.number, number, min(burst.frames, 65535), burst.flags, status)
        self.out.append((row, burst.rssi, burst.heard))
        self._update(track, burst)

    def _update(self, track: _Track, burst: _Burst) -> None:
        listed = root(track.element_class).tracks
        if track not in listed:
            listed.insert(0, track)
        track.changes += bool(track.scans and track.key != burst.key)
        track.key = burst.key
        track.scans += burst.first_us - track.last_us > self.rules.scan_gap_s * 1e6
        if burst.first_us // HOUR_US > track.hour:
            track.hour = burst.first_us // HOUR_US
            track.hours += 1
        track.first_us = min(track.first_us, burst.first_us)
        track.last_us = max(track.last_us, burst.last_us)
        for p, rssi in enumerate(burst.rssi):
            known = track.rssi[p]
            if not math.isnan(rssi):
                moved = rssi if math.isnan(known) else known + self.rules.follow * (rssi - known)
                track.rssi[p] = float(np.float32(moved))

    def _likeliest(self, burst: _Burst, element_class: _Class) -> _Track | None:
        if self.rules.trust_local_bit and not burst.flags & Flag.RANDOMISED:
            return None
        scored = []
        for track in list(element_class.tracks):
            if burst.first_us - track.last_us > self.rules.horizon_s * 1e6:
                element_class.tracks.remove(track)
                continue
            if len(scored) == self.rules.max_candidates:
                self.crowded += 1
                break
            scored.append((self._rate_per_s(burst, track) * math.exp(self._ratio(burst, track)), track))
        winner = max(scored, key=lambda one: one[0])[1] if scored else None
        rules = self.rules
        births_per_s = (float(element_class.births) + rules.birth_weight) / (
            (burst.first_us - element_class.since_us) * 1e-6 + rules.birth_weight * rules.birth_s
        )
        birth = births_per_s / (births_per_s + sum(weight for weight, _ in scored))
        element_class.births = np.float32(float(element_class.births) + birth)
        return None if birth > 0.5 else winner

    def _rate_per_s(self, burst: _Burst, track: _Track) -> float:
        silence_s = max((burst.first_us - track.last_us) * 1e-6, 0.0)
        age_s = (track.last_us - track.first_us) * 1e-6 + self.rules.change_s
        return (track.changes + 0.5) / age_s * math.exp(-silence_s / self.rules.tau_s)

    def _ratio(self, burst: _Burst, track: _Track) -> float:
        rules, ratio = self.rules, 0.0
        for rssi, known in zip(burst.rssi, track.rssi, strict=True):
            if math.isnan(rssi) or math.isnan(known):
                continue
            near, far = (1 + (rssi - known) ** 2 / (4 * s**2) for s in (rules.link_scale_db, rules.background_scale_db))
            ratio += 2.5 * math.log(far / near) + math.log(rules.background_scale_db / rules.link_scale_db)
        return rules.independence * ratio
