"""What Home Assistant is told: ids it takes, topics we publish, templates that give a live message's figures."""

import json
import re
from dataclasses import replace

import jinja2
import pytest

from hostkit import contract
from hostkit.contract import parse_topic
from hostkit.contract.homeassistant import ANONYMOUS_ONLY, discovery, discovery_topic
from hostkit.model import Privacy, PrivacyMode, Provenance
from hostkit.sim.world import SimSettings

SITE = replace(SimSettings(people=1).site, name="Café Süd")
DEVICE = json.loads(discovery(SITE, "hub", Provenance.LIVE))
LIVE = contract.schema("live")["examples"][0]
SENSORS = {name: one for name, one in DEVICE["components"].items() if one["platform"] == "sensor"}
PROBES = {name: one for name, one in DEVICE["components"].items() if one["platform"] == "binary_sensor"}
WORLD = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)


def rendered(template: str, message: dict) -> str:
    return WORLD.from_string(template).render(value_json=message)


def with_values(**values: float | None) -> dict:
    """Give the live example with every figure of the dictionary, splits of other values before them."""
    row = LIVE["data"]["kpis"][0]
    kpis = [{**row, "id": id_, "value": -1, "split": {"zone": "door"}} for id_ in values]
    row = {key: value for key, value in row.items() if key not in ("low", "reason", "split")}
    kpis += [{**row, "id": id_, "value": value, "high": 7} for id_, value in values.items()]
    return {**LIVE, "data": {**LIVE["data"], "kpis": kpis}}


def test_ids_are_what_home_assistant_takes_and_one_of_a_kind() -> None:
    ids = [one["unique_id"] for one in DEVICE["components"].values()]
    assert len(set(ids)) == len(ids)
    for text in (*ids, *DEVICE["components"], discovery_topic(SITE).split("/")[2]):
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", text)
    other = replace(SITE, tenant=f"{SITE.tenant}-{SITE.site}", site="x")
    assert discovery_topic(other) != discovery_topic(replace(SITE, site=f"{SITE.site}-x"))


def test_there_is_a_sensor_for_each_live_figure_and_each_probe() -> None:
    live = {row.id for row in contract.kpi_dictionary().values() if "live" in row.grain}
    assert set(SENSORS) == live - ANONYMOUS_ONLY
    anonymous = replace(SITE, privacy=Privacy(mode=PrivacyMode.ANONYMOUS_5MIN))
    assert live <= json.loads(discovery(anonymous, "hub", Provenance.LIVE))["components"].keys()
    assert set(PROBES) == {f"probe_{probe.id}" for probe in SITE.probes}
    for one in DEVICE["components"].values():
        for key in ("state_topic", "availability_topic", "json_attributes_topic"):
            if key in one:
                assert contract.topics()[parse_topic(one[key]).stream].retained


@pytest.mark.parametrize("value", [0.0, 41.25, None])
def test_a_sensor_shows_the_figure_of_the_whole_site_and_its_interval(value: float | None) -> None:
    message = with_values(**dict.fromkeys(SENSORS, value))
    for sensor in SENSORS.values():
        assert rendered(sensor["value_template"], message) == str(value)
        attributes = json.loads(rendered(sensor["json_attributes_template"], message))
        assert (attributes["low"], attributes["high"], attributes["provenance"]) == (None, 7, LIVE["provenance"])


def test_a_probe_is_lost_only_when_it_is_offline() -> None:
    for probe in PROBES.values():
        shown = {
            state: WORLD.from_string(probe["value_template"]).render(value=state)
            for state in contract.schema("state")["enum"]
        }
        assert shown == {"online": "online", "sleeping": "online", "offline": "offline"}


def test_what_is_not_live_says_so() -> None:
    assert DEVICE["device"]["name"] == "Café Süd"
    assert json.loads(discovery(SITE, "hub", Provenance.SIMULATED))["device"]["name"] == "Café Süd (simulated)"


def test_a_probe_that_is_gone_is_let_go_of() -> None:
    device = json.loads(discovery(SITE, "hub", Provenance.LIVE, former=("old",)))
    assert device["components"]["probe_old"] == {"platform": "binary_sensor"}
    assert {name for name in device["components"] if name != "probe_old"} == set(DEVICE["components"])


@pytest.mark.parametrize("name", ["Corner shop", "Corner shop (simulated)"])
def test_what_is_simulated_says_so_once(name: str) -> None:
    device = json.loads(discovery(replace(SITE, name=name), "hub", Provenance.SIMULATED))["device"]
    assert device["name"] == "Corner shop (simulated)"
