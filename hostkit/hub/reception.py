"""What comes in, sorted: batches to the intake, words of probes and of the collector to whom they concern.

What is none of this site's or breaks the contract is counted and confirmed, so that it does not come again.
"""

from collections import deque
from datetime import datetime
from typing import TypeVar

from hostkit.contract.codec import ACK, HEALTH, INFO, RSP, decode, decode_state
from hostkit.contract.homeassistant import STATUS_ONLINE, STATUS_TOPIC
from hostkit.contract.messages import Message, State
from hostkit.contract.topics import Address, parse_topic
from hostkit.errors import InputError, PeerError
from hostkit.hub.former import RELAYED
from hostkit.hub.intake import Held
from hostkit.hub.links import SITE_LINK, UPLINK
from hostkit.hub.office import Office
from hostkit.hub.pace import monotonic_s
from hostkit.hub.parts import Parts
from hostkit.hub.voice import NODE
from hostkit.io.memory import scrub
from hostkit.io.mqtt import Arrived, Item, Up

T = TypeVar("T")

MAX_OTHERS = 8


class Reception:
    """Takes items of the inbox. `drops` counts what was refused or could not be relayed."""

    def __init__(self, parts: Parts, office: Office) -> None:
        self._parts, self._office = parts, office
        self.drops = {"messages_refused": 0, "relay": 0, "other_hubs": 0}
        self._introduced: datetime | None = None  # of ours that was heard first
        self._others: deque[str] = deque(maxlen=MAX_OTHERS)  # runs of other hubs

    def take(self, item: Item) -> None:
        """Take a message, or the news of a connection."""
        if isinstance(item, Arrived):
            try:
                self._arrived(item)
            except (PeerError, InputError):
                self.drops["messages_refused"] += 1
                self._parts.confirm.append(item)
        elif isinstance(item, Up):
            self._parts.say(f"{item.link}: connected; {'same session' if item.session else 'new session'}")
            self._connected(item.link, remembered=item.session)
        else:
            self._parts.say(f"{item.link}: {item.reason}; trying again")

    def _connected(self, link: str, *, remembered: bool) -> None:
        self._parts.speaker.afresh()
        if link != UPLINK:
            self._office.fleet.afresh()
            self._parts.keys.connected(monotonic_s())
        if link in {SITE_LINK, UPLINK}:
            self._forget_former(link)
        if link == self._parts.upward.name:
            self._parts.uplink.connected(monotonic_s(), remembered=remembered)

    def _forget_former(self, link: str) -> None:
        """Clear what is retained of probes the site has no more."""
        client, streams = (self._parts.upward, RELAYED) if link == UPLINK else (self._parts.local, (*RELAYED, "config"))
        for name in self._parts.former:
            for stream in streams:
                client.publish(self._parts.voice.topic(stream, name), b"", retain=True)

    def _arrived(self, message: Arrived) -> None:
        if message.topic == STATUS_TOPIC:
            self._parts.confirm.append(message)
            if message.payload == STATUS_ONLINE:
                self._parts.speaker.afresh()
            return
        address, site = parse_topic(message.topic), self._parts.settings.site
        if (address.tenant, address.site) != (site.tenant, site.site):
            raise PeerError("is of another site", where=message.topic, next_step="give every site its own identity")
        if address.stream == "obs":
            self._batch(message, address.node)
            return
        self._parts.confirm.append(message)
        if address.node == NODE:
            self._from_above(message, address)
        elif address.node in self._parts.roster:
            self._from_probe(message, address)

    def _batch(self, message: Arrived, probe: str) -> None:
        parts, now_s = self._parts, monotonic_s()
        parts.roster.owe(probe)  # also of what came damaged or too early: the ack then asks for what is missing
        batch = parts.intake.decode(message, probe)
        if batch is None:
            parts.confirm.append(message)
            return
        parts.roster.heard_of(probe, now_s, online=True)
        parts.mark(batch.provenance)
        if batch.base_time_us:
            parts.now.told(batch.base_time_us + batch.sent_us - batch.base_us)
        parts.keys.seen(probe, online=True)
        for held in parts.intake.hold(Held(batch=batch, message=message, at_s=now_s)):
            parts.confirm.append(held.message)

    def _from_probe(self, message: Arrived, address: Address) -> None:
        parts, probe = self._parts, address.node
        if address.stream == "state":
            state = decode_state(message.payload, message.topic)
            online = state is State.ONLINE
            parts.overview.said_state(probe, state, monotonic_s())
            parts.roster.heard_of(probe, monotonic_s(), online=online)
            parts.keys.seen(probe, online=online)
        elif address.stream == "info":
            self._introduces_itself(message, probe)
        elif address.stream == "health":
            health = decode(HEALTH, message.payload, message.topic)
            self._told(health)
            parts.keys.seen(probe, online=True)  # whatever is retained: a probe that talks is there
            parts.overview.said_health(probe, health.data)
            parts.rollouts.healthy(probe, health.data)
        elif address.stream == "rsp/<id>":
            self._answered(message, probe)
            return  # may hold a key: never relayed
        self._relay(message)

    def _introduces_itself(self, message: Arrived, probe: str) -> None:
        told = decode(INFO, message.payload, message.topic)
        self._told(told)
        self._parts.keys.informed(probe, told.data.key_id)
        self._office.informed(probe, told.data)
        self._parts.overview.said_info(probe, told.data, told.boot, monotonic_s())
        last = told.data.last
        if last and told.boot.isdecimal() and last.boot.isdecimal():
            self._parts.intake.rebooted(probe, int(told.boot), int(last.boot), last.upto)

    def _answered(self, message: Arrived, probe: str) -> None:
        answer = decode(RSP, message.payload, message.topic)
        if answer.data.keys:
            scrub(message.payload)
        elif self._office.answered(probe, answer.data):
            return
        self._told(answer)
        if self._parts.keys.answered(answer.data, (self._parts.now.us or 0) / 1e6):
            self._parts.say("key: recovered from a probe; going on where the hub stopped")

    def _told(self, message: Message[T]) -> None:
        """Take time and provenance from a probe's message that is of the provenance in force."""
        self._parts.mark(message.provenance)
        if message.provenance is self._parts.voice.provenance:
            self._parts.now.told(round(message.time.timestamp() * 1e6))

    def _relay(self, message: Arrived) -> None:
        upward = self._parts.upward
        if upward is self._parts.local and message.link == SITE_LINK:
            return
        state_like = not message.topic.endswith("/health")
        if upward.publish(message.topic, message.payload, qos=int(state_like), retain=state_like) is None:
            self.drops["relay"] += 1

    def _from_above(self, message: Arrived, address: Address) -> None:
        if address.stream == "info":
            self._another(message)
        elif address.stream == "ack":
            self._parts.uplink.acknowledged(decode(ACK, message.payload, message.topic).data, monotonic_s())
        elif address.stream == "cmd/<verb>":
            self._office.command(message, address)
        elif address.stream == "config":
            self._office.config(message)

    def _another(self, message: Arrived) -> None:
        """Notice an introduction of this hub that is not ours; one from before our first is our own past."""
        told = decode(INFO, message.payload, message.topic)
        if told.boot == self._parts.voice.boot:
            self._introduced = self._introduced or told.time
        elif self._introduced and told.time > self._introduced and told.boot not in self._others:
            self._others.append(told.boot)
            self.drops["other_hubs"] += 1
            where = f"{message.link}: {message.topic}"
            self._parts.say(f"{where}: another hub uses this identity; stop one of them, or give it a site of its own")
