"""Every recorded advertisement, field by field against tshark, and what bad CRC would do to a count of addresses."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.address import parse_address
from hostkit.core.ble import NO_COMPANY, TX_UNKNOWN_DBM, AddressKind, BleReader, Kind
from hostkit.core.dot11 import device_keys
from tests import oracles_ble
from tests.builders import KEY
from tests.conftest import DATA

FIELDS = (
    *("frame.time_epoch", "btle.advertising_header.pdu_type", "btle.advertising_address"),
    *("btle.advertising_header.randomized_tx", "nordic_ble.rssi", "nordic_ble.channel"),
    *("btcommon.eir_ad.entry.type", "btcommon.eir_ad.entry.company_id", "btcommon.eir_ad.entry.power_level"),
)
CAPTURES = sorted(DATA.glob("ble/pact/*/nRF52/*.pcapng"))
WANTED = "btle.advertising_header.pdu_type in {0,1,2,4,6,7} && btle.advertising_address"


def tshark(path: Path, *, crc_ok: bool) -> list[list[str]]:
    """Give FIELDS of each advertisement, as text; the several values of one field joined by commas."""
    wanted = f"nordic_ble.crcok == {int(crc_ok)} && {WANTED}"
    command = ["tshark", "-n", "-r", str(path), "-Y", wanted, "-T", "fields", "-E", "occurrence=a"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, check=True)
    return [line.split("\t") for line in done.stdout.decode(errors="replace").splitlines()]


def first(text: str, default: int) -> int:
    return int(text.split(",", maxsplit=1)[0], 0) if text else default


def mask_of(types: str) -> int:
    return sum({oracles_ble.KINDS.get(int(kind, 16), Kind.OTHER) for kind in types.split(",") if kind})


@pytest.mark.realdata
@pytest.mark.needs("tshark")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parts[-3][:5]} {path.stem}")
def test_capture_equals_tshark(path: Path) -> None:
    reader = BleReader(path.read_bytes(), KEY)
    rows = reader.read_adverts(1_000_000)
    expected = tshark(path, crc_ok=True)
    assert len(rows) == len(expected) > 500
    columns = dict(zip(FIELDS, zip(*expected, strict=True), strict=True))
    addresses = [parse_address(text, where=path.name) for text in columns["btle.advertising_address"]]
    is_random = [text in ("1", "True") for text in columns["btle.advertising_header.randomized_tx"]]
    assert rows["time_us"].tolist() == [int(text.replace(".", "")[:16]) for text in columns["frame.time_epoch"]]
    assert np.array_equal(rows["device_key"], device_keys(addresses, KEY))
    assert (rows["address"] != AddressKind.PUBLIC).tolist() == is_random
    assert rows["rssi_dbm"].tolist() == [int(text) for text in columns["nordic_ble.rssi"]]
    assert rows["channel"].tolist() == [int(text) for text in columns["nordic_ble.channel"]]
    assert rows["pdu"].tolist() == [int(text, 0) for text in columns["btle.advertising_header.pdu_type"]]
    types = columns["btcommon.eir_ad.entry.type"]
    assert rows["element_count"].tolist() == [len(text.split(",")) if text else 0 for text in types]
    assert (rows["element_mask"] & 0xFFFF).tolist() == [mask_of(text) for text in types]
    companies = columns["btcommon.eir_ad.entry.company_id"]
    assert rows["company"].tolist() == [first(text, NO_COMPANY) for text in companies]
    powers = columns["btcommon.eir_ad.entry.power_level"]
    assert rows["tx_dbm"].tolist() == [first(text, TX_UNKNOWN_DBM) for text in powers]
    assert reader.counts.skipped.total == reader.counts.skipped.bad_crc + reader.counts.skipped.other_pdu


def crcs(path: Path) -> tuple[list[bool], list[bool]]:
    """Give what the sniffer's flag says of each packet's CRC, and what the standard's shift register says."""
    told, found = [], []
    data = path.read_bytes()
    at = 0
    while at < len(data) and len(told) < 2000:
        kind, length = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        if kind == 6:
            size = int.from_bytes(data[at + 20 : at + 24], "little")
            packet = data[at + 28 : at + 28 + size]
            told.append(bool(packet[8] & 1))
            found.append(len(packet) >= 26 + packet[22] and oracles_ble.crc_is_good(packet[21:]))
        at += length
    return told, found


@pytest.mark.realdata
def test_our_crc_agrees_with_the_radio() -> None:
    """2,000 packets of one capture: the CRC holds exactly where the nRF says so."""
    told, found = crcs(CAPTURES[-1])
    assert told == found
    assert 20 < told.count(False) < 1000


@pytest.mark.realdata
@pytest.mark.needs("tshark")
def test_bad_crc_would_invent_devices() -> None:
    """In one capture of half a minute with four phones, keeping bad frames multiplies the addresses."""
    path = CAPTURES[-1]
    good = {fields[2] for fields in tshark(path, crc_ok=True)}
    bad = {fields[2] for fields in tshark(path, crc_ok=False)}
    keys = np.unique(BleReader(path.read_bytes(), KEY).read_adverts(1_000_000)["device_key"])
    assert len(keys) == len(good)
    assert len(good | bad) > 5 * len(good)
