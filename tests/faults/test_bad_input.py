"""What a hub and a collector are sent that they must not take: refused with a reason, counted where a person sees it.

Over a real broker, to real processes: each kind of message once, then one that is right, which must go through.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hostkit.contract.codec import CMD, HEALTH, INFO, RSP, VISITS, compose, encode
from hostkit.contract.commands import Flush, Response, Status
from hostkit.contract.messages import GiveKeys, Health, Info, Visits
from hostkit.contract.topics import HUB, Address, topic
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import READABLE_VERSIONS, RECORD, Batch, Listened, encode_batch
from hostkit.model import Provenance, Radio
from tests.collector.running import CollectorProcess, until
from tests.hub.service import SETTINGS, HubProcess, Watcher
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
SITE = SETTINGS.site
PROBE, OTHER = (probe.id for probe in SITE.probes[:2])
BOOT = 4711
PROVENANCE = Provenance.SIMULATED


class Chain:
    """Broker, hub, collector, all by the wall clock, and somebody who can say anything on any topic."""

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto(folder).start()
        self.collector = CollectorProcess(self.broker.url, folder / "store", clock="wall")
        self.hub = HubProcess(folder, self.broker.url, clock="wall").start()
        self.tap = Watcher(self.broker)
        self.hub.said("site broker: connected")
        self.say(PROBE, "state", b"online", retain=True)
        self.info()
        self.tap.wait("cmd/key")
        self.hub.said("key: ")
        command = CMD.decoder.decode(self.tap.of("cmd/key")[-1].payload).data
        assert isinstance(command, GiveKeys)
        self.key_id = command.keys[0].key_id
        self.seq = 0

    def close(self) -> None:
        assert self.hub.stop() == 0, self.hub.lines
        assert self.collector.stop() == 0
        self.tap.stop()
        self.broker.stop()

    def say(self, node: str, stream: str, payload: bytes, *, retain: bool = False) -> None:
        self.tap.client.publish(topic(SITE.tenant, SITE.site, node, stream), payload, retain=retain)

    def info(self) -> None:
        told = Info(
            role="probe", firmware="1", hardware="forged", key_id=None, wire_versions=READABLE_VERSIONS,
            radios=(Radio.WIFI,), element_table=FINGERPRINT_VERSION,
        )  # fmt: skip
        self.say(PROBE, "info", encode(INFO, self.enveloped(INFO, told)))

    def enveloped(self, kind, data, *, node: str = PROBE, at_s: float | None = None):  # type: ignore[no-untyped-def]
        at = datetime.fromtimestamp(at_s or time.time(), UTC)
        sender = Address(tenant=SITE.tenant, site=SITE.site, node=node)
        return compose(kind, data, publisher=sender, at=at, boot=str(BOOT), seq=1, provenance=PROVENANCE)

    def batch(self, **changed: object) -> Batch:
        """Give the next batch of a probe that heard one frame just now."""
        self.seq += 1
        now_us = time.time_ns() // 1000
        records = np.zeros(1, RECORD)
        records["offset_us"], records["device_key"], records["rssi_dbm"], records["channel"] = 1, 7, -60, 6
        whole = Batch(
            provenance=PROVENANCE, probe=PROBE, key_id=self.key_id, boot=BOOT, seq=self.seq,
            element_table=FINGERPRINT_VERSION, base_time_us=now_us - 10_000_000, base_us=1_000_000, sent_us=11_000_000,
            seen=1, kept=1, dropped=0, records=records, listened=(Listened(radio=Radio.WIFI, channel=6, listened_ms=9),)
        )  # fmt: skip
        return replace(whole, **changed)  # type: ignore[arg-type]

    def health(self) -> Health:
        """Have the hub say how it is, now."""
        before = len(self.tap.of("hub/health"))
        self.tap.client.publish("homeassistant/status", b"online")
        return HEALTH.decoder.decode(self.tap.wait("hub/health", before + 1)[-1].payload).data

    def counted(self, name: str) -> int:
        health = self.health()
        return (health.drops | health.counters)[name]

    def quarantined(self) -> int:
        answer = self.collector.get("quarantine")
        assert isinstance(answer, dict)
        return int(answer["messages"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    chain = Chain(tmp_path_factory.mktemp("chain"))
    yield chain
    chain.close()


def right(chain: Chain) -> None:
    """What is right goes through: acknowledged, and its frame counted."""
    before = chain.counted("batches")
    chain.say(PROBE, "obs", encode_batch(chain.batch()))
    until(lambda: chain.counted("batches") > before)


DAY_US = 86_400_000_000
# What is dated a little ahead is put where it arrived: the hub goes by the probe's own clock and by arrivals.
BATCHES: list[tuple[str, str, Callable[[Chain], bytes]]] = [
    ("noise", "batch_bad", lambda chain: secrets.token_bytes(300)),
    ("empty", "batch_bad", lambda chain: b""),
    ("cut", "batch_bad", lambda chain: encode_batch(chain.batch(seq=900))[:-9]),
    ("a bit turned", "batch_bad", lambda chain: encode_batch(chain.batch(seq=900))[:-1] + b"\0"),
    ("of another probe", "batch_foreign", lambda chain: encode_batch(chain.batch(probe=OTHER))),
    ("live among simulated", "batch_provenance", lambda chain: encode_batch(chain.batch(provenance=Provenance.LIVE))),
    ("from the day after tomorrow", "batch_key", lambda chain: encode_batch(dated(chain, 2 * DAY_US))),
    ("from last week", "batch_key", lambda chain: encode_batch(dated(chain, -7 * DAY_US))),
    ("under a stale key", "batch_key", lambda chain: encode_batch(chain.batch(key_id=chain.key_id ^ 1))),
]


def dated(chain: Chain, by_us: int) -> Batch:
    whole = chain.batch()
    return replace(whole, base_time_us=whole.base_time_us + by_us)


@pytest.mark.parametrize(("count", "make"), [row[1:] for row in BATCHES], ids=[row[0] for row in BATCHES])
def test_batches(chain: Chain, count: str, make: Callable[[Chain], bytes]) -> None:
    right(chain)
    before, seq = chain.counted(count), chain.seq
    payload = make(chain)
    chain.say(PROBE, "obs", payload)
    until(lambda: chain.counted(count) == before + 1)
    if count != "batch_key":  # those took their place in the order, the others did not
        chain.seq = seq
    right(chain)


def test_a_batch_that_comes_twice_counts_once(chain: Chain) -> None:
    right(chain)
    before = chain.counted("batches_duplicate"), chain.counted("batches")
    payload = encode_batch(chain.batch())
    for _ in range(3):
        chain.say(PROBE, "obs", payload)
    until(lambda: chain.counted("batches_duplicate") == before[0] + 2)
    assert chain.counted("batches") == before[1] + 1


def test_a_message_over_the_limit_is_never_read(chain: Chain) -> None:
    before = chain.counted("site_unreadable")
    chain.say(PROBE, "obs", bytes((1 << 20) + 1))
    until(lambda: chain.counted("site_unreadable") == before + 1)
    right(chain)


@pytest.mark.parametrize("stream", ["state", "info", "health", "rsp/x1"])
@pytest.mark.parametrize(
    "payload", [b"\xff\xfe\xfd", b"{}", b'{"data":' * 5000, b""], ids=["utf8", "empty", "deep", "no"]
)
def test_words_of_a_probe(chain: Chain, stream: str, payload: bytes) -> None:
    if stream == "state" and not payload:
        return  # that is how a retained state is cleared
    before = chain.counted("messages_refused")
    chain.say(PROBE, stream, payload)
    until(lambda: chain.counted("messages_refused") == before + 1)


def order(chain: Chain, node: str = "operator", **values: object) -> tuple[str, bytes]:
    id_ = secrets.token_hex(6)
    command = Flush(**({"id": id_, "expires": int(time.time()) + 20} | values))  # type: ignore[arg-type]
    return command.id, encode(CMD, chain.enveloped(CMD, command, node=node))


def answer(chain: Chain, id_: str) -> Response:
    until(lambda: chain.tap.of(f"rsp/{id_}"))
    return RSP.decoder.decode(chain.tap.of(f"rsp/{id_}")[-1].payload).data


COMMANDS = [
    ("from a probe", "command_without_right", {"node": PROBE}),
    ("from the collector", "command_without_right", {"node": "collector"}),
    ("expired", "command_expired", {"expires": 1_700_000_000}),
    ("for next month", "command_ahead", {"expires": 2_000_000_000}),
]


@pytest.mark.parametrize(("count", "values"), [row[1:] for row in COMMANDS], ids=[row[0] for row in COMMANDS])
def test_commands(chain: Chain, count: str, values: dict[str, object]) -> None:
    before = chain.counted(count)
    id_, payload = order(chain, **values)  # type: ignore[arg-type]
    chain.say(HUB, "cmd/flush", payload)
    told = answer(chain, id_)
    assert told.outcome is Status.REFUSED
    assert told.error is not None
    assert told.error.what
    assert told.error.next_step
    assert chain.counted(count) == before + 1


def test_a_command_is_done_once_and_never_retained(chain: Chain) -> None:
    id_, payload = order(chain)
    chain.say(HUB, "cmd/flush", payload)
    until(lambda: answer(chain, id_).outcome is Status.DONE)
    before = chain.counted("command_replayed"), chain.counted("command_retained"), chain.counted("commands_done")
    chain.say(HUB, "cmd/flush", payload)
    until(lambda: chain.counted("command_replayed") == before[0] + 1)
    place = topic(SITE.tenant, SITE.site, HUB, "cmd/flush")
    chain.tap.client.publish(place, order(chain)[1], retain=True)
    chain.hub.restart()  # it finds the retained one when it comes
    chain.hub.said("site broker: connected", times=2)
    chain.info()
    until(lambda: chain.counted("command_retained") >= 1)
    chain.tap.client.publish(place, b"", retain=True)
    right(chain)


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"{", b'{"data": {"verb": "dance"}}', b"[" * 100_000])
def test_commands_that_are_none_are_counted(chain: Chain, payload: bytes) -> None:
    before = chain.counted("command_malformed")
    chain.say(HUB, "cmd/flush", payload)
    until(lambda: chain.counted("command_malformed") == before + 1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": {"version": 99}}, "newer"),
        ({"data": {"surprise": 1}}, "surprise"),
        ({"data": {"site": {"tenant": "a"}}}, ""),
    ],
)
def test_configurations_from_above(chain: Chain, change: dict[str, dict[str, object]], why: str) -> None:
    name = secrets.token_hex(8)
    data = {
        "config_hash": name,
        "version": 1,
        "site": json.loads(chain.tap.wait("hub/site")[-1].payload)["data"]["site"],
    }
    envelope = json.loads(chain.tap.of("hub/site")[-1].payload) | {"type": "footfall.v1.config"}
    envelope["source"] = envelope["source"].replace("/hub", "/collector")
    envelope.pop("crc32", None)
    envelope["data"] = data | change["data"]
    chain.say(HUB, "config", json.dumps(envelope).encode())

    def refused() -> bool:
        told = INFO.decoder.decode(chain.tap.of("hub/info")[-1].payload).data.config_refused
        return told is not None and told.config_hash == name and why in told.what

    until(refused)


def rows(chain: Chain, at_s: float) -> bytes:
    data = Visits(time_grain_s=300, privacy_mode=SITE.privacy.mode, rows=())
    return encode(VISITS, chain.enveloped(VISITS, data, node=HUB, at_s=at_s))


POISON: list[tuple[str, str, Callable[[Chain], bytes]]] = [
    ("noise", "visits", lambda chain: secrets.token_bytes(100)),
    ("invalid UTF-8", "live", lambda chain: b'{"data": "\xff\xfe"}'),
    ("a byte turned", "visits", lambda chain: rows(chain, time.time()).replace(b'"rows":[]', b'"rows":{}')),
    ("dated in a year", "visits", lambda chain: rows(chain, time.time() + 366 * 86_400)),
    ("deep", "kpi/hour", lambda chain: b"[" * 50_000),
    (
        "another site's words",
        "visits",
        lambda chain: rows(chain, time.time()).replace(SITE.site.encode(), b"elsewhere"),
    ),
]


@pytest.mark.parametrize(("stream", "make"), [row[1:] for row in POISON], ids=[row[0] for row in POISON])
def test_what_a_hub_might_say_to_the_collector(chain: Chain, stream: str, make: Callable[[Chain], bytes]) -> None:
    before = chain.quarantined()
    chain.say(HUB, stream, make(chain))
    until(lambda: chain.quarantined() == before + 1)


def test_nobody_crashed_and_nothing_was_said_twice_a_message(chain: Chain) -> None:
    right(chain)
    assert chain.hub.process is not None
    assert chain.hub.process.poll() is None
    assert chain.collector.process.poll() is None
    assert not [line for line in chain.hub.lines if "Traceback" in line]
    assert "Traceback" not in chain.collector.log.read_text()
    assert "refused" in chain.collector.log.read_text() or "quarantine" in chain.collector.log.read_text()
