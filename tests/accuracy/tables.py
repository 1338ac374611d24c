"""The tables that `footfall evaluate position` reads, written from recordings of other layouts."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Paths of one recording; `calibration` is None where it has none."""

    anchors: Path
    readings: Path
    truth: Path
    calibration: Path | None = None

    def options(self) -> list[str]:
        """As options of the command."""
        named = {
            "anchors": self.anchors,
            "readings": self.readings,
            "truth": self.truth,
            "calibration": self.calibration,
        }
        return [word for name, path in named.items() if path for word in (f"--{name}", str(path))]


def write(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path
