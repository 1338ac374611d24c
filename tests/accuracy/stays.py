"""Devices that stay and walk by turns, with known truth: the workload that stay detectors are measured on.

People stop in a hall of 80 × 80 m, walk straight to the next place, and are located every 20 s or so with errors of
2.5 m, now and then of 20 m. Stays of at least 120 s are what is to be found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HALL_M, SPEED_M_S = 80.0, 0.8
STAY_MEDIAN_S, STAY_LOG_SD = 400.0, 0.6
INTERVAL_S, SIGMA_M = 20.0, 2.5
OUTLIER_P, OUTLIER_M = 0.005, 20.0
MIN_STAY_S = 120.0

STAYS = np.dtype([("device", "<i4"), ("enter_s", "<f8"), ("leave_s", "<f8"), ("first_s", "<f8"), ("last_s", "<f8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Points in order of device and time, and the true stays: physical enter and leave, first and last point within."""

    device: NDArray[np.int32]
    time_us: NDArray[np.int64]
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    stays: NDArray[np.void]


def workload(seed: int, devices: int = 1000, points: int = 1000, interval_s: float = INTERVAL_S) -> Workload:
    """Make `devices` × `points` fixes, one each `interval_s` on average; stays that the points end in are cut there."""
    rng = np.random.default_rng(seed)
    time_s = np.cumsum(rng.uniform(0.5, 1.5, (devices, points)) * interval_s, axis=1)
    legs = int(time_s.max() / STAY_MEDIAN_S) + 2
    places = rng.uniform(0, HALL_M, (devices, legs + 1, 2))
    walk_s = np.linalg.norm(np.diff(places, axis=1), axis=2) / SPEED_M_S
    stay_s = rng.lognormal(np.log(STAY_MEDIAN_S), STAY_LOG_SD, (devices, legs))
    enter_s = np.concatenate((np.zeros((devices, 1)), np.cumsum(stay_s + walk_s, axis=1)[:, :-1]), axis=1)
    x_m, y_m = np.empty_like(time_s), np.empty_like(time_s)
    stays = []
    for one in range(devices):
        leg = np.searchsorted(enter_s[one], time_s[one], side="right") - 1
        walked = np.clip((time_s[one] - enter_s[one, leg] - stay_s[one, leg]) / walk_s[one, leg], 0, 1)[:, None]
        at = places[one, leg] * (1 - walked) + places[one, leg + 1] * walked
        x_m[one], y_m[one] = at.T
        stays.append(_stays(one, time_s[one], leg[walked[:, 0] == 0], np.flatnonzero(walked[:, 0] == 0)))
        stays[-1]["enter_s"] = enter_s[one, leg[np.searchsorted(time_s[one], stays[-1]["first_s"])]]
        ends = enter_s[one] + stay_s[one]
        stays[-1]["leave_s"] = ends[leg[np.searchsorted(time_s[one], stays[-1]["first_s"])]]
    error = rng.normal(0, 1, (2, *x_m.shape)) * np.where(rng.random(x_m.shape) < OUTLIER_P, OUTLIER_M, SIGMA_M)
    truth = np.concatenate(stays)
    truth["leave_s"] = np.minimum(truth["leave_s"], time_s[truth["device"], -1])
    return Workload(
        device=np.repeat(np.arange(devices, dtype=np.int32), points),
        time_us=np.round(time_s.ravel() * 1e6).astype(np.int64),
        x_m=(x_m + error[0]).ravel(),
        y_m=(y_m + error[1]).ravel(),
        stays=truth[truth["leave_s"] - truth["enter_s"] >= MIN_STAY_S],
    )


def _stays(device: int, time_s: NDArray[np.float64], leg: NDArray[np.intp], row: NDArray[np.intp]) -> NDArray[np.void]:
    """One row a leg of which a point was heard: first and last of them."""
    _, first, count = np.unique(leg, return_index=True, return_counts=True)
    stays = np.zeros(len(first), STAYS)
    stays["device"] = device
    stays["first_s"], stays["last_s"] = time_s[row[first]], time_s[row[first + count - 1]]
    return stays


def f1_iou50(found: NDArray[np.void], true: NDArray[np.void]) -> float:
    """F1 of intervals (device, enter_s, leave_s) that share half of their union; those of a device do not overlap."""
    return 2 * len(matches(found, true)) / (len(found) + len(true))


def matches(found: NDArray[np.void], true: NDArray[np.void]) -> NDArray[np.intp]:
    """Pairs (P, 2) of rows of both with IoU over one half: each row is in one pair at most."""
    span = max(found["leave_s"].max(initial=0), true["leave_s"].max(initial=0)) + 1
    begins, ends = (found["device"] * span + found[name] for name in ("enter_s", "leave_s"))
    order = np.argsort(begins, kind="stable")
    begin, end = (true["device"] * span + true[name] for name in ("enter_s", "leave_s"))
    pairs = []
    # The one that shares more than half of the union holds the middle of the true interval, or begins or ends near it.
    at = np.searchsorted(begins[order], (begin + end) / 2, side="right") - 1
    for near in (at - 1, at, at + 1):
        row = order[np.clip(near, 0, len(order) - 1)]
        shared = np.minimum(ends[row], end) - np.maximum(begins[row], begin)
        union = np.maximum(ends[row], end) - np.minimum(begins[row], begin)
        hit = np.flatnonzero((shared > 0.5 * union) & (near >= 0) & (near < len(order)))
        pairs.append(np.column_stack((row[hit], hit)))
    return np.unique(np.concatenate(pairs), axis=0)
