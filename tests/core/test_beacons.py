"""Beacons of our probes: they are recognised, phones are not, levels per link are right."""

import numpy as np
from numpy.typing import NDArray

from hostkit.core.beacons import BLE_FINGERPRINTS, WIFI_FINGERPRINT, Levels, are_beacons, ssid_keys
from hostkit.core.dot11 import parse_frames
from hostkit.core.wire import RECORD, Flag
from tests.builders import probe_request as phones

KEY = bytes(range(16))


def parsed(frame: bytes) -> np.void:
    return parse_frames(frame, np.array([0]), np.array([len(frame)]), KEY)[0]


def records(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Give RECORD rows of (fingerprint, ssid_key, rssi_dbm, flags)."""
    out = np.zeros(len(rows), RECORD)
    for name, column in zip(("fingerprint", "ssid_key", "rssi_dbm", "flags"), zip(*rows, strict=True), strict=True):
        out[name] = column
    return out


def test_phones_are_no_beacons_and_registered_tags_stay() -> None:
    phone = parsed(phones(b"\x02\x00\x00\x00\x00\x01"))
    assert int(phone["fingerprint"]) != WIFI_FINGERPRINT
    senders = ssid_keys(["till"], KEY)
    rows = records(
        (int(phone["fingerprint"]), 0, -50, Flag.RANDOMISED),
        (WIFI_FINGERPRINT, 5, -50, Flag.RANDOMISED),
        (5, int(senders[0]), -50, Flag.RANDOMISED),  # named as ours by another element table
        (BLE_FINGERPRINTS[0], 0, -50, Flag.BLE),
        (BLE_FINGERPRINTS[1], 0, -50, Flag.BLE | Flag.REGISTERED),
        (WIFI_FINGERPRINT, 0, -50, Flag.BLE),  # of another radio
        (BLE_FINGERPRINTS[0], 0, -50, 0),
    )
    assert are_beacons(rows, senders).tolist() == [False, True, True, True, False, False, False]
    assert are_beacons(rows[:0], senders[:0]).tolist() == []
    assert are_beacons(rows, senders[:0]).sum() == 2


def test_levels_are_medians_of_each_direction() -> None:
    levels = Levels(3)
    senders = np.array([10, 11, 12], np.uint32)
    levels.add(1, records(*((1, 10, -60 - n, 1) for n in range(5)), (1, 11, -1, 1), (1, 99, -1, 1)), senders)
    levels.add(0, records((1, 12, -70, 1), (1, 12, -75, 1), (1, 12, 5, 1)), senders)
    assert sorted(levels.links()) == [(0, 1, 5, -62.0, 1.0), (2, 0, 2, -72.5, 2.5)]
