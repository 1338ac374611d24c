"""The probe: hears Wi-Fi probe requests and BLE adverts, keys them, sends them to its hub. Nothing raw leaves it."""

import sys

VERSION = "0.1.0"
BUILD = 1  # rises with every release: an update never goes back
RELEASE_KEY = b""  # P-256 public key of whoever makes images, 65 bytes, from the build; empty: no updates


def chip(name: str = "") -> str:
    """Give the chip as manifests name it, `esp32` or `esp32s3`, of `... with ESP32S3` or `... with ESP32-PICO-D4`."""
    words = (name or sys.implementation._machine).split(" with ")[-1].strip().lower().split("-")
    rest = words[0][5:] or (words[1] if len(words) > 1 else "")
    return words[0][:5] + (rest if rest[:1] in ("s", "c", "h", "p") and rest[1:].isdigit() else "")


def family(name: str = "") -> str:
    """Give the chip as ESP Web Tools names it: `ESP32-S3`."""
    word = chip(name).upper()
    return word[:5] + ("-" + word[5:] if len(word) > 5 else "")
