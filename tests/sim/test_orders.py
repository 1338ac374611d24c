"""A simulated probe does what a real one does when told, and says why where it cannot."""

from dataclasses import replace

import numpy as np
import pytest

from hostkit.contract.commands import Command, Describe, Identify, Measure, ReadLog, Response, Restart, SetHop, Status
from hostkit.contract.messages import CONFIG_VERSION, Desired
from hostkit.core.describe import read_description
from hostkit.model import Probe
from hostkit.sim.air import SimulatedAir
from hostkit.sim.orders import KEPT_IDS, LOG_LINES, Orders
from hostkit.sim.world import SimSettings, simulate

WORLD = simulate(SimSettings(people=40, hours=0.5, seed=3))
KEY = bytes(16)


@pytest.fixture
def air() -> SimulatedAir:
    return SimulatedAir(WORLD, 0)


@pytest.fixture
def orders(air: SimulatedAir) -> Orders:
    return Orders("probe-1", air, lambda: "12:00:00")


def refusal(response: Response) -> str:
    assert response.outcome is Status.REFUSED
    assert response.error
    return response.error.what


def test_fingerprints_are_described_as_they_were_heard(air: SimulatedAir, orders: Orders) -> None:
    heard = air.listen(air.start_us, air.start_us + 300_000_000, 4096, KEY)
    assert heard
    prints = tuple(np.unique(heard.frames["fingerprint"]).tolist())[:20]
    answer = orders.do(Describe(id="d", expires=0, fingerprints=(*prints, 1)))
    assert [one.fingerprint for one in answer.descriptions] == list(prints)
    for one in answer.descriptions:
        data = b"".join(bytes((part.id, part.length)) + bytes.fromhex(part.stable) for part in one.elements)
        assert read_description(data).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    "command",
    [
        Identify(id="a", expires=0, probe="probe-1"),
        Restart(id="a", expires=0, probe="probe-1"),
        ReadLog(id="a", expires=0, probe="probe-1"),
        Measure(id="a", expires=0, probe="probe-1", beacon="b", channel=6),
    ],
)
def test_a_command_is_done_once_and_by_its_probe(orders: Orders, command: Command) -> None:
    assert orders.do(command).outcome is Status.DONE
    assert refusal(orders.do(command)) == "this id came before"
    assert refusal(orders.do(type(command)(**{**_fields(command), "id": "b", "probe": "probe-2"}))) == "is for probe-2"


def _fields(command: Command) -> dict[str, object]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


def test_what_only_a_hub_does_is_refused_and_memory_is_bounded(orders: Orders) -> None:
    hop = SetHop(id="h", expires=0, probe="probe-1", channels=(1,), dwell_ms=100)
    assert refusal(orders.do(hop)) == "a simulated probe cannot do this"
    for number in range(max(KEPT_IDS, LOG_LINES) + 5):
        orders.do(Identify(id=f"i{number}", expires=0, probe="probe-1"))
    assert len(orders.do(ReadLog(id="l", expires=0, probe="probe-1", lines=200)).lines) == LOG_LINES
    assert orders.do(hop).outcome is Status.REFUSED


def test_another_hop_plan_changes_what_is_heard_from_then_on(air: SimulatedAir, orders: Orders) -> None:
    before = air.listen(air.start_us, air.start_us + 60_000_000, 4096, KEY)
    assert before
    assert {entry.channel for entry in before.listened} == {1, 6, 11}
    probe = replace(WORLD.settings.site.probes[0], channels=(6,), dwell_ms=500)
    orders.configure(Desired(config_hash="aa", probe=probe))
    assert (orders.config_hash, orders.config_refused) == ("aa", None)
    after = air.listen(before.to_us, before.to_us + 600_000_000, 4096, KEY)
    assert after
    assert {entry.channel for entry in after.listened} == {6}
    assert len(after.frames)
    assert (after.frames["time_us"] >= before.to_us).all()
    orders.configure(Desired(config_hash="bb", probe=WORLD.settings.site.probes[0]))
    back = air.listen(after.to_us, after.to_us + 60_000_000, 4096, KEY)
    assert back
    assert {entry.channel for entry in back.listened} == {1, 6, 11}


@pytest.mark.parametrize(
    ("desired", "what"),
    [
        (Desired(config_hash="cc", probe=Probe(id="probe-2")), "is not of this probe"),
        (Desired(config_hash="cc", site=WORLD.settings.site), "is not of this probe"),
        (Desired(config_hash="cc", version=CONFIG_VERSION + 1, probe=Probe(id="probe-1")), "version 2 is newer than"),
        (Desired(config_hash="cc", probe=Probe(id="probe-1", channels=(6, 36))), "hears channels 1 to 14 only"),
        (Desired(config_hash="cc", probe=Probe(id="probe-1", channels=())), "hears channels 1 to 14 only"),
    ],
)
def test_a_bad_configuration_is_refused_and_the_last_one_stays(orders: Orders, desired: Desired, what: str) -> None:
    good = Desired(config_hash="aa", probe=WORLD.settings.site.probes[0])
    orders.configure(good)
    orders.configure(desired)
    assert orders.config_hash == "aa"
    assert orders.config_refused
    assert orders.config_refused.config_hash == "cc"
    assert what in orders.config_refused.what
    orders.configure(good)  # back to what is in force: nothing else is wanted any more
    assert (orders.config_hash, orders.config_refused) == ("aa", None)
    orders.configure(Desired(config_hash="dd", probe=good.probe))
    assert (orders.config_hash, orders.config_refused) == ("dd", None)
