"""Closed or open: weekdays, evenings past midnight, dates that differ, changes of the clock, and no hours at all."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from hostkit.core.openhours import is_closed
from hostkit.model import DateHours, OpeningHours

ZONE = "Europe/Berlin"
WEEK = OpeningHours(
    days=(((540, 1200),),) * 4 + (((1080, 1560),),) + (((540, 720), (840, 1200)), ()),  # Friday until 02:00
    dates=(DateHours(date=date(2026, 3, 16)), DateHours(date=date(2026, 3, 15), open=((600, 660),))),
)


def at_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()


@pytest.mark.parametrize(
    ("start", "hours", "closed"),
    [
        ("2026-03-10 09:00", 1, False),
        ("2026-03-10 20:00", 13, True),  # from closing to opening, exactly
        ("2026-03-10 20:00", 13.1, False),
        ("2026-03-10 19:59", 1, False),
        ("2026-03-14 01:00", 0.5, False),  # Friday's evening
        ("2026-03-14 02:00", 7, True),
        ("2026-03-14 12:00", 2, True),  # lunch
        ("2026-03-15 10:30", 0.1, False),  # a Sunday that is open
        ("2026-03-16 09:00", 24, True),  # a Monday that is not
        ("2026-03-17 10:00", 0.1, False),
        ("2026-03-29 02:00", 5, True),  # the night the clock goes forward
        ("2026-03-28 18:00", 3, False),
    ],
)
def test_closed_or_not(start: str, hours: float, closed: bool) -> None:
    assert is_closed(WEEK, ZONE, at_s(start), at_s(start) + hours * 3600) is closed


def test_a_site_without_hours_is_closed_after_midnight() -> None:
    assert is_closed(OpeningHours(), ZONE, at_s("2026-03-10 00:00"), at_s("2026-03-10 06:00"))
    assert not is_closed(OpeningHours(), ZONE, at_s("2026-03-10 05:00"), at_s("2026-03-10 06:01"))
    assert not is_closed(OpeningHours(), ZONE, at_s("2026-03-09 23:00"), at_s("2026-03-10 01:00"))
