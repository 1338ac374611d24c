"""What the firmware beacons is what the hub knows as a beacon."""

import numpy as np
import pytest
from sensor.beacon import advert, probe_request
from sensor.bleshape import shape

from hostkit.core.beacons import BLE_FINGERPRINTS, WIFI_FINGERPRINT, ssid_keys
from hostkit.core.dot11 import parse_frames

KEY = bytes(range(16))


@pytest.mark.parametrize("name", ["a", "window-left", "x" * 32])
def test_what_the_firmware_sends_is_known_by_its_fingerprint_and_name(name: str) -> None:
    frame = probe_request(b"\x02abcde", name, 7)
    (row,) = parse_frames(frame, np.array([0]), np.array([len(frame)]), KEY)
    assert int(row["fingerprint"]) == WIFI_FINGERPRINT
    assert int(row["ssid_key"]) == ssid_keys([name], KEY)[0]
    assert shape(advert(name))[0] in BLE_FINGERPRINTS
