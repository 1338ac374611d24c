"""Home Assistant's MQTT device discovery for one site: figures of `live`, state of the probes. Publishes nothing.

Source: Home Assistant documentation, "MQTT", device discovery payload. Ids there are `[a-zA-Z0-9_-]+`; ours lack `_`.
"""

import json
from collections.abc import Iterable
from typing import TypeAlias

from hostkit import __version__
from hostkit.contract import kpi_dictionary, topic
from hostkit.contract.messages import State
from hostkit.model import Provenance, Site

Json: TypeAlias = dict[str, object]

STATUS_TOPIC = "homeassistant/status"
STATUS_ONLINE = b"online"  # said when Home Assistant starts: entities are to be announced anew

ANONYMOUS_ONLY = frozenset({"present_5min"})  # no other mode publishes it

_UNITS: dict[str, Json] = {
    "people": {"unit_of_measurement": "people", "icon": "mdi:account-group"},
    "devices": {"unit_of_measurement": "devices", "icon": "mdi:bluetooth"},
    "visits": {"unit_of_measurement": "visits", "icon": "mdi:door-open"},
    "s": {"unit_of_measurement": "s", "device_class": "duration"},
}


def discovery_topic(site: Site) -> str:
    """Where a site's device is announced, retained."""
    return f"homeassistant/device/{_device_id(site)}/config"


def discovery(site: Site, hub: str, provenance: Provenance, former: Iterable[str] = ()) -> bytes:
    """Announce the shop as a device: one sensor for each figure of `live`, one connectivity sensor for each probe.

    `hub` is the hub's node id. What is not live says so in the device's name. `former` are probes the site has no more:
    of a component that is told with its platform only, Home Assistant lets go.
    """
    name = site.name or f"{site.tenant} {site.site}"
    mark = f"({provenance.value})"
    shown = name if provenance is Provenance.LIVE or name.endswith(mark) else f"{name} {mark}"
    device = {
        "identifiers": [_device_id(site)],
        "name": shown,
        "manufacturer": "Footfall",
        "model": "hub",
        "sw_version": __version__,
    }
    told = kpi_dictionary().values()
    live = [row for row in told if "live" in row.grain and (site.privacy.anonymous or row.id not in ANONYMOUS_ONLY)]
    figures = {row.id: _figure(site, hub, row.id, row.name_en, row.unit) for row in live}
    probes = {f"probe_{probe.id}": _probe(site, probe.id) for probe in site.probes}
    gone = {f"probe_{name}": {"platform": "binary_sensor"} for name in former}
    payload: Json = {
        "device": device,
        "origin": {"name": "footfall", "sw_version": __version__},
        "components": {**figures, **probes, **gone},
        "qos": 1,
    }
    return json.dumps(payload, ensure_ascii=False).encode()


def _figure(site: Site, hub: str, id_: str, name: str, unit: str) -> Json:
    live = topic(site.tenant, site.site, hub, "live")
    # Splits of a figure have the same id; an undefined value is rendered `None`, which a sensor shows as unknown.
    row = f"(value_json.data.kpis | selectattr('id', 'eq', '{id_}') | rejectattr('split', 'defined') | first)"
    keys = ("low", "high", "method", "reason", "provenance")
    attributes = ", ".join(f"'{key}': r.get('{key}')" for key in keys)  # get: a field at its default is not sent
    return {
        "platform": "sensor",
        "unique_id": f"{_device_id(site)}_{id_}",
        "name": name,
        "state_topic": live,
        "value_template": f"{{{{ {row}.value }}}}",
        "json_attributes_topic": live,
        "json_attributes_template": f"{{% set r = {row} %}}{{{{ {{{attributes}}} | tojson }}}}",
        "state_class": "measurement",
        "availability_topic": topic(site.tenant, site.site, hub, "state"),
        "payload_available": State.ONLINE.value,
        "payload_not_available": State.OFFLINE.value,
        **_UNITS[unit],
    }


def _probe(site: Site, probe: str) -> Json:
    return {
        "platform": "binary_sensor",
        "unique_id": f"{_device_id(site)}_probe_{probe}",
        "name": f"Probe {probe}",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": topic(site.tenant, site.site, probe, "state"),
        # A probe that sleeps by plan is not lost.
        "value_template": f"{{{{ '{State.OFFLINE}' if value == '{State.OFFLINE}' else '{State.ONLINE}' }}}}",
        "payload_on": State.ONLINE.value,
        "payload_off": State.OFFLINE.value,
    }


def _device_id(site: Site) -> str:
    return f"footfall_{site.tenant}_{site.site}"
