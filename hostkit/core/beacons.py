"""Beacons of our own probes among what a probe heard: which they are, whose, how strong. They are nobody's phones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hostkit.core.pseudonym import SiteKey
from hostkit.core.wire import Flag

# What firmware/sensor/beacon.py sends, as dot11.c and ble.c name it: the marked element gives them one that no phone
# has. BLE: with the whole name and with as much of it as fits; tags send the same.
WIFI_FINGERPRINT = 0x08E6A0A9
BLE_FINGERPRINTS = (0x27B645F3, 0xF203CF56)
LEVELS = 129  # 0 to -128 dBm


def ssid_keys(names: Sequence[str], key: bytes) -> NDArray[np.uint32]:
    """Give what stands for each SSID (K,) in records keyed with this site key (16 bytes)."""
    site = SiteKey(raw=key)
    return np.array([site.pseudonym(name.encode()) & 0xFFFFFFFF for name in names], np.uint32)


def are_beacons(records: NDArray[np.void], senders: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Tell which RECORD rows (N,) are beacons; `senders` (K,): the probes' `ssid_keys`. Registered tags are none."""
    flags, fingerprint = records["flags"], records["fingerprint"]
    ble = (flags & Flag.BLE) != 0
    marked = np.where(
        ble,
        (fingerprint == BLE_FINGERPRINTS[0]) | (fingerprint == BLE_FINGERPRINTS[1]),
        fingerprint == WIFI_FINGERPRINT,
    )
    named = ~ble & (records["ssid_key"][:, None] == senders).any(axis=1)
    found: NDArray[np.bool_] = (marked | named) & ((flags & Flag.REGISTERED) == 0)
    return found


class Levels:
    """How strong each of K probes heard each other: a histogram of 1 dB a link, however many frames."""

    def __init__(self, probes: int) -> None:
        self._counts = np.zeros((probes, probes, LEVELS), np.uint32)

    def add(self, receiver: int, records: NDArray[np.void], senders: NDArray[np.uint32]) -> None:
        """Take RECORD rows (N,) that probe `receiver` heard; those whose SSID names no other probe are passed over."""
        row, sender = np.nonzero(records["ssid_key"][:, None] == senders)
        rssi_dbm = records["rssi_dbm"][row].astype(np.int64)
        good = (sender != receiver) & (rssi_dbm <= 0)
        np.add.at(self._counts, (sender[good], receiver, -rssi_dbm[good]), 1)

    def links(self) -> list[tuple[int, int, int, float, float]]:
        """Give (sender, receiver, frames, median in dBm, median absolute deviation in dB) of each link heard."""
        found = []
        for sender, receiver in np.argwhere(self._counts.any(axis=2)).tolist():
            counts = self._counts[sender, receiver]
            levels = -np.repeat(np.arange(LEVELS), counts).astype(np.float64)
            median = float(np.median(levels))
            found.append((sender, receiver, len(levels), median, float(np.median(np.abs(levels - median)))))
        return found
