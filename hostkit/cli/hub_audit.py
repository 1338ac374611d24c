"""`footfall hub audit`: the hub's broker as an attacker on the shop's network sees it. No logic."""

import json
from pathlib import Path

import click

from hostkit.cli import audit_text, text
from hostkit.cli.options import json_option
from hostkit.config import load_site
from hostkit.errors import ExitCode, UsageError
from hostkit.identity.access import Role
from hostkit.identity.audit import Target, failed
from hostkit.identity.audit import audit as run_audit
from hostkit.identity.audit_files import ON_THE_HUB
from hostkit.identity.audit_inside import WITH_CREDENTIAL
from hostkit.identity.audit_network import OUTSIDE, answers
from hostkit.identity.authority import CERTIFICATE
from hostkit.identity.client import CA, KEY
from hostkit.identity.client import CERTIFICATE as OWN
from hostkit.identity.register import Served, served_in
from hostkit.secret import secret_path

CHECKS = (*OUTSIDE, *WITH_CREDENTIAL, *ON_THE_HUB)


@click.command(
    epilog="""Examples:

    \b
      footfall hub audit --data footfall-hub --site site.toml         on the hub
      footfall hub audit hub.local --ca authority.crt                 from a laptop in the shop
      footfall hub audit hub.local --as stolen-probe --json           with a probe's credential

    \b
    Exit codes: 0 nothing found, 7 findings, 2 wrong option, 4 files that cannot be used, 6 nobody answers there."""
)
@click.argument("host", required=False)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of the broker.  [default: the hub's, or 8883]")
@click.option("--enrol-port", type=click.IntRange(1, 65_535), help="Port of enrolment.  [default: two above]")
@click.option("--http-port", "http_ports", multiple=True, type=click.IntRange(1, 65_535), help="Page.  [default: 8080]")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Certificate of the site's authority.")
@click.option(
    "--as",
    "credential",
    type=click.Path(path_type=Path),
    metavar="DIR|NAME.crt",
    help="A node's credential.",
)
@click.option(
    "--role", default=Role.PROBE.value, show_default=True, type=click.Choice([role.value for role in Role]),
    help="Role of that node.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The hub's folder, on the hub itself.")
@click.option("--site", "site_path", type=click.Path(path_type=Path, readable=False), metavar="FILE", help="site.toml.")
@json_option
@click.pass_context
def audit(
    context: click.Context,
    *,
    host: str | None,
    port: int | None,
    enrol_port: int | None,
    http_ports: tuple[int, ...],
    ca: Path | None,
    credential: Path | None,
    role: str,
    data: Path | None,
    site_path: Path | None,
    as_json: bool,
) -> None:
    """Try what an attacker on the shop's network would try, and say what was found and what to do.

    It changes nothing and is harmless to a sound hub, which may count refused messages meanwhile; run it on your own.
    With --data it reads the hub's files too, with --as it does what a stolen probe could.
    """
    served = served_in(data) if data else None
    if host is None and served is None:
        raise UsageError("no host is named", where="audit", next_step="name the hub's address, or --data on the hub")
    certificate, key = _pair(credential)
    at = port or (served.port if served else 8883)
    target = Target(
        host=host or _host(served),
        port=at,
        enrol_port=enrol_port or (served.enrol_port if served and not port else at + 2),
        http_ports=http_ports or (8080,),
        authority=ca or _authority(data, credential),
        certificate=certificate,
        key=key,
        role=Role(role),
        data=data,
        site=load_site(site_path) if site_path else None,
    )
    if not data:
        answers(target)
    results = audit_text.run("audit", run_audit(target, CHECKS), len(CHECKS))
    if as_json:
        text.emit(json.dumps({"host": target.host, "port": target.port, **audit_text.as_object(results)}) + "\n")
    else:
        audit_text.show(results)
    if failed(results):
        context.exit(ExitCode.FOUND)


def _pair(credential: Path | None) -> tuple[Path | None, Path | None]:
    if credential is None:
        return None, None
    if credential.is_dir():
        return credential / OWN, secret_path(credential / KEY)
    return credential, secret_path(credential.with_suffix(".key"))


def _authority(data: Path | None, credential: Path | None) -> Path | None:
    if data:
        return data / "identity" / CERTIFICATE
    return credential / CA if credential and credential.is_dir() else None


def _host(served: Served | None) -> str:
    assert served
    return served.hosts[0]
