"""`footfall hub init|issue|revoke|identities`: who may talk to the site's broker. No logic."""

import time
from pathlib import Path

import click

from hostkit.cli import identity_options as options
from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.identity.access import Role
from hostkit.identity.identities import Identities
from hostkit.identity.realms import SiteRealm

ROLES = click.option(
    "--role",
    type=click.Choice([role.value for role in Role if role not in {Role.BROKER, Role.HUB}]),
    default=Role.PROBE.value,
    show_default=True,
    help="What it may do: see the README.",
)


@click.command()
@site_option
@options.hub_data
@options.hosts_option
@options.port_option
@options.enrol_port_option
@options.days_option
def init(*, site_path: Path, data: Path, hosts: tuple[str, ...], port: int, enrol_port: int, days: int) -> None:
    """Make the site's authority, the hub's identity and the broker's configuration. There is no password to choose.

    Keep DIR/identity/authority.key private and back it up: who has it can let anybody in.

    \b
    Example:
      footfall hub init --site site.toml --host hub.local --host 192.168.1.20
    """
    identities = Identities(SiteRealm(load_site(site_path)), data)
    handed = identities.init(hosts, port, time.time(), enrol_port=enrol_port, life_s=days * options.DAY_S)
    text.remark(f"broker: {identities.configuration}; start it with: mosquitto -c {identities.configuration}")
    url = f"mqtts://{hosts[0]}:{port}?{handed.url_options}"
    text.remark(f'hub: {handed.identity}; start it with: footfall hub run --site {site_path} --broker "{url}"')
    text.remark(f"probes: none may speak yet; let each in with: footfall hub enrol PROBE --site {site_path}")


@click.command()
@site_option
@options.hub_data
@click.argument("node")
@ROLES
def issue(*, site_path: Path, data: Path, node: str, role: str) -> None:
    """Make key and certificate for NODE as files to be carried there: for what cannot enrol by a code itself.

    \b
    Examples:
      footfall hub issue window-left --site site.toml
      footfall hub issue kitchen-display --role home-assistant --site site.toml
    """
    identities = Identities(SiteRealm(load_site(site_path)), data)
    handed = identities.issue(node, Role(role), time.time())
    text.remark(f"{handed.identity}: {handed.certificate}, {handed.key}; carry both there and delete them here")
    options.say_reload(identities)


@click.command()
@site_option
@options.hub_data
@click.argument("node")
def revoke(*, site_path: Path, data: Path, node: str) -> None:
    """Shut NODE out: its certificates are revoked, its rights taken, its connection ended.

    \b
    Example:
      footfall hub revoke window-left --site site.toml
    """
    realm = SiteRealm(load_site(site_path))
    identities = Identities(realm, data)
    gone = identities.revoke(node, time.time())
    options.shut_out(identities, node, realm.identity(node), gone, time.time())


@click.command()
@site_option
@options.hub_data
@json_option
def identities(*, site_path: Path, data: Path, as_json: bool) -> None:
    """List every certificate ever issued, what became of it, and how long it lives.

    \b
    Example:
      footfall hub identities --site site.toml
    """
    issued = Identities(SiteRealm(load_site(site_path)), data).issued()
    options.list_issued(issued, time.time(), as_json=as_json)
