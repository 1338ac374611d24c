"""BLE packets built octet by octet, as the air and the sniffers have them."""

import struct
from collections.abc import Iterable

from tests import builders as b
from tests.builders import Packet

ACCESS_ADDRESS = 0x8E89BED6
PHDR, NORDIC, BARE = 256, 272, 251
PUBLIC = bytes.fromhex("dcfb4868bee4")
STATIC = bytes.fromhex("d2fb4868bee4")  # random, top bits 11
RESOLVABLE = bytes.fromhex("651d2038cec9")  # 01
NON_RESOLVABLE = bytes.fromhex("251d2038cec9")  # 00
RESERVED = bytes.fromhex("a51d2038cec9")  # 10
BEACON_UUID = bytes.fromhex("fda50693a4e24fb1afcfc6eb07647825")
ADV_IND, ADV_DIRECT_IND, ADV_NONCONN_IND, SCAN_REQ, SCAN_RSP, CONNECT_IND, ADV_SCAN_IND, ADV_EXT_IND = range(8)

# ---- AD ----


def structure(kind: int, body: bytes = b"") -> bytes:
    """Give one AD structure."""
    return bytes((len(body) + 1, kind)) + body


def phone_ad(*, name: bytes = b"Anna", nearby: bytes = b"\x67\x1e\x37\x0a\xdf\x57", tail: bytes = b"") -> bytes:
    """Give the AD of an ordinary phone."""
    apple = structure(0xFF, b"\x4c\0\x10" + bytes((len(nearby),)) + nearby)
    return structure(1, b"\x1a") + structure(0x0A, b"\x08") + structure(9, name) + apple + tail


def ibeacon(*, uuid: bytes = BEACON_UUID, major: int = 1, minor: int = 2) -> bytes:
    """Give the AD of an iBeacon."""
    body = b"\x4c\0\x02\x15" + uuid + struct.pack(">HHb", major, minor, -59)
    return structure(1, b"\x06") + structure(0xFF, body)


def eddystone(frame: bytes) -> bytes:
    """Give the AD of an Eddystone; `frame` from its type on."""
    return structure(1, b"\x06") + structure(3, b"\xaa\xfe") + structure(0x16, b"\xaa\xfe" + frame)


EDDYSTONE_UID = b"\x00\xee" + bytes(range(16)) + bytes(2)
EDDYSTONE_URL = b"\x10\xee\x03goo.gl/x"
EDDYSTONE_TLM = b"\x20\x00" + bytes(12)
EDDYSTONE_EID = b"\x30\xee" + bytes(8)

# ---- PDU ----


def pdu(kind: int, payload: bytes, *, is_random: bool = False) -> bytes:
    """Give one PDU of the advertising channel."""
    return bytes((kind | is_random << 6, len(payload))) + payload


def advert(
    ad: bytes = phone_ad(), *, address: bytes = RESOLVABLE, is_random: bool = True, kind: int = ADV_IND
) -> bytes:
    """Give one legacy advertising PDU; `address` as people write it."""
    return pdu(kind, address[::-1] + ad, is_random=is_random)


def extended(ad: bytes = b"", *, fields: dict[int, bytes], is_random: bool = True, cut: int = 0) -> bytes:
    """Give an ADV_EXT_IND; `fields` by bit of the extended header's flags, `cut` octets of it left out."""
    flags = sum(1 << bit for bit in fields)
    header = bytes((flags,)) + b"".join(fields[bit] for bit in sorted(fields))
    header = header[: len(header) - cut] if fields else b""
    return pdu(ADV_EXT_IND, bytes((len(header),)) + header + ad, is_random=is_random)


def crc24(data: bytes) -> bytes:
    """Give the three octets of the CRC as sent: the shift register of Core Vol 6 Part B figure 3.2, bit by bit."""
    register = [0x555555 >> position & 1 for position in range(24)]
    for octet in data:
        for bit in range(8):
            feed = register[23] ^ (octet >> bit & 1)
            register = [feed, *register[:23]]
            for tap in (1, 3, 4, 6, 9, 10):
                register[tap] ^= feed
    sent = register[::-1]  # position 23 first
    return bytes(sum(sent[8 * octet + bit] << bit for bit in range(8)) for octet in range(3))


def on_air(
    body: bytes, *, access_address: int = ACCESS_ADDRESS, crc: bytes | None = None, coded: bool = False
) -> bytes:
    """Give a packet from its access address to its CRC."""
    head = struct.pack("<I", access_address) + (b"\0" if coded else b"")
    return head + body + (crc24(body) if crc is None else crc)


# ---- what sniffers write before it ----


def nordic(
    air: bytes, *, version: int = 2, rssi_dbm: int = -60, channel: int = 37, crc_ok: bool = True, phy: int = 0
) -> bytes:
    """Give a packet of the nRF Sniffer."""
    event = struct.pack("<BBBBHI", 10, crc_ok | phy << 4, channel, -rssi_dbm & 0xFF, 0, 0)
    size = len(event) + len(air)
    uart = struct.pack("<BBBHB", 6, size, version, 7, 6) if version == 1 else struct.pack("<HBHB", size, version, 7, 6)
    return b"\x0b" + uart + event + air


SIGNAL, NOISE, CHECKED, VALID = 0x0002, 0x0004, 0x0400, 0x0800


def phdr(
    air: bytes, *, flags: int = SIGNAL, rssi_dbm: int = -60, noise_dbm: int = -95, radio_channel: int = 0
) -> bytes:
    """Give a packet with the pseudo header of link type 256; dewhitened unless `flags` has bit 31."""
    flags = flags & 0xFFFF | (0 if flags >> 31 else 1)
    return struct.pack("<BbbBIH", radio_channel, rssi_dbm, noise_dbm, 0, ACCESS_ADDRESS, flags) + air


def pcap(packets: Iterable[bytes], *, link_type: int = NORDIC) -> bytes:
    """Give a pcap of packets 1 ms apart."""
    return b.pcap(
        [Packet(data=data, time_us=1_700_000_000_000_000 + 1000 * index) for index, data in enumerate(packets)],
        link_type=link_type,
    )
