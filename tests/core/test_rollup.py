"""Local hours and days where clocks change: nothing overlaps, nothing is left out."""

from datetime import date

import pytest

from hostkit.core.rollup import MAX_VISIT_S, Grain, day_at, day_of, hour_at, hours_of, hours_touched

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("zone", "day", "hours", "seconds"),
    [
        (BERLIN, date(2025, 3, 29), 24, 86_400),
        (BERLIN, date(2025, 3, 30), 23, 82_800),
        (BERLIN, date(2025, 10, 26), 25, 90_000),
        ("Asia/Kolkata", date(2025, 3, 30), 24, 86_400),
        ("Australia/Lord_Howe", date(2025, 10, 5), 24, 84_600),  # half an hour is skipped
        ("Australia/Lord_Howe", date(2025, 4, 6), 25, 88_200),
        ("America/Havana", date(2025, 3, 9), 23, 82_800),  # midnight does not exist
    ],
)
def test_hours_fill_the_day_without_overlap(zone: str, day: date, hours: int, seconds: int) -> None:
    whole = day_of(day, zone)
    parts = list(hours_of(whole))
    assert whole.end_s - whole.start_s == seconds
    assert len(parts) == hours
    assert [part.end_s for part in parts] == [*(part.start_s for part in parts[1:]), whole.end_s]
    for part in parts:
        assert part.grain is Grain.HOUR
        for inside_s in (part.start_s, part.end_s - 1):
            assert hour_at(inside_s, zone) == part
            assert day_at(inside_s, zone) == whole


def test_a_visit_touches_every_hour_it_lies_in() -> None:
    noon = day_of(date(2025, 3, 30), BERLIN).start_s + 11 * 3600  # twelve o'clock: the day has no hour of two
    starts = [hour.start_s for hour in hours_touched(noon + 100, noon + 2 * 3600, BERLIN)]
    assert starts == [noon, noon + 3600, noon + 7200]
    assert [hour.start_s for hour in hours_touched(noon, noon, BERLIN)] == [noon]


def test_an_impossible_visit_is_not_followed_for_ever() -> None:
    assert len(list(hours_touched(0, 4_000_000_000, "UTC"))) == MAX_VISIT_S // 3600 + 1
