"""Options that several commands about probes share, and what they are read to."""

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.errors import UsageError
from hostkit.hub.ask import Envoy, node_of
from hostkit.identity.client import Folder
from hostkit.install.codes import Codes
from hostkit.install.provision import UPLINKS, WIFI, Network
from hostkit.install.sitebundle import read_bundle
from hostkit.model import Probe, Site
from hostkit.secret import read_secret

probe_option = click.option("--probe", "probe_id", required=True, metavar="ID", help="Which probe of site.toml.")
uplink_option = click.option(
    "--uplink",
    type=click.Choice(UPLINKS),
    help="How it reaches the hub.  [default: wifi-park with --ssid, else lan]",
)
board_option = click.option("--board", default="", metavar="NAME", help="Which board it is, as in hardware/boards.")
ssid_option = click.option("--ssid", default="", metavar="NAME", help="The shop's Wi-Fi.")
password_option = click.option(
    "--wifi-password",
    "password_file",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    metavar="FILE",
    help="File that holds its password; never an argument, which everybody here could read.  [default: asks]",
)
codes_option = click.option(
    "--codes",
    "codes_file",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    metavar="FILE",
    help="What `footfall hub enrol --out FILE` wrote; - for standard input.  [default: asks]",
)
bundle_option = click.option(
    "--bundle",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="What `footfall site bundle` made, instead of --codes: also where the hub is not reached from here.",
)
pin_option = click.option("--pin", default="", help="What the hub said when it made the bundle; compared.")
take_over_option = click.option(
    "--take-over", is_flag=True, help="Also if the board, or another with this id, is set up already."
)

broker_option = click.option("--broker", metavar="URL", help="The hub's site broker, as in footfall command.")
as_option = click.option(
    "--as",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Your operator's credential instead of --broker: what `footfall enrol --to DIR` made.",
)
ble_only_option = click.option("--ble-only", is_flag=True, help="Pass without Wi-Fi frames: it hears BLE alone.")


def envoy_of(site: Site, broker: str | None, folder: Path | None) -> Envoy | None:
    """Say who asks which hub; None where neither option is given. UsageError for both."""
    if broker and folder:
        raise UsageError("are the same thing", where="--broker and --as", next_step="give one of them")
    url = Folder(folder).url if folder else broker
    if url is None:
        return None
    return Envoy(broker=url, tenant=site.tenant, site=site.site, at=datetime.now(UTC), node=node_of(url))


def hub_of(site: Site, broker: str | None, folder: Path | None) -> Envoy:
    """The same where there must be one."""
    envoy = envoy_of(site, broker, folder)
    if envoy is None:
        step = "give --as DIR (see footfall enrol) or --broker URL"
        raise UsageError("which hub is to be asked?", where="--as", next_step=step)
    return envoy


def probe_of(site: Site, probe_id: str) -> Probe:
    """Find a probe in site.toml; UsageError where it is not."""
    found = next((probe for probe in site.probes if probe.id == probe_id), None)
    if found is None:
        known = ", ".join(probe.id for probe in site.probes) or "none"
        raise UsageError(
            f"site.toml has no probe {probe_id[:40]!a} (it has: {known})",
            where="--probe",
            next_step="correct the id, or add the probe",
        )
    return found


def network_of(cells: Mapping[str, str], uplink: str | None, board: str, ssid: str, password: str) -> Network:
    """Say how a probe reaches its hub: by the cells of its line, else by the options."""
    ssid = cells.get("ssid") or ssid
    chosen = cells.get("uplink") or uplink or ("wifi-park" if ssid else "lan")
    if chosen not in UPLINKS:
        raise UsageError(f"{chosen[:40]!a} is no uplink", where="uplink", next_step=f"use one of {', '.join(UPLINKS)}")
    wifi = chosen in WIFI
    return Network(
        uplink=chosen,
        board=cells.get("board") or board,
        ssid=ssid if wifi else "",
        password=password if wifi else "",
    )


def password_of(ssid: str, file: Path | None) -> str:
    """Read the Wi-Fi's password; asks for it where no file holds it, nothing where there is no Wi-Fi."""
    if file is None and not ssid:
        return ""
    if file is None:
        return _asked(f"password of {ssid}", "give --wifi-password", default="")
    data = sys.stdin.buffer.readline(200) if str(file) == "-" else read_secret(file)
    return data.decode("utf-8", "replace").strip("\r\n")


def codes_of(file: Path | None, bundle: Path | None, pin: str, site: Site) -> Codes:
    """Read the codes: of a bundle, of a file, or asked for. UsageError for a bundle of another site, or both."""
    if file and bundle:
        raise UsageError("are the same thing", where="--codes and --bundle", next_step="give one of them")
    if bundle:
        read = read_bundle(bundle, time.time(), pin=pin, site=site)
        text.remark(f"{bundle}: of the authority {read.short_pin}; the hub says the same: footfall site bundle --read")
        return Codes.of_bundle(read)
    if file is None:
        return Codes.of_text(_asked("code", "give --bundle or --codes"))
    given = sys.stdin.read(400_000) if str(file) == "-" else read_secret(file).decode("utf-8", "replace")
    return Codes.of_text(given)


def _asked(what: str, otherwise: str, default: str | None = None) -> str:
    """Ask for a secret; UsageError where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise UsageError("is not given, and there is no terminal to ask on", where=what, next_step=otherwise)
    return str(click.prompt(what, hide_input=True, default=default, show_default=False, err=True))
