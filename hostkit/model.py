"""The records that cross module borders, in the project's words. No behaviour beyond what a field says of itself."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

ID_PATTERN = r"[a-z0-9-]{1,32}"  # of tenants, sites, nodes, floors, zones: they are topic levels and file names

Polygon = tuple[tuple[float, float], ...]
OpenIntervals = tuple[tuple[int, int], ...]  # from, to in minutes since local midnight; to > 1440: the next morning


class Provenance(StrEnum):
    """Where figures come from; two provenances are never mixed."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATED = "simulated"


class VisitClass(StrEnum):
    """What a stay at the site was."""

    PASSERBY = "passerby"
    ENTRANT = "entrant"


class Radio(StrEnum):
    """The radio a device was heard on."""

    WIFI = "wifi"
    BLE = "ble"


class EndReason(StrEnum):
    """Why a visit was closed."""

    SILENCE = "silence"  # not heard for the visit timeout
    ROTATION = "rotation"  # the daily key was destroyed
    FLUSH = "flush"  # end of input
    RESTART = "restart"  # the key was lost with the hub's memory


class PrivacyMode(StrEnum):
    """Retention and what may leave the hub."""

    ANONYMOUS_5MIN = "anonymous_5min"
    PSEUDONYM_24H = "pseudonym_24h"
    CONSENT = "consent"


class ZoneKind(StrEnum):
    """What part of a shop a zone is."""

    SALES = "sales"
    WINDOW = "window"
    DOOR = "door"
    TILL = "till"
    STREET = "street"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 90 % interval. `value` is None where the figure is undefined, and `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of the truth the radio could have heard: shares in [0, 1]; None where it is not known."""

    listened_share: float | None
    probes_up: int
    probes_expected: int
    completeness: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval-censored time or duration in seconds."""

    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dwell:
    """Interval-censored dwell in seconds: `lo` is last minus first hearing, `hi` next minus previous."""

    lo: float
    mid: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneStay:
    """One stay of a visit in a zone; `p` is the mean posterior probability of the zone while it lasted."""

    zone: str
    enter_s: float
    leave_s: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One device's stay at the site. The highest `rev` of a `visit_id` wins. Carries no device key."""

    visit_id: str
    rev: int
    start_s: Interval
    end_s: Interval
    dwell_s: Dwell
    visit_class: VisitClass
    p_entrant: float
    radio: Radio
    bursts: int
    reentry: bool = False  # the same device left less than the re-entry time ago: same visitor
    zones: tuple[ZoneStay, ...] = ()
    member: str | None = None
    end_reason: EndReason = EndReason.SILENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A floor plan in metres, origin bottom left. `interior_m` outlines the shop itself; the rest is street."""

    id: str
    bounds_m: tuple[float, float, float, float]  # x_min, y_min, x_max, y_max of all that is mapped, street included
    interior_m: Polygon
    walls: tuple["Wall", ...] = ()
    plan: str | None = None  # image file beside site.toml
    plan_m: tuple[float, float, float, float] | None = None  # where its edges lie, as bounds_m; None: on bounds_m


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """A straight wall that radio crosses with a loss."""

    from_m: tuple[float, float]
    to_m: tuple[float, float]
    loss_db: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A polygon on a floor plan. `category` is the merchandise category sold there, if any."""

    id: str
    floor: str
    polygon_m: Polygon
    kind: ZoneKind = ZoneKind.SALES
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A sensor, its place (x, y, height in metres), what it listens to and its radio calibration."""

    id: str
    floor: str | None = None
    position_m: tuple[float, float, float] | None = None
    channels: tuple[int, ...] = (1, 6, 11)
    # Phones sweep the channels upwards at some 67 ms each (derand): hopping from 1 to 6 to 11 every 250 ms keeps step
    # with them, and a probe hears all three or none. Longer than a sweep, and more probes hear each scan.
    dwell_ms: int = 1000
    offset_db: float = 0.0  # added to what the path-loss model expects this probe to read
    floor_dbm: float = -94.0  # frames weaker than this are not heard


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLoss:
    """Log-distance path loss: RSSI(d) = rssi_1m_dbm - 10 exponent log10(d) + N(0, sigma_db)."""

    rssi_1m_dbm: float = -45.0
    exponent: float = 2.7
    sigma_db: float = 6.0
    power_sigma_db: float = 5.0  # spread of transmit power between phones


@dataclass(frozen=True, slots=True, kw_only=True)
class Rings:
    """RSSI rings around a probe, used with fewer than three: the visit's median decides, with hysteresis."""

    inside_dbm: float = -70.0
    near_dbm: float = -82.0
    hysteresis_db: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeoplePerDevice:
    """Site prior of kappa, people per counted device: log-normal. `reference_counts` of 0 means uncalibrated."""

    median: float = 1.0
    log_sd: float = 0.15
    reference_counts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How levels become people inside: kappa of devices heard above `inside_dbm`, log-normal, as in `PeoplePerDevice`.

    `noise_log_sd` is the scatter of one bin's count about kappa, beside what counting itself leaves open.
    """

    inside_dbm: float = -67.0
    people_per_device: float = 1.0
    log_sd: float = 0.3
    noise_log_sd: float = 0.3
    reference_counts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What turns dwell into words. Seconds, and counts where the name says so."""

    visit_timeout_s: float = 1200.0
    reentry_s: float = 1800.0
    entrant_min_s: float = 60.0
    bounce_s: float = 60.0
    deep_s: float = 900.0
    deep_zones: int = 3
    window_stop_s: float = 15.0
    passage_s: float = 60.0  # how long a passer-by stays within hearing, where it cannot be estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What may be kept, for how long, and how coarse times are when they leave the site."""

    mode: PrivacyMode = PrivacyMode.PSEUDONYM_24H
    time_grain_s: int = 300
    k: int = 5
    rotation_hour: int = 4  # site-local hour of the daily key rotation

    @property
    def anonymous(self) -> bool:
        """Tell whether nobody may be told apart for longer than a few minutes: then there are no visits."""
        return self.mode is PrivacyMode.ANONYMOUS_5MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How much the hub keeps for a collector that is away. Beyond it the oldest goes, and a gap says so."""

    outbox_days: int = 30  # as long as the collector may keep visits
    outbox_mib: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DateHours:
    """What one calendar date is open instead of its weekday's hours; no intervals: closed."""

    date: date
    open: OpenIntervals = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """Local opening intervals per weekday, Monday first, and the dates that differ."""

    days: tuple[OpenIntervals, ...] = ((),) * 7
    dates: tuple[DateHours, ...] = ()  # ascending, each date once


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One shop as configured; the only truth the hub has about its place."""

    tenant: str
    site: str
    time_zone: str
    name: str = ""
    opening_hours: OpeningHours = field(default_factory=OpeningHours)
    floors: tuple[Floor, ...] = ()
    zones: tuple[Zone, ...] = ()
    probes: tuple[Probe, ...] = ()
    path_loss: PathLoss = field(default_factory=PathLoss)
    rings: Rings = field(default_factory=Rings)
    people_per_device: PeoplePerDevice = field(default_factory=PeoplePerDevice)
    occupancy: Occupancy = field(default_factory=Occupancy)
    thresholds: Thresholds = field(default_factory=Thresholds)
    privacy: Privacy = field(default_factory=Privacy)
    delivery: Delivery = field(default_factory=Delivery)
