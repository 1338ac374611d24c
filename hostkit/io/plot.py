"""Counts, dwell and methods side by side as a PNG. Draws what it is given; computes no figure of its own."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from hostkit.core.bins import CountBin
from hostkit.model import Estimate, Visit, VisitClass

# Okabe and Ito's colours: told apart by every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#777777"
SIZE_INCH, DOTS_PER_INCH = (11.0, 9.0), 120
MAX_PERIODS = 10  # narrower parts are unreadable: beyond, one axis with empty stretches
MIN_GAP_S = 3 * 3600  # a longer silence starts a new part of the time axis
MAX_TICKS = 14
DAY_S = 86_400
TICK_STEPS_S = (600, 1800, 3600, 7200, 10_800, 21_600, 43_200, *(DAY_S * days for days in (1, 2, 7, 14, 28, 91, 364)))
DWELL_EDGES = {
    0: "0", 30: "30 s", 60: "1 min", 120: "2 min", 300: "5 min", 600: "10 min", 1200: "20 min", 1800: "30 min",
    3600: "1 h", 7200: "2 h", 14_400: "4 h", math.inf: "longer",
}  # fmt: skip
CLASSES = {VisitClass.PASSERBY: ("passers-by", ORANGE, "//"), VisitClass.ENTRANT: ("entrants", BLUE, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn: bins in order of time, visits, the axis' `time_zone`, the lines above and below."""

    bins: Sequence[CountBin]
    visits: Sequence[Visit]
    time_zone: str
    title: str
    bin_s: int
    note: str


def png(chart: Chart) -> bytes:
    """Draw devices with their interval, addresses beside them for comparison, and the dwell of the visits."""
    figure = Figure(figsize=SIZE_INCH, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    figure.supxlabel(chart.note, fontsize=8, color=GREY, x=0.01, ha="left")
    counts, dwell = figure.subfigures(2, 1, height_ratios=(2, 1), squeeze=False)[:, 0]
    if chart.bins:
        _draw_counts(counts, chart)
    else:
        counts.text(0.5, 0.5, "nothing was heard", ha="center", color=GREY)
    _draw_dwell(dwell.add_subplot(), chart.visits)
    return _encoded(figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class StayChart:
    """Who says a device was in which zone: rows of (name, [(zone, enter_s, leave_s)]), first on top."""

    rows: Sequence[tuple[str, Sequence[tuple[int, float, float]]]]
    zones: Sequence[str]
    title: str


def stays_png(chart: StayChart) -> bytes:
    """Draw one bar a row, a colour a zone, along the readings' own time."""
    figure = Figure(figsize=(SIZE_INCH[0], 1.2 + 0.55 * len(chart.rows)), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    axes = figure.add_subplot()
    for row, (_, stays) in enumerate(chart.rows):
        for zone, enter_s, leave_s in stays:
            axes.barh(-row, leave_s - enter_s, 0.8, left=enter_s, color=f"C{zone % 10}")
    axes.set_yticks([-row for row in range(len(chart.rows))], [name for name, _ in chart.rows])
    axes.set_xlabel("time_s of the readings")
    patches = [Patch(color=f"C{number % 10}", label=zone) for number, zone in enumerate(chart.zones)]
    figure.legend(handles=patches, loc="outside upper right", ncols=5, fontsize=9, frameon=False)
    return _encoded(figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChart:
    """Methods side by side, ours first: devices with their interval, and shares in [0, 1] by name of the score."""

    methods: Sequence[tuple[str, Estimate]]
    shares: Sequence[tuple[str, Sequence[float]]]
    truth: int
    title: str


def methods_png(chart: MethodChart) -> bytes:
    """Draw counts, on a logarithmic axis, against the truth, and the shares beside them."""
    figure = Figure(figsize=(SIZE_INCH[0], 1.6 + 0.6 * len(chart.methods)), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    counts, shares = figure.subplots(1, 2, sharey=True)
    rows = -np.arange(len(chart.methods))
    values = np.array([estimate.value or math.nan for _, estimate in chart.methods])
    ends = [(e.low or math.nan, e.high or math.nan) for _, e in chart.methods]
    counts.plot(values, rows, "o", color=BLUE)
    counts.hlines(rows, *zip(*ends, strict=True), color=BLUE, alpha=0.4, linewidth=5)
    counts.axvline(chart.truth, color=ORANGE, label=f"truth: {chart.truth:,}")
    counts.set_xscale("log")
    counts.xaxis.set_major_formatter(ScalarFormatter())
    counts.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    counts.xaxis.set_minor_locator(NullLocator())
    counts.set_xlabel("devices, 90 % interval")
    counts.set_yticks(rows, [name for name, _ in chart.methods])
    height = 0.8 / len(chart.shares)
    for at, (name, values_) in enumerate(chart.shares):
        shares.barh(rows + 0.4 - height * (at + 0.5), values_, height, label=name)
    shares.set_xlim(0, 1)
    figure.legend(loc="outside upper right", ncols=4, fontsize=9, frameon=False)
    return _encoded(figure)


def _encoded(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "footfall"})
    return out.getvalue()


def _draw_counts(figure: SubFigure, chart: Chart) -> None:
    periods = _periods(chart.bins)
    widths = [period[-1].end_s - period[0].start_s for period in periods]
    axes = figure.subplots(2, len(periods), sharex="col", sharey="row", width_ratios=widths, squeeze=False)
    zone = ZoneInfo(chart.time_zone)
    for column, (period, width) in enumerate(zip(periods, widths, strict=True)):
        axes[0, column].set_title(f"{datetime.fromtimestamp(period[0].start_s, zone):%Y-%m-%d}", fontsize=9)
        _draw_devices(axes[0, column], period)
        _draw_addresses(axes[1, column], period)
        _time_axis(axes[1, column], period, zone, max(1, round(MAX_TICKS * width / sum(widths))))
    for row, name in enumerate(("devices per bin", "addresses per bin")):
        axes[row, 0].set_ylabel(name)
        axes[row, 0].set_ylim(bottom=0)
        axes[row, 0].yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    named = [axes[row, 0].get_legend_handles_labels() for row in (0, 1)]
    handles, labels = ([one for pair in named for one in pair[part]] for part in (0, 1))
    figure.legend(handles[:3], labels[:3], loc="outside upper right", ncols=3, fontsize=9, frameon=False)
    figure.align_ylabels()
    figure.supxlabel(f"time, {chart.time_zone}; bins of {chart.bin_s / 60:g} min", fontsize=9)


def _periods(bins: Sequence[CountBin]) -> list[Sequence[CountBin]]:
    """Cut where nothing listened for long: the hours between two days of capture are not drawn."""
    cuts = [i for i in range(1, len(bins)) if bins[i].start_s - bins[i - 1].end_s > MIN_GAP_S]
    if len(cuts) >= MAX_PERIODS:
        return [bins]
    return [bins[start:end] for start, end in zip([0, *cuts], [*cuts, len(bins)], strict=True)]


def _draw_devices(axes: Axes, bins: Sequence[CountBin]) -> None:
    value, low, high = (
        np.array([math.nan if figure is None else figure for figure in column])
        for column in zip(*((b.devices.value, b.devices.low, b.devices.high) for b in bins), strict=True)
    )
    axes.fill_between(_middle(bins), low, high, color=BLUE, alpha=0.25, linewidth=0, label="90 % interval")
    axes.plot(_middle(bins), value, color=BLUE, marker="o", markersize=3, linewidth=1.4, label="devices")


def _draw_addresses(axes: Axes, bins: Sequence[CountBin]) -> None:
    start = [bin_.start_s for bin_ in bins]
    width = [bin_.end_s - bin_.start_s for bin_ in bins]
    axes.bar(start, [b.addresses for b in bins], width, align="edge", color=GREY, alpha=0.5, label="addresses heard")
    value = [math.nan if bin_.devices.value is None else bin_.devices.value for bin_ in bins]
    axes.plot(_middle(bins), value, color=BLUE, linewidth=1.4)


def _middle(bins: Sequence[CountBin]) -> list[float]:
    return [(bin_.start_s + bin_.end_s) / 2 for bin_ in bins]


def _time_axis(axes: Axes, bins: Sequence[CountBin], zone: ZoneInfo, most: int) -> None:
    """At most about `most` ticks, on round local times."""
    start_s, end_s = bins[0].start_s, bins[-1].end_s
    step_s = next((step for step in TICK_STEPS_S if (end_s - start_s) / step <= most), TICK_STEPS_S[-1])
    midnight = datetime.fromtimestamp(start_s, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first_s = midnight.timestamp() + math.ceil((start_s - midnight.timestamp()) / step_s) * step_s
    ticks = np.arange(first_s, end_s + 1, step_s)
    form = "%H:%M" if step_s < DAY_S else "%d %b"
    axes.set_xticks(ticks, [datetime.fromtimestamp(tick, zone).strftime(form) for tick in ticks], fontsize=8)
    axes.set_xlim(start_s, end_s)
    axes.grid(visible=True, axis="x", alpha=0.3)


def _draw_dwell(axes: Axes, visits: Sequence[Visit]) -> None:
    edges = np.array(list(DWELL_EDGES))
    bottom = np.zeros(len(edges) - 1)
    for class_, (name, colour, hatch) in CLASSES.items():
        dwell_s = [visit.dwell_s.mid for visit in visits if visit.visit_class is class_]
        count, _ = np.histogram(dwell_s, edges)
        label = f"{name} ({len(dwell_s)})"
        axes.bar(np.arange(len(count)) + 0.5, count, 0.92, bottom=bottom, color=colour, hatch=hatch, label=label)
        bottom += count
    axes.set_xticks(range(len(edges)), list(DWELL_EDGES.values()))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel("dwell, middle of its interval")
    axes.set_ylabel("visits")
    axes.legend(loc="upper right", fontsize=9)
