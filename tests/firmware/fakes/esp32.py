"""Stand-in for the port's esp32: NVS is a JSON file."""

import json
import os


class NVS:
    def __init__(self, namespace):
        self._path = "nvs.json"
        try:
            with open(self._path) as file:
                self._rows = json.load(file)
        except (OSError, ValueError):
            self._rows = {}

    def get_i32(self, name):
        if name not in self._rows:
            raise OSError(-0x1102)
        return self._rows[name]

    def set_i32(self, name, value):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError(name)
        self._rows[name] = value

    def commit(self):
        with open(self._path + "~", "w") as file:
            json.dump(self._rows, file)
        os.rename(self._path + "~", self._path)


def mcu_temperature():
    return 41
