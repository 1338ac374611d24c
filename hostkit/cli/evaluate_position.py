"""`footfall evaluate position`: readings and true places in, errors of every method out."""

import importlib
import json
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.core.calibrate import WalkFit
from hostkit.evaluate.position import DEFAULT, WINDOW_S, Evaluation, Scored, as_object
from hostkit.evaluate.position import evaluate as run_evaluation
from hostkit.io.files import write_files

MIN_WINDOW_S, MAX_WINDOW_S = 0.05, 3600.0
TABLE = click.Path(path_type=Path, readable=False)


@click.command(
    epilog="""Examples:

    \b
      footfall evaluate position --anchors anchors.csv --readings readings.csv --truth truth.csv
      footfall evaluate position --anchors A.csv --readings R.csv --truth T.csv --calibration C.csv --plot errors.png
      footfall evaluate position --anchors A.csv --readings R.csv --truth T.csv --window 5 --json

    \b
    Columns: anchors anchor,x_m,y_m[,z_m]; readings time_s,anchor,rssi_dbm; truth time_s,x_m,y_m; calibration like
    readings with x_m,y_m. A row is a reading: leave out rows that stand for "not heard". A window counts if it holds
    a reading and its true place is known; a method that gives no fix there is charged with the centre's error.
    Exit codes: as of footfall replay."""
)
@click.option("--anchors", type=TABLE, required=True, metavar="A.csv", help="Where the sensors are.")
@click.option("--readings", type=TABLE, required=True, metavar="R.csv", help="What they heard of one device.")
@click.option("--truth", type=TABLE, required=True, metavar="T.csv", help="Where it was.")
@click.option("--calibration", type=TABLE, metavar="C.csv", help="Readings of the same device at known places.")
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(MIN_WINDOW_S, MAX_WINDOW_S),
    default=WINDOW_S,
    show_default=True,
    metavar="SECONDS",
    help="Readings of so long make one fix.",
)
@json_option
@click.option("--plot", type=TABLE, metavar="FILE.png", help="Draw errors, and fixes against the truth.")
def position(
    *,
    anchors: Path,
    readings: Path,
    truth: Path,
    calibration: Path | None,
    window_s: float,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Score positions against the truth: the product's methods beside the baselines people know.

    With a calibration the path loss of every anchor and a map of what walls do are learnt from it. Without one, path
    loss is learnt from the readings themselves; the truth is used for the scores alone.
    """
    result = run_evaluation(anchors, readings, truth, calibration, window_s=window_s)
    for line in result.remarks:
        text.remark(line)
    if plot:
        write_files({plot: _drawing(result)})
    if as_json:
        text.emit(json.dumps(as_object(result), indent=2, allow_nan=False) + "\n")
        return
    _print(result)


def _print(result: Evaluation) -> None:
    fit = result.model.fit
    if isinstance(fit, WalkFit):
        source = f"a survey of {fit.places} places (residual {fit.residual_db:.1f} dB)"
        exponent = fit.exponent.value
    else:
        source, exponent = "the readings alone", fit.exponent
    text.emit(
        f"{result.counted:,} of {result.windows:,} windows of {result.window_s:g} s have a true place; "
        f"{len(result.anchors_m)} anchors; exponent {text.number(exponent, 2)} from {source}\n\n"
    )
    named = {f"{name} (default)" if name == DEFAULT else name: one for name, one in result.methods.items()}
    rows = [_row(name, one) for name, one in (named | dict(result.baselines)).items()]
    text.table(("error in m", "mean", "median", "RMSE", "p75", "p90", "in 90 % region", "fixes", ""), rows)


def _row(name: str, of: Scored | None) -> tuple[str, ...]:
    name = name.replace("_", " ")
    if of is None:
        return (name, *["–"] * 7, "")
    scores = of.scores
    errors = (scores.mean_m, scores.median_m, scores.rmse_m, scores.p75_m, scores.p90_m)
    share = "–" if scores.region90_coverage is None else f"{scores.region90_coverage:.0%}"
    return (name, *(text.number(error, 2) for error in errors), share, f"{scores.fixes:,}", "")


def _drawing(result: Evaluation) -> bytes:
    plot = importlib.import_module("hostkit.io.plot_positions")  # a second of CPU on a Pi, for those who ask for it
    tracks = {**result.methods, **{name: one for name, one in result.baselines.items() if one is not None}}
    chart = plot.Positions(
        anchors_m=result.anchors_m,
        truth_m=result.truth_m,
        place_m=result.methods[DEFAULT].place_m,
        method=DEFAULT,
        errors_m={name: one.error_m for name, one in tracks.items()},
    )
    drawn: bytes = plot.png(chart)
    return drawn
