"""Frames by which probes hear each other: a probe request and an advert that name the probe. Pure.

The probe's id is the SSID and the BLE local name, so that the hub knows whose it was; the marked element gives all our
beacons one fingerprint that no phone has.
"""

import struct

# A vendor's element needs an OUI; this one has the local bit set (IEEE 802-2014, 8.2.2), so nobody owns it.
MARK = b"\x02FF\x01\x01"
_RATES = b"\x01\x04\x02\x04\x0b\x16"  # 1 to 11 Mb/s
REPEATS = 4  # in a slot: one may collide
GAP_MS = 15


def probe_request(address: bytes, name: str, sequence: int) -> bytes:
    """Give a whole probe request without FCS (IEEE 802.11-2020, 9.3.3.9)."""
    ssid = name.encode()
    head = struct.pack("<HH6s6s6sH", 0x0040, 0, b"\xff" * 6, address, b"\xff" * 6, (sequence & 0xFFF) << 4)
    return head + bytes((0, len(ssid))) + ssid + _RATES + bytes((221, len(MARK))) + MARK


def advert(name: str) -> bytes:
    """Give the AD of a non-connectable advert: as much of the name as 31 bytes hold, and the mark."""
    mark = b"\xff\xff\x46\x46\x01"  # manufacturer 0xffff: for tests and inside a company (Assigned Numbers)
    room = 31 - 3 - (2 + len(mark)) - 2
    text = name.encode()[:room]
    kind = 9 if len(text) == len(name) else 8
    return b"\x02\x01\x04" + bytes((len(text) + 1, kind)) + text + bytes((len(mark) + 1, 0xFF)) + mark


def wait_ms(utc_us: int, slot_ms: int, period_ms: int) -> int:
    """Give how long it is until the next slot: `slot_ms` into each period since 1970."""
    return (slot_ms - utc_us // 1000) % period_ms


class Levels:
    """How strong something was heard: a histogram of one byte a dB, so that no number of frames needs more memory."""

    def __init__(self) -> None:
        self._counts = [0] * 129
        self.frames = 0

    def add(self, rssi_dbm: int) -> None:
        """Count one."""
        self._counts[min(max(-rssi_dbm, 0), 128)] += 1
        self.frames += 1

    def quantile(self, share_percent: int) -> int:
        """Give the level that so many percent do not exceed; there must be frames."""
        left = max((self.frames * share_percent + 99) // 100, 1)
        for level in range(128, -1, -1):
            left -= self._counts[level]
            if left <= 0:
                return -level
        return 0

    def measured(self) -> dict[str, object]:
        """Give the contract's Measured."""
        if not self.frames:
            return {"frames": 0}
        return {
            "frames": self.frames,
            "rssi_dbm": self.quantile(50),
            "low_dbm": self.quantile(10),
            "high_dbm": self.quantile(90),
        }
