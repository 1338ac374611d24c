"""Improv Wi-Fi, the installer's side: packets of Serial 1 and of BLE 2.4 (improv-wifi.com). Pure: bytes in, values out.

The device's side is firmware/sensor/improv.py. What comes is hostile: lengths and sums are checked, text is cleaned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from hostkit.errors import InputError, UsageError

HEADER = b"IMPROV\x01"
MAX_PACKET_BYTES = len(HEADER) + 2 + 255 + 1
SERVICE = "00467768-6228-2272-4663-277478268000"


class Characteristic:
    """UUIDs of the service's characteristics."""

    STATE = SERVICE[:-1] + "1"
    ERROR = SERVICE[:-1] + "2"
    COMMAND = SERVICE[:-1] + "3"
    RESULT = SERVICE[:-1] + "4"
    CAPABILITIES = SERVICE[:-1] + "5"


class Kind(IntEnum):
    """What a serial packet is."""

    STATE = 1
    ERROR = 2
    COMMAND = 3
    RESULT = 4


class State(IntEnum):
    """How far the device is."""

    UNAUTHORISED = 1
    AUTHORISED = 2
    PROVISIONING = 3
    PROVISIONED = 4


class Error(IntEnum):
    """Why the last command did not do."""

    NONE = 0
    INVALID = 1
    UNKNOWN = 2
    UNABLE = 3  # to connect to the network
    NOT_AUTHORISED = 4
    BAD_HOSTNAME = 5
    OTHER = 255


class Command(IntEnum):
    """Remote procedure calls."""

    SEND_WIFI = 1
    GET_STATE = 2  # serial; identify over BLE
    GET_INFO = 3
    MESSAGE = 0xF0  # ours, over BLE: a piece of a message, see firmware/sensor/improvble.py
    ANSWER = 0xF1


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What answers to `GET_INFO`."""

    firmware: str
    version: str
    chip: str
    name: str


def serial_packet(kind: Kind, data: bytes) -> bytes:
    """Give a serial packet with the line feed that ends it."""
    body = HEADER + bytes((kind, len(data))) + data
    return body + bytes((sum(body) & 255,)) + b"\n"


def command(which: Command, texts: Sequence[str] = ()) -> bytes:
    """Give a call without a sum: which, length, each string behind its length. UsageError for what is too long."""
    encoded = [text.encode() for text in texts]
    data = b"".join(bytes((min(len(text), 255),)) + text for text in encoded)
    if len(data) > 250:
        raise UsageError(f"has {len(data)} bytes", where="Wi-Fi", next_step="shorten network name or password")
    return bytes((which, len(data))) + data


def ble_command(which: Command, texts: Sequence[str] = ()) -> bytes:
    """Give a call as BLE carries it: with its sum."""
    body = command(which, texts)
    return body + bytes((sum(body) & 255,))


def ble_packet(which: Command, data: bytes) -> bytes:
    """Give a call with any data as BLE carries it."""
    body = bytes((which, len(data))) + data
    return body + bytes((sum(body) & 255,))


def read_result(data: bytes) -> tuple[int, tuple[str, ...]]:
    """Take an answer apart, without sum: which command, its strings. InputError for what is none."""
    if len(data) < 2 or data[1] != len(data) - 2:
        raise InputError("is no answer", where="Improv", next_step="check the firmware's version")
    texts, at = [], 2
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise InputError("is cut short", where="Improv", next_step="check the firmware's version")
        texts.append(_shown(data[at + 1 : end]))
        at = end
    return data[0], tuple(texts)


def read_ble_result(data: bytes) -> tuple[int, tuple[str, ...]]:
    """The same with its sum."""
    if len(data) < 3 or sum(data[:-1]) & 255 != data[-1]:
        raise InputError("is damaged", where="Improv", next_step="go nearer to the board and try again")
    return read_result(data[:-1])


def device(texts: Sequence[str]) -> Device:
    """Read the answer to `GET_INFO`; what is missing is empty."""
    firmware, version, chip, name = (*texts, "", "", "", "")[:4]
    return Device(firmware=firmware, version=version, chip=chip, name=name)


class SerialReader:
    """Finds packets among whatever else a port says; holds at most one packet."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take any bytes; give (kind, data) of the packets they complete."""
        self._held += data
        found: list[tuple[int, bytes]] = []
        while (at := self._held.find(HEADER)) >= 0:
            self._held = self._held[at:]
            if len(self._held) < 10 or len(self._held) < 10 + self._held[8]:
                return found
            end = 9 + self._held[8]
            body, total = self._held[:end], self._held[end]
            if sum(body) & 255 == total:
                found.append((body[7], body[9:]))
                self._held = self._held[end + 1 :]
            else:
                self._held = self._held[len(HEADER) :]
        self._held = self._held[-len(HEADER) + 1 :]
        return found


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in text)[:100]
