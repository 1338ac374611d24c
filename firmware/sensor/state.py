"""What outlives a restart as numbers: boot counter, last batch, resets, trials. Written seldom: flash wears. Pure.

`nvs` has get_i32, set_i32, commit as `esp32.NVS`; `memory` reads and writes a few bytes that survive all but a power
loss, as `machine.RTC().memory`.
"""

import struct
from array import array

SAVE_US = 10_000_000  # at least between two savings of the last batch: 8,640 a day, which NVS spreads over its pages


class State:
    """The numbers, unsigned 32 bit each."""

    def __init__(self, nvs, memory) -> None:
        self._nvs = nvs
        self._memory = memory
        self.last_boot = self.get("boot")
        self.last_seq = self._last_seq()
        self.boot = (self.last_boot + 1) & 0xFFFFFFFF
        self._saved_us = -SAVE_US
        self.put("boot", self.boot)
        self.put("seq", 0)
        self._held = array("I", (self.boot, 0))  # every chip of ours is little-endian
        self._memory(self._held)

    def get(self, name: str) -> int:
        """Give a number; 0 if it was never put."""
        try:
            return int(self._nvs.get_i32(name)) & 0xFFFFFFFF
        except OSError:
            return 0

    def put(self, name: str, value: int) -> None:
        """Keep a number."""
        self._nvs.set_i32(name, value - (1 << 32) if value >> 31 else value)
        self._nvs.commit()

    def count(self, name: str) -> int:
        """Add one; give what it is now."""
        value = (self.get(name) + 1) & 0x7FFFFFFF
        self.put(name, value)
        return value

    def batch(self, seq: int, now_us: int, *, final: bool = False) -> None:
        """Batch `seq` was made: the next boot will tell."""
        self._held[1] = seq
        self._memory(self._held)
        if final or now_us - self._saved_us >= SAVE_US:
            self._saved_us = now_us
            self.put("seq", seq)

    def _last_seq(self) -> int:
        saved = self.get("seq")
        held = bytes(self._memory())
        if len(held) >= 8:
            boot, seq = struct.unpack("<II", held[:8])
            if boot == self.last_boot:
                return max(saved, seq)
        return saved
