"""Association of real phones, superposed, against counting addresses: constants from one half, scores of the other."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import homogeneity_completeness_v_measure

from hostkit.core.associate import Tracker, revise
from hostkit.core.bins import BinCounter
from hostkit.evaluate.mix import Mix, superpose
from hostkit.evaluate.read import read_input
from tests.accuracy.crowd import PROBES_M, WINDOW_S, crowd, recordings
from tests.accuracy.limits import OURS, TIMERS, VARIANTS, joined, limits

SEEDS = range(10, 14)
FOREVER_US = 1 << 60
WINDOW_US = WINDOW_S * 1_000_000


@pytest.fixture(scope="module")
def other_half(realdata: Path) -> list:
    """The phones that the constants were not chosen on: every second one by name, from the second."""
    loaded = recordings(realdata)
    names = sorted({recording.phone for recording in loaded})[1::2]
    return [recording for recording in loaded if recording.phone in names]


def score(recordings_: list, *, phones: int, seed: int, moving: bool) -> np.ndarray:
    """Homogeneity, completeness, V over frames; log errors of tracks, of the count and its ends, of addresses."""
    rows, label = crowd(recordings_, phones=phones, seed=seed, moving=moving)
    tracker = Tracker(len(PROBES_M))
    bins = BinCounter(bin_us=WINDOW_US, begin_us=0, end_us=WINDOW_US, rotated=False, probes_expected=len(PROBES_M))
    bursts = tracker.feed(rows)[0]
    revise(bursts, tracker.revisions)
    bursts = np.concatenate([bursts, tracker.advance(FOREVER_US)[0]])
    revise(bursts, tracker.revisions)
    bins.add_sightings(rows)
    bins.add_bursts(bursts)
    count = bins.finish(WINDOW_US, tracker.track_table()["first_us"], np.empty(0, np.uint32))[0].devices
    keys, address = np.unique(rows["device_key"], return_inverse=True)
    ours = homogeneity_completeness_v_measure(label, tracker.tracks_of(keys)[address])
    figures = (tracker.tracks, count.value, count.low, count.high, len(keys))
    return np.array([*ours, *np.log(np.array(figures, float) / len(np.unique(label)))])


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("phones", "moving", "v_at_least", "count_error"),
    [
        (8, True, 0.9, 0.6),
        (30, True, 0.86, 0.2),
        (30, False, 0.88, 0.2),
        (104, True, 0.87, 0.1),
        (104, False, 0.92, 0.2),
    ],
)
def test_the_count_is_that_of_phones(
    other_half: list, phones: int, moving: bool, v_at_least: float, count_error: float
) -> None:
    homogeneity, completeness, v, tracks, count, _, _, addresses = np.mean(
        [score(other_half, phones=phones, seed=seed, moving=moving) for seed in SEEDS], axis=0
    )
    print(f"\n{phones} phones of 8 models, {'moving' if moving else 'still'}: count {np.expm1(count):+.0%}, ", end="")
    print(f"tracks {np.expm1(tracks):+.0%}, addresses {np.expm1(addresses):+.0%}; ", end="")
    print(f"homogeneity {homogeneity:.3f}, completeness {completeness:.3f}, V {v:.3f}")
    assert v > v_at_least
    assert abs(np.expm1(count)) < count_error
    assert abs(count) < addresses / 5


@pytest.mark.realdata
@pytest.mark.parametrize("phones", [8, 16, 30])
def test_the_interval_of_a_count_is_as_wide_as_its_error(other_half: list, phones: int) -> None:
    found = np.array([score(other_half, phones=phones, seed=seed, moving=True) for seed in range(20, 40)])
    held = np.mean((found[:, 5] <= 0) & (found[:, 6] >= 0))
    print(f"\n{phones} phones: log errors {found[:, 4].round(2)}; the interval holds {held:.2f}")
    assert held >= 0.8


@pytest.mark.realdata
def test_what_is_missing_is_a_models_element_sets_among_few_and_timers_among_twins(realdata: Path) -> None:
    sets = (read_input(realdata / "derand" / name, None, lambda done, total: None) for name in ("cagliari", "milano"))
    recorded = joined(*sets)
    few, many = (limits(superpose(recorded, Mix(seed=3, clones=clones, moving=True))) for clones in (1, 4))
    print(f"\nV, homogeneity, count error of 17 phones: {few}\nof 68: {many}")
    assert abs(few[VARIANTS][2]) < abs(few[OURS][2]) * 0.75
    assert few[VARIANTS][0] > 0.95
    assert many[OURS][0] < many[TIMERS][0] > 0.95
