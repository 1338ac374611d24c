"""802.11 elements as phones send them in probe requests, and whole frames. Writes only what dissectors accept.

Layouts: IEEE Std 802.11-2020 section 9.4.2, 802.11ax-2021 for HE, Wi-Fi Simple Configuration 2.0.8 for WPS.
"""

import struct

_BROADCAST = b"\xff" * 6
_PROBE_REQUEST = 0x40
_RATES_B = bytes((0x82, 0x84, 0x8B, 0x96))  # 1, 2, 5.5, 11 Mbit/s, basic
_RATES_MIXED = bytes((0x02, 0x04, 0x0B, 0x16, 0x0C, 0x12, 0x18, 0x24))  # those, then 6, 9, 12, 18
_EXTENDED_AFTER_B = bytes((0x0C, 0x12, 0x18, 0x24, 0x30, 0x48, 0x60, 0x6C))
_EXTENDED_AFTER_MIXED = bytes((0x30, 0x48, 0x60, 0x6C))

MICROSOFT, WFA, APPLE, BROADCOM, EPIGRAM = (
    b"\x00\x50\xf2",
    b"\x50\x6f\x9a",
    b"\x00\x17\xf2",
    b"\x00\x10\x18",
    b"\x00\x90\x4c",
)


def element(number: int, body: bytes) -> bytes:
    """Frame one element."""
    return bytes((number, len(body))) + body


def ssid(name: bytes) -> bytes:
    """SSID; empty is the wildcard."""
    return element(0, name)


def rates(*, mixed: bool) -> bytes:
    """Supported Rates: the four of 802.11b, or eight with the first OFDM ones."""
    return element(1, _RATES_MIXED if mixed else _RATES_B)


def extended_rates(*, mixed: bool) -> bytes:
    """Extended Supported Rates: what `rates` left out."""
    return element(50, _EXTENDED_AFTER_MIXED if mixed else _EXTENDED_AFTER_B)


def channel(number: int) -> bytes:
    """DSSS Parameter Set: the channel the frame was sent on."""
    return element(3, bytes((number,)))


def ht(info: int, *, streams: int, ampdu: int = 0x17) -> bytes:
    """HT Capabilities of a station with 1 to 4 receive streams."""
    mcs = b"\xff" * streams + bytes(16 - streams)
    return element(45, struct.pack("<HB", info, ampdu) + mcs + bytes(2 + 4 + 1))


def with_ampdu(ht_element: bytes, ampdu: int) -> bytes:
    """HT Capabilities with other A-MPDU parameters."""
    return ht_element[:4] + bytes((ampdu,)) + ht_element[5:]


def vht(info: int, *, streams: int) -> bytes:
    """VHT Capabilities with MCS 0–9 on each of `streams`."""
    mcs = 0xFFFF << (2 * streams) & 0xFFFF | int("10" * streams, 2)
    return element(191, struct.pack("<IHHHH", info, mcs, 0, mcs, 0))


def he(*, streams: int, phy: int, mac: int = 0x0801) -> bytes:
    """HE Capabilities of a 2.4 GHz station: 6 bytes MAC, 11 bytes PHY, 4 bytes MCS. `phy` varies the PHY bits."""
    mcs = 0xFFFF << (2 * streams) & 0xFFFF | int("10" * streams, 2)
    phy_bytes = bytes((0x02,)) + struct.pack("<Q", phy)[:7] + bytes(3)  # width bit: 40 MHz in 2.4 GHz only
    return element(255, bytes((35,)) + struct.pack("<HI", mac, 0) + phy_bytes + struct.pack("<HH", mcs, mcs))


def fils(max_channel_time_tu: int) -> bytes:
    """FILS Request Parameters with the one field that varies from frame to frame."""
    return element(255, bytes((2, 0, max_channel_time_tu)))


def extended_capabilities(*octets: int) -> bytes:
    """Extended Capabilities."""
    return element(127, bytes(octets))


def rm_enabled(*octets: int) -> bytes:
    """RM Enabled Capabilities, five octets."""
    return element(70, bytes(octets))


def interworking(access_network: int = 0x0F) -> bytes:
    """Interworking with the wildcard access network type and no venue."""
    return element(107, bytes((access_network,)))


def vendor(oui: bytes, kind: int, body: bytes = b"") -> bytes:
    """Vendor-specific element."""
    return element(221, oui + bytes((kind,)) + body)


def mbo() -> bytes:
    """WFA Multi-Band Operation: cellular data capabilities attribute."""
    return vendor(WFA, 0x16, bytes((3, 1, 2)))


def wps(uuid: bytes, name: bytes) -> bytes:
    """Wi-Fi Simple Configuration of an enrollee; `uuid` (16 bytes) stays with the phone whatever its address."""

    def attribute(number: int, body: bytes) -> bytes:
        return struct.pack(">HH", number, len(body)) + body

    body = b"".join(
        (
            attribute(0x104A, b"\x10"),  # version
            attribute(0x103A, b"\x00"),  # request type: enrollee, info only
            attribute(0x1008, b"\x01\x08"),  # configuration methods
            attribute(0x1047, uuid),
            attribute(0x1054, b"\x00\x0a\x00\x50\xf2\x04\x00\x05"),  # primary device type: phone
            attribute(0x103C, b"\x03"),  # radio bands
            attribute(0x1002, b"\x00\x00"),  # association state
            attribute(0x1009, b"\x00\x00"),  # configuration error
            attribute(0x1012, b"\x00\x00"),  # device password id
            attribute(0x1021, name),
            attribute(0x1023, name),
            attribute(0x1024, b"1"),
            attribute(0x1011, name),
        )
    )
    return vendor(MICROSOFT, 4, body)


def frame(address: int, sequence: int, elements: bytes) -> bytes:
    """Build a broadcast probe request of `address` (48 bits) with a 12-bit sequence number; without FCS."""
    header = struct.pack("<BBH", _PROBE_REQUEST, 0, 0) + _BROADCAST + address.to_bytes(6, "big") + _BROADCAST
    return header + struct.pack("<H", (sequence & 0xFFF) << 4) + elements
