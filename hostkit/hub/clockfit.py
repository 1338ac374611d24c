"""A probe's clock on hub time, from when its batches arrive. Refuses to blame the clock for what delay explains.

Every arrival lies above the true line arrival = sent + offset + skew x sent, by its delay; the line below all arrivals
that is closest to them is the clock (Moon, Skelly and Towsley 1999). Only the quickest batch of each minute counts.
"""

from dataclasses import dataclass

from hostkit.core.wire import Batch

BUCKET_US = 60_000_000
KEPT_BUCKETS = 120
MATURE_BUCKETS = 10  # over ten minutes 20 ms of jitter read as 33 ppm, a crystal's own error
MAX_SKEW = 200e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Hub time minus probe time is `offset_us` at probe time `origin_us` and grows by `skew`."""

    offset_us: float
    skew: float
    origin_us: int

    def at(self, probe_us: int) -> float:
        """Give hub time minus probe time."""
        return self.offset_us + self.skew * (probe_us - self.origin_us)


class ProbeClock:
    """The clock of one boot of one probe."""

    def __init__(self) -> None:
        self._least: dict[int, tuple[int, int]] = {}  # minute of sending → (sent, arrival - sent) of the quickest
        self._line: Line | None = None

    def arrived(self, sent_us: int, arrived_us: int) -> None:
        """Take note of a batch: `sent_us` on the probe's clock, `arrived_us` on the hub's."""
        bucket, delay_us = sent_us // BUCKET_US, arrived_us - sent_us
        if bucket in self._least and self._least[bucket][1] <= delay_us:
            return
        self._least[bucket] = (sent_us, delay_us)
        while len(self._least) > KEPT_BUCKETS:
            del self._least[min(self._least)]
        self._line = _line(sorted(self._least.values()))

    @property
    def mature(self) -> bool:
        """Tell whether there are enough quick arrivals to know the clock, not just a bound on it."""
        return len(self._least) >= MATURE_BUCKETS

    @property
    def skew_ppm(self) -> float | None:
        """Give how much faster hub time runs than the probe's, once it is known."""
        return self._line.skew * 1e6 if self._line and self.mature else None

    def shift_us(self, batch: Batch) -> int:
        """Give what `core.wire.sightings_of_batch` needs to put `batch` on hub time.

        Until the clock is mature a probe that has the time is believed, unless a batch came before it was sent.
        """
        if self._line is None:
            return 0
        base_us = round(batch.base_us + self._line.at(batch.base_us))
        if batch.base_time_us == 0:
            return base_us
        correction_us = base_us - batch.base_time_us
        return correction_us if self.mature else min(correction_us, 0)


def _line(points: list[tuple[int, int]]) -> Line:
    """The edge of the lower convex hull below the middle of `points`, sorted by time (Moon et al., section 4)."""
    origin_us = points[-1][0]
    if len(points) < MATURE_BUCKETS:
        return Line(offset_us=min(delay for _, delay in points), skew=0.0, origin_us=origin_us)
    hull: list[tuple[int, int]] = []
    for point in points:
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    middle_us = sum(sent for sent, _ in points) / len(points)
    right = next(index for index in range(1, len(hull)) if hull[index][0] >= middle_us)
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    skew = min(max((y1 - y0) / (x1 - x0), -MAX_SKEW), MAX_SKEW)
    offset_us = min(delay - skew * (sent - origin_us) for sent, delay in points)
    return Line(offset_us=offset_us, skew=skew, origin_us=origin_us)


def _turns_up(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
