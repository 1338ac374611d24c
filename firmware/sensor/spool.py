"""Batches until the hub acknowledged them: a few in RAM, the rest on flash. Pure.

Bounded: the oldest that were never sent are dropped, and counted. Flash is written only while RAM is full, that is
while the hub is away, and before a restart.
"""

from micropython import const

from .flashlog import FlashLog
from .keys import Keys
from .wire import CRC_BYTES, MOST_BATCH_BYTES

WINDOW = const(8)  # batches sent and not yet acknowledged; the hub waits for as many before it counts a gap


class Spool:
    """A queue by (boot, seq): what is on flash, then what is in RAM."""

    def __init__(self, log: FlashLog, keys: Keys, slots: int = WINDOW) -> None:
        self.log = log
        self._keys = keys
        self._slots = slots
        whole = [memoryview(bytearray(MOST_BATCH_BYTES)) for _ in range(slots)]
        self._ram = [(view, view[:-CRC_BYTES]) for view in whole]
        self._heads = [(0, 0, 0, 0)] * slots  # boot, seq, records, length
        self._first = 0
        self._in_ram = 0
        self._went = (0, 0)  # boot and seq of the last of RAM that an earlier connection sent
        self.outstanding = 0  # on their way: so many of the queue, from its front
        self.dropped_batches = 0
        self.dropped_records = 0
        self.unreadable = 0  # of them: sealed under a key that is over
        self.flash_errors = 0

    def __len__(self) -> int:
        """Give how many batches wait for their acknowledgement."""
        return self.log.entries + self._in_ram

    def slot(self) -> tuple[memoryview, memoryview]:
        """Give the buffer for the next batch, and it without its CRC; it is the caller's until `push`."""
        if self._in_ram == self._slots:
            self._spill()
        return self._ram[(self._first + self._in_ram) % self._slots]

    def push(self, boot: int, seq: int, records: int, size: int) -> tuple[memoryview, memoryview]:
        """Keep the batch of `size` bytes that was written into `slot`; give the buffer for the next."""
        slots, in_ram = self._slots, self._in_ram
        self._heads[(self._first + in_ram) % slots] = (boot, seq, records, size)
        self._in_ram = in_ram = in_ram + 1
        return self.slot() if in_ram == slots else self._ram[(self._first + in_ram) % slots]

    def next(self) -> memoryview | None:
        """Give what may be sent and was not since `send_again`; then call `sent`. Good until the next call."""
        outstanding = self.outstanding
        behind = outstanding - self.log.entries
        if behind >= self._in_ram or outstanding >= WINDOW:
            return None
        if behind >= 0:
            slot = (self._first + behind) % self._slots
            return self._ram[slot][0][: self._heads[slot][3]]
        return self._from_log()

    def sent(self) -> None:
        """What `next` gave is on its way."""
        if self.outstanding < self.log.entries:
            self.log.advance()
        self.outstanding += 1

    def send_again(self) -> None:
        """Everything is sent again: the connection is a new one, or the hub is."""
        behind = self.outstanding - self.log.entries
        if behind > 0:
            self._went = max(self._went, self._heads[(self._first + behind - 1) % self._slots][:2])
        self.outstanding = 0
        self.log.rewind()

    def older(self, boot: int) -> bool:
        """Tell whether the front is of another boot."""
        return bool(self.log.entries) and self.log.front()[0] != boot

    def acknowledge(self, boot: int, upto: int) -> int:
        """Forget the oldest as far as they are of `boot` and up to `upto`; give how many."""
        count = 0
        log = self.log
        while log.entries or self._in_ram:
            head = log.front() if log.entries else self._heads[self._first]
            if head[0] != boot or head[1] > upto:
                break
            if log.entries:
                log.pop()
            else:
                self._first = (self._first + 1) % self._slots
                self._in_ram -= 1
            count += 1
        self.outstanding = max(self.outstanding - count, 0)
        return count

    def park(self) -> None:
        """Put everything on flash: the power goes."""
        while self._in_ram:
            self._spill()

    def _from_log(self) -> memoryview | None:
        try:
            batch = self.log.read(self._seal)
        except ValueError:
            batch = None
        except (OSError, IndexError):
            self.flash_errors += 1
            return None
        if batch is None and self.outstanding == 0:  # the front is lost, if there are keys at all
            head = self.log.front()
            if self._keys.any:
                self.unreadable += 1
                self._lose(1, head[3])
                self.log.pop()
                return self.next()
        return batch

    def _seal(self, key_id: int) -> bytes | None:
        key = self._keys.of(key_id)
        return key.seal_key() if key else None

    def _spill(self) -> None:
        """Move the oldest of RAM to flash; lose it where that cannot be."""
        head = self._heads[self._first]
        key = self._keys.running()
        was_sent = self.outstanding > self.log.entries
        before = self.log.records
        try:
            if key is None:
                raise OSError("no key to seal it")
            head_on_flash = (head[0], head[1], key.key_id, head[2])
            batch = self._ram[self._first][0][: head[3]]
            gone = self.log.append(head_on_flash, batch, key.seal_key(), head[:2] <= self._went)
            if gone:
                self._lose(gone, before + head[2] - self.log.records)
            if was_sent:
                self.log.skip_all()
        except OSError:
            self.flash_errors += 1
            self._lose(1, head[2])
            self.outstanding -= was_sent
        self._first = (self._first + 1) % self._slots
        self._in_ram -= 1

    def _lose(self, batches: int, records: int) -> None:
        self.dropped_batches += batches
        self.dropped_records += records
