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


SLOT_BYTES = 64 * 1024


def _table():
    try:
        with open("otadata.json") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"boot": 0, "state": "valid"}


def _save(table):
    with open("otadata.json", "w") as file:
        json.dump(table, file)


def boot_loader():
    """What the second stage does: a new image is on trial once, then the old comes back. Gives the running build."""
    table = _table()
    if table["state"] == "new":
        table["state"] = "pending"
    elif table["state"] == "pending":
        table = {"boot": 1 - table["boot"], "state": "valid"}
    _save(table)
    try:
        with open("slot%d.bin" % table["boot"], "rb") as file:
            head = file.read(16)
        return int(head[6:].split(b"\n")[0]) if head.startswith(b"BUILD=") else 1
    except OSError:
        return 1


class Partition:
    RUNNING = 1

    def __init__(self, which):
        self._slot = _table()["boot"] if which == Partition.RUNNING else which

    def get_next_update(self):
        slot = Partition(Partition.RUNNING)
        slot._slot = 1 - self._slot
        return slot

    def ioctl(self, operation, argument):
        return {4: SLOT_BYTES // 4096, 5: 4096}[operation]

    def writeblocks(self, block, data):
        assert len(data) == 4096
        path = "slot%d.bin" % self._slot
        try:
            with open(path, "rb") as file:
                held = bytearray(file.read())
        except OSError:
            held = bytearray(0)
        held = held + b"\xff" * (block * 4096 + 4096 - len(held))
        held[block * 4096 : block * 4096 + 4096] = data
        with open(path, "wb") as file:
            file.write(held)

    def set_boot(self):
        _save({"boot": self._slot, "state": "new"})

    @staticmethod
    def mark_app_valid_cancel_rollback():
        table = _table()
        table["state"] = "valid"
        _save(table)
