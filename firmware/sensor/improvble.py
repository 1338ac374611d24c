"""Improv Wi-Fi over BLE 2.4 (improv-wifi.com/ble): the GATT service and its advert. What a command does is Improv's.

The irq only copies; `turn` does the work, called from a task. A command may come in pieces, as short as a client likes.
"""

import struct

import bluetooth

from .improv import INVALID, UNKNOWN, Improv, ble_command, ble_packet

SERVICE = "00467768-6228-2272-4663-277478268000"
IDENTIFY, DEVICE_INFO, NETWORKS = 2, 3, 4  # commands; 1 is as on the serial line
CAPABILITIES = 0b111  # these three
# Ours: a piece of a message as on the serial line, behind 1 if it is the last, else 0; a piece of its answer, asked for
# by offset (two bytes, the high one first) and given behind the answer's whole length, 0 while there is none.
MESSAGE, ANSWER = 0xF0, 0xF1
PIECE, MOST_MESSAGE = 200, 2048
ADVERT_US = 100_000
MTU = 256  # what a client may ask for: device information in one notification
_READ, _WRITE_ALONE, _WRITE, _NOTIFY = 2, 4, 8, 16
_CONNECT, _DISCONNECT, _WRITTEN = 1, 2, 3
_MOST = 258


def uuid(number: int) -> str:
    """Give the UUID of characteristic `number`, 1 to 5; 0 is the service."""
    return SERVICE[:-1] + str(number)


def advert(state: int) -> bytes:
    """Give the AD: flags, the service and its service data 0x4677, which fill the 31 bytes to the last."""
    service = bytes([int(SERVICE.replace("-", "")[at : at + 2], 16) for at in range(30, -1, -2)])
    data = struct.pack("<HBB4x", 0x4677, state, CAPABILITIES)
    return b"\x02\x01\x06" + b"\x11\x07" + service + bytes((len(data) + 1, 0x16)) + data


class ImprovBle(Improv):
    """`identify()` shows the board, `heard(text)` takes a message; the rest as Improv. There until the power goes."""

    def __init__(self, join, info: tuple[str, str, str, str], networks, identify, heard) -> None:
        super().__init__(None, join, info, networks)
        self._identify, self._heard = identify, heard
        self._message = bytearray(0)
        self.answer = b""  # to the last message
        self.fetched = False
        self._name = info[3]
        self._came = bytearray(0)
        self._lost = False  # more came than a command can be
        self._peers = 0
        self._ble = ble = bluetooth.BLE()
        ble.active(True)
        ble.config(mtu=MTU)
        ble.irq(self._irq)
        flags = (_READ | _NOTIFY, _READ | _NOTIFY, _WRITE | _WRITE_ALONE, _READ | _NOTIFY, _READ)
        rows = [(bluetooth.UUID(uuid(number + 1)), flag) for number, flag in enumerate(flags)]
        handles = ble.gatts_register_services(((bluetooth.UUID(uuid(0)), tuple(rows)),))[0]
        self._at_state, self._at_error, self._at_command, self._at_result, at_capabilities = handles
        ble.gatts_set_buffer(self._at_command, _MOST, True)
        ble.gatts_set_buffer(self._at_result, _MOST)
        ble.gatts_write(at_capabilities, bytes((CAPABILITIES,)))
        ble.gatts_write(self._at_error, b"\0")
        self._say_state()

    def turn(self) -> None:
        """Do what came since the last call."""
        if self._lost:
            self._came, self._lost = bytearray(0), False
            self._error(INVALID)
        while len(self._came) >= 2 and len(self._came) >= 3 + self._came[1]:
            size = 3 + self._came[1]
            packet, self._came = bytes(self._came[:size]), self._came[size:]
            try:
                command, data = ble_command(packet)
            except ValueError:
                self._came = bytearray(0)
                self._error(INVALID)
                return
            self._do(command, data)

    def _do(self, command: int, data: bytes) -> None:
        if command == IDENTIFY:
            self._error(0)
            self._identify()
        elif command == MESSAGE and data and len(self._message) + len(data) <= MOST_MESSAGE:
            self._error(0)
            self._piece(data)
        elif command == ANSWER and len(data) == 2:
            self._error(0)
            self._give(data[0] << 8 | data[1])
        elif command > NETWORKS or not command:
            self._error(UNKNOWN)
        else:
            self._error(0)
            self._command(bytes((command, len(data))) + data)

    def _piece(self, data: bytes) -> None:
        self._message += data[1:]
        if data[0]:
            text, self._message = bytes(self._message), bytearray(0)
            self.answer, self.fetched = b"", False
            self._heard(text)

    def _give(self, at: int) -> None:
        piece = self.answer[at : at + PIECE]
        data = bytes((len(self.answer) >> 8, len(self.answer) & 255)) + piece
        self._result(bytes((ANSWER, len(data))) + data)
        self.fetched = 0 < len(self.answer) <= at + len(piece)

    def _irq(self, event: int, data) -> None:
        if event == _WRITTEN:
            written = self._ble.gatts_read(self._at_command)
            if len(self._came) + len(written) > _MOST:
                self._lost = True
            else:
                self._came += written
        elif event == _CONNECT:
            self._peers += 1
        elif event == _DISCONNECT:
            self._peers -= 1
            self._came, self._lost = bytearray(0), False
            self._message = bytearray(0)
            self._advertise()

    def _say_state(self) -> None:
        self._ble.gatts_write(self._at_state, bytes((self.state,)), True)
        self._advertise()

    def _error(self, error: int) -> None:
        self._ble.gatts_write(self._at_error, bytes((error,)), True)

    def _result(self, data: bytes) -> None:
        self._ble.gatts_write(self._at_result, ble_packet(data[0], data[2:]), True)

    def _advertise(self) -> None:
        """Say that we are here; while somebody is connected, nobody else can be."""
        if not self._peers:
            name = self._name.encode()[:29]
            scan_response = bytes((len(name) + 1, 9)) + name
            self._ble.gap_advertise(ADVERT_US, advert(self.state), resp_data=scan_response, connectable=True)
