"""Probes on serial lines: real firmware, real ports (ptys), the real hub and broker; damage, unplugging, rivals."""

import os
import queue
import random
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.contract.codec import HEALTH, decode
from hostkit.contract.homeassistant import STATUS_ONLINE, STATUS_TOPIC
from hostkit.contract.messages import Health
from hostkit.hub.keeper import database
from hostkit.hub.parts import HubSettings
from hostkit.hub.service import Hub
from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.io.outbox import Outbox
from hostkit.model import Probe
from hostkit.sim.plan import default_site
from tests.firmware.board import Board, Frame
from tests.firmware.cable import Cable
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
PROBES = ("door", "till")
SITE = replace(
    default_site(), probes=tuple(Probe(id=name, floor="ground", position_m=(1.0, 1.0, 2.5)) for name in PROBES)
)
PLACE = f"footfall/v1/{SITE.tenant}/{SITE.site}"


class Bench:
    """A hub in a thread, a listener on its broker, a folder that ports appear in."""

    def __init__(self, folder: Path) -> None:
        self.ports = folder / "ports"
        self.ports.mkdir()
        self.broker = Mosquitto(folder).start()
        site_file = folder / "site.toml"
        site_file.write_text(dump_site(SITE))
        self.said: list[str] = []
        self._over = threading.Event()
        settings = HubSettings(
            site=SITE,
            path=site_file,
            broker=parse_url(self.broker.url),
            uplink=None,
            data=folder / "hub",
            batch_clock=False,
            serial=(f"{self.ports}/tty*",),
        )
        self.heard: list[Arrived] = []
        self._asked_s = 0.0
        inbox: Inbox = queue.Queue(100_000)
        self._watcher = Client(
            parse_url(self.broker.url), inbox, name="w", client_id="w", subscriptions=((f"{PLACE}/#", 0),)
        )
        self._watcher.start()
        assert isinstance(take(inbox, 10), Up)
        self._threads = [
            threading.Thread(target=self._serve, args=(settings,)),
            threading.Thread(target=self._listen, args=(inbox,)),
        ]
        for thread in self._threads:
            thread.start()

    def last(self, topic: str) -> bytes | None:
        """Give what was said last on a topic."""
        return next((m.payload for m in reversed(self.heard) if m.topic == f"{PLACE}/{topic}"), None)

    def health(self) -> Health | None:
        """Give the hub's last health; to a Home Assistant that starts it says it anew."""
        if time.monotonic() > self._asked_s + 1.0:
            self._asked_s = time.monotonic()
            self._watcher.publish(STATUS_TOPIC, STATUS_ONLINE)
        payload = self.last("hub/health")
        return decode(HEALTH, payload, f"{PLACE}/hub/health").data if payload else None

    def stop(self) -> None:
        """End everything."""
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        self._watcher.stop(0.2)
        self.broker.stop()

    def _serve(self, settings: HubSettings) -> None:
        outbox = Outbox(database(settings.data))
        hub = Hub(settings, outbox, self.said.append)
        hub.start()
        while not self._over.is_set():
            hub.round(0.05)
        hub.stop()
        outbox.close()

    def _listen(self, inbox: Inbox) -> None:
        while not self._over.is_set():
            item = take(inbox, 0.1)
            if isinstance(item, Arrived):
                self.heard.append(item)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
def plugged(bench: Bench, tmp_path: Path) -> Iterator[Callable[[str, str], tuple[Board, Cable]]]:
    made: list[tuple[Board, Cable]] = []

    def plug(port: str, probe: str) -> tuple[Board, Cable]:
        cable = Cable(bench.ports / port)
        board = Board(tmp_path / port, pty=cable.board_path)
        board.settings(probe=probe, tenant=SITE.tenant, site=SITE.site, uplink="serial", batch_s=1, dwell_ms=100)
        made.append((board.start(), cable))
        return made[-1]

    yield plug
    for board, cable in made:
        board.stop()
        cable.close()


def frame(number: int) -> Frame:
    return (f"02aabb{number:06x}", 77_000, 0, number % 4096, -40 - number % 50, -95, 6, 1)


def until(look: Callable[[], object], bench: Bench, timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, f"never; the hub said {bench.said[-8:]}, health {bench.health()}"
        time.sleep(0.05)


def frames_of(bench: Bench) -> int:
    health = bench.health()
    return health.counters.get("frames", 0) if health else 0


def test_two_probes_keys_acks_damage_and_unplugging(
    bench: Bench, plugged: Callable[[str, str], tuple[Board, Cable]]
) -> None:
    (door, first), (till, _) = plugged("tty1", "door"), plugged("tty2", "till")
    for board in (door, till):
        board.until("app.capture.key_id is not None", 30)
    first.spoil = 0.0005
    for number in range(0, 200, 10):
        door.air(*(frame(n) for n in range(number, number + 10)))
        till.air(*(frame(1000 + n) for n in range(number, number + 10)))
        time.sleep(0.05)
    until(lambda: frames_of(bench) == 400, bench)
    first.spoil = 0.0
    assert bench.last("door/state") == b"online"
    assert bench.last("door/info")
    assert not [m.topic for m in bench.heard if "/obs" in m.topic or "/cmd/" in m.topic or "/rsp" in m.topic]
    first.unplug()
    until(lambda: bench.last("door/state") == b"offline", bench)
    door.air(*(frame(5000 + n) for n in range(50)))
    time.sleep(1.5)
    first.plug_in()
    until(lambda: bench.last("door/state") == b"online", bench)
    until(lambda: frames_of(bench) == 450, bench)
    health = bench.health()
    assert health is not None
    assert health.drops["batches_lost"] == 0
    assert health.drops["serial_damaged"] > 0
    assert health.drops["serial_inbox_full"] == 0
    assert health.counters["serial_probes"] == 2
    until(lambda: bench.last("till/health"), bench)


def test_a_second_line_cannot_speak_for_a_probe(
    bench: Bench, plugged: Callable[[str, str], tuple[Board, Cable]]
) -> None:
    door, _ = plugged("tty1", "door")
    door.until("app.capture.key_id is not None", 30)
    plugged("tty2", "door")
    until(lambda: any("tty2: says it is door" in line for line in bench.said), bench)
    plugged("tty3", "stranger")
    until(lambda: (health := bench.health()) is not None and health.drops["serial_foreign"], bench)
    door.air(*(frame(n) for n in range(20)))
    until(lambda: frames_of(bench) == 20, bench)
    assert not [m for m in bench.heard if "/stranger/" in m.topic]


def test_garbage_and_what_is_no_port(bench: Bench, plugged: Callable[[str, str], tuple[Board, Cable]]) -> None:
    plugged("tty1", "door")
    (bench.ports / "tty-file").write_text("no port")
    until(lambda: any("tty-file" in line and "plug the probe in again" in line for line in bench.said), bench)
    master, slave = os.openpty()
    tty.setraw(slave)
    (bench.ports / "tty-noise").symlink_to(os.ttyname(slave))
    rng = random.Random(3)
    until(lambda: any("tty-noise: open" in line for line in bench.said), bench)
    for _ in range(200):
        os.write(master, rng.randbytes(500) + b"\0")
        select.select([master], [], [], 0)
    until(lambda: (health := bench.health()) is not None and health.drops["serial_damaged"] >= 100, bench)
    assert sum("tty-file" in line for line in bench.said) == 1  # said once
    os.close(master)
    os.close(slave)
    until(lambda: any("tty-noise: unplugged" in line for line in bench.said), bench)
