"""A floor plan with zones, walls, probes and the predicted error of a position, as PNG or SVG. Computes no figure."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

DOTS_PER_INCH = 130
WIDE_INCH, LEAST_INCH, MOST_INCH = 11.0, 5.0, 16.0
# Cividis is read alike by every kind of colour vision, and in grey: dark is good, light is weak.
SCALE, LEVELS = "cividis", 9
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#777777"  # Okabe and Ito's
KINDS = {
    "street": GREY,
    "sales": BLUE,
    "staff": GREEN,
    "window": ORANGE,
    "till": PINK,
    "door": "#D55E00",
}  # in this order

Place = tuple[float, float, float]
Corners = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture and where it lies: pixels (rows from the top, columns, 3), edges x_min, y_min, x_max, y_max in m."""

    pixels: NDArray[np.uint8]
    edges_m: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMap:
    """Cell centres in m, predicted error (rows, columns) from low y, NaN where it is not shown; where few hear."""

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    error_m: NDArray[np.float64]
    deaf: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChart:
    """What is drawn. `walls`: ends and loss in dB; `zones`: id, kind, corners; `earlier`: probes that are to go.

    `words` are the labels, in any language: see WORDS for their names.
    """

    title: str
    note: str
    bounds_m: tuple[float, float, float, float]
    outline: Corners
    walls: Sequence[tuple[tuple[float, float], tuple[float, float], float]]
    zones: Sequence[tuple[str, str, Corners]]
    probes: Sequence[tuple[str, Place]]
    suggested: Sequence[tuple[str, Place]]
    earlier: Sequence[tuple[str, Place]]
    errors: ErrorMap | None
    image: Image | None
    words: Mapping[str, str]


WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": MappingProxyType(
            {
                "error": "predicted error of a position from one scan, m", "probe": "probe", "suggested": "suggested",
                "earlier": "at present", "wall": "wall (thicker: more loss)",
                "deaf": "three probes hear fewer than 9 frames of 10", "sales": "sales", "till": "till",
                "window": "window", "door": "door", "street": "street", "staff": "staff", "m": "m",
            }
        ),
        "zh": MappingProxyType(
            {
                "error": "单次扫描定位的预测误差（米）", "probe": "探针", "suggested": "建议位置",
                "earlier": "现有位置",
                "wall": "墙（越粗衰减越大）", "deaf": "三个探针同时听到的不足九成", "sales": "销售区",
                "till": "收银", "window": "橱窗", "door": "门", "street": "街道", "staff": "员工区", "m": "米",
            }
        ),
    }
)  # fmt: skip


def draw(chart: SiteChart, fonts: Sequence[str], form: str) -> bytes:
    """Draw it with the font families `fonts`; `form` is png or svg."""
    with warnings.catch_warnings(), mpl.rc_context({"font.family": list(fonts), "svg.hashsalt": "footfall"}):
        x_min, y_min, x_max, y_max = chart.bounds_m
        tall = WIDE_INCH * 0.8 * (y_max - y_min) / (x_max - x_min) + 1.6
        figure = Figure(
            figsize=(WIDE_INCH, float(np.clip(tall, LEAST_INCH, MOST_INCH))), dpi=DOTS_PER_INCH, layout="constrained"
        )
        FigureCanvasAgg(figure)
        figure.suptitle(chart.title, fontsize=14, fontweight="bold", x=0.01, ha="left")
        axes = figure.add_subplot()
        axes.set_title(chart.note, fontsize=9, color="#444444", loc="left")
        _draw_floor(figure, axes, chart)
        figure.legend(handles=_legend(chart), loc="outside lower center", ncols=5, fontsize=9, frameon=False)
        out = io.BytesIO()
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of a name in letters no font here has
        metadata = {"Software": "footfall"} if form == "png" else {"Creator": "footfall", "Date": None}
        figure.savefig(out, format=form, metadata=metadata)
        return out.getvalue()


def _draw_floor(figure: Figure, axes: Axes, chart: SiteChart) -> None:
    x_min, y_min, x_max, y_max = chart.bounds_m
    if chart.image is not None:
        left, low, right, high = chart.image.edges_m
        axes.imshow(chart.image.pixels, extent=(left, right, low, high), zorder=0)
    if chart.errors is not None:
        _draw_errors(figure, axes, chart.errors, chart.words, over_image=chart.image is not None)
    for id_, kind, corners in sorted(chart.zones, key=lambda zone: list(KINDS).index(zone[1])):  # doors over sales
        halo = [withStroke(linewidth=4, foreground="white")]
        axes.add_patch(
            Polygon(corners, closed=True, fill=False, edgecolor=KINDS[kind], linewidth=2.0, zorder=3, path_effects=halo)
        )
        _draw_zone_name(axes, id_, corners)
    axes.add_patch(Polygon(chart.outline, closed=True, fill=False, edgecolor="black", linewidth=1.0, zorder=4))
    for a, b, loss_db in chart.walls:
        width = 0.8 + min(loss_db, 20.0) / 4
        axes.plot((a[0], b[0]), (a[1], b[1]), color="#333333", linewidth=width, solid_capstyle="round", zorder=4)
    for probes, style in ((chart.earlier, "earlier"), (chart.probes, "probe"), (chart.suggested, "suggested")):
        for id_, place in probes:
            _draw_probe(axes, id_ if style != "earlier" else "", place, style)
    axes.set_xlim(x_min, x_max)
    axes.set_ylim(y_min, y_max)
    axes.set_aspect("equal")
    axes.set_xlabel(f"x, {chart.words['m']}")
    axes.set_ylabel(f"y, {chart.words['m']}")


def _draw_errors(figure: Figure, axes: Axes, errors: ErrorMap, words: Mapping[str, str], *, over_image: bool) -> None:
    shown = errors.error_m[np.isfinite(errors.error_m)]
    low, high = float(shown.min()), float(shown.max())
    step = next(one for one in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0) if (high - low) / one <= LEVELS)
    edges = np.arange(np.floor(low / step), np.ceil(high / step) + 1.5) * step
    norm = BoundaryNorm(edges, mpl.colormaps[SCALE].N)
    alpha = 0.6 if over_image else 0.9
    drawn = axes.pcolormesh(
        errors.x_m, errors.y_m, errors.error_m, cmap=SCALE, norm=norm, alpha=alpha, shading="nearest", zorder=1,
        linewidth=0, rasterized=True,
    )  # fmt: skip
    if errors.deaf.any():
        mask = np.where(errors.deaf, 1.0, np.nan)
        with mpl.rc_context({"hatch.linewidth": 0.8}):
            axes.contourf(errors.x_m, errors.y_m, mask, levels=[0.5, 1.5], colors="none", hatches=["xx"], zorder=2)
    figure.colorbar(drawn, ax=axes, label=words["error"], shrink=0.85, pad=0.02)


def _draw_zone_name(axes: Axes, id_: str, corners: Corners) -> None:
    x, y = np.mean(corners, axis=0)
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.text(x, y, id_, ha="center", va="center", fontsize=10, path_effects=halo, zorder=5, clip_on=True)


def _draw_probe(axes: Axes, id_: str, place: Place, style: str) -> None:
    face, edge = {"probe": ("black", "white"), "suggested": (ORANGE, "black"), "earlier": ("none", "black")}[style]
    axes.plot(place[0], place[1], "^", markersize=11, markerfacecolor=face, markeredgecolor=edge, zorder=6)
    if id_:
        halo = [withStroke(linewidth=3, foreground="white")]
        axes.annotate(
            f"{id_} ({place[2]:g})", place[:2], xytext=(0, -15), textcoords="offset points", ha="center", fontsize=9,
            fontweight="bold", path_effects=halo, zorder=7, annotation_clip=False,
        )  # fmt: skip


def _legend(chart: SiteChart) -> list[Line2D | Patch]:
    words = chart.words

    def marker(face: str, edge: str, name: str) -> Line2D:
        return Line2D([], [], marker="^", linestyle="", markersize=9, markerfacecolor=face, markeredgecolor=edge,
                      label=words[name])  # fmt: skip

    found: list[Line2D | Patch] = []
    if chart.probes:
        found.append(marker("black", "white", "probe"))
    if chart.suggested:
        found.append(marker(ORANGE, "black", "suggested"))
    if chart.earlier:
        found.append(marker("none", "black", "earlier"))
    if chart.walls:
        found.append(Line2D([], [], color="#333333", linewidth=3, label=words["wall"]))
    drawn = {kind for _, kind, _ in chart.zones}
    found += [
        Patch(fill=False, edgecolor=colour, linewidth=1.8, label=words[kind])
        for kind, colour in KINDS.items()
        if kind in drawn
    ]
    if chart.errors is not None and chart.errors.deaf.any():
        found.append(Patch(facecolor="none", edgecolor="black", hatch="xx", label=words["deaf"]))
    return found
