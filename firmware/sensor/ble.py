"""The BLE side of the radio: scan slices into the ear, adverts of our own. Copies nothing: the ear keys in the irq."""

import bluetooth

SCAN_US = 30_000  # window and interval alike: always on while a slice lasts
RX_BYTES = 1024  # the default of 128 holds three adverts and drops silently
ADVERT_US = 250_000
_SCAN_RESULT = 5
_NAMES = (8, 9)


class Ble:
    """`watch(name, levels)` counts how strong a beacon of that name is."""

    def __init__(self, ear) -> None:
        self._ear = ear
        self._ble = bluetooth.BLE()
        self._ble.active(True)
        self._ble.config(rxbuf=RX_BYTES)
        self._ble.irq(self._irq)
        self._name = b""
        self._levels = None

    def scan(self, milliseconds: int) -> None:
        """Open the ear for so long."""
        self._ble.gap_scan(milliseconds, SCAN_US, SCAN_US)

    def shut(self) -> None:
        """Close it."""
        self._ble.gap_scan(None)  # type: ignore[arg-type]  # ends it, by the documentation

    def advertise(self, advert: bytes | None, interval_us: int = ADVERT_US) -> None:
        """Send an advert again and again, non-connectable; None: no more."""
        if advert is None:
            self._ble.gap_advertise(None)  # type: ignore[arg-type]  # ends it, by the documentation
        else:
            self._ble.gap_advertise(interval_us, advert, connectable=False)

    def watch(self, name: str, levels) -> None:
        """Count the levels of adverts with this local name; `levels` None: no more."""
        self._name, self._levels = name.encode(), levels

    def _irq(self, event: int, data) -> None:
        if event != _SCAN_RESULT:
            return
        address_type, address, event_type, rssi_dbm, ad = data
        if self._levels is not None and _has_name(ad, self._name):
            self._levels.add(rssi_dbm)
        self._ear.ble(address_type, address, event_type, rssi_dbm, ad)


def _has_name(ad, name: bytes) -> bool:
    at = 0
    while at + 2 <= len(ad) and ad[at]:
        if ad[at + 1] in _NAMES:
            text = bytes(ad[at + 2 : at + 1 + ad[at]])
            return len(text) > 0 and (text == name or (ad[at + 1] == 8 and name.startswith(text)))
        at += 1 + ad[at]
    return False
