"""What time it is for the collector: the wall's, or the latest time of sending among the messages taken."""

import time
from enum import StrEnum

AHEAD_S = 2 * 86_400  # a hub's clock may be a day wrong, and is told so; what is dated later than this is refused


class ClockKind(StrEnum):
    """Whose time counts. `batch` follows the messages of a demo or replay, which run faster than the wall."""

    WALL = "wall"
    BATCH = "batch"


class Clock:
    """Never goes back. `seen` is told of every message; only `batch` listens."""

    def __init__(self, kind: ClockKind, seen_us: int = 0) -> None:
        self._kind = kind
        self._now_us = seen_us

    def seen(self, time_us: int) -> None:
        """Take note of when a message was sent."""
        if self._kind is ClockKind.BATCH:
            self._now_us = max(self._now_us, time_us)

    def now_us(self) -> int:
        """Give µs since the epoch."""
        if self._kind is ClockKind.WALL:
            self._now_us = max(self._now_us, time.time_ns() // 1000)
        return self._now_us

    def now_s(self) -> int:
        """Give whole seconds since the epoch."""
        return self.now_us() // 1_000_000

    def latest_s(self) -> int:
        """Give the latest time that a message may tell of: the wall's counts for a batch clock too."""
        return max(self.now_us() // 1_000_000, int(time.time())) + AHEAD_S
