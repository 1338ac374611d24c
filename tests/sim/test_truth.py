"""Truth worked out by hand for one person, and beside measured figures."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.kpi import Kpi
from hostkit.errors import InputError
from hostkit.model import Coverage, Estimate
from hostkit.sim.compare import compare, read_summary
from hostkit.sim.export import export
from hostkit.sim.people import Person, PersonKind
from hostkit.sim.plan import default_site
from hostkit.sim.till import sales
from hostkit.sim.truth import Summary, summarise, true_visits
from hostkit.sim.world import SimSettings, Simulation, simulate

SETTINGS = SimSettings(people=1, staff=0, hours=1.0, site=default_site(1), start=datetime(2025, 3, 4, 10, 0))
COVERAGE = Coverage(listened_share=1.0, probes_up=1, probes_expected=1, completeness=1.0)


def shopper(start_s: float, browse_s: float) -> Person:
    """Walk in through the middle of the door at 1 m/s, stay in `men` 6 m behind the front, walk out again."""
    knots = [(-10.0, 2.0), (15.5, 2.0), (15.5, 12.5), (15.5, 12.5), (15.5, 2.0), (36.0, 2.0)]
    times = np.cumsum([start_s, 25.5, 10.5, browse_s, 10.5, 20.5])
    return Person(kind=PersonKind.BROWSER, times_s=times, xy_m=np.array(knots))


def passer(start_s: float) -> Person:
    knots = np.array([(-10.0, 2.0), (36.0, 2.0)])
    return Person(kind=PersonKind.PASSERBY, times_s=np.array([start_s, start_s + 46.0]), xy_m=knots)


def world(*people: Person) -> Simulation:
    return replace(simulate(SETTINGS), people=people, phones=())


def summary(*people: Person) -> Summary:
    simulation = replace(world(*people), emissions=simulate(SETTINGS).emissions[:0])
    return summarise(simulation, true_visits(simulation), sales(simulation))


def test_one_shopper_by_hand() -> None:
    (visit,) = true_visits(world(shopper(100.0, 300.0)))
    assert visit.visit_class == "entrant"
    # Mapped from x = 0, inside from y = 6: 10 s and 29.5 s after the start.
    assert visit.near_s == pytest.approx((110.0, 100 + 25.5 + 10.5 + 300 + 10.5 + 10.5), abs=1.0)
    assert visit.inside_s == pytest.approx((129.5, 100 + 36 + 300 + 6.5), abs=1.0)
    stays = {stay.zone: stay for stay in visit.stays}
    assert set(stays) == {"street", "door", "men"}
    assert stays["men"].enter_s == pytest.approx(135.5, abs=1.0)  # y = 12
    assert stays["men"].leave_s == pytest.approx(436.5, abs=1.0)


def test_figures_of_two_shoppers_and_a_passer_by() -> None:
    truth = summary(shopper(100.0, 30.0), shopper(900.0, 1800.0), passer(50.0))
    assert truth.kpis["footfall"] == truth.kpis["visitors"] == 2
    assert truth.kpis["passersby"] == 1
    assert truth.kpis["capture_rate"] == pytest.approx(2 / 3)
    assert truth.kpis["dwell_mean"] == pytest.approx((43 + 1813) / 2, abs=1.0)
    assert truth.kpis["bounce_rate"] == 0.5
    assert truth.kpis["deep_visit_rate"] == 0.5
    assert truth.kpis["transactions"] == 0
    assert truth.kpis["atv"] is None
    assert truth.split["zone_visits"]["men"] == 2
    assert truth.split["zone_visits"]["women"] == 0
    assert truth.split["zone_dwell"]["women"] is None
    assert truth.split["zone_share"]["men"] > 0.9
    assert truth.split["arrivals_by_hour"] == {"10": 2}


def test_occupancy_is_the_mean_over_each_bin() -> None:
    bins = summary(shopper(900.0, 1800.0)).occupancy
    assert [each.people for each in bins] == pytest.approx([0, 270.5 / 600, 1, 1, 342.5 / 600, 0], abs=0.01)
    assert bins[1].start_s - bins[0].start_s == 600


def test_coming_back_within_the_reentry_time_is_one_visitor_twice_in_the_shop() -> None:
    first, again = shopper(0.0, 60.0), shopper(500.0, 60.0)
    later = shopper(2400.0, 60.0)
    person = Person(
        kind=PersonKind.BROWSER,
        times_s=np.concatenate([first.times_s, again.times_s, later.times_s]),
        xy_m=np.concatenate([first.xy_m, again.xy_m, later.xy_m]),
    )
    truth = summary(person)
    assert truth.kpis["footfall"] == 3
    assert truth.kpis["visitors"] == 2  # the third visit comes after more than 900 s


def test_staff_are_neither_visitors_nor_passers_by() -> None:
    truth = summary(replace(shopper(0.0, 3000.0), kind=PersonKind.STAFF), passer(10.0))
    assert truth.kpis["footfall"] == 0
    assert truth.kpis["dwell_mean"] is None
    assert truth.kpis["passersby"] == 1
    assert sum(each.people for each in truth.occupancy) == 0


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(value=value, low=low, high=high, method="test")


def test_compare_subtracts_and_tells_whether_the_interval_holds() -> None:
    truth = summary(shopper(100.0, 30.0), shopper(900.0, 1800.0), passer(50.0))
    measured = (
        Kpi(id="footfall", value=estimate(3.0, 2.0, 4.0), coverage=COVERAGE),
        Kpi(id="capture_rate", value=estimate(0.5, 0.45, 0.55), coverage=COVERAGE),
        Kpi(id="dwell_mean", value=estimate(None), coverage=COVERAGE),
        Kpi(id="zone_visits", of="men", value=estimate(1.0, 0.0, 1.5), coverage=COVERAGE),
        Kpi(id="arrivals_by_hour", of="11", value=estimate(2.0, 1.0, 3.0), coverage=COVERAGE),
        Kpi(id="store_score", value=estimate(80.0), coverage=COVERAGE),
    )
    rows = compare(measured, truth)
    assert [(row.id, row.of) for row in rows] == [(kpi.id, kpi.of) for kpi in measured[:-1]]
    assert [row.error for row in rows] == [0.5, pytest.approx(0.5 - 2 / 3), None, -0.5, 2.0]
    assert [row.relative for row in rows] == [True, False, True, True, False]
    assert [row.covered for row in rows] == [True, False, None, False, False]


def test_summary_reads_back_as_written(tmp_path: Path) -> None:
    written = export(simulate(SETTINGS), tmp_path / "shop")
    assert read_summary(tmp_path / "shop" / "truth" / "summary.json") == written.summary


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"kpis": []}', b"[" * 100_000])
def test_other_files_are_no_summary(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"summary\.json: no summary of a simulation.*; give truth/summary\.json"):
        read_summary(path)


def test_missing_summary_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: No such file"):
        read_summary(tmp_path / "none.json")
