"""Consumers that know the published contract alone hear a whole shop and find nothing that breaks it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from hostkit import contract
from hostkit.contract import parse_topic
from hostkit.sim.live import play
from hostkit.sim.world import simulate
from tests.cli.command import COMMAND, ROOT, footfall
from tests.consumers.node import node_modules
from tests.hub.service import SETTINGS, SPEED, HubProcess, patient
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto", "mosquitto_sub", "node", "npm")
HERE = Path(__file__).parent
OF_A_HUB = {"state", "info", "health", "site", "obs", "visits", "live", "kpi/hour", "ack", "cmd/<verb>", "rsp/<id>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What each consumer said of the same shop, and what was retained for Home Assistant."""

    paho: dict
    node: dict
    validate: dict
    device: dict
    live: dict


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    folder = tmp_path_factory.mktemp("consumers")
    published = folder / "contract"
    published.mkdir()
    for name in contract.schema_names():
        (published / f"{name}.json").write_text(footfall("contract", "show", name).stdout, "utf-8")
    (published / "topics.json").write_text(footfall("contract", "show", "--json").stdout, "utf-8")
    broker = Mosquitto(folder).start()
    subscribe = ["mosquitto_sub", "-p", str(broker.port), "-q", "1", "-v", "-F", "%t %x", "-t", "footfall/v1/#"]
    lines = (folder / "lines").open("wb")
    plain = subprocess.Popen(subscribe, stdout=lines)
    node = {"NODE_PATH": str(node_modules())}
    finish_paho = started([sys.executable, HERE / "consumer.py", broker.port, published], {})
    finish_node = started(["node", HERE / "consumer.cjs", broker.port, published], node)
    hub = HubProcess(folder, broker.url).start()
    play(simulate(SETTINGS), broker.url, speed=SPEED, say=patient)
    device = retained(broker, "homeassistant/device/+/config")
    live = retained(broker, "footfall/v1/+/+/hub/live")
    assert hub.stop() == 0
    found = finish_paho(), finish_node()
    plain.terminate()
    plain.wait(60)
    lines.close()
    broker.stop()
    with (folder / "lines").open("rb") as source:
        checked = subprocess.run(
            [*COMMAND, "contract", "validate", "-", "--json"], stdin=source, cwd=ROOT, capture_output=True, check=False
        )
    return Heard(paho=found[0], node=found[1], validate=json.loads(checked.stdout), device=device, live=live)


def started(command: list[object], environment: dict[str, str]) -> Callable[[], dict]:
    """Start a consumer and wait until it listens; give what ends it and gives its word."""
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def finish() -> dict:
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        return json.loads(out)

    return finish


def retained(broker: Mosquitto, pattern: str) -> dict:
    command = ["mosquitto_sub", "-p", str(broker.port), "-t", pattern, "-C", "1", "-W", "10", "-F", "%p"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("who", ["paho", "node"])
def test_every_message_of_a_shop_keeps_its_schema(heard: Heard, who: str) -> None:
    report = getattr(heard, who)
    assert report["faults"] == []
    assert set(report["seen"]) >= OF_A_HUB
    assert sum(report["seen"].values()) > 500


def test_mosquitto_sub_and_validate_agree(heard: Heard) -> None:
    assert heard.validate["refused"] == 0
    assert heard.validate["messages"] > 500


# What Home Assistant takes, which refuses keys it does not know: homeassistant/components/mqtt/schemas.py
# (DEVICE_DISCOVERY_SCHEMA and what it names), documentation of the MQTT sensor and binary sensor.
DEVICE_KEYS = {
    "identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number",
    "sw_version", "via_device", "suggested_area", "configuration_url",
}  # fmt: skip
TOP_KEYS = {
    "device", "components", "origin", "state_topic", "command_topic", "qos", "encoding", "availability",
    "availability_mode", "availability_topic", "availability_template", "payload_available", "payload_not_available",
}  # fmt: skip
ENTITY_KEYS = {
    "platform", "unique_id", "name", "icon", "device_class", "entity_category", "enabled_by_default", "object_id",
    "state_topic", "value_template", "json_attributes_topic", "json_attributes_template", "availability_topic",
    "availability", "availability_mode", "availability_template", "payload_available", "payload_not_available",
    "expire_after", "force_update", "qos", "encoding", "entity_picture",
}  # fmt: skip
OWN_KEYS = {
    "sensor": {
        "unit_of_measurement",
        "state_class",
        "last_reset_value_template",
        "suggested_display_precision",
        "options",
    },
    "binary_sensor": {"payload_on", "payload_off", "off_delay"},
}
CLASSES = {"sensor": {None, "duration"}, "binary_sensor": {"connectivity"}}
DURATION_UNITS = {"d", "h", "min", "s", "ms", "μs"}


def test_home_assistant_takes_the_device(heard: Heard) -> None:
    device = heard.device
    assert set(device) <= TOP_KEYS
    assert {"device", "components", "origin"} <= set(device)
    assert set(device["device"]) <= DEVICE_KEYS
    assert device["device"]["identifiers"]
    assert device["origin"]["name"]
    assert device["qos"] in (0, 1, 2)
    for name, entity in device["components"].items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", name)
        assert set(entity) <= ENTITY_KEYS | OWN_KEYS[entity["platform"]]
        assert entity["unique_id"]  # required of every entity of a device
        assert entity.get("device_class") in CLASSES[entity["platform"]]
        if entity.get("device_class") == "duration":
            assert entity["unit_of_measurement"] in DURATION_UNITS
        assert entity.get("state_class", "measurement") in {"measurement", "total", "total_increasing"}
        assert entity.get("entity_category", "diagnostic") in {"diagnostic", "config"}
        for key in (key for key in entity if key.endswith("_topic")):
            parse_topic(entity[key])


def test_its_entities_show_what_the_shop_said(heard: Heard) -> None:
    world = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    told = {row["id"]: row for row in heard.live["data"]["kpis"] if "split" not in row}
    sensors = {name: one for name, one in heard.device["components"].items() if one["platform"] == "sensor"}
    assert set(sensors) <= set(told)
    for name, sensor in sensors.items():
        shown = world.from_string(sensor["value_template"]).render(value_json=heard.live)
        assert shown == str(told[name]["value"])
        attributes = world.from_string(sensor["json_attributes_template"]).render(value_json=heard.live)
        assert json.loads(attributes)["method"] == told[name]["method"]
    assert any(row["value"] for row in told.values())
