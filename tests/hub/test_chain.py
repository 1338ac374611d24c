"""The chain: the same entries give the same visits; the journal opens for its key only; late frames are counted."""

import numpy as np
import pytest

from hostkit.core.wire import SIGHTING
from hostkit.errors import StorageError
from hostkit.hub.chain import LATE_US, STEP_US, Chain, Entry, Heard, Step
from hostkit.hub.seal import Seal
from hostkit.model import Probe, Site, Visit

SITE = Site(tenant="t", site="s", time_zone="Europe/Berlin", probes=(Probe(id="a"), Probe(id="b")))
START_US = 1_741_078_800_000_000  # 10:00 local
KEY = bytes(range(16))


def heard(from_s: float, to_s: float, *times_s: float, probe: int = 0, key: int = 1) -> Heard:
    rows = np.zeros(len(times_s), SIGHTING)
    rows["time_us"] = START_US + (np.array(times_s) * 1e6).astype(np.int64)
    rows["device_key"], rows["probe"], rows["rssi_dbm"], rows["channel"] = key, probe, -50, 6
    return Heard(probe, START_US + round(from_s * 1e6), START_US + round(to_s * 1e6), 1000, rows.tobytes())


def crowd() -> list[Entry]:
    """Two hours of twenty phones, 10 s batches of two probes, a step as soon as it may come."""
    random = np.random.default_rng(4)
    entries: list[Entry] = []
    stepped_us = START_US
    for batch in range(720):
        for probe in (0, 1):
            times = np.sort(random.uniform(batch * 10, batch * 10 + 10, 3))
            key = int(random.integers(20)) + 1 + batch // 100 * 100
            entries.append(heard(batch * 10, batch * 10 + 10, *times.tolist(), probe=probe, key=key))
        while stepped_us + STEP_US <= START_US + batch * 10_000_000:
            stepped_us += STEP_US
            entries.append(Step(until_us=stepped_us))
    return entries


def taken(chain: Chain, entries: list[Entry]) -> list[Visit]:
    visits: list[Visit] = []
    for entry in entries:
        if isinstance(entry, Heard):
            chain.take(entry)
        else:
            visits += chain.step(entry)
    return visits


def test_entries_taken_again_through_the_seal_give_the_same_visits() -> None:
    seal = Seal(KEY, "life")
    entries = crowd()
    whole = Chain(SITE)
    expected = taken(whole, entries) + list(whole.finish())
    assert len(expected) > 50
    for cut in (1, 700, 1500):
        again = Chain(SITE)
        visits = taken(again, seal.open(seal.seal(entries[:cut])))
        assert again.made == len(visits)
        visits += taken(again, entries[cut:]) + list(again.finish())
        assert visits == expected


def test_the_seal_opens_for_its_key_and_life_only() -> None:
    sealed = Seal(KEY, "life").seal([Step(until_us=1)])
    assert Seal(KEY, "life").open(sealed) == [Step(until_us=1)]
    others = (Seal(KEY, "another"), Seal(bytes(16), "life"))
    for other in others:
        with pytest.raises(StorageError, match="cannot be opened"):
            other.open(sealed)
    for damaged in (sealed[:-1], sealed[:5], b"", bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(StorageError):
            Seal(KEY, "life").open(damaged)


def test_tags_stand_for_device_keys_and_are_none() -> None:
    keys = np.array([1, 2, 1, 2**64 - 1], np.uint64)
    tags = Seal(KEY, "life").tags(keys)
    assert tags[0] == tags[2]
    assert len(set(tags.tolist())) == 3
    assert not np.isin(tags, keys).any()
    assert (Seal(KEY, "other life").tags(keys) == tags).all()
    assert (Seal(bytes(16), "life").tags(keys) != tags).all()


def test_visit_ids_are_the_lifes_own_and_in_no_order() -> None:
    seal = Seal(KEY, "life")
    ids = [seal.visit_id(number) for number in range(200)]
    assert len(set(ids)) == 200
    assert ids != sorted(ids)
    assert seal.visit_id(7) == Seal(KEY, "life").visit_id(7) != Seal(KEY, "next").visit_id(7)


def test_frames_behind_their_step_are_dropped_and_counted() -> None:
    chain = Chain(SITE)
    chain.take(heard(0, 10, 5.0))
    chain.step(Step(until_us=START_US + 10 * STEP_US))
    edge_s = 300 - LATE_US / 1e6
    chain.take(heard(0, 300, edge_s - 0.001, edge_s, 299.0))
    assert (chain.too_late, chain.frames) == (1, 3)


def test_a_step_never_crosses_the_rotation_and_what_is_after_it_is_left_over() -> None:
    chain = Chain(SITE)
    to_rotation_s = 18 * 3600  # 04:00 local
    chain.take(heard(to_rotation_s - 100, to_rotation_s + 10, to_rotation_s - 50, to_rotation_s + 5))
    steps = []
    while (until_us := chain.next_step_us(START_US + 20 * 3600 * 1_000_000)) is not None:
        steps.append(Step(until_us=until_us))
        visits = chain.step(steps[-1])
        if chain.over:
            break
    assert chain.end_us == steps[-1].until_us == START_US + to_rotation_s * 1_000_000
    assert [visit.end_reason for visit in visits] == ["rotation"]
    (left,) = chain.left_over()
    assert np.frombuffer(left.rows, SIGHTING)["time_us"].tolist() == [START_US + (to_rotation_s + 5) * 1_000_000]
