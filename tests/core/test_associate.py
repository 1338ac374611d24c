"""Association: equal to its slow twin, blind to what must not matter, bounded whatever the air sends."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hostkit.core.associate import BURST, NEVER_HEARD, NEW_ADDRESS, NEW_TRACK, Columns, Tracker
from hostkit.core.wire import SIGHTING, Flag
from tests.oracles_associate import Rules, SlowTracker

RULES = Rules()
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
CLASSES = 6
Row = tuple[int, ...]


def tracker(probes: int = 4, rules: Rules = RULES) -> Tracker:
    return Tracker(probes, **dataclasses.asdict(rules))


def crowd(
    seed: int, *, phones: int = 30, bursts: int = 20, probes: int = 4, classes: int = CLASSES
) -> NDArray[np.void]:
    """Phones of a few models that change address every few bursts; every burst is heard by some of the probes."""
    rng = np.random.default_rng(seed)
    rows = []
    for phone in range(phones):
        fingerprint = int(phone % classes)
        level_dbm = rng.uniform(-85, -45, probes)
        time_us, key = START_US + int(rng.integers(60 * SECOND_US)), int(rng.integers(1 << 63))
        randomised = Flag.RANDOMISED if rng.random() < 0.8 else Flag(0)
        for _ in range(bursts):
            time_us += int(rng.exponential(50 * SECOND_US))
            if randomised and rng.random() < 0.3:
                key = int(rng.integers(1 << 63))
            variant = fingerprint + 1000 * int(rng.random() < 0.05)
            for _ in range(int(rng.integers(1, 4))):
                time_us += int(rng.integers(100_000))
                for probe in np.flatnonzero(rng.random(probes) < 0.7).tolist():
                    rssi = int(np.clip(level_dbm[probe] + rng.normal(0, 4), -100, -10))
                    rows.append((time_us, key, variant, 0, 0, probe, rssi, 0, 6, randomised))
    return in_order(np.array(rows, SIGHTING))


def in_order(rows: NDArray[np.void]) -> NDArray[np.void]:
    return rows[np.argsort(rows["time_us"], kind="stable")]


def run(it: Tracker | SlowTracker, *parts: NDArray[np.void]) -> Columns:
    return joined([*(it.feed(part) for part in parts), it.advance(after(*parts))])


def after(*parts: NDArray[np.void]) -> int:
    """A time at which every burst of `parts` is over."""
    return max((int(part["time_us"].max()) for part in parts if len(part)), default=0) + 60 * SECOND_US


def joined(columns: list[Columns]) -> Columns:
    bursts, rssi, heard = (np.concatenate(column) for column in zip(*columns, strict=True))
    return bursts, rssi, heard


def assert_equal(one: Columns, other: Columns) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def sighting(time_s: float, key: int, *, fingerprint: int = 1, probe: int = 0, rssi: int = -60, flags: int = 1) -> Row:
    return round(time_s * 1e6), key, fingerprint, 0, 0, probe, rssi, 0, 6, flags


def rows_of(*sightings: Row) -> NDArray[np.void]:
    return np.array(list(sightings), SIGHTING)


# ---- the slow twin ----


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        Rules(max_addresses=40, max_fingerprints=3, max_variants=2, max_candidates=2, burst_max_s=0.1),
        Rules(
            burst_gap_s=5.0,
            tau_s=60.0,
            horizon_s=90.0,
            link_scale_db=2.0,
            background_scale_db=6.0,
            independence=1.0,
            change_s=20.0,
            birth_s=90.0,
            birth_weight=5.0,
            follow=0.8,
            trust_local_bit=False,
        ),
    ],
    ids=["usual", "tight", "other"],
)
def test_equals_the_slow_twin(seed: int, rules: Rules) -> None:
    rows = crowd(seed)
    rng = np.random.default_rng(seed)
    rows["time_us"] += rng.choice([0, 0, 0, -2 * SECOND_US], len(rows))  # some come late
    fast, slow = tracker(rules=rules), SlowTracker(4, rules)
    assert_equal(run(fast, rows), run(slow, rows))
    for counter in ("late", "dropped", "unclassed", "refused", "crowded"):
        assert getattr(fast, counter) == getattr(slow, counter), counter
    assert fast.late > 0
    table = fast.track_table()
    assert [tuple(row) for row in table.tolist()] == [(t.first_us, t.last_us, t.scans, t.hours) for t in slow.tracks]


def test_the_twin_was_tried_on_every_rule() -> None:
    """The comparison above means something: every bound was reached and both ways of a new address were taken."""
    fast = tracker(rules=Rules(max_addresses=40, max_fingerprints=3, max_variants=2, max_candidates=2))
    bursts, _, _ = run(fast, crowd(0))
    assert min(fast.dropped, fast.unclassed, fast.refused, fast.crowded) > 0
    status = set(bursts["status"].tolist())
    assert status == {0, NEW_ADDRESS, NEW_ADDRESS | NEW_TRACK}


small = st.lists(
    st.tuples(
        st.integers(0, 40_000_000),
        st.integers(0, 5),
        st.integers(0, 3),
        st.integers(0, 1),
        st.integers(-128, 127),
        st.integers(0, 31),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(small, st.integers(0, 40))
def test_equals_the_slow_twin_on_any_rows_however_cut(frames: list[tuple[int, ...]], cut: int) -> None:
    rules = Rules(max_addresses=5, max_fingerprints=3, max_variants=2)
    rows = rows_of(
        *(sighting(t / 1e6, k, fingerprint=f, probe=p, rssi=r, flags=flags) for t, k, f, p, r, flags in frames)
    )
    fast = run(tracker(2, rules), rows[:cut], rows[cut:])
    assert_equal(fast, run(SlowTracker(2, rules), rows))
    assert not np.isinf(fast[1]).any()
    assert (np.isnan(fast[1]) == (fast[2] == 0)).all()


# ---- what must not matter ----


@pytest.mark.parametrize("seed", range(3))
def test_chunked_equals_whole_whatever_the_schedule(seed: int) -> None:
    rows = crowd(seed)
    rng = np.random.default_rng(seed)
    it, parts = tracker(), []
    for part in np.split(rows, np.sort(rng.integers(0, len(rows), 200))):
        parts.append(it.feed(part))
        if len(part) and rng.random() < 0.5:
            parts.append(it.advance(int(part["time_us"][-1])))
    assert_equal(joined([*parts, it.advance(after(rows))]), run(tracker(), rows))


@pytest.mark.parametrize("shift_s", [-86_400 * 365, 0.123456, 3600 * 7, 86_400 * 365 * 20])
def test_time_shift_changes_nothing(shift_s: float) -> None:
    rows = crowd(4)
    bursts, rssi, heard = run(tracker(), rows)
    moved = rows.copy()
    moved["time_us"] += int(shift_s * 1e6)
    shifted, shifted_rssi, shifted_heard = run(tracker(), moved)
    shifted["first_us"] -= int(shift_s * 1e6)
    shifted["last_us"] -= int(shift_s * 1e6)
    assert_equal((shifted, shifted_rssi, shifted_heard), (bursts, rssi, heard))


@pytest.mark.parametrize("seed", range(3))
def test_new_keys_change_nothing(seed: int) -> None:
    rows = crowd(seed)
    keys, index = np.unique(rows["device_key"], return_inverse=True)
    fresh = np.random.default_rng(99 + seed).choice(1 << 62, len(keys), replace=False).astype(np.uint64)
    again = rows.copy()
    again["device_key"] = fresh[index]
    assert_equal(run(tracker(), again), run(tracker(), rows))


def test_new_fingerprints_of_the_same_structure_change_nothing() -> None:
    rows = crowd(5)
    again = rows.copy()
    again["fingerprint"] = rows["fingerprint"] * np.uint32(2654435761) + np.uint32(17)
    assert_equal(run(tracker(), again), run(tracker(), rows))


def tracks_by_key(rows: NDArray[np.void]) -> dict[tuple[int, int], set[int]]:
    """The tracks of `rows`, each as the set of bursts' first times: what does not depend on numbering."""
    bursts, _, _ = run(tracker(), rows)
    found: dict[int, set[int]] = {}
    for row in bursts:
        found.setdefault(int(row["track"]), set()).add(int(row["first_us"]))
    return {(min(times), len(times)): times for times in found.values()}


def test_the_track_of_each_address_can_be_asked() -> None:
    rows, it = crowd(1), tracker()
    bursts, _, _ = run(it, rows)
    keys = np.unique(rows["device_key"])
    found = it.tracks_of(keys)
    assert set(found.tolist()) == set(bursts["track"].tolist())
    for track in np.unique(found):
        mine = rows[np.isin(rows["device_key"], keys[found == track])]
        assert set(bursts["first_us"][bursts["track"] == track]) <= set(mine["time_us"])
    unheard = np.array([keys.max() + np.uint64(1)])
    assert it.tracks_of(unheard).tolist() == [NEVER_HEARD]
    it.feed(rows_of(sighting(rows["time_us"][-1] / 1e6 + 100, int(unheard[0]))))
    assert it.tracks_of(unheard).tolist() == [-1]


def test_an_unrelated_class_changes_no_other_track() -> None:
    rows, others = crowd(6), crowd(7)
    others["fingerprint"] += 50_000
    alone = tracks_by_key(rows)
    together = tracks_by_key(in_order(np.concatenate([rows, others])))
    missing = [times for times in alone.values() if times not in together.values()]
    assert alone
    assert not missing


def test_frames_heard_twice_change_no_track() -> None:
    rows = crowd(8)
    bursts, rssi, heard = run(tracker(), rows)
    twice, twice_rssi, twice_heard = run(tracker(), np.repeat(rows, 2))
    np.testing.assert_array_equal(twice_rssi, rssi)
    np.testing.assert_array_equal(twice_heard, 2 * heard)
    for name in ("first_us", "last_us", "track", "element_class", "flags", "status"):
        np.testing.assert_array_equal(twice[name], bursts[name])


def test_global_addresses_are_never_merged() -> None:
    rows = crowd(9, classes=1)
    rows["flags"] &= ~np.uint8(Flag.RANDOMISED)
    it = tracker()
    run(it, rows)
    assert it.tracks == it.addresses == len(np.unique(rows["device_key"]))
    assert it.randomised == 0


def test_addresses_of_one_phone_that_says_so_become_one_track() -> None:
    """The baseline that makes the tests above worth passing: same class, same level, one after the other."""
    rows = rows_of(*(sighting(30.0 * i, key=i + 1, probe=p, rssi=-60) for i in range(20) for p in range(4)))
    it = tracker()
    bursts, _, _ = run(it, rows)
    assert (it.tracks, it.addresses, len(bursts)) == (1, 20, 20)


# ---- order of time ----


def test_late_frames_are_counted_and_taken_as_of_the_latest_time() -> None:
    it = tracker()
    bursts, _, _ = run(it, rows_of(sighting(100, 1), sighting(90, 2), sighting(100, 3), sighting(99.9, 1)))
    assert it.late == 2
    assert (bursts["first_us"] == 100 * SECOND_US).all()
    assert bursts["frames"].tolist() == [1, 1, 2]


def test_advance_never_goes_back() -> None:
    it = tracker()
    it.advance(200 * SECOND_US)
    it.advance(100 * SECOND_US)
    it.feed(rows_of(sighting(150, 1)))
    assert it.late == 1


def test_a_burst_ends_by_a_gap_and_at_its_longest() -> None:
    gaps = rows_of(*(sighting(t, 1) for t in (0.0, 1.0, 2.0, 3.001)))
    assert run(tracker(), gaps)[0]["frames"].tolist() == [3, 1]
    endless = rows_of(*(sighting(0.5 * i, 1) for i in range(7200)))
    bursts, _, _ = run(tracker(), endless)
    assert (bursts["last_us"] - bursts["first_us"]).max() <= RULES.burst_max_s * 1e6
    assert bursts["frames"].sum() == 7200
    assert len(set(bursts["track"].tolist())) == 1


def test_hours_heard_in_are_counted_once_each() -> None:
    it = tracker()
    run(it, rows_of(*(sighting(600.0 * i, 1) for i in range(24))))
    assert it.track_table()["hours"].tolist() == [4]


# ---- wrong input ----


def test_a_probe_out_of_range_is_refused_before_anything_is_taken() -> None:
    it = tracker(2)
    with pytest.raises(ValueError, match="sighting 1 names probe 2 of 2"):
        it.feed(rows_of(sighting(1, 1), sighting(2, 2, probe=2)))
    assert it.addresses == 0
    assert_equal(run(it), run(tracker(2)))


@pytest.mark.parametrize("probes", [0, 65, -1])
def test_refuses_a_silly_number_of_probes(probes: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        Tracker(probes)


def test_empty_input_gives_empty_columns() -> None:
    bursts, rssi, heard = run(tracker(3), np.empty(0, SIGHTING))
    assert (bursts.dtype, rssi.shape, heard.shape) == (BURST, (0, 3), (0, 3))
    assert len(tracker().track_table()) == 0


# ---- hostile air ----


def flood(count: int, seed: int = 0, *, per_second: int = 1000) -> NDArray[np.void]:
    """Frames each with an address and a fingerprint never heard before."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, SIGHTING)
    rows["time_us"] = START_US + np.arange(count) * (SECOND_US // per_second)
    rows["device_key"] = rng.choice(1 << 62, count, replace=False)
    rows["fingerprint"] = rng.permutation(np.arange(count) * 37)
    rows["rssi_dbm"] = rng.integers(-95, -30, count)
    rows["flags"] = Flag.RANDOMISED
    return rows


def test_addresses_are_bounded_and_the_rest_counted() -> None:
    it = tracker(rules=Rules(max_addresses=1000))
    bursts, _, _ = run(it, flood(5000))
    assert (it.addresses, it.dropped, len(bursts)) == (1000, 4000, 1000)
    known = flood(5000)[:10]
    known["time_us"] += 100 * SECOND_US
    assert len(run(it, known)[0]) == 10  # those it knows it still hears


def test_tables_grow_over_many_powers_of_two() -> None:
    rows = flood(70_000)
    it = tracker()
    bursts, _, _ = run(it, rows)
    assert (it.addresses, it.dropped, it.late) == (70_000, 0, 0)
    assert (bursts["frames"] == 1).all()
    assert len(bursts) == 70_000
    rows["time_us"] += 100 * SECOND_US
    again, _, _ = run(it, rows)
    assert it.addresses == 70_000
    assert not again["status"].any()  # every address was found again
    np.testing.assert_array_equal(again["track"], bursts["track"])


def test_fingerprints_are_bounded_and_share_one_class_that_merges_with_none() -> None:
    it = tracker(rules=Rules(max_fingerprints=100))
    known, _, _ = run(it, flood(100))
    bursts, _, _ = run(it, flood(1000, 1))
    assert it.element_classes == 101
    assert it.unclassed >= 900
    assert (np.bincount(bursts["element_class"])[:100] <= 10).all()
    assert len(set(known["element_class"].tolist())) == 100


def test_one_address_with_every_element_set_merges_few() -> None:
    rows = flood(1000)
    hostile = rows.copy()
    hostile["device_key"] = 7
    hostile["time_us"] += 2_000 * SECOND_US
    it = tracker()
    run(it, rows, hostile)
    assert it.refused > 900
    assert it.element_classes == 1000 - (RULES.max_variants - 1)


def test_many_hostile_addresses_merge_no_more_into_one_class() -> None:
    """Each address bridges two classes: without a bound on the class, a chain would merge all of them."""
    rows = [sighting(i, 10_000 + i + 500 * side, fingerprint=i + side) for i in range(500) for side in (0, 1)]
    chain = in_order(rows_of(*rows))
    chain["device_key"] = np.repeat(np.arange(500), 2)
    it = tracker()
    bursts, _, _ = run(it, chain)
    assert it.element_classes >= 500 / RULES.max_variants
    assert it.refused > 0
    assert len(set(bursts["element_class"].tolist())) > 1


def test_variants_of_one_phone_are_merged() -> None:
    rows = rows_of(*(sighting(30.0 * i, key=1, fingerprint=i % 3) for i in range(9)))
    it = tracker()
    run(it, rows)
    assert (it.element_classes, it.refused) == (1, 0)


def test_candidates_are_bounded_and_counted() -> None:
    rows = flood(3000)
    rows["fingerprint"] = 1
    rows["flags"][:2000] = 0  # global addresses: a track each
    it = tracker(rules=Rules(max_candidates=500))
    run(it, rows)
    assert it.crowded > 0
    assert it.tracks >= 2000


def test_silent_tracks_are_forgotten_as_candidates() -> None:
    rows = rows_of(sighting(0, 1), sighting(700, 2), sighting(710, 3))
    it = tracker()
    bursts, _, _ = run(it, rows)
    assert bursts["track"].tolist() == [0, 1, 1]


MEASURE = """
import resource, sys
import numpy as np
from hostkit.core.associate import Tracker
from tests.core.test_associate import flood
kind, count = sys.argv[1], int(sys.argv[2])
rows = flood(1000)
it = Tracker(4)
it.feed(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for part in range(count // 10_000):
    rows = flood(10_000, part)
    rows["time_us"] += part * 20_000_000
    if kind == "fingerprints":
        rows["device_key"] = np.arange(len(rows)) % 50
        rows["fingerprint"] = np.arange(part * len(rows), (part + 1) * len(rows))
    elif kind == "addresses":
        rows["fingerprint"] = 1
    it.feed(rows)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown * 1024, it.addresses, it.tracks, it.element_classes, it.dropped, it.unclassed)
"""


def grown_bytes(kind: str, count: int) -> tuple[int, ...]:
    return tuple(int(word) for word in python(MEASURE, kind, str(count)).split())


def python(code: str, *arguments: str) -> str:
    """What a program prints that has a process of its own to fill."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def test_memory_is_bounded_by_addresses_and_flat_in_fingerprints() -> None:
    """Bytes per address of a flood; a million fingerprints cost no more than their bound."""
    used, addresses, _, _, _, _ = grown_bytes("addresses", 200_000)
    assert used / addresses < 300
    used, _, _, classes, _, unclassed = grown_bytes("fingerprints", 600_000)
    assert classes <= (1 << 16) + 1
    assert unclassed > 500_000
    assert used < 16 * 2**20


def test_memory_is_given_back_and_used_again() -> None:
    """Trackers come and go, bursts open and close: neither costs memory twice."""
    code = MEASURE.split("before =", maxsplit=1)[0]
    loops = {
        "trackers": "for _ in range(40):\n    Tracker(64).feed(flood(20_000))",
        "bursts": "for i in range(1, 3000):\n    rows['time_us'] += 5_000_000\n    it.feed(rows)",
    }
    for name, loop in loops.items():
        warm = loop.replace("40", "4", 1) if name == "trackers" else "it.feed(flood(20_000)[:1000])"
        grown = f"{code}\nkib = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n{warm}\nwas = kib()\n{loop}"
        out = python(grown + "\nprint(kib() - was)", "x", "1")
        assert int(out) < 8 * 1024, name
