"""The drawing: a PNG for every shape of result, and the same bytes for the same result."""

import struct

import pytest

from hostkit.core.bins import CountBin
from hostkit.io.plot import DOTS_PER_INCH, MAX_PERIODS, SIZE_INCH, Chart, _periods, png
from hostkit.model import Coverage, Estimate
from tests.io.test_tables import visit

WHOLE = Coverage(listened_share=1.0, probes_up=1, probes_expected=1, completeness=None)


def counted(start_s: float, value: float | None = 5.0) -> CountBin:
    low, high = (None, None) if value is None else (value * 0.8, value * 1.2)
    devices = Estimate(value=value, low=low, high=high, method="test")
    return CountBin(start_s=start_s, end_s=start_s + 600, devices=devices, addresses=40, frames=99, coverage=WHOLE)


def chart(bins: list[CountBin], visits: int = 3) -> Chart:
    return Chart(
        bins=bins,
        visits=[visit(number) for number in range(visits)],
        time_zone="Europe/Prague",
        title="a street",
        bin_s=600,
        note="Footfall, simulated",
    )


DAYS = [counted(day * 86_400 + n * 600) for day in range(5) for n in range(20)]
SHAPES = {
    "one bin": [counted(0)],
    "a day": [counted(1_709_215_200 + n * 600) for n in range(144)],
    "days apart": DAYS,
    "many days": [counted(day * 86_400) for day in range(40)],
    "decades apart": [counted(0), counted(4_000_000_000)],
    "undefined": [counted(0), counted(600, None), counted(1200, 0.0)],
    "nothing": [],
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_drawn(name: str) -> None:
    drawn = png(chart(SHAPES[name], visits=0 if name == "nothing" else 3))
    width, height = struct.unpack(">II", drawn[16:24])
    assert (width, height) == tuple(round(side * DOTS_PER_INCH) for side in SIZE_INCH)
    assert len(drawn) > 20_000


def test_the_same_result_gives_the_same_bytes() -> None:
    assert png(chart(DAYS)) == png(chart(DAYS))
    assert png(chart(DAYS)) != png(chart(DAYS[:-1]))


def test_days_are_drawn_side_by_side_until_they_are_too_many() -> None:
    assert [len(period) for period in _periods(DAYS)] == [20] * 5
    crowded = [counted(day * 86_400) for day in range(MAX_PERIODS + 1)]
    assert _periods(crowded) == [crowded]
    assert len(_periods(crowded[:-1])) == MAX_PERIODS
