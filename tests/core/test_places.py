"""What a scan says about place: nothing invented, rings with few probes, probabilities always."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hostkit.core.associate import BURST
from hostkit.core.places import PlaceModel, Places, ring_inside
from hostkit.model import Probe, Rings, Site
from tests.shop import shop

NAN = float("nan")


def place(site: Site, *levels: tuple[float, ...]) -> Places:
    rssi = np.array(levels, np.float32)
    return PlaceModel(site).place(rssi, np.isfinite(rssi).astype(np.uint16))


@pytest.mark.parametrize("heard", range(1, 5))
def test_a_position_needs_three_probes(heard: int) -> None:
    levels = tuple(-60.0 if p < heard else NAN for p in range(4))
    places = place(shop(), levels)
    assert np.isnan(places.x_m[0]) == np.isnan(places.y_m[0]) == (heard < 3)
    assert 0 <= places.p_inside[0] <= 1


@pytest.mark.parametrize("site", [shop(2), shop(1), shop(placed=False)])
def test_few_placed_probes_give_rings_only(site: Site) -> None:
    model = PlaceModel(site)
    assert not model.positions
    places = place(site, (-50.0, -60.0, -70.0, -80.0)[: len(site.probes)])
    assert np.isnan(places.x_m).all()
    assert not places.p_zone.any()
    assert places.p_inside[0] == pytest.approx(ring_inside(np.array([-50.0], np.float32), site.rings)[0])


def test_rings_open_at_their_edge() -> None:
    rings = Rings(inside_dbm=-70, hysteresis_db=3)
    p = ring_inside(np.array([-128, -100, -73, -70, -67, -30, 127], np.float32), rings)
    assert p[3] == pytest.approx(0.5)
    assert (np.diff(p) >= 0).all()
    assert p[0] < 1e-6
    assert p[-1] > 0.999
    assert p[2] + p[4] == pytest.approx(1)


def test_a_phone_beside_a_probe_is_placed_near_it_and_in_its_zone() -> None:
    places = place(shop(), (-42.0, -75.0, -80.0, -70.0), (-75.0, -70.0, -42.0, -68.0))
    assert places.x_m[0] < 8
    assert places.x_m[1] > 12
    assert places.y_m[0] < places.y_m[1]
    assert places.p_zone[0, 0] > places.p_zone[0, 1]
    assert places.p_zone[1, 1] > places.p_zone[1, 0]


def test_scans_do_not_depend_on_each_other() -> None:
    rng = np.random.default_rng(1)
    levels = [tuple(float(x) for x in row) for row in rng.uniform(-90, -40, (20, 4))]
    together = place(shop(), *levels)
    for i, row in enumerate(levels):
        alone = place(shop(), row)
        np.testing.assert_allclose(alone.p_zone[0], together.p_zone[i], atol=1e-6)
        np.testing.assert_allclose(alone.x_m[0], together.x_m[i], atol=1e-6)


def test_a_probe_elsewhere_takes_no_part_in_a_floors_positions() -> None:
    site = shop()
    attic = Site(
        tenant="acme",
        site="s",
        time_zone="UTC",
        floors=site.floors,
        zones=site.zones,
        probes=(*site.probes, Probe(id="attic")),
    )
    places = place(attic, (-60.0, -60.0, -60.0, -60.0, NAN), (-80.0, -80.0, -80.0, -80.0, -40.0))
    assert np.isfinite(places.x_m).tolist() == [True, False]


def test_a_floor_may_be_all_shop() -> None:
    site = shop()
    (floor,) = site.floors
    (x0, y0, x1, y1) = floor.bounds_m
    whole = replace(site, floors=(replace(floor, interior_m=((x0, y0), (x1, y0), (x1, y1), (x0, y1))),))
    places = place(whole, (-60.0, -60.0, -60.0, -60.0))
    assert places.p_inside[0] == pytest.approx(1, abs=1e-5)
    assert np.isfinite(places.x_m).all()
    assert np.isfinite(PlaceModel(whole).inside_prior).all()


def test_priors_are_probabilities() -> None:
    for site in (shop(), shop(2)):
        model = PlaceModel(site)
        assert model.zone_prior.shape == (4,)
        for prior in (model.inside_prior, model.zone_prior):
            assert (prior > 0).all()
            assert prior.sum() == pytest.approx(1, abs=1e-5)


def test_rows_hold_what_bursts_and_probes_said() -> None:
    bursts = np.zeros(2, BURST)
    bursts["track"], bursts["first_us"] = (3, 4), (10, 20)
    rssi = np.array([[-1, NAN, 2, 3], [4, 5, 6, NAN]], np.float32)
    heard = np.arange(8, dtype=np.uint16).reshape(2, 4)
    rows = PlaceModel(shop()).rows(bursts, rssi, heard)
    assert rows["track"].tolist() == [3, 4]
    np.testing.assert_array_equal(rows["rssi_dbm"], rssi)
    np.testing.assert_array_equal(rows["heard"], heard)


def test_no_scans_no_places() -> None:
    for site in (shop(), shop(1), shop(0)):
        probes = max(len(site.probes), 1)
        places = PlaceModel(site).place(np.empty((0, probes), np.float32), np.empty((0, probes), np.uint16))
        assert places.p_zone.shape == (0, 3)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (5, 4), elements=st.one_of(st.integers(-128, 127).map(float), st.just(NAN)), fill=st.nothing())
)
def test_any_scan_gives_probabilities(rssi: NDArray[np.float32]) -> None:
    rssi[:, 0] = np.where(np.isnan(rssi).all(axis=1), -60, rssi[:, 0])
    places = PlaceModel(shop()).place(rssi, np.isfinite(rssi).astype(np.uint16))
    assert ((places.p_inside >= 0) & (places.p_inside <= 1 + 1e-5)).all()
    assert ((places.p_zone >= 0) & (places.p_zone <= 1 + 1e-5)).all()
    assert not np.isinf(places.x_m).any()
    few = np.isfinite(rssi).sum(axis=1) < 3
    assert np.isnan(places.x_m[few]).all()
    assert (np.isnan(places.x_m) == np.isnan(places.y_m)).all()
