"""Slow twins of the kernels, in plain Python: what is right, not what is fast."""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hostkit.core.dot11 import ELEMENT_TABLE, ElementRule, Space, Treatment

U64 = 2**64 - 1
MAX_TIME_US = 4_102_444_800_000_000  # the year 2100

# ---- SipHash-2-4, from the paper ----


def siphash(key: bytes, data: bytes) -> int:
    """Give SipHash-2-4 of `data` (Aumasson and Bernstein 2012, section 2)."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) % 256,))
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _sip_rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _sip_rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rotate(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & U64


def _sip_rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0], v[2] = (v[0] + v[1]) & U64, (v[2] + v[3]) & U64
        v[1], v[3] = _rotate(v[1], 13) ^ v[0], _rotate(v[3], 16) ^ v[2]
        v[0] = _rotate(v[0], 32)
        v[2], v[0] = (v[2] + v[1]) & U64, (v[0] + v[3]) & U64
        v[1], v[3] = _rotate(v[1], 17) ^ v[2], _rotate(v[3], 21) ^ v[0]
        v[2] = _rotate(v[2], 32)


# ---- fingerprint ----

SALT_A, SALT_B = 0xA0761D6478BD642F, 0xE7037ED1A0B428DB
OTHER = ElementRule(space=Space.ELEMENT, code=0, select=0, treatment=Treatment.STABLE, bit=0, clear=bytes(64))


def _fold(a: int, b: int) -> int:
    product = a * b
    return (product & U64) ^ (product >> 64)


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _absorb(state: int, data: bytes) -> int:
    state ^= len(data) * SALT_B & U64
    while len(data) > 16:
        state = _fold(_word(data[:8]) ^ SALT_A, _word(data[8:16]) ^ state)
        data = data[16:]
    if len(data) >= 4:
        width = 8 if len(data) >= 8 else 4
        a, b = _word(data[:width]), _word(data[-width:])
    else:
        a, b = _word(bytes((data[0], data[len(data) // 2], data[-1])) if data else b""), 0
    return _fold(a ^ SALT_A, b ^ state)


def _finish(state: int) -> int:
    state = _fold(state ^ SALT_A, SALT_B)
    return (state ^ state >> 32) & 0xFFFFFFFF


def _rule(number: int, body: bytes) -> ElementRule:
    space, code = Space.ELEMENT, number
    if number == 255:
        if not body:
            return OTHER
        space, code = Space.EXTENSION, body[0]
    elif number == 221:
        space, code = Space.VENDOR, int.from_bytes(body[:4], "big") if len(body) >= 4 else 0
    for rule in ELEMENT_TABLE:
        if rule.space == space and code & rule.select == rule.code:
            return rule
    return OTHER


def _reduced(element: bytes, rule: ElementRule) -> bytes:
    """Give what a description has of an element."""
    if rule.treatment == Treatment.DROP:
        return b""
    if rule.treatment == Treatment.TYPE:
        return b"\xdd\4" + element[2:6]
    if rule.treatment == Treatment.PRESENCE:
        return b"\xff\1" + element[2:3] if element[0] == 255 else element[:1] + b"\0"
    if rule.treatment == Treatment.MASKED and 16 <= len(element) <= 64:
        return bytes(octet & ~clear for octet, clear in zip(element, rule.clear, strict=False))
    if element[0] == 221:
        head = element[2:6] if element[1] >= 4 else b""
        digest = _finish(_absorb(SALT_A, element[2 + len(head) :]))
        return b"\xdd\x09" + head.ljust(4, b"\0") + element[1:2] + digest.to_bytes(4, "little")
    return element


def describe(frame: bytes) -> bytes:
    """Give the description of a bare probe request."""
    body = frame[28:] if frame[1] & 0x80 else frame[24:]
    return b"".join(_reduced(element, _rule(element[0], element[2:])) for element in _elements(body))


def fingerprint_of(description: bytes) -> int:
    """Give the fingerprint of every frame with that description."""
    state = SALT_A
    for element in _elements(description):
        state = _absorb(state, element)
    return _finish(state)


def _elements(data: bytes) -> Iterator[bytes]:
    while len(data) >= 2 and len(data) >= 2 + data[1]:
        yield data[: 2 + data[1]]
        data = data[2 + data[1] :]


@dataclass
class Row:
    """What one probe request comes to; names as in FRAME."""

    device_key: int
    sequence: int
    flags: int
    fingerprint: int = 0
    ssid_key: int = 0
    element_mask: int = 0
    channel: int = 0
    element_count: int = 0
    time_us: int = 0
    rssi_dbm: int = 0
    noise_dbm: int = 0
    status: int = 0


def parse_frame(frame: bytes, key: bytes) -> Row | str:
    """Give the row of a bare frame, or why it is none."""
    if len(frame) < 2:
        return "too_short"
    if frame[0] & 3:
        return "unknown_version"
    if frame[0] & 0x0C:
        return "not_management"
    if frame[0] != 0x40:
        return "other_subtype"
    if frame[1] & 0x40:
        return "encrypted"
    if len(frame) < 24:
        return "too_short"
    flags = (1 if frame[10] & 2 else 0) | (4 if frame[1] & 8 else 0)
    row = Row(siphash(key, frame[10:16]), struct.unpack_from("<H", frame, 22)[0] >> 4, flags)
    body = frame[28:] if frame[1] & 0x80 else frame[24:]
    if frame[1] & 0x80 and len(frame) < 28:
        row.flags |= 8
    _walk(body, key, row)
    return row


def _walk(body: bytes, key: bytes, row: Row) -> None:
    description, used = b"", 0
    for element in _elements(body):
        used += len(element)
        rule = _rule(element[0], element[2:])
        description += _reduced(element, rule)
        if element[0] == 0 and not row.element_mask >> rule.bit & 1 and element[1]:
            row.ssid_key = siphash(key, element[2:]) & 0xFFFFFFFF or 1
        if element[0] == 3 and element[1] == 1 and not row.channel:
            row.channel = element[2]
        row.element_mask |= 1 << rule.bit
        row.element_count = min(row.element_count + 1, 255)
    row.flags |= 0 if used == len(body) else 8
    row.fingerprint = fingerprint_of(description)


# ---- radiotap ----

# Field: alignment, size, as radiotap.org lists them.
FIELDS = {
    **{0: (8, 8), 1: (1, 1), 2: (1, 1), 3: (2, 4), 4: (2, 2), 5: (1, 1), 6: (1, 1), 7: (2, 2), 8: (2, 2), 9: (2, 2)},
    **{10: (1, 1), 11: (1, 1), 12: (1, 1), 13: (1, 1), 14: (2, 2), 15: (2, 2), 16: (1, 1), 17: (1, 1), 18: (4, 8)},
    **{19: (1, 3), 20: (4, 8), 21: (2, 12), 22: (8, 12), 23: (2, 12), 24: (2, 12), 25: (2, 6), 26: (1, 1), 27: (2, 4)},
}


def radiotap_fields(header: bytes) -> dict[int, bytes] | None:
    """Give the first value of each field of a whole header; None: it runs over its own length."""
    words, at = [], 4
    while not words or words[-1] >> 31:
        if at + 4 > len(header):
            return None
        words.append(struct.unpack_from("<I", header, at)[0])
        at += 4
    found: dict[int, bytes] = {}
    vendor = again = False
    for index, word in enumerate(words):
        if not vendor:
            if index and not again:
                return found
            for number, (align, size) in FIELDS.items():
                if word >> number & 1:
                    at += -at % align
                    if at + size > len(header):
                        return None
                    found.setdefault(number, header[at : at + size])
                    at += size
        again = False
        if word >> 30 & 1:
            at += -at % 2
            if at + 6 > len(header):
                return None
            at += 6 + struct.unpack_from("<H", header, at + 4)[0]
            vendor = True
        elif word >> 29 & 1:
            vendor, again = False, True
        if at > len(header):
            return None
    return found


def channel_of(mhz: int) -> int:
    """Give the channel number of a centre frequency; 0: none."""
    if mhz == 2484:
        return 14
    for low, high, base in ((2412, 2472, 2407), (4910, 4980, 4000), (5001, 5925, 5000), (5951, 7115, 5950)):
        if low <= mhz <= high:
            return (mhz - base) // 5
    return 0


# ---- captures ----


@dataclass
class Capture:
    """What a capture comes to; `fault` is the kernel's word for why reading stopped."""

    rows: list[Row] = field(default_factory=list)
    packets: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    fault: str = "none"
    damaged: int = 0  # of ESP32 records
    damaged_bytes: int = 0


@dataclass
class Raw:
    """One packet of any capture."""

    data: bytes
    original_size: int
    time_us: int | None
    link_type: int = 127


class _StopError(Exception):
    """Ends the walk: a fault or a truncation."""


def read_capture(data: bytes, key: bytes) -> Capture:
    """Read a whole pcap or pcapng."""
    capture = Capture()
    try:
        for packet in _pcapng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else _pcap(data):
            capture.packets += 1
            row = _row_of(packet, key)
            if isinstance(row, str):
                capture.skipped[row] += 1
            else:
                row.status |= 2 if capture.rows and row.time_us < capture.rows[-1].time_us else 0
                capture.rows.append(row)
    except _StopError as stop:
        reason = str(stop)
        capture.truncated = reason == "truncated"
        capture.fault = "none" if capture.truncated else reason
    return capture


def _row_of(packet: Raw, key: bytes) -> Row | str:
    data = packet.data
    if packet.link_type != 127:
        return "other_link_type"
    if len(data) < 8 or data[0]:
        return "bad_radiotap"
    length = struct.unpack_from("<H", data, 2)[0]
    fields = radiotap_fields(data[:length]) if 8 <= length <= len(data) else None
    if fields is None:
        return "bad_radiotap"
    flags = fields.get(1, b"\0")[0]
    if flags & 0x40:
        return "bad_fcs"
    size = max(packet.original_size, len(data)) - (4 if flags & 0x10 else 0)
    if size < length:
        return "too_short"
    row = parse_frame(data[length:size], key)
    if isinstance(row, str):
        return row
    if fields.get(5, b"\0") == b"\0":
        return "no_rssi"
    if packet.time_us is None:
        return "no_time"
    row.time_us = packet.time_us
    row.rssi_dbm = struct.unpack("b", fields[5])[0]
    row.noise_dbm = struct.unpack("b", fields.get(6, b"\0"))[0]
    row.status = 1 if len(data) < size else 0
    if not row.channel:
        row.status |= 4
        row.channel = channel_of(struct.unpack_from("<H", fields[3])[0]) if 3 in fields else 0
    return row


def _pcap(data: bytes) -> Iterator[Raw]:
    orders = {b"\xd4\xc3\xb2\xa1": ("<", 1), b"\xa1\xb2\xc3\xd4": (">", 1)}
    orders |= {b"\x4d\x3c\xb2\xa1": ("<", 1000), b"\xa1\xb2\x3c\x4d": (">", 1000)}
    if data[:4] not in orders or len(data) < 24:
        raise _StopError("not_capture")
    order, scale = orders[data[:4]]
    version, link_type = struct.unpack_from(order + "H14xI", data, 4)
    if version != 2:
        raise _StopError("version")
    if link_type & 0xFFFF != 127:
        raise _StopError("link_type")
    at = 24
    while at < len(data):
        if len(data) - at < 16:
            raise _StopError("truncated")
        second_s, part, size, original = struct.unpack_from(order + "4I", data, at)
        if size > 262144:
            raise _StopError("packet_size")
        if at + 16 + size > len(data):
            raise _StopError("truncated")
        time_us = second_s * 1_000_000 + part // scale if second_s < MAX_TIME_US // 1_000_000 else None
        yield Raw(data[at + 16 : at + 16 + size], original, time_us)
        at += 16 + size


def _pcapng(data: bytes) -> Iterator[Raw]:
    at, order, radiotap_seen = 0, "<", False
    interfaces: list[tuple[int, int, int]] = []
    while at < len(data):
        if len(data) - at < 12:
            raise _StopError("truncated")
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(data[at + 8 : at + 12], "")
            if not order:
                raise _StopError("not_capture")
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or length > 2**24:
            raise _StopError("block_size")
        if at + length > len(data):
            raise _StopError("truncated")
        if struct.unpack_from(order + "I", data, at + length - 4)[0] != length:
            raise _StopError("block_size")
        body = data[at + 8 : at + length - 4]
        if kind == 1:
            interfaces.append(_interface(body, order))
            radiotap_seen |= interfaces[-1][0] == 127
        elif kind in (2, 3, 6):
            yield _packet(kind, body, order, interfaces, radiotap_seen)
        at += length


def _options(data: bytes, order: str) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        code, size = struct.unpack_from(order + "HH", data)
        if not code or 4 + size > len(data):
            break
        found.setdefault(code, data[4 : 4 + size])
        data = data[4 + size + -size % 4 :]
    return found


def _interface(body: bytes, order: str) -> tuple[int, int, int]:
    if len(body) < 8:
        raise _StopError("block_size")
    options = _options(body[8:], order)
    resolution = options.get(9, b"\x06")
    offset = options.get(14, bytes(8))
    return (
        struct.unpack_from(order + "H", body)[0],
        resolution[0] if len(resolution) == 1 else 6,
        struct.unpack(order + "q", offset)[0] if len(offset) == 8 else 0,
    )


def _packet(kind: int, body: bytes, order: str, interfaces: list[tuple[int, int, int]], radiotap_seen: bool) -> Raw:
    fixed = 4 if kind == 3 else 20
    if len(body) < fixed:
        raise _StopError("block_size")
    number = {2: "H", 3: "", 6: "I"}[kind]
    index = struct.unpack_from(order + number, body)[0] if number else 0
    if index >= len(interfaces):
        raise _StopError("no_interface")
    link_type, resolution, offset_s = interfaces[index]
    if link_type != 127 and not radiotap_seen:
        raise _StopError("link_type")
    if kind == 3:
        original = struct.unpack_from(order + "I", body)[0]
        return Raw(body[4 : 4 + original], original, None, link_type)
    high, low, size, original = struct.unpack_from(order + "4I", body, 4)
    if size > 262144 or fixed + size > len(body):
        raise _StopError("packet_size")
    per_second = 2 ** (resolution & 127) if resolution & 128 else 10**resolution
    time_us = offset_s * 1_000_000 + (high << 32 | low) * 1_000_000 // per_second
    return Raw(body[fixed : fixed + size], original, time_us if 0 <= time_us < MAX_TIME_US else None, link_type)
