"""Whatever restarts in whatever order, a newcomer finds everything that is retained, and finds it right."""

import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hostkit.config import dump_site
from hostkit.contract.codec import CONFIG, INFO, KPI, LIVE, SITE
from hostkit.hub.fleet import probe_hash
from hostkit.hub.settings import config_hash
from hostkit.model import Thresholds
from hostkit.sim.air import SimulatedAir
from hostkit.sim.player import Player
from hostkit.sim.world import SimSettings, simulate
from tests.hub.service import HubProcess, Watcher, patient
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
_SETTINGS = SimSettings(people=40, hours=8.0, seed=5)
SITE_ = replace(_SETTINGS.site, thresholds=Thresholds(visit_timeout_s=120.0))
PROBES = [probe.id for probe in SITE_.probes]
DEVICE = "homeassistant/device/footfall_demo_corner-shop/config"


class Running:
    """Broker without a memory, hub, probes; each can be killed and started."""

    def __init__(self, folder) -> None:  # type: ignore[no-untyped-def]
        self.broker = Mosquitto(folder).start()
        self.hub = HubProcess(folder, self.broker.url, site=SITE_).start()
        simulation = simulate(replace(_SETTINGS, site=SITE_))
        air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
        self.player = Player(air, self.broker.url, tenant=SITE_.tenant, site=SITE_.site, speed=200.0, say=patient)
        self.thread = threading.Thread(target=self.player.run, daemon=True)
        self.thread.start()

    def kill_broker(self) -> None:
        self.broker.stop(signal.SIGKILL)

    def start_broker(self) -> None:
        self.broker.start()

    def kill_hub(self) -> None:
        self.hub.stop(signal.SIGKILL)

    def start_hub(self) -> None:
        self.hub.start()

    def close(self) -> None:
        self.player.stop()
        self.thread.join(40)
        self.hub.stop()
        self.broker.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("running"))
    yield running
    running.close()


def retained(running: Running) -> dict[str, bytes]:
    """Give what a newcomer finds."""
    watcher = Watcher(running.broker, "#")
    time.sleep(0.5)
    watcher.stop()
    place = f"footfall/v1/{SITE_.tenant}/{SITE_.site}/"
    return {one.topic.removeprefix(place): one.payload for one in watcher.messages if one.retained}


def wrong(found: dict[str, bytes]) -> list[str]:
    """Name what is missing or not as it should be."""
    checks: dict[str, Callable[[bytes], bool]] = {
        "hub/state": lambda payload: payload == b"online",
        "hub/info": lambda payload: INFO.decoder.decode(payload).data.config_hash == config_hash(SITE_),
        "hub/site": lambda payload: SITE.decoder.decode(payload).data.site == SITE_,
        "hub/live": lambda payload: LIVE.decoder.decode(payload).data.at_s > 0,
        "hub/kpi/hour": lambda payload: KPI.decoder.decode(payload).data.grain == "hour",
        DEVICE: lambda payload: json.loads(payload)["device"]["name"].endswith("(simulated)"),
    }
    for probe in SITE_.probes:
        wanted = probe_hash(probe)
        checks[f"{probe.id}/state"] = lambda payload: payload == b"online"
        checks[f"{probe.id}/config"] = lambda payload, wanted=wanted: (  # type: ignore[misc]
            CONFIG.decoder.decode(payload).data.config_hash == wanted
        )
        checks[f"{probe.id}/info"] = lambda payload, wanted=wanted: (  # type: ignore[misc]
            INFO.decoder.decode(payload).data.config_hash == wanted
        )
    missing = [name for name, right in checks.items() if name not in found or not right(found[name])]
    never = [topic for topic in found if "/rsp/" in topic or "/cmd/" in topic or topic.endswith(("/event", "/obs"))]
    return missing + never


def settled(running: Running, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while faults := wrong(retained(running)):
        assert time.monotonic() < deadline, faults


STEPS = ("kill_broker", "start_broker", "kill_hub", "start_hub")
# Every order in which broker and hub can each go and come back once.
ORDERS = [
    order
    for order in itertools.permutations(STEPS)
    if order.index("kill_broker") < order.index("start_broker") and order.index("kill_hub") < order.index("start_hub")
]


ALONE = [STEPS[:2], STEPS[2:]]


@pytest.mark.parametrize("order", [(), *ALONE, *ORDERS], ids="-".join)
def test_a_newcomer_finds_all_that_is_retained(running: Running, order: tuple[str, ...]) -> None:
    for step in order:
        getattr(running, step)()
        time.sleep(0.3)
    settled(running)


def cleared(running: Running, probe: str, timeout_s: float = 60.0) -> dict[str, bytes]:
    """Wait until a newcomer finds nothing of a probe; give what it finds."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = retained(running)
        left = [name for name in found if name.startswith(f"{probe}/")]
        device = json.loads(found.get(DEVICE, b"{}")).get("components", {})
        if not left and "hub/site" in found and len(device.get(f"probe_{probe}", {})) == 1:  # let go of
            return found
        assert time.monotonic() < deadline, (left, device)


def test_nothing_is_retained_of_a_probe_that_was_taken_out_while_the_hub_was_down(running: Running) -> None:
    """Last in this file: the site has a probe less afterwards."""
    settled(running)
    gone = SITE_.probes[-1].id
    assert {f"{gone}/state", f"{gone}/info", f"{gone}/config"} <= retained(running).keys()
    running.player.stop()
    running.thread.join(40)
    running.hub.stop()
    site = replace(SITE_, probes=SITE_.probes[:-1])
    running.hub.path.write_text(dump_site(site), encoding="utf-8")
    running.hub.start()
    found = cleared(running, gone)
    assert {f"{PROBES[0]}/state", f"{PROBES[0]}/info"} <= found.keys()
    site_told = SITE.decoder.decode(found["hub/site"]).data.site
    assert [probe.id for probe in site_told.probes] == PROBES[:-1]
    components = json.loads(found[DEVICE])["components"]
    assert components[f"probe_{gone}"] == {"platform": "binary_sensor"}  # Home Assistant lets go of it
    assert "state_topic" in components[f"probe_{PROBES[0]}"]
    # a broker that brings all back, as from an older copy of its store, is told again
    watcher = Watcher(running.broker, "#")
    place = f"footfall/v1/{SITE_.tenant}/{SITE_.site}/{gone}"
    for stream in ("state", "config"):
        watcher.client.publish(f"{place}/{stream}", b"online", retain=True)
    running.kill_hub()
    running.start_hub()
    cleared(running, gone)
    watcher.stop()
