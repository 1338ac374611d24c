"""When it is, and what is due. The hub's only reader of a clock."""

import time

STEP_US = 30_000_000  # less is slewed, or of no consequence: what is up to a minute late is still in time


class Now:
    """The service's time: the wall clock, or the latest time told by probes, which never goes back."""

    def __init__(self, *, batch: bool) -> None:
        self.batch = batch
        self._told_us: int | None = None
        self._ahead_us = _ahead_us()

    def told(self, time_us: int) -> None:
        """A probe said that it is `time_us`."""
        self._told_us = max(self._told_us or 0, time_us)

    @property
    def us(self) -> int | None:
        """Give Unix time in µs; None while nobody has told it."""
        return self._told_us if self.batch else time.time_ns() // 1000

    @property
    def at_s(self) -> float:
        """Give it in seconds; before anybody told it, this machine's."""
        now_us = self.us
        return wall_s() if now_us is None else now_us / 1e6

    def step_us(self) -> int:
        """Give how far the wall clock was set since this was last asked, 0 if it was not; a batch clock never is."""
        before, self._ahead_us = self._ahead_us, _ahead_us()
        by_us = 0 if self.batch else self._ahead_us - before
        return by_us if abs(by_us) > STEP_US else 0


class Timers:
    """Things done every so often, by event time but no faster than a rest of monotonic time allows."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, float]] = {}  # next event time, next monotonic time

    def due(self, name: str, now_s: float, at_s: float, *, every_s: float, rest_s: float) -> bool:
        """Tell whether `every_s` of event time and `rest_s` of monotonic time have passed since it was due."""
        due_at_s, due_s = self._due.get(name, (float("-inf"), float("-inf")))
        if at_s < due_at_s or now_s < due_s:
            return False
        self._due[name] = (at_s + every_s, now_s + rest_s)
        return True

    def clear(self) -> None:
        """Everything is due now."""
        self._due.clear()


def wall_s() -> float:
    """Give Unix time by this machine's clock, whatever the batches say: commands are given by people."""
    return time.time()


def _ahead_us() -> int:
    return (time.time_ns() - time.monotonic_ns()) // 1000


def monotonic_s() -> float:
    """Give the time for waiting."""
    return time.monotonic()
