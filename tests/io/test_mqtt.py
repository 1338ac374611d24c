"""The MQTT client against a real broker: sessions, wills, reconnects, bounds; and which addresses it refuses."""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from hostkit.errors import ConfigError, UsageError
from hostkit.io.mqtt import INBOX_ITEMS, Arrived, Client, Counted, Down, Inbox, Item, Up, parse_url, take
from tests.io.brokers import Mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.stop(0.4)


def make(
    clients: list[Client], broker: Mosquitto, name: str = "a", *subscriptions: tuple[str, int], **options: object
) -> tuple[Client, Inbox]:
    inbox: Inbox = queue.Queue(int(options.pop("inbox", INBOX_ITEMS)))  # type: ignore[call-overload]
    client = Client(parse_url(broker.url), inbox, name=name, client_id=name, subscriptions=subscriptions, **options)  # type: ignore[arg-type]
    clients.append(client)
    client.start()
    return client, inbox


def wait(inbox: Inbox, kind: type[Item], timeout_s: float = 60.0) -> Item:
    """Give the next item of `kind`, passing over the others."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        item = take(inbox, 0.1)
        if isinstance(item, kind):
            return item
    raise AssertionError(f"no {kind} within {timeout_s} s")


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def message(inbox: Inbox) -> Arrived:
    item = wait(inbox, Arrived)
    assert isinstance(item, Arrived)
    return item


@pytest.mark.needs("mosquitto")
def test_publish_is_done_when_the_broker_has_it(broker: Mosquitto, clients: list[Client]) -> None:
    client, inbox = make(clients, broker, "a", ("t/#", 1))
    wait(inbox, Up)
    sent = client.publish("t/x", b"one")
    got = message(inbox)
    assert (got.topic, got.payload, got.qos, got.retained) == ("t/x", b"one", 1, False)
    assert sent is not None
    until(lambda: sent.done)


@pytest.mark.needs("mosquitto")
def test_unacked_messages_come_again_and_acked_ones_do_not(broker: Mosquitto, clients: list[Client]) -> None:
    client, inbox = make(clients, broker, "keeps", ("t/#", 1), clean=False)
    wait(inbox, Up)
    for payload in (b"1", b"2"):
        client.publish("t", payload)
    first, second = message(inbox), message(inbox)
    client.ack(first)
    time.sleep(0.2)
    client.drop()
    again = message(inbox)
    assert again.payload == second.payload == b"2"
    assert again.duplicate
    client.ack(second)  # of the connection before: must not confirm anything of this one
    client.drop()
    assert message(inbox).payload == b"2"


@pytest.mark.needs("mosquitto")
def test_no_other_thread_writes_beside_the_one_that_reads(
    broker: Mosquitto, clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    writers, send = set(), paho.Client._sock_send

    def noted(client: paho.Client, data: bytes) -> int:
        writers.add(threading.current_thread().name)
        return send(client, data)

    monkeypatch.setattr(paho.Client, "_sock_send", noted)
    client, inbox = make(clients, broker, "a", ("t/#", 1))
    wait(inbox, Up)
    payloads = [bytes([number % 251]) * size for number in range(100) for size in (5, 300_000)]
    came = []
    for payload in payloads:
        until(lambda payload=payload: client.publish("t", payload) is not None)
        while len(came) < len(payloads) and isinstance(item := take(inbox, 0), Arrived):
            client.ack(item)
            came.append(item.payload)
    while len(came) < len(payloads):
        item = message(inbox)
        client.ack(item)
        came.append(item.payload)
    assert came == payloads
    assert writers == {"mqtt-a"}
    assert client.counts[Counted.CONNECTIONS] == 1


@pytest.mark.needs("mosquitto")
def test_the_will_and_the_birth_are_retained(broker: Mosquitto, clients: list[Client]) -> None:
    _, seen = make(clients, broker, "watcher", ("s", 1))
    wait(seen, Up)
    first, inbox = make(clients, broker, "node", state_topic="s")
    wait(inbox, Up)
    assert message(seen).payload == b"online"
    rival, _ = make(clients, broker, "node")  # the same identity elsewhere: the broker cuts the first off
    assert message(seen).payload == b"offline"
    rival.stop()
    assert message(seen).payload == b"online"
    first.stop()
    assert message(seen).payload == b"offline"
    _, late = make(clients, broker, "late", ("s", 1))
    got = message(late)
    assert (got.payload, got.retained) == (b"offline", True)


@pytest.mark.needs("mosquitto")
def test_a_broker_that_goes_and_comes_is_subscribed_again(broker: Mosquitto, clients: list[Client]) -> None:
    client, inbox = make(clients, broker, "a", ("t", 1), state_topic="s")
    wait(inbox, Up)
    broker.stop(signal.SIGKILL)
    wait(inbox, Down)
    assert client.publish("t", b"into the void") is None
    broker.start()
    wait(inbox, Up)
    client.publish("t", b"back")
    assert message(inbox).payload == b"back"
    assert client.counts[Counted.CONNECTIONS] == 2
    assert client.counts[Counted.REFUSED] == 1


@pytest.mark.needs("mosquitto")
def test_a_full_inbox_drops_and_counts_qos_0_but_holds_qos_1(broker: Mosquitto, clients: list[Client]) -> None:
    reader, inbox = make(clients, broker, "reader", ("t/#", 1), inbox=5)
    writer, own = make(clients, broker, "writer")
    wait(own, Up)
    wait(inbox, Up)
    for n in range(30):
        writer.publish("t/0", str(n), qos=0)
    until(lambda: reader.counts[Counted.RECEIVED] == 30)
    assert reader.counts[Counted.INBOX_FULL] == 25
    for n in range(30):
        writer.publish("t/1", str(n), qos=1)
    got: list[int] = []
    while len(got) < 30:
        item = message(inbox)
        reader.ack(item)
        if item.qos:
            got.append(int(item.payload))
    assert got == list(range(30))


@pytest.mark.needs("mosquitto")
def test_payloads_beyond_the_bound_are_counted_and_confirmed(broker: Mosquitto, clients: list[Client]) -> None:
    client, inbox = make(clients, broker, "a", ("t", 1))
    wait(inbox, Up)
    client.publish("t", bytes(2 << 20))
    client.publish("t", b"next")
    assert message(inbox).payload == b"next"
    assert client.counts[Counted.UNREADABLE] == 1


def test_an_absent_broker_is_told_once_and_stop_is_quick() -> None:
    inbox: Inbox = queue.Queue(10)
    client = Client(parse_url("mqtt://127.0.0.1:1"), inbox, name="a", client_id="a")
    client.start()
    assert wait(inbox, Down) == Down(link="a", reason="Connection refused")
    time.sleep(1.0)
    assert inbox.empty()
    begin = time.monotonic()
    client.stop()
    assert time.monotonic() - begin < 5.0


@pytest.mark.parametrize("url", ["mqtt://192.0.2.1:1883", "mqtt://localhost.example", "mqtt://10.0.0.1"])
def test_plain_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="plain connection to another machine is refused; use mqtts"):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "?",
        "http://x",
        "mqtt://",
        "mqtt://127.0.0.1:99999",
        "mqtts://h?ca=",
        "mqtts://h?x=1",
        "mqtts://h?cert=a",
        "mqtts://user:secret@h",
        "mqtt://127.0.0.1/topic",
        "mqtt://127.0.0.1?ca=x",
    ],
)
def test_what_is_no_broker_address(url: str) -> None:
    with pytest.raises(UsageError, match="write mqtt://127"):
        parse_url(url)


@pytest.mark.parametrize("url", ["mqtts://user:secret@h", "mqtt://127.0.0.1/topic", "mqtt://127.0.0.1?ca=x"])
def test_what_an_address_may_not_hold(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


def test_addresses_are_read_whole() -> None:
    url = parse_url("mqtts://broker.example?ca=ca.pem&cert=c.pem&key=k.pem")
    assert (url.port, url.ca, url.cert, url.key) == (8883, "ca.pem", "c.pem", "k.pem")
    assert str(parse_url("mqtt://[::1]:99")) == "mqtt://[::1]:99"
    assert parse_url("mqtt://localhost").port == 1883


def test_missing_tls_files_are_one_line() -> None:
    with pytest.raises(ConfigError, match="TLS files cannot be used"):
        Client(parse_url("mqtts://h?ca=/nowhere.pem"), queue.Queue(1), name="a", client_id="a")
