"""Reads recorded survey walks. Refuses points off the plan and readings of more than one device."""

from pathlib import Path

import numpy as np

from hostkit.errors import InputError
from hostkit.field.ground import Ground
from hostkit.field.readings import check_one_device, places_of, read_readings, windows_of
from hostkit.field.walk import Survey
from hostkit.io.csvtable import Table, read_table

WINDOW_S = 2.0  # of a walk: a fix of the hub is of one scan


def read_survey(path: Path, ground: Ground) -> tuple[Survey, tuple[str, ...]]:
    """Read `time_s,anchor,rssi_dbm,x_m,y_m[,device]`, and remarks on what was left out. InputError names the line."""
    table = read_table(path, {"time_s": float, "x_m": float, "y_m": float}, {"device": str})
    check_on_plan(table, ground)
    check_one_device(table)
    readings, remarks = read_readings(path, ground.names, with_place=True)
    return Survey.of(windows_of(readings, len(ground.names), WINDOW_S), str(path)), remarks


def check_on_plan(table: Table, ground: Ground) -> None:
    """Raise InputError for the first point off the floor's plan; it says so if they are on it the other way round."""
    place = places_of(table)
    low, high = np.asarray(ground.floor.bounds_m, np.float64).reshape(2, 2)
    off = ((place < low) | (place > high)).any(axis=1)
    if not off.any():
        return
    row = int(np.argmax(off))
    x, y = place[row].tolist()
    turned = ((place[:, ::-1] >= low) & (place[:, ::-1] <= high)).all()
    if turned:
        what, step = "lies off the plan; with x and y swapped all points lie on it", "swap the columns x_m and y_m"
    else:
        what = f"lies outside the plan of {ground.floor.id}"
        step = f"the plan is x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} m; correct the point or bounds_m"
    raise InputError(f"x {x:g}, y {y:g} {what}", where=table.where(row), next_step=step)
