"""Reads linz-door (Blazek et al. 2021): ten sniffers around a door hear one device, a row each 100 ms.

No sniffer stands at x = 0, between the two pairs of door sniffers: the origin is the door itself. The label says
inside only while the whole body is: it changes as the barrier is first broken on the way out, and as it is free again
on the way in. In the car files the device rides at the rear of a car of several metres, so it crosses the door seconds
later on the way out, and earlier on the way in, than the label says.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CARS = tuple(f"car_sensor_1_measurement_{number}" for number in (1, 2, 3))
WALKS = ("walk_sensor_1_measurement_1",)
STEP_S = 0.1
DOOR_X_M = 0.0
MARGIN_M = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The four files that `footfall evaluate dwell` reads."""

    readings: Path
    anchors: Path
    zones: Path
    truth: Path

    def arguments(self) -> list[str]:
        names = ("readings", "anchors", "zones", "truth")
        return [part for name in names for part in (f"--{name}", str(getattr(self, name)))]


def convert(folder: Path, name: str, to: Path, door_x_m: float = DOOR_X_M) -> Files:
    """Write one recording of linz-door as CSV and TOML into the folder `to`."""
    anchors = _anchors(folder / "measurement_config.txt")
    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    time_s = np.array([int(row["superframe"]) for row in rows]) * STEP_S
    files = Files(**{name: to / f"{name}.csv" for name in ("readings", "anchors", "truth")}, zones=to / "zones.toml")
    readings = [(f"{t:.1f}", a, row[a]) for t, row in zip(time_s, rows, strict=True) for a in anchors]
    _write(files.readings, ("time_s", "anchor", "rssi_dbm"), readings)
    _write(files.anchors, ("anchor", "x_m", "y_m", "z_m"), [(a, *place) for a, place in anchors.items()])
    _write(files.truth, ("zone", "enter_s", "leave_s"), _stays(time_s, np.array([row["Label"] != "0" for row in rows])))
    files.zones.write_text(_zones(np.array(list(anchors.values())), door_x_m))
    return files


def _anchors(config: Path) -> dict[str, tuple[float, float, float]]:
    cells = [line.split(",") for line in config.read_text().splitlines()[1:] if line.strip()]
    return {row[0]: (float(row[2]), float(row[3]), float(row[4])) for row in cells}


def _stays(time_s: NDArray[np.float64], inside: NDArray[np.bool_]) -> list[tuple[str, float, float]]:
    edges = np.concatenate(([0], np.flatnonzero(np.diff(inside)) + 1, [len(inside)]))
    times = [*time_s[edges[:-1]], time_s[-1] + STEP_S]
    return [
        ("inside" if inside[begin] else "outside", round(times[i], 1), round(times[i + 1], 1))
        for i, begin in enumerate(edges[:-1])
    ]


def _zones(places: NDArray[np.float64], door_x_m: float) -> str:
    (x0, y0), (x1, y1) = places[:, :2].min(axis=0) - MARGIN_M, places[:, :2].max(axis=0) + MARGIN_M
    text = ""
    for name, (a, b) in {"inside": (x0, door_x_m), "outside": (door_x_m, x1)}.items():
        corners = [[a, y0], [b, y0], [b, y1], [a, y1]]
        text += f'[[zone]]\nid = "{name}"\npolygon_m = {[[float(v) for v in c] for c in corners]}\n'
    return text


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
