"""Reads the recorded BLE tracks and reference points of istanbul-tracks (Danis et al. 2022); 12 fixed sniffers."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.model import Floor, PathLoss
from tests.accuracy.tables import Tables, write

AREA_M = (0.0, 0.0, 20.66, 17.64)
FLOOR = Floor(id="lab", bounds_m=AREA_M, interior_m=((0.0, 0.0), (20.66, 0.0), (20.66, 17.64), (0.0, 17.64)))
BEACON_HEIGHT_M = 1.8  # on every track; the product assumes DEVICE_HEIGHT_M, so sniffers are lowered alike
TRACKS = ("straight_01", "straight_02", "rectangular_without_rotation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """W windows of a track: mean RSSI (W, 12; NaN: not heard), readings (W, 12), true place (W, 2)."""

    rssi_dbm: NDArray[np.float64]
    frames: NDArray[np.int64]
    truth_m: NDArray[np.float64]


def sniffers(folder: Path) -> tuple[dict[str, int], dict[str, int], NDArray[np.float64]]:
    """Index by address and by name, and places (12, 3)."""
    text = (folder / "cnf" / "tetam.dev").read_text().splitlines()[0].removeprefix("Dongles:")
    table = json.loads(text)
    by_address = {address: index for index, address in enumerate(table)}
    by_name = {row[2]: index for index, row in enumerate(table.values())}
    return by_address, by_name, np.array([row[0] for row in table.values()])


def windows(folder: Path, track: str, seconds: float = 2.0) -> Windows:
    by_address, _, places = sniffers(folder)
    rows = [line.split(",") for line in (folder / "trk" / f"{track}_all_sensors.mbd").read_text().splitlines()]
    time_s, rssi = np.array([float(r[0]) for r in rows]), np.array([float(r[3]) for r in rows])
    probe = np.array([by_address[r[1]] for r in rows])
    place = np.array([[float(r[4]), float(r[5])] for r in rows])
    window = np.unique(((time_s - time_s[0]) // seconds).astype(int), return_inverse=True)[1]
    shape = (window.max() + 1, len(places))
    count = np.zeros(shape, np.int64)
    total = np.zeros(shape)
    np.add.at(count, (window, probe), 1)
    np.add.at(total, (window, probe), rssi)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    n = np.bincount(window)[:, None]
    truth = np.column_stack([np.bincount(window, place[:, axis]) for axis in (0, 1)]) / n
    return Windows(rssi_dbm=mean, frames=count, truth_m=truth)


def calibrate(folder: Path) -> tuple[PathLoss, NDArray[np.float64]]:
    """Path loss and offset per sniffer (12,) from the reference points alone, by least squares on their means."""
    _, by_name, places = sniffers(folder)
    rows, means, spread = [], [], []
    for file in sorted((folder / "hst").glob("set_*/*.mbd")):
        match = re.fullmatch(r"(sensor\d+)_([\d.]+)_([\d.]+)_([\d.]+)", file.stem)
        assert match is not None
        readings = np.array([float(line.split(",")[3]) for line in file.read_text().splitlines() if line])
        here = np.array([float(value) for value in match.groups()[1:]])
        probe = by_name[match[1]]
        distance = max(float(np.linalg.norm(here - places[probe])), MIN_DISTANCE_M)
        rows.append([-10 * np.log10(distance), *(np.arange(len(places)) == probe)])
        means.append(readings.mean())
        spread.append(readings.var())
    solution, *_ = np.linalg.lstsq(np.array(rows, float), np.array(means), rcond=None)
    residual = np.array(means) - np.array(rows, float) @ solution
    sigma = float(np.sqrt(residual.var() + np.mean(spread)))
    level = float(solution[1:].mean())
    model = PathLoss(rssi_1m_dbm=level, exponent=float(solution[0]), sigma_db=sigma, power_sigma_db=1.0)  # one beacon
    return model, solution[1:] - level


def tables(folder: Path, out: Path, track: str, chosen: Sequence[int] = range(12), *, every: int | None = 1) -> Tables:
    """A track with the chosen sniffers, truth of every tenth row; the reference points (each `every`-th reading, None:
    none) are its calibration.
    """
    by_address, _, places = sniffers(folder)
    names = {index: address for address, index in by_address.items() if index in chosen}
    rows = [line.split(",") for line in (folder / "trk" / f"{track}_all_sensors.mbd").read_text().splitlines()]
    heard = [(row[0], row[1], row[3]) for row in rows if by_address[row[1]] in names]
    return Tables(
        anchors=write(out / "anchors.csv", "anchor,x_m,y_m,z_m", [(name, *places[k]) for k, name in names.items()]),
        readings=write(out / "readings.csv", "time_s,anchor,rssi_dbm", heard),
        truth=write(out / "truth.csv", "time_s,x_m,y_m", [(row[0], row[4], row[5]) for row in rows[::10]]),
        calibration=None if every is None else _calibration(folder, out, names, every),
    )


def _calibration(folder: Path, out: Path, names: dict[int, str], every: int) -> Path:
    _, by_name, _ = sniffers(folder)
    rows = []
    for file in sorted((folder / "hst").glob("set_*/*.mbd")):
        sensor, x_m, y_m, _ = file.stem.split("_")
        if by_name[sensor] in names:
            lines = (line.split(",") for line in file.read_text().splitlines()[::every] if line)
            rows += [(line[0], names[by_name[sensor]], line[3], x_m, y_m) for line in lines]
    return write(out / "calibration.csv", "time_s,anchor,rssi_dbm,x_m,y_m", rows)
