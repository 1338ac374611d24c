"""Broker, hub and collector are killed while every line between them doubles, overtakes, damages, loses and cuts.

FOOTFALL_SOAK=SECONDS plays as long, with a kill of each every 20 s; scripts/soak does so. A failure names its seed.
"""

import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.io.broker import plan_broker
from hostkit.io.outbox import Outbox
from hostkit.io.process import Child, Children
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.chain import FOOTFALL
from hostkit.sim.flush import flush
from hostkit.sim.plan import default_site
from hostkit.sim.player import Player
from hostkit.sim.world import SimSettings, simulate
from tests.collector.running import until
from tests.faults.chain import Killer, waiting
from tests.faults.hop import stored
from tests.faults.proxy import Faults, Proxy
from tests.hub.service import Watcher, last_health

pytestmark = pytest.mark.needs("mosquitto")
SEED = int(os.environ.get("FOOTFALL_SEED", "11"))
SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
PLAY_S, SPEED = SOAK_S or 24.0, 150.0
KILLS = int(SOAK_S / 20) or 3
SETTINGS = SimSettings(site=default_site(2), people=120, hours=min(PLAY_S * SPEED / 3600, 24.0), seed=SEED)
SITE = SETTINGS.site
BAD = Faults(duplicate=0.05, reorder=0.05, lose=0.003, corrupt=0.006, garble=0.002, reset=0.004)


class Shop:
    """The chain, each member behind a line of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        chance = random.Random(SEED)
        children = stack.enter_context(Children())
        plan = plan_broker(folder / "broker", kind="mosquitto")
        self.url = plan.url
        self.broker = children.start("broker", plan.argv, folder)
        self.broker.wait_until(plan.accepts, 20)
        port = int(plan.url.rpartition(":")[2])
        self.lines = [stack.enter_context(Proxy(port, seed=chance.randrange(1 << 30))) for _ in range(3)]
        near, self.down, self.up = (line.url for line in self.lines)
        self.hub_data, self.store = folder / "hub", folder / "collector"
        (folder / "site.toml").write_text(dump_site(SITE))
        hub = ("hub", "run", "--site", folder / "site.toml", "--broker", self.down, "--data", self.hub_data)
        collector = ("collector", "run", "--broker", self.up, "--data", self.store, "--http", "127.0.0.1:0")
        self.hub = self._start(children, folder, hub)
        self.collector = self._start(children, folder, collector)
        world = simulate(SETTINGS)
        air = [SimulatedAir(world, index) for index in range(len(world.ears))]
        self.player = Player(air, near, tenant=SITE.tenant, site=SITE.site, speed=SPEED, say=lambda line: None)

    def spoil(self, faults: Faults) -> None:
        for line in self.lines:
            line.faults = faults

    def _start(self, children: Children, folder: Path, command: Sequence[object]) -> Child:
        argv = (*FOOTFALL, *map(str, command), "--clock", "batch")
        return children.start(str(command[0]), argv, folder)


def test_kills_on_bad_lines_lose_and_double_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        shop = Shop(tmp_path, stack)
        player = shop.player
        thread = threading.Thread(target=player.run)
        thread.start()
        until(lambda: player.probes[0].acknowledged)
        shop.spoil(BAD)
        victims = (shop.broker, shop.hub, shop.collector)
        killer = Killer(victims, times=KILLS, seed=SEED, first_s=0.0, last_s=PLAY_S * 0.8)
        while not killer.done or not all(probe.over for probe in player.probes):
            killer.step()
            for child in victims:
                assert child.running or killer.has_down(child), child.ended()
            time.sleep(0.02)
        shop.spoil(Faults())
        thread.join()
        watcher = Watcher(shop)
        tenant, site = SITE.tenant, SITE.site
        flush(shop.url, tenant=tenant, site=site, at_us=player.now_us, provenance=Provenance.SIMULATED)
        frames = sum(probe.kept for probe in player.probes)
        health = last_health(watcher, frames)
        watcher.stop()
        until(lambda: not waiting(shop.hub_data, tmp_path / "copy"), timeout_s=120.0)
        assert shop.hub.stop() == shop.collector.stop() == 0
        met = sum((line.met for line in shop.lines), start=type(shop.lines[0].met)())
    with closing(sqlite3.connect(shop.hub_data / "hub.db")) as database:
        produced = [json.loads(data)["visit_id"] for (data,) in database.execute("SELECT data FROM visit")]
    with closing(Outbox(shop.hub_data / "hub.db")) as outbox:
        taken = outbox.taken()
    print(f"\nseed {SEED}, killed {' '.join(killer.killed)}; {dict(met)}")
    print(f"{sum(taken.values())} batches, {len(produced)} visits")
    assert taken == {(probe.source.probe, probe.boot): probe._seq for probe in player.probes}
    # A hub that restarts takes its journal again.
    assert health.counters["frames"] + health.drops["frames_too_late"] == frames
    assert [probe.dropped for probe in player.probes] == [0, 0]
    assert len(set(produced)) == len(produced) > 20
    assert stored(shop.store) == sorted(produced), f"seed {SEED}"  # and that no gap is told of
    assert all(met[fault] for fault in ("duplicate", "reorder", "lose", "corrupt", "reset"))
