"""Survey tables of other tools, a column a probe, into the rows that `footfall calibrate walk` reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hostkit.errors import InputError
from hostkit.io.csvtable import MAYBE, Kind, read_table

HEADER = ("time_s", "anchor", "rssi_dbm", "x_m", "y_m")
Row = tuple[float, str, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names of columns: time and how many of its units a second has, x, y, and of each level column its probe."""

    time: str
    units_per_s: float
    x: str
    y: str
    probes: Mapping[str, str]


def long_rows(path: Path, layout: Layout) -> list[Row]:
    """Give a row for each level that is there. InputError names file and line; columns are found in any case."""
    if not layout.probes:
        raise InputError("no column of levels", where=str(path), next_step="name one: --column rssi_1=window-left")
    names = {column.lower(): probe for column, probe in layout.probes.items()}
    place: dict[str, Kind] = {name.lower(): float for name in (layout.time, layout.x, layout.y)}
    table = read_table(path, place | dict.fromkeys(names, MAYBE))
    time_s = table.floats(layout.time.lower()) / layout.units_per_s
    x, y = table.floats(layout.x.lower()), table.floats(layout.y.lower())
    rows: list[Row] = []
    for column, probe in names.items():
        level = table.floats(column)
        for at in np.flatnonzero(np.isfinite(level)).tolist():
            rows.append((float(time_s[at]), probe, float(level[at]), float(x[at]), float(y[at])))
    if not rows:
        raise InputError("no level in it", where=str(path), next_step="check the columns given with --column")
    return sorted(rows)
