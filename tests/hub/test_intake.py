"""Batches each once and in order, whatever order and how often they come; clocks; refusals that are counted."""

from dataclasses import replace

import numpy as np
import pytest

from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import RECORD, SIGHTING, UNSYNCED, Batch, Listened, encode_batch
from hostkit.hub import clockcheck
from hostkit.hub.clockcheck import Agreement
from hostkit.hub.clockfit import BUCKET_US, MATURE_BUCKETS, ProbeClock
from hostkit.hub.intake import GAP_S, MAX_AGE_US, WINDOW, Held, Intake, Refused
from hostkit.hub.seal import Seal
from hostkit.io.mqtt import Arrived
from hostkit.io.osclock import OsClock
from hostkit.model import Probe, Provenance, Radio, Site

SITE = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="a"), Probe(id="b")))
NOW_US = 1_741_078_800_000_000
SEAL = Seal(bytes(16), "life")


def batch(seq: int = 1, *, boot: int = 1, probe: str = "a", base_time_us: int = NOW_US) -> Batch:
    records = np.zeros(2, RECORD)
    records["offset_us"], records["device_key"] = (0, 9_000_000), 77
    return Batch(
        provenance=Provenance.LIVE, probe=probe, key_id=1, boot=boot, seq=seq, element_table=FINGERPRINT_VERSION,
        base_time_us=base_time_us, base_us=5_000_000, sent_us=15_000_000, seen=2, kept=2, dropped=0, records=records,
        listened=(Listened(radio=Radio.WIFI, channel=1, listened_ms=4000),) * 1,
    )  # fmt: skip


def arrived(payload: bytes = b"") -> Arrived:
    return Arrived(link="l", topic="t", payload=payload, qos=1, retained=False, duplicate=False, mid=1, connection=1)


def intake(*, batch_clock: bool = True, taken: dict[tuple[str, int], int] | None = None) -> Intake:
    return Intake(SITE, taken or {}, batch_clock=batch_clock)


def offer(to: Intake, now_s: float, *batches: Batch) -> list[int]:
    """Hand in batches; give the seqs that were taken."""
    for one in batches:
        to.hold(Held(batch=one, message=arrived(), at_s=now_s))
    return [held.batch.seq for held in to.ready(now_s)]


def test_each_batch_is_taken_once_and_in_order() -> None:
    box = intake(taken={("a", 1): 0})
    assert offer(box, 0.0, batch(2), batch(3)) == []
    assert offer(box, 0.1, batch(1)) == [1, 2, 3]
    again = Held(batch=batch(2), message=arrived(), at_s=1.0)
    assert box.hold(again) == [again]
    assert (box.ready(1.0), box.duplicates, box.lost) == ([], 1, 0)
    assert box.taken() == {("a", 1): 3}


def test_a_duplicate_of_a_held_one_replaces_its_message() -> None:
    box = intake(taken={("a", 1): 0})
    first, second = (Held(batch=batch(2), message=arrived(), at_s=at) for at in (0.0, 1.0))
    assert box.hold(first) == []
    assert box.hold(second) == [first]  # a broker that waits for too many confirmations sends nothing more
    box.hold(Held(batch=batch(1), message=arrived(), at_s=1.0))
    assert box.ready(1.0)[1] is second


def test_a_gap_counts_as_lost_after_a_while() -> None:
    box = intake(taken={("a", 1): 2})
    assert offer(box, 0.0, batch(6)) == []
    assert offer(box, GAP_S - 0.1) == []
    assert offer(box, GAP_S) == [6]
    assert box.lost == 3


def test_a_full_window_of_later_ones_proves_a_gap_at_once() -> None:
    box = intake(taken={("a", 1): 2})
    assert offer(box, 0.0, *(batch(seq) for seq in range(5, 4 + WINDOW))) == []
    assert offer(box, 0.0, batch(4 + WINDOW)) == list(range(5, 5 + WINDOW))
    assert box.lost == 2


def test_a_probe_never_met_may_begin_anywhere_a_known_one_begins_at_one() -> None:
    box = intake()
    assert offer(box, -GAP_S, batch(500)) == []  # what it began with may have been overtaken
    assert box.acks() == {("a", 1): 0}
    assert offer(box, 0.0) == [500]
    assert box.lost == 0
    assert offer(box, 0.0, batch(3, boot=2)) == []
    assert offer(box, GAP_S, batch(501)) == [501, 3]  # the earlier boot still goes on its own
    assert box.lost == 2


def test_a_reboot_tells_what_the_boot_before_lost() -> None:
    box = intake(taken={("a", 1): 10})
    box.rebooted("a", 2, 1, 14)
    box.rebooted("a", 2, 1, 14)
    assert box.lost == 4
    assert offer(box, 0.0, batch(1, boot=2)) == [1]


@pytest.mark.parametrize(
    ("payload", "node", "why"),
    [
        (b"", "a", Refused.BAD),
        (encode_batch(batch())[:-1], "a", Refused.BAD),
        (encode_batch(batch()), "b", Refused.FOREIGN),
        (encode_batch(batch(probe="c")), "c", Refused.FOREIGN),
        (encode_batch(replace(batch(), provenance=Provenance.SIMULATED)), "a", Refused.PROVENANCE),
        (encode_batch(batch(base_time_us=0)), "a", Refused.NO_TIME),
    ],
)
def test_what_is_refused_is_counted(payload: bytes, node: str, why: Refused) -> None:
    box = intake()
    box.provenance = Provenance.LIVE
    assert box.decode(arrived(payload), node) is None
    assert {name: count for name, count in box.drops.items() if count} == {why: 1}
    assert box.decode(arrived(payload), node) is None
    assert [line.partition(": a batch ")[0] for line in box.remarks] == [node]  # told once
    assert box.decode(arrived(encode_batch(batch())), "a") is not None


def test_heard_has_hub_time_tags_and_listened_time_but_no_device_key() -> None:
    heard = intake().heard(batch(), NOW_US, NOW_US, SEAL)
    assert heard is not None
    assert (heard.probe, heard.from_us, heard.to_us, heard.listened_ms) == (0, NOW_US, NOW_US + 10_000_000, 4000)
    rows = np.frombuffer(heard.rows, SIGHTING)
    assert rows["time_us"].tolist() == [NOW_US, NOW_US + 9_000_000]
    assert 77 not in rows["device_key"]


@pytest.mark.parametrize("off_us", [-MAX_AGE_US - 11_000_000, 61_000_000])
def test_impossible_times_are_refused(off_us: int) -> None:
    box = intake(batch_clock=False)
    one = batch(base_time_us=NOW_US + off_us)
    # It arrives when it says it was sent, so that the clock fit has nothing to correct.
    assert box.heard(one, NOW_US + off_us + 10_000_000, NOW_US, SEAL) is None
    assert box.drops[Refused.TIME] == 1


def test_a_probe_without_time_is_put_where_its_batch_arrived() -> None:
    heard = intake(batch_clock=False).heard(batch(base_time_us=0), NOW_US, NOW_US, SEAL)
    assert heard is not None
    assert heard.to_us == NOW_US


OFFSET_US, SKEW = 1_741_000_000_000_000, 40e-6


@pytest.mark.parametrize("minute", [2, 45, 88])
def test_the_clock_is_the_line_below_the_arrivals(minute: int) -> None:
    random = np.random.default_rng(8)
    clock = ProbeClock()
    for sent_us in range(0, 90 * BUCKET_US, 10_000_000):
        delay_us = 2000 + random.exponential(40_000) + (3_600e6 if random.random() < 0.1 else 0)
        clock.arrived(sent_us, round(sent_us * (1 + SKEW) + OFFSET_US + delay_us))
    base_us = minute * BUCKET_US
    truth_us = round(base_us * (1 + SKEW)) + OFFSET_US
    one = replace(batch(base_time_us=0), base_us=base_us, sent_us=base_us + 10_000_000)
    assert clock.mature
    assert abs(clock.shift_us(one) - truth_us) < 10_000
    ahead = replace(one, base_time_us=truth_us + 5_000_000)
    assert abs(clock.shift_us(ahead) + 5_000_000) < 10_000
    behind = replace(one, base_time_us=truth_us - 5_000_000)
    assert abs(clock.shift_us(behind) - 5_000_000) < 10_000


def test_until_it_is_known_a_clock_is_corrected_only_for_arriving_before_it_was_sent() -> None:
    one = batch()  # sent 10 s after its base
    for minutes, delay_us, shift_us in ((1, 5_000_000, 0), (MATURE_BUCKETS - 1, 5_000_000, 0), (1, -700_000, -700_000)):
        clock = ProbeClock()
        for minute in range(minutes):
            clock.arrived(one.sent_us + minute * BUCKET_US, NOW_US + 10_000_000 + delay_us + minute * BUCKET_US)
        assert clock.shift_us(one) == shift_us


@pytest.mark.parametrize(
    ("synced", "base_time_us", "differs", "flagged"),
    [
        (True, NOW_US, False, False),
        (None, NOW_US, False, False),
        (False, NOW_US, False, True),
        (True, 0, False, True),
        (True, NOW_US, True, True),
    ],
)
def test_sightings_nobody_vouches_for_the_time_of_are_flagged(
    monkeypatch: pytest.MonkeyPatch, synced: bool | None, base_time_us: int, differs: bool, flagged: bool
) -> None:
    said = None if synced is None else OsClock(synced=synced, offset_us=0.0, error_us=0.0, drift_ppm=0.0)
    monkeypatch.setattr(clockcheck, "read_clock", lambda: said)
    box = intake(batch_clock=False)
    if differs:
        box.check.found = {0: Agreement(frames=50, offset_s=2.0, residual_s=0.01)}
    heard = box.heard(batch(base_time_us=base_time_us), NOW_US + 10_000_000, NOW_US + 10_000_000, SEAL)
    assert heard is not None
    rows = np.frombuffer(heard.rows, SIGHTING)
    assert ((rows["flags"] & UNSYNCED) != 0).tolist() == [flagged] * len(rows)
    assert box.unsynced == flagged * len(rows)
    assert [line.partition(": nobody")[0] for line in box.remarks] == ["hub" if synced is False else "a"] * flagged
    assert (rows["flags"] & ~np.uint8(UNSYNCED) == 0).all()
