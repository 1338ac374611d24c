"""Timelines of zones and their scores, on cases one can count by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.evaluate import timeline
from hostkit.evaluate.timeline import NOWHERE, Stay, Timeline


def stay(zone: int, enter_s: float, leave_s: float) -> Stay:
    return Stay(zone=zone, enter_s=enter_s, leave_s=leave_s)


TRUTH = (stay(0, 0, 20), stay(1, 20, 60), stay(0, 60, 100))


def over_truth(*found: Stay) -> Timeline:
    return timeline.of_stays(found, timeline.span(TRUTH))


def scored(*found: Stay) -> timeline.Score:
    return timeline.score(over_truth(*found), over_truth(*TRUTH))


def test_the_truth_scores_full_marks() -> None:
    score = scored(*TRUTH)
    assert (score.transitions, score.transitions_true, score.f1_iou50, score.side_accuracy) == (2, 2, 1.0, 1.0)
    assert (score.enter_error_s, score.leave_error_s) == pytest.approx((0, 0), abs=1e-9)


def test_errors_leave_out_the_ends_of_the_span() -> None:
    score = scored(stay(0, -50, 21), stay(1, 21, 57), stay(0, 57, 300))
    assert score.enter_error_s == pytest.approx(2.0)  # 1 and 3 s
    assert score.leave_error_s == pytest.approx(2.0)
    assert score.side_accuracy == pytest.approx(0.96)


def test_flips_are_changes_and_break_stays() -> None:
    score = scored(stay(0, 0, 20), stay(1, 20, 45), stay(0, 45, 46), stay(1, 46, 60), stay(0, 60, 100))
    assert score.transitions == 4
    assert score.f1_iou50 == pytest.approx(2 * 3 / (5 + 3))  # 25 of 40 s are enough, 14 and 1 are not


def test_nothing_found_is_half_right_and_undefined_elsewhere() -> None:
    score = scored()
    assert (score.transitions, score.f1_iou50, score.side_accuracy) == (0, 0.0, 0.0)
    assert (score.enter_error_s, score.leave_error_s) == (None, None)


def test_a_short_time_in_no_zone_belongs_to_the_change_and_a_long_one_does_not() -> None:
    assert scored(stay(0, 0, 18), stay(1, 22, 60), stay(0, 60, 100)).transitions == 2
    assert scored(stay(0, 0, 17), stay(1, 23, 60), stay(0, 60, 100)).transitions == 3
    assert timeline.stays(over_truth(stay(0, 0, 18), stay(1, 22, 60)))[0].leave_s == pytest.approx(20)


def test_a_stay_matches_once() -> None:
    score = scored(stay(0, 0, 20), stay(1, 20, 40), stay(1, 46, 60), stay(0, 60, 100))
    assert score.f1_iou50 == pytest.approx(2 * 3 / 7)


def test_a_stay_that_is_far_too_long_matches_nothing() -> None:
    assert scored(stay(1, 0, 100)).f1_iou50 == 0.0  # 40 s shared of 100


def test_changes_hold_until_the_next_and_nothing_is_known_before_the_first() -> None:
    found = timeline.of_changes(np.array([10.0, 20.0]), np.array([1, 0], np.int16), timeline.span(TRUTH))
    assert [(s.zone, round(s.enter_s, 6), round(s.leave_s, 6)) for s in timeline.stays(found)] == [
        (1, 10, 20),
        (0, 20, 100),
    ]
    assert found.zone[0] == NOWHERE


def test_a_long_span_is_looked_at_less_finely() -> None:
    long = (stay(0, 0, 1e7), stay(1, 1e7, 3e7))
    assert len(timeline.span(long)) == timeline.MAX_STEPS
    assert timeline.score(*[timeline.of_stays(long, timeline.span(long))] * 2).transitions == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.5, 20)), min_size=1, max_size=20), st.floats(-1e6, 1e6))
def test_a_timeline_gives_back_its_stays_whenever_it_was(parts: list[tuple[int, float]], shift: float) -> None:
    edges = np.concatenate(([0], np.cumsum([length for _, length in parts])))
    given_ = [stay(zone, edges[i], edges[i + 1]) for i, (zone, _) in enumerate(parts)]
    moved = [stay(s.zone, s.enter_s + shift, s.leave_s + shift) for s in given_]
    lines = [timeline.of_stays(stays, timeline.span(stays)) for stays in (given_, moved)]
    assert np.count_nonzero(lines[0].zone != lines[1].zone) <= len(edges)  # a sample may lie on an edge
    want = [zone for i, (zone, _) in enumerate(parts) if i == 0 or parts[i - 1][0] != zone]
    assert [s.zone for s in timeline.stays(lines[0])] == want
