"""Scores positions against truth: the product's methods beside the baselines, on the same windows."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import WalkFit
from hostkit.errors import InputError
from hostkit.evaluate.position_baselines import centre, knn, nls, weighted_centroid
from hostkit.evaluate.position_data import Recording, read_recording, truth_at
from hostkit.evaluate.position_methods import Model, Track, grid, grid_hmm, learn, lm
from hostkit.field.readings import Floats, Windows, windows_of

DEFAULT = "grid-hmm"  # what the product follows devices by
WINDOW_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Errors in metres over all windows that count; in how many the method gave a fix of its own.

    region90_coverage: share of truths in the 90 % region of the method's own fixes; None where it gives no region.
    """

    mean_m: float
    median_m: float
    rmse_m: float
    p75_m: float
    p90_m: float
    region90_coverage: float | None
    fixes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One method: figures, and what they are of: places (W, 2; NaN: none), errors (W,) of the windows that count."""

    scores: Scores
    place_m: Floats
    error_m: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was scored. A window counts if it holds a reading and its true place is known."""

    windows: int
    counted: int
    window_s: float
    truth_m: Floats
    anchors: tuple[str, ...]
    anchors_m: Floats
    model: Model
    methods: Mapping[str, Scored]
    baselines: Mapping[str, Scored | None]
    remarks: tuple[str, ...]


def evaluate(
    anchors: Path, readings: Path, truth: Path, calibration: Path | None = None, *, window_s: float = WINDOW_S
) -> Evaluation:
    """Score the tables. InputError names file and line of what cannot be used."""
    return scored(read_recording(anchors, readings, truth, calibration), window_s)


def scored(recording: Recording, window_s: float = WINDOW_S) -> Evaluation:
    """Score a recording.

    A method without a fix in a window that counts is charged with the centre's error there, so that silence never
    looks better than a guess.
    """
    count = len(recording.anchors_m)
    windows = windows_of(recording.readings, count, window_s)
    true_m = truth_at(windows.time_s, recording.truth_s, recording.truth_m, window_s)
    counts = np.isfinite(true_m[:, 0])
    if not counts.any():
        raise InputError(
            "no window of readings has a true place near its time",
            where="--truth",
            next_step="check that both tables have the same clock, in seconds",
        )
    survey = None if recording.survey is None else windows_of(recording.survey, count, window_s)
    model = learn(recording, windows, survey)
    guess = centre(recording.anchors_m, windows).place_m

    def score(track: Track) -> Scored:
        return _scored(track, guess, true_m, counts)

    baselines, remarks = _baselines(recording, windows, model, survey)
    return Evaluation(
        windows=len(counts),
        counted=int(counts.sum()),
        window_s=window_s,
        truth_m=true_m[counts],
        anchors=recording.names,
        anchors_m=recording.anchors_m,
        model=model,
        methods={name: score(run(model, windows)) for name, run in METHODS.items()},
        baselines={name: None if track is None else score(track) for name, track in baselines.items()},
        remarks=recording.remarks + remarks,
    )


METHODS: Mapping[str, Callable[[Model, Windows], Track]] = {"grid": grid, "grid-hmm": grid_hmm, "lm": lm}


def as_object(result: Evaluation) -> dict[str, object]:
    """The JSON object of `footfall evaluate position --json`."""
    return {
        "default": DEFAULT,
        "window_s": result.window_s,
        "windows": result.windows,
        "windows_counted": result.counted,
        "calibration": _calibration(result.anchors, result.model),
        "methods": {name: asdict(one.scores) for name, one in result.methods.items()},
        "baselines": {name: None if one is None else asdict(one.scores) for name, one in result.baselines.items()},
    }


def _baselines(
    recording: Recording, windows: Windows, model: Model, survey: Windows | None
) -> tuple[dict[str, Track | None], tuple[str, ...]]:
    tracks: dict[str, Track | None] = {
        "centre": centre(recording.anchors_m, windows),
        "weighted_centroid": weighted_centroid(recording.anchors_m, windows),
    }
    remarks: tuple[str, ...] = ()
    try:
        tracks["nls"] = nls(model, windows)
    except InputError as missing:
        tracks["nls"], remarks = None, (str(missing),)
    if survey is not None:
        tracks["knn"] = knn(windows, survey)
    return tracks, remarks


def _scored(track: Track, guess: Floats, true_m: Floats, counts: NDArray[np.bool_]) -> Scored:
    given = np.isfinite(track.place_m[:, 0])
    place = np.where(given[:, None], track.place_m, guess)
    error = np.hypot(*(place - true_m)[counts].T)
    mine = given & counts
    covered = None
    if track.covariance_m2 is not None and mine.any():
        covered = float(track.covers(true_m)[mine].mean())
    median, p75, p90 = (float(value) for value in np.quantile(error, (0.5, 0.75, 0.9)))
    return Scored(
        scores=Scores(
            mean_m=float(error.mean()),
            median_m=median,
            rmse_m=float(np.sqrt((error**2).mean())),
            p75_m=p75,
            p90_m=p90,
            region90_coverage=covered,
            fixes=int(mine.sum()),
        ),
        place_m=track.place_m[counts],
        error_m=error,
    )


def _calibration(names: tuple[str, ...], model: Model) -> dict[str, object]:
    fit = model.fit
    if not isinstance(fit, WalkFit):
        parts = {"rssi_1m_dbm": fit.rssi_1m_dbm, "exponent": fit.exponent, "sigma_db": fit.sigma_db}
        offsets = zip(names, fit.offset_db.tolist(), strict=True)
        return {"source": "readings", **parts, "anchors": [{"anchor": n, "offset_db": v} for n, v in offsets]}
    anchors = [{"anchor": name, **asdict(one)} for name, one in zip(names, fit.anchors, strict=True)]
    radio = model.radio_map
    learnt = None if radio is None else {**asdict(radio.kernel), "cross_validated_db": radio.cross_validated_db}
    return {"source": "survey", **asdict(fit), "anchors": anchors, "map": learnt}
