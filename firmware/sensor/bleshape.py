"""Shape of a BLE advert as cext/ble.c hashes it, for images without the C module. Pure; tests hold both equal."""

import struct

from .siphash import siphash

START = 0x466F6F7466616C6C
_ALL = (1, 2, 3, 4, 5, 6, 7, 0x14, 0x15, 0x1F, 0x19)
_NAMES = (8, 9, 0x30)
_PREFIX = {0x16: 2, 0x20: 4, 0x21: 16, 0xFF: 2}
_RANDOMISED, _BLE, _MALFORMED = 1, 2, 8
_LEGACY_AD_BYTES = 31
_SCAN_RSP = 4


def shape(ad) -> tuple[int, int, bool]:
    """Give fingerprint, number of structures and whether the AD is malformed."""
    state, count, at, end = START, 0, 0, len(ad)
    while end - at >= 2 and 0 < ad[at] <= end - at - 1:
        whole = ad[at : at + 1 + ad[at]]
        kind = whole[1]
        if kind in _NAMES:
            state = _absorb(state, whole[1:2])
        else:
            state = _absorb(state, whole if kind in _ALL else whole[: 2 + _PREFIX.get(kind, 0)])
        if kind == 0xFF and whole[2:4] == b"\x4c\x00":
            state = _apple(state, whole[4:])
        at += len(whole)
        count += 1
    malformed = any(ad[at:])
    return (state ^ state >> 32) & 0xFFFFFFFF, count, malformed


def record(key: bytes, address_type: int, address, event_type: int, rssi_dbm: int, ad) -> bytes | None:
    """Give a wire record's bytes behind the offset; None for a report that makes none."""
    if event_type >= _SCAN_RSP or not 0 <= address_type <= 3:
        return None
    fingerprint, count, malformed = shape(ad)
    if not count:
        return None
    flags = _BLE
    if address_type & 1 and address[0] >> 6 != 3:
        flags |= _RANDOMISED
    if malformed or len(ad) > _LEGACY_AD_BYTES:
        flags |= _MALFORMED
    return struct.pack("<QIIHbbBB", siphash(key, address), fingerprint, 0, 0, rssi_dbm, 0, 0, flags)


def _apple(state: int, body) -> int:
    at = 0
    while len(body) - at >= 2:
        state = _absorb(state, body[at : at + 2])
        at += 2 + body[at + 1]
    return state


def _absorb(state: int, data) -> int:
    return siphash(struct.pack("<QQ", state, START), data)
