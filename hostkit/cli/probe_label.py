"""`footfall probe label`: labels for probes, to print. No logic."""

import json
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.cli.probe_options import probe_of
from hostkit.config import load_site
from hostkit.errors import ConfigError
from hostkit.install.label import draw_labels, label_of
from hostkit.io.files import write_files


@click.command(
    epilog="""Examples:

    \b
      footfall probe label --site site.toml --probe window-left --out window-left.svg
      footfall probe label --site site.toml --out labels.pdf      every probe, on sheets of 24 labels, 70 by 37 mm"""
)
@site_option
@click.option("--probe", "ids", multiple=True, metavar="ID", help="Which probe; may be repeated.  [default: all]")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write: .svg, .pdf or .png."
)
@json_option
def label(*, site_path: Path, ids: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Draw labels that say which probe it is and where it hangs, for eyes and as a QR code. No secret is on them."""
    site = load_site(site_path)
    probes = [probe_of(site, name) for name in ids] or list(site.probes)
    if not probes:
        raise ConfigError("has no probe", where=str(site_path), next_step="add one under [[probes]]")
    labels = [label_of(site, probe) for probe in probes]
    files = draw_labels(labels, out)
    write_files(files)
    if as_json:
        listed = [{"probe": one.probe, "code": one.code} for one in labels]
        text.emit(json.dumps({"files": [str(path) for path in files], "labels": listed}) + "\n")
        return
    for path in files:
        text.emit(f"{path}\n")
    text.remark(f"{out}: {len(labels)} labels; print at 100 %, not fitted to the page")
