"""When a shop is open by its site.toml. Reads no clock."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hostkit.model import OpeningHours, OpenIntervals

UNKNOWN: OpenIntervals = ((6 * 60, 24 * 60),)  # a site.toml without hours: nobody is there after midnight


def is_closed(hours: OpeningHours, time_zone: str, from_s: float, to_s: float) -> bool:
    """Tell whether the shop is closed for all of [from_s, to_s], Unix seconds."""
    return all(closes_s <= from_s or opens_s >= to_s for opens_s, closes_s in _open(hours, time_zone, from_s, to_s))


def _open(hours: OpeningHours, time_zone: str, from_s: float, to_s: float) -> Iterator[tuple[float, float]]:
    """Give the opening intervals of the local days around a span; an evening may end after midnight."""
    zone = ZoneInfo(time_zone)
    day = datetime.fromtimestamp(from_s, zone).date() - timedelta(days=1)
    known = any(hours.days) or bool(hours.dates)
    dates = {one.date: one.open for one in hours.dates}
    while day <= datetime.fromtimestamp(to_s, zone).date():
        for opens, closes in dates.get(day, hours.days[day.weekday()]) if known else UNKNOWN:
            yield _at_s(day, opens, zone), _at_s(day, closes, zone)
        day += timedelta(days=1)


def _at_s(day: date, minutes: int, zone: ZoneInfo) -> float:
    """Give the instant of so many minutes after local midnight by the wall clock; 1440 and more: the next day's."""
    at = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    return at.replace(tzinfo=zone).timestamp()
