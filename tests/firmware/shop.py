"""A shop for the board: authority, broker with mutual TLS and its ACL, the real hub in a thread, a listener."""

import functools
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from hostkit.config import dump_site
from hostkit.contract.codec import ACK, CMD, HEALTH, INFO, RSP, Kind, compose, decode, encode
from hostkit.contract.commands import Asked, Response
from hostkit.contract.messages import Ack, GiveKeys, Health, Info, KeySpan
from hostkit.contract.topics import Address
from hostkit.core.wire import Batch, decode_batch
from hostkit.field.nights import apply_newest
from hostkit.hub.ask import Envoy, ask
from hostkit.hub.keeper import database
from hostkit.hub.parts import HubSettings
from hostkit.hub.service import WAIT_S, Hub
from hostkit.identity.access import BrokerFiles, Role, access_list, configuration
from hostkit.identity.authority import Authority
from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.io.outbox import Outbox
from hostkit.model import Probe, Provenance, Site
from hostkit.sim.plan import default_site
from tests.firmware.board import PATIENCE_S, Frame
from tests.io.brokers import Mosquitto

T = TypeVar("T")
V = TypeVar("V")

PROBE = "window-left"
SITE = replace(default_site(), probes=(Probe(id=PROBE, floor="ground", position_m=(1.0, 1.0, 2.5)),))
PLACE = f"footfall/v1/{SITE.tenant}/{SITE.site}"


class Shop:
    """Broker and identities in `folder`; `start_hub` starts the real hub. `heard` is everything that was published."""

    def __init__(self, folder: Path, site: Site = SITE) -> None:
        self.folder, self.site = folder, site
        self.authority = Authority.create("test site", time.time())
        nodes = [("hub", Role.HUB), ("boss", Role.OPERATOR), *((probe.id, Role.PROBE) for probe in site.probes)]
        for node, role in (*nodes, ("broker", Role.BROKER), ("watcher", Role.READER)):
            self.issue(node, role)
        for name, data in self.authority.files(time.time()).items():
            (folder / name).write_bytes(data)
        rights = access_list(site, nodes)
        rights += f"\nuser {identity('watcher')}\ntopic read {PLACE}/#\n"
        (folder / "acl").write_text(rights)
        files = BrokerFiles(
            authority=folder / "authority.crt", revoked=folder / "revoked.pem", certificate=folder / "broker.crt",
            key=folder / "broker.key", acl=folder / "acl", data=folder, user="root",
        )  # fmt: skip
        lines = [line for line in configuration(files, 1).splitlines() if not line.startswith("listener")]
        self.broker = Mosquitto(folder, lines=tuple(lines)).start()
        self.heard: list[Arrived] = []
        self.taken: list[Arrived] = []  # by a hand: a broker that is killed may forget our listener, which comes later
        self.said: list[str] = []
        self._over = threading.Event()
        self._hub_over = threading.Event()
        self._hub: threading.Thread | None = None
        self.hub: Hub | None = None
        self._decoded = functools.cache(decode_batch)
        inbox: Inbox = queue.Queue(100_000)
        self._watcher = Client(
            parse_url(self.url("watcher")), inbox, name="w", client_id=identity("watcher"), clean=False,
            subscriptions=((f"{PLACE}/#", 1),),
        )  # fmt: skip
        self._watcher.start()
        up = take(inbox, PATIENCE_S)
        assert isinstance(up, Up), up
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def issue(self, node: str, role: Role) -> None:
        """Write certificate and key of a node."""
        hosts = ["127.0.0.1", "localhost"] if role is Role.BROKER else []
        credential = self.authority.issue(identity(node), role, time.time(), hosts=hosts)
        (self.folder / f"{node}.crt").write_bytes(credential.certificate)
        (self.folder / f"{node}.key").touch(mode=0o600)
        (self.folder / f"{node}.key").write_bytes(credential.key)

    def url(self, node: str) -> str:
        """Give the broker's address for a node."""
        files = f"ca={self.folder}/authority.crt&cert={self.folder}/{node}.crt&key={self.folder}/{node}.key"
        return f"mqtts://127.0.0.1:{self.broker.port}?{files}"

    def settings(self, probe: str = PROBE, **values: object) -> dict[str, object]:
        """Give what the board must be told."""
        return {
            "probe": probe, "tenant": SITE.tenant, "site": SITE.site, "uplink": "lan", "host": "localhost",
            "port": self.broker.port, "board": "wt32-eth01", "batch_s": 1, "dwell_ms": 100,
            "ca": (self.folder / "authority.crt").read_text(), "cert": (self.folder / f"{probe}.crt").read_text(),
            "key": (self.folder / f"{probe}.key").read_text(), **values,
        }  # fmt: skip

    def start_hub(self) -> None:
        """Start the real hub on the wall clock."""
        self._hub_over = threading.Event()
        path = self.folder / "site.toml"
        path.write_text(dump_site(self.site))
        settings = HubSettings(
            path=path,
            site=self.site,
            broker=parse_url(self.url("hub")),
            uplink=None,
            data=self.folder / "hub",
            batch_clock=False,
            fit_night=apply_newest,
        )
        self._hub = threading.Thread(target=self._serve, args=(settings,), daemon=True)
        self._hub.start()

    def stop_hub(self) -> None:
        """End it."""
        self._hub_over.set()
        if self._hub is not None:
            self._hub.join(10)
            self._hub = None

    def stop(self) -> None:
        """End everything."""
        self.stop_hub()
        self._over.set()
        self._watcher.stop(0.2)
        self.broker.stop()

    def asked(self, of: type, **values: object) -> Response:
        """Let an operator ask the real hub for something; give the final answer."""
        command: Asked = of(id=token_hex(6), expires=int(time.time()) + 30, **values)
        place = {"tenant": self.site.tenant, "site": self.site.site}
        envoy = Envoy(broker=self.url("boss"), **place, at=datetime.now(UTC), node="operator")
        return ask(envoy, command, wait_s=PATIENCE_S, on_accepted=lambda _: None)

    def of(self, stream: str) -> list[bytes]:
        """Give what the probe published on a stream."""
        topic = f"{PLACE}/{PROBE}/{stream}"
        return [message.payload for message in list(self.heard) if message.topic == topic]

    def batches(self) -> dict[tuple[int, int], Batch]:
        """Give the batches by boot and seq. A batch that came again must be the same bytes."""
        came: dict[tuple[int, int], bytes] = {}
        for payload in self.of("obs") + [message.payload for message in list(self.taken) if is_batch(message)]:
            batch = self._decoded(payload)
            assert came.setdefault((batch.boot, batch.seq), payload) == payload
        return {name: self._decoded(payload) for name, payload in sorted(came.items())}

    def _serve(self, settings: HubSettings) -> None:
        outbox = Outbox(database(settings.data))
        self.hub = hub = Hub(settings, outbox, self.said.append)
        hub.start()
        while not self._hub_over.is_set():
            hub.round(WAIT_S)
        hub.stop()
        outbox.close()

    def _listen(self, inbox: Inbox) -> None:
        while not self._over.is_set():
            item = take(inbox, 0.1)
            if isinstance(item, Arrived):
                self._watcher.ack(item)
                self.heard.append(item)


class Hand:
    """A hub played by hand: says what a test wants, when it wants. Acknowledges every batch in order if `acks`."""

    def __init__(self, shop: Shop, *, acks: bool = True) -> None:
        self._shop = shop
        self.acks = acks
        self.wall: Callable[[], float] = time.time
        self.ahead_s = 0.0  # of the wall clock
        self.keys: tuple[KeySpan, ...] = ()  # given already: the same again after a restart
        self._seq = 0
        self.answers: list[Response] = []
        self.infos: list[Info] = []
        self.healths: list[Health] = []
        self._inbox: Inbox = queue.Queue(10_000)
        topics = ((f"{PLACE}/+/obs", 1), (f"{PLACE}/+/rsp/+", 1), (f"{PLACE}/+/info", 1), (f"{PLACE}/+/health", 0))
        self.client = Client(
            parse_url(shop.url("hub")), self._inbox, name="hub", client_id=identity("hub"), subscriptions=topics,
            state_topic=f"{PLACE}/hub/state",
        )  # fmt: skip
        self.client.start()
        assert isinstance(take(self._inbox, PATIENCE_S), Up)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def now_s(self) -> float:
        """Give the seconds since 1970 that it tells the probe."""
        return self.wall() + self.ahead_s

    def say(self, stream: str, kind: Kind[T], data: T) -> None:
        """Publish a message of the hub to the probe."""
        self._seq += 1
        message = compose(
            kind, data, publisher=Address(tenant=SITE.tenant, site=SITE.site, node="hub"),
            at=datetime.fromtimestamp(self.now_s(), UTC), boot="run-1", seq=self._seq,
            provenance=Provenance.LIVE,
        )  # fmt: skip
        self.raw(stream, encode(kind, message))

    def raw(self, stream: str, payload: bytes) -> None:
        """Publish any bytes."""
        topic, qos = f"{PLACE}/{PROBE}/{stream}", 0 if stream == "cmd/key" else 1
        wait(lambda: self.client.publish(topic, payload, qos=qos))

    def command(self, verb: str, **fields: object) -> str:
        """Send a command, known to the contract or not; give its id."""
        self._seq += 1
        number = f"c{self._seq}"
        at = datetime.fromtimestamp(self.now_s(), UTC).isoformat()
        message = {
            "id": f"run-1-{self._seq}", "source": f"/{SITE.tenant}/{SITE.site}/hub", "type": "footfall.v1.cmd",
            "time": at, "boot": "run-1", "seq": self._seq, "provenance": "live", "specversion": "1.0",
            "datacontenttype": "application/json", "data": {"verb": verb, "id": number, **fields},
        }  # fmt: skip
        self.raw(f"cmd/{verb}", json.dumps(message).encode())
        return number

    def answer(self, number: str, timeout_s: float = PATIENCE_S) -> Response:
        """Wait for the answer to a command."""
        return wait(lambda: next((one for one in self.answers if one.id == number), None), timeout_s)

    def stop(self) -> None:
        """Go away."""
        self._over.set()
        self._thread.join(5)
        self.client.stop(0.3)

    def give(self) -> None:
        """Give the keys."""
        self.say("cmd/key", CMD, GiveKeys(id="k1", keys=self.keys))

    def _informed(self, info: Info) -> None:
        """A key goes at QoS 0: to a probe that is away it was given in vain."""
        self.infos.append(info)
        now_s = self.now_s()
        if info.key_id is None and any(key.from_s <= now_s < key.until_s for key in self.keys):
            self.give()

    def _listen(self) -> None:
        while not self._over.is_set():
            item = take(self._inbox, 0.1)
            if not isinstance(item, Arrived):
                continue
            self.client.ack(item)
            self._shop.taken.append(item)
            stream = item.topic.split("/", 5)[5]
            if stream == "obs" and self.acks:
                batch = decode_batch(item.payload)
                self.say("ack", ACK, Ack(boot=str(batch.boot), upto=batch.seq))
            elif stream == "info":
                self._informed(decode(INFO, item.payload, item.topic).data)
            elif stream == "health":
                self.healths.append(decode(HEALTH, item.payload, item.topic).data)
            elif stream.startswith("rsp/"):
                self.answers.append(decode(RSP, item.payload, item.topic).data)


def frame(number: int) -> Frame:
    """A frame of its own: every field differs."""
    return (
        f"02aabb{number:06x}",
        77_000 + number,
        number * 3,
        number % 4096,
        -40 - number % 50,
        -95,
        6,
        1 + 4 * (number % 2),
    )


def give(hand: Hand, *, for_s: float = 3600, next_for_s: float = 0) -> None:
    """Give the key once the probe asks for it, and from then on whenever it asks."""
    wait(lambda: hand.infos)
    now_s = time.time()
    hand.keys = hand.keys or spans(now_s - 60, now_s + for_s, next_for_s and now_s + next_for_s)
    if hand.infos[-1].key_id is None:
        hand.give()


def spans(from_s: float, until_s: float, next_until_s: float = 0) -> tuple[KeySpan, ...]:
    """Give a key for a span and, if asked, the next; keys differ by their span."""
    first = _span(1000, from_s, until_s)
    return (first, _span(2000, until_s, next_until_s)) if next_until_s else (first,)


def _span(base: int, from_s: float, until_s: float) -> KeySpan:
    number = base + int(until_s) % 997
    return KeySpan(key_id=number, key=f"{number:032x}", from_s=int(from_s), until_s=int(until_s))


def wait(look: Callable[[], V | None], timeout_s: float = PATIENCE_S) -> V:
    """Wait until `look` gives something true."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def is_batch(message: Arrived) -> bool:
    """Tell it by its topic."""
    return message.topic.endswith(f"/{PROBE}/obs")


def identity(node: str) -> str:
    """Give the name in a node's certificate."""
    return f"{SITE.tenant}/{SITE.site}/{node}"


def now() -> datetime:
    """Give the time with its zone."""
    return datetime.now(UTC)
