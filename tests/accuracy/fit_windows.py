"""Fits the constants of core.count to simulated windows; python -m tests.accuracy.fit_windows [WINDOWS OF EACH SEED].

Seeds 11 and 31; reports and tests use others. Prints what belongs into core/count.py, and how often intervals hold.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hostkit.core import count
from tests.accuracy.report import strata
from tests.accuracy.windows import windows

SEEDS = (11, 31)


def main() -> None:
    """Fit and print."""
    each = int(sys.argv[1]) if len(sys.argv) > 1 else 700
    found = [one for seed in SEEDS for one in windows(None, each, seed) if one.phones and one.tracks]
    tracks = np.array([one.tracks for one in found], np.float64)
    heard = np.array([one.heard for one in found])
    error = np.array([np.log(one.phones / (one.counted.devices.value or 1.0)) for one in found])
    crowd = np.log1p(np.array([one.turnover for one in found]) / count.CROWD_TRACKS)
    weight = 1 / np.sqrt(0.03 + 0.3 / tracks)
    columns = np.column_stack([np.ones(len(found)), crowd])
    bias, power = np.linalg.lstsq(columns * weight[:, None], error * weight, rcond=None)[0]
    left = error - columns @ (bias, power)
    print(f"TRACK_BIAS_LOG {count.TRACK_BIAS_LOG + bias:.3f}  CROWD_POWER {count.CROWD_POWER + power:.3f}")
    print("LEFT_VARIANCE, SPLIT_VARIANCE, UNHEARD_VARIANCE", variances(left, tracks, heard).round(4))
    print(f"errors: {error.std():.3f}, left {left.std():.3f}")
    for name, held, of in strata(found):
        print(f"{name:24s} {of:5d} {held:.3f}")
    for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)):
        part = left[(heard > low) & (heard <= high)]
        print(f"heard {low} to {high}: {len(part)} windows, off by {part.mean():+.3f}, {part.std():.3f}")


def variances(
    left: NDArray[np.float64], tracks: NDArray[np.float64], heard: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The three for which 5 % lie beyond either end (pinball loss)."""

    def loss(log_v: NDArray[np.float64]) -> float:
        v = np.exp(log_v)
        reach = count.Z90 * np.sqrt(v[0] + v[1] / tracks + v[2] * (1 - heard))
        over, under = left - reach - count.UNHEARD_LOG, left + count.LOWER * reach + count.FRAGMENT_LOG
        return float((np.where(over > 0, 0.95, -0.05) * over + np.where(under > 0, 0.05, -0.95) * under).mean())

    start = np.log([count.LEFT_VARIANCE, count.SPLIT_VARIANCE, count.UNHEARD_VARIANCE])
    return np.asarray(np.exp(minimize(loss, start, method="Nelder-Mead").x))


if __name__ == "__main__":
    main()
