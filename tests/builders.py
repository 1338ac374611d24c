"""Frames and captures built byte by byte, so that a test knows the answer before the parser does."""

import struct
from binascii import crc32
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KEY = bytes(range(16))
ADDRESS = bytes.fromhex("dcfb4868bee4")  # globally administered
RANDOMISED = bytes.fromhex("96f62104454a")
BROADCAST = b"\xff" * 6

# ---- 802.11 ----

RATES = bytes.fromhex("02040b16")
MORE_RATES = bytes.fromhex("0c1218243048606c")
HT = bytes.fromhex("2d0113ff00000000000000000000000000000000000000000000")


def element(number: int, body: bytes = b"") -> bytes:
    """Give one information element."""
    return bytes((number, len(body))) + body


def extension(number: int, body: bytes = b"") -> bytes:
    """Give one element of the extended ids."""
    return element(255, bytes((number,)) + body)


def vendor(oui_and_type: str, body: bytes = b"") -> bytes:
    """Give one vendor element; `oui_and_type` in hex."""
    return element(221, bytes.fromhex(oui_and_type) + body)


def phone_elements(*, ssid: bytes = b"", channel: int = 6, ht: bytes = HT, tail: bytes = b"") -> bytes:
    """Give the elements of an ordinary phone."""
    head = element(0, ssid) + element(1, RATES) + element(50, MORE_RATES) + element(3, bytes((channel,)))
    return head + element(45, ht) + element(127, bytes(8)) + tail


def probe_request(
    elements: bytes,
    *,
    address: bytes = ADDRESS,
    sequence: int = 0,
    fragment: int = 0,
    control: int = 0x0040,
    ht_control: bytes = b"",
) -> bytes:
    """Give a bare probe request without FCS; `control` is the frame control field, low octet first."""
    control |= 0x8000 if ht_control else 0
    tail = struct.pack("<H", sequence << 4 | fragment)
    return struct.pack("<HH", control, 0) + BROADCAST + address + BROADCAST + tail + ht_control + elements


# ---- radiotap ----

# Field number: alignment, size (radiotap.org/fields/defined).
RADIOTAP_FIELDS = {
    **{0: (8, 8), 1: (1, 1), 2: (1, 1), 3: (2, 4), 4: (2, 2), 5: (1, 1), 6: (1, 1), 7: (2, 2), 8: (2, 2), 9: (2, 2)},
    **{10: (1, 1), 11: (1, 1), 12: (1, 1), 13: (1, 1), 14: (2, 2), 15: (2, 2), 16: (1, 1), 17: (1, 1), 18: (4, 8)},
    **{19: (1, 3), 20: (4, 8), 21: (2, 12), 22: (8, 12), 23: (2, 12), 24: (2, 12), 25: (2, 6), 26: (1, 1), 27: (2, 4)},
}
FLAGS, CHANNEL, RSSI, NOISE = 1, 3, 5, 6
FCS, BAD_FCS = 0x10, 0x40
RADIOTAP_AGAIN, VENDOR_SPACE, MORE = 1 << 29, 1 << 30, 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorData:
    """A vendor namespace in a radiotap header: its present word's own bits and its data."""

    bits: int = 0x7
    data: bytes = b"\x2a" * 5


Fields = dict[int, bytes]


def radio_fields(*, rssi_dbm: int = -60, noise_dbm: int | None = None, mhz: int = 2437, flags: int = 0) -> Fields:
    """Give the radiotap fields of an ordinary sniffer."""
    fields = {FLAGS: bytes((flags,)), CHANNEL: struct.pack("<HH", mhz, 0xA0), RSSI: struct.pack("b", rssi_dbm)}
    return fields if noise_dbm is None else {**fields, NOISE: struct.pack("b", noise_dbm)}


def radiotap(*spaces: Fields | VendorData, padding: bytes = b"") -> bytes:
    """Give a radiotap header: one present word for each of `spaces`, fields aligned and in order."""
    words = [_present_word(space, spaces[index + 1 : index + 2]) for index, space in enumerate(spaces)]
    header = bytearray(4 + 4 * len(words))
    for index, space in enumerate(spaces):
        if isinstance(space, VendorData):
            header += space.data
        else:
            _append_fields(header, space)
        if spaces[index + 1 : index + 2] and isinstance(spaces[index + 1], VendorData):
            header += b"\0" * (-len(header) % 2)
            header += b"\x00\x11\x22\x05" + struct.pack("<H", len(spaces[index + 1].data))
    header += padding
    struct.pack_into(f"<BBH{len(words)}I", header, 0, 0, 0, len(header), *words)
    return bytes(header)


def _present_word(space: Fields | VendorData, following: Sequence[Fields | VendorData]) -> int:
    word = space.bits if isinstance(space, VendorData) else sum(1 << field for field in space)
    for after in following:
        word |= MORE | (VENDOR_SPACE if isinstance(after, VendorData) else RADIOTAP_AGAIN)
    return word


def _append_fields(header: bytearray, fields: Fields) -> None:
    for field in sorted(fields):
        align, size = RADIOTAP_FIELDS[field]
        assert len(fields[field]) == size
        header += b"\0" * (-len(header) % align) + fields[field]


# ---- captures ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One captured packet; `original_size` None: all of it was captured."""

    data: bytes
    time_us: int = 1_700_000_000_000_000
    original_size: int | None = None

    @property
    def size(self) -> int:
        """Give the size on the air."""
        return len(self.data) if self.original_size is None else self.original_size


def heard(frame: bytes, **radio: int) -> bytes:
    """Give a frame as an ordinary sniffer delivers it: see `radio_fields`."""
    return radiotap(radio_fields(**radio)) + frame


def pcap(
    packets: Iterable[Packet], *, order: str = "<", nanoseconds: bool = False, link_type: int = 127, version: int = 2
) -> bytes:
    """Give a classic pcap file; `order` is a struct byte order."""
    magic, scale = (0xA1B23C4D, 1000) if nanoseconds else (0xA1B2C3D4, 1)
    out = [struct.pack(order + "IHHiIII", magic, version, 4, 0, 0, 65535, link_type)]
    for packet in packets:
        second_s, part_us = divmod(packet.time_us, 1_000_000)
        out += struct.pack(order + "4I", second_s, part_us * scale, len(packet.data), packet.size), packet.data
    return b"".join(out)


def option(code: int, value: bytes, *, order: str = "<") -> bytes:
    """Give one pcapng option."""
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def block(kind: int, body: bytes, *, order: str = "<") -> bytes:
    """Give one pcapng block."""
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(*, application: str = "", order: str = "<") -> bytes:
    """Give a section header block."""
    options = option(4, application.encode(), order=order) + bytes(4) if application else b""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order=order)


def interface(
    *, link_type: int = 127, resolution: int | None = None, offset_s: int | None = None, order: str = "<"
) -> bytes:
    """Give an interface description block; `resolution` is if_tsresol as it is stored."""
    options = b"" if resolution is None else option(9, bytes((resolution,)), order=order)
    options += b"" if offset_s is None else option(14, struct.pack(order + "q", offset_s), order=order)
    return block(1, struct.pack(order + "HHI", link_type, 0, 0) + options + (bytes(4) if options else b""), order=order)


def enhanced(packet: Packet, *, number: int = 0, ticks: int | None = None, order: str = "<") -> bytes:
    """Give an enhanced packet block; `ticks` None: µs."""
    return block(6, _packet_body(struct.pack(order + "I", number), packet, ticks, order), order=order)


def obsolete(packet: Packet, *, number: int = 0, ticks: int | None = None, order: str = "<") -> bytes:
    """Give an obsolete packet block, with a drop count."""
    return block(2, _packet_body(struct.pack(order + "HH", number, 7), packet, ticks, order), order=order)


def simple(packet: Packet, *, order: str = "<") -> bytes:
    """Give a simple packet block, which has no time."""
    return block(3, struct.pack(order + "I", packet.size) + packet.data, order=order)


def _packet_body(head: bytes, packet: Packet, ticks: int | None, order: str) -> bytes:
    high, low = divmod(packet.time_us if ticks is None else ticks, 2**32)
    data = packet.data + b"\0" * (-len(packet.data) % 4)
    return head + struct.pack(order + "4I", high, low, len(packet.data), packet.size) + data


def pcapng(packets: Iterable[Packet], *, order: str = "<", application: str = "") -> bytes:
    """Give a pcapng file of one section with one radiotap interface in µs."""
    head = section(application=application, order=order) + interface(order=order)
    return head + b"".join(enhanced(packet, order=order) for packet in packets)


# ---- ESP32 records ----


def esp32_record(
    kind: int, stamp_us: int, payload: bytes, *, sig_len: int = 0, radio: bytes = bytes(4), state: int = 0
) -> bytes:
    """Give one record with its CRC; `radio` is RSSI, noise, channel and rate."""
    head = struct.pack("<2sBBIHH", b"FR", kind, state, stamp_us % 2**32, sig_len, len(payload)) + radio
    return head + payload + struct.pack("<I", crc32(head + payload))


def esp32_mark(clock_us: int, unix_us: int) -> bytes:
    """Give a mark: the radio's clock without wraps, and what it is in Unix time (0: unknown)."""
    return esp32_record(1, clock_us, struct.pack("<QQ", clock_us, unix_us))


def esp32_heard(
    frame: bytes, clock_us: int, *, rssi_dbm: int = -60, noise_dbm: int = -95, channel: int = 6, state: int = 0,
    captured: int | None = None, fcs: bytes = b"FCS!",
) -> bytes:  # fmt: skip
    """Give a heard frame; `captured` octets of it and its FCS were kept."""
    payload = (frame + fcs)[:captured]
    radio = struct.pack("<bbBB", rssi_dbm, noise_dbm, channel, 11)
    return esp32_record(0, clock_us, payload, sig_len=len(frame) + len(fcs), radio=radio, state=state)


def esp32(packets: Iterable[Packet], *, boot_us: int = 5_000_000, rssi_dbm: int = -60) -> bytes:
    """Give a stream of bare frames that began at `boot_us` of the radio's clock, one mark at its head."""
    some = list(packets)
    start_us = some[0].time_us if some else 1_700_000_000_000_000
    frames = (esp32_heard(packet.data, boot_us + packet.time_us - start_us, rssi_dbm=rssi_dbm) for packet in some)
    return esp32_mark(boot_us, start_us) + b"".join(frames)
