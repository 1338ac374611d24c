"""A site with authority and a real mosquitto as `hub init` configures it, for tests of who is let in."""

import queue
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Handed, Identities
from hostkit.identity.realms import Realm, SiteRealm
from hostkit.identity.upkeep import serve
from hostkit.io.broker import find_mosquitto
from hostkit.io.mqtt import Arrived, Client, Inbox, Item, parse_url, take
from hostkit.sim.world import SimSettings
from tests.io.brokers import free_port

SITE = SimSettings(people=1).site
PLACE = f"footfall/v1/{SITE.tenant}/{SITE.site}"
HOST = "127.0.0.1"


@dataclass
class Shop:
    """An authority in `folder`; `broker` runs from `start` on. What its enrolment port says goes to `said`."""

    folder: Path
    realm: Realm = field(default_factory=lambda: SiteRealm(SITE))
    life_s: float = 825 * 86_400.0
    age_s: float = 0.0  # how long ago it was made
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port, self.enrol_port = free_port(), free_port()
        self.identities, self.enrolment = Identities(self.realm, self.folder), Enrolment(self.realm, self.folder)
        self.service = self.identities.init(
            [HOST], self.port, time.time() - self.age_s, enrol_port=self.enrol_port, life_s=self.life_s
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.endpoint = None

    def start(self) -> "Shop":
        """Start mosquitto and wait until it listens."""
        program = find_mosquitto()
        assert program
        with (self.folder / "mosquitto.log").open("wb") as log:
            self.process = subprocess.Popen([program, "-c", str(self.identities.configuration)], stderr=log)
        try:
            until(lambda: accepts(self.port), "mosquitto does not listen", 30.0)
        except AssertionError:
            self.stop()
            raise
        return self

    def serve(self) -> "Shop":
        """Open the enrolment port."""
        self.endpoint = serve(self.identities, self.enrolment, self.said.append, host=HOST)
        return self

    def stop(self) -> None:
        """End what runs."""
        if self.endpoint:
            self.endpoint.stop()
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:  # a machine under load
                self.process.kill()
                self.process.wait()
            self.process = None


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def until(ready: "object", complaint: str, seconds: float = 10.0) -> None:
    """Wait for `ready()`."""
    assert callable(ready)
    give_up = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < give_up, complaint
        time.sleep(0.05)


def connect(url: str, identity: str, *subscriptions: str, name: str = "node") -> tuple[Client, Inbox]:
    """Start a client as a node does."""
    inbox: Inbox = queue.Queue(10_000)
    wanted = tuple((topic, 1) for topic in subscriptions)
    client = Client(parse_url(url), inbox, name=name, client_id=identity, subscriptions=wanted)
    client.start()
    return client, inbox


def url_of(handed: Handed, port: int) -> str:
    return f"mqtts://{HOST}:{port}?{handed.url_options}"


def first(inbox: Inbox, kind: type[Item], seconds: float = 10.0) -> Item:
    """Wait for the first item of a kind."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        item = take(inbox, 0.2)
        if isinstance(item, kind):
            return item
    raise AssertionError(f"no {kind.__name__}")


def payloads(inbox: Inbox, quiet_s: float = 0.5) -> list[bytes]:
    found = []
    while (item := take(inbox, quiet_s)) is not None:
        if isinstance(item, Arrived):
            found.append(item.payload)
    return found
