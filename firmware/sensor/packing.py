"""What the C module does to close a batch, for images without it. Pure; tests hold both to the golden vectors."""

from binascii import crc32
from struct import pack_into

from .wire import CRC_BYTES, HEADER_BYTES, LISTENED_BYTES, RECORD_BYTES

_U32 = 0xFFFFFFFF


def pack(stats, buf, at: int, head: bytes, open_us, key_id: int, seq: int, kept: int, dropped: int, *times) -> int:
    """Close the batch in `buf`: firmware/usermod/dot11cap/README.md, `pack`; `stats` as the ear's."""
    entries = len(open_us)
    begin = HEADER_BYTES + entries * LISTENED_BYTES
    whole = begin <= at <= len(buf) - CRC_BYTES and not (at - begin) % RECORD_BYTES
    if len(head) != begin or head[6] != entries or not whole:
        raise ValueError("at, head or open_us")
    buf[:begin] = head
    pack_into("<H", buf, 8, (at - begin) // RECORD_BYTES)
    pack_into("<I", buf, 42, key_id)
    pack_into("<I", buf, 50, seq)
    offset_us, base_us, sent_us = times
    base_time_us = base_us + offset_us if offset_us else 0
    pack_into("<qQQ", buf, 58, base_time_us, base_us, sent_us)
    pack_into("<III", buf, 82, stats[0] & _U32, kept & _U32, (stats[2] + dropped) & _U32)
    for index in range(entries):
        pack_into("<I", buf, HEADER_BYTES + index * LISTENED_BYTES + 2, open_us[index] // 1000)
        open_us[index] %= 1000
    pack_into("<I", buf, at, crc32(memoryview(buf)[:at]))
    return at + CRC_BYTES
