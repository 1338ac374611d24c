"""`footfall evaluate dwell`: four files in, a score as a table or JSON, a drawing. No logic."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.evaluate.dwell import METHOD, Case, DwellResult, evaluate, read_case, stops
from hostkit.evaluate.timeline import Score, stays
from hostkit.io.files import write_files
from hostkit.model import Thresholds

_FILE = click.Path(path_type=Path, readable=False)
_EXAMPLE = """
\b
Example:
  footfall evaluate dwell --readings readings.csv --anchors anchors.csv --zones zones.toml --truth truth.csv
"""


@click.command(epilog=_EXAMPLE)
@click.option(
    "--readings", required=True, type=_FILE, metavar="FILE", help="One device: time_s,anchor,rssi_dbm in any order."
)
@click.option("--anchors", required=True, type=_FILE, metavar="FILE", help="anchor,x_m,y_m and z_m where known.")
@click.option("--zones", required=True, type=_FILE, metavar="FILE", help="TOML: [[zone]] with id and polygon_m.")
@click.option("--truth", required=True, type=_FILE, metavar="FILE", help="zone,enter_s,leave_s, one zone at a time.")
@json_option
@click.option("--plot", type=_FILE, metavar="FILE.png", help="Draw who said when the device was where.")
def dwell(  # noqa: PLR0917
    readings: Path, anchors: Path, zones: Path, truth: Path, as_json: bool, plot: Path | None
) -> None:
    """Score the stays of one device in zones: how many, when they begin and end, and the share of time that is right.

    Nothing is calibrated: what the anchors read at which distance is learnt from the readings. Changes of zone are
    counted within the span of the truth; less than 5 s in no zone between two stays belongs to the change. Errors are
    medians over stays that share half of their union with a true one.
    """
    case = read_case(readings, anchors, zones, truth)
    result = evaluate(case)
    if result.followed.ignored:
        what = f"{result.followed.ignored} of {len(case.time_s)} readings are no levels"
        text.remark(f"{readings}: {what}; empty ones and those not above -100 dBm or above 0 dBm count as not heard")
    if plot:
        write_files({plot: _drawing(case, result)})
    if as_json:
        text.emit(json.dumps(_report(case, result), indent=2, allow_nan=False) + "\n")
        return
    rows = [_row("footfall", result.score), *(_row(name, score) for name, score in result.baselines.items())]
    text.table(("", "changes", "true", "F1", "enter error", "leave error", "time right", ""), rows)
    levels = result.followed.levels
    text.emit(
        f"\nStops of at least {Thresholds().window_stop_s:.0f} s: {len(stops(result.followed))}.\n"
        f"Learnt from the readings: {levels.level_dbm:.0f} dBm at 1 m, exponent {levels.exponent:.1f}, "
        f"sigma {levels.sigma_db:.1f} dB, border {levels.border_db:.1f} dB, body {levels.body_db:.1f} dB.\n"
    )


def _row(name: str, score: Score) -> tuple[str, ...]:
    return (
        name,
        text.number(score.transitions),
        text.number(score.transitions_true),
        text.number(score.f1_iou50, 3),
        _seconds(score.enter_error_s),
        _seconds(score.leave_error_s),
        f"{score.side_accuracy:.1%}",
        "",
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _report(case: Case, result: DwellResult) -> dict[str, object]:
    levels = asdict(result.followed.levels)
    return {
        **asdict(result.score),
        "baselines": {name: asdict(score) for name, score in result.baselines.items()},
        "method": METHOD,
        "readings": len(case.time_s),
        "readings_ignored": result.followed.ignored,
        "levels": levels | {"offset_db": [round(float(value), 2) for value in levels["offset_db"]]},
        "stays": [
            {
                "zone": case.zones[stay.zone].id,
                "enter_s": round(stay.enter_s, 2) + 0.0,
                "leave_s": round(stay.leave_s, 2),
            }
            for stay in stays(result.timelines["footfall"])
        ],
        "stops": [
            {
                "x_m": round(float(stop["x_m"]), 1),
                "y_m": round(float(stop["y_m"]), 1),
                "from_s": round(result.followed.time_s[0] + stop["start_us"] * 1e-6, 2),
                "until_s": round(result.followed.time_s[0] + stop["end_us"] * 1e-6, 2),
            }
            for stop in stops(result.followed)
        ],
    }


def _drawing(case: Case, result: DwellResult) -> bytes:
    plot = importlib.import_module("hostkit.io.plot")  # a second of CPU on a Pi, for those who ask for it
    rows = [
        (name, [(stay.zone, stay.enter_s, stay.leave_s) for stay in stays(timeline)])
        for name, timeline in result.timelines.items()
    ]
    title = f"Zones of one device: {result.score.transitions} changes, {result.score.transitions_true} true"
    drawn: bytes = plot.stays_png(plot.StayChart(rows=rows, zones=[shape.id for shape in case.zones], title=title))
    return drawn
