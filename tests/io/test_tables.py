"""Results as CSV."""

import csv

from hostkit.core.bins import CountBin
from hostkit.core.kpi import Kpi
from hostkit.io.tables import KPIS, SERIES, VISITS, ZONES, kpis_csv, series_csv, visits_csv, zones_csv
from hostkit.model import Coverage, Dwell, Estimate, Interval, Provenance, Radio, Visit, VisitClass, ZoneStay

WHOLE = Coverage(listened_share=0.5, probes_up=1, probes_expected=2, completeness=None)
SEVEN = Estimate(value=7.123456, low=5.0, high=9.5, method="test")
UNKNOWN = Estimate(value=None, low=None, high=None, method="test", reason='nobody, "really"')


def visit(number: int, *stays: tuple[str, float]) -> Visit:
    zones = tuple(ZoneStay(zone=zone, enter_s=100.0, leave_s=100.0 + length, p=0.9) for zone, length in stays)
    return Visit(
        visit_id=f"v{number}",
        rev=1,
        start_s=Interval(lo=90.0, hi=100.0),
        end_s=Interval(lo=200.0, hi=210.123456),
        dwell_s=Dwell(lo=100.0, mid=110.0, hi=120.0),
        visit_class=VisitClass.ENTRANT,
        p_entrant=0.75,
        radio=Radio.WIFI,
        bursts=3,
        zones=zones,
    )


def rows(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(table.decode().splitlines()))


def test_series() -> None:
    bin_ = CountBin(start_s=600, end_s=1200, devices=SEVEN, addresses=30, frames=99, coverage=WHOLE)
    table = series_csv([bin_], Provenance.REPLAY)
    assert table.decode().splitlines()[0] == ",".join(SERIES)
    assert list(rows(table)[0].values()) == ["600", "1200", "7.1235", "5.0", "9.5", "30", "99", "0.5", "replay"]


def test_visits() -> None:
    table = rows(visits_csv([visit(1, ("door", 5), ("till", 60))], Provenance.SIMULATED))
    assert set(table[0]) == set(VISITS)
    assert table[0]["zones"] == "door|till"
    assert table[0]["end_hi_s"] == "210.1235"
    assert (table[0]["class"], table[0]["end_reason"], table[0]["provenance"]) == ("entrant", "silence", "simulated")


def test_an_undefined_figure_is_empty_with_its_reason() -> None:
    kpis = [
        Kpi(id="dwell_mean", value=UNKNOWN, coverage=WHOLE),
        Kpi(id="footfall", value=SEVEN, devices=SEVEN, coverage=WHOLE),
    ]
    table = rows(kpis_csv(kpis, Provenance.REPLAY))
    assert set(table[0]) == set(KPIS)
    assert (table[0]["value"], table[0]["devices"], table[0]["reason"]) == ("", "", 'nobody, "really"')
    assert (table[1]["value"], table[1]["devices_high"], table[1]["reason"]) == ("7.1235", "9.5", "")


def test_zones_add_up_most_time_first() -> None:
    visits = [visit(1, ("door", 10), ("till", 60), ("door", 10)), visit(2, ("door", 20))]
    table = rows(zones_csv(visits, Provenance.REPLAY))
    assert set(table[0]) == set(ZONES)
    assert [tuple(row.values())[:6] for row in table] == [
        ("till", "1", "1", "60.0", "0.6", "60.0"),
        ("door", "2", "3", "40.0", "0.4", "13.3333"),
    ]
    assert zones_csv([visit(3)], Provenance.REPLAY).decode().splitlines() == [",".join(ZONES)]
