"""`footfall site bundle`: codes for a site's probes in one signed file. No logic."""

import json
import time
from datetime import datetime
from pathlib import Path

import click

from hostkit.cli import identity_options, text
from hostkit.cli.options import json_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.install.sitebundle import SUFFIX, SiteBundle, make_bundle, read_bundle
from hostkit.io.files import write_files


@click.command(
    epilog="""Examples:

    \b
      footfall site bundle --site site.toml                     codes for every probe, for a day
      footfall site bundle --site site.toml window-left till --valid 7d --out monday.footfall
      footfall site bundle --read monday.footfall --pin GJ3X-QZ7A-2MDE-K5VB

    \b
    Exit codes: 0 done, 2 no such probe or host, or the bundle of another site, 3 a bundle that is over, changed or
    none, 4 no authority (run `footfall hub init`) or a broken site.toml, 5 cannot be written."""
)
@click.argument("probes", nargs=-1, metavar="[PROBE]...")
@click.option(
    "--site",
    "site_path",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
@identity_options.hub_data
@identity_options.valid_option
@click.option("--host", default="", help="Name or address in the codes.  [default: the first of `hub init`]")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: TENANT-SITE.footfall]"
)
@click.option(
    "--read",
    "taken",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Check a bundle and say what is in it, on any machine.",
)
@click.option("--pin", default="", help="With --read: what the hub said when it was made.")
@json_option
def bundle(
    *, probes: tuple[str, ...], site_path: Path | None, data: Path, valid_s: float, host: str, out: Path | None,
    taken: Path | None, pin: str, as_json: bool,
) -> None:  # fmt: skip
    """Make at the hub what the installer's laptop needs without internet: a code for each PROBE, whom to trust, where
    the broker is, and site.toml; signed by the site's authority, good until the codes are over.

    Keep the file private: whoever has it can enrol as these probes. A newer bundle voids the codes of the one before.
    """
    site = load_site(site_path) if site_path else None
    if taken is not None:
        _show(read_bundle(taken, time.time(), pin=pin, site=site), taken, as_json=as_json)
        return
    if site is None:
        raise UsageError("which site?", where="--site", next_step="give its site.toml, or --read a bundle")
    path = out or Path(f"{site.tenant}-{site.site}{SUFFIX}")
    if path.exists():
        raise UsageError("is there already", where=str(path), next_step="delete it or name another with --out")
    made, held = make_bundle(site, data, probes or [p.id for p in site.probes], time.time(), valid_s=valid_s, host=host)
    write_files({path: made}, private=True)
    _show(held, path, as_json=as_json)


def _show(held: SiteBundle, path: Path, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "file": str(path), "tenant": held.site.tenant, "site": held.site.site, "probes": sorted(held.codes),
            "hosts": held.hosts, "port": held.port, "enrol_port": held.enrol_port, "pin": held.pin,
            "made_s": held.made_s, "until_s": held.until_s,
        }  # fmt: skip
        text.emit(json.dumps(facts) + "\n")
        return
    until = datetime.fromtimestamp(held.until_s).astimezone().strftime("%Y-%m-%d %H:%M")
    codes = f"codes for {', '.join(held.codes)}"
    text.remark(f"{path}: {held.site.tenant}/{held.site.site}, {codes}; good until {until}, each code once")
    text.remark(f"authority: {held.short_pin}; compare it where the file is used: --pin {held.short_pin}")
