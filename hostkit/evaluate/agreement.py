"""How well estimates with intervals agree with numbers somebody counted. Needs NumPy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
BOOTSTRAPS = 2000
BLOCK = 6  # windows drawn together: an hour of ten minutes each, as neighbouring errors are alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Errors in people; `bias` positive: too many. None where undefined: no interval, or no order to rank by.

    `coverage_interval` is the block bootstrap's 95 % of the coverage; `winkler` scores the 90 % interval, less is
    better (Winkler 1972).
    """

    mae_people: float
    bias_people: float
    spearman: float | None
    interval_coverage: float | None
    interval_width: float | None
    windows: int
    winkler: float | None
    coverage_interval: tuple[float, float] | None


def agreement(
    value: NDArray[np.float64],
    truth: NDArray[np.float64],
    low: NDArray[np.float64] | None = None,
    high: NDArray[np.float64] | None = None,
) -> Agreement:
    """Compare values (N,) and their 90 % intervals with the truth (N,), in order of time; N at least 1."""
    error = value - truth
    coverage = width = score = None
    bounds: tuple[float, float] | None = None
    if low is not None and high is not None:
        held = (low <= truth) & (truth <= high)
        coverage, width = float(held.mean()), float((high - low).mean())
        score = float(winkler(truth, low, high).mean())
        bounds = block_bootstrap(held.astype(np.float64))
    return Agreement(
        mae_people=float(np.abs(error).mean()),
        bias_people=float(error.mean()),
        spearman=spearman(value, truth),
        interval_coverage=coverage,
        interval_width=width,
        windows=len(truth),
        winkler=score,
        coverage_interval=bounds,
    )


def winkler(
    truth: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], level: float = LEVEL
) -> NDArray[np.float64]:
    """Score intervals (N,): their width, and 2 / (1 - level) times how far outside the truth lies."""
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return np.asarray(high - low + 2 / (1 - level) * outside)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Rank correlation, ties at their mean rank; None where one of them is constant."""
    x, y = (ranks(v) - (len(v) - 1) / 2 for v in (a, b))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else None


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, equal values at their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count + 1) / 2)[place], np.float64)


def block_bootstrap(values: NDArray[np.float64], block: int = BLOCK) -> tuple[float, float]:
    """95 % interval of the mean of values (N,) with alike neighbours (circular blocks, Politis and Romano 1992)."""
    random = np.random.default_rng(0)
    starts = random.integers(0, len(values), (BOOTSTRAPS, -(-len(values) // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(BOOTSTRAPS, -1)[:, : len(values)] % len(values)
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975)).tolist()
    return low, high
