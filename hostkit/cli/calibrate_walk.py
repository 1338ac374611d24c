"""`footfall calibrate walk`: readings at marked points → path loss and offsets."""

from pathlib import Path

import click

from hostkit.cli.calibrate_options import (
    Output,
    conclude,
    device_option,
    floor_option,
    language_option,
    report_option,
    table_option,
    tell,
)
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.field.ground import ground_of
from hostkit.field.survey import read_survey
from hostkit.field.walk import walk_trial
from hostkit.field.words import Language


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate walk --site site.toml --from walk.csv
      footfall calibrate walk --site site.toml --from walk.csv --device tag --report walk.pdf --report walk.html

    \b
    A table is `time_s,anchor,rssi_dbm,x_m,y_m`, anchor being a probe's id, and may have `device`. It needs 20 points a
    metre or more apart. PASS: the error of held-out squares is at most three quarters of guessing the centre, the noise
    at most 10 dB, the exponent 1.5 to 5, every corner of the shop has two points. Exit codes: as of footfall replay."""
)
@site_option
@table_option
@floor_option
@device_option
@language_option
@report_option
@json_option
def walk(
    *,
    site_path: Path,
    table: Path,
    floor: str | None,
    device: str,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Stand on marked points with a phone or tag, and learn how far off positions are and how to make them better.

    Path loss and offsets are fitted and tried on squares of the floor that were left out. site.toml changes only if
    the error there falls; footfall calibrate undo takes it back.
    """
    site = load_site(site_path)
    ground = ground_of(site, floor)
    survey, remarks = read_survey(table, ground)
    tell(remarks)
    trial = walk_trial(site, ground, survey, phone=device == "phone")
    conclude(site_path, site, trial, Output(language=language, as_json=as_json, reports=reports, floor=floor))
