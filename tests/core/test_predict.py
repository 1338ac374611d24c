"""What a layout promises against the bound of one place, against counting, and against fixes of simulated bursts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.core.locate import DEVICE_HEIGHT_M, Locator
from hostkit.core.predict import error_m, forecast, links_to, parts, room, three_hear_p
from hostkit.core.ranging import crlb, expected_rssi
from hostkit.model import Floor, PathLoss, Probe, Wall

MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=5.0)
ROOM = Floor(id="g", bounds_m=(0, 0, 30, 20), interior_m=((0, 0), (30, 0), (30, 20), (0, 20)))
NOWHERE = (np.inf, np.inf)
PLACES = [(0, 0), (30, 0), (30, 20), (0, 20), (15, 0), (15, 20), (0, 10), (30, 10)]
coordinate = st.floats(-20, 20).map(lambda value: round(value, 2))
flat = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8)


def probes(
    places: list[tuple[float, float]], height_m: float = DEVICE_HEIGHT_M, floor_dbm: float = -200.0
) -> list[Probe]:
    return [
        Probe(id=f"p{i}", floor="g", position_m=(x, y, height_m), floor_dbm=floor_dbm)
        for i, (x, y) in enumerate(places)
    ]


def information(points: np.ndarray, of: list[Probe], floor: Floor = ROOM, model: PathLoss = MODEL) -> np.ndarray:
    return parts(links_to(points, floor, of, model), model).sum(axis=0)


@settings(max_examples=100, deadline=None)
@given(flat, st.tuples(coordinate, coordinate), st.sampled_from([0.0, 5.0]))
def test_heard_by_all_and_level_it_is_the_bound(
    places: list[tuple[float, float]], here: tuple[float, float], power_db: float
) -> None:
    model = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=power_db)
    point = np.array([here])
    bound = crlb(point[0], np.array(places, float), model)
    found = error_m(information(point, probes(places), model=model), model, NOWHERE)[0]
    if np.isfinite(found) and np.trace(bound) < 1e6:
        assert found == pytest.approx(np.sqrt(np.trace(bound)), rel=1e-5)
    else:
        assert found > 900 or np.isinf(bound).any()


def test_a_height_and_a_wall_take_information() -> None:
    point = np.array([[9.0, 7.0]])
    level = error_m(information(point, probes(PLACES[:4])), MODEL, NOWHERE)[0]
    assert error_m(information(point, probes(PLACES[:4], 4.1)), MODEL, NOWHERE)[0] > level
    walled = Floor(
        id="g", bounds_m=ROOM.bounds_m, interior_m=ROOM.interior_m,
        walls=(Wall(from_m=(15.0, -1.0), to_m=(15.0, 21.0), loss_db=40.0),),
    )  # fmt: skip
    of = probes(PLACES[:4], floor_dbm=-90.0)
    assert error_m(information(point, of, walled), MODEL, NOWHERE)[0] > 1.5 * level


def test_the_slope_is_that_of_the_expected_level() -> None:
    here, step = np.array([8.0, 5.0]), 1e-4
    of = probes([(2, 3)], 2.9)
    shifted = here + step * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    distance = np.sqrt(((shifted - (2, 3)) ** 2).sum(axis=1) + (2.9 - DEVICE_HEIGHT_M) ** 2)
    level = expected_rssi(distance, MODEL)
    want = ((level[0] - level[1]) / (2 * step), (level[2] - level[3]) / (2 * step))
    np.testing.assert_allclose(links_to(here[None], ROOM, of, MODEL).slope[0, 0], want, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(flat, st.tuples(coordinate, coordinate), st.floats(-100, -60))
def test_one_more_probe_never_raises_the_error(
    places: list[tuple[float, float]], more: tuple[float, float], floor_dbm: float
) -> None:
    points = np.random.default_rng(1).uniform(-20, 20, (20, 2))
    before = error_m(information(points, probes(places, 2.5, floor_dbm)), MODEL, (5.0, 4.0))
    after = error_m(information(points, probes([*places, more], 2.5, floor_dbm)), MODEL, (5.0, 4.0))
    assert (after <= before * (1 + 1e-9)).all()
    assert (before <= np.hypot(5.0, 4.0) * (1 + 1e-9)).all()


def test_no_probe_leaves_what_was_known_before() -> None:
    points = np.array([[3.0, 4.0]])
    assert error_m(information(points, []), MODEL, (5.0, 4.0))[0] == pytest.approx(np.hypot(5, 4))
    assert np.isinf(error_m(information(points, []), MODEL, NOWHERE)[0])
    assert room(ROOM) == pytest.approx((30 / np.sqrt(12), 20 / np.sqrt(12)))
    assert room(ROOM)[0] == pytest.approx(np.random.default_rng(0).uniform(0, 30, 100_000).std(), rel=0.01)


@pytest.mark.parametrize("count", [0, 2, 3, 5, 8])
def test_three_hear_as_often_as_when_counted(count: int) -> None:
    rng = np.random.default_rng(count)
    margin = rng.normal(2.0, 8.0, (count, 12))
    power = rng.normal(0, MODEL.power_sigma_db, (60_000, 1, 1))
    heard = margin + power + rng.normal(0, MODEL.sigma_db, (60_000, count, 12)) > 0
    np.testing.assert_allclose(three_hear_p(margin, MODEL), (heard.sum(axis=1) >= 3).mean(axis=0), atol=0.01)


@pytest.mark.parametrize("count", [4, 6, 8])
def test_the_promise_is_kept_by_positions_of_simulated_bursts(count: int) -> None:
    """Grid-Bayes knows the room as the forecast does; the forecast is of one frame a probe, silent probes left out."""
    rng = np.random.default_rng(count)
    of = probes(PLACES[:count], 2.5, -95.0)
    anchors = np.array([probe.position_m for probe in of])
    where = rng.uniform((0, 0), (30, 20), (4000, 2))
    distance = np.sqrt(((where[:, None] - anchors[None, :, :2]) ** 2).sum(axis=2) + (2.5 - DEVICE_HEIGHT_M) ** 2)
    rssi = expected_rssi(distance, MODEL) + rng.normal(0, 5, (4000, 1)) + rng.normal(0, 4, (4000, count))
    rssi[rssi < -95.0] = np.nan
    fixes = Locator(anchors, ROOM, [], MODEL, np.zeros(count), np.full(count, -95.0)).fixes(rssi)
    error = np.sqrt(((fixes.x_m - where[:, 0]) ** 2 + (fixes.y_m - where[:, 1]) ** 2).mean())
    seen = forecast(ROOM, of, MODEL)
    promised = np.sqrt(seen.over(seen.inside, seen.error_m**2))
    assert promised == pytest.approx(error, rel=0.15)
    assert promised < 0.75 * np.hypot(*room(ROOM))  # guessing the middle, which any bound near the prior would give


def test_a_forecast_turns_with_the_floor() -> None:
    turned = Floor(id="g", bounds_m=(0, 0, 20, 30), interior_m=((0, 0), (20, 0), (20, 30), (0, 30)))
    one = forecast(ROOM, probes(PLACES[:5], 2.5, -80.0), MODEL)
    other = forecast(turned, probes([(y, x) for x, y in PLACES[:5]], 2.5, -80.0), MODEL)
    np.testing.assert_allclose(one.error_m, other.error_m.T, rtol=1e-9)
    np.testing.assert_allclose(one.three_p, other.three_p.T, atol=1e-12)
    assert one.over(one.inside, one.error_m) == pytest.approx(one.error_m.mean())
