"""`footfall collector init|enrol|revoke|identities`: which hubs may talk to the collector's broker. No logic."""

import time
from pathlib import Path

import click

from hostkit.cli import enrol_text, text
from hostkit.cli import identity_options as options
from hostkit.cli.options import json_option
from hostkit.errors import UsageError
from hostkit.identity.access import Role
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Identities
from hostkit.identity.realms import UplinkRealm

_data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("collector-data"),
    show_default=True,
    metavar="DIR",
    help="The collector's folder; the authority is in DIR/identity.",
)


@click.command()
@_data
@options.hosts_option
@options.port_option
@options.enrol_port_option
@options.days_option
def init(*, data: Path, hosts: tuple[str, ...], port: int, enrol_port: int, days: int) -> None:
    """Make the uplink's authority, the collector's identity and its broker's configuration.

    Keep DIR/identity/authority.key private and back it up: who has it can let anybody in.

    \b
    Example:
      footfall collector init --host figures.example --data /srv/footfall
    """
    identities = Identities(UplinkRealm(), data)
    handed = identities.init(hosts, port, time.time(), enrol_port=enrol_port, life_s=days * options.DAY_S)
    text.remark(f"broker: {identities.configuration}; start it with: mosquitto -c {identities.configuration}")
    url = f"mqtts://{hosts[0]}:{port}?{handed.url_options}"
    text.remark(f'collector: start it with: footfall collector run --data {data} --broker "{url}"')
    text.remark("hubs: none may speak yet; let each in with: footfall collector enrol TENANT/SITE")


@click.command()
@_data
@click.argument("sites", nargs=-1, metavar="TENANT/SITE...")
@options.valid_option
@click.option("--host", default="", help="Name or address in the code.  [default: the first of `collector init`]")
@enrol_text.out_option
@click.option("--wait", is_flag=True, help="Answer here until every code is used: where no `collector run` is running.")
@click.option("--list", "listing", is_flag=True, help="List codes and what became of them.")
@json_option
def enrol(
    *,
    data: Path,
    sites: tuple[str, ...],
    valid_s: float,
    host: str,
    out: Path | None,
    wait: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Print a code for the hub of each TENANT/SITE; `footfall enrol` takes it there and names the --uplink.

    \b
    Examples:
      footfall collector enrol acme/main-street
      footfall collector enrol acme/main-street --out shop.code
      footfall collector enrol acme/main-street acme/harbour --valid 7d --json
    """
    realm = UplinkRealm()
    enrolment, identities = Enrolment(realm, data), Identities(realm, data)
    if listing:
        enrol_text.list_codes(enrolment.codes(), as_json=as_json)
    elif not sites:
        raise UsageError("no site is named", where="enrol", next_step="name TENANT/SITE of a hub")
    else:
        enrol_text.invite(enrolment, sites, Role.HUB, valid_s, host, out=out, as_json=as_json)
        if wait:
            enrol_text.wait(identities, enrolment)
        else:
            enrol_text.say_who_serves(identities, "collector")


@click.command()
@_data
@click.argument("site", metavar="TENANT/SITE")
def revoke(*, data: Path, site: str) -> None:
    """Shut the hub of TENANT/SITE out: its certificates are revoked, its rights taken, its connection ended.

    \b
    Example:
      footfall collector revoke acme/main-street
    """
    realm = UplinkRealm()
    identities = Identities(realm, data)
    gone = identities.revoke(site, time.time())
    options.shut_out(identities, site, realm.identity(site), gone, time.time())


@click.command()
@_data
@json_option
def identities(*, data: Path, as_json: bool) -> None:
    """List every certificate ever issued to a hub, what became of it, and how long it lives.

    \b
    Example:
      footfall collector identities
    """
    issued = Identities(UplinkRealm(), data).issued()
    options.list_issued(issued, time.time(), as_json=as_json)
