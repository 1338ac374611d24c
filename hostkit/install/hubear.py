"""Listening to what a hub says of its probes, with an operator's identity. Says nothing.

A broker of ours knows a client by its certificate, and lets an identity connect once: stop this before asking the hub.
"""

import secrets
import time
from dataclasses import dataclass
from queue import Queue

from hostkit.contract.codec import PROBES, decode, decode_state
from hostkit.contract.messages import State
from hostkit.contract.probes import Probes, ProbeStatus
from hostkit.contract.topics import HUB, topic
from hostkit.errors import PeerError
from hostkit.hub.ask import Envoy
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take

CONNECT_S = 10.0
REST_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was heard. `live`: said while we listened; else it was retained, and may be old. `hub`: its own state."""

    probes: Probes
    live: bool
    hub: State | None

    def row(self, probe: str) -> ProbeStatus | None:
        """Give the status of one probe; None where the hub's site.toml has none of that id."""
        return next((row for row in self.probes.rows if row.id == probe), None)


class HubEar:
    """`where` the hub's broker is. Begins to connect at once."""

    def __init__(self, envoy: Envoy) -> None:
        self._probes_topic = topic(envoy.tenant, envoy.site, HUB, "probes")
        self._state_topic = topic(envoy.tenant, envoy.site, HUB, "state")
        self._inbox: Inbox = Queue(1000)
        url = parse_url(envoy.broker)
        self.where = str(url)
        self.connected = False
        self.trouble = "it does not answer"
        self.hub: State | None = None
        self._client = Client(
            url,
            self._inbox,
            name="probes",
            client_id=f"{envoy.tenant}/{envoy.site}/{envoy.node}-{secrets.token_hex(4)}",
            subscriptions=((self._probes_topic, 0), (self._state_topic, 1)),
        )
        self._client.start()

    def listen(self, until_s: float) -> Told | None:
        """Wait for the next word on the probes until a monotonic time; None if none came."""
        while (left_s := until_s - time.monotonic()) > 0:
            item = take(self._inbox, min(left_s, REST_S))
            if isinstance(item, Up):
                self.connected = True
            elif isinstance(item, Down):
                self.connected, self.trouble = False, item.reason
            elif isinstance(item, Arrived):
                self._client.ack(item)
                if item.topic == self._state_topic:
                    self.hub = decode_state(item.payload, item.topic)
                elif item.topic == self._probes_topic:
                    probes = decode(PROBES, item.payload, item.topic).data
                    return Told(probes=probes, live=not item.retained, hub=self.hub)
        return None

    def first(self, wait_s: float, *, live: bool) -> Told:
        """Wait for a word; PeerError that says which of broker, right and hub is missing."""
        until_s = time.monotonic() + wait_s
        while (told := self.listen(until_s)) is not None:
            if told.live or not live:
                return told
        raise self.silent()

    def silent(self) -> PeerError:
        """Say why nothing is heard."""
        if not self.connected:
            what, step = f"no broker answers ({self.trouble})", "start the broker, check address and certificate"
        elif self.hub is None:
            what = "nothing is heard of the hub"
            step = "use an operator's identity (footfall hub enrol NAME --role operator), or start footfall hub run"
        elif self.hub is not State.ONLINE:
            what, step = f"the hub is {self.hub}", "start it: footfall hub run"
        else:
            what = "the hub has not heard any probe yet, or does not tell this identity"
            step = "power a probe; an operator may read it: footfall hub enrol NAME --role operator"
        return PeerError(what, where=self.where, next_step=step)

    def stop(self) -> None:
        """Disconnect."""
        self._client.stop()
