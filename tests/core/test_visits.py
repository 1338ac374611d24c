"""Cutting bursts into visits: when one ends, what its times may be, and what it knows of places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.core.associate import BURST, REVISION
from hostkit.core.places import PlaceModel
from hostkit.core.visits import VisitCutter
from hostkit.core.wire import Flag
from hostkit.model import EndReason, Radio, Site, Thresholds, Visit, VisitClass
from tests.shop import NOON_S, ZONES, shop

TIMEOUT_S = Thresholds().visit_timeout_s
SHOES_DBM = (-45.0, -70.0, -75.0, -50.0)  # loudest at the left corners
COATS_DBM = (-70.0, -45.0, -50.0, -75.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """One burst of a track, `start_s` after noon."""

    start_s: float
    length_s: float = 0.5
    track: int = 0
    levels_dbm: tuple[float, ...] = (-60.0, -60.0, -60.0, -60.0)
    flags: int = 0


def us(time_s: float) -> int:
    return round((NOON_S + time_s) * 1e6)


class Cutting:
    """A cutter and what it is fed with."""

    def __init__(self, site: Site | None = None) -> None:
        site = site or shop()
        self.probes = len(site.probes)
        self.places = PlaceModel(site)
        self.cutter = VisitCutter(site, self.places, "v")

    def add(self, bursts: Sequence[Burst]) -> "Cutting":
        rows = np.zeros(len(bursts), BURST)
        rssi = np.full((len(bursts), self.probes), np.nan, np.float32)
        for i, burst in enumerate(bursts):
            rows[i]["track"], rows[i]["flags"], rows[i]["frames"] = burst.track, burst.flags, 1
            rows[i]["first_us"], rows[i]["last_us"] = us(burst.start_s), us(burst.start_s + burst.length_s)
            rssi[i, : len(burst.levels_dbm)] = burst.levels_dbm[: self.probes]
            rssi[i, 0] = -60 if np.isnan(rssi[i]).all() else rssi[i, 0]  # somebody heard it
        self.cutter.add(self.places.rows(rows, rssi, np.isfinite(rssi).astype(np.uint16)))
        return self

    def flush(self, reason: EndReason = EndReason.FLUSH) -> tuple[Visit, ...]:
        return self.cutter.flush(reason)


def cut(bursts: Sequence[Burst], site: Site | None = None) -> tuple[Visit, ...]:
    return Cutting(site).add(bursts).flush()


def at(*starts_s: float, track: int = 0, levels_dbm: tuple[float, ...] = (-60.0,) * 4) -> list[Burst]:
    return [Burst(start_s=start_s, track=track, levels_dbm=levels_dbm) for start_s in starts_s]


# ---- when a visit ends ----


def test_a_gap_over_the_timeout_cuts_and_one_of_the_timeout_does_not() -> None:
    end_s = 0.5  # of the first burst
    assert len(cut(at(0, end_s + TIMEOUT_S))) == 1
    assert len(cut(at(0, end_s + TIMEOUT_S + 0.001))) == 2


def test_a_visit_is_closed_when_the_timeout_is_over() -> None:
    it = Cutting().add(at(0, 60))
    assert it.cutter.close(us(60.5 + TIMEOUT_S)) == ()
    (visit,) = it.cutter.close(us(60.5 + TIMEOUT_S) + 1)
    assert (visit.bursts, visit.end_reason) == (2, EndReason.SILENCE)
    assert it.flush() == ()


@pytest.mark.parametrize("reason", [EndReason.FLUSH, EndReason.ROTATION])
def test_flush_ends_what_is_open_with_its_reason(reason: EndReason) -> None:
    visits = Cutting().add([*at(0, 60), *at(30, 90, track=1)]).flush(reason)
    assert [(v.bursts, v.end_reason) for v in visits] == [(2, reason)] * 2


def test_a_visit_before_another_of_the_same_device_ended_by_silence() -> None:
    visits = cut(at(0, 60, 5000, 5060))
    assert [v.end_reason for v in visits] == [EndReason.SILENCE, EndReason.FLUSH]


def test_tracks_do_not_share_visits() -> None:
    visits = cut([*at(0, 60, 120), *at(10, 70, track=1)])
    assert sorted(v.bursts for v in visits) == [2, 3]


def test_forgotten_tracks_leave_no_visit() -> None:
    it = Cutting().add([*at(0, 60), *at(10, 70, track=1)])
    it.cutter.forget(np.array([1], np.uint32))
    assert [v.bursts for v in it.flush()] == [2]


# ---- times ----


def assert_sound(visit: Visit, first_s: float, last_s: float) -> None:
    """What holds for any visit that was heard from first_s to last_s."""
    assert visit.start_s.lo <= visit.start_s.hi <= visit.end_s.lo <= visit.end_s.hi
    assert 0 <= visit.dwell_s.lo <= visit.dwell_s.mid <= visit.dwell_s.hi
    assert visit.dwell_s.lo == pytest.approx(visit.end_s.lo - visit.start_s.hi, abs=1e-5)
    assert visit.dwell_s.hi == pytest.approx(visit.end_s.hi - visit.start_s.lo, abs=1e-5)
    assert visit.start_s.hi >= NOON_S + first_s - 1e-5
    assert visit.end_s.lo <= NOON_S + last_s + 1e-5
    assert 0 <= visit.p_entrant <= 1
    assert (visit.p_entrant >= 0.5) == (visit.visit_class is VisitClass.ENTRANT)
    for stay in visit.zones:
        assert visit.start_s.hi - 1e-5 <= stay.enter_s <= stay.leave_s <= visit.end_s.lo + 1e-5
        assert 0 < stay.p <= 1 + 1e-6
    for zone in {stay.zone for stay in visit.zones}:
        own = [stay for stay in visit.zones if stay.zone == zone]
        assert all(a.leave_s <= b.enter_s + 1e-5 for a, b in pairwise(own))


levels = st.tuples(*[st.one_of(st.integers(-95, -30).map(float), st.just(float("nan")))] * 4).filter(
    lambda row: not all(math.isnan(level) for level in row)
)
any_bursts = st.lists(
    st.builds(
        Burst,
        start_s=st.floats(0, 6000),
        length_s=st.floats(0, 11),
        track=st.integers(0, 2),
        levels_dbm=levels,
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(any_bursts, st.sampled_from([shop(), shop(2), shop(placed=False)]))
def test_visits_of_any_bursts_are_sound(bursts: list[Burst], site: Site) -> None:
    visits = cut(bursts, site)
    first_s = min(b.start_s for b in bursts)
    last_s = max(b.start_s + b.length_s for b in bursts)
    for visit in visits:
        assert_sound(visit, first_s, last_s)
    assert {b.track for b in bursts}
    assert len(visits) >= len({b.track for b in bursts})
    span_s = last_s - first_s
    assert sum(v.dwell_s.lo for v in visits) <= span_s * len({b.track for b in bursts}) + 1e-3


def test_a_long_burst_beside_short_ones_does_not_turn_time_round() -> None:
    """Two addresses of a phone at once: the long one ends after a later short one began."""
    bursts = [Burst(start_s=0, length_s=10), Burst(start_s=1, length_s=0.5), Burst(start_s=6, length_s=0.5)]
    (visit,) = cut(bursts)
    assert visit.bursts == 1  # one scan
    assert visit.dwell_s.lo == pytest.approx(10)


def test_dwell_is_from_the_first_to_the_last_hearing_and_open_by_an_interval_at_both_ends() -> None:
    (visit,) = cut(at(0, 60, 120, 180))
    assert visit.dwell_s.lo == pytest.approx(180.5)
    before_s, after_s = visit.start_s.hi - visit.start_s.lo, visit.end_s.hi - visit.end_s.lo
    assert before_s == pytest.approx(after_s)
    assert 0 < before_s <= 300


def test_a_quiet_phone_has_wider_ends_than_a_chatty_one() -> None:
    (quiet,), (chatty,) = cut(at(*range(0, 1200, 240))), cut(at(*range(0, 1200, 20)))
    assert quiet.start_s.hi - quiet.start_s.lo > 2 * (chatty.start_s.hi - chatty.start_s.lo)


# ---- visitor, radio, order ----


def test_one_who_comes_back_soon_is_the_same_visitor() -> None:
    def stay(start_s: float) -> list[Burst]:
        return at(*np.arange(start_s, start_s + 600, 30).tolist())

    soon = cut([*stay(0), *stay(570 + TIMEOUT_S + 100)])
    later = cut([*stay(0), *stay(570 + Thresholds().reentry_s + 100)])
    assert [v.visit_class for v in (*soon, *later)] == [VisitClass.ENTRANT] * 4
    assert [v.reentry for v in soon] == [False, True]
    assert [v.reentry for v in later] == [False, False]


def test_after_a_flush_nobody_is_known() -> None:
    times = np.arange(0, 600, 30).tolist()
    it = Cutting().add(at(*times))
    it.flush()
    (visit,) = it.add(at(*(t + 700 for t in times))).flush()
    assert not visit.reentry


def test_radio_is_that_of_the_frames() -> None:
    rows = [Burst(start_s=0, flags=Flag.BLE), Burst(start_s=0, track=1)]
    assert sorted(v.radio for v in cut(rows)) == [Radio.BLE, Radio.WIFI]


def test_order_of_bursts_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    bursts = [Burst(start_s=float(t), track=int(rng.integers(4))) for t in rng.uniform(0, 9000, 80)]
    expected = cut(bursts)
    it = Cutting()
    for i in rng.permutation(len(bursts)).tolist():
        it.add([bursts[i]])
    assert it.flush() == expected


def test_ids_go_on_after_a_flush() -> None:
    it = Cutting().add(at(0))
    first = it.flush()
    assert {v.visit_id for v in (*first, *it.add(at(5000)).flush())} == {"v1", "v2"}


# ---- places ----


def test_zones_follow_the_signal() -> None:
    bursts = [*at(*range(0, 600, 20), levels_dbm=SHOES_DBM), *at(*range(600, 1200, 20), levels_dbm=COATS_DBM)]
    (visit,) = cut(bursts)
    time_s = {zone.id: sum(s.p * (s.leave_s - s.enter_s) for s in visit.zones if s.zone == zone.id) for zone in ZONES}
    assert time_s["shoes"] == pytest.approx(600, abs=90)
    assert time_s["coats"] == pytest.approx(600, abs=90)
    assert time_s["street"] < 60


def test_stays_on_the_street_before_and_after_are_no_part_of_the_visit() -> None:
    street_dbm, deep_dbm = (-48.0, -50.0, -78.0, -78.0), (-66.0, -66.0, -52.0, -52.0)
    levels = [street_dbm] * 8 + [deep_dbm] * 30 + [street_dbm] * 8
    (visit,) = cut([Burst(start_s=60.0 * i, levels_dbm=row) for i, row in enumerate(levels)])
    assert visit.start_s.hi > NOON_S + 120  # the street was told apart
    assert_sound(visit, 0, 60 * len(levels))
    assert {"shoes", "coats"} & {stay.zone for stay in visit.zones}


@pytest.mark.parametrize("site", [shop(2), shop(1), shop(placed=False)])
def test_no_zones_with_fewer_than_three_placed_probes(site: Site) -> None:
    (visit,) = cut(at(*range(0, 600, 20), levels_dbm=SHOES_DBM), site)
    assert visit.zones == ()


def test_with_one_probe_the_median_level_decides_not_the_first() -> None:
    near, far = (-50.0,), (-88.0,)
    times = range(0, 300, 20)
    mostly_near = [Burst(start_s=t, levels_dbm=far if t == 0 else near) for t in times]
    mostly_far = [Burst(start_s=t, levels_dbm=near if t == 0 else far) for t in times]
    (inside,), (outside,) = cut(mostly_near, shop(1)), cut(mostly_far, shop(1))
    assert inside.p_entrant > outside.p_entrant


def test_a_revision_joins_the_visits_of_two_tracks_that_were_one_phone() -> None:
    seen = [*at(0.0, 60.0, track=1), *at(120.0, 180.0, track=2)]
    apart, joined = Cutting().add(seen), Cutting().add(seen)
    rows = joined.cutter.open_bursts()
    rows["scan"] = np.arange(len(rows))
    joined.cutter.revise(np.array([(2, 2, 1), (3, 2, 1)], REVISION))
    assert [visit.bursts for visit in apart.flush()] == [2, 2]
    assert [visit.bursts for visit in joined.flush()] == [4]
