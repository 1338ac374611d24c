"""`footfall evaluate associate`: frames with known senders in, scores of association out."""

import importlib
import json
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.errors import UsageError
from hostkit.evaluate.associate import Evaluation, MethodScore, as_object
from hostkit.evaluate.associate import evaluate as run_evaluation
from hostkit.evaluate.mix import MAX_PROBES, Mix, superpose
from hostkit.evaluate.read import read_input
from hostkit.io.files import write_files

MAX_WINDOW_S = 86_400
MAX_CLONES = 10_000
DEFAULT = Mix(seed=0)


@click.command(
    epilog="""Examples:

    \b
      footfall evaluate associate phones/
      footfall evaluate associate phones/ --mix 1 --clones 3 --probes 4 --moving
      footfall evaluate associate monday.pcap --labels senders.csv --json
      footfall evaluate associate SIGHTINGS.csv

    \b
    Scores count transmissions: a frame counts once however many probes heard it. Without --mix devices are scored
    at the times they were recorded. Exit codes: as of footfall replay."""
)
@click.argument("path", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--labels",
    type=click.Path(path_type=Path, readable=False),
    metavar="L.csv",
    help="Sender of each packet of one capture, a line each: the first column.",
)
@click.option("--mix", "seed", type=click.IntRange(0), metavar="SEED", help="Superpose the devices in one window.")
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(1, MAX_WINDOW_S),
    default=DEFAULT.window_s,
    show_default=True,
    metavar="SECONDS",
    help="With --mix: its length.",
)
@click.option(
    "--clones",
    type=click.IntRange(1, MAX_CLONES),
    default=DEFAULT.clones,
    show_default=True,
    help="With --mix: copies of each device.",
)
@click.option(
    "--probes",
    type=click.IntRange(1, MAX_PROBES),
    default=DEFAULT.probes,
    show_default=True,
    help="With --mix: simulated probes that hear them.",
)
@click.option("--moving", is_flag=True, help="With --mix: phones walk about.")
@click.option(
    "--plot", type=click.Path(path_type=Path, readable=False), metavar="FILE.png", help="Draw counts and scores."
)
@json_option
def associate(
    *,
    path: Path,
    labels: Path | None,
    seed: int | None,
    window_s: float,
    clones: int,
    probes: int,
    moving: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Score which frames are one phone's, on captures of known phones: ours beside the baselines people know.

    PATH is a folder whose every sub-folder or top-level capture is one device, one capture with --labels, or a table
    of sightings: time_s,probe,address,rssi_dbm,channel,sequence,elements_hex,label.
    """
    mix = Mix(seed=seed or 0, window_s=window_s, clones=clones, probes=probes, moving=moving)
    if seed is None and mix != DEFAULT:
        raise UsageError("there is no mix without a seed", where="evaluate associate", next_step="add --mix 1")
    with text.progress_bar("read") as on_progress:
        labelled = read_input(path, labels, on_progress)
    result = run_evaluation(labelled) if seed is None else run_evaluation(superpose(labelled, mix), window_s)
    for line in result.notes:
        text.remark(line)
    if plot:
        write_files({plot: _drawing(result)})
    if as_json:
        text.emit(json.dumps(as_object(result), indent=2, allow_nan=False) + "\n")
        return
    _print(result)


def _print(result: Evaluation) -> None:
    text.emit(
        f"{_many(result.devices_true, 'device')} heard by {_many(result.probes, 'probe')} in "
        f"{text.duration(result.span_s)}: {result.transmissions:,} transmissions, {result.sightings:,} sightings, "
        f"{result.addresses:,} addresses\n\n"
    )
    rows = [_row("footfall", result.ours), *(_row(name, one) for name, one in result.baselines.items())]
    header = ("method", "devices", "90 % interval", "error", "homog.", "compl.", "V", "ARI", "IDF1", "HOTA", "switches")
    text.table((*header, "frames/s", ""), rows)


def _drawing(result: Evaluation) -> bytes:
    plot = importlib.import_module("hostkit.io.plot")  # a second of CPU on a Pi, for those who ask for it
    ran = [("footfall", result.ours), *((name, one) for name, one in result.baselines.items() if one is not None)]
    chart = plot.MethodChart(
        methods=[(name.replace("_", " "), one.devices) for name, one in ran],
        shares=[
            (title, [getattr(one.scores, name) for _, one in ran])
            for name, title in (("homogeneity", "homogeneity"), ("v_measure", "V"), ("idf1", "IDF1"))
        ],
        truth=result.devices_true,
        title=f"{_many(result.devices_true, 'device')}, {result.transmissions:,} transmissions",
    )
    drawn: bytes = plot.methods_png(chart)
    return drawn


def _row(name: str, of: MethodScore | None) -> tuple[str, ...]:
    name = name.replace("_", " ")
    if of is None:
        return (name, *["–"] * 11, "")
    scores = of.scores
    shares = (scores.homogeneity, scores.completeness, scores.v_measure, scores.ari, scores.idf1, scores.hota)
    return (
        name,
        text.number(of.devices.value),
        "" if of.devices.low is None else text.between(of.devices),
        "–" if of.count_error is None else f"{100 * of.count_error:+,.0f} %",
        *(f"{share:.3f}" for share in shares),
        f"{scores.id_switches:,}",
        _rate(of.frames_per_s),
        "",
    )


def _rate(per_s: float) -> str:
    return f"{per_s / 1e6:,.1f} M" if per_s >= 1e6 else f"{per_s / 1e3:,.1f} k"


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count > 1)}"
