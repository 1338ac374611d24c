"""Sealed batches on flash, in append-only segments: none is ever rewritten, each goes whole. Pure.

A full log drops its oldest segment of which nothing was ever sent: what may have arrived is never taken for lost.
The folder holds nothing readable without the site key. A segment cut by a power loss ends at its last whole entry.
"""

import os
import struct
from binascii import crc32

from cryptolib import aes
from micropython import const

from .wire import MOST_BATCH_BYTES

SEGMENT_BYTES = const(16_384)
MOST_SEGMENTS = 24  # 384 KiB
_HEAD = const("<2sHIIIHH16s")  # magic, length, boot, seq, id of the sealing key, records, 0, IV; then CRC-32 of all
_HEAD_BYTES = const(38)
_SEALED_AT = const(_HEAD_BYTES + 4)
_MAGIC = const(b"FS")
_CBC = const(2)
_BUFFER_BYTES = _SEALED_AT + (MOST_BATCH_BYTES + 15) // 16 * 16


class FlashLog:
    """A queue of (boot, seq, key id, records, batch), the oldest first, with one reading cursor."""

    def __init__(self, folder: str, most_segments: int = MOST_SEGMENTS) -> None:
        self._folder = folder
        self._most = most_segments
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._segments: list[list[int]] = []  # number, bytes, entries, records
        self._front = 0  # offset of the oldest entry in the first segment
        self._next_number = 1
        self._open = False  # the last segment takes more; never one of an earlier boot
        self._cursor = self._behind = (0, 0)  # segment number and offset of the entry to read, and of the one behind it
        self._sent = 0  # number of the last segment of which something went
        self.entries = 0
        self.records = 0
        self.torn = 0  # entries found cut or damaged
        self.written_bytes = 0  # since boot
        self._scan()

    def append(self, head: tuple[int, int, int, int], batch: memoryview, key: bytes, went: bool) -> int:
        """Seal and add one of (boot, seq, key id, records), that `went` before or not; OSError if flash refuses.

        Gives how many were dropped.
        """
        gone = 0
        size = _SEALED_AT + _padded(len(batch))
        if not self._open or not self._segments or self._segments[-1][1] + size > SEGMENT_BYTES:
            gone = self._start_segment()
        self._seal(head, batch, key)
        segment = self._segments[-1]
        with open(self._path(segment[0]), "ab") as file:
            file.write(self._view[:size])
        segment[1] += size
        segment[2] += 1
        segment[3] += head[3]
        self.entries += 1
        self.records += head[3]
        self.written_bytes += size
        if went:
            self._sent = segment[0]
        return gone

    def front(self) -> tuple[int, int, int, int]:
        """Give boot, seq, key id and records of the oldest; there must be one."""
        head = self._read(self._segments[0][0], self._front, _HEAD_BYTES)
        return head[2], head[3], head[4], head[5]

    def pop(self) -> tuple[int, int]:
        """Forget the oldest; give boot and seq of it."""
        segment = self._segments[0]
        head = self._read(segment[0], self._front, _HEAD_BYTES)
        if self._cursor == (segment[0], self._front):
            self._cursor = (segment[0], self._front + _SEALED_AT + _padded(head[1]))
        self._front += _SEALED_AT + _padded(head[1])
        segment[2] -= 1
        segment[3] -= head[5]
        self.entries -= 1
        self.records -= head[5]
        if segment[2] <= 0:
            self._drop_segment(0)
        return head[2], head[3]

    def rewind(self) -> None:
        """The next read gives the oldest."""
        self._cursor = (self._segments[0][0], self._front) if self._segments else (0, 0)

    def skip_all(self) -> None:
        """All there is went, too; the next read gives what is appended next."""
        self._behind = (self._segments[-1][0], self._segments[-1][1])
        self.advance()

    def read(self, key_of) -> memoryview | None:
        """Give the batch at the cursor until the next call; None if `key_of(key id)` is None. ValueError: damaged."""
        number, at = self._settle_cursor()
        head = self._read(number, at, _BUFFER_BYTES)
        key = key_of(head[4])
        if key is None:
            return None
        end = _SEALED_AT + _padded(head[1])
        crc = struct.unpack_from("<I", self._buffer, _HEAD_BYTES)[0]
        if crc != crc32(self._view[_SEALED_AT:end], crc32(self._view[:_HEAD_BYTES])):
            raise ValueError("damaged")
        self._behind = (number, at + end)
        sealed = self._view[_SEALED_AT:end]
        aes(key, _CBC, head[7]).decrypt(sealed, sealed)
        return self._view[_SEALED_AT : _SEALED_AT + head[1]]

    def advance(self) -> None:
        """What `read` gave went; the next read gives what is behind it."""
        self._cursor = self._behind
        self._sent = max(self._sent, self._behind[0])

    def _seal(self, head: tuple[int, int, int, int], batch: memoryview, key: bytes) -> None:
        iv = os.urandom(16)
        size = len(batch)
        sealed = self._view[_SEALED_AT : _SEALED_AT + _padded(size)]
        sealed[:size] = batch
        for at in range(size, len(sealed)):
            sealed[at] = 0
        aes(key, _CBC, iv).encrypt(sealed, sealed)
        struct.pack_into(_HEAD, self._buffer, 0, _MAGIC, size, head[0], head[1], head[2], head[3], 0, iv)
        crc = crc32(sealed, crc32(self._view[:_HEAD_BYTES]))
        struct.pack_into("<I", self._buffer, _HEAD_BYTES, crc)

    def _read(self, number: int, at: int, size: int) -> tuple[bytes, int, int, int, int, int, int, bytes]:
        with open(self._path(number), "rb") as file:
            file.seek(at)
            file.readinto(self._view[:size])
        return struct.unpack_from(_HEAD, self._buffer, 0)

    def _settle_cursor(self) -> tuple[int, int]:
        """Move a cursor at the end of its segment, or in one that went, to the next."""
        number, at = self._cursor
        for segment in self._segments:
            if segment[0] == number and at < segment[1]:
                return number, at
            if segment[0] > number:
                return segment[0], self._front if segment is self._segments[0] else 0
        raise IndexError("nothing left to read")

    def _start_segment(self) -> int:
        gone = 0
        while len(self._segments) >= self._most:
            oldest = 0
            while self._segments[oldest][0] <= self._sent:
                oldest += 1
                if oldest == self._most:  # more segments than batches may be on their way, so not with MOST_SEGMENTS
                    raise OSError("everything is on its way")
            gone += self._segments[oldest][2]
            self.entries -= self._segments[oldest][2]
            self.records -= self._segments[oldest][3]
            self._drop_segment(oldest)
        self._segments.append([self._next_number, 0, 0, 0])
        self._next_number += 1
        self._open = True
        return gone

    def _drop_segment(self, at: int) -> None:
        number = self._segments.pop(at)[0]
        if not at:
            self._front = 0
        try:
            os.remove(self._path(number))
        except OSError:
            pass  # never written, or gone already

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.seg"

    def _scan(self) -> None:
        """Find what an earlier boot left."""
        try:
            os.mkdir(self._folder)
        except OSError:
            pass  # it is there
        for name in sorted(os.listdir(self._folder)):
            if name.endswith(".seg") and name[:-4].isdigit():
                self._scan_segment(int(name[:-4]), os.stat(f"{self._folder}/{name}")[6])
        self.rewind()
        self._sent = self._cursor[0]  # what the boot before sent is nearly always in its first

    def _scan_segment(self, number: int, size: int) -> None:
        segment = [number, 0, 0, 0]
        self._segments.append(segment)
        while segment[1] + _SEALED_AT < size:
            head = self._read(number, segment[1], _HEAD_BYTES)
            whole = _SEALED_AT + _padded(head[1])
            if head[0] != _MAGIC or head[1] > MOST_BATCH_BYTES or segment[1] + whole > size:
                break
            segment[1] += whole
            segment[2] += 1
            segment[3] += head[5]
        self.torn += segment[1] != size
        self.entries += segment[2]
        self.records += segment[3]
        if not segment[2]:
            self._segments.pop()
            os.remove(self._path(number))
        self._next_number = number + 1


def _padded(size: int) -> int:
    return (size + 15) // 16 * 16
