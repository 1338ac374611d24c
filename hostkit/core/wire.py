"""The probe's wire format: sighting records and batches. Refuses whatever fails its CRC, version or bounds."""

from enum import IntFlag

import numpy as np


class Flag(IntFlag):
    """Bits of a sighting record's `flags`."""

    RANDOMISED = 1  # locally administered address
    BLE = 2
    RETRY = 4
    MALFORMED = 8  # elements ran past the frame's end; what was valid is kept
    REGISTERED = 16  # the address is in the registry given with the key (staff, opt-out, member)


# One record as it travels, 26 bytes, little-endian: a batch body is an array of these.
RECORD = np.dtype(
    [
        ("offset_us", "<u4"),  # since the batch's base time
        ("device_key", "<u8"),  # SipHash-2-4 of the address under the site key
        ("fingerprint", "<u4"),  # of the elements, static table only
        ("ssid_key", "<u4"),  # 0: wildcard
        ("sequence", "<u2"),  # 802.11 sequence number, 12 bits
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),  # 0: unknown
        ("channel", "u1"),
        ("flags", "u1"),
    ]
)

# One sighting inside the hub, absolute hub time; `probe` indexes the pipeline's probe list. 32 bytes.
SIGHTING = np.dtype(
    [
        ("time_us", "<i8"),
        ("device_key", "<u8"),
        ("fingerprint", "<u4"),
        ("ssid_key", "<u4"),
        ("sequence", "<u2"),
        ("probe", "<u2"),
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),
        ("channel", "u1"),
        ("flags", "u1"),
    ]
)
