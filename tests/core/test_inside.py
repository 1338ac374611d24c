"""People inside from levels: one bin, then bins together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.associate import BURST
from hostkit.core.inside import (
    LAG,
    NOBODY,
    STAY_GAP_S,
    Inside,
    count_inside,
    people_inside,
    share_inside,
    stays,
    twins,
)
from hostkit.model import Estimate, Occupancy

BIN_S = 600.0
SITE = Occupancy(log_sd=0.1, noise_log_sd=0.2)


def levels(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def bins(*devices: float, listened_s: float = BIN_S, start_s: float = 0.0) -> list[tuple[float, Inside]]:
    return [
        (start_s + i * BIN_S, Inside(devices=d, variance=0.5 * d, listened_s=listened_s)) for i, d in enumerate(devices)
    ]


def of(classes: NDArray[np.uint32], times_s: NDArray[np.float64] | None = None) -> NDArray[np.void]:
    """Bursts of these classes, spread over a bin unless `times_s` are given."""
    rows = np.zeros(len(classes), BURST)
    rows["element_class"] = classes
    rows["first_us"] = 1e6 * (np.linspace(0, BIN_S - 1, len(classes)) if times_s is None else times_s)
    rows["last_us"] = rows["first_us"]
    return rows


def heard(*times_s: tuple[float, ...], life: int = 7, of_bins: int = 12) -> list[tuple[float, Inside]]:
    """Bins in which class i was loud at `times_s[i]`."""
    classes = np.concatenate([np.full(len(times), i, np.uint32) for i, times in enumerate(times_s)])
    rows = of(classes, np.concatenate([np.array(times) for times in times_s]))
    number = rows["first_us"] // (BIN_S * 1e6)
    return [
        (i * BIN_S, count_inside(rows[number == i], np.ones((number == i).sum()), BIN_S, life=life))
        for i in range(of_bins)
    ]  # fmt: skip


def there(rows: list[tuple[float, Inside]], lag: int | None = None) -> list[float]:
    return [inside.devices for inside in stays(rows, bin_s=BIN_S, lag=lag)]


def smooth(rows: list[tuple[float, Inside]], *, lag: int | None = LAG, site: Occupancy = SITE) -> list[float]:
    return [one(e)[1] for e in people_inside(rows, site, bin_s=BIN_S, lag=lag)]


def one(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.low is not None
    assert estimate.value is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high < np.inf
    return estimate.low, estimate.value, estimate.high


def test_the_loudest_probe_decides_and_half_is_at_the_threshold() -> None:
    share = share_inside(levels((-67, np.nan), (-90, -50), (-90, -90), (np.nan, np.nan)), -67.0)
    assert share[0] == pytest.approx(0.5)
    assert share[1] > 0.99
    assert share[2] < 0.01
    assert share[3] < 0.01


def test_twelve_phones_of_twelve_models_are_about_twelve() -> None:
    classes = np.repeat(np.arange(12, dtype=np.uint32), 5)
    found = count_inside(of(classes), np.ones(60), BIN_S)
    assert found.devices == pytest.approx(12, rel=0.3)
    assert found.variance > 0


def test_addresses_do_not_matter_and_quiet_bursts_count_nothing() -> None:
    classes = np.arange(50, dtype=np.uint32)
    assert count_inside(of(classes), np.zeros(50), BIN_S).devices == 0
    assert count_inside(of(classes[:0]), np.zeros(0), BIN_S) == Inside(devices=0.0, variance=0.0, listened_s=BIN_S)
    assert count_inside(of(classes), np.ones(50), 0.0).devices == 0


def test_an_unrelated_class_adds_what_it_is_alone() -> None:
    a, b = np.zeros(7, np.uint32), np.ones(3, np.uint32)
    apart = [count_inside(of(c), np.ones(len(c)), BIN_S).devices for c in (a, b)]
    assert count_inside(of(np.concatenate([a, b])), np.ones(10), BIN_S).devices == pytest.approx(sum(apart))


def test_more_bursts_of_a_class_are_more_phones_but_ever_less_so() -> None:
    mean, square = twins(np.array([1.0, 10.0, 100.0, 1000.0]), np.full(4, 5.0))
    assert (np.diff(mean) > 0).all()
    assert mean[1] < 2.5
    assert mean[3] < 100
    assert (square >= mean**2).all()


def test_who_is_silent_for_a_while_stays_and_who_left_is_gone() -> None:
    chatty = tuple(np.arange(30.0, 7200.0, 120.0).tolist())
    early = tuple(t for t in chatty if t < 1750)
    quiet = (60.0, 60.0 + 0.9 * STAY_GAP_S)
    found = there(heard(chatty, early, quiet))
    assert 1.7 < found[2] - found[6] < 3, "two more while they stayed"
    assert found[3] - found[6] == pytest.approx(1.0, abs=0.3), "the quiet one is there between its bursts"
    assert found[6] == pytest.approx(found[10], rel=0.1)


def test_who_leaves_within_a_bin_counts_for_its_part() -> None:
    chatty = tuple(np.arange(15.0, 7185.0, 30.0).tolist())
    whole = there(heard(chatty, chatty))[1]
    part = there(heard(chatty, tuple(t for t in chatty if t < 780)))[1]
    assert part == pytest.approx(whole * (1 + 0.35) / 2, rel=0.1)


def test_at_once_is_not_told_what_comes_later() -> None:
    chatty = tuple(np.arange(15.0, 7185.0, 30.0).tolist())
    late = tuple(t for t in chatty if t > 3600)
    assert there(heard(chatty, late), lag=0)[:6] == there(heard(chatty), lag=0)[:6]
    gap = (100.0, 130.0, 1900.0)
    rows, ends = heard(gap), heard(gap[:2])
    assert there(rows, lag=0)[1] == there(ends, lag=0)[1] < there(rows, lag=2)[1]


def test_classes_of_another_key_are_others() -> None:
    loud = (100.0, 1300.0)
    rows = heard(loud)
    rows[2] = (rows[2][0], replace(rows[2][1], life=8))
    assert there(rows)[1] == 0 < there(heard(loud))[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 500), min_size=1, max_size=30), st.sampled_from([0, 2, None]))
def test_any_bins_give_numbers_in_order(devices: list[float], lag: int | None) -> None:
    found = people_inside(bins(*devices), SITE, bin_s=BIN_S, lag=lag)
    assert len(found) == len(devices)
    for estimate in found:
        one(estimate)


def test_one_odd_bin_is_smoothed_and_a_lasting_change_is_followed() -> None:
    odd = smooth(bins(10, 10, 10, 4, 10, 10, 10))
    assert odd[3] > 7
    stepped = smooth(bins(10, 10, 10, 10, 30, 30, 30, 30))
    assert stepped[2] < 14
    assert stepped[5] > 25


def test_what_comes_later_changes_only_as_many_bins_as_the_lag() -> None:
    before, after = (smooth(bins(10, 10, 10, 10, last), lag=2) for last in (10, 30))
    assert before[:2] == pytest.approx(after[:2], rel=0.05)
    at_once = smooth(bins(10, 10, 10, 10, 30), lag=0)
    assert at_once[:4] == pytest.approx(smooth(bins(10, 10, 10, 10, 10), lag=0)[:4], rel=0.05)


def test_kappa_scales_and_its_spread_widens() -> None:
    rows = bins(20, 20, 20)
    doubled = Occupancy(people_per_device=2.0, log_sd=0.1, noise_log_sd=0.2)
    assert smooth(rows, site=doubled) == pytest.approx([2 * v for v in smooth(rows)])
    narrow, wide = (
        one(people_inside(rows, Occupancy(log_sd=sd, noise_log_sd=0.2), bin_s=BIN_S)[1]) for sd in (0.01, 0.5)
    )
    assert wide[2] / wide[0] > 1.5 * narrow[2] / narrow[0]


def test_silence_of_the_probes_is_no_empty_room() -> None:
    rows = [*bins(20, 20), (2 * BIN_S, NOBODY), *bins(20, 20, start_s=3 * BIN_S)]
    heard_nobody = [*bins(20, 20, 0), *bins(20, 20, start_s=3 * BIN_S)]
    assert smooth(rows)[2] > 15
    assert smooth(heard_nobody)[2] < smooth(rows)[2]
    deaf, listening = (people_inside(r, SITE, bin_s=BIN_S)[2] for r in (rows, bins(20, 20, 20, 20, 20)))
    assert one(deaf)[2] - one(deaf)[0] > one(listening)[2] - one(listening)[0]


def test_another_day_starts_afresh() -> None:
    day = smooth(bins(20, 20))
    assert smooth([*bins(5, 5), *bins(20, 20, start_s=86_400.0)])[2:] == pytest.approx(day, rel=0.1)


def test_time_shifted_is_the_same() -> None:
    assert smooth(bins(3, 9, 12)) == smooth(bins(3, 9, 12, start_s=1e6))


def test_the_interval_holds_the_truth_of_its_own_model() -> None:
    """Counts scattered about kappa n: nine in ten intervals hold n."""
    random = np.random.default_rng(3)
    held = []
    for _ in range(150):
        people = float(random.uniform(5, 40))
        kappa = np.exp(0.25 * random.standard_normal())
        noisy = np.expm1(np.log1p(people / kappa) + 0.25 * random.standard_normal(6))
        devices = np.maximum(noisy, 0).tolist()
        rows = [(i * BIN_S, Inside(devices=d, variance=0.0, listened_s=BIN_S)) for i, d in enumerate(devices)]
        low, _, high = one(people_inside(rows, Occupancy(log_sd=0.25, noise_log_sd=0.25), bin_s=BIN_S)[3])
        held.append(low <= people <= high)
    assert 0.84 <= np.mean(held) <= 0.99
