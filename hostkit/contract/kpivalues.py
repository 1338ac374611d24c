"""`core.kpi.Kpi` to the figures that travel: devices beside people, splits named, small crossed cells suppressed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from hostkit.contract import kpi_dictionary
from hostkit.contract.messages import SUPPRESSED, CoverageRow, KpiValue, Split
from hostkit.core.kpi import Kpi
from hostkit.model import Coverage, Estimate, PrivacyMode, Provenance

_HOUR_SPLIT = "arrivals_by_hour"
_SHARE, _TOTAL = "zone_share", "footfall_devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What every figure of one bucket says of itself beside its value."""

    privacy_mode: PrivacyMode
    provenance: Provenance


def kpi_values(kpis: Iterable[Kpi], *, privacy_mode: PrivacyMode, provenance: Provenance) -> tuple[KpiValue, ...]:
    """Make the figures of a message; each in people is followed by its device figure, `<id>_devices`."""
    labels = Labels(privacy_mode=privacy_mode, provenance=provenance)
    return tuple(value for kpi in kpis for value in _of_kpi(kpi, labels))


def suppress(values: tuple[KpiValue, ...], k: int) -> tuple[KpiValue, ...]:
    """Hide what zones tell of possibly fewer than `k` visits, and one zone more where the shares would give one away.

    A zone's share of the time of n visits is made by at least share x n of them: nobody counts for more than one.
    """
    total = next((v.value or 0.0 for v in values if v.id == _TOTAL and v.split is None), 0.0)
    visits = {v.split.zone: v.value * total for v in values if v.id == _SHARE and v.split and v.value is not None}
    hidden = {zone for zone, count in visits.items() if count < k}
    if len(hidden) == 1 and len(visits) > 1:
        hidden.add(min((count, zone or "") for zone, count in visits.items() if zone not in hidden)[1])
    return tuple(_hidden(v, k) if v.split and v.split.zone in hidden else v for v in values)


def coverage_row(coverage: Coverage) -> CoverageRow:
    """Make the row that travels."""
    return CoverageRow(
        listened_share=coverage.listened_share,
        probes_up=coverage.probes_up,
        probes_expected=coverage.probes_expected,
        completeness=coverage.completeness,
    )


def _of_kpi(kpi: Kpi, labels: Labels) -> Iterator[KpiValue]:
    yield _value(kpi.id, kpi, kpi.value, labels)
    if kpi.devices is not None:
        yield _value(f"{kpi.id}_devices", kpi, kpi.devices, labels)


def _value(id_: str, kpi: Kpi, estimate: Estimate, labels: Labels) -> KpiValue:
    return KpiValue(
        id=id_,
        version=kpi_dictionary()[kpi.id].version,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        reason=estimate.reason,
        method=estimate.method,
        coverage=coverage_row(kpi.coverage),
        privacy_mode=labels.privacy_mode,
        provenance=labels.provenance,
        split=_split(kpi),
    )


def _split(kpi: Kpi) -> Split | None:
    if kpi.of is None:
        return None
    return Split(hour=int(kpi.of)) if kpi.id == _HOUR_SPLIT else Split(zone=kpi.of)


def _hidden(value: KpiValue, k: int) -> KpiValue:
    return replace(value, value=None, low=None, high=None, reason=SUPPRESSED, below=k)
