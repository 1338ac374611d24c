"""Stand-in for the port's bluetooth: the test puts adverts on air and is the client of our services."""

import control

scans = []
adverts = []
services = []  # (UUID, ((UUID, flags, handle), ...))
values = {}  # handle → bytes
notified = []  # (handle, bytes), cut to the MTU
mtu = 23
_append = set()
_sizes = {}
_irq = None
CONNECT, DISCONNECT, WRITTEN = 1, 2, 3


class UUID:
    def __init__(self, text):
        assert len(text) == 36
        self.text = text


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

    def gap_advertise(self, interval_us, adv_data=None, resp_data=None, connectable=True):
        assert len(adv_data or b"") <= 31 and len(resp_data or b"") <= 31
        adverts.append(None if adv_data is None else bytes(adv_data))

    def gatts_register_services(self, definitions):
        rows, handle = [], 15
        for uuid, characteristics in definitions:
            row = []
            for one, flags in characteristics:
                handle += 3  # declaration, value, descriptor
                row.append((one.text, flags, handle))
                values[handle], _sizes[handle] = b"", 20
            services.append((uuid.text, row))
            rows.append(tuple([row[2] for row in row]))
        return tuple(rows)

    def gatts_set_buffer(self, handle, size, append=False):
        _sizes[handle] = size
        if append:
            _append.add(handle)

    def gatts_write(self, handle, data, send_update=False):
        assert len(data) <= _sizes[handle], "longer than the characteristic"
        values[handle] = bytes(data)
        if send_update:
            notified.append((handle, values[handle][: mtu - 3]))

    def gatts_read(self, handle):
        data = values[handle]
        if handle in _append:
            values[handle] = b""
        return data


def write(handle, data):
    """Be a client that writes: what does not fit is not taken."""
    room = _sizes[handle] - len(values[handle]) if handle in _append else _sizes[handle]
    values[handle] = ((values[handle] if handle in _append else b"") + data)[: len(values[handle]) + room]
    _irq(WRITTEN, (0, handle))


def connected(on):
    """Be a client that comes, or goes."""
    _irq(CONNECT if on else DISCONNECT, (0, 0, b"\x01\x02\x03\x04\x05\x06"))


def _air(message):
    if _irq is not None:
        for kind, address, event, rssi, ad in message["adverts"]:
            _irq(5, (kind, memoryview(bytes.fromhex(address)), event, rssi, memoryview(bytes.fromhex(ad))))


control.handlers["ble"] = _air
