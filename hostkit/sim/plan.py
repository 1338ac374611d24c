"""The floor people walk on: the default shop, walkable ways round walls, and what a straight line crosses."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import ConfigError
from hostkit.model import Floor, OpeningHours, PathLoss, Probe, Site, Thresholds, Wall, Zone, ZoneKind

Points = NDArray[np.float64]  # (n, 2) metres
Point = tuple[float, float]

_MAX_CELLS = 10_000  # bounds the ways' memory and time whatever the plan's size
_CELL_M = 0.5  # about a person's width
_SPOTS_PER_ZONE = 10
_NEEDED = (ZoneKind.STREET, ZoneKind.DOOR, ZoneKind.SALES, ZoneKind.TILL)
_STEPS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
_TOUCH = 1e-9

_MOUNTS = (  # corners first: they span the shop; then the middle and the walls between
    (3.7, 6.7, 2.6),
    (22.3, 6.7, 2.6),
    (3.7, 20.3, 2.6),
    (17.3, 20.3, 2.6),
    (12.0, 13.0, 2.9),
    (15.5, 7.0, 2.9),
    (3.7, 13.5, 2.6),
    (22.3, 14.0, 2.6),
)
_DOOR_MOUNT = (15.5, 7.0, 2.9)  # where a single probe serves best
MAX_PROBES = len(_MOUNTS)


def default_site(probes: int = 4) -> Site:
    """Build a clothes shop of 20 × 15 m behind a 6 m street, with 1 to MAX_PROBES probes, all on channels 1, 6, 11."""
    mounts = _MOUNTS[:probes] if probes > 1 else (_DOOR_MOUNT,)
    return Site(
        tenant="demo",
        site="corner-shop",
        name="Corner shop (simulated)",
        time_zone="Europe/Berlin",
        opening_hours=OpeningHours(days=(((9 * 60, 20 * 60),),) * 6 + ((),)),
        floors=(
            Floor(
                id="ground",
                bounds_m=(0.0, 0.0, 26.0, 22.0),
                interior_m=_box(3, 6, 23, 21),
                walls=_default_walls(),
            ),
        ),
        zones=_default_zones(),
        probes=tuple(
            Probe(id=f"probe-{index + 1}", floor="ground", position_m=mount) for index, mount in enumerate(mounts)
        ),
        path_loss=PathLoss(),
        # 26 m of mapped street and about 15 m heard beyond each end, at 1.25 m/s.
        thresholds=Thresholds(passage_s=45.0),
    )


def _box(x_min: float, y_min: float, x_max: float, y_max: float) -> tuple[Point, ...]:
    left, low, right, high = float(x_min), float(y_min), float(x_max), float(y_max)
    return ((left, low), (right, low), (right, high), (left, high))


def _default_walls() -> tuple[Wall, ...]:
    # Losses at 2.4 GHz after ITU-R P.1238 and P.2040: brick 10 dB, drywall 4 dB, shop glass 2 dB, full shelf 1.5 dB.
    brick, drywall, glass, shelf = 10.0, 4.0, 2.0, 1.5
    walls = (
        ((3, 6), (3, 21), brick),
        ((3, 21), (23, 21), brick),
        ((23, 21), (23, 6), brick),
        ((3, 6), (4, 6), brick),
        ((4, 6), (13, 6), glass),
        ((13, 6), (14.5, 6), brick),
        ((16.5, 6), (18, 6), brick),
        ((18, 6), (23, 6), glass),
        ((18, 17), (23, 17), drywall),
        ((18, 17), (18, 19.5), drywall),
        ((4, 10.4), (9, 10.4), shelf),
        ((10.2, 12), (10.2, 19), shelf),
        ((5, 14), (8.5, 14), shelf),
        ((5, 17), (8.5, 17), shelf),
        ((12, 16), (16, 16), shelf),
        ((18.5, 10.5), (21.5, 10.5), shelf),
        ((19, 8.5), (22, 8.5), shelf),
    )
    return tuple(
        Wall(from_m=(float(ax), float(ay)), to_m=(float(bx), float(by)), loss_db=loss)
        for (ax, ay), (bx, by), loss in walls
    )


def _default_zones() -> tuple[Zone, ...]:
    sales, floor = ZoneKind.SALES, "ground"
    return (
        Zone(id="street", floor=floor, polygon_m=_box(0, 0, 26, 4.5), kind=ZoneKind.STREET),
        Zone(id="window", floor=floor, polygon_m=_box(4, 4.5, 13, 6), kind=ZoneKind.WINDOW),
        Zone(id="door", floor=floor, polygon_m=_box(14, 4.5, 17, 8), kind=ZoneKind.DOOR),
        Zone(id="new-in", floor=floor, polygon_m=_box(4, 6.5, 13, 10), kind=sales, category="season"),
        Zone(id="women", floor=floor, polygon_m=_box(3.5, 11, 10, 20.5), kind=sales, category="women"),
        Zone(id="men", floor=floor, polygon_m=_box(10.5, 12, 17.5, 20.5), kind=sales, category="men"),
        Zone(id="shoes", floor=floor, polygon_m=_box(18, 11, 22.5, 16.5), kind=sales, category="shoes"),
        Zone(id="till", floor=floor, polygon_m=_box(18, 6.5, 22.5, 10), kind=ZoneKind.TILL),
        Zone(id="staff-room", floor=floor, polygon_m=_box(18.2, 17.2, 22.8, 20.8), kind=ZoneKind.STAFF),
    )


def in_polygon(points: Points, polygon: tuple[Point, ...]) -> NDArray[np.bool_]:
    """Tell for each of `points` (n, 2) whether it lies in `polygon`, by crossing parity."""
    inside = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if ay == by:
            continue
        spans = (ay > y) != (by > y)
        inside ^= spans & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return inside


def crossings(start: Points, end: Points, walls: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which of `walls` (w, 4: ax, ay, bx, by) each segment start→end meets, shape (n, w); touching counts."""
    p, r = start[:, None, :], (end - start)[:, None, :]
    q, s = walls[None, :, :2], (walls[:, 2:] - walls[:, :2])[None, :, :]
    d = q - p
    cross_rs = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (d[..., 0] * s[..., 1] - d[..., 1] * s[..., 0]) / cross_rs
        u = (d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]) / cross_rs
        # Parallel segments give inf or nan and compare false: walking along a wall is not crossing it.
        met = (t >= -_TOUCH) & (t <= 1 + _TOUCH) & (u >= -_TOUCH) & (u <= 1 + _TOUCH)
    return np.asarray(met, dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Where people can stand and how they walk between cells of a grid over the site's single floor.

    `cells` (n, 2) are centres in metres; a cell index is a place. Barriers are the walls and the interior's outline
    except where it lies in a door zone.
    """

    site: Site
    floor: Floor
    cells: Points
    shape: tuple[int, int]
    spots: dict[str, NDArray[np.int64]]
    _open: NDArray[np.bool_]  # (8, n): whether one may step from a cell in each direction
    _barriers: NDArray[np.float64]
    _fields: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _paths: dict[tuple[int, int], Points] = field(default_factory=dict)

    @cached_property
    def walls(self) -> NDArray[np.float64]:
        """Give the walls as (w, 4)."""
        return _segments(self.floor.walls)

    @cached_property
    def wall_loss_db(self) -> NDArray[np.float64]:
        """Give the loss of each wall."""
        return np.array([wall.loss_db for wall in self.floor.walls])

    def zones_of(self, *kinds: ZoneKind) -> tuple[Zone, ...]:
        """List the zones of the given kinds in the site's order."""
        return tuple(zone for zone in self.site.zones if zone.kind in kinds)

    def path(self, start: int, end: int) -> Points:
        """Find the shortest way from cell to cell round all barriers, straightened; shape (k, 2), k ≥ 1."""
        if (start, end) not in self._paths:
            self._paths[start, end] = self._straighten(self.cells[self._descend(start, end)])
        return self._paths[start, end]

    def distances(self, target: int) -> NDArray[np.float64]:
        """Give the walking distance from every cell to `target` in cells; inf where there is no way."""
        if target not in self._fields:
            self._fields[target] = _wavefront(self._open, self.shape, target)
        return self._fields[target]

    def _descend(self, start: int, end: int) -> list[int]:
        distance, cell, way = self.distances(end), start, [start]
        strides = _STEPS[:, 0] * self.shape[1] + _STEPS[:, 1]
        costs = np.hypot(_STEPS[:, 0], _STEPS[:, 1])
        while cell != end:
            options = np.flatnonzero(self._open[:, cell])
            neighbours = cell + strides[options]
            cell = int(neighbours[np.argmin(distance[neighbours] + costs[options])])
            way.append(cell)
        return way

    def _straighten(self, way: Points) -> Points:
        kept, at = [0], 0
        while at < len(way) - 1:
            ahead = np.arange(at + 1, len(way))
            blocked = crossings(np.repeat(way[at : at + 1], len(ahead), axis=0), way[ahead], self._barriers).any(axis=1)
            clear = ahead[~blocked]
            at = int(clear[-1]) if len(clear) else at + 1
            kept.append(at)
        return way[kept]


def build_plan(site: Site) -> Plan:
    """Make `site` walkable; raises ConfigError where the simulator needs more than the site says."""
    floor = _only_floor(site)
    cells, shape = _grid(floor)
    barriers = _barriers(site, floor)
    spots = {zone.id: _spots(cells, zone) for zone in site.zones}
    plan = Plan(
        site=site,
        floor=floor,
        cells=cells,
        shape=shape,
        spots=spots,
        _open=_open_steps(cells, shape, barriers),
        _barriers=barriers,
    )
    _check_reachable(plan)
    return plan


def _only_floor(site: Site) -> Floor:
    next_step = "give --site a shop with one floor, or omit it for the default shop"
    if len(site.floors) != 1:
        raise ConfigError(
            f"the simulator needs exactly one floor, found {len(site.floors)}", where="floors", next_step=next_step
        )
    for kind in _NEEDED:
        if not any(zone.kind is kind for zone in site.zones):
            raise ConfigError(f"no zone of kind '{kind}'", where="zones", next_step="add one so that people can walk")
    for index, probe in enumerate(site.probes):
        if probe.position_m is None:
            raise ConfigError(
                "the simulator must know where the probe is",
                where=f"probes[{index}].position_m",
                next_step="add position_m = [x, y, height]",
            )
    if not site.probes:
        raise ConfigError("no probe listens", where="probes", next_step="add at least one [[probes]]")
    return site.floors[0]


def _grid(floor: Floor) -> tuple[Points, tuple[int, int]]:
    x_min, y_min, x_max, y_max = floor.bounds_m
    size = max(_CELL_M, float(np.sqrt((x_max - x_min) * (y_max - y_min) / _MAX_CELLS)))
    # A quarter cell off the metre grid on which plans are drawn, so that centres do not lie on walls.
    x = np.arange(x_min + size / 4 + 0.01, x_max, size)
    y = np.arange(y_min + size / 4 + 0.01, y_max, size)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, (len(x), len(y))


def _segments(walls: tuple[Wall, ...]) -> NDArray[np.float64]:
    return np.array([(*wall.from_m, *wall.to_m) for wall in walls], dtype=np.float64).reshape(-1, 4)


def _barriers(site: Site, floor: Floor) -> NDArray[np.float64]:
    outline = np.array([*floor.interior_m, floor.interior_m[0]])
    pieces = [_segments(floor.walls)]
    doors = [zone.polygon_m for zone in site.zones if zone.kind is ZoneKind.DOOR]
    for a, b in pairwise(outline):
        steps = max(2, int(np.hypot(*(b - a)) / 0.1))
        ends = a + np.linspace(0, 1, steps + 1)[:, None] * (b - a)
        middle = (ends[:-1] + ends[1:]) / 2
        in_door = np.any([in_polygon(middle, door) for door in doors], axis=0)
        pieces.append(_runs(ends, ~in_door))
    return np.concatenate(pieces)


def _runs(ends: Points, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Join neighbouring kept pieces ends[i]→ends[i + 1] to as few segments as there are runs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    return np.concatenate([ends[edges[::2]], ends[edges[1::2]]], axis=1)


def _spots(cells: Points, zone: Zone) -> NDArray[np.int64]:
    inside = np.flatnonzero(in_polygon(cells, zone.polygon_m))
    if not len(inside):
        raise ConfigError(
            "the zone is too small to stand in or lies outside bounds_m",
            where=f"zones.{zone.id}.polygon_m",
            next_step="draw it at least 0.5 m wide inside the floor's bounds_m",
        )
    if zone.kind is ZoneKind.STREET:
        return inside  # people walk everywhere in the street
    return inside[np.linspace(0, len(inside) - 1, min(len(inside), _SPOTS_PER_ZONE)).astype(np.int64)]


def _open_steps(cells: Points, shape: tuple[int, int], barriers: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = np.stack(np.unravel_index(np.arange(len(cells)), shape), axis=1)
    allowed = np.zeros((len(_STEPS), len(cells)), dtype=bool)
    for direction, step in enumerate(_STEPS):
        to = index + step
        exists = np.flatnonzero(np.all((to >= 0) & (to < np.array(shape)), axis=1))
        target = to[exists, 0] * shape[1] + to[exists, 1]
        allowed[direction, exists] = ~crossings(cells[exists], cells[target], barriers).any(axis=1)
    return allowed


def _wavefront(allowed: NDArray[np.bool_], shape: tuple[int, int], target: int) -> NDArray[np.float64]:
    """Give the walking distance in cells from every cell to `target`, inf where there is no way (Bellman-Ford)."""
    distance = np.full(len(allowed[0]), np.inf)
    distance[target] = 0.0
    blocked_cost = np.where(allowed, np.hypot(_STEPS[:, 0], _STEPS[:, 1])[:, None], np.inf).reshape(8, *shape)
    grid = distance.reshape(shape)
    while True:
        padded = np.pad(grid, 1, constant_values=np.inf)
        best = grid.copy()
        for (dx, dy), cost in zip(_STEPS, blocked_cost, strict=True):
            moved = padded[1 + dx : 1 + dx + shape[0], 1 + dy : 1 + dy + shape[1]]
            np.minimum(best, moved + cost, out=best)
        if np.array_equal(best, grid):
            return best.reshape(-1)
        grid = best


def _check_reachable(plan: Plan) -> None:
    street = int(plan.spots[plan.zones_of(ZoneKind.STREET)[0].id][0])
    for zone in plan.site.zones:
        spots = plan.spots[zone.id]
        plan.spots[zone.id] = spots[np.isfinite(plan.distances(street)[spots])]
        if not len(plan.spots[zone.id]):
            raise ConfigError(
                "nobody can walk there from the street",
                where=f"zones.{zone.id}.polygon_m",
                next_step="open a way: a gap in the walls, or a zone of kind 'door' across the interior's outline",
            )
