"""A listener that passes MQTT through to a broker and keeps every byte, and what such bytes say."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

PUBLISH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One MQTT packet. `topic` is empty but for PUBLISH; `data` is all of it."""

    topic: str
    payload: bytes
    data: bytes


class Recorder:
    """Listens on `port`, on loopback; every connection goes on to the broker at `to_port`."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.streams: list[bytearray] = []  # one a connection and direction
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the one who waits in accept
        self._listener.close()

    def packets(self) -> Iterator[Packet]:
        """Give every whole packet of every connection."""
        for stream in list(self.streams):
            yield from packets(bytes(stream))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:
                return
            kept = bytearray(), bytearray()
            self.streams += kept
            threading.Thread(target=_pass_both, args=(client, broker, kept), daemon=True).start()


def packets(stream: bytes) -> Iterator[Packet]:
    """Take a connection's bytes of one direction apart (MQTT 3.1.1, section 2.2)."""
    at = 0
    while at + 2 <= len(stream):
        size, body, shift = 0, at + 1, 0
        while body < len(stream):
            byte = stream[body]
            size |= (byte & 127) << shift
            body, shift = body + 1, shift + 7
            if byte < 128:
                break
        data = stream[at : body + size]
        yield _packet(stream[at], data, body - at)
        at = body + size


def _packet(head: int, data: bytes, body: int) -> Packet:
    if head >> 4 != PUBLISH:
        return Packet(topic="", payload=b"", data=data)
    length = int.from_bytes(data[body : body + 2], "big")
    start = body + 2 + length + 2 * bool(head & 6)
    return Packet(topic=data[body + 2 : body + 2 + length].decode(), payload=data[start:], data=data)


def _pass_both(client: socket.socket, broker: socket.socket, kept: tuple[bytearray, bytearray]) -> None:
    with client, broker:
        back = threading.Thread(target=_pass_on, args=(broker, client, kept[1]), daemon=True)
        back.start()
        _pass_on(client, broker, kept[0])
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    try:
        while data := source.recv(1 << 16):
            kept += data
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
