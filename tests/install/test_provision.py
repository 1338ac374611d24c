"""Provisioning over serial: the real command, a pty, the firmware on a real MicroPython, the real hub's enrolment."""

import json
import os
import re
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import footfall
from tests.identity.place import until
from tests.install.place import PROBES, SITE, Desk, Shop, ended, footfall_at

pytestmark = pytest.mark.needs("mosquitto")
DOOR = {"probe": "door", "tenant": SITE.tenant, "site": SITE.site, "uplink": "lan", "host": "h", "board": "wt32-eth01"}
LAN = ("--uplink", "lan", "--board", "wt32-eth01")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop")).open()
    yield shop
    shop.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.off()


def provision(shop: Shop, desk: Desk, *more: str | Path, probe: str = "window-left"):  # type: ignore[no-untyped-def]
    return footfall("probe", "provision", "--site", shop.site, "--probe", probe, "--port", desk.port, *more)


def held(desk: Desk) -> dict[str, object]:
    names = ("settings.next", "settings.json")
    path = next(path for name in names if (path := desk.board.flash / name).exists())
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_a_blank_board_gets_its_settings_and_its_own_credential(shop: Shop, desk: Desk, tmp_path: Path) -> None:
    desk.on()
    done = provision(shop, desk, *LAN, "--codes", shop.codes("window-left"), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["held"]
    until(lambda: desk.starts == 2, "the board did not restart")
    settings = held(desk)
    assert settings["probe"] == told["probe"] == "window-left"
    assert (settings["tenant"], settings["site"], settings["uplink"]) == (SITE.tenant, SITE.site, "lan")
    assert (settings["host"], settings["port"]) == ("127.0.0.1", shop.authority.port)
    assert "PRIVATE KEY" in str(settings["key"])
    assert not {"key", "cert", "ca"} & set(told)
    key = str(settings["key"]).splitlines()[1]
    assert key not in done.stdout + done.stderr
    files = [path for folder in (tmp_path, shop.folder) for path in folder.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files if key.encode() in path.read_bytes()} == {desk.board.flash.name}
    desk.board.until("app.uplink.link is not None")  # the broker took it


def test_wifi_is_joined_before_the_code_is_used(shop: Shop, desk: Desk, tmp_path: Path) -> None:
    desk.prepare = "import network; network.state['password'] = 'right'; from sensor import net; net.UP_MS = 1000"
    desk.on()
    codes, password = shop.codes("till"), tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("wrong\n")
    wifi = ("--ssid", "shop", "--wifi-password", password, "--codes", codes)
    ended(provision(shop, desk, *wifi, probe="till"), 6, "cannot join 'shop': the password is wrong, or")
    (code,) = [one for one in shop.authority.enrolment.codes() if one.identity.endswith("/till")]
    assert code.used_s is None
    password.write_text("right\n")
    done = provision(shop, desk, *wifi, probe="till")
    assert done.returncode == 0, done.stderr
    settings = held(desk)
    assert (settings["ssid"], settings["password"], settings["uplink"]) == ("shop", "right", "wifi-park")
    assert not (desk.board.flash / "settings.part").exists()


def test_what_is_set_up_already_is_not_touched_unasked(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**DOOR)
    desk.on()
    ended(
        provision(shop, desk, "--uplink", "serial"), 6, "is set up already, as door of demo/corner-shop; .*--take-over"
    )
    done = provision(shop, desk, "--uplink", "serial", "--take-over")
    assert done.returncode == 0, done.stderr
    assert "was door; making it blank" in done.stderr
    assert held(desk)["probe"] == "window-left"
    again = provision(shop, desk, "--uplink", "serial")
    ended(again, 6, "is set up already, as window-left")
    assert provision(shop, desk, "--uplink", "serial", "--take-over", probe="till").returncode == 0
    assert held(desk)["probe"] == "till"


def test_codes_that_cannot_be_used(shop: Shop, desk: Desk, tmp_path: Path) -> None:
    desk.on()
    codes = shop.codes("window-left")
    assert provision(shop, desk, *LAN, "--codes", codes).returncode == 0
    (desk.board.flash / "settings.next").rename(desk.board.flash / "gone")
    refused_as = {
        codes: "this code was used; if that was not you",
        shop.codes("till"): "codes: hold none for window-left",
    }
    for file, pattern in refused_as.items():
        other = Desk(tmp_path, f"tty-{file.stem}").on()
        ended(provision(shop, other, *LAN, "--codes", file), 6 if "used" in pattern else 2, pattern)
        assert not (other.board.flash / "settings.next").exists()
        other.off()
    nonsense = tmp_path / "nonsense"
    nonsense.touch(mode=0o600)
    nonsense.write_text("hello\n")
    ended(provision(shop, desk, *LAN, "--take-over", "--codes", nonsense), 2, "is no code for a probe")


STRANGERS = {
    b"\x8a\x9f\x11" * 50: "says nothing that is Footfall's; check that it is the probe's port",
    b"rst:0x1\r\nwaiting for download\r\n": "is in download mode; press its reset button",
    b"MicroPython v1.29 on 2026\r\n>>> ": "without Footfall's files; .*put-app",
    b"": "says nothing; press its reset button",
}


def test_garbage_silence_and_strangers(shop: Shop, tmp_path: Path) -> None:
    place = ("--site", shop.site, "--probe", "till", "--uplink", "serial")
    masters, running = {}, {}
    for said in STRANGERS:
        masters[said], slave = os.openpty()
        tty.setraw(slave)
        running[said] = footfall_at("probe", "provision", *place, "--port", os.ttyname(slave))
        os.close(slave)  # who holds a port is asked
    while any(one.poll() is None for one in running.values()):
        for said, master in masters.items():
            os.write(master, said)
        time.sleep(0.2)
    for said, one in running.items():
        _, stderr = one.communicate(timeout=60)
        assert one.returncode == 6
        assert re.search(STRANGERS[said], stderr), stderr
    ended(footfall("probe", "provision", *place, "--port", tmp_path / "none"), 6, "no such port.*plug the board in")
    for master in masters.values():
        os.close(master)


def test_unplugged_mid_way(shop: Shop, desk: Desk) -> None:
    """The code is used and the board goes: it has a minute to come back, and then gets the same credential."""
    desk.on()
    desk.board.run(
        "from sensor.factory import Factory\n"
        "keep, count = Factory._keep, [0]\n"
        "def slow(self, settings):\n"
        "    count[0] += 1\n"
        "    if count[0] == 2: open('halfway', 'w').close()\n"
        "    import time; time.sleep_ms(1500 if count[0] == 2 else 0)\n"
        "    keep(self, settings)\n"
        "Factory._keep = slow\n"
    )
    codes = shop.codes("door")
    place = ("--site", shop.site, "--probe", "door", "--port", desk.port)
    running = footfall_at("probe", "provision", *place, *LAN, "--codes", codes)
    until((desk.board.flash / "halfway").exists, "it never got so far", 30)
    desk.cable.unplug()
    time.sleep(2.5)
    desk.cable.plug_in()
    _, stderr = running.communicate(timeout=90)
    assert running.returncode == 0, stderr
    assert "was unplugged" in stderr
    assert held(desk)["probe"] == "door"
    assert str(held(desk)["cert"]).startswith("-----BEGIN CERTIFICATE")


def test_every_probe_of_the_site_is_known() -> None:
    assert {probe.id for probe in SITE.probes} == set(PROBES)
