"""Batches and serial frames as the hub reads them (hostkit/contract/wire.md), in the caller's buffers. Pure."""

from binascii import crc32
from struct import pack, pack_into, unpack_from

from micropython import const

from .cobs import cobs_close, cobs_decode, cobs_more

VERSION = const(1)
RECORD_BYTES = const(26)
MOST_LISTENED = const(16)
WIFI, BLE = 0, 1
LIVE = const(0)
BATCH, MESSAGE = 1, 2  # kinds of serial frames
_HEADER = const("<4sBBBBH32sIIIIqQQIII")
HEADER_BYTES = const(94)
LISTENED_BYTES = const(6)
CRC_BYTES = const(4)
MOST_BATCH_BYTES = const(1130)  # 36 records with all channels, 39 with three


def head_of(probe: str, boot: int, table: int, slots) -> bytes:
    """Give what all batches of one plan begin with: header and listened entries, what differs 0."""
    head = bytearray(HEADER_BYTES + len(slots) * LISTENED_BYTES)
    pack_into(
        _HEADER, head, 0,
        b"FFLB", VERSION, LIVE, len(slots), 0, 0, probe.encode(), 0, boot, 0, table, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    at = HEADER_BYTES
    for slot in slots:
        head[at], head[at + 1] = slot[0], slot[1]
        at += LISTENED_BYTES
    return bytes(head)


def boot_of(batch: memoryview) -> int:
    """Give the boot of a packed batch."""
    return int(unpack_from("<I", batch, 46)[0])


def frame_room(payload: int) -> int:
    """Give how many bytes a serial frame with that much payload takes at most."""
    return payload + 5 + (payload + 5) // 254 + 2


def frame_into(out: bytearray, kind: int, payload: memoryview) -> int:
    """Write one serial frame with its closing 0 into `out`, which has `frame_room`; give its length, at most 4,094."""
    head = bytes((kind,))
    state = cobs_more(out, 1, head, 1)
    state = cobs_more(out, state, payload, len(payload))
    state = cobs_more(out, state, pack("<I", crc32(payload, crc32(head))), 4)
    return cobs_close(out, state)


def frame_from(data: bytearray, size: int) -> int:
    """Undo it in place, without the closing 0: give the payload's length, it begins at `data[1]` behind its kind.

    -1 for damage.
    """
    size = cobs_decode(data, size)
    if size < 5:
        return -1
    body = memoryview(data)[: size - 4]
    return size - 5 if unpack_from("<I", data, size - 4)[0] == crc32(body) else -1
