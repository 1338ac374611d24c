"""`footfall hub enrol`: let a node in by a one-time code. No logic."""

from pathlib import Path

import click

from hostkit.cli import enrol_text
from hostkit.cli import identity_options as options
from hostkit.cli.hub_identity import ROLES
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.identity.access import Role
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Identities
from hostkit.identity.realms import SiteRealm


@click.command()
@site_option
@options.hub_data
@click.argument("nodes", nargs=-1, metavar="NODE...")
@ROLES
@options.valid_option
@click.option("--host", default="", help="Name or address in the code.  [default: the first of `hub init`]")
@enrol_text.out_option
@click.option("--wait", is_flag=True, help="Answer here until every code is used: where no `hub run` is running.")
@click.option("--list", "listing", is_flag=True, help="List codes and what became of them.")
@json_option
def enrol(
    *,
    site_path: Path,
    data: Path,
    nodes: tuple[str, ...],
    role: str,
    valid_s: float,
    host: str,
    out: Path | None,
    wait: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Print a code for each NODE, a probe of site.toml or a client you name; `footfall enrol` takes it there.

    A code is good once. When it is used, what the node held before is revoked. Five wrong tries void it.

    \b
    Examples:
      footfall hub enrol window-left till --site site.toml
      footfall hub enrol window-left till --out codes.txt --site site.toml          for --codes of footfall probe
      footfall hub enrol installer --role operator --out installer.code --site site.toml
      footfall hub enrol dashboard --role reader --valid 7d --site site.toml
      footfall hub enrol --list --site site.toml
    """
    realm = SiteRealm(load_site(site_path))
    enrolment, identities = Enrolment(realm, data), Identities(realm, data)
    if listing:
        enrol_text.list_codes(enrolment.codes(), as_json=as_json)
    elif not nodes:
        raise UsageError("no node is named", where="enrol", next_step="name a probe of site.toml or a client")
    else:
        enrol_text.invite(enrolment, nodes, Role(role), valid_s, host, out=out, as_json=as_json)
        if wait:
            enrol_text.wait(identities, enrolment)
        else:
            enrol_text.say_who_serves(identities, "hub")
