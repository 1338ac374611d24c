"""A small MQTT 3.1.1 client (OASIS 2014): QoS 0 and 1, one write a packet, many on their way, clean session, TLS.

It keeps nothing: who must not lose keeps it until the hub acknowledged. Buffers are made once; a packet that does not
fit them is passed over and counted.
"""

import asyncio
import gc
import random
import socket
import time
from binascii import a2b_base64
from struct import pack_into

import tls
from micropython import const

from .pipe import Pipe, readable, writable

KEEP_ALIVE_S = const(30)
PING_MS = const(20_000)  # of silence towards the broker
DEAD_MS = const(45_000)  # of silence from it (3.1.2.10: one and a half keep-alives)
CONNECT_MS = const(15_000)
FIRST_WAIT_MS, LONGEST_WAIT_MS = 1000, 60_000
RX_BYTES = const(2560)
TX_BYTES = const(2304)
_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_PINGREQ = const(0xC0)
_IN_PROGRESS = const((115, 119, 36))  # EINPROGRESS of Linux, lwIP, macOS


class MqttError(OSError):
    """The broker broke the protocol or refused; `kind` is a name of `counts.DROPS`."""

    def __init__(self, what: str, kind: str = "broker_refused") -> None:
        super().__init__(what)
        self.kind = kind


class Mqtt(Pipe):
    """One connection. `heard(topic, payload)` is called for every message; the payload is good until it returns."""

    def __init__(self, client_id: str, will_topic: str, subscriptions: tuple[tuple[str, int], ...], heard) -> None:
        super().__init__()
        self._client_id = client_id
        self._will_topic = will_topic
        self._subscriptions = subscriptions
        self._heard = heard
        self._rx, self._tx = bytearray(RX_BYTES), bytearray(TX_BYTES)
        self._rx_view, self._tx_view = memoryview(self._rx), memoryview(self._tx)
        self._reader: asyncio.Task | None = None
        self._fill = self._skip = 0
        self._packet_id = 0
        self._shape = 0  # of the last publication, and its struct format
        self._format = ""
        self._granted = 0
        self._session_open = False
        self._sent = False  # something, since `serve` looked last
        self._sent_ms = self._came_ms = 0
        self.connected = False
        self.oversized = 0
        self.unconfirmed = 0  # QoS 1 publications without PUBACK

    async def connect(self, host: str, port: int, secrets: dict[str, str]) -> None:
        """Connect and subscribe over TLS, both sides verified; OSError, or MemoryError."""
        self._fill = self._skip = 0
        self._granted, self._session_open, self.unconfirmed = 0, False, 0
        gc.collect()  # TLS wants the largest pieces of all
        try:
            await asyncio.wait_for_ms(self._open(host, port, secrets), CONNECT_MS)
        except asyncio.TimeoutError:
            await self.close()
            raise MqttError("no answer", "link_refused")
        except (OSError, ValueError, MemoryError):
            await self.close()
            raise
        self.connected = True

    async def serve(self) -> None:
        """Stay until the connection ends; OSError says why."""
        while self.fault is None:
            await asyncio.sleep_ms(500)
            now_ms = time.ticks_ms()
            if time.ticks_diff(now_ms, self._came_ms) > DEAD_MS:
                raise MqttError("silent", "link_refused")
            if self._sent:
                self._sent, self._sent_ms = False, now_ms
            elif time.ticks_diff(now_ms, self._sent_ms) > PING_MS:
                await self.free()
                self._write_packet(_PINGREQ, 0)
        raise _told(self.fault)

    def publish(self, name: bytes, payload, qos: int, retain: bool) -> bool | None:
        """Write one message; None while busy, False if it does not fit. OSError if there is no connection."""
        if self.busy:
            return None
        if not self.connected:
            raise MqttError("not connected", "link_refused")
        size, length = len(name), len(payload)
        begin = 8 - (size & 3)  # the payload at a multiple of four: copied by words
        end = begin + size + length + 4
        if end > TX_BYTES:
            return False
        shape = size << 16 | length >> 8 << 1 | qos
        if self._shape != shape:
            self._shape = shape
            room = min((length | 255) + 1, TX_BYTES - begin - size - 4)  # what is behind the payload becomes 0
            self._format = ">H%ds%s%ds" % (size, "H" if qos else "", room)
        if qos:  # by format: to assign a slice moves all that is behind it
            self._packet_id = number = self._packet_id % 65_535 + 1
            pack_into(self._format, self._tx, begin, size, name, number, payload)
            self.unconfirmed += 1
        else:
            pack_into(self._format, self._tx, begin, size, name, payload)
            end -= 2
        self._write_packet(_PUBLISH | (qos << 1) | (1 if retain else 0), end - begin, begin)
        return True

    async def disconnect(self) -> None:
        """Take leave: the broker drops the will."""
        if self.connected:
            await self.free()
            self._write_packet(0xE0, 0)
        await self.close()

    async def close(self) -> None:
        """Cut."""
        self.connected = False
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if self.stream is not None:
            self.stream.close()
            self.opened(None)
        await asyncio.sleep_ms(0)

    async def _open(self, host: str, port: int, secrets: dict[str, str]) -> None:
        address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        raw = socket.socket(address[0], address[1], address[2])
        self.opened(raw)
        raw.setblocking(False)
        try:
            raw.connect(address[-1])
        except OSError as error:
            if error.errno not in _IN_PROGRESS:
                raise
        await writable(raw)
        self.opened(secured(raw, host, secrets))
        self._came_ms = self._sent_ms = time.ticks_ms()
        self._say_connect()
        self._reader = asyncio.create_task(self._read())
        await self._until(lambda: self._session_open)
        await self.free()
        self._say_subscribe()
        await self._until(lambda: self._granted)

    async def _until(self, done) -> None:
        while not done():
            if self.fault is not None:
                raise _told(self.fault)
            await asyncio.sleep_ms(5)

    # -- writing --

    def _say_connect(self) -> None:
        at = self._put_text(5, b"MQTT")
        # 3.1.2: level 4; will retained at QoS 1, clean session
        at = self._put(at, bytes((4, 0x2E, KEEP_ALIVE_S >> 8, KEEP_ALIVE_S & 255)))
        at = self._put_text(at, self._client_id.encode())
        at = self._put_text(self._put_text(at, self._will_topic.encode()), b"offline")
        self._write_packet(_CONNECT, at - 5)

    def _say_subscribe(self) -> None:
        at = self._put_id(5)
        for topic, qos in self._subscriptions:
            at = self._put(self._put_text(at, topic.encode()), bytes((qos,)))
        self._write_packet(_SUBSCRIBE, at - 5)

    def _put(self, at: int, data: bytes) -> int:
        self._tx[at : at + len(data)] = data
        return at + len(data)

    def _put_text(self, at: int, text: bytes) -> int:
        size = len(text)
        pack_into(">H", self._tx, at, size)
        at += 2
        self._tx[at : at + size] = text
        return at + size

    def _put_id(self, at: int) -> int:
        self._packet_id = number = self._packet_id % 65_535 + 1
        pack_into(">H", self._tx, at, number)
        return at + 2

    def _write_packet(self, head: int, size: int, begin: int = 5) -> None:
        """Write `size` bytes of the buffer from `begin` on, the fixed header put right before them."""
        tx, end = self._tx, begin + size
        if size >= 128:
            begin -= 1
            tx[begin] = size >> 7
            size = size & 127 | 128
        tx[begin - 1] = size
        tx[begin - 2] = head
        try:
            self.write(self._tx_view[begin - 2 : end])
        except (OSError, ValueError) as error:
            self.fault = error
            raise _told(error)
        self._sent = True

    # -- reading --

    async def _read(self) -> None:
        try:
            while True:
                count = self.stream.readinto(self._rx_view[self._fill :])
                if count is None:
                    await readable(self.stream)
                elif count == 0:
                    raise MqttError("the broker closed the connection", "link_refused")
                else:
                    self._came_ms = time.ticks_ms()
                    self._fill += count
                    await self._packets()
        except (OSError, ValueError) as error:
            self.fault = error

    async def _packets(self) -> None:
        """Take every whole packet in the buffer."""
        at = 0
        while True:
            if self._skip:
                skipped = min(self._skip, self._fill - at)
                at += skipped
                self._skip -= skipped
            whole = self._whole(at)
            if whole == 0:
                break
            if whole > RX_BYTES:
                self.oversized += 1
                self._skip = whole
                continue
            await self._packet(at, at + whole)
            at += whole
        self._rx_view[: self._fill - at] = self._rx_view[at : self._fill]
        self._fill -= at

    def _whole(self, at: int) -> int:
        """Give the packet's size with its header once it is all there (or cannot ever be); 0: not yet."""
        size = 0
        for index in range(1, 5):
            if at + index >= self._fill:
                return 0
            byte = self._rx[at + index]
            size |= (byte & 127) << 7 * (index - 1)
            if byte < 128:
                whole = 1 + index + size
                return whole if at + whole <= self._fill or whole > RX_BYTES else 0
        raise MqttError("a length without end")

    async def _packet(self, at: int, end: int) -> None:
        kind = self._rx[at]
        at += 1
        while self._rx[at] > 127:
            at += 1
        at += 1
        if kind & 0xF0 == _PUBLISH:
            await self._published(kind, at, end)
        elif kind == _PUBACK:
            self.unconfirmed -= 1
        elif kind == _CONNACK:
            if end - at < 2 or self._rx[at + 1]:
                raise MqttError("refused: " + str(self._rx[at + 1]))
            self._session_open = True
        elif kind == _SUBACK:
            if 128 in bytes(self._rx_view[at + 2 : end]):
                raise MqttError("a subscription was refused")
            self._granted = 1

    async def _published(self, kind: int, at: int, end: int) -> None:
        qos = kind >> 1 & 3
        behind = at + 2 + (self._rx[at] << 8 | self._rx[at + 1])
        begin = behind + (2 if qos else 0)
        if begin > end:
            raise MqttError("a short publication")
        topic = bytes(self._rx_view[at + 2 : behind])
        self._heard(topic, self._rx_view[begin:end])
        if qos:
            await self.free()
            self._tx[5:7] = self._rx_view[behind : behind + 2]
            self._write_packet(_PUBACK, 2)


class BackOff:
    """How long to wait before trying again: doubles, with jitter, so that a fleet does not come in step."""

    def __init__(self) -> None:
        self._wait_ms = FIRST_WAIT_MS

    def worked(self) -> None:
        """The connection came up."""
        self._wait_ms = FIRST_WAIT_MS

    def next_ms(self) -> int:
        """Give the next wait."""
        wait_ms = self._wait_ms
        self._wait_ms = min(2 * wait_ms, LONGEST_WAIT_MS)
        return wait_ms // 2 + (random.getrandbits(12) * wait_ms >> 12)


def secured(raw, host: str, secrets: dict[str, str]):
    """Wrap a socket in TLS, both sides verified as far as `secrets` has certificates."""
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # documented, not in the stub
    try:
        context.load_verify_locations(der(secrets["ca"]))
        if secrets["cert"]:
            context.load_cert_chain(der(secrets["cert"]), der(secrets["key"]))
        wrapped = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    except (ValueError, KeyError) as error:
        raise MqttError(f"certificates: {error}", "tls_refused")
    wrapped.setblocking(False)
    return wrapped


def der(pem: str) -> bytes:
    """Give the first PEM section as DER: not every build of the TLS library reads PEM."""
    lines = pem.strip().split("\n")
    if len(lines) < 3 or not lines[0].startswith("-----BEGIN"):
        raise ValueError("no PEM")
    body = []
    for line in lines[1:]:
        if line.startswith("-----END"):
            break
        body.append(line.strip())
    return a2b_base64("".join(body))


def _told(error: Exception) -> OSError:
    if isinstance(error, MqttError):
        return error
    tls_fault = isinstance(error, ValueError) or (error.args and isinstance(error.args[0], int) and error.args[0] < -1)
    return MqttError(str(error), "tls_refused" if tls_fault else "link_refused")
