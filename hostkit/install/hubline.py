"""One connection to a hub for a whole command: what it says of its probes, and orders to it, as an operator.

A broker of ours knows a client by its certificate and lets an identity connect once, so many boards share this one. The
connection has a thread of its own; every method may be called from any.
"""

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Queue

from hostkit.contract.codec import INFO, PROBES, RSP, decode, decode_state
from hostkit.contract.commands import Asked, Response, Status
from hostkit.contract.messages import State
from hostkit.contract.probes import Probes, ProbeStatus
from hostkit.contract.topics import HUB, topic
from hostkit.errors import ConfigError, PeerError
from hostkit.hub.ask import Envoy, Request, request_of
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, over_since, parse_url, take

CONNECT_S = 10.0
TOLD_S = 15.0  # a hub tells every five seconds
FRESH_S = 8.0  # old at most is what one that is online told last
MUTE_S = 6.5  # of one that is online and has told nothing: it has heard no probe
RETAINED_S = 1.0
PATIENCE_S = 5.0  # with a broker that refuses: it may be starting
DISTRUSTED = "certificate verify failed"  # OpenSSL's words
_REST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a hub said, `at_s` by our monotonic clock. `live`: said while we listened; else it may be old."""

    probes: Probes
    live: bool
    at_s: float

    def row(self, probe: str) -> ProbeStatus | None:
        """Give the status of one probe; None where the hub's site.toml has none of that id."""
        return next((row for row in self.probes.rows if row.id == probe), None)


class HubLine:
    """Begins to connect at once. ConfigError for a credential that cannot be used or is over."""

    def __init__(self, envoy: Envoy) -> None:
        self._envoy = envoy
        self._probes = topic(envoy.tenant, envoy.site, HUB, "probes")
        self._state = topic(envoy.tenant, envoy.site, HUB, "state")
        self._info = topic(envoy.tenant, envoy.site, HUB, "info")
        answers = topic(envoy.tenant, envoy.site, HUB, "rsp/x").removesuffix("x") + "+"
        self._inbox: Inbox = Queue(1000)
        self._orders: Queue[Request] = Queue(1000)
        self._changed = threading.Condition()
        self._responses: dict[str, Response] = {}
        self._told: Told | None = None
        self._hub: State | None = None
        self._release: str | None = None
        self._trouble = "it does not answer"
        self._down_s: float | None = None
        url = parse_url(envoy.broker)
        self.where = str(url)
        if (over := over_since(url)) is not None:
            raise ConfigError(
                f"is over since {over:%Y-%m-%d} (or this machine's clock is wrong)",
                where=str(url.cert),
                next_step="ask for a new code (footfall hub enrol NAME --role operator), then footfall enrol",
            )
        self._client = Client(
            url,
            self._inbox,
            name="probes",
            client_id=f"{envoy.tenant}/{envoy.site}/{envoy.node}-{secrets.token_hex(4)}",
            subscriptions=((self._probes, 0), (self._info, 1), (self._state, 1), (answers, 1)),
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hub line", daemon=True)
        self._client.start()
        self._thread.start()

    def __enter__(self) -> "HubLine":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def told(self) -> Told | None:
        """Give the hub's last word on its probes."""
        return self._told

    @property
    def release(self) -> str | None:
        """Give the release of Footfall that the hub says it runs; None before it did."""
        return self._release

    def reachable(self) -> bool:
        """Wait for the hub itself: True once it says that it is online, False if it does not in time."""
        self._until(lambda: self._hub is State.ONLINE or self._refused, CONNECT_S)
        return self._hub is State.ONLINE

    def knows_any(self) -> bool:
        """Tell whether the hub has ever heard a probe: what it says of them is retained, and comes at once."""
        return self._until(lambda: self._told is not None, RETAINED_S)

    def next(self, after: Told | None = None) -> Told:
        """Wait for its next word, said now; PeerError that says which of broker, right, hub and probe is missing."""
        return self._wait(lambda told: told.live and told is not after)

    def latest(self) -> Told:
        """Give its last word where that is of these seconds, by both clocks, else its next; PeerError as `next`."""

        def fresh(told: Told) -> bool:
            return self._hub is State.ONLINE and abs(time.time() - told.probes.at_s) < FRESH_S

        return self._wait(lambda told: told.live or fresh(told))

    def _wait(self, good: Callable[[Told], bool]) -> Told:
        mute_s = time.monotonic() + MUTE_S

        def mute() -> bool:
            return self._hub is State.ONLINE and self._told is None and time.monotonic() > mute_s

        def told() -> bool:
            return self._told is not None and good(self._told)

        self._until(lambda: told() or self._refused or mute(), TOLD_S)
        if not told() or self._told is None:
            raise self.silent()
        return self._told

    def order(self, command: Asked, wait_s: float) -> Response:
        """Give a command and wait for its final answer; PeerError if none comes."""
        self._orders.put(request_of(self._envoy, command))
        if self._until(lambda: command.id in self._responses, wait_s):
            return self._responses.pop(command.id)
        raise PeerError("no answer", where=self.where, next_step="look at the hub's state and log (footfall watch)")

    def silent(self) -> PeerError:
        """Say why nothing is heard."""
        if not self._client.connected:
            why, _, step = self._trouble.partition("; ")
            what, step = f"no broker answers ({why})", step or "start the broker, check address and certificate"
        elif self._hub is None:
            what = "nothing is heard of the hub"
            step = "use an operator's identity (footfall hub enrol NAME --role operator), or start footfall hub run"
        elif self._hub is not State.ONLINE:
            what, step = f"the hub is {self._hub}", "start it: footfall hub run"
        else:
            what = "the hub has not heard any probe yet, or does not tell this identity"
            step = "power a probe; an operator may read it: footfall hub enrol NAME --role operator"
        return PeerError(what, where=self.where, next_step=step)

    def stop(self) -> None:
        """Disconnect."""
        self._over.set()
        self._thread.join(2.0)

    @property
    def _refused(self) -> bool:
        """Tell whether waiting for the broker is in vain."""
        if self._client.connected or self._down_s is None:
            return False
        return DISTRUSTED in self._trouble or time.monotonic() > self._down_s + PATIENCE_S

    def _until(self, true: Callable[[], bool], wait_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(true, wait_s)

    def _run(self) -> None:
        waiting: Request | None = None
        while not self._over.is_set():
            item = take(self._inbox, _REST_S)
            with self._changed:
                if item is not None:
                    self._took(item)
                self._changed.notify_all()
            if waiting is None and not self._orders.empty():
                waiting = self._orders.get()
            if waiting is not None and self._client.publish(waiting.topic, waiting.payload) is not None:
                waiting = None
        self._client.stop()

    def _took(self, item: Arrived | Up | Down) -> None:
        if isinstance(item, Down):
            self._trouble = item.reason
            self._down_s = self._down_s or time.monotonic()
        elif isinstance(item, Up):
            self._down_s = None
        else:
            self._client.ack(item)
            with suppress(PeerError):
                self._arrived(item)

    def _arrived(self, item: Arrived) -> None:
        if item.topic == self._state:
            self._hub = decode_state(item.payload, item.topic)
        elif item.topic == self._info:
            self._release = decode(INFO, item.payload, item.topic).data.firmware
        elif item.topic == self._probes:
            probes = decode(PROBES, item.payload, item.topic).data
            self._told = Told(probes=probes, live=not item.retained, at_s=time.monotonic())
        else:
            response = decode(RSP, item.payload, item.topic).data
            if response.outcome is not Status.ACCEPTED:
                self._responses[response.id] = response
