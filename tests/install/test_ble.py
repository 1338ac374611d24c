"""Provisioning by BLE: bleak itself, a BlueZ of our own on a private D-Bus, behind it the firmware's GATT service."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.errors import UsageError
from hostkit.install.bleboard import BleBoard
from tests.cli.command import footfall
from tests.firmware.shop import frame
from tests.identity.place import until
from tests.install.bluez import Air, Bluez
from tests.install.place import SITE, Desk, Shop, ended

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.needs("dbus-daemon")]
ADDRESS = "24:0A:C4:00:00:07"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop")).open()
    yield shop
    shop.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.prepare = "import network; network.state['password'] = 'right'; from sensor import net; net.UP_MS = 1000"
    desk.on()
    yield desk
    desk.off()


@pytest.fixture
def bluez(tmp_path: Path, desk: Desk) -> Iterator[Bluez]:
    bluez = Bluez(tmp_path, Air(boards={ADDRESS: desk.board}))
    yield bluez
    bluez.stop()


def provision(shop: Shop, bluez: Bluez, *more: str | Path, port: str = "ble:auto", password: str = "right"):  # type: ignore[no-untyped-def]
    secret = shop.folder / "wifi"
    secret.touch(mode=0o600)
    secret.write_text(password)
    place = ("--site", shop.site, "--probe", "till", "--port", port, "--ssid", "shop", "--wifi-password", secret)
    return footfall("probe", "provision", *place, *more, **bluez.environment)


def test_a_key_does_not_go_over_ble() -> None:
    """Refused before a byte of it is sent: this one is not even connected."""
    board = object.__new__(BleBoard)
    board.where = "ble:footfall"
    with pytest.raises(UsageError, match="a key does not go over BLE; use the serial line"):
        board.configure({"probe": "till", "key": "-----BEGIN PRIVATE KEY-----"}, "salt")


@pytest.mark.parametrize("mtu", [256, 23])
def test_a_blank_board_is_set_up_by_ble_and_enrols_by_itself(shop: Shop, desk: Desk, bluez: Bluez, mtu: int) -> None:
    bluez.air.mtu = mtu
    done = provision(shop, bluez, "--codes", shop.codes("till"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["held"]["probe"] == "till"
    until(lambda: desk.starts == 2, "the board did not restart", 20)
    assert not [data for data in bluez.air.writes if b"PRIVATE" in data]
    desk.board.until("app.capture.key_id")
    for number in range(30):
        desk.board.air(frame(number))
    desk.board.until("app.counts.passed['acknowledged'] > 1")
    held = json.loads((desk.board.flash / "settings.json").read_text())
    assert (held["tenant"], held["site"], held["probe"]) == (SITE.tenant, SITE.site, "till")
    assert held["key"].startswith("-----BEGIN PRIVATE KEY")  # from the hub, over TLS
    assert held["port"] == shop.authority.port
    assert held["code"] == ""


def test_a_wrong_password_uses_no_code(shop: Shop, desk: Desk, bluez: Bluez) -> None:
    codes = shop.codes("till")
    ended(
        provision(shop, bluez, "--codes", codes, password="wrong"), 6, "cannot join 'shop': the password is wrong, or"
    )
    assert [one.used_s for one in shop.authority.enrolment.codes() if one.identity.endswith("/till")][-1] is None
    assert provision(shop, bluez, "--codes", codes).returncode == 0


def test_a_connection_that_breaks_is_said_and_the_next_run_does_it(shop: Shop, desk: Desk, bluez: Bluez) -> None:
    codes = shop.codes("till")
    for writes in (0, 2):
        bluez.air.break_after = writes
        bluez.air.writes.clear()
        ended(provision(shop, bluez, "--codes", codes), 6, "the connection broke off.*go nearer")
        assert not (desk.board.flash / "settings.next").exists()
    bluez.air.break_after = None
    assert provision(shop, bluez, "--codes", codes).returncode == 0


def test_the_wrong_device_and_none(shop: Shop, desk: Desk, bluez: Bluez) -> None:
    codes = ("--codes", shop.codes("till"))
    ended(provision(shop, bluez, *codes, port="ble:headphones"), 6, "waits for no settings; is it the right device")
    ended(provision(shop, bluez, *codes, port="ble:nobody"), 6, "no such board waits for settings .2 other devices")
    bluez.air.boards["24:0A:C4:00:00:08"] = desk.board
    ended(
        provision(shop, bluez, *codes),
        6,
        "2 boards wait for settings: 24:0A:C4:00:00:07 .footfall probe., .*by address",
    )
    assert provision(shop, bluez, *codes, port=f"ble:{ADDRESS.lower()}").returncode == 0


@pytest.mark.parametrize(
    ("air", "said"), [(Air(adapter=False), "no Bluetooth adapter"), (Air(powered=False), "is off")]
)
def test_without_an_adapter_it_says_so(shop: Shop, tmp_path: Path, air: Air, said: str) -> None:
    bluez = Bluez(tmp_path, air)
    try:
        ended(provision(shop, bluez, "--codes", shop.codes("till")), 6, said)
    finally:
        bluez.stop()
    ended(provision(shop, bluez, "--codes", shop.codes("till")), 6, "no Bluetooth adapter .*systemctl start bluetooth")
