"""The whole chain: blind to keys and to how it is fed, right at the rotation, empty input, bounded memory."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.associate import Tracker
from hostkit.core.bins import CountBin
from hostkit.core.pipeline import FIXED_HOURS, Events, Pipeline, Totals
from hostkit.core.places import PlaceModel
from hostkit.core.visits import VisitCutter
from hostkit.core.wire import SIGHTING, Flag
from hostkit.model import EndReason, Estimate, Visit
from tests.shop import NOON_S, busy_shop, heard, shop, together

NOTHING = np.empty(0, SIGHTING)


def us(time_s: float) -> int:
    """A time after noon."""
    return round((NOON_S + time_s) * 1e6)


def run(it: Pipeline, steps: Iterable[tuple[NDArray[np.void], int | None]]) -> Events:
    """Feed and advance, then finish; everything that came out."""
    visits: list[Visit] = []
    bins: list[CountBin] = []
    for rows, now_us in steps:
        it.feed(rows)
        events = it.advance(now_us) if now_us is not None else Events(visits=(), bins=())
        visits += events.visits
        bins += events.bins
    last = it.finish()
    return Events(visits=(*visits, *last.visits), bins=(*bins, *last.bins))


def whole(rows: NDArray[np.void], it: Pipeline | None = None) -> Events:
    return run(it or Pipeline(shop()), [(rows, None)])


def unnumbered(visits: Iterable[Visit]) -> list[Visit]:
    """Visits without their ids, which number them in order of closing, in order of time."""
    return sorted((dataclasses.replace(v, visit_id="") for v in visits), key=lambda v: (v.start_s.hi, repr(v)))


def steps(rows: NDArray[np.void], seed: int, feeds: int) -> list[tuple[NDArray[np.void], int | None]]:
    """Cut rows anywhere; after half of the parts move time on, as far as is known then."""
    rng = np.random.default_rng(seed)
    parts = np.split(rows, np.sort(rng.integers(0, len(rows), feeds)))
    return [(part, int(part["time_us"][-1]) if len(part) and rng.random() < 0.5 else None) for part in parts]


# ---- what must not matter ----


@pytest.mark.parametrize("seed", range(4))
def test_results_do_not_depend_on_how_it_is_fed(seed: int) -> None:
    rows = busy_shop(seed)
    expected = whole(rows)
    chunked = run(Pipeline(shop()), steps(rows, seed, 150))
    assert unnumbered(chunked.visits) == unnumbered(expected.visits)
    assert chunked.bins == expected.bins
    assert len(expected.visits) > 25


@pytest.mark.parametrize("step_s", [1.0, 7.0, 600.0])
def test_a_burst_that_goes_on_over_the_timeout_belongs_to_its_visit(step_s: float) -> None:
    """The last frames before the timeout start a burst that is still open when the timeout is over."""
    rows = heard(1, [0.0, *(1199.0 + 0.5 * np.arange(16))])
    parts = [
        (rows[(rows["time_us"] >= us(t)) & (rows["time_us"] < us(t + step_s))], us(t + step_s))
        for t in np.arange(0, 3000, step_s).tolist()
    ]
    assert len(run(Pipeline(shop()), parts).visits) == 1


@pytest.mark.parametrize("seed", range(3))
def test_new_keys_change_nothing(seed: int) -> None:
    rows = busy_shop(seed)
    keys, index = np.unique(rows["device_key"], return_inverse=True)
    again = rows.copy()
    again["device_key"] = np.random.default_rng(seed + 50).permutation(len(keys)).astype(np.uint64)[index] + np.uint64(
        1
    )
    assert whole(again) == whole(rows)


def test_frames_at_the_same_instant_keep_their_order_whatever_their_keys() -> None:
    """Ties in time must not be broken by the key: then the result would depend on the key of the day."""
    rows = together(*(heard(key, [0.0, 40.0], fingerprint=9, flags=Flag.RANDOMISED) for key in (5, 3, 8, 1)))
    rows["rssi_dbm"] = np.tile([-40, -50, -80, -45, -90, -60, -42, -55], len(rows) // 8 + 1)[: len(rows)]
    again = rows.copy()
    again["device_key"] = 100 - rows["device_key"]
    assert whole(again) == whole(rows)


def test_rows_of_one_call_are_put_in_order_of_time() -> None:
    rows = busy_shop(3)
    rows["time_us"] += np.arange(len(rows))  # no ties
    it = Pipeline(shop())
    assert whole(np.random.default_rng(1).permutation(rows), it) == whole(rows)
    assert it.totals().late == 0


def test_time_shift_by_a_week_changes_only_times() -> None:
    rows = busy_shop(5)
    moved = rows.copy()
    moved["time_us"] += 7 * 86_400 * 1_000_000
    now, then = whole(rows), whole(moved)
    assert [v.dwell_s.lo for v in now.visits] == pytest.approx([v.dwell_s.lo for v in then.visits], abs=1e-5)
    assert [v.zones == () for v in now.visits] == [v.zones == () for v in then.visits]
    assert [b.devices for b in now.bins] == [b.devices for b in then.bins]


# ---- little or nothing ----


def numbers(it: Estimate) -> list[float]:
    assert it.value is not None
    assert it.low is not None
    assert it.high is not None
    return [it.low, it.value, it.high]


def test_nothing_in_nothing_out() -> None:
    it = Pipeline(shop())
    it.feed(NOTHING)
    assert it.advance(us(0)) == Events(visits=(), bins=())
    assert it.finish() == Events(visits=(), bins=())
    totals = it.totals()
    assert (totals.frames, totals.addresses, totals.randomised_share, totals.fixed) == (0, 0, None, 0)
    assert numbers(totals.devices)[:2] == [0.0, 0.0]


def test_advance_without_feed_moves_nothing() -> None:
    it = Pipeline(shop())
    for day in range(3):
        assert it.advance(us(86_400 * day)) == Events(visits=(), bins=())
    assert it.finish() == Events(visits=(), bins=())


@pytest.mark.parametrize("probes", [1, 4])
def test_one_frame_is_a_visit_a_bin_and_a_device(probes: int) -> None:
    it = Pipeline(shop(probes))
    events = run(it, [(heard(1, [5.0], levels_dbm=(-50.0,)), None)])
    assert [(v.bursts, v.dwell_s.lo, v.end_reason) for v in events.visits] == [(1, 0.0, EndReason.FLUSH)]
    assert [(b.start_s, b.frames, b.addresses) for b in events.bins] == [(NOON_S, 1, 1)]
    low, value, high = numbers(it.totals().devices)
    assert 0 < low <= value <= high < math.inf
    assert it.totals().frames == 1


def test_it_can_be_fed_again_after_the_end() -> None:
    it = Pipeline(shop())
    first = whole(heard(1, [0.0, 60.0]), it)
    second = whole(heard(1, [4000.0, 4060.0]), it)
    assert len({v.visit_id for v in (*first.visits, *second.visits)}) == 2
    assert it.totals().frames == 16


# ---- the rotation of the key ----


@pytest.mark.parametrize("time_zone", ["Europe/Prague", "Asia/Shanghai", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_rotation_ends_visits_tracks_and_bins(time_zone: str) -> None:
    four = datetime(2024, 1, 2, 4, tzinfo=ZoneInfo(time_zone)).astimezone(UTC).timestamp() - NOON_S
    rows = heard(7, [four - 601, four - 301, four - 0.2, four + 0.2, four + 301])
    it = Pipeline(shop(time_zone=time_zone))
    events = run(it, [(rows, None)])
    assert [(v.bursts, v.end_reason) for v in events.visits] == [(3, EndReason.ROTATION), (2, EndReason.FLUSH)]
    assert not events.visits[1].reentry
    assert it.totals().addresses == 2  # nobody knows that it is the same
    assert sum(b.frames for b in events.bins) == len(rows)


def test_a_bin_that_the_rotation_falls_into_is_given_in_two_parts() -> None:
    """04:00 in Kathmandu is 22:15 UTC: a bin of ten minutes since 22:10 has five before and five after."""
    four = datetime(2024, 1, 2, 4, tzinfo=ZoneInfo("Asia/Kathmandu")).astimezone(UTC).timestamp()
    rows = heard(7, np.arange(four - 1200, four + 1200, 30.0) - NOON_S)
    bins = whole(rows, Pipeline(shop(time_zone="Asia/Kathmandu"))).bins
    at = [(b.start_s - four, b.end_s - four) for b in bins]
    assert at == [(-1500, -900), (-900, -300), (-300, 0), (0, 300), (300, 900), (900, 1500)]
    assert [b.frames for b in bins] == [40, 80, 40, 40, 80, 40]
    assert [b.coverage.listened_share for b in bins[1:5]] == [1.0] * 4


def test_silence_over_the_rotation_ends_visits_by_silence() -> None:
    four_us = round(datetime(2024, 1, 2, 4, tzinfo=ZoneInfo("Europe/Prague")).timestamp() * 1e6)
    events = run(Pipeline(shop()), [(heard(1, [0.0, 60.0]), four_us + 1)])
    assert [v.end_reason for v in events.visits] == [EndReason.SILENCE]


def test_visit_ids_are_unique_and_carry_the_prefix() -> None:
    ids = [v.visit_id for v in whole(busy_shop(1), Pipeline(shop(), visit_prefix="run7-")).visits]
    assert len(set(ids)) == len(ids)
    assert all(id_.startswith("run7-") for id_ in ids)


# ---- fixed devices ----


def steady(key: int, hours: float, *, every_s: float = 60.0) -> NDArray[np.void]:
    return heard(key, np.arange(0, hours * 3600, every_s))


def test_devices_named_as_fixed_are_set_apart() -> None:
    it = Pipeline(shop(), fixed_keys=np.array([99], np.uint64))
    events = whole(together(steady(99, 1), heard(1, [10.0, 90.0])), it)
    assert len(events.visits) == 1
    totals = it.totals()
    assert (totals.fixed, totals.addresses, totals.frames) == (1, 2, 248)
    alone = Pipeline(shop())
    whole(heard(1, [10.0, 90.0]), alone)
    assert events.bins[0].addresses == 2


@pytest.mark.parametrize("feeds", [1, 400])
def test_what_is_always_there_is_furniture_not_a_visitor(feeds: int) -> None:
    """Known as fixed once it was heard for FIXED_HOURS: no visit of it comes out, at the end neither."""
    rows = together(steady(99, FIXED_HOURS + 2.6), heard(1, [9000.0, 9060.0, 30_000.0]))
    it = Pipeline(shop())
    events = run(it, steps(rows, 1, feeds))
    assert it.totals().fixed == 1
    assert sorted(v.bursts for v in events.visits) == [1, 2]


def test_furniture_with_pauses_is_no_visitor_once_it_is_known() -> None:
    """Pauses over the timeout close visits: those after it was found out must not come out."""
    rows = steady(99, 10, every_s=1500.0)
    found_out_s = (FIXED_HOURS + 1) * 3600
    events = run(Pipeline(shop()), [(row[None], int(row["time_us"])) for row in rows])
    late = [v for v in events.visits if v.start_s.hi - NOON_S > found_out_s]
    assert not late


def test_furniture_is_looked_for_once_more_at_the_end() -> None:
    """The hour that makes it one was looked at when it began, and is not over."""
    rows = steady(99, FIXED_HOURS + 0.5)
    early = rows["time_us"] < us(FIXED_HOURS * 3600 + 30)
    it = Pipeline(shop())
    assert run(it, [(rows[early], None), (rows[~early], None)]).visits == ()
    assert it.totals().fixed == 1


def test_a_long_visit_is_no_furniture() -> None:
    it = Pipeline(shop())
    events = whole(steady(5, FIXED_HOURS - 1.5), it)
    assert it.totals().fixed == 0
    assert len(events.visits) == 1


def test_one_who_comes_morning_and_evening_is_no_furniture() -> None:
    rows = together(steady(5, 2), heard(5, np.arange(6.0 * 3600, 8.0 * 3600, 60.0)))
    it = Pipeline(shop())
    assert len(whole(rows, it).visits) == 2
    assert it.totals().fixed == 0


# ---- late, many, hostile ----


def test_late_frames_are_counted_and_give_no_bin_twice() -> None:
    it = Pipeline(shop())
    rows = heard(1, [10.0, 1300.0])
    late = heard(2, [20.0])
    events = run(it, [(rows, us(1300.0)), (late, us(1400.0)), (heard(3, [1900.0]), us(3000.0))])
    starts = [b.start_s for b in events.bins]
    assert starts == sorted(set(starts))
    assert sum(b.frames for b in events.bins) == 16
    assert it.totals().late == 4


def test_a_burst_without_pause_gives_no_bin_twice() -> None:
    rows = heard(1, np.arange(500.0, 2000.0, 0.5))
    events = run(Pipeline(shop()), [(part, int(part["time_us"][-1])) for part in np.array_split(rows, 100)])
    starts = [b.start_s for b in events.bins]
    assert starts == [NOON_S, NOON_S + 600, NOON_S + 1200, NOON_S + 1800]
    assert all(value > 0 for b in events.bins for value in numbers(b.devices))
    assert len(events.visits) == 1


def test_dwell_of_one_device_adds_up_to_no_more_than_its_span() -> None:
    rows = heard(1, np.cumsum(np.random.default_rng(2).exponential(800.0, 20)))
    events = whole(rows)
    span_s = (rows["time_us"][-1] - rows["time_us"][0]) / 1e6
    assert sum(v.dwell_s.lo for v in events.visits) <= span_s
    assert len(events.visits) > 3
    ordered = unnumbered(events.visits)
    assert all(a.end_s.lo < b.start_s.hi for a, b in pairwise(ordered))


MEASURE = """
import resource
import numpy as np
from hostkit.core.pipeline import Pipeline
from tests.shop import NOON_S, shop
from hostkit.core.wire import SIGHTING
it = Pipeline(shop())
rng = np.random.default_rng(0)
rows = np.zeros(10_000, SIGHTING)
used = []
for part in range(100):
    rows["time_us"] = NOON_S * 1_000_000 + part * 300_000_000 + np.sort(rng.integers(0, 300_000_000, len(rows)))
    rows["device_key"] = part // 4 * 500 + rng.integers(0, 1000, len(rows))
    rows["fingerprint"] = rows["device_key"] % 50
    rows["probe"] = rng.integers(0, 4, len(rows))
    rows["rssi_dbm"] = rng.integers(-90, -40, len(rows))
    it.feed(rows)
    it.advance(int(rows["time_us"][-1]))
    used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(used[20], used[-1], it.totals().frames)
"""


def test_memory_stays_flat_over_a_million_sightings() -> None:
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", MEASURE], cwd=root, capture_output=True, text=True, check=True).stdout
    early_mb, end_mb, frames = (int(word) for word in out.split())
    assert frames == 1_000_000
    assert end_mb - early_mb < 24


def test_bursts_of_open_visits_are_bounded_and_the_rest_counted() -> None:
    """Phones that never pause would fill the memory until the rotation."""
    places = PlaceModel(shop())
    cutter = VisitCutter(shop(), places, "v", max_bursts=50)
    tracker = Tracker(4)
    rows = places.rows(*tracker.feed(steady(1, 2)))
    for part in np.array_split(rows, 30):
        cutter.add(part)
    assert cutter.dropped == len(rows) - 50
    (visit,) = cutter.flush(EndReason.FLUSH)
    assert visit.bursts == 50
    cutter.add(rows[:50])
    assert cutter.dropped == len(rows) - 50


def test_totals_hold_together() -> None:
    rows = busy_shop(2)
    it = Pipeline(shop())
    events = whole(rows, it)
    totals: Totals = it.totals()
    assert totals.frames == len(rows) == sum(b.frames for b in events.bins)
    assert totals.addresses == len(np.unique(rows["device_key"]))
    randomised = rows["device_key"][rows["flags"] & Flag.RANDOMISED != 0]
    assert totals.randomised_share == pytest.approx(len(np.unique(randomised)) / totals.addresses)
    assert (totals.dropped, totals.late, totals.fixed) == (0, 0, 0)
    low, value, high = numbers(totals.devices)
    assert 0 < low <= value <= high < totals.addresses * 3


def test_what_registered_tags_sent_counts_nobody_over_either_radio() -> None:
    """In a shop whose probes hear BLE alone too, where BLE is the count."""
    ble_only = dataclasses.replace(shop(), probes=tuple(dataclasses.replace(p, channels=()) for p in shop().probes))
    times = np.arange(0.0, 7200.0, 20.0)
    people = [busy_shop(3), heard(7, times[:60], flags=Flag.BLE)]
    staff = [heard(8, times, flags=Flag.BLE | Flag.REGISTERED), heard(9, times, flags=Flag.REGISTERED)]
    for site in (shop(), ble_only):
        assert whole(together(*people, *staff), Pipeline(site)) == whole(together(*people), Pipeline(site))
