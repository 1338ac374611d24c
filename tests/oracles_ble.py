"""Slow twin of the BLE kernel, in plain Python from the standard: what is right, not what is fast."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from hostkit.core.ble import AddressKind, Kind, Pdu
from hostkit.core.wire import Flag
from tests.ble_builders import crc24
from tests.oracles import siphash

START = int.from_bytes(b"Footfall", "big")
ALL = (1, 2, 3, 4, 5, 6, 7, 0x14, 0x15, 0x1F, 0x19)
NAMES = (8, 9, 0x30)
KINDS = {
    **{1: Kind.FLAGS, 2: Kind.SERVICES_16, 3: Kind.SERVICES_16, 4: Kind.SERVICES_32, 5: Kind.SERVICES_32},
    **{6: Kind.SERVICES_128, 7: Kind.SERVICES_128, **dict.fromkeys(NAMES, Kind.NAME), 0x0A: Kind.TX_POWER},
    **dict.fromkeys((0x14, 0x15, 0x1F), Kind.SOLICITATION),
    **{0x16: Kind.SERVICE_DATA, 0x20: Kind.SERVICE_DATA, 0x21: Kind.SERVICE_DATA, 0x19: Kind.APPEARANCE},
    0xFF: Kind.MANUFACTURER,
}
PREFIX = {0x16: 2, 0x20: 4, 0x21: 16, 0xFF: 2}
EDDYSTONES = {
    0x00: (18, Kind.EDDYSTONE_UID),
    0x10: (3, Kind.EDDYSTONE_URL),
    0x20: (14, Kind.EDDYSTONE_TLM),
    0x30: (10, Kind.EDDYSTONE_EID),
}


@dataclass(kw_only=True)
class Advert:
    """What a row must hold."""

    device_key: int
    address: AddressKind
    pdu: Pdu
    fingerprint: int = 0
    element_mask: int = 0
    element_count: int = 0
    flags: int = Flag.BLE
    company: int = 0xFFFF
    service: int = 0
    tx_dbm: int = 127


def parse(pdu: bytes, key: bytes) -> Advert | str:
    """Give the row of one PDU, or why there is none."""
    if len(pdu) < 2 or len(pdu) - 2 < pdu[1]:
        return "too_short"
    kind, is_random, payload = pdu[0] & 15, bool(pdu[0] & 0x40), pdu[2 : 2 + pdu[1]]
    if kind == Pdu.ADV_EXT_IND:
        return _parse_extended(payload, key, is_random)
    if kind not in tuple(Pdu):
        return "other_pdu"
    skipped = 12 if kind == Pdu.ADV_DIRECT_IND else 6
    if len(payload) < skipped:
        return "too_short"
    row = _sender(payload[:6], key, is_random, Pdu(kind))
    if len(payload) - skipped > 31:
        row.flags |= Flag.MALFORMED
    return _walk(payload[skipped:], row)


def _parse_extended(payload: bytes, key: bytes, is_random: bool) -> Advert | str:
    size = payload[0] & 63 if payload else 0
    header = payload[1 : 1 + size]
    if not payload or len(header) < size:
        return "too_short"
    if not header or not header[0] & 1:
        return "no_address"
    if size < 7:
        return "too_short"
    row = _sender(header[1:7], key, is_random, Pdu.ADV_EXT_IND)
    before = 1 + sum(length for bit, length in enumerate((6, 6, 1, 2, 3, 18)) if header[0] >> bit & 1)
    has_tx = header[0] >> 6 & 1
    if has_tx and before < size:
        (row.tx_dbm,) = struct.unpack_from("b", header, before)
    if before + has_tx > size:
        row.flags |= Flag.MALFORMED
    return _walk(payload[1 + size :], row)


def _sender(sent: bytes, key: bytes, is_random: bool, pdu: Pdu) -> Advert:
    kinds = (AddressKind.NON_RESOLVABLE, AddressKind.RESOLVABLE, AddressKind.RESERVED, AddressKind.STATIC)
    kind = kinds[sent[5] >> 6] if is_random else AddressKind.PUBLIC
    row = Advert(device_key=siphash(key, sent[::-1]), address=kind, pdu=pdu)
    if kind not in (AddressKind.PUBLIC, AddressKind.STATIC):
        row.flags |= Flag.RANDOMISED
    return row


def _structures(ad: bytes, row: Advert) -> Iterator[tuple[int, bytes]]:
    while len(ad) >= 2 and ad[0] and ad[0] < len(ad):
        yield ad[1], ad[2 : 1 + ad[0]]
        ad = ad[1 + ad[0] :]
    if any(ad):  # a structure that runs over, or something after the end
        row.flags |= Flag.MALFORMED


def _walk(ad: bytes, row: Advert) -> Advert:
    tokens = []
    for kind, body in _structures(ad, row):
        row.element_count += 1
        row.element_mask |= KINDS.get(kind, Kind.OTHER)
        whole = bytes((len(body) + 1, kind)) + body
        if kind in NAMES:
            tokens.append(whole[1:2])
        else:
            tokens.append(whole if kind in ALL else whole[: 2 + PREFIX.get(kind, 0)])
        tokens += _read(kind, body, row)
    shape = START
    for token in tokens:
        shape = siphash(struct.pack("<QQ", shape, START), token)
    row.fingerprint = (shape ^ shape >> 32) & 0xFFFFFFFF
    return row


def _read(kind: int, body: bytes, row: Advert) -> list[bytes]:
    """Note what one structure tells; give what more of it counts."""
    number = int.from_bytes(body[:2], "little") if len(body) >= 2 else None
    if kind in (2, 3, 0x16) and number is not None:
        row.service = row.service or number
    if kind == 0x0A and len(body) == 1:
        (row.tx_dbm,) = struct.unpack("b", body)
    if kind == 0x16 and number == 0xFEAA and len(body) > 2:
        least, mask = EDDYSTONES.get(body[2], (256, Kind.OTHER))
        row.element_mask |= mask if len(body) - 2 >= least else 0
    if kind != 0xFF or number is None:
        return []
    row.company = number if row.company == 0xFFFF else row.company
    return _read_apple(body[2:], row) if number == 0x004C else []


def _read_apple(body: bytes, row: Advert) -> list[bytes]:
    if len(body) == 23 and body[:2] == b"\x02\x15":
        row.element_mask |= Kind.IBEACON
    tokens = []
    while len(body) >= 2:
        tokens.append(body[:2])
        body = body[2 + body[1] :]
    return tokens


def crc_is_good(air: bytes) -> bool:
    """Tell whether PDU and CRC fit together."""
    return air[2 + air[1] : 5 + air[1]] == crc24(air[: 2 + air[1]])
