"""`footfall probe flash`: an image onto one board or many. No logic."""

from pathlib import Path

import click

from hostkit.cli.fleet_options import (
    again_option,
    at_once_option,
    boards_of,
    csv_option,
    journal_of,
    journal_option,
    json_option,
    port_option,
    probe_option,
)
from hostkit.cli.fleet_text import finish, watched
from hostkit.install.flash import BAUD, Mode, flash_step
from hostkit.install.fleet import run
from hostkit.install.images import load_catalogue
from hostkit.install.journal import Journal


@click.command(
    epilog="""Examples:

    \b
      footfall probe flash --images release --factory --port auto
      footfall probe flash --images release --update --port /dev/ttyUSB0
      footfall probe flash --images release --factory --csv boards.csv --json

    \b
    Exit codes: 0 all done, 2 an option, 3 an image, a list or the wrong chip, 5 the disk or another run,
    6 a port or a board; what failed on each board is said by cause and next step."""
)
@click.option(
    "--images",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Release folder: manifest.json in ESP Web Tools' format with SHA-256.",
)
@click.option("--update", "mode", flag_value=Mode.UPDATE.value, help="Keep settings, credential and spool.")
@click.option("--factory", "mode", flag_value=Mode.FACTORY.value, help="Erase everything first.")
@click.option("--baud", type=click.IntRange(9600, 3_000_000), default=BAUD, show_default=True, help="While writing.")
@port_option
@probe_option
@csv_option
@journal_option
@again_option
@at_once_option
@json_option
def flash(
    *,
    images: Path,
    mode: str | None,
    baud: int,
    port: str | None,
    probe: str | None,
    table: Path | None,
    journal: Path | None,
    again: bool,
    at_once: int,
    as_json: bool,
) -> None:
    """Write the image of its chip onto a board, and verify it. Needs no network. Refuses an image for another chip.

    Boards of --csv are written side by side; a second run does only what is missing.
    """
    if mode is None:
        raise click.UsageError("say what becomes of the board's data: --update keeps it, --factory erases it")
    boards = boards_of(port, probe, table)
    step = flash_step(load_catalogue(images), Mode(mode), baud=baud)
    folder = journal_of(journal, table)
    with watched(boards) as watch:
        outcomes = run(boards, (step,), journal=Journal(folder), watch=watch, again=again, at_once=at_once)
    raise click.exceptions.Exit(finish(outcomes, folder, as_json=as_json, again="run the same command again"))
