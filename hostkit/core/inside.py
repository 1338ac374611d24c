"""How many people are inside, from how loud their devices are: one bin first, then bins together. Knows no places.

One phone may send from many addresses and two phones of a model look alike, so neither addresses nor fingerprints are
phones. Per element class the loud bursts of a bin are taken as those of n phones, n geometric (most classes in a room
are one phone), bursts per phone gamma-Poisson (phones differ); the posterior mean of n is concave in the bursts.
Over bins a hidden Markov model of the number of people holds what one bin alone leaves open: people stay, some come
and go, and now and then a whole group does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hostkit.model import Estimate, Occupancy

METHOD = "levels inside per class, smoothed over bins"

SLOPE_DB = 1.5  # of the logistic P(inside | level): brno-lab, half of its days; 3 dB was worse, a step no better
BURSTS_PER_S = 5.0 / 600.0  # loud bursts of one phone, one parked probe (brno-lab)
BURST_SHAPE = 0.7  # of their gamma distribution between phones: CV 1.2
TWIN_SHARE = 0.25  # P(another phone of a class given one)
MAX_TWINS = 64
_BURST_GRID = np.concatenate([[0.0], np.geomspace(0.25, 1e4, 96)])

WALK = 0.05  # standard deviation of the log of the people's number from one 10 min to the next
JUMP = 0.2  # P(a group comes or goes) in 10 min: the new number is then anything, evenly in its logarithm
BIN_S = 600.0
CORRELATION = 1.2  # by which the errors of neighbouring bins, being alike, widen each
GAP_S = 3600.0  # after a longer silence of the probes nothing is known any more
LAG = 2  # bins after which a count is revised
_STEP = 0.05  # of the grid, in log(1 + n)
_KAPPAS = np.array([NormalDist().inv_cdf((i + 0.5) / 41) for i in range(41)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Devices heard as inside during a bin: expected number, its variance, and for how long anybody listened."""

    devices: float
    variance: float
    listened_s: float


NOBODY = Inside(devices=0.0, variance=0.0, listened_s=0.0)


def share_inside(rssi_dbm: NDArray[np.float32], inside_dbm: float) -> NDArray[np.float64]:
    """P(inside) of bursts heard at `rssi_dbm` (M, probes; NaN: not heard), by the loudest."""
    loudest_dbm = np.fmax.reduce(rssi_dbm, axis=1, initial=-120.0).astype(np.float64)
    return np.asarray(1 / (1 + np.exp((inside_dbm - loudest_dbm) / SLOPE_DB)))


def count_inside(element_class: NDArray[np.uint32], share: NDArray[np.float64], listened_s: float) -> Inside:
    """Expected number of devices behind bursts of these classes (M,) that were inside with these probabilities (M,)."""
    if not len(share) or listened_s <= 0:
        return Inside(devices=0.0, variance=0.0, listened_s=max(listened_s, 0.0))
    _, row = np.unique(element_class, return_inverse=True)
    bursts = np.bincount(row, share)
    present = -np.expm1(-bursts)
    mean, square = twins(np.asarray(bursts, np.float64), BURSTS_PER_S * listened_s)
    expected = present * mean
    variance = present * square - expected**2
    return Inside(devices=float(expected.sum()), variance=float(variance.sum()), listened_s=listened_s)


def twins(bursts: NDArray[np.float64], per_phone: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """E[n] and E[n²] of the phones of a class that made so many `bursts` (C,), where one makes `per_phone`."""
    mean, square = _twin_table(round(per_phone, 3))
    return np.interp(bursts, _BURST_GRID, mean), np.interp(bursts, _BURST_GRID, square)


@cache
def _log_rising() -> NDArray[np.float64]:
    """Log of gamma(N + k) / gamma(k) (bursts, n) for n phones of shape k = BURST_SHAPE n."""
    shapes = BURST_SHAPE * np.arange(1, MAX_TWINS + 1)
    return np.array([[math.lgamma(count + k) - math.lgamma(k) for k in shapes] for count in _BURST_GRID])


@cache
def _twin_table(per_phone: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior moments over `_BURST_GRID`: negative binomial likelihood, geometric prior."""
    n = np.arange(1, MAX_TWINS + 1)
    silent = math.log(BURST_SHAPE / (BURST_SHAPE + per_phone))
    log_p = _log_rising() + n * (BURST_SHAPE * silent + math.log(TWIN_SHARE))
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p @ n, p @ (n * n)


def people_inside(
    bins: Sequence[tuple[float, Inside]], site: Occupancy, *, bin_s: float, lag: int | None = LAG
) -> tuple[Estimate, ...]:
    """People inside on average in each bin, given (start in seconds, devices) in order of time.

    `lag`: how many later bins a count may use; 0 as published at once, None all of them.
    """
    found: list[Estimate] = []
    for run in _runs(bins, bin_s):
        found += _smoothed([inside for _, inside in run], site, bin_s, lag)
    return tuple(found)


def _runs(bins: Sequence[tuple[float, Inside]], bin_s: float) -> list[list[tuple[float, Inside]]]:
    runs: list[list[tuple[float, Inside]]] = []
    for start_s, inside in bins:
        if not runs or start_s - runs[-1][-1][0] - bin_s > GAP_S:
            runs.append([])
        runs[-1].append((start_s, inside))
    return runs


def _smoothed(bins: Sequence[Inside], site: Occupancy, bin_s: float, lag: int | None) -> list[Estimate]:
    """Forward-backward over the number of devices, log(1 + n) on a grid (Rabiner 1989)."""
    top = math.log1p(3 * max(inside.devices for inside in bins) + 20)
    grid = np.arange(0.0, top, _STEP)
    heard = np.array([_likelihood(inside, grid, site.noise_log_sd) for inside in bins])
    move = _moves(grid, bin_s)
    forward = np.empty_like(heard)
    p = np.full(len(grid), 1 / len(grid))
    for i, likelihood in enumerate(heard):
        p = (p @ move if i else p) * likelihood
        p /= p.sum()
        forward[i] = p
    last = len(heard) - 1
    result = []
    for i, p in enumerate(forward):
        backward = np.ones(len(grid))
        for j in range(last if lag is None else min(last, i + lag), i, -1):
            backward = move @ (backward * heard[j])
            backward /= backward.max()
        result.append(_estimate(p * backward, grid, site))
    return result


def _likelihood(inside: Inside, grid: NDArray[np.float64], noise_log_sd: float) -> NDArray[np.float64]:
    """P(the devices counted in a bin | n), log-normal about n; all ones where nobody listened."""
    if inside.listened_s <= 0:
        return np.ones(len(grid))
    variance = CORRELATION**2 * (noise_log_sd**2 + inside.variance / (1 + inside.devices) ** 2)
    likelihood = np.exp(-((math.log1p(inside.devices) - grid) ** 2) / (2 * variance))
    return np.asarray(likelihood + 1e-9)  # whatever was counted, nothing is impossible


def _moves(grid: NDArray[np.float64], bin_s: float) -> NDArray[np.float64]:
    walk, jump = WALK * math.sqrt(bin_s / BIN_S), min(0.5, JUMP * bin_s / BIN_S)
    near = np.exp(-((grid[:, None] - grid) ** 2) / (2 * max(walk, _STEP / 2) ** 2))
    return np.asarray((1 - jump) * near / near.sum(axis=1, keepdims=True) + jump / len(grid))


def _estimate(p: NDArray[np.float64], grid: NDArray[np.float64], site: Occupancy) -> Estimate:
    """Median and 90 % interval of kappa x n, kappa log-normal."""
    p = p / p.sum()
    devices = np.expm1(grid)
    value = site.people_per_device * float(np.interp(0.5, np.cumsum(p) - p / 2, devices))
    scaled = (devices[:, None] * np.exp(site.log_sd * _KAPPAS)).ravel() * site.people_per_device
    order = np.argsort(scaled, kind="stable")
    mass = np.cumsum(np.repeat(p / len(_KAPPAS), len(_KAPPAS))[order])
    low, high = np.interp((0.05, 0.95), mass, scaled[order]).tolist()
    method = f"{METHOD} x kappa ({site.reference_counts} reference counts)"
    return Estimate(value=value, low=min(low, value), high=max(high, value), method=method)
