"""What a hub said last counts where it is fresh; what is old is waited out."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from hostkit.contract.codec import PROBES, compose, encode
from hostkit.contract.probes import Probes
from hostkit.contract.topics import HUB, Address, topic
from hostkit.errors import PeerError
from hostkit.hub.ask import Envoy
from hostkit.install import hubline
from hostkit.install.hubline import HubLine
from hostkit.model import Provenance
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


def tell(broker: Mosquitto, state: str, at_s: float) -> Envoy:
    """Let a hub have said this, retained."""
    at, hub = datetime.fromtimestamp(at_s, UTC), Address(tenant="a", site="b", node=HUB)
    said = Probes(at_s=int(at_s), name="x", rows=())
    message = compose(PROBES, said, publisher=hub, at=at, boot="1", seq=1, provenance=Provenance.LIVE)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish(topic("a", "b", HUB, "probes"), encode(PROBES, message), qos=1, retain=True).wait_for_publish(10)
    client.publish(topic("a", "b", HUB, "state"), state, qos=1, retain=True).wait_for_publish(10)
    client.loop_stop()
    return Envoy(broker=broker.url, tenant="a", site="b", at=at)


def test_what_was_told_a_moment_ago_is_taken(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubline, "TOLD_S", 1.5)
    envoy = tell(broker, "online", time.time() - 3)
    with HubLine(envoy) as line:
        assert line.latest().probes.name == "x"
        with pytest.raises(PeerError):
            line.next()


@pytest.mark.parametrize(("state", "ago_s"), [("online", 60.0), ("offline", 3.0)])
def test_what_is_old_or_of_a_hub_that_is_gone_is_not(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, state: str, ago_s: float
) -> None:
    monkeypatch.setattr(hubline, "TOLD_S", 1.5)
    with HubLine(tell(broker, state, time.time() - ago_s)) as line, pytest.raises(PeerError):
        line.latest()
