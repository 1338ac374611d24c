"""`footfall probe verify`: is this probe heard over its real uplink? No logic."""

from contextlib import nullcontext
from pathlib import Path

import click
import msgspec

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import ExitCode, UsageError
from hostkit.install.hubline import HubLine
from hostkit.install.verify import WAIT_S, Look, Verified
from hostkit.install.verify import verify as verify_probe


@click.command(
    epilog="""Examples:

    \b
      footfall probe verify --site site.toml --probe window-left --as installer
      footfall probe verify --site site.toml --probe till --port /dev/ttyUSB0          the board's word alone
      footfall probe verify --site site.toml --probe door --as installer --ble-only --json

    \b
    Exit codes: 0 heard, 2 wrong option, 4 site.toml or the credential, 6 not heard: the line says which step is
    missing and what to try; 130 stopped by you."""
)
@site_option
@options.probe_option
@options.as_option
@options.broker_option
@click.option("--port", metavar="PORT", help="Serial port the board hangs on, or auto: it can say where it got stuck.")
@options.ble_only_option
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(1, 3600),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take.",
)
@json_option
def verify(
    *,
    site_path: Path,
    probe_id: str,
    folder: Path | None,
    broker: str | None,
    port: str | None,
    ble_only: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Wait until what the probe hears on Wi-Fi has come to the hub over its own uplink; else say what is missing.

    Its LED shows the result for two minutes: on with a wink: pass; long, short, short: fail. Where the hub cannot be
    asked, the board on --port tells what its hub acknowledged.
    """
    site = load_site(site_path)
    envoy = options.envoy_of(site, broker, folder)
    if envoy is None and port is None:
        step = "give --as DIR or --broker URL for the hub, --port for the board, or both"
        raise UsageError("whom is it to ask?", where="verify", next_step=step)
    probe = options.probe_of(site, probe_id)
    with HubLine(envoy) if envoy else nullcontext() as hub:
        look = Look(probe=probe, hub=hub, port=port, ble_only=ble_only, wait_s=wait_s)
        done = verify_probe(look, lambda line: text.remark(f"{probe_id}: {line}"))
    text.emit(_object(probe_id, done) if as_json else _lines(probe_id, done))
    if not done.passed:
        text.remark(f"{probe_id}: {done.standing.what}; {done.standing.next_step}")
        raise click.exceptions.Exit(ExitCode.PEER)


def _lines(probe: str, done: Verified) -> str:
    rows = [f"  ok    {rung}" for rung in done.climbed]
    rows += [f"  FAIL  {done.standing.failed}"] if done.standing.failed else []
    row = done.evidence.row
    if done.passed and row is not None:
        level = "" if row.rssi_dbm is None else f", median {row.rssi_dbm:.0f} dBm"
        rows.append(f"  {row.wifi_per_s:g} Wi-Fi and {row.ble_per_s:g} BLE frames a second{level}")
    led = "its LED shows it" if done.shown else "its LED could not be told"
    head = f"{probe}: {'PASS' if done.passed else 'FAIL'} after {done.seconds:.0f} s; {led}"
    return "\n".join([head, *rows]) + "\n"


def _object(probe: str, done: Verified) -> str:
    standing = done.standing
    told: dict[str, object] = {
        "probe": probe, "passed": done.passed, "seconds": round(done.seconds, 1), "ok": done.climbed,
        "failed": standing.failed, "what": standing.what, "next_step": standing.next_step, "led": done.shown,
        "hub": done.evidence.row, "board": done.evidence.line,
    }  # fmt: skip
    return msgspec.json.encode(told).decode() + "\n"
