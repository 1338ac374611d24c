"""`footfall probe provision`: gives a blank board its settings and its own credential. No logic."""

from pathlib import Path

import click
import msgspec

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.install.provision import Order
from hostkit.install.provision import provision as provision_board
from hostkit.install.steps import credential_for
from hostkit.install.way import open_way


@click.command(
    epilog="""Examples:

    \b
      footfall probe provision --site site.toml --probe window-left --port /dev/ttyUSB0 --board wt32-eth01
      footfall probe provision --site site.toml --probe till --port COM3 --ssid shop --codes codes.txt
      footfall probe provision --site site.toml --probe till --port COM3 --ssid shop --bundle monday.footfall
      footfall probe provision --site site.toml --probe till --port ble:auto --ssid shop --bundle monday.footfall
      footfall probe provision --site site.toml --probe door --port /dev/ttyACM0 --uplink serial

    \b
    The code comes from the hub: footfall hub enrol window-left --site site.toml --out codes.txt
    Exit codes: 0 done and read back, 2 wrong option or code, 4 site.toml, 6 the board, its network or the hub
    refused or did not answer, 130 stopped by you."""
)
@site_option
@options.probe_option
@click.option(
    "--port",
    required=True,
    metavar="PORT",
    help="Serial port the board hangs on, or auto; ble:NAME-OR-ADDRESS, ble:auto.",
)
@options.uplink_option
@options.board_option
@options.ssid_option
@options.password_option
@options.codes_option
@options.bundle_option
@options.pin_option
@options.take_over_option
@json_option
def provision(
    *,
    site_path: Path,
    probe_id: str,
    port: str,
    uplink: str | None,
    board: str,
    ssid: str,
    password_file: Path | None,
    codes_file: Path | None,
    bundle: Path | None,
    pin: str,
    take_over: bool,
    as_json: bool,
) -> None:
    """Tell a board on PORT which probe it is, its network and its hub, and read back what it holds.

    The board joins the Wi-Fi before anything else. The key is made here, goes to the board and is never written here;
    over BLE, which can be overheard, none goes: the board enrols by itself with its code.
    """
    site = load_site(site_path)
    password = "" if uplink in {"lan", "serial"} else options.password_of(ssid, password_file)
    order = Order(
        site=site,
        probe=options.probe_of(site, probe_id),
        network=options.network_of({}, uplink, board, ssid, password),
        take_over=take_over,
    )
    codes = None if order.network.uplink == "serial" else options.codes_of(codes_file, bundle, pin, site)

    def say(line: str) -> None:
        text.remark(f"{probe_id}: {line}")

    done = provision_board(
        order,
        lambda: open_way(port),
        credential_for(codes, order, port, say),
        say,
    )
    if as_json:
        text.emit(
            msgspec.json.encode({"probe": probe_id, "firmware": done.firmware, "held": done.held}).decode() + "\n"
        )
        return
    text.emit(f"{probe_id}: provisioned and read back; see that it is heard: footfall probe verify\n")
