"""A small shop, and sightings of phones in it, for tests of the core: the world a test states, no radio model."""

import numpy as np
from numpy.typing import NDArray

from hostkit.core.wire import SIGHTING, Flag
from hostkit.model import Floor, Probe, Site, Zone, ZoneKind

NOON_S = 1_704_106_800  # 2024-01-01 12:00 in Prague, a multiple of 600 s
FLOOR = Floor(id="g", bounds_m=(0.0, -5.0, 20.0, 15.0), interior_m=((0.0, 0.0), (20.0, 0.0), (20.0, 15.0), (0.0, 15.0)))
CORNERS_M = ((0.0, 0.0, 2.0), (20.0, 0.0, 2.0), (20.0, 15.0, 2.0), (0.0, 15.0, 2.0))
ZONES = (
    Zone(id="shoes", floor="g", polygon_m=((0.0, 0.0), (10.0, 0.0), (10.0, 15.0), (0.0, 15.0))),
    Zone(id="coats", floor="g", polygon_m=((10.0, 0.0), (20.0, 0.0), (20.0, 15.0), (10.0, 15.0))),
    Zone(id="street", floor="g", polygon_m=((0.0, -5.0), (20.0, -5.0), (20.0, 0.0), (0.0, 0.0)), kind=ZoneKind.STREET),
)


def shop(probes: int = 4, *, time_zone: str = "Europe/Prague", placed: bool = True) -> Site:
    """Give a shop with up to four probes in its corners."""
    rows = tuple(
        Probe(id=f"p{i}", floor="g", position_m=CORNERS_M[i]) if placed else Probe(id=f"p{i}") for i in range(probes)
    )
    return Site(tenant="acme", site="s", time_zone=time_zone, floors=(FLOOR,), zones=ZONES, probes=rows)


def heard(
    key: int,
    times_s: NDArray[np.float64] | list[float],
    *,
    levels_dbm: tuple[float | None, ...] = (-60.0, -60.0, -60.0, -60.0),
    fingerprint: int = 1,
    flags: int = 0,
) -> NDArray[np.void]:
    """Give frames of one address, each heard by every probe that has a level, `times_s` after noon."""
    probes = [(probe, level) for probe, level in enumerate(levels_dbm) if level is not None]
    rows = [
        (round((NOON_S + time_s) * 1e6), key, fingerprint, 0, 0, probe, round(level), 0, 6, flags)
        for time_s in times_s
        for probe, level in probes
    ]
    return np.array(rows, SIGHTING)


def together(*parts: NDArray[np.void]) -> NDArray[np.void]:
    """Give frames in order of time."""
    rows = np.concatenate([np.empty(0, SIGHTING), *parts])
    return rows[np.argsort(rows["time_us"], kind="stable")]


def busy_shop(seed: int, *, phones: int = 40, hours: float = 3.0, twins: int = 5) -> NDArray[np.void]:
    """Give phones that come and stay a while, some in one spot, some at the edge, some changing address."""
    rng = np.random.default_rng(seed)
    parts = []
    for phone in range(phones):
        start_s = rng.uniform(0, hours * 3600)
        times_s = start_s + np.cumsum(rng.exponential(45.0, int(rng.integers(1, 30))))
        levels = tuple(float(level) if rng.random() < 0.85 else None for level in rng.uniform(-85, -45, 4))
        levels = levels if any(level is not None for level in levels) else (-70.0, None, None, None)
        if phone % 3 == 0:
            keys = rng.integers(1, 1 << 62, len(times_s)).tolist()
            parts += [
                heard(key, [time_s], levels_dbm=levels, fingerprint=phone % twins, flags=Flag.RANDOMISED)
                for key, time_s in zip(keys, times_s.tolist(), strict=True)
            ]
        else:
            key = int(rng.integers(1, 1 << 62))
            parts.append(heard(key, times_s, levels_dbm=levels, fingerprint=phone % twins))
    return together(*parts)
