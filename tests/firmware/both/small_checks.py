"""Improv, LED, beacons: bytes in, bytes out."""

from binascii import unhexlify

import sensor
from sensor import improv, led
from sensor.beacon import Levels, advert, probe_request, wait_ms


def _raises(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return
    raise AssertionError("nothing was raised")


def check_improvs_published_ble_packet():
    whole = unhexlify("011e0c4d79576972656c6573734150106d7973656375726570617373776f7264c0")
    command, data = improv.ble_command(whole)
    assert command == improv.SEND_WIFI
    assert improv.wifi_command(data) == ("MyWirelessAP", "mysecurepassword")
    assert improv.ble_packet(command, data) == whole
    for index in range(len(whole)):
        bad = bytearray(whole)
        bad[index] ^= 1
        _raises(improv.ble_command, bytes(bad))
    for end in range(len(whole)):
        _raises(improv.ble_command, whole[:end])


def check_bad_networks_are_refused():
    for data in (b"", b"\x00\x00", b"\x05abc", b"\x21" + b"a" * 33 + b"\x00", b"\x01a\x05x", b"\x01a\x40" + b"x" * 64):
        _raises(improv.wifi_command, data)


class _Peer:
    def __init__(self):
        self.said = b""
        self.joins = []
        info = ("footfall", "1", "ESP32", "probe")
        self.improv = improv.Improv(self._write, self._join, info, lambda: [("shop", -60, True)])

    def _write(self, data):
        self.said += data

    def _join(self, improv, ssid, password):
        self.joins.append((ssid, password))

    def answer(self, data):
        self.said = b""
        self.improv.feed(data)
        return self.said


def check_improv_serial_answers_byte_by_byte():
    whole = improv.packet(improv.COMMAND, bytes((improv.GET_STATE, 0)))
    assert whole == b"\nIMPROV\x01\x03\x02\x02\x00\xe5\n"
    peer = _Peer()
    for byte in whole[:-2]:
        assert peer.answer(bytes((byte,))) == b""
    assert peer.answer(whole[-2:]) == improv.packet(improv.STATE, b"\x02")
    networks = peer.answer(improv.packet(improv.COMMAND, bytes((improv.GET_NETWORKS, 0))))
    row = improv.result(improv.GET_NETWORKS, ["shop", "-60", "YES"])
    assert networks == improv.packet(improv.RESULT, row) + improv.packet(improv.RESULT, bytes((4, 0)))


def check_improv_survives_rubbish():
    peer = _Peer()
    assert peer.answer(bytes(range(256)) * 40 + b"IMPROV") == b""
    assert peer.answer(improv.packet(improv.COMMAND, b"\x09\x00")) == improv.packet(improv.ERROR, b"\x02")
    assert peer.answer(improv.packet(improv.COMMAND, b"\x01\x09")) == improv.packet(improv.ERROR, b"\x01")
    spoilt = improv.packet(improv.COMMAND, b"\x02\x00")[:-2] + b"\x00"
    assert peer.answer(spoilt) == improv.packet(improv.ERROR, b"\x01") and peer.improv.damaged == 1
    assert peer.joins == []


def check_every_state_has_a_rhythm_of_its_own():
    seen = set()
    for state in led.PATTERNS:
        row = "".join(["1" if led.lit(state, at) else "0" for at in range(0, 12_000, led.STEP_MS)])
        assert "1" in row and "0" in row
        assert row not in seen
        seen.add(row)
    for shown in ("identify", "pass", "fail"):
        assert led.state_of(shown, True, False, False, False, False) == shown
    assert led.state_of("", False, False, False, False, False) == "no-network"
    assert led.state_of("", False, True, False, True, True) == "no-hub"
    assert led.state_of("", False, True, True, False, True) == "no-key"
    assert led.state_of("", False, True, True, True, False) == "no-frames"
    assert led.state_of("", False, True, True, True, True) == "good"


def check_beacons_are_whole():
    frame = probe_request(b"\x02\x00\x00\x00\x00\x01", "window-left", 5)
    assert frame[:2] == b"\x40\x00" and frame[10:16] == b"\x02\x00\x00\x00\x00\x01" and frame[22:24] == b"\x50\x00"
    at = 24
    while at < len(frame):
        at += 2 + frame[at + 1]
    assert at == len(frame)
    for name in ("a", "window-left", "x" * 32):
        data = advert(name)
        assert len(data) <= 31
        at = 0
        while at < len(data):
            at += 1 + data[at]
        assert at == len(data)
    assert b"x" * 17 in advert("x" * 32)


def check_slots_come_round():
    assert wait_ms(1_000_000_000, 0, 60_000) == 20_000  # 1000 s is 40 s into its minute
    assert wait_ms(1_000_000_000, 40_000, 60_000) == 0
    assert wait_ms(1_000_000_000, 39_999, 60_000) == 59_999


def check_levels_are_quantiles():
    levels = Levels()
    assert levels.measured() == {"frames": 0}
    for rssi_dbm in range(-100, 0):
        levels.add(rssi_dbm)
    levels.add(5)
    assert levels.frames == 101
    assert levels.quantile(50) == -50 and levels.quantile(10) == -90 and levels.quantile(100) == 0


def check_the_chip_is_named_as_manifests_name_it():
    for name, chip, family in (
        ("Generic ESP32 module with ESP32", "esp32", "ESP32"),
        ("Generic ESP32 module with SPIRAM with ESP32", "esp32", "ESP32"),
        ("M5Stack Atom with ESP32-PICO-D4", "esp32", "ESP32"),
        ("LILYGO with ESP32-UNICORE", "esp32", "ESP32"),
        ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "esp32s3", "ESP32-S3"),
        ("XIAO with ESP32-C3", "esp32c3", "ESP32-C3"),
        ("ESP32C6 module with ESP32C6", "esp32c6", "ESP32-C6"),
        ("a module with ESP32P4", "esp32p4", "ESP32-P4"),
    ):
        assert (sensor.chip(name), sensor.family(name)) == (chip, family), name
