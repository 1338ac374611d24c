"""Which channel when, and how long each was open. Pure: probe time is an argument."""

from array import array

from .wire import BLE, MOST_LISTENED, WIFI

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
        self.slots = slots
        self.open_us = array("I", bytes(4 * len(slots)))  # by slot, not yet packed
        self._at = -1
        self._since_us: int | None = None  # when the present slot began to count; None: nothing is open

    def turn(self, now_us: int) -> tuple[int, int, int]:
        """Go on to the next slot: radio, channel, milliseconds."""
        if self._since_us != now_us:
            self.count(now_us)
        slots = self.slots
        self._at = at = (self._at + 1) % len(slots)
        self._since_us = now_us
        return slots[at]

    def pause(self, now_us: int) -> None:
        """Nothing is open from now on, until the next turn."""
        self.count(now_us)
        self._since_us = None

    def count(self, now_us: int) -> None:
        """Count what was open until now."""
        since_us = self._since_us
        if since_us is not None:
            open_us = now_us - since_us
            if open_us > 0:
                self.open_us[self._at] += open_us
                self._since_us = now_us
