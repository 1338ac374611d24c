"""`footfall calibrate zones`: in and out of every zone with a phone."""

from pathlib import Path

import click

from hostkit.cli.calibrate_live import Live, gathered, live_options, recalled
from hostkit.cli.calibrate_options import (
    Output,
    check_reports,
    conclude,
    from_option,
    language_option,
    report_option,
    tell,
)
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.field.courses import ZoneCourse
from hostkit.field.diary import is_diary
from hostkit.field.words import Language
from hostkit.field.zones import read_rounds, zones_trial


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate zones --site site.toml --http 0.0.0.0:8090
      footfall calibrate zones --site site.toml --from zones.csv --report zones.html

    \b
    A table is `time_s,anchor,rssi_dbm,zone`, a zone being an id of site.toml or `outside`. It needs two zones, each
    gone into twice, with 5 windows of 10 s. With fewer than three placed probes it chooses the rings' levels and
    hysteresis. With three or more there are none: zones follow from positions and what was heard before and after, and
    what it may change is path_loss.sigma_db, how sure a position is. It changes what is clearly better held out, by the
    Brier score. PASS: at most half the held-out time is given to another zone, and less than a guess would. Exit codes:
    as of footfall calibrate walk."""
)
@site_option
@from_option
@live_options
@language_option
@report_option
@json_option
def zones(
    *,
    site_path: Path,
    table: Path | None,
    live: Live,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Walk in and out of zones, see which are taken for which; choose levels and hysteresis of one or two probes."""
    check_reports(reports)
    site = load_site(site_path)
    if table is not None and is_diary(table):
        trial = recalled(table, site, "zones")
    elif table is not None:
        rounds, remarks = read_rounds(table, site)
        tell(remarks)
        trial = zones_trial(site, rounds)
    else:
        trial = gathered(site_path, site, live, ZoneCourse(site), language)
    conclude(site_path, site, trial, Output(language=language, as_json=as_json, reports=reports))
