"""`footfall calibrate anchors`: probes hear each other; nobody walks."""

from pathlib import Path

import click

from hostkit.cli.calibrate_options import (
    Output,
    check_reports,
    conclude,
    floor_option,
    from_option,
    language_option,
    report_option,
    tell,
)
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.field.anchors import anchors_trial, newest, read_links_table
from hostkit.field.ground import ground_of
from hostkit.field.words import Language
from hostkit.hub.settings import NOTHING
from hostkit.io.anchorlinks import read_links, reference_file


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate anchors --site site.toml
      footfall calibrate anchors --site site.toml --from anchors.csv --json

    \b
    Without --from the newest night that the hub kept beside site.toml is taken. A table is `sender,receiver,rssi_dbm`,
    a row a frame. It needs half of all pairs, 3 at least, with 5 frames each way, the farthest pair twice as far apart
    as the nearest. PASS: held-out links are within 8 dB, the exponent is 1.5 to 5, every probe has two links."""
)
@site_option
@from_option
@floor_option
@language_option
@report_option
@json_option
def anchors(
    *,
    site_path: Path,
    table: Path | None,
    floor: str | None,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Learn each probe's offset, and the exponent where it clearly differs, from the beacons of the others."""
    check_reports(reports)
    site = load_site(site_path)
    ground = ground_of(site, floor)
    also = NOTHING
    if table is None:
        links, night = newest(ground, read_links(site_path))
        also = dict([reference_file(site_path, night)])
    else:
        links, remarks = read_links_table(table, ground)
        tell(remarks)
    trial = anchors_trial(site, ground, links)
    wanted = Output(language=language, as_json=as_json, reports=reports, floor=floor)
    conclude(site_path, site, trial, wanted, also)
