"""The contract held against a running hub, check by check: what `footfall contract test` does. Prints nothing.

Against a hub in service it asks only what harms nothing; a hub of its own (kitrun.py) it also kills and feeds poison.
"""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from queue import Queue
from typing import TypeVar

from hostkit.contract.check import refusal
from hostkit.contract.codec import CMD, HEALTH, INFO, RSP, Kind, compose, decode, encode
from hostkit.contract.commands import Replay, Response
from hostkit.contract.homeassistant import STATUS_ONLINE, STATUS_TOPIC, discovery_topic
from hostkit.contract.messages import Message
from hostkit.contract.topics import HUB, Address, parse_topic, topic, topics
from hostkit.errors import HostkitError, PeerError
from hostkit.hub.ask import OPERATOR, Envoy, ask
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take
from hostkit.model import Provenance, Site

T = TypeVar("T")

ANSWER_S = 10.0
_CONNECT_S = 10.0
_INBOX_ITEMS = 200_000


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what was found, and what to do if it failed."""

    name: str
    outcome: Outcome
    what: str
    next_step: str = ""


class MissedError(Exception):
    """A check that did not hold: `what` was found instead, and the next step."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.what, self.next_step = what, next_step


class Ear:
    """A client that hears everything of one site and may speak. Raises PeerError if the broker cannot be reached."""

    def __init__(self, broker: str, site: Site, *, node: str = OPERATOR) -> None:
        self.site, self.node, self.broker = site, node, broker
        self.heard: list[Arrived] = []
        self._inbox: Inbox = Queue(_INBOX_ITEMS)
        self._up = False
        place = f"footfall/v1/{site.tenant}/{site.site}/#"
        self._client = Client(
            parse_url(broker), self._inbox, name="kit", client_id=f"{site.tenant}/{site.site}/{node}",
            subscriptions=((place, 1), (discovery_topic(site), 1)),
        )  # fmt: skip

    def __enter__(self) -> "Ear":
        self._client.start()
        if not self.until(lambda: self._up, _CONNECT_S):
            raise PeerError("cannot be reached", where=self.broker, next_step="start the broker, check the address")
        return self

    def __exit__(self, *unused: object) -> None:
        self._client.stop()

    def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Listen until `holds`; False after `timeout_s`."""
        give_up = time.monotonic() + timeout_s
        while not holds() and time.monotonic() < give_up:
            self._take(0.05)
        return holds()

    def listen(self, seconds: float) -> None:
        """Hear what comes for so long."""
        self.until(lambda: False, seconds)

    def of(self, stream: str, node: str = HUB) -> list[Arrived]:
        """Give what came on one topic of the site."""
        name = self.topic(stream, node)
        return [message for message in self.heard if message.topic == name]

    def say(self, name: str, payload: bytes, *, qos: int = 1) -> None:
        """Publish; raises PeerError while not connected."""
        if self._client.publish(name, payload, qos=qos) is None:
            raise PeerError("the connection is gone", where=self.broker, next_step="start the broker again")

    def topic(self, stream: str, node: str = HUB) -> str:
        """Give a topic of the site."""
        return topic(self.site.tenant, self.site.site, node, stream)

    def answers(self, id_: str) -> list[Response]:
        """Give what was answered to a command."""
        return [read(RSP, message).data for message in self.of(f"rsp/{id_}")]

    def command(
        self, *, expires_s: float = 60.0, node: str | None = None, from_s: int = 0, to_s: int = 1
    ) -> tuple[str, bytes]:
        """Make a command, its id and bytes: send again the hours of a span, by default an empty one."""
        id_ = secrets.token_hex(8)
        order = Replay(id=id_, expires=int(time.time() + expires_s), from_s=from_s, to_s=to_s)
        publisher = Address(tenant=self.site.tenant, site=self.site.site, node=node or self.node)
        message = compose(
            CMD, order, publisher=publisher, at=datetime.now(UTC), boot=id_, seq=1, provenance=Provenance.LIVE
        )
        return id_, encode(CMD, message)

    def _take(self, wait_s: float) -> None:
        item = take(self._inbox, wait_s)
        while item is not None:
            if isinstance(item, Arrived):
                self._client.ack(item)
                self.heard.append(item)
            self._up = isinstance(item, Up) or (self._up and not isinstance(item, Down))
            item = take(self._inbox, 0)


@dataclass(slots=True)
class Kit:
    """Runs checks one after the other; `tell` gets each as soon as it is done."""

    tell: Callable[[Check], None]
    done: list[Check] = field(default_factory=list)

    def check(self, name: str, hold: Callable[[], str]) -> None:
        """Run one: `hold` gives what was found or raises MissedError."""
        try:
            found = Check(name=name, outcome=Outcome.PASS, what=hold())
        except MissedError as missed:
            found = Check(name=name, outcome=Outcome.FAIL, what=missed.what, next_step=missed.next_step)
        except HostkitError as error:
            found = Check(
                name=name, outcome=Outcome.FAIL, what=f"{error.where}: {error.what}", next_step=error.next_step
            )
        self.note(found)

    def note(self, check: Check) -> None:
        """Take in a check that was done elsewhere."""
        self.done.append(check)
        self.tell(check)


def observe(kit: Kit, ear: Ear, seconds: float) -> None:
    """Checks that any hub in service bears."""
    ear.listen(seconds)
    kit.check("state", lambda: _birth(ear))
    kit.check("info", lambda: _info(ear))
    kit.check("retained", lambda: _retained(ear))
    kit.check("messages", lambda: _messages(ear))
    kit.check("home-assistant", lambda: _home_assistant(ear))
    kit.check("command answered", lambda: _answered(ear))
    kit.check("command expired", lambda: _refused(ear, expires_s=-120.0, node=None, expected="expire"))
    kit.check("command without right", lambda: _refused(ear, expires_s=60.0, node="stranger", expected="right"))
    kit.check("poison", lambda: _poison(ear))


def read(kind: Kind[T], message: Arrived) -> Message[T]:
    """Decode a message; raises PeerError for one that breaks the contract."""
    return decode(kind, message.payload, message.topic)


def latest_health(ear: Ear) -> dict[str, int]:
    """Give the hub's counters and drops as it tells them now; it tells everything anew to a new Home Assistant."""
    before = len(ear.of("health"))
    ear.say(STATUS_TOPIC, STATUS_ONLINE)
    if not ear.until(lambda: len(ear.of("health")) > before, ANSWER_S):
        raise MissedError(
            "the hub says no health", "look at its log: it says nothing before a probe has told it the time"
        )
    health = read(HEALTH, ear.of("health")[-1]).data
    return {**health.counters, **health.drops}


def _birth(ear: Ear) -> str:
    states = ear.of("state")
    if not states or not states[0].retained or states[-1].payload != b"online":
        raise MissedError(f"state is {states[-1].payload[:20]!r}" if states else "no retained state", "start the hub")
    return "online, retained"


def _info(ear: Ear) -> str:
    if not ear.of("info"):
        raise MissedError("no retained info", "let a probe connect: a hub introduces itself once it knows the time")
    info = read(INFO, ear.of("info")[-1]).data
    if info.role != "hub" or not info.wire_versions:
        raise MissedError(f"role {info.role}, wire versions {info.wire_versions}", "check who publishes as hub")
    return f"firmware {info.firmware}, reads wire {', '.join(map(str, info.wire_versions))}"


def _retained(ear: Ear) -> str:
    kept = {message.topic for message in ear.heard if message.retained and message.topic.startswith("footfall/")}
    wrong = sorted(name for name in kept if not topics()[parse_topic(name).stream].retained)
    missing = [stream for stream in ("state", "info", "site", "live") if ear.topic(stream) not in kept]
    if wrong or missing:
        raise MissedError(f"retained but must not be: {wrong}; missing: {missing}", "restart the hub; clear wrong ones")
    return f"{len(kept)} topics, none that must not be"


def _messages(ear: Ear) -> str:
    ours = [message for message in ear.heard if message.topic.startswith("footfall/")]
    faults = [fault for message in ours if (fault := refusal(message.topic, message.payload)) is not None]
    if faults:
        raise MissedError(f"{len(faults)} of {len(ours)} break the contract; first {faults[0].where}: {faults[0].what}",
                     "compare versions: footfall contract diff")  # fmt: skip
    return f"{len(ours)} on {len({message.topic for message in ours})} topics, all valid"


def _home_assistant(ear: Ear) -> str:
    name = discovery_topic(ear.site)
    before = sum(message.topic == name for message in ear.heard)
    ear.say(STATUS_TOPIC, STATUS_ONLINE)
    if not ear.until(lambda: sum(message.topic == name for message in ear.heard) > before, ANSWER_S):
        raise MissedError("the device is not announced again", f"let the hub read {STATUS_TOPIC} and write {name}")
    device = json.loads(ear.heard[-1].payload) if ear.heard[-1].topic == name else {}
    return f"announced again on {STATUS_TOPIC}" + (f", {len(device['components'])} entities" if device else "")


def _answered(ear: Ear) -> str:
    place = ear.site
    envoy = Envoy(broker=ear.broker, tenant=place.tenant, site=place.site, at=datetime.now(UTC), node=ear.node)
    order = Replay(id=secrets.token_hex(8), expires=int(time.time()) + 60, from_s=0, to_s=1)
    accepted: list[Response] = []
    response = ask(envoy, order, wait_s=ANSWER_S, on_accepted=accepted.append)
    if response.error is not None or not accepted:
        raise MissedError(
            f"answered {response.outcome}, {len(accepted)} times accepted", "ask as an operator: --as NODE"
        )
    return f"accepted, then {response.outcome}"


def _refused(ear: Ear, *, expires_s: float, node: str | None, expected: str) -> str:
    id_, payload = ear.command(expires_s=expires_s, node=node)
    ear.say(ear.topic("cmd/replay"), payload)
    ear.until(lambda: bool(ear.answers(id_)), ANSWER_S)
    answers = ear.answers(id_)
    error = answers[-1].error if answers else None
    if error is None or expected not in f"{error.what} {error.next_step}":
        raise MissedError(f"answered {error.what if error else answers or 'nothing'}", "update the hub")
    return f"refused: {error.what}"


def _poison(ear: Ear) -> str:
    before = latest_health(ear)
    for payload in (b"{", b"\xff\xfe", b'{"id":1}', b"[" * 5000):
        ear.say(ear.topic("cmd/replay"), payload)
    ear.listen(0.5)
    after = latest_health(ear)
    counted = sum(after.values()) - sum(before.values())
    if after.get("command_malformed", 0) - before.get("command_malformed", 0) < 4:
        raise MissedError(
            f"4 broken commands, {counted} more counted in all", "update the hub: refusals must be counted"
        )
    with suppress(MissedError):
        return f"4 broken commands counted, none answered wrongly; then {_answered(ear)}"
    raise MissedError("after broken commands it answers no more", "look at the hub's log")


def as_line(check: Check) -> str:
    """Give one check as a line: outcome, name, what was found; next step."""
    return f"{check.outcome:<4}  {check.name}: {check.what}" + (f"; {check.next_step}" if check.next_step else "")
