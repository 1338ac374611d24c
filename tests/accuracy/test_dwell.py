"""Dwell and entrants against truth, beside what one would do without them."""

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dwell import Segmenter, dwell_summary
from hostkit.model import Thresholds
from tests.accuracy.visits import simulate

THRESHOLDS = Thresholds()


def test_dwell_of_heard_entrants_is_right_within_eight_per_cent() -> None:
    sample = simulate(12, 40_000, edge_intervals=2.0)
    inside = sample.entrant
    truth = sample.dwell_s[inside]
    want = np.array([truth.mean(), np.median(truth), np.quantile(truth, 0.9)])
    found = dwell_summary(sample.lo_s[inside], sample.hi_s[inside])
    values = np.array([found.mean.value, found.median.value, found.p90.value])
    first_to_last = sample.lo_s[inside]
    naive = np.array([first_to_last.mean(), np.median(first_to_last), np.quantile(first_to_last, 0.9)])
    print(f"\ndwell mean, median, p90: true {want} s, error {values / want - 1}, last - first {naive / want - 1}")
    assert np.abs(values / want - 1).max() <= 0.08
    assert np.abs(naive / want - 1).max() > 0.2


def test_interval_of_the_dwell_figures_covers_the_truth() -> None:
    """Known distribution, exact bounds, 80 samples of 150: 90 % intervals hold the truth."""
    rng, hits = np.random.default_rng(5), np.zeros(3)
    want = 480 * np.exp([0.9**2 / 2, 0.0, 0.9 * 1.2815515655446004])
    for _ in range(80):
        duration = rng.lognormal(np.log(480), 0.9, 150)
        before, after = rng.exponential(60, (2, 150))
        lost = rng.exponential(60, (2, 150)).sum(axis=0)
        lo = np.maximum(duration - lost, 0)
        found = dwell_summary(lo, duration + before + after)
        hits += [e.low <= t <= e.high for e, t in zip((found.mean, found.median, found.p90), want, strict=True)]
    print(f"\ncoverage of mean, median, p90: {hits / 80}")
    assert (hits / 80 >= 0.8).all()
    assert (hits / 80 <= 0.985).all()


def intervals_f1(found: list[tuple[float, float]], true: list[tuple[float, float]]) -> tuple[int, int, int]:
    """Matches at IoU ≥ 0.5, found, true."""
    matches = 0
    for a, b in true:
        for c, d in found:
            overlap = min(b, d) - max(a, c)
            if overlap > 0 and overlap / (max(b, d) - min(a, c)) >= 0.5:
                matches += 1
                break
    return matches, len(found), len(true)


def test_stays_are_found_among_walks() -> None:
    """300 devices pause and walk, fixes every 20 s with 2.5 m noise; runs in one square of a grid are the baseline."""
    rng = np.random.default_rng(9)
    score, naive, spans = np.zeros(3), np.zeros(3), []
    for _ in range(300):
        t, place, now, true, at = [], [], 0.0, [], rng.uniform(0, 80, 2)
        for _ in range(6):
            stay = rng.lognormal(np.log(400), 0.6)
            true.append((now, now + stay))
            to = rng.uniform(0, 80, 2)
            walk = np.linalg.norm(to - at) / 0.8
            for offset in np.arange(0, stay + walk, 20.0):
                t.append(now + offset)
                place.append(at + (to - at) * max(0.0, (offset - stay) / walk))
            now, at = now + np.ceil((stay + walk) / 20) * 20, to
        place = np.array(place) + rng.normal(0, 2.5, (len(t), 2))
        time_us = (np.array(t) * 1e6).astype(np.int64)
        it = Segmenter(8.0, 120.0, 1200.0)
        stays = [it.update(np.zeros(len(t), np.int32), time_us, place[:, 0].copy(), place[:, 1].copy()), it.flush()]
        found = [(s["start_us"] / 1e6, s["end_us"] / 1e6) for s in np.concatenate(stays)]
        true = [(a, b) for a, b in true if b - a >= 120]
        score += intervals_f1(found, true)
        naive += intervals_f1(same_bin_runs(np.array(t), place), true)
        spans.append((sum(b - a for a, b in found), sum(b - a for a, b in true)))
    result, baseline = (2 * s[0] / (s[1] + s[2]) for s in (score, naive))
    bias = np.sum(spans, axis=0)
    print(f"\nstays: F1 {result:.3f} (16 m squares {baseline:.3f}), dwell {bias[0] / bias[1] - 1:+.1%}")
    assert result >= 0.96
    assert result > baseline + 0.1
    assert abs(bias[0] / bias[1] - 1) <= 0.03


def same_bin_runs(t: NDArray[np.float64], place: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Runs of at least 120 s in one 16 m square."""
    square = (place // 16) @ [1000, 1]
    cuts = np.flatnonzero(np.diff(square, prepend=np.nan) != 0)
    ends = np.append(cuts[1:], len(t)) - 1
    return [(t[a], t[b]) for a, b in zip(cuts, ends, strict=True) if t[b] - t[a] >= 120]
