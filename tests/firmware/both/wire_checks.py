"""Batches and serial frames against the golden vectors the hub reads."""

import json
import os
import struct
from array import array
from binascii import crc32, hexlify, unhexlify

from sensor import wire
from sensor.cobs import cobs_close, cobs_decode, cobs_more
from sensor.packing import pack

_DATA = (os.getenv("WIRE_DATA") or "tests/data/wire") + "/"
_PROVENANCES = ("live", "replay", "simulated")
_U32 = 0xFFFFFFFF
_RADIOS = {"wifi": 0, "ble": 1}


def _load(name):
    with open(_DATA + name) as file:
        return json.load(file)


def _unpacked(row):
    """Give a batch as it is before it is closed, and the time each entry was open."""
    slots = [(_RADIOS[entry["radio"]], entry["channel"], 0) for entry in row["listened"]]
    head = wire.head_of(row["probe"], row["boot"], row["element_table"], slots)
    records = [
        struct.pack(
            "<IQIIHbbBB", one["offset_us"], int(one["device_key"], 16), one["fingerprint"], one["ssid_key"],
            one["sequence"], one["rssi_dbm"], one["noise_dbm"], one["channel"], one["flags"],
        )
        for one in row["records"]
    ]  # fmt: skip
    open_us = [min(entry["listened_ms"] * 1000 + 999, _U32) for entry in row["listened"]]
    return head, b"".join(records), array("I", open_us)


def _packed(row):
    """Pack it. What the ear dropped is counted with what the spool lost."""
    head, records, opened = _unpacked(row)
    data = bytearray(len(head)) + records + bytearray(4)
    offset_us = row["base_time_us"] and row["base_time_us"] - row["base_us"]
    size = pack(
        (row["seen"], 0, 1, 0, 0), data, len(data) - 4, head, opened, row["key_id"], row["seq"], row["kept"],
        row["dropped"] - 1, offset_us, row["base_us"], row["sent_us"],
    )  # fmt: skip
    assert size == len(data)
    assert all(left in (999, _U32 % 1000) for left in opened)  # below 1 ms: carried on
    data[5] = _PROVENANCES.index(row["provenance"])  # a probe's own is always live
    for index, entry in enumerate(row["listened"]):  # nor does it listen for more than 2^32 us
        if entry["listened_ms"] > _U32 // 1000:
            struct.pack_into("<I", data, 96 + index * 6, entry["listened_ms"])
    struct.pack_into("<I", data, size - 4, crc32(data[:-4]))
    return bytes(data)


def check_batches_are_the_golden_bytes():
    rows = _load("batches.json")
    assert len(rows) >= 4
    for row in rows:
        assert hexlify(_packed(row["batch"])).decode() == row["hex"], row["name"]


def check_the_largest_batch_has_room_for_its_crc():
    for channels in range(wire.MOST_LISTENED + 1):
        begin = len(wire.head_of("p", 1, 2, [(0, number, 0) for number in range(channels)]))
        records = (wire.MOST_BATCH_BYTES - 4 - begin) // 26
        assert 36 <= records <= 39


def check_what_is_no_batch_is_not_packed():
    head = wire.head_of("p", 1, 2, [(0, 6, 0)])
    for size, at, slots in ((200, 100, 2), (200, 101, 1), (200, 99, 1), (103, 100, 1), (200, 200, 1)):
        data = bytearray(size)
        try:
            pack((0, 0, 0), data, at, head, array("I", [0] * slots), 1, 1, 0, 0, 0, 0, 0)
        except ValueError:
            assert data == bytearray(size)
            continue
        raise AssertionError((size, at, slots))


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
    data = bytearray(103)
    assert pack((1 << 33, 0, 0), data, 94, wire.head_of("p", 2, 4, ()), array("I", []), 1, 3, 7, 8, 5, 0, 9) == 98
    assert struct.unpack("<I", data[94:98])[0] == crc32(data[:94])
    assert data[5] == 0
    assert wire.boot_of(memoryview(data)) == 2
