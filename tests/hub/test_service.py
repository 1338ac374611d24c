"""The hub as a process beside a real mosquitto: kills, foreign messages, what the disk holds, how it ends."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hostkit.contract.codec import CMD, KPI, LIVE
from hostkit.contract.homeassistant import STATUS_TOPIC
from hostkit.contract.messages import GiveKeys
from hostkit.core.dot11 import device_keys
from hostkit.model import EndReason, Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.live import play
from hostkit.sim.player import Player
from hostkit.sim.world import simulate
from tests.cli.command import footfall, refused
from tests.hub.service import SETTINGS, SPEED, HubProcess, Watcher, patient, played
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture
def hub(tmp_path: Path, broker: Mosquitto) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path, broker.url).start()
    yield hub
    if hub.process and hub.process.poll() is None:
        hub.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Entrants of the same run without faults."""
    folder = tmp_path_factory.mktemp("calm")
    broker = Mosquitto(folder).start()
    rows = played(broker, HubProcess(folder, broker.url).start())
    broker.stop()
    assert len(rows) > 20
    return sum(row.p_entrant for row in rows)


def test_three_kills_of_the_hub_change_nothing(broker: Mosquitto, hub: HubProcess, undisturbed: float) -> None:
    def faults() -> None:
        for kill in range(3):
            hub.said("key: ", kill + 1)
            time.sleep(1.0)
            hub.restart()
        hub.said("key: ", 4)

    rows = played(broker, hub, faults)
    assert len({row.visit_id for row in rows}) == len(rows)
    assert sum(row.p_entrant for row in rows) == pytest.approx(undisturbed, rel=0.02)
    assert not [row for row in rows if row.end_reason is EndReason.RESTART]
    assert sum("recovered from a probe" in line for line in hub.lines) == 3, hub.lines


def test_three_kills_of_the_broker_change_nothing(broker: Mosquitto, hub: HubProcess, undisturbed: float) -> None:
    def faults() -> None:
        for kill in range(3):
            hub.said("site broker: connected", kill + 1)
            time.sleep(1.0)
            broker.stop(signal.SIGKILL)
            time.sleep(0.3)
            broker.start()

    rows = played(broker, hub, faults)
    assert len({row.visit_id for row in rows}) == len(rows)
    assert sum(row.p_entrant for row in rows) == pytest.approx(undisturbed, rel=0.02)


def test_a_broker_that_forgot_while_the_hub_was_away_changes_nothing(
    broker: Mosquitto, hub: HubProcess, undisturbed: float
) -> None:
    def faults() -> None:
        hub.said("key: ")
        time.sleep(1.0)
        hub.stop(signal.SIGKILL)
        broker.stop(signal.SIGKILL)
        broker.start()
        time.sleep(2.0)  # probes come back and send what nobody keeps
        hub.start()

    rows = played(broker, hub, faults)
    assert len({row.visit_id for row in rows}) == len(rows)
    assert sum(row.p_entrant for row in rows) == pytest.approx(undisturbed, rel=0.02)


def test_everything_it_says_keeps_the_contract_and_nothing_it_stores_names_a_device(
    broker: Mosquitto, hub: HubProcess
) -> None:
    watcher = Watcher(broker)
    rows = played(broker, hub)
    watcher.stop()
    assert rows
    live = LIVE.decoder.decode(watcher.of("hub/live")[-1].payload)
    assert {kpi.id for kpi in live.data.kpis} >= {"occupancy", "footfall_today_devices", "dwell_mean_today"}
    assert live.provenance is Provenance.SIMULATED
    assert all(kpi.coverage.probes_up == 4 for kpi in live.data.kpis)
    hour = KPI.decoder.decode(watcher.of("hub/kpi/hour")[-1].payload).data
    footfall_ = next(kpi for kpi in hour.kpis if kpi.id == "footfall")
    assert footfall_.value is not None
    assert footfall_.value > 5
    assert [message.payload for message in watcher.of("hub/state")] == [b"online", b"offline"]
    sent = {message.payload for message in watcher.of("hub/visits")}
    assert len(sent) == len(watcher.of("hub/visits"))
    commands = [CMD.decoder.decode(message.payload).data for message in watcher.of("cmd/key")]
    keys = {bytes.fromhex(key.key) for command in commands if isinstance(command, GiveKeys) for key in command.keys}
    assert len(keys) == 2
    assert all(message.qos == 0 and not message.retained for message in watcher.of("cmd/key"))
    assert_stored_nothing(hub.data, keys)


def test_an_uplink_of_its_own_gets_results_and_the_probes_state_and_nothing_else(
    tmp_path: Path, broker: Mosquitto, undisturbed: float
) -> None:
    above = Mosquitto(tmp_path).start()
    hub = HubProcess(tmp_path, broker.url, uplink=above.url).start()
    hub.said("uplink broker: connected")
    watchers = Watcher(broker), Watcher(above)
    simulation, site = simulate(SETTINGS), SETTINGS.site
    sources = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    played_ = Player(sources, broker.url, tenant=site.tenant, site=site.site, speed=SPEED, say=patient).run()
    flush(broker.url, tenant=site.tenant, site=site.site, at_us=played_.until_us, provenance=Provenance.SIMULATED)
    assert hub.stop() == 0
    below, over = ({message.topic.split("/", 4)[4] for message in one.messages} for one in watchers)
    for watcher, one in zip(watchers, (broker, above), strict=True):
        watcher.stop()
        one.stop()
    assert over >= {"hub/visits", "hub/live", "hub/kpi/hour", "hub/state", "hub/info", "hub/site", "hub/health"}
    assert over >= {f"probe-1/{stream}" for stream in ("state", "info", "health")}
    assert not {topic for topic in over if "obs" in topic or "key" in topic}
    assert below >= {"probe-1/obs", "hub/live", "hub/state"}
    assert "hub/visits" not in below
    assert sum(row.p_entrant for row in hub.rows()) == pytest.approx(undisturbed, rel=0.02)


def test_home_assistant_is_told_when_the_hub_comes_and_when_it_starts_itself(
    broker: Mosquitto, hub: HubProcess
) -> None:
    watcher = Watcher(broker, "homeassistant/device/#")
    play(simulate(SETTINGS), broker.url, speed=SPEED, say=patient)
    first = watcher.wait("config", 3)  # it came, had a key, and was asked to say everything at the end of the play
    device = json.loads(first[-1].payload)
    assert device["device"]["name"].endswith("(simulated)")
    told = len(first)
    watcher.client.publish(STATUS_TOPIC, b"offline")
    watcher.client.publish(STATUS_TOPIC, b"online")
    again = watcher.wait("config", told + 1)
    watcher.stop()
    assert again[-1].payload == first[-1].payload
    assert len(again) == told + 1
    assert hub.stop() == 0


def assert_stored_nothing(data: Path, keys: set[bytes]) -> None:
    """No site key, address or device key in any file of the hub."""
    stored = b"".join(path.read_bytes() for path in data.iterdir())
    simulation = simulate(SETTINGS)
    addresses = [int(address).to_bytes(6, "big") for address in np.unique(simulation.emissions["address"]).tolist()]
    secrets = [*keys, *(key.hex().encode() for key in keys), *addresses]
    for key in keys:
        secrets += [int(value).to_bytes(8, "little") for value in device_keys(addresses, key).tolist()]
    assert len(secrets) > 200
    assert not [secret for secret in secrets if secret in stored]


FOREIGN = [b"", b"{}", b"\xff\xfe", b"[" * 5000, b"online", bytes(300), json.dumps({"specversion": "1.0"}).encode()]


def test_foreign_messages_on_every_topic_are_counted_and_passed_over(
    broker: Mosquitto, hub: HubProcess, undisturbed: float
) -> None:
    hub.said("site broker: connected")
    watcher = Watcher(broker)
    base = f"footfall/v1/{SETTINGS.site.tenant}/{SETTINGS.site.site}"
    streams = ["obs", "info", "health", "state", "rsp/x", "rsp/UPPER"]
    topics = [f"{base}/{node}/{stream}" for node in ("probe-1", "nobody", "hub") for stream in streams]
    topics += [f"{base}/hub/{stream}" for stream in ("ack", "cmd/flush", "cmd/replay", "cmd/x", "cmd/UPPER")]

    def faults() -> None:
        hub.said("key: ")
        for payload in FOREIGN:
            for topic in topics:
                watcher.client.publish(topic, payload)
            time.sleep(0.3)
        watcher.client.publish(f"{base}/probe-1/state", "online", retain=True)

    rows = played(broker, hub, faults)
    watcher.stop()
    drops = json.loads(watcher.of("hub/health")[-1].payload)["data"]["drops"]
    commands = sum(count for name, count in drops.items() if name.startswith("command_"))
    assert drops["messages_refused"] + commands > len(FOREIGN) * 10
    assert drops["batch_bad"] >= len(FOREIGN)
    assert sum(row.p_entrant for row in rows) == pytest.approx(undisturbed, rel=0.02)


def test_a_lost_key_ends_open_visits_as_restart(broker: Mosquitto, hub: HubProcess) -> None:
    simulation = simulate(SETTINGS)
    air = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    site = SETTINGS.site
    player = Player(air, broker.url, tenant=site.tenant, site=site.site, speed=SPEED, say=patient)
    threading.Timer(5.0, player.stop).start()
    assert player.run().unacknowledged == 0  # the probes are gone, and the key with them
    hub.restart()
    rows = played(broker, hub)
    hub.said("no probe has the old one any more")
    ended = [row for row in rows if row.end_reason is EndReason.RESTART]
    assert len(ended) > 3
    assert f"visits: {len(ended)} ended by the restart" in hub.said("ended by the restart")
    assert len({row.visit_id for row in rows}) == len(rows)


def test_it_ends_soon_and_with_a_line(hub: HubProcess) -> None:
    hub.said("site broker: connected")
    begin = time.monotonic()
    assert hub.stop(signal.SIGINT) == 0
    assert time.monotonic() - begin < 10.0
    assert "hub: stopped" in hub.said("stopped")


def test_an_absent_broker_is_a_line_and_no_end(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path, "mqtt://127.0.0.1:1").start()
    assert "Connection refused; trying again" in hub.said("site broker")
    begin = time.monotonic()
    assert hub.stop() == 0
    assert time.monotonic() - begin < 10.0


def test_two_hubs_cannot_share_a_folder(tmp_path: Path, broker: Mosquitto, hub: HubProcess) -> None:
    hub.said("site broker: connected")
    arguments = ("--site", tmp_path / "site.toml", "--broker", broker.url, "--data", hub.data)
    done = footfall("hub", "run", *arguments)
    assert done.returncode == 5
    assert "locked" in done.stderr.splitlines()[-1]


def test_a_full_disk_ends_it_with_one_line_and_loses_nothing_acked(tmp_path: Path, broker: Mosquitto) -> None:
    limited = HubProcess(tmp_path, broker.url, prefix=("prlimit", "--fsize=150000")).start()
    limited.said("site broker: connected")
    watcher = Watcher(broker, "footfall/v1/+/+/+/ack")
    simulation = simulate(SETTINGS)

    def restarted() -> None:
        assert limited.process is not None
        assert limited.process.wait(60) == 5
        limited.said("cannot be written")
        rest = HubProcess(tmp_path, broker.url).start()
        limited.process = rest.process

    trouble = threading.Thread(target=restarted)
    trouble.start()
    _, result = play(simulation, broker.url, speed=SPEED, say=patient)
    trouble.join()
    watcher.stop()
    assert result.unacknowledged == 0
    assert limited.stop() == 0
    assert sum("cannot be written" in line for line in limited.lines) == 1


def test_plain_to_another_machine_is_refused(tmp_path: Path) -> None:
    HubProcess(tmp_path, "mqtt://127.0.0.1:1")
    done = footfall("hub", "run", "--site", tmp_path / "site.toml", "--broker", "mqtt://192.0.2.1")
    refused(done, 4, "plain connection to another machine")
