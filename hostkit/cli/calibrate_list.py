"""`footfall calibrate list`: what was counted at a site."""

import json
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.calibrate_text import print_records
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.io.calibrations import read_counts


@click.command(
    epilog="""Example:

    \b
      footfall calibrate list --site site.toml"""
)
@site_option
@json_option
def list(*, site_path: Path, as_json: bool) -> None:
    """List the reference counts of a site, oldest first."""
    site = load_site(site_path)
    records = read_counts(site_path)
    if as_json:
        text.emit(json.dumps(msgspec.to_builtins(records)) + "\n")
    elif records:
        print_records(records, site.time_zone)
    else:
        text.emit("no count yet; begin with: footfall calibrate count --site site.toml\n")
