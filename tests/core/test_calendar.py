"""Local days and the rotation hour where the clock jumps."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from hostkit.core.calendar import local_hour, next_rotation_us

ZONES = ["Europe/Prague", "Asia/Shanghai", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]


def us(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


@pytest.mark.parametrize("zone", ZONES)
def test_the_key_rotates_once_each_local_day_at_four(zone: str) -> None:
    now = us("2024-01-01 00:00", zone)
    times = [now := next_rotation_us(now, zone, 4) for _ in range(400)]
    local = [datetime.fromtimestamp(time / 1e6, ZoneInfo(zone)) for time in times]
    assert {(t.hour, t.minute, t.second) for t in local} == {(4, 0, 0)}
    assert [t.date() for t in local] == [date(2024, 1, 1) + timedelta(days=i) for i in range(400)]


@pytest.mark.parametrize(
    ("zone", "lengths_h"),
    [
        ("Europe/Prague", {23.0, 24.0, 25.0}),
        ("Asia/Shanghai", {24.0}),
        ("Australia/Lord_Howe", {23.5, 24.0, 24.5}),
    ],
)
def test_days_have_the_hours_the_clock_gives_them(zone: str, lengths_h: set[float]) -> None:
    now = us("2024-01-01 00:00")
    times = [now := next_rotation_us(now, zone, 4) for _ in range(366)]
    assert {(b - a) / 3.6e9 for a, b in pairwise(times)} == lengths_h


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-03-31 00:59:59", "2024-03-31 01:00"),  # 02:00 local is skipped: the instant 02:00+01:00 would be
        ("2024-03-30 23:00", "2024-03-31 01:00"),
        ("2024-03-31 01:00", "2024-04-01 00:00"),
        ("2024-10-26 23:59", "2024-10-27 00:00"),  # 02:00 comes twice: the first one
        ("2024-10-27 00:00", "2024-10-28 01:00"),
        ("2024-10-27 00:30", "2024-10-28 01:00"),  # between the two
        ("2024-10-27 01:30", "2024-10-28 01:00"),
    ],
)
def test_an_hour_that_is_skipped_or_comes_twice(now: str, expected: str) -> None:
    assert next_rotation_us(us(now), "Europe/Prague", 2) == us(expected)


def test_it_is_always_after_now_by_at_most_a_day_and_an_hour() -> None:
    for zone in ZONES:
        for hour in (0, 2, 4, 23):
            for step in range(0, 366 * 24 * 4, 31):
                now = us("2024-01-01 00:00") + step * 900_000_000 + 1
                assert 0 < next_rotation_us(now, zone, hour) - now <= 25 * 3.6e9


def test_exactly_at_the_rotation_the_next_one_is_tomorrow() -> None:
    four = us("2024-06-01 04:00", "Europe/Prague")
    assert next_rotation_us(four - 1, "Europe/Prague", 4) == four
    assert next_rotation_us(four, "Europe/Prague", 4) == us("2024-06-02 04:00", "Europe/Prague")


@pytest.mark.parametrize(
    ("time", "zone", "expected"),
    [
        ("2024-03-31 00:59:59", "Europe/Prague", (date(2024, 3, 31), 1)),
        ("2024-03-31 01:00:00", "Europe/Prague", (date(2024, 3, 31), 3)),
        ("2024-10-27 00:30:00", "Europe/Prague", (date(2024, 10, 27), 2)),
        ("2024-10-27 01:30:00", "Europe/Prague", (date(2024, 10, 27), 2)),
        ("2024-01-01 16:00:00", "Asia/Shanghai", (date(2024, 1, 2), 0)),
        ("2024-01-01 13:00:00", "Australia/Lord_Howe", (date(2024, 1, 2), 0)),
        ("2024-07-01 13:30:00", "Australia/Lord_Howe", (date(2024, 7, 2), 0)),
    ],
)
def test_local_hours(time: str, zone: str, expected: tuple[date, int]) -> None:
    assert local_hour(us(time) / 1e6, zone) == expected


def test_local_hour_agrees_with_utc() -> None:
    now = datetime(2024, 5, 6, 7, 59, 59, 999_000, tzinfo=UTC)
    assert local_hour(now.timestamp(), "UTC") == (date(2024, 5, 6), 7)
