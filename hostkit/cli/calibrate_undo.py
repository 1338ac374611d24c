"""`footfall calibrate undo`: take a reference count back."""

import time
from pathlib import Path

import click

from hostkit.cli.calibrate_text import print_outcome
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.hub.calibrate import undo as undo_count
from hostkit.io.calibrations import find, read_counts


@click.command(
    epilog="""Example:

    \b
      footfall calibrate undo --site site.toml count-20240229-1030"""
)
@click.argument("id_", metavar="ID")
@site_option
@json_option
def undo(*, id_: str, site_path: Path, as_json: bool) -> None:
    """Take the count ID back: site.toml is as if it had not been, the count stays in the list."""
    load_site(site_path)
    record = find(id_, read_counts(site_path))
    if record.undone:
        raise UsageError("is taken back already", where=record.id, next_step="see: footfall calibrate list")
    print_outcome(undo_count(site_path, record, time.time()), as_json=as_json)
