"""MQTT 3.1.1 and 5 a packet at a time over a socket, for what no well-behaved client asks. Synchronous, bounded.

Sources: OASIS MQTT 3.1.1 and 5.0; 5 tells limits and why a publication was refused.
Everything a peer may do wrong is OSError or ValueError.
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
    """One connection. Every wait ends after `timeout_s` with TimeoutError, which is an OSError.

    `limits` are properties of an MQTT 5 CONNACK: their numbers and values.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.limits: dict[int, int] = {}
        self._new = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def hello(
        self,
        client_id: str,
        *,
        user: str | None = None,
        password: str | None = None,
        keep_alive_s: int = 30,
        version: int = 4,
    ) -> int:
        """Connect with a clean session; give the return code: 0 is accepted. `version` 4 is MQTT 3.1.1, 5 is 5.0."""
        self._new = version == 5
        flags = _CLEAN | (_USER if user is not None else 0) | (_PASSWORD if password is not None else 0)
        words = [client_id, *(word for word in (user, password) if word is not None)]
        head = _text("MQTT") + struct.pack(">BBH", version, flags, keep_alive_s)
        self.send(0x10, head + self._no_properties + b"".join(map(_text, words)))
        packet = self.receive()
        if packet.kind != CONNACK or len(packet.body) < 2:
            raise ValueError("no CONNACK")
        if self._new:
            self.limits = _numbers(packet.body[2:])
        return packet.body[1]

    def subscribe(self, *topics: str, qos: int = 1) -> bytes:
        """Subscribe; give a return code for each: 0x80 is refused."""
        self.send(
            0x82, struct.pack(">H", 1) + self._no_properties + b"".join(_text(topic) + bytes([qos]) for topic in topics)
        )
        while (packet := self.receive()).kind != SUBACK:
            pass
        return packet.body[-len(topics) :]

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> int:
        """Send; at QoS 1 wait until it is confirmed and give the reason code: in MQTT 5 from 0x80 on it was refused."""
        middle = struct.pack(">H", 2) if qos else b""
        self.send(PUBLISH | qos << 1 | retain, _text(topic) + middle + self._no_properties + payload)
        while qos:
            packet = self.receive()
            if packet.kind == PUBACK:
                return packet.body[2] if len(packet.body) > 2 else 0
        return 0

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
                    start += 1 + packet.body[start] if self._new else 0
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

    @property
    def _no_properties(self) -> bytes:
        return b"\0" if self._new else b""

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


_SIZES = {17: 4, 19: 2, 33: 2, 34: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1}  # of properties that are numbers


def _numbers(properties: bytes) -> dict[int, int]:
    """Read the properties that are numbers, up to the first that is none; their whole is under 128 bytes."""
    found: dict[int, int] = {}
    at = 1
    while at < len(properties) and (size := _SIZES.get(properties[at])):
        found[properties[at]] = int.from_bytes(properties[at + 1 : at + 1 + size])
        at += 1 + size
    return found


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
