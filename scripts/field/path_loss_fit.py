"""Fit level at 1 m and exponent of each probe to readings at measured distances; site.toml stays as it is.

\b
Sample data: footfall simulate --people 20 --hours 0.5 --survey --out shop
Example:     python scripts/field/path_loss_fit.py --site shop/site.toml shop/survey/link.csv
"""

from pathlib import Path

import click
import numpy as np

from hostkit.cli import text
from hostkit.cli.main import guarded
from hostkit.config import load_site
from hostkit.core.calibrate_distance import fit_distances
from hostkit.field.link import read_stands


@click.command(help=__doc__)
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="site.toml of the place.")
@click.argument("table", type=click.Path(path_type=Path))
def main(site_path: Path, table: Path) -> None:
    """Print a line a probe."""
    site = load_site(site_path)
    stands, remarks = read_stands(table, site)
    for line in remarks:
        text.remark(line)
    probes, local = np.unique(stands.probe, return_inverse=True)
    fit = fit_distances(local, stands.distance_m, stands.mean_dbm, len(probes))
    rows = []
    for probe, level, n in zip(probes.tolist(), fit.rssi_1m_dbm, fit.exponent, strict=True):
        figures = (text.number(level.value, 1), text.between(level, 1), text.number(n.value, 2), text.between(n, 2))
        rows.append((site.probes[probe].id, *figures, ""))
    text.table(("probe", "dBm at 1 m", "90 %", "exponent", "90 %", ""), rows)
    text.emit(f"\nall: {fit.common_rssi_1m_dbm:.1f} dBm, exponent {fit.common_exponent:.2f}, ± {fit.sigma_db:.1f} dB\n")


if __name__ == "__main__":
    guarded(main)
