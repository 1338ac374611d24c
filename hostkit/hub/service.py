"""The live hub: batches from MQTT in; visits, hours, live figures and health out.

One thread takes from the inbox, works, commits and only then confirms: to the broker (PUBACK), to the probe (`ack`), to
whoever sent a command (`rsp`). A refusing disk ends the hub with StorageError: the probes keep what was not acked.
`obs` comes at QoS 1 to a persistent session and is confirmed after the commit, so that the broker keeps it while the
hub is down; everything that can hold a key comes and goes at QoS 0, which no session stores.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Queue

from hostkit.contract.codec import ACK, CMD, HEALTH, INFO, RSP, decode, decode_state
from hostkit.contract.homeassistant import STATUS_ONLINE, STATUS_TOPIC
from hostkit.contract.messages import Ack, State
from hostkit.contract.topics import Address, parse_topic
from hostkit.errors import InputError, PeerError
from hostkit.hub.figures import KEPT_S
from hostkit.hub.intake import Held, Intake
from hostkit.hub.keeper import Keeper, database
from hostkit.hub.keys import KeyFlow, written
from hostkit.hub.links import SITE_LINK, UPLINK, site_client, uplink_client
from hostkit.hub.office import Office, Parts
from hostkit.hub.pace import Now, Timers, monotonic_s
from hostkit.hub.serial import Near, SerialProbes
from hostkit.hub.speaker import Speaker
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import NODE, Voice
from hostkit.identity.realms import SiteRealm
from hostkit.identity.upkeep import Upkeep
from hostkit.io.memory import guard_process, random_fill, scrub
from hostkit.io.mqtt import INBOX_ITEMS, Arrived, BrokerUrl, Down, Inbox, Item, take
from hostkit.io.outbox import Outbox
from hostkit.model import Provenance, Site

ROUND_ITEMS = 256  # taken before the next commit
WAIT_S = 0.2  # longest rest: SIGTERM, timers
SILENT_S = 30.0  # an online probe that sent nothing for so long is no longer awaited: three of its batches
UNHEARD_US = 60_000_000  # while nobody is awaited, time is final so long after it passed
REACK_S = 5.0  # acks go at QoS 0: one may be lost
KEEP_HOURS_S = 25 * 31 * 86_400
FORGET_S = 3600.0
MAX_OTHERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """What a hub runs on. `path` is the site.toml that `site` was read from.

    Without `uplink` the site broker is the uplink broker too. `batch_clock`: see `Now`. `serial`: ports and globs of
    ports that probes may be on.
    """

    site: Site
    path: Path
    broker: BrokerUrl
    uplink: BrokerUrl | None
    data: Path
    batch_clock: bool
    serial: tuple[str, ...] = ()

    @property
    def credentials(self) -> tuple[Path, ...]:
        """Folders of what we show at the brokers."""
        return tuple(Path(url.key).parent for url in (self.broker, self.uplink) if url and url.key)


@dataclass(slots=True)
class _Probe:
    online: bool = True
    sent_s: float = 0.0  # monotonic time of its last batch
    acked: Ack | None = None


def run(settings: HubSettings, say: Callable[[str], None], stop: threading.Event) -> None:
    """Serve until `stop` is set. `say` gets one line per event. Raises StorageError, ConfigError."""
    for refused in guard_process():
        say(f"key: this system does not protect it wholly: {refused}")
    with ExitStack() as stack:
        outbox = Outbox(database(settings.data), max_bytes=settings.site.delivery.outbox_mib << 20)
        stack.callback(outbox.close)
        upkeep = Upkeep(SiteRealm(settings.site), settings.data, settings.credentials, say)
        upkeep.start()
        stack.callback(upkeep.stop)
        clock_steps = 0
        while not stop.is_set():
            hub = Hub(settings, outbox, say, clock_steps=clock_steps)
            try:
                hub.start()
                while not stop.is_set() and not hub.over:
                    hub.round(WAIT_S)
            finally:
                hub.stop()
            clock_steps += 1


class Hub:
    """The running service; `round` is one turn of its loop.

    Once somebody has set the system's clock it is `over`: keys, stays and the probes' clocks began on another time.
    """

    def __init__(
        self, settings: HubSettings, outbox: Outbox, say: Callable[[str], None], *, clock_steps: int = 0
    ) -> None:
        self.over = False
        site = settings.site
        self._site, self._say, self._outbox = site, say, outbox
        self._now = Now(batch=settings.batch_clock)
        self._voice = Voice(site)
        word = outbox.word("provenance")
        self._voice.provenance = Provenance(word) if word else None
        self._intake = Intake(site, outbox.taken(), batch_clock=settings.batch_clock)
        self._intake.provenance = self._voice.provenance
        self._keeper = Keeper(site, outbox, self._voice)
        life = outbox.life()
        self._keys = KeyFlow(site, random_fill, life.key_id if life else None)
        self._inbox: Inbox = Queue(INBOX_ITEMS)
        uplink = settings.uplink
        self._local = site_client(self._voice, settings.broker, self._inbox, shared=uplink is None)
        self._upward = self._local if uplink is None else uplink_client(self._voice, uplink, self._inbox)
        self._links = tuple(dict.fromkeys((self._local, self._upward)))
        self._serial = SerialProbes(settings.serial, site, self._inbox, say)
        self._near = Near(self._local, self._serial)
        self._uplink = Uplink(outbox, self._upward, self._voice)
        self._probes = {probe.id: _Probe(online=False) for probe in site.probes}
        self._confirm: list[Arrived] = []
        self._timers = Timers()
        self._drops = {"messages_refused": 0, "relay": 0, "clock_steps": clock_steps, "other_hubs": 0}
        self._introduced: datetime | None = None  # of ours that was heard first
        self._others: deque[str] = deque(maxlen=MAX_OTHERS)  # runs of other hubs
        self._dirty = True  # the keeper may have cleared what another privacy mode kept
        self._speaker = Speaker(
            voice=self._voice,
            outbox=outbox,
            intake=self._intake,
            keeper=self._keeper,
            uplink=self._uplink,
            links=self._links,
            data=settings.data,
            began_s=monotonic_s(),
            certificates=tuple(Path(url.cert) for url in (settings.broker, uplink) if url and url.cert),
        )
        parts = Parts(
            path=settings.path,
            data=settings.data,
            outbox=outbox,
            voice=self._voice,
            keeper=self._keeper,
            keys=self._keys,
            speaker=self._speaker,
            uplink=self._uplink,
            now=self._now,
            near=self._near,
            upward=self._upward,
            flush=self._flush,
            online=lambda probe: self._probes[probe].online,
            say=say,
        )
        self._office = Office(site, parts)

    def start(self) -> None:
        """Connect."""
        for link in self._links:
            link.start()
        self._serial.start()

    def stop(self) -> None:
        """Say offline and disconnect; what was not committed is as if it never came."""
        self._serial.stop()
        for link in self._links:
            link.stop(0.8)
        self._keys.wipe()
        self._keeper.close()

    def round(self, wait_s: float) -> None:
        """Take what has come, do what is due, commit, confirm."""
        if step_us := self._now.step_us():
            self._clock_was_set(step_us)
            return
        item = take(self._inbox, wait_s)
        for _ in range(ROUND_ITEMS):
            if item is None:
                break
            self._handle(item)
            item = take(self._inbox, 0)
        now_s, now_us = monotonic_s(), self._now.us
        self._dirty |= self._office.mind(now_s)
        self._mind_keys(now_s, now_us)
        if now_us is not None and self._keeper.seal is not None:
            self._work(now_s, now_us)
        self._commit(now_s)
        self._office.speak()
        if now_us is not None:
            self._speak(now_s, now_us / 1e6)

    # -- what comes in --

    def _handle(self, item: Item) -> None:
        if isinstance(item, Arrived):
            try:
                self._arrived(item)
            except (PeerError, InputError):
                self._drops["messages_refused"] += 1
                self._confirm.append(item)
        elif isinstance(item, Down):
            self._say(f"{item.link}: {item.reason}; trying again")
        else:
            self._say(f"{item.link}: connected; {'same session' if item.session else 'new session'}")
            self._connected(item.link)

    def _connected(self, link: str) -> None:
        self._speaker.afresh()
        if link != UPLINK:
            self._office.fleet.afresh()
            self._keys.connected(monotonic_s())
        if link == self._upward.name:
            self._uplink.connected(monotonic_s())
            self._dirty = True

    def _arrived(self, message: Arrived) -> None:
        if message.topic == STATUS_TOPIC:
            self._confirm.append(message)
            if message.payload == STATUS_ONLINE:
                self._speaker.afresh()
            return
        address = parse_topic(message.topic)
        if (address.tenant, address.site) != (self._site.tenant, self._site.site):
            raise PeerError("is of another site", where=message.topic, next_step="give every site its own identity")
        if address.stream == "obs":
            self._batch(message, address)
            return
        self._confirm.append(message)
        if address.node == NODE:
            self._from_above(message, address)
        elif address.node in self._probes:
            self._from_probe(message, address)

    def _batch(self, message: Arrived, address: Address) -> None:
        batch = self._intake.decode(message, address.node)
        if batch is None:
            self._confirm.append(message)
            return
        probe = self._probes[address.node]
        probe.sent_s, probe.online = monotonic_s(), True
        self._mark(batch.provenance)
        if batch.base_time_us:
            self._now.told(batch.base_time_us + batch.sent_us - batch.base_us)
        self._keys.seen(address.node, online=True)
        for held in self._intake.hold(Held(batch=batch, message=message, at_s=monotonic_s())):
            self._confirm.append(held.message)
            probe.acked = None

    def _from_probe(self, message: Arrived, address: Address) -> None:
        if address.stream == "state":
            online = decode_state(message.payload, message.topic) is State.ONLINE
            self._probes[address.node].online = online
            self._probes[address.node].sent_s = monotonic_s()
            self._keys.seen(address.node, online=online)
        elif address.stream == "info":
            told = decode(INFO, message.payload, message.topic)
            self._told(told.time.timestamp(), told.provenance)
            self._keys.informed(address.node, told.data.key_id)
            self._office.informed(address.node, told.data)
            self._dirty = True
            if told.data.last and told.boot.isdecimal() and told.data.last.boot.isdecimal():
                last = told.data.last
                self._intake.rebooted(address.node, int(told.boot), int(last.boot), last.upto)
        elif address.stream == "health":
            health = decode(HEALTH, message.payload, message.topic)
            self._told(health.time.timestamp(), health.provenance)
        elif address.stream == "rsp/<id>":
            self._answered(message, address.node)
            return  # may hold a key: never relayed
        self._relay(message)

    def _answered(self, message: Arrived, probe: str) -> None:
        answer = decode(RSP, message.payload, message.topic)
        response = answer.data
        if response.keys:
            scrub(message.payload)
        elif self._office.answered(probe, response):
            self._dirty = True
            return
        self._told(answer.time.timestamp(), answer.provenance)
        if self._keys.answered(response, (self._now.us or 0) / 1e6):
            self._say("key: recovered from a probe; going on where the hub stopped")

    def _told(self, at_s: float, provenance: Provenance) -> None:
        """Take time and provenance from a probe's message that is of the provenance in force."""
        self._mark(provenance)
        if provenance is self._voice.provenance:
            self._now.told(round(at_s * 1e6))

    def _mark(self, provenance: Provenance) -> None:
        """The first provenance heard is that of the data folder for ever."""
        if self._voice.provenance is None:
            self._voice.provenance = self._intake.provenance = provenance
            self._outbox.set_word("provenance", provenance)
            self._dirty = True

    def _another(self, message: Arrived) -> None:
        """Notice an introduction of this hub that is not ours; one from before our first is our own past."""
        told = decode(INFO, message.payload, message.topic)
        if told.boot == self._voice.boot:
            self._introduced = self._introduced or told.time
        elif self._introduced and told.time > self._introduced and told.boot not in self._others:
            self._others.append(told.boot)
            self._drops["other_hubs"] += 1
            where = f"{message.link}: {message.topic}"
            self._say(f"{where}: another hub uses this identity; stop one of them, or give it a site of its own")

    def _relay(self, message: Arrived) -> None:
        if self._upward is self._local and message.link == SITE_LINK:
            return
        state_like = not message.topic.endswith("/health")
        if self._upward.publish(message.topic, message.payload, qos=int(state_like), retain=state_like) is None:
            self._drops["relay"] += 1

    def _from_above(self, message: Arrived, address: Address) -> None:
        if address.stream == "info":
            self._another(message)
        elif address.stream == "ack":
            self._uplink.acknowledged(decode(ACK, message.payload, message.topic).data, monotonic_s())
            self._dirty = True
        elif address.stream == "cmd/<verb>":
            self._office.command(message, address)
            self._dirty = True
        elif address.stream == "config":
            self._dirty = True
            self._office.config(message)

    def _clock_was_set(self, by_us: int) -> None:
        """End what was heard on the old time, on that time."""
        self._say(f"clock: set by {by_us / 1e6:+,.0f} s; visits end here, and the hub begins anew")
        self._flush((self._now.us or 0) - by_us)
        self._dirty = self.over = True
        self._commit(monotonic_s())

    def _flush(self, at_us: int | None = None) -> None:
        """End of input: end every visit and put all into the outbox. Nothing where nothing was heard yet."""
        now_us = self._now.us if at_us is None else at_us
        if now_us and self._keys.running and self._keeper.seal:
            self._take_ready(monotonic_s(), now_us)
            self._keeper.flush(self._keys.running, secrets.token_hex(8), now_us / 1e6)
            self._speaker.close_hours(float("inf"), now_us / 1e6)
            self._speaker.afresh()

    # -- what is done --

    def _mind_keys(self, now_s: float, now_us: int | None) -> None:
        at_s = None if now_us is None else now_us / 1e6
        if self._keys.decide(now_s, at_s):
            lost = self._keys.expected is not None
            self._say("key: no probe has the old one any more, made a new one" if lost else "key: made a new one")
        if at_s is not None and self._keys.rotate(at_s):
            self._say("key: rotated")
        running = self._keys.running
        if running and at_s is not None and self._keeper.seal is None:
            self._keeper.begin(running, secrets.token_hex(8), at_s)
            self._dirty = True
            if self._keeper.resumed:
                self._say(f"journal: {self._keeper.resumed} entries taken again")
            if self._keeper.abandoned:
                self._say(f"visits: {self._keeper.abandoned} ended by the restart")
        for probe, command in self._keys.commands(now_s, lambda: secrets.token_hex(8)):
            keys = self._keys.keys
            payload = written(self._voice.payload(CMD, command, at_s or 0.0), keys)
            self._near.publish(self._voice.topic(f"cmd/{'key' if keys else 'ask-key'}", probe), payload, qos=0)
            payload[:] = bytes(len(payload))

    def _work(self, now_s: float, now_us: int) -> None:
        self._take_ready(now_s, now_us)
        self._keeper.step_to(self._watermark_us(now_s, now_us), now_us / 1e6)
        running, chain = self._keys.running, self._keeper.chain
        if chain.over and running and running.key_id == self._keeper.key_id:
            self._keys.rotate((chain.end_us or 0) / 1e6)
            running = self._keys.running
        if running and running.key_id != self._keeper.key_id and (chain.over or chain.stepped_us is None):
            self._keeper.next_life(running, secrets.token_hex(8), now_us / 1e6)
            self._office.new_life()
            self._dirty = True
        depth = self._outbox.last
        self._keeper.emit(now_us / 1e6)
        self._dirty |= self._outbox.last != depth or not self._keeper.stored
        self._dirty |= self._speaker.close_hours((self._keeper.chain.stepped_us or 0) / 1e6, now_us / 1e6)
        if self._timers.due("forget", now_s, now_us / 1e6, every_s=FORGET_S, rest_s=10.0):
            self._keeper.forget(now_us / 1e6)
            self._outbox.forget_before(now_us / 1e6 - KEPT_S, now_us / 1e6 - KEEP_HOURS_S)
            self._outbox.expire(now_us // 1_000_000 - self._site.delivery.outbox_days * 86_400)

    def _take_ready(self, now_s: float, now_us: int) -> None:
        seal = self._keeper.seal
        assert seal is not None
        for held in self._intake.ready(now_s):
            batch = held.batch
            arrived_us = now_us - round((now_s - held.at_s) * 1e6)
            if self._keys.fits(batch.key_id, (batch.base_time_us or arrived_us) / 1e6):
                if heard := self._intake.heard(batch, arrived_us, now_us, seal):
                    self._keeper.take(self._office.classed(batch, heard, now_s))
            else:
                self._intake.refuse_key()
                self._keys.stale(batch.probe)
            self._outbox.set_taken(batch.probe, batch.boot, batch.seq)
            self._confirm.append(held.message)
            self._probes[batch.probe].acked = None
            self._dirty = True

    def _watermark_us(self, now_s: float, now_us: int) -> int:
        """Up to when everything has arrived that will: the slowest probe that is awaited."""
        until_us = self._keeper.chain.until_us
        awaited = [
            until_us.get(index)
            for index, probe in enumerate(self._probes.values())
            if probe.online and now_s < probe.sent_s + SILENT_S
        ]
        if awaited:
            return min(-1 if until is None else until for until in awaited)
        return max(until_us.values(), default=0) - UNHEARD_US if self._now.batch else now_us - UNHEARD_US

    def _commit(self, now_s: float) -> None:
        if self._dirty:
            self._keeper.store(now_s)
            self._outbox.commit()
            self._dirty = False
        for message in self._confirm:
            (self._local if message.link == SITE_LINK else self._upward).ack(message)
        self._confirm = []

    # -- what goes out --

    def _speak(self, now_s: float, at_s: float) -> None:
        if self._voice.provenance is None:
            return
        self._ack_probes(now_s, at_s)
        self._uplink.pump(now_s)
        running = self._keys.running
        key_id = running.key_id if running else None
        self._speaker.speak(
            now_s,
            at_s,
            key_id,
            self._drops | self._office.refused | self._serial.drops,
            self._office.counters | self._serial.counters,
        )

    def _ack_probes(self, now_s: float, at_s: float) -> None:
        again = self._timers.due("ack", now_s, now_s, every_s=REACK_S, rest_s=REACK_S)
        newest: dict[str, Ack] = {}
        for (probe, boot), upto in self._intake.taken().items():
            newest[probe] = Ack(boot=str(boot), upto=upto)
            state = self._probes.get(probe)
            if state and (again or state.acked is None):
                payload = self._voice.payload(ACK, newest[probe], at_s)
                self._near.publish(self._voice.topic("ack", probe), payload, qos=0)
        for probe, ack in newest.items():
            if probe in self._probes:
                self._probes[probe].acked = ack
