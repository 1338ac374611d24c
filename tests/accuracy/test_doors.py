"""`evaluate dwell` at doors, simulated and recorded, beside the zone of the loudest anchor."""

from pathlib import Path

import numpy as np
import pytest

from hostkit.evaluate.dwell import evaluate, read_case
from tests.accuracy.doors import EXPONENT, door_walk
from tests.accuracy.linz import CARS, WALKS, convert


@pytest.mark.parametrize("body_db", [0.0, 5.0])
def test_who_goes_through_a_door_is_counted_as_often_as_it_is_true(body_db: float) -> None:
    errors, right, naive = [], [], []
    for seed in range(4):
        result = evaluate(door_walk(seed, 4, body_db))
        score, loudest = result.score, result.baselines["strongest_anchor"]
        assert (score.transitions, score.f1_iou50) == (score.transitions_true, 1.0)
        assert loudest.transitions > 10 * score.transitions_true
        assert result.followed.levels.exponent == pytest.approx(EXPONENT, abs=0.5)
        errors += [score.enter_error_s or 0, score.leave_error_s or 0]
        right.append(score.side_accuracy)
        naive.append(loudest.side_accuracy)
    print(f"\nbody {body_db} dB: median errors {np.round(errors, 2)} s, time right {np.mean(right):.3f}, "
          f"loudest anchor {np.mean(naive):.3f}")  # fmt: skip
    assert max(errors) <= 1.0
    assert min(right) >= 0.975
    assert np.mean(naive) < 0.95


def test_a_body_is_told_from_none() -> None:
    bodies = [[evaluate(door_walk(seed, 3, db)).followed.levels.body_db for seed in range(3)] for db in (0.0, 8.0)]
    print(f"\nbody of 0 dB taken for {np.round(bodies[0], 1)}, of 8 dB for {np.round(bodies[1], 1)}")
    assert np.mean(bodies[1]) > np.mean(bodies[0]) + 3


@pytest.mark.realdata
@pytest.mark.parametrize("name", WALKS)
def test_recorded_walks_change_zone_as_often_as_is_true(name: str, realdata: Path, tmp_path: Path) -> None:
    files = convert(realdata / "dwell" / "linz-door", name, tmp_path)
    result = evaluate(read_case(files.readings, files.anchors, files.zones, files.truth))
    score, loudest = result.score, result.baselines["strongest_anchor"]
    print(f"\n{name}: {score}\n  loudest anchor: {loudest}")
    assert score.transitions == score.transitions_true == 4
    assert loudest.transitions == 154
    assert score.f1_iou50 == 1.0
    assert max(score.enter_error_s or 0, score.leave_error_s or 0) <= 1.2
    assert score.side_accuracy >= 0.98
    assert loudest.side_accuracy < 0.95


@pytest.mark.realdata
@pytest.mark.parametrize("name", CARS)
def test_recorded_cars_change_zone_as_often_as_is_true(name: str, realdata: Path, tmp_path: Path) -> None:
    """The device is metres from the part of the car that the label speaks of: time right is bound by that."""
    files = convert(realdata / "dwell" / "linz-door", name, tmp_path)
    result = evaluate(read_case(files.readings, files.anchors, files.zones, files.truth))
    score, loudest = result.score, result.baselines["strongest_anchor"]
    print(f"\n{name}: {score}\n  loudest anchor: {loudest}")
    assert score.transitions == score.transitions_true
    assert loudest.transitions >= 67
    assert (score.f1_iou50 or 0) >= 0.9
    assert max(score.enter_error_s or 0, score.leave_error_s or 0) <= 7.0
    assert score.side_accuracy >= loudest.side_accuracy - 0.005
