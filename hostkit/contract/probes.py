"""What a hub says of the probes of its site, one by one: for whoever installs and looks after them. Stays in the shop.

No device, no address, no key: counts, levels over many frames, and how far each probe is.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from hostkit.contract.messages import Closed, Count, Counters, EpochS, Hex, Id, Memory, Seconds, State, Text
from hostkit.model import Radio

PerS = Annotated[float, Meta(ge=0, le=1_000_000)]
Channel = Annotated[int, Meta(ge=0, le=177)]


class Verdict(StrEnum):
    """Whether a probe does its work."""

    PASS = "pass"
    WAIT = "wait"  # it came a moment ago: the next step may follow by itself
    FAIL = "fail"


class Step(StrEnum):
    """The ladder a probe climbs, in order. A status names the first rung it does not stand on."""

    CONNECTED = "connected"  # to the broker or on a line of the hub
    ALONE = "alone"  # no other board says it is this probe
    KEY = "key"  # it has the running key
    CONFIG = "config"  # it runs on what site.toml says of it
    DELIVERS = "delivers"  # batches arrive, under the running key
    WIFI = "wifi"  # and hold Wi-Fi frames, or say that some were heard


class ProbeStatus(Closed, frozen=True):
    """One probe. Rates are over the last minute; `rssi_dbm` is the median of at least five frames of it.

    `step` is null where the verdict is pass. `heard_s` ago its last batch came, `since_s` ago it was connected.
    `offered` counts what its radio was given, `wifi` and `ble` what it kept of each.
    """

    id: Id
    verdict: Verdict
    step: Step | None
    state: State | None = None
    since_s: Seconds | None = None
    heard_s: Seconds | None = None
    batches: Count = 0
    boot: Id | None = None
    firmware: Text | None = None
    hardware: Text | None = None
    uplink: Id | None = None
    radios: tuple[Radio, ...] = ()
    key_held: bool = False
    config_hash: Hex | None = None
    config_refused: Text | None = None
    wifi_per_s: PerS = 0.0
    ble_per_s: PerS = 0.0
    offered_per_s: PerS = 0.0
    rssi_dbm: Annotated[float, Meta(ge=-128, le=0)] | None = None
    channels: Annotated[tuple[Channel, ...], Meta(max_length=64)] = ()
    uptime_s: Seconds | None = None
    drops: Counters = field(default_factory=dict)
    memory: Memory | None = None


class Probes(Closed, frozen=True):
    """All probes of the site, in its order."""

    at_s: EpochS
    name: Text
    rows: Annotated[tuple[ProbeStatus, ...], Meta(max_length=1000)]
