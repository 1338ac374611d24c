"""Positions over time against dense matrices, under symmetries, in chunks, and with impossible input."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.locate import Fixes, Locator, power_nodes
from hostkit.core.ranging import expected_rssi
from hostkit.core.track import TRACK_NODE_STEP, Motion, Tracker, steps
from hostkit.errors import UsageError
from hostkit.model import Floor, PathLoss, Zone
from tests.oracles_locate import track_posterior

FLOOR = Floor(id="ground", bounds_m=(0, 0, 8, 6), interior_m=((0, 0), (5, 0), (5, 6), (0, 6)))
PROBES = np.array([(0, 0, 2.5), (8, 0, 2.5), (8, 6, 2.5), (0, 6, 2.5)], float)
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=5.0)
ZONES = (Zone(id="east", floor="ground", polygon_m=((4, 0), (8, 0), (8, 6), (4, 6))),)
MOTION = Motion(roam_s=60.0, power_hold_s=40.0, repeat=0.4)
# A wall with a door in it, and a corner people love.
PRIOR = np.ones((6, 8))
PRIOR[:5, 4] = 0.0
PRIOR[:2, :2] = 6.0
Array = NDArray[np.float64]


def locator(*, prior: Array | None = PRIOR, robust: bool = False) -> Locator:
    floors = np.full(4, -90.0)
    return Locator(PROBES, FLOOR, ZONES, MODEL, np.zeros(4), floors, robust=robust, prior=prior)


def bursts(seed: int, count: int, devices: int = 1) -> tuple[NDArray[np.int64], Array, Array]:
    """Device, time and readings (count, 4) of devices that stroll about, in order of time."""
    rng = np.random.default_rng(seed)
    time_s = np.cumsum(rng.choice([0.0, 0.5, 2.0, 15.0, 90.0], count))
    place = np.clip(np.array([2, 3]) + np.cumsum(rng.normal(0, 1, (count, 2)), axis=0), 0, (8, 6))
    distance = np.linalg.norm(place[:, None] - PROBES[None, :, :2], axis=2)
    rssi = expected_rssi(distance, MODEL) + rng.normal(0, 4, (count, 4)) + 3.0
    return rng.integers(0, devices, count), time_s, np.where(rng.random((count, 4)) < 0.2, np.nan, rssi)


def columns(fixes: Fixes) -> Array:
    names = ("x_m", "y_m", "cov_xx", "cov_xy", "cov_yy", "p_interior")
    return np.column_stack([*(getattr(fixes, name) for name in names), fixes.p_zone])


def expected(it: Locator, p: Array) -> Array:
    """The columns of cell probabilities (T, cells); the zone has no cell cut."""
    x, y = (grid.ravel() for grid in np.meshgrid(it.x_m, it.y_m))
    mx, my = p @ x, p @ y
    moments = (mx, my, p @ x**2 - mx**2 + 1 / 12, p @ (x * y) - mx * my, p @ y**2 - my**2 + 1 / 12)
    return np.column_stack((*moments, p @ (x < 5), p @ (x > 4)))


@pytest.mark.parametrize("heard_p", [0.0, 0.7])
@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_filter_and_smoother_equal_dense_matrices(prior: Array | None, robust: bool, heard_p: float) -> None:
    it, (_, time_s, rssi) = locator(prior=prior, robust=robust), bursts(1, 25)
    node_db, node_weight = power_nodes(5.0, TRACK_NODE_STEP * it.sigma_db)
    power = (node_db, node_weight, float((node_db[1] - node_db[0]) / np.sqrt(12.0)))
    want = track_posterior(it, MOTION, power, time_s, rssi, sigma_db=4.0, heard_p=heard_p, floor_dbm=-90.0)
    found, device, atol = Tracker(it, MOTION), np.zeros(25, int), 3e-3 if heard_p == 0.0 else 2e-2
    said = np.full(4, heard_p)
    np.testing.assert_allclose(columns(found.update(device, time_s, rssi, said)), expected(it, want[0]), atol=atol)
    np.testing.assert_allclose(columns(found.smooth(device, time_s, rssi, said)), expected(it, want[1]), atol=atol)


def test_first_and_last_say_the_same_both_ways() -> None:
    """The last smoothed fix is the filtered one; a visit of one burst is a fix."""
    it, (device, time_s, rssi) = locator(), bursts(2, 30)
    found = Tracker(it)
    filtered, smooth = columns(found.update(device, time_s, rssi)), columns(found.smooth(device, time_s, rssi))
    np.testing.assert_allclose(smooth[-1], filtered[-1], atol=1e-4)
    backwards = columns(found.smooth(device, -time_s[::-1], rssi[::-1]))[::-1]
    np.testing.assert_allclose(
        backwards[0], columns(Tracker(it).update(device, -time_s[::-1], rssi[::-1]))[-1], atol=1e-4
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 99), max_size=5), st.booleans())
def test_chunks_equal_the_whole(cuts: list[int], robust: bool) -> None:
    it, (device, time_s, rssi) = locator(robust=robust), bursts(3, 100, devices=40)
    whole = columns(Tracker(it).update(device, time_s, rssi))
    chunked = Tracker(it)
    edges = [0, *sorted(cuts), 100]
    parts = [chunked.update(device[a:b], time_s[a:b], rssi[a:b]) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.vstack([columns(part) for part in parts]), whole)
    assert len(chunked) == len(np.unique(device))


def test_devices_and_visits_do_not_touch_each_other() -> None:
    it, (device, time_s, rssi) = locator(), bursts(4, 200, devices=20)
    together = columns(Tracker(it).update(device, time_s, rssi))
    order = np.argsort(device, kind="stable")
    smooth = columns(Tracker(it).smooth(device[order], time_s[order], rssi[order]))
    for key in range(20):
        mine = device == key
        alone = Tracker(it)
        np.testing.assert_array_equal(columns(alone.update(device[mine], time_s[mine], rssi[mine])), together[mine])
        np.testing.assert_array_equal(
            columns(alone.smooth(device[mine], time_s[mine], rssi[mine])), smooth[device[order] == key]
        )


def test_a_long_visit_walked_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    it, (device, time_s, rssi) = locator(), bursts(5, 130)
    whole = columns(Tracker(it).smooth(device, time_s, rssi))
    monkeypatch.setattr("hostkit.core.track.STORED_BYTES", 0)
    np.testing.assert_array_equal(columns(Tracker(it).smooth(device, time_s, rssi)), whole)


def test_time_shift_changes_nothing() -> None:
    it, (device, time_s, rssi) = locator(), bursts(6, 60)
    for shift in (1024.0, 1.7e9):
        np.testing.assert_allclose(
            columns(Tracker(it).smooth(device, time_s + shift, rssi)),
            columns(Tracker(it).smooth(device, time_s, rssi)),
            atol=1e-5,
        )


def test_nobody_walks_through_a_wall() -> None:
    """Two rooms without a door: having been heard in one keeps a device there, however short the way."""
    prior = np.ones((6, 8))
    prior[:, 4] = 0.0
    rssi = np.full((40, 4), np.nan)
    rssi[:10] = locator().expected_dbm[:, 3, 3]
    time_s = np.arange(40.0)
    motion = Motion(roam_s=1e9)
    shut = Tracker(locator(prior=prior), motion).update(np.zeros(40, int), time_s, rssi)
    ajar = Tracker(locator(), motion).update(np.zeros(40, int), time_s, rssi)
    assert shut.p_zone[9, 0] == pytest.approx(shut.p_zone[-1, 0], abs=1e-4)
    assert ajar.p_zone[-1, 0] > 5 * ajar.p_zone[9, 0]
    assert (np.diff(shut.cov_xx[9:]) > -1e-4).all()


def test_silence_ends_in_the_prior() -> None:
    _, time_s, rssi = bursts(7, 20)
    late = np.concatenate((rssi, np.full((1, 4), np.nan)))
    fixes = Tracker(locator()).update(np.zeros(21, int), np.append(time_s, time_s[-1] + 1e7), late)
    want = expected(locator(), (PRIOR / PRIOR.sum()).reshape(1, -1))
    np.testing.assert_allclose(columns(fixes)[-1:], want, atol=1e-3)
    assert fixes.n_probes[-1] == 0


def test_steps_leave_the_prior_as_it_is() -> None:
    moves, prior = steps(PRIOR / PRIOR.sum()), PRIOR / PRIOR.sum()
    flow = moves * prior
    np.testing.assert_allclose(
        flow[0, :, :-1], flow[1, :, 1:], atol=1e-15
    )  # east against west, then north against south
    np.testing.assert_allclose(flow[2, :-1], flow[3, 1:], atol=1e-15)
    assert (flow[:, PRIOR == 0] == 0).all()
    assert moves.max() == pytest.approx(0.2)


def test_power_is_carried_in_time() -> None:
    """Phones 8 dB above or below the mean, later heard by one probe only: who has learnt the power errs less."""
    it, rng = locator(prior=None), np.random.default_rng(8)
    device, time_s = np.repeat(np.arange(40), 30), np.tile(np.arange(30.0) * 5, 40)
    row, column, power = (np.repeat(rng.integers(0, n, 40), 30) for n in (6, 8, 2))
    rssi = it.expected_dbm[:, row, column].T + rng.normal(0, 4, (1200, 4)) + (16 * power - 8)[:, None]
    rssi[time_s > 30, 1:] = np.nan
    error = []
    for hold_s in (1e9, 1e-3):
        fixes = Tracker(it, Motion(power_hold_s=hold_s)).smooth(device, time_s, rssi)
        error.append(np.hypot(fixes.x_m - it.x_m[column], fixes.y_m - it.y_m[row]).mean())
    assert error[0] < 0.9 * error[1]


HOSTILE = [np.nan, np.inf, -np.inf, 1e30, -1e300, 127.0, -128.0, -127.0, 20.0, 0.0, -60.0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(HOSTILE), min_size=4, max_size=4), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, 1e-9, 1.0, -5.0, 1e9, -1e15, 1e18]), min_size=12, max_size=12),
    st.sampled_from([None, 0.5, np.nan, -1.0, 7.0]),
    st.booleans(),
)
def test_hostile_readings_and_times(
    readings: list[list[float]], gaps: list[float], heard: float | None, robust: bool
) -> None:
    it, time_s = Tracker(locator(robust=robust)), np.cumsum(gaps)[: len(readings)]
    heard_p = None if heard is None else np.full(4, heard)
    device = np.arange(len(readings)) % 2
    order = np.lexsort((time_s, device))
    for fixes in (
        it.update(device, time_s, np.array(readings), heard_p),
        it.smooth(device[order], time_s[order], np.array(readings)[order], heard_p),
    ):
        assert np.isfinite(columns(fixes)).all()
        assert ((fixes.x_m >= 0) & (fixes.x_m <= 8) & (fixes.y_m >= 0) & (fixes.y_m <= 6)).all()
        assert (fixes.cov_xx * fixes.cov_yy >= fixes.cov_xy**2).all()


def test_time_going_backwards_counts_as_simultaneous() -> None:
    _, _, rssi = bursts(9, 4)
    late, same = Tracker(locator()), Tracker(locator())
    found = late.update(np.zeros(4, int), [0.0, 10.0, 4.0, 12.0], rssi)
    want = same.update(np.zeros(4, int), [0.0, 10.0, 10.0, 12.0], rssi)
    np.testing.assert_array_equal(columns(found), columns(want))
    assert (late.backwards, same.backwards) == (1, 0)
    with pytest.raises(UsageError, match="time goes backwards"):
        late.smooth(np.zeros(4, int), [0.0, 10.0, 4.0, 12.0], rssi)


def test_states_are_bounded_and_the_longest_silent_goes() -> None:
    it, (_, time_s, rssi) = locator(), bursts(10, 60)
    small = Tracker(it, max_devices=3)
    small.update(np.arange(60), time_s, rssi)
    assert len(small) == 3
    again = small.update([59], time_s[-1:], rssi[-1:])
    fresh = small.update([5], time_s[-1:], rssi[-1:])
    np.testing.assert_array_equal(columns(fresh), columns(Tracker(it).update([5], time_s[-1:], rssi[-1:])))
    assert (columns(again) != columns(fresh)).any()
    small.forget(5)
    small.forget(77)
    assert len(small) == 2
    assert columns(small.update([6, 7], time_s[-2:], rssi[-2:])).shape == (2, 7)


def test_a_device_heard_again_is_not_the_longest_silent() -> None:
    it, (_, time_s, rssi) = locator(), bursts(12, 5)
    small, large = Tracker(it, max_devices=2), Tracker(it)
    for m, device in enumerate((0, 1, 0, 2, 0)):
        row = ([device], time_s[m : m + 1], rssi[m : m + 1])
        found, want = columns(small.update(*row)), columns(large.update(*row))
    np.testing.assert_array_equal(found, want)


def test_no_rows() -> None:
    it = Tracker(locator())
    for call in (it.update, it.smooth):
        assert call(np.zeros(0, int), np.zeros(0), np.zeros((0, 4))).p_zone.shape == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.update([0], [0.0], np.zeros((1, 3))),
        lambda it: it.update([0, 1], [0.0], np.zeros((1, 4))),
        lambda it: it.update([0.5], [0.0], np.zeros((1, 4))),
        lambda it: it.update([0], [[0.0]], np.zeros((1, 4))),
        lambda it: it.update([0], [np.nan], np.zeros((1, 4))),
        lambda it: it.smooth(["a"], [0.0], np.zeros((1, 4))),
        lambda it: it.smooth([0], [np.inf], np.zeros((1, 4))),
        lambda it: Tracker(it.locator, Motion(pause_s=0.0)),
        lambda it: Tracker(it.locator, Motion(repeat=1.0)),
        lambda it: Tracker(it.locator, max_devices=0),
    ],
)
def test_arguments_that_do_not_fit_are_the_callers_mistake(call: object) -> None:
    with pytest.raises(UsageError):
        call(Tracker(locator()))
