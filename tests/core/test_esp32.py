"""Records as an ESP32 hears them: the clock without its wraps, damage stepped over, everything counted."""

import random
import struct

import numpy as np
import pytest

from hostkit.core.dot11 import CaptureCounts, CaptureReader, Status
from hostkit.core.wire import Flag
from tests import builders as b
from tests.builders import KEY, Packet, esp32_heard, esp32_mark, phone_elements, probe_request
from tests.core.test_dot11_twin import assert_equal, mutated, random_frame

UNIX_US = 1_700_000_000_000_000
WRAP_US = 2**32


def frame(sequence: int = 7) -> bytes:
    return probe_request(phone_elements(channel=6), sequence=sequence)


def read(data: bytes) -> tuple[np.ndarray, CaptureCounts]:
    reader = CaptureReader(data, KEY)
    rows = reader.read()
    assert not len(reader.read())
    counts = reader.counts
    assert counts.packets == counts.frames + counts.skipped.total
    return rows, counts


def random_records(rng: random.Random) -> bytes:
    """Heard frames, marks and rubbish between them."""
    clock_us = rng.randrange(2**40)
    out = esp32_mark(clock_us, rng.choice([UNIX_US, UNIX_US, 0, 2**62]))
    for _ in range(rng.randrange(1, 12)):
        clock_us += rng.choice([rng.randrange(10**6), -rng.randrange(min(10**6, clock_us + 1)), WRAP_US // 2])
        if rng.random() < 0.2:
            out += esp32_mark(clock_us, UNIX_US + rng.randrange(10**9))
        if rng.random() < 0.2:
            out += rng.choice([b"F", b"FR", b"FR\0\0", rng.randbytes(rng.randrange(30))])
        body = random_frame(rng)
        captured = rng.choice([None, None, None, rng.randrange(len(body) + 5)])
        out += esp32_heard(
            body[:4091], clock_us, rssi_dbm=rng.randrange(-128, 1), channel=rng.randrange(15),
            state=rng.choice([0, 0, 0, 1]), captured=captured,
        )  # fmt: skip
    return out


@pytest.mark.parametrize("part", range(3))
def test_reader_equals_its_twin(part: int) -> None:
    found = 0
    for number in range(100):
        rng = random.Random(part * 1000 + number)
        records = random_records(rng)
        for mutation in range(-1, 8):
            some = records if mutation < 0 else mutated(rng, records)
            try:
                found += assert_equal(some)
            except AssertionError as error:
                raise AssertionError(f"seed {part * 1000 + number}, mutation {mutation}: {some.hex()}") from error
    assert found > 500


def test_frame_has_what_the_radio_said() -> None:
    rows, counts = read(esp32_mark(WRAP_US - 5, UNIX_US) + esp32_heard(frame(), WRAP_US + 5, rssi_dbm=-71, channel=11))
    assert rows["time_us"].tolist() == [UNIX_US + 10]
    assert (rows["rssi_dbm"][0], rows["noise_dbm"][0], rows["sequence"][0]) == (-71, -95, 7)
    assert (rows["channel"][0], rows["status"][0], rows["element_count"][0], rows["flags"][0]) == (6, 0, 6, 0)
    assert (counts.frames, counts.damaged, counts.truncated) == (1, 0, 0)
    assert CaptureReader(esp32_mark(1, UNIX_US) + esp32_heard(frame(), 2), KEY).link_type == 65535


def test_tuned_channel_serves_where_there_is_no_ds_element() -> None:
    rows, _ = read(esp32_mark(0, UNIX_US) + esp32_heard(probe_request(b.element(0)), 1, channel=13))
    assert (rows["channel"][0], rows["status"][0]) == (13, Status.TUNED_CHANNEL)


def test_clock_is_unwrapped_across_days() -> None:
    """A frame every 50 minutes for five days, the stamp wrapping every 71.6 minutes, with one mark at the head."""
    clocks_us = [10**9 + index * 50 * 60 * 10**6 for index in range(144)]
    rows, _ = read(esp32_mark(clocks_us[0], UNIX_US) + b"".join(esp32_heard(frame(), at) for at in clocks_us))
    assert rows["time_us"].tolist() == [UNIX_US + at - clocks_us[0] for at in clocks_us]


def test_clock_may_step_back_a_little() -> None:
    clocks_us = [WRAP_US + 100, WRAP_US - 900_000, WRAP_US + 200]
    rows, counts = read(esp32_mark(WRAP_US, UNIX_US) + b"".join(esp32_heard(frame(), at) for at in clocks_us))
    assert rows["time_us"].tolist() == [UNIX_US + at - WRAP_US for at in clocks_us]
    assert counts.backwards == 1


def test_a_later_mark_corrects_the_clock() -> None:
    records = esp32_mark(0, UNIX_US) + esp32_heard(frame(), 10) + esp32_mark(3 * WRAP_US, UNIX_US + 10**10)
    rows, _ = read(records + esp32_heard(frame(), 3 * WRAP_US + 7))
    assert rows["time_us"].tolist() == [UNIX_US + 10, UNIX_US + 10**10 + 7]


@pytest.mark.parametrize("unix_us", [0, 2**63, 4_102_444_800_000_000])
def test_frames_without_unix_time_are_counted(unix_us: int) -> None:
    assert read(esp32_mark(5, unix_us) + esp32_heard(frame(), 10))[1].skipped.no_time == 1


def test_a_mark_that_contradicts_its_stamp_sets_no_time() -> None:
    wrong = b.esp32_record(1, 6, struct.pack("<QQ", 5, UNIX_US))
    assert read(wrong + esp32_heard(frame(), 10))[1].skipped.no_time == 1


SKIPPED = {
    "bad_fcs": esp32_heard(frame(), 1, state=1),
    "no_rssi": esp32_heard(frame(), 1, rssi_dbm=0),
    "other_subtype": esp32_heard(probe_request(b"", control=0x0080), 1),
    "encrypted": esp32_heard(probe_request(b"", control=0x4040), 1),
    "not_management": esp32_heard(probe_request(b"", control=0x0048), 1),
    "too_short": esp32_heard(b"", 1, fcs=b"FCS"),
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_skipped_by_name(reason: str) -> None:
    rows, counts = read(esp32_mark(0, UNIX_US) + SKIPPED[reason] + esp32_heard(frame(), 2))
    assert (len(rows), getattr(counts.skipped, reason), counts.skipped.total) == (1, 1, 1)


def test_a_frame_cut_by_the_ring_is_flagged() -> None:
    rows, counts = read(esp32_mark(0, UNIX_US) + esp32_heard(frame(), 1, captured=60) + esp32_heard(frame(), 2))
    assert rows["status"].tolist() == [Status.CUT, 0]
    assert rows["flags"].tolist() == [Flag.MALFORMED, 0]
    assert counts.cut == 1


def test_damage_costs_the_record_it_hits() -> None:
    """Every octet of a stream damaged in turn: the records before and behind it stay."""
    head, records = esp32_mark(0, UNIX_US), [esp32_heard(frame(index), index) for index in range(3)]
    for at in range(len(head), len(head) + len(records[0])):
        stream = bytearray(head + b"".join(records))
        stream[at] ^= 0x55
        rows, counts = read(bytes(stream))
        assert rows["sequence"].tolist() == [1, 2]
        assert (counts.damaged, counts.damaged_bytes) == (1, len(records[0]))


def test_rubbish_between_records_is_counted() -> None:
    rubbish = b"FRFR\0\0boot: ESP-ROM"
    stream = esp32_mark(0, UNIX_US) + rubbish + esp32_heard(frame(), 1) + rubbish + esp32_heard(frame(), 2) + b"\xff"
    rows, counts = read(stream)
    assert (len(rows), counts.damaged, counts.damaged_bytes) == (2, 3, 2 * len(rubbish) + 1)


def test_a_length_that_lies_hides_nothing() -> None:
    """The head claims more octets than the stream has: what lies inside is found."""
    liar = struct.pack("<2sBBIHH", b"FR", 0, 0, 1, 4000, 4000) + bytes(4)
    rows, counts = read(esp32_mark(0, UNIX_US) + liar + esp32_heard(frame(), 1))
    assert (len(rows), counts.damaged, counts.truncated) == (1, 1, 0)


def test_truncation_anywhere_keeps_what_was_whole() -> None:
    packets = [Packet(data=frame(index), time_us=UNIX_US + index) for index in range(2)]
    stream = b.esp32(packets)
    borders = [len(b.esp32(packets[:count])) for count in range(3)]
    for size in range(borders[0], len(stream)):
        rows, counts = read(stream[:size])
        assert len(rows) == sum(size >= border for border in borders) - 1
        assert counts.truncated == (size not in borders)
        assert counts.damaged == 0
