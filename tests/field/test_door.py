"""A count at the door: what a crash costs, taps that come twice or late, and halves that are told from each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.reference import ReferenceCount, combine
from hostkit.errors import InputError
from hostkit.field.count import door_trial
from hostkit.field.door import Door, Tally, door, read_tally
from hostkit.field.trial import Trial
from hostkit.field.words import LANGUAGES, figure, say_check, say_note
from hostkit.hub.calibrate import DoorCount, devices_log_sd
from hostkit.io.calibrations import Before, CountRecord
from hostkit.model import PeoplePerDevice
from tests.field.shop import SITE

START_S = 1_773_442_800.0


class Clock:
    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def minutes(counting: Door, clock: Clock, *entered: int, devices: float = 0.0) -> None:
    """So many come in, a minute each; the hub says its total three minutes late."""
    for number, people in enumerate(entered):
        if people:
            assert counting.give("in", people)
        counting.total(clock.now_s - 180.0, devices + number)
        clock.now_s += 60.0
        counting.alive()


def test_a_crash_costs_what_the_hub_had_not_said_yet(tmp_path: Path, clock: Clock) -> None:
    site = tmp_path / "site.toml"
    with door(site, "hub", clock) as counting:
        counting.total(clock.now_s - 180.0, 100.0)
        minutes(counting, clock, *[2] * 10, devices=101.0)
        path = counting.path
    tally = read_tally(path)
    (part,), lost = tally.reached()
    assert (part.start_s, part.end_s) == (START_S, START_S + 6 * 60)  # the last total is of then
    assert (part.people, lost) == (12, 8)
    assert tally.devices(part) == pytest.approx(6.0)

    clock.now_s += 120.0  # two minutes later it goes on: the next totals tell of the end of the first run
    with door(site, "hub", clock) as counting:
        minutes(counting, clock, 1, 1, 0, 0, 0, 3, devices=112.0)
        (first, second), lost = counting.tally.reached()
        assert (first.people, second.people, lost) == (20, 2, 3)
        assert first.end_s == START_S + 600.0
        assert counting.tally.devices(first) == pytest.approx(9.0)
    clock.now_s += 3600.0  # an hour later they do not
    with door(site, "hub", clock) as counting:
        minutes(counting, clock, 5, 0, 0, 0, 0, devices=200.0)
        spans, lost = counting.tally.reached()
        assert [one.people for one in spans] == [20, 2, 5]
        assert lost == 3


def test_nothing_is_counted_twice_or_before_it_began(tmp_path: Path, clock: Clock) -> None:
    with door(tmp_path / "site.toml", "hub", clock) as counting:
        assert all(counting.give("in", number="a-1") for _ in range(3))
        assert counting.give("out", number="a-2", ago_s=1e9)
        assert counting.give("in", number="a-3", ago_s=-5.0)
        assert not counting.give("by", number="a-4")  # the hub says nothing of them
        assert not counting.give("dance")
        assert [one.at_s for one in counting.tally.spans[0].taps] == [START_S] * 3
        assert counting.give("undo", number="a-5")
        assert counting.give("undo", number="a-5")
        assert counting.line().values == ("1", "1", "0")
        assert counting.give("end")
        assert not counting.give("in")
        assert read_tally(counting.path).people("in") == 1


def test_what_is_left_of_a_line_is_cut_off_and_junk_is_named(tmp_path: Path, clock: Clock) -> None:
    site = tmp_path / "site.toml"
    with door(site, "capture", clock) as counting:
        counting.give("by", 3)
        path = counting.path
    kept = path.read_bytes()
    path.write_bytes(kept + b'{"type":"tap","at')
    with door(site, "capture", clock) as counting:
        assert counting.tally.people("by") == 3
        counting.give("in")
    assert [one.passed for one in read_tally(path).counted()] == [3, 0]
    for bad in (b"junk", b'{"type":"tap","at_s":1,"way":"up"}', b'{"type":"tap","at_s":1e99,"way":"in"}'):
        path.write_bytes(kept + bad + b"\n")
        with pytest.raises(InputError, match="line 3: is none that a session kept"):
            read_tally(path)
    path.write_bytes(kept.split(b"\n")[1] + b"\n")
    with pytest.raises(InputError, match="line 1: does not follow"):
        read_tally(path)


def test_another_day_and_another_source_are_not_mixed(tmp_path: Path, clock: Clock) -> None:
    site = tmp_path / "site.toml"
    with door(site, "capture", clock):  # nobody was counted: it is in nobody's way
        clock.now_s += 90_000.0
    with door(site, "hub", clock) as counting:
        counting.give("in")
    with pytest.raises(InputError, match="a count of another day or sort"), door(site, "capture", clock):
        pass
    clock.now_s += 90_000.0
    with pytest.raises(InputError, match=r"another day.*finish it with --from"), door(site, "hub", clock):
        pass


def test_who_comes_and_goes_is_inside_minute_by_minute(tmp_path: Path, clock: Clock) -> None:
    site = tmp_path / "site.toml"
    with door(site, "capture", clock, 4) as counting:
        for order, people in (("in", 3), ("out", 1), ("out", 9), ("in", 2)):
            counting.give(order, people)
            clock.now_s += 60.0
            counting.alive()
        assert [need.have for need in counting.needs()] == [0]
    found = read_tally(counting.path).inside()
    assert found.people == (7, 6, 0, 0)
    assert found.times_s == tuple(START_S + 60.0 * minute for minute in range(4))
    clock.now_s += 600.0
    with door(site, "capture", clock, 6) as counting:  # after a crash somebody says anew how many there are
        clock.now_s += 60.0
        counting.alive()
        assert counting.tally.inside().people == (7, 6, 0, 0, 6)
    with pytest.raises(InputError, match="another day or sort"), door(site, "capture", clock):
        pass


def test_people_are_drawn_minute_by_minute(tmp_path: Path, clock: Clock) -> None:
    with door(tmp_path / "site.toml", "capture", clock) as counting:
        assert counting.chart().series == ()
        for order, people in (("in", 3), ("out", 1), ("in", 2)):
            counting.give(order, people)
            clock.now_s += 60.0
        came, went = counting.chart().series
        assert (came.name.word, went.name.word) == ("in", "out")
        assert came.points == ((0, 0), (1, 3), (2, 3), (3, 5))
        assert went.points == ((0, 0), (1, 0), (2, 1), (3, 1))


def test_a_run_whose_clock_was_set_counts_for_nothing(tmp_path: Path, clock: Clock) -> None:
    with door(tmp_path / "site.toml", "hub", clock) as counting:
        counting.give("in", 9)
        counting.void()
        assert read_tally(counting.path).counted() == ()


# ---- the trial ----


def counted(rng: np.random.Generator, ratio: float, people: int, late_ratio: float | None = None) -> Trial:
    """So many people over half an hour; from the middle on `late_ratio` of them to a device."""
    times = START_S + np.sort(rng.uniform(0, 1800, people))
    had = rng.random(people) < 1 / np.where(times < START_S + 900, ratio, late_ratio or ratio)
    rows = tuple((time_s, 1.0, 0.0) for time_s in times.tolist())
    count = DoorCount(start_s=START_S, end_s=START_S + 1800, entered=people, passed=None, rows=rows)

    def devices(part: DoorCount) -> float:
        return float((had & (times >= part.start_s) & (times < part.end_s)).sum())

    return door_trial(SITE, (count,), devices, (), "x")


def test_a_fair_count_is_nearly_always_applied_and_a_broken_one_is_not() -> None:
    rng = np.random.default_rng(3)
    fair = [counted(rng, 1.6, 40) for _ in range(40)]
    assert np.mean([trial.improves for trial in fair]) >= 0.9
    broken = [counted(rng, 1.2, 120, late_ratio=12.0) for _ in range(20)]
    assert np.mean([trial.improves for trial in broken]) <= 0.1
    assert not any(trial.passed for trial in broken)
    assert all("halves_apart" in [note.word for note in trial.weak] for trial in broken)
    found = np.array([next(c.after for c in t.changes if c.key.endswith("median")) for t in fair])
    assert abs(np.median(found) - 1.6) < 0.25
    assert np.mean(np.abs(np.log(found / 1.6))) < 0.6 * np.log(1.6)  # a device a person is off by that


def test_counts_that_agree_pass_and_one_unlike_the_others_is_named() -> None:
    ratio = ReferenceCount(log_ratio=np.log(1.6), variance=1 / 40 + devices_log_sd(25.0) ** 2)
    before = Before(median=1.0, log_sd=0.15, reference_counts=0)
    one = CountRecord(
        id="count-1", kind="door", from_s=0, to_s=1, people=40, devices=25, source="hub", before=before,
        log_ratio=ratio.log_ratio, variance=ratio.variance,
    )  # fmt: skip
    odd = CountRecord(
        id="count-odd", kind="door", from_s=0, to_s=1, people=40, devices=4, source="hub", before=before,
        log_ratio=np.log(10.0), variance=0.05,
    )  # fmt: skip
    rows = tuple((START_S + 30.0 * number, 1.0, 0.0) for number in range(48))
    count = DoorCount(start_s=START_S, end_s=START_S + 1440, entered=48, passed=None, rows=rows)
    kappa = combine([ratio] * 5)
    told = PeoplePerDevice(median=kappa.median, log_sd=kappa.log_sd, reference_counts=5)
    trial = door_trial(replace(SITE, people_per_device=told), (count,), lambda part: part.people / 1.6, [one] * 5, "x")
    assert trial.passed
    assert trial.improves
    assert trial.weak == ()
    trial = door_trial(SITE, (count,), lambda part: part.people / 1.6, [one, one, one, odd], "x")
    assert [note.values for note in trial.weak] == [("count-odd", "10.00")]
    for language in LANGUAGES:
        assert "count-odd" in say_note(trial.weak[0], language)
        assert "1.5×" in say_check(trial.checks[0], language)
    assert figure(1e9, "factor") == ">99×"


def test_an_empty_tally_has_nothing() -> None:
    assert Tally().counted() == ()
    assert Tally().reached() == ((), 0)
