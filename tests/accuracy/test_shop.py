"""Figures of simulated shops against truth, beside what one would do without them. Fitted on some, scored on others."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from hostkit.core import dwell
from tests.accuracy.fit_entrant import columns, fit, loss
from tests.accuracy.shops import SCORE_SEEDS, Shop, shop


def scored() -> list[Shop]:
    return [shop(seed) for seed in SCORE_SEEDS]


def test_the_entrant_constants_are_as_good_as_fitted_to_what_they_are_scored_on() -> None:
    features, entered, _ = columns(scored())
    fitted = fit(scored())
    losses = [loss(np.array(weights), features, entered) for weights in (dwell.ENTRANT, fitted)]
    print(f"\nshipped {dwell.ENTRANT}, fitted here {fitted.round(2)}: log loss {losses[0]:.4f}, {losses[1]:.4f}")
    assert losses[0] <= losses[1] + 0.01


def test_entrants_are_told_better_than_by_time_or_place_alone() -> None:
    features, entered, p = columns(scored())
    auc = {
        "p_entrant": roc_auc_score(entered, p),
        "dwell alone": roc_auc_score(entered, features[:, 1]),
        "place alone": roc_auc_score(entered, features[:, 2]),
    }
    f1 = f1_score(entered, p >= 0.5)
    by_minute = f1_score(entered, features[:, 1] > np.log(2))
    print(f"\n{len(p)} visits, F1 {f1:.3f}, over two minutes alone {by_minute:.3f}; area under the ROC: "
          + ", ".join(f"{name} {area:.3f}" for name, area in auc.items()))  # fmt: skip
    assert auc["p_entrant"] > max(auc["dwell alone"], auc["place alone"]) + 0.01
    assert f1 > max(by_minute, 0.77)


def test_an_entrant_probability_is_the_share_that_entered() -> None:
    _, entered, p = columns(scored())
    bins = np.minimum((p * 10).astype(int), 9)
    print("\n p    visits  said  entered")
    for b in np.unique(bins):
        print(f"{b / 10:.1f}{(bins == b).sum():9d}{p[bins == b].mean():7.2f}{entered[bins == b].mean():8.2f}")
    ece = sum(abs((p - entered)[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    print(f"ECE {ece:.3f}; {p.sum():.0f} expected, {entered.sum()} entered")
    assert ece < 0.04
    assert abs(p.sum() / entered.sum() - 1) < 0.1


def errors(kpi: str, of: str | None = None) -> NDArray[np.float64]:
    rows = [row for seed in SCORE_SEEDS for row in shop(seed).rows if row.id == kpi and row.of == of]
    return np.array([row.error for row in rows], float)


@pytest.mark.parametrize(
    ("kpi", "mean_error"),
    [
        ("footfall", 0.25),
        ("passersby", 0.25),
        ("dwell_mean", 0.3),
        ("dwell_median", 0.25),
        ("bounce_rate", 0.06),
        ("capture_rate", 0.08),
        ("deep_visit_rate", 0.2),
    ],
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
