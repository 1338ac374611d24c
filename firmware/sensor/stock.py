"""The ear of an image without the C module: BLE alone, keyed in Python. Calls: firmware/usermod/dot11cap/README.md.

It keys what it has time for; the rest is counted as dropped. It says so: its radios are BLE only.
"""

import io
import struct
import time

from .bleshape import record
from .packing import pack
from .wire import RECORD_BYTES

RING = 64
_POLL, _READABLE, _EINVAL = 3, 1, -22
_TICKS = 1 << 30  # time.ticks_us wraps there on a board


class StockEar(io.IOBase):
    """The one ear."""

    ELEMENT_TABLE = 0

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._registry = b""
        self._ring = bytearray(RING * (8 + RECORD_BYTES - 4))
        self._first = self._count = 0
        self._boundary = -1
        self._seen = self._rejected = self._dropped = self._high = 0
        self._ticks, self._now_us = time.ticks_us(), 0
        self._open = True

    def start(self, key: bytes, registry: bytes = b"") -> int:
        """See the contract."""
        if len(key) != 16 or len(registry) % 8:
            raise ValueError("key or registry")
        if self._key is not None:
            self._boundary = self._count
        self._key, self._registry = bytes(key), registry
        return self.now_us()

    def stop(self) -> None:
        """See the contract."""
        self._key, self._registry = None, b""

    def channel(self, n: int) -> None:
        """There is no Wi-Fi ear."""

    def recvinto(self, buf, at: int, base_us: int) -> int:
        """See the contract."""
        if self._boundary == 0:
            self._boundary = -1
            return 0
        count = min((len(buf) - at) // RECORD_BYTES, self._count if self._boundary < 0 else self._boundary)
        for index in range(count):
            place = (self._first + index) % RING * 30
            time_us = struct.unpack_from("<Q", self._ring, place)[0]
            struct.pack_into("<I", buf, at, max(time_us - base_us, 0))
            buf[at + 4 : at + RECORD_BYTES] = memoryview(self._ring)[place + 8 : place + 30]
            at += RECORD_BYTES
        self._first = (self._first + count) % RING
        self._count -= count
        if self._boundary > 0:
            self._boundary -= count
        return count

    def pack(self, *batch) -> int:
        """See the contract."""
        return pack(self.stats(), *batch)

    def any(self) -> int:
        """See the contract."""
        return self._count

    def now_us(self) -> int:
        """See the contract; to be called at least every 17 minutes, which every turn of the plan does."""
        ticks = time.ticks_us()
        self._now_us += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._now_us

    def stats(self) -> tuple[int, int, int, int, int]:
        """See the contract."""
        return self._seen, self._rejected, self._dropped, 0, self._high

    def ble(self, address_type: int, address, event_type: int, rssi_dbm: int, ad) -> bool:
        """See the contract."""
        self._seen += 1
        if self._key is None:
            self._rejected += 1
            return False
        if self._count == RING:
            self._dropped += 1
            return False
        row = record(self._key, address_type, bytes(address), event_type, rssi_dbm, bytes(ad))
        if row is None:
            self._rejected += 1
            return False
        place = (self._first + self._count) % RING * 30
        struct.pack_into("<Q", self._ring, place, self.now_us())
        self._ring[place + 8 : place + 30] = row
        if self._is_registered(row[:8]):
            self._ring[place + 29] |= 16
        self._count += 1
        self._high = max(self._high, self._count)
        return True

    def describe(self, fingerprint: int) -> None:
        """Fingerprints of 802.11 elements alone have descriptions."""

    def send(self, frame: bytes) -> None:
        """A stock image cannot send raw frames."""
        raise OSError("no raw frames on a stock image")

    def verify(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Stock images take no update."""
        return False

    def ioctl(self, request: int, argument: int) -> int:
        """A stream to poll."""
        if request == _POLL:
            return _READABLE if self._count >= RING // 2 else 0
        return _EINVAL

    def _is_registered(self, key: bytes) -> bool:
        for at in range(0, len(self._registry), 8):
            if self._registry[at : at + 8] == key:
                return True
        return False
