"""Site-local time: when the key rotates, which hour and day an instant belongs to. Days have 23 to 25 hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def next_rotation_us(now_us: int, time_zone: str, hour: int) -> int:
    """First instant after `now_us` (µs since epoch, UTC) that is `hour`:00 site-local.

    Where the clock skips that hour, the instant that the earlier offset gives; where it repeats, the first one.
    """
    zone = ZoneInfo(time_zone)
    local = datetime.fromtimestamp(now_us // 1_000_000, zone)
    day = local.date()
    while True:
        rotation = datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)
        rotation_us = int(rotation.timestamp()) * 1_000_000
        if rotation_us > now_us:
            return rotation_us
        day += timedelta(days=1)


def local_hour(time_s: float, time_zone: str) -> tuple[date, int]:
    """Site-local day and hour of day of an instant (seconds since epoch)."""
    local = datetime.fromtimestamp(time_s, ZoneInfo(time_zone))
    return local.date(), local.hour
