"""Figures of simulated shops against truth, beside what one would do without them. Fitted on some, scored on others."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from hostkit.core import dwell
from hostkit.model import Thresholds
from tests.accuracy.shops import FIT_SEEDS, SCORE_SEEDS, Shop, shop

STRAY = 1e-4  # keeps log odds finite


def features(shops: list[Shop]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Columns 1, x, z of `p_entrant`, whether the owner entered, and p."""
    visits = [visit for one in shops for visit in one.events.visits]
    p = np.clip([visit.p_entrant for visit in visits], STRAY, 1 - STRAY)
    x = np.log(np.maximum([visit.dwell_s.mid for visit in visits], 1) / Thresholds().entrant_min_s)
    a, b, c = dwell.ENTRANT
    z = np.clip((np.log(p / (1 - p)) - a - b * x) / c, -1, 1)
    return np.column_stack([np.ones(len(p)), x, z]), np.concatenate([one.entered for one in shops]), p


def test_the_entrant_constants_are_those_of_the_fit() -> None:
    columns, entered, _ = features([shop(seed) for seed in FIT_SEEDS])

    def loss(b: NDArray[np.float64]) -> float:
        return float((np.logaddexp(0, columns @ b) - entered * (columns @ b)).mean())

    fitted = minimize(loss, np.zeros(3)).x
    print(f"\nfit {fitted.round(2)}, shipped {dwell.ENTRANT}")
    assert fitted == pytest.approx(dwell.ENTRANT, abs=0.25)


def test_entrants_are_told_better_than_by_time_or_place_alone() -> None:
    columns, entered, p = features([shop(seed) for seed in SCORE_SEEDS])
    auc = {
        "p_entrant": roc_auc_score(entered, p),
        "dwell alone": roc_auc_score(entered, columns[:, 1]),
        "place alone": roc_auc_score(entered, columns[:, 2]),
    }
    bins = np.minimum((p * 10).astype(int), 9)
    ece = sum(abs((p - entered)[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any())
    print(f"\nECE {ece:.3f}, area under the ROC: " + ", ".join(f"{name} {area:.3f}" for name, area in auc.items()))
    assert auc["p_entrant"] > max(auc["dwell alone"], auc["place alone"])
    assert ece < 0.1
    assert abs(p.sum() / entered.sum() - 1) < 0.15


def errors(kpi: str, of: str | None = None) -> NDArray[np.float64]:
    rows = [row for seed in SCORE_SEEDS for row in shop(seed).rows if row.id == kpi and row.of == of]
    return np.array([row.error for row in rows], float)


@pytest.mark.parametrize(
    ("kpi", "mean_error"),
    [("footfall", 0.25), ("passersby", 0.25), ("dwell_mean", 0.3), ("capture_rate", 0.08), ("deep_visit_rate", 0.2)],
)
def test_figures_are_near_the_truth(kpi: str, mean_error: float) -> None:
    found = errors(kpi)
    print(f"\n{kpi}: errors {found.round(3)}")
    assert len(found) == len(SCORE_SEEDS)
    assert np.abs(found).mean() < mean_error


def test_counting_addresses_is_far_worse() -> None:
    by_address = [shop(seed).totals.addresses / len(shop(seed).simulation.people) - 1 for seed in SCORE_SEEDS]
    by_device = [(shop(seed).totals.devices.value or 0) / len(shop(seed).simulation.people) - 1 for seed in SCORE_SEEDS]
    print(f"\npeople near the shop, error of addresses {np.round(by_address, 2)}, of devices {np.round(by_device, 2)}")
    assert np.mean(np.abs(by_address)) > 1
    assert np.mean(np.abs(by_device)) < 0.35


def test_nine_in_ten_intervals_hold_the_truth() -> None:
    scored = [row for seed in SCORE_SEEDS for row in shop(seed).rows if row.covered is not None]
    held = np.mean([row.covered for row in scored])
    missed = sorted({f"{row.id} {row.of or ''}" for row in scored if not row.covered})
    print(f"\n{held:.3f} of {len(scored)} intervals hold the truth; missed: {', '.join(missed)}")
    assert held >= 0.85


def test_zone_shares_beat_floor_space() -> None:
    ours, naive = [], []
    for seed in SCORE_SEEDS:
        rows = [row for row in shop(seed).rows if row.id == "zone_share"]
        assert sum(row.measured or 0 for row in rows) == pytest.approx(1, abs=0.02)
        ours += [abs(row.error or 0) for row in rows]
        naive += [abs((row.truth or 0) - 1 / len(rows)) for row in rows]
    print(f"\nmean error of a zone's share {np.mean(ours):.3f}; all zones alike {np.mean(naive):.3f}")
    assert np.mean(ours) < 0.75 * np.mean(naive)
