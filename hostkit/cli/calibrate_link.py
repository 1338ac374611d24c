"""`footfall calibrate link`: a reference phone or tag at measured distances from each probe."""

from pathlib import Path

import click

from hostkit.cli.calibrate_live import Live, gathered, live_options, recalled
from hostkit.cli.calibrate_options import (
    Output,
    check_reports,
    conclude,
    device_option,
    from_option,
    language_option,
    report_option,
    tell,
)
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.errors import UsageError
from hostkit.field.courses import LinkCourse
from hostkit.field.diary import is_diary
from hostkit.field.link import FARTHEST_M, link_trial, read_stands
from hostkit.field.words import Language


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate link --site site.toml
      footfall calibrate link --site site.toml --distances 1,8 --beacon tag-1 --radio ble --device tag
      footfall calibrate link --site site.toml --from link.csv --report link.pdf

    \b
    A table is `time_s,anchor,rssi_dbm,distance_m`: straight from the probe to the phone. It needs 20 frames at each of
    two distances from a probe, the farther at least twice the nearer; three and more are a walk-away. PASS: the error
    of held-out stands is at most 6 dB, the exponent 1.5 to 5, the level at 1 m known to 6 dB.
    Exit codes, and what is kept of a live one: as of footfall calibrate walk."""
)
@site_option
@from_option
@click.option("--distances", default="1,2,4,8", show_default=True, metavar="M,M,...", help="Metres from each probe.")
@device_option
@live_options
@language_option
@report_option
@json_option
def link(
    *,
    site_path: Path,
    table: Path | None,
    distances: str,
    device: str,
    live: Live,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Stand at measured distances from each probe, and learn its level at 1 m and how fast it falls off."""
    check_reports(reports)
    site, phone = load_site(site_path), device == "phone"
    if table is not None and is_diary(table):
        trial = recalled(table, site, "link")
    elif table is not None:
        stands, remarks = read_stands(table, site)
        tell(remarks)
        trial = link_trial(site, stands, phone=phone)
    else:
        trial = gathered(site_path, site, live, LinkCourse(site, _metres(distances), phone=phone), language)
    conclude(site_path, site, trial, Output(language=language, as_json=as_json, reports=reports))


def _metres(distances: str) -> list[float]:
    try:
        found = [float(word) for word in distances.split(",")]
    except ValueError:
        found = []
    if len(found) < 2 or not all(0.1 <= one <= FARTHEST_M for one in found):
        raise UsageError(f"{distances[:40]!a} are no distances", where="--distances", next_step="write 1,8 or 1,2,4,8")
    return found
