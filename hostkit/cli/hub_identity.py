"""`footfall hub init|issue|revoke|identities`: who may talk to the site's broker. No logic."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.config import load_site
from hostkit.identity.access import Role
from hostkit.identity.identities import Handed, Identities

RELOAD = "tell the broker: kill -HUP $(pidof mosquitto), or systemctl reload mosquitto"

_site = click.option(
    "--site",
    "site_path",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("footfall-hub"),
    show_default=True,
    metavar="DIR",
    help="The hub's folder; the authority is in DIR/identity.",
)


@click.command()
@_site
@_data
@click.option("--host", "hosts", multiple=True, required=True, help="Name or address of the broker; may be repeated.")
@click.option("--port", default=8883, show_default=True, type=click.IntRange(1, 65_535), help="Port of the broker.")
def init(*, site_path: Path, data: Path, hosts: tuple[str, ...], port: int) -> None:
    """Make the site's authority, the hub's identity and the broker's configuration. There is no password to choose.

    Keep DIR/identity/authority.key private and back it up: who has it can let anybody in.

    \b
    Example:
      footfall hub init --site site.toml --host hub.local --host 192.168.1.20
    """
    identities = Identities(load_site(site_path), data)
    handed = identities.init(hosts, port, time.time())
    text.remark(f"broker: {identities.configuration}; start it with: mosquitto -c {identities.configuration}")
    url = f"mqtts://{hosts[0]}:{port}?{handed.url_options}"
    text.remark(f'hub: {handed.identity}; start it with: footfall hub run --site {site_path} --broker "{url}"')
    text.remark("probes: none may speak yet; let each in with: footfall hub issue PROBE")


@click.command()
@_site
@_data
@click.argument("node")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role if role is not Role.BROKER]),
    default=Role.PROBE.value,
    show_default=True,
    help="What it may do: see the README.",
)
def issue(*, site_path: Path, data: Path, node: str, role: str) -> None:
    """Make a certificate for NODE, a probe of site.toml or a client you name, and let it in.

    \b
    Examples:
      footfall hub issue window-left --site site.toml
      footfall hub issue kitchen-display --role home-assistant --site site.toml
    """
    handed = Identities(load_site(site_path), data).issue(node, Role(role), time.time())
    _say(handed)


@click.command()
@_site
@_data
@click.argument("node")
def revoke(*, site_path: Path, data: Path, node: str) -> None:
    """Shut NODE out: its certificates are revoked and its rights taken from the broker's list.

    \b
    Example:
      footfall hub revoke window-left --site site.toml
    """
    gone = Identities(load_site(site_path), data).revoke(node, time.time())
    text.remark(f"{node}: {gone} certificates revoked; {RELOAD}")


@click.command()
@_site
@_data
@click.option("--json", "as_json", is_flag=True, help="Print a list instead of a table.")
def identities(*, site_path: Path, data: Path, as_json: bool) -> None:
    """List every certificate ever issued and what became of it.

    \b
    Example:
      footfall hub identities --site site.toml
    """
    issued = Identities(load_site(site_path), data).issued()
    if as_json:
        text.emit(msgspec.json.format(msgspec.json.encode(issued)).decode() + "\n")
        return
    now_s = time.time()
    rows = []
    for one in issued:
        over = "expired" if one.until_s <= now_s else f"{(one.until_s - now_s) / 86_400:.0f} days left"
        until = datetime.fromtimestamp(one.until_s, UTC).date().isoformat()
        rows.append((one.identity, one.role, until, "revoked" if one.revoked_s is not None else over))
    text.table(("identity", "role", "until", "state"), rows)


def _say(handed: Handed) -> None:
    text.remark(f"{handed.identity}: {handed.certificate}, {handed.key}; carry both there and delete them here")
    text.remark(f"broker: a new identity is in its list; {RELOAD}")
