"""Site-local time: when the key rotates, which hour and day an instant belongs to. Days have 23 to 25 hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hostkit.model import Site

# In anonymous_5min a key, and all that is told apart by it, lives so long. With the minute that the slowest probe's
# batches may take (hub/works.py) it is five from the first frame; a whole number of them makes an hour.
WINDOW_S = 240
_WINDOW_US = WINDOW_S * 1_000_000


def key_end_us(now_us: int, site: Site) -> int:
    """First instant after `now_us` (µs since epoch) at which the site's key changes: by its privacy mode."""
    if site.privacy.anonymous:
        return (now_us // _WINDOW_US + 1) * _WINDOW_US
    return next_rotation_us(now_us, site.time_zone, site.privacy.rotation_hour)


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
