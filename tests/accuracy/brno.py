"""The laboratory of brno-lab: captures, listed computers, and its truth as `footfall evaluate count` reads it."""

import csv
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

FOLDER = Path("probes") / "brno-lab"
ZONE = ZoneInfo("Europe/Prague")


def captures(data: Path, positions: tuple[int, ...] = (1, 2)) -> tuple[Path, ...]:
    """Every capture of these places of the sniffer."""
    folder = data / FOLDER / "pcap"
    return tuple(sorted(path for place in positions for path in (folder / f"position_{place}").glob("*.pcap")))


def fixed(data: Path) -> Path:
    """The list of computers that stand in the room."""
    return data / FOLDER / "fixed-devices.txt"


def write_truth(data: Path, path: Path) -> Path:
    """Write `time,people`: a line for every recorded frame whose occupancy is known."""
    with path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(("time", "people"))
        for source in sorted((data / FOLDER / "csv").glob("position_*/*.csv")):
            with source.open(newline="") as file:
                for row in csv.DictReader(file, delimiter=";"):
                    if row["occupancy"] not in ("", "nan"):
                        at = datetime.fromisoformat(row["datetime"]).replace(tzinfo=ZONE)
                        table.writerow((at.timestamp(), row["occupancy"]))
    return path
