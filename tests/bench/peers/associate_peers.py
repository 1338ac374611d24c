"""Clustering of bursts (M, features): labels, -1 for noise."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import main

LOOK_S, WINDOW_S = 30, 900  # how often labels are wanted, and of what
ONE_IN = 5  # looks measured, the middle one of each so many: the mean of their windows is that of all
ONCE, CURRENT = "scikit-learn HDBSCAN", "HDBSCAN each 30 s"


def by_hdbscan(path: Path) -> Callable[[], np.ndarray]:
    """The usual baseline: by element class and level, density-based, no time."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    features = np.load(path)["features"]
    warnings.simplefilter("ignore")  # of parameters that will change their defaults
    return lambda: HDBSCAN(min_cluster_size=3).fit(features).labels_


def kept_current(path: Path) -> Callable[[], np.ndarray]:
    """The same for labels of the last quarter of an hour, wanted at every half minute: one in five of these."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    given = np.load(path)
    features, last_s = given["features"], given["last_s"]
    looks_s = np.arange(LOOK_S * (ONE_IN // 2 + 1), last_s.max() + LOOK_S, LOOK_S * ONE_IN)
    windows = [features[(last_s >= look_s - WINDOW_S) & (last_s < look_s)] for look_s in looks_s]
    warnings.simplefilter("ignore")
    return lambda: [HDBSCAN(min_cluster_size=3).fit(window).labels_ for window in windows][-1]


if __name__ == "__main__":
    peers = {ONCE: ("scikit-learn", by_hdbscan), CURRENT: ("scikit-learn", kept_current)}
    main(peers, one_in=ONE_IN if sys.argv[1] == CURRENT else 1)
