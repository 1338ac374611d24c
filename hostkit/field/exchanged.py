"""Two probes that hang in each other's place, or were given each other's name: readings fit far better exchanged."""

from itertools import combinations

import numpy as np

from hostkit.core.calibrate_mixed import Floats, Ints
from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.errors import InputError
from hostkit.field.ground import Ground, far_better

LEAST_READINGS = 8  # of a probe: fewer fit anywhere


def check_walk(ground: Ground, place_m: Floats, rssi_dbm: Floats, where: str) -> None:
    """Raise InputError if two probes' readings (N, K) at places (N, 2) fit far better at each other's place."""
    misfit, count = _misfits(ground, place_m, rssi_dbm)
    best: tuple[float, float, int, int] | None = None
    for one, other in combinations(range(len(ground.names)), 2):
        weight = count[[one, other]]
        if weight.min() < LEAST_READINGS:
            continue
        given = float(np.sqrt(weight @ misfit[[one, other], [one, other]] ** 2 / weight.sum()))
        turned = float(np.sqrt(weight @ misfit[[one, other], [other, one]] ** 2 / weight.sum()))
        if far_better(turned, given) and (best is None or turned - given < best[0] - best[1]):
            best = turned, given, one, other
    if best is not None:
        _refuse(ground, best[2:], best[:2], where)


def check_links(ground: Ground, ends: tuple[Ints, Ints], rssi_dbm: Floats, where: str) -> None:
    """Raise InputError if links (L,) from senders to receivers fit far better with two probes exchanged."""
    count = len(ground.names)
    strengths = np.zeros((len(rssi_dbm), 2 * count))
    for side, end in enumerate(ends):
        strengths[np.arange(len(end)), end + side * count] = 1.0
    basis, size, _ = np.linalg.svd(strengths, full_matrices=False)
    basis = basis[:, size > 1e-9 * size[0]]
    walls = ground.losses_db(ground.places_m[:, :2])
    apart = np.linalg.norm(ground.places_m[:, None] - ground.places_m, axis=2)
    decades = np.log10(np.maximum(apart, MIN_DISTANCE_M))

    def misfit(order: Ints) -> float:
        sender, receiver = order[ends[0]], order[ends[1]]
        level, far = (
            one - basis @ (basis.T @ one) for one in (rssi_dbm + walls[sender, receiver], decades[sender, receiver])
        )
        slope = min(float(far @ level) / max(float(far @ far), 1e-9), 0.0)
        return float(np.sqrt(np.mean((level - slope * far) ** 2)))

    def exchanged(one: int, other: int) -> Ints:
        order = np.arange(count)
        order[[one, other]] = other, one
        return order

    given = misfit(np.arange(count))
    turned, pair = min((misfit(exchanged(*pair)), pair) for pair in combinations(range(count), 2))
    if far_better(turned, given):
        _refuse(ground, pair, (turned, given), where)


def _misfits(ground: Ground, place_m: Floats, rssi_dbm: Floats) -> tuple[Floats, Ints]:
    """RMS of probe i's readings about a line of its own by the log distance to probe j's place (K, K), and counts."""
    flat = np.linalg.norm(place_m[:, None] - ground.places_m[:, :2], axis=2)
    far = np.log10(np.maximum(np.hypot(flat, ground.places_m[:, 2] - DEVICE_HEIGHT_M), MIN_DISTANCE_M))
    walls = ground.losses_db(place_m)
    heard = np.isfinite(rssi_dbm)
    misfit = np.full((len(ground.names),) * 2, np.inf)
    for one, column in enumerate(heard.T):
        if column.sum() < LEAST_READINGS:
            continue
        x, y = far[column], rssi_dbm[column, [one]][:, None] + walls[column]
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        slope = np.minimum((x * y).sum(axis=0) / np.maximum((x * x).sum(axis=0), 1e-9), 0.0)
        misfit[one] = np.sqrt(np.mean((y - slope * x) ** 2, axis=0))
    return misfit, heard.sum(axis=0)


def _refuse(ground: Ground, pair: tuple[int, int], misfit: tuple[float, float], where: str) -> None:
    one, other = (ground.names[at] for at in pair)
    raise InputError(
        f"{one} and {other} look exchanged: {misfit[0]:.1f} dB apart that way, {misfit[1]:.1f} dB as given",
        where=where,
        next_step="see which hangs where (footfall probe identify), and exchange position_m in site.toml",
    )
