"""Counts of people against what was counted by hand, as a PNG. Draws what it is given."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#777777"
WIDTH_INCH, DAY_INCH, DOTS_PER_INCH = 11.0, 2.4, 120
MAX_DAYS = 12  # drawn; the last ones
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChart:
    """Windows (N,) in order of time (Unix seconds of their start): truth, estimate, 90 % interval."""

    start_s: NDArray[np.float64]
    window_s: float
    truth: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    title: str


def png(chart: CountChart) -> bytes:
    """Draw one row of axes for each day, times in UTC."""
    days = np.unique(chart.start_s // DAY_S)[-MAX_DAYS:]
    figure = Figure(figsize=(WIDTH_INCH, 1.0 + DAY_INCH * len(days)), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    rows: Sequence[Axes] = figure.subplots(len(days), 1, squeeze=False)[:, 0].tolist()
    for axes, day in zip(rows, days.tolist(), strict=True):
        _draw_day(axes, chart, day)
    rows[0].legend(loc="lower left", fontsize=8, ncols=3)
    rows[-1].set_xlabel("time, UTC")
    return _bytes(figure)


def _draw_day(axes: Axes, chart: CountChart, day: float) -> None:
    of_day = chart.start_s // DAY_S == day
    hour = (chart.start_s[of_day] + chart.window_s / 2 - day * DAY_S) / 3600
    axes.fill_between(
        hour, chart.low[of_day], chart.high[of_day], color=BLUE, alpha=0.2, linewidth=0, label="90 % interval"
    )
    axes.plot(hour, chart.value[of_day], color=BLUE, marker="o", markersize=3, label="estimated")
    axes.step(hour, chart.truth[of_day], color=ORANGE, where="mid", linewidth=1.8, label="counted")
    axes.set_ylabel(f"people, {datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m-%d}", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda at, _: f"{round(at * 60) // 60:02d}:{round(at * 60) % 60:02d}")
    axes.grid(visible=True, alpha=0.3)


def reliability_png(nominal: NDArray[np.float64], held: dict[str, NDArray[np.float64]], title: str) -> bytes:
    """Draw the share of intervals that held the truth (L,) against their nominal level (L,), a line a name."""
    figure = Figure(figsize=(6.0, 6.0), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color=GREY, linestyle="--", label="as stated")
    for name, share in held.items():
        axes.plot(nominal, share, marker="o", markersize=4, label=name)
    axes.set_xlabel("level stated")
    axes.set_ylabel("share of intervals that hold the truth")
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    return _bytes(figure)


def lines_png(
    x: NDArray[np.float64], lines: dict[str, NDArray[np.float64]], *, title: str, axes_: tuple[str, str]
) -> bytes:
    """Draw lines over x (N,), x on a logarithmic scale."""
    figure = Figure(figsize=(7.0, 5.0), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, y in lines.items():
        axes.plot(x, y, marker="o", markersize=4, label=name)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(x.tolist(), [f"{one:g}" for one in x.tolist()])
    axes.set_xlabel(axes_[0])
    axes.set_ylabel(axes_[1])
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    return _bytes(figure)


def _bytes(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "footfall"})
    return out.getvalue()
