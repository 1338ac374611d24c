"""Slow twins of the association kernel: bursts by sorting, linking with dense matrices and scipy's assignment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

CANDIDATES, KEPT, PASSES, ROUNDS, SWEEPS, REACH, MEAN = 64, 16, 6, 3, 2, 2, 3
DOUBT, RHYTHMS = 3, 64
TIED = 1e9
Floats = NDArray[np.float64]
Means = tuple[Floats, Floats]  # RSSI (N, probes) and of how many scans each is the mean (N,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Arguments of `link`, all of them given."""

    horizon_s: float = 900.0
    link_scale_db: float = 5.7
    background_scale_db: float = 9.5
    stay_s: float = 600.0
    birth_weight: float = 1.0


def bursts_of(rows: NDArray[np.void], gap_s: float) -> list[tuple[int, int, int]]:
    """First time, last time and frames of every run of one address with gaps up to `gap_s`; no run may be long."""
    found = []
    for key in np.unique(rows["device_key"]):
        time_us = np.sort(rows["time_us"][rows["device_key"] == key])
        for run in np.split(time_us, np.flatnonzero(np.diff(time_us) > gap_s * 1e6) + 1):
            found.append((int(run[0]), int(run[-1]), len(run)))
    return sorted(found)


def link(
    first_s: Floats, last_s: Floats, rssi_dbm: NDArray[np.float32], tied: NDArray[np.int32], rules: Rules
) -> tuple[NDArray[np.int64], Floats]:
    """Predecessors (N,), and the final gain of each link over a birth (N, N), -inf where there can be none."""
    n = len(first_s)
    lag_s = first_s[None, :] - first_s[:, None]
    near = (
        np.less(lag_s, rules.horizon_s) & (first_s[None, :] - last_s[:, None] >= 0.05) & np.tri(n, k=-1, dtype=bool).T
    )
    bound = np.zeros((n, n), bool)
    bound[tied[tied >= 0], np.flatnonzero(tied >= 0)] = True
    open_ = near & ~bound.any(axis=1)[:, None] & ~bound.any(axis=0)[None, :]
    bins = np.floor(1000 * np.log1p(0.04 * np.maximum(lag_s, 0))).astype(int)
    broad = _broad(np.expm1(bins / 1000) / 0.04 + 0.01)
    stay = 0.95 * np.exp(-np.expm1(bins / 1000) / 0.04 / rules.stay_s)
    ones, heard = np.ones(n), rssi_dbm.astype(float)
    ratio = rssi_ratio((heard, ones), (heard, ones), stay, rules)
    weight = np.where(open_, ratio * broad, 0)
    weight = _heaviest(weight, CANDIDATES)
    birth_per_s = 1e-12 / 900 * rules.birth_weight
    before = np.full(n, -1)
    for again in range(PASSES):
        for number in range(1 if again else ROUNDS):
            if number == 2 and not again:
                weight = _heaviest(weight, KEPT)
            soft = _softened(weight, birth_per_s)
            weight = np.where(weight > 0, ratio * _learnt(soft, bound & (lag_s < rules.horizon_s), bins, broad), 0)
        if again:
            weight = weight * _rhythm(weight / ratio, np.where(lag_s < rules.horizon_s, bins, -1), before)
        with np.errstate(divide="ignore"):
            gain = np.where(weight > 0, np.log(weight / birth_per_s), -np.inf)
        before = best_chains(gain, tied)
        chains = int((before < 0).sum())
        if chains == 1:
            break
        averaged = _averaged(heard, before, lag_s, stay, rules)
        with np.errstate(invalid="ignore"):
            weight *= averaged / ratio
        ratio = averaged
        birth_per_s = min(4e-7 / 900 * rules.birth_weight * chains**3, 0.1 / 900)
    return before, gain


def _broad(lag_s: Floats) -> Floats:
    z = np.log(lag_s / 45) / 1.4
    return np.asarray(0.9 * np.exp(-0.5 * z**2) / (1.4 * 2.5066 * lag_s) + 0.1 * np.exp(-lag_s / 300) / 300)


def rssi_ratio(ends: Means, others: Means, stay: Floats, rules: Rules) -> Floats:
    """Of means (N, probes) of so many scans (N,) each: likelihood ratios (N, N)."""
    (one, one_n), (other, other_n) = ends, others
    d = one[:, None, :] - other[None, :, :]
    of_scan, apart = rules.link_scale_db**2 / 2, rules.background_scale_db**2
    link = (of_scan * (1 / one_n[:, None] + 1 / other_n[None, :]))[:, :, None]
    apart = apart - 2 * of_scan + link
    z = 0.5 * np.log(apart / link) + 0.5 * d**2 * (1 / apart - 1 / link)
    return np.asarray(stay * np.exp(np.minimum(np.nansum(z, axis=2), 30)) + 1 - stay)


def _averaged(heard: Floats, before: NDArray[np.int64], lag_s: Floats, stay: Floats, rules: Rules) -> Floats:
    """Ratios between the mean RSSI of the chain up to one scan and that of the chain from the other on."""
    steps = [(j, i) for j, i in enumerate(before.tolist()) if i >= 0 and lag_s[i, j] < rules.horizon_s]
    back = _means(heard, [(j, i, stay[i, j]) for j, i in steps], rules)
    ahead = _means(heard, [(i, j, stay[i, j]) for j, i in reversed(steps)], rules)
    return rssi_ratio(back, ahead, stay, rules)


def _means(heard: Floats, steps: list[tuple[int, int, float]], rules: Rules) -> Means:
    mean, number = heard.copy(), np.ones(len(heard))
    for to, from_, stay in steps:
        ends = (heard[[to]], np.ones(1)), (mean[[from_]], number[[from_]])
        stayed = 1 - (1 - stay) / rssi_ratio(*ends, np.array([[stay]]), rules)[0, 0]
        old = min(number[from_] * stayed, MEAN)
        number[to] = 1 + old
        both = (heard[to] + old * mean[from_]) / (1 + old)
        kept = mean[from_] if stayed > 0.5 else heard[to]
        mean[to] = np.where(np.isnan(heard[to]), kept, np.where(np.isnan(mean[from_]), heard[to], both))
    return mean, number


def _heaviest(weight: Floats, most: int) -> Floats:
    """Keep each column's heaviest."""
    if len(weight) <= most:
        return weight
    least = np.sort(weight, axis=0)[-most]
    return np.where(weight >= least, weight, 0)


def _softened(weight: Floats, birth_per_s: float) -> Floats:
    out = np.ones(len(weight))
    for _ in range(SWEEPS):
        into = 1 / (out @ weight + birth_per_s)
        out = 1 / (weight @ into + 1)
    return np.asarray(weight * out[:, None] * into[None, :])


def _learnt(soft: Floats, bound: NDArray[np.bool_], bins: NDArray[np.int64], broad: Floats) -> Floats:
    """Density of intervals at each pair's lag, without what the pair itself adds."""
    mass = np.zeros(int(bins.max()) + 2 * REACH + 2)
    np.add.at(mass, bins + REACH, np.where(bound, 1, soft) * (bound | (soft > 0)))
    total = soft.sum() + bound.sum()
    near = np.convolve(mass, np.ones(2 * REACH + 1), mode="same")[bins + REACH] - soft
    low, high = np.maximum(bins - REACH, 0), bins + REACH + 1
    width = (np.expm1(high / 1000) - np.expm1(low / 1000)) / 0.04
    prior = 1 + 0.1 * total
    return np.asarray((np.maximum(near, 0) / width + prior * broad) / (total - soft + prior))


def _rhythm(density: Floats, bins: NDArray[np.int64], before: NDArray[np.int64]) -> Floats:
    """Ratio by which each pair's interval fits those beside it in the chains so far."""
    n = len(before)
    lag_before, lag_after = np.full(n, -1), np.full(n, -1)
    for j, i in enumerate(before.tolist()):
        if i >= 0 and bins[i, j] >= 0:
            lag_before[j] = lag_after[i] = bins[i, j]
    ratio = np.ones((n, n))
    for i, j in zip(*np.nonzero(density > 0), strict=True):
        if lag_before[i] >= 0:
            ratio[i, j] *= _beside(lag_before, lag_after, int(i), int(bins[i, j]), density[i, j])
        if lag_after[j] >= 0:
            ratio[i, j] *= _beside(lag_after, lag_before, int(j), int(bins[i, j]), density[i, j])
    return ratio


def _beside(keys: NDArray[np.int64], values: NDArray[np.int64], at: int, lag: int, density: float) -> float:
    between = np.flatnonzero((keys >= 0) & (values >= 0))
    between = between[np.argsort(keys[between], kind="stable")]
    near = values[between[abs(keys[between] - keys[at]) <= REACH]]
    step = len(near) // RHYTHMS + 1
    seen = near[::step]
    like, every = step * int((abs(seen - lag) <= REACH).sum()), step * len(seen)
    if values[at] >= 0:
        like, every = like - (abs(values[at] - lag) <= REACH), every - 1
    like = max(like - 1, 0)
    width_s = (np.expm1((lag + REACH + 1) / 1000) - np.expm1(max(lag - REACH, 0) / 1000)) / 0.04
    return (like / (width_s * density) + DOUBT) / (max(every, like) + DOUBT)


def best_chains(gain: Floats, tied: NDArray[np.int32]) -> NDArray[np.int64]:
    n = len(gain)
    cost = np.zeros((n, 2 * n))
    cost[:, :n] = -np.maximum(np.where(np.isfinite(gain), gain, -TIED), 0).T  # rows: scans; columns: predecessors
    rows, columns = linear_sum_assignment(cost)
    before = np.full(n, -1)
    real = (columns < n) & (cost[rows, columns] < 0)
    before[rows[real]] = columns[real]
    return np.where(tied >= 0, tied, before)
