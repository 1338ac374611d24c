"""A stale key between a real hub and a real broker: its batch is refused and counted, its probe is told again."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.contract.codec import CMD, HEALTH
from hostkit.contract.messages import GiveKeys
from hostkit.core.wire import decode_batch, encode_batch
from hostkit.sim.live import play
from hostkit.sim.world import simulate
from tests.hub.service import SETTINGS, SPEED, HubProcess, Watcher, patient
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
PROBE = SETTINGS.site.probes[0].id


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


def given(watcher: Watcher) -> list[GiveKeys]:
    found = [CMD.decoder.decode(message.payload).data for message in watcher.of(f"{PROBE}/cmd/key")]
    return [one for one in found if isinstance(one, GiveKeys)]


def test_a_batch_with_a_stale_key_is_refused_counted_and_its_probe_told_again(
    broker: Mosquitto, tmp_path: Path
) -> None:
    hub, watcher = HubProcess(tmp_path, broker.url).start(), Watcher(broker)
    play(simulate(SETTINGS), broker.url, speed=SPEED, say=patient)
    before = len(given(watcher))
    topic = f"footfall/v1/{SETTINGS.site.tenant}/{SETTINGS.site.site}/{PROBE}/obs"
    last = decode_batch(watcher.of(f"{PROBE}/obs")[-1].payload, origin=topic)
    watcher.client.publish(topic, encode_batch(replace(last, seq=last.seq + 1, key_id=last.key_id ^ 1)))
    deadline = time.monotonic() + 60
    while len(given(watcher)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    again = given(watcher)[before:]
    assert again
    assert again[0].keys[0].key_id == last.key_id  # the running one, which the probe should have used
    watcher.client.publish("homeassistant/status", b"online")  # health is said anew
    told = len(watcher.of("hub/health"))
    health = HEALTH.decoder.decode(watcher.wait("hub/health", told + 1)[-1].payload).data
    assert health.drops["batch_key"] == 1
    assert hub.stop() == 0
    watcher.stop()
