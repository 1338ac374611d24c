"""MQTT 3.1.1 a packet at a time over a socket, for questions a well-behaved client never asks. Synchronous, bounded.

Source: OASIS MQTT 3.1.1. Everything a peer may do wrong is OSError or ValueError.
"""

import socket
import ssl
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xD0
ACCEPTED = 0
MAX_BYTES = 4 << 20
_CLEAN, _PASSWORD, _USER = 0x02, 0x40, 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet: `kind` is the upper half of its first byte, `flags` the lower."""

    kind: int
    flags: int
    body: bytes


class Link:
    """One connection. Every wait ends after `timeout_s` with TimeoutError, which is an OSError."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def hello(
        self, client_id: str, *, user: str | None = None, password: str | None = None, keep_alive_s: int = 30
    ) -> int:
        """Connect with a clean session; give the return code: 0 is accepted, 4 wrong password, 5 not authorised."""
        flags = _CLEAN | (_USER if user is not None else 0) | (_PASSWORD if password is not None else 0)
        words = [client_id, *(word for word in (user, password) if word is not None)]
        body = _text("MQTT") + struct.pack(">BBH", 4, flags, keep_alive_s) + b"".join(map(_text, words))
        self.send(0x10, body)
        packet = self.receive()
        if packet.kind != CONNACK or len(packet.body) != 2:
            raise ValueError("no CONNACK")
        return packet.body[1]

    def subscribe(self, *topics: str, qos: int = 1) -> bytes:
        """Subscribe; give a return code for each: 0x80 is refused."""
        self.send(0x82, struct.pack(">H", 1) + b"".join(_text(topic) + bytes([qos]) for topic in topics))
        while (packet := self.receive()).kind != SUBACK:
            pass
        return packet.body[2:]

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Send; at QoS 1 wait until it is confirmed."""
        middle = struct.pack(">H", 2) if qos else b""
        self.send(PUBLISH | qos << 1 | retain, _text(topic) + middle + payload)
        while qos and self.receive().kind != PUBACK:
            pass

    def messages(self, quiet_s: float, limit: int = 1000) -> list[tuple[str, bytes, bool]]:
        """Take (topic, payload, retained) until nothing came for `quiet_s`."""
        found: list[tuple[str, bytes, bool]] = []
        self.socket.settimeout(quiet_s)
        try:
            while len(found) < limit:
                packet = self.receive()
                if packet.kind == PUBLISH:
                    size = struct.unpack_from(">H", packet.body)[0]
                    start = 2 + size + (2 if packet.flags & 0x06 else 0)
                    topic = packet.body[2 : 2 + size].decode("utf-8", "replace")
                    found.append((topic, packet.body[start:], bool(packet.flags & 1)))
        except TimeoutError:
            pass
        return found

    def ping(self) -> None:
        """Ask for a sign of life and wait for it: everything sent before was taken."""
        self.send(0xC0, b"")
        while self.receive().kind != PINGRESP:
            pass

    def bye(self) -> None:
        """Say goodbye; no will is sent."""
        self.send(0xE0, b"")

    def send(self, first: int, body: bytes) -> None:
        """Send one packet as it is."""
        self.socket.sendall(bytes([first]) + _length(len(body)) + body)

    def receive(self) -> Packet:
        """Take one packet."""
        first = self._exactly(1)[0]
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            if shift > 21:
                raise ValueError("malformed length")
        if length > MAX_BYTES:
            raise ValueError("too long")
        return Packet(kind=first & 0xF0, flags=first & 0x0F, body=self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise ConnectionResetError("closed")
            parts += part
        return parts


def connect(
    host: str, port: int, *, context: ssl.SSLContext | None = None, name: str | None = None, timeout_s: float
) -> Link:
    """Open a connection, with `context` over TLS to a server of that `name`. Says nothing of MQTT yet."""
    plain = socket.create_connection((host, port), timeout_s)
    if context is None:
        return Link(plain)
    try:
        return Link(context.wrap_socket(plain, server_hostname=name or host))
    except BaseException:
        plain.close()
        raise


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _length(count: int) -> bytes:
    out = bytearray()
    while True:
        count, low = divmod(count, 128)
        out.append(low | (0x80 if count else 0))
        if not count:
            return bytes(out)
