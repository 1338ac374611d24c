"""Serial frames over a bad line: golden vectors, one byte at a time, noise, loss and resynchronisation."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.core.framing import (
    MAX_FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameKind,
    FrameReader,
    cobs_decode,
    cobs_encode,
    decode_frame,
    encode_frame,
)
from hostkit.errors import InputError, UsageError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "wire" / "frames.json").read_text("utf-8"))


def oracle(data: bytes) -> bytes:
    """COBS byte by byte, as its paper tells it."""
    out, start = bytearray([1]), 0
    for byte in data:
        if out[start] == 255:
            start = len(out)
            out.append(1)
        if byte:
            out.append(byte)
            out[start] += 1
        else:
            start = len(out)
            out.append(1)
    return bytes(out)


@pytest.mark.parametrize("vector", VECTORS["cobs"], ids=lambda vector: vector["data"][:16] or "empty")
def test_golden_stuffing(vector: dict[str, str]) -> None:
    data, encoded = bytes.fromhex(vector["data"]), bytes.fromhex(vector["encoded"])
    assert cobs_encode(data) == encoded
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: str(vector["kind"]))
def test_golden_frames(vector: dict[str, str]) -> None:
    payload, frame = bytes.fromhex(vector["payload"]), bytes.fromhex(vector["frame"])
    assert encode_frame(FrameKind(vector["kind"]), payload) == frame
    assert decode_frame(frame[:-1]) == (vector["kind"], payload)


runs = st.lists(st.tuples(st.sampled_from([0, 1, 255]), st.integers(0, 300)), max_size=6)


@settings(max_examples=300, deadline=None)
@given(runs.map(lambda parts: b"".join(bytes([byte]) * count for byte, count in parts)) | st.binary(max_size=600))
def test_stuffing_equals_the_slow_one_and_comes_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert encoded == oracle(data)
    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize(
    ("data", "byte", "what"),
    [
        (b"", 0, "is empty"),
        (b"\x00", 0, "a 0 byte inside a frame"),
        (b"\x03\x01\x00", 0, "a 0 byte inside a frame"),
        (b"\x02\x01\x05\x01", 2, "announces 4 bytes, 1 are left"),
    ],
)
def test_broken_stuffing_names_its_byte(data: bytes, byte: int, what: str) -> None:
    with pytest.raises(InputError) as caught:
        cobs_decode(data)
    assert str(caught.value) == f"serial frame at byte {byte}: {what}; wait for the next; check cable and baud rate"


def test_frames_too_short_wrong_or_of_unknown_kind_are_refused() -> None:
    frame = encode_frame(FrameKind.BATCH, b"abc")[:-1]
    unknown = cobs_encode(b"\x09" + b"\xff\x18\x3b\x51")
    for data, what in (
        (cobs_encode(b"\x01\x02"), "holds 2 bytes, the shortest frame has 5"),
        (frame[:-1] + bytes([frame[-1] ^ 1]), "CRC-32 does not match"),
        (unknown, "CRC-32 does not match"),
    ):
        with pytest.raises(InputError, match=what):
            decode_frame(data)
    with pytest.raises(UsageError, match="do not fit a frame"):
        encode_frame(FrameKind.BATCH, bytes(MAX_PAYLOAD_BYTES + 1))


def test_the_largest_frame_passes_a_reader() -> None:
    payload = b"\x01" * MAX_PAYLOAD_BYTES
    frame = encode_frame(FrameKind.BATCH, payload)
    assert len(frame) - 1 <= MAX_FRAME_BYTES
    assert FrameReader().feed(frame) == [(FrameKind.BATCH, payload)]


payloads = st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=300)), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(payloads, st.integers(1, 400), st.binary(max_size=30))
def test_a_stream_cut_anywhere_after_boot_noise_gives_all_frames(
    sent: list[tuple[FrameKind, bytes]], chunk: int, noise: bytes
) -> None:
    stream = noise + b"\0" + b"".join(encode_frame(kind, payload) for kind, payload in sent)
    reader = FrameReader()
    got = [frame for at in range(0, len(stream), chunk) for frame in reader.feed(stream[at : at + chunk])]
    assert got == sent
    assert reader.damaged == sum(1 for piece in noise.split(b"\0") if piece)


@settings(max_examples=200, deadline=None)
@given(payloads, st.data())
def test_a_lost_or_changed_byte_costs_at_most_two_frames_and_is_counted(
    sent: list[tuple[FrameKind, bytes]], data: st.DataObject
) -> None:
    stream = bytearray(b"".join(encode_frame(kind, payload) for kind, payload in sent))
    at = data.draw(st.integers(0, len(stream) - 1))
    if data.draw(st.booleans()):
        del stream[at]
    else:
        stream[at] ^= data.draw(st.integers(1, 255))
    reader = FrameReader()
    got = reader.feed(bytes(stream)) + reader.feed(b"\0")
    assert len(got) >= len(sent) - 2
    assert all(frame in sent for frame in got)
    assert reader.damaged >= 1 or got == sent


def test_endless_noise_is_bounded_and_counted_once() -> None:
    reader = FrameReader()
    for _ in range(300):
        assert reader.feed(b"\x55" * 1000) == []
        assert len(reader._held) <= MAX_FRAME_BYTES
    assert reader.feed(b"\0" + encode_frame(FrameKind.MESSAGE, b"{}")) == [(FrameKind.MESSAGE, b"{}")]
    assert reader.damaged == 1
