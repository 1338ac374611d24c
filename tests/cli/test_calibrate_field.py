"""`footfall calibrate link|anchors|walk|zones` on recorded readings, as a technician meets them."""

import json
import re
from pathlib import Path

import pytest

from hostkit.config import load_site
from hostkit.errors import InputError
from hostkit.field.anchors import read_links_table
from hostkit.field.courses import read_points
from hostkit.field.ground import ground_of
from hostkit.field.link import read_stands
from hostkit.field.survey import read_survey
from hostkit.field.zones import read_rounds
from tests.cli.command import footfall, refused
from tests.field.shop import SITE, recorded, site_file, table, write


@pytest.mark.parametrize(("kind", "unit"), [("link", "dB"), ("anchors", "dB"), ("walk", "m"), ("zones", "wrong")])
def test_each_is_applied_listed_and_taken_back(tmp_path: Path, kind: str, unit: str) -> None:
    site = site_file(tmp_path)
    was = load_site(site)
    done = footfall("calibrate", kind, "--site", site, "--from", table(tmp_path, f"{kind}.csv", every=2), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["unit"] == unit
    assert found["enough"]
    assert found["held_out"]["after"] < found["held_out"]["before"] if found["applied"] else True
    assert (load_site(site) != was) == found["applied"]
    assert found["calib_id"] in footfall("calibrate", "list", "--site", site).stdout
    undone = footfall("calibrate", "undo", "--site", site, found["calib_id"])
    assert undone.returncode == 0, undone.stderr
    assert load_site(site) == was
    assert "taken back" in footfall("calibrate", "list", "--site", site).stdout


def test_the_text_says_before_after_guess_and_the_limits(tmp_path: Path) -> None:
    site = site_file(tmp_path)
    out = footfall("calibrate", "walk", "--site", site, "--from", table(tmp_path, "walk.csv", every=3)).stdout
    assert "guess 6.9 m" in out
    assert "ok  mean error" in out
    assert "PASS: In force: the held-out error fell" in out
    assert "probe-6" in out
    chinese = footfall(
        "calibrate", "walk", "--site", site, "--from", tmp_path / "walk.csv", "--language", "zh", PYTHONUTF8="1"
    ).stdout
    assert "平均误差" in chinese


def test_too_few_points_are_counted_and_nothing_is_written(tmp_path: Path) -> None:
    site = site_file(tmp_path)
    was = site.read_text()
    header, rows = recorded(1)["walk.csv"]
    few = write(tmp_path / "few.csv", header, [row for row in rows if float(str(row[4])) < 9])
    done = footfall("calibrate", "walk", "--site", site, "--from", few)
    assert done.returncode == 0
    assert "have 8 of 20 points" in done.stdout
    assert "No points at x 3–13 m, y 14–21 m: stand there at least twice." in done.stdout
    assert "FAIL: Not applied: too few readings" in done.stdout
    assert site.read_text() == was
    assert not (tmp_path / "calibration").exists()


@pytest.mark.parametrize(
    ("kind", "rows", "pattern"),
    [
        ("walk", "time_s,anchor,rssi_dbm,x_m\n", "no column y_m"),
        ("walk", "time_s,anchor,rssi_dbm,x_m,y_m\n0,ghost,-50,5,8\n", "no reading of a known anchor"),
        ("walk", "time_s,anchor,rssi_dbm,x_m,y_m\n0,probe-1,-50,5,80\n", "line 2: x 5, y 80 lies outside the plan"),
        ("walk", "time_s,anchor,rssi_dbm,x_m,y_m\n0,probe-1,-500,5,8\n", "line 2: rssi_dbm is -500"),
        ("walk", "time_s,anchor,rssi_dbm,x_m,y_m\n0,probe-1,loud,5,8\n", "line 2: rssi_dbm is 'loud'"),
        ("walk", "time_s,anchor,rssi_dbm,x_m,y_m\n", "no reading"),
        ("walk", "\x00\x01\x02", "no column|line"),
        ("points", "x_m,y_m\n5,80\n", "line 2: x 5, y 80 lies outside the plan of ground"),
        ("points", "x_m,y_m\n", "holds 0 points; give 1 to 200"),
        ("link", "time_s,anchor,rssi_dbm,distance_m\n0,probe-1,-50,0\n", "line 2: distance_m is 0"),
        (
            "link",
            "time_s,anchor,rssi_dbm,distance_m\n0,ghost,-50,1\n",
            "no reading of a known probe; the site has",
        ),
        ("zones", "time_s,anchor,rssi_dbm,zone\n0,probe-1,-50,cellar\n", "line 2: there is no zone 'cellar'"),
        ("anchors", "sender,receiver,rssi_dbm\nghost,probe-1,-50\n", "no link between probes of this floor"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, kind: str, rows: str, pattern: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(rows)
    ground = ground_of(SITE)
    read = {
        "walk": lambda: read_survey(bad, ground),
        "points": lambda: read_points(bad, ground),
        "link": lambda: read_stands(bad, SITE),
        "zones": lambda: read_rounds(bad, SITE),
        "anchors": lambda: read_links_table(bad, ground),
    }
    with pytest.raises(InputError) as refusal:
        read[kind]()
    assert re.search(pattern, str(refusal.value))


def test_a_refusal_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    site, bad = site_file(tmp_path), tmp_path / "bad.csv"
    bad.write_text("time_s,anchor,rssi_dbm,x_m,y_m\n0,probe-1,-50,5,80\n")
    refused(footfall("calibrate", "walk", "--site", site, "--from", bad), 3, "line 2: x 5, y 80 lies outside the plan")
    assert not (tmp_path / "calibration").exists()


def test_a_site_without_places_and_a_night_that_is_not_there(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('tenant = "a"\nsite = "b"\ntime_zone = "UTC"\n[[probes]]\nid = "p"\n')
    walk = table(tmp_path, "walk.csv", every=50)
    refused(footfall("calibrate", "walk", "--site", site, "--from", walk), 4, "no probe has a place")
    refused(footfall("calibrate", "anchors", "--site", site_file(tmp_path)), 3, "no night in which probes heard")
