"""Batches and serial frames as the hub reads them (hostkit/contract/wire.md), in the caller's buffers. Pure."""

from binascii import crc32
from struct import pack, pack_into, unpack_from

from micropython import const

from .cobs import cobs_close, cobs_decode, cobs_more

VERSION = const(1)
RECORD_BYTES = const(26)
MOST_RECORDS = const(36)  # fills about 1 KiB
MOST_LISTENED = const(16)
WIFI, BLE = 0, 1
LIVE = const(0)
BATCH, MESSAGE = 1, 2  # kinds of serial frames
_HEADER = const("<4sBBBBH32sIIIIqQQIII")
HEADER_BYTES = const(94)
LISTENED_BYTES = const(6)
MOST_BATCH_BYTES = HEADER_BYTES + MOST_LISTENED * LISTENED_BYTES + MOST_RECORDS * RECORD_BYTES + 4
U32 = const(0xFFFFFFFF)


class Batch:
    """The open batch: records are written straight into `data` from `at` on. One buffer for ever."""

    def __init__(self, probe: str) -> None:
        self.data = bytearray(MOST_BATCH_BYTES)
        self._probe = probe.encode()
        self.view = self._room = memoryview(self.data)
        self._listened = 0
        self.base_us = 0
        self.at = HEADER_BYTES
        self.records = 0

    def open(self, base_us: int, listened: int) -> None:
        """Begin at probe time `base_us`, with room for `listened` entries."""
        self._listened = listened
        self.base_us = base_us
        self.at = at = HEADER_BYTES + listened * LISTENED_BYTES
        self._room = self.view[: at + MOST_RECORDS * RECORD_BYTES]
        self.records = 0

    def room(self) -> memoryview:
        """Give what records may still be written to, from the first byte of `data` on."""
        return self._room

    def took(self, records: int) -> bool:
        """So many records were written at `at`; tell whether no more fits."""
        self.at += records * RECORD_BYTES
        self.records = records = self.records + records
        return records == MOST_RECORDS

    @property
    def full(self) -> bool:
        """Tell whether no record fits any more."""
        return self.records == MOST_RECORDS

    def last_us(self) -> int:
        """Give the probe time of the last record."""
        return self.base_us + unpack_from("<I", self.data, self.at - RECORD_BYTES)[0]

    def close(
        self,
        sent_us: int,
        listened: bytearray,
        key_id: int,
        boot: int,
        seq: int,
        table: int,
        base_time_us: int,
        seen: int,
        kept: int,
        dropped: int,
    ) -> int:
        """Pack all but the records; give the whole batch's length. `listened`: entries as they travel."""
        data, view, entries, at = self.data, self.view, self._listened, self.at
        pack_into(
            _HEADER, data, 0,
            b"FFLB", VERSION, LIVE, entries, 0, self.records, self._probe, key_id, boot, seq, table,
            base_time_us, self.base_us, sent_us, seen & U32, kept & U32, dropped & U32,
        )  # fmt: skip
        size = entries * LISTENED_BYTES
        data[HEADER_BYTES : HEADER_BYTES + size] = memoryview(listened)[:size]
        pack_into("<I", data, at, crc32(view[:at]))
        return at + 4


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
