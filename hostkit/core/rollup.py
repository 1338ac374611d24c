"""What a store groups visits by: places kept apart by provenance, local hours and local days. Reads no clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from hostkit.model import Provenance

HOUR_S = 3600
# No visit outlives the daily key; an hour more for clock changes and the visit timeout.
MAX_VISIT_S = 25 * HOUR_S


class Grain(StrEnum):
    """Length of a bucket."""

    HOUR = "hour"
    DAY = "day"


class Origin(StrEnum):
    """Who computed a bucket."""

    HUB = "hub"
    COLLECTOR = "collector"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A site's data of one provenance: the largest thing whose figures may be added up."""

    tenant: str
    site: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Bucket:
    """A local hour or day, [start_s, end_s) in epoch seconds. `start_s` is its number."""

    start_s: int
    end_s: int
    grain: Grain


def day_at(time_s: float, time_zone: str) -> Bucket:
    """Give the local day an instant belongs to: 23 to 25 hours long."""
    return day_of(datetime.fromtimestamp(time_s, ZoneInfo(time_zone)).date(), time_zone)


def day_of(day: date, time_zone: str) -> Bucket:
    """Give a calendar day; where midnight does not exist, from the first instant after it."""
    return Bucket(
        start_s=_midnight_s(day, time_zone), end_s=_midnight_s(day + timedelta(days=1), time_zone), grain=Grain.DAY
    )


def hour_at(time_s: float, time_zone: str) -> Bucket:
    """Give the hour of the local day an instant belongs to: whole hours from midnight, the last one cut at its end.

    So a repeated hour is two buckets, and no two overlap even where clocks change by half an hour.
    """
    day = day_at(time_s, time_zone)
    return _hour(day, day.start_s + (int(time_s) - day.start_s) // HOUR_S * HOUR_S)


def hours_of(day: Bucket) -> Iterator[Bucket]:
    """Give the hours of a day."""
    return (_hour(day, start_s) for start_s in range(day.start_s, day.end_s, HOUR_S))


def hours_touched(start_s: float, end_s: float, time_zone: str) -> Iterator[Bucket]:
    """Give every hour from the one of `start_s` to the one of `end_s`; looks no further than a visit can last."""
    hour = hour_at(start_s, time_zone)
    last_s = min(end_s, start_s + MAX_VISIT_S)
    yield hour
    while hour.end_s <= last_s:
        hour = hour_at(hour.end_s, time_zone)
        yield hour


def _hour(day: Bucket, start_s: int) -> Bucket:
    return Bucket(start_s=start_s, end_s=min(start_s + HOUR_S, day.end_s), grain=Grain.HOUR)


def _midnight_s(day: date, time_zone: str) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).timestamp())
