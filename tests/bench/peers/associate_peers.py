"""Clustering of bursts (M, features): labels, -1 for noise."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import main


def by_hdbscan(path: Path) -> Callable[[], np.ndarray]:
    """The usual baseline: by element class and level, density-based, no time."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    features = np.load(path)["features"]
    warnings.simplefilter("ignore")  # of parameters that will change their defaults
    return lambda: HDBSCAN(min_cluster_size=3).fit(features).labels_


if __name__ == "__main__":
    main({"scikit-learn HDBSCAN": ("scikit-learn", by_hdbscan)})
