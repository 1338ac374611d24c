"""Everything of a hub that is told what to do: desk, verbs, configuration and the probes' share of it, put together.

Called from the service's thread. What is said goes out after the outbox's commit, see `speak`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import msgspec
import numpy as np

from hostkit.contract.codec import CMD, CONFIG, RSP
from hostkit.contract.commands import Command, Response
from hostkit.contract.messages import Info
from hostkit.contract.rights import verb_of
from hostkit.contract.topics import Address
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import SIGHTING, Batch
from hostkit.errors import PeerError, UsageError
from hostkit.hub.chain import Heard
from hostkit.hub.commands import Desk
from hostkit.hub.configuration import Configuration
from hostkit.hub.describe import Descriptions
from hostkit.hub.fleet import Fleet
from hostkit.hub.keeper import Keeper
from hostkit.hub.keys import KeyFlow
from hostkit.hub.links import SITE_LINK
from hostkit.hub.pace import Now, monotonic_s, wall_s
from hostkit.hub.roles import Roles
from hostkit.hub.serial import Near
from hostkit.hub.speaker import Speaker
from hostkit.hub.uplink import Uplink
from hostkit.hub.verbs import Means, Verbs
from hostkit.hub.voice import Voice
from hostkit.io.mqtt import Arrived, Client
from hostkit.io.outbox import Outbox
from hostkit.model import Site

PROBE_READS_BYTES = 2048  # MOST_BYTES of firmware/sensor/messages.py
ROTATE_LEAD_S = 120  # a batch is open for 10 s and a command may take a while


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The hub's parts that commands work on. `flush` ends its input; `online` tells of a probe."""

    path: Path  # site.toml
    data: Path
    outbox: Outbox
    voice: Voice
    keeper: Keeper
    keys: KeyFlow
    speaker: Speaker
    uplink: Uplink
    now: Now
    near: Near
    upward: Client
    flush: Callable[[], None]
    online: Callable[[str], bool]
    say: Callable[[str], None]


class Office:
    """Takes commands and configurations, answers, and tells probes theirs."""

    def __init__(self, site: Site, parts: Parts) -> None:
        self._parts = parts
        self.fleet = Fleet(site)
        roles = Roles(site, parts.data)
        self.configuration = Configuration(
            parts.path, site, parts.outbox, take=self._take_over, say=parts.say, roles=roles, wall_s=wall_s
        )
        means = Means(
            outbox=parts.outbox,
            configuration=self.configuration,
            fleet=self.fleet,
            flush=parts.flush,
            send=self._tell_probe,
            online=parts.online,
            now_s=self._at_s,
            devices=parts.keeper.devices,
            replay=parts.uplink.send_again,
            recompute=lambda day: parts.speaker.recompute(day, self._at_s()),
            rotate=self._rotate,
        )
        self._verbs = Verbs(means)
        self._descriptions = Descriptions(parts.outbox)
        self._desk = Desk(parts.outbox, roles, self._verbs.do)
        self._name_configuration()

    @property
    def refused(self) -> dict[str, int]:
        """Count refused commands by why."""
        return {why.value: count for why, count in self._desk.refused.items()}

    @property
    def counters(self) -> dict[str, int]:
        """Count what was done, probes without their configuration, and fingerprints by what is known of them."""
        return {
            "commands_done": self._desk.done,
            "probes_config_waiting": len(self.fleet.waiting),
            "fingerprints_known": self._descriptions.known,
            "fingerprints_unknown": self._descriptions.unknown,
            "descriptions_bad": self._descriptions.bad,
        }

    def command(self, message: Arrived, address: Address) -> None:
        """Take a command."""
        self._desk.take(message, address, wall_s(), monotonic_s())

    def config(self, message: Arrived) -> None:
        """Take a desired configuration of the whole site. Raises PeerError for one that cannot be answered."""
        if self.configuration.desired(message):
            self._name_configuration()

    def answered(self, probe: str, response: Response) -> bool:
        """Take a probe's answer to a relayed command or to a question of ours; False if it is to something else."""
        if self._descriptions.answered(probe, response, monotonic_s()):
            return True
        last = self._verbs.answered(probe, response)
        if last is not None:
            self._desk.finish(last)
        return last is not None

    def classed(self, batch: Batch, heard: Heard, now_s: float) -> Heard:
        """Put classes in the place of a batch's fingerprints, as far as they are known."""
        if batch.element_table != FINGERPRINT_VERSION:
            return heard
        rows = np.frombuffer(heard.rows, SIGHTING)
        classed = self._descriptions.classed(batch.probe, rows, now_s)
        return heard if classed is rows else msgspec.structs.replace(heard, rows=classed.tobytes())

    def new_life(self) -> None:
        """The key has rotated."""
        self._descriptions.new_life()

    def informed(self, probe: str, info: Info) -> None:
        """Take what a probe says of its configuration."""
        self.fleet.informed(probe, info)
        for response in self._verbs.informed(probe):
            self._desk.finish(response)

    def mind(self, now_s: float) -> bool:
        """Give up what nobody answered, look at the file; tell whether anything is to be committed."""
        self.configuration.look(now_s)
        overdue = self._desk.overdue(now_s)
        for id_ in overdue:
            self._desk.finish(self._verbs.given_up(id_))
        return self._descriptions.keep(now_s) or bool(overdue)

    def speak(self) -> None:
        """Answer on the broker each command came from; what it did is committed. Tell probes their configuration."""
        at_s, voice, parts = self._at_s(), self._parts.voice, self._parts
        answers, self._desk.answers = self._desk.answers, []
        for name, response in answers:
            link = parts.near if name == SITE_LINK else parts.upward
            link.publish(voice.topic(f"rsp/{response.id}"), voice.payload(RSP, response, at_s))
        if voice.provenance is None or not parts.near.connected:
            return
        for probe in self.fleet.names:
            if parts.online(probe) and (ask := self._descriptions.due(probe, monotonic_s(), wall_s(), token_hex(8))):
                self._tell_probe(probe, ask)
        for probe, desired in self.fleet.due():
            payload = voice.payload(CONFIG, desired, at_s)
            if parts.near.publish(voice.topic("config", probe), payload, retain=True):
                self.fleet.told(probe)

    def _tell_probe(self, probe: str, command: Command) -> bool:
        parts = self._parts
        if not parts.online(probe):
            return False
        payload = parts.voice.payload(CMD, command, self._at_s())
        if len(payload) > PROBE_READS_BYTES:
            what = f"the command has {len(payload)} bytes, {probe} reads {PROBE_READS_BYTES}"
            raise UsageError(what, where="probe", next_step="send it in parts")
        return parts.near.publish(parts.voice.topic(f"cmd/{verb_of(command)}", probe), payload)

    def _take_over(self, site: Site) -> None:
        self._parts.keeper.reconfigure(site)
        self._parts.voice.site = site
        self.fleet.reconfigure(site)
        self._name_configuration()

    def _name_configuration(self) -> None:
        self._parts.voice.config_hash = self.configuration.config_hash
        self._parts.voice.config_refused = self.configuration.refused

    def _rotate(self) -> None:
        if self._parts.keys.running is None:
            raise PeerError("there is no key yet", where="rotate-key", next_step="wait until a probe is connected")
        until_s = self._parts.keys.rotate_soon(int(self._at_s()) + ROTATE_LEAD_S)
        self._parts.keeper.cut(until_s * 1_000_000)

    def _at_s(self) -> float:
        """The hub's time; before anybody told it, this machine's."""
        now_us = self._parts.now.us
        return wall_s() if now_us is None else now_us / 1e6
