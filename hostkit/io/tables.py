"""Results as CSV text: one header line with units, RFC 4180 quoting, empty cells for what is undefined."""

import csv
import io
from collections.abc import Iterable, Sequence

from hostkit.core.bins import CountBin
from hostkit.core.kpi import Kpi
from hostkit.model import Estimate, Provenance, Visit

Cell = str | int | float | None
SERIES = (
    "start_s", "end_s", "devices", "devices_low", "devices_high", "addresses", "frames", "listened_share", "provenance",
)  # fmt: skip
VISITS = (
    "visit_id", "rev", "class", "p_entrant", "radio", "start_lo_s", "start_hi_s", "end_lo_s", "end_hi_s",
    "dwell_lo_s", "dwell_mid_s", "dwell_hi_s", "bursts", "zones", "end_reason", "provenance",
)  # fmt: skip
KPIS = (
    "id", "of", "value", "low", "high", "reason", "devices", "devices_low", "devices_high", "method", "listened_share",
    "provenance",
)  # fmt: skip
ZONES = ("zone", "visits", "stays", "dwell_s", "dwell_share", "mean_stay_s", "provenance")


def series_csv(bins: Sequence[CountBin], provenance: Provenance) -> bytes:
    """One row a count bin; times are Unix seconds UTC."""
    return _csv(SERIES, (_series_row(bin_, provenance) for bin_ in bins))


def visits_csv(visits: Sequence[Visit], provenance: Provenance) -> bytes:
    """One row a visit, in the order given; zones in the order entered, joined by `|`."""
    return _csv(VISITS, (_visit_row(visit, provenance) for visit in visits))


def kpis_csv(kpis: Sequence[Kpi], provenance: Provenance) -> bytes:
    """One row a figure of the KPI dictionary; an undefined one has a reason and no value."""
    return _csv(KPIS, (_kpi_row(kpi, provenance) for kpi in kpis))


def zones_csv(visits: Sequence[Visit], provenance: Provenance) -> bytes:
    """One row a zone that was entered, most time first; shares are of the time in any zone."""
    totals: dict[str, tuple[set[str], int, float]] = {}
    for visit in visits:
        for stay in visit.zones:
            names, stays, dwell_s = totals.get(stay.zone, (set(), 0, 0.0))
            totals[stay.zone] = (names | {visit.visit_id}, stays + 1, dwell_s + stay.leave_s - stay.enter_s)
    whole_s = sum(dwell_s for _, _, dwell_s in totals.values())
    ordered = sorted(totals.items(), key=lambda item: (-item[1][2], item[0]))
    return _csv(ZONES, (_zone_row(zone, total, whole_s, provenance) for zone, total in ordered))


def _series_row(bin_: CountBin, provenance: Provenance) -> Sequence[Cell]:
    return (
        round(bin_.start_s), round(bin_.end_s), *_three(bin_.devices), bin_.addresses, bin_.frames,
        _figure(bin_.coverage.listened_share), provenance,
    )  # fmt: skip


def _visit_row(visit: Visit, provenance: Provenance) -> Sequence[Cell]:
    return (
        visit.visit_id, visit.rev, visit.visit_class, _figure(visit.p_entrant), visit.radio,
        _figure(visit.start_s.lo), _figure(visit.start_s.hi), _figure(visit.end_s.lo), _figure(visit.end_s.hi),
        _figure(visit.dwell_s.lo), _figure(visit.dwell_s.mid), _figure(visit.dwell_s.hi), visit.bursts,
        "|".join(stay.zone for stay in visit.zones), visit.end_reason, provenance,
    )  # fmt: skip


def _kpi_row(kpi: Kpi, provenance: Provenance) -> Sequence[Cell]:
    devices = _three(kpi.devices) if kpi.devices else (None, None, None)
    return (
        kpi.id, kpi.of, *_three(kpi.value), kpi.value.reason, *devices, kpi.value.method,
        _figure(kpi.coverage.listened_share), provenance,
    )  # fmt: skip


def _zone_row(zone: str, total: tuple[set[str], int, float], whole_s: float, provenance: Provenance) -> Sequence[Cell]:
    visits, stays, dwell_s = total
    share = dwell_s / whole_s if whole_s else None
    return (zone, len(visits), stays, _figure(dwell_s), _figure(share), _figure(dwell_s / stays), provenance)


def _three(estimate: Estimate) -> tuple[Cell, Cell, Cell]:
    return _figure(estimate.value), _figure(estimate.low), _figure(estimate.high)


def _figure(value: float | None) -> float | None:
    """A float without the noise of its last bits: a millisecond, or a tenth of a per mille."""
    return None if value is None else round(value, 4) + 0.0


def _csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
