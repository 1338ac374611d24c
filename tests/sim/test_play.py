"""Simulated probes against a hub that checks every byte, over a real broker that goes away."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from hostkit.contract.codec import ACK, CMD, HEALTH, INFO, RSP, compose, decode, encode
from hostkit.contract.commands import Fault, Response
from hostkit.contract.messages import Ack, AskKeys, GiveKeys, Health, Info, KeySpan
from hostkit.contract.topics import Address, parse_topic, topic
from hostkit.core.dot11 import FINGERPRINT_VERSION, CaptureReader
from hostkit.core.wire import Batch, decode_batch, sightings_of_batch
from hostkit.errors import PeerError, UsageError
from hostkit.io.broker import BrokerPlan, free_port, plan_broker
from hostkit.io.mqtt import Arrived, Client, Inbox, parse_url, take
from hostkit.io.process import Child
from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.live import play
from hostkit.sim.plan import default_site
from hostkit.sim.player import Player
from hostkit.sim.probe import BATCH_RECORDS, BATCH_US
from hostkit.sim.recorded import play_recorded
from hostkit.sim.spool import LATE_S, WINDOW, Spool, Spooled
from hostkit.sim.world import SimSettings, Simulation, simulate

KEYS = (bytes(range(16)), bytes(range(16, 32)))
FAR_S = 4_000_000_000


class HubStub(threading.Thread):
    """Gives keys, keeps every batch as it came, acknowledges after `slack` batches of a probe."""

    def __init__(self, plan: BrokerPlan, spans: tuple[KeySpan, ...], slack: int = 1, silent: bool = False) -> None:
        super().__init__(daemon=True)
        self.inbox: Inbox = Queue(2000)
        self.spans, self.slack, self.silent = spans, slack, silent
        self.arrived: dict[tuple[str, int], list[bytes]] = {}
        self.batches: list[Batch] = []
        self.infos: list[Info] = []
        self.health: list[Health] = []
        self.flushed_at: list[datetime] = []
        self.refusal: Fault | None = None
        self.answers: list[tuple[int, Response]] = []
        self._upto: dict[str, int] = {}
        self._boot: dict[str, int] = {}
        self._number = 0
        everything = tuple(
            (f"footfall/v1/demo/corner-shop/+/{stream}", 1)
            for stream in ("info", "health", "obs", "rsp/+", "cmd/flush")
        )
        self.client = Client(
            parse_url(plan.url),
            self.inbox,
            name="hub",
            client_id="hub",
            subscriptions=everything,
            state_topic=topic("demo", "corner-shop", "hub", "state"),
        )
        self.stopping = threading.Event()

    def run(self) -> None:
        self.client.start()
        while not self.stopping.is_set():
            item = take(self.inbox, 0.05)
            if isinstance(item, Arrived):
                self.client.ack(item)
                self.take(item)
            elif item is None and self.slack == 1 and not self.silent:
                self.acknowledge_again()
        self.client.stop()

    def acknowledge_again(self) -> None:
        """Acks go at QoS 0 and may be lost: a hub repeats them."""
        for probe, upto in self._upto.items():
            self.send(ACK, Ack(boot=str(self._boot[probe]), upto=upto), probe, "ack", 0)

    def take(self, item: Arrived) -> None:
        stream = parse_topic(item.topic).stream
        if stream == "obs":
            self.obs(item.payload)
        elif stream == "info":
            info = decode(INFO, item.payload, item.topic).data
            self.infos.append(info)
            if info.key_id is None and not self.silent:
                self.send(CMD, GiveKeys(id="k", keys=self.spans), parse_topic(item.topic).node, "cmd/key", 0)
        elif stream == "cmd/<verb>":
            self.flushed_at.append(decode(CMD, item.payload, item.topic).time)
            command = decode(CMD, item.payload, item.topic).data
            self.send(RSP, Response(id=command.id, error=self.refusal), "hub", f"rsp/{command.id}", 1)
        elif parse_topic(item.topic).node == "hub":
            pass  # its own answer
        elif stream == "health":
            self.health.append(decode(HEALTH, item.payload, item.topic).data)
        else:
            self.answers.append((item.qos, decode(RSP, item.payload, item.topic).data))

    def obs(self, payload: bytes) -> None:
        batch = decode_batch(bytes(payload))
        copies = self.arrived.setdefault((batch.probe, batch.seq), [])
        if not copies:
            self.batches.append(batch)
        copies.append(payload)
        upto = self._upto.get(batch.probe, 0)
        while (batch.probe, upto + 1) in self.arrived:
            upto += 1
        self._upto[batch.probe], self._boot[batch.probe] = upto, batch.boot
        if upto % self.slack == 0 and not self.silent:
            self.send(ACK, Ack(boot=str(batch.boot), upto=upto), batch.probe, "ack", 0)

    def send(self, kind, data, node: str, stream: str, qos: int) -> None:  # type: ignore[no-untyped-def]
        self._number += 1
        message = compose(
            kind, data, publisher=Address(tenant="demo", site="corner-shop", node="hub"), at=datetime.now(UTC),
            boot="stub", seq=self._number, provenance=Provenance.SIMULATED,
        )  # fmt: skip
        self.client.publish(topic("demo", "corner-shop", node, stream), encode(kind, message), qos=qos)


def span(index: int, from_s: int = 0, until_s: int = FAR_S) -> KeySpan:
    return KeySpan(key_id=index + 1, key=KEYS[index].hex(), from_s=from_s, until_s=until_s)


@pytest.fixture(scope="module")
def world() -> Simulation:
    return simulate(SimSettings(people=40, hours=0.5, seed=3))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[BrokerPlan, Child]]:
    plan = plan_broker(tmp_path / "broker")
    child = Child("broker", plan.argv, tmp_path)
    try:
        child.wait_until(plan.accepts, 20)
        yield plan, child
    finally:
        child.stop()


@pytest.fixture
def hub(broker: tuple[BrokerPlan, Child]) -> Iterator[HubStub]:
    yield from started(HubStub(broker[0], (span(0),)))


def started(stub: HubStub) -> Iterator[HubStub]:
    stub.start()
    yield stub
    stub.stopping.set()
    stub.join(5)


def of_world(world: Simulation, key: bytes, index: int) -> np.ndarray:
    return world.parsed(world.receptions[world.receptions["probe"] == index], key)


def check_contiguous(batches: list[Batch]) -> None:
    for before, after in pairwise(batches):
        assert after.seq == before.seq + 1
        assert after.base_us == before.sent_us
        assert after.base_time_us - before.base_time_us == after.base_us - before.base_us


def test_the_hub_gets_what_the_radios_heard(world: Simulation, broker: tuple[BrokerPlan, Child], hub: HubStub) -> None:
    said: list[str] = []
    _, played = play(world, broker[0].url, speed=600, say=said.append)
    assert played.unacknowledged == played.dropped == 0
    assert played.frames == len(world.receptions)
    assert played.until_us - played.from_us == pytest.approx(1800e6, rel=0.01)
    for index, ear in enumerate(world.ears):
        batches = [batch for batch in hub.batches if batch.probe == ear.probe.id]
        check_contiguous(batches)
        got = np.concatenate([sightings_of_batch(batch, index, 0) for batch in batches])
        heard = of_world(world, KEYS[0], index)
        for name in ("time_us", "device_key", "fingerprint", "ssid_key", "sequence", "rssi_dbm", "channel", "flags"):
            assert np.array_equal(got[name], heard[name]), name
        listened_ms = sum(entry.listened_ms for batch in batches for entry in batch.listened)
        assert listened_ms == pytest.approx(1_800_000, rel=0.02)
        assert all(len(batch.records) <= BATCH_RECORDS + 4 for batch in batches)
        assert all(batch.sent_us - batch.base_us <= BATCH_US for batch in batches)
    assert all(batch.provenance is Provenance.SIMULATED for batch in hub.batches)
    assert all(batch.element_table == FINGERPRINT_VERSION for batch in hub.batches)
    assert [info.key_id for info in hub.infos].count(None) >= 4
    assert {info.key_id for info in hub.infos} == {None, 1}
    assert 4 * 50 <= len(hub.health) <= 4 * 60  # every 30 s of batch time
    assert hub.health[-1].counters["kept"] > 0
    assert [round(at.timestamp() * 1e6) for at in hub.flushed_at] == [played.until_us]


def test_a_hub_that_cannot_flush_is_one_line(world: Simulation, broker: tuple[BrokerPlan, Child], hub: HubStub) -> None:
    hub.refusal = Fault(what="disk full", next_step="free some")
    with pytest.raises(PeerError, match=r"^hub: flush: disk full; free some$"):
        play(world.until(60.0), broker[0].url, speed=600, say=print)


@pytest.mark.realdata
def test_the_hub_gets_what_was_recorded(realdata: Path, broker: tuple[BrokerPlan, Child], hub: HubStub) -> None:
    folder = realdata / "probes" / "brno-lab" / "pcap"
    captures = [(path, f"probe-{index}") for index in (1, 2) for path in folder.glob(f"position_{index}/*2024-02-29*")]
    site = replace(default_site(2), tenant="demo", site="corner-shop")
    played = play_recorded(captures, site, broker[0].url, speed=20_000, say=print)
    assert played.unacknowledged == played.dropped == 0
    for path, probe in captures:
        reader = CaptureReader(path.read_bytes(), KEYS[0])
        heard = reader.read(10_000_000)
        batches = [batch for batch in hub.batches if batch.probe == probe]
        check_contiguous(batches)
        got = np.concatenate([sightings_of_batch(batch, 0, 0) for batch in batches])
        assert len(got) == len(heard) > 1000
        assert np.array_equal(got["time_us"], np.sort(heard["time_us"]))
        assert np.array_equal(np.sort(got["device_key"]), np.sort(heard["device_key"]))
        assert {batch.provenance for batch in batches} == {Provenance.REPLAY}


def test_keys_change_between_batches(world: Simulation, broker: tuple[BrokerPlan, Child]) -> None:
    turn_s = world.settings.start_us // 1_000_000 + 900
    for stub in started(HubStub(broker[0], (span(0, 0, turn_s), span(1, turn_s)))):
        play(world, broker[0].url, speed=1200, say=print)
        for batch in stub.batches:
            assert (batch.key_id == 1) == (batch.base_time_us < turn_s * 1_000_000)
            assert batch.key_id == 2 or batch.base_time_us + batch.sent_us - batch.base_us <= turn_s * 1_000_000
        one = [batch for batch in stub.batches if batch.probe == "probe-1"]
        got = np.concatenate([batch.records["device_key"] for batch in one])
        early, late = of_world(world, KEYS[0], 0), of_world(world, KEYS[1], 0)
        turned = early["time_us"] >= turn_s * 1_000_000
        assert turned.any()
        assert not turned.all()
        assert np.array_equal(got, np.where(turned, late["device_key"], early["device_key"]))


def test_nothing_is_captured_without_a_key(world: Simulation, broker: tuple[BrokerPlan, Child]) -> None:
    for stub in started(HubStub(broker[0], (span(0),), silent=True)):
        player = Player(
            [SimulatedAir(world, 0)], broker[0].url, tenant="demo", site="corner-shop", speed=600, say=print
        )
        threading.Timer(1.5, player.stop).start()
        played = player.run()
        assert (played.batches, played.frames, played.until_us) == (0, 0, played.from_us)
        assert stub.infos
        assert all(info.key_id is None for info in stub.infos)


def test_at_most_eight_are_on_their_way(world: Simulation, broker: tuple[BrokerPlan, Child]) -> None:
    """A hub that never acknowledges gets the window and no more; the clock waits and nothing is lost."""
    for stub in started(HubStub(broker[0], (span(0),), slack=10**9)):
        player = Player(
            [SimulatedAir(world, 0)], broker[0].url, tenant="demo", site="corner-shop", speed=600, say=print
        )
        thread = threading.Thread(target=player.run, daemon=True)
        thread.start()
        until(lambda stub=stub: len(stub.batches) >= WINDOW)
        time.sleep(1.0)
        player.stop()
        assert len(stub.batches) == WINDOW
        assert (player.now_us - player.from_us) < (WINDOW + 2) * BATCH_US + 600e6


def test_a_lost_broker_costs_nothing_and_resends_the_same_bytes(
    world: Simulation, broker: tuple[BrokerPlan, Child]
) -> None:
    plan, child = broker
    for stub in started(HubStub(plan, (span(0),), slack=4)):
        lost: list[int] = []

        thread = threading.Thread(target=play_quietly, args=(world, plan.url, lost), daemon=True)
        thread.start()
        pause = threading.Event()
        for _ in range(2):
            pause.wait(1.0)
            child.kill()
            pause.wait(0.3)
            child.restart()
            child.wait_until(plan.accepts, 20)
        stub.slack = 1
        thread.join(120)
        assert lost == [0]
        records = sum(len(batch.records) for batch in stub.batches)
        assert records == len(world.receptions)
        assert all(len(set(copies)) == 1 for copies in stub.arrived.values())
        assert any(len(copies) > 1 for copies in stub.arrived.values())


def until(look: Callable[[], object]) -> None:
    give_up = time.monotonic() + 60
    while not look():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def play_quietly(world: Simulation, url: str, lost: list[int]) -> None:
    sources = [SimulatedAir(world, index) for index in range(len(world.ears))]
    played = Player(sources, url, tenant="demo", site="corner-shop", speed=300, say=lambda line: None).run()
    lost.append(played.unacknowledged + played.dropped)


def test_a_restarted_hub_is_told_the_running_key(
    world: Simulation, broker: tuple[BrokerPlan, Child], hub: HubStub
) -> None:
    player = Player([SimulatedAir(world, 0)], broker[0].url, tenant="demo", site="corner-shop", speed=100, say=print)
    thread = threading.Thread(target=player.run, daemon=True)
    thread.start()
    until(lambda: player.probes and player.probes[0].keyed)
    hub.send(CMD, AskKeys(id="who"), "probe-1", "cmd/ask-key", 0)
    until(lambda: hub.answers)
    player.stop()
    thread.join(60)
    assert hub.answers == [(0, Response(id="who", keys=(span(0),)))]


def test_a_probe_that_lost_power_says_where_it_was(
    world: Simulation, broker: tuple[BrokerPlan, Child], hub: HubStub
) -> None:
    player = Player([SimulatedAir(world, 0)], broker[0].url, tenant="demo", site="corner-shop", speed=300, say=print)
    thread = threading.Thread(target=player.run, daemon=True)
    thread.start()
    until(lambda: hub.batches)
    first = player.probes[0].boot
    player.stop()
    thread.join(60)
    player.probes[0].restart()
    assert player.probes[0].boot == first + 1
    assert not player.probes[0].keyed
    assert player.probes[0]._last == Ack(boot=str(first), upto=max(batch.seq for batch in hub.batches))


def test_the_oldest_leaves_a_full_spool() -> None:
    spool = Spool(capacity=3)
    for seq in range(1, 6):
        spool.push(Spooled(seq=seq, data=b"", records=10))
    assert (len(spool), spool.dropped_batches, spool.dropped_records) == (3, 2, 20)
    assert [batch.seq for batch in spool.to_send()] == [3, 4, 5]
    for batch in list(spool.to_send()):
        spool.sent(batch, 0.0)
    assert not list(spool.to_send())
    spool.send_again(0.0)
    assert spool.acknowledge(4, 0.0) == 2
    assert [batch.seq for batch in spool.to_send()] == [5]


def test_what_was_sent_stays_in_a_full_spool() -> None:
    spool = Spool(capacity=WINDOW + 2)
    for seq in range(1, WINDOW + 3):
        spool.push(Spooled(seq=seq, data=b"", records=10))
    for batch in list(spool.to_send()):
        spool.sent(batch, 0.0)
    spool.send_again(0.0)  # the line broke: they may have arrived
    for seq in range(WINDOW + 3, WINDOW + 8):
        spool.push(Spooled(seq=seq, data=b"", records=10))
    assert spool.dropped_batches == 5
    assert [batch.seq for batch in spool.to_send()] == [*range(1, WINDOW + 1)]
    assert spool.acknowledge(WINDOW, 0.0) == WINDOW
    assert [batch.seq for batch in spool.to_send()] == [WINDOW + 6, WINDOW + 7]


def test_an_ack_that_frees_nothing_for_a_while_asks_for_everything_again() -> None:
    spool = Spool()
    for seq in range(1, 4):
        spool.push(Spooled(seq=seq, data=b"", records=1))
        spool.sent(Spooled(seq=seq, data=b"", records=1), 0.0)
    assert spool.acknowledge(1, 1.0) == 1
    assert spool.acknowledge(1, 1.0 + LATE_S) == 0
    assert not list(spool.to_send())  # they may still be on their way
    assert spool.acknowledge(1, 1.1 + LATE_S) == 0
    assert [batch.seq for batch in spool.to_send()] == [2, 3]
    spool.sent(Spooled(seq=2, data=b"", records=1), 1.1 + LATE_S)
    assert spool.acknowledge(1, 1.1 + 2 * LATE_S) == 0
    assert [batch.seq for batch in spool.to_send()] == [3]


def test_no_broker_is_one_line(world: Simulation) -> None:
    with pytest.raises(PeerError, match=r"^mqtt://127.0.0.1:\d+: cannot be reached \(Connection refused\); start the"):
        play(world, f"mqtt://127.0.0.1:{free_port()}", speed=60, say=lambda line: None)


def test_a_plain_connection_elsewhere_is_refused(world: Simulation) -> None:
    with pytest.raises(Exception, match="plain connection"):
        play(world, "mqtt://192.0.2.1:1883", speed=60, say=print)


def test_impossible_speed(world: Simulation) -> None:
    with pytest.raises(UsageError, match="--speed"):
        play(world, "mqtt://127.0.0.1:1", speed=0, say=print)


def test_a_world_cut_short_has_the_same_past(world: Simulation) -> None:
    cut = world.until(900.0)
    assert cut.until(900.0) is cut
    assert cut.receptions["time_s"].max() < 900.0
    assert np.array_equal(cut.receptions, world.receptions[: len(cut.receptions)])
    assert all(person.times_s[-1] <= max(900.0, person.times_s[0]) for person in cut.people)
    assert 0 < len(cut.visitors) < len(world.visitors)
    assert [p.purchase_s for p in cut.people] == [
        p.purchase_s if p.purchase_s is not None and p.purchase_s < 900 else None for p in world.people
    ]
