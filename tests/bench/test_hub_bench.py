"""CPU of the live hub against the time it serves: 4 probes, 200 people an hour, 60 times real time."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.sim.live import play
from hostkit.sim.world import simulate
from tests.hub.service import SETTINGS, HubProcess, patient
from tests.io.brokers import Mosquitto

SPEED = 60.0
BUDGET = 0.5  # of a core; hub and collector together may use one
CROWD = replace(SETTINGS, people=100, hours=0.5)


def cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.bench
@pytest.mark.needs("mosquitto")
def test_the_hub_at_sixty_times_real_time_uses_half_a_core(tmp_path: Path) -> None:
    simulation = simulate(CROWD)
    broker = Mosquitto(tmp_path).start()
    hub = HubProcess(tmp_path, broker.url).start()
    hub.said("site broker: connected")
    assert hub.process is not None
    before_s = cpu_s(hub.process.pid)
    _, played = play(simulation, broker.url, speed=SPEED, say=patient)
    used_s = cpu_s(hub.process.pid) - before_s
    assert hub.stop() == 0
    broker.stop()
    share = used_s / (CROWD.duration_s / SPEED)
    print(f"\nhub: {used_s:.2f} s of CPU for {CROWD.duration_s:.0f} s, {share:.3f} of a core at {SPEED:.0f} x")
    assert played.speed > 0.7 * SPEED
    assert share < BUDGET
