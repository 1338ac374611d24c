"""`footfall calibrate list`: what was counted and calibrated at a site."""

import json
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.calibrate_field_text import print_field_records
from hostkit.cli.calibrate_text import print_records
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.io.calibrations import read_counts, read_field


@click.command(
    epilog="""Example:

    \b
      footfall calibrate list --site site.toml"""
)
@site_option
@json_option
def list(*, site_path: Path, as_json: bool) -> None:
    """List what was counted and calibrated at a site, oldest first."""
    site = load_site(site_path)
    counts, field = read_counts(site_path), read_field(site_path)
    if as_json:
        text.emit(json.dumps([*msgspec.to_builtins(counts), *msgspec.to_builtins(field)]) + "\n")
        return
    if counts:
        print_records(counts, site.time_zone)
    if field:
        print_field_records(field, site.time_zone)
    if not counts and not field:
        text.emit("no calibration yet; begin with: footfall calibrate --help\n")
