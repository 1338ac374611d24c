"""Captures of every container and radio header, and what is no capture."""

import struct
from collections.abc import Callable

import numpy as np
import pytest

from hostkit.core.dot11 import CaptureCounts, CaptureReader, Status, device_keys, parse_frames
from hostkit.core.wire import SIGHTING, Flag, sightings_from
from hostkit.errors import InputError
from tests import builders as b
from tests.builders import KEY, Packet, VendorData, heard, phone_elements, probe_request, radio_fields, radiotap

TIME_US = 1_669_111_450_707_757


def frame(sequence: int = 7) -> bytes:
    return probe_request(phone_elements(channel=6), sequence=sequence)


def packets(count: int = 3) -> list[Packet]:
    return [Packet(data=heard(frame(index)), time_us=TIME_US + index) for index in range(count)]


def read(capture: bytes) -> tuple[np.ndarray, CaptureCounts]:
    reader = CaptureReader(capture, KEY)
    rows = reader.read()
    assert not len(reader.read())
    counts = reader.counts
    assert counts.packets == counts.frames + counts.skipped.total
    assert reader.position == len(capture)
    return rows, counts


def read_one(header: bytes, body: bytes | None = None) -> tuple[np.ndarray, CaptureCounts]:
    return read(b.pcap([Packet(data=header + (frame() if body is None else body))]))


def test_one_frame_at_a_time_is_opened_and_numbered() -> None:
    body = phone_elements(ssid=b"home")
    own, group = probe_request(body), bytearray(probe_request(body, sequence=9))
    group[10] |= 1
    beacon = b"\x80\0" + own[2:]
    controlled = bytes([own[0], own[1] | 0x80]) + own[2:24] + b"\1\2\3\4" + body
    sent = [beacon, own, beacon, bytes(group), controlled]
    reader = CaptureReader(b.pcap([Packet(data=heard(one)) for one in sent]), KEY)
    opened = []
    while one := reader.read_opened():
        opened.append((one.packet, one.elements, one.group_address, int(one.rows["sequence"][0])))
    sequence = int(parse_frames(own, np.zeros(1, np.int64), np.array([len(own)]), KEY)["sequence"][0])
    assert opened == [(1, body, False, sequence), (3, body, True, 9), (4, body, False, sequence)]
    assert reader.counts.packets == 5


# ---- containers ----

CONTAINERS: dict[str, Callable[[list[Packet]], bytes]] = {
    "pcap": b.pcap,
    "pcap big-endian": lambda some: b.pcap(some, order=">"),
    "pcap ns": lambda some: b.pcap(some, nanoseconds=True),
    "pcap ns big-endian": lambda some: b.pcap(some, nanoseconds=True, order=">"),
    "pcapng": b.pcapng,
    "pcapng big-endian": lambda some: b.pcapng(some, order=">"),
    "pcapng obsolete": lambda some: b.section() + b.interface() + b"".join(map(b.obsolete, some)),
    "pcapng two sections": lambda some: b.pcapng(some[:1]) + b.pcapng(some[1:], order=">"),
    "pcapng other blocks": lambda some: (
        b.section()
        + b.block(0xBAD, b"?" * 50)
        + b.interface()
        + b.block(5, b"\0" * 12)
        + b"".join(map(b.enhanced, some))
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_container(name: str) -> None:
    rows, counts = read(CONTAINERS[name](packets()))
    assert rows["time_us"].tolist() == [TIME_US, TIME_US + 1, TIME_US + 2]
    assert rows["sequence"].tolist() == [0, 1, 2]
    assert set(rows["rssi_dbm"].tolist()) == {-60}
    assert (counts.frames, counts.skipped.total, counts.truncated) == (3, 0, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "per_second"),
    [(None, 10**6), (0, 1), (3, 1000), (9, 10**9), (12, 10**12), (0x80, 1), (0x8A, 2**10), (0xA0, 2**32)],
)
def test_time_resolution(order: str, resolution: int | None, per_second: int) -> None:
    ticks = TIME_US * per_second // 10**6 if per_second < 10**11 else 3 * per_second + per_second // 7
    capture = b.section(order=order) + b.interface(resolution=resolution, offset_s=100, order=order)
    capture += b.enhanced(packets(1)[0], ticks=ticks, order=order)
    assert read(capture)[0]["time_us"].tolist() == [100_000_000 + ticks * 10**6 // per_second]


@pytest.mark.parametrize(("ticks", "offset_s"), [(2**64 - 1, 0), (5_000_000, -6), (0, 2**62), (0, -(2**63))])
def test_times_nobody_lives_in_are_skipped(ticks: int, offset_s: int) -> None:
    capture = b.section() + b.interface(offset_s=offset_s) + b.enhanced(packets(1)[0], ticks=ticks)
    assert read(capture)[1].skipped.no_time == 1


def test_simple_packets_have_no_time() -> None:
    rows, counts = read(b.section() + b.interface() + b.simple(packets(1)[0]))
    assert (len(rows), counts.skipped.no_time) == (0, 1)


def test_interfaces_are_told_apart() -> None:
    one, two, three = packets()
    capture = b.section() + b.interface(link_type=1) + b.interface() + b.interface(resolution=9)
    capture += b.enhanced(one, number=0) + b.enhanced(two, number=1)
    capture += b.enhanced(three, number=2, ticks=three.time_us * 1000)
    rows, counts = read(capture)
    assert rows["time_us"].tolist() == [TIME_US + 1, TIME_US + 2]
    assert counts.skipped.other_link_type == 1


def test_application_is_told_and_cleaned() -> None:
    reader = CaptureReader(b.pcapng(packets(), application="footfall simulate"), KEY)
    reader.read()
    assert reader.application == "footfall simulate"
    dirty = CaptureReader(b.pcapng(packets(), application="\x1b[31m\n" + "x" * 500), KEY)
    dirty.read()
    assert dirty.application == "[31m" + "x" * 58
    assert CaptureReader(b.pcap(packets()), KEY).application == ""


def test_chunks_equal_the_whole() -> None:
    capture = b.pcap(packets(100))
    whole = CaptureReader(capture, KEY).read()
    reader, parts, positions = CaptureReader(capture, KEY), [], []
    while len(part := reader.read(7)):
        parts.append(part)
        positions.append(reader.position)
    assert max(map(len, parts)) == 7
    assert np.array_equal(np.concatenate(parts), whole)
    assert positions == sorted(set(positions))
    assert positions[-1] == len(capture)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_buffer_serves(wrap: Callable[[bytes], bytes]) -> None:
    assert len(CaptureReader(wrap(b.pcap(packets())), KEY).read()) == 3


def test_repeated_frames_are_read_as_single_ones() -> None:
    """Frames that differ in little, again and again: what was met before must not leak into what comes."""
    random = np.random.default_rng(7)
    bodies = []
    for _ in range(20_000):
        body = bytearray(frame(int(random.integers(4096))))
        body[1] = random.choice([0x00, 0x08, 0x80])
        for at in random.choice([0, 10, 15, 16, 24, 25, 30, len(body) - 1], random.integers(3), replace=False):
            body[at] ^= 0x40 if at == 0 else random.integers(4)
        bodies.append(bytes(body[: len(body) - random.integers(2)]))
    rows, counts = read(b.pcap(Packet(data=heard(body)) for body in bodies))
    kept = [body for body in bodies if body[0] == 0x40]
    lengths = np.array([len(body) for body in kept])
    single = parse_frames(b"".join(kept), np.cumsum(lengths) - lengths, lengths, KEY)
    assert counts.frames == len(kept) < len(bodies)
    for name in ("device_key", "fingerprint", "ssid_key", "element_mask", "sequence", "flags", "element_count"):
        assert np.array_equal(rows[name], single[name]), name


def test_addresses_close_to_each_other_stay_apart() -> None:
    """Every address one octet away, twice: what was met before is found by the whole address."""
    addresses = [b.ADDRESS[:at] + bytes((octet,)) + b.ADDRESS[at + 1 :] for at in range(6) for octet in range(256)]
    some = [Packet(data=heard(probe_request(phone_elements(), address=address))) for address in addresses * 2]
    assert np.array_equal(read(b.pcap(some))[0]["device_key"], device_keys(addresses * 2, KEY))


# ---- radiotap ----


def test_radiotap_values_arrive() -> None:
    rows, _ = read_one(radiotap(radio_fields(rssi_dbm=-128, noise_dbm=-95, mhz=2472)))
    assert (rows["rssi_dbm"][0], rows["noise_dbm"][0], rows["channel"][0]) == (-128, -95, 6)


@pytest.mark.parametrize(
    ("mhz", "channel"),
    [(2412, 1), (2472, 13), (2484, 14), (5180, 36), (5885, 177), (5955, 1), (7115, 233), (4920, 184), (0, 0), (900, 0)],
)
def test_tuned_channel_where_there_is_no_ds_element(mhz: int, channel: int) -> None:
    rows, _ = read_one(radiotap(radio_fields(mhz=mhz)), probe_request(b.element(0)))
    assert (rows["channel"][0], rows["status"][0]) == (channel, Status.TUNED_CHANNEL)


@pytest.mark.parametrize("field", sorted(set(b.RADIOTAP_FIELDS) - set(radio_fields())))
def test_every_field_is_stepped_over(field: int) -> None:
    """With and without an odd octet before it, so that its alignment shows."""
    for extra in ({}, {2: b"\2"}):
        fields = {**radio_fields(noise_dbm=-90), field: b"\x55" * b.RADIOTAP_FIELDS[field][1], **extra}
        expected = struct.unpack("b", fields[b.NOISE])[0]
        behind = radio_fields(rssi_dbm=-33)
        for header in (radiotap(fields), radiotap(fields, behind), radiotap({field: fields[field], **extra}, behind)):
            rows, _ = read_one(header)
            assert rows["rssi_dbm"][0] == (-60 if header != radiotap({field: fields[field], **extra}, behind) else -33)
            if header == radiotap(fields):
                assert rows["noise_dbm"][0] == expected


def test_first_of_several_antennas_counts() -> None:
    again = {b.RSSI: struct.pack("b", -20), 11: b"\1"}
    assert read_one(radiotap(radio_fields(rssi_dbm=-70), again, again))[0]["rssi_dbm"].tolist() == [-70]


@pytest.mark.parametrize("data", [b"", b"\x7f", b"\x7f" * 13])
def test_vendor_namespace_is_stepped_over(data: bytes) -> None:
    vendor = VendorData(data=data, bits=0x1FFFFFFF)
    rows, _ = read_one(radiotap({2: b"\2"}, vendor, radio_fields(rssi_dbm=-41)))
    assert rows["rssi_dbm"].tolist() == [-41]


def test_padding_behind_the_fields_is_part_of_the_header() -> None:
    assert read_one(radiotap(radio_fields(), padding=b"\0" * 11))[0]["sequence"].tolist() == [7]


def test_fcs_is_no_element() -> None:
    header = radiotap(radio_fields(flags=b.FCS))
    rows, counts = read_one(header, frame() + b"\xdd\x02\x01\x02")
    assert rows["element_count"].tolist() == [6]
    assert counts.malformed == 0


def test_fcs_beyond_the_snapshot_length_is_not_cut_twice() -> None:
    body = frame()
    for captured, cut in ((len(body) + 2, 0), (len(body), 0), (len(body) - 3, Status.CUT)):
        data = radiotap(radio_fields(flags=b.FCS)) + (body + b"FCS!")[:captured]
        whole = len(data) - captured + len(body) + 4
        rows, counts = read(b.pcap([Packet(data=data, original_size=whole)]))
        assert rows["status"][0] == cut
        assert bool(rows["flags"][0] & Flag.MALFORMED) is bool(cut)
        assert counts.cut == bool(cut)


SKIPPED = {
    "bad_fcs": radiotap(radio_fields(flags=b.FCS | b.BAD_FCS)) + frame() + bytes(4),
    "no_rssi": radiotap({b.CHANNEL: bytes(4)}) + frame(),
    "not_management": heard(probe_request(b"", control=0x0008)),
    "encrypted": heard(probe_request(phone_elements(), control=0x4040)),
    "other_subtype": heard(probe_request(b"", control=0x0080)),
    "unknown_version": heard(probe_request(b"", control=0x0041)),
    "too_short": heard(probe_request(b"")[:23]),
    "bad_radiotap": b"\1" + heard(frame())[1:],
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_skipped_by_name(reason: str) -> None:
    rows, counts = read(b.pcap([*packets(1), Packet(data=SKIPPED[reason]), *packets(1)]))
    assert len(rows) == 2
    assert getattr(counts.skipped, reason) == counts.skipped.total == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\x08\0\0\0\0",
        struct.pack("<BBHI", 0, 0, 7, 0) + frame(),  # shorter than itself
        struct.pack("<BBHI", 0, 0, 65535, 0) + frame(),  # longer than the packet
        struct.pack("<BBHI", 0, 0, 9, 1 << b.RSSI | 1 << b.CHANNEL) + frame(),  # fields past its end
        struct.pack("<BBHII", 0, 0, 12, 1 << 31, 1 << 31) + frame(),  # words past its end
        struct.pack("<BBHII", 0, 0, 12, b.MORE | b.VENDOR_SPACE, 0) + frame(),  # vendor data past its end
    ],
)
def test_radiotap_that_runs_over_is_skipped(data: bytes) -> None:
    assert read(b.pcap([Packet(data=data)]))[1].skipped.bad_radiotap == 1


def test_longest_packet_and_empty_packet() -> None:
    longest = heard(probe_request(phone_elements()))
    longest += b.element(200, b"\1" * 255) * ((65535 - len(longest)) // 257)
    longest += b"\0" * (65535 - len(longest))
    rows, counts = read(b.pcap([Packet(data=b""), Packet(data=longest), *packets(1)]))
    assert rows["element_count"].tolist() == [255, 6]
    assert counts.skipped.bad_radiotap == 1


# ---- time ----


def test_backward_steps_are_kept_and_counted() -> None:
    times_us = [TIME_US, TIME_US - 5, TIME_US - 5, TIME_US + 1, 0]
    rows, counts = read(b.pcap([Packet(data=heard(frame()), time_us=time) for time in times_us]))
    assert rows["time_us"].tolist() == times_us
    assert (rows["status"] & Status.BACKWARDS != 0).tolist() == [False, True, False, False, True]
    assert counts.backwards == 2


def test_counts_by_kind() -> None:
    some = [
        Packet(data=heard(probe_request(b"", address=b.RANDOMISED))),
        Packet(data=heard(probe_request(b"", control=0x0840))),
        Packet(data=heard(probe_request(b"\x2d"))),
    ]
    _, counts = read(b.pcap(some))
    assert (counts.randomised, counts.retries, counts.malformed) == (1, 1, 1)


# ---- what is no capture, or no whole one ----


@pytest.mark.parametrize("make", [b.pcap, b.pcapng])
def test_truncation_anywhere_keeps_what_was_whole(make: Callable[[list[Packet]], bytes]) -> None:
    capture = make(packets())
    borders = {len(make(packets(count))) for count in range(4)}
    for size in range(min(borders), len(capture)):
        rows, counts = read(capture[:size])
        assert len(rows) == sum(size >= border for border in borders) - 1
        assert counts.truncated == (size not in borders)


REFUSED = {
    "the file is empty; capture anew": b"",
    "gzip-compressed, not a capture; unpack it with gunzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "zstd-compressed, not a capture; unpack it with unzstd": b"\x28\xb5\x2f\xfd" + bytes(30),
    "a modified pcap, not a capture; convert it with editcap": b"\x34\xcd\xb2\xa1" + bytes(30),
    "neither pcap nor pcapng; give a capture": b"datetime;dst;src\n",
    "pcap version 3 is unknown; ": b.pcap(packets(), version=3),
    "802.11 without radio header) carries no signal strength; link type 127": b.pcap(packets(), link_type=105),
    "link type 1 (Ethernet) carries no signal strength": b.pcap(packets(), link_type=1),
    "link type 60000 (unknown)": b.pcap(packets(), link_type=60000),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_at_once(message: str) -> None:
    with pytest.raises(InputError) as caught:
        CaptureReader(REFUSED[message], KEY, name="monday.pcap")
    assert str(caught.value).startswith("monday.pcap: ")
    assert message in str(caught.value)


def test_every_head_of_a_header_is_refused() -> None:
    for size in range(24):
        with pytest.raises(InputError):
            CaptureReader(b.pcap([])[:size], KEY)


GOOD_NG = b.pcapng(packets(2))
DAMAGED = {
    "packet length 4294967295 is impossible": b.pcap(packets(2)) + struct.pack("<4I", 0, 0, 2**32 - 1, 0) + bytes(99),
    "block length 13 is impossible": GOOD_NG + struct.pack("<II", 6, 13) + bytes(50),
    "block length 8 is impossible": GOOD_NG + struct.pack("<II", 6, 8) + bytes(50),
    "block length 4294967292 is impossible": GOOD_NG + struct.pack("<II", 6, 2**32 - 4) + bytes(50),
    "block length 16 is impossible": GOOD_NG + struct.pack("<IIII", 9, 16, 0, 20),
    "block length 28 is impossible": GOOD_NG + b.block(6, bytes(16)),
    "packet length 65535 is impossible": GOOD_NG + b.block(6, struct.pack("<5I", 0, 0, 0, 65535, 65535)),
    "packet of undeclared interface 9": GOOD_NG + b.enhanced(packets(1)[0], number=9),
    "more than 1024 interfaces": GOOD_NG + b.interface() * 1025,
    "no pcapng section here": GOOD_NG + b.block(0x0A0D0D0A, b"?" * 16),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_damage_is_told_after_the_frames_before_it(message: str) -> None:
    reader = CaptureReader(DAMAGED[message], KEY, name="monday.pcap")
    assert len(reader.read()) == 2
    for _ in range(2):
        with pytest.raises(InputError, match=r"^monday\.pcap: packet 3 at byte \d+: ") as caught:
            reader.read()
        assert message in str(caught.value)


def test_pcapng_without_radiotap_is_refused_at_its_first_packet() -> None:
    reader = CaptureReader(b.section() + b.interface(link_type=105) + b.enhanced(packets(1)[0]), KEY)
    with pytest.raises(InputError, match="link type 105"):
        reader.read()
    assert reader.link_type == 105


def test_sections_number_their_own_interfaces() -> None:
    reader = CaptureReader(b.pcapng(packets(1)) + b.section() + b.enhanced(packets(1)[0]), KEY)
    assert len(reader.read()) == 1
    with pytest.raises(InputError, match="undeclared interface 0"):
        reader.read()


def test_max_frames_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        CaptureReader(b.pcap([]), KEY).read(0)


# ---- sightings ----


def test_sightings_have_the_probes_index_and_the_corrected_time() -> None:
    frames = CaptureReader(b.pcap(packets()), KEY).read()
    sightings = sightings_from(frames, 3, -500)
    assert sightings.dtype == SIGHTING
    assert sightings["time_us"].tolist() == (frames["time_us"] - 500).tolist()
    assert set(sightings["probe"].tolist()) == {3}
    for name in set(SIGHTING.names or ()) - {"time_us", "probe"}:
        assert np.array_equal(sightings[name], frames[name]), name
    shifts_us = np.array([0, 10, -10])
    assert sightings_from(frames, 0, shifts_us)["time_us"].tolist() == (frames["time_us"] + shifts_us).tolist()
