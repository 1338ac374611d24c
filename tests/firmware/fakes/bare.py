"""A board without files, sockets and chip, as qemu's is: just enough for the probe to be put together."""

import io
import os
import sys

SETTINGS = (
    '{"version": 1, "probe": "p", "tenant": "t", "site": "s", "uplink": "lan", "host": "h", "board": "wt32-eth01"}'
)


class _Files:
    """One file; whatever else is opened is not there."""

    def mount(self, readonly, mkfs):
        pass

    def chdir(self, path):
        pass

    def ilistdir(self, path):
        return iter(())

    def mkdir(self, path):
        pass

    def stat(self, path):
        if not path.endswith("settings.json"):
            raise OSError(2)
        return (0x8000, 0, 0, 0, 0, 0, len(SETTINGS), 0, 0, 0)

    def open(self, path, mode):
        self.stat(path)
        return io.StringIO(SETTINGS)


class Nvs:
    def __init__(self, namespace=""):
        self._rows = {}

    def get_i32(self, name):
        if name not in self._rows:
            raise OSError(-0x1102)
        return self._rows[name]

    def set_i32(self, name, value):
        self._rows[name] = value

    def commit(self):
        pass


class _Chip:
    PWRON_RESET, STA_IF, NVS, Partition, aes = 1, 0, Nvs, None, None

    def reset_cause(self):
        return 1

    def memory(self, data=None):
        return b""

    def active(self, on):
        pass

    def RTC(self):
        return self

    def WLAN(self, interface):
        return self


def install():
    """Let `import machine` and the like find this board."""
    chip = _Chip()
    for name in ("machine", "esp32", "network", "bluetooth", "socket", "tls", "cryptolib"):
        sys.modules[name] = chip
    os.mount(_Files(), "/")
