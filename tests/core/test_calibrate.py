"""Calibration fits against simulated surveys of known truth, under symmetries, and with impossible input."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from hostkit.core import calibrate_mixed
from hostkit.core.calibrate import WalkFit, averaged, decades_of, fit_walk
from hostkit.core.calibrate_blind import fit_blind
from hostkit.core.calibrate_map import Kernel, _evidence, fit_map
from hostkit.errors import InputError
from hostkit.model import Estimate

Array = NDArray[np.float64]
HEIGHT_M = 1.1
ANCHORS = np.array([(0, 0, 2.5), (20, 0, 2.5), (20, 15, 2.5), (0, 15, 2.5), (10, 7, 3.0), (5, 12, 2.0)], float)
LEVEL_DBM, EXPONENT, SIGMA_DB = -48.0, 2.4, 4.0


def survey(seed: int, points: int = 60, sigma_db: float = SIGMA_DB) -> tuple[Array, Array, Array, Array]:
    """Places (N, 2), readings (N, 6) and the offsets and exponents behind them."""
    rng = np.random.default_rng(seed)
    place = rng.uniform((0, 0), (20, 15), (points, 2))
    offset, exponent = rng.normal(0, 3, len(ANCHORS)), EXPONENT + rng.normal(0, 0.2, len(ANCHORS))
    offset -= offset.mean()
    rssi = LEVEL_DBM + offset - 10 * exponent * decades(place) + rng.normal(0, sigma_db, (points, len(ANCHORS)))
    return place, rssi, offset, exponent


def decades(place: Array) -> Array:
    return np.column_stack([decades_of(ANCHORS, np.full(len(place), k), place, HEIGHT_M) for k in range(len(ANCHORS))])


def walk(place: Array, rssi: Array, **options: object) -> WalkFit:
    return fit_walk(ANCHORS, place, rssi, device_height_m=HEIGHT_M, **options)


def figures(fit: WalkFit) -> Array:
    return np.array(
        [fit.rssi_1m_dbm.value, fit.exponent.value]
        + [part.value for one in fit.anchors for part in (one.offset_db, one.exponent)]
    )


def holds(interval: Estimate, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_no_noise_is_recovered_exactly() -> None:
    place, rssi, offset, exponent = survey(1, sigma_db=0.0)
    level, slope = walk(place, rssi).lines()
    np.testing.assert_allclose(level, LEVEL_DBM + offset, atol=0.05)
    np.testing.assert_allclose(slope, exponent, atol=0.005)


def test_intervals_cover_what_they_claim() -> None:
    """90 % intervals over 80 surveys: level, exponent, six offsets, six exponents."""
    hits = []
    for seed in range(80):
        place, rssi, offset, exponent = survey(seed)
        fit = walk(place, rssi)
        parts = [holds(one.offset_db, offset[k]) for k, one in enumerate(fit.anchors)]
        parts += [holds(one.exponent, exponent[k]) for k, one in enumerate(fit.anchors)]
        hits.append([holds(fit.rssi_1m_dbm, LEVEL_DBM), holds(fit.exponent, exponent.mean()), *parts])
    share = np.mean(hits, axis=0)
    assert (share > 0.78).all()
    assert 0.86 <= share.mean() <= 0.94


def test_few_places_lean_on_the_common_exponent_and_many_do_not() -> None:
    errors = {points: [] for points in (5, 200)}
    for seed in range(10):
        for points, found in errors.items():
            place, rssi, _, exponent = survey(seed, points)
            shrunk = np.array([one.exponent.value for one in walk(place, rssi).anchors])
            alone = [np.polyfit(-10 * decades(place)[:, k], rssi[:, k], 1)[0] for k in range(len(ANCHORS))]
            found.append((np.abs(shrunk - exponent).mean(), np.abs(alone - exponent).mean()))
    few, many = (np.mean(errors[points], axis=0) for points in (5, 200))
    assert few[0] < 0.5 * few[1]
    assert many[0] < 1.05 * many[1]


def test_blocked_links_move_the_fit_less_than_with_gaussian_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """One link in ten loses 20 dB."""
    errors = []
    for freedom in (calibrate_mixed.STUDENT_DF, 1e6):
        monkeypatch.setattr(calibrate_mixed, "STUDENT_DF", freedom)
        for seed in range(12):
            place, rssi, _, exponent = survey(seed)
            rssi -= 20.0 * (np.random.default_rng(seed).random(rssi.shape) < 0.1)
            level, slope = walk(place, rssi).lines()
            errors.append(np.mean(level - 8.0 * slope) - (LEVEL_DBM - 8.0 * exponent.mean()))  # at 6.3 m
    ours, gaussian = np.sqrt(np.mean(np.reshape(errors, (2, -1)) ** 2, axis=1))
    assert ours < 0.6 * gaussian


def test_missed_readings_tell_when_everyone_listened() -> None:
    """Floors at -80 dBm hide four readings in ten; ignoring them makes the far look loud."""
    ignored, used = [], []
    for seed in range(6):
        place, rssi, _, exponent = survey(seed, 120)
        heard = np.where(rssi < -80.0, np.nan, rssi)
        ignored.append(walk(place, heard).exponent.value - exponent.mean())
        used.append(walk(place, heard, floors_dbm=np.full(6, -80.0)).exponent.value - exponent.mean())
    assert np.mean(ignored) < -0.2
    assert abs(np.mean(used)) < 0.4 * abs(np.mean(ignored))


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)))
def test_order_of_anchors_does_not_matter(order: list[int]) -> None:
    place, rssi, _, _ = survey(3)
    still = walk(place, rssi)
    moved = fit_walk(ANCHORS[order], place, rssi[:, order], device_height_m=HEIGHT_M)
    for k, one in enumerate(order):
        assert moved.anchors[k].offset_db.value == pytest.approx(still.anchors[one].offset_db.value, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 2 * np.pi), st.floats(-500, 500))
def test_rigid_motion_changes_nothing(angle: float, shift: float) -> None:
    place, rssi, _, _ = survey(4, 40)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    anchors = np.column_stack((ANCHORS[:, :2] @ turn.T + shift, ANCHORS[:, 2]))
    moved = fit_walk(anchors, place @ turn.T + shift, rssi, device_height_m=HEIGHT_M)
    np.testing.assert_allclose(figures(moved), figures(walk(place, rssi)), atol=0.3)


def test_a_louder_device_is_a_higher_level_and_nothing_else() -> None:
    place, rssi, _, _ = survey(5, 100)
    change = figures(walk(place, rssi + 7.0)) - figures(walk(place, rssi))
    assert change[0] == pytest.approx(7.0, abs=0.1)
    np.testing.assert_allclose(change[1:], 0.0, atol=0.05)


def test_readings_given_twice_weigh_no_more_than_their_place() -> None:
    """Shadowing does not average out by standing still: intervals hardly narrow."""
    place, rssi, _, _ = survey(6)
    once, often = walk(place, rssi), walk(np.tile(place, (20, 1)), np.tile(rssi, (20, 1)))
    np.testing.assert_allclose(figures(often), figures(once), atol=0.01)
    width = [fit.exponent.high - fit.exponent.low for fit in (once, often)]
    assert width[1] > 0.95 * width[0]
    assert often.points == 20 * once.points
    assert often.places == once.places


def test_noise_is_split_into_what_differs_at_a_place_and_between_places() -> None:
    rng = np.random.default_rng(7)
    place, rssi, _, _ = survey(7, 80, sigma_db=3.0)
    fit = walk(np.tile(place, (30, 1)), np.tile(rssi, (30, 1)) + rng.normal(0, 5.0, (30 * 80, 6)))
    assert fit.within_db == pytest.approx(5.0, rel=0.05)
    assert fit.residual_db == pytest.approx(3.0, rel=0.2)
    assert fit.sigma_db == pytest.approx(np.hypot(3.0, 5.0), rel=0.1)
    assert fit.cross_validated_db >= fit.residual_db


def test_an_anchor_hardly_heard_says_what_it_lacks() -> None:
    place, rssi, _, _ = survey(8)
    rssi[2:, 5] = np.nan
    rssi[:, 4] = np.nan
    fit = walk(place, rssi)
    assert [bool(one.lacks) for one in fit.anchors] == [False] * 4 + [True, True]
    assert fit.anchors[5].lacks == "2 places, needs 4"
    wide = fit.anchors[4].offset_db
    assert wide.high - wide.low > 1.7 * (fit.anchors[0].offset_db.high - fit.anchors[0].offset_db.low)


def test_a_fit_can_be_stored() -> None:
    place, rssi, _, _ = survey(9)
    stored = json.loads(json.dumps(asdict(walk(place, rssi)), allow_nan=False))
    assert stored["anchors"][0]["offset_db"]["low"] < stored["anchors"][0]["offset_db"]["high"]


@pytest.mark.parametrize(
    ("place", "rssi", "what"),
    [
        (np.zeros((0, 2)), np.zeros((0, 6)), "no readings"),
        (np.ones((9, 2)), np.full((9, 6), np.nan), "no readings"),
        (np.ones((9, 2)), np.full((9, 6), -60.0), "fewer than 4 places"),
        (np.full((9, 2), np.nan), np.full((9, 6), -60.0), "not finite"),
        (np.ones((9, 3)), np.full((9, 6), -60.0), "shapes"),
        (np.ones((9, 2)), np.full((8, 6), -60.0), "shapes"),
    ],
)
def test_a_survey_that_is_none_is_refused(place: Array, rssi: Array, what: str) -> None:
    with pytest.raises(InputError, match=what) as refused:
        walk(place, rssi)
    assert refused.value.next_step


def test_places_on_one_circle_are_refused() -> None:
    angle = np.linspace(0, 6, 30)
    place = 5.0 * np.column_stack((np.cos(angle), np.sin(angle)))
    with pytest.raises(InputError, match="alike in distance"):
        fit_walk(np.array([(0.0, 0.0, 1.1)]), place, np.full((30, 1), -60.0), device_height_m=HEIGHT_M)


def test_infinite_readings_tell_nothing() -> None:
    place, rssi, _, _ = survey(10)
    hostile = np.where(np.random.default_rng(1).random(rssi.shape) < 0.1, -np.inf, rssi)
    clean = np.where(np.isinf(hostile), np.nan, rssi)
    np.testing.assert_array_equal(figures(walk(place, hostile)), figures(walk(place, clean)))


def walled(place: Array) -> Array:
    """The first anchor stands behind a wall of 12 dB for all x > 10."""
    rssi = LEVEL_DBM - 10 * EXPONENT * decades(place)
    rssi[:, 0] -= 12.0 * (place[:, 0] > 10)
    return rssi


def test_a_map_learns_a_wall_that_path_loss_cannot() -> None:
    rng = np.random.default_rng(11)
    place = rng.uniform((0, 0), (20, 15), (600, 2))
    rssi = walled(place) + rng.normal(0, 3, (600, 6))
    fit = walk(place, rssi)
    axes = np.arange(0.5, 20), np.arange(0.5, 15)
    found = fit_map(fit, ANCHORS, place, rssi, axes, device_height_m=HEIGHT_M)
    grid_x, grid_y = np.meshgrid(*axes)
    cells = np.column_stack((grid_x.ravel(), grid_y.ravel()))
    truth = walled(cells)[:, 0].reshape(grid_x.shape)
    law = fit.expected_dbm(decades(cells)[:, 0], 0).reshape(grid_x.shape)
    far = np.abs(grid_x - 10) > 1.5
    error = [np.sqrt(((shown - truth)[far] ** 2).mean()) for shown in (found.expected_dbm[0], law)]
    assert error[0] < 1.5
    assert error[1] > 3.0
    assert found.expected_dbm.dtype == found.map_sigma_db.dtype == np.float32
    assert found.cross_validated_db < 0.9 * fit.cross_validated_db
    assert 0.0 < found.place_share < 1.0
    covered = np.abs(found.expected_dbm[0] - truth)[far] < 1.645 * np.maximum(found.map_sigma_db[0][far], 0.5)
    assert covered.mean() > 0.8


def test_without_a_survey_nearby_a_map_is_path_loss_and_unsure() -> None:
    rng = np.random.default_rng(12)
    place = rng.uniform((0, 0), (8, 15), (300, 2))
    rssi = walled(place) + rng.normal(0, 3, (300, 6)) + 4.0 * np.sin(place[:, :1])
    fit = walk(place, rssi)
    found = fit_map(fit, ANCHORS, place, rssi, (np.array([4.0, 60.0]), np.array([7.0])), device_height_m=HEIGHT_M)
    law = fit.expected_dbm(decades(np.array([(60.0, 7.0)]))[0], np.arange(6))
    np.testing.assert_allclose(found.expected_dbm[:, 0, 1], law, atol=0.2)
    assert (found.map_sigma_db[:, 0, 1] > 2 * found.map_sigma_db[:, 0, 0]).all()
    np.testing.assert_allclose(found.map_sigma_db[:, 0, 1], found.kernel.amplitude_db, rtol=0.02)


def test_evidence_equals_the_density_of_scipy() -> None:
    rng = np.random.default_rng(13)
    place, residual, noise = rng.uniform(0, 5, (12, 2)), rng.normal(0, 3, 12), rng.uniform(0.5, 2, 12)
    apart = np.linalg.norm(place[:, None] - place, axis=2)
    kernel = Kernel(length_m=2.0, amplitude_db=3.0, nugget_db=1.5)
    scaled = np.sqrt(3) * apart / 2.0
    covariance = 9.0 * (1 + scaled) * np.exp(-scaled) + np.diag(noise + 1.5**2)
    want = multivariate_normal.logpdf(residual, cov=covariance)
    assert _evidence(apart, residual, noise, kernel) == pytest.approx(want, rel=1e-9)


def test_squares_of_a_survey_grow_until_the_map_is_cheap() -> None:
    rng = np.random.default_rng(14)
    place = rng.uniform((0, 0), (200, 200), (1200, 2))
    rssi = walled(place) + rng.normal(0, 3, (1200, 6))
    fit = walk(place, rssi)
    found = fit_map(fit, ANCHORS, place, rssi, (np.arange(5.0), np.arange(4.0)), device_height_m=HEIGHT_M)
    assert found.places <= 6 * 500
    assert np.isfinite(found.expected_dbm).all()


def test_means_of_squares_are_those_of_their_readings() -> None:
    place = np.array([(0.0, 0.0), (0.1, 0.1), (5.0, 5.0)])
    rssi = np.array([(-50.0, np.nan), (-60.0, -70.0), (np.nan, -80.0)])
    found = averaged(place, rssi)
    assert found.anchor.tolist() == [0, 1, 1]
    assert found.rssi_dbm.tolist() == [-55.0, -70.0, -80.0]
    assert found.count.tolist() == [2.0, 1.0, 1.0]
    assert found.square_sum.tolist() == [50.0, 0.0, 0.0]


def test_readings_alone_tell_level_exponent_and_offsets() -> None:
    grid_x, grid_y = np.meshgrid(np.arange(-1, 21.5), np.arange(-1, 16.5))
    cells = np.column_stack((grid_x.ravel(), grid_y.ravel()))
    errors = []
    for seed in range(3):
        _, rssi, offset, exponent = survey(seed, 100)
        fit = fit_blind(ANCHORS, rssi, cells, device_height_m=HEIGHT_M)
        at_7m = fit.rssi_1m_dbm + fit.offset_db - 10 * fit.exponent * np.log10(7.0)
        errors.append(at_7m - (LEVEL_DBM + offset - 10 * exponent * np.log10(7.0)))
    assert np.abs(np.mean(errors)) < 2.0
    assert np.sqrt(np.mean(np.square(errors))) < 3.0


def test_readings_of_two_anchors_at_a_time_tell_nothing() -> None:
    rssi = np.full((10, 6), np.nan)
    rssi[:, :2] = -60.0
    with pytest.raises(InputError, match="only 0 windows in which three anchors"):
        fit_blind(ANCHORS, rssi, np.zeros((4, 2)), device_height_m=HEIGHT_M)
