"""Reads what `evaluate position` is given and cuts it into windows. Refuses what is no reading; decides nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hostkit.core._locate import MAX_PROBES
from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.errors import InputError
from hostkit.field.readings import COORDINATES_M, Floats, Readings, check_range, places_of, read_readings, shown
from hostkit.io.csvtable import read_table

MIN_ANCHORS = 3  # fewer fix no position
TRUTH_GAP_S = 4.0  # a walker's place between two true ones so far apart is known to a metre


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Everything read. anchors_m (K, 3); truth in order of time; `remarks` says what was left out."""

    names: tuple[str, ...]
    anchors_m: Floats
    readings: Readings
    truth_s: Floats
    truth_m: Floats
    survey: Readings | None
    remarks: tuple[str, ...]


def read_recording(anchors: Path, readings: Path, truth: Path, calibration: Path | None) -> Recording:
    """Read the tables. InputError names file and line."""
    names, anchors_m = _anchors(anchors)
    heard, remarks = read_readings(readings, names, with_place=False)
    survey = None
    if calibration is not None:
        survey, more = read_readings(calibration, names, with_place=True)
        remarks += more
    truth_s, truth_m = _truth(truth)
    return Recording(
        names=names,
        anchors_m=anchors_m,
        readings=heard,
        truth_s=truth_s,
        truth_m=truth_m,
        survey=survey,
        remarks=remarks,
    )


def truth_at(time_s: Floats, truth_s: Floats, truth_m: Floats, window_s: float) -> Floats:
    """True place (W, 2) at times (W,); NaN where no truth row is near.

    Interpolated between rows at most two windows, or TRUTH_GAP_S, apart; else that of a row within half a window.
    """
    after = np.clip(np.searchsorted(truth_s, time_s), 1, max(len(truth_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(truth_s) - 1)
    gap = truth_s[after] - truth_s[before]
    share = np.where(gap > 0.0, (time_s - truth_s[before]) / np.where(gap > 0.0, gap, 1.0), 0.0)
    step = truth_m[after] - truth_m[before]
    inside = (truth_s[before] <= time_s) & (time_s <= truth_s[after]) & (gap <= max(2.0 * window_s, TRUTH_GAP_S))
    between = truth_m[before] + share[:, None] * step
    nearest = np.where(np.abs(time_s - truth_s[before]) <= np.abs(truth_s[after] - time_s), before, after)
    close = np.abs(truth_s[nearest] - time_s) <= 0.5 * window_s
    return np.where(inside[:, None], between, np.where(close[:, None], truth_m[nearest], np.nan))


def _anchors(path: Path) -> tuple[tuple[str, ...], Floats]:
    table = read_table(path, {"anchor": str, "x_m": float, "y_m": float}, {"z_m": float})
    names = tuple(str(name) for name in table.names("anchor"))
    for row, name in enumerate(names):
        if name in names[:row]:
            raise InputError(
                f"anchor {shown(name)} again", where=table.where(row), next_step="give every anchor one line"
            )
    if not MIN_ANCHORS <= len(names) <= MAX_PROBES:
        raise InputError(
            f"{len(names)} anchors", where=str(path), next_step=f"a position needs {MIN_ANCHORS} to {MAX_PROBES}"
        )
    height = table.floats("z_m") if "z_m" in table else np.full(len(names), DEVICE_HEIGHT_M)
    check_range(table, "z_m", height, COORDINATES_M, "give metres above the floor")
    places = np.column_stack((places_of(table), height))
    if len(np.unique(places[:, :2], axis=0)) < MIN_ANCHORS:
        raise InputError("the anchors stand at fewer than three places", where=str(path), next_step="check x_m and y_m")
    return names, places


def _truth(path: Path) -> tuple[Floats, Floats]:
    table = read_table(path, {"time_s": float, "x_m": float, "y_m": float})
    if not len(table):
        raise InputError("no truth", where=str(path), next_step="give rows of time_s, x_m, y_m")
    time_s, at = np.unique(table.floats("time_s"), return_inverse=True)
    places = places_of(table)
    count = np.bincount(at)
    return time_s, np.column_stack([np.bincount(at, places[:, axis]) / count for axis in (0, 1)])
