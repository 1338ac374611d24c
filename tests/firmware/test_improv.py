"""Improv: the BLE service with the published vector, and the serial line with the reference client from npm."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.node import node_modules
from tests.firmware.board import Board
from tests.firmware.shop import wait
from tests.firmware.test_links import Line, line  # noqa: F401

SERVICE = "00467768-6228-2272-4663-277478268000"
PUBLISHED = bytes.fromhex("011e0c4d79576972656c6573734150106d7973656375726570617373776f7264c0")
STATE, ERROR, COMMAND, RESULT, CAPABILITIES = range(5)
READ, WRITE_ALONE, WRITE, NOTIFY = 2, 4, 8, 16
REACH = [["far", -90, 3], ["shop", -50, 3], ["café", -60, 0], ["shop", -70, 3], ["", -40, 0]]


class Phone:
    """A client of the service, over the played radio."""

    def __init__(self, board: Board) -> None:
        self.board = board
        board.run("import bluetooth")
        ((service, rows),) = board.eval("bluetooth.services")
        self.service, self.rows = service, rows
        self.handles = [row[2] for row in rows]

    def write(self, data: bytes) -> None:
        self.board.run(f"bluetooth.write({self.handles[COMMAND]}, bytes.fromhex('{data.hex()}'))")

    def told(self, which: int) -> list[bytes]:
        """Give the notifications of a characteristic."""
        rows = self.board.eval("[[handle, data.hex()] for handle, data in bluetooth.notified]")
        return [bytes.fromhex(data) for handle, data in rows if handle == self.handles[which]]

    def read(self, which: int) -> bytes:
        return bytes.fromhex(self.board.eval(f"bluetooth.values[{self.handles[which]}].hex()"))

    def adverts(self) -> list[bytes]:
        return [bytes.fromhex(row) for row in self.board.eval("[one.hex() for one in bluetooth.adverts if one]")]


@pytest.fixture
def blank(tmp_path: Path, line: Line) -> Iterator[Board]:  # noqa: F811
    board = Board(tmp_path / "flash", pty=line.path)
    board.start()
    board.network(password="mysecurepassword", reach=REACH)
    board.run("from sensor import net; net.UP_MS = 400")
    yield board
    board.stop()


@pytest.fixture
def phone(blank: Board) -> Phone:
    blank.run("import bluetooth")
    blank.until("bluetooth.services")
    return Phone(blank)


def command(number: int, data: bytes = b"") -> bytes:
    body = bytes([number, len(data)]) + data
    return body + bytes([sum(body) & 255])


def texts(packet: bytes) -> tuple[int, list[str]]:
    """Take a result apart; its checksum must be right."""
    assert packet[1] == len(packet) - 3
    assert sum(packet[:-1]) & 255 == packet[-1]
    found, at = [], 2
    while at < len(packet) - 1:
        found.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return packet[0], found


def test_the_service_and_its_advert_are_as_published(phone: Phone) -> None:
    assert phone.service == SERVICE
    assert [row[:2] for row in phone.rows] == [
        [SERVICE[:-1] + "1", READ | NOTIFY], [SERVICE[:-1] + "2", READ | NOTIFY],
        [SERVICE[:-1] + "3", WRITE | WRITE_ALONE], [SERVICE[:-1] + "4", READ | NOTIFY], [SERVICE[:-1] + "5", READ],
    ]  # fmt: skip
    assert [phone.read(one) for one in (STATE, ERROR, CAPABILITIES)] == [b"\x02", b"\x00", b"\x07"]
    advert = phone.adverts()[-1]
    assert len(advert) == 31
    assert advert[:3] == b"\x02\x01\x06"
    assert advert[3:5] == b"\x11\x07"
    assert advert[5:21][::-1].hex() == SERVICE.replace("-", "")
    assert advert[21:] == b"\x09\x16\x77\x46\x02\x07" + bytes(4)


def test_the_published_packet_joins_the_network(phone: Phone) -> None:
    phone.write(PUBLISHED)
    wait(lambda: phone.told(RESULT))
    assert phone.told(STATE)[-2:] == [b"\x03", b"\x04"]
    assert phone.told(RESULT) == [command(1)]
    assert phone.read(ERROR) == b"\x00"
    assert phone.adverts()[-1][25] == 4
    held = json.loads((phone.board.flash / "settings.part").read_text())
    assert (held["ssid"], held["password"]) == ("MyWirelessAP", "mysecurepassword")


@pytest.mark.parametrize("size", [1, 20])
def test_a_packet_may_come_in_pieces(phone: Phone, size: int) -> None:
    phone.board.run("bluetooth.connected(True)")
    for at in range(0, len(PUBLISHED), size):
        phone.write(PUBLISHED[at : at + size])
    wait(lambda: phone.told(RESULT))
    assert phone.read(STATE) == b"\x04"


def test_a_wrong_password_is_unable_to_connect_and_one_may_try_again(phone: Phone) -> None:
    phone.write(command(1, b"\x04shop\x04nono"))
    wait(lambda: b"\x03" in phone.told(ERROR))
    wait(lambda: phone.read(STATE) == b"\x02")
    phone.write(PUBLISHED)
    wait(lambda: phone.read(STATE) == b"\x04")


def test_identify_information_and_networks(phone: Phone) -> None:
    phone.board.run("bluetooth.mtu = 185")
    phone.write(command(2))
    phone.board.until("app._identify_ms is not None")
    phone.write(command(3))
    (packet,) = wait(lambda: phone.told(RESULT))
    assert texts(packet) == (3, ["footfall", "0.1.0", phone.board.eval("sensor.family()"), "footfall probe"])
    phone.write(command(4))
    wait(lambda: len(phone.told(RESULT)) == 5)
    rows = [texts(packet) for packet in phone.told(RESULT)[1:]]
    assert rows == [(4, ["shop", "-50", "YES"]), (4, ["café", "-60", "NO"]), (4, ["far", "-90", "YES"]), (4, [])]


def test_rubbish_is_answered_by_the_standards_errors(phone: Phone) -> None:
    for data, error in (
        (PUBLISHED[:-1] + b"\x00", 1), (command(9), 2), (command(1, b"\x09"), 1), (command(1), 1), (command(0), 2),
    ):  # fmt: skip
        before = len(phone.told(ERROR))
        phone.write(data)
        wait(lambda before=before: len(phone.told(ERROR)) > before)  # type: ignore[misc]
        wait(lambda error=error: phone.told(ERROR)[-1] == bytes([error]))  # type: ignore[misc]
    for _ in range(20):
        phone.write(bytes([1, 255]) + bytes(200))
    phone.board.run("bluetooth.connected(True); bluetooth.connected(False)")
    phone.write(PUBLISHED)
    wait(lambda: phone.read(STATE) == b"\x04")


def test_who_leaves_takes_half_a_command_along_and_it_is_offered_again(phone: Phone) -> None:
    phone.board.run("bluetooth.connected(True)")
    phone.write(PUBLISHED[:9])
    adverts = len(phone.adverts())
    phone.board.run("bluetooth.connected(False)")
    assert len(phone.adverts()) == adverts + 1
    phone.write(PUBLISHED)
    wait(lambda: phone.read(STATE) == b"\x04")


def test_what_ble_did_the_serial_line_knows(phone: Phone, line: Line) -> None:  # noqa: F811
    phone.write(PUBLISHED)
    provisioned = b"IMPROV\x01\x01\x01\x04"
    wait(lambda: provisioned in line.raw)


# -- the reference client --


def bridged(line: Line) -> tuple[int, threading.Event]:  # noqa: F811
    """Carry the board's line over a local socket; give its port."""
    server, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        peer = server.accept()[0]
        sent = len(line.raw)
        peer.settimeout(0.02)
        with peer, server:
            while not over.is_set():
                peer.sendall(line.raw[sent : (sent := len(line.raw))])
                try:
                    data = peer.recv(4096)
                except TimeoutError:
                    continue
                if not data:
                    return
                os.write(line.master, data)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], over


def reference(line: Line, *steps: list[str]) -> list[Any]:  # noqa: F811
    """Let npm's SDK do these steps; give what each gave."""
    port, over = bridged(line)
    script = Path(__file__).with_name("improv_reference.mjs")
    environment = os.environ | {"SDK": str(node_modules() / "improv-wifi-serial-sdk" / "dist")}
    command_ = ["node", str(script), str(port), json.dumps(steps)]
    done = subprocess.run(command_, capture_output=True, text=True, timeout=60, env=environment, check=False)
    over.set()
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[Any] = [json.loads(row) for row in done.stdout.splitlines()]
    return rows


@pytest.mark.needs("node", "npm")
def test_the_reference_client_provisions_a_board(blank: Board, line: Line) -> None:  # noqa: F811
    found = reference(
        line, ["initialize"], ["scan"], ["provision", "MyWirelessAP", "nono"],
        ["provision", "MyWirelessAP", "mysecurepassword"], ["state"], ["getHostname"],
    )  # fmt: skip
    info = {"firmware": "footfall", "version": "0.1.0", "name": "footfall probe", "osName": None, "osVersion": None}
    assert found[0] == {"info": info | {"chipFamily": blank.eval("sensor.family()")}, "state": 2}
    assert found[1] == [
        {"name": "café", "rssi": -60, "secured": False}, {"name": "far", "rssi": -90, "secured": True},
        {"name": "shop", "rssi": -50, "secured": True},
    ]  # fmt: skip
    assert found[2] == {"error": "UNABLE_TO_CONNECT"}
    assert found[3] == {"state": 4}
    assert found[4] == {"state": 4}
    assert found[5] == {"error": "UNKNOWN_RPC_COMMAND"}
    assert json.loads((blank.flash / "settings.part").read_text())["ssid"] == "MyWirelessAP"
