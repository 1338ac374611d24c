"""What the core computes is what the dictionary defines: ids, versions, twins in devices; and it fits a message."""

import json

import jsonschema
import msgspec
import pytest

from hostkit import contract
from hostkit.contract import kpi_dictionary
from hostkit.contract.messages import CoverageRow, KpiValue
from hostkit.core import kpi
from hostkit.model import (
    Coverage,
    Dwell,
    Floor,
    Interval,
    PrivacyMode,
    Probe,
    Provenance,
    Radio,
    Site,
    Visit,
    VisitClass,
    Zone,
    ZoneKind,
    ZoneStay,
)

SQUARE = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
SITE = Site(
    tenant="acme",
    site="s",
    time_zone="UTC",
    floors=(Floor(id="g", bounds_m=(0.0, 0.0, 9.0, 9.0), interior_m=SQUARE),),
    zones=(
        Zone(id="shoes", floor="g", polygon_m=SQUARE),
        Zone(id="window", floor="g", polygon_m=SQUARE, kind=ZoneKind.WINDOW),
    ),
    probes=tuple(Probe(id=f"p{i}", floor="g", position_m=(float(i), 1.0, 2.0)) for i in range(4)),
)
COVERAGE = Coverage(listened_share=0.3, probes_up=4, probes_expected=4, completeness=1.0)


def visit(index: int) -> Visit:
    start_s = 36_000.0 + 60 * index
    return Visit(
        visit_id=f"v{index}",
        rev=0,
        start_s=Interval(lo=start_s - 60, hi=start_s),
        end_s=Interval(lo=start_s + 300, hi=start_s + 400),
        dwell_s=Dwell(lo=300.0, mid=350.0, hi=460.0),
        visit_class=VisitClass.ENTRANT if index % 3 else VisitClass.PASSERBY,
        p_entrant=0.9 if index % 3 else 0.1,
        radio=Radio.WIFI,
        bursts=5,
        zones=(ZoneStay(zone="shoes", enter_s=start_s, leave_s=start_s + 200, p=0.8),),
    )


@pytest.mark.parametrize("count", [0, 1, 30])
def test_the_core_computes_what_the_dictionary_defines(count: int) -> None:
    kpis = kpi.compute([visit(i) for i in range(count)], SITE, start_s=0.0, end_s=86_400.0, coverage=COVERAGE)
    assert kpis
    for figure in kpis:
        row = kpi_dictionary()[figure.id]
        assert row.version == kpi.DEFINITION_VERSION
        assert (figure.devices is not None) == row.people, figure.id
        assert (figure.value.value is None) == (figure.value.reason is not None)


@pytest.mark.parametrize("count", [0, 30])
def test_every_figure_of_the_core_fits_a_message(count: int) -> None:
    kpis = kpi.compute([visit(i) for i in range(count)], SITE, start_s=0.0, end_s=86_400.0, coverage=COVERAGE)
    example = contract.schema("kpi")["examples"][0]
    validator = jsonschema.Draft202012Validator(contract.schema("kpi"))
    coverage = CoverageRow(listened_share=0.3, probes_up=4, probes_expected=4, completeness=1.0)
    for figure in kpis:
        value = KpiValue(
            id=figure.id,
            version=kpi_dictionary()[figure.id].version,
            value=figure.value.value,
            low=figure.value.low,
            high=figure.value.high,
            method=figure.value.method,
            reason=figure.value.reason,
            coverage=coverage,
            privacy_mode=PrivacyMode.PSEUDONYM_24H,
            provenance=Provenance.SIMULATED,
        )
        plain = json.loads(msgspec.json.encode(value))
        validator.validate({**example, "data": {**example["data"], "kpis": [plain]}})
