"""Slow twin of the ESP32 record reader."""

import re
import struct
from binascii import crc32

from tests.oracles import MAX_TIME_US, Capture, Row, parse_frame

MARK = 1


def read(data: bytes, key: bytes) -> Capture:
    """Read a whole stream: find every record with a right CRC from the front, each behind the one before."""
    found, at, clock_us, mark_us, unix_us = Capture(), 0, 0, 0, 0
    for start, end in _records(data):
        found.damaged += start > at
        found.damaged_bytes += start - at
        at = end
        kind, state, stamp_us, sig_len, captured, rssi_dbm, noise_dbm, channel = struct.unpack_from(
            "<2xBBIHHbbBx", data, start
        )
        if kind == MARK:
            clock_us, unix_us = struct.unpack_from("<QQ", data, start + 16)
            if clock_us >> 62 or clock_us % 2**32 != stamp_us or unix_us >= MAX_TIME_US:
                clock_us, unix_us = stamp_us, 0
            mark_us = clock_us
            continue
        found.packets += 1
        later_us = (stamp_us - clock_us) % 2**32
        clock_us += later_us - 2**32 if later_us > 2**32 - 1 - 10**6 else later_us
        time_us = unix_us + clock_us - mark_us if unix_us else -1
        payload = data[start + 16 : start + 16 + captured]
        row = _row(payload, sig_len, state, rssi_dbm=rssi_dbm, time_us=time_us, key=key)
        if isinstance(row, str):
            found.skipped[row] += 1
            continue
        row.rssi_dbm, row.noise_dbm, row.time_us = rssi_dbm, noise_dbm, time_us
        row.status |= 0 if row.channel else 4
        row.channel = row.channel or channel
        row.status |= 2 if found.rows and time_us < found.rows[-1].time_us else 0
        found.rows.append(row)
    found.truncated = at < len(data) and _is_head(data[at:])
    if at < len(data) and not found.truncated:
        found.damaged += 1
        found.damaged_bytes += len(data) - at
    return found


def _records(data: bytes) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for match in re.finditer(rb"(?=FR[\0\1])", data):
        start = match.start()
        if (out and start < out[-1][1]) or len(data) - start < 20:
            continue
        kind, sig_len, captured = data[start + 2], *struct.unpack_from("<HH", data, start + 8)
        end = start + 20 + captured
        sane = max(captured, sig_len) <= 4095 and (kind != MARK or captured == 16) and end <= len(data)
        if sane and crc32(data[start : end - 4]) == int.from_bytes(data[end - 4 : end], "little"):
            out.append((start, end))
    return out


def _is_head(rest: bytes) -> bool:
    """Whether what is left began as a record that the end cut."""
    if rest[:2] != b"FR"[: len(rest)] or (len(rest) > 2 and rest[2] > 1):
        return False
    if len(rest) < 16:
        return True
    sig_len, captured = struct.unpack_from("<HH", rest, 8)
    sane = max(captured, sig_len) <= 4095 and (rest[2] != MARK or captured == 16)
    return bool(sane and len(rest) < 20 + captured)


def _row(payload: bytes, sig_len: int, state: int, *, rssi_dbm: int, time_us: int, key: bytes) -> Row | str:
    if state:
        return "bad_fcs"
    if sig_len < 4:
        return "too_short"
    row = parse_frame(payload[: sig_len - 4], key)
    if isinstance(row, str):
        return row
    if not rssi_dbm:
        return "no_rssi"
    if not 0 <= time_us < MAX_TIME_US:
        return "no_time"
    row.status = 1 if len(payload) < sig_len - 4 else 0
    return row
