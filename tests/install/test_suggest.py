"""Suggested places: on walls and not in the doorway, apart, as good as trying every layout, better than chance."""

from itertools import combinations

import numpy as np
import pytest

from hostkit.core.predict import error_m, links_to, parts, room
from hostkit.core.zones import inside
from hostkit.errors import UsageError
from hostkit.install.suggest import FROM_WALL_M, mounts, suggest
from hostkit.model import Floor, PathLoss, Probe, Wall
from hostkit.sim.plan import default_site

SITE = default_site(4)
SHOP = SITE.floors[0]
MODEL = PathLoss()
CORNERS = ((0.0, 0.0), (8.0, 0.0), (8.0, 6.0), (0.0, 6.0))
SMALL = Floor(id="g", bounds_m=(-1, -1, 9, 7), interior_m=CORNERS)


def errors(floor: Floor, layouts: np.ndarray) -> np.ndarray:
    """Mean error of each layout (L, N, 3) over the shop, on a grid of its own: the slow way."""
    x, y = np.meshgrid(np.arange(-0.75, 30, 0.5), np.arange(-0.75, 30, 0.5))
    points = np.column_stack((x.ravel(), y.ravel()))
    points = points[inside(points, floor.interior_m)]
    found = []
    for layout in layouts:
        probes = [Probe(id="p", floor=floor.id, position_m=tuple(place)) for place in layout]
        found.append(
            error_m(parts(links_to(points, floor, probes, MODEL), MODEL).sum(axis=0), MODEL, room(floor)).mean()
        )
    return np.array(found)


LONG = Floor(id="g", bounds_m=(-1, -1, 31, 6), interior_m=((0.0, 0.0), (30.0, 0.0), (30.0, 4.0), (0.0, 4.0)))


@pytest.mark.parametrize(("floor", "count"), [(SMALL, 3), (LONG, 2)])
def test_as_good_as_trying_every_layout(floor: Floor, count: int) -> None:
    """One after the other, without exchange, two probes in the long shop are 9 % worse."""
    places = mounts(floor, None)
    assert 20 <= len(places) <= 70
    every = np.array(list(combinations(places, count)))
    far = np.array([min(np.linalg.norm(a[:2] - b[:2]) for a, b in combinations(layout, 2)) >= 2 for layout in every])
    best = errors(floor, every[far]).min()
    found = suggest(floor, MODEL, count)
    ours = errors(floor, np.array([found.places_m]))[0]
    assert best - 1e-9 <= ours <= 1.01 * best
    assert found.error_m == pytest.approx(ours, rel=0.03)


def test_better_than_chance_and_than_the_corners() -> None:
    places, rng = mounts(SHOP, None), np.random.default_rng(1)
    chance = errors(SHOP, np.array([places[rng.choice(len(places), 4, replace=False)] for _ in range(60)]))
    corners = errors(SHOP, np.array([[(3.3, 6.3, 2.5), (22.7, 6.3, 2.5), (22.7, 20.7, 2.5), (3.3, 20.7, 2.5)]]))[0]
    ours = errors(SHOP, np.array([suggest(SHOP, MODEL, 4).places_m]))[0]
    assert ours <= chance.min()
    assert ours < 0.98 * corners


def test_places_are_inside_on_a_wall_not_in_the_doorway_and_apart() -> None:
    found = np.array(suggest(SHOP, MODEL, 8).places_m)
    assert inside(found[:, :2], SHOP.interior_m).all()
    assert (found[:, 2] == 2.5).all()
    door = (found[:, 1] < 7) & (found[:, 0] > 14.5 + 2 * FROM_WALL_M) & (found[:, 0] < 16.5 - 2 * FROM_WALL_M)
    assert not door.any()
    every = mounts(SHOP, None)
    assert not ((every[:, 1] < 7) & (np.abs(every[:, 0] - 15.5) < 0.4)).any()
    assert ((every[:, 1] < 7) & (np.abs(every[:, 0] - 8) < 1)).any()  # the window's frame holds one
    assert min(np.linalg.norm(a - b) for a, b in combinations(found[:, :2], 2)) >= 2


def test_one_more_beside_those_that_are_there_always_helps() -> None:
    there = SITE.probes
    before = errors(SHOP, np.array([[probe.position_m for probe in there]]))[0]
    found = suggest(SHOP, MODEL, 2, kept=there, ceiling_m=3.2)
    assert found.error_m < before
    for x, y, height in found.places_m:
        assert height in {2.5, 3.2}
        assert min(np.hypot(x - p[0], y - p[1]) for probe in there if (p := probe.position_m)) >= 2
    assert {height for *_, height in suggest(SHOP, MODEL, 6, ceiling_m=3.2).places_m} == {2.5, 3.2}
    means = [suggest(SHOP, MODEL, count).error_m for count in (1, 2, 4, 8)]
    assert means == sorted(means, reverse=True)


def test_a_wall_that_radio_does_not_cross_draws_a_probe_behind_it() -> None:
    vault = Wall(from_m=(4.0, -1.0), to_m=(4.0, 7.0), loss_db=60.0)
    outline = tuple(Wall(from_m=a, to_m=b) for a, b in zip(CORNERS, (*CORNERS[1:], CORNERS[0]), strict=True))
    floor = Floor(id="g", bounds_m=SMALL.bounds_m, interior_m=CORNERS, walls=(*outline, vault))
    x = [place[0] for place in suggest(floor, MODEL, 4).places_m]
    assert sum(one < 4 for one in x) == 2


def test_the_same_shop_gives_the_same_places() -> None:
    assert suggest(SHOP, MODEL, 5, ceiling_m=3.0) == suggest(SHOP, MODEL, 5, ceiling_m=3.0)


@pytest.mark.parametrize("scale", [0.3, 30.0])
def test_a_kiosk_and_a_hall(scale: float) -> None:
    outline = tuple((x * scale, y * scale) for x, y in CORNERS)
    floor = Floor(id="g", bounds_m=(-1, -1, 9 * scale, 7 * scale), interior_m=outline)
    assert 3 <= len(mounts(floor, 3.0)) <= 500
    assert len(suggest(floor, MODEL, 1).places_m) == 1
    if scale < 1:
        with pytest.raises(UsageError, match="no room for so many"):
            suggest(floor, MODEL, 20)
