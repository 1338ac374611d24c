"""Counts and their intervals: they hold the value, they grow with what was heard, and mean something at nothing."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.count import Z90, ClassRates, chapman, devices_in_window, log_normal, people, undefined
from hostkit.core.heard import CURVE_P, CURVE_S, MEDIAN_INTERVAL_S, p_heard
from hostkit.model import Estimate, PeoplePerDevice


def in_order(it: Estimate) -> tuple[float, float, float]:
    assert it.low is not None
    assert it.value is not None
    assert it.high is not None
    assert 0 <= it.low <= it.value <= it.high < math.inf
    return it.low, it.value, it.high


def window(
    spans_s: list[float], *, scans: int | None = None, window_s: float = 600.0, heard: float = 1.0
) -> tuple[float, float, float]:
    each = np.ones(len(spans_s), np.int64)
    if scans is not None and len(each):
        each[0] += scans - len(each)
    return in_order(devices_in_window(spans_s=np.array(spans_s), scans=each, window_s=window_s, heard=heard))


# ---- P(heard) ----


def test_p_heard_is_the_shipped_curve_and_never_falls() -> None:
    np.testing.assert_allclose(p_heard(CURVE_S[1:]), CURVE_P[1:])
    p = p_heard(np.linspace(0, 4000, 500))
    assert (np.diff(p) >= 0).all()
    assert ((p > 0) & (p <= 1)).all()


def test_listening_half_the_time_hears_as_much_as_half_the_stay() -> None:
    times_s = np.array([60.0, 240.0, 500.0])
    np.testing.assert_allclose(p_heard(times_s, 0.5), p_heard(times_s / 2))


# ---- devices ----


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 90_000), max_size=40), st.integers(0, 500), st.floats(0, 90_000, allow_subnormal=False))
def test_any_window_gives_numbers_in_order(spans_s: list[float], more: int, window_s: float) -> None:
    low, value, high = window(spans_s, scans=len(spans_s) + more, window_s=window_s)
    assert (value == 0) == (not spans_s)
    assert high > 0
    assert (low > 0) == bool(spans_s)


def test_more_tracks_are_more_devices() -> None:
    values = [window([60.0] * n)[1] for n in range(30)]
    assert all(a < b for a, b in pairwise(values))


def test_more_bursts_of_as_many_tracks_are_not_fewer_devices() -> None:
    values = [window([300.0] * 10, scans=n)[1] for n in range(10, 200, 10)]
    assert all(a < b for a, b in pairwise(values))


def test_nothing_heard_is_zero_with_an_upper_end_that_falls_with_time() -> None:
    highs = [window([], window_s=s)[2] for s in (1.0, 60.0, 300.0, 600.0)]
    assert highs == sorted(highs, reverse=True)
    assert highs[-1] == pytest.approx(3, rel=0.01)  # rule of three where all are heard


def test_many_phones_that_stay_are_counted_about_once() -> None:
    low, value, high = window([600.0] * 100, scans=round(100 * 0.93 * 10))
    assert value == pytest.approx(100, rel=0.05)
    assert low < 100 < high
    assert 1.2 < high / low < 3.5


def test_less_listened_is_more_devices_and_less_certain() -> None:
    found = [window([200.0] * 10, heard=share) for share in (1.0, 0.7, 0.4, 0.1)]
    assert all(a[1] < b[1] for a, b in pairwise(found))
    assert all(a[2] / a[0] < b[2] / b[0] for a, b in pairwise(found))
    assert window([], heard=0.1)[2] > window([])[2], "nobody heard by who hardly listened may be many"


def test_where_many_come_and_go_tracks_hide_twins() -> None:
    assert window([300.0] * 100)[1] > 1.2 * window([600.0] * 100)[1]


def test_rates_of_a_class_are_learnt_from_its_tracks() -> None:
    rates = ClassRates()
    classes = np.array([3, 4, 4], np.uint32)
    unknown = rates.per_s(classes, 1.0)
    np.testing.assert_allclose(unknown, 1 / MEDIAN_INTERVAL_S)
    np.testing.assert_allclose(rates.per_s(classes, 0.5), unknown / 2)
    for _ in range(40):
        rates.learn(np.array([3, 4], np.uint32), np.array([31, 3]), np.array([600.0, 600.0]))
    np.testing.assert_allclose(rates.per_s(classes, 1.0), [30 / 600, 2 / 600, 2 / 600], rtol=0.05)
    spans_s, scans = np.full(9, 300.0), np.full(9, 6)
    chatty, rare = (
        devices_in_window(spans_s=spans_s, scans=scans, window_s=600.0, per_s=np.full(9, per_s)).value or 0.0
        for per_s in (1 / 30, 1 / 200)
    )
    assert chatty < rare, "scans of phones that scan rarely stand for more of them"


def test_short_presence_stands_for_more_who_were_not_heard() -> None:
    assert window([0.0] * 20)[1] > 1.1 * window([540.0] * 20, scans=20)[1] or window([0.0] * 20)[1] > 20


def test_intervals_narrow_with_counts() -> None:
    def factor(n: int) -> float:
        low, _, high = window([120.0] * n, scans=3 * n)
        return high / low

    assert factor(1) > factor(5) > factor(50)


# ---- people ----


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e5), st.floats(0, 3), st.floats(0.05, 20), st.floats(0, 2))
def test_people_are_kappa_times_devices(value: float, log_sd: float, median: float, kappa_sd: float) -> None:
    devices = log_normal(value, log_sd, method="m")
    kappa = PeoplePerDevice(median=median, log_sd=kappa_sd)
    low, middle, high = in_order(people(devices, kappa))
    assert middle == pytest.approx(median * value)
    assert math.log(high / middle) == pytest.approx(Z90 * math.hypot(log_sd, kappa_sd), abs=1e-6)
    assert math.log(middle / low) == pytest.approx(Z90 * math.hypot(log_sd, kappa_sd), abs=1e-6)


def test_kappa_known_exactly_scales_and_no_more() -> None:
    devices = Estimate(value=10.0, low=7.0, high=16.0, method="m")
    assert in_order(people(devices, PeoplePerDevice(median=2.0, log_sd=0.0))) == pytest.approx((14.0, 20.0, 32.0))


def test_no_devices_are_no_people_and_an_open_lower_end_stays_open() -> None:
    kappa = PeoplePerDevice(median=1.5, log_sd=0.2)
    low, value, high = in_order(people(Estimate(value=0.0, low=0.0, high=3.0, method="m"), kappa))
    assert (low, value) == (0.0, 0.0)
    assert high > 4.5
    assert in_order(people(Estimate(value=2.0, low=0.0, high=3.0, method="m"), kappa))[0] == 0.0


def test_undefined_stays_undefined_with_its_reason() -> None:
    it = people(undefined("why", method="m"), PeoplePerDevice())
    assert (it.value, it.low, it.high, it.reason) == (None, None, None, "why")


def test_the_method_says_how_kappa_is_known() -> None:
    assert "7 reference counts" in people(log_normal(1, 1, method="m"), PeoplePerDevice(reference_counts=7)).method


def test_a_log_normal_interval_holds_nine_in_ten() -> None:
    draws = 5 * np.exp(0.4 * np.random.default_rng(1).standard_normal(100_000))
    low, _, high = in_order(log_normal(5.0, 0.4, method="m"))
    assert np.mean((draws > low) & (draws < high)) == pytest.approx(0.9, abs=0.005)


# ---- the cross-check ----


def heard_by(both: int, first: int, second: int) -> NDArray[np.bool_]:
    return np.array([[True, True]] * both + [[True, False]] * first + [[False, True]] * second, bool).reshape(-1, 2)


def test_chapman_is_the_textbook_s() -> None:
    it = chapman(heard_by(20, 10, 5))
    assert it is not None
    assert it.value == pytest.approx(31 * 26 / 21 - 1)
    assert in_order(it)[0] >= 35


def test_chapman_finds_how_many_there_are_when_probes_hear_at_random() -> None:
    random = np.random.default_rng(2)
    found = []
    for _ in range(200):
        heard = random.random((60, 4)) < 0.35
        it = chapman(heard[heard.any(axis=1)])
        assert it is not None
        low, value, high = in_order(it)
        found.append((value, low <= 60 <= high))
    assert np.mean([value for value, _ in found]) == pytest.approx(60, rel=0.05)
    assert np.mean([held for _, held in found]) > 0.85


@pytest.mark.parametrize("heard", [np.zeros((0, 2), bool), np.ones((5, 1), bool), heard_by(0, 3, 3)])
def test_without_recapture_there_is_no_check(heard: NDArray[np.bool_]) -> None:
    assert chapman(heard) is None


def test_all_heard_by_both_are_all() -> None:
    it = chapman(heard_by(30, 0, 0))
    assert it is not None
    assert in_order(it) == pytest.approx((30, 30, 30))
