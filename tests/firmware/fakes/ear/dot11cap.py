"""Stand-in for the C module (firmware/usermod/dot11cap/README.md): keys what the test puts on air."""

import io
import struct
import time

import control
from sensor.packing import pack
from sensor.siphash import siphash

ELEMENT_TABLE = 0x0DD51DE5
_POLL, _READABLE, _EINVAL = 3, 1, -22


class _Ear(io.IOBase):
    def __init__(self):
        self.ELEMENT_TABLE = ELEMENT_TABLE
        self.key = None
        self.registry = ()
        self.tuned = 0
        self.ring = []
        self.boundary = None  # records before it are of the key before
        self.size = 512
        self.wake = 16
        self.seen = self.rejected = self.dropped = self.high = 0
        self.skew_us = 0
        self.sent = []
        self.tuned_log = []
        self.descriptions = {}
        control.handlers["air"] = self._air

    def start(self, key, wake=16, registry=b""):
        if len(key) != 16 or len(registry) % 8:
            raise ValueError("key or registry")
        if self.key is not None:
            self.boundary = len(self.ring)
        else:
            self.dropped += len(self.ring)
            self.ring, self.boundary = [], None
        self.key, self.wake = bytes(key), wake
        self.registry = tuple(struct.unpack("<%dQ" % (len(registry) // 8), registry))
        return self.now_us()

    def stop(self):
        self.key, self.registry = None, ()

    def channel(self, n):
        self.tuned = n
        self.tuned_log.append(n)
        del self.tuned_log[:-1000]

    def recvinto(self, buf, at, base_us):
        if not 0 <= at <= len(buf):
            raise ValueError("at")
        if self.boundary == 0:
            self.boundary = None
            return 0
        count = min((len(buf) - at) // 26, len(self.ring) if self.boundary is None else self.boundary)
        for index in range(count):
            time_us, rest = self.ring[index]
            struct.pack_into("<I", buf, at + index * 26, max(time_us - base_us, 0))
            buf[at + index * 26 + 4 : at + index * 26 + 26] = rest
        self.ring = self.ring[count:]
        if self.boundary is not None:
            self.boundary -= count
        return count

    def pack(self, *batch):
        return pack(self.stats(), *batch)

    def any(self):
        return len(self.ring)

    def now_us(self):
        return time.ticks_us() + self.skew_us

    def stats(self):
        return self.seen, self.rejected, self.dropped, 0, self.high

    def ble(self, address_type, address, event_type, rssi_dbm, ad):
        flags = 2 | (1 if address_type & 1 and address[0] >> 6 != 3 else 0)
        return self._push(bytes(address), 0xB1E, 0, 0, rssi_dbm, 0, 0, flags)

    def send(self, frame):
        self.sent.append((self.now_us(), self.tuned, bytes(frame)))

    def describe(self, fingerprint):
        return self.descriptions.get(fingerprint)

    def verify(self, public_key, digest, signature):
        return control.ask(verify=[bytes(public_key).hex(), bytes(digest).hex(), bytes(signature).hex()])

    def ioctl(self, request, argument):
        if request == _POLL:
            return _READABLE if len(self.ring) >= self.wake else 0
        return _EINVAL

    def _air(self, message):
        if self.key is None or not self.tuned:
            return
        for frame in message["frames"]:
            address, rest = bytes.fromhex(frame[0]), frame[1:]
            self._push(address, *rest)

    def _push(self, address, fingerprint, ssid_key, sequence, rssi, noise, channel, flags):
        self.seen += 1
        if self.key is None:
            self.rejected += 1
            return False
        if len(self.ring) >= self.size:
            self.dropped += 1
            return False
        key = siphash(self.key, address)
        flags |= 16 if key in self.registry else 0
        row = struct.pack("<QIIHbbBB", key, fingerprint, ssid_key, sequence, rssi, noise, channel, flags)
        self.ring.append((self.now_us(), row))
        self.high = max(self.high, len(self.ring))
        return True


_ear = _Ear()


def Ear():
    return _ear
