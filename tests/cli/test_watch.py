"""Topics as a person reads them, and what hostile ones look like."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import paho.mqtt.client as paho
import pytest
from msgspec import structs

from hostkit.cli.watch_text import json_line, line, seen
from hostkit.contract.codec import ACK, CMD, HEALTH, INFO, RSP, Kind, T, compose, encode
from hostkit.contract.commands import Response
from hostkit.contract.messages import (
    Ack,
    AskKeys,
    CalibrationCheck,
    Clock,
    Drift,
    Flood,
    GiveKeys,
    Health,
    Info,
    KeySpan,
)
from hostkit.contract.topics import Address, topic
from hostkit.core.wire import RECORD, Batch, Listened, encode_batch
from hostkit.io.broker import BrokerPlan, free_port, plan_broker
from hostkit.io.process import Child
from hostkit.model import Provenance, Radio
from tests.cli.command import COMMAND, ROOT, footfall, refused

AT = datetime(2025, 3, 4, 9, 30, tzinfo=UTC)
KEY = "000102030405060708090a0b0c0d0e0f"


def message(kind: Kind[T], data: T, node: str = "probe-1") -> bytes:
    publisher = Address(tenant="demo", site="corner-shop", node=node)
    whole = compose(kind, data, publisher=publisher, at=AT, boot="7", seq=1, provenance=Provenance.SIMULATED)
    return encode(kind, whole)


def of(stream: str, payload: bytes, node: str = "probe-1") -> tuple[str, bytes]:
    return topic("demo", "corner-shop", node, stream), payload


def info(hardware: str) -> bytes:
    return message(INFO, Info(role="probe", firmware="1.0", hardware=hardware, key_id=None))


def batch() -> bytes:
    records = np.zeros(3, RECORD)
    records["device_key"] = 0x1122334455667788
    return encode_batch(
        Batch(
            provenance=Provenance.SIMULATED, probe="probe-1", key_id=1, boot=7, seq=2, element_table=0,
            base_time_us=1_741_080_600_000_000, base_us=0, sent_us=10_000_000, seen=3, kept=3, dropped=0,
            records=records, listened=(Listened(radio=Radio.WIFI, channel=1, listened_ms=9000),),
        )
    )  # fmt: skip


def test_one_readable_line_each() -> None:
    assert line(seen(*of("state", b"online")), colour=False).endswith("demo/corner-shop/probe-1 state: online\n")
    shown = line(seen(*of("info", info("simulated"))), colour=False)
    assert (
        shown == "2025-03-04 09:30:00 simulated demo/corner-shop/probe-1 info: probe, simulated, firmware 1.0, no key\n"
    )
    shown = line(seen(*of("obs", batch())), colour=False)
    assert "obs: 3 sightings in 10.0 s, listened 9.0 s on 1 channels, key 1, batch 7/2, 0 dropped" in shown
    assert "09:30:00 simulated" in shown
    ack = message(ACK, Ack(boot="7", upto=9), "hub")
    assert line(seen(*of("ack", ack)), colour=False).endswith("ack: stored up to 7/9\n")
    health = Health(uptime_s=7200, counters={"kept": 12000}, drops={"ring": 0, "spool": 3}, clock=Clock(synced=True))
    assert line(seen(*of("health", message(HEALTH, health))), colour=False).endswith(
        "health: up 2.0 h; kept 12,000; spool 3\n"
    )
    drift = CalibrationCheck(
        checked_s=0, links=6, calibration_drift=(Drift(probe="till", hears_db=-8.4, is_heard_db=None),)
    )
    said = line(seen(*of("health", message(HEALTH, structs.replace(health, calibration=drift)))), colour=False)
    assert said.endswith("calibration_drift: till hears others 8 dB weaker and is heard not at all any more\n")
    flooded = structs.replace(health, flood=Flood(active=True, set_aside=998_201, minutes=2, probe="door"))
    assert line(seen(*of("health", message(HEALTH, flooded))), colour=False).endswith(
        "; spool 3; flood: 998,201 addresses in 2 min near door\n"
    )


def test_json_is_the_message_as_it_came() -> None:
    name, payload = of("info", info("simulated"))
    shown = json.loads(json_line(name, seen(name, payload)))
    assert shown == {"topic": name, "message": json.loads(payload)}
    name, payload = of("obs", batch())
    assert json.loads(json_line(name, seen(name, payload)))["message"]["records"] == 3


@pytest.mark.parametrize("as_json", [True, False])
def test_no_key_is_ever_shown(as_json: bool) -> None:
    span = KeySpan(key_id=4, key=KEY, from_s=0, until_s=1)
    given = of("cmd/key", message(CMD, GiveKeys(id="a", keys=(span,)), "hub"))
    answered = of("rsp/a", message(RSP, Response(id="a", keys=(span,))))
    asked = of("cmd/ask-key", message(CMD, AskKeys(id="a"), "hub"))
    for name, payload in (given, answered, asked):
        shown = json_line(name, seen(name, payload)) if as_json else line(seen(name, payload), colour=False)
        assert KEY not in shown
        assert "refused" not in shown


def test_no_device_key_is_shown() -> None:
    name, payload = of("obs", batch())
    one = seen(name, payload)
    for number in (str(0x1122334455667788), "1122334455667788"):
        assert number not in line(one, colour=False) + json_line(name, one)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("footfall/v1/demo/corner-shop/probe-1/state", b"\x1b[2J\x07on"),
        ("footfall/v1/demo/corner-shop/probe-1/state", "on\u202eline".encode()),
        ("footfall/v1/demo/corner-shop/\x1b]0;x\x07/state", b"online"),
        ("footfall/v1/demo/corner-shop/probe-1/obs", b"FFLB" + bytes(200)),
        ("footfall/v1/demo/corner-shop/probe-1/info", b"[" * 100_000),
        ("footfall/v1/demo/corner-shop/probe-1/info", b"\xff\xfe"),
        ("homeassistant/status", b"online"),
        ("a" * 70_000, b""),
        *(of("info", info(text)) for text in ("\x1b[31mred", "two\nlines", "\u202ebackwards", "\x9b2J", "a" * 500)),
    ],
)
def test_hostile_messages_cannot_touch_the_screen(name: str, payload: bytes) -> None:
    one = seen(name, payload)
    for shown in (line(one, colour=False), json_line(name, one)):
        assert shown.endswith("\n")
        assert shown[:-1].isprintable()
        assert len(shown) < 3000
    json.loads(json_line(name, one))


def test_colour_is_for_terminals() -> None:
    one = seen(*of("info", info("simulated")))
    assert "\x1b[35msimulated" in line(one, colour=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerPlan]:
    folder = tmp_path_factory.mktemp("watch")
    plan = plan_broker(folder / "broker")
    child = Child("broker", plan.argv, folder)
    child.wait_until(plan.accepts, 20)
    yield plan
    child.stop()


def test_the_command_reads_a_broker(broker: BrokerPlan) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    name, payload = of("info", info("simulated"))
    client.publish(name, payload, 1, retain=True).wait_for_publish(5)
    client.publish("not/ours", b"x", 1, retain=True).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()
    done = footfall("watch", "--broker", broker.url, "--count", "1")
    assert done.stdout.endswith("info: probe, simulated, firmware 1.0, no key\n")
    done = footfall("watch", "--broker", broker.url, "--json", "--count", "2", "not/#", name)
    assert {json.loads(row)["topic"] for row in done.stdout.splitlines()} == {"not/ours", name}


def test_ctrl_c_ends_it(broker: BrokerPlan) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("waits/here", b"x", 1, retain=True).wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    running = subprocess.Popen(
        [*COMMAND, "watch", "--broker", broker.url, "waits/here"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert "waits/here" in running.stdout.readline()  # it is connected, and waits for more
    running.send_signal(2)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.strip() == "footfall: stopped by you"


def test_bad_input_is_one_line() -> None:
    done = footfall("watch", "--broker", f"mqtt://127.0.0.1:{free_port()}")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 6
    assert last.endswith("start the broker, check the address")
    refused(footfall("watch", "--broker", "mqtt://192.0.2.1"), 4, "plain connection to another machine")
    assert footfall("watch", "a/#/b").returncode == 2
