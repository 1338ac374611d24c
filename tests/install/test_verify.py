"""Verifying for real: firmware, broker with TLS and ACL, hub, the command; what is missing is named and shown."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostkit import __version__
from hostkit.contract.probes import Verdict
from hostkit.hub.ask import Envoy
from hostkit.install.hubline import HubLine
from tests.cli.command import footfall
from tests.firmware.shop import frame
from tests.install.place import SITE, Desk, Shop, ended, footfall_at

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
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    told = json.loads(stdout)
    assert (told["passed"], told["failed"], told["led"]) == (True, None, True)
    assert told["hub"]["wifi_per_s"] > 0
    assert told["hub"]["uplink"] == told["board"]["uplink"] == "lan"
    assert desk.board.eval("app.led()") == "pass"
    again = verify(shop, "window-left", "--port", desk.port)  # the board's word alone
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("window-left: PASS")


def test_the_probes_of_a_site_are_listed_watched_and_found(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**shop.settings("window-left"))
    desk.on()
    desk.board.until("app.capture.key_id")
    for number in range(100):
        desk.board.air(frame(number))
    desk.board.run("app.uplink.say('health', 'health', app.health.data(), 0)")
    desk.board.until("app.counts.passed['acknowledged'] > 1")
    hub = ("--site", shop.site, "--broker", shop.broker)
    at = Envoy(broker=shop.broker, tenant=SITE.tenant, site=SITE.site, at=datetime.now(UTC), node="installer")
    with HubLine(at) as line:
        told = line.next()
        while told.probes.rows[0].verdict is not Verdict.PASS:
            told = line.next(told)
        assert line.release == __version__
    rows = json.loads(footfall("probe", "list", *hub, "--json").stdout)["rows"]
    assert [row["id"] for row in rows] == [probe.id for probe in SITE.probes]
    assert (rows[0]["verdict"], rows[0]["state"], rows[0]["uplink"], rows[0]["key_held"]) == (
        "pass",
        "online",
        "lan",
        True,
    )
    assert rows[0]["firmware"] == desk.board.eval("sensor.VERSION")
    lines = footfall("probe", "list", *hub).stdout.splitlines()
    assert re.match(r"window-left +pass +online +lan ", lines[1])
    assert "not connected: power, network?" in lines[3]
    assert lines[-1] == "1 of 3 probes pass"
    seen = footfall("probe", "monitor", *hub, "--probe", "window-left", "--count", "2", "--json").stdout.splitlines()
    told = [json.loads(line)["rows"] for line in seen]
    assert [len(rows) for rows in told] == [1, 1]
    assert told[0][0]["memory"]["free_bytes"] > 0
    plain = footfall("probe", "monitor", *hub, "--count", "1").stdout.splitlines()
    assert plain[0].split() == [
        "probe",
        "Wi-Fi/s",
        "BLE/s",
        "radio/s",
        "RSSI",
        "channels",
        "heap",
        "KiB",
        "block",
        "KiB",
        "drops",
    ]
    done = footfall("probe", "identify", *hub, "--probe", "window-left", "--seconds", "5")
    assert done.stdout == "window-left: blinks for 5 s\n", done.stderr
    assert desk.board.eval("app.led()") == "identify"
    done = footfall("probe", "identify", *hub, "--probe", "door")
    assert (done.returncode, "door is not connected" in done.stderr) == (6, True)


def test_a_probe_that_hears_nothing_fails_and_shows_it(shop: Shop, desk: Desk) -> None:
    desk.board.settings(**shop.settings("till"))
    desk.on()
    done = verify(shop, "till", "--broker", shop.broker, "--wait", "12")
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


def test_a_port_that_goes_is_waited_for_and_missed(shop: Shop, desk: Desk) -> None:
    """A board whose USB is its own takes the port along when it restarts."""
    desk.board.settings(**shop.settings("door"))
    desk.on()
    asked = ("--site", shop.site, "--probe", "door", "--port", desk.port)
    running = footfall_at("probe", "verify", *asked, "--wait", "60")
    desk.board.until("app.capture.key_id")
    until_listening(running)
    desk.cable.unplug()
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 6
    assert re.search(r"ttyUSB0: no such port \(there: .*\); plug the board in", stderr), stderr
    assert not stdout
    desk.cable.plug_in()
    running = footfall_at("probe", "verify", *asked, "--wait", "60", "--json")
    until_listening(running)
    desk.cable.unplug()
    time.sleep(2)
    desk.cable.plug_in()
    desk.board.air(*(frame(at) for at in range(5)))
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    assert json.loads(stdout)["passed"]


def until_listening(running: "subprocess.Popen[str]") -> None:
    assert running.stderr
    while "waiting for: Wi-Fi heard" not in (line := running.stderr.readline()):
        assert line


def test_an_update_is_asked_for_and_told_in_one_line(shop: Shop, tmp_path: Path) -> None:
    hub = ("probe", "update", "--site", shop.site, "--broker", shop.broker)
    ended(footfall(*hub), 6, "rollout begin: .*release")
    ended(footfall(*hub, "--release", tmp_path, "--data", shop.folder), 3, "manifest")
    ended(footfall(*hub, "nobody"), 2, "site.toml has no probe 'nobody'")
    ended(footfall(*hub, "--stop", "till"), 2, "leave out --release and the probes")
    stopped = footfall(*hub, "--stop", "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["state"]) == (0, "none"), stopped.stderr


def test_without_a_witness_it_says_whom_to_ask(shop: Shop) -> None:
    done = verify(shop, "door")
    assert (done.returncode, "whom is it to ask?; give --as DIR" in done.stderr) == (2, True)
    done = verify(shop, "door", "--broker", "mqtt://127.0.0.1:1", "--wait", "2")
    assert done.returncode == 6
    assert "no broker answers" in done.stderr
    done = verify(shop, "door", "--broker", shop.broker.replace("installer", "hub"), "--as", shop.folder)
    assert "give one of them" in done.stderr
