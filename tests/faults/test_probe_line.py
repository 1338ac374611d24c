"""Batches over bad lines from probes to the broker and on to the hub: each is taken once, none given up for lost.

FOOTFALL_SOAK=SECONDS plays as long; scripts/soak does so. A failure names its seed.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hostkit.io.outbox import Outbox
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.plan import default_site
from hostkit.sim.player import Player
from hostkit.sim.world import SimSettings, simulate
from tests.faults.proxy import Faults, Proxy
from tests.hub.service import HubProcess, Watcher, last_health
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
SEED = int(os.environ.get("FOOTFALL_SEED", "11"))
SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
PLAY_S = SOAK_S or 8.0
SPEED = 200.0
SETTINGS = SimSettings(site=default_site(2), people=40, hours=max(PLAY_S * SPEED / 3600, 0.5), seed=SEED)
KEEP_ALIVE_S = 2  # a dead line is found within three seconds
# A packet lost by TCP is lost for good to who sent it; of twenty such a client sends no more until it connects anew.
LINES = {
    "damaged": Faults(corrupt=0.015),
    "lost": Faults(lose=0.008, reset=0.004),
    "twice-and-overtaken": Faults(duplicate=0.3, reorder=0.3),
    "cut": Faults(latency_s=0.002, reset=0.01, garble=0.005),
    "dead": Faults(),  # see below
    "everything": Faults(duplicate=0.05, reorder=0.05, lose=0.004, corrupt=0.008, garble=0.002, reset=0.004),
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("name", LINES)
def test_every_batch_is_taken_once_and_none_given_up(name: str, broker: Mosquitto, tmp_path: Path) -> None:
    chance, site = random.Random(f"{SEED} {name}"), SETTINGS.site
    watcher = Watcher(broker)
    world = simulate(SETTINGS)
    air = [SimulatedAir(world, index) for index in range(len(world.ears))]
    with (
        Proxy(broker.port, seed=chance.randrange(1 << 30)) as near,
        Proxy(broker.port, seed=chance.randrange(1 << 30)) as far,
    ):
        hub = HubProcess(tmp_path, far.url, site=site).start()
        player = Player(air, near.url, tenant=site.tenant, site=site.site, speed=SPEED, say=lambda line: None)
        for probe in player.probes:
            probe.client._keep_alive_s = KEEP_ALIVE_S
        shop = threading.Thread(target=player.run)
        shop.start()
        hub.said("key: made a new one")
        near.faults = far.faults = LINES[name]
        began_s = time.monotonic()
        deaths = [began_s + (1 + n + chance.random()) * PLAY_S / 4 for n in range(3)] if name == "dead" else []
        while not all(probe.over for probe in player.probes):
            if deaths and time.monotonic() > deaths[0]:
                deaths.pop(0)
                near.freeze()
            time.sleep(0.02)
        near.calm()
        far.calm()
        shop.join()
        took_s = time.monotonic() - began_s
        flush(broker.url, tenant=site.tenant, site=site.site, at_us=player.now_us, provenance=Provenance.SIMULATED)
        frames = sum(probe.kept for probe in player.probes)
        produced = {(probe.source.probe, probe.boot): probe._seq for probe in player.probes}
        health = last_health(watcher, frames, sum(produced.values()))  # the last batch may hold no frame
        watcher.stop()
        assert hub.stop() == 0, hub.lines
        met = near.met + far.met
    print(f"\nseed {SEED}, {name}: {health.counters['batches']} batches in {took_s:.1f} s, {dict(met)},", end=" ")
    print(f"{sum(probe.sent for probe in player.probes)} sent, refused {health.drops['batch_bad']}")
    with closing(Outbox(hub.data / "hub.db")) as outbox:
        taken = outbox.taken()
    assert taken == produced
    assert health.drops["batches_lost"] == 0, f"seed {SEED}"
    assert health.counters["batches"] == sum(produced.values())
    # At this speed a second without a line is minutes: what comes later than a visit may be is counted, not taken.
    assert health.counters["frames"] + health.drops["frames_too_late"] == frames
    assert sum(probe.dropped for probe in player.probes) == 0
    for fault in ("duplicate", "reorder", "lose", "corrupt", "garble", "reset"):
        assert bool(getattr(LINES[name], fault)) <= bool(met[fault]) or name == "everything", f"no {fault} was met"
    assert name != "dead" or met["freeze"] >= 3
