"""The floor a survey is of: its probes, what walls take, its corners, and whether points lie the right way round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import fit_walk
from hostkit.core.calibrate_mixed import Floats
from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.core.ranging import wall_loss
from hostkit.core.zones import inside
from hostkit.errors import ConfigError, InputError, UsageError
from hostkit.model import Floor, Site

CORNER_POINTS = 2  # fewer in a quarter of the shop say nothing about it
CORNER_AREA = 0.1  # of the shop; smaller quarters are none
TURNED_SHARE, TURNED_DB = 0.75, 1.5  # by so much a survey has to fit better the other way round
TRIED = 400  # readings with which the other ways round are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A floor and its placed probes: index in the site (K,), place (K, 3)."""

    floor: Floor
    probes: NDArray[np.int64]
    places_m: Floats
    names: tuple[str, ...]

    @property
    def centre_m(self) -> tuple[float, float]:
        """Middle of the probes' bounding box: the guess without any fit."""
        flat = self.places_m[:, :2]
        x, y = 0.5 * (flat.min(axis=0) + flat.max(axis=0))
        return float(x), float(y)

    def losses_db(self, place_m: Floats) -> Floats:
        """What the plan's walls take on the way from places (N, 2) to each probe (N, K)."""
        return np.column_stack([wall_loss(probe[:2], place_m, self.floor.walls) for probe in self.places_m])


def ground_of(site: Site, floor_id: str | None = None) -> Ground:
    """Give the floor of that id, or the only one with placed probes. ConfigError, UsageError where there is none."""
    placed = [floor for floor in site.floors if any(p.floor == floor.id and p.position_m for p in site.probes)]
    if not placed:
        raise ConfigError("no probe has a place", where="probes.position_m", next_step="measure where each probe hangs")
    if floor_id is not None:
        placed = [floor for floor in placed if floor.id == floor_id]
    if len(placed) != 1:
        known = ", ".join(floor.id for floor in site.floors)
        raise UsageError("say which floor", where="--floor", next_step=f"one of {known} that has placed probes")
    (floor,) = placed
    chosen = [at for at, probe in enumerate(site.probes) if probe.floor == floor.id and probe.position_m]
    return Ground(
        floor=floor,
        probes=np.array(chosen, np.int64),
        places_m=np.array([site.probes[at].position_m for at in chosen], np.float64),
        names=tuple(site.probes[at].id for at in chosen),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """A quarter of the shop: x_min, y_min, x_max, y_max in m, and how many points are in it."""

    bounds_m: tuple[float, float, float, float]
    points: int

    @property
    def missing(self) -> bool:
        """Whether too few points are in it."""
        return self.points < CORNER_POINTS

    def text(self) -> str:
        """Write where it is."""
        x0, y0, x1, y1 = self.bounds_m
        return f"x {x0:.0f}–{x1:.0f} m, y {y0:.0f}–{y1:.0f} m"


def corners(floor: Floor, place_m: Floats) -> tuple[Corner, ...]:
    """Give the quarters of the shop's bounding box that hold a share of it, with the points (N, 2) in each."""
    outline = np.asarray(floor.interior_m, np.float64)
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    grid = np.stack(
        np.meshgrid(np.linspace(x0, x1, 41)[:-1] + (x1 - x0) / 80, np.linspace(y0, y1, 41)[:-1] + (y1 - y0) / 80)
    )
    grid = grid.reshape(2, -1).T
    shop = grid[inside(grid, floor.interior_m)]
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    found = []
    for right in (False, True):
        for upper in (False, True):
            low = np.where([right, upper], middle, (x0, y0))
            high = np.where([right, upper], (x1, y1), middle)
            if _within(shop, low, high).sum() >= CORNER_AREA * len(shop):
                bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
                found.append(Corner(bounds_m=bounds, points=int(_within(place_m, low, high).sum())))
    return tuple(found)


def check_way_round(ground: Ground, place_m: Floats, rssi_dbm: Floats, where: str) -> None:
    """Raise InputError if the readings (N, K) fit the places (N, 2) far better with axes swapped or one mirrored."""
    step = -(-len(place_m) // TRIED)
    (x, y), rssi = place_m[::step].T, rssi_dbm[::step]
    x0, y0, x1, y1 = ground.floor.bounds_m
    ways = {
        "x and y look swapped": (y, x, "swap the columns x_m and y_m"),
        "y looks upside down": (x, y0 + y1 - y, "count y upwards from the plan's lower edge"),
        "x looks mirrored": (x0 + x1 - x, y, "count x to the right from the plan's left edge"),
    }
    given = _misfit(ground, x, y, rssi)
    tried = {what: _misfit(ground, way[0], way[1], rssi) for what, way in ways.items()}
    what = min(tried, key=lambda one: tried[one])
    if far_better(tried[what], given):
        apart = f"{tried[what]:.1f} dB apart that way, {given:.1f} dB as given"
        raise InputError(f"{what}: {apart}", where=where, next_step=ways[what][2])


def far_better(turned_db: float, given_db: float) -> bool:
    """Whether readings fit so much better another way round that it is no chance."""
    return turned_db < min(TURNED_SHARE * given_db, given_db - TURNED_DB)


def _misfit(ground: Ground, x_m: Floats, y_m: Floats, rssi: Floats) -> float:
    """RMS of places about the fitted path loss; infinite where the places fix none."""
    place = np.column_stack((x_m, y_m))
    free = rssi + ground.losses_db(place)
    try:
        return fit_walk(ground.places_m, place, free, device_height_m=DEVICE_HEIGHT_M, own_exponents=False).residual_db
    except InputError:
        return np.inf


def _within(points: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))
