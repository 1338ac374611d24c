"""`scripts/bench`: the table of ratios, the curves of growth, as text, JSON and a plot."""

import dataclasses
import json
import platform
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.growth import Growth, growths
from tests.bench.instructions_kernels import Count, counts
from tests.bench.table import Row, rows


@click.command(
    epilog="""Examples:

    \b
      scripts/bench
      scripts/bench --json bench.json --plot bench.png
      scripts/bench --quick --json -"""
)
@click.option("--json", "json_path", metavar="FILE", help="Write everything as one JSON object; -: to stdout.")
@click.option("--plot", "plot_path", metavar="FILE.png", help="Draw ratios and growth.")
@click.option("--quick", is_flag=True, help="Small inputs, peers of this environment only: proves that it runs.")
@click.option("--kernel", "only", metavar="NAME", help="Only these rows: parse, locate, dwell, associate, live.")
def main(json_path: str | None, plot_path: str | None, quick: bool, only: str | None) -> None:
    """Measure each kernel against its peers and floors on the same input in one run, in CPU time."""
    notes = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        notes.print(line, style="dim", markup=False)

    found = list(rows(quick=quick, say=say, only=only))
    grown = list(growths(quick=quick, only=only))
    counted = [] if quick or only else list(counts(say=say))
    if json_path != "-":
        show(found, grown, counted)
    if json_path:
        text = json.dumps(as_json(found, grown, counted, quick=quick), indent=2, allow_nan=False) + "\n"
        click.echo(text, nl=False) if json_path == "-" else Path(json_path).write_text(text)
    if plot_path:
        draw(found, grown, Path(plot_path))


def as_json(found: list[Row], grown: list[Growth], counted: list[Count], *, quick: bool) -> dict[str, object]:
    """Give everything, with what it ran on in so far as it explains ratios."""
    return {
        "quick": quick,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rows": [dataclasses.asdict(row) | {"met": row.met} for row in found],
        "growth": [dataclasses.asdict(curve) for curve in grown],
        "instructions": [dataclasses.asdict(count) for count in counted],
    }


def show(found: list[Row], grown: list[Growth], counted: list[Count]) -> None:
    """Print the tables."""
    console = Console(highlight=False, width=None if Console().is_terminal else 140)
    table = Table(title="items per CPU-second, one core, same input, same run", title_justify="left")
    for name in ("kernel", "peer", "version", "input", "peer", "ours", "ratio", "aim", "met", "quality: peer → ours"):
        left = name in ("kernel", "version", "met") or (name == "peer" and len(table.columns) == 1)
        table.add_column(name, justify="left" if left else "right")
    for row in found:
        table.add_row(*_cells(row))
    console.print(table)
    for row in found:
        if row.missing:
            console.print(f"{row.kernel}, {row.peer}: {row.missing}", markup=False)
    console.print(_growth_table(grown))
    if counted:
        console.print(_instructions_table(counted))


def _growth_table(grown: list[Growth]) -> Table:
    table = Table(title="growth: CPU time ~ size ^ slope", title_justify="left")
    for name in ("kernel", "axis", "sizes", "slope"):
        table.add_column(name, justify="right" if name == "slope" else "left")
    for curve in grown:
        table.add_row(curve.kernel, curve.axis, f"{curve.sizes[0]:,} … {curve.sizes[-1]:,}", f"{curve.slope:.2f}")
    return table


def _instructions_table(counted: list[Count]) -> Table:
    table = Table(title="instructions an item", title_justify="left")
    for name in ("kernel", "processor", "instructions"):
        table.add_column(name, justify="right" if name == "instructions" else "left")
    for count in counted:
        shown = count.missing if count.an_item is None else f"{count.an_item:,.0f}"
        table.add_row(count.kernel, count.machine, shown)
    return table


def _cells(row: Row) -> tuple[str, ...]:
    head = (row.kernel, row.peer, row.version, f"{row.items:,} {row.unit}")
    if row.ratio is None or row.peer_per_s is None or row.ours_per_s is None:
        return (*head, "missing", "", "", "" if row.aim is None else f"{row.aim:g}", "", "")
    quality = ""
    if row.peer_quality is not None and row.ours_quality is not None:
        quality = f"{row.quality} {row.peer_quality:.3g} → {row.ours_quality:.3g}"
    return (
        *head,
        _short(row.peer_per_s),
        _short(row.ours_per_s),
        f"{row.ratio:,.2f}" if row.ratio < 10 else f"{row.ratio:,.0f}",
        "" if row.aim is None else f"{row.aim:g}",
        {None: "", True: "yes", False: "no"}[row.met],
        quality,
    )


def _short(per_s: float) -> str:
    """Give three figures and a power of a thousand."""
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if per_s >= scale:
            return f"{per_s / scale:.3g} {unit}/s"
    return f"{per_s:.3g} /s"


def draw(found: list[Row], grown: list[Growth], path: Path) -> None:
    """Bars of ratios, and curves of growth with the line of slope 1."""
    import matplotlib as mpl  # noqa: PLC0415 (a second of CPU, for those who ask for it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (bars, curves) = plt.subplots(1, 2, figsize=(13, 7), constrained_layout=True)
    shown = [row for row in found if row.ratio is not None][::-1]
    colours = {None: "0.6", True: "tab:green", False: "tab:red"}
    bars.barh([f"{row.kernel}: {row.peer}" for row in shown], [row.ratio for row in shown], color="0.6")
    for index, row in enumerate(shown):
        bars.patches[index].set_color(colours[row.met])
        if row.aim:
            bars.plot([row.aim, row.aim], [index - 0.4, index + 0.4], color="black", linewidth=2)
    bars.set(xscale="log", xlabel="times the speed of the peer; black: the aim", title="ratios of CPU time")
    bars.axvline(1, color="black", linewidth=0.5)
    for curve in grown:
        x, y = (np.array(values, float) / values[0] for values in (curve.sizes, curve.cpu_s))
        curves.plot(x, y, marker="o", label=f"{curve.kernel}, {curve.axis}: {curve.slope:.2f}")
    reach = max((curve.sizes[-1] / curve.sizes[0] for curve in grown), default=1.0)
    curves.plot([1, reach], [1, reach], color="black", linewidth=0.5, label="linear")
    curves.set(xscale="log", yscale="log", xlabel="size over the smallest", ylabel="CPU time over the smallest's")
    curves.set_title("growth, with slopes")
    curves.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
