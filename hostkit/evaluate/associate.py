"""Scores association on frames with known senders: the product's tracker, and every baseline beside it.

The unit is the transmission: a frame counts once however many probes heard it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import Tracker, revise
from hostkit.core.bins import BinCounter
from hostkit.errors import InputError
from hostkit.evaluate.baselines import baselines, load
from hostkit.evaluate.labelled import Labelled, transmissions
from hostkit.evaluate.scores import Scores, score
from hostkit.model import Estimate

FOREVER_US = 1 << 60
TIMED_RUNS = 3
APART_S = 6 * 3600.0  # recordings over a longer time are not of one crowd


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScore:
    """One method's result. `count_error` is signed: estimate / truth - 1; `frames_per_s` is of CPU time."""

    devices: Estimate
    count_error: float | None
    scores: Scores
    frames_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of the product's method and of baselines by name; a baseline that could not run has none, but a note."""

    devices_true: int
    transmissions: int
    sightings: int
    addresses: int
    probes: int
    span_s: float
    ours: MethodScore
    baselines: Mapping[str, MethodScore | None]
    notes: tuple[str, ...]


def evaluate(of: Labelled, window_s: float | None = None) -> Evaluation:
    """Associate and score. `window_s`: devices were counted from 0 to then; None: from the first frame to the last."""
    seen = transmissions(of.sightings, by_probe=False)
    notes = [*of.notes, *_notes(of, window_s)]
    scored: dict[str, MethodScore | None] = {}
    load()
    for name, method in baselines().items():
        try:
            scored[name] = _baseline(of, seen, method)
        except InputError as error:
            scored[name] = None
            notes.append(f"{name}: {error.what}; {error.next_step}")
    begin_us = int(of.sightings["time_us"][0]) if window_s is None else 0
    end_us = int(of.sightings["time_us"][-1]) + 1 if window_s is None else round(window_s * 1e6)
    return Evaluation(
        devices_true=len(np.unique(of.label)),
        transmissions=len(seen),
        sightings=len(of.sightings),
        addresses=len(np.unique(of.sightings["device_key"])),
        probes=of.probes,
        span_s=(end_us - begin_us) / 1e6,
        ours=_ours(of, seen, begin_us, end_us),
        baselines=scored,
        notes=tuple(notes),
    )


def as_object(of: Evaluation) -> dict[str, object]:
    """One JSON object: the product's scores at the top, baselines' under `baselines`, null where one could not run."""
    return {
        "devices_true": of.devices_true,
        **_method_json(of.ours),
        "baselines": {name: None if one is None else _method_json(one) for name, one in of.baselines.items()},
        **{name: getattr(of, name) for name in ("transmissions", "sightings", "addresses", "probes", "span_s")},
        "notes": list(of.notes),
    }


def track(of: Labelled, begin_us: int, end_us: int) -> tuple[NDArray[np.int64], Estimate, float]:
    """Run the product's tracker: the track of each sighting (N,), devices counted in the span, CPU seconds."""
    rows = of.sightings.copy()
    rows["time_us"] -= begin_us
    tracker = Tracker(of.probes)
    started_s = time.process_time()
    bursts = tracker.feed(rows)[0]
    revise(bursts, tracker.revisions)
    bursts = np.concatenate([bursts, tracker.advance(FOREVER_US)[0]])
    revise(bursts, tracker.revisions)
    took_s = time.process_time() - started_s
    window_us = end_us - begin_us
    bins = BinCounter(bin_us=window_us, begin_us=0, end_us=window_us, rotated=False, probes_expected=of.probes)
    bins.add_sightings(rows)
    bins.add_bursts(bursts)
    counted = bins.finish(window_us, tracker.track_table()["first_us"], np.empty(0, np.uint32))
    keys, address = np.unique(rows["device_key"], return_inverse=True)
    tracks = tracker.tracks_of(keys)
    tracks = np.where(tracks < 0, -1 - np.arange(len(keys)), tracks)  # beyond the tracker's bound: each apart
    return tracks[address], counted[0].devices, took_s


def _notes(of: Labelled, window_s: float | None) -> list[str]:
    span_s = float(of.sightings["time_us"][-1] - of.sightings["time_us"][0]) / 1e6
    notes = []
    if len(np.unique(of.label)) == 1:
        notes.append("one device: nothing can be confused with it; homogeneity is 1 whatever is done")
    if window_s is None and of.probes == 1 and span_s > APART_S:
        notes.append(
            f"recorded within {span_s / 3600:,.0f} h: each session is counted apart, a device once in each; "
            "--mix 1 superposes them"
        )
    return notes


def _ours(of: Labelled, seen: NDArray[np.int64], begin_us: int, end_us: int) -> MethodScore:
    runs = [track(of, begin_us, end_us) for _ in range(TIMED_RUNS)]
    labels, devices, _ = runs[0]
    return _score(of, seen, labels, devices, float(np.median([took_s for _, _, took_s in runs])))


def _baseline(of: Labelled, seen: NDArray[np.int64], method: Callable[[Labelled], NDArray[np.int64]]) -> MethodScore:
    started_s = time.process_time()
    labels = method(of)
    took_s = time.process_time() - started_s
    found = float(len(np.unique(labels)))
    return _score(of, seen, labels, Estimate(value=found, low=None, high=None, method=method.__name__), took_s)


def _score(
    of: Labelled, seen: NDArray[np.int64], labels: NDArray[np.int64], devices: Estimate, took_s: float
) -> MethodScore:
    true = len(np.unique(of.label))
    return MethodScore(
        devices=devices,
        count_error=None if devices.value is None else devices.value / true - 1,
        scores=score(of.label[seen], labels[seen]),
        frames_per_s=len(of.sightings) / max(took_s, 1e-6),
    )


def _method_json(of: MethodScore) -> dict[str, object]:
    return {
        "devices": {"estimate": of.devices.value, "low": of.devices.low, "high": of.devices.high},
        "count_error": of.count_error,
        **asdict(of.scores),
        "frames_per_s": round(of.frames_per_s),
    }
