"""Which channel when, and how long each was open. Pure: probe time is an argument."""

from struct import pack_into

from .wire import BLE, LISTENED_BYTES, MOST_LISTENED, WIFI

# Channels a probe may listen on. Transmission keeps to 1 to 11, which every region allows.
REGIONS = {
    "world": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "us": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "eu": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
    "cn": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
    "jp": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
}


class Hop:
    """Goes round the channels, a BLE slice at the end of each round. `channels` empty: BLE alone.

    A round of one channel and no BLE is parking.
    """

    def __init__(self, channels: tuple[int, ...], dwell_ms: int, ble_ms: int) -> None:
        slots = [(WIFI, channel, dwell_ms) for channel in channels]
        if ble_ms:
            slots.append((BLE, 0, ble_ms))
        if not 0 < len(slots) <= MOST_LISTENED:
            raise ValueError("1 to 16 channels")
        self._slots = slots
        self.size = len(slots)
        self._open_us = [0] * len(slots)
        self._at = -1
        self._since_us = -1  # when the present slot began to count; -1: nothing is open

    def __len__(self) -> int:
        """Give how many entries the listened list has, as `size` does."""
        return self.size

    def turn(self, now_us: int) -> tuple[int, int, int]:
        """Go on to the next slot: radio, channel, milliseconds."""
        self._count(now_us)
        self._at = at = (self._at + 1) % self.size
        self._since_us = now_us
        return self._slots[at]

    def pause(self, now_us: int) -> None:
        """Nothing is open from now on, until the next turn."""
        self._count(now_us)
        self._since_us = -1

    def take(self, now_us: int, out: bytearray) -> None:
        """Write what was open until now as listened entries and begin anew; what is below 1 ms is carried on."""
        self._count(now_us)
        opened = self._open_us
        index = 0
        for radio, channel, _ in self._slots:
            open_us = opened[index]
            pack_into("<BBI", out, index * LISTENED_BYTES, radio, channel, open_us // 1000)
            opened[index] = open_us % 1000
            index += 1

    def _count(self, now_us: int) -> None:
        since_us = self._since_us
        if 0 <= since_us < now_us:
            self._open_us[self._at] += now_us - since_us
            self._since_us = now_us
