"""Radio to batches: drains the ring, turns channels, closes batches. No key, no capture. No allocation per frame."""

from struct import unpack_from

from micropython import const

from .hop import Hop
from .keys import Key, Keys
from .wire import BLE, RECORD_BYTES, head_of

IDLE_MS = 250  # between looks for a key


_TYPES = const(0)  # true for mypy alone, and gone when compiled
if _TYPES:
    from dot11cap import Ear

    from .counts import Counts
    from .spool import Spool
    from .state import State
    from .stock import StockEar
    from .timesync import HubTime


class Capture:
    """`radio` is `dot11cap` or its stand-in, `scan(milliseconds)` opens the BLE ear, `made()`: a batch is spooled."""

    def __init__(
        self, radio: Ear | StockEar, scan, probe: str, hop: Hop, spool: Spool, keys: Keys, hub_time: HubTime,
        state: State, counts: Counts, made,
    ) -> None:  # fmt: skip
        self._radio = radio
        self._scan = scan
        self._probe = probe
        self.hop = hop
        self._spool = spool
        self._keys = keys
        self._hub_time = hub_time
        self._state = state
        self._counts = counts
        self._made = made
        self._key: Key | None = None
        self._until_us = 0  # UTC at which it ends
        self._held = False  # the radio belongs to the uplink, or to a measurement
        self._idle_us = 0
        self._head = b""  # what each batch begins with
        self._batch = self._room = memoryview(b"")  # the open batch, and it without its CRC
        self._base_us = self._at = 0  # when it began, and where its next record goes
        self.batch_us = 10_000_000
        self.seq = 0
        self.kept = 0

    @property
    def key_id(self) -> int | None:
        """Give the id of the key that is captured with."""
        return self._key.key_id if self._key else None

    def key(self) -> Key | None:
        """Give the key that is captured with."""
        return self._key

    def turn(self) -> int:
        """Do what is due between two slots; give how many ms to stay."""
        self.drain()
        radio, key = self._radio, self._key
        now_us = radio.now_us()
        offset_us = self._hub_time.offset_us
        if key is None or self._keys.fresh or now_us + offset_us >= self._until_us:
            key = self._keys.at((now_us + offset_us) // 1_000_000) if offset_us else None
            if key is not self._key:
                self._rekey(key)
                now_us = radio.now_us()
        if key is None or self._held:
            return self._idle(now_us)
        if now_us - self._base_us >= self.batch_us:
            self._close(now_us)
        kind, channel, stay_ms = self.hop.turn(now_us)
        try:
            radio.channel(0 if kind == BLE else channel)
        except OSError:  # a channel this chip has not
            self._counts.drop("radio_refused")
            self.hop.pause(now_us)
        if kind == BLE:
            self._scan(stay_ms)
        return stay_ms

    def drain(self) -> None:
        """Take what the ring holds, as far as one key goes."""
        radio = self._radio
        while self._key is not None and not self._held:
            at = self._at
            self._at = end = at + radio.recvinto(self._room, at, self._base_us) * RECORD_BYTES
            if end + RECORD_BYTES <= len(self._room):
                return
            self._close(self._last_us())  # what is left in the ring is later: the next batch begins there

    def hold(self) -> None:
        """Give the radio away: the open batch is closed, nothing is heard until `release`."""
        if self._key is not None and not self._held:
            self._pause()
        self._radio.channel(0)
        self._held = True

    def release(self) -> None:
        """Take it back."""
        if self._held and self._key is not None:
            self._open(self._radio.now_us())
        self._held = False
        self.turn()

    def replan(self, hop: Hop) -> None:
        """Listen by another plan from now on."""
        running = self._key is not None and not self._held
        at_us = self._pause() if running else 0
        self.hop = hop
        if running:
            self._open(at_us)
        self.turn()

    def stop(self) -> None:
        """Hear no more, keep nothing of the key; what was heard is in the spool."""
        self._rekey(None)

    def _rekey(self, key: Key | None) -> None:
        """Go over to another key between two frames; the batch of the old one is closed there."""
        before = self._key
        if key is None:
            if before is not None and not self._held:
                self._pause()
            self._key = None
            self._radio.stop()
            return
        ruling_us = self._radio.start(key.raw, registry=key.registry)
        if before is not None and not self._held:
            self.drain()
            self._close(ruling_us)
        self._key, self._until_us = key, key.until_s * 1_000_000
        if before is None and not self._held:
            self._open(ruling_us)

    def _pause(self) -> int:
        """Shut the ear and close the batch; give when."""
        self._radio.channel(0)
        self.drain()
        now_us = self._radio.now_us()
        self.hop.pause(now_us)
        self._close(now_us)
        return now_us

    def _open(self, base_us: int) -> None:
        """Begin a batch where none is open."""
        self._head = head_of(self._probe, self._state.boot, self._radio.ELEMENT_TABLE, self.hop.slots)
        self._at = len(self._head)
        self._base_us = base_us
        self._batch, self._room = self._spool.slot()

    def _close(self, at_us: int) -> None:
        """Pack the batch that ends at `at_us`, spool it, open the next."""
        spool, hop, at, base_us, seq = self._spool, self.hop, self._at, self._base_us, self.seq + 1
        begin = len(self._head)
        records = (at - begin) // RECORD_BYTES
        hop.count(at_us)
        self.seq = seq
        self.kept = kept = self.kept + records
        size = self._radio.pack(
            self._batch, at, self._head, hop.open_us, self._key.key_id,  # type: ignore[union-attr]  # open: keyed
            seq, kept, spool.dropped_records,
            self._hub_time.offset_us, base_us, at_us,
        )  # fmt: skip
        state = self._state
        self._batch, self._room = spool.push(state.boot, seq, records, size)
        self._at, self._base_us = begin, at_us
        state.batch(seq, at_us)
        self._made()

    def _last_us(self) -> int:
        """Give the probe time of the last record."""
        return self._base_us + unpack_from("<I", self._batch, self._at - RECORD_BYTES)[0]

    def _idle(self, now_us: int) -> int:
        if self._key is None:
            if self._idle_us:
                self._counts.drops["no_key_s"] = self._no_key_s(now_us)
            else:
                self._idle_us = now_us
        return IDLE_MS

    def _no_key_s(self, now_us: int) -> int:
        """Add what passed in whole seconds."""
        passed_s = (now_us - self._idle_us) // 1_000_000
        self._idle_us += passed_s * 1_000_000
        return int(self._counts.drops["no_key_s"] + passed_s)
