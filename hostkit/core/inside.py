"""How many people are inside, from how loud their devices are: who stays how long first, then how many those are.

One phone may send from many addresses and two phones of a model look alike, so neither addresses nor fingerprints are
phones. An element class is there from its first loud burst to its last, silences shorter than `STAY_GAP_S` bridged:
people stay longer than a bin, and leave within one. While it is there its loud bursts are taken as those of n phones,
n geometric (most classes in a room are one phone), bursts per phone gamma-Poisson (phones differ); the posterior mean
of n is concave in the bursts. Over bins a hidden Markov model of the number of people holds what is still open: people
stay, some come and go, and now and then a whole group does. Knows no places.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hostkit.model import Estimate, Occupancy

METHOD = "stays inside per class, smoothed over bins"

SLOPE_DB = 1.5  # of the logistic P(inside | level): brno-lab, half of its days; 3 dB was worse, a step no better
BURSTS_PER_S = 5.0 / 600.0  # loud bursts of one phone, one parked probe (brno-lab)
BURST_SHAPE = 0.7  # of their gamma distribution between phones: CV 1.2
TWIN_SHARE = 0.25  # P(another phone of a class given one)
MAX_TWINS = 64
LEAST_SHARE = 0.02  # P(inside) of a burst that is taken at all
_BURST_GRID = np.concatenate([[0.0], np.geomspace(0.25, 1e4, 96)])

STAY_GAP_S = 2400.0  # of silence within a stay; brno-lab: 1,500 s and 3,600 s were worse
EDGE_S = 30.0  # a stay reaches so far beyond its first and last burst: half an interval between a phone's scans
OPEN_S = 480.0  # who was heard so short a time ago is taken to be there still
REMEMBERED_S = 21_600.0  # stays are followed back for so long
WALK = 0.15  # standard deviation of the log of the people's number from one 10 min to the next
JUMP = 0.3  # P(a group comes or goes) in 10 min: the new number is then anything, evenly in its logarithm
BIN_S = 600.0
CORRELATION = 1.0  # by which the errors of neighbouring bins, being alike, widen each
GAP_S = 3600.0  # after a longer silence of the probes nothing is known any more
LAG = 4  # bins after which a count is revised
_STEP = 0.05  # of the grid, in log(1 + n)
_KAPPAS = np.array([NormalDist().inv_cdf((i + 0.5) / 41) for i in range(41)])


# From its first to its last loud burst in a bin; how many there were, and the log of P(none of them was inside).
SEEN = np.dtype(
    [("element_class", "<u4"), ("first_s", "<f8"), ("last_s", "<f8"), ("bursts", "<f4"), ("log_none", "<f4")]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Devices heard as inside during a bin: expected number, its variance, and for how long anybody listened.

    `seen` (C,) of SEEN is when each element class was loud, what `stays` needs. `heard`: share of the scans sent inside
    that were heard. Classes of one `life` of the key are those of no other.
    """

    devices: float
    variance: float
    listened_s: float
    seen: NDArray[np.void] = field(default_factory=lambda: np.empty(0, SEEN), compare=False, repr=False)
    heard: float = 1.0
    life: int = 0


NOBODY = Inside(devices=0.0, variance=0.0, listened_s=0.0)


def share_inside(rssi_dbm: NDArray[np.float32], inside_dbm: float) -> NDArray[np.float64]:
    """P(inside) of bursts heard at `rssi_dbm` (M, probes; NaN: not heard), by the loudest."""
    loudest_dbm = np.fmax.reduce(rssi_dbm, axis=1, initial=-120.0).astype(np.float64)
    return np.asarray(1 / (1 + np.exp((inside_dbm - loudest_dbm) / SLOPE_DB)))


def count_inside(
    bursts: NDArray[np.void], share: NDArray[np.float64], listened_s: float, *, heard: float = 1.0, life: int = 0
) -> Inside:
    """Sum up one bin: BURST rows (M,) that were inside with these probabilities (M,). Counts it by itself."""
    if not len(share) or listened_s <= 0:
        return Inside(devices=0.0, variance=0.0, listened_s=max(listened_s, 0.0), heard=heard, life=life)
    near = share > LEAST_SHARE
    bursts, share = bursts[near], np.minimum(share[near], 1 - LEAST_SHARE)
    classes, row = np.unique(bursts["element_class"], return_inverse=True)
    seen = np.empty(len(classes), SEEN)
    seen["element_class"] = classes
    seen["first_s"], seen["last_s"] = np.inf, -np.inf
    np.minimum.at(seen["first_s"], row, bursts["first_us"] / 1e6)
    np.maximum.at(seen["last_s"], row, bursts["first_us"] / 1e6)
    seen["bursts"] = np.bincount(row, share, len(classes))
    seen["log_none"] = np.bincount(row, np.log1p(-share), len(classes))
    devices, variance = _devices(seen, np.full(len(seen), listened_s), np.ones(len(seen)), heard)
    return Inside(devices=devices, variance=variance, listened_s=listened_s, seen=seen, heard=heard, life=life)


def stays(bins: Sequence[tuple[float, Inside]], *, bin_s: float, lag: int | None = LAG) -> list[Inside]:
    """Put devices that were there on average in place of those heard, given (start in seconds, bin) in order of time.

    `lag`: how many later bins may be looked at; None: all.
    """
    found = []
    life = 0
    for i, (start_s, inside) in enumerate(bins):
        life = inside.life or life  # a bin in which nothing was heard is of none
        last = len(bins) if lag is None else i + 1 + lag
        known = [one for at_s, one in bins[:last] if at_s > start_s - REMEMBERED_S and one.life == life]
        seen = np.concatenate([np.empty(0, SEEN), *(one.seen for one in known)])
        until_s = bins[min(last, len(bins)) - 1][0] + bin_s
        found.append(_there(inside, seen, (start_s, start_s + bin_s), until_s) if len(seen) else inside)
    return found


def _there(inside: Inside, seen: NDArray[np.void], bin_s: tuple[float, float], until_s: float) -> Inside:
    """Devices on average between the two times `bin_s`, from when classes were loud by `until_s`."""
    seen = seen[np.lexsort((seen["first_s"], seen["element_class"]))]
    gap = seen["first_s"][1:] - seen["last_s"][:-1] > STAY_GAP_S
    new = np.concatenate([[True], gap | (np.diff(seen["element_class"]) != 0)])
    at = np.flatnonzero(new)
    stay = seen[at]
    stay["last_s"] = np.maximum.reduceat(seen["last_s"], at)
    stay["bursts"], stay["log_none"] = (np.add.reduceat(seen[name], at) for name in ("bursts", "log_none"))
    begin_s, end_s = stay["first_s"] - EDGE_S, stay["last_s"] + EDGE_S
    end_s = np.where(until_s - stay["last_s"] < OPEN_S, until_s, end_s)
    part = np.clip(np.minimum(end_s, bin_s[1]) - np.maximum(begin_s, bin_s[0]), 0, None)
    part /= bin_s[1] - bin_s[0]
    here = part > 0
    devices, variance = _devices(stay[here], (end_s - begin_s)[here], part[here], inside.heard)
    return replace(inside, devices=devices, variance=variance)


def _devices(
    seen: NDArray[np.void], there_s: NDArray[np.float64], part: NDArray[np.float64], heard: float
) -> tuple[float, float]:
    """Expected number of the phones of classes (C,) loud within so long, each for a part of the time; its variance."""
    present = -np.expm1(seen["log_none"].astype(np.float64))
    mean, square = twins(seen["bursts"].astype(np.float64), BURSTS_PER_S * heard * there_s)
    expected = present * mean
    variance = present * square - expected**2
    return float(expected @ part), float(variance @ part**2)


def twins(
    bursts: NDArray[np.float64], per_phone: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """E[n] and E[n²] of phones of classes that made so many `bursts` (C,), where one makes `per_phone` (C,)."""
    mean, square = np.ones(len(bursts)), np.ones(len(bursts))
    steps = np.round(8 * np.log2(np.maximum(per_phone, 0.01))).astype(int)  # within 5 %
    for step in np.unique(steps).tolist():
        of = steps == step
        found = _twin_table(round(2.0 ** (step / 8), 4))
        mean[of], square[of] = (np.interp(bursts[of], _BURST_GRID, one) for one in found)
    return mean, square


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
    there = stays(bins, bin_s=bin_s, lag=lag)
    for run in _runs([(start_s, one) for (start_s, _), one in zip(bins, there, strict=True)], bin_s):
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
