"""Somebody with a beacon who goes in and out of a door, heard ten times a second: readings with known truth.

Own model of a 12 × 5 m shop on a street; readings lose to distance, body and door, and have errors that last a second.
"""

from itertools import pairwise

import numpy as np

from hostkit.evaluate.dwell import Case, ZoneShape
from hostkit.evaluate.timeline import Stay

RATE_HZ = 10
SHOP = ((0.0, 0.0), (12.0, 0.0), (12.0, 5.0), (0.0, 5.0))
STREET = ((-8.0, 0.0), (0.0, 0.0), (0.0, 5.0), (-8.0, 5.0))
ZONES = (ZoneShape(id="shop", polygon_m=SHOP), ZoneShape(id="street", polygon_m=STREET))
ANCHORS = np.array([(1.0, 0.2, 2.5), (5.0, 4.8, 2.5), (11.0, 2.5, 1.5), (-1.0, 4.8, 2.5), (-5.0, 0.2, 2.5)])
LEVEL_DBM, EXPONENT, DOOR_DB, SIGMA_DB = -48.0, 2.4, 2.0, 4.0
ERROR_LASTS_S, MISSED_P = 1.0, 0.06


def door_walk(seed: int, visits: int, body_db: float = 5.0) -> Case:
    """Play `visits` visits to the shop; they begin and end in the street."""
    rng = np.random.default_rng(seed)
    place = _way(rng, visits)
    at_s = np.arange(len(place)) / RATE_HZ
    flat = ANCHORS[:, :2] - place[:, None]
    distance = np.sqrt((flat**2).sum(axis=2) + (ANCHORS[:, 2] - 1.1) ** 2)
    way = np.gradient(place, axis=0)
    facing = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
    away = (1 - (flat * facing[:, None]).sum(axis=2) / np.maximum(np.linalg.norm(flat, axis=2), 0.1)) / 2
    level = LEVEL_DBM - 10 * EXPONENT * np.log10(np.maximum(distance, 0.5)) - body_db * away
    level -= DOOR_DB * ((place[:, :1] > 0) != (ANCHORS[:, 0] > 0))
    level += rng.normal(0, 2, len(ANCHORS)) + _errors(rng, level.shape)
    row, anchor = np.nonzero(rng.random(level.shape) >= MISSED_P)
    inside = place[:, 0] > 0
    edges = np.concatenate(([0], np.flatnonzero(np.diff(inside)) + 1, [len(inside)])) / RATE_HZ
    truth = tuple(Stay(zone=i % 2 ^ 1, enter_s=float(a), leave_s=float(b)) for i, (a, b) in enumerate(pairwise(edges)))
    return Case(
        time_s=at_s[row],
        anchor=anchor,
        rssi_dbm=np.round(level[row, anchor]),
        anchors_m=ANCHORS,
        zones=ZONES,
        truth=truth,
    )


def _way(rng: np.random.Generator, visits: int) -> np.ndarray:
    """Places (T, 2) at RATE_HZ: walks at 1.1 m/s between places to stand at, one in the street and two in the shop."""
    legs, at = [], np.array([-6.0, 2.0])
    for _ in range(visits):
        for low, high in (((-7, 0.5), (-3, 4.5)), ((2, 0.5), (11.5, 4.5)), ((2, 0.5), (11.5, 4.5))):
            to = rng.uniform(low, high)
            # Everybody takes the door, at y = 2.5.
            via = [np.array([0.0, 2.5])] if (at[0] > 0) != (to[0] > 0) else []
            for corner in (*via, to):
                steps = max(2, int(np.linalg.norm(corner - at) / 1.1 * RATE_HZ))
                legs.append(at + (corner - at) * np.linspace(0, 1, steps, endpoint=False)[:, None])
                at = corner
            legs.append(at + rng.normal(0, 0.02, (int(rng.uniform(8, 30) * RATE_HZ), 2)))
    via = np.array([0.0, 2.5])
    for corner in (via, np.array([-6.0, 2.0])):
        legs.append(at + (corner - at) * np.linspace(0, 1, 60, endpoint=False)[:, None])
        at = corner
    return np.concatenate(legs)


def _errors(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    keep = np.exp(-1 / (ERROR_LASTS_S * RATE_HZ))
    error = rng.normal(0, SIGMA_DB, shape)
    for t in range(1, shape[0]):
        error[t] = keep * error[t - 1] + np.sqrt(1 - keep**2) * error[t]
    return error
