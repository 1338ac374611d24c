"""Options and the last steps that all calibrations of radio share."""

import time
from collections.abc import Mapping
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.calibrate_field_text import print_trial
from hostkit.field.book import Saved, save
from hostkit.field.trial import Trial
from hostkit.field.words import LANGUAGES, Language
from hostkit.hub.settings import NOTHING
from hostkit.model import Site

FILE = click.Path(path_type=Path, readable=False)

from_option = click.option("--from", "table", type=FILE, metavar="FILE", help="Recorded readings instead of live ones.")
table_option = click.option("--from", "table", required=True, type=FILE, metavar="FILE", help="Recorded readings.")
floor_option = click.option("--floor", metavar="ID", help="Floor of the walk, where several have probes.")
device_option = click.option(
    "--device",
    type=click.Choice(("phone", "tag")),
    default="phone",
    show_default=True,
    help="What was carried; a tag's own level is not taken for phones'.",
)
language_option = click.option(
    "--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of texts, page and report."
)


def conclude(
    site_path: Path,
    site: Site,
    trial: Trial,
    *,
    language: Language,
    as_json: bool,
    also: Mapping[Path, bytes] = NOTHING,
) -> Saved | None:
    """Write the trial into the book if there is enough, and print it."""
    saved = save(site_path, site, trial, time.time(), also) if trial.enough and trial.held else None
    print_trial(trial, saved, language, as_json=as_json)
    return saved


def tell(remarks: tuple[str, ...]) -> None:
    """Print remarks on what was left out."""
    for line in remarks:
        text.remark(line)
