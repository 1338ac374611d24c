"""Where probes stand on a floor and what they will hear there: geometry, coverage, predicted accuracy, walls, plan."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.locate import MAX_CELLS
from hostkit.core.predict import Forecast, forecast, room
from hostkit.core.zones import cell_shares, inside
from hostkit.errors import InputError
from hostkit.install.findings import Finding, advice, problem
from hostkit.install.picture import read_picture
from hostkit.model import Floor, PathLoss, Polygon, Probe

POSITIONS = 3  # probes from which there are positions
APART_M = 2.0  # nearer ones see alike
THIN_M, THIN_PART = 2.0, 0.15  # probes spread less than this across their line stand in one
HEIGHT_M = (1.8, 6.0)  # lower: people and shelves in between; higher: all of the shop is equally far
ABSURD_HEIGHT_M = 15.0
SURE_P = 0.9  # of three probes hearing one frame
COVERED, WELL_COVERED = 0.8, 0.95  # share of the shop where they surely do
ENCLOSED = 0.4  # share of the shop between the probes
TELLING = 0.8  # of the error without listening; above it a position says little more than `in the shop`
USEFUL_M = 5.0  # mean error beyond which neighbouring zones blur
STRETCHED = 0.02  # by which the picture's sides may differ from plan_m
_FINE_CELLS = 16_000

Indexed = Sequence[tuple[int, Probe]]  # index in site.toml, and the probe


def forecast_of(floor: Floor, probes: Sequence[Probe], path_loss: PathLoss) -> Forecast:
    """Forecast in the finest cells, of half a metre or more, that take no noticeable time."""
    x_min, y_min, x_max, y_max = floor.bounds_m
    area = (x_max - x_min) * (y_max - y_min)
    cell_m = max(0.5, (area / min(_FINE_CELLS, MAX_CELLS // 2)) ** 0.5)
    return forecast(floor, probes, path_loss, cell_m)


def check_floor(floor: Floor, path: str, probes: Indexed, seen: Forecast, folder: Path) -> Iterator[Finding]:
    """Check the floor at `path` with the probes placed on it; `seen` is its forecast, `folder` that of site.toml."""
    yield from _plan(floor, path, folder)
    if not floor.walls:
        what = "no walls are drawn, so that every prediction takes the shop for open space"
        yield advice(f"{path}.walls", what, "draw at least the outline: brick 10 dB, shop glass 2 dB, shelves 1.5 dB")
    yield from _places(floor, probes)
    if len(probes) < POSITIONS:
        what = f"{len(probes)} placed: presence and rings only, no positions"
        yield advice(f"floor {floor.id}", what, f"place {POSITIONS} or more, or leave it at that: site show --suggest")
        return
    yield from _geometry(floor, probes)
    yield from _quality(floor, seen)


def _plan(floor: Floor, path: str, folder: Path) -> Iterator[Finding]:
    if floor.plan is None:
        return
    try:
        picture = read_picture(folder / floor.plan)
    except InputError as error:
        yield problem(f"{path}.plan", f"{floor.plan} {error.what}", "put the image beside site.toml or remove plan")
        return
    x_min, y_min, x_max, y_max = floor.plan_m or floor.bounds_m
    ratio = (x_max - x_min) / (y_max - y_min) / (picture.width_px / picture.height_px)
    if abs(np.log(ratio)) > STRETCHED:
        what = f"{floor.plan} is {picture.width_px:g} × {picture.height_px:g}, plan_m would stretch it by {ratio:.2f}"
        yield problem(f"{path}.plan_m", what, "write where its edges lie, or import it anew with site init --scale")


def _places(floor: Floor, probes: Indexed) -> Iterator[Finding]:
    for index, probe in probes:
        x, y, height = _place(probe)
        where = f"probes[{index}].position_m ({probe.id})"
        if not 0 <= height <= ABSURD_HEIGHT_M:
            yield problem(where, f"is {height:g} m above the floor", "write metres: x, y, height")
        elif height < HEIGHT_M[0]:
            yield advice(where, f"is {height:g} m high, behind people and shelves", "mount it at 2.2 to 3 m")
        elif height > HEIGHT_M[1]:
            yield advice(where, f"is {height:g} m high: all below is about equally far", "mount it at 2.2 to 4 m")
        outside_m = _outside_m((x, y), floor.interior_m)
        if outside_m > 0.5:
            yield advice(where, f"is {outside_m:.1f} m outside the shop", "swap x and y, or mount it inside")
    for (i, a), (_, b) in combinations(probes, 2):
        apart = float(np.linalg.norm(np.subtract(_place(a)[:2], _place(b)[:2])))
        if apart < APART_M:
            what = f"{a.id} and {b.id} are {apart:.1f} m apart: they see alike"
            yield (problem if apart < APART_M / 4 else advice)(
                f"probes[{i}].position_m", what, f"move one at least {APART_M:g} m away"
            )


def _geometry(floor: Floor, probes: Indexed) -> Iterator[Finding]:
    places = np.array([_place(probe)[:2] for _, probe in probes], np.float64)
    names = ", ".join(probe.id for _, probe in probes)
    along, across = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)[:2] * 2 / np.sqrt(len(places))
    if across < max(THIN_M, THIN_PART * along) / 2:
        on = "on one wall" if _on_one_wall(places, floor.interior_m) else "in a line"
        what = f"{names} are {on}: which side of it a phone is on cannot be told"
        yield problem(f"floor {floor.id}", what, "move one to the opposite side: site show --suggest")
        return
    hull = _hull(places)
    step = 0.5
    axes = [np.arange(*span, step) + step / 2 for span in _spans(floor.interior_m)]
    shop = cell_shares(axes[0], axes[1], step, floor.interior_m)
    share = float((shop * cell_shares(axes[0], axes[1], step, hull)).sum() / shop.sum())
    if share < ENCLOSED:
        what = f"only {share:.0%} of the shop lies between the probes; positions beyond them are drawn inwards"
        yield advice(f"floor {floor.id}", what, "spread them to the corners: site show --suggest")


def _quality(floor: Floor, seen: Forecast) -> Iterator[Finding]:
    sure = (seen.three_p >= SURE_P) & (seen.inside > 0)
    covered = seen.over(seen.inside, sure.astype(np.float64))
    if covered < WELL_COVERED:
        least = _worst(seen, seen.three_p)
        what = f"three probes hear a phone (9 frames of 10) in {covered:.0%} of the shop; least at {least}"
        level = problem if covered < COVERED else advice
        yield level(f"floor {floor.id}", what, "add a probe there: site show --suggest 1 --keep")
    mean = seen.over(seen.inside, seen.error_m)
    blind = float(np.hypot(*room(floor)))
    if mean > TELLING * blind:
        what = f"predicted error {mean:.1f} m, without listening {blind:.1f} m: positions say next to nothing"
        yield problem(f"floor {floor.id}", what, "add probes, or one with a better place: site show --suggest")
    elif mean > USEFUL_M:
        what = f"predicted error {mean:.1f} m on average, worst at {_worst(seen, -seen.error_m)}"
        yield advice(f"floor {floor.id}", what, "add probes, or make zones larger than that")


def _worst(seen: Forecast, good: NDArray[np.float64]) -> str:
    least = np.where(seen.inside > 0.5, good, np.inf)
    row, column = np.unravel_index(int(np.argmin(least)), least.shape)
    return f"[{seen.x_m[column]:.0f}, {seen.y_m[row]:.0f}]"


def _place(probe: Probe) -> tuple[float, float, float]:
    assert probe.position_m is not None
    return probe.position_m


def _edges(outline: Polygon) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    corners = np.asarray(outline, np.float64)
    return list(zip(corners, np.roll(corners, -1, axis=0), strict=True))


def _to_edge_m(point: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    along = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
    return float(np.linalg.norm(point - a - along * (b - a)))


def _outside_m(point: tuple[float, float], outline: Polygon) -> float:
    at = np.asarray(point, np.float64)
    return 0.0 if inside(at[None], outline)[0] else min(_to_edge_m(at, a, b) for a, b in _edges(outline))


def _on_one_wall(places: NDArray[np.float64], outline: Polygon) -> bool:
    return any(max(_to_edge_m(place, a, b) for place in places) < 1.0 for a, b in _edges(outline))


def _spans(outline: Polygon) -> list[tuple[float, float]]:
    corners = np.asarray(outline, np.float64)
    return [(float(low), float(high)) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]


def _hull(points: NDArray[np.float64]) -> Polygon:
    """Convex hull, anticlockwise, by Andrew's monotone chain (1979)."""
    ordered = sorted({(float(x), float(y)) for x, y in points})

    def half(of: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for x, y in of:
            while len(chain) > 1 and _turns_right(chain[-2], chain[-1], (x, y)):
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return tuple(half(ordered) + half(ordered[::-1]))


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0
