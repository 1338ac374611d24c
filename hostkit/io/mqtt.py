"""One MQTT 3.1.1 client over paho. Knows no topic of ours and stores nothing: who must not lose keeps it until acked.

Threads: the network runs in one daemon thread per client, and nobody else touches the socket: paho's `publish` beside
its own loops may write there, so that packets go in pieces and two threads are in OpenSSL's memory. The thread puts
`Arrived`, `Up` and `Down` into the caller's bounded `Inbox` and does nothing else; several clients may share one inbox.
The caller has one loop that takes from the inbox and calls `publish`, `ack` and `stop`; these may be called from that
thread only. While the inbox is full, QoS 0 is dropped and counted, QoS 1 waits and so do the broker and, in the end,
the publisher: nothing of it is lost.
"""

import ipaddress
import random
import select
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import paho.mqtt.client as paho
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hostkit.errors import ConfigError, UsageError
from hostkit.secret import secret_path

KEEP_ALIVE_S = 30  # a dead peer is found within 45 s (MQTT 3.1.1, 3.1.2.10)
TURN_S = 1.0  # keep-alives are looked after so often
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
CONNECT_TIMEOUT_S = 5.0
MAX_PAYLOAD_BYTES = 1 << 20  # nothing of ours is larger; the broker's own limit keeps memory bounded
MAX_QUEUED = 1000  # unacknowledged QoS 1 publications
MAX_IN_FLIGHT = 20  # mosquitto's own default towards us
INBOX_ITEMS = 2000
_PLAIN_PORT, _TLS_PORT = 1883, 8883
CLOSED = "the broker closed the connection without an answer"
CLOSED_TLS = f"{CLOSED}; it may not accept our certificate: check cert and key"
EXPIRED = "certificate has expired"  # OpenSSL's words
OVER_THERE = "; the broker's certificate is over, or our clock is wrong: its hub or collector renews it while it runs"
_TLS_OPTIONS = {"ca", "cert", "key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Where a broker is. `ca`, `cert` and `key` are PEM files; without `ca` the system's authorities count."""

    host: str
    port: int
    tls: bool
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message of `link`. At QoS 1 the broker keeps it until `Client.ack(message)`."""

    link: str
    topic: str
    payload: bytes
    qos: int
    retained: bool
    duplicate: bool
    mid: int
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """`link` is connected and every subscription is in force. `session`: the broker remembered this client."""

    link: str
    session: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """`link` lost its connection or could not make one; it tries again by itself. Told once per change of reason."""

    link: str
    reason: str


Item: TypeAlias = Arrived | Up | Down
Inbox: TypeAlias = Queue[Item]


class Counted(StrEnum):
    """What a client counts."""

    RECEIVED = "received"
    SENT = "sent"
    CONNECTIONS = "connections"
    INBOX_FULL = "inbox_full"  # QoS 0 messages dropped
    REFUSED = "refused"  # publications refused: not connected or too many unacknowledged
    UNREADABLE = "unreadable"  # topic not UTF-8 or payload too long; confirmed, so that it does not come again


def parse_url(text: str) -> BrokerUrl:
    """Read `mqtt://127.0.0.1:1883` or `mqtts://host:8883?ca=FILE&cert=FILE&key=FILE`.

    Raises UsageError for what is no such address, ConfigError for a plain connection to any other machine.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in {"mqtt", "mqtts"} or parts.path not in {"", "/"} or parts.fragment:
        raise _unusable(text, "is no broker address")
    if parts.username is not None or parts.password is not None:
        raise _unusable(text.replace(parts.netloc, "…"), "holds a password; identity is a client certificate")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls = parts.scheme == "mqtts"
    if set(options) - _TLS_OPTIONS or not all(options.values()) or (options and not tls):
        raise _unusable(text, "has unknown options")
    if ("cert" in options) != ("key" in options):
        raise _unusable(text, "needs both cert and key or neither")
    if not tls and not is_loopback(host):
        raise ConfigError(
            "a plain connection to another machine is refused", where=text, next_step="use mqtts://HOST:8883?ca=FILE"
        )
    return BrokerUrl(host=host, port=port or (_TLS_PORT if tls else _PLAIN_PORT), tls=tls, **options)


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine by its very address; no name but localhost is trusted."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Publication:
    """A message on its way. `done` once the broker has confirmed it (QoS 1) or it was written (QoS 0)."""

    __slots__ = ("_info",)

    def __init__(self, info: paho.MQTTMessageInfo) -> None:
        self._info = info

    @property
    def done(self) -> bool:
        """Tell whether the broker confirmed it."""
        return self._info.is_published()


class Client:
    """One connection that stays up. `name` is `link` in what it puts into `inbox`.

    `clean` False: the broker keeps subscriptions and QoS 1 messages while we are away. With `state_topic` the word
    `online` is retained there after every connect, `offline` as the will and at `stop`. ConfigError for TLS files
    that cannot be used. Nothing happens before `start`.
    """

    def __init__(
        self,
        url: BrokerUrl,
        inbox: Inbox,
        *,
        name: str,
        client_id: str,
        subscriptions: tuple[tuple[str, int], ...] = (),
        clean: bool = True,
        state_topic: str | None = None,
        keep_alive_s: int = KEEP_ALIVE_S,
    ) -> None:
        self.name = name
        self.url = url
        self.connected = False
        self.counts = dict.fromkeys(Counted, 0)
        self._inbox = inbox
        self._subscriptions = subscriptions
        self._state_topic = state_topic
        self._answered = False  # by the broker, on the present connection
        self._keep_alive_s = keep_alive_s
        self._connection = 0
        self._session = False
        self._reason = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)
        self._waker: socket.socket | None = None
        self._tls = _tls_context(url) if url.tls else None
        self._paho = self._make(client_id, clean)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._thread.start()

    def publish(
        self, topic: str, payload: bytes | bytearray | str, *, qos: int = 1, retain: bool = False
    ) -> Publication | None:
        """Send; None, counted, while not connected or with too many unconfirmed.

        QoS 1 survives a reconnect. Also what was refused may arrive, if the connection broke that very moment.
        """
        if not self.connected:
            self.counts[Counted.REFUSED] += 1
            return None
        info = self._paho.publish(topic, payload, qos=qos, retain=retain)
        self._wake()
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.counts[Counted.SENT] += 1
            return Publication(info)
        self.counts[Counted.REFUSED] += 1
        return None

    def ack(self, message: Arrived) -> None:
        """Confirm a QoS 1 message. One of an earlier connection is passed over: the broker sends it again."""
        if message.qos and message.connection == self._connection:
            self._paho.ack(message.mid, message.qos)
            self._wake()

    def drop(self) -> None:
        """Close the connection and make a new one: the broker then sends again what was not confirmed."""
        self._paho.disconnect()
        self._wake()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Say `offline`, disconnect and end the thread within `timeout_s`."""
        self._stopping.set()
        if self.connected and self._state_topic:
            with suppress(RuntimeError, ValueError):  # the connection broke just now: the will says it
                said = self._paho.publish(self._state_topic, "offline", qos=1, retain=True)
                self._wake()
                said.wait_for_publish(timeout_s / 2)
        self.drop()
        if self._thread.is_alive():
            self._thread.join(timeout_s / 2)

    def _make(self, client_id: str, clean: bool) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_queued_messages_set(MAX_QUEUED)
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._state_topic:
            client.will_set(self._state_topic, "offline", qos=1, retain=True)
        if self._tls:
            client.tls_set_context(self._tls)
        client.on_socket_open = _at_once
        client.on_socket_register_write = lambda *_: None  # tells paho that somebody else's loop writes: `_follow`
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _run(self) -> None:
        assert self._waker
        with self._woken, self._waker:
            self._connect_again()

    def _connect_again(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            before, self._answered = self._connection, False
            try:
                if self._tls:
                    _load_identity(self._tls, self.url)  # it may have been renewed
                self._paho.connect(self.url.host, self.url.port, keepalive=self._keep_alive_s)
                self._follow()
                if not self._answered and not self._stopping.is_set():
                    self._down(_over(self.url) or CLOSED_TLS if self.url.tls else CLOSED)
            except (OSError, ValueError) as error:  # ValueError: paho's own word for a socket that went away
                said = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._down(_over(self.url) or said + (OVER_THERE if EXPIRED in said else ""))
            except ConfigError as error:
                self._down(str(error))
            wait_s = FIRST_WAIT_S if self._connection > before else min(2 * wait_s, LONGEST_WAIT_S)
            # Jitter: thousands of hubs must not come back in the same second.
            self._stopping.wait(wait_s * random.uniform(0.5, 1.5))

    def _follow(self) -> None:
        """Read and write until the connection is over."""
        client = self._paho
        while (line := client.socket()) is not None:
            held = isinstance(line, ssl.SSLSocket) and line.pending() > 0  # by TLS: select does not see it
            wants = [line] if client.want_write() else []
            ready, _, _ = select.select([line, self._woken], wants, [], 0.0 if held else TURN_S)
            if self._woken in ready:
                self._woken.recv(4096)
            if line in ready or held:
                client.loop_read()
            if client.want_write():
                client.loop_write()
            client.loop_misc()

    def _wake(self) -> None:
        """Let the network thread look what there is to send."""
        if self._waker:
            with suppress(OSError):  # it is being woken, or over
                self._waker.send(b"\0")

    def _on_connect(
        self, client: paho.Client, _: object, flags: paho.ConnectFlags, reason: ReasonCode, __: Properties | None
    ) -> None:
        self._answered = True
        if reason.is_failure:
            self._down(str(reason))
            return
        self._connection += 1
        self._session = flags.session_present
        if self._subscriptions:
            client.subscribe(list(self._subscriptions))
        else:
            self._up()

    def _on_subscribe(
        self, client: paho.Client, _: object, __: int, reasons: list[ReasonCode], ___: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._down("the broker refused a subscription")
            client.disconnect()
            return
        self._up()

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        self.counts[Counted.RECEIVED] += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if not topic or len(message.payload) > MAX_PAYLOAD_BYTES:
            self.counts[Counted.UNREADABLE] += 1
            client.ack(message.mid, message.qos)
            return
        arrived = Arrived(
            link=self.name, topic=topic, payload=bytes(message.payload), qos=message.qos, retained=message.retain,
            duplicate=message.dup, mid=message.mid, connection=self._connection,
        )  # fmt: skip
        if message.qos:
            self._put(arrived)
            return
        try:
            self._inbox.put_nowait(arrived)
        except Full:
            self.counts[Counted.INBOX_FULL] += 1

    def _on_disconnect(
        self, _: paho.Client, __: object, ___: paho.DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if self.connected:
            self._down(str(reason))

    def _up(self) -> None:
        self.connected, self._reason = True, ""
        self.counts[Counted.CONNECTIONS] += 1
        if self._state_topic:
            self._paho.publish(self._state_topic, "online", qos=1, retain=True)
        self._put(Up(link=self.name, session=self._session))

    def _down(self, reason: str) -> None:
        changed, self._reason = reason != self._reason, reason
        self.connected = False
        if changed:
            self._put(Down(link=self.name, reason=reason))

    def _put(self, item: Item) -> None:
        """Wait for room unless we are stopping."""
        while not self._stopping.is_set():
            try:
                self._inbox.put(item, timeout=0.2)
            except Full:
                continue
            return


def take(inbox: Inbox, timeout_s: float) -> Item | None:
    """Give the next item; None after `timeout_s`."""
    try:
        return inbox.get(timeout=timeout_s) if timeout_s > 0 else inbox.get_nowait()
    except Empty:
        return None


def _tls_context(url: BrokerUrl) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=url.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load_identity(context, url)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"TLS files cannot be used ({error.strerror or error})",
            where=str(url),
            next_step="check ca, cert and key: PEM files you may read",
        ) from error
    return context


def _load_identity(context: ssl.SSLContext, url: BrokerUrl) -> None:
    if url.cert and url.key:
        context.load_cert_chain(url.cert, secret_path(Path(url.key)))


def over_since(url: BrokerUrl) -> datetime | None:
    """Give when our certificate was over, None if it is good or cannot be read."""
    if not url.cert:
        return None
    try:
        end = x509.load_pem_x509_certificate(Path(url.cert).read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
    return end if end <= datetime.now(UTC) else None


def _over(url: BrokerUrl) -> str | None:
    """Say that our certificate is over, if it is: all that a broker says is goodbye."""
    end = over_since(url)
    if end is None:
        return None
    return f"our certificate {url.cert} is over since {end:%Y-%m-%d}; take a new code and run `footfall enrol`"


def _unusable(text: str, what: str) -> UsageError:
    return UsageError(
        what, where=text, next_step="write mqtt://127.0.0.1:1883 or mqtts://HOST:8883?ca=FILE&cert=FILE&key=FILE"
    )


def _at_once(_: paho.Client, __: object, connected: object) -> None:
    """Nagle's algorithm would hold an answer back until the packet before it is acknowledged, 40 ms."""
    assert isinstance(connected, socket.socket)
    with suppress(OSError):  # it went away already
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
