"""A command that a probe has not answered when the hub is killed: answered later, or refused with the reason."""

import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostkit.contract.codec import CMD, RSP, compose, decode, encode
from hostkit.contract.commands import ReadLog, Response, Status
from hostkit.contract.topics import Address, topic
from hostkit.hub.ask import Envoy, ask
from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.model import Provenance
from tests.hub.service import SETTINGS, HubProcess
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
PLACE = {"tenant": SETTINGS.site.tenant, "site": SETTINGS.site.site}
PROBE = SETTINGS.site.probes[0].id


class SlowProbe:
    """Is online, takes commands, and answers when it is told to."""

    def __init__(self, url: str) -> None:
        self._inbox: Inbox = queue.Queue(100)
        self._client = Client(
            parse_url(url), self._inbox, name="probe", client_id=PROBE,
            subscriptions=((topic(**PLACE, node=PROBE, stream="cmd/read-log"), 1),),
            state_topic=topic(**PLACE, node=PROBE, stream="state"),
        )  # fmt: skip
        self._client.start()
        assert isinstance(take(self._inbox, 10), Up)

    def command(self) -> str:
        """Wait for a command; give its id."""
        item = take(self._inbox, 20)
        assert isinstance(item, Arrived), item
        self._client.ack(item)
        return decode(CMD, item.payload, item.topic).data.id

    def asked_again(self) -> bool:
        """Tell whether any more commands came."""
        return not self._inbox.empty()

    def answer(self, id_: str) -> None:
        message = compose(
            RSP, Response(id=id_, lines=("a line",)), publisher=Address(**PLACE, node=PROBE), at=datetime.now(UTC),
            boot="1", seq=1, provenance=Provenance.LIVE,
        )  # fmt: skip
        self._client.publish(topic(**PLACE, node=PROBE, stream=f"rsp/{id_}"), encode(RSP, message))

    def stop(self) -> None:
        self._client.stop()


class Asked:
    """An operator who waits for the final answer."""

    def __init__(self, url: str, *, for_s: int) -> None:
        command = ReadLog(id=f"log-{for_s}", expires=int(time.time()) + for_s, probe=PROBE)
        envoy = Envoy(broker=url, **PLACE, at=datetime.now(UTC))
        self._answers: queue.Queue[Response] = queue.Queue()
        threading.Thread(
            target=lambda: self._answers.put(ask(envoy, command, wait_s=40, on_accepted=lambda _: None)), daemon=True
        ).start()

    def final(self) -> Response:
        return self._answers.get(timeout=45)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Mosquitto, HubProcess, SlowProbe]]:
    broker = Mosquitto(tmp_path, lines=(f"persistence_location {tmp_path}/",)).start()
    probe = SlowProbe(broker.url)
    hub = HubProcess(tmp_path, broker.url).start()
    hub.said("site broker: connected")
    yield broker, hub, probe
    hub.stop()
    probe.stop()
    broker.stop()


def test_an_answer_after_the_hub_was_killed_reaches_who_asked(place: tuple[Mosquitto, HubProcess, SlowProbe]) -> None:
    broker, hub, probe = place
    asked = Asked(broker.url, for_s=60)
    id_ = probe.command()
    time.sleep(0.5)  # so that it is committed that it was sent
    hub.restart()
    hub.said("site broker: connected", 2)
    probe.answer(id_)
    response = asked.final()
    assert (response.outcome, response.lines) == (Status.DONE, ("a line",))
    assert not probe.asked_again()


def test_one_that_is_never_answered_is_refused_with_the_reason(place: tuple[Mosquitto, HubProcess, SlowProbe]) -> None:
    broker, hub, probe = place
    asked = Asked(broker.url, for_s=6)
    probe.command()
    hub.restart()
    response = asked.final()
    assert response.outcome is Status.REFUSED
    assert response.error is not None
    assert response.error.what == f"{PROBE} did not answer in time; it may still do it"
    assert not probe.asked_again()
