"""Improv Wi-Fi: Serial 1 and the RPC packets of BLE 2.4 (improv-wifi.com). Pure: bytes in, answers out.

A stranger may say what he likes: packets are bounded, checked, and answered by the standard's error.
"""

HEADER = b"IMPROV\x01"
STATE, ERROR, COMMAND, RESULT = 1, 2, 3, 4
AUTHORISED, PROVISIONING, PROVISIONED = 2, 3, 4
NO_ERROR, INVALID, UNKNOWN, UNABLE = 0, 1, 2, 3
SEND_WIFI, GET_STATE, GET_INFO, GET_NETWORKS = 1, 2, 3, 4
_MOST = 9 + 255 + 1


def packet(kind: int, data: bytes) -> bytes:
    """Give a serial packet, a line feed around it so that it stands apart from what else is printed."""
    body = HEADER + bytes((kind, len(data))) + data
    return b"\n" + body + bytes((sum(body) & 255,)) + b"\n"


def result(command: int, texts: list[str]) -> bytes:
    """Give an RPC result: strings, each behind its length."""
    data = b"".join([bytes((len(text.encode()),)) + text.encode() for text in texts])
    return bytes((command, len(data))) + data


def wifi_command(data: bytes) -> tuple[str, str]:
    """Read network and password of a `send Wi-Fi settings`, without command and length; ValueError."""
    if not data or len(data) < 2 + data[0]:
        raise ValueError("network")
    ssid = data[1 : 1 + data[0]]
    password = data[2 + data[0] :]
    if not 0 < len(ssid) <= 32 or data[1 + data[0]] != len(password) or len(password) > 63:
        raise ValueError("network or password")
    return ssid.decode(), password.decode()


def ble_command(data: bytes) -> tuple[int, bytes]:
    """Take a whole RPC packet of BLE apart: command and data; ValueError."""
    if len(data) < 3 or data[1] != len(data) - 3 or sum(data[:-1]) & 255 != data[-1]:
        raise ValueError("packet")
    return data[0], data[2:-1]


def ble_packet(command: int, data: bytes) -> bytes:
    """Give a whole RPC packet of BLE."""
    body = bytes((command, len(data))) + data
    return body + bytes((sum(body) & 255,))


class Improv:
    """The device's side. `write(bytes)` sends. `join(self, ssid, password)` begins; `joined` or `failed` follows.

    `info`: firmware, version, chip, device name. `networks()` gives (ssid, rssi, whether it has a password) each.
    """

    def __init__(self, write, join, info: tuple[str, str, str, str], networks) -> None:
        self._write = write
        self._join = join
        self._info = info
        self._networks = networks
        self._held = b""
        self.state = AUTHORISED
        self.url = ""
        self.damaged = 0

    def feed(self, data) -> None:
        """Take any bytes of the line; what is no packet is passed over."""
        self._held += bytes(data)
        while True:
            at = self._held.find(HEADER)
            if at < 0:
                self._held = self._held[-len(HEADER) + 1 :]
                return
            self._held = self._held[at:]
            if len(self._held) < 10 or len(self._held) < 10 + self._held[8]:
                self._held = self._held[:_MOST]
                return
            end = 9 + self._held[8]
            body, check, self._held = self._held[:end], self._held[end], self._held[end + 1 :]
            if sum(body) & 255 != check:
                self.damaged += 1
                self._error(INVALID)
            elif body[7] == COMMAND:
                self._command(body[9:])

    def joined(self, url: str) -> None:
        """The network is there; `url` is where the device can be reached, if anywhere."""
        self.told(PROVISIONED, url)
        self._result(result(SEND_WIFI, [url] if url else []))

    def failed(self) -> None:
        """The network was not there, or the password was wrong."""
        self._error(UNABLE)
        self.told(AUTHORISED)

    def told(self, state: int, url: str = "") -> None:
        """The board's state changed, whoever made it change."""
        self.state, self.url = state, url
        self._say_state()

    def _command(self, data: bytes) -> None:
        if len(data) < 2 or data[1] != len(data) - 2:
            self._error(INVALID)
        elif data[0] == SEND_WIFI:
            self._send_wifi(data[2:])
        elif data[0] == GET_STATE:
            self._say_state()
            if self.state == PROVISIONED:
                self._result(result(GET_STATE, [self.url] if self.url else []))
        elif data[0] == GET_INFO:
            self._result(result(GET_INFO, list(self._info)))
        elif data[0] == GET_NETWORKS:
            for ssid, rssi_dbm, locked in self._networks():
                row = [ssid, str(rssi_dbm), "YES" if locked else "NO"]
                self._result(result(GET_NETWORKS, row))
            self._result(result(GET_NETWORKS, []))
        else:
            self._error(UNKNOWN)

    def _send_wifi(self, data: bytes) -> None:
        try:
            ssid, password = wifi_command(data)
        except ValueError:
            self._error(INVALID)
            return
        self.state = PROVISIONING
        self._error(NO_ERROR)
        self._say_state()
        self._join(self, ssid, password)

    def _result(self, data: bytes) -> None:
        self._write(packet(RESULT, data))

    def _say_state(self) -> None:
        self._write(packet(STATE, bytes((self.state,))))

    def _error(self, error: int) -> None:
        self._write(packet(ERROR, bytes((error,))))
