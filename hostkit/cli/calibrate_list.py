"""`footfall calibrate list`: what was counted at a site."""

import json
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.calibrate_text import print_records
from hostkit.config import load_site
from hostkit.io.calibrations import read_counts


@click.command(
    epilog="""Example:

    \b
      footfall calibrate list --site site.toml"""
)
@click.option(
    "--site",
    "site_path",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
@click.option("--json", "as_object", is_flag=True, help="Print one JSON array instead of the table.")
def list(*, site_path: Path, as_object: bool) -> None:
    """List the reference counts of a site, oldest first."""
    site = load_site(site_path)
    records = read_counts(site_path)
    if as_object:
        text.emit(json.dumps(msgspec.to_builtins(records)) + "\n")
    elif records:
        print_records(records, site.time_zone)
    else:
        text.emit("no count yet; begin with: footfall calibrate count --site site.toml\n")
