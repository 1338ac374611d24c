"""Which zone when, and how well one account of it agrees with another. Knows no radio."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1
STEP_S = 0.1
MAX_STEPS = 1 << 21  # 58 h at 0.1 s; longer spans are looked at less finely
# A doorway or an aisle may belong to neither zone beside it: less than this without a zone is part of the change.
CHANGE_S = 5.0
IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """From `enter_s` until `leave_s` in zone number `zone`."""

    zone: int
    enter_s: float
    leave_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Agreement with the truth, all within its span.

    transitions: changes of zone. f1_iou50: stays that share half of their union with a true one. enter_error_s,
    leave_error_s: median absolute error over those, the span's own ends left out. side_accuracy: share of time whose
    zone, or none, is right. None where nothing can be said.
    """

    transitions: int
    transitions_true: int
    f1_iou50: float | None
    enter_error_s: float | None
    leave_error_s: float | None
    side_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Number of the zone or NOWHERE at even times (T,)."""

    time_s: NDArray[np.float64]
    zone: NDArray[np.int16]

    @property
    def step_s(self) -> float:
        """Distance of two times."""
        return float(self.time_s[1] - self.time_s[0])


def span(stays: Sequence[Stay]) -> NDArray[np.float64]:
    """Even times (T,), at least two, from the first entry until the last exit of at least one stay."""
    start_s, end_s = min(stay.enter_s for stay in stays), max(stay.leave_s for stay in stays)
    steps = int(np.clip(round((end_s - start_s) / STEP_S), 2, MAX_STEPS))
    return np.asarray(start_s + (np.arange(steps) + 0.5) * ((end_s - start_s) / steps), np.float64)


def of_stays(stays: Sequence[Stay], time_s: NDArray[np.float64]) -> Timeline:
    """Timeline of stays; where they overlap the later entry counts."""
    zone = np.full(len(time_s), NOWHERE, np.int16)
    for stay in sorted(stays, key=lambda stay: stay.enter_s):
        first, last = np.searchsorted(time_s, (stay.enter_s, stay.leave_s))
        zone[first:last] = stay.zone
    return Timeline(time_s=time_s, zone=_bridged(zone, time_s))


def of_changes(changed_s: NDArray[np.float64], zone: NDArray[np.int16], time_s: NDArray[np.float64]) -> Timeline:
    """Timeline of a zone (C,) that holds from each of the rising times `changed_s` (C,) to the next."""
    at = np.searchsorted(changed_s, time_s, side="right") - 1
    held = np.where(at >= 0, zone[np.maximum(at, 0)], NOWHERE).astype(np.int16)
    return Timeline(time_s=time_s, zone=_bridged(held, time_s))


def stays(timeline: Timeline) -> list[Stay]:
    """Stays of a timeline, in order."""
    edges = _edges(timeline.zone)
    edges_s = timeline.time_s[0] + (edges - 0.5) * timeline.step_s
    return [
        Stay(zone=int(timeline.zone[begin]), enter_s=float(begin_s), leave_s=float(end_s))
        for begin, begin_s, end_s in zip(edges[:-1].tolist(), edges_s[:-1], edges_s[1:], strict=True)
        if timeline.zone[begin] != NOWHERE
    ]


def score(found: Timeline, truth: Timeline) -> Score:
    """Score a timeline against the true one over the same times."""
    ours, true = stays(found), stays(truth)
    pairs = _matches(ours, true)
    half_s = truth.step_s / 2
    begin_s, end_s = truth.time_s[0] + half_s, truth.time_s[-1] - half_s
    enter = [abs(ours[a].enter_s - true[b].enter_s) for a, b in pairs if true[b].enter_s > begin_s]
    leave = [abs(ours[a].leave_s - true[b].leave_s) for a, b in pairs if true[b].leave_s < end_s]
    return Score(
        transitions=len(_edges(found.zone)) - 2,
        transitions_true=len(_edges(truth.zone)) - 2,
        f1_iou50=2 * len(pairs) / (len(ours) + len(true)),
        enter_error_s=float(np.median(enter)) if enter else None,
        leave_error_s=float(np.median(leave)) if leave else None,
        side_accuracy=float((found.zone == truth.zone).mean()),
    )


def _matches(ours: Sequence[Stay], true: Sequence[Stay]) -> list[tuple[int, int]]:
    """Pairs in one zone with an intersection of at least half the union, each stay in one pair, best first."""
    candidates = []
    ours_enter, ours_leave = (np.array([getattr(stay, name) for stay in ours]) for name in ("enter_s", "leave_s"))
    ours_zone = np.array([stay.zone for stay in ours])
    for b, stay in enumerate(true):
        shared = np.minimum(ours_leave, stay.leave_s) - np.maximum(ours_enter, stay.enter_s)
        union = np.maximum(ours_leave, stay.leave_s) - np.minimum(ours_enter, stay.enter_s)
        share = np.where(ours_zone == stay.zone, shared / union, 0.0)
        candidates += [(float(share[a]), int(a), b) for a in np.flatnonzero(share >= IOU)]
    pairs: dict[int, int] = {}
    for _, a, b in sorted(candidates, reverse=True):
        if a not in pairs and b not in pairs.values():
            pairs[a] = b
    return list(pairs.items())


def _bridged(zone: NDArray[np.int16], time_s: NDArray[np.float64]) -> NDArray[np.int16]:
    """Split less than CHANGE_S of no zone between the zones before and after."""
    zone = zone.copy()
    edges = _edges(zone)
    step_s = time_s[1] - time_s[0]
    for begin, end in zip(edges[1:-2].tolist(), edges[2:-1].tolist(), strict=True):
        if zone[begin] == NOWHERE and (end - begin) * step_s < CHANGE_S:
            middle = (begin + end) // 2
            zone[begin:middle], zone[middle:end] = zone[begin - 1], zone[end]
    return zone


def _edges(zone: NDArray[np.int16]) -> NDArray[np.intp]:
    """Where runs begin, and the end of the last one."""
    return np.concatenate(([0], np.flatnonzero(np.diff(zone)) + 1, [len(zone)]))
