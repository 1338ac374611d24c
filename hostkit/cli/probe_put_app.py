"""`footfall probe put-app`: firmware files onto one board or many that run MicroPython. No logic."""

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
from hostkit.install.firmware import read_firmware, source_folder
from hostkit.install.fleet import run
from hostkit.install.journal import Journal
from hostkit.install.putapp import image_step, put_step


@click.command(
    epilog="""Examples:

    \b
      footfall probe put-app --port auto
      footfall probe put-app --firmware firmware --csv boards.csv
      footfall probe put-app --littlefs --port COM3      a blank file system, without MicroPython's help

    \b
    Exit codes: 0 all done and read back, 2 an option, 3 the files, 5 no room, or another run, 6 a port or a board."""
)
@click.option(
    "--firmware",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with main.py and sensor/.  [default: the one of this checkout]",
)
@click.option("--plain", is_flag=True, help="Do not compile; else mpy-cross does, where it fits the board.")
@click.option("--littlefs", is_flag=True, help="Write a whole file system by esptool, plain files.")
@click.option("--erase", is_flag=True, help="With --littlefs: also where one is; its settings are gone.")
@port_option
@probe_option
@csv_option
@journal_option
@again_option
@at_once_option
@json_option
def put_app(
    *,
    firmware: Path | None,
    plain: bool,
    littlefs: bool,
    erase: bool,
    port: str | None,
    probe: str | None,
    table: Path | None,
    journal: Path | None,
    again: bool,
    at_once: int,
    as_json: bool,
) -> None:
    """Put the probe's files on a board with an image of MicroPython, read them back and compare. Settings stay.

    Not needed after an image of Footfall's own: it has them inside.
    """
    source = firmware or source_folder()
    if source is None:
        raise click.UsageError("say where the files are: --firmware DIR (footfall bundle packs them)")
    boards = boards_of(port, probe, table)
    files = read_firmware(source)
    step = image_step(files, erase=erase) if littlefs else put_step(files, plain=plain)
    folder = journal_of(journal, table)
    with watched(boards) as watch:
        outcomes = run(boards, (step,), journal=Journal(folder), watch=watch, again=again, at_once=at_once)
    raise click.exceptions.Exit(finish(outcomes, folder, as_json=as_json, again="run the same command again"))
