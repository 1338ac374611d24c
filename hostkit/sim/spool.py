"""What a probe keeps until its hub acknowledged it. No file, no network.

Bounded: the oldest that was never sent is dropped, and counted; what was sent may have arrived.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

WINDOW = 8  # batches sent and not yet acknowledged
LATE_S = 1.5  # well before a hub gives a gap up for lost
CAPACITY = 512  # more than WINDOW; about 512 KiB, an hour and a half of 10 s batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A batch as it was packed; it is sent again as the same bytes."""

    seq: int
    data: bytes
    records: int


class Spool:
    """Unacknowledged batches in order of `seq`; the first WINDOW of them may be on their way. `at_s`: any clock."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[Spooled] = deque()
        self._sent_upto = 0  # since `send_again`
        self._ever_sent = 0
        self._progress_s = 0.0
        self.dropped_batches = 0
        self.dropped_records = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full_window(self) -> bool:
        """Tell whether as much is unacknowledged as may be on its way."""
        return len(self._waiting) >= WINDOW

    def push(self, batch: Spooled) -> None:
        """Keep `batch`; if there is no room the oldest that was never sent is lost and counted."""
        if len(self._waiting) == self._capacity:
            at = next(at for at, one in enumerate(self._waiting) if one.seq > self._ever_sent)
            self.dropped_batches += 1
            self.dropped_records += self._waiting[at].records
            del self._waiting[at]
        self._waiting.append(batch)

    @property
    def outstanding(self) -> bool:
        """Tell whether any is on its way."""
        return bool(self._waiting) and self._waiting[0].seq <= self._sent_upto

    def acknowledge(self, upto: int, at_s: float) -> int:
        """Forget everything up to and including `upto`; give how many batches that were.

        If none, and none for a while, one did not come, or came damaged: everything is sent again.
        """
        before = len(self._waiting)
        while self._waiting and self._waiting[0].seq <= upto:
            self._waiting.popleft()
        freed = before - len(self._waiting)
        if freed:
            self._progress_s = at_s
        elif self.outstanding and at_s > self._progress_s + LATE_S:
            self.send_again(at_s)
        return freed

    def to_send(self) -> Iterator[Spooled]:
        """Give what may be sent and has not been since `send_again`; call `sent` for each that went."""
        for batch in list(self._waiting)[:WINDOW]:
            if batch.seq > self._sent_upto:
                yield batch

    def sent(self, batch: Spooled, at_s: float) -> None:
        """Take note that `batch` is on its way."""
        if not self.outstanding:
            self._progress_s = at_s
        self._sent_upto = batch.seq
        self._ever_sent = max(self._ever_sent, batch.seq)

    def send_again(self, at_s: float) -> None:
        """Send everything again: the connection is a new one, or the hub is."""
        self._sent_upto, self._progress_s = 0, at_s
