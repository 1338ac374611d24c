"""Radio to batches: drains the ring, turns channels, closes batches. No key, no capture. No allocation per frame."""

from .hop import Hop
from .keys import Key, Keys
from .wire import BLE, LISTENED_BYTES, MOST_LISTENED, Batch

IDLE_MS = 250  # between looks for a key


class Capture:
    """`radio` is `dot11cap` or its stand-in, `scan(milliseconds)` opens the BLE ear, `made()`: a batch is spooled."""

    def __init__(self, radio, scan, batch: Batch, hop: Hop, spool, keys: Keys, hub_time, state, counts, made) -> None:
        self._radio = radio
        self._scan = scan
        self._batch = batch
        self.hop = hop
        self._spool = spool
        self._keys = keys
        self._hub_time = hub_time
        self._state = state
        self._counts = counts
        self._made = made
        self._listened = bytearray(MOST_LISTENED * LISTENED_BYTES)
        self._key: Key | None = None
        self._held = False  # the radio belongs to the uplink, or to a measurement
        self._idle_us = 0
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
        radio = self._radio
        now_us = radio.now_us()
        utc_us = self._hub_time.utc_us(now_us)
        key = self._keys.at(utc_us // 1_000_000) if utc_us else None
        if key is not self._key:
            self._rekey(key)
        if key is None or self._held:
            return self._idle(now_us)
        self.drain()
        now_us = radio.now_us()
        if now_us - self._batch.base_us >= self.batch_us:
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
        batch, radio = self._batch, self._radio
        while self._key is not None and not self._held:
            count = radio.recvinto(batch.room(), batch.at, batch.base_us)
            if not count:
                return
            if batch.took(count):
                self._close(batch.last_us())  # what is left in the ring is later: the next batch begins there

    def hold(self) -> None:
        """Give the radio away: the open batch is closed, nothing is heard until `release`."""
        if self._key is not None and not self._held:
            self._pause()
        self._radio.channel(0)
        self._held = True

    def release(self) -> None:
        """Take it back."""
        if self._held and self._key is not None:
            self._batch.open(self._radio.now_us(), self.hop.size)
        self._held = False
        self.turn()

    def replan(self, hop: Hop) -> None:
        """Listen by another plan from now on."""
        if self._key is not None and not self._held:
            self._batch.open(self._pause(), hop.size)
        self.hop = hop
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
        self._key = key
        if before is None and not self._held:
            self._batch.open(ruling_us, self.hop.size)

    def _pause(self) -> int:
        """Shut the ear and close the batch; give when."""
        self._radio.channel(0)
        self.drain()
        now_us = self._radio.now_us()
        self.hop.pause(now_us)
        self._close(now_us)
        return now_us

    def _close(self, at_us: int) -> None:
        """Pack the batch that ends at `at_us`, spool it, open the next."""
        batch, radio, spool, state, hop, listened = (
            self._batch, self._radio, self._spool, self._state, self.hop, self._listened
        )  # fmt: skip
        stats, records, boot = radio.stats(), batch.records, state.boot
        hop.take(at_us, listened)
        self.seq = seq = self.seq + 1
        self.kept = kept = self.kept + records
        size = batch.close(
            at_us, listened, self._key.key_id, boot, seq, radio.ELEMENT_TABLE,
            self._hub_time.utc_us(batch.base_us), stats[0], kept, stats[2] + spool.dropped_records,
        )  # fmt: skip
        spool.push(boot, seq, records, batch.view[:size])
        state.batch(seq, at_us)
        self._counts.did("batches")
        batch.open(at_us, hop.size)
        self._made()

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
