"""A technician with a reference phone in a simulated shop: the tables that `footfall calibrate` reads, and their truth.

`walk.csv`: stands at points; `app.csv`: the same with a column a probe; `link.csv`: stands at distances from each
probe; `anchors.csv`: probes hear each other; `zones.csv`: in and out of every zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hostkit.core.zones import inside
from hostkit.model import Zone
from hostkit.sim.phones import EMISSION
from hostkit.sim.plan import Plan, Points, crossings
from hostkit.sim.radio import HEIGHT_M, Ear, heard_by

STAND_S, FRAMES_PER_S = 10.0, 5
POINTS_APART_M = 2.5
LINK_FLOOR_M = (0.5, 1.5, 3.0, 6.0)  # from below the probe
BEACONS, BEACON_DBM = 20, 4.0  # a probe's antenna against a phone's in a hand
TX_SPREAD_DB, PAIR_SPREAD_DB, FRAME_DB = 2.0, 3.0, 1.0
ZONE_ROUNDS = 3
CHANNEL = 1

Table = tuple[tuple[str, ...], list[tuple[object, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """Where the technician stood, one after the other (S, 2), and what the table says of each."""

    place_m: Points
    said: tuple[tuple[object, ...], ...]


def surveys(plan: Plan, ears: tuple[Ear, ...], seed: int, start_s: float) -> dict[str, Table]:
    """Give the tables by file name; `start_s` is Unix time. Equal arguments give equal tables."""
    parked = tuple(replace(ear, probe=replace(ear.probe, channels=(CHANNEL,))) for ear in ears)
    rng = np.random.default_rng([seed, 11])
    walk, zones = _walk(plan), _zones(plan, rng)
    return {
        "walk.csv": (_header("x_m", "y_m"), list(_heard(plan, parked, walk, seed, start_s))),
        "link.csv": (_header("distance_m"), list(_link(plan, parked, seed, start_s + 86_400))),
        "anchors.csv": (("time_s", "sender", "receiver", "rssi_dbm"), list(_anchors(plan, ears, rng, start_s))),
        "app.csv": _app(list(_heard(plan, parked, walk, seed, start_s)), ears),
        "zones.csv": (_header("zone"), list(_heard(plan, parked, zones, seed + 1, start_s + 172_800))),
        "truth.csv": (("probe", "offset_db"), [(ear.probe.id, round(ear.hidden_offset_db, 3)) for ear in ears]),
    }


def _header(*more: str) -> tuple[str, ...]:
    return ("time_s", "anchor", "rssi_dbm", *more)


def _app(rows: list[tuple[object, ...]], ears: tuple[Ear, ...]) -> Table:
    """Put what was heard at one time into one row: ms, x, y, a level a probe."""
    column = {ear.probe.id: at for at, ear in enumerate(ears)}
    wide: dict[tuple[object, ...], list[object]] = {}
    for time_s, probe, rssi, x, y in rows:
        levels = wide.setdefault((round(float(str(time_s)) * 1000), x, y), [""] * len(ears))
        levels[column[str(probe)]] = rssi
    header = ("ms", "x", "y", *(f"rssi_{at + 1}" for at in range(len(ears))))
    return header, [(*key, *levels) for key, levels in wide.items()]


def _walk(plan: Plan) -> Stands:
    """Stand on a lattice of the shop, whatever shelf is there."""
    outline = np.asarray(plan.floor.interior_m)
    low, high = outline.min(axis=0) + 1.0, outline.max(axis=0) - 1.0
    axes = [np.linspace(a, b, max(2, round((b - a) / POINTS_APART_M) + 1)) for a, b in zip(low, high, strict=True)]
    grid = np.round(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2), 2)
    place = grid[inside(grid, plan.floor.interior_m)]
    return Stands(place_m=place, said=tuple((x, y) for x, y in place.tolist()))


def _zones(plan: Plan, rng: np.random.Generator) -> Stands:
    """Go to a place in every zone, as often as `ZONE_ROUNDS`, each round in another order."""
    zones = plan.site.zones
    order = [zones[at] for _ in range(ZONE_ROUNDS) for at in rng.permutation(len(zones))]
    place = np.array([_spot(zone, rng) for zone in order])
    return Stands(place_m=np.repeat(place, 3, axis=0), said=tuple((zone.id,) for zone in order for _ in range(3)))


def _spot(zone: Zone, rng: np.random.Generator) -> NDArray[np.float64]:
    corner = np.asarray(zone.polygon_m)
    spots = rng.uniform(corner.min(axis=0), corner.max(axis=0), (200, 2))
    within = spots[inside(spots, zone.polygon_m)]
    return np.asarray(within[0] if len(within) else corner.mean(axis=0))


def _heard(
    plan: Plan, ears: tuple[Ear, ...], stands: Stands, seed: int, start_s: float
) -> Iterator[tuple[object, ...]]:
    """Give what each probe heard at each stand, in order of time."""
    frames = _frames(stands.place_m, seed)
    rows = []
    for index, ear in enumerate(ears):
        heard = heard_by(plan, ear, index, frames, np.zeros(1), seed=seed)
        at = frames["burst"][heard["emission"]] // int(STAND_S)
        rows += [
            (round(start_s + time_s, 3), ear.probe.id, rssi, *stands.said[stand])
            for time_s, rssi, stand in zip(
                heard["time_s"].tolist(), heard["rssi_dbm"].tolist(), at.tolist(), strict=True
            )
        ]
    return iter(sorted(rows, key=lambda row: (row[0], row[1])))


def _frames(place_m: Points, seed: int) -> NDArray[np.void]:
    """Give what the reference phone sends: FRAMES_PER_S; whoever carries it turns round once at every stand."""
    each = int(STAND_S) * FRAMES_PER_S
    frames = np.zeros(len(place_m) * each, EMISSION)
    at = np.arange(len(frames))
    frames["time_s"] = at / FRAMES_PER_S
    frames["burst"] = at // FRAMES_PER_S
    frames["channel"] = CHANNEL
    frames["x_m"], frames["y_m"] = np.repeat(place_m, each, axis=0).T
    frames["facing_rad"] = 2 * np.pi * ((at % each) / each + np.random.default_rng([seed, 12]).random())
    return frames


def carried(
    plan: Plan, ear: Ear, index: int, place_m: tuple[float, float], *, seed: int, seconds: int
) -> NDArray[np.float64]:
    """Levels (F,) at which probe `index` hears the frames of a phone that is carried at a place."""
    parked = replace(ear, probe=replace(ear.probe, channels=(CHANNEL,)))
    frames = _frames(np.array([place_m]), seed)[: seconds * FRAMES_PER_S]
    heard = heard_by(plan, parked, index, frames, np.zeros(1), seed=seed)
    return np.asarray(heard["rssi_dbm"], np.float64)


def _link(plan: Plan, ears: tuple[Ear, ...], seed: int, start_s: float) -> Iterator[tuple[object, ...]]:
    """Stand at four distances from each probe, towards the middle of the shop; each stand is of that probe alone."""
    middle = np.asarray(plan.floor.interior_m).mean(axis=0)
    for index, ear in enumerate(ears):
        position = np.asarray(ear.probe.position_m)
        along = (middle - position[:2]) / max(float(np.hypot(*(middle - position[:2]))), 1e-9)
        place = position[:2] + np.outer(LINK_FLOOR_M, along)
        slant = np.hypot(LINK_FLOOR_M, position[2] - HEIGHT_M)
        stands = Stands(place_m=place, said=tuple((round(float(one), 2),) for one in slant))
        rows = _heard(plan, ears, stands, seed, start_s + 3600 * index)
        yield from (row for row in rows if row[1] == ear.probe.id)


def _anchors(
    plan: Plan, ears: tuple[Ear, ...], rng: np.random.Generator, start_s: float
) -> Iterator[tuple[object, ...]]:
    """Give what the probes heard of each other's beacons; both ways share what is between."""
    places = np.array([ear.probe.position_m for ear in ears], np.float64)
    count, loss = len(ears), plan.site.path_loss
    sent = rng.normal(0.0, TX_SPREAD_DB, count)
    between = np.triu(rng.normal(0.0, PAIR_SPREAD_DB, (count, count)), 1)
    apart = np.maximum(np.linalg.norm(places[:, None] - places, axis=2), 0.5)
    level = loss.rssi_1m_dbm + BEACON_DBM - 10.0 * loss.exponent * np.log10(apart) + between + between.T
    for sender, receiver in zip(*np.nonzero(~np.eye(count, dtype=bool)), strict=True):
        walls = crossings(places[[sender], :2], places[[receiver], :2], plan.walls) @ plan.wall_loss_db
        mean = level[sender, receiver] + sent[sender] + ears[receiver].hidden_offset_db - float(walls[0])
        for number, rssi in enumerate(np.rint(mean + rng.normal(0.0, FRAME_DB, BEACONS)).tolist()):
            if rssi >= ears[receiver].probe.floor_dbm:
                yield start_s + 60 * number, ears[sender].probe.id, ears[receiver].probe.id, int(rssi)
