"""`footfall probe replace`: a new board takes over an old one's place. No logic."""

import time
from contextlib import nullcontext
from pathlib import Path

import click

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.fleet_options import JOURNAL
from hostkit.cli.fleet_text import finish, watched
from hostkit.cli.options import json_option, site_option
from hostkit.cli.probe_install import steps_before
from hostkit.config import load_site
from hostkit.errors import ExitCode
from hostkit.install.backup import Backup, differences, read_backup, restore
from hostkit.install.fleet import Board, run
from hostkit.install.hubline import HubLine
from hostkit.install.journal import Journal
from hostkit.install.replace import backup_step, close_replacement, open_replacement
from hostkit.install.steps import Plan, label_step, provision_step, verify_step
from hostkit.install.verify import WAIT_S
from hostkit.model import Site


@click.command(
    epilog="""Examples:

    \b
      footfall probe replace --site site.toml --probe till --port auto --board wt32-eth01 \\
        --images release --bundle monday.footfall --as installer
      footfall probe replace --site site.toml --probe till --port COM3 --no-flash --codes codes.txt \\
        --from backup/till.json

    \b
    The same command again does only what is missing. Exit codes as of footfall probe install."""
)
@site_option
@options.probe_option
@click.option("--port", default="auto", show_default=True, metavar="PORT", help="Serial port of the new board.")
@click.option(
    "--from", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="What probe backup wrote: goes back into site.toml where that differs, and says how the old board was set up.",
)  # fmt: skip
@click.option(
    "--images", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Release folder to flash from."
)
@click.option("--no-flash", is_flag=True, help="The new board has Footfall's image already.")
@click.option(
    "--put-app", "firmware", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Put the firmware's files on it, for an image without them.",
)  # fmt: skip
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
@click.option("--wait", "wait_s", type=click.FloatRange(1, 3600), default=WAIT_S, show_default=True, help="Seconds.")
@click.option(
    "--journal", type=click.Path(path_type=Path, file_okay=False), default=JOURNAL, show_default=True, metavar="DIR",
    help="Folder that remembers what is done.",
)  # fmt: skip
@json_option
def replace(
    *,
    site_path: Path,
    probe_id: str,
    port: str,
    file: Path | None,
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
    ble_only: bool,
    wait_s: float,
    journal: Path,
    as_json: bool,
) -> None:
    """Let a new board take over a probe's id, position and calibration, with a credential of its own.

    The old board's credential is revoked at the hub when the new one's code is used. Its place is backed up first.
    """
    site, kept = _place(site_path, probe_id, file)
    before = steps_before(images, firmware, no_flash=no_flash)
    uplink, board = uplink or (kept.uplink if kept else None), board or (kept.board if kept else "")
    password = "" if uplink in {"lan", "serial"} else options.password_of(ssid, password_file)
    envoy = options.envoy_of(site, broker, folder)
    boards = (Board(probe=probe_id, port=port),)
    done = Journal(open_replacement(journal))
    with HubLine(envoy) if envoy else nullcontext() as hub:
        plan = Plan(
            site=site, network=lambda cells: options.network_of(cells, uplink, board, ssid, password), hub=hub,
            take_over=True, ble_only=ble_only, wait_s=wait_s,
        )  # fmt: skip
        steps = (
            backup_step(plan, site_path, journal), *before, provision_step(plan), verify_step(plan),
            label_step(plan, journal),
        )  # fmt: skip
        if codes_file or bundle or plan.lacks_codes(boards, done):
            plan.codes = options.codes_of(codes_file, bundle, pin, site)
        with watched(boards) as watch:
            outcomes = run(boards, steps, journal=done, watch=watch)
    code = finish(outcomes, done.folder, as_json=as_json, again="run the same command again")
    if code is ExitCode.OK:
        close_replacement(done, Journal(journal), outcomes[0])
        text.remark(f"{probe_id}: another board hears differently by some dB; see footfall calibrate anchors")
    raise click.exceptions.Exit(code)


def _place(site_path: Path, probe_id: str, file: Path | None) -> tuple[Site, Backup | None]:
    """Read the site, with the place put back that a backup holds."""
    site = load_site(site_path)
    if file is None:
        options.probe_of(site, probe_id)
        return site, None
    kept = read_backup(file, site, probe_id)
    if differing := differences(site, kept):
        site = restore(site_path, kept, time.time())
        text.remark(f"{site_path}: {probe_id}: {', '.join(differing)} put back; the hub needs this file too")
    return site, kept
