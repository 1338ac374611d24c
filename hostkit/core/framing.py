"""Frames on a serial line: COBS keeps 0 out of them, a CRC-32 vouches for each. Damage is counted.

One frame is `COBS(kind byte, payload, CRC-32 of both little-endian)` and one 0 byte; the format is in
hostkit/contract/wire.md. A sender writes a 0 before its first frame, which ends whatever the boot loader printed.
"""

import struct
from binascii import crc32
from enum import IntEnum

from hostkit.core.wire import MAX_BATCH_BYTES
from hostkit.errors import InputError, UsageError

_CRC = struct.Struct("<I")
_RUN = 254  # bytes without a zero that one COBS code byte can announce (Cheshire & Baker 1999)
MAX_PAYLOAD_BYTES = MAX_BATCH_BYTES
MAX_FRAME_BYTES = MAX_PAYLOAD_BYTES + 5 + (MAX_PAYLOAD_BYTES + 5) // _RUN + 1  # encoded, without the closing 0


class FrameKind(IntEnum):
    """What a serial frame carries."""

    BATCH = 1  # one batch, as `core.wire.encode_batch` packs it
    MESSAGE = 2  # UTF-8 JSON object {"stream": ..., "data": ...}


def cobs_encode(data: bytes) -> bytes:
    """Stuff `data` so that it holds no 0 byte (consistent overhead byte stuffing); adds 1 byte in 254."""
    out = bytearray()
    blocks = data.split(b"\0")
    for index, block in enumerate(blocks):
        start = 0
        while len(block) - start >= _RUN:
            out.append(_RUN + 1)
            out += block[start : start + _RUN]
            start += _RUN
        if start < len(block) or start == 0 or index < len(blocks) - 1:
            out.append(len(block) - start + 1)
            out += block[start:]
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Undo `cobs_encode`; raises InputError for a 0 byte, an empty input or a code that points past the end."""
    out = bytearray()
    at = 0
    code = _RUN + 1
    while at < len(data):
        if code <= _RUN:
            out.append(0)
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or 0 in block:
            raise _refusal(at, "a 0 byte inside a frame")
        if len(block) < code - 1:
            raise _refusal(at, f"announces {code - 1} bytes, {len(block)} are left")
        out += block
        at += code
    if not data:
        raise _refusal(0, "is empty")
    return bytes(out)


def encode_frame(kind: FrameKind, payload: bytes) -> bytes:
    """Frame `payload` for the serial line, closing 0 included."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise UsageError(
            f"{len(payload)} bytes do not fit a frame",
            where="serial frame",
            next_step=f"send at most {MAX_PAYLOAD_BYTES}",
        )
    body = bytes([kind]) + payload
    return cobs_encode(body + _CRC.pack(crc32(body))) + b"\0"


def decode_frame(data: bytes) -> tuple[FrameKind, bytes]:
    """Take one frame without its closing 0 apart; raises InputError for damage and for an unknown kind."""
    body = cobs_decode(data)
    if len(body) < 1 + _CRC.size:
        raise _refusal(len(data), f"holds {len(body)} bytes, the shortest frame has {1 + _CRC.size}")
    (crc,) = _CRC.unpack_from(body, len(body) - _CRC.size)
    if crc != crc32(memoryview(body)[: -_CRC.size]):
        raise _refusal(len(data), "CRC-32 does not match")
    if body[0] not in list(FrameKind):
        raise _refusal(0, f"frame kind {body[0]} is unknown")
    return FrameKind(body[0]), body[1 : -_CRC.size]


class FrameReader:
    """Cuts a serial byte stream into frames. Damage costs the frame it hits; it is counted in `damaged`."""

    def __init__(self) -> None:
        self.damaged = 0
        self._held = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """Take any number of bytes, give the frames they complete; holds at most MAX_FRAME_BYTES."""
        frames = []
        *closed, rest = data.split(b"\0")
        for piece in closed:
            self._hold(piece)
            frame = self._close()
            if frame is not None:
                frames.append(frame)
        self._hold(rest)
        return frames

    def _hold(self, piece: bytes) -> None:
        if len(self._held) + len(piece) > MAX_FRAME_BYTES:
            self._overlong = True
            self._held.clear()
        elif not self._overlong:
            self._held += piece

    def _close(self) -> tuple[FrameKind, bytes] | None:
        data, overlong = bytes(self._held), self._overlong
        self._held.clear()
        self._overlong = False
        if not data and not overlong:
            return None  # the 0 before a first frame
        try:
            if not overlong:
                return decode_frame(data)
        except InputError:
            pass
        self.damaged += 1
        return None


def _refusal(offset: int, what: str) -> InputError:
    return InputError(
        what, where=f"serial frame at byte {offset}", next_step="wait for the next; check cable and baud rate"
    )
