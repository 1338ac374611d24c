"""The floor: walls are not walked through, and sites one cannot simulate are refused with the way out."""

from dataclasses import replace

import numpy as np
import pytest

from hostkit.config import parse_site
from hostkit.config.dump import dump_site
from hostkit.errors import ConfigError
from hostkit.model import Site, Wall, ZoneKind
from hostkit.sim.plan import MAX_PROBES, build_plan, crossings, default_site, in_polygon

SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))


def with_walls(*walls: Wall) -> Site:
    site = default_site(1)
    return replace(site, floors=(replace(site.floors[0], walls=walls),))


def test_in_polygon_of_a_notched_square() -> None:
    notched = (*SQUARE[:3], (2.0, 2.0), SQUARE[3])
    points = np.array([(1.0, 1.0), (3.5, 3.0), (2.0, 3.0), (5.0, 1.0), (-1.0, 2.0)])
    assert in_polygon(points, notched).tolist() == [True, True, False, False, False]


def test_crossings_count_touching_but_not_walking_along() -> None:
    wall = np.array([[1.0, -1.0, 1.0, 1.0]])
    start, end = np.array([(0.0, 0.0)] * 4), np.array([(2.0, 0.0), (0.5, 0.0), (2.0, 2.0), (1.0, 0.0)])
    assert crossings(start, end, wall)[:, 0].tolist() == [True, False, True, True]
    assert not crossings(np.array([(1.0, -0.5)]), np.array([(1.0, 0.5)]), wall).any()


@pytest.mark.parametrize("probes", range(1, MAX_PROBES + 1))
def test_default_site_is_a_valid_site_toml(probes: int) -> None:
    site = default_site(probes)
    assert parse_site(dump_site(site), "site.toml") == site
    assert len(site.probes) == probes
    inside = in_polygon(np.array([probe.position_m[:2] for probe in site.probes]), site.floors[0].interior_m)
    assert inside.all()


def test_every_way_goes_through_the_door_and_round_the_walls() -> None:
    plan = build_plan(default_site(1))
    walls = np.array([(*wall.from_m, *wall.to_m) for wall in plan.floor.walls])
    outline = np.array([*plan.floor.interior_m, plan.floor.interior_m[0]])
    outline_walls = np.concatenate([outline[:-1], outline[1:]], axis=1)
    street = int(plan.spots["street"][0])
    for zone in ("women", "shoes", "till", "staff-room"):
        for spot in plan.spots[zone].tolist():
            way = plan.path(street, spot)
            assert not crossings(way[:-1], way[1:], walls).any()
            entering = way[:-1][crossings(way[:-1], way[1:], outline_walls).any(axis=1)]
            assert len(entering) == 1  # through the front once, where the door is
            assert np.array_equal(way[0], plan.cells[street])
            assert np.array_equal(way[-1], plan.cells[spot])


def test_way_round_a_wall_has_the_length_of_the_taut_string() -> None:
    site = with_walls(Wall(from_m=(13.0, 12.0), to_m=(13.0, 21.0)))
    plan = build_plan(site)
    start = int(np.argmin(np.hypot(*(plan.cells - (11.0, 17.0)).T)))
    end = int(np.argmin(np.hypot(*(plan.cells - (15.0, 17.0)).T)))
    length_m = np.hypot(*np.diff(plan.path(start, end), axis=0).T).sum()
    taut_m = sum(np.hypot(*(plan.cells[at] - (13.0, 12.0))) for at in (start, end))
    assert taut_m <= length_m < taut_m + 1.0  # the grid is half a metre wide


def test_shop_without_a_way_in_is_refused() -> None:
    site = with_walls(Wall(from_m=(3.0, 6.0), to_m=(23.0, 6.0)))
    with pytest.raises(
        ConfigError, match=r"zones\.new-in\.polygon_m: nobody can walk there from the street; open a way"
    ):
        build_plan(site)


@pytest.mark.parametrize("kind", [ZoneKind.STREET, ZoneKind.DOOR, ZoneKind.SALES, ZoneKind.TILL])
def test_missing_kind_of_zone_is_refused(kind: ZoneKind) -> None:
    site = default_site(1)
    with pytest.raises(ConfigError, match=f"zones: no zone of kind '{kind}'"):
        build_plan(replace(site, zones=tuple(zone for zone in site.zones if zone.kind is not kind)))


def test_site_without_floor_probe_or_position_is_refused() -> None:
    site = default_site(1)
    with pytest.raises(ConfigError, match="floors: the simulator needs exactly one floor, found 0"):
        build_plan(replace(site, floors=()))
    with pytest.raises(ConfigError, match="probes: no probe listens"):
        build_plan(replace(site, probes=()))
    with pytest.raises(ConfigError, match=r"probes\[0\]\.position_m"):
        build_plan(replace(site, probes=(replace(site.probes[0], position_m=None),)))


def test_huge_plan_is_bounded() -> None:
    site = default_site(1)
    floor = replace(site.floors[0], bounds_m=(0.0, 0.0, 400.0, 300.0))
    zones = tuple(
        replace(zone, polygon_m=((0.0, 0.0), (400.0, 0.0), (400.0, 4.5), (0.0, 4.5))) if zone.id == "street" else zone
        for zone in site.zones
        if zone.id in {"street", "women", "door", "men"}
    )
    zones = tuple(replace(zone, kind=ZoneKind.TILL) if zone.id == "men" else zone for zone in zones)
    assert len(build_plan(replace(site, floors=(floor,), zones=zones)).cells) <= 10_500
