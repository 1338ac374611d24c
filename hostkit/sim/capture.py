"""Captures of simulated probes: radiotap in front of each frame, pcapng around them. Writes only, one interface a file.

Formats: radiotap.org, draft-ietf-opsawg-pcapng. No FCS is written, as the radiotap flags say.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

APPLICATION = "footfall simulate"
LINK_RADIOTAP = 127
SNAP_BYTES = 65535

_PRESENT = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6  # flags, rate, channel, antenna signal, antenna noise
_RADIOTAP = struct.Struct("<BBHIBBHHbb")
_RATE_1_MBIT = 2  # in units of 500 kbit/s: probe requests go out at the lowest rate
_CHANNEL_FLAGS = 0x00A0  # CCK, 2 GHz
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_END, _SHB_APPLICATION, _IF_NAME, _IF_RESOLUTION = 0, 4, 2, 9
_PACKET_HEAD = struct.Struct("<IIIIIII")


class Packet(NamedTuple):
    """One frame as heard: `time_us` Unix time, `channel` the one tuned to."""

    time_us: int
    channel: int
    rssi_dbm: int
    noise_dbm: int
    frame: bytes


def pcapng(packets: Iterable[Packet], *, interface: str) -> Iterator[bytes]:
    """Give the blocks of a capture of `packets`, in the order given."""
    section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _options((_SHB_APPLICATION, APPLICATION.encode()))
    yield _block(_SECTION, section)
    described = _options((_IF_NAME, interface.encode()), (_IF_RESOLUTION, b"\x06"))
    yield _block(_INTERFACE, struct.pack("<HHI", LINK_RADIOTAP, 0, SNAP_BYTES) + described)
    for packet in packets:
        yield _packet(packet)


def frequency_mhz(channel: int) -> int:
    """Give the centre of a 2.4 GHz channel."""
    return 2484 if channel == 14 else 2407 + 5 * channel


def _packet(packet: Packet) -> bytes:
    tuned = frequency_mhz(packet.channel)
    radio = _RADIOTAP.pack(
        0, 0, _RADIOTAP.size, _PRESENT, 0, _RATE_1_MBIT, tuned, _CHANNEL_FLAGS, packet.rssi_dbm, packet.noise_dbm
    )
    size = len(radio) + len(packet.frame)
    padding = -size % 4
    total = _PACKET_HEAD.size + size + padding + 4
    head = _PACKET_HEAD.pack(_PACKET, total, 0, packet.time_us >> 32, packet.time_us & 0xFFFFFFFF, size, size)
    return b"".join((head, radio, packet.frame, bytes(padding), struct.pack("<I", total)))


def _block(kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def _options(*options: tuple[int, bytes]) -> bytes:
    packed = b"".join(struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options)
    return packed + struct.pack("<HH", _OPTION_END, 0)
