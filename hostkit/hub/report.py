"""A replay's result as one JSON object, the shape of `footfall replay --json`. Rounds; computes nothing."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, tzinfo
from typing import TypeAlias
from zoneinfo import ZoneInfo

from hostkit.core.bins import CountBin
from hostkit.core.clock import ClockFit
from hostkit.core.dot11 import CaptureCounts
from hostkit.core.kpi import Kpi
from hostkit.hub.replay import ReplayedCapture, ReplayResult
from hostkit.model import Coverage, Estimate, VisitClass

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | dict[str, Json] | None"


def report(result: ReplayResult) -> dict[str, Json]:
    """Give the object; times are ISO 8601 in the site's time zone, `_s` figures Unix or elapsed seconds."""
    zone = ZoneInfo(result.site.time_zone)
    totals = result.totals
    return {
        "provenance": result.provenance,
        "method": totals.devices.method,
        "site": result.site.site,
        "time_zone": result.site.time_zone,
        "start": _iso(min(capture.start_s for capture in result.captures), zone),
        "end": _iso(max(capture.end_s for capture in result.captures), zone),
        "packets": result.counts.packets,
        "frames": totals.frames,
        "skipped": result.counts.skipped.total,
        "skipped_by_reason": _skipped(result.counts),
        "malformed": result.counts.malformed,
        "late": totals.late,
        "dropped": totals.dropped,
        "flood": {"addresses": totals.flood.addresses, "minutes": totals.flood.minutes},
        "addresses": totals.addresses,
        "randomised_share": _round(totals.randomised_share),
        "devices": _estimate(totals.devices, "estimate"),
        "fixed": totals.fixed,
        "visits": {
            "passersby": visits_of(result, VisitClass.PASSERBY),
            "entrants": visits_of(result, VisitClass.ENTRANT),
        },
        "dwell_s": _dwell(result.kpis),
        "coverage": _coverage(result.coverage),
        "probes": [_capture(capture, zone) for capture in result.captures],
        "kpis": [_kpi(kpi) for kpi in result.kpis],
        "bin_s": result.bin_s,
        "series": [_bin(*one, zone) for one in zip(result.bins, result.inside, strict=True)],
        "warnings": list(result.warnings),
    }


def visits_of(result: ReplayResult, visit_class: VisitClass) -> int:
    """How many visits are of this class."""
    return sum(visit.visit_class is visit_class for visit in result.visits)


def _skipped(counts: CaptureCounts) -> dict[str, Json]:
    by_reason = {field.name: getattr(counts.skipped, field.name) for field in fields(counts.skipped)}
    return {name: count for name, count in by_reason.items() if count}


def _dwell(kpis: Sequence[Kpi]) -> dict[str, Json]:
    by_id = {kpi.id: kpi.value for kpi in kpis}
    median, p90 = by_id["dwell_median"], by_id["dwell_p90"]
    return {
        "median": _round(median.value),
        "median_interval": [_round(median.low), _round(median.high)],
        "p90": _round(p90.value),
        "p90_interval": [_round(p90.low), _round(p90.high)],
        "reason": median.reason,
    }


def _capture(capture: ReplayedCapture, zone: tzinfo) -> dict[str, Json]:
    return {
        "probe": capture.probe,
        "capture": str(capture.path),
        "frames": capture.frames,
        "start": _iso(capture.start_s, zone),
        "end": _iso(capture.end_s, zone),
        "clock": _clock(capture.clock),
    }


def _clock(fit: ClockFit) -> dict[str, Json]:
    return {
        "corrected": fit.reason is None and fit.common_frames > 0,
        "common_frames": fit.common_frames,
        "offset_s": _round(fit.offset_s, 6),
        "drift_s_per_day": _round(fit.drift_ppm * 0.0864, 4),
        "residual_s": _round(fit.residual_s, 6),
        "reason": fit.reason,
    }


def _bin(bin_: CountBin, inside: Estimate, zone: tzinfo) -> dict[str, Json]:
    return {
        "start": _iso(bin_.start_s, zone),
        **_estimate(bin_.devices, "devices"),
        "method": bin_.devices.method,
        "people_inside": {**_estimate(inside, "value"), "devices": _round(bin_.inside.devices)},
        "check": None if bin_.check is None else {**_estimate(bin_.check, "value"), "method": bin_.check.method},
        "addresses": bin_.addresses,
        "frames": bin_.frames,
        "coverage": _coverage(bin_.coverage),
    }


def _kpi(kpi: Kpi) -> dict[str, Json]:
    return {
        "id": kpi.id,
        "of": kpi.of,
        **_estimate(kpi.value, "value"),
        "method": kpi.value.method,
        "devices": _estimate(kpi.devices, "value") if kpi.devices else None,
        "coverage": _coverage(kpi.coverage),
    }


def _estimate(estimate: Estimate, name: str) -> dict[str, Json]:
    figures: dict[str, Json] = {
        name: _round(estimate.value),
        "low": _round(estimate.low),
        "high": _round(estimate.high),
    }
    return figures | ({"reason": estimate.reason} if estimate.reason else {})


def _coverage(coverage: Coverage) -> dict[str, Json]:
    return {
        "listened_share": _round(coverage.listened_share),
        "probes_up": coverage.probes_up,
        "probes_expected": coverage.probes_expected,
        "completeness": _round(coverage.completeness),
    }


def _iso(time_s: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(time_s, zone).isoformat(timespec="seconds")


def _round(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(float(value), digits) + 0.0
