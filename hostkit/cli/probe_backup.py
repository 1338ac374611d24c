"""`footfall probe backup`: the place of a probe, or of all, in files. No logic."""

import json
import time
from pathlib import Path

import click

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.install.backup import take_backup, write_backups
from hostkit.install.hubline import HubLine


@click.command(
    epilog="""Examples:

    \b
      footfall probe backup --site site.toml --as installer --out backup
      footfall probe backup --site site.toml --probe till --out backup      without what the hub knows

    \b
    Exit codes: 0 written, 2 an option, 4 site.toml, 5 the disk, 6 no hub."""
)
@site_option
@click.option("--probe", "ids", multiple=True, metavar="ID", help="Which probe; may be repeated.  [default: all]")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder; a file a probe.")
@options.as_option
@options.broker_option
@json_option
def backup(
    *, site_path: Path, ids: tuple[str, ...], out: Path, folder: Path | None, broker: str | None, as_json: bool
) -> None:
    """Write position, settings, calibration and what the hub last saw of each probe; no secret is among them."""
    site = load_site(site_path)
    probes = [options.probe_of(site, name) for name in ids] or list(site.probes)
    envoy, rows = options.envoy_of(site, broker, folder), {}
    if envoy is None:
        text.remark("hub: not asked (--as or --broker): uplink, firmware and board are left out")
    else:
        with HubLine(envoy) as line:
            rows = {row.id: row for row in line.latest().probes.rows}
    now_s = time.time()
    backups = [take_backup(site_path, site, probe, rows.get(probe.id), now_s) for probe in probes]
    paths = write_backups(out, backups)
    if as_json:
        text.emit(json.dumps({"files": [str(path) for path in paths]}) + "\n")
        return
    for path, one in zip(paths, backups, strict=True):
        text.emit(f"{path}: {len(one.calibrations)} calibrations, {one.uplink or 'uplink not known'}\n")
