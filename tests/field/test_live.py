"""Calibrations through a real broker, a real hub and simulated probes, with the phone page."""

import json
import math
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from urllib.request import Request, urlopen

import pytest

from hostkit.config import dump_site, load_site
from hostkit.contract.codec import SITE, decode
from hostkit.io.mqtt import Arrived, Client, Inbox, parse_url, take
from hostkit.model import PathLoss
from hostkit.sim.plan import default_site
from tests.cli.command import COMMAND, ROOT, footfall, refused
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
TRUE = replace(default_site(4), path_loss=PathLoss(rssi_1m_dbm=-52.0, exponent=3.1))
SAID = default_site(4)
PATIENCE_S = 60.0


class Running:
    """A command in a process of its own; `line(text)` waits for a line of its standard error."""

    def __init__(self, folder: Path, name: str, *arguments: str | Path) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def line(self, text: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                if text in line:
                    return line
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"never: {text}\n{self._log.read_text()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def technician(tmp_path: Path) -> Iterator[tuple[Path, str, Path]]:
    """A shop of simulated probes under a hub whose site.toml is wrong; give site.toml, broker and the file of where."""
    broker = Mosquitto(tmp_path).start()
    true, said, here = tmp_path / "true.toml", tmp_path / "site.toml", tmp_path / "here"
    true.write_text(dump_site(TRUE))
    said.write_text(dump_site(SAID))
    hub = Running(
        tmp_path,
        "hub",
        "hub",
        "run",
        "--site",
        said,
        "--broker",
        broker.url,
        "--clock",
        "batch",
        "--data",
        tmp_path / "hub",
    )
    hub.line("connected")
    play = ("--mqtt", broker.url, "--people", "2", "--hours", "0.5", "--speed", "1", "--technician", here)
    probes = Running(tmp_path, "sim", "simulate", "--site", true, *play)
    hub.line("key: made a new one")
    yield said, broker.url, here
    probes.stop()
    hub.stop()
    broker.stop()


def post(url: str) -> None:
    with urlopen(Request(url, method="POST"), timeout=60) as answer:
        assert answer.status == 202


def state(url: str) -> dict[str, object]:
    with urlopen(f"{url}state", timeout=60) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def until(url: str, what: object) -> dict[str, object]:
    deadline = time.monotonic() + PATIENCE_S
    while not what(found := state(url)):  # type: ignore[operator]
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_levels_with_the_phone_page_are_applied(technician: tuple[Path, str, Path], tmp_path: Path) -> None:
    site, broker, here = technician
    report = tmp_path / "link.html"
    live = ("--broker", broker, "--distances", "2,8", "--http", "127.0.0.1:0")
    link = Running(tmp_path, "link", "calibrate", "link", "--site", site, *live, "--report", report, "--json")
    url = link.line("phone page: ").rpartition(" ")[2]
    post(f"{url}do/0")
    assert "no probe heard it" in str(until(url, lambda now: now["line"] and now["listening"] is None)["line"])
    for number, (probe, distance) in enumerate((probe, one) for probe in TRUE.probes for one in (2.0, 8.0)):
        assert probe.position_m is not None
        x, y, height = probe.position_m
        flat = (distance**2 - (height - 1.1) ** 2) ** 0.5
        here.write_text(f"{x + math.copysign(flat, 13 - x)},{y}")
        post(f"{url}do/{number}")
        until(url, lambda now, number=number: number in now["done"] and now["listening"] is None)
    last = state(url)
    assert last["needs"] == []
    assert last["next"] is None
    post(f"{url}do/end")
    out, _ = link.process.communicate(timeout=PATIENCE_S)
    found = json.loads(out)
    assert found["source"] == "live"
    assert found["applied"]
    assert found["held_out"]["after"] < 0.5 * found["held_out"]["before"]
    assert load_site(site).path_loss.rssi_1m_dbm == pytest.approx(TRUE.path_loss.rssi_1m_dbm, abs=8.0)
    assert found["calib_id"] in report.read_text("utf-8")
    assert not (site.parent / "calibration" / "link-live.jsonl").exists()
    kept = site.parent / "calibration" / f"{found['calib_id']}.jsonl"
    again = footfall("calibrate", "link", "--site", site, "--from", kept, "--json")
    assert json.loads(again.stdout)["held_out"]["after"] == found["held_out"]["after"]
    assert in_force_at(broker, found["calib_id"]) == found["calib_id"]


def in_force_at(broker: str, wanted: str) -> str | None:
    """What the hub says it runs on, once it says `wanted` or at last."""
    inbox: Inbox = Queue(1000)
    topic = f"footfall/v1/{SAID.tenant}/{SAID.site}/hub/site"
    client = Client(parse_url(broker), inbox, name="t", client_id="t", subscriptions=((topic, 1),))
    client.start()
    deadline, said = time.monotonic() + 60, None
    while said != wanted and time.monotonic() < deadline:
        item = take(inbox, 0.2)
        if isinstance(item, Arrived) and item.topic == topic:
            said = decode(SITE, item.payload, item.topic).data.calibration_id
    client.stop()
    return said


def test_a_walk_that_was_killed_goes_on_and_the_end_of_input_ends(
    technician: tuple[Path, str, Path], tmp_path: Path
) -> None:
    site, broker, here = technician
    here.write_text("8,10")
    command = ("calibrate", "walk", "--site", site, "--broker", broker, "--seconds", "3", "--json")
    killed = Running(tmp_path, "killed", *command)
    killed.line("Enter: take 1")
    assert state(killed.line("on this computer: http://127.0.0.1:").rpartition(" ")[2])["table"]["rows"] == []
    assert killed.process.stdin
    killed.process.stdin.write("\n5\n")
    killed.process.stdin.flush()
    killed.line("point 5: 4 probes heard, ")
    killed.process.kill()
    killed.stop()
    path = site.parent / "calibration" / "walk-live.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not re.search(rb"footfall-cal|([0-9a-f]{2}:){5}", path.read_bytes())
    walk = Running(tmp_path, "walk", *command)
    walk.line("walk-live.jsonl: goes on with 2 stands of an earlier run")
    walk.line("Enter: take 2")
    out, _ = walk.process.communicate("3\n99\nu\n", timeout=PATIENCE_S)
    said = (tmp_path / "walk.log").read_text()
    assert "there is no 99" in said
    assert "3: taken out again" in said
    assert "walk-live.jsonl: is kept; the same command goes on with it, or give it to --from" in said
    found = json.loads(out)
    assert [need["have"] for need in found["needs"]] == [2, 0]
    assert (found["result"], found["applied"], found["calib_id"]) == ("FAIL", False, None)
    again = footfall("calibrate", "walk", "--site", site, "--from", path, "--json")
    assert json.loads(again.stdout) == {**found, "source": str(path)}
    refused(footfall("calibrate", "link", "--site", site, "--from", path), 3, "footfall calibrate walk --from")


def test_without_a_hub_it_says_so(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SAID))
    live = ("calibrate", "link", "--site", site, "--broker", "mqtt://127.0.0.1:1", "--seconds", "1")
    refused(footfall(*live, "--beacon", "My Phone"), 2, "'My Phone' is no name that probes can look for")
    refused(footfall(*live, "--distances", "1,x"), 2, "'1,x' are no distances")
    refused(footfall(*live, "--http", "nowhere"), 2, "is not HOST:PORT")
