"""`footfall doctor`: what keeps an installation from working, and the fix. No logic."""

import json
import time
from pathlib import Path

import click

from hostkit.cli import audit_text, text
from hostkit.cli.options import json_option
from hostkit.cli.probe_options import as_option, broker_option, envoy_of
from hostkit.config import load_site
from hostkit.errors import ExitCode, HostkitError
from hostkit.identity.audit import audit, failed
from hostkit.install.doctor_machine import MACHINE
from hostkit.install.doctor_site import SITE
from hostkit.install.patient import Patient
from hostkit.install.support import bundle
from hostkit.model import Site

CHECKS = (*MACHINE, *SITE)


@click.command(
    epilog="""Examples:

    \b
      footfall doctor                                          this machine alone
      footfall doctor --site site.toml --as installer          and the site, its hub and its probes
      footfall doctor --site site.toml --bundle support.zip --log hub.log

    \b
    Exit codes: 0 nothing but notes, 7 findings, 2 an option, 5 the bundle cannot be written."""
)
@click.option("--site", "site_path", type=click.Path(path_type=Path, readable=False), metavar="FILE", help="site.toml.")
@as_option
@broker_option
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The hub's folder, on the hub itself.")
@click.option(
    "--bundle",
    "bundle_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a zip for support, without secrets, addresses and names of networks.",
)
@click.option(
    "--log", "logs", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="Put this in it too."
)
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    *,
    site_path: Path | None,
    folder: Path | None,
    broker: str | None,
    data: Path | None,
    bundle_path: Path | None,
    logs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Look at serial ports, programs, disk, clock, radios, and at a site's file, certificates, broker and probes.

    Each finding comes with its fix. Changes nothing.
    """
    site, error = _read(site_path)
    patient = Patient(
        now_s=time.time(), site_path=site_path, site=site, site_error=error, credential=folder, data=data,
        envoy=envoy_of(site, broker, folder) if site else None,
    )  # fmt: skip
    results = audit_text.run("doctor", audit(patient, CHECKS), len(CHECKS))
    found = audit_text.as_object(results)
    if as_json:
        text.emit(json.dumps(found) + "\n")
    else:
        audit_text.show(results)
    if bundle_path:
        names, removed = bundle(bundle_path, found, [*([site_path] if site_path and site_path.exists() else []), *logs])
        text.remark(f"{bundle_path}: {', '.join(names)}; {removed} things removed; look into it before you send it")
    if failed(results):
        context.exit(ExitCode.FOUND)


def _read(path: Path | None) -> tuple[Site | None, HostkitError | None]:
    """Read the site; what is wrong with it is a finding."""
    try:
        return (load_site(path) if path else None), None
    except HostkitError as error:
        return None, error
