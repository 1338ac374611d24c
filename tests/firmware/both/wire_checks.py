"""Batches and serial frames against the golden vectors the hub reads."""

import json
import os
import struct
from binascii import crc32, hexlify, unhexlify

from sensor import wire
from sensor.cobs import cobs_close, cobs_decode, cobs_more

_DATA = (os.getenv("WIRE_DATA") or "tests/data/wire") + "/"
_PROVENANCES = ("live", "replay", "simulated")
_RADIOS = {"wifi": 0, "ble": 1}


def _load(name):
    with open(_DATA + name) as file:
        return json.load(file)


def _packed(row):
    batch = wire.Batch(row["probe"])
    batch.open(row["base_us"], len(row["listened"]))
    listened = bytearray(96)
    for index, entry in enumerate(row["listened"]):
        struct.pack_into("<BBI", listened, index * 6, _RADIOS[entry["radio"]], entry["channel"], entry["listened_ms"])
    for one in row["records"]:
        record = struct.pack(
            "<IQIIHbbBB", one["offset_us"], int(one["device_key"], 16), one["fingerprint"], one["ssid_key"],
            one["sequence"], one["rssi_dbm"], one["noise_dbm"], one["channel"], one["flags"],
        )  # fmt: skip
        batch.room()[batch.at : batch.at + 26] = record
        batch.took(1)
    size = batch.close(
        row["sent_us"], listened, row["key_id"], row["boot"], row["seq"], row["element_table"], row["base_time_us"],
        row["seen"], row["kept"], row["dropped"],
    )  # fmt: skip
    batch.data[5] = _PROVENANCES.index(row["provenance"])  # a probe's own is always live
    struct.pack_into("<I", batch.data, size - 4, crc32(batch.data[: size - 4]))
    return bytes(batch.data[:size])


def check_batches_are_the_golden_bytes():
    rows = _load("batches.json")
    assert len(rows) >= 4
    for row in rows:
        assert hexlify(_packed(row["batch"])).decode() == row["hex"], row["name"]


def check_room_ends_with_the_last_record():
    batch = wire.Batch("p")
    batch.open(5, 3)
    for taken in range(wire.MOST_RECORDS):
        assert not batch.full
        assert len(batch.room()) - batch.at == (wire.MOST_RECORDS - taken) * 26
        batch.took(1)
    assert batch.full
    assert len(batch.room()) == batch.at
    assert batch.at + 4 <= wire.MOST_BATCH_BYTES


def check_last_us_is_base_and_offset():
    batch = wire.Batch("p")
    batch.open(7_000_000_000, 0)
    batch.room()[batch.at : batch.at + 4] = struct.pack("<I", 4_000_000_000)
    batch.took(1)
    assert batch.last_us() == 11_000_000_000


def check_cobs_is_the_golden_bytes():
    for row in _load("frames.json")["cobs"]:
        data, out = unhexlify(row["data"]), bytearray(len(row["encoded"]) // 2 + 3)
        size = cobs_close(out, cobs_more(out, 1, data, len(data)))
        assert hexlify(out[: size - 1]).decode() == row["encoded"], row["data"]
        assert out[size - 1] == 0
        assert cobs_decode(out, size - 1) == len(data)
        assert out[: len(data)] == data


def check_frames_are_the_golden_bytes():
    rows = [row for row in _load("frames.json")["frames"] if len(row["frame"]) < 8000]
    assert rows
    for row in rows:
        payload = unhexlify(row["payload"])
        out = bytearray(wire.frame_room(len(payload)))
        size = wire.frame_into(out, row["kind"], memoryview(payload))
        assert hexlify(out[:size]).decode() == row["frame"]
        assert wire.frame_from(out, size - 1) == len(payload)
        assert (out[0], bytes(out[1 : 1 + len(payload)])) == (row["kind"], payload)


def check_no_flipped_bit_passes():
    out = bytearray(wire.frame_room(40))
    size = wire.frame_into(out, 2, memoryview(b"\0" * 20 + b"footfall" + b"\0" * 12))
    good = bytes(out[: size - 1])
    for index in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[index] ^= 1 << bit
            assert wire.frame_from(bad, len(bad)) == -1, (index, bit)


def check_cut_frames_are_damage():
    out = bytearray(wire.frame_room(300))
    size = wire.frame_into(out, 1, memoryview(bytes(range(256)) + b"\0" * 44))
    for end in range(size - 1):
        assert wire.frame_from(bytearray(out[:end]), end) == -1


def check_a_closed_batch_has_its_own_crc_and_is_live():
    batch = wire.Batch("p")
    batch.open(0, 0)
    size = batch.close(9, bytearray(96), 1, 2, 3, 4, 5, 6, 7, 8)
    assert size == 98
    assert struct.unpack("<I", batch.data[94:98])[0] == crc32(batch.data[:94])
    assert batch.data[5] == 0
    assert wire.boot_of(memoryview(batch.data)) == 2
