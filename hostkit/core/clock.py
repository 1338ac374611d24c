"""Clocks of probes against each other, from frames both heard. Refuses to correct on thin or ambiguous evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SECOND_US = 1_000_000
MIN_COMMON_FRAMES = 20  # fewer could be chance: one phone of a busy street repeats a sequence number in minutes
MAX_OFFSET_S = 600.0  # clocks further apart need setting, not fitting
MAX_REPEATS = 8  # a sequence number heard more often under one address is not counting (some phones send constants)
COARSE_S = 1.0  # width of the window that finds the offset, after a trial drift is taken out
GATE_S = 0.5  # frames further from the fitted line are coincidences
MIN_GATE_S = 0.002  # jitter of a sniffer's own time stamps
PEAK_RATIO = 2.0  # the true offset must beat the next best by this
MIN_DRIFT_SPAN_S = 600.0  # over less, time-stamp jitter of 2 ms reads as 3 ppm
MAX_DRIFT_PPM = 200.0  # crystals are good to 100 ppm; beyond is a clock that was set while it ran
TRIAL_STEP_PPM = 4.0  # leaves at most 2 ppm: the window still holds half a second of it after three days
MAX_RESIDUAL_S = 0.1
MIN_LINE_SHARE = 0.7  # of the frames within two windows; fewer on the line means two lines
MAD_TO_SD = 1.4826  # of a normal distribution
FIT_ROUNDS = 8
MAX_THINNING = 31

# What is kept of a frame to find it again in another capture; `rank` orders frames the same way in every capture.
SAMPLE = np.dtype([("time_us", "<i8"), ("identity", "<u8"), ("rank", "<u4")])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFit:
    """A capture's clock against the reference: it shows `offset_s` more at `origin_us` and gains `drift_ppm`.

    `residual_s` is the robust standard deviation around that line. With `reason` set nothing is corrected.
    """

    common_frames: int = 0
    offset_s: float = 0.0
    drift_ppm: float = 0.0
    residual_s: float = 0.0
    origin_us: int = 0  # middle of the common frames, on the capture's own clock
    reason: str | None = None

    def shift_us(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the microseconds to add to each of `time_us` to reach the reference clock."""
        if self.reason is not None:
            return np.zeros_like(time_us)
        shown_us = self.offset_s * SECOND_US + self.drift_ppm * 1e-6 * (time_us - self.origin_us)
        shift: NDArray[np.int64] = -np.rint(shown_us).astype(np.int64)
        return shift


class _Peak(NamedTuple):
    """The fullest window: median difference, drift taken out, frames inside, frames in the next best window."""

    offset_s: float
    drift: float
    frames: int
    rival: int


class CommonSample:
    """At most `limit` frames of one capture, thinned so that two captures keep the same frames.

    Thinning looks at fingerprint and sequence number only, so what is kept does not depend on the site key.
    """

    __slots__ = ("_chunks", "_level", "_limit", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._level = 0
        self._size = 0
        self._chunks: list[NDArray[np.void]] = []

    def add(self, frames: NDArray[np.void]) -> None:
        """Take a chunk with the columns time_us, device_key, fingerprint and sequence."""
        sample = _sample(frames)
        self._chunks.append(sample[sample["rank"] <= self._cut()])
        self._size += len(self._chunks[-1])
        while self._size > self._limit:
            self._thin()

    def frames(self) -> NDArray[np.void]:
        """Give what was kept, an array of `SAMPLE` in the order it came."""
        return np.concatenate(self._chunks) if self._chunks else np.empty(0, SAMPLE)

    def _cut(self) -> int:
        return 0xFFFFFFFF >> self._level

    def _thin(self) -> None:
        everything = self.frames()
        self._level += 1
        kept = everything[everything["rank"] <= self._cut()]
        if self._level == MAX_THINNING:  # one hostile frame repeated for ever; it could not be matched anyway
            self._level, kept = MAX_THINNING - 1, kept[:0]
        self._chunks, self._size = [kept], len(kept)


def fit_clock(reference: NDArray[np.void], other: NDArray[np.void]) -> ClockFit:
    """Fit the clock of `other` (both arrays of `SAMPLE`) to that of `reference` over the frames both hold.

    The densest window of time differences finds the offset, a trimmed least-squares line refines it with drift.
    """
    reference_us, other_us = _pairs(reference, other)
    if len(other_us) < MIN_COMMON_FRAMES:
        return _refuse(len(other_us), f"{len(other_us)} frames in common, {MIN_COMMON_FRAMES} are needed")
    origin_us = int(other_us[len(other_us) // 2])
    at_s, difference_s = (other_us - origin_us) / SECOND_US, (other_us - reference_us) / SECOND_US
    peak = max((_densest(at_s, difference_s, drift) for drift in _trial_drifts(at_s)), key=lambda found: found.frames)
    if peak.frames < max(MIN_COMMON_FRAMES, PEAK_RATIO * peak.rival):
        return _refuse(len(other_us), "no offset stands out among the frames in common")
    return _line(origin_us, at_s, difference_s, peak)


def align(samples: Sequence[NDArray[np.void]], probes: Sequence[int]) -> tuple[ClockFit, ...]:
    """Fit every capture's clock to that of the first capture's probe, directly or over captures already fitted.

    `samples[i]` (`SAMPLE`) was heard by `probes[i]`; captures of one probe share no frame and are never compared.
    """
    fits = {i: ClockFit() for i, probe in enumerate(probes) if probe == probes[0]}
    corrected = {i: samples[i] for i in fits}
    waiting = [i for i in range(len(samples)) if i not in fits]
    progress = True
    while waiting and progress:
        for i in waiting:
            others = [sample for j, sample in corrected.items() if probes[j] != probes[i]]
            fits[i] = fit_clock(_neighbours(samples[i], others), samples[i])
        fitted = [i for i in waiting if fits[i].reason is None]
        corrected |= {i: _corrected(samples[i], fits[i]) for i in fitted}
        waiting = [i for i in waiting if i not in corrected]
        progress = bool(fitted)
    return tuple(fits[i] for i in range(len(samples)))


def jumps_back(time_us: NDArray[np.int64], before_us: int | None, step_us: int) -> NDArray[np.int64]:
    """Give the sizes (µs, positive) of all steps back by more than `step_us` between neighbours of `time_us`.

    `before_us` is the time before the first of them, if any: chunks then give what the whole would.
    """
    if before_us is not None:
        time_us = np.concatenate([np.array([before_us], dtype=np.int64), time_us])
    steps = -np.diff(time_us)
    return steps[steps > step_us]


def _sample(frames: NDArray[np.void]) -> NDArray[np.void]:
    sample = np.empty(len(frames), SAMPLE)
    sample["time_us"] = frames["time_us"]
    name = (frames["fingerprint"].astype(np.uint64) << np.uint64(12)) ^ frames["sequence"]
    mixed = name * np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash; wraps
    sample["rank"] = mixed >> np.uint64(32)
    sample["identity"] = frames["device_key"] ^ mixed
    return sample


def _pairs(reference: NDArray[np.void], other: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times of all pairs of equal frames within the largest offset, ordered by time (not by key: keys are random)."""
    reference, other = _counting(reference), _counting(other)
    first = np.searchsorted(other["identity"], reference["identity"], "left")
    matches = np.searchsorted(other["identity"], reference["identity"], "right") - first
    left = np.repeat(np.arange(len(reference)), matches)
    right = np.arange(len(left)) - np.repeat(np.cumsum(matches) - matches - first, matches)
    reference_us, other_us = reference["time_us"][left], other["time_us"][right]
    near = np.abs(other_us - reference_us) <= MAX_OFFSET_S * SECOND_US
    reference_us, other_us = reference_us[near], other_us[near]
    order = np.lexsort((other_us, reference_us))
    return reference_us[order], other_us[order]


def _counting(sample: NDArray[np.void]) -> NDArray[np.void]:
    """Sort by identity and leave out those heard too often to be a counting sequence number."""
    ordered = sample[np.argsort(sample["identity"], kind="stable")]
    count = np.unique(ordered["identity"], return_counts=True)[1]
    return ordered[np.repeat(count <= MAX_REPEATS, count)]


def _trial_drifts(at_s: NDArray[np.float64]) -> list[float]:
    """Drifts (s/s) to try, smallest first, dense enough that one keeps the true offset within a window."""
    step = max(COARSE_S / max(float(np.ptp(at_s)), 1.0), TRIAL_STEP_PPM * 1e-6)
    steps = int(MAX_DRIFT_PPM * 1e-6 / step)
    return sorted((n * step for n in range(-steps, steps + 1)), key=abs)


def _densest(at_s: NDArray[np.float64], difference_s: NDArray[np.float64], drift: float) -> _Peak:
    """Find the fullest window of differences after `drift` is taken out, and the fullest that is not beside it."""
    ordered = np.sort(difference_s - drift * at_s)
    inside = np.searchsorted(ordered, ordered + COARSE_S, "right") - np.arange(len(ordered))
    start = int(np.argmax(inside))
    window = ordered[start : start + int(inside[start])]
    elsewhere = inside[np.abs(ordered - ordered[start]) > 2 * COARSE_S]
    return _Peak(float(np.median(window)), drift, len(window), int(elsewhere.max(initial=0)))


def _line(origin_us: int, at_s: NDArray[np.float64], difference_s: NDArray[np.float64], peak: _Peak) -> ClockFit:
    """Trimmed least squares of difference over time; the gate follows the line as it grows out of the peak."""
    offset_s, drift, gate_s, spread_s = peak.offset_s, peak.drift, GATE_S, 0.0
    near = np.zeros(len(at_s), dtype=bool)
    for _ in range(FIT_ROUNDS):
        near = np.abs(difference_s - offset_s - drift * at_s) <= gate_s
        offset_s, drift = _least_squares(at_s[near], difference_s[near])
        distance_s = np.abs(difference_s - offset_s - drift * at_s)
        spread_s = MAD_TO_SD * float(np.median(distance_s[near]))
        gate_s = min(GATE_S, max(MIN_GATE_S, 4.0 * spread_s))
    on_line, around = np.count_nonzero(near), np.count_nonzero(distance_s <= 2 * COARSE_S)
    if on_line < MIN_LINE_SHARE * around:
        return _refuse(int(on_line), f"only {on_line} of {around} frames in common lie on one line, was a clock set?")
    middle_s = float(np.median(at_s[near]))
    return _judge(
        ClockFit(
            common_frames=int(on_line),
            offset_s=offset_s + drift * middle_s,
            drift_ppm=drift * 1e6,
            residual_s=spread_s,
            origin_us=origin_us + round(middle_s * SECOND_US),
        )
    )


def _least_squares(at_s: NDArray[np.float64], difference_s: NDArray[np.float64]) -> tuple[float, float]:
    """Offset at `at_s` = 0 and drift; the drift stays 0 on a span too short to tell it."""
    middle_s, mean_s = float(at_s.mean()), float(difference_s.mean())
    if np.ptp(at_s) < MIN_DRIFT_SPAN_S:
        return mean_s, 0.0
    centred = at_s - middle_s
    drift = float(centred @ (difference_s - mean_s) / (centred @ centred))
    return mean_s - drift * middle_s, drift


def _judge(fit: ClockFit) -> ClockFit:
    if fit.common_frames < MIN_COMMON_FRAMES:
        return _refuse(fit.common_frames, f"{fit.common_frames} frames in common, {MIN_COMMON_FRAMES} are needed")
    if abs(fit.drift_ppm) > MAX_DRIFT_PPM:
        return _refuse(fit.common_frames, f"the clocks part by {fit.drift_ppm:.0f} ppm, was one set while it ran?")
    if fit.residual_s > MAX_RESIDUAL_S:
        return _refuse(fit.common_frames, f"frames in common scatter by {fit.residual_s:.2f} s around one line")
    return fit


def _refuse(common_frames: int, reason: str) -> ClockFit:
    return ClockFit(common_frames=common_frames, reason=reason)


def _neighbours(sample: NDArray[np.void], others: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Join the parts of `others` that lie close enough in time to hold frames of `sample`."""
    if not len(sample) or not others:
        return np.empty(0, SAMPLE)
    margin_us = round(MAX_OFFSET_S * SECOND_US)
    low, high = sample["time_us"].min() - margin_us, sample["time_us"].max() + margin_us
    return np.concatenate([other[(other["time_us"] >= low) & (other["time_us"] <= high)] for other in others])


def _corrected(sample: NDArray[np.void], fit: ClockFit) -> NDArray[np.void]:
    moved = sample.copy()
    moved["time_us"] += fit.shift_us(sample["time_us"])
    return moved
