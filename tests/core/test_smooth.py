"""Smoothing along a visit: equal to a dense forward-backward pass in double precision, defined for any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hostkit.core._smooth import smooth

TINY = 1e-12
STAY_S = 300.0


def dense(
    posterior: NDArray[np.float64], prior: NDArray[np.float64], time_s: NDArray[np.float64], stay_s: float
) -> NDArray[np.float64]:
    """One visit, with the whole transition matrix (Rabiner 1989, scaled at each step)."""
    evidence = posterior / prior + TINY
    rows, states = posterior.shape
    forward, backward = np.empty((rows, states)), np.ones((rows, states))
    forward[0] = prior * evidence[0]
    forward[0] /= forward[0].sum()
    moves = []
    for gap_s in np.diff(time_s):
        stay = np.exp(-gap_s / stay_s)
        moves.append(stay * np.eye(states) + (1 - stay) * np.tile(prior, (states, 1)))
    for i, move in enumerate(moves):
        forward[i + 1] = (forward[i] @ move) * evidence[i + 1]
        forward[i + 1] /= forward[i + 1].sum()
    for i in reversed(range(rows - 1)):
        backward[i] = moves[i] @ (evidence[i + 1] * backward[i + 1])
        backward[i] /= backward[i].max()
    both = forward * backward
    return both / both.sum(axis=1, keepdims=True)


def random_visits(seed: int, rows: int = 60, states: int = 4) -> tuple[NDArray[np.float32], ...]:
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(states)).astype(np.float32) + np.float32(0.01)
    posterior = rng.dirichlet(np.full(states, 0.3), rows).astype(np.float32)
    visit = np.sort(rng.integers(0, 5, rows)).astype(np.int32)
    return posterior, prior / prior.sum(), np.cumsum(rng.exponential(100.0, rows)), visit


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_dense_pass_visit_by_visit(seed: int) -> None:
    posterior, prior, time_s, visit = random_visits(seed)
    result = smooth(posterior, prior, time_s, visit, STAY_S)
    for number in np.unique(visit):
        own = visit == number
        expected = dense(posterior[own].astype(float), prior.astype(float), time_s[own], STAY_S)
        np.testing.assert_allclose(result[own], expected, rtol=2e-4, atol=2e-6)
    assert np.abs(result - posterior).max() > 0.1  # it does something


def test_one_scan_keeps_its_posterior() -> None:
    posterior, prior, time_s, _ = random_visits(1)
    alone = smooth(posterior, prior, time_s, np.arange(len(posterior), dtype=np.int32), STAY_S)
    np.testing.assert_allclose(alone, posterior, atol=1e-6)


def test_long_gaps_forget_and_short_ones_remember() -> None:
    posterior = np.array([[0.99, 0.01], [0.4, 0.6]], np.float32)
    prior = np.array([0.5, 0.5], np.float32)
    visit = np.zeros(2, np.int32)
    far = smooth(posterior, prior, np.array([0.0, 1e6]), visit, STAY_S)
    near = smooth(posterior, prior, np.array([0.0, 1.0]), visit, STAY_S)
    np.testing.assert_allclose(far, posterior, atol=1e-6)
    assert near[1, 0] > 0.95


def test_a_time_shift_and_renamed_states_change_nothing_else() -> None:
    posterior, prior, time_s, visit = random_visits(2)
    expected = smooth(posterior, prior, time_s, visit, STAY_S)
    np.testing.assert_allclose(smooth(posterior, prior, time_s + 1.7e9, visit, STAY_S), expected, atol=1e-5)
    order = np.array([2, 0, 3, 1])
    turned = smooth(np.ascontiguousarray(posterior[:, order]), prior[order], time_s, visit, STAY_S)
    np.testing.assert_allclose(turned, expected[:, order], atol=1e-5)


def test_nothing_gives_nothing() -> None:
    empty = smooth(np.empty((0, 3), np.float32), np.ones(3, np.float32), np.empty(0), np.empty(0, np.int32), STAY_S)
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("broken", ["prior", "time_s", "visit"])
def test_refuses_columns_that_do_not_fit(broken: str) -> None:
    posterior, prior, time_s, visit = random_visits(3)
    columns = {"prior": prior, "time_s": time_s, "visit": visit}
    columns[broken] = columns[broken][:-1]
    with pytest.raises(ValueError, match="do not fit"):
        smooth(posterior, columns["prior"], columns["time_s"], columns["visit"], STAY_S)


@pytest.mark.parametrize("bad", [0.0, -0.5, np.nan])
def test_refuses_a_prior_that_is_none(bad: float) -> None:
    posterior, prior, time_s, visit = random_visits(3)
    prior[1] = bad
    with pytest.raises(ValueError, match="prior"):
        smooth(posterior, prior, time_s, visit, STAY_S)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_a_scan_that_says_nothing_is_placed_by_its_neighbours(nothing: float) -> None:
    posterior = np.array([[0.9, 0.1], [nothing, nothing], [0.9, 0.1]], np.float32)
    prior = np.array([0.5, 0.5], np.float32)
    result = smooth(posterior, prior, np.array([0.0, 10.0, 20.0]), np.zeros(3, np.int32), STAY_S)
    assert np.isfinite(result).all()
    assert (result[:, 0] > 0.9).all()
    alone = smooth(posterior[1:2], prior, np.zeros(1), np.zeros(1, np.int32), STAY_S)
    np.testing.assert_allclose(alone, [[0.5, 0.5]], atol=1e-6)


def test_certain_scans_that_contradict_each_other_at_once_give_numbers() -> None:
    rows = np.tile(np.eye(2, dtype=np.float32), (200, 1))
    result = smooth(rows, np.array([0.5, 0.5], np.float32), np.zeros(400), np.zeros(400, np.int32), STAY_S)
    one_sided = smooth(
        np.repeat(np.eye(2, dtype=np.float32), 200, 0),
        np.full(2, 0.5, np.float32),
        np.zeros(400),
        np.zeros(400, np.int32),
        STAY_S,
    )
    for each in (result, one_sided):
        np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-5)


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.float32, (12, 3), elements=st.one_of(st.floats(0, 1, width=32), st.just(np.float32(np.nan)))),
    arrays(np.float64, 12, elements=st.floats(0, 1e6)),
    arrays(np.int32, 12, elements=st.integers(0, 2)),
)
def test_any_input_gives_probabilities(
    posterior: NDArray[np.float32], gaps_s: NDArray[np.float64], visit: NDArray[np.int32]
) -> None:
    prior = np.array([0.9, 0.099, 0.001], np.float32)
    result = smooth(posterior, prior, np.cumsum(gaps_s), np.sort(visit), STAY_S)
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-4)
