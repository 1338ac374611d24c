"""`footfall probe install`: from a blank board to one that is heard, in one command. No logic."""

from contextlib import nullcontext
from pathlib import Path

import click

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.fleet_options import JOURNAL
from hostkit.cli.fleet_text import finish, watched
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.install.firmware import read_firmware
from hostkit.install.flash import Mode, flash_step
from hostkit.install.fleet import AT_ONCE, Board, Outcome, Step, read_boards, run
from hostkit.install.hubline import HubLine
from hostkit.install.images import load_catalogue
from hostkit.install.journal import Journal
from hostkit.install.putapp import put_step
from hostkit.install.steps import COLUMNS, Plan, label_step, provision_step, verify_step
from hostkit.install.verify import WAIT_S

RATES = {"wifi_per_s": "Wi-Fi", "ble_per_s": "BLE"}


@click.command(
    epilog="""Examples:

    \b
      footfall probe install --site site.toml --probe window-left --port auto --board wt32-eth01 \\
        --images release --bundle monday.footfall --as installer
      footfall probe install --site site.toml --csv boards.csv --images release --bundle monday.footfall --ssid shop
      footfall probe install --site site.toml --probe till --no-flash --codes codes.txt --ssid shop

    \b
    boards.csv has the columns probe and port, and may have chip, uplink, board, ssid.
    The same command again does only what is missing. Exit codes: 0 all are heard, 2 an option, 3 a list or an image,
    4 site.toml or a credential, 5 the disk, or another run has the board, 6 a board, a port or the hub; 130 stopped."""
)
@site_option
@click.option("--probe", "probe_id", metavar="ID", help="Which probe of site.toml the board becomes.")
@click.option(
    "--port", default="auto", show_default=True, metavar="PORT", help="Serial port, auto for the only one, or ble:NAME."
)
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), metavar="FILE", help="Many boards: columns probe, port, ..."
)
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Release folder to flash from."
)
@click.option("--no-flash", is_flag=True, help="The board has Footfall's image already.")
@click.option(
    "--put-app",
    "firmware",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put the firmware's files on it, for an image without them.",
)
@options.uplink_option
@options.board_option
@options.ssid_option
@options.password_option
@options.codes_option
@options.bundle_option
@options.pin_option
@options.as_option
@options.broker_option
@options.ble_only_option
@options.take_over_option
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(1, 3600),
    default=WAIT_S,
    show_default=True,
    help="Seconds to be heard in.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path, file_okay=False),
    default=JOURNAL,
    show_default=True,
    metavar="DIR",
    help="Folder that remembers what is done.",
)
@click.option("--again", is_flag=True, help="Do what was done before once more.")
@click.option("--at-once", type=click.IntRange(1, 64), default=AT_ONCE, show_default=True, help="Boards side by side.")
@json_option
def install(
    *,
    site_path: Path,
    probe_id: str | None,
    port: str,
    table: Path | None,
    images: Path | None,
    no_flash: bool,
    firmware: Path | None,
    uplink: str | None,
    board: str,
    ssid: str,
    password_file: Path | None,
    codes_file: Path | None,
    bundle: Path | None,
    pin: str,
    folder: Path | None,
    broker: str | None,
    journal: Path,
    ble_only: bool,
    take_over: bool,
    wait_s: float,
    again: bool,
    at_once: int,
    as_json: bool,
) -> None:
    """Flash, provision and verify a board, or all of a list: done when the hub has heard each over its own uplink.

    Every step is written down before it begins and when it is done; what was cut off is done again. The key of a
    probe is made here, goes to its board and is never written.
    """
    site = load_site(site_path)
    boards = _boards(probe_id, port, table)
    before = steps_before(images, firmware, no_flash=no_flash)
    password = "" if uplink in {"lan", "serial"} else options.password_of(ssid, password_file)
    envoy = options.envoy_of(site, broker, folder)
    if envoy is None:
        text.remark("no --as or --broker: each board's own word is taken for what its hub acknowledged")
    with HubLine(envoy) if envoy else nullcontext() as hub:
        plan = Plan(
            site=site,
            network=lambda cells: options.network_of(cells, uplink, board, ssid, password),
            hub=hub,
            take_over=take_over,
            ble_only=ble_only,
            wait_s=wait_s,
        )
        steps = (*before, provision_step(plan), verify_step(plan), label_step(plan, journal))
        done = Journal(journal)
        if again or codes_file or bundle or plan.lacks_codes(boards, done):
            plan.codes = options.codes_of(codes_file, bundle, pin, site)
        with watched(boards) as watch:
            outcomes = run(boards, steps, journal=done, watch=watch, again=again, at_once=at_once)
    for outcome in () if as_json else outcomes:
        if outcome.done:
            text.emit(_heard(outcome))
    raise click.exceptions.Exit(finish(outcomes, journal, as_json=as_json, again="run the same command again"))


def _heard(outcome: Outcome) -> str:
    facts = {name: fact for entry in outcome.entries for name, fact in entry.facts.items()}
    rates = [f"{facts[key]} {radio} frames a second" for key, radio in RATES.items() if facts.get(key, "0") != "0"]
    how = f"PASS, heard over {facts['uplink']}" + (f": {', '.join(rates)}" if rates else "")
    return f"{outcome.board.probe}: {how}; its label: {facts['file']}\n"


def _boards(probe: str | None, port: str, table: Path | None) -> tuple[Board, ...]:
    if (probe is None) == (table is None):
        raise UsageError("which board?", where="install", next_step="give --probe ID for one, or --csv FILE for many")
    if table is not None:
        return read_boards(table, optional=("chip", *COLUMNS))
    assert probe is not None
    return (Board(probe=probe, port=port),)


def steps_before(images: Path | None, firmware: Path | None, *, no_flash: bool) -> tuple[Step, ...]:
    """Give the steps before a board is set up; UsageError where neither images nor --no-flash is given."""
    if (images is None) != no_flash:
        step = "give --images DIR, or say --no-flash where it has Footfall's image"
        raise UsageError("is the board to be flashed?", where="install", next_step=step)
    if no_flash:
        text.remark("flash: left out, as you said (--no-flash)")
    flashing = (flash_step(load_catalogue(images), Mode.FACTORY),) if images else ()
    return (*flashing, put_step(read_firmware(firmware))) if firmware else flashing
