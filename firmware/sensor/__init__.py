"""The probe: hears Wi-Fi probe requests and BLE adverts, keys them, sends them to its hub. Nothing raw leaves it."""

VERSION = "0.1.0"
BUILD = 1  # rises with every release: an update never goes back
RELEASE_KEY = b""  # P-256 public key of whoever makes images, 65 bytes, from the build; empty: no updates
