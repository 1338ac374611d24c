"""Visits leave the site rounded outwards, in an order that tells nothing, and come back as precise as that."""

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from hostkit.contract.visitrows import row_of_visit, rows_of_visits, visit_of_row
from hostkit.model import Dwell, EndReason, Interval, Radio, Visit, VisitClass, ZoneStay
from tests.contract.strategies import ids, shares

GRAINS = st.sampled_from([60, 300, 900, 3600])


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    times = sorted(draw(st.floats(1.7e9, 1.7e9 + 40_000)) for _ in range(6))
    dwell = sorted(draw(st.floats(0, 40_000)) for _ in range(3))
    return Visit(
        visit_id=draw(ids),
        rev=draw(st.integers(0, 9)),
        start_s=Interval(lo=times[0], hi=times[1]),
        end_s=Interval(lo=times[4], hi=times[5]),
        dwell_s=Dwell(lo=dwell[0], mid=dwell[1], hi=dwell[2]),
        visit_class=draw(st.sampled_from(VisitClass)),
        p_entrant=draw(shares),
        radio=draw(st.sampled_from(Radio)),
        bursts=draw(st.integers(1, 500)),
        reentry=draw(st.booleans()),
        zones=(ZoneStay(zone=draw(ids), enter_s=times[2], leave_s=times[3], p=draw(shares)),),
        member=draw(st.none() | ids),
        end_reason=draw(st.sampled_from(EndReason)),
    )


@given(visits(), GRAINS)
def test_times_are_rounded_outwards_to_the_grain_and_by_less_than_one(visit: Visit, grain_s: int) -> None:
    row = row_of_visit(visit, grain_s)
    for (lo, hi), true in ((row.start_s, visit.start_s), (row.end_s, visit.end_s)):
        assert lo % grain_s == hi % grain_s == 0
        assert lo <= true.lo <= true.hi <= hi
        assert true.lo - lo < grain_s
        assert hi - true.hi < grain_s


@given(visits(), GRAINS)
def test_a_row_carries_everything_else_no_finer_than_scans_are_apart(visit: Visit, grain_s: int) -> None:
    row = row_of_visit(visit, grain_s)
    for name in ("visit_id", "rev", "visit_class", "p_entrant", "radio", "reentry", "member", "end_reason"):
        assert getattr(row, name) == getattr(visit, name)
    low, middle, high = row.dwell_s
    assert middle % 30 == 0
    assert isclose(middle, visit.dwell_s.mid, abs_tol=15)
    assert (low, high) == (max(middle - 60, 0), middle + 60)
    (zone,), (stay,) = row.zones, visit.zones
    assert (zone.id, zone.p) == (stay.zone, stay.p)
    assert zone.enter_s % 30 == zone.leave_s % 30 == 0
    assert isclose(zone.enter_s, stay.enter_s - visit.start_s.hi, abs_tol=15.001)
    assert isclose(zone.leave_s, stay.leave_s - visit.start_s.hi, abs_tol=15.001)


@given(visits(), GRAINS)
def test_a_row_is_all_a_reader_can_know(visit: Visit, grain_s: int) -> None:
    row = row_of_visit(visit, grain_s)
    assert row_of_visit(visit_of_row(row), grain_s) == row


@given(st.lists(visits(), max_size=6, unique_by=lambda visit: visit.visit_id), st.randoms())
def test_the_order_of_rows_does_not_depend_on_the_order_of_visits(found: list[Visit], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert rows_of_visits(shuffled, 300) == rows_of_visits(found, 300)


def test_within_a_grain_rows_come_by_their_random_id() -> None:
    def visit(id_: str, end_s: float) -> Visit:
        return Visit(
            visit_id=id_,
            rev=0,
            start_s=Interval(lo=600.0, hi=601.0),
            end_s=Interval(lo=end_s, hi=end_s),
            dwell_s=Dwell(lo=0.0, mid=1.0, hi=2.0),
            visit_class=VisitClass.ENTRANT,
            p_entrant=1.0,
            radio=Radio.WIFI,
            bursts=1,
        )

    rows = rows_of_visits([visit("z", 901.0), visit("b", 1100.0), visit("c", 950.0), visit("a", 1300.0)], 300)
    assert [row.visit_id for row in rows] == ["b", "c", "z", "a"]
