"""Which way to a board a port names: a serial line, or `ble:NAME`, whose library is loaded only then."""

import importlib

from hostkit.errors import UsageError
from hostkit.install.board import Way
from hostkit.install.ports import named_port
from hostkit.install.serialboard import SerialBoard

BLE = "ble:"


def by_ble(port: str) -> bool:
    """Tell whether a port is none, but a board in reach by Bluetooth."""
    return port.startswith(BLE)


def open_way(port: str) -> Way:
    """Open it; PeerError where that does not work, UsageError without the library."""
    if not by_ble(port):
        return SerialBoard(named_port(port))
    try:
        module = importlib.import_module("hostkit.install.bleboard")
    except ImportError as error:
        raise UsageError(
            "Bluetooth needs bleak", where=port, next_step="install it: pip install 'footfall[install]'"
        ) from error
    way: Way = module.BleBoard(port.removeprefix(BLE))
    return way
