"""Errors of positions and a map of fixes against the truth as a PNG. Computes no figure of its own."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe and Ito's colours: told apart by every kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#777777")
STYLES = ("-", "--", "-.", ":")
SIZE_INCH, DOTS_PER_INCH = (13.0, 6.0), 120
MAX_DRAWN = 2000  # fixes drawn; more hide each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """What is drawn: anchors (K, 2 or 3), truth and fixes (W, 2; NaN: none) of `method`, errors (W,) by method."""

    anchors_m: NDArray[np.float64]
    truth_m: NDArray[np.float64]
    place_m: NDArray[np.float64]
    method: str
    errors_m: Mapping[str, NDArray[np.float64]]


def png(chart: Positions) -> bytes:
    """Draw the share of windows below each error, and each fix tied to the true place."""
    figure = Figure(figsize=SIZE_INCH, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    errors, plan = figure.subplots(1, 2)
    _draw_errors(errors, chart)
    _draw_plan(plan, chart)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "footfall"})
    return out.getvalue()


def _draw_errors(axes: Axes, chart: Positions) -> None:
    for at, (name, error) in enumerate(chart.errors_m.items()):
        share = np.arange(1, len(error) + 1) / len(error)
        wide = 2.4 if name == chart.method else 1.2
        style = STYLES[at // len(COLOURS) % len(STYLES)]
        axes.plot(np.sort(error), share, color=COLOURS[at % len(COLOURS)], linestyle=style, linewidth=wide, label=name)
    longest = max(float(np.quantile(error, 0.95)) for error in chart.errors_m.values())
    axes.set_xlim(0.0, max(longest, 0.1))
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("error, m")
    axes.set_ylabel("share of windows")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)


def _draw_plan(axes: Axes, chart: Positions) -> None:
    drawn = np.linspace(0, len(chart.truth_m) - 1, min(len(chart.truth_m), MAX_DRAWN)).astype(int)
    truth, place = chart.truth_m[drawn], chart.place_m[drawn]
    ties = np.stack((truth, place, np.full_like(truth, np.nan)), axis=1).reshape(-1, 2)
    axes.plot(ties[:, 0], ties[:, 1], color=COLOURS[6], linewidth=0.6, alpha=0.6)
    axes.plot(truth[:, 0], truth[:, 1], ".", color=COLOURS[1], markersize=4, label="truth")
    axes.plot(place[:, 0], place[:, 1], ".", color=COLOURS[0], markersize=4, label=chart.method)
    axes.plot(chart.anchors_m[:, 0], chart.anchors_m[:, 1], "^", color="black", markersize=8, label="anchors")
    axes.set_aspect("equal")
    axes.set_xlabel("x, m")
    axes.set_ylabel("y, m")
    axes.legend(loc="best", fontsize=9)
