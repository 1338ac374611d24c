"""Captures in pieces: any chunking gives the rows, counts and refusals of the whole."""

import random
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from hostkit.core.dot11 import FRAME, CaptureCounts, CaptureReader
from hostkit.core.stream import MAX_WAITING_BYTES, StreamReader
from hostkit.errors import InputError
from tests import builders as b
from tests.builders import KEY, Packet, heard, phone_elements, probe_request
from tests.core.test_dot11_twin import mutated, random_capture
from tests.core.test_esp32 import random_records

SEED = 7


def whole(capture: bytes) -> tuple[np.ndarray, CaptureCounts | None, str]:
    """Give rows, counts and the refusal's text."""
    parts, counts = [np.empty(0, FRAME)], None
    try:
        reader = CaptureReader(capture, KEY, name="x")
        while len(part := reader.read()):
            parts.append(part)
            counts = reader.counts
        counts = reader.counts
    except InputError as error:
        return np.concatenate(parts), counts, str(error)
    return np.concatenate(parts), counts, ""


def in_pieces(pieces: Iterable[bytes]) -> tuple[np.ndarray, CaptureCounts | None, str]:
    parts, counts = [np.empty(0, FRAME)], None
    reader = StreamReader(KEY, name="x")
    try:
        for piece in pieces:
            parts.append(reader.feed(piece))
        parts.append(reader.finish())
        counts = reader.counts
        reader.feed(b"")
        parts.append(reader.finish())  # what stopped the last read is told at the next
    except InputError as error:
        return np.concatenate(parts), counts, str(error)
    return np.concatenate(parts), counts, ""


def assert_same(capture: bytes, pieces: Iterable[bytes]) -> int:
    rows, counts, refusal = in_pieces(pieces)
    expected, expected_counts, expected_refusal = whole(capture)
    assert rows.tobytes() == expected.tobytes()
    assert refusal == expected_refusal
    if not refusal:
        assert counts == expected_counts
    return len(rows)


def cuts(rng: random.Random, capture: bytes) -> list[bytes]:
    places = sorted(rng.randrange(len(capture) + 1) for _ in range(rng.randrange(12)))
    return [capture[start:end] for start, end in zip([0, *places], [*places, len(capture)], strict=True)]


@pytest.mark.parametrize("part", range(3))
def test_any_pieces_equal_the_whole(part: int) -> None:
    rows = 0
    for number in range(120):
        rng = random.Random(SEED + part * 1000 + number)
        capture = random_records(rng) if number % 3 == 0 else random_capture(rng)
        for some in (capture, mutated(rng, capture), mutated(rng, capture)):
            try:
                rows += assert_same(some, cuts(rng, some))
            except AssertionError as error:
                raise AssertionError(f"seed {SEED + part * 1000 + number}: {some.hex()}") from error
    assert rows > 500


def frames(count: int) -> list[bytes]:
    return [probe_request(phone_elements(), sequence=index) for index in range(count)]


def packets(count: int) -> list[Packet]:
    return [Packet(data=heard(frame)) for frame in frames(count)]


CONTAINERS: dict[str, Callable[[int], bytes]] = {
    "pcap": lambda count: b.pcap(packets(count)),
    "pcapng": lambda count: b.pcapng(packets(count)),
    "esp32": lambda count: b.esp32(Packet(data=frame) for frame in frames(count)),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_one_octet_at_a_time(container: str) -> None:
    capture = CONTAINERS[container](4)
    found = assert_same(capture, (capture[at : at + 1] for at in range(len(capture))))
    assert found == 4


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_come_with_their_last_octet(container: str) -> None:
    """A live reader must not sit on a frame until the next one comes."""
    borders = [len(CONTAINERS[container](count)) for count in range(1, 4)]
    capture, reader, given = CONTAINERS[container](3), StreamReader(KEY), []
    for at in range(len(capture)):
        given += [at + 1] * len(reader.feed(capture[at : at + 1]))
    assert given == borders
    assert reader.position == len(capture)


def test_a_stream_that_ends_in_a_packet_is_cut() -> None:
    capture = b.pcap(packets(2))
    reader = StreamReader(KEY)
    assert len(reader.feed(capture[:-1])) == 1
    assert len(reader.finish()) == 0
    assert reader.counts is not None
    assert (reader.counts.packets, reader.counts.truncated) == (1, 1)


def test_nothing_at_all_is_refused() -> None:
    reader = StreamReader(KEY, name="stdin")
    assert len(reader.feed(b"")) == 0
    assert reader.counts is None
    assert reader.position == 0
    with pytest.raises(InputError, match=r"^stdin: the file is empty"):
        reader.finish()


def test_waiting_is_bounded() -> None:
    """The longest block that is read is waited for; a longer one is refused at its head."""
    start = b.pcapng(packets(1))
    reader = StreamReader(KEY)
    reader.feed(start + b"\x0a\x0a\0\0" + MAX_WAITING_BYTES.to_bytes(4, "little"))
    for _ in range(8):
        assert len(reader.feed(bytes(MAX_WAITING_BYTES // 16))) == 0
    with pytest.raises(InputError, match="block length 16777220 is impossible"):
        StreamReader(KEY).feed(b.section() + b"\x0a\x0a\0\0" + (MAX_WAITING_BYTES + 4).to_bytes(8, "little"))
