"""What travels over MQTT as JSON, as types. A sender fills them exactly; a reader ignores keys it does not know yet.

The JSON Schemas in schema/ are generated from these types (generate.py) and tests hold both equal. No type has a field
for an address or an SSID, and none that leaves the site one for a device key: they cannot leave the hub.
"""

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from hostkit.model import EndReason, PrivacyMode, Probe, Provenance, Radio, Site, VisitClass

_ID = r"^[a-z0-9-]{1,32}$(?!\n)"  # model.ID_PATTERN as ECMA 262 and Python both read it
Id = Annotated[str, Meta(pattern=_ID)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,48}$(?!\n)")]
Text = Annotated[str, Meta(max_length=500)]
Method = Annotated[str, Meta(min_length=1, max_length=100)]
Hex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){0,256}$(?!\n)")]
ConfigHash = Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){1,64}$(?!\n)")]
Source = Annotated[
    str, Meta(pattern=r"^(/[a-z0-9-]{1,32}){3}$(?!\n)", description="/tenant/site/node of the publisher")
]
Type = Annotated[str, Meta(pattern=r"^footfall\.v1\.[a-z.]{1,32}$(?!\n)")]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
KeyId = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**31 - 1)]  # CloudEvents' Integer is a signed 32-bit number
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]  # what every JSON reader holds exactly
EpochS = Annotated[int, Meta(ge=0, le=4_102_444_800, description="seconds since 1970, UTC")]
Days = Annotated[float, Meta(ge=0, le=36_600)]
MOST_SECONDS = 31_622_400  # a year
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Crc32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$(?!\n)", description="of all bytes before its comma")]
Share = Annotated[float, Meta(ge=0, le=1)]
Decibel = Annotated[float, Meta(ge=-256, le=256)]
Metres = Annotated[float, Meta(ge=-10_000, le=10_000)]
Tagged = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
MOST_REGISTERED = 32  # of a key: two keys and their tags fit into the 2 KiB a probe reads

CONFIG_VERSION = 1  # of the keys of site.toml

T = TypeVar("T")


class Closed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every record here: immutable, named fields, absent where at its default."""


class Message(Struct, Generic[T], frozen=True, kw_only=True):
    """CloudEvents 1.0 envelope, structured JSON. (`source`, `boot`, `seq`) names a message once and for ever.

    `boot` names the outbox database (hub's `visits`, collector) or is the boot counter (probe); what a hub does not
    keep until it is acked (`live`, `health`, ...) has a `boot` of the process. `seq` never falls within a `boot`.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}$(?!\n)", description="<boot>-<seq>")]
    source: Source
    type: Type
    time: Annotated[datetime, Meta(tz=True, description="when it was published")]
    boot: Id
    seq: Seq
    provenance: Provenance
    specversion: Literal["1.0"]
    datacontenttype: Literal["application/json"]
    data: T
    crc32: Crc32 | UnsetType = UNSET


class State(StrEnum):
    """Payload of `state`: the bare word, retained, and the will."""

    ONLINE = "online"
    OFFLINE = "offline"
    SLEEPING = "sleeping"


class Ack(Closed, frozen=True):
    """Everything of `boot` up to and including `upto` is stored; the sender may forget it."""

    boot: Id
    upto: Seq


class ConfigRefused(Closed, frozen=True):
    """Why the desired configuration of this hash is not in force."""

    config_hash: ConfigHash
    what: Text


class Info(Closed, frozen=True):
    """What a hub or probe is. `key_id` null: it has no key and captures nothing."""

    role: Literal["hub", "probe"]
    firmware: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.+_-]{1,32}$(?!\n)")]
    hardware: Text
    key_id: KeyId | None
    wire_versions: tuple[U32, ...] = ()
    radios: tuple[Radio, ...] = ()
    element_table: U32 | None = None
    config_hash: Hex | None = None
    config_refused: ConfigRefused | None = None
    uplink: Id | None = None  # of a probe: lan, wifi-park, wifi-burst, serial
    build: U32 | None = None  # number of a probe's image: an update has a higher one
    last: Ack | None = None  # last seq of the boot before this one, so that no gap can hide


class Clock(Closed, frozen=True):
    """How well a node's clock is known; `synced` null: nobody can tell."""

    synced: bool | None
    offset_us: Annotated[float, Meta(ge=-1e15, le=1e15)] | None = None
    error_us: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    drift_ppm: Annotated[float, Meta(ge=-10_000, le=10_000)] | None = None


class ProbeClock(Closed, frozen=True):
    """A probe's clock as the hub sees it: drift from arrivals; offset and spread from frames other probes heard too.

    `synced` false: they differ, its sightings are flagged; null: too few frames in common to tell.
    """

    probe: Id
    synced: bool | None
    drift_ppm: Annotated[float, Meta(ge=-10_000, le=10_000)] | None = None
    offset_us: Annotated[float, Meta(ge=-1e15, le=1e15)] | None = None
    error_us: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    frames: Count = 0


class Memory(Closed, frozen=True):
    """Heap of a probe: both matter, a fragmented heap starves with much free."""

    free_bytes: Count
    largest_block_bytes: Count


class Flood(Closed, frozen=True):
    """Somebody sends from more addresses than phones make; they are set aside and counts have wide intervals.

    `set_aside` addresses came in so many `minutes` since the start; `active`: within the last two minutes; `probe`
    heard most of them.
    """

    active: bool
    set_aside: Count
    minutes: Count
    probe: Id | None = None


class Drift(Closed, frozen=True):
    """A probe that hears others, or that others hear, otherwise than when it was calibrated; null: not any more."""

    probe: Id
    hears_db: Decibel | None
    is_heard_db: Decibel | None


class CalibrationCheck(Closed, frozen=True):
    """What the night told in which probes last heard each other: how many links, and which probes have drifted."""

    checked_s: EpochS
    links: Count
    calibration_drift: Annotated[tuple[Drift, ...], Meta(max_length=1000)] = ()


Counters = Annotated[dict[Name, Count], Meta(max_length=64)]


class Health(Closed, frozen=True):
    """How a node fares. `counters` count what passed, `drops` what was lost and why; both since its start."""

    uptime_s: Seconds
    counters: Counters
    drops: Counters
    clock: Clock
    probe_clocks: Annotated[tuple[ProbeClock, ...], Meta(max_length=1000)] = ()
    outbox_depth: Count | None = None
    outbox_oldest_s: Seconds | None = None
    outbox_gone: Ack | None = None  # what the outbox no longer holds: acked, or dropped at its cap
    memory: Memory | None = None
    disk_free_bytes: Count | None = None
    certificate_days: Days | None = None  # until the first of its certificates is over; it is renewed before
    flood: Flood | None = None
    unknown_class_share: Share | None = None  # of the last hour's devices: phone systems new to the site since today
    calibration: CalibrationCheck | None = None  # null: the probes have not heard each other yet
    radios_disagree: bool | None = None  # Wi-Fi and BLE count otherwise than they usually do, beyond both intervals


class SiteInForce(Closed, frozen=True):
    """The configuration the hub runs on, without secrets."""

    config_hash: Hex
    site: Site
    calibration_id: Id | None = None


class ZoneRow(Closed, frozen=True):
    """A stay in a zone, in seconds since the visit's first hearing, to half a minute: joins no till receipt."""

    id: Id
    enter_s: Seconds
    leave_s: Seconds
    p: Share


class VisitRow(Closed, frozen=True):
    """One visit; the highest `rev` of a `visit_id` wins. The id is random and drawn for the visit alone.

    `start_s` and `end_s` are [earliest, latest], rounded outwards to the site's time grain; `dwell_s` is [lo, mid, hi],
    `mid` to half a minute and the others a minute from it: its true width would tell how often a phone scans.
    """

    visit_id: Id
    rev: Seq
    start_s: tuple[EpochS, EpochS]
    end_s: tuple[EpochS, EpochS]
    dwell_s: tuple[Seconds, Seconds, Seconds]
    visit_class: VisitClass = field(name="class")
    p_entrant: Share
    radio: Radio
    zones: Annotated[tuple[ZoneRow, ...], Meta(max_length=1000)]
    end_reason: EndReason
    reentry: bool = False  # the visitor of an earlier visit came back within the re-entry time
    member: Id | None = None


class Visits(Closed, frozen=True):
    """Visits, ordered by grain and then by their random id, so that the order within a grain tells nothing.

    In anonymous_5min no visit leaves the site, and none leaves it with a time finer than the grain.
    """

    time_grain_s: Annotated[int, Meta(ge=60, le=3600)]
    privacy_mode: PrivacyMode
    rows: Annotated[tuple[VisitRow, ...], Meta(max_length=200)]

    def __post_init__(self) -> None:
        if self.privacy_mode is PrivacyMode.ANONYMOUS_5MIN:
            raise ValueError("no visits leave the site in anonymous_5min")
        if any(time_s % self.time_grain_s for row in self.rows for time_s in (*row.start_s, *row.end_s)):
            raise ValueError("a time is finer than time_grain_s")


class LostReason(StrEnum):
    """Which cap made an outbox drop rows that nobody had acknowledged."""

    AGE = "age"
    SIZE = "size"


class Gap(Closed, frozen=True):
    """Messages `first` to `last` of this outbox do not come: it was full or they were too old. Acknowledged like a row.

    Its own `seq` is `last`. `rows` visits were in them, made between since_s and until_s. What of it did arrive counts.
    """

    first: Seq
    last: Seq
    reason: LostReason
    rows: Count
    since_s: EpochS
    until_s: EpochS

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last or self.since_s > self.until_s:
            raise ValueError("first and since_s are not after last and until_s")


class CoverageRow(Closed, frozen=True):
    """How much of the truth the radio could have heard; null where it is not known."""

    listened_share: Share | None
    probes_up: Count
    probes_expected: Count
    completeness: Share | None


class Split(Closed, frozen=True):
    """What a figure is split by; all absent: the whole site."""

    floor: Id | None = None
    zone: Id | None = None
    to_zone: Id | None = None
    hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    category: Text | None = None
    segment: Name | None = None
    tier: Name | None = None
    campaign: Id | None = None


SUPPRESSED = "suppressed"


class KpiValue(Closed, frozen=True):
    """One figure of the KPI dictionary. A null value always has a reason; suppressed ones also say below which k."""

    id: Name
    version: Annotated[int, Meta(ge=1)]
    value: float | None
    method: Method
    coverage: CoverageRow
    privacy_mode: PrivacyMode
    provenance: Provenance
    low: float | None = None
    high: float | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    below: Annotated[int, Meta(ge=2, le=1000)] | None = None
    split: Split | None = None

    def __post_init__(self) -> None:
        if any(number is not None and not math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise ValueError("value, low and high must be finite")
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a value has no reason, a null value has one")
        if (self.reason == SUPPRESSED) != (self.below is not None):
            raise ValueError("`below` goes with the reason suppressed and only with it")
        if self.value is None and not (self.low is None and self.high is None):
            raise ValueError("a null value has no interval")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")


class Live(Closed, frozen=True):
    """The shop now: occupancy, last hour, today."""

    at_s: EpochS
    kpis: Annotated[tuple[KpiValue, ...], Meta(max_length=100)]


class HeatMap(Closed, frozen=True):
    """Person-seconds per square cell of a floor, row by row from the bottom left; null: suppressed below k."""

    floor: Id
    cell_m: Annotated[float, Meta(gt=0, le=100)]
    origin_m: tuple[Metres, Metres]
    columns: Annotated[int, Meta(ge=1, le=1000)]
    below: Annotated[int, Meta(ge=2, le=1000)]
    people_s: Annotated[tuple[Annotated[float, Meta(ge=0)] | None, ...], Meta(max_length=100_000)]


class ControlState(Closed, frozen=True):
    """A figure on its control chart. Cause `sensor` is kept apart from `shop`."""

    kpi: Name
    state: Literal["in_control", "out_of_control", "learning"]
    cl: float | None = None
    ucl: float | None = None
    lcl: float | None = None
    rule: Name | None = None
    cause: Literal["shop", "sensor", "unknown"] | None = None


class KpiBucket(Closed, frozen=True):
    """A closed hour or local day. A higher `rev` replaces it; a signed one is never changed in place."""

    grain: Literal["hour", "day"]
    start_s: EpochS
    end_s: EpochS
    rev: Seq
    kpis: Annotated[tuple[KpiValue, ...], Meta(max_length=2000)]
    heatmaps: Annotated[tuple[HeatMap, ...], Meta(max_length=64)] = ()
    control: Annotated[tuple[ControlState, ...], Meta(max_length=200)] = ()
    sig: Annotated[str, Meta(max_length=200)] | None = None  # reserved for the hub's signature


class Event(Closed, frozen=True):
    """A trigger or alert. `new` opens `event_id`, `update` changes it, `end` closes it."""

    event_id: Id
    kind: Literal["trigger", "alert"]
    phase: Literal["new", "update", "end"]
    rule: Name
    severity: Literal["info", "warning", "critical"]
    since_s: EpochS
    text: Text
    kpi: KpiValue | None = None
    zone: Id | None = None


class KeySpan(Closed, frozen=True):
    """A site key and when it rules. Travels to a probe only, at QoS 0 over TLS or the serial line; never printed.

    `registered`: tags of staff and technicians as this key names them; the probe flags what they send, which counts
    nobody.
    """

    key_id: KeyId
    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    from_s: EpochS = field(name="from")
    until_s: EpochS = field(name="until")
    registered: Annotated[tuple[Tagged, ...], Meta(max_length=MOST_REGISTERED)] = ()

    def __repr__(self) -> str:
        return f"KeySpan(key_id={self.key_id})"


class GiveKeys(Closed, frozen=True, tag="key", tag_field="verb"):
    """Hub to probe: the running and the next key."""

    id: Id
    keys: Annotated[tuple[KeySpan, ...], Meta(min_length=1, max_length=2)]


class AskKeys(Closed, frozen=True, tag="ask-key", tag_field="verb"):
    """A restarted hub to a keyed probe: which key runs?"""

    id: Id


class Desired(Closed, frozen=True):
    """Configuration a node should take, whole or not at all: a hub its site, a probe its own entry. Never a key.

    `info` answers: its `config_hash` is this one's once it is in force, `config_refused` says why it never will be.
    `version` names the set of keys; a newer one than the reader's is refused, and so is a key it does not know. The
    types bound no number in `site`: a hub checks it like a site.toml. A hub takes each `config_hash` once.
    """

    config_hash: ConfigHash
    version: Annotated[int, Meta(ge=1)] = CONFIG_VERSION
    site: Site | UnsetType = UNSET
    probe: Probe | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.site is UNSET) == (self.probe is UNSET):
            raise ValueError("needs either `site` or `probe`")
