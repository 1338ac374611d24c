"""`footfall probe identify`: which one is it? No logic."""

from pathlib import Path

import click
import msgspec

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.contract.commands import Identify
from hostkit.errors import ExitCode
from hostkit.hub.ask import EXPIRES_S, ask, order_terms


@click.command(
    epilog="""Example:

    \b
      footfall probe identify --site site.toml --probe till --as installer --seconds 60

    \b
    Exit codes: 0 it blinks, 2 wrong option, 4 site.toml or the credential, 6 no hub, or the probe is not connected."""
)
@site_option
@options.probe_option
@options.as_option
@options.broker_option
@click.option("--seconds", type=click.IntRange(1, 600), default=30, show_default=True, help="How long it blinks.")
@json_option
def identify(
    *, site_path: Path, probe_id: str, folder: Path | None, broker: str | None, seconds: int, as_json: bool
) -> None:
    """Let the LED of a probe blink fast, so that somebody on a ladder sees which one it is."""
    site = load_site(site_path)
    options.probe_of(site, probe_id)
    number, expires = order_terms()
    order = Identify(id=number, expires=expires, probe=probe_id, seconds=seconds)
    response = ask(options.hub_of(site, broker, folder), order, wait_s=EXPIRES_S, on_accepted=lambda _: None)
    if as_json:
        text.emit(msgspec.json.encode(response).decode() + "\n")
    elif response.error is None:
        text.emit(f"{probe_id}: blinks for {seconds} s\n")
    if response.error is not None:
        text.remark(f"{probe_id}: {response.error.what}; {response.error.next_step}")
        raise click.exceptions.Exit(ExitCode.PEER)
