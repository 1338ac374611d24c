"""Everything of a hub that is told what to do: desk, verbs, configuration and the probes' share of it, put together.

Called from the service's thread. What is said goes out after the outbox's commit, see `speak`.
"""

from collections.abc import Callable
from secrets import token_hex

from hostkit.contract.codec import CONFIG, EVENT, RSP
from hostkit.contract.commands import Response
from hostkit.contract.messages import Info
from hostkit.contract.topics import Address
from hostkit.errors import PeerError
from hostkit.hub.calibrating import Bench
from hostkit.hub.commands import Desk
from hostkit.hub.configuration import Configuration
from hostkit.hub.fleet import Fleet
from hostkit.hub.links import SITE_LINK
from hostkit.hub.pace import monotonic_s, wall_s
from hostkit.hub.parts import Parts
from hostkit.hub.roles import Roles
from hostkit.hub.verbs import Means, Verbs
from hostkit.io.mqtt import Arrived
from hostkit.model import Provenance, Site

ROTATE_LEAD_S = 120  # a batch is open for 10 s and a command may take a while


class Office:
    """Takes commands and configurations, answers, and tells probes theirs."""

    def __init__(self, parts: Parts, flush: Callable[[], None]) -> None:
        self._parts, self._flush = parts, flush
        self.other_life = False  # the configuration is of a mode whose keys live otherwise: this run cannot go on
        site, path = parts.settings.site, parts.settings.path
        self.fleet = Fleet(site)
        roles = Roles(site, parts.settings.data)
        self.configuration = Configuration(
            path, site, parts.outbox, take=self._take_over, say=parts.say, roles=roles, wall_s=wall_s
        )
        bench = Bench(
            outbox=parts.outbox,
            configuration=self.configuration,
            now_s=lambda: parts.now.at_s,
            devices=parts.keeper.devices,
            listen=lambda: parts.anchors.begin(parts.now.at_s),
            fit_night=parts.settings.fit_night,
        )
        means = Means(
            bench=bench,
            configuration=self.configuration,
            fleet=self.fleet,
            flush=flush,
            send=parts.tell.later,
            online=parts.roster.online,
            replay=parts.uplink.send_again,
            recompute=lambda day: parts.speaker.recompute(day, parts.now.at_s),
            rotate=self._rotate,
            rollout=lambda command: parts.rollouts.do(command, self.fleet.names, parts.roster.online),
        )
        self._verbs = Verbs(means)
        self._desk = Desk(parts.outbox, roles, self._verbs.do)
        self._verbs.resume(self._desk.resume(wall_s(), monotonic_s()))
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
            "registered": self._parts.tags.heard,
            "probes_config_waiting": len(self.fleet.waiting),
            "fingerprints_known": self._parts.descriptions.known,
            "fingerprints_unknown": self._parts.descriptions.unknown,
            "descriptions_bad": self._parts.descriptions.bad,
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
        parts = self._parts
        if parts.anchors.answered(response.id) or parts.rollouts.answered(probe, response):
            return True
        if parts.descriptions.answered(probe, response, monotonic_s()):
            return True
        last = self._verbs.answered(probe, response)
        if last is not None:
            self._desk.finish(last)
        return last is not None

    def informed(self, probe: str, info: Info) -> None:
        """Take what a probe says of its configuration and its image."""
        self._parts.rollouts.informed(probe, info)
        self.fleet.informed(probe, info)
        for response in self._verbs.informed(probe):
            self._desk.finish(response)

    def mind(self, now_s: float) -> None:
        """Give up what nobody answered, look at the file; go on with updates and with probes that hear each other."""
        self.configuration.look(now_s)
        for id_ in self._desk.overdue(now_s):
            self._desk.finish(self._verbs.given_up(id_))
        parts, at_s = self._parts, self._parts.now.at_s
        parts.descriptions.keep(now_s)
        parts.rollouts.mind(now_s, at_s)
        if parts.voice.provenance is Provenance.LIVE and parts.keys.running is not None:
            parts.anchors.mind(at_s)

    def speak(self) -> None:
        """Answer on the broker each command came from; what it did is committed. Tell probes their configuration."""
        parts = self._parts
        at_s, voice = parts.now.at_s, parts.voice
        self._desk.answers = [answer for answer in self._desk.answers if not self._answer(*answer)]
        parts.tell.go()
        if voice.provenance is None or not parts.near.connected:
            return
        for probe in filter(parts.roster.online, self.fleet.names):
            if ask := parts.descriptions.due(probe, monotonic_s(), wall_s(), token_hex(8)):
                parts.tell(probe, ask)
        for probe, desired in self.fleet.due():
            payload = voice.payload(CONFIG, desired, at_s)
            if parts.near.publish(voice.topic("config", probe), payload, retain=True):
                self.fleet.told(probe)
        events, parts.anchors.events[:] = tuple(parts.anchors.events), ()
        for event in events:
            for client in parts.links:
                client.publish(voice.topic("event"), voice.payload(EVENT, event, at_s))

    def _answer(self, name: str, response: Response) -> bool:
        """Publish an answer on the link its command came from; False while that is not connected."""
        parts = self._parts
        link = parts.near if name == SITE_LINK else parts.upward
        if not link.connected:
            return False
        payload = parts.voice.payload(RSP, response, parts.now.at_s)
        return bool(link.publish(parts.voice.topic(f"rsp/{response.id}"), payload))

    def _take_over(self, site: Site) -> None:
        if site.privacy.anonymous != self._parts.settings.site.privacy.anonymous:
            self._parts.say(f"privacy: {site.privacy.mode} from now on; the hub begins anew")
            self._flush()
            self.other_life = True
            return
        self._parts.keeper.reconfigure(site)
        self._parts.voice.site = site
        self._parts.anchors.reconfigure(site)
        self.fleet.reconfigure(site)
        self._name_configuration()

    def _name_configuration(self) -> None:
        self._parts.voice.config_hash = self.configuration.config_hash
        self._parts.voice.config_refused = self.configuration.refused

    def _rotate(self) -> None:
        if self._parts.keys.running is None:
            raise PeerError("there is no key yet", where="rotate-key", next_step="wait until a probe is connected")
        until_s = self._parts.keys.rotate_soon(int(self._parts.now.at_s) + ROTATE_LEAD_S)
        self._parts.keeper.cut(until_s * 1_000_000)
