"""Figures as they travel: devices beside people, splits by name, small cells hidden with one more where needed."""

from hostkit.contract.kpivalues import kpi_values, suppress
from hostkit.contract.messages import SUPPRESSED, KpiValue
from hostkit.core.kpi import Kpi
from hostkit.model import Coverage, Estimate, PrivacyMode, Provenance

COVERAGE = Coverage(listened_share=0.3, probes_up=3, probes_expected=4, completeness=0.9)


def kpi(id_: str, value: float, *, of: str | None = None, devices: float | None = None) -> Kpi:
    def estimate(at: float) -> Estimate:
        return Estimate(value=at, low=at / 2, high=at * 2, method="m")

    return Kpi(
        id=id_, value=estimate(value), devices=None if devices is None else estimate(devices), of=of, coverage=COVERAGE
    )


def values(*kpis: Kpi) -> tuple[KpiValue, ...]:
    return kpi_values(kpis, privacy_mode=PrivacyMode.PSEUDONYM_24H, provenance=Provenance.LIVE)


def zone(name: str, share: float) -> Kpi:
    return kpi("zone_share", share, of=name)


def footfall(devices: float) -> Kpi:
    return kpi("footfall", 3 * devices, devices=devices)


def shown(values: tuple[KpiValue, ...]) -> set[str]:
    return {value.split.zone for value in values if value.value is not None and value.split and value.split.zone}


def test_people_are_followed_by_devices_and_shares_are_not() -> None:
    given = values(kpi("footfall", 12, devices=10), kpi("capture_rate", 0.2))
    assert [(v.id, v.value, v.low, v.high) for v in given] == [
        ("footfall", 12, 6, 24),
        ("footfall_devices", 10, 5, 20),
        ("capture_rate", 0.2, 0.1, 0.4),
    ]
    assert given[1].coverage.probes_up == 3
    assert given[1].provenance is Provenance.LIVE


def test_hours_and_zones_are_named() -> None:
    hour, _, zone_visits, _ = values(
        kpi("arrivals_by_hour", 3, of="07", devices=3), kpi("zone_visits", 3, of="07", devices=3)
    )
    assert hour.split is not None
    assert (hour.split.hour, hour.split.zone) == (7, None)
    assert zone_visits.split is not None
    assert (zone_visits.split.hour, zone_visits.split.zone) == (None, "07")


def test_small_zones_are_hidden_with_reason_and_k() -> None:
    given = suppress(values(footfall(100), zone("a", 0.049), zone("b", 0.02), zone("c", 0.05), zone("d", 0.7)), 5)
    assert shown(given) == {"c", "d"}
    assert given[0].value == 300
    assert {(v.reason, v.below, v.low) for v in given if v.value is None} == {(SUPPRESSED, 5, None)}


def test_one_hidden_zone_takes_the_next_smallest_along() -> None:
    assert shown(suppress(values(footfall(50), zone("a", 0.08), zone("b", 0.18), zone("c", 0.6)), 5)) == {"c"}
    assert shown(suppress(values(footfall(50), zone("a", 0.1), zone("b", 0.2)), 5)) == {"a", "b"}
    assert shown(suppress(values(footfall(50), zone("a", 0.09)), 5)) == set()


def test_an_empty_hour_hides_every_zone() -> None:
    assert shown(suppress(values(footfall(0), zone("a", 0.5), zone("b", 0.5)), 5)) == set()
