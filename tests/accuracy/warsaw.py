"""Reads the robot's calibration drive of warsaw-flat (Kolakowski 2021), split in blocks of time for want of a test.

A fold tests on every fifth block of 30 s and calibrates on the rest but for 3 s on either side: poses close in time are
close in space and in fading.
"""

import csv
from pathlib import Path

import numpy as np

from tests.accuracy.tables import Tables, write

BLOCK_S, FOLDS, PURGE_S = 30.0, 5, 3.0
ANCHORS = 6


def tables(folder: Path, out: Path, fold: int, *, calibrated: bool = True) -> Tables:
    """Anchors, the fold's readings and truth, and the other blocks as calibration."""
    with (folder / "calibration" / "calibration_df.csv").open(newline="") as file:
        poses = list(csv.DictReader(file))
    time_s = np.array([float(pose["ts"]) for pose in poses]) / 1e9
    time_s -= time_s[0]
    tested = (time_s // BLOCK_S).astype(int) % FOLDS == fold
    apart = np.abs(time_s[:, None] - time_s[tested]).min(axis=1) >= PURGE_S
    with (folder / "anchors.csv").open(newline="") as file:
        anchors = [(row["id"], row["x"], row["y"], row["z"]) for row in csv.DictReader(file)]
    truth = [(time_s[row], poses[row]["x"], poses[row]["y"]) for row in np.flatnonzero(tested)]
    survey = [
        (*reading, poses[row]["x"], poses[row]["y"]) for row, reading in _readings(poses, time_s, ~tested & apart)
    ]
    return Tables(
        anchors=write(out / "anchors.csv", "anchor,x_m,y_m,z_m", anchors),
        readings=write(
            out / "readings.csv", "time_s,anchor,rssi_dbm", [reading for _, reading in _readings(poses, time_s, tested)]
        ),
        truth=write(out / "truth.csv", "time_s,x_m,y_m", truth),
        calibration=write(out / "calibration.csv", "time_s,anchor,rssi_dbm,x_m,y_m", survey) if calibrated else None,
    )


def _readings(
    poses: list[dict[str, str]], time_s: np.ndarray, chosen: np.ndarray
) -> list[tuple[int, tuple[object, ...]]]:
    return [
        (int(row), (time_s[row], str(k), poses[row][f"rssi_{k}"]))
        for row in np.flatnonzero(chosen)
        for k in range(1, ANCHORS + 1)
        if poses[row][f"rssi_{k}"]
    ]
