"""The readable summary of a replay. Prints what the result holds."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.cli.text import between, duration, emit, number, table
from hostkit.contract import kpi_dictionary
from hostkit.core.kpi import Kpi
from hostkit.hub.replay import ReplayedCapture, ReplayResult
from hostkit.hub.report import visits_of
from hostkit.model import VisitClass
from hostkit.sim.compare import Row


def headline(result: ReplayResult) -> str:
    """What was replayed, when."""
    zone = ZoneInfo(result.site.time_zone)
    start = datetime.fromtimestamp(min(capture.start_s for capture in result.captures), zone)
    end = datetime.fromtimestamp(max(capture.end_s for capture in result.captures), zone)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    captures, probes = len(result.captures), len({capture.probe for capture in result.captures})
    kind = "simulated capture" if result.provenance == "simulated" else "capture"
    return (
        f"{captures} {kind}{'s' * (captures > 1)} of {probes} probe{'s' * (probes > 1)}, "
        f"{start:%Y-%m-%d %H:%M} to {until} {result.site.time_zone}"
    )


def footnote(result: ReplayResult) -> str:
    """What a drawing of the result must say of itself."""
    devices, totals = result.totals.devices, result.totals
    return (
        f"Footfall, {result.provenance}: {number(devices.value)} devices ({between(devices)}, 90 % interval, "
        f"{devices.method}) behind {totals.addresses:,} addresses; {totals.fixed} fixed devices set apart"
    )


def print_summary(result: ReplayResult) -> None:
    """Print the headline, the counts, the figures with their intervals, and the clocks."""
    emit(headline(result) + "\n")
    emit(_heard(result) + "\n\n")
    whole = [_kpi_row(kpi) for kpi in result.kpis if kpi.of is None]
    table(("figure", "value", "90 % interval", "note"), [*_counts(result), *whole])
    _zones(result.kpis)
    clocks = [_clock(capture) for capture in result.captures if capture.clock.common_frames]
    if clocks:
        emit("\n" + "\n".join(clocks) + "\n")


def print_comparison(rows: Sequence[Row]) -> None:
    """Print measured figures beside the truth of the simulation, and how many intervals hold it."""
    emit("\nagainst the truth of the simulation\n")
    table(("figure", "measured", "90 % interval", "truth", "error", ""), [_comparison(row) for row in rows])
    judged = [row.covered for row in rows if row.covered is not None]
    emit(f"{sum(judged)} of {len(judged)} intervals hold the truth (90 % should)\n")


def _comparison(row: Row) -> tuple[str, ...]:
    unit = kpi_dictionary()[row.id].unit
    interval = "–" if row.low is None else f"{written(row.low, unit)} to {written(row.high, unit)}"
    held = {True: "", False: "outside", None: "undefined"}[row.covered]
    return (_name(row.id, row.of), written(row.measured, unit), interval, written(row.truth, unit), _error(row), held)


def _error(row: Row) -> str:
    if row.error is None:
        return "–"
    return f"{100 * row.error:+.0f} %" if row.relative else f"{row.error:+.2f}"


def _heard(result: ReplayResult) -> str:
    counts, totals = result.counts, result.totals
    share = result.coverage.listened_share
    return (
        f"{totals.frames:,} probe requests from {totals.addresses:,} addresses, "
        f"{number(_percent(totals.randomised_share))} % of them randomised; "
        f"{counts.skipped.total:,} other packets skipped, {counts.malformed:,} malformed; "
        f"listened {number(_percent(share))} % of {len(result.bins):,} bins"
    )


def _counts(result: ReplayResult) -> list[tuple[str, str, str, str]]:
    devices = result.totals.devices
    passersby, entrants = (visits_of(result, one) for one in (VisitClass.PASSERBY, VisitClass.ENTRANT))
    return [
        ("devices", number(devices.value), between(devices), devices.method),
        ("fixed devices", number(result.totals.fixed), "", "set apart"),
        ("visits of passers-by heard", number(passersby), "", ""),
        ("visits of entrants heard", number(entrants), "", ""),
    ]


def _zones(kpis: Sequence[Kpi]) -> None:
    """Print the figures that are split by zone, a zone a line."""
    split = [kpi for kpi in kpis if kpi.of is not None and kpi.id.startswith("zone_")]
    ids, zones = dict.fromkeys(kpi.id for kpi in split), dict.fromkeys(kpi.of or "" for kpi in split)
    if not zones:
        return
    by_both = {(kpi.id, kpi.of): _figure(kpi) for kpi in split}
    emit("\n")
    table(
        ("zone", *(_name(id_, None) for id_ in ids), ""),
        [(zone, *(by_both.get((id_, zone), "") for id_ in ids), "") for zone in zones],
    )


def _figure(kpi: Kpi) -> str:
    """A value with its interval, for a cell."""
    unit, value = kpi_dictionary()[kpi.id].unit, kpi.value
    if value.value is None:
        return "–"
    return f"{written(value.value, unit)} ({written(value.low, unit)} to {written(value.high, unit)})"


def _kpi_row(kpi: Kpi) -> tuple[str, str, str, str]:
    unit, value = kpi_dictionary()[kpi.id].unit, kpi.value
    interval = f"{written(value.low, unit)} to {written(value.high, unit)}"
    note = value.reason or "undefined" if value.value is None else "" if unit == "s" else unit
    return (_name(kpi.id, kpi.of), written(value.value, unit), "" if value.value is None else interval, note)


def _name(id_: str, of: str | None) -> str:
    return kpi_dictionary()[id_].name_en + (f", {of}" if of else "")


def written(value: float | None, unit: str) -> str:
    """Write a figure of `unit` as a person reads it."""
    return duration(value) if unit == "s" else number(value, 2 if unit == "ratio" else 0)


def _clock(capture: ReplayedCapture) -> str:
    fit = capture.clock
    if fit.reason is not None:
        return f"clock of {capture.probe}: not corrected, {fit.reason}"
    return (
        f"clock of {capture.probe}: {fit.offset_s:+.4f} s and {fit.drift_ppm * 0.0864:+.2f} s a day, corrected "
        f"on {fit.common_frames:,} frames in common (spread {fit.residual_s * 1000:.1f} ms)"
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
