"""First pass over a capture: what it holds, when, in what order, and a sample to fit its clock. Keeps no frame."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.clock import CommonSample, jumps_back
from hostkit.core.dot11 import CaptureCounts, CaptureReader
from hostkit.errors import InputError
from hostkit.io.capture import CaptureFile, open_capture

CHUNK_FRAMES = 32_768  # 1 MB of rows: fits a small cache, and a call costs nothing beside it
REORDER_US = 10_000_000  # radios of one sniffer hand over frames this much out of order; a bigger step is a set clock
MAX_SEGMENTS = 64  # each costs a reading of the capture
REPORTED_STEP_US = 1_000_000
SILENCE_US = 3_600_000_000  # a capture that hears nothing for longer is taken as not listening

Span = tuple[int, int]  # first and last time, µs
Progress = Callable[[int], None]  # is told the bytes read since its last call


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Frames `first` up to but without `last` of a capture, in order but for `REORDER_US`."""

    first: int
    last: int
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What one capture holds. `spans_us`: when it listened; `steps_back`: how often its clock went back by over 1 s.

    `channels`: of its frames, how many were heard on each.
    """

    path: Path
    application: str
    counts: CaptureCounts
    segments: tuple[Segment, ...]
    spans_us: tuple[Span, ...]
    steps_back: int
    largest_step_s: float
    sample: NDArray[np.void]
    channels: tuple[tuple[int, int], ...] = ()

    @property
    def start_us(self) -> int:
        """Earliest frame, on the capture's own clock."""
        return min(segment.start_us for segment in self.segments)

    @property
    def end_us(self) -> int:
        """Latest frame, on the capture's own clock."""
        return max(segment.end_us for segment in self.segments)


def survey(path: Path, key: bytes, sample_frames: int, on_bytes: Progress) -> Survey:
    """Read the capture at `path` once; keep at most `sample_frames` frames for `core.clock` (0: none)."""
    file = open_capture(path)
    reader = CaptureReader(file.data, key, name=str(path))
    sample = CommonSample(sample_frames)
    order = _Order(str(path))
    channels = np.zeros(256, np.int64)
    for frames in read_frames(file, reader, on_bytes):
        order.add(frames["time_us"])
        channels += np.bincount(frames["channel"], minlength=256)
        if sample_frames:
            sample.add(frames)
    return Survey(
        path=path,
        application=reader.application,
        counts=reader.counts,
        segments=tuple(order.segments),
        spans_us=joined(order.spans_us, SILENCE_US),
        steps_back=order.steps_back,
        largest_step_s=order.largest_us / 1e6,
        sample=sample.frames(),
        channels=tuple((one, int(channels[one])) for one in np.flatnonzero(channels).tolist()),
    )


def read_frames(file: CaptureFile, reader: CaptureReader, on_bytes: Progress) -> Iterator[NDArray[np.void]]:
    """Give the frames of an open capture in chunks (dtype FRAME), and its pages back once they are read."""
    at = 0
    while len(frames := reader.read(CHUNK_FRAMES)):
        file.release(reader.position)
        on_bytes(reader.position - at)
        at = reader.position
        yield frames


def joined(spans_us: Iterable[Span], gap_us: int) -> tuple[Span, ...]:
    """Sort spans and join those that overlap or lie at most `gap_us` apart."""
    apart: list[Span] = []
    for start, end in sorted(spans_us):
        if apart and start - apart[-1][1] <= gap_us:
            apart[-1] = apart[-1][0], max(apart[-1][1], end)
        else:
            apart.append((start, end))
    return tuple(apart)


class _Order:
    """Follows the times of a capture and cuts it where its clock was set back."""

    __slots__ = ("_name", "_previous_us", "_seen", "largest_us", "segments", "spans_us", "steps_back")

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen = 0
        self._previous_us: int | None = None
        self.segments: list[Segment] = []
        self.spans_us: list[Span] = []
        self.steps_back = 0
        self.largest_us = 0

    def add(self, time_us: NDArray[np.int64]) -> None:
        """Take the times of the next frames (N,), N > 0."""
        steps_us = jumps_back(time_us, self._previous_us, REPORTED_STEP_US)
        self.steps_back += len(steps_us)
        self.largest_us = max(self.largest_us, int(steps_us.max(initial=0)))
        self._previous_us = int(time_us[-1])
        while len(time_us):
            length = self._ordered(time_us)
            if length:
                self._extend(time_us[:length])
            else:
                self._open(int(time_us[0]))
            time_us = time_us[length:]

    def _ordered(self, time_us: NDArray[np.int64]) -> int:
        """How many of the times still belong to the segment that is open."""
        if not self.segments:
            return 0
        newest_us = np.maximum(np.maximum.accumulate(time_us), self.segments[-1].end_us)
        late = newest_us - time_us > REORDER_US
        return int(np.argmax(late)) if late.any() else len(time_us)

    def _open(self, time_us: int) -> None:
        if len(self.segments) == MAX_SEGMENTS:
            raise InputError(
                f"its clock jumps back by more than {REORDER_US // 1_000_000} s over {MAX_SEGMENTS} times",
                where=self._name,
                next_step="put it in order with: reordercap IN OUT",
            )
        self.segments.append(Segment(first=self._seen, last=self._seen, start_us=time_us, end_us=time_us))
        self.spans_us.append((time_us, time_us))

    def _extend(self, time_us: NDArray[np.int64]) -> None:
        open_ = self.segments[-1]
        self._listen(np.concatenate([[open_.end_us], time_us]))
        self._seen += len(time_us)
        self.segments[-1] = Segment(
            first=open_.first,
            last=self._seen,
            start_us=min(open_.start_us, int(time_us.min())),
            end_us=max(open_.end_us, int(time_us.max())),
        )

    def _listen(self, time_us: NDArray[np.int64]) -> None:
        newest_us = np.maximum.accumulate(time_us)
        gaps = np.flatnonzero(np.diff(newest_us) > SILENCE_US)
        starts = [self.spans_us.pop()[0], *newest_us[gaps + 1].tolist()]
        ends = [*newest_us[gaps].tolist(), int(newest_us[-1])]
        self.spans_us += zip(starts, ends, strict=True)
