"""KPIs: what the dictionary says of names, units and nulls; weights; intervals; and any visits give numbers."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.contract import kpi_dictionary
from hostkit.core.heard import p_heard
from hostkit.core.kpi import Kpi, _share, compute
from hostkit.model import (
    Coverage,
    Dwell,
    Estimate,
    Interval,
    PeoplePerDevice,
    Radio,
    Site,
    Visit,
    VisitClass,
    ZoneStay,
)
from tests.shop import NOON_S, ZONES, shop

COVERAGE = Coverage(listened_share=1.0, probes_up=4, probes_expected=4, completeness=1.0)
DEAF = Coverage(listened_share=0.0, probes_up=0, probes_expected=4, completeness=None)
DAY_S = 86_400.0
SITE = dataclasses.replace(shop(), people_per_device=PeoplePerDevice(median=1.25, log_sd=0.1))


def visit(
    start_s: float = 0.0,
    *,
    dwell_s: float = 300.0,
    edge_s: float = 30.0,
    p: float = 0.9,
    reentry: bool = False,
    zones: tuple[ZoneStay, ...] = (),
) -> Visit:
    """A visit heard from `start_s` after noon for `dwell_s`, unsure by `edge_s` at both ends."""
    first_s, last_s = NOON_S + start_s, NOON_S + start_s + dwell_s
    return Visit(
        visit_id=f"v{start_s}",
        rev=1,
        start_s=Interval(lo=first_s - edge_s, hi=first_s),
        end_s=Interval(lo=last_s, hi=last_s + edge_s),
        dwell_s=Dwell(lo=dwell_s, mid=dwell_s + edge_s, hi=dwell_s + 2 * edge_s),
        visit_class=VisitClass.ENTRANT if p >= 0.5 else VisitClass.PASSERBY,
        p_entrant=p,
        radio=Radio.WIFI,
        bursts=5,
        reentry=reentry,
        zones=zones,
    )


def stay(zone: str, enter_s: float, leave_s: float, p: float = 1.0) -> ZoneStay:
    return ZoneStay(zone=zone, enter_s=NOON_S + enter_s, leave_s=NOON_S + leave_s, p=p)


def all_of(visits: Sequence[Visit], site: Site = SITE, coverage: Coverage = COVERAGE) -> tuple[Kpi, ...]:
    return compute(visits, site, start_s=NOON_S - DAY_S / 2, end_s=NOON_S + DAY_S / 2, coverage=coverage)


def one(id_: str, visits: Sequence[Visit], *, of: str | None = None, site: Site = SITE) -> Kpi:
    (kpi,) = [kpi for kpi in all_of(visits, site) if kpi.id == id_ and kpi.of == of]
    return kpi


def value(id_: str, visits: Sequence[Visit], *, of: str | None = None, site: Site = SITE) -> float:
    found = one(id_, visits, of=of, site=site).value.value
    assert found is not None
    return found


def in_order(it: Estimate) -> None:
    assert it.low is not None
    assert it.value is not None
    assert it.high is not None
    assert it.low <= it.value <= it.high
    assert all(math.isfinite(end) for end in (it.low, it.value, it.high))


visits_ = st.lists(
    st.builds(
        visit,
        st.floats(-40_000, 40_000),
        dwell_s=st.floats(0, 30_000),
        edge_s=st.floats(0, 300),
        p=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-12, 0.5])),
        reentry=st.booleans(),
        zones=st.lists(
            st.builds(
                ZoneStay,
                zone=st.sampled_from([zone.id for zone in ZONES]),
                enter_s=st.floats(NOON_S, NOON_S + 100),
                leave_s=st.floats(NOON_S + 100, NOON_S + 9000),
                p=st.floats(0, 1),
            ),
            max_size=4,
        ).map(tuple),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(visits_, st.sampled_from([SITE, shop(1), dataclasses.replace(SITE, zones=())]))
def test_any_visits_give_numbers_that_the_dictionary_knows(visits: list[Visit], site: Site) -> None:
    for kpi in all_of(visits, site):
        row = kpi_dictionary()[kpi.id]
        assert (kpi.devices is not None) == row.people
        for it in (kpi.value, *([kpi.devices] if kpi.devices else [])):
            if it.value is None:
                assert (it.low, it.high) == (None, None)
                assert it.reason
                continue
            in_order(it)
            assert it.low is not None
            assert it.low >= 0
            if row.unit == "ratio":
                assert it.high is not None
                assert it.high <= 1
        if kpi.devices and kpi.devices.value is not None:
            assert kpi.value.value == pytest.approx(kpi.devices.value * site.people_per_device.median)


# ---- nothing ----


def test_without_visits_counts_are_zero_and_the_rest_null_with_a_reason() -> None:
    for kpi in all_of([]):
        if kpi.devices is not None:
            assert kpi.value.value == 0.0, kpi.id
            assert (kpi.value.high or 0) > 0
        else:
            assert kpi.value.value is None, kpi.id
            assert kpi.value.reason


@pytest.mark.parametrize("visits", [[], [visit()]])
def test_where_no_probe_listened_counts_are_null_not_zero(visits: list[Visit]) -> None:
    counted = [kpi for kpi in all_of(visits, coverage=DEAF) if kpi.devices is not None]
    assert counted
    for kpi in counted:
        assert kpi.devices is not None
        assert kpi.value.value is kpi.devices.value is None
        assert kpi.value.reason == kpi.devices.reason == "no probe listened"


def test_listening_that_is_not_known_is_no_reason_for_null() -> None:
    unknown = Coverage(listened_share=None, probes_up=1, probes_expected=1, completeness=None)
    assert all(kpi.value.value == 0 for kpi in all_of([], coverage=unknown) if kpi.devices is not None)


def test_every_kpi_says_its_coverage() -> None:
    assert {kpi.coverage for kpi in all_of([visit()])} == {COVERAGE}


# ---- weights ----


def test_a_certain_entrant_is_one_over_p_heard_of_its_longest_stay() -> None:
    it = visit(dwell_s=90, edge_s=15, p=1.0)
    footfall = one("footfall", [it])
    assert footfall.devices is not None
    assert footfall.devices.value == pytest.approx(1 / p_heard(np.array([120.0])).item())
    assert value("passersby", [it]) == 0.0
    assert value("capture_rate", [it]) == 1.0


def test_a_certain_passerby_is_one_over_p_heard_of_a_passage() -> None:
    it = visit(dwell_s=2, edge_s=100, p=0.0)
    passersby = one("passersby", [it])
    assert passersby.devices is not None
    assert passersby.devices.value == pytest.approx(1 / p_heard(np.array([SITE.thresholds.passage_s])).item())
    assert value("footfall", [it]) == 0.0
    assert value("capture_rate", [it]) == 0.0


def test_counts_add_up_over_visits() -> None:
    visits = [visit(60.0 * i, dwell_s=20.0 * i, p=i / 9) for i in range(10)]
    for id_ in ("footfall", "passersby", "visitors"):
        assert value(id_, visits) == pytest.approx(sum(value(id_, [v]) for v in visits))


def test_order_of_visits_does_not_matter() -> None:
    visits = [visit(500.0 * i, dwell_s=100.0 * i, p=i / 14) for i in range(15)]
    for kpi, other in zip(all_of(visits), all_of(visits[::-1]), strict=True):
        assert (kpi.id, kpi.of) == (other.id, other.of)
        assert kpi.value.value == pytest.approx(other.value.value)


def test_capture_rate_is_footfall_over_all() -> None:
    visits = [visit(60.0 * i, dwell_s=30.0 * i, p=i / 9) for i in range(10)]
    footfall, passersby = value("footfall", visits), value("passersby", visits)
    assert value("capture_rate", visits) == pytest.approx(footfall / (footfall + passersby))


def test_one_who_comes_back_is_two_visits_of_one_visitor() -> None:
    visits = [visit(0.0), visit(2000.0, reentry=True)]
    assert value("visitors", visits) == pytest.approx(value("footfall", visits) / 2)


def test_visits_are_those_begun_in_the_period() -> None:
    def footfall(start_s: float, end_s: float) -> float | None:
        kpis = compute(
            [visit(0.0, edge_s=0.0)], SITE, start_s=NOON_S + start_s, end_s=NOON_S + end_s, coverage=COVERAGE
        )
        return next(kpi.value.value for kpi in kpis if kpi.id == "footfall")

    assert footfall(0, 600) != 0
    assert footfall(-600, 0) == 0.0
    assert footfall(1, 600) == 0.0


def test_occupancy_is_of_those_inside_at_the_end() -> None:
    def inside(end_s: float) -> float | None:
        kpis = compute([visit(0.0, p=1.0)], SITE, start_s=NOON_S - 100, end_s=NOON_S + end_s, coverage=COVERAGE)
        return next(kpi.devices.value for kpi in kpis if kpi.id == "occupancy" and kpi.devices)

    assert (inside(-60), inside(100), inside(400)) == (0.0, 1.0, 0.0)


def test_an_unsure_class_widens_the_count() -> None:
    sure = one("footfall", [visit(60.0 * i, dwell_s=3000, p=1.0) for i in range(10)]).devices
    unsure = one("footfall", [visit(60.0 * i, dwell_s=3000, p=0.1) for i in range(100)]).devices
    assert sure is not None
    assert unsure is not None
    assert sure.value == pytest.approx(unsure.value)
    assert (unsure.high or 0) > 1.1 * (sure.high or 0)  # a Poisson number of 10, sd 3, beside the error of association


def test_arrivals_are_by_local_hour_and_sum_to_footfall() -> None:
    visits = [visit(3600.0 * i) for i in range(-3, 4)]
    arrivals = [kpi for kpi in all_of(visits) if kpi.id == "arrivals_by_hour"]
    assert [kpi.of for kpi in arrivals] == [f"{hour:02d}" for hour in (8, 9, 10, 11, 12, 13, 14)]
    assert sum(kpi.value.value or 0 for kpi in arrivals) == pytest.approx(value("footfall", visits))


# ---- shares ----


@pytest.mark.parametrize(("dwell_s", "bounced", "deep"), [(10.0, 1.0, 0.0), (300.0, 0.0, 0.0), (2000.0, 0.0, 1.0)])
def test_bounce_and_deep_visits_follow_their_thresholds(dwell_s: float, bounced: float, deep: float) -> None:
    visits = [visit(dwell_s=dwell_s, edge_s=1.0)]
    assert (value("bounce_rate", visits), value("deep_visit_rate", visits)) == (bounced, deep)


def test_a_dwell_across_the_threshold_counts_in_part() -> None:
    assert value("bounce_rate", [visit(dwell_s=30, edge_s=30.0)]) == pytest.approx(0.5)  # 30 to 90 s against 60 s


def test_zone_shares_are_of_the_time_of_entrants_in_the_shop() -> None:
    visits = [visit(dwell_s=400, zones=(stay("shoes", 0, 300), stay("coats", 300, 400), stay("street", 0, 400)))]
    assert value("zone_share", visits, of="shoes") == pytest.approx(0.75)
    assert value("zone_share", visits, of="coats") == pytest.approx(0.25)
    assert not [kpi for kpi in all_of(visits) if kpi.of == "street"]


def test_zones_nobody_was_in_are_null() -> None:
    assert one("zone_share", [visit()], of="shoes").value.value is None


# Wilson (1927) score intervals of hits in n at 90 %: scipy.stats.binomtest(...).proportion_ci(0.9, "wilson").
WILSON = [
    (0, 10, 0.0, 0.21294),
    (1, 10, 0.02263, 0.34772),
    (5, 10, 0.26927, 0.73073),
    (20, 20, 0.88084, 1.0),
    (81, 263, 0.26331, 0.35657),
]


@pytest.mark.parametrize(("hits", "n", "low", "high"), WILSON)
def test_shares_have_wilsons_interval(hits: int, n: int, low: float, high: float) -> None:
    it = _share(np.ones(n), np.arange(n) < hits, "none")
    assert (it.value, it.low, it.high) == pytest.approx((hits / n, low, high), abs=2e-5)


def test_equal_weights_of_any_size_are_the_same_and_unequal_ones_less_sure() -> None:
    hits = np.arange(20) % 2 == 0
    assert _share(np.full(20, 7.0), hits, "") == _share(np.ones(20), hits, "")
    unequal = np.where(np.arange(20) < 4, 10.0, 0.1)
    wide, narrow = _share(unequal, hits, ""), _share(np.ones(20), hits, "")
    assert wide.value == pytest.approx(narrow.value)
    assert (wide.high or 0) - (wide.low or 0) > 1.5 * ((narrow.high or 0) - (narrow.low or 0))


def test_stays_under_way_at_the_beginning_and_far_longer_than_others_are_no_visitors_dwell() -> None:
    guests = [visit(600.0 + 60 * i, dwell_s=300.0) for i in range(30)]
    furniture = [visit(float(i), dwell_s=7000.0) for i in range(5)]
    with_all, without = value("dwell_mean", [*guests, *furniture]), value("dwell_mean", guests)
    assert with_all == pytest.approx(without)
    assert value("footfall", [*guests, *furniture]) > value("footfall", guests)  # counted all the same


def test_who_stays_as_long_but_came_later_or_is_one_of_few_is_a_visitor() -> None:
    guests = [visit(600.0 + 60 * i, dwell_s=300.0) for i in range(30)]
    early, late = visit(0.0, dwell_s=400.0), visit(900.0, dwell_s=7000.0)
    assert value("dwell_mean", [*guests, early, late]) > value("dwell_mean", guests) + 100
    few = guests[:12]
    assert value("dwell_mean", [visit(0.0, dwell_s=7000.0), *few]) > value("dwell_mean", few) + 100
