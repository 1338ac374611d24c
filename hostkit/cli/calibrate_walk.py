"""`footfall calibrate walk`: readings at marked points → path loss and offsets."""

from pathlib import Path

import click

from hostkit.cli.calibrate_live import Live, gathered, live_options, recalled
from hostkit.cli.calibrate_options import (
    FILE,
    Output,
    check_reports,
    conclude,
    device_option,
    floor_option,
    from_option,
    language_option,
    report_option,
    tell,
)
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.field.courses import WalkCourse, points_on, read_points
from hostkit.field.diary import is_diary
from hostkit.field.ground import ground_of
from hostkit.field.survey import read_survey
from hostkit.field.walk import walk_trial
from hostkit.field.words import Language


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate walk --site site.toml --http 0.0.0.0:8090 --report walk.pdf
      footfall calibrate walk --site site.toml --points points.csv --beacon tag-1 --radio ble --device tag
      footfall calibrate walk --site site.toml --from walk.csv --report walk.pdf --report walk.html

    \b
    Live, a BLE tag of that name is carried from point to point (points.csv: `x_m,y_m`; else some are proposed), or a
    phone on which a hidden Wi-Fi network of that name is saved: it calls for it while its Wi-Fi list is open.
    Every stand is kept in calibration/walk-live.jsonl: after a crash the same command goes on, and --from takes that
    file. A table is `time_s,anchor,rssi_dbm,x_m,y_m`, anchor a probe's id, and may have `device`. It needs 20 points a
    metre or more apart. PASS: the error of held-out squares is at most three quarters of guessing the centre, the noise
    at most 10 dB, the exponent 1.5 to 5, every corner of the shop has two points.
    Exit codes: 0 tried, PASS or FAIL; 3 readings that cannot be used; 6 no hub."""
)
@site_option
@from_option
@click.option("--points", type=FILE, metavar="FILE", help="Marked points, instead of those proposed.")
@floor_option
@device_option
@live_options
@language_option
@report_option
@json_option
def walk(
    *,
    site_path: Path,
    table: Path | None,
    points: Path | None,
    floor: str | None,
    device: str,
    live: Live,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Stand on marked points with a phone or tag, and learn how far off positions are and how to make them better.

    Path loss and offsets are fitted and tried on squares of the floor that were left out. site.toml changes only if
    the error there falls; footfall calibrate undo takes it back.
    """
    check_reports(reports)
    site, phone = load_site(site_path), device == "phone"
    ground = ground_of(site, floor)
    if table is not None and is_diary(table):
        trial = recalled(table, site, "walk", floor)
    elif table is not None:
        survey, remarks = read_survey(table, ground)
        tell(remarks)
        trial = walk_trial(site, ground, survey, phone=phone)
    else:
        place_m = points_on(ground.floor) if points is None else read_points(points, ground)
        trial = gathered(site_path, site, live, WalkCourse(site, ground, place_m, phone=phone), language)
    wanted = Output(language=language, as_json=as_json, reports=reports, floor=floor)
    conclude(site_path, site, trial, wanted)
