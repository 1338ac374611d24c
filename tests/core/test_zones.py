"""Polygons on a grid, and zone visits with hysteresis."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.zones import ZONE_EVENT, ZoneTracker, area_m2, cell_shares, inside
from hostkit.errors import ConfigError, UsageError
from tests.oracles_locate import zone_events

L_SHAPE = ((0.0, 0.0), (6.0, 0.0), (6.0, 2.0), (2.0, 2.0), (2.0, 5.0), (0.0, 5.0))
SECOND = 1_000_000


def test_inside_of_a_shape_that_is_not_convex() -> None:
    points = np.array([(1, 1), (5, 1), (1, 4.9), (3, 3), (-1, 1), (7, 1), (0, 0), (6, 0), (2, 2)])
    assert inside(points, L_SHAPE).tolist() == [True, True, True, False, False, False, True, False, False]


def test_neighbouring_polygons_share_no_point_and_leave_none_out() -> None:
    points = np.stack(np.meshgrid(np.arange(0, 6), np.arange(0, 4)), axis=-1).reshape(-1, 2).astype(float)
    left, right = ((0, 0), (3, 0), (3, 4), (0, 4)), ((3, 0), (6, 0), (6, 4), (3, 4))
    assert (inside(points, left).astype(int) + inside(points, right) == 1).all()


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.3, 2.0))
@settings(max_examples=50, deadline=None)
def test_shares_add_up_to_the_area(dx: float, dy: float, cell_m: float) -> None:
    moved = tuple((x + dx, y + dy) for x, y in L_SHAPE)
    axis = np.arange(-8, 12, cell_m)
    shares = cell_shares(axis, axis, cell_m, moved)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.sum() * cell_m**2 == pytest.approx(area_m2(moved), abs=22 * cell_m / 8)  # half a sample along the rim
    assert area_m2(moved) == pytest.approx(18.0)


@pytest.mark.parametrize("polygon", [((0, 0), (1, 1)), ((0, 0), (1, 1), (2, 2)), ((0, 0), (1, np.nan), (2, 2)), ()])
def test_what_is_no_polygon_is_refused(polygon: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigError, match="polygon"):
        cell_shares(np.arange(3.0), np.arange(3.0), 1.0, polygon)


def track(times: list[float], p: list[float], silence_s: float = 600.0) -> list[tuple[float, float]]:
    """(enter, leave) in seconds of one device in one zone."""
    tracker = ZoneTracker(1, silence_s)
    args = (
        np.zeros(len(p), np.int32),
        (np.array(times) * SECOND).round().astype(np.int64),
        np.array(p, np.float32)[:, None],
    )
    events = np.concatenate([tracker.update(*args), tracker.flush()])
    return [(e["enter_us"] / SECOND, e["leave_us"] / SECOND) for e in events]


@pytest.mark.parametrize(
    ("p", "want"),
    [
        ([0.9, 0.9, 0.9], [(0, 2)]),
        ([0.9, 0.5, 0.9, 0.2], []),  # never twice in a row
        ([0.7, 0.7, 0.7], []),  # not above
        ([0.9, 0.8, 0.3, 0.3, 0.3], [(0, 4)]),  # not below
        ([0.9, 0.8, 0.1, 0.5, 0.1, 0.4], [(0, 5)]),  # never low twice in a row
        ([0.9, 0.8, 0.1, 0.1, 0.9, 0.1, 0.9, 0.9], [(0, 1), (6, 7)]),
        ([np.nan, 0.9, np.nan, 0.9, np.nan, 0.1, np.nan, 0.1, 0.1], [(1, 3)]),
    ],
)
def test_hysteresis(p: list[float], want: list[tuple[float, float]]) -> None:
    assert track([float(i) for i in range(len(p))], p) == want


def test_silence_of_three_median_intervals_ends_a_visit() -> None:
    times = [10.0 * i for i in range(12)]
    assert track([*times, 110 + 31, 110 + 41], [0.9] * 14) == [(0, 110), (141, 151)]
    assert track([*times, 110 + 29, 110 + 39], [0.9] * 14) == [(0, 149)]


def test_the_interval_found_never_overshoots_what_was_seen() -> None:
    assert track([0.0, 7.0, 17.0, 47.5, 57.5], [0.9] * 5) == [(0, 17), (47.5, 57.5)]


def test_silence_is_capped() -> None:
    times = [200.0 * i for i in range(6)]
    assert track([*times, 1401.0, 1500.0], [0.9] * 8, silence_s=400) == [(0, 1000), (1401, 1500)]


@pytest.mark.parametrize("scale", [0.1, 30.0])
def test_the_interval_found_is_the_median(scale: float) -> None:
    """Patience is not visible, so find it: the shortest silence after 300 observations that ends the visit."""
    rng = np.random.default_rng(4)
    gaps = scale * rng.lognormal(0, 1, 300)
    times = np.cumsum(gaps).round(3)

    def ends(silence_s: float) -> bool:
        more = [round(times[-1] + silence_s, 3), round(times[-1] + silence_s * 1.01, 3)]
        return track([*times, *more], [0.5] * 298 + [0.9] * 4, 1e6)[-1][0] == more[0]

    ratio = next(r for r in np.arange(0.3, 10, 0.1) if ends(r * np.median(gaps)))
    assert 2.0 < ratio < 4.5


def random_observations(
    seed: int, rows: int, devices: int, zones: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    device = rng.integers(0, devices, rows).astype(np.int32)
    seconds = np.zeros(rows, np.int64)
    for one in range(devices):
        mine = device == one
        seconds[mine] = np.cumsum(rng.choice([1, 2, 4], mine.sum(), p=[0.5, 0.4, 0.1]))
    order = np.argsort(seconds, kind="stable")
    level = rng.choice([0.1, 0.5, 0.9], (rows, zones), p=[0.35, 0.15, 0.5])
    return device[order], seconds[order] * SECOND, level.astype(np.float32)


def test_events_equal_the_slow_twin() -> None:
    device, time_us, p = random_observations(1, 4000, 4, 3)
    tracker = ZoneTracker(3, silence_s=3.0)  # gaps of 1 and 2 s: three median intervals are never less
    events = np.concatenate([tracker.update(device, time_us, p), tracker.flush()])
    assert len(events) > 300
    for one in range(4):
        for zone in range(3):
            mine = device == one
            want = zone_events(time_us[mine].tolist(), p[mine, zone].tolist(), 3 * SECOND)
            got = events[(events["device"] == one) & (events["zone"] == zone)]
            assert list(zip(got["enter_us"].tolist(), got["leave_us"].tolist(), strict=True)) == want


@given(st.lists(st.integers(0, 500), max_size=8), st.integers(0, 3), st.integers(-(10**14), 10**14))
@settings(max_examples=25, deadline=None)
def test_chunks_equal_the_whole_and_time_may_shift(cuts: list[int], seed: int, shift: int) -> None:
    device, time_us, p = random_observations(seed, 500, 7, 4)
    whole, parts = ZoneTracker(4, 10.0), ZoneTracker(4, 10.0)
    want = np.concatenate([whole.update(device, time_us, p), whole.flush()])
    edges = [0, *sorted(cuts), 500]
    got = [parts.update(device[a:b], time_us[a:b] + shift, p[a:b]) for a, b in pairwise(edges)]
    found = np.concatenate([*got, parts.flush()])
    want["enter_us"] += shift
    want["leave_us"] += shift
    np.testing.assert_array_equal(found, want)


def test_mean_probability_is_of_the_observations_within() -> None:
    tracker = ZoneTracker(1)
    p = np.array([[0.5], [0.8], [0.9], [0.4], [0.2], [0.1]], np.float32)
    event = tracker.update(np.zeros(6, np.int32), np.arange(6) * SECOND, p)[0]
    assert (event["enter_us"], event["leave_us"]) == (SECOND, 3 * SECOND)
    assert event["p_mean"] == pytest.approx(0.7)
    assert event["points"] == 3


def test_expire_ends_the_silent_and_keeps_their_rhythm() -> None:
    tracker = ZoneTracker(2)
    p = np.tile(np.array([0.9, 0.1], np.float32), (4, 1))
    tracker.update(np.zeros(4, np.int32), np.arange(4) * 10 * SECOND, p)
    assert len(tracker.expire(60 * SECOND)) == 0
    ended = tracker.expire(61 * SECOND)
    assert ended[["device", "zone", "enter_us", "leave_us"]].tolist() == [(0, 0, 0, 30 * SECOND)]
    assert len(tracker.flush()) == 0


def test_backward_time_and_empty_rows_are_counted() -> None:
    tracker = ZoneTracker(1)
    p = np.array([[0.9], [0.9], [np.nan], [0.9]], np.float32)
    tracker.update(np.zeros(4, np.int32), np.array([5, 3, 9, 10]) * SECOND, p)
    limits = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max])
    tracker.update(np.zeros(2, np.int32), limits, p[:2])
    assert (tracker.backward, tracker.unplaced) == (1, 3)
    assert tracker.flush()[["enter_us", "leave_us"]].tolist() == [(5 * SECOND, 10 * SECOND)]


def test_many_zones_ending_at_once_all_come_out() -> None:
    tracker = ZoneTracker(300)
    device = np.repeat(np.arange(20, dtype=np.int32), 4)
    time_us = np.tile(np.arange(4) * SECOND, 20)
    p = np.tile(np.array([0.9, 0.9, 0.0, 0.0], np.float32)[:, None], (20, 300))
    assert len(tracker.update(device, time_us, p)) == 6000
    assert tracker.flush().dtype == ZONE_EVENT


def test_no_zones_and_no_rows() -> None:
    assert len(ZoneTracker(0).update(np.zeros(2, np.int32), np.zeros(2, np.int64), np.zeros((2, 0), np.float32))) == 0
    assert len(ZoneTracker(2).update(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))) == 0


@pytest.mark.parametrize(("zones", "most"), [(1, 64), (4, 184)])
def test_state_is_24_bytes_a_device_and_40_a_zone_of_it(zones: int, most: int) -> None:
    tracker = ZoneTracker(zones)
    tracker.update(np.arange(1024, dtype=np.int32), np.zeros(1024, np.int64), np.ones((1024, zones), np.float32))
    assert tracker.nbytes <= 1024 * most


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="pass 2 columns"):
        ZoneTracker(2).update(np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros((1, 3), np.float32))
    with pytest.raises(UsageError, match="differ in length"):
        ZoneTracker(2).update(np.zeros(1, np.int32), np.zeros(2, np.int64), np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match="device numbers"):
        ZoneTracker(1).flush([-1])
    with pytest.raises(UsageError, match="n_zones"):
        ZoneTracker(5000)
