"""Where to mount probes: places along the walls and under the ceiling, chosen for the least predicted error."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hostkit.core.predict import error_m, links_to, parts, room
from hostkit.core.zones import inside
from hostkit.errors import UsageError
from hostkit.model import Floor, PathLoss, Polygon, Probe, Wall

WALL_HEIGHT_M = 2.5  # above heads and shelves, below most ceilings
FROM_WALL_M = 0.3  # further in than metal studs and cables, near enough for a bracket
STEP_M = 1.0  # between places along a wall
CEILING_STEP_M = 2.5
MAX_PLACES = 400
_MAX_POINTS = 500  # of the shop at which the error is averaged
_APART_M = 2.0  # two probes nearer than this see alike
_ROUNDS = 8  # of exchange; two or three settle it


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Places (x, y, height) in m, in the order of their worth, and the mean error in m that they promise."""

    places_m: tuple[tuple[float, float, float], ...]
    error_m: float


def suggest(
    floor: Floor,
    path_loss: PathLoss,
    count: int,
    *,
    kept: Sequence[Probe] = (),
    ceiling_m: float | None = None,
) -> Suggestion:
    """Choose `count` places beside the probes `kept`: greedily, then by exchange while the mean error falls.

    `ceiling_m`: height of a ceiling that may be used too. UsageError where the shop has too few places.
    """
    places = _apart(mounts(floor, ceiling_m), kept)
    if len(places) < count:
        raise _crowded(floor)
    board = _Board(floor, path_loss, places, kept)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(board.best(chosen))
    for _ in range(_ROUNDS):
        before = list(chosen)
        for index in range(count):
            others = chosen[:index] + chosen[index + 1 :]
            chosen[index] = board.best(others)
        if chosen == before:
            break
    found = tuple((float(x), float(y), float(z)) for x, y, z in np.round(places[chosen], 2))
    return Suggestion(places_m=found, error_m=board.error(chosen))


def mounts(floor: Floor, ceiling_m: float | None) -> NDArray[np.float64]:
    """Give the places (C, 3) where something can be mounted inside the shop."""
    outline = floor.interior_m
    step = STEP_M
    while sum(_length(a, b) for a, b in _edges(outline)) / step > MAX_PLACES / 2:
        step *= 1.5
    along = np.concatenate([_along(a, b, step) for a, b in _edges(outline)])
    on_wall = np.array([any(_to_wall_m(place, wall) <= 2 * FROM_WALL_M for wall in floor.walls) for place in along])
    if on_wall.mean() > 0.5:  # the outline is drawn: an opening in it holds no bracket
        along = along[on_wall]
    found = [np.column_stack((along, np.full(len(along), WALL_HEIGHT_M)))]
    if ceiling_m is not None:
        points = _points(outline, MAX_PLACES // 2, CEILING_STEP_M)
        found.append(np.column_stack((points, np.full(len(points), ceiling_m))))
    every = np.concatenate(found)
    return np.asarray(every[inside(every[:, :2], outline)])


class _Board:
    """The information that each place adds at each point of the shop, and what is there already."""

    def __init__(self, floor: Floor, path_loss: PathLoss, places: NDArray[np.float64], kept: Sequence[Probe]) -> None:
        self._floor = floor
        points = _points(floor.interior_m, _MAX_POINTS, 0.5)
        named = [Probe(id="x", floor=floor.id, position_m=(x, y, z)) for x, y, z in places.tolist()]
        self._parts = parts(links_to(points, floor, named, path_loss), path_loss)
        self._kept = parts(links_to(points, floor, kept, path_loss), path_loss).sum(axis=0)
        self._path_loss, self._room = path_loss, room(floor)
        apart = np.linalg.norm(places[:, None, :2] - places[None, :, :2], axis=2)
        self._near = apart < _APART_M

    def best(self, chosen: Sequence[int]) -> int:
        """Give the place that lowers the error most beside those chosen, the first of equals."""
        base = self._kept + self._parts[list(chosen)].sum(axis=0)
        error = error_m(base + self._parts, self._path_loss, self._room).mean(axis=1)
        error[self._near[list(chosen)].any(axis=0)] = np.inf
        if np.isinf(error).all():
            raise _crowded(self._floor)
        return int(np.argmin(np.round(error, 9)))

    def error(self, chosen: Sequence[int]) -> float:
        """Mean error over the shop in m."""
        base = self._kept + self._parts[list(chosen)].sum(axis=0)
        return float(error_m(base, self._path_loss, self._room).mean())


def _crowded(floor: Floor) -> UsageError:
    what = f"floor {floor.id!a} has no room for so many probes {_APART_M:g} m apart"
    return UsageError(what, where="probes", next_step="ask for fewer")


def _apart(places: NDArray[np.float64], kept: Sequence[Probe]) -> NDArray[np.float64]:
    there = np.array([probe.position_m for probe in kept], np.float64).reshape(-1, 3)
    far = np.linalg.norm(places[:, None, :2] - there[None, :, :2], axis=2) >= _APART_M
    return np.asarray(places[far.all(axis=1)])


def _points(outline: Polygon, most: int, least_step_m: float) -> NDArray[np.float64]:
    """Give at most about `most` points of a square grid inside the outline, never none."""
    corners = np.asarray(outline, np.float64)
    low, size = corners.min(axis=0), np.ptp(corners, axis=0)
    step = max(least_step_m, float(np.sqrt(size.prod() / most)))
    axes = [
        low[i] + (np.arange(max(1, int(size[i] // step))) + 0.5) * size[i] / max(1, int(size[i] // step))
        for i in (0, 1)
    ]
    grid = np.column_stack([axis.ravel() for axis in np.meshgrid(*axes)])
    found = np.asarray(grid[inside(grid, outline)])
    return found if len(found) else corners.mean(axis=0)[None]


def _edges(outline: Polygon) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    return list(pairwise((*outline, outline[0])))


def _length(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(np.hypot(b[0] - a[0], b[1] - a[1]))


def _to_wall_m(place: NDArray[np.float64], wall: Wall) -> float:
    a, b = np.array(wall.from_m), np.array(wall.to_m)
    along = np.clip((place - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    return float(np.linalg.norm(place - a - along * (b - a)))


def _along(a: tuple[float, float], b: tuple[float, float], step: float) -> NDArray[np.float64]:
    """Give places on both sides of a wall; those outside the shop are dropped later."""
    length = _length(a, b)
    count = max(1, int((length - 2 * FROM_WALL_M) // step)) + 1
    t = np.linspace(FROM_WALL_M, max(length - FROM_WALL_M, FROM_WALL_M), count)[:, None]
    start, along = np.array(a), (np.array(b) - np.array(a)) / length
    normal = np.array([-along[1], along[0]]) * FROM_WALL_M
    return np.concatenate((start + t * along + normal, start + t * along - normal))
