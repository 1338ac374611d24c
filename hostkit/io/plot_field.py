"""A floor with a survey's points, their errors, the probes and where one more helps; ratios of counts. As PNG.

Computes nothing. It writes ids and figures only, so that it needs no font of any language.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon as Patch
from numpy.typing import NDArray

from hostkit.model import Floor, Probe, Zone

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#777777"  # Okabe and Ito
WIDE_INCH, DOTS_PER_INCH = 6.2, 150
TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20)
AREA_PER_M = 45.0  # points² of a circle for each metre of error


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """What is drawn. marks (M, 4): x, y, error before and after; `predicted`: x (C,), y (R,), error (R, C).

    `better`: where one more probe helps. All may be empty or None.
    """

    floor: Floor
    zones: Sequence[Zone]
    probes: Sequence[Probe]
    marks: NDArray[np.float64]
    predicted: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None
    better: tuple[float, float] | None


def png(chart: FieldMap) -> bytes:
    """Draw it as wide as half a page, at the floor's own shape."""
    x0, y0, x1, y1 = chart.floor.bounds_m
    tall = float(np.clip(WIDE_INCH * (y1 - y0) / (x1 - x0), 2.5, 7.0))
    figure = Figure(figsize=(WIDE_INCH, tall), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_floor(figure, axes, chart)
    _draw_marks(axes, chart.marks)
    highest_m = max(y for _, y in chart.floor.interior_m)
    for probe in chart.probes:
        if probe.position_m is not None:
            x, y, _ = probe.position_m
            axes.plot(x, y, "^", color="black", markersize=9, zorder=5)
            low = 4 if y < highest_m - 0.06 * (y1 - y0) else -12  # not over the wall above it
            axes.annotate(probe.id, (x, y), (7, low), textcoords="offset points", fontsize=8, zorder=6)
    if chart.better is not None:
        axes.plot(*chart.better, "*", color=GREEN, markersize=18, markeredgecolor="black", zorder=7)
    axes.set_xlim(x0, x1)
    axes.set_ylim(y0, y1)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)
    axes.set_xlabel("x, m", fontsize=8)
    axes.set_ylabel("y, m", fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "footfall"})
    return out.getvalue()


def ratios_png(
    names: Sequence[str],
    ratios: NDArray[np.float64],
    band: tuple[float, float, float] | None,
    before: float | None,
) -> bytes:
    """Draw ratios (N, 3: value, low, high) by name, newest at the foot, over a band (low, middle, high)."""
    figure = Figure(
        figsize=(WIDE_INCH, float(np.clip(1.2 + 0.42 * len(names), 2.5, 6.5))), dpi=DOTS_PER_INCH, layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    at = np.arange(len(names))
    value, low, high = ratios.T
    if band is not None:
        axes.axvspan(band[0], band[2], color=GREEN, alpha=0.15, linewidth=0)
        axes.axvline(band[1], color=GREEN, linewidth=1.6)
    if before is not None:
        axes.axvline(before, color="black", linewidth=1.0, ls="--")
    axes.errorbar(value, at, xerr=(value - low, high - value), fmt="o", color=BLUE, capsize=3)
    axes.set_yticks(at, names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xscale("log")
    ends = [*low, *high, *([band[0], band[2]] if band else []), *([before] if before else [])]
    first, last = min(ends) / 1.1, max(ends) * 1.1
    axes.set_xlim(first, last)
    ticks = [one for one in TICKS if first <= one <= last]
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks], fontsize=8)
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "footfall"})
    return out.getvalue()


def _draw_floor(figure: Figure, axes: Axes, chart: FieldMap) -> None:
    if chart.predicted is not None:
        x, y, error = chart.predicted
        top = float(np.quantile(error[np.isfinite(error)], 0.98)) if np.isfinite(error).any() else 1.0
        shade = axes.pcolormesh(
            x, y, error, cmap="Greys", vmin=0.0, vmax=max(1.8 * top, 1.0), shading="nearest", zorder=0
        )
        bar = figure.colorbar(shade, ax=axes, shrink=0.7, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_ylim(float(np.nanmin(error)), top)
    for zone in chart.zones:
        axes.add_patch(
            Patch(np.asarray(zone.polygon_m), closed=True, fill=False, edgecolor=GREY, linewidth=0.6, ls=":")
        )
        x, y = np.asarray(zone.polygon_m).mean(axis=0)
        axes.text(x, y, zone.id, fontsize=6, color=GREY, ha="center", va="center")
    axes.add_patch(Patch(np.asarray(chart.floor.interior_m), closed=True, fill=False, edgecolor="black", linewidth=1.4))
    for wall in chart.floor.walls:
        axes.plot(*zip(wall.from_m, wall.to_m, strict=True), color="black", linewidth=1.0)


def _draw_marks(axes: Axes, marks: NDArray[np.float64]) -> None:
    if not len(marks):
        return
    x, y, before, after = marks.T
    worse = after > before
    for chosen, colour in ((~worse, BLUE), (worse, ORANGE)):
        area = np.clip(after[chosen] * AREA_PER_M, 6.0, 900.0)
        axes.scatter(x[chosen], y[chosen], s=area, color=colour, alpha=0.45, linewidths=0, zorder=3)
        axes.scatter(x[chosen], y[chosen], s=5, color=colour, zorder=4)
