"""Batches: equal to the golden vectors and to a slow packer, refused with the byte of the damage, never read past."""

import binascii
import json
import struct
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit import contract
from hostkit.core import wire
from hostkit.core.wire import RECORD, Batch, Flag, Listened, decode_batch, encode_batch, sightings_of_batch
from hostkit.errors import InputError, UsageError
from hostkit.model import Provenance, Radio

VECTORS = Path(__file__).parents[1] / "data" / "wire"
GOOD = json.loads((VECTORS / "batches.json").read_text("utf-8"))
REFUSED = json.loads((VECTORS / "refused.json").read_text("utf-8"))
RECORD_FIELDS = ("offset_us", "device_key", "fingerprint", "ssid_key", "sequence")
RECORD_FIELDS += ("rssi_dbm", "noise_dbm", "channel", "flags")


class Plain(TypedDict):
    """A batch as the golden vectors and the oracle hold it; device keys as hexadecimal text."""

    provenance: str
    probe: str
    listened: list[dict[str, object]]
    records: list[dict[str, object]]


def oracle(plain: Plain) -> bytes:
    """Pack field by field as wire.md tells it; shares nothing with hostkit."""
    out = b"FFLB" + bytes([1, ["live", "replay", "simulated"].index(plain["provenance"])])
    out += bytes([len(plain["listened"]), 0]) + struct.pack("<H", len(plain["records"]))
    out += plain["probe"].encode() + bytes(32 - len(plain["probe"]))
    for name in ("key_id", "boot", "seq", "element_table"):
        out += struct.pack("<I", plain[name])
    for name in ("base_time_us", "base_us", "sent_us"):
        out += struct.pack("<q", plain[name])
    for name in ("seen", "kept", "dropped"):
        out += struct.pack("<I", plain[name])
    for entry in plain["listened"]:
        out += struct.pack("<BBI", ["wifi", "ble"].index(entry["radio"]), entry["channel"], entry["listened_ms"])
    for record in plain["records"]:
        out += struct.pack("<I", record["offset_us"]) + bytes.fromhex(record["device_key"])[::-1]
        out += struct.pack("<IIHbbBB", *(record[name] for name in RECORD_FIELDS[2:]))
    return out + struct.pack("<I", binascii.crc32(out))


def batch_of(plain: Plain) -> Batch:
    rows = [
        tuple(int(row[name], 16) if name == "device_key" else row[name] for name in RECORD_FIELDS)
        for row in plain["records"]
    ]
    rest = {name: value for name, value in plain.items() if name not in ("provenance", "listened", "records")}
    return Batch(
        provenance=Provenance(plain["provenance"]),
        listened=tuple(Listened(**{**entry, "radio": Radio(entry["radio"])}) for entry in plain["listened"]),
        records=np.array(rows, RECORD),
        **rest,
    )


def plain_of(batch: Batch) -> Plain:
    rows = [dict(zip(RECORD_FIELDS, row.tolist(), strict=True)) for row in batch.records]
    names = [name for name, _ in wire.LAYOUT if hasattr(batch, name)]
    return {
        **{name: getattr(batch, name) for name in names},
        "listened": [
            {"radio": entry.radio.value, "channel": entry.channel, "listened_ms": entry.listened_ms}
            for entry in batch.listened
        ],
        "records": [{**row, "device_key": f"{row['device_key']:016x}"} for row in rows],
    }


u32 = st.integers(0, 2**32 - 1)


@st.composite
def plains(draw: st.DrawFn) -> Plain:
    span_us = draw(u32)
    base_us = draw(st.integers(0, wire.MAX_TIME_US - span_us))
    record = st.fixed_dictionaries(
        {
            "offset_us": st.integers(0, span_us),
            "device_key": st.from_regex("[0-9a-f]{16}", fullmatch=True),
            "fingerprint": u32,
            "ssid_key": u32,
            "sequence": st.integers(0, 4095),
            "rssi_dbm": st.integers(-128, 127),
            "noise_dbm": st.integers(-128, 127),
            "channel": st.integers(0, 255),
            "flags": st.integers(0, 31),
        }
    )
    radios = st.tuples(st.sampled_from(["wifi", "ble"]), st.integers(0, 255))
    listened = [
        {"radio": radio, "channel": channel, "listened_ms": draw(st.integers(0, span_us // 1000))}
        for radio, channel in draw(st.lists(radios, unique=True, max_size=8))
    ]
    names = ("boot", "element_table", "seen", "kept", "dropped")
    return {
        "provenance": draw(st.sampled_from(["live", "replay", "simulated"])),
        "probe": draw(st.from_regex("[a-z0-9-]{1,32}", fullmatch=True)),
        "key_id": draw(st.integers(1, 2**32 - 1)),
        "seq": draw(st.integers(1, 2**32 - 1)),
        **{name: draw(u32) for name in names},
        "base_time_us": draw(st.integers(0, wire.MAX_TIME_US)),
        "base_us": base_us,
        "sent_us": base_us + span_us,
        "listened": listened,
        "records": draw(st.lists(record, max_size=20)),
    }


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_golden_vectors_hold_both_ways(vector: dict[str, object]) -> None:
    packed = bytes.fromhex(vector["hex"])
    assert oracle(vector["batch"]) == packed
    assert encode_batch(batch_of(vector["batch"])) == packed
    assert plain_of(decode_batch(packed)) == vector["batch"]


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_every_damage_is_refused_at_its_byte(vector: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        decode_batch(bytes.fromhex(vector["hex"]), origin="frame 3")
    assert (caught.value.where, caught.value.what) == (f"frame 3 at byte {vector['byte']}", vector["what"])


def test_a_refusal_is_one_line_with_the_next_step() -> None:
    with pytest.raises(InputError) as caught:
        decode_batch(b"\0" * 98)
    line = (
        "batch at byte 0: starts with 00000000, not 46464c42; discard it; the probe keeps it until it is acknowledged"
    )
    assert str(caught.value) == line


@settings(max_examples=150, deadline=None)
@given(plains())
def test_batches_equal_the_slow_packer_and_come_back(plain: Plain) -> None:
    packed = encode_batch(batch_of(plain))
    assert packed == oracle(plain)
    assert plain_of(decode_batch(packed)) == plain


@settings(max_examples=300, deadline=None)
@given(plains(), st.data())
def test_fuzz_any_change_is_refused(plain: Plain, data: st.DataObject) -> None:
    packed = bytearray(oracle(plain))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):  # CRC-32 finds every change within one byte
        decode_batch(packed)


@settings(max_examples=300, deadline=None)
@given(plains(), st.data())
def test_fuzz_a_change_under_a_right_crc_is_refused_or_decodes_to_itself(plain: Plain, data: st.DataObject) -> None:
    body = bytearray(oracle(plain)[:-4])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    packed = bytes(body) + struct.pack("<I", binascii.crc32(body))
    assert _decodes_to_itself(packed)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_fuzz_noise_is_refused(noise: bytes) -> None:
    for data in (noise, b"FFLB\x01" + noise):
        assert _decodes_to_itself(data + struct.pack("<I", binascii.crc32(data)))


def _decodes_to_itself(packed: bytes) -> bool:
    try:
        return encode_batch(decode_batch(packed)) == packed
    except InputError:
        return True


@given(plains(), st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_no_prefix_is_accepted(plain: Plain, at: int) -> None:
    packed = oracle(plain)
    with pytest.raises(InputError):
        decode_batch(packed[: min(at, len(packed) - 1)])


def test_records_are_a_read_only_view_of_the_input() -> None:
    packed = bytearray.fromhex(GOOD[1]["hex"])
    records = decode_batch(packed).records
    assert np.shares_memory(records, np.frombuffer(packed, np.uint8))
    assert not records.flags.writeable


def test_a_batch_shows_no_device_key() -> None:
    batch = batch_of(GOOD[1]["batch"])
    assert "records" not in repr(batch)


WRONG = [
    ("probe", "Probe", "probe id 'Probe' is not of [a-z0-9-]{1,32}"),
    ("probe", "p\n", "probe id 'p\\n' is not of [a-z0-9-]{1,32}"),
    ("key_id", 0, "key_id is 0, not in 1..4294967295"),
    ("seen", 2**32, "seen is 4294967296, not in 0..4294967295"),
    ("sent_us", 0, "sent -7200000000 us after its base, not in 0..4294967295"),
    ("listened", (Listened(radio=Radio.WIFI, channel=256, listened_ms=0),), "channel 256 is not in 0..255"),
    ("listened", (Listened(radio=Radio.WIFI, channel=1, listened_ms=-1),), "listened -1 ms of 1000 ms"),
    ("records", np.zeros(4097, RECORD), "4097 records, at most 4096"),
    ("records", np.zeros(2, wire.SIGHTING), f"records are {wire.SIGHTING}, not a row of RECORD"),
]


@pytest.mark.parametrize(("name", "value", "what"), WRONG, ids=[what[:40] for _, _, what in WRONG])
def test_what_would_be_refused_is_not_sent(name: str, value: object, what: str) -> None:
    good = batch_of(GOOD[1]["batch"])
    fields = {field: getattr(good, field) for field in Batch.__slots__}
    with pytest.raises(UsageError) as caught:
        encode_batch(Batch(**{**fields, name: value}))
    assert caught.value.what == what


def test_the_largest_batch_is_accepted_and_bounds_its_bytes() -> None:
    listened = tuple(Listened(radio=Radio.WIFI, channel=channel, listened_ms=0) for channel in range(64))
    good = batch_of(GOOD[1]["batch"])
    fields = {field: getattr(good, field) for field in Batch.__slots__}
    packed = encode_batch(Batch(**{**fields, "listened": listened, "records": np.zeros(4096, RECORD)}))
    assert len(packed) == wire.MAX_BATCH_BYTES
    assert len(decode_batch(packed).records) == 4096


def test_sightings_carry_absolute_time_and_every_field() -> None:
    batch = decode_batch(bytes.fromhex(GOOD[1]["hex"]))
    sightings = sightings_of_batch(batch, probe_index=3, shift_us=-250)
    assert sightings.dtype == wire.SIGHTING
    assert sightings["time_us"].tolist() == [1773486300123456 - 250 + offset for offset in (1500, 1750, 999999)]
    assert sightings["probe"].tolist() == [3, 3, 3]
    for name in RECORD_FIELDS[1:]:
        assert sightings[name].tolist() == batch.records[name].tolist()


def test_sightings_of_the_largest_offset_do_not_overflow() -> None:
    batch = decode_batch(bytes.fromhex(GOOD[2]["hex"]))
    shift_us = -(2**32)
    assert sightings_of_batch(batch, 0, shift_us)["time_us"].tolist() == [
        wire.MAX_TIME_US - 1,
        wire.MAX_TIME_US - 2**32,
    ]


def _table(first: str) -> list[list[str]]:
    """Take the rows of the table of wire.md that begins with the field `first`."""
    lines = contract.text("wire").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| 0 | `{first}`"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def test_the_written_layout_is_the_one_that_packs() -> None:
    header = [[str(wire.OFFSETS[name]), name, code] for name, code in wire.LAYOUT]
    assert [row[:3] for row in _table("magic")] == header
    codes = {"<u4": "I", "<u8": "Q", "<u2": "H", "int8": "b", "uint8": "B"}
    assert RECORD.fields is not None
    record = [
        [str(offset), name, codes.get(dtype.str, codes.get(dtype.name, "?"))]
        for name, (dtype, offset) in RECORD.fields.items()
    ]
    assert [row[:3] for row in _table("offset_us")] == record


def test_the_text_names_every_flag_and_limit() -> None:
    text = contract.text("wire")
    assert "flags` | `B` | 1 randomised, 2 BLE, 4 retry, 8 malformed elements, 16 registered" in text
    assert [flag.value for flag in Flag] == [1, 2, 4, 8, 16]
    assert f"at most {wire.MAX_RECORDS} |" in text
    assert f"at most {wire.MAX_LISTENED} |" in text
    assert text.startswith(f"# Wire format, version {wire.VERSION}\n")
    assert wire.VERSION in wire.READABLE_VERSIONS
