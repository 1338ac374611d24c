"""A board on a serial port: Improv Serial and frames side by side on one line."""

import time
from collections import deque
from contextlib import suppress
from queue import Empty, Full, Queue

import msgspec

from hostkit.core.framing import FrameKind
from hostkit.errors import InputError, PeerError
from hostkit.install import frames, improv
from hostkit.install.board import Settings, Status
from hostkit.install.frames import shown
from hostkit.install.improv import Command, Device, Error, Kind, State
from hostkit.install.ports import check_port
from hostkit.io.serialport import Line

MEET_S = 12.0  # a board needs some 3 s to boot
RESET_AFTER_S = 2.0
ASK_S = 0.5
JOIN_S = 30.0  # the firmware gives up after 20
ANSWER_S = 5.0
FORGET_S = 15.0
_TAIL_BYTES = 4000
# What boards without our firmware say: the next step is another.
_STRANGERS = (
    (b"waiting for download", "is in download mode", "press its reset button, or unplug it and plug it in again"),
    (b"invalid header: 0xffffffff", "is empty", "flash it: footfall probe flash"),
    (b"MicroPython v", "runs MicroPython without Footfall's files", "put them on it: footfall probe put-app"),
    (b">>> ", "runs MicroPython without Footfall's files", "put them on it: footfall probe put-app"),
    (b"Traceback (most recent call last)", "runs files that fail", "put them on it again: footfall probe put-app"),
)

_WHO = frames.framed(frames.message("who", {}))


class _Spoken(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Envelope(msgspec.Struct):
    source: str


class SerialBoard:
    """The board on port `where`. PeerError if that is busy, forbidden or not there, InputError if it is none.

    See board.Way.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._packets = improv.SerialReader()
        self._inbox: Queue[_Spoken | tuple[int, bytes]] = Queue(1000)
        self._tail: deque[int] = deque(maxlen=_TAIL_BYTES)
        self._said = False
        check_port(where)
        self._line = Line(where, self._took, self._heard)

    def meet(self) -> Device | Status:
        """Ask every half second; restart it once if it keeps silent."""
        began_s, restarted = time.monotonic(), False
        while (passed_s := time.monotonic() - began_s) < MEET_S:
            if passed_s > RESET_AFTER_S and not restarted:
                restarted = True
                self._line.reset()
            self.ask()
            ask_again_s = time.monotonic() + ASK_S
            while (item := self._next(ask_again_s)) is not None:
                if (met := _met(item)) is not None:
                    return met
        raise self._stranger()

    def join(self, ssid: str, password: str) -> None:
        """See board.Way: the answer is the state that follows, or an error."""
        self._tell(*frames.begin())
        self._call(Command.SEND_WIFI, (ssid, password))
        until_s = time.monotonic() + JOIN_S
        while (item := self._next(until_s)) is not None:
            if item == (Kind.STATE, bytes((State.PROVISIONED,))):
                return
            if isinstance(item, tuple) and item[0] == Kind.ERROR and item[1] != bytes((Error.NONE,)):
                raise join_refused(self.where, item[1], ssid)
        raise join_refused(self.where, b"", ssid)

    def configure(self, settings: Settings, salt: str) -> dict[str, object]:
        """See board.Way."""
        if not settings.get("ssid"):
            self._tell(*frames.begin())
        held: dict[str, object] = {}
        for number, text in frames.parts(settings, salt):
            held = self._tell(number, text)
        return held

    def forget(self, probe: str) -> None:
        """See board.Way."""
        order = frames.framed(frames.message("cmd/forget", {"probe": probe}))
        until_s = time.monotonic() + FORGET_S
        while time.monotonic() < until_s:
            self._line.send_bytes(order)
            self._call(Command.GET_INFO)
            ask_again_s = time.monotonic() + ASK_S
            while (item := self._next(ask_again_s)) is not None:
                if isinstance(_met(item), Device):
                    return
        raise PeerError(
            f"does not forget that it is {probe}",
            where=self.where,
            next_step="erase it: footfall probe flash --factory",
        )

    def status(self, until_s: float) -> Device | Status | None:
        """Wait for its next word on how far it is, until a monotonic time; None if none came."""
        while (item := self._next(until_s)) is not None:
            if (met := _met(item)) is not None:
                return met
        return None

    def ask(self) -> None:
        """Ask the board to show itself: a blank one by Improv, one whose uplink is this line by a frame."""
        self._call(Command.GET_INFO)
        self._line.send_bytes(_WHO)

    def show(self, show: str, seconds: int) -> bool:
        """Let its LED show something; False if it does not read."""
        return self._line.send_bytes(frames.framed(frames.message("show", {"show": show, "seconds": seconds})))

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    # -- the line --

    def _tell(self, number: str, text: bytes) -> dict[str, object]:
        """Send one message and wait for its answer; once more if it is lost."""
        for _ in range(2):
            self._line.send_bytes(frames.framed(text))
            until_s = time.monotonic() + ANSWER_S
            while (item := self._next(until_s)) is not None:
                if isinstance(item, _Spoken) and item.stream == f"rsp/{number}":
                    return frames.held(frames.answer(item.data, self.where), self.where)
        raise PeerError(
            "does not answer any more", where=self.where, next_step="check the cable, then run the same command again"
        )

    def _call(self, which: Command, texts: tuple[str, ...] = ()) -> None:
        self._line.send_bytes(b"\0" + improv.serial_packet(Kind.COMMAND, improv.command(which, texts)))

    def _next(self, until_s: float) -> _Spoken | tuple[int, bytes] | None:
        while (left_s := until_s - time.monotonic()) > 0:
            with suppress(Empty):
                return self._inbox.get(timeout=min(left_s, 0.1))
            if self._line.gone.is_set():
                raise PeerError(
                    "was unplugged or reset its USB port",
                    where=self.where,
                    next_step="plug it in again and run the same command; nothing is lost by that",
                )
        return None

    def _heard(self, data: bytes) -> None:
        self._tail.extend(data)
        self._said = self._said or bool(data)
        for packet in self._packets.feed(data):
            self._put(packet)

    def _took(self, line: Line, kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.MESSAGE:
            with suppress(msgspec.DecodeError):
                self._put(msgspec.json.decode(payload, type=_Spoken))

    def _put(self, item: _Spoken | tuple[int, bytes]) -> None:
        with suppress(Full):
            self._inbox.put_nowait(item)

    def _stranger(self) -> PeerError:
        tail = bytes(self._tail)
        for mark, what, step in _STRANGERS:
            if mark in tail:
                return PeerError(what, where=self.where, next_step=step)
        if self._said:
            what = "says nothing that is Footfall's"
            step = "check that it is the probe's port (footfall probe ports); if it is, flash it: footfall probe flash"
        else:
            what, step = "says nothing", "press its reset button and try again; a new board: footfall probe flash"
        return PeerError(what, where=self.where, next_step=step)


def join_refused(where: str, error: bytes, ssid: str) -> PeerError:
    """Say why a board did not join a network."""
    if error == bytes((Error.INVALID,)):
        what, step = "does not take network name or password", "a password has 8 to 63 characters, or none"
    elif error == bytes((Error.UNABLE,)):
        what = f"cannot join {shown(ssid)!r}: the password is wrong, or the network is not in reach on 2.4 GHz"
        step = "check name and password (case counts), go nearer, switch 2.4 GHz on, then run the same command"
    else:
        what, step = "did not say whether it joined the network", "reset it and run the same command again"
    return PeerError(what, where=where, next_step=step)


def _met(item: _Spoken | tuple[int, bytes]) -> Device | Status | None:
    """Read who it is out of one thing it said."""
    if isinstance(item, tuple):
        with suppress(InputError):
            if item[0] == Kind.RESULT and item[1][:1] == bytes((Command.GET_INFO,)):
                return improv.device(improv.read_result(item[1])[1])
        return None
    with suppress(msgspec.DecodeError, ValueError):
        if item.stream == "status":
            return msgspec.json.decode(item.data, type=Status)
        if item.stream in {"info", "health"}:  # its uplink is this very line
            _, tenant, site, probe = msgspec.json.decode(item.data, type=_Envelope).source.split("/")
            return Status(probe=probe, tenant=tenant, site=site, uplink="serial")
    return None
