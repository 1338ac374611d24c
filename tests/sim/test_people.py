"""Ways of people: human speed, complete within the simulation, doing what the person came for."""

import numpy as np
import pytest

from hostkit.errors import UsageError
from hostkit.sim.people import ENTRANTS, Person, PersonKind, Shares, people
from hostkit.sim.plan import build_plan, crossings, default_site, in_polygon

PLAN = build_plan(default_site(1))
DURATION_S = 8 * 3600.0


def crowd(count: int = 300, *, seed: int = 1, shares: Shares | None = None, hours: float = 8.0) -> tuple[Person, ...]:
    return people(
        PLAN, count=count, staff=2, start_hour=10.0, duration_s=hours * 3600, shares=shares or Shares(), seed=seed
    )


def inside(person: Person) -> np.ndarray:
    return in_polygon(person.at(np.arange(person.times_s[0], person.times_s[-1], 0.5)), PLAN.floor.interior_m)


def test_nobody_walks_faster_than_people_do_or_through_walls() -> None:
    walls = np.array([(*wall.from_m, *wall.to_m) for wall in PLAN.floor.walls])
    for person in crowd():
        steps, times = np.diff(person.xy_m, axis=0), np.diff(person.times_s)
        assert (times > 0).all()
        assert (np.hypot(*steps.T) / times <= 1.9 + 1e-9).all()
        assert not crossings(person.xy_m[:-1], person.xy_m[1:], walls).any()


def test_everybody_comes_and_goes_within_the_simulation() -> None:
    for hours in (0.5, 8.0):
        for person in crowd(hours=hours):
            assert person.times_s[0] >= 0
            assert person.times_s[-1] <= hours * 3600
            if person.kind is not PersonKind.STAFF:
                assert not in_polygon(person.xy_m[[0, -1]], PLAN.floor.interior_m).any()


def test_entrants_enter_and_the_others_do_not() -> None:
    for person in crowd():
        assert inside(person).any() == (person.kind in (*ENTRANTS, PersonKind.STAFF))
        assert (person.purchase_s is not None) == (person.kind is PersonKind.BUYER)


def test_buyers_pay_at_the_till() -> None:
    till = next(zone for zone in PLAN.site.zones if zone.id == "till")
    buyers = [person for person in crowd() if person.purchase_s is not None]
    assert len(buyers) > 20
    assert all(in_polygon(buyer.at(np.array([buyer.purchase_s])), till.polygon_m).all() for buyer in buyers)


def test_shares_are_kept() -> None:
    kinds = [person.kind for person in crowd(4000, shares=Shares(entrant=0.4))][:-2]
    entrants = [kind for kind in kinds if kind in ENTRANTS]
    assert len(entrants) / len(kinds) == pytest.approx(0.4, abs=0.03)
    assert entrants.count(PersonKind.BUYER) / len(entrants) == pytest.approx(0.4, abs=0.05)


def test_arrivals_follow_the_hour_of_day() -> None:
    arrivals_h = 10 + np.array([person.times_s[0] for person in crowd(4000)][:-2]) / 3600
    late, early = ((low <= arrivals_h) & (arrivals_h < low + 1) for low in (16, 10))
    # Weights 86..100..92 at the afternoon peak against 52..66..84 in the morning.
    assert late.sum() / early.sum() == pytest.approx(1.55, abs=0.3)


def test_dwell_is_long_tailed() -> None:
    dwell_s = np.array([inside(person).sum() * 0.5 for person in crowd(2000) if person.kind is PersonKind.BROWSER])
    assert 400 < np.median(dwell_s) < 600
    assert dwell_s.mean() > 1.1 * np.median(dwell_s)


def test_same_seed_same_people_whatever_the_probes() -> None:
    other = build_plan(default_site(5))
    first, second = (
        people(plan, count=50, staff=1, start_hour=10.0, duration_s=DURATION_S, shares=Shares(), seed=9)
        for plan in (PLAN, other)
    )
    assert all(np.array_equal(a.xy_m, b.xy_m) and a.kind == b.kind for a, b in zip(first, second, strict=True))


def test_too_short_a_simulation_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--hours: a visit of \d+ min does not fit into 2 min; simulate longer"):
        crowd(hours=1 / 30)


def test_standing_people_keep_looking_where_they_walked() -> None:
    knots = np.array([(0.0, 0.0), (0.0, 2.0), (0.0, 2.0), (3.0, 2.0)])
    person = Person(kind=PersonKind.BROWSER, times_s=np.array([0.0, 2.0, 10.0, 13.0]), xy_m=knots)
    heading = person.heading_rad(np.array([1.0, 5.0, 11.0]))
    assert heading == pytest.approx([np.pi / 2, np.pi / 2, 0.0])
