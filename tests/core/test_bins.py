"""Counting bins: edges, ends, gaps, and who is left out. Numbers themselves: test_count.py."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.associate import BURST, REVISION
from hostkit.core.bins import BinCounter, CountBin
from tests.shop import NOON_S, heard, together

BIN_S = 600
NONE = np.empty(0, np.uint32)


def us(time_s: float) -> int:
    return round((NOON_S + time_s) * 1e6)


def counter(begin_s: float = 0.0, end_s: float = 86_400.0, *, rotated: bool = False) -> BinCounter:
    return BinCounter(
        bin_us=BIN_S * 1_000_000, begin_us=us(begin_s), end_us=us(end_s), rotated=rotated, probes_expected=4
    )


def bursts(*spans_s: tuple[int, float, float]) -> NDArray[np.void]:
    rows = np.zeros(len(spans_s), BURST)
    for row, (track, first_s, last_s) in zip(rows, spans_s, strict=True):
        row["track"], row["first_us"], row["last_us"], row["frames"] = track, us(first_s), us(last_s), 1
    return rows


def first_us(rows: NDArray[np.void]) -> NDArray[np.int64]:
    first = np.full(int(rows["track"].max(initial=0)) + 1, us(86_400.0))
    np.minimum.at(first, rows["track"], rows["first_us"])
    return first


def finished(rows: NDArray[np.void], *, end_s: float = 1800.0, fixed: NDArray[np.uint32] = NONE) -> list[CountBin]:
    it = counter()
    it.add_bursts(rows)
    return it.finish(us(end_s), first_us(rows), fixed)


def starts(bins: list[CountBin]) -> list[float]:
    return [b.start_s - NOON_S for b in bins]


def test_a_frame_on_the_edge_belongs_to_the_later_bin() -> None:
    it = counter()
    it.add_sightings(heard(1, [0.0, 599.999999, 600.0, 1199.0, 1200.0], levels_dbm=(-60,)))
    bins = it.finish(us(1300), np.empty(0, np.int64), NONE)
    assert [(b.start_s - NOON_S, b.end_s - NOON_S, b.frames) for b in bins] == [
        (0, 600, 2),
        (600, 1200, 2),
        (1200, 1800, 1),
    ]


def test_a_burst_belongs_to_the_bin_of_its_first_frame() -> None:
    bins = finished(bursts((0, 599.9, 605.0), (1, 600.0, 601.0)))
    assert starts(bins) == [0, 600]
    assert all((b.devices.value or 0) > 0 for b in bins)


def test_days_of_silence_make_no_empty_bins() -> None:
    it = counter(end_s=1e6)
    it.add_sightings(heard(1, [0.0, 3 * 86_400.0], levels_dbm=(-60,)))
    assert starts(it.finish(us(3 * 86_400 + 10), np.empty(0, np.int64), NONE)) == [0, 3 * 86_400]


def test_only_what_ended_is_closed_and_nothing_twice() -> None:
    it = counter()
    it.add_sightings(heard(1, [0.0, 700.0], levels_dbm=(-60,)))
    nobody = np.empty(0, np.int64)
    assert not it.due(us(599.999999))
    assert it.close(us(599.999999), nobody, NONE) == []
    assert it.due(us(600))
    assert starts(it.close(us(600), nobody, NONE)) == [0]
    assert it.close(us(600), nobody, NONE) == []
    it.add_sightings(heard(2, [10.0, 20.0], levels_dbm=(-60,)))  # too late for their bin
    bins = it.finish(us(800), nobody, NONE)
    assert [(b.start_s - NOON_S, b.frames, b.addresses) for b in bins] == [(600, 3, 2)]


def test_what_is_late_for_an_empty_bin_counts_in_the_open_one() -> None:
    it = counter()
    assert it.close(us(1200), np.empty(0, np.int64), NONE) == []
    late = bursts((0, 10.0, 11.0))
    it.add_bursts(late)
    (bin_,) = it.finish(us(1300), first_us(late), NONE)
    assert bin_.start_s - NOON_S == 1200
    assert (bin_.devices.value or 0) > 0


def test_coverage_is_what_was_listened_to_of_the_first_and_last_bin() -> None:
    it = counter(begin_s=150.0)
    it.add_sightings(heard(1, [150.0, 700.0, 1350.0], levels_dbm=(-60, None, -70)))
    shares = [b.coverage.listened_share for b in it.finish(us(1350), np.empty(0, np.int64), NONE)]
    assert shares == [0.75, 1.0, 0.25]
    it.add_sightings(heard(1, [1400.0], levels_dbm=(-60, None, -70)))
    (bin_,) = it.finish(us(1400), np.empty(0, np.int64), NONE)
    assert (bin_.coverage.probes_up, bin_.coverage.probes_expected) == (2, 4)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_life_of_the_key_cuts_its_bins(*, rotated: bool) -> None:
    it = counter(begin_s=200.0, end_s=1400.0, rotated=rotated)
    it.add_sightings(heard(1, [250.0, 700.0, 1300.0], levels_dbm=(-60,)))
    bins = it.finish(us(1400), np.empty(0, np.int64), NONE)
    assert [b.start_s - NOON_S for b in bins] == [200 if rotated else 0, 600, 1200]
    assert [b.end_s - NOON_S for b in bins] == [600, 1200, 1400]
    assert bins[0].coverage.listened_share == (1.0 if rotated else pytest.approx(400 / 600))
    assert bins[2].coverage.listened_share == 1.0


def test_fixed_tracks_are_left_out_of_devices_but_not_of_addresses() -> None:
    rows = bursts(*((track, 10.0 * i, 10.0 * i + 1) for i in range(30) for track in (0, 1)))
    both, one = finished(rows)[0], finished(rows, fixed=np.array([1], np.uint32))[0]
    alone = finished(rows[rows["track"] == 0])[0]
    assert one.devices == alone.devices
    assert (both.devices.value or 0) > 1.5 * (one.devices.value or 0)
    none = finished(rows, fixed=np.array([0, 1], np.uint32))[0]
    assert none.devices.value == 0.0


def test_parts_equal_the_whole_in_any_order() -> None:
    rng = np.random.default_rng(5)
    spans = [(int(rng.integers(20)), t, t + 1.0) for t in np.sort(rng.uniform(0, 3000, 300)).tolist()]
    rows, frames = bursts(*spans), together(*(heard(i % 7 + 1, [s[1]]) for i, s in enumerate(spans)))
    whole, parts = counter(), counter()
    whole.add_sightings(frames)
    whole.add_bursts(rows)
    for part in np.array_split(rng.permutation(rows), 40):
        parts.add_bursts(part)
    for part in np.array_split(frames, 40):
        parts.add_sightings(part)
    expected = whole.finish(us(3000), first_us(rows), NONE)
    assert parts.finish(us(3000), first_us(rows), NONE) == expected
    assert len(expected) == 5
    assert sum(b.frames for b in expected) == len(frames)


def test_one_who_was_there_before_is_there_from_the_start() -> None:
    """A track known from an earlier bin was present all the time up to its last frame: fewer unheard ones like it."""
    rows = bursts((0, 10.0, 11.0), (0, 1100.0, 1101.0), (1, 1100.0, 1101.0))
    known, fresh = finished(rows[:2])[-1], finished(rows[2:])[-1]
    assert (known.devices.value or 0) < (fresh.devices.value or 0)


def test_time_before_a_bin_is_no_presence_in_it() -> None:
    """One heard before and last 10 s into the bin was there for those 10 s, as one that came with its start."""
    before, with_it = bursts((0, 10.0, 11.0), (0, 610.0, 611.0)), bursts((0, 600.0, 600.5), (0, 610.0, 611.0))
    left = finished(before)[-1].devices.value
    both = finished(with_it)[-1].devices.value
    assert left is not None
    assert both is not None
    assert left < both < 1.5 * left  # the second has a burst more


def test_nothing_gives_nothing() -> None:
    it = counter()
    it.add_bursts(np.empty(0, BURST))
    it.add_sightings(heard(1, []))
    assert it.finish(us(0), np.empty(0, np.int64), NONE) == []


def test_two_halves_of_the_probes_check_each_other() -> None:
    rows = bursts(*((track, 10.0 + track, 11.0 + track) for track in range(12)))
    heard_by = np.zeros((12, 4), bool)
    heard_by[:8, 0], heard_by[4:, 3] = True, True  # 8 by the first half, 8 by the second, 4 by both
    it = counter()
    it.add_bursts(rows, None, heard_by)
    (bin_,) = it.finish(us(600), first_us(rows), NONE)
    assert bin_.check is not None
    assert bin_.check.value == pytest.approx(9 * 9 / 5 - 1)
    assert finished(rows, end_s=600.0)[0].check is None


def test_a_revision_makes_one_device_of_two_tracks_until_its_bin_is_counted() -> None:
    rows = bursts((0, 10.0, 11.0), (1, 300.0, 301.0), (2, 610.0, 611.0))
    rows["scan"] = [4, 7, 9]
    told = np.array([(7, 1, 5), (9, 2, 5), (7, 5, 0), (99, 3, 0)], REVISION)
    revised, left = counter(), counter()
    for it in (revised, left):
        it.add_bursts(rows.copy())
    revised.revise(told)
    first = np.full(6, us(0.0))
    ours, theirs = (it.finish(us(1200.0), first, NONE) for it in (revised, left))
    assert (ours[0].devices.value or 0) < 0.8 * (theirs[0].devices.value or 0)
    told_one, left_one = ours[1].devices.value, theirs[1].devices.value
    assert told_one == pytest.approx(left_one, rel=0.15), "one device, whatever its track is called"
