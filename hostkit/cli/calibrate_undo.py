"""`footfall calibrate undo`: take a calibration back."""

import time
from pathlib import Path

import click

from hostkit.cli.calibrate_field_text import print_undone
from hostkit.cli.calibrate_text import print_undone_count
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.hub.adjust import undo as undo_field
from hostkit.hub.calibrate import undo as undo_count
from hostkit.io.calibrations import FieldRecord, Record, find, read_counts, read_field


@click.command(
    epilog="""Example:

    \b
      footfall calibrate undo --site site.toml count-20240229-1030"""
)
@click.argument("id_", metavar="ID")
@site_option
@json_option
def undo(*, id_: str, site_path: Path, as_json: bool) -> None:
    """Take the calibration ID back: site.toml is as if it had not been, the calibration stays in the list."""
    load_site(site_path)
    records: tuple[Record, ...] = (*read_counts(site_path), *read_field(site_path))
    record = find(id_, records)
    if isinstance(record, FieldRecord):
        print_undone(undo_field(site_path, record, time.time()), as_json=as_json)
        return
    if record.undone:
        raise UsageError("is taken back already", where=record.id, next_step="see: footfall calibrate list")
    print_undone_count(undo_count(site_path, record, time.time()), as_json=as_json)
