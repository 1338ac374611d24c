"""Verifying for real: firmware, broker with TLS and ACL, hub, the command; what is missing is named and shown."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import footfall
from tests.firmware.shop import frame
from tests.install.place import Desk, Shop, footfall_at

pytestmark = pytest.mark.needs("mosquitto")


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


def verify(shop: Shop, probe: str, *more: str | Path):  # type: ignore[no-untyped-def]
    return footfall("probe", "verify", "--site", shop.site, "--probe", probe, *more)


def test_a_probe_that_is_heard_passes_and_shows_it(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**shop.settings("window-left"))
    desk.on()
    asked = ("--site", shop.site, "--probe", "window-left", "--broker", shop.broker, "--port", desk.port)
    running = footfall_at("probe", "verify", *asked, "--json", "--wait", "60")
    number = 0
    while running.poll() is None:
        desk.board.air(*(frame(number + at) for at in range(5)))
        number += 5
        time.sleep(0.3)
    stdout, stderr = running.communicate(timeout=10)
    assert running.returncode == 0, stderr
    told = json.loads(stdout)
    assert (told["passed"], told["failed"], told["led"]) == (True, None, True)
    assert told["hub"]["wifi_per_s"] > 0
    assert told["hub"]["uplink"] == told["board"]["uplink"] == "lan"
    assert desk.board.eval("app.led()") == "pass"
    again = verify(shop, "window-left", "--port", desk.port)  # the board's word alone
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("window-left: PASS")


def test_a_probe_that_hears_nothing_fails_and_shows_it(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**shop.settings("till"))
    desk.on()
    done = verify(shop, "till", "--broker", shop.broker, "--wait", "20")
    assert done.returncode == 6
    assert "till: FAIL" in done.stdout
    assert "ok    delivers\n  FAIL  Wi-Fi heard" in done.stdout
    assert "no Wi-Fi frame in them; hold a phone" in done.stderr
    assert desk.board.eval("app.led()") == "fail"


def test_a_board_says_where_it_got_stuck(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**shop.settings("door", port=1))
    desk.on()
    done = verify(shop, "door", "--broker", shop.broker, "--port", desk.port, "--wait", "6")
    assert done.returncode == 6
    assert "ok    network\n  FAIL  broker" in done.stdout
    assert "nothing listens at the broker's address" in done.stderr
    desk.board.network(lan=False)
    desk.board.run("from sensor import net; net.UP_MS = 400; app.net_up = False")
    desk.board.until("'no Ethernet' in app.uplink.trouble")
    done = verify(shop, "door", "--port", desk.port, "--wait", "4")
    assert "no Ethernet link; check cable" in done.stderr


def test_without_a_witness_it_says_whom_to_ask(shop: Shop) -> None:
    done = verify(shop, "door")
    assert (done.returncode, "whom is it to ask?; give --as DIR" in done.stderr) == (2, True)
    done = verify(shop, "door", "--broker", "mqtt://127.0.0.1:1", "--wait", "2")
    assert done.returncode == 6
    assert "no broker answers" in done.stderr
    done = verify(shop, "door", "--broker", shop.broker.replace("installer", "hub"), "--as", shop.folder)
    assert "give one of them" in done.stderr
