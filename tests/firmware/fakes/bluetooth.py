"""Stand-in for the port's bluetooth: the test puts adverts on air; scans and own adverts are noted."""

import control

scans = []
adverts = []
_irq = None


class BLE:
    def active(self, on):
        pass

    def config(self, **options):
        pass

    def irq(self, handler):
        global _irq
        _irq = handler

    def gap_scan(self, duration_ms, interval_us=0, window_us=0):
        scans.append(duration_ms)

    def gap_advertise(self, interval_us, adv_data=None, connectable=True):
        adverts.append(None if adv_data is None else bytes(adv_data))


def _air(message):
    if _irq is not None:
        for kind, address, event, rssi, ad in message["adverts"]:
            _irq(5, (kind, memoryview(bytes.fromhex(address)), event, rssi, memoryview(bytes.fromhex(ad))))


control.handlers["ble"] = _air
