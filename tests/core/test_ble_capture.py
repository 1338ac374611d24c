"""BLE captures of both sniffers, bad CRC, and what is no BLE capture."""

import contextlib
import random
import struct
from dataclasses import asdict

import numpy as np
import pytest

from hostkit.core.ble import ADVERT, BleCounts, BleReader, BleStatus, frames_of, parse_advert
from hostkit.core.dot11 import FRAME, CaptureReader
from hostkit.core.wire import SIGHTING, Flag, sightings_from
from hostkit.errors import InputError
from tests import ble_builders as b
from tests import builders, oracles_ble
from tests.builders import KEY, Packet

AIR = b.on_air(b.advert())
BAD = b"\0\0\0"


def read(capture: bytes) -> tuple[np.ndarray, BleCounts]:
    reader = BleReader(capture, KEY)
    rows = reader.read_adverts()
    assert not len(reader.read_adverts())
    counts = reader.counts
    assert counts.packets == counts.frames + counts.skipped.total
    assert reader.position == len(capture)
    return rows, counts


def skipped(packet: bytes, *, link_type: int) -> str:
    """Give the one reason why a packet was skipped; "" if it was not."""
    rows, counts = read(b.pcap([packet], link_type=link_type))
    (why,) = [name for name, count in asdict(counts.skipped).items() if count] or [""]
    assert len(rows) == (not why)
    return why


@pytest.mark.parametrize("version", [1, 2, 3])
def test_nordic(version: int) -> None:
    rows, counts = read(b.pcap([b.nordic(AIR, version=version, rssi_dbm=-37, channel=38)]))
    expected = parse_advert(b.advert(), KEY)
    assert (rows["rssi_dbm"][0], rows["noise_dbm"][0], rows["channel"][0]) == (-37, 0, 38)
    assert rows["time_us"][0] == 1_700_000_000_000_000
    for name in ("device_key", "fingerprint", "element_mask", "flags", "company", "tx_dbm", "address", "pdu"):
        assert rows[name][0] == expected[name]
    assert (counts.frames, counts.randomised, counts.malformed) == (1, 1, 0)


@pytest.mark.parametrize(
    ("flags", "rssi_dbm", "noise_dbm"),
    [
        (b.SIGNAL, -70, 0),
        (b.SIGNAL | b.NOISE, -70, -95),
        (b.SIGNAL | b.CHECKED | b.VALID, -70, 0),
        (b.SIGNAL | 0x30, -70, 0),
    ],
)
def test_phdr(flags: int, rssi_dbm: int, noise_dbm: int) -> None:
    packet = b.phdr(AIR, flags=flags, rssi_dbm=-70, radio_channel=39)
    rows, _ = read(b.pcap([packet], link_type=b.PHDR))
    assert (rows["rssi_dbm"][0], rows["noise_dbm"][0], rows["channel"][0]) == (rssi_dbm, noise_dbm, 39)
    assert rows["device_key"][0] == parse_advert(b.advert(), KEY)["device_key"]


def test_channels_are_numbered_as_the_standard_does() -> None:
    """Core Vol 6 Part B table 1.2: 37 at 2402 MHz, 38 at 2426, 39 at 2480, the rest in order."""
    rows, _ = read(b.pcap([b.phdr(AIR, radio_channel=channel) for channel in range(40)], link_type=b.PHDR))
    assert rows["channel"].tolist() == [37, *range(11), 38, *range(11, 37), 39]


@pytest.mark.parametrize("link_type", [b.NORDIC, b.PHDR])
def test_coded_phy_has_its_indicator_skipped(link_type: int) -> None:
    air = b.on_air(b.advert(), coded=True)
    packet = b.nordic(air, phy=2, version=3) if link_type == b.NORDIC else b.phdr(air, flags=b.SIGNAL | 2 << 14)
    assert skipped(packet, link_type=link_type) == ""


NORDIC_SKIPS = {
    "bad_crc": b.nordic(AIR, crc_ok=False),
    "no_rssi": b.nordic(AIR, rssi_dbm=0),
    "other_pdu": b.nordic(b.on_air(b.pdu(b.SCAN_REQ, bytes(12)))),
    "other_access_address": b.nordic(b.on_air(b.advert(), access_address=0x50655641)),
    "no_address": b.nordic(b.on_air(b.extended(fields={3: b"\1\2"}))),
    "too_short": b.nordic(AIR[:-1]),
    "too_short PDU": b.nordic(b.on_air(b.pdu(b.ADV_IND, bytes(5)))),
    "too_short for a PDU": b.nordic(AIR[:5]),
    "bad_header version": b.nordic(AIR, version=4),
    "bad_header version 0": b.nordic(AIR, version=0),
    "bad_header channel": b.nordic(AIR, channel=40),
    "bad_header event": b.nordic(AIR)[:7] + b"\x0b" + b.nordic(AIR)[8:],
    "bad_header size": b.nordic(AIR)[:1] + b"\x09\0" + b.nordic(AIR)[3:],
    "bad_header cut": b.nordic(AIR)[:16],
    "bad_header access address": b.nordic(AIR[:3]),
    "bad_header old UART": b.nordic(AIR, version=1)[:1] + b"\7" + b.nordic(AIR, version=1)[2:],
    "bad_header empty": b"",
}
PHDR_SKIPS = {
    "bad_crc found": b.phdr(b.on_air(b.advert(), crc=BAD)),
    "bad_crc told": b.phdr(AIR, flags=b.SIGNAL | b.CHECKED),
    "no_rssi": b.phdr(AIR, flags=0),
    "too_short": b.phdr(AIR[:-1]),
    "bad_header whitened": b.phdr(AIR, flags=b.SIGNAL | 1 << 31),
    "bad_header channel": b.phdr(AIR, radio_channel=40),
    "bad_header cut": b.phdr(AIR)[:9],
}


@pytest.mark.parametrize("name", NORDIC_SKIPS)
def test_nordic_skips(name: str) -> None:
    assert skipped(NORDIC_SKIPS[name], link_type=b.NORDIC) == name.split(maxsplit=1)[0]


@pytest.mark.parametrize("name", PHDR_SKIPS)
def test_phdr_skips(name: str) -> None:
    assert skipped(PHDR_SKIPS[name], link_type=b.PHDR) == name.split(maxsplit=1)[0]


def test_every_flipped_bit_is_found_by_the_crc() -> None:
    """Where the sniffer did not check: no bit of PDU or CRC can flip unseen."""
    air = bytearray(AIR)
    for bit in range(32, 8 * len(air)):
        air[bit // 8] ^= 1 << bit % 8
        assert skipped(b.phdr(bytes(air)), link_type=b.PHDR) in ("bad_crc", "too_short"), f"bit {bit}"
        air[bit // 8] ^= 1 << bit % 8


def test_only_what_has_a_shape_is_for_association() -> None:
    adverts = [b.advert(), b.advert(kind=b.SCAN_RSP), b.advert(b""), b.advert(b.PUBLIC, kind=b.ADV_DIRECT_IND)]
    capture = b.pcap([b.nordic(b.on_air(one)) for one in adverts])
    rows, counts = read(capture)
    assert (rows["status"] & BleStatus.SHAPELESS != 0).tolist() == [False, True, True, True]
    assert (counts.frames, counts.shapeless) == (4, 3)
    frames = BleReader(capture, KEY).read()
    assert frames.dtype == FRAME
    assert frames.tolist() == frames_of(rows).tolist()
    assert len(frames) == 1
    sighting = sightings_from(frames, 3, 5)
    assert sighting.dtype == SIGHTING
    assert (sighting["flags"][0], sighting["probe"][0]) == (Flag.BLE | Flag.RANDOMISED, 3)


def test_read_goes_on_over_parts_without_shape() -> None:
    packets = [b.nordic(b.on_air(b.advert(b""))) for _ in range(50)] + [b.nordic(AIR)]
    reader = BleReader(b.pcap(packets), KEY)
    assert (len(reader.read(7)), len(reader.read(7))) == (1, 0)


def test_both_sniffers_in_one_pcapng_and_others_skipped() -> None:
    capture = builders.section()
    for link_type in (127, b.NORDIC, b.PHDR):
        capture += builders.interface(link_type=link_type)
    for number, data in enumerate((b"wifi", b.nordic(AIR), b.phdr(AIR))):
        capture += builders.enhanced(Packet(data=data), number=number)
    capture += builders.simple(Packet(data=b.nordic(AIR)))
    rows, counts = read(capture)
    assert len(rows) == 2
    assert counts.skipped.other_link_type == 2


def test_without_time() -> None:
    capture = builders.section() + builders.interface(link_type=b.NORDIC) + builders.simple(Packet(data=b.nordic(AIR)))
    assert read(capture)[1].skipped.no_time == 1


def test_backwards_and_truncated_are_counted() -> None:
    packets = [Packet(data=b.nordic(AIR), time_us=time_us) for time_us in (5_000_000, 4_000_000)]
    reader = BleReader(builders.pcap(packets, link_type=b.NORDIC)[:-1], KEY)
    reader.read_adverts()
    assert (reader.counts.frames, reader.counts.truncated) == (1, 1)
    rows, counts = read(builders.pcap(packets, link_type=b.NORDIC))
    assert rows["status"].tolist() == [0, BleStatus.BACKWARDS]
    assert counts.backwards == 1


REFUSED = {
    r"link type 251 \(Bluetooth LE\) carries no signal strength; link type 256 or 272 is needed; capture with an nRF": (
        b.pcap([AIR], link_type=b.BARE)
    ),
    r"link type 127 \(radiotap\) is of the other radio": b.pcap([AIR], link_type=127),
    "gzip-compressed": b"\x1f\x8b" + bytes(30),
    "neither pcap nor pcapng": b"not a capture at all",
    "the file is empty": b"",
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message: str) -> None:
    with pytest.raises(InputError, match=message):
        BleReader(REFUSED[message], KEY).read()


def test_the_reader_of_the_other_radio_says_so() -> None:
    with pytest.raises(InputError, match=r"link type 272 \(nRF Sniffer\) is of the other radio"):
        CaptureReader(b.pcap([b.nordic(AIR)]), KEY)


def test_no_frames_wanted_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        BleReader(b.pcap([]), KEY).read(0)


# ---- any damage ----


def twin_of(packet: bytes) -> str | tuple[int, int]:
    """Give device key and fingerprint of a packet of link type 256, or why it is skipped."""
    if len(packet) < 14:
        return "bad_header"
    channel, rssi_dbm, flags = packet[0], struct.unpack_from("b", packet, 1)[0], struct.unpack_from("<H", packet, 8)[0]
    air = packet[10:]
    pdu = air[5:] if flags >> 14 == 2 else air[4:]
    if not flags & 1 or channel > 39 or len(air) < (5 if flags >> 14 == 2 else 4):
        return "bad_header"
    if flags & b.CHECKED and not flags & b.VALID:
        return "bad_crc"
    if len(pdu) < 2 or len(pdu) < 5 + pdu[1]:
        return "too_short"
    if air[:4] != struct.pack("<I", b.ACCESS_ADDRESS):
        return "other_access_address"
    if not flags & b.CHECKED and not oracles_ble.crc_is_good(pdu):
        return "bad_crc"
    twin = oracles_ble.parse(pdu, KEY)
    if isinstance(twin, str):
        return twin
    return (twin.device_key, twin.fingerprint) if flags & b.SIGNAL and rssi_dbm else "no_rssi"


def test_damaged_packets_are_read_as_by_the_twin() -> None:
    found: dict[str, int] = {}
    for seed in range(3000):
        rng = random.Random(seed)
        packet = bytearray(b.phdr(AIR, flags=b.SIGNAL | rng.choice([0, b.CHECKED | b.VALID])))
        for _ in range(rng.randrange(3)):
            packet[rng.randrange(len(packet))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        some = bytes(packet[: rng.randrange(len(packet) + 1)] if rng.random() < 0.1 else packet)
        rows, counts = read(b.pcap([some], link_type=b.PHDR))
        why = [name for name, count in asdict(counts.skipped).items() if count]
        got = why[0] if why else (int(rows["device_key"][0]), int(rows["fingerprint"][0]))
        assert got == twin_of(some), f"seed {seed}: {some.hex()}"
        found[str(got)] = found.get(str(got), 0) + 1
    assert len(found) > 20, "too little happens"


def test_damaged_captures_end_or_are_refused() -> None:
    capture = builders.section() + builders.interface(link_type=b.NORDIC)
    capture += b"".join(builders.enhanced(Packet(data=b.nordic(AIR))) for _ in range(4))
    for seed in range(3000):
        rng = random.Random(seed)
        damaged = bytearray(capture)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        with contextlib.suppress(InputError):
            assert BleReader(bytes(damaged[: rng.randrange(len(damaged) + 1)]), KEY).read_adverts().dtype == ADVERT


def test_a_capture_in_pieces_equals_the_whole() -> None:
    """As an nRF Sniffer pipes it: pieces of any size, each led by what the one before left."""
    capture = b.pcap([b.nordic(b.on_air(b.advert(address=bytes((number, *b.PUBLIC[1:]))))) for number in range(40)])
    whole, counts = read(capture)
    for size in (1, 7, 100):
        end, parts = 40, []
        reader = BleReader(capture[:end], KEY, is_last=False)
        start = 0
        while True:
            parts.append(reader.read_adverts())
            if end >= len(capture):
                break
            start += reader.done[0]
            end = min(end + size, len(capture))
            reader.go_on(capture[start:end], is_last=end == len(capture))
        assert np.concatenate(parts).tolist() == whole.tolist()
        assert reader.counts == counts
