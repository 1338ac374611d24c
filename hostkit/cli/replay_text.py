"""The readable summary of a replay. Prints what the result holds."""

from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.cli.text import between, duration, emit, number, table
from hostkit.contract import kpi_dictionary
from hostkit.core.kpi import Kpi
from hostkit.hub.replay import ReplayedCapture, ReplayResult
from hostkit.hub.report import visits_of
from hostkit.model import Estimate, VisitClass

PARTS_SHOWN = 12  # of a figure that is split by zone or hour; --json and --csv hold all


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
    table(("figure", "value", "90 % interval", "note"), [*_counts(result), *map(_kpi_row, _shown(result.kpis))])
    clocks = [_clock(capture) for capture in result.captures if capture.clock.common_frames]
    if clocks:
        emit("\n" + "\n".join(clocks) + "\n")


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


def _shown(kpis: tuple[Kpi, ...]) -> list[Kpi]:
    whole = [kpi for kpi in kpis if kpi.of is None]
    return whole + [kpi for kpi in kpis if kpi.of is not None and not kpi.id.endswith("_by_hour")][:PARTS_SHOWN]


def _kpi_row(kpi: Kpi) -> tuple[str, str, str, str]:
    definition = kpi_dictionary()[kpi.id]
    name = definition.name_en + (f", {kpi.of}" if kpi.of else "")
    return (name, *_figure(kpi.value, definition.unit), definition.unit)


def _figure(value: Estimate, unit: str) -> tuple[str, str]:
    if value.value is None:
        return "–", value.reason or "undefined"
    if unit == "s":
        return duration(value.value), f"{duration(value.low)} to {duration(value.high)}"
    digits = 2 if unit == "ratio" else 0
    return number(value.value, digits), between(value, digits)


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
