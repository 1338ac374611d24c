"""How long people stay, from times that are only known between two hearings. No positions, no clock."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core._dwell import MAX_DEVICES, REACH_SIGMAS, SEGMENT_BYTES, STAY, UNKNOWN_US, Segmenter
from hostkit.model import Estimate, Thresholds

__all__ = [
    "MAX_DEVICES",
    "MIN_STAYS",
    "REACH_SIGMAS",
    "SEGMENT_BYTES",
    "STAY",
    "UNKNOWN_US",
    "DwellDistribution",
    "DwellSummary",
    "Segmenter",
    "dwell_bounds",
    "dwell_distribution",
    "dwell_summary",
    "p_entrant",
]

MIN_STAYS = 10  # below it a 90 % interval of a median spans most of the data
METHOD = "interval-censored maximum likelihood (Turnbull), bootstrap"

CELLS = 48  # of the distribution, with equal numbers of midpoints
TAIL_CELLS = 16  # more of equal ratio above the 80th percentile: a wide last cell would raise the mean
GROUPS = 48  # quantiles of lo and of hi that larger samples are collapsed to: in practice about 1,200 rows
MAX_ROWS = 512
ITERATIONS = 40  # of EM; stopping is part of the estimator: the limit is spikes, not a distribution
REPLICATES = 100
SEED = 20_030_217
ONE_CORE_WORK = 1 << 18  # multiply-adds that BLAS does in one thread; waking more of them took ten times the CPU
GRAIN_S = 1.0  # shortest interval taken; an exact duration is one within ± half of it

# Logistic P(entrant) in x = ln(midpoint / entrant_min_s) within X_LIMITS and z = P(inside)^CERTAIN, with the largest
# P(inside) of a visit's scans: only near certainty says more than that the shop is close, and who stayed for
# eight minutes is not likelier an entrant after an hour. `python -m tests.accuracy.fit_entrant` fits to simulated
# shops, three of four people passing by.
ENTRANT = (-2.25, 1.17, 2.96)  # 1, x, z
X_LIMITS = (0.0, 2.0)
CERTAIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellDistribution:
    """Piecewise uniform distribution of durations: `p` (J,) over the cells between `edges_s` (J + 1,)."""

    edges_s: NDArray[np.float64]
    p: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellSummary:
    """Mean, median and 90th percentile in seconds of `n` stays; the mean is restricted to the longest time seen."""

    mean: Estimate
    median: Estimate
    p90: Estimate
    n: int


def p_entrant(dwell_mid_s: ArrayLike, p_inside: ArrayLike, thresholds: Thresholds) -> NDArray[np.float64]:
    """P(a stay (N,) is an entrant's), from its duration and the P(inside) of the scan that was furthest in."""
    # Not by a matrix product, whose last digit depends on how many visits are judged at once.
    one, x, z = entrant_features(dwell_mid_s, p_inside, thresholds).T
    logit = ENTRANT[0] * one + ENTRANT[1] * x + ENTRANT[2] * z
    return np.asarray(1.0 / (1.0 + np.exp(-logit)), np.float64)


def entrant_features(dwell_mid_s: ArrayLike, p_inside: ArrayLike, thresholds: Thresholds) -> NDArray[np.float64]:
    """Columns 1, x, z (N, 3) that ENTRANT weighs."""
    least_s, most_s = (thresholds.entrant_min_s * np.exp(limit) for limit in X_LIMITS)
    x = np.log(np.clip(np.asarray(dwell_mid_s, np.float64), least_s, most_s) / thresholds.entrant_min_s)
    z = np.clip(np.asarray(p_inside, np.float64), 0.0, 1.0) ** CERTAIN
    return np.column_stack((np.ones_like(x), x, z))


def dwell_bounds(stays: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shortest and longest duration in s of STAY rows: last - first, next - previous; inf where one is unknown."""
    lo: NDArray[np.float64] = (stays["end_us"] - stays["start_us"]) * 1e-6
    known = (stays["before_us"] != UNKNOWN_US) & (stays["after_us"] != UNKNOWN_US)
    hi: NDArray[np.float64] = np.where(known, stays["after_us"], 0) - np.where(known, stays["before_us"], 0)
    return lo, np.where(known, hi * 1e-6, np.inf)


def dwell_summary(
    lo_s: ArrayLike, hi_s: ArrayLike, mid_s: ArrayLike | None = None, weight: ArrayLike | None = None
) -> DwellSummary:
    """Mean, median and p90 with 90 % intervals of stays known to last between lo_s and hi_s (N,); inf: still open.

    mid_s (N,): best guesses, which only choose the cells; default: the middle, lo where open.
    weight (N,): sampling weights such as 1 / P(heard). Rows with NaN or lo > hi or lo < 0 are left out.
    Deterministic: the bootstrap has a fixed seed.
    """
    sample = _sample(lo_s, hi_s, mid_s, weight)
    if sample.n < MIN_STAYS:
        return _undefined(sample.n, f"fewer than {MIN_STAYS} stays")
    if not np.isfinite(sample.hi).any():
        return _undefined(sample.n, "no stay has ended")
    edges = _edges(sample)
    share = _overlap(sample, edges)
    rng = np.random.default_rng(SEED)
    draws = rng.poisson(sample.count, (REPLICATES, len(sample.count))) / sample.count
    p = _maximise(share, np.vstack((np.ones(len(sample.count)), draws)) * sample.weight)
    mean = p @ ((edges[1:] + edges[:-1]) / 2.0)
    return DwellSummary(
        mean=_estimate(mean),
        median=_estimate(_quantile(edges, p, 0.5)),
        p90=_estimate(_quantile(edges, p, 0.9)),
        n=sample.n,
    )


def dwell_distribution(
    lo_s: ArrayLike, hi_s: ArrayLike, mid_s: ArrayLike | None = None, weight: ArrayLike | None = None
) -> DwellDistribution | None:
    """Distribution behind `dwell_summary`, for histograms; None where that is undefined."""
    sample = _sample(lo_s, hi_s, mid_s, weight)
    if sample.n < MIN_STAYS or not np.isfinite(sample.hi).any():
        return None
    edges = _edges(sample)
    return DwellDistribution(edges_s=edges, p=_maximise(_overlap(sample, edges), sample.weight[None, :])[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Distinct rows (R,) and how many stays each stands for; `weight` is their summed sampling weight."""

    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    mid: NDArray[np.float64]
    weight: NDArray[np.float64]
    count: NDArray[np.float64]
    n: int


def _sample(lo_s: ArrayLike, hi_s: ArrayLike, mid_s: ArrayLike | None, weight: ArrayLike | None) -> _Sample:
    lo, hi = np.asarray(lo_s, np.float64), np.asarray(hi_s, np.float64)
    mid = np.where(np.isfinite(hi), (lo + hi) / 2.0, lo) if mid_s is None else np.asarray(mid_s, np.float64)
    w = np.ones(len(lo)) if weight is None else np.asarray(weight, np.float64)
    kept = (lo >= 0.0) & (lo < np.inf) & (hi >= lo) & np.isfinite(mid) & (w > 0.0) & (w < np.inf)
    lo, hi, mid, w = lo[kept], hi[kept], mid[kept], w[kept]
    exact = hi - lo < GRAIN_S
    lo = np.where(exact, np.maximum((lo + hi - GRAIN_S) / 2.0, 0.0), lo)
    hi = np.where(exact, lo + GRAIN_S, hi)
    rows = _Sample(lo=lo, hi=hi, mid=mid, weight=w, count=np.ones(len(lo)), n=len(lo))
    return _collapsed(rows) if len(lo) > MAX_ROWS else rows


def _collapsed(rows: _Sample) -> _Sample:
    """Rows alike in lo and hi become one at their mean, so that cost does not grow with the sample."""
    quantiles = np.linspace(0.0, 1.0, GROUPS)[1:-1]
    finite = np.isfinite(rows.hi)
    by_lo = np.searchsorted(np.quantile(rows.lo, quantiles), rows.lo)
    by_hi = np.searchsorted(np.quantile(rows.hi[finite], quantiles), rows.hi) if finite.any() else 0
    group = (by_lo * GROUPS + by_hi) * 2 + finite
    _, index = np.unique(group, return_inverse=True)
    count = np.bincount(index).astype(np.float64)
    lo, hi, mid, w = (
        np.bincount(index, column).astype(np.float64) for column in (rows.lo, rows.hi, rows.mid, rows.weight)
    )
    return _Sample(lo=lo / count, hi=hi / count, mid=mid / count, weight=w, count=count, n=rows.n)


def _edges(sample: _Sample) -> NDArray[np.float64]:
    """Cell borders from 0 to beyond all that is finite, at least GRAIN_S apart."""
    last = max(sample.lo.max(), sample.mid.max(), sample.hi[np.isfinite(sample.hi)].max()) + GRAIN_S
    inner: NDArray[np.float64] = np.quantile(
        sample.mid, np.linspace(0.0, 1.0, CELLS - 1), weights=sample.count, method="inverted_cdf"
    )
    tail = np.geomspace(max(inner[int(0.8 * len(inner))], GRAIN_S), last, TAIL_CELLS)
    edges: NDArray[np.float64] = np.unique(np.concatenate(([0.0], inner, tail, [last])))
    return np.append(edges[:-1][np.diff(edges) >= GRAIN_S], last)


def _overlap(sample: _Sample, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each cell (J,) that lies within each row's interval, (R, J)."""
    low = np.maximum(sample.lo[:, None], edges[:-1])
    high = np.minimum(sample.hi[:, None], edges[1:])
    share: NDArray[np.float64] = np.maximum(high - low, 0.0) / np.diff(edges)
    return share


def _maximise(share: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """EM for the cell probabilities (B, J) of B weightings (B, R) at once (Turnbull 1976; Dempster et al. 1977)."""
    p = np.full((len(weight), share.shape[1]), 1.0 / share.shape[1])
    block = max(ONE_CORE_WORK // share.size, 1)
    for first in range(0, len(p), block):
        rows = slice(first, first + block)
        for _ in range(ITERATIONS):
            p[rows] *= (weight[rows] / np.maximum(p[rows] @ share.T, 1e-300)) @ share
    p /= np.maximum(p.sum(axis=1, keepdims=True), 1e-300)
    return p


def _quantile(edges: NDArray[np.float64], p: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    """The q-quantile of each row of p (B, J), uniform within a cell."""
    reached = np.cumsum(p, axis=1)
    cell = np.minimum((reached < q).sum(axis=1), p.shape[1] - 1)
    row = np.arange(len(p))
    within = (q - reached[row, cell] + p[row, cell]) / np.maximum(p[row, cell], 1e-300)
    value: NDArray[np.float64] = edges[cell] + np.clip(within, 0.0, 1.0) * (edges[cell + 1] - edges[cell])
    return value


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """Value from the first entry, its interval from the others."""
    low, high = np.quantile(values[1:], (0.05, 0.95))
    value = float(values[0])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), method=METHOD)


def _undefined(n: int, reason: str) -> DwellSummary:
    nothing = Estimate(value=None, low=None, high=None, method=METHOD, reason=reason)
    return DwellSummary(mean=nothing, median=nothing, p90=nothing, n=n)
