"""`footfall evaluate count`: captures and counted people in, errors of the count out."""

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.errors import UsageError
from hostkit.evaluate.agreement import Agreement
from hostkit.evaluate.count import WINDOW_S, CountEvaluation, as_object
from hostkit.evaluate.count import evaluate as run_evaluation
from hostkit.io.addresses import read_addresses
from hostkit.io.files import write_files


def moment(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Read a date or ISO 8601 time as Unix seconds, UTC where it names no offset. Raises UsageError."""
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise UsageError(f"{value!a} is no date", where="--fit-until", next_step="write it as 2024-02-29") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@click.command(
    epilog="""Examples:

    \b
      footfall evaluate count lab/*.pcap --truth people.csv --fit-until 2024-02-29
      footfall evaluate count --fixed desktops.txt --truth people.csv --fit-until 2024-02-29 --json lab/*.pcap
      footfall evaluate count --truth people.csv --fit-until 2024-02-29 --plot days.png lab/*.pcap

    \b
    people.csv has a line `time,people` and then a line for each count: time as 2024-02-29T10:30:00Z or Unix
    seconds. The truth of a window is the mean of its lines. Exit codes: as of footfall replay."""
)
@click.argument(
    "captures", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False), metavar="CAPTURE..."
)
@click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="T.csv",
    help="Counted people: time,people.",
)
@click.option(
    "--fit-until",
    "fit_until_s",
    required=True,
    callback=moment,
    metavar="DATE",
    help="Windows before it are fitted, the others tested; UTC.",
)
@click.option(
    "--fixed",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Addresses to leave out, one a line.",
)
@json_option
@click.option(
    "--plot", type=click.Path(path_type=Path, readable=False), metavar="FILE.png", help="Draw count against truth."
)
def count(
    *,
    captures: tuple[Path, ...],
    truth: Path,
    fit_until_s: float,
    fixed: Path | None,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Score counts of people in windows of ten minutes (UTC) against people counted by hand.

    People per device, its spread and the noise are fitted on the days before --fit-until, as footfall calibrate count
    does; the baselines get a line fitted on the same windows. Captures that overlap in time are several probes'.
    """
    fixed_addresses = read_addresses(fixed) if fixed else ()
    with text.progress_bar("count", long=1) as on_progress:
        result = run_evaluation(captures, truth, fit_until_s, fixed_addresses, on_progress)
    for line in result.warnings:
        text.remark(line)
    if plot:
        write_files({plot: _drawn(result)})
    if as_json:
        text.emit(json.dumps(as_object(result), indent=2, allow_nan=False) + "\n")
        return
    _print(result)


def _drawn(result: CountEvaluation) -> bytes:
    countplot = importlib.import_module("hostkit.io.countplot")  # matplotlib: for those who ask for it
    series, ours = result.series, result.ours
    chart = countplot.CountChart(
        start_s=series.start_s,
        window_s=WINDOW_S,
        truth=series.truth,
        value=series.value,
        low=series.low,
        high=series.high,
        title=f"people inside: mean error {ours.mae_people:.2f}, interval holds {ours.interval_coverage:.0%}",
    )
    drawn: bytes = countplot.png(chart)
    return drawn


def _print(result: CountEvaluation) -> None:
    site = result.site
    text.emit(
        f"{result.ours.windows} windows of {WINDOW_S // 60} min tested, {result.fitted_windows} windows of "
        f"{site.reference_counts} days fitted: {site.people_per_device:.2f} people per device, "
        f"times or divided by {1 + site.log_sd:.2f} from day to day\n\n"
    )
    header = ("method", "mean error", "bias", "rank corr.", "90 % holds", "its width", "Winkler", "")
    others = [_row(name.replace("_", " "), one) for name, one in result.baselines.items()]
    ours = [_row("footfall", result.ours), _row("footfall, at once", result.at_once)]
    text.table(header, [*ours, *others])


def _row(name: str, of: Agreement) -> tuple[str, ...]:
    return (
        name,
        f"{of.mae_people:.2f}",
        f"{of.bias_people:+.2f}",
        text.number(of.spearman, 2),
        "–" if of.interval_coverage is None else f"{100 * of.interval_coverage:.0f} %",
        text.number(of.interval_width, 1),
        text.number(of.winkler, 1),
        "",
    )
