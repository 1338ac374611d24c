"""Stay segmentation against a slow twin, in pieces and with hostile input; dwell figures from censored times."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.dwell import (
    MAX_DEVICES,
    MIN_STAYS,
    SEGMENT_BYTES,
    STAY,
    UNKNOWN_US,
    Segmenter,
    dwell_bounds,
    dwell_distribution,
    dwell_summary,
    p_entrant,
)
from hostkit.errors import UsageError
from hostkit.model import Thresholds
from tests.oracles_locate import SlowSegmenter

D_M, T_S, G_S = 8.0, 120.0, 1200.0
Columns = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


def walk(seed: int, rows: int, devices: int = 5) -> Columns:
    """Devices that pause, wander, leap once in a while and go quiet now and then."""
    rng = np.random.default_rng(seed)
    device = rng.integers(0, devices, rows).astype(np.int32)
    gap_s = rng.choice([1.0, 20.0, 60.0, 400.0, 7000.0], rows, p=[0.3, 0.3, 0.3, 0.09, 0.01])
    step = rng.normal(0, 1, (rows, 2)) * rng.choice([1.0, 3.0, 30.0], (rows, 1), p=[0.6, 0.3, 0.1])
    place = np.empty((rows, 2))
    for one in range(devices):
        place[device == one] = np.cumsum(step[device == one], axis=0) % 60.0
    time_us = (np.cumsum(gap_s / devices) * 1e6).astype(np.int64)
    return device, time_us, place[:, 0].copy(), place[:, 1].copy()


def rows_of(stays: NDArray[np.void]) -> list[tuple[object, ...]]:
    def time(value: int) -> int | None:
        return None if value == UNKNOWN_US else int(value)

    return [
        (
            int(s["device"]),
            int(s["points"]),
            int(s["start_us"]),
            int(s["end_us"]),
            time(s["before_us"]),
            time(s["after_us"]),
        )
        for s in stays
    ]


def run(points: Columns, cuts: list[int] | None = None) -> NDArray[np.void]:
    segmenter = Segmenter(D_M, T_S, G_S)
    edges = [0, *sorted(cuts or []), len(points[0])]
    parts = [segmenter.update(*(c[a:b] for c in points)) for a, b in pairwise(edges)]
    return np.concatenate([*parts, segmenter.flush()])


@pytest.mark.parametrize("seed", range(6))
def test_stays_equal_the_slow_twin(seed: int) -> None:
    points, slow = walk(seed, 3000), SlowSegmenter(D_M, T_S, G_S)
    want = [stay for row in zip(*(c.tolist() for c in points), strict=True) for stay in slow.add(*row)] + slow.flush()
    stays = run(points)
    assert rows_of(stays) == [stay.row() for stay in want]
    assert len(want) > 50
    np.testing.assert_allclose(np.column_stack((stays["x_m"], stays["y_m"])), [s.mean() for s in want], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 800), max_size=12), st.integers(0, 5))
def test_chunks_equal_the_whole(cuts: list[int], seed: int) -> None:
    points = walk(seed, 800)
    np.testing.assert_array_equal(run(points, cuts), run(points))


@given(st.integers(-(10**15), 10**15))
@settings(max_examples=20, deadline=None)
def test_a_shift_in_time_changes_nothing_else(shift: int) -> None:
    device, time_us, x, y = walk(3, 500)
    stays, moved = run((device, time_us, x, y)), run((device, time_us + shift, x, y))
    for name in ("start_us", "end_us", "before_us", "after_us"):
        known = stays[name] != UNKNOWN_US
        np.testing.assert_array_equal(moved[name][known], stays[name][known] + shift)
    for name in ("device", "points", "x_m", "y_m"):
        np.testing.assert_array_equal(moved[name], stays[name])


@pytest.mark.parametrize("seed", range(5))
def test_stays_of_a_device_do_not_overlap_and_total_dwell_fits_the_span(seed: int) -> None:
    device, time_us, x, y = walk(seed, 2000)
    stays = run((device, time_us, x, y))
    for one in range(5):
        mine = stays[stays["device"] == one]
        assert (mine["start_us"][1:] > mine["end_us"][:-1]).all()
        assert (mine["end_us"] - mine["start_us"]).sum() <= np.ptp(time_us[device == one])
    assert (np.mean(dwell_bounds(stays), axis=0) >= T_S).all()


def still(times_s: list[float], x: list[float]) -> Columns:
    return (
        np.zeros(len(x), np.int32),
        (np.array(times_s) * 1e6).astype(np.int64),
        np.array(x, float),
        np.zeros(len(x)),
    )


def test_a_far_point_never_alters_a_closed_stay() -> None:
    points = still([0, 60, 120, 180, 240, 300], [0, 1, 0, 1, 100, 101])
    segmenter = Segmenter(D_M, T_S, G_S)
    closed = segmenter.update(*points)
    before = closed.copy()
    assert len(closed) == 1
    later = segmenter.update(*still([360, 420, 5000], [1e6, 0, -1e6]))
    np.testing.assert_array_equal(closed, before)
    assert not set(rows_of(later)) & set(rows_of(before))


def test_one_outlier_is_not_the_end_and_does_not_move_the_centre() -> None:
    stays = run(still([0, 60, 120, 180, 240], [0, 2, 50, 1, 1]))
    assert rows_of(stays) == [(0, 4, 0, 240_000_000, None, None)]
    assert stays["x_m"][0] == pytest.approx(1.0)


def test_bounds_are_the_neighbouring_points() -> None:
    stays = run(still([0, 100, 200, 300, 400, 500], [90, -90, 0, 0, 0, 50]))
    assert rows_of(stays) == [(0, 3, 200_000_000, 400_000_000, 100_000_000, 500_000_000)]


def test_the_reach_includes_its_edge_and_the_gap_too() -> None:
    assert rows_of(run(still([0, 100, 200, 300], [0, 0, 0, 8.0])))[0][1] == 4
    assert rows_of(run(still([0, 100, 200, 300], [0, 0, 0, 8.001])))[0][1] == 3
    assert rows_of(run(still([0, 1200], [0, 0]))) == [(0, 2, 0, 1_200_000_000, None, None)]
    assert len(run(still([0, 1200.1], [0, 0]))) == 0
    assert len(run(still([0, 120, 240], [0, 8.1, 8.1]))) == 1  # the second place, from 120 s


def test_points_at_the_rim_belong_to_a_stay_but_do_not_begin_or_end_it() -> None:
    stays = run(still([0, 20, 40, 60, 80, 200, 220, 240, 260], [7, 0, 0, 1, -1, 0, 7, 16, 24]))
    assert rows_of(stays) == [(0, 7, 20_000_000, 200_000_000, 0, 240_000_000)]
    assert stays["x_m"][0] == pytest.approx(2.0)


def test_ten_million_points_in_parts_take_no_more_state() -> None:
    segmenter, found, rows = Segmenter(D_M, T_S, G_S), 0, 500_000
    device = np.arange(rows, dtype=np.int32) % 1000
    x = np.where(np.arange(rows) // 1000 % 100 < 50, 0.0, 100.0)
    y = np.zeros(rows)
    for part in range(20):
        time_us = (part * rows + np.arange(rows, dtype=np.int64)) // 1000 * 20_000_000
        found += len(segmenter.update(device, time_us, x, y))
    found += len(segmenter.flush())
    assert found == 1000 * 10_000_000 // 1000 // 50
    assert segmenter.nbytes <= 1024 * 64


def test_expire_closes_the_silent_only() -> None:
    segmenter = Segmenter(D_M, T_S, G_S)
    device, time_us = np.array([0, 1, 0, 1], np.int32), np.array([0, 0, 300, 1000], np.int64) * 1_000_000
    assert len(segmenter.update(device, time_us, np.zeros(4), np.zeros(4))) == 0
    assert len(segmenter.expire(1500 * 1_000_000)) == 0
    assert rows_of(segmenter.expire(1501 * 1_000_000)) == [(0, 2, 0, 300_000_000, None, None)]
    assert rows_of(segmenter.flush()) == [(1, 2, 0, 1_000_000_000, None, None)]
    assert len(segmenter.flush()) == 0


def test_a_retired_slot_starts_anew() -> None:
    segmenter = Segmenter(D_M, T_S, G_S)
    segmenter.update(*still([0, 200], [0, 0]))
    assert len(segmenter.flush([0, 0, 7, 9999])) == 1
    segmenter.update(*still([10, 210], [3, 3]))
    assert segmenter.backward == 0
    assert rows_of(segmenter.flush([0])) == [(0, 2, 10_000_000, 210_000_000, None, None)]


def test_time_running_backwards_is_no_time_and_counted() -> None:
    segmenter = Segmenter(D_M, 0.0, G_S)
    segmenter.update(*still([100, 50, 160], [0, 0, 0]))
    assert segmenter.backward == 1
    assert rows_of(segmenter.flush()) == [(0, 3, 100_000_000, 160_000_000, None, None)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_without_a_place_are_skipped_and_counted(bad: float) -> None:
    segmenter = Segmenter(D_M, T_S, G_S)
    segmenter.update(*still([0, 100, 200], [0, bad, 0]))
    assert segmenter.unplaced == 1
    assert rows_of(segmenter.flush()) == [(0, 2, 0, 200_000_000, None, None)]


def test_impossible_times_are_skipped_and_counted() -> None:
    limits = np.iinfo(np.int64)
    segmenter = Segmenter(D_M, T_S, G_S)
    segmenter.update(np.zeros(2, np.int32), np.array([limits.min, limits.max]), np.zeros(2), np.zeros(2))
    assert segmenter.unplaced == 2


@pytest.mark.parametrize("device", [-1, MAX_DEVICES])
def test_device_numbers_are_bounded(device: int) -> None:
    with pytest.raises(UsageError, match="device numbers out of range"):
        Segmenter().update(np.array([device], np.int32), np.zeros(1, np.int64), np.zeros(1), np.zeros(1))


def test_columns_of_unequal_length_or_type_are_refused() -> None:
    with pytest.raises(UsageError, match="differ in length"):
        Segmenter().update(np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="dtype mismatch"):
        Segmenter().update(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 1.0), (np.nan, 1.0, 1.0), (8.0, -1.0, 1.0), (8.0, 1.0, np.inf)])
def test_thresholds_are_checked(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        Segmenter(*arguments)


def test_views_and_float32_are_taken_and_nothing_gives_nothing() -> None:
    points = walk(1, 400)
    strided = tuple(np.repeat(c, 2)[::2] for c in points)
    np.testing.assert_array_equal(run(strided), run(points))
    single = (*points[:2], points[2].astype(np.float32), points[3].astype(np.float32))
    np.testing.assert_array_equal(run(single)["start_us"], run(points)["start_us"])
    assert Segmenter().flush().dtype == STAY
    assert len(Segmenter().update(*(c[:0] for c in points))) == 0


def test_state_is_at_most_64_bytes_a_device() -> None:
    segmenter = Segmenter()
    segmenter.update(*(c for c in (np.arange(1000, dtype=np.int32), *(np.zeros(1000, t) for t in ("i8", "f8", "f8")))))
    assert SEGMENT_BYTES <= 64
    assert segmenter.nbytes <= 1024 * 64


def figures(*args: object) -> tuple[float | None, float | None, float | None]:
    found = dwell_summary(*args)
    return found.mean.value, found.median.value, found.p90.value


@pytest.mark.parametrize("n", [200, 3000])
def test_exact_durations_give_the_sample_itself(n: int) -> None:
    times = np.random.default_rng(3).lognormal(6, 0.8, n)
    want = (times.mean(), np.median(times), np.quantile(times, 0.9))
    assert figures(times, times) == pytest.approx(want, rel=0.05)


def test_wide_intervals_do_not_bias_what_they_hide() -> None:
    rng = np.random.default_rng(4)
    times = rng.lognormal(6, 0.8, 2000)
    grid = 300.0  # only the five minutes are known
    lo = times // grid * grid
    want = (times.mean(), np.median(times), np.quantile(times, 0.9))
    assert figures(lo, lo + grid) == pytest.approx(want, rel=0.05)
    assert np.median(lo) < 0.8 * np.median(times)


def test_open_stays_count_as_longer_not_as_over() -> None:
    rng = np.random.default_rng(5)
    times, watched = rng.exponential(600, 4000), rng.uniform(300, 3000, 4000)
    is_open = watched < times
    found = figures(np.minimum(times, watched), np.where(is_open, np.inf, times))
    assert found[1:] == pytest.approx((600 * np.log(2), 600 * np.log(10)), rel=0.06)
    assert np.quantile(times[~is_open], 0.9) < 0.9 * 600 * np.log(10)  # what dropping them would say


def test_weights_are_so_many_stays() -> None:
    lo = np.random.default_rng(6).uniform(0, 1000, 60)
    once, twice = figures(np.repeat(lo, 2), np.repeat(lo, 2) + 50), figures(lo, lo + 50, None, np.full(60, 2.0))
    assert twice == pytest.approx(once, rel=1e-9)
    heavy = figures(lo, lo + 50, None, np.where(lo > 500, 9.0, 1.0))
    assert heavy[1] > once[1] + 150


def test_scale_and_order_do_not_matter_and_the_seed_is_fixed() -> None:
    rng = np.random.default_rng(7)
    lo, width = rng.uniform(0, 2000, 90), rng.uniform(10, 400, 90)
    once = dwell_summary(lo, lo + width)
    assert dwell_summary(lo, lo + width) == once
    assert once.median.low < once.median.value < once.median.high
    tenfold = dwell_summary(10 * lo, 10 * (lo + width))
    assert tenfold.median.value == pytest.approx(10 * once.median.value, rel=0.02)
    mixed = rng.permutation(90)
    assert figures(lo[mixed], (lo + width)[mixed]) == pytest.approx(figures(lo, lo + width), rel=1e-9)


def test_more_stays_narrow_the_interval() -> None:
    lo = np.random.default_rng(8).lognormal(6, 0.8, 1600)
    few, many = (dwell_summary(lo[:n], lo[:n] + 60).median for n in (100, 1600))
    assert (many.high - many.low) < 0.5 * (few.high - few.low)


def test_undefined_is_null_with_its_reason() -> None:
    few = dwell_summary(np.arange(MIN_STAYS - 1.0), np.full(MIN_STAYS - 1, 99.0))
    assert (few.mean.value, few.median.low, few.n) == (None, None, MIN_STAYS - 1)
    assert "fewer than 10" in (few.p90.reason or "")
    assert dwell_summary([], []).mean.value is None
    still_open = dwell_summary(np.arange(20.0), np.full(20, np.inf))
    assert still_open.mean.reason == "no stay has ended"
    assert dwell_distribution(np.arange(20.0), np.full(20, np.inf)) is None


def test_broken_rows_are_left_out_and_extremes_stay_finite() -> None:
    lo = np.array([*np.arange(20.0), np.nan, -5, 50, np.inf, 0.0])
    hi = np.array([*np.arange(20.0) + 5, 9, 9, 40, np.inf, np.nan])
    assert dwell_summary(lo, hi).n == 20
    assert figures(lo, hi) == figures(lo[:20], hi[:20])
    assert figures(np.zeros(50), np.zeros(50)) == pytest.approx((0.5, 0.5, 0.9), abs=1.0)  # the grain is a second
    assert all(np.isfinite(v) for v in figures(np.r_[np.zeros(30), 1e9], np.r_[np.ones(30), 2e9]))


def test_distribution_sums_to_one_over_rising_edges() -> None:
    lo = np.random.default_rng(9).lognormal(6, 0.8, 300)
    found = dwell_distribution(lo, lo + 120)
    assert found is not None
    assert found.p.sum() == pytest.approx(1.0)
    assert (found.p >= 0).all()
    assert (np.diff(found.edges_s) > 0).all()


def test_bounds_of_stays_are_open_where_a_neighbour_is_unknown() -> None:
    lo, hi = dwell_bounds(run(still([0, 100, 200, 300, 400, 500, 540], [90, -90, 0, 0, 0, 50, 50])))
    assert (lo.tolist(), hi.tolist()) == ([200.0], [400.0])
    lo, hi = dwell_bounds(run(still([0, 200], [0, 0])))
    assert (lo.tolist(), hi.tolist()) == ([200.0], [np.inf])
    lo, hi = dwell_bounds(run(still([0, 200, 300, 340], [0, 0, 50, 50])))
    assert (lo.tolist(), hi.tolist()) == ([200.0], [np.inf])  # nothing before, though something after


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1e5), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_longer_and_further_in_is_likelier_an_entrant(mid: float, inside: float, more: float, further: float) -> None:
    both = np.array([mid, mid + more])
    p = p_entrant(both, np.array([inside, max(inside, further)]), Thresholds())
    assert p[0] <= p[1]
    assert ((p >= 0) & (p <= 1)).all()
