"""Fits P(entrant) to simulated shops that no test scores: `python -m tests.accuracy.fit_entrant`, half a minute."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hostkit.core import dwell
from hostkit.model import Thresholds
from tests.accuracy.shops import FIT_SEEDS, Shop, shop

STRAY = 1e-9  # keeps log odds finite


def columns(shops: Iterable[Shop]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Features (V, 3) of `p_entrant`, whether the owner entered, and p."""
    shops = tuple(shops)
    visits = [visit for one in shops for visit in one.events.visits]
    p = np.clip([visit.p_entrant for visit in visits], STRAY, 1 - STRAY)
    features = dwell.entrant_features([visit.dwell_s.mid for visit in visits], np.ones(len(p)), Thresholds())
    # Visits do not tell P(inside): it follows from p.
    features[:, 2] = (np.log(p / (1 - p)) - features[:, :2] @ dwell.ENTRANT[:2]) / dwell.ENTRANT[2]
    return features, np.concatenate([one.entered for one in shops]), p


def loss(weights: NDArray[np.float64], features: NDArray[np.float64], entered: NDArray[np.bool_]) -> float:
    """Mean log loss."""
    logit = features @ weights
    return float((np.logaddexp(0, logit) - entered * logit).mean())


def fit(shops: Iterable[Shop]) -> NDArray[np.float64]:
    features, entered, _ = columns(shops)
    return np.asarray(minimize(loss, np.zeros(3), (features, entered)).x)


if __name__ == "__main__":
    print(f"fitted {fit(map(shop, FIT_SEEDS)).round(2)}, shipped {dwell.ENTRANT}")
