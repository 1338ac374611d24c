"""Labels to stick on probes: who it is and where it hangs, for eyes and as a QR code. Holds no secret.

A sheet is A4, three by eight labels of 70 by 37 mm (the common size without gaps); one label alone is one of them.
"""

import importlib
import importlib.util
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from hostkit.errors import UsageError
from hostkit.install.flash import INSTALL
from hostkit.model import Probe, Site

LABEL_MM = (70.0, 37.0)
SHEET_MM = (210.0, 297.0)
COLUMNS, ROWS = 3, 8
PER_SHEET = COLUMNS * ROWS
FORMATS = ("svg", "pdf", "png")
DOTS_PER_INCH = 300
_MM_PER_INCH = 25.4
_PT_PER_MM = 72 / _MM_PER_INCH
_MARGIN_MM, _CODE_MM, _QUIET = 3.5, 28.0, 4  # four modules of quiet zone (ISO/IEC 18004)
_NAME_LETTERS = 16  # a longer id is broken, at a hyphen where it has one
_WIDTH_OF_HEIGHT = 0.62  # a bold letter's width by its height, at most, in the font drawn with
_METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One probe's label: its id, its place, and the text of the code."""

    probe: str
    place: str
    lines: tuple[str, ...]
    code: str


def label_of(site: Site, probe: Probe) -> Label:
    """Give what stands on a probe's label."""
    place = f"{site.tenant}/{site.site}"
    where = {"floor": probe.floor} if probe.floor else {}
    lines: tuple[str, ...] = (f"floor {probe.floor}",) if probe.floor else ()
    if probe.position_m:
        x, y, z = (f"{value:.2f}" for value in probe.position_m)
        where |= {"x": x, "y": y, "z": z}
        lines += (f"x {x}  y {y} m", f"height {z} m")
    query = f"?{urlencode(where)}" if where else ""
    return Label(probe=probe.id, place=place, lines=lines, code=f"footfall:{quote(place)}/{probe.id}{query}")


def draw_labels(labels: Sequence[Label], path: Path) -> dict[Path, bytes]:
    """Draw labels in the format of `path`'s ending; one alone fills its page, more go on sheets.

    A PDF holds all its sheets; further sheets of the others are files beside it, `name-2.svg`. UsageError on an ending
    that is none of FORMATS, or without segno.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise UsageError(f"ends in {kind[:10]!r}", where=str(path), next_step=f"use one of {', '.join(FORMATS)}")
    if importlib.util.find_spec("segno") is None:
        raise UsageError("segno is not installed", where="footfall probe label", next_step=INSTALL)
    figures = [_single(labels[0])] if len(labels) == 1 else [_sheet(some) for some in _sheets(labels)]
    if kind == "pdf":
        buffer = io.BytesIO()
        with PdfPages(buffer, metadata=_METADATA[kind]) as pages:
            for figure in figures:
                pages.savefig(figure)
        return {path: buffer.getvalue()}
    names = [path, *(path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, len(figures) + 1))]
    return {name: _encoded(figure, kind) for name, figure in zip(names, figures, strict=True)}


def _sheets(labels: Sequence[Label]) -> list[Sequence[Label]]:
    return [labels[at : at + PER_SHEET] for at in range(0, len(labels), PER_SHEET)]


def _encoded(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=_METADATA[kind])
    return buffer.getvalue()


def _figure(size_mm: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(size_mm[0] / _MM_PER_INCH, size_mm[1] / _MM_PER_INCH))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, size_mm[0]), ylim=(size_mm[1], 0), aspect="equal")
    axes.set_axis_off()
    return figure


def _single(label: Label) -> Figure:
    figure = _figure(LABEL_MM)
    _draw(figure, label, 0.0, 0.0)
    return figure


def _sheet(labels: Sequence[Label]) -> Figure:
    figure = _figure(SHEET_MM)
    top = (SHEET_MM[1] - ROWS * LABEL_MM[1]) / 2
    for number, label in enumerate(labels):
        row, column = divmod(number, COLUMNS)
        _draw(figure, label, column * LABEL_MM[0], top + row * LABEL_MM[1])
    return figure


def _draw(figure: Figure, label: Label, left: float, top: float) -> None:
    axes = figure.axes[0]
    axes.add_patch(Rectangle((left, top), *LABEL_MM, fill=False, linewidth=0.2, edgecolor="#bbbbbb"))
    axes.add_patch(
        PathPatch(_code(label.code, left + _MARGIN_MM, top + (LABEL_MM[1] - _CODE_MM) / 2), lw=0, fc="black")
    )
    x, width = left + _MARGIN_MM + _CODE_MM + 2.0, LABEL_MM[0] - 2 * _MARGIN_MM - _CODE_MM - 2.0
    names = textwrap.wrap(label.probe, _NAME_LETTERS)
    rows = [(name, 5.0 if len(names) == 1 else 3.6, "bold") for name in names]
    rows += [(line, 3.2, "normal") for line in (label.place, *label.lines)]
    y = top + (LABEL_MM[1] - sum(height * 1.45 for _, height, _ in rows)) / 2
    for words, height, weight in rows:
        y += height * 1.45
        fitting = min(height, width / (max(len(words), 1) * _WIDTH_OF_HEIGHT))
        axes.text(x, y, words, fontsize=fitting * _PT_PER_MM, fontweight=weight, va="bottom", parse_math=False)


def _code(text: str, left: float, top: float) -> Outline:
    """Give the dark modules of a QR code, quiet zone around them, as squares in millimetres."""
    matrix = importlib.import_module("segno").make(text, error="m", micro=False).matrix
    module = _CODE_MM / (len(matrix) + 2 * _QUIET)
    corners, codes = [], []
    for row, line in enumerate(matrix):
        for column, dark in enumerate(line):
            if dark:
                x, y = left + (column + _QUIET) * module, top + (row + _QUIET) * module
                corners += [(x, y), (x + module, y), (x + module, y + module), (x, y + module), (x, y)]
                codes += [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
    return Outline(corners, codes)
