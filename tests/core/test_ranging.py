"""Path loss, its bound, and RSSI rings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from hostkit.core.ranging import (
    MIN_DISTANCE_M,
    NO_RING,
    Ring,
    burst_sigma,
    crlb,
    distance_of,
    expected_rssi,
    fisher_information,
    normal_cdf,
    ring_of,
    silence_p,
    wall_loss,
)
from hostkit.model import PathLoss, Rings, Wall

MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=5.0)
RINGS = Rings(inside_dbm=-70.0, near_dbm=-82.0, hysteresis_db=3.0)
coordinate = st.floats(-20, 20)


@given(st.floats(MIN_DISTANCE_M, 1e4))
def test_distance_inverts_expected_rssi(distance: float) -> None:
    assert distance_of(expected_rssi(distance, MODEL), MODEL) == pytest.approx(distance, rel=1e-9)


def test_ten_times_the_distance_costs_ten_exponents() -> None:
    assert expected_rssi([1.0, 10.0, 0.0], MODEL).tolist() == pytest.approx([-45.0, -72.0, -45 + 27 * np.log10(2)])
    assert np.isfinite(distance_of([-1e6, 1e6], MODEL)).all()


def test_normal_cdf_against_scipy() -> None:
    t = np.linspace(-40, 40, 4001)
    np.testing.assert_allclose(normal_cdf(t), ndtr(t), atol=1e-7)


def test_silence_is_certain_only_far_away_or_off_channel() -> None:
    p = silence_p([-50.0, -90.0, -130.0], -90.0, 4.0, [0.9, 0.9, 0.9])
    assert p.tolist() == pytest.approx([0.1, 0.55, 1.0], abs=1e-6)
    assert silence_p(-50.0, -90.0, 4.0, 0.0) == 1.0


def test_averaging_frames_helps_within_the_shared_shadowing() -> None:
    sigma = burst_sigma(4.0, [0, 1, 2, 10, 10**6])
    assert sigma[0] == sigma[1] == 4.0
    assert (np.diff(sigma[1:]) < 0).all()
    assert sigma[-1] == pytest.approx(4.0 * np.sqrt(0.7), rel=1e-4)


def test_walls_cost_only_where_crossed() -> None:
    walls = (Wall(from_m=(5, -5), to_m=(5, 5), loss_db=6.0), Wall(from_m=(8, 0), to_m=(8, 20), loss_db=3.0))
    points = np.array([(4, 0), (6, 0), (10, 1), (6, 20), (10, -0.5)], float)
    assert wall_loss(np.zeros(2), points, walls).tolist() == [0, 6, 9, 0, 6]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8),
    st.tuples(coordinate, coordinate),
    st.booleans(),
)
def test_one_more_probe_never_lowers_the_information(
    probes: list[tuple[float, float]], more: tuple[float, float], power_known: bool
) -> None:
    here = np.array([0.3, -0.2])
    before = fisher_information(here, np.array(probes), MODEL, power_known=power_known)
    after = fisher_information(here, np.array([*probes, more]), MODEL, power_known=power_known)
    smallest = np.linalg.eigvalsh(after - before)[0]
    assert smallest >= -1e-9 * max(1.0, np.trace(after))


def test_information_equals_the_inverse_covariance_form() -> None:
    probes, here = np.array([(0, 0), (10, 0), (10, 8), (0, 8), (3, 9)], float), np.array([4.0, 3.0])
    step = 1e-5
    flat = [
        np.linalg.norm(here + shift - probes, axis=1) for shift in step * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    ]
    mean = [expected_rssi(distance, MODEL) for distance in flat]
    gradient = np.column_stack(((mean[0] - mean[1]), (mean[2] - mean[3]))) / (2 * step)
    cov = 16.0 * np.eye(5) + 25.0
    np.testing.assert_allclose(
        fisher_information(here, probes, MODEL), gradient.T @ np.linalg.solve(cov, gradient), rtol=1e-6
    )


def test_crlb_of_the_reference_room() -> None:
    """30 × 20 m, n 2.7, σ 4 dB, known power: 6.47, 4.06, 3.18 m for 4, 6, 8 probes were measured elsewhere."""
    corners = [(0, 0), (30, 0), (30, 20), (0, 20)]
    eight = [*corners, (15, 0), (15, 20), (0, 10), (30, 10)]
    places = np.random.default_rng(1).uniform((0, 0), (30, 20), (4000, 2))
    for probes, want in ((corners, 6.47), (eight[:6], 4.06), (eight, 3.18)):
        traces = [np.trace(crlb(p, np.array(probes, float), MODEL, power_known=True)) for p in places]
        assert np.sqrt(np.mean(traces)) == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("probes", [[(0, 0)], [(5, 5)] * 4, [(0, 0), (5, 0), (9, 0)]])
def test_no_bound_where_the_geometry_fixes_nothing(probes: list[tuple[float, float]]) -> None:
    assert np.isinf(crlb(np.array([2.0, 0.0]), np.array(probes, float), MODEL, power_known=True)).all()


def test_rings_without_history_follow_the_thresholds() -> None:
    rings = ring_of([-69.9, -70, -70.1, -82, -82.1, np.nan], np.full(6, NO_RING), RINGS)
    assert rings.tolist() == [Ring.INSIDE, Ring.INSIDE, Ring.NEAR, Ring.NEAR, Ring.FAR, NO_RING]


@pytest.mark.parametrize(
    ("previous", "medians", "want"),
    [
        (Ring.INSIDE, [-73, -73.1, -85, -85.1], [Ring.INSIDE, Ring.NEAR, Ring.NEAR, Ring.FAR]),
        (Ring.NEAR, [-70, -70.1, -85, -85.1], [Ring.INSIDE, Ring.NEAR, Ring.NEAR, Ring.FAR]),
        (Ring.FAR, [-70, -82, -82.1], [Ring.INSIDE, Ring.NEAR, Ring.FAR]),
    ],
)
def test_rings_are_left_only_below_the_hysteresis(previous: Ring, medians: list[float], want: list[Ring]) -> None:
    assert ring_of(medians, np.full(len(medians), previous), RINGS).tolist() == want
    assert ring_of(np.nan, previous, RINGS) == previous


def test_a_median_that_wobbles_within_the_hysteresis_changes_ring_once() -> None:
    medians = -71.5 + 1.4 * np.sin(np.arange(200))
    ring, changes = np.int8(NO_RING), 0
    for median in [*medians, -69.0, *medians]:
        after = ring_of(median, ring, RINGS)
        changes += int(after != ring)
        ring = after
    assert changes <= 2
