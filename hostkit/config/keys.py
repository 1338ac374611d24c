"""Every key of site.toml: what it means, an example, and the least and most it may be. Types and defaults: model.py."""

from dataclasses import dataclass
from enum import Enum, auto

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CHANNELS_2G4 = tuple(range(1, 15))
CHANNELS_5G = (*range(36, 65, 4), *range(100, 145, 4), *range(149, 178, 4))  # 20 MHz, IEEE 802.11-2020 annex E
MAX_ITEMS = 1000  # entries of any list: floors, zones, probes, corners, walls, dates


class Text(Enum):
    """What a string must look like."""

    FREE = auto()  # at most 100 printable characters
    ID = auto()  # model.ID_PATTERN
    FILE = auto()  # a file name without a folder


_UNBOUNDED = (float("-inf"), float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: `example` is TOML, `bounds` are the least and most of every number in it."""

    meaning: str
    example: str
    bounds: tuple[float, float] = _UNBOUNDED
    text: Text = Text.FREE


_PLACE = (-10_000.0, 10_000.0)  # metres: larger than any mall
_LEVEL = (-120.0, 0.0)  # dBm that a Wi-Fi or BLE receiver can report
_STAY = (1.0, 86_400.0)  # seconds: up to a day, which is how long a key lives

KEYS = {
    "tenant": Key(meaning="the chain the shop belongs to", example='"acme"', text=Text.ID),
    "site": Key(meaning="the shop, unique within its tenant", example='"shop-12"', text=Text.ID),
    "time_zone": Key(meaning="IANA time zone of the shop's clock", example='"Europe/Berlin"'),
    "name": Key(meaning="what people call the shop", example='"Acme, Main Street"'),
    "opening_hours.WEEKDAY": Key(
        meaning="open from-to, local time, monday to sunday; to may be past midnight, until 06:00",
        example='["09:00-18:30"]',
    ),
    "opening_hours.dates.DATE": Key(
        meaning="what one date is open instead of its weekday; [] for closed", example='["10:00-14:00"]'
    ),
    "floors.id": Key(meaning="the floor, unique within the site", example='"ground"', text=Text.ID),
    "floors.bounds_m": Key(
        meaning="all that is mapped, street included: x_min, y_min, x_max, y_max; origin bottom left",
        example="[0.0, -6.0, 30.0, 20.0]",
        bounds=_PLACE,
    ),
    "floors.interior_m": Key(
        meaning="outline of the shop itself; the rest is street",
        example="[[0.0, 0.0], [30.0, 0.0], [30.0, 20.0], [0.0, 20.0]]",
        bounds=_PLACE,
    ),
    "floors.walls.from_m": Key(
        meaning="one end of a straight wall that radio crosses", example="[10.0, 0.0]", bounds=_PLACE
    ),
    "floors.walls.to_m": Key(meaning="its other end", example="[10.0, 8.0]", bounds=_PLACE),
    "floors.walls.loss_db": Key(meaning="what crossing it costs a signal", example="6.0", bounds=(0.0, 60.0)),
    "floors.plan": Key(meaning="image of the floor plan beside site.toml", example='"plan.png"', text=Text.FILE),
    "floors.plan_m": Key(
        meaning="where the edges of that image lie, as in bounds_m; without it on bounds_m",
        example="[-1.0, -2.0, 31.0, 22.0]",
        bounds=_PLACE,
    ),
    "zones.id": Key(meaning="the zone, unique within the site", example='"till"', text=Text.ID),
    "zones.floor": Key(meaning="id of its floor", example='"ground"', text=Text.ID),
    "zones.polygon_m": Key(
        meaning="its corners in order", example="[[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.0]]", bounds=_PLACE
    ),
    "zones.kind": Key(meaning="what part of the shop it is", example='"sales"'),
    "zones.category": Key(meaning="merchandise category sold there, as the till names it", example='"shoes"'),
    "probes.id": Key(meaning="the probe, unique within the site", example='"probe-1"', text=Text.ID),
    "probes.floor": Key(meaning="id of its floor; needed with position_m", example='"ground"', text=Text.ID),
    "probes.position_m": Key(
        meaning="its place: x, y and height above the floor", example="[2.0, 3.0, 2.5]", bounds=_PLACE
    ),
    "probes.channels": Key(
        meaning="Wi-Fi channels it hops over, in order; [] to hear BLE only", example="[1, 6, 11]", bounds=(1, 177)
    ),
    "probes.dwell_ms": Key(meaning="time on a channel before the next", example="1000", bounds=(20, 60_000)),
    "probes.offset_db": Key(
        meaning="added to what the path-loss model expects it to read", example="-2.5", bounds=(-40.0, 40.0)
    ),
    "probes.floor_dbm": Key(meaning="frames weaker than this are not heard", example="-94.0", bounds=_LEVEL),
    "path_loss.rssi_1m_dbm": Key(meaning="level of a phone at 1 m", example="-45.0", bounds=_LEVEL),
    "path_loss.exponent": Key(
        meaning="loss per distance: 2 in free space, 3 to 4 among shelves", example="2.7", bounds=(1.0, 8.0)
    ),
    "path_loss.sigma_db": Key(meaning="spread of levels at one distance", example="6.0", bounds=(0.1, 30.0)),
    "path_loss.power_sigma_db": Key(
        meaning="spread of transmit power between phones", example="5.0", bounds=(0.0, 30.0)
    ),
    "rings.inside_dbm": Key(
        meaning="stronger visits were inside (fewer than three probes)", example="-70.0", bounds=_LEVEL
    ),
    "rings.near_dbm": Key(meaning="weaker visits were not near at all", example="-82.0", bounds=_LEVEL),
    "rings.hysteresis_db": Key(
        meaning="how far past a ring's edge a level must be to change ring", example="3.0", bounds=(0.0, 20.0)
    ),
    "people_per_device.median": Key(
        meaning="people per counted device, before any hand count", example="1.0", bounds=(0.05, 20.0)
    ),
    "people_per_device.log_sd": Key(meaning="its spread, of the logarithm", example="0.15", bounds=(0.0, 3.0)),
    "people_per_device.reference_counts": Key(
        meaning="hand counts it rests on; 0: uncalibrated", example="12", bounds=(0, 1_000_000)
    ),
    "occupancy.inside_dbm": Key(
        meaning="devices heard louder are in the room, for the count of people inside", example="-67.0", bounds=_LEVEL
    ),
    "occupancy.people_per_device": Key(
        meaning="people inside per device counted inside", example="1.2", bounds=(0.05, 20.0)
    ),
    "occupancy.log_sd": Key(meaning="its spread from day to day, of the logarithm", example="0.3", bounds=(0.0, 3.0)),
    "occupancy.noise_log_sd": Key(
        meaning="spread of one bin about it, of the logarithm", example="0.3", bounds=(0.01, 3.0)
    ),
    "occupancy.reference_counts": Key(
        meaning="hand counts it rests on; 0: uncalibrated", example="4", bounds=(0, 1_000_000)
    ),
    "thresholds.visit_timeout_s": Key(meaning="silence that ends a visit", example="1200.0", bounds=_STAY),
    "thresholds.reentry_s": Key(
        meaning="leaving for less than this is still one visitor", example="900.0", bounds=_STAY
    ),
    "thresholds.entrant_min_s": Key(
        meaning="stay from which a visit can be an entrant's", example="60.0", bounds=_STAY
    ),
    "thresholds.bounce_s": Key(meaning="entrants who stay less bounced", example="60.0", bounds=_STAY),
    "thresholds.deep_s": Key(meaning="stay that makes a deep visit", example="900.0", bounds=_STAY),
    "thresholds.deep_zones": Key(meaning="or number of zones that does", example="3", bounds=(1, 1000)),
    "thresholds.window_stop_s": Key(
        meaning="stay in a window zone that counts as a stop", example="15.0", bounds=_STAY
    ),
    "thresholds.passage_s": Key(
        meaning="how long a passer-by is within hearing, where it cannot be estimated", example="60.0", bounds=_STAY
    ),
    "privacy.mode": Key(
        meaning="what may be kept and what may leave the shop; consent is refused, nobody can sign up yet",
        example='"pseudonym_24h"',
    ),
    "privacy.time_grain_s": Key(
        meaning="times leave the site rounded to this; divides an hour", example="300", bounds=(60, 3600)
    ),
    "privacy.k": Key(meaning="crossed figures of fewer people are suppressed", example="5", bounds=(2, 1000)),
    "privacy.rotation_hour": Key(meaning="local hour at which the day's key is destroyed", example="4", bounds=(0, 23)),
    "delivery.outbox_days": Key(
        meaning="visits wait so long for a collector that is away; then the oldest go, as a gap",
        example="30",
        bounds=(1, 30),
    ),
    "delivery.outbox_mib": Key(meaning="and take at most so much of the disk, in MiB", example="256", bounds=(1, 4096)),
}
