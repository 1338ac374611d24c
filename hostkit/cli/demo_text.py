"""What the demo prints: live figures, then measured against truth."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.table import Table

from hostkit.cli import text
from hostkit.cli.replay_text import print_comparison, written
from hostkit.contract import kpi_dictionary
from hostkit.model import Site
from hostkit.sim.demo import DemoResult, Figure, LiveFigures

DEVICES = "_devices"


def live_table(live: LiveFigures, site: Site) -> Table:
    """Give the figures of now as a table that says whose they are."""
    at = "–" if live.at_s is None else f"{datetime.fromtimestamp(live.at_s, ZoneInfo(site.time_zone)):%H:%M:%S}"
    grid = Table(title=f"{site.name}, {at} ({live.provenance})", title_justify="left", box=None, pad_edge=False)
    grid.add_column("now")
    grid.add_column("", justify="right")
    grid.add_column("90 % interval", justify="right")
    for figure in _whole(live):
        grid.add_row(kpi_dictionary()[figure.id].name_en, _value(figure), _interval(figure))
    return grid


def live_line(live: LiveFigures) -> str:
    """Give the figures of now as one line."""
    at = "–" if live.at_s is None else f"{datetime.fromtimestamp(live.at_s, UTC):%H:%M} UTC"
    figures = "; ".join(f"{figure.id} {_value(figure)} ({_interval(figure)})" for figure in _whole(live))
    return f"{at} {live.provenance}: {figures}"


def print_result(result: DemoResult) -> None:
    """Print what was played, measured against truth, and what became of the rows."""
    played_s = result.end_s - result.start_s
    text.emit(f"\nsimulated: {text.duration(played_s)} of a shop, {result.truth.people} people came near\n")
    # What is inside "now" is compared as its mean over the play.
    print_comparison([replace(row, of="mean") if row.id == "occupancy" else row for row in result.compared])
    rows = result.rows
    text.emit(f"rows: {rows.produced:,} produced, {rows.stored:,} stored, {rows.duplicates:,} duplicates\n")


def _whole(live: LiveFigures) -> list[Figure]:
    return [one for one in live.figures if one.zone is None and one.hour is None and not one.id.endswith(DEVICES)]


def _value(figure: Figure) -> str:
    return written(figure.value, kpi_dictionary()[figure.id].unit)


def _interval(figure: Figure) -> str:
    if figure.value is None:
        return figure.reason or "undefined"
    unit = kpi_dictionary()[figure.id].unit
    return f"{written(figure.low, unit)} to {written(figure.high, unit)}"
