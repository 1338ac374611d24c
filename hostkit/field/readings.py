"""Reads tables of what anchors heard of a device and cuts them into windows. Refuses what is no reading."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError
from hostkit.io.csvtable import MAYBE, Kind, Table, read_table

WEAKEST_DBM, LOUDEST_DBM = -127.0, 20.0  # what a radio can report
COORDINATES_M = (-10_000.0, 10_000.0)
MAX_WINDOWS = 1_000_000
MARKER_SHARE = 0.2  # of readings that are all the weakest value: it rather stands for "not heard"
MIN_FOR_MARKER = 50
SURVEY_SQUARE_M = 1.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Readings in order of time: time_s (N,), anchor index (N,), rssi_dbm (N,); place_m (N, 2) of a calibration."""

    time_s: Floats
    anchor: Ints
    rssi_dbm: Floats
    place_m: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows that hold a reading: mean time (W,), mean RSSI (W, K; NaN: none), readings (W, K), mean place (W, 2)."""

    time_s: Floats
    rssi_dbm: Floats
    frames: Ints
    place_m: Floats | None


def windows_of(readings: Readings, anchors: int, window_s: float) -> Windows:
    """Average each anchor's readings, in dB, over windows counted from the first reading.

    A survey's windows also end where the device left a square: its clock may begin anew at every place.
    """
    key = np.floor((readings.time_s - readings.time_s[0]) / window_s)[:, None]
    if readings.place_m is not None:
        key = np.column_stack((key, np.floor(readings.place_m / SURVEY_SQUARE_M)))
    _, at = np.unique(key, axis=0, return_inverse=True)
    at = at.ravel()
    shape = (int(at.max()) + 1, anchors)
    if shape[0] > MAX_WINDOWS:
        raise InputError(
            f"{shape[0]} windows, at most {MAX_WINDOWS}", where="--window", next_step="take wider windows or less data"
        )
    cell = at * anchors + readings.anchor
    frames = np.bincount(cell, minlength=shape[0] * anchors)
    total = np.bincount(cell, readings.rssi_dbm, shape[0] * anchors)
    rssi = np.where(frames > 0, total / np.maximum(frames, 1), np.nan).reshape(shape)
    count = np.bincount(at)
    place = None
    if readings.place_m is not None:
        place = np.column_stack([np.bincount(at, readings.place_m[:, axis]) / count for axis in (0, 1)])
    return Windows(
        time_s=np.bincount(at, readings.time_s) / count, rssi_dbm=rssi, frames=frames.reshape(shape), place_m=place
    )


def read_readings(path: Path, names: tuple[str, ...], *, with_place: bool) -> tuple[Readings, tuple[str, ...]]:
    """Read `time_s,anchor,rssi_dbm[,x_m,y_m]` and remarks on what was left out. InputError names file and line."""
    columns: dict[str, Kind] = {"time_s": float, "anchor": str, "rssi_dbm": MAYBE}
    table = read_table(path, columns | ({"x_m": float, "y_m": float} if with_place else {}))
    rssi = table.floats("rssi_dbm")
    check_range(table, "rssi_dbm", rssi, (WEAKEST_DBM, LOUDEST_DBM), "leave out rows of readings that were missed")
    known, index = _index(table.names("anchor"), names)
    heard = known & np.isfinite(rssi)
    if not heard.any():
        raise InputError("no reading of a known anchor", where=str(path), next_step="name anchors as in --anchors")
    rows = np.column_stack((table.floats("time_s"), index, rssi, *((places_of(table),) if with_place else ())))
    kept = np.unique(rows[heard], axis=0)  # in order of time
    remarks = _left_out(path, table, known, len(kept), rssi)
    readings = Readings(
        time_s=kept[:, 0],
        anchor=kept[:, 1].astype(np.int64),
        rssi_dbm=kept[:, 2],
        place_m=kept[:, 3:] if with_place else None,
    )
    return readings, remarks


def _index(given: NDArray[np.str_], names: tuple[str, ...]) -> tuple[NDArray[np.bool_], Ints]:
    """Which rows name a known anchor, and the anchor of each row."""
    distinct, at = np.unique(given, return_inverse=True)
    of = np.array([names.index(str(name)) if str(name) in names else -1 for name in distinct], np.int64)
    index: Ints = of[at] if len(distinct) else np.empty(0, np.int64)
    return index >= 0, index


def _left_out(path: Path, table: Table, known: NDArray[np.bool_], kept: int, rssi: Floats) -> tuple[str, ...]:
    remarks = []
    if not known.all():
        first = shown(str(table.names("anchor")[int(np.argmin(known))]))
        remarks.append(f"{path}: {(~known).sum()} readings of unknown anchors, first {first}; they are ignored")
    heard = np.isfinite(rssi)
    if not heard.all():
        remarks.append(f"{path}: {(~heard).sum()} rows have no rssi_dbm; they count as not heard")
    if kept < (known & heard).sum():
        remarks.append(f"{path}: {(known & heard).sum() - kept} rows repeat another word for word; each counts once")
    levels = rssi[heard]
    weakest = float(levels.min())
    share = (levels == weakest).mean()
    if len(levels) >= MIN_FOR_MARKER and share > MARKER_SHARE:
        what = f"{share:.0%} of readings are {weakest:g} dBm"
        remarks.append(f"{path}: {what}; leave them out if that stands for not heard")
    return tuple(remarks)


def places_of(table: Table) -> Floats:
    """Columns x_m and y_m (N, 2); InputError for what lies on no plan."""
    for name in ("x_m", "y_m"):
        check_range(table, name, table.floats(name), COORDINATES_M, "give metres on the plan")
    return np.column_stack((table.floats("x_m"), table.floats("y_m")))


def check_one_device(table: Table) -> None:
    """Raise InputError where the phone changes its address on the way, or more than one was carried."""
    if "device" not in table:
        return
    names, code = table.codes("device")
    if len(names) == 1:
        return
    times = table.floats("time_s")
    second = int(np.argmax(code == 1))
    later = times[code == 1].min() >= times[code == 0].max()
    what = "the phone changed its address on the way" if later else f"{len(names)} devices are in one survey"
    step = "switch private address off for this network, or carry a tag; then walk again" if later else "keep one"
    raise InputError(f"{what} ({shown(names[1])} after {shown(names[0])})", where=table.where(second), next_step=step)


def check_range(table: Table, name: str, values: Floats, allowed: tuple[float, float], next_step: str) -> None:
    """Raise InputError, naming the line, for the first value outside `allowed`."""
    bad = (values < allowed[0]) | (values > allowed[1])
    if bad.any():
        row = int(np.argmax(bad))
        what = f"{name} is {values[row]:g}, outside {allowed[0]:g} to {allowed[1]:g}"
        raise InputError(what, where=table.where(row), next_step=next_step)


def shown(name: str) -> str:
    """Write a name from a file so that it cannot break a line."""
    return ascii(name[:40])
