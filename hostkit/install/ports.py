"""Serial ports: which there are, what hangs on them, who may and does use them. Opens none: that resets a board."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from serial.tools import list_ports

from hostkit.errors import InputError, PeerError
from hostkit.install.chips import BRIDGES, ESPRESSIF

RULE = "70-footfall.rules"
TAKE_RULE = (
    f"install the udev rule: footfall probe ports --udev-rule | sudo tee /etc/udev/rules.d/{RULE}; "
    "sudo udevadm control --reload; plug the board in again (or: sudo usermod -aG dialout $USER, and log in again)"
)
AUTO = "auto"
BACK_S = 8.0  # in which a board that was reset is back on its port
_AGAIN_S = 0.2
_RIGHTS_S = 1.0  # in which udev gives rights to a port that has just come
_MAX_TEXT, _MAX_NAMED = 80, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """`bridge` is what it hangs on, None where it is none of a probe's; `allowed` is None where only opening tells."""

    path: str
    bridge: str | None
    product: str
    usb: str  # VID:PID, or ""
    allowed: bool | None
    held_by: str | None

    @property
    def trouble(self) -> str | None:
        """Say why it cannot be used and what to do."""
        if self.allowed is False:
            return f"you may not open it; {TAKE_RULE}"
        if self.held_by:
            return f"{self.held_by} has it open; close that program"
        return None


def udev_rule() -> str:
    """Give the text of the udev rule."""
    return files("hostkit.install").joinpath(RULE).read_text("utf-8")


def find_ports() -> list[Port]:
    """List every serial port of the machine, those of a probe's bridge first."""
    found = [
        Port(
            path=one.device,
            bridge=_bridge(one.vid, one.pid),
            product=_clean(one.product or (one.description if one.description != "n/a" else "") or ""),
            usb=f"{one.vid:04x}:{one.pid:04x}" if one.vid is not None and one.pid is not None else "",
            allowed=_allowed(one.device),
            held_by=holder(one.device),
        )
        for one in list_ports.comports()
    ]
    return sorted(found, key=lambda port: (port.bridge is None, port.path))


def pick_port(list_them: Callable[[], Iterable[Port]] = find_ports) -> str:
    """Give the one port a board hangs on. PeerError where there is none, or more."""
    there = list(list_them())
    boards = [port for port in there if port.bridge]
    if not boards:
        others = f" (no board's: {', '.join(port.path for port in there[:_MAX_NAMED])})" if there else ""
        raise PeerError(
            f"no board is plugged in{others}",
            where="--port auto",
            next_step="plug it in with a cable that carries data, or name its port (footfall probe ports)",
        )
    if len(boards) > 1:
        named = ", ".join(f"{port.path} ({port.bridge})" for port in boards[:_MAX_NAMED])
        step = f"name yours, as --port {boards[0].path}, or unplug the others; many at once: --csv"
        raise PeerError(f"{len(boards)} boards are plugged in: {named}", where="--port auto", next_step=step)
    return boards[0].path


def named_port(name: str) -> str:
    """Give the port that is meant: itself, or for `auto` the one there is."""
    return pick_port() if name == AUTO else name


def await_port(name: str, check: Callable[[], None], wait_s: float) -> str:
    """Give the port that is meant once it can be used: a board whose USB is its own is away while it restarts.

    Raises what `named_port` and `check_port` do when the time is over, sooner for a port that is there; `check` is
    called meanwhile.
    """
    began_s = time.monotonic()
    while True:
        try:
            port = named_port(name)
            check_port(port)
            return port
        except PeerError:
            there = name != AUTO and Path(name).exists()
            if time.monotonic() >= began_s + (min(wait_s, _RIGHTS_S) if there else wait_s):
                raise
        check()
        time.sleep(_AGAIN_S)


def check_port(path: str) -> None:
    """Raise PeerError or InputError, with what to do, where the port is not there, forbidden or busy. URLs pass."""
    if "://" in path or sys.platform == "win32":
        return
    if not Path(path).exists():
        there = ", ".join(port.path for port in find_ports() if port.bridge) or "none of a board"
        raise PeerError(
            f"no such port (there: {there})", where=path, next_step="plug the board in, or see footfall probe ports"
        )
    if not Path(path).is_char_device():
        raise InputError("is no serial port", where=path, next_step="see footfall probe ports")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PeerError("you may not open it", where=path, next_step=TAKE_RULE)
    if (held := holder(path)) is not None:
        raise PeerError(f"{held} has it open", where=path, next_step="close that program")


def holder(path: str) -> str | None:
    """Name another process that has the port open: `name (pid)`. Linux; elsewhere, and of other users, None."""
    try:
        wanted = os.path.realpath(path)
        processes = [entry for entry in os.scandir("/proc") if entry.name.isdigit() and int(entry.name) != os.getpid()]
    except OSError:
        return None
    for process in processes:
        try:
            if any(os.readlink(fd.path) == wanted for fd in os.scandir(f"{process.path}/fd")):
                return f"{_clean(Path(process.path, 'comm').read_text('utf-8', 'replace').strip())} ({process.name})"
        except OSError:
            continue  # it ended, or is another user's
    return None


def _bridge(vid: int | None, pid: int | None) -> str | None:
    if vid is None or pid is None:
        return None
    return BRIDGES.get((vid, pid)) or ("the chip's own USB" if vid == ESPRESSIF else None)


def _allowed(path: str) -> bool | None:
    return None if sys.platform == "win32" else os.access(path, os.R_OK | os.W_OK)


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_TEXT])
