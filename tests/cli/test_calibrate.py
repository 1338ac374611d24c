"""`footfall calibrate count`, `list` and `undo` as a person with a counter meets them."""

import json
import math
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import paho.mqtt.client as paho
import pytest

from hostkit.config import dump_site, load_site
from hostkit.contract import schema
from hostkit.errors import InputError
from hostkit.field.door import door
from hostkit.hub.calibrate import read_door_or_inside
from hostkit.io.calibrations import read_counts
from hostkit.model import PeoplePerDevice, Probe, Site
from tests.cli.command import COMMAND, ROOT, footfall, refused
from tests.crowd import START_US, crowd, overhear, save
from tests.io.brokers import Mosquitto, free_port

START_S = START_US // 1_000_000
SITE = Site(tenant="demo", site="corner-shop", time_zone="UTC", probes=(Probe(id="probe"),))
PHONES = 40
ENTERED = [1, 1, 2] * 15 + [0] * 15  # people, as the phones of `capture` come: in the first three quarters


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text("# mine\n" + dump_site(SITE))
    return path


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour in which 40 phones came in and stayed a quarter of an hour."""
    sent = crowd(3, phones=PHONES, minutes=60)
    return save(tmp_path_factory.mktemp("door") / "probe.pcap", overhear(sent, gain_db=25))


def beam(path: Path, *entered: float, start_s: int = START_S, header: str = "time,entered") -> Path:
    lines = [f"{start_s + 60 * minute},{count:g}" for minute, count in enumerate(entered)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def count(site: Path, table: Path, capture: Path, *more: str) -> dict[str, object]:
    done = footfall("calibrate", "count", "--site", site, "--csv", table, "--capture", capture, "--json", *more)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def kappa(path: Path) -> PeoplePerDevice:
    return load_site(path).people_per_device


# ---- a beam counter ----


def test_a_count_is_taken_into_site_toml_and_its_comments_stay(site: Path, capture: Path, tmp_path: Path) -> None:
    found = count(site, beam(tmp_path / "beam.csv", *ENTERED), capture)
    assert found["people"] == 60
    assert found["result"] == "FAIL"
    assert "another hour" in str(found["next_step"])
    assert 0.9 < float(str(found["people_per_device"])) < 2.1  # 60 people, 40 phones, pulled a little to 1
    assert kappa(site).median == found["people_per_device"]
    assert kappa(site).reference_counts == 1
    assert site.read_text().startswith("# mine\n# What Footfall knows")
    assert "people per counted device, before any hand count" in site.read_text()


def test_the_text_says_pass_or_fail_with_the_next_step(site: Path, capture: Path, tmp_path: Path) -> None:
    done = footfall(
        "calibrate", "count", "--site", site, "--csv", beam(tmp_path / "b.csv", *ENTERED), "--capture", capture
    )
    assert done.returncode == 0
    assert done.stdout.startswith("count-20240229-1400: 60 people, ")
    assert "FAIL: " in done.stdout
    assert "from 1 count; count again at another hour" in done.stdout


def test_repeats_of_other_hours_combine_and_can_be_taken_back(site: Path, capture: Path, tmp_path: Path) -> None:
    before = kappa(site)
    found = [
        count(site, beam(tmp_path / "b.csv", *[1, 1, 2] * 7, start_s=START_S + 1320 * part), capture)
        for part in range(2)
    ]
    widths = [float(str(one["log_sd"])) for one in found]
    assert widths[-1] < widths[0]
    assert found[-1]["reference_counts"] == 2
    listed = footfall("calibrate", "list", "--site", site).stdout
    assert all(str(one["id"]) in listed for one in found)
    for number, one in enumerate(reversed(found), start=1):
        done = footfall("calibrate", "undo", "--site", site, str(one["id"]), "--json")
        assert json.loads(done.stdout)["reference_counts"] == 2 - number
    assert kappa(site) == before
    assert footfall("calibrate", "list", "--site", site).stdout.count("taken back") == 2


def test_people_inside_calibrate_the_occupancy(site: Path, capture: Path, tmp_path: Path) -> None:
    found = count(site, beam(tmp_path / "in.csv", *[20] * 50, header="time,people"), capture)
    assert found["kind"] == "inside"
    it = load_site(site).occupancy
    assert it.reference_counts == 1
    assert it.people_per_device == found["people_per_device"]
    assert kappa(site) == PeoplePerDevice()


def test_taps_of_an_earlier_run_and_a_capture(site: Path, capture: Path, tmp_path: Path) -> None:
    """In and out at a door with 20 inside; and who came in, run and crash and run."""
    now = [float(START_S)]
    with door(site, "capture", lambda: now[0], 20) as counting:
        for _ in range(50):
            counting.give("in")
            counting.give("out")
            now[0] += 60.0
        counting.give("end")
        path = counting.path
    done = footfall("calibrate", "count", "--site", site, "--from", path, "--capture", capture, "--json")
    found = json.loads(done.stdout)
    assert (found["kind"], found["people"]) == ("inside", 20)
    assert not path.exists()
    assert footfall("calibrate", "undo", "--site", site, found["id"]).returncode == 0
    now[0] = float(START_S)
    for part in (ENTERED[:15], ENTERED[15:]):
        with door(site, "capture", lambda: now[0]) as counting:
            for people in part:
                if people:
                    counting.give("in", people)
                now[0] += 60.0
                counting.alive()
    done = footfall("calibrate", "count", "--site", site, "--from", path, "--capture", capture, "--json")
    found = json.loads(done.stdout)
    assert (found["kind"], found["people"], found["applied"]) == ("door", 60, True)
    assert found["devices"] == pytest.approx(38, abs=3)
    refused(footfall("calibrate", "count", "--site", site, "--inside", "3"), 2, "goes with --capture and counting by")


def test_passers_by_count_too(site: Path, capture: Path, tmp_path: Path) -> None:
    lines = "\n".join(f"{START_S + 60 * minute},1,1" for minute in range(60))
    (tmp_path / "b.csv").write_text(f"time,entered,passed\n{lines}\n")
    assert count(site, tmp_path / "b.csv", capture)["people"] == 120


# ---- what is refused, and leaves site.toml as it was ----


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ("", "no rows|fewer than two"),
        ("{s},5", "fewer than two rows"),
        ("{s},5\n{later},-1", "line 3: entered is -1"),
        ("{s},5\n{later},nan", "line 3: entered is 'nan'"),
        ("{s},5\n{later},1.5", "line 3: entered is 1.5"),
        ("{later},5\n{s},5", "line 3: time does not go on; .*clock was set"),
        ("{s},5\n{s},5", "line 3: time does not go on"),
        ("0,90\n90000,90", "longer than a day"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, rows: str, pattern: str) -> None:
    (tmp_path / "b.csv").write_text("time,entered\n" + rows.format(s=START_S + 600, later=START_S + 1800) + "\n")
    with pytest.raises(InputError) as refusal:
        read_door_or_inside(tmp_path / "b.csv")
    assert re.search(pattern, str(refusal.value))


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        ("{s},9000\n{later},9000", "do not belong together; see that count and capture"),
        ("0,90\n60,90", "the capture holds 2024-02-29 14:0.* only; give the capture of the counted minutes"),
    ],
)
def test_counts_that_do_not_fit_the_capture(site: Path, capture: Path, tmp_path: Path, rows: str, pattern: str) -> None:
    (tmp_path / "b.csv").write_text("time,entered\n" + rows.format(s=START_S + 600, later=START_S + 1800) + "\n")
    was = site.read_text()
    done = footfall("calibrate", "count", "--site", site, "--csv", tmp_path / "b.csv", "--capture", capture)
    refused(done, 3, pattern)
    assert site.read_text() == was
    assert not (tmp_path / "calibration").exists()


def test_the_same_minutes_twice_are_refused(site: Path, capture: Path, tmp_path: Path) -> None:
    table = beam(tmp_path / "b.csv", *ENTERED)
    first = count(site, table, capture)
    done = footfall("calibrate", "count", "--site", site, "--csv", table, "--capture", capture)
    refused(done, 3, f"{first['id']} is of the same minutes; footfall calibrate undo {first['id']}")


def test_a_table_needs_a_capture_and_an_id_must_be_known(site: Path, tmp_path: Path) -> None:
    table = beam(tmp_path / "b.csv", 5, 5)
    refused(footfall("calibrate", "count", "--site", site, "--csv", table), 2, "add --capture")
    refused(footfall("calibrate", "undo", "--site", site, "count-1"), 2, "no such calibration; calibrate first")
    assert "no calibration yet" in footfall("calibrate", "list", "--site", site).stdout


def test_a_count_that_somebody_broke_is_named(site: Path, capture: Path, tmp_path: Path) -> None:
    count(site, beam(tmp_path / "b.csv", *ENTERED), capture)
    (file,) = (tmp_path / "calibration").glob("*.json")
    file.write_text('{"id": 5}')
    refused(footfall("calibrate", "list", "--site", site), 3, "is no calibration .*; move it out of the folder")


def test_a_full_disk_leaves_site_and_history_as_they_were(site: Path, capture: Path, tmp_path: Path) -> None:
    was = site.read_text()
    (tmp_path / "calibration").write_text("in the way")
    table = beam(tmp_path / "b.csv", *ENTERED)
    done = footfall("calibrate", "count", "--site", site, "--csv", table, "--capture", capture)
    refused(done, 5, "choose another place|a part of the path is a file")
    assert site.read_text() == was


def test_killed_between_the_two_files_the_next_count_takes_both_in(site: Path, capture: Path, tmp_path: Path) -> None:
    """The record is moved into place first: what a kill can leave is a record that site.toml does not know yet."""
    was = site.read_text()
    first = count(site, beam(tmp_path / "b.csv", *[1, 1, 2] * 7), capture)
    site.write_text(was)
    again = count(site, beam(tmp_path / "c.csv", *[1, 1, 2] * 7, start_s=START_S + 1800), capture)
    assert (first["reference_counts"], again["reference_counts"]) == (1, 2)


# ---- the running hub ----


def live(at_s: float, total: float, provenance: str) -> bytes:
    message = schema("live")["examples"][0]
    figure = {**message["data"]["kpis"][0], "id": "footfall_today_devices", "value": total, "provenance": provenance}
    data = {"at_s": round(at_s), "kpis": [figure]}
    return json.dumps({**message, "provenance": provenance, "source": "/demo/corner-shop/hub", "data": data}).encode()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path).start()
    yield running
    running.stop()


class Hub(threading.Thread):
    """Says live figures as a hub does, a second ahead instead of minutes behind."""

    def __init__(self, port: int, provenance: str = "live") -> None:
        super().__init__(daemon=True)
        self.total, self.over, self._provenance = 100.0, False, provenance
        self._said: dict[float, float] = {}  # total → the first time it was said of
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def run(self) -> None:
        while not self.over:
            total, at_s = self.total, time.time() + 1
            payload = live(at_s, total, self._provenance)
            self._client.publish("footfall/v1/demo/corner-shop/hub/live", payload, 1, retain=True)
            self._said.setdefault(total, at_s)
            time.sleep(0.2)
        self._client.disconnect()
        self._client.loop_stop()

    def came(self, devices: int) -> None:
        """So many come in; return when that is said of a time that is past."""
        self.total += devices
        deadline = time.monotonic() + 60
        while self._said.get(self.total, math.inf) + 1.5 > time.time():  # whole seconds are said
            assert time.monotonic() < deadline
            time.sleep(0.05)


def command(site: Path, url: str, *more: str) -> subprocess.Popen[str]:
    arguments = ("calibrate", "count", "--site", str(site), "--broker", url, "--json", *more)
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def said_until(process: subprocess.Popen[str], text: str) -> str:
    """The next line of its standard error that holds a text."""
    assert process.stderr
    return next(line for line in process.stderr if text in line)


@pytest.mark.needs("mosquitto")
def test_a_count_that_was_killed_goes_on_at_keyboard_and_phone(site: Path, broker: Mosquitto) -> None:
    hub = Hub(broker.port)
    hub.start()
    killed = command(site, broker.url)
    said_until(killed, "Enter: one in; 3: three in")
    assert killed.stdin
    killed.stdin.write("\n\n9\n")
    killed.stdin.flush()
    assert "11 in, 0 out, 0 by; have 11 of 20 people" in said_until(killed, "11 in")
    hub.came(9)
    killed.stdin.write("\n")
    killed.stdin.flush()
    said_until(killed, "12 in")
    killed.kill()
    killed.communicate()
    path = site.parent / "calibration" / "count-live.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600

    process = command(site, broker.url, "--http", "127.0.0.1:0", "--language", "zh")
    assert "继续之前数到的 12 人" in said_until(process, "count-live.jsonl")
    page = said_until(process, "http://").rpartition(" ")[2].strip()
    for number, order in [("a-1", "in"), ("a-1", "in"), ("a-2", "out"), ("a-3", "undo")]:
        assert tapped(page, f"do/{order}?number={number}&ago=1.5") == 202
    assert [tapped(page, one) for one in ("do/by?number=a-4", "do/in?ago=x", "do/dance")] == [409] * 3
    with urlopen(f"{page}state", timeout=60) as answer:
        state = json.load(answer)
    assert [(one["way"], one["people"]) for one in state["taps"]] == [("in", 13), ("out", 0)]
    assert state["needs"] == ["已有 13 / 20 人"]
    hub.came(9)
    out, said = process.communicate("12\nu\nfive\np\n8\nq\n", timeout=60)
    hub.over = True
    assert process.returncode == 0, said
    found = json.loads(out)
    assert found["people"] == 21
    assert found["devices"] == pytest.approx(18, abs=0.2)
    assert found["calib_id"] == found["id"]
    assert "'five'" in said
    assert "抓包" in said  # who passed by: only with a capture
    (record,) = read_counts(site)
    assert record.source == "hub"
    assert not path.exists()
    kept = path.with_name(f"{record.id}.jsonl")
    was = kappa(site)
    assert footfall("calibrate", "undo", "--site", site, record.id).returncode == 0
    again = footfall("calibrate", "count", "--site", site, "--from", kept, "--json")
    assert json.loads(again.stdout)["held_out"] == found["held_out"]
    assert (kappa(site) == was) == found["applied"]


def tapped(page: str, what: str) -> int:
    try:
        with urlopen(Request(page + what, method="POST"), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        with refusal:
            return refusal.code


@pytest.mark.needs("mosquitto")
def test_simulated_figures_calibrate_no_shop(site: Path, broker: Mosquitto) -> None:
    hub = Hub(broker.port, "simulated")
    hub.start()
    process = command(site, broker.url)
    out, said = process.communicate("", timeout=60)
    hub.over = True
    assert (process.returncode, out) == (6, "")
    assert "its figures are simulated; count at a shop with live probes" in said


def test_too_few_people_are_kept_and_nothing_is_written(site: Path, capture: Path, tmp_path: Path) -> None:
    was = site.read_text()
    counted = ("calibrate", "count", "--site", site, "--capture", capture)
    done = footfall(*counted, "--from", beam(tmp_path / "b.csv", 5, 2))
    assert done.returncode == 0
    assert "have 7 of 20 people" in done.stdout
    assert "FAIL: Not applied: too few readings" in done.stdout
    few = json.loads(footfall(*counted, "--from", beam(tmp_path / "b.csv", *[7] * 7), "--json").stdout)
    assert [(need["word"], need["least"]) for need in few["needs"]] == [("people", 20), ("devices_heard", 10)]
    assert (few["result"], few["calib_id"]) == ("FAIL", None)
    assert site.read_text() == was
    assert not list(tmp_path.glob("calibration/*.json"))


def test_halves_that_contradict_each_other_are_not_applied(site: Path, capture: Path, tmp_path: Path) -> None:
    before = kappa(site)
    found = count(site, beam(tmp_path / "b.csv", *[8] * 5, *[0] * 20, *[2] * 20), capture)
    assert found["result"] == "FAIL"
    assert not found["applied"]
    assert "the halves disagree" in str(found["weak"]).lower()
    assert kappa(site) == before
    assert "not applied" in footfall("calibrate", "list", "--site", site).stdout
    assert footfall("calibrate", "undo", "--site", site, str(found["id"])).returncode == 0
    assert kappa(site) == before


def test_without_a_hub_nothing_is_counted(site: Path) -> None:
    done = footfall("calibrate", "count", "--site", site, "--broker", f"mqtt://127.0.0.1:{free_port()}")
    refused(done, 6, "no live figure of the hub .*start footfall hub run, or count with --capture")
