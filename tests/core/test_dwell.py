"""Stay segmentation against a slow twin, in pieces and with hostile input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.dwell import MAX_DEVICES, SEGMENT_BYTES, STAY, UNKNOWN_US, Segmenter
from hostkit.errors import UsageError
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
    assert (stays["end_us"] - stays["start_us"] >= T_S * 1e6).all()


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
    assert rows_of(run(still([0, 1200], [0, 8.0]))) == [(0, 2, 0, 1_200_000_000, None, None)]
    assert len(run(still([0, 1200.1], [0, 0]))) == 0
    assert len(run(still([0, 120, 240], [0, 8.1, 8.1]))) == 1  # the second place, from 120 s


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
