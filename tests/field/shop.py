"""A shop whose probes and path loss are not what its site.toml says, and what a technician records there."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

from hostkit.config import dump_site
from hostkit.model import PathLoss, Site
from hostkit.sim.plan import build_plan, default_site
from hostkit.sim.radio import ears
from hostkit.sim.survey import Table, surveys

TRUTH = PathLoss(rssi_1m_dbm=-52.0, exponent=3.1, sigma_db=5.0)
OFFSET_SD_DB = 3.0
SITE = default_site(6)  # says the product's defaults
START_S = 1_773_442_800.0


@cache
def recorded(seed: int, probes: int = 6) -> dict[str, Table]:
    """The tables of a technician in a shop of TRUTH; `truth.csv` holds the offsets."""
    site = replace(default_site(probes), path_loss=TRUTH)
    drawn = ears(site.probes, clock_error_s=0.0, offset_sigma_db=OFFSET_SD_DB, seed=seed)
    return surveys(build_plan(site), drawn, seed, START_S)


def level_dbm(seed: int) -> float:
    """Level at 1 m of a phone at the mean probe."""
    return TRUTH.rssi_1m_dbm + sum(_hidden(seed).values()) / len(_hidden(seed))


def offsets(seed: int) -> dict[str, float]:
    """What nobody told the site, about their mean."""
    return {name: TRUTH.rssi_1m_dbm + value - level_dbm(seed) for name, value in _hidden(seed).items()}


def _hidden(seed: int) -> dict[str, float]:
    return {str(name): float(str(value)) for name, value in recorded(seed)["truth.csv"][1]}


def table(folder: Path, name: str, seed: int = 1, *, every: int = 1, probes: int = 6) -> Path:
    """Write one of the tables, every so-manieth row."""
    header, rows = recorded(seed, probes)[name]
    return write(folder / name, header, rows[::every])


def write(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def site_file(folder: Path, site: Site = SITE) -> Path:
    path = folder / "site.toml"
    path.write_text("# mine\n" + dump_site(site))
    return path
