"""What the HTTP API answers, as types: the OpenAPI description is made from them. Field order is the order shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the KPI dictionary with its 90 % interval. A null value has a reason."""

    id: str
    name_en: str
    name_zh: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    below: int | None
    method: str
    version: int
    zone: str | None
    hour: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How much of the truth the radio could have heard; null where it is not known."""

    listened_share: float | None
    probes_up: int
    probes_expected: int
    completeness: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneDrawn:
    """A zone of the floor plan, corners in metres."""

    id: str
    floor: str
    kind: str
    category: str | None
    polygon_m: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDrawn:
    """A probe on the floor plan."""

    id: str
    floor: str | None
    x_m: float | None
    y_m: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorDrawn:
    """A floor plan: bounds of all that is mapped, and the outline of the shop."""

    id: str
    bounds_m: tuple[float, float, float, float]
    interior_m: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAnswer:
    """A site's data of one provenance; other provenances of the same site are other places."""

    tenant: str
    site: str
    provenance: str
    name: str
    time_zone: str
    now_s: int
    today: str
    privacy_mode: str
    floors: tuple[FloorDrawn, ...]
    zones: tuple[ZoneDrawn, ...]
    probes: tuple[ProbeDrawn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAnswer:
    """The shop as the hub last told; null before it did."""

    provenance: str
    at_s: int | None
    at_local: str | None
    age_s: int | None
    coverage: Covered | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAnswer:
    """One local hour or day. `closed`: its visits are all known; late ones raise `rev`."""

    start_s: int
    end_s: int
    local: str
    rev: int
    closed: bool
    coverage: Covered | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KpisAnswer:
    """Figures of a range of hours or days."""

    provenance: str
    grain: str
    buckets: tuple[BucketAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One hour or day of a series; `value` null where there is none, with why."""

    start_s: int
    end_s: int
    local: str
    closed: bool
    value: float | None
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAnswer:
    """One figure over time: every hour of the range, also those nothing is known of."""

    provenance: str
    kpi: str
    name_en: str
    name_zh: str
    unit: str
    grain: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonesAnswer:
    """Figures by zone of one local day, with what is needed to draw them."""

    provenance: str
    day: str
    zones: tuple[ZoneDrawn, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """A hub or probe: its last word and when it came."""

    node: str
    state: str
    since_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapAnswer:
    """Messages that are missing; `before_s`: the next one was sent then.

    Null, unless the hub said why: `reason` age or size, the cap of its outbox that dropped them with so many `visits`,
    the oldest made at `since_s`.
    """

    boot: str
    first: int
    last: int
    before_s: int
    reason: str | None
    visits: int | None
    since_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAnswer:
    """A probe that hears others, or is heard, otherwise than when it was calibrated; null: not any more."""

    probe: str
    hears_db: float | None
    is_heard_db: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityAnswer:
    """How far the figures of a day can be trusted. `error_share`: half the interval of footfall over its value.

    `calibration_drift`: what the last night found in which the probes heard each other; null: there was none yet.
    `messages_again`: came when they were here already, and changed nothing.
    """

    provenance: str
    day: str
    coverage: Covered | None
    completeness: float | None
    messages_stored: int
    messages_known: int
    messages_again: int
    error_share: float | None
    quarantined: int
    nodes: tuple[NodeAnswer, ...]
    gaps: tuple[GapAnswer, ...]
    calibration_drift: tuple[DriftAnswer, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineAnswer:
    """Messages that could not be used since the store was made, by stream."""

    messages: int
    by_stream: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
