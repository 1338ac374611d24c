"""Recorded walks through the tables and the function of `footfall evaluate position`, beside the baselines."""

from pathlib import Path

import numpy as np
import pytest

from hostkit.evaluate.position import DEFAULT, Evaluation, Scored, evaluate
from tests.accuracy import istanbul, warsaw
from tests.accuracy.tables import Tables

pytestmark = pytest.mark.realdata


def evaluated(tables: Tables) -> Evaluation:
    return evaluate(tables.anchors, tables.readings, tables.truth, tables.calibration)


def pooled(results: list[Evaluation]) -> dict[str, np.ndarray]:
    """Errors of each method over all recordings."""
    parts: list[dict[str, Scored]] = [{**one.methods, **one.baselines} for one in results]
    return {name: np.concatenate([part[name].error_m for part in parts]) for name in parts[0]}


def shown(errors: dict[str, np.ndarray], results: list[Evaluation]) -> float:
    """Print mean, median and RMSE of each; give the default's coverage."""
    for name, error in errors.items():
        figures = error.mean(), np.median(error), np.sqrt((error**2).mean()), np.quantile(error, 0.9)
        print(f"\n{name:18}", *(f"{figure:.2f}" for figure in figures), end="")
    coverage = np.average(
        [one.methods[DEFAULT].scores.region90_coverage for one in results], weights=[one.counted for one in results]
    )
    print(f"\nin the 90 % region: {coverage:.2f}")
    return float(coverage)


@pytest.fixture(scope="module")
def istanbul_tracks(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Tables]:
    folder = realdata / "position" / "istanbul-tracks"
    return [istanbul.tables(folder, tmp_path_factory.mktemp(track), track) for track in istanbul.TRACKS]


def test_istanbul_calibrated_on_nine_reference_points(istanbul_tracks: list[Tables]) -> None:
    """All twelve sniffers. Calibration is of another day, in places the walks do not touch."""
    results = [evaluated(tables) for tables in istanbul_tracks]
    errors = pooled(results)
    coverage = shown(errors, results)
    ours = errors[DEFAULT]
    assert np.median(ours) <= 1.5
    assert ours.mean() <= 1.7
    assert ours.mean() < 0.65 * errors["weighted_centroid"].mean()
    assert ours.mean() < 0.8 * errors["grid"].mean()
    assert ours.mean() < 0.5 * errors["nls"].mean()
    assert ours.mean() < 0.35 * errors["centre"].mean()
    assert 0.8 <= coverage <= 0.96


def test_istanbul_with_eight_of_twelve_sniffers(realdata: Path, tmp_path: Path) -> None:
    """Two choices by seed; the reference points as calibration, thinned to every tenth reading."""
    folder = realdata / "position" / "istanbul-tracks"
    results = []
    for seed in (0, 1):
        chosen = np.random.default_rng(seed).choice(12, 8, replace=False).tolist()
        for track in istanbul.TRACKS:
            out = tmp_path / f"{seed}-{track}"
            out.mkdir()
            results.append(evaluated(istanbul.tables(folder, out, track, chosen, every=10)))
    errors = pooled(results)
    coverage = shown(errors, results)
    ours = errors[DEFAULT]
    assert np.median(ours) <= 2.15
    assert ours.mean() < 0.7 * errors["weighted_centroid"].mean()
    assert ours.mean() < 0.65 * errors["nls"].mean()
    assert 0.8 <= coverage <= 0.96


def test_istanbul_without_any_calibration(istanbul_tracks: list[Tables]) -> None:
    """Level, exponent and offsets learnt from the readings of the walk itself."""
    bare = [Tables(anchors=one.anchors, readings=one.readings, truth=one.truth) for one in istanbul_tracks]
    results = [evaluated(tables) for tables in bare]
    errors = pooled(results)
    coverage = shown(errors, results)
    ours = errors[DEFAULT].mean()
    assert ours <= 2.1
    assert ours < 0.8 * errors["weighted_centroid"].mean()
    assert ours < 0.5 * errors["nls"].mean()
    assert coverage >= 0.8


def test_warsaw_beats_fingerprints_with_their_own_calibration(realdata: Path, tmp_path: Path) -> None:
    """Two of five folds of 30 s blocks; kNN gets the same windows."""
    folder = realdata / "position" / "warsaw-flat"
    results = []
    for fold in (1, 2):
        out = tmp_path / str(fold)
        out.mkdir()
        results.append(evaluated(warsaw.tables(folder, out, fold)))
    errors = pooled(results)
    coverage = shown(errors, results)
    ours = errors[DEFAULT].mean()
    assert ours <= 0.85
    assert ours < errors["knn"].mean()
    assert ours < 0.5 * errors["weighted_centroid"].mean()
    assert errors["grid"].mean() < 1.05
    assert 0.85 <= coverage <= 0.98
