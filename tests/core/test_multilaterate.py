"""Least-squares positions against SciPy and the Cramér–Rao bound, under symmetries, and where there is no solution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.core.multilaterate import Solutions, Status, multilaterate
from hostkit.core.ranging import burst_sigma, crlb, expected_rssi
from hostkit.errors import ConfigError, UsageError
from hostkit.model import PathLoss

PROBES = np.array([(0, 0), (30, 0), (30, 20), (0, 20), (15, 0), (15, 20)], float)
PLACES = np.column_stack((PROBES, np.full(6, 3.0)))
FLAT = np.column_stack((PROBES, np.full(6, DEVICE_HEIGHT_M)))
Array = NDArray[np.float64]


def readings(places: Array, probes: Array, seed: int, *, noise_db: float = 0.0, power_db: float = 0.0) -> Array:
    rng = np.random.default_rng(seed)
    flat = np.linalg.norm(places[:, None] - probes[None, :, :2], axis=2)
    distance = np.hypot(flat, probes[:, 2] - DEVICE_HEIGHT_M)
    model = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7)
    return (
        expected_rssi(distance, model)
        + rng.normal(0, 1, distance.shape) * noise_db
        + rng.normal(0, 1, (len(places), 1)) * power_db
    )


def solve(rssi: Array, probes: Array = FLAT, *, sigma_db: float = 4.0, power_sigma_db: float = 3.0) -> Solutions:
    return multilaterate(
        rssi, probes, rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=sigma_db, power_sigma_db=power_sigma_db
    )


def columns(found: Solutions) -> Array:
    return np.column_stack([getattr(found, name) for name in Solutions.__dataclass_fields__])


def places(count: int, inset: float = 0.0) -> Array:
    return np.random.default_rng(1).uniform((inset, inset), (30 - inset, 20 - inset), (count, 2))


@pytest.mark.parametrize("power_sigma_db", [0.0, 3.0, np.inf])
@pytest.mark.parametrize("probes", [FLAT, PLACES])
def test_zero_noise_is_exact(probes: Array, power_sigma_db: float) -> None:
    found = solve(readings(places(500, 0.5), probes, 2), probes, power_sigma_db=power_sigma_db)
    assert (found.status == Status.CONVERGED).all()
    np.testing.assert_allclose(np.column_stack((found.x_m, found.y_m)), places(500, 0.5), atol=1e-3)
    np.testing.assert_allclose(found.power_db, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.residual_db, 0.0, atol=1e-3)


def test_unknown_power_is_found_exactly_where_nothing_is_known_of_it() -> None:
    found = solve(readings(places(500, 0.5), FLAT, 3) + 7.0, power_sigma_db=np.inf)
    np.testing.assert_allclose(np.column_stack((found.x_m, found.y_m)), places(500, 0.5), atol=1e-2)
    np.testing.assert_allclose(found.power_db, 7.0, atol=1e-2)


def test_it_is_the_minimum_scipy_finds() -> None:
    """Power as a third unknown with its prior as a residual; per-probe models; frames as weights."""
    rng = np.random.default_rng(4)
    at_1m, exponent, sigma = rng.uniform(-50, -40, 6), rng.uniform(2, 3.5, 6), rng.uniform(2, 6, 6)
    where, frames = places(30), rng.integers(0, 9, (30, 6))
    distance = np.maximum(np.linalg.norm(where[:, None] - PROBES, axis=2), 0.5)
    rssi = at_1m - 10 * exponent * np.log10(distance) + rng.normal(0, 2, distance.shape) + rng.normal(0, 3, (30, 1))
    found = multilaterate(
        rssi, FLAT, rssi_1m_dbm=at_1m, exponent=exponent, sigma_db=sigma, power_sigma_db=3.0, frames=frames
    )
    for m in range(30):
        scale = np.array([burst_sigma(s, n) for s, n in zip(sigma, frames[m], strict=True)])

        def residual(v: Array, row: Array = rssi[m], scale: Array = scale) -> Array:
            d = np.maximum(np.hypot(*(v[:2] - PROBES).T), 0.5)
            return np.append((row - at_1m + 10 * exponent * np.log10(d) - v[2]) / scale, v[2] / 3.0)

        best = least_squares(residual, (found.x_m[m], found.y_m[m], found.power_db[m]), xtol=1e-12, ftol=1e-12)
        np.testing.assert_allclose((found.x_m[m], found.y_m[m], found.power_db[m]), best.x, atol=2e-3)
        covariance = np.linalg.inv(best.jac.T @ best.jac)
        np.testing.assert_allclose(covariance[0, :2], (found.cov_xx[m], found.cov_xy[m]), rtol=0.01, atol=1e-3)
        np.testing.assert_allclose(covariance[1, 1], found.cov_yy[m], rtol=0.01)
        tries = [least_squares(residual, (x, y, 0.0)) for x in (4, 15, 26) for y in (4, 10, 16)]
        inside = [t.cost for t in tries if 0 <= t.x[0] <= 30 and 0 <= t.x[1] <= 20]
        assert best.cost <= min(inside, default=np.inf) + 1e-6
        weighted = np.average(residual(best.x)[:-1] ** 2 * scale**2, weights=scale**-2.0)
        assert found.residual_db[m] == pytest.approx(np.sqrt(weighted), rel=1e-3)


@pytest.mark.parametrize(("power_sigma_db", "inset"), [(0.0, 0.0), (3.0, 3.0)])
def test_little_noise_reaches_the_bound(power_sigma_db: float, inset: float) -> None:
    """Near the walls an unknown power leaves a second solution outside the room, of which no bound knows."""
    model = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=0.5, power_sigma_db=power_sigma_db)
    where = places(4000, inset)
    rssi = readings(where, FLAT, 5, noise_db=0.5, power_db=power_sigma_db)
    found = solve(rssi, sigma_db=0.5, power_sigma_db=power_sigma_db)
    assert (found.status == Status.CONVERGED).all()
    squared = (found.x_m - where[:, 0]) ** 2 + (found.y_m - where[:, 1]) ** 2
    bound = np.mean([np.trace(crlb(p, PROBES, model)) for p in where])
    assert 0.98 <= np.sqrt(squared.mean() / bound) <= 1.05
    assert np.sqrt((found.cov_xx + found.cov_yy).mean() / bound) == pytest.approx(1.0, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.floats(0, 7), st.floats(-500, 500), st.booleans())
def test_rigid_motion_and_order_of_probes(order: list[int], angle: float, shift: float, mirrored: bool) -> None:
    """Away from the walls, where there is one solution and not a second, nearly as good, outside."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        [1, -1 if mirrored else 1]
    )
    rssi = readings(places(40, 5.0), FLAT, 6, noise_db=0.5)
    still = solve(rssi)
    moved = solve(rssi[:, order], np.column_stack((PROBES @ turn.T + shift, FLAT[:, 2]))[order])
    want = np.column_stack((still.x_m, still.y_m)) @ turn.T + shift
    np.testing.assert_allclose(np.column_stack((moved.x_m, moved.y_m)), want, atol=1e-3)
    np.testing.assert_allclose(moved.cov_xx + moved.cov_yy, still.cov_xx + still.cov_yy, rtol=1e-3)
    np.testing.assert_array_equal(moved.status, still.status)


def test_batch_equals_single_calls_and_views_are_the_same_numbers() -> None:
    rssi = readings(places(50), FLAT, 7, noise_db=4.0)
    rssi[np.random.default_rng(7).random(rssi.shape) < 0.3] = np.nan
    whole = columns(solve(rssi))
    np.testing.assert_array_equal(whole, np.vstack([columns(solve(row[None])) for row in rssi]))
    np.testing.assert_array_equal(whole, columns(solve(np.asfortranarray(rssi))))
    np.testing.assert_array_equal(whole, columns(solve(np.repeat(rssi, 2, axis=0)[::2])))


@pytest.mark.parametrize(
    ("probes", "rssi", "status"),
    [
        (FLAT, [np.nan] * 6, Status.TOO_FEW),
        (FLAT, [-60.0, -70.0] + [np.nan] * 4, Status.TOO_FEW),
        (FLAT[:1], [-60.0], Status.TOO_FEW),
        (np.zeros((4, 3)), [-60.0] * 4, Status.DEGENERATE),
        (np.column_stack((np.arange(4.0), 2 * np.arange(4.0), np.zeros(4))), [-60.0] * 4, Status.DEGENERATE),
        (FLAT, [-60.0, -70.0, np.nan, np.nan, -65.0, np.nan], Status.DEGENERATE),
        (FLAT, [-1.0] * 6, Status.CONVERGED),
    ],
    ids=["silence", "two", "one probe", "one place", "a line", "a line of those that hear", "everywhere loud"],
)
def test_what_is_no_solution(probes: Array, rssi: list[float], status: Status) -> None:
    found = solve(np.array([rssi]), probes)
    assert found.status[0] == status
    assert found.n_probes[0] == np.isfinite(rssi).sum()
    assert np.isfinite(columns(found)[0, :7]).all() == (status == Status.CONVERGED)
    assert np.isnan(columns(found)[0, :7]).all() == (status != Status.CONVERGED)


HOSTILE = [np.nan, np.inf, -np.inf, 1e30, -1e300, 127.0, -128.0, -127.0, 20.0, 0.0, -60.0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(HOSTILE), min_size=6, max_size=6), st.sampled_from([0.0, 3.0, np.inf]))
def test_hostile_readings(row: list[float], power_sigma_db: float) -> None:
    found = solve(np.array([row]), power_sigma_db=power_sigma_db)
    values = columns(found)[0, :7]
    solved = found.status[0] == Status.CONVERGED
    assert np.isfinite(values).all() if solved else np.isnan(values).all()
    assert found.n_probes[0] == sum(-127 <= value <= 20 for value in row)


def test_no_bursts_and_64_probes() -> None:
    assert solve(np.empty((0, 6))).status.shape == (0,)
    many = np.tile(PLACES, (11, 1))[:64]
    assert solve(readings(places(3), many, 8), many).status.tolist() == [Status.CONVERGED] * 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rssi_dbm": np.zeros((2, 5))}, UsageError),
        ({"rssi_dbm": np.array([["a"] * 6])}, UsageError),
        ({"frames": np.zeros((1, 6))}, UsageError),
        ({"probes_m": np.full((6, 3), np.nan)}, ConfigError),
        ({"probes_m": np.zeros((65, 3))}, ConfigError),
        ({"probes_m": np.zeros((0, 3))}, ConfigError),
        ({"sigma_db": 0.0}, ConfigError),
        ({"sigma_db": np.ones(5)}, ConfigError),
        ({"exponent": -2.0}, ConfigError),
        ({"rssi_1m_dbm": np.nan}, ConfigError),
        ({"power_sigma_db": -1.0}, ConfigError),
        ({"power_sigma_db": np.nan}, ConfigError),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, object], error: type[Exception]) -> None:
    arguments = {
        "rssi_dbm": np.full((1, 6), -60.0), "probes_m": PLACES, "rssi_1m_dbm": -45.0, "exponent": 2.7,
        "sigma_db": 4.0, "power_sigma_db": 3.0,
    }  # fmt: skip
    with pytest.raises(error):
        multilaterate(**(arguments | change))
