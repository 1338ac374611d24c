"""Whole services in trouble: a disk that is full, a clock that is set by a day, two hubs with one identity."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hostkit.contract.codec import ACK, HEALTH
from hostkit.contract.messages import Health, VisitRow
from hostkit.io.store_sqlite import FILE
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.player import Player
from hostkit.sim.world import simulate
from tests.collector.running import CollectorProcess, KeepingHub, rows_of, until
from tests.collector.shop import BOOT, HubVoice, day, simulated
from tests.disks import fill, small_disk
from tests.faults.clock import library
from tests.hub.service import SETTINGS, SPEED, HubProcess, Watcher
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
DAY_S = 86_400


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "12m") as folder:
        yield folder


def test_a_collector_on_a_full_disk_waits_and_loses_nothing(tmp_path: Path, disk: Path, broker: Mosquitto) -> None:
    shop = simulated(120, 4.0, 5)
    posts = list(day(shop, HubVoice(shop.site)))
    collector = CollectorProcess(broker.url, disk)
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    filler = fill(disk, leave=100_000)
    deadline = time.monotonic() + 60
    while "is full" not in collector.log.read_text():
        assert time.monotonic() < deadline, collector.log.read_text()
        hub.turn()
    assert collector.process.poll() is None
    filler.unlink()
    while not hub.done:
        assert time.monotonic() < deadline + 60, "the hub still waits for acks"
        hub.turn()
    assert collector.stop() == 0
    hub.stop()
    with closing(sqlite3.connect(disk / FILE)) as database:
        visits = dict(database.execute("SELECT visit_id, rev FROM visit").fetchall())
    assert visits == rows_of(posts)
    assert collector.log.read_text().count("is full") == 1


def test_a_hub_on_a_full_disk_ends_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path, broker: Mosquitto
) -> None:
    hub = HubProcess(tmp_path, broker.url, data=disk).start()
    hub.said("site broker: connected")
    filler = fill(disk, leave=60_000)

    def restarted() -> None:
        assert hub.process is not None
        assert hub.process.wait(60) == 5
        filler.unlink()
        hub.start()

    rows = play_through(broker, hub, restarted)
    assert sum("is full" in line for line in hub.lines) == 1
    assert len(rows) > 20
    assert len({row.visit_id for row in rows}) == len(rows)


def play_through(broker: Mosquitto, hub: HubProcess, trouble: Callable[[], None]) -> list[VisitRow]:
    """Play the seeded shop with trouble beside it; every batch must be acknowledged in the end."""
    simulation, site = simulate(SETTINGS), SETTINGS.site
    air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    player = Player(air, broker.url, tenant=site.tenant, site=site.site, speed=SPEED, say=lambda line: None)
    beside = threading.Thread(target=trouble)
    beside.start()
    played = player.run()
    beside.join()
    flush(broker.url, tenant=site.tenant, site=site.site, at_us=played.until_us, provenance=Provenance.SIMULATED)
    assert played.unacknowledged == played.dropped == 0
    assert hub.stop() == 0, hub.lines
    return hub.rows()


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that moves a process's wall clock."""
    return library(tmp_path_factory.mktemp("clock"))


@pytest.mark.needs("gcc")
def test_a_clock_set_by_a_day_and_back_ends_the_visits_and_the_hub_goes_on(
    clock: Path, tmp_path: Path, broker: Mosquitto
) -> None:
    moved = tmp_path / "clock"
    moved.write_text("0")
    environment = {"LD_PRELOAD": str(clock), "CLOCK_FILE": str(moved)}
    hub = HubProcess(tmp_path, broker.url, clock="wall", environment=environment).start()
    hub.said("site broker: connected")
    watcher = Watcher(broker)
    now = datetime.now(ZoneInfo(SETTINGS.site.time_zone)).replace(tzinfo=None)
    simulation = simulate(replace(SETTINGS, start=now, people=3000, hours=0.5))
    air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    site = SETTINGS.site
    player = Player(air, broker.url, tenant=site.tenant, site=site.site, speed=1.0, say=lambda line: None)

    def faults() -> None:
        hub.said("key: made a new one")
        for times, by_s in enumerate((DAY_S, 0), start=1):
            before = taken(watcher)
            until(lambda before=before: taken(watcher) > before, timeout_s=60.0)
            moved.write_text(str(by_s))
            hub.said("clock: set by", times, timeout_s=60.0)
            hub.said("site broker: connected", times + 1, timeout_s=60.0)  # it has begun anew, on that time
        until(lambda: health(watcher).drops["clock_steps"] == 2, timeout_s=90.0)

    def faults_and_stop() -> None:
        try:
            faults()
        finally:
            player.stop()

    beside = threading.Thread(target=faults_and_stop)
    beside.start()
    player.run()
    beside.join()
    last = health(watcher)
    watcher.stop()
    assert hub.stop() == 0, hub.lines
    assert [line.split("set by ")[1].split(" s")[0] for line in hub.lines if "set by" in line] == ["+86,400", "-86,400"]
    rows = hub.rows()
    assert rows
    assert len({row.visit_id for row in rows}) == len(rows)
    assert last.drops["clock_steps"] == 2
    assert last.drops["frames_too_late"] == 0


def taken(watcher: Watcher) -> int:
    """Give how many batches the hub has acknowledged."""
    upto: Counter[str] = Counter()
    for message in watcher.of("ack"):
        upto[message.topic] = max(upto[message.topic], ACK.decoder.decode(message.payload).data.upto)
    return upto.total()


def health(watcher: Watcher) -> Health:
    """Give what the hub said last of itself."""
    return HEALTH.decoder.decode(watcher.of("hub/health")[-1].payload).data


def test_two_hubs_with_one_identity_are_named_and_what_both_send_is_kept_apart(
    tmp_path: Path, broker: Mosquitto
) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    one, two = (HubProcess(folder, broker.url) for folder in folders)
    collector = CollectorProcess(broker.url, tmp_path / "collector")
    one.start()
    one.said("site broker: connected")
    simulation, site = simulate(SETTINGS), SETTINGS.site
    air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    player = Player(air, broker.url, tenant=site.tenant, site=site.site, speed=SPEED, say=lambda line: None)

    def faults() -> None:
        one.said("key: ")
        two.start()
        for hub in (one, two):
            hub.said("another hub uses this identity", timeout_s=60.0)
        two.stop()

    beside = threading.Thread(target=faults)
    beside.start()
    played = player.run()
    beside.join()
    flush(broker.url, tenant=site.tenant, site=site.site, at_us=played.until_us, provenance=Provenance.SIMULATED)
    until(lambda: "two hubs" in collector.log.read_text())
    assert one.stop() == 0
    assert collector.stop() == 0
    with closing(sqlite3.connect(one.data / "hub.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(sqlite3.connect(collector.data / FILE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = [row[0] for row in database.execute("SELECT visit_id FROM visit")]
    assert len(set(stored)) == len(stored)
