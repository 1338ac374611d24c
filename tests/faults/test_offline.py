"""The line to the collector is down for a simulated day, the whole chain running: all that waited arrives, once.

FOOTFALL_OFFLINE_DAYS=7 makes it a week; scripts/offline does so.
"""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hostkit.contract.codec import VISITS
from hostkit.contract.commands import Replay, Response
from hostkit.contract.messages import Message, Visits
from hostkit.hub.ask import Envoy, ask
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.plan import default_site
from hostkit.sim.player import Player
from hostkit.sim.world import SimSettings, simulate
from tests.collector.running import CollectorProcess, until
from tests.faults.chain import waiting
from tests.faults.hop import stored
from tests.hub.service import HubProcess, Watcher, patient
from tests.io.brokers import Mosquitto

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.timeout(3600)]
DAYS = int(os.environ.get("FOOTFALL_OFFLINE_DAYS", "1"))
SEED = int(os.environ.get("FOOTFALL_SEED", "4"))
WEEK = DAYS > 1
PEOPLE = 150
BACK = replace(SimSettings(site=default_site(1)), people=250, hours=3.0, seed=SEED)
AS_FAST_AS_IT_GOES = 10_000.0
BACK_SPEED = 600.0


@dataclass
class Clock:
    """Notes when it was what time for the shop."""

    player: Player
    noted: list[tuple[int, float]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        over = threading.Event()

        def note() -> None:
            while not over.wait(0.01):
                self.noted.append((self.player.now_us, time.monotonic()))

        thread = threading.Thread(target=note)
        thread.start()
        yield
        over.set()
        thread.join()

    def when_s(self, time_us: int) -> float:
        """Give the monotonic time at which the shop's clock first showed `time_us`."""
        return next((at_s for now_us, at_s in self.noted if now_us >= time_us), self.noted[-1][1])


def day(number: int) -> SimSettings:
    return replace(BACK, people=PEOPLE, hours=24.0, seed=SEED + number, start=BACK.start + timedelta(days=number))


def player_of(settings: SimSettings, url: str, speed: float) -> Player:
    world = simulate(settings)
    air = [SimulatedAir(world, index) for index in range(len(world.ears))]
    return Player(air, url, tenant=settings.site.tenant, site=settings.site.site, speed=speed, say=patient)


def play(settings: SimSettings, url: str) -> int:
    """Play a whole world to the hub; give the time at its end."""
    played = player_of(settings, url, AS_FAST_AS_IT_GOES).run()
    assert played.unacknowledged == played.dropped == 0
    return played.until_us


def replayed(url: str, at_us: int) -> Response:
    """Ask the hub through the uplink for everything closed until now, as a collector does."""
    site = BACK.site
    envoy = Envoy(
        broker=url, tenant=site.tenant, site=site.site, at=datetime.fromtimestamp(at_us / 1e6, UTC), node="collector",
        provenance=Provenance.SIMULATED,
    )  # fmt: skip
    command = Replay(id="again", expires=int(time.time()) + 60, from_s=0, to_s=at_us // 1_000_000)
    return ask(envoy, command, wait_s=30.0, on_accepted=lambda _: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What an outage left: ids by waiting row, what is stored and kept, and the rows as they went with their times."""

    waited: dict[int, list[str]]
    stored: list[str]
    last_days: list[str]  # the hub keeps closed visits for two days
    sent: list[tuple[Message[Visits], float]]
    hours_sent: int
    replayed: int
    answered_s: float
    clock: Clock

    @property
    def backlog(self) -> list[tuple[int, float]]:
        return [(row.seq, at_s) for row, at_s in self.sent if row.seq in self.waited]

    @property
    def new(self) -> list[float]:
        """Give how long after it was made each row went that was made while the backlog did."""
        end_s = self.backlog[-1][1]
        rows = [(row, at_s) for row, at_s in self.sent if row.seq not in self.waited and at_s < end_s]
        return sorted(at_s - self.clock.when_s(round(row.time.timestamp() * 1e6)) for row, at_s in rows)


class Line:
    """Two brokers, hub and collector; the uplink's broker is killed, and comes back."""

    def __init__(self, folder: Path) -> None:
        for name in ("site", "uplink"):
            (folder / name).mkdir()
        self._scratch = folder / "copy"
        self.near, self.far = Mosquitto(folder / "site").start(), Mosquitto(folder / "uplink").start()
        self.hub = HubProcess(folder, self.near.url, uplink=self.far.url, site=BACK.site).start()
        self.collector = CollectorProcess(self.far.url, folder / "collector")
        self.hub.said("uplink broker: connected")

    def end_input(self, at_us: int) -> None:
        site = BACK.site
        flush(self.near.url, tenant=site.tenant, site=site.site, at_us=at_us, provenance=Provenance.SIMULATED)

    def waiting(self) -> dict[int, list[str]]:
        return waiting(self.hub.data, self._scratch)

    def come_back(self) -> None:
        self.far.start()
        if not WEEK:  # else they try again within half a minute
            self.collector.kill()
            self.hub.restart()

    def stop(self) -> tuple[list[str], list[str]]:
        """Give what is stored, and what the hub produced in its last two days."""
        assert self.hub.stop() == 0, self.hub.lines
        assert self.collector.stop() == 0
        self.near.stop()
        self.far.stop()
        with closing(sqlite3.connect(self.hub.data / "hub.db")) as database:
            kept = [msgspec.json.decode(data)["visit_id"] for (data,) in database.execute("SELECT data FROM visit")]
        return stored(self.collector.data), kept


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    line = Line(tmp_path_factory.mktemp("line"))
    line.far.stop(signal.SIGKILL)
    for number in range(DAYS):
        until_us = play(day(number), line.near.url)
    line.end_input(until_us)
    waited = line.waiting()
    player = player_of(replace(BACK, start=BACK.start + timedelta(days=DAYS)), line.near.url, BACK_SPEED)
    shop, clock = threading.Thread(target=player.run), Clock(player)
    with clock.running():
        if not WEEK:
            shop.start()
            until(lambda: player.probes[0].acknowledged)
        line.come_back()
        watcher = Watcher(line.far)
        line.hub.said("uplink broker: connected", 2, timeout_s=60.0)
        if WEEK:
            shop.start()
        back_s = time.monotonic()
        answer = replayed(line.far.url, player.now_us)
        answered_s = time.monotonic() - back_s
        shop.join()
    line.end_input(player.now_us)
    until(lambda: not line.waiting(), timeout_s=60.0 * DAYS)
    watcher.stop()
    found, kept = line.stop()
    return Left(
        waited=waited, stored=found, last_days=kept, clock=clock, answered_s=answered_s, replayed=answer.replayed or 0,
        sent=[(VISITS.decoder.decode(one.payload), at_s) for one, at_s in watcher.timed("hub/visits")],
        hours_sent=len(watcher.of("hub/kpi/hour") + watcher.of("hub/kpi/day")),
    )  # fmt: skip


def test_all_that_waited_for_the_uplink_is_stored_once(left: Left) -> None:
    ids = [id_ for row in left.waited.values() for id_ in row]
    assert len(ids) > 50 * DAYS
    assert len(set(ids)) == len(ids)
    assert left.stored == sorted({*ids, *left.last_days})  # `stored` held that there is no gap


def test_what_is_new_goes_at_once_and_the_backlog_in_order(left: Left) -> None:
    backlog, late_s = left.backlog, left.new
    took_s = backlog[-1][1] - backlog[0][1]
    print(f"\n{DAYS} days: {len(left.waited)} rows waited, all sent {took_s:.1f} s after the first of them")
    print(f"{len(late_s)} new rows meanwhile: {late_s} s after they were made")
    assert list(dict.fromkeys(seq for seq, _ in backlog)) == sorted(left.waited)
    assert late_s, "none was made while the backlog went out"
    assert late_s[-1] < took_s


def test_hours_are_sent_again_on_command_meanwhile(left: Left) -> None:
    print(f"\nreplay: {left.replayed} hours and days, answered in {left.answered_s:.2f} s, {left.hours_sent} were sent")
    assert left.replayed >= 20 * DAYS
    assert left.hours_sent >= left.replayed
