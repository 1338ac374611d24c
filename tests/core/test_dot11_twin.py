"""The kernel against its slow twin: captures built at random with known answers, then damaged. The seed is printed."""

import random

import numpy as np
import pytest

from hostkit.core.dot11 import FRAME, CaptureCounts, CaptureReader
from hostkit.errors import InputError
from tests import builders as b
from tests import oracles, oracles_esp32
from tests.builders import KEY, Fields, Packet, VendorData

CAPTURES = 150
MUTATIONS = 12  # of each capture
COLUMNS = list(oracles.Row.__dataclass_fields__)


def random_elements(rng: random.Random) -> bytes:
    """Elements of every class, some nonsense, in any order."""
    choices = [0, 1, 3, 10, 45, 50, 59, 70, 84, 107, 114, 127, 191, 221, 221, 255, 255, rng.randrange(256)]
    out = b""
    for _ in range(rng.randrange(14)):
        number = rng.choice(choices)
        size = rng.choice([0, 1, 2, 4, 8, 14, 20, 26, 33, 62, 63, rng.randrange(256)])
        body = rng.randbytes(size)
        if number == 221:
            body = bytes.fromhex(rng.choice(["0050f204", "506f9a09", "0050f208", "00904c04", "0017f20a"])) + body[4:]
        elif number == 255 and body:
            body = bytes((rng.choice([2, 35, 59, 107, 108, 200]),)) + body[1:]
        out += b.element(number, body)
    return out


def random_frame(rng: random.Random) -> bytes:
    """Mostly a probe request; its elements may run over."""
    control = rng.choice([0x0040] * 8 + [0x0840, 0x0080, 0x0048, 0x0041, 0x4040])
    elements = random_elements(rng) + (b"\xdd\x40ab" if rng.random() < 0.1 else b"")
    ht_control = rng.randbytes(4) if rng.random() < 0.1 else b""
    address, sequence = rng.randbytes(6), rng.randrange(4096)
    return b.probe_request(elements, address=address, sequence=sequence, control=control, ht_control=ht_control)


def random_header(rng: random.Random) -> bytes:
    """Any fields in one to three words, vendor namespaces between."""
    spaces: list[Fields | VendorData] = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        some = rng.sample(sorted(b.RADIOTAP_FIELDS), rng.randrange(8))
        fields = {field: rng.randbytes(b.RADIOTAP_FIELDS[field][1]) for field in some}
        if rng.random() < 0.9:
            fields |= b.radio_fields(rssi_dbm=rng.randrange(-128, 1), mhz=rng.choice([2412, 2462, 2484, 5180, 7000, 1]))
            fields[b.FLAGS] = bytes((rng.choice([0, 0, b.FCS, b.FCS | b.BAD_FCS, 0x02]),))
        if spaces and rng.random() < 0.4:
            spaces.append(VendorData(bits=rng.randrange(2**29), data=rng.randbytes(rng.randrange(20))))
        spaces.append(fields)
    return b.radiotap(*spaces, padding=bytes(rng.choice([0, 0, 1, 7])))


def random_packet(rng: random.Random, time_us: int) -> Packet:
    """Sometimes cut by the snapshot length."""
    data = random_header(rng) + random_frame(rng)
    if rng.random() < 0.1:
        return Packet(data=data[: rng.randrange(len(data) + 1)], time_us=time_us, original_size=len(data))
    return Packet(data=data, time_us=time_us)


def random_capture(rng: random.Random) -> bytes:
    """One of the containers, any byte order and resolution."""
    start_us = rng.randrange(2 * 10**15)
    some = [random_packet(rng, start_us + rng.randrange(10**9)) for _ in range(rng.randrange(1, 12))]
    order = rng.choice("<>")
    if rng.random() < 0.5:
        return b.pcap(some, order=order, nanoseconds=rng.random() < 0.5)
    resolution = rng.choice([None, 0, 3, 6, 9, 12, 19, 127, 0x80, 0x8A, 0xA0, 0xAB, 0xAC, 0xBF, 0xFF])
    out = b.section(order=order) + b.interface(resolution=resolution, offset_s=rng.choice([None, 0, -3]), order=order)
    out += b.interface(link_type=rng.choice([127, 105]), order=order)
    for packet in some:
        write = rng.choice([b.enhanced, b.enhanced, b.obsolete])
        ticks = rng.choice([None, rng.randrange(2**64)])
        out += write(packet, number=rng.choice([0, 0, 0, 1]), ticks=ticks, order=order)
        out += rng.choice([b"", b"", b.simple(packet, order=order), b.block(77, b"abc", order=order)])
    return out


def mutated(rng: random.Random, capture: bytes) -> bytes:
    """One to four octets changed, a piece cut out, doubled or cut off."""
    kind, at = rng.randrange(6), rng.randrange(len(capture))
    if kind == 0:
        return capture[:at]
    if kind == 1:
        return capture[:at] + capture[at + rng.randrange(9) :]
    if kind == 2:
        return capture[: at + rng.randrange(9)] + capture[at:]
    changed = bytearray(capture)
    for _ in range(rng.randrange(1, 5)):
        changed[rng.randrange(len(changed))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    return bytes(changed)


def kernel(capture: bytes) -> tuple[np.ndarray, CaptureCounts | None, bool]:
    """Give rows read four at a time, counts, and whether it ended in a refusal."""
    parts = [np.empty(0, FRAME)]
    counts = None
    try:
        reader = CaptureReader(capture, KEY)
        counts = reader.counts
        while len(part := reader.read(4)):
            parts.append(part)
    except InputError:
        return np.concatenate(parts), counts and reader.counts, True
    return np.concatenate(parts), reader.counts, False


def assert_equal(capture: bytes) -> int:
    """Give the number of rows both found."""
    rows, counts, refused = kernel(capture)
    is_esp32 = len(capture) >= 4 and capture[:3] == b"FR\1"
    twin = (oracles_esp32.read if is_esp32 else oracles.read_capture)(capture, KEY)
    assert refused == (twin.fault != "none")
    assert len(rows) == len(twin.rows)
    for index, row in enumerate(twin.rows):
        assert {name: rows[name][index] for name in COLUMNS} == {name: getattr(row, name) for name in COLUMNS}
    if counts is not None:
        skipped = {name: getattr(counts.skipped, name) for name in counts.skipped.__slots__}
        assert {name: count for name, count in skipped.items() if count} == dict(twin.skipped)
        assert (counts.packets, counts.truncated) == (twin.packets, twin.truncated)
        assert (counts.damaged, counts.damaged_bytes) == (twin.damaged, twin.damaged_bytes)
    return len(rows)


@pytest.mark.parametrize("part", range(4))
def test_kernel_equals_its_twin(part: int) -> None:
    found = 0
    for number in range(CAPTURES):
        seed = part * 1_000_000 + number
        rng = random.Random(seed)
        capture = random_capture(rng)
        for mutation in range(-1, MUTATIONS):
            some = capture if mutation < 0 else mutated(rng, capture)
            try:
                found += assert_equal(some)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, mutation {mutation}: {some.hex()}") from error
    assert found > 10 * CAPTURES, "too few frames survive to compare anything"
