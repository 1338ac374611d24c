"""One advertisement: address key and kind, AD structures, beacons, and what the fingerprint is made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.core import _ble
from hostkit.core.ble import (
    ADVERT,
    NO_COMPANY,
    TX_UNKNOWN_DBM,
    AddressKind,
    BleStatus,
    Kind,
    Pdu,
    address_kind,
    check_registrable,
    parse_advert,
    record_of,
)
from hostkit.core.dot11 import FRAME
from hostkit.core.wire import RECORD, Flag
from hostkit.errors import InputError
from tests import ble_builders as b
from tests import oracles, oracles_ble
from tests.builders import KEY

ADDRESSES = {
    "public": (b.PUBLIC, False, AddressKind.PUBLIC, 0),
    "public with random bits": (b.RESOLVABLE, False, AddressKind.PUBLIC, 0),
    "static": (b.STATIC, True, AddressKind.STATIC, 0),
    "resolvable": (b.RESOLVABLE, True, AddressKind.RESOLVABLE, Flag.RANDOMISED),
    "non-resolvable": (b.NON_RESOLVABLE, True, AddressKind.NON_RESOLVABLE, Flag.RANDOMISED),
    "reserved": (b.RESERVED, True, AddressKind.RESERVED, Flag.RANDOMISED),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_address(name: str) -> None:
    address, is_random, kind, flags = ADDRESSES[name]
    row = parse_advert(b.advert(address=address, is_random=is_random), KEY)
    assert (row["address"], row["flags"]) == (kind, Flag.BLE | flags)
    assert row["device_key"] == oracles.siphash(KEY, address), "as for an address of Wi-Fi: as people write it"
    assert address_kind(address, is_random=is_random) is kind
    if kind in (AddressKind.PUBLIC, AddressKind.STATIC):
        check_registrable(address, is_random=is_random, where="staff.txt: line 3")
    else:
        with pytest.raises(InputError, match=r"staff.txt: line 3: a .* private address changes"):
            check_registrable(address, is_random=is_random, where="staff.txt: line 3")


def test_advert_has_what_its_sender_wrote() -> None:
    row = parse_advert(b.advert(b.phone_ad()), KEY)
    assert (row["element_count"], row["company"], row["tx_dbm"], row["pdu"]) == (4, 0x004C, 8, Pdu.ADV_IND)
    assert row["element_mask"] == Kind.FLAGS | Kind.TX_POWER | Kind.NAME | Kind.MANUFACTURER
    assert (row["time_us"], row["rssi_dbm"], row["channel"], row["sequence"], row["ssid_key"]) == (0, 0, 0, 0, 0)
    nothing = parse_advert(b.advert(b.structure(1, b"\x06")), KEY)
    assert (nothing["company"], nothing["service"], nothing["tx_dbm"]) == (NO_COMPANY, 0, TX_UNKNOWN_DBM)


@pytest.mark.parametrize(
    ("ad", "service"),
    [
        (b.structure(2, b"\x6f\xfd\x0f\x18"), 0xFD6F),
        (b.structure(3, b"\x0f\x18"), 0x180F),
        (b.structure(0x16, b"\x6f\xfd" + bytes(20)), 0xFD6F),
        (b.structure(7, bytes(16)) + b.structure(3, b"\x0a\x18") + b.structure(3, b"\x0f\x18"), 0x180A),
        (b.structure(3, b"\x0f"), 0),
    ],
)
def test_service(ad: bytes, service: int) -> None:
    assert parse_advert(b.advert(ad), KEY)["service"] == service


BEACONS = {
    "iBeacon": (b.ibeacon(), Kind.IBEACON),
    "Eddystone UID": (b.eddystone(b.EDDYSTONE_UID), Kind.EDDYSTONE_UID),
    "Eddystone UID without reserved octets": (b.eddystone(b.EDDYSTONE_UID[:18]), Kind.EDDYSTONE_UID),
    "Eddystone URL": (b.eddystone(b.EDDYSTONE_URL), Kind.EDDYSTONE_URL),
    "Eddystone TLM": (b.eddystone(b.EDDYSTONE_TLM), Kind.EDDYSTONE_TLM),
    "Eddystone EID": (b.eddystone(b.EDDYSTONE_EID), Kind.EDDYSTONE_EID),
    "short UID": (b.eddystone(b.EDDYSTONE_UID[:17]), 0),
    "unknown Eddystone": (b.eddystone(b"\x40" + bytes(17)), 0),
    "UID of another service": (b.structure(0x16, b"\xab\xfe" + b.EDDYSTONE_UID), 0),
    "iBeacon of another company": (b.structure(0xFF, b"\x4d\0\x02\x15" + bytes(21)), 0),
    "Apple, no beacon": (b.phone_ad(), 0),
    "iBeacon cut": (b.structure(0xFF, b"\x4c\0\x02\x15" + bytes(20)), 0),
}


@pytest.mark.parametrize("name", BEACONS)
def test_beacon(name: str) -> None:
    ad, kind = BEACONS[name]
    row = parse_advert(b.advert(ad, kind=b.ADV_NONCONN_IND), KEY)
    assert row["element_mask"] >> 16 << 16 == kind


# ---- what a fingerprint ignores, and what it does not ----


def fingerprint(ad: bytes) -> int:
    return int(parse_advert(b.advert(ad), KEY)["fingerprint"])


UNSEEN = {
    "name": (b.phone_ad(name=b"Anna"), b.phone_ad(name=b"Bo's phone")),
    "tx power": (b.structure(0x0A, b"\x08"), b.structure(0x0A, b"\xf4")),
    "value of Apple": (b.phone_ad(), b.phone_ad(nearby=bytes(6))),
    "identity of a beacon": (b.ibeacon(), b.ibeacon(uuid=bytes(16), major=7, minor=9)),
    "ephemeral id": (b.eddystone(b.EDDYSTONE_EID), b.eddystone(b"\x30\xee" + b"\x77" * 8)),
    "body of a company": (b.structure(0xFF, b"\x06\0\1\2"), b.structure(0xFF, b"\x06\0\3\4")),
    "service data": (b.structure(0x16, b"\x6f\xfd" + bytes(20)), b.structure(0x16, b"\x6f\xfd" + b"\1" * 20)),
    "unknown body": (b.structure(0x2A, b"\1"), b.structure(0x2A, b"\2")),
    "padding": (b.structure(1, b"\6"), b.structure(1, b"\6") + bytes(9)),
}
SEEN = {
    "flags": (b.structure(1, b"\x06"), b.structure(1, b"\x1a")),
    "services": (b.structure(3, b"\x0f\x18"), b.structure(3, b"\x0a\x18")),
    "128-bit services": (b.structure(7, bytes(16)), b.structure(7, bytes(15) + b"\1")),
    "company": (b.structure(0xFF, b"\x06\0\1"), b.structure(0xFF, b"\x07\0\1")),
    "type of Apple": (b.structure(0xFF, b"\x4c\0\x10\1\0"), b.structure(0xFF, b"\x4c\0\x0c\1\0")),
    "lengths of Apple": (b.structure(0xFF, b"\x4c\0\x10\1\0\x0c\0"), b.structure(0xFF, b"\x4c\0\x10\0\x0c\1\0")),
    "length": (b.structure(0x2A, b"\1"), b.structure(0x2A, b"\1\2")),
    "type": (b.structure(0x2A), b.structure(0x2B)),
    "service of data": (b.structure(0x16, b"\x6f\xfd\1"), b.structure(0x16, b"\x6e\xfd\1")),
    "order": (b.structure(1, b"\6") + b.structure(9), b.structure(9) + b.structure(1, b"\6")),
    "a name": (b.structure(1, b"\6") + b.structure(9, b"x"), b.structure(1, b"\6")),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_fingerprint_ignores(name: str) -> None:
    one, other = UNSEEN[name]
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("name", SEEN)
def test_fingerprint_tells_apart(name: str) -> None:
    one, other = SEEN[name]
    assert fingerprint(one) != fingerprint(other)


def test_fingerprint_depends_on_neither_key_nor_sender() -> None:
    one = parse_advert(b.advert(), KEY)
    other = parse_advert(b.advert(address=b.PUBLIC, is_random=False, kind=b.ADV_NONCONN_IND), bytes(16))
    assert one["fingerprint"] == other["fingerprint"]
    assert one["device_key"] != other["device_key"]


# ---- PDUs ----


@pytest.mark.parametrize("kind", [Pdu.ADV_IND, Pdu.ADV_NONCONN_IND, Pdu.ADV_SCAN_IND, Pdu.SCAN_RSP])
def test_kinds_with_ad(kind: Pdu) -> None:
    row = parse_advert(b.advert(kind=kind), KEY)
    assert (row["pdu"], row["element_count"]) == (kind, 4)
    assert bool(row["status"] & BleStatus.SHAPELESS) is (kind is Pdu.SCAN_RSP)


def test_directed_has_a_target_in_the_place_of_ad() -> None:
    row = parse_advert(b.advert(b.PUBLIC, kind=b.ADV_DIRECT_IND), KEY)
    assert (row["element_count"], row["status"], row["flags"] & Flag.MALFORMED) == (0, BleStatus.SHAPELESS, 0)


ALL_FIELDS = {0: b.STATIC[::-1], 1: bytes(6), 2: b"\0", 3: b"\1\2", 4: b"\1\2\3", 5: bytes(18), 6: b"\xf8"}


@pytest.mark.parametrize("left_out", [(), (1,), (1, 2), (1, 2, 3, 4, 5), (5,)])
def test_extended(left_out: tuple[int, ...]) -> None:
    fields = {bit: value for bit, value in ALL_FIELDS.items() if bit not in left_out}
    row = parse_advert(b.extended(b.phone_ad(name=b"n" * 90), fields=fields), KEY)
    assert row["device_key"] == oracles.siphash(KEY, b.STATIC)
    assert (row["pdu"], row["address"], row["flags"]) == (Pdu.ADV_EXT_IND, AddressKind.STATIC, Flag.BLE)
    assert row["element_count"] == 4
    assert row["tx_dbm"] == 8, "the AD's, which comes later"
    assert parse_advert(b.extended(fields=fields), KEY)["tx_dbm"] == -8


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        (b"", "too short"),
        (b"\x00", "too short"),
        (b"\x00\x06" + bytes(5), "too short"),
        (b"\x00\x05" + bytes(5), "too short"),
        (b"\x01\x0b" + bytes(11), "too short"),
        (b.pdu(b.SCAN_REQ, bytes(12)), "other pdu"),
        (b.pdu(b.CONNECT_IND, bytes(34)), "other pdu"),
        (b.pdu(8, bytes(34)), "other pdu"),
        (b.pdu(b.ADV_EXT_IND, b""), "too short"),
        (b.extended(fields={}), "no address"),
        (b.extended(fields={3: b"\1\2", 4: b"\1\2\3"}), "no address"),
        (b.extended(fields={0: bytes(6)}, cut=1), "too short"),
        (b.pdu(b.ADV_EXT_IND, b"\x3f\x01" + bytes(61)), "too short"),
    ],
)
def test_what_is_no_advertisement(pdu: bytes, why: str) -> None:
    with pytest.raises(InputError, match=rf"\({why}\)"):
        parse_advert(pdu, KEY)


@pytest.mark.parametrize(
    ("ad", "count"),
    [
        (b"\x05\x09abc", 0),
        (b.structure(1, b"\6") + b"\x03\x19\x01", 1),
        (b.structure(1, b"\6") + b"\x07", 1),
        (b.structure(1, b"\6") + b"\0\0\1", 1),
        (b"\xff" * 31, 0),
        (b.structure(1, b"\6") * 11, 11),  # 33 octets: two more than a legacy AD can have
    ],
)
def test_malformed_keeps_what_is_valid(ad: bytes, count: int) -> None:
    row = parse_advert(b.advert(ad), KEY)
    assert (row["flags"] & Flag.MALFORMED, row["element_count"]) == (Flag.MALFORMED, count)


def test_extended_header_whose_fields_run_over_is_malformed() -> None:
    row = parse_advert(b.extended(b.phone_ad(), fields={0: b.STATIC[::-1], 6: b"\4"}, cut=1), KEY)
    assert (row["flags"] & Flag.MALFORMED, row["element_count"]) == (Flag.MALFORMED, 4)


# ---- CRC ----


def test_crc() -> None:
    """The catalogue's check value of CRC-24/BLE (reveng.sourceforge.io), and the standard's shift register."""
    assert _ble.crc24(b"123456789") == 0xC25A56
    assert _ble.crc24(b.advert()).to_bytes(3, "little") == b.crc24(b.advert())


@given(st.binary(max_size=60))
def test_crc_equals_the_shift_register(data: bytes) -> None:
    assert _ble.crc24(data).to_bytes(3, "little") == b.crc24(data)


# ---- against the slow twin ----

COLUMNS = list(oracles_ble.Advert.__dataclass_fields__)
KIND_OF_AD = st.one_of(st.sampled_from(sorted(oracles_ble.KINDS)), st.integers(0, 255))
BODIES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\x4c\0", b"\x4c\0\x02\x15", b"\xaa\xfe\x00", b"\xaa\xfe\x20"]).flatmap(
        lambda head: st.binary(max_size=24).map(lambda tail: head + tail)
    ),
)
ADS = st.lists(st.builds(b.structure, KIND_OF_AD, BODIES), max_size=6).map(b"".join)
PDUS = st.one_of(
    st.builds(
        b.advert, ADS, address=st.binary(min_size=6, max_size=6), is_random=st.booleans(), kind=st.integers(0, 15)
    ),
    st.builds(
        b.extended,
        ADS,
        fields=st.sets(st.integers(0, 6)).map(lambda bits: {bit: ALL_FIELDS[bit] for bit in bits}),
        cut=st.integers(0, 3),
    ),
)


def twin_of(pdu: bytes) -> dict[str, int] | str:
    twin = oracles_ble.parse(pdu, KEY)
    return twin if isinstance(twin, str) else {name: getattr(twin, name) for name in COLUMNS}


def kernel_of(pdu: bytes) -> dict[str, int] | str:
    rows, verdict = _ble.parse_pdu(pdu, KEY)
    return _ble.SKIP_REASONS[verdict - 1] if verdict else {name: int(rows[name][0]) for name in COLUMNS}


@given(PDUS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3), st.integers(0, 300))
def test_kernel_equals_its_twin(pdu: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    """Whole, changed in up to three octets, and cut short."""
    changed = bytearray(pdu)
    for at, octet in changes:
        changed[at % len(changed)] = octet
    for some in (pdu, bytes(changed), bytes(changed)[:cut]):
        assert kernel_of(some) == twin_of(some)


# ---- the probe's path ----


@pytest.mark.parametrize(("event_type", "kind"), [(0, b.ADV_IND), (2, b.ADV_SCAN_IND), (3, b.ADV_NONCONN_IND)])
def test_record_equals_the_row(event_type: int, kind: int) -> None:
    row = parse_advert(b.advert(address=b.STATIC, kind=kind), KEY)
    report = {"is_random": True, "event_type": event_type, "offset_us": 0x01020304, "rssi_dbm": -71}
    (record,) = np.frombuffer(record_of(b.STATIC, KEY, ad=b.phone_ad(), **report), RECORD)
    for name in ("device_key", "fingerprint", "flags", "sequence", "ssid_key"):
        assert record[name] == row[name]
    assert (record["offset_us"], record["rssi_dbm"], record["noise_dbm"], record["channel"]) == (0x01020304, -71, 0, 0)


@pytest.mark.parametrize(("event_type", "ad"), [(4, b.phone_ad()), (1, b""), (0, b""), (5, b.phone_ad())])
def test_no_record_of_what_has_no_shape(event_type: int, ad: bytes) -> None:
    assert record_of(b.STATIC, KEY, is_random=True, event_type=event_type, ad=ad, offset_us=0, rssi_dbm=-50) == b""


def test_rows_hold_neither_address_nor_name_nor_beacon() -> None:
    row = parse_advert(b.advert(b.ibeacon(), address=b.STATIC), KEY).tobytes()
    named = parse_advert(b.advert(b.phone_ad(name=b"Anna")), KEY).tobytes()
    for secret in (b.STATIC[:4], b.STATIC[::-1][:4], b.BEACON_UUID[:4]):
        assert secret not in row
    assert b"Anna" not in named


def test_advert_rows_start_as_frame_rows() -> None:
    assert FRAME.fields is not None
    assert ADVERT.fields is not None
    assert {name: ADVERT.fields[name] for name in FRAME.fields} == dict(FRAME.fields)
    assert (ADVERT.itemsize, FRAME.itemsize) == (44, 36)


@pytest.mark.parametrize("call", [lambda: address_kind(b"12345", is_random=True), lambda: parse_advert(b"", bytes(15))])
def test_wrong_lengths_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"has (6|16) bytes"):
        call()  # type: ignore[operator]
