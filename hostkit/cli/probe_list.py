"""`footfall probe list`: the probes of a site and how they do. No logic."""

from pathlib import Path

import click
import msgspec

from hostkit.cli import probe_options as options
from hostkit.cli import probes_text, text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.contract.probes import Verdict
from hostkit.install.hubline import HubLine


@click.command(
    epilog="""Examples:

    \b
      footfall probe list --site site.toml --as installer
      footfall probe list --site site.toml --as installer --json

    \b
    Exit codes: 0 told, 2 wrong option, 4 site.toml or the credential, 6 no hub."""
)
@site_option
@options.as_option
@options.broker_option
@json_option
def list(*, site_path: Path, folder: Path | None, broker: str | None, as_json: bool) -> None:
    """Ask the hub how each probe of the site does: connected, build, uplink, key, last heard, frames a second."""
    site = load_site(site_path)
    with HubLine(options.hub_of(site, broker, folder)) as line:
        told = line.latest()
    if as_json:
        text.emit(msgspec.json.encode(told.probes).decode() + "\n")
        return
    rows = told.probes.rows
    text.table(probes_text.LISTED, [probes_text.listed(row) for row in rows])
    text.emit(f"\n{sum(row.verdict is Verdict.PASS for row in rows)} of {len(rows)} probes pass\n")
