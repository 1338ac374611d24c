"""Second pass: the sightings of several captures in one order of time, a chunk at a time. Memory is bounded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.clock import ClockFit
from hostkit.core.dot11 import FRAME, CaptureReader
from hostkit.core.wire import SIGHTING, sightings_from
from hostkit.hub.survey import REORDER_US, Progress, Segment, Survey, read_frames
from hostkit.io.capture import open_capture


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One segment of a capture as `probe` heard it, on the clock `fit` corrects to."""

    survey: Survey
    segment: Segment
    probe: int
    fit: ClockFit

    @property
    def start_us(self) -> int:
        """Corrected time of the first frame."""
        return self._corrected(self.segment.start_us)

    @property
    def end_us(self) -> int:
        """Corrected time of the last frame."""
        return self._corrected(self.segment.end_us)

    def _corrected(self, time_us: int) -> int:
        return time_us + int(self.fit.shift_us(np.array([time_us], dtype=np.int64))[0])


def merge(stretches: Sequence[Stretch], key: bytes, on_bytes: Progress) -> Iterator[NDArray[np.void]]:
    """Give all sightings (dtype SIGHTING) ordered by time, over chunks too; at equal times the older stretch is first.

    A stretch is opened when its time comes, so that memory depends on how many overlap, not on how many there are.
    """
    waiting = sorted(stretches, key=lambda stretch: stretch.start_us, reverse=True)
    active: list[_Source] = []
    while waiting or active:
        if not active:
            active.append(_Source(waiting.pop(), key, on_bytes))
        limit_us = _limit(active)
        while waiting and waiting[-1].start_us <= limit_us:
            active.append(_Source(waiting.pop(), key, on_bytes))
            limit_us = _limit(active)
        parts = [source.take(limit_us) for source in active]
        active = [source for source in active if len(source.rows)]
        rows = np.concatenate(parts)
        yield rows[np.argsort(rows["time_us"], kind="stable")] if len(parts) > 1 else rows


class _Source:
    """The next sightings of a stretch, never empty until it is over."""

    __slots__ = ("_chunks", "over", "rows")

    def __init__(self, stretch: Stretch, key: bytes, on_bytes: Progress) -> None:
        self._chunks = _sightings(stretch, key, on_bytes)
        self.over = False
        self.rows = np.empty(0, SIGHTING)
        self._refill()

    def take(self, limit_us: int) -> NDArray[np.void]:
        """Remove and give the rows up to and including `limit_us`."""
        cut = int(np.searchsorted(self.rows["time_us"], limit_us, "right"))
        taken, self.rows = self.rows[:cut], self.rows[cut:]
        self._refill()
        return taken

    def _refill(self) -> None:
        while not len(self.rows) and not self.over:
            chunk = next(self._chunks, None)
            self.over = chunk is None
            if chunk is not None:
                self.rows = chunk


def _limit(active: Sequence[_Source]) -> int:
    """Up to when every source is known: the earliest end of what is in memory."""
    return min(int(source.rows["time_us"][-1]) for source in active)


def _sightings(stretch: Stretch, key: bytes, on_bytes: Progress) -> Iterator[NDArray[np.void]]:
    """Sightings of one stretch in order of time; rows that may still be overtaken wait for the next chunk."""
    held = np.empty(0, FRAME)
    for frames in _frames(stretch, key, on_bytes):
        held = np.concatenate([held, frames]) if len(held) else frames
        if not stretch.survey.counts.backwards:
            ready, held = held, held[:0]
        else:
            held = held[np.argsort(held["time_us"], kind="stable")]
            cut = int(np.searchsorted(held["time_us"], held["time_us"][-1] - REORDER_US))
            ready, held = held[:cut], held[cut:]
        yield sightings_from(ready, stretch.probe, stretch.fit.shift_us(ready["time_us"]))
    yield sightings_from(held, stretch.probe, stretch.fit.shift_us(held["time_us"]))


def _frames(stretch: Stretch, key: bytes, on_bytes: Progress) -> Iterator[NDArray[np.void]]:
    """The frames of the segment in file order: those before it are read and passed over."""
    file = open_capture(stretch.survey.path)
    reader = CaptureReader(file.data, key, name=str(stretch.survey.path))
    first, last = stretch.segment.first, stretch.segment.last
    at = 0
    for frames in read_frames(file, reader, on_bytes):
        inside = frames[max(first - at, 0) : last - at]
        at += len(frames)
        if len(inside):
            yield inside
        if at >= last:
            return
