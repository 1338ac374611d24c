"""Scores against scikit-learn's and scipy's, and what each must be by its definition."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn import metrics

from hostkit.evaluate.scores import assign, score


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_scikit_learn_and_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 400))
    truth, predicted = (rng.integers(0, int(rng.integers(1, most)), count) for most in (30, 60))
    ours = score(truth, predicted)
    theirs = metrics.homogeneity_completeness_v_measure(truth, predicted)
    np.testing.assert_allclose([ours.homogeneity, ours.completeness, ours.v_measure], theirs, atol=1e-12)
    assert ours.ari == pytest.approx(metrics.adjusted_rand_score(truth, predicted), abs=1e-12)
    common = metrics.cluster.contingency_matrix(truth, predicted)
    assert ours.idf1 == pytest.approx(common[linear_sum_assignment(-common)].sum() / count, abs=1e-12)
    union = common.sum(1, keepdims=True) + common.sum(0) - common
    assert ours.hota == pytest.approx(np.sqrt((common**2 / union).sum() / count), abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_the_assignment_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 30))
    columns = rows + int(rng.integers(0, 30))
    gain = rng.integers(0, 50, (rows, columns)) * (rng.random((rows, columns)) < rng.random())
    chosen = assign(gain.astype(np.float64))
    assert len(set(chosen.tolist())) == rows
    assert gain[np.arange(rows), chosen].sum() == gain[linear_sum_assignment(-gain)].sum()


def test_names_of_identities_mean_nothing() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 9, 200), rng.integers(0, 12, 200)
    renamed = score(100 - truth, predicted * 7 + 3)
    assert asdict(renamed) == pytest.approx(asdict(score(truth, predicted)), abs=1e-12)


def test_a_perfect_prediction_and_one_device() -> None:
    truth = np.array([3, 3, 5, 5, 5])
    perfect = score(truth, truth)
    assert (perfect.homogeneity, perfect.completeness, perfect.ari, perfect.idf1, perfect.hota) == (1, 1, 1, 1, 1)
    assert perfect.id_switches == 0
    split = score(np.zeros(4, np.int64), np.array([1, 1, 2, 1]))
    assert (split.homogeneity, split.completeness, split.idf1, split.id_switches) == (1, 0, 0.75, 2)


def test_switches_are_counted_per_device_in_order_of_time() -> None:
    truth = np.array([0, 1, 0, 1, 0])
    assert score(truth, np.array([7, 8, 7, 8, 7])).id_switches == 0
    assert score(truth, np.array([7, 8, 8, 8, 7])).id_switches == 2
