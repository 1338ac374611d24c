"""`footfall probe monitor`: live figures of the probes of a site. No logic."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.live import Live

from hostkit.cli import probe_options as options
from hostkit.cli import probes_text, text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.contract.probes import Probes
from hostkit.install.hubline import HubLine, Told


@click.command(
    epilog="""Examples:

    \b
      footfall probe monitor --site site.toml --as installer
      footfall probe monitor --site site.toml --as installer --probe till --count 3
      footfall probe monitor --site site.toml --as installer --json > probes.jsonl

    \b
    Exit codes: 0 so many shown, 2 wrong option, 4 site.toml or the credential, 6 no hub, 130 stopped by you."""
)
@site_option
@options.as_option
@options.broker_option
@click.option("--probe", "probe_id", metavar="ID", help="This probe alone.")
@click.option("--count", type=click.IntRange(1), help="End after so many looks.")
@json_option
def monitor(
    *,
    site_path: Path,
    folder: Path | None,
    broker: str | None,
    probe_id: str | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Show each probe's frames a second, level, channels, heap and drops as the hub has them, every five seconds.

    Rates are over the last minute; radio/s is what the receiver was offered. Plain lines where there is no terminal.
    """
    site = load_site(site_path)
    if probe_id:
        options.probe_of(site, probe_id)
    with HubLine(options.hub_of(site, broker, folder)) as line:
        looks = _looks(line, probe_id, count)
        if as_json or not sys.stdout.isatty():
            _lines(looks, as_json=as_json)
        else:
            with Live(console=Console(), auto_refresh=False) as live:
                for look in looks:
                    live.update(probes_text.grid(look.rows), refresh=True)


def _looks(line: HubLine, probe: str | None, count: int | None) -> Iterator[Probes]:
    told: Told | None = None
    shown = 0
    while count is None or shown < count:
        told = line.next(told)
        shown += 1
        rows = tuple(row for row in told.probes.rows if probe in {None, row.id})
        yield msgspec.structs.replace(told.probes, rows=rows)


def _lines(looks: Iterator[Probes], *, as_json: bool) -> None:
    for look in looks:
        if as_json:
            text.emit(msgspec.json.encode(look).decode() + "\n")
        else:
            text.table(probes_text.WATCHED, [probes_text.watched(row) for row in look.rows])
