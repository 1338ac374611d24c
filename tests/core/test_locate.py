"""Grid-Bayes positions against a slow twin, under symmetries, and with impossible input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core._locate import MAX_ROBUST_LINKS
from hostkit.core.locate import MAX_CELLS, NODE_STEP, Fixes, Locator, power_nodes
from hostkit.core.ranging import expected_rssi
from hostkit.errors import ConfigError, UsageError
from hostkit.model import Floor, PathLoss, Wall, Zone
from tests.oracles_locate import grid_posterior, student_posterior

BOUNDS = (0.0, 0.0, 12.0, 9.0)
PROBES = np.array([(0, 0, 2.5), (12, 0, 2.5), (12, 9, 2.5), (0, 9, 2.5), (6, 4.5, 3.0)], float)
FLOORS = np.array([-80.0, -85.0, -90.0, -82.0, -88.0])
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=5.0)
ZONES = (
    Zone(id="west", floor="ground", polygon_m=((0, 0), (6, 0), (6, 9), (0, 9))),
    Zone(id="corner", floor="ground", polygon_m=((10.5, 7.25), (12, 7.25), (12, 9), (10.5, 9))),
)


def floor(bounds: tuple[float, float, float, float] = BOUNDS, walls: tuple[Wall, ...] = ()) -> Floor:
    interior = ((2.0, 0.0), (12.0, 0.0), (12.0, 9.0), (2.0, 9.0))
    return Floor(id="ground", bounds_m=bounds, interior_m=interior, walls=walls)


def locator(**options: object) -> Locator:
    return Locator(PROBES, floor(), ZONES, MODEL, offsets_db=np.arange(5.0), floors_dbm=FLOORS, **options)


def bursts(seed: int, count: int) -> NDArray[np.float32]:
    """Readings at random places, some silent."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(BOUNDS[:2], BOUNDS[2:], (count, 2))
    distance = np.linalg.norm(place[:, None] - PROBES[None, :, :2], axis=2)
    rssi = expected_rssi(distance, MODEL) + rng.normal(0, 4, (count, 5)) + rng.normal(0, 5, (count, 1))
    return np.where(rng.random((count, 5)) < 0.3, np.nan, rssi).astype(np.float32)


def columns(fixes: Fixes) -> NDArray[np.float64]:
    names = ("x_m", "y_m", "cov_xx", "cov_xy", "cov_yy", "p_interior")
    return np.column_stack([*(getattr(fixes, name) for name in names), fixes.p_zone])


@pytest.mark.parametrize(("heard_p", "rtol"), [((0.0,) * 5, 2e-4), ((0.3, 0.6, 0.9, 1.0, 0.0), 0.03)])
def test_posterior_equals_the_slow_twin(heard_p: tuple[float, ...], rtol: float) -> None:
    """With silence the tolerance is that of grid_phi where a probe is all but certain to hear."""
    rssi = bursts(1, 12)
    frames = np.random.default_rng(2).integers(0, 6, rssi.shape)
    found = locator().posterior(rssi, heard_p, frames)
    for m in range(len(rssi)):
        want = grid_posterior(
            locator(),
            rssi[m].astype(float),
            np.array(heard_p),
            floors_dbm=FLOORS,
            sigma_db=4.0,
            power_sigma_db=5.0,
            frames=frames[m],
        )
        np.testing.assert_allclose(found[m], want, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("by", ["probe", "cell"])
@pytest.mark.parametrize("robust", [False, True])
def test_sigma_by_probe_or_by_cell_equals_the_slow_twin(by: str, robust: bool) -> None:
    rng, rssi = np.random.default_rng(11), bursts(12, 4)
    sigma = rng.uniform(2, 7, (5,) if by == "probe" else (5, 9, 12))
    it = Locator.from_maps(
        locator().expected_dbm, floor(), ZONES, FLOORS, sigma_db=sigma, power_sigma_db=5.0, robust=robust
    )
    frames, each = (
        rng.integers(0, 6, rssi.shape),
        np.broadcast_to(sigma.reshape(5, -1, 1), (5, 9, 12)) if by == "probe" else sigma,
    )
    found = it.posterior(rssi, None, frames)
    nodes = power_nodes(5.0, NODE_STEP * it.sigma_db)
    for m, row in enumerate(rssi.astype(float)):
        options = {"floors_dbm": FLOORS, "sigma_db": each, "power_sigma_db": 5.0, "frames": frames[m]}
        want = (
            student_posterior(it, row, each, nodes, frames[m])
            if robust
            else grid_posterior(it, row, np.zeros(5), **options)
        )
        np.testing.assert_allclose(found[m], want, rtol=1e-3, atol=1e-6)
    if not robust:
        heard_p = np.array([0.3, 0.6, 0.9, 1.0, 0.0])
        options = {"floors_dbm": FLOORS, "sigma_db": each, "power_sigma_db": 5.0}
        want = grid_posterior(it, rssi[0].astype(float), heard_p, **options)
        np.testing.assert_allclose(it.posterior(rssi[:1], heard_p)[0], want, rtol=0.03, atol=1e-5)


def test_more_bursts_than_a_part_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    it, rssi = locator(), bursts(13, 50)
    heard_p, frames = np.random.default_rng(5).random(rssi.shape), np.full(rssi.shape, 3)
    whole, cells = columns(it.fixes(rssi, heard_p, frames)), it.posterior(rssi, heard_p, frames)
    monkeypatch.setattr("hostkit.core.locate.PART_ROWS", 7)
    np.testing.assert_array_equal(columns(it.fixes(rssi, heard_p, frames)), whole)
    np.testing.assert_array_equal(it.posterior(rssi, heard_p, frames), cells)


def test_moments_and_zones_are_those_of_the_posterior() -> None:
    it, rssi = locator(), bursts(3, 50)
    p = it.posterior(rssi, np.full(5, 0.5)).astype(float)
    fixes = it.fixes(rssi, np.full(5, 0.5))
    x, y = np.meshgrid(it.x_m, it.y_m)
    mean_x, mean_y = (p * x).sum(axis=(1, 2)), (p * y).sum(axis=(1, 2))
    np.testing.assert_allclose(fixes.x_m, mean_x, atol=1e-3)
    np.testing.assert_allclose(fixes.y_m, mean_y, atol=1e-3)
    np.testing.assert_allclose(fixes.cov_xx, (p * x**2).sum(axis=(1, 2)) - mean_x**2 + 1 / 12, atol=2e-3)
    np.testing.assert_allclose(fixes.cov_xy, (p * x * y).sum(axis=(1, 2)) - mean_x * mean_y, atol=2e-3)
    np.testing.assert_allclose(fixes.p_zone[:, 0], p[:, :, :6].sum(axis=(1, 2)), atol=1e-5)
    corner = p[:, 7, 11] * 0.75 + p[:, 8, 11] + 0.5 * (0.75 * p[:, 7, 10] + p[:, 8, 10])
    np.testing.assert_allclose(fixes.p_zone[:, 1], corner, atol=1e-5)
    np.testing.assert_allclose(fixes.p_interior, p[:, :, 2:].sum(axis=(1, 2)), atol=1e-5)
    assert (fixes.n_probes == np.isfinite(rssi).sum(axis=1)).all()


@pytest.mark.parametrize("robust", [False, True])
def test_zero_noise_is_exact_at_cell_centres(robust: bool) -> None:
    model = PathLoss(sigma_db=0.2, power_sigma_db=0.0)
    it = Locator(PROBES, floor(), (), model, offsets_db=np.zeros(5), floors_dbm=FLOORS, robust=robust)
    rssi = it.expected_dbm.reshape(5, -1).T
    x, y = np.meshgrid(it.x_m, it.y_m)
    fixes = it.fixes(rssi)
    np.testing.assert_allclose(fixes.x_m, x.ravel(), atol=0.05)
    np.testing.assert_allclose(fixes.y_m, y.ravel(), atol=0.05)


@pytest.mark.parametrize("robust", [False, True])
def test_batch_equals_single_calls(robust: bool) -> None:
    it, rssi = locator(robust=robust), bursts(4, 40)
    heard_p = np.random.default_rng(5).random(rssi.shape)
    whole = columns(it.fixes(rssi, heard_p))
    single = [columns(it.fixes(rssi[m : m + 1], heard_p[m : m + 1])) for m in range(len(rssi))]
    np.testing.assert_array_equal(whole, np.vstack(single))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.booleans())
def test_order_of_probes_does_not_matter(order: list[int], robust: bool) -> None:
    rssi, heard_p = bursts(6, 20), np.array([0.2, 0.4, 0.6, 0.8, 0.9])
    shuffled = Locator(
        PROBES[order], floor(), ZONES, MODEL, offsets_db=np.arange(5.0)[order], floors_dbm=FLOORS[order], robust=robust
    ).fixes(rssi[:, order], heard_p[order])
    np.testing.assert_allclose(columns(shuffled), columns(locator(robust=robust).fixes(rssi, heard_p)), atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["quarter", "mirror", "shift"]), st.floats(-500, 500), st.booleans())
def test_rigid_motion_moves_the_fixes_along(kind: str, shift: float, robust: bool) -> None:
    turn = {"quarter": [[0, -1], [1, 0]], "mirror": [[-1, 0], [0, 1]], "shift": [[1, 0], [0, 1]]}[kind]
    move = np.array(turn, float)
    corners = np.array([BOUNDS[:2], BOUNDS[2:]]) @ move.T + shift
    moved_probes = np.column_stack((PROBES[:, :2] @ move.T + shift, PROBES[:, 2]))
    interior = tuple(map(tuple, np.array(floor().interior_m) @ move.T + shift))
    plan = Floor(id="moved", bounds_m=(*corners.min(axis=0), *corners.max(axis=0)), interior_m=interior)
    rssi = bursts(7, 30)
    moved = Locator(moved_probes, plan, (), MODEL, offsets_db=np.arange(5.0), floors_dbm=FLOORS, robust=robust).fixes(
        rssi, np.full(5, 0.5)
    )
    still = locator(robust=robust).fixes(rssi, np.full(5, 0.5))
    want = np.column_stack((still.x_m, still.y_m)) @ move.T + shift
    np.testing.assert_allclose(np.column_stack((moved.x_m, moved.y_m)), want, atol=5e-3)
    np.testing.assert_allclose(moved.cov_xx + moved.cov_yy, still.cov_xx + still.cov_yy, atol=2e-2)
    np.testing.assert_allclose(moved.p_interior, still.p_interior, atol=1e-3)


def test_silence_pushes_away_and_more_so_when_the_probe_listened() -> None:
    rssi = np.array([[np.nan, -70.0, -70.0, np.nan, np.nan]])
    it = locator()
    unknown, half, sure = (it.fixes(rssi, np.full(5, h)).x_m[0] for h in (0.0, 0.5, 0.95))
    assert unknown + 0.1 < half < sure - 0.1


def test_all_silent_gives_the_prior_shaped_by_silence() -> None:
    fixes = locator().fixes(np.full((1, 5), np.nan))
    assert fixes.n_probes[0] == 0
    assert (fixes.x_m[0], fixes.y_m[0]) == (pytest.approx(6.0), pytest.approx(4.5))
    assert fixes.p_zone[0, 0] == pytest.approx(0.5, abs=1e-6)
    assert fixes.cov_xx[0] == pytest.approx(12.0, rel=1e-5)  # 12² / 12


def test_more_frames_narrow_the_posterior_but_not_beyond_the_shared_shadowing() -> None:
    rssi = bursts(8, 20)
    rssi[np.isnan(rssi)] = -75.0
    one, ten, many = (locator().fixes(rssi, None, np.full(rssi.shape, n)).cov_xx.mean() for n in (1, 10, 10_000))
    assert one > ten > many > 0.6 * one


def test_prior_keeps_out_of_forbidden_cells() -> None:
    prior = np.ones((9, 12))
    prior[:, :6] = 0.0
    fixes = locator(prior=prior).fixes(bursts(9, 200), np.full(5, 0.9))
    assert (fixes.p_zone[:, 0] < 1e-6).all()
    assert (fixes.x_m > 6.0).all()


def test_walls_lower_what_is_expected_behind_them() -> None:
    wall = Wall(from_m=(6.0, -1.0), to_m=(6.0, 10.0), loss_db=9.0)
    behind = Locator(PROBES, floor(walls=(wall,)), (), MODEL, offsets_db=np.arange(5.0), floors_dbm=FLOORS).expected_dbm
    difference = locator().expected_dbm - behind
    assert np.unique(difference[0, :, :6]) == pytest.approx([0.0])
    assert np.unique(difference[0, :, 6:]) == pytest.approx([9.0])


HOSTILE = [np.nan, np.inf, -np.inf, 1e30, -1e300, 127.0, -128.0, -127.0, 20.0, 0.0, -60.0]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(HOSTILE), min_size=5, max_size=5),
    st.sampled_from([None, 0.0, 1.0, 7.0, np.nan, -1.0]),
    st.booleans(),
)
def test_hostile_readings_give_a_place_on_the_floor(row: list[float], heard: float | None, robust: bool) -> None:
    heard_p = None if heard is None else np.full(5, heard)
    fixes = locator(robust=robust).fixes(np.array([row]), heard_p)
    values = columns(fixes)
    assert np.isfinite(values).all()
    assert 0 <= fixes.x_m[0] <= 12
    assert 0 <= fixes.y_m[0] <= 9
    assert fixes.cov_xx[0] * fixes.cov_yy[0] >= fixes.cov_xy[0] ** 2
    assert fixes.n_probes[0] == sum(-127 <= value <= 20 for value in row)


@pytest.mark.parametrize(
    "probes",
    [np.zeros((4, 3)), np.column_stack((np.arange(4.0), np.zeros((4, 2)))), PROBES[:1]],
    ids=["one place", "line", "one"],
)
def test_degenerate_probes_give_a_wide_posterior(probes: NDArray[np.float64]) -> None:
    it = Locator(
        probes, floor(), ZONES, MODEL, offsets_db=np.zeros(len(probes)), floors_dbm=np.full(len(probes), -90.0)
    )
    fixes = it.fixes(np.full((3, len(probes)), -70.0), np.ones(len(probes)))
    assert np.isfinite(columns(fixes)).all()
    assert (fixes.cov_xx + fixes.cov_yy > 2.0).all()


def test_64_probes_and_no_bursts() -> None:
    probes = np.tile(PROBES, (13, 1))[:64]
    for robust in (False, True):
        it = Locator(
            probes, floor(), ZONES, MODEL, offsets_db=np.zeros(64), floors_dbm=np.full(64, -90.0), robust=robust
        )
        assert np.isfinite(columns(it.fixes(np.full((2, 64), -70.0)))).all()
        assert np.isfinite(columns(it.fixes(np.full((2, 64), np.nan), np.ones(64)))).all()
        assert it.fixes(np.empty((0, 64))).p_zone.shape == (0, 2)


def test_silence_of_many_probes_equals_the_slow_twin() -> None:
    """64 factors as small as 0.01: their product is no float32."""
    probes = np.column_stack((np.random.default_rng(3).uniform((0, 0), (12, 9), (64, 2)), np.full(64, 2.5)))
    floors, heard_p = np.full(64, -95.0), np.full(64, 0.5)
    heard_p[:40] = 1.0
    it = Locator(probes, floor(), (), MODEL, offsets_db=np.zeros(64), floors_dbm=floors)
    rssi = np.full(64, np.nan)
    want = grid_posterior(it, rssi, heard_p, floors_dbm=floors, sigma_db=4.0, power_sigma_db=5.0)
    found = it.posterior(rssi[None], heard_p)[0]
    np.testing.assert_allclose(found, want, rtol=0.1, atol=1e-4)


def test_robust_uses_the_loudest_links_and_takes_the_rest_for_unknown() -> None:
    rng = np.random.default_rng(4)
    probes = np.column_stack(
        (rng.uniform((0, 0), (12, 9), (MAX_ROBUST_LINKS + 6, 2)), np.full(MAX_ROBUST_LINKS + 6, 2.5))
    )
    rssi = rng.uniform(-70, -50, (10, len(probes)))
    rssi[:, ::4] = -90.0 - np.arange(len(rssi[0, ::4]))
    loudest = np.argsort(-rssi[0])[:MAX_ROBUST_LINKS]
    rssi[1:] = rssi[0] + rng.uniform(-0.01, 0.01, (9, 1))
    both = [
        Locator(
            probes[k], floor(), ZONES, MODEL, offsets_db=np.zeros(len(k)), floors_dbm=np.full(len(k), -99), robust=True
        ).fixes(rssi[:, k])
        for k in (np.arange(len(probes)), loudest)
    ]
    np.testing.assert_allclose(columns(both[0]), columns(both[1]), atol=1e-3)


def test_views_and_other_dtypes_are_the_same_numbers() -> None:
    it, rssi = locator(), bursts(10, 30)
    want = columns(it.fixes(rssi))
    np.testing.assert_array_equal(columns(it.fixes(np.asfortranarray(rssi.astype(float)))), want)
    np.testing.assert_array_equal(columns(it.fixes(np.repeat(rssi, 2, axis=0)[::2])), want)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.fixes(np.zeros((2, 4))),
        lambda it: it.fixes(np.zeros(5)),
        lambda it: it.fixes(np.zeros((2, 5)), np.zeros(4)),
        lambda it: it.fixes(np.zeros((2, 5)), np.zeros((3, 5))),
        lambda it: it.fixes(np.zeros((2, 5)), None, np.zeros((2, 4), int)),
        lambda it: it.fixes(np.zeros((2, 5)), None, np.zeros((2, 5))),
    ],
)
def test_arrays_that_do_not_fit_are_the_callers_mistake(call: object) -> None:
    with pytest.raises(UsageError, match="does not fit; pass"):
        call(locator())


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"floor": floor((0, 0, 0, 9))}, "floor.bounds_m"),
        ({"floor": floor((0, 0, 1e6, 1e6))}, "floor.bounds_m"),
        ({"floor": floor((0, 0, np.nan, 9))}, "floor.bounds_m"),
        ({"cell_m": 0.0}, "floor.bounds_m"),
        ({"probes_m": np.full((5, 3), np.nan)}, "probes.position_m"),
        ({"probes_m": np.zeros((5, 2))}, "probes.position_m"),
        ({"offsets_db": np.zeros(3)}, "probes.offset_db"),
        ({"floors_dbm": np.full(5, np.inf)}, "probes.floor_dbm"),
        ({"path_loss": PathLoss(sigma_db=0.0)}, "path_loss.sigma_db"),
        ({"path_loss": PathLoss(exponent=-2.0)}, "path_loss"),
        ({"path_loss": PathLoss(power_sigma_db=-1.0)}, "path_loss.power_sigma_db"),
        ({"path_loss": PathLoss(power_sigma_db=np.inf)}, "path_loss.power_sigma_db"),
        ({"prior": np.zeros((9, 12))}, "prior"),
        ({"prior": np.ones((12, 9))}, "prior"),
        ({"zones": (Zone(id="z", floor="f", polygon_m=((0, 0), (1, 1))),)}, "polygon_m"),
    ],
)
def test_a_broken_site_is_named(change: dict[str, object], where: str) -> None:
    arguments = {
        "probes_m": PROBES, "floor": floor(), "zones": ZONES, "path_loss": MODEL,
        "offsets_db": np.zeros(5), "floors_dbm": FLOORS,
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        Locator(**(arguments | change))
    assert caught.value.where == where
    assert str(MAX_CELLS) in str(caught.value) or "1e6" not in str(change)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"expected_dbm": np.zeros((5, 12, 9))}, "expected_dbm"),
        ({"expected_dbm": np.full((5, 9, 12), np.nan)}, "expected_dbm"),
        ({"expected_dbm": np.zeros((0, 9, 12)), "floors_dbm": np.zeros(0)}, "probes"),
        ({"expected_dbm": np.zeros((65, 9, 12)), "floors_dbm": np.zeros(65)}, "probes"),
        ({"sigma_db": np.ones(4)}, "path_loss.sigma_db"),
        ({"sigma_db": np.ones((5, 9))}, "path_loss.sigma_db"),
        ({"sigma_db": np.zeros((5, 9, 12))}, "path_loss.sigma_db"),
        ({"power_sigma_db": np.nan}, "path_loss.power_sigma_db"),
    ],
)
def test_broken_maps_are_named(change: dict[str, object], where: str) -> None:
    arguments = {
        "expected_dbm": locator().expected_dbm, "floor": floor(), "zones": ZONES, "floors_dbm": FLOORS,
        "sigma_db": 4.0, "power_sigma_db": 5.0,
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        Locator.from_maps(**(arguments | change))
    assert caught.value.where == where
