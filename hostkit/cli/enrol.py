"""`footfall enrol`: the side that is let in. Runs on any system. No logic."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.errors import UsageError
from hostkit.identity import client
from hostkit.identity.client import Folder
from hostkit.identity.invitation import parse_invitation
from hostkit.io.memory import guard_process
from hostkit.secret import read_secret


@click.command(
    epilog="""Examples:

    \b
      footfall enrol --to uplink                            asks for the invitation
      footfall enrol --to installer --invitation installer.code   what `hub enrol --out` wrote, or - for input
      footfall enrol --to uplink --renew                    with the certificate that is there

    \b
    Exit codes: 0 done, 2 no invitation, 4 files that cannot be used, 5 the folder cannot be written,
    6 the authority refused, was not reached, or is not the one of the invitation."""
)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the credential.",
)
@click.option(
    "--invitation",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    metavar="FILE",
    help="File of `hub enrol --out` that holds it; never an argument, which everybody on this machine could read.",
)
@click.option("--renew", is_flag=True, help="Renew the certificate in DIR instead.")
def enrol(*, folder: Path, invitation: Path | None, renew: bool) -> None:
    """Take the invitation that `hub enrol` or `collector enrol` printed, and keep the credential it gives in DIR.

    The key is made here and never leaves DIR. Says how to give the credential to `--broker` or `--uplink`. A running
    hub renews an uplink's credential by itself.
    """
    guard_process()
    if renew:
        until_s: float = client.renew(Folder(folder))
        text.remark(f"{folder}: renewed until {_day(until_s)}")
        return
    if (folder / client.KEY).exists() and Folder(folder).span_s[1] > time.time():
        raise UsageError("holds a credential that is good", where=str(folder), next_step="use --renew, or another --to")
    enrolled = client.enrol(parse_invitation(_read(invitation)))
    saved = enrolled.save(folder)
    text.remark(f"{enrolled.place.identity}: enrolled as {enrolled.place.role} until {_day(enrolled.until_s)}")
    text.emit(saved.url + "\n")


def _read(invitation: Path | None) -> str:
    if invitation is None and sys.stdin.isatty():
        asked: str = click.prompt("invitation", hide_input=True, err=True)
        return asked
    if invitation is None or str(invitation) == "-":
        return sys.stdin.readline(1000)
    return read_secret(invitation).decode("utf-8", "replace")


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()
