"""Reference counts: repeats agree or widen, outliers do not rule, one count is not certainty."""

import math

import numpy as np
import pytest

from hostkit.core.inside import Inside
from hostkit.core.reference import Kappa, ReferenceCount, combine, fit_occupancy, log_ratios, reference_count
from hostkit.model import Occupancy


def counts(*ratios: float, variance: float = 0.01) -> Kappa:
    return combine([ReferenceCount(log_ratio=math.log(r), variance=variance) for r in ratios])


def test_without_counts_kappa_is_one_and_unknown() -> None:
    it = combine([])
    assert (it.median, it.counts, it.passed) == (1.0, 0, False)


def test_repeats_that_agree_narrow_and_pass() -> None:
    one, four = counts(1.3), counts(1.28, 1.32, 1.3, 1.31)
    assert four.log_sd < one.log_sd
    assert four.median == pytest.approx(1.3, rel=0.05)
    assert four.passed
    assert four.counts == 4


def test_repeats_that_disagree_widen() -> None:
    assert counts(0.6, 2.2, 1.0, 1.7).log_sd > 1.5 * counts(1.2, 1.25, 1.3, 1.2).log_sd
    assert not counts(0.4, 2.5).passed


def test_a_slip_of_the_pen_does_not_rule() -> None:
    assert counts(1.3, 1.25, 1.35, 1.3, 13.0).median < 1.65  # the mean of the logs would be 2.06


def test_a_short_count_pulls_less_than_a_long_one() -> None:
    short, long = (combine([ReferenceCount(log_ratio=math.log(2), variance=v)]) for v in (1.0, 0.01))
    assert 1.0 < short.median < long.median < 2.0
    assert short.log_sd > long.log_sd


def test_order_does_not_matter() -> None:
    assert counts(1.1, 1.6, 1.3).median == pytest.approx(counts(1.3, 1.1, 1.6).median)


@pytest.mark.parametrize(("people", "devices"), [(0, 5), (5, 0), (-1, 5), (math.nan, 5), (5, math.inf)])
def test_a_count_of_nobody_says_nothing_of_a_ratio(people: float, devices: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        reference_count(people, devices, 0.1)


def test_the_variance_of_a_count_falls_with_people() -> None:
    assert reference_count(100, 80, 0.0).variance == pytest.approx(0.01)
    assert reference_count(100, 80, 0.3).variance == pytest.approx(0.1)


def day(random: np.random.Generator, kappa: float) -> list[tuple[float, Inside]]:
    people = np.repeat(random.uniform(5, 30, 4), 6)
    devices = people / kappa * np.exp(0.2 * random.standard_normal(24))
    return [
        (float(p), Inside(devices=float(d), variance=0.0, listened_s=600.0))
        for p, d in zip(people, devices, strict=True)
    ]


def test_days_fit_kappa_and_noise_and_state_the_next_days_spread() -> None:
    random = np.random.default_rng(4)
    fitted = fit_occupancy([day(random, 1.4 * np.exp(0.1 * random.standard_normal())) for _ in range(6)], Occupancy())
    assert fitted.people_per_device == pytest.approx(1.4, rel=0.12)
    assert fitted.noise_log_sd == pytest.approx(0.2, abs=0.04)
    assert 0.08 < fitted.log_sd < 0.25
    assert fitted.reference_counts == 6


def test_bins_of_an_empty_room_are_left_out() -> None:
    nobody = Inside(devices=3.0, variance=0.0, listened_s=600.0)
    assert len(log_ratios([(0.0, nobody), (1.0, nobody)])) == 0
    assert fit_occupancy([[(0.0, nobody)]], Occupancy()).reference_counts == 0
