"""Broker, hub and collector are killed with SIGKILL again and again; nothing committed is lost or doubled.

FOOTFALL_SOAK=SECONDS makes it as long as that, with a kill of each every 20 s; scripts/soak does so.
"""

import os
from pathlib import Path

import pytest

from hostkit.sim.demo import DemoSettings
from tests.faults.chain import run

SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
HOURS = 1.0
SEED = int(os.environ.get("FOOTFALL_SEED", "11"))
BROKERS = [pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")), *(["amqtt"] if SOAK_S else [])]


def settings(broker: str, duration_s: float, hours: float) -> DemoSettings:
    return DemoSettings(speed=hours * 3600.0 / duration_s, duration_s=duration_s, seed=SEED, broker=broker)


@pytest.mark.parametrize("broker", BROKERS)
def test_nothing_committed_is_lost_or_doubled(broker: str, tmp_path: Path) -> None:
    duration_s, hours, kills = (SOAK_S, min(SOAK_S / 30.0, 12.0), int(SOAK_S / 20)) if SOAK_S else (24.0, HOURS, 3)
    calm = run(tmp_path / "calm", settings(broker, min(duration_s / 3, 60.0), hours))
    killed = run(tmp_path / "killed", settings(broker, duration_s, hours), kills=max(kills, 3), seed=SEED)
    print(f"seed {SEED}, kills {' '.join(killed.kills)}")
    print(f"visits produced {len(killed.produced)}, stored {len(killed.stored)}; undisturbed {len(calm.produced)}")
    print(f"footfall {killed.footfall:.2f}, undisturbed {calm.footfall:.2f}")
    for one in (calm, killed):
        assert len(set(one.stored)) == len(one.stored), "a visit is stored twice"
        assert len(set(one.produced)) == len(one.produced), "a visit was closed twice"
        assert sorted(one.stored) == sorted(one.produced)
        assert one.unsent == 0
        assert one.result.rows.duplicates == 0
    assert killed.footfall == pytest.approx(calm.footfall, rel=0.02)
    assert killed.figure("passersby") == pytest.approx(calm.figure("passersby"), rel=0.02)
