"""The live hub: batches from MQTT in; visits, hours, live figures and health out.

One thread takes from the inbox, works, commits and only then confirms: to the broker (PUBACK), to the probe (`ack`), to
whoever sent a command (`rsp`). A refusing disk ends the hub with StorageError: the probes keep what was not acked.
`obs` comes at QoS 1 to a persistent session and is confirmed after the commit, so that the broker keeps it while the
hub is down; everything that can hold a key comes and goes at QoS 0, which no session stores.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from hostkit.contract.codec import ACK, PROBES
from hostkit.contract.messages import Ack
from hostkit.contract.probes import Probes
from hostkit.hub.keeper import database
from hostkit.hub.links import SITE_LINK
from hostkit.hub.office import Office
from hostkit.hub.pace import Timers, monotonic_s, wall_s
from hostkit.hub.parts import HubSettings, put_together
from hostkit.hub.phonepage import application, token_of
from hostkit.hub.reception import Reception
from hostkit.hub.works import Works
from hostkit.identity.realms import SiteRealm
from hostkit.identity.upkeep import Upkeep
from hostkit.io.memory import guard_process
from hostkit.io.mqtt import take
from hostkit.io.outbox import Outbox
from hostkit.io.webserver import Listen, WebServer
from hostkit.model import Site

ROUND_ITEMS = 256  # taken before the next commit
WAIT_S = 0.2  # longest rest: SIGTERM, timers
REACK_S = 2.0  # acks go at QoS 0: one may be lost; one that frees nothing asks for what is missing
LOOK_S, TELL_S = 1.0, 5.0  # between looks at the probes, and words about them


def run(settings: HubSettings, say: Callable[[str], None], stop: threading.Event) -> None:
    """Serve until `stop` is set. `say` gets one line per event. Raises StorageError, ConfigError."""
    for refused in guard_process():
        say(f"key: this system does not protect it wholly: {refused}")
    with ExitStack() as stack:
        outbox = Outbox(database(settings.data), max_bytes=settings.site.delivery.outbox_mib << 20)
        stack.callback(outbox.close)
        stack.enter_context(outbox.blamed())
        upkeep = Upkeep(SiteRealm(settings.site), settings.data, settings.credentials, say)
        upkeep.start()
        stack.callback(upkeep.stop)
        running: list[Hub] = []
        if settings.page:
            web = _page(settings, settings.page, lambda: running[-1].probes if running else None, say)
            stack.callback(web.stop)
        clock_steps = 0
        while not stop.is_set():
            hub = Hub(settings, outbox, say, clock_steps=clock_steps)
            running[:] = [hub]
            try:
                hub.start()
                while not stop.is_set() and not hub.over:
                    hub.round(WAIT_S)
            finally:
                hub.stop()
            clock_steps, settings = hub.clock_steps, replace(settings, site=hub.site)


def _page(
    settings: HubSettings, listen: Listen, probes: Callable[[], Probes | None], say: Callable[[str], None]
) -> WebServer:
    """Serve the phone page."""
    web, token = WebServer(listen), token_of(settings.data)
    web.start(application(token, probes))
    url = web.url.replace("//0.0.0.0:", f"//{socket.gethostname()}:").replace("//[::]:", f"//{socket.gethostname()}:")
    say(f"page: {url}{token}/ shows how the probes do; whoever has this address may look")
    return web


class Hub:
    """The running service; `round` is one turn of its loop.

    It is `over`, and another must follow, once somebody has set the system's clock (keys, stays and the probes' clocks
    began on another time) or chosen a privacy mode whose keys live otherwise: what was told apart so far is gone then.
    """

    def __init__(
        self, settings: HubSettings, outbox: Outbox, say: Callable[[str], None], *, clock_steps: int = 0
    ) -> None:
        self.over = False
        self.clock_steps = clock_steps
        self._parts = put_together(settings, outbox, say)
        self._works = Works(self._parts)
        self._office = Office(self._parts, self._works.flush)
        self._reception = Reception(self._parts, self._office)
        self._timers = Timers()
        self.probes: Probes | None = None  # how they do, as of a second ago; replaced, never changed

    @property
    def site(self) -> Site:
        """Give the configuration in force."""
        return self._office.configuration.site

    def start(self) -> None:
        """Connect."""
        for link in self._parts.links:
            link.start()
        self._parts.serial.start()

    def stop(self) -> None:
        """Say offline and disconnect; what was not committed is as if it never came."""
        self._parts.serial.stop()
        for link in self._parts.links:
            link.stop(0.8)
        self._parts.keys.wipe()
        self._parts.keeper.close()

    def round(self, wait_s: float) -> None:
        """Take what has come, do what is due, commit, confirm."""
        if step_us := self._parts.now.step_us():
            self._clock_was_set(step_us)
            return
        self._take_items(wait_s)
        now_s, now_us = monotonic_s(), self._parts.now.us
        self._office.mind(now_s)
        self._works.turn(now_s, now_us)
        self._commit(now_s)
        self._office.speak()
        self._look_at_probes(now_s)
        if now_us is not None and self._parts.voice.provenance is not None:
            self._speak(now_s, now_us / 1e6)
        self.over = self._office.other_life

    def _take_items(self, wait_s: float) -> None:
        item = take(self._parts.inbox, wait_s)
        for _ in range(ROUND_ITEMS):
            if item is None:
                return
            self._reception.take(item)
            item = take(self._parts.inbox, 0)

    def _clock_was_set(self, by_us: int) -> None:
        """End what was heard on the old time, on that time."""
        self._parts.say(f"clock: set by {by_us / 1e6:+,.0f} s; visits end here, and the hub begins anew")
        self._works.flush((self._parts.now.us or 0) - by_us)
        self.over = True
        self.clock_steps += 1
        self._commit(monotonic_s())

    def _commit(self, now_s: float) -> None:
        parts = self._parts
        parts.keeper.store(now_s)
        parts.outbox.commit()
        for message in parts.confirm:
            (parts.local if message.link == SITE_LINK else parts.upward).ack(message)
        parts.confirm.clear()

    def _speak(self, now_s: float, at_s: float) -> None:
        parts, office = self._parts, self._office
        self._ack_probes(now_s, at_s)
        parts.uplink.pump(now_s)
        drops = self._reception.drops | {"clock_steps": self.clock_steps} | office.refused | parts.serial.drops
        running = parts.keys.running
        key_id = running.key_id if running else None
        parts.speaker.speak(now_s, at_s, key_id, drops, office.counters | parts.serial.counters)

    def _look_at_probes(self, now_s: float) -> None:
        parts = self._parts
        if not self._timers.due("look", now_s, now_s, every_s=LOOK_S, rest_s=LOOK_S):
            return
        running = parts.keys.running
        key_id = running.key_id if running else None
        self.probes = parts.overview.told(parts.voice.site, self._office.fleet, key_id, now_s, wall_s())
        tell = parts.voice.provenance is not None and parts.local.connected
        if tell and self._timers.due("probes", now_s, now_s, every_s=TELL_S, rest_s=TELL_S):
            payload = parts.voice.payload(PROBES, self.probes, wall_s())
            parts.local.publish(parts.voice.topic("probes"), payload, qos=0, retain=True)

    def _ack_probes(self, now_s: float, at_s: float) -> None:
        parts, owed = self._parts, self._parts.roster.take_owed()
        again = self._timers.due("ack", now_s, now_s, every_s=REACK_S, rest_s=REACK_S)
        for (probe, boot), upto in parts.intake.acks().items():
            if probe in owed or (again and probe in parts.roster):
                payload = parts.voice.payload(ACK, Ack(boot=str(boot), upto=upto), at_s)
                parts.near.publish(parts.voice.topic("ack", probe), payload, qos=0)
