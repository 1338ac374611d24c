"""`footfall evaluate dwell`: its files, its figures, and what it says to files that are wrong."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.follow import follow
from hostkit.errors import ExitCode, HostkitError
from hostkit.evaluate.dwell import evaluate, read_case, stops, zone_stays
from tests.accuracy.doors import ANCHORS, ZONES, door_walk
from tests.cli.command import footfall, refused

OPTIONS = ("readings", "anchors", "zones", "truth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the four files hold."""

    readings: str
    anchors: str
    zones: str
    truth: str

    def write(self, folder: Path) -> list[str]:
        for name in OPTIONS:
            (folder / f"{name}.txt").write_text(getattr(self, name))
        return ["evaluate", "dwell", *(part for name in OPTIONS for part in (f"--{name}", str(folder / f"{name}.txt")))]


@pytest.fixture(scope="module")
def texts() -> Texts:
    case = door_walk(1, 2)
    rows = zip(case.time_s, case.anchor, case.rssi_dbm, strict=True)
    return Texts(
        readings="time_s,anchor,rssi_dbm\n" + "".join(f"{t:.1f},a{a},{r:.0f}\n" for t, a, r in rows) + "2.0,a1,-100\n",
        anchors="anchor,x_m,y_m,z_m\n" + "".join(f"a{i},{x},{y},{z}\n" for i, (x, y, z) in enumerate(ANCHORS)),
        zones="".join(
            f'[[zone]]\nid = "{z.id}"\nkind = "ignored"\npolygon_m = {[list(c) for c in z.polygon_m]}\n' for z in ZONES
        ),
        truth="zone,enter_s,leave_s\n"
        + "".join(f"{ZONES[s.zone].id},{s.enter_s},{s.leave_s}\n" for s in reversed(case.truth)),
    )


def test_the_figures_of_the_files_are_those_of_the_walk(texts: Texts, tmp_path: Path) -> None:
    drawing = tmp_path / "stays.png"
    done = footfall(*texts.write(tmp_path), "--json", "--plot", drawing)
    found = json.loads(done.stdout)
    assert done.returncode == ExitCode.OK
    assert "1 of" in done.stderr
    assert (found["transitions"], found["transitions_true"], found["f1_iou50"]) == (4, 4, 1.0)
    assert max(found["enter_error_s"], found["leave_error_s"]) < 1.0
    assert found["side_accuracy"] > 0.97
    assert found["readings_ignored"] == 1
    assert set(found["baselines"]) == {"strongest_anchor", "rssi_threshold"}
    assert found["baselines"]["strongest_anchor"]["transitions"] > 40
    assert [stay["zone"] for stay in found["stays"]] == ["street", "shop", "street", "shop", "street"]
    assert {tuple(stop) for stop in found["stops"]} == {("x_m", "y_m", "from_s", "until_s")}
    assert drawing.read_bytes().startswith(b"\x89PNG")


def test_empty_levels_are_not_heard(texts: Texts, tmp_path: Path) -> None:
    want = footfall(*texts.write(tmp_path), "--json")
    gaps = replace(texts, readings=texts.readings + "2.5,a0,\n2.5,a1,nan\n")
    done = footfall(*gaps.write(tmp_path), "--json")
    assert "3 of" in done.stderr
    assert "empty ones" in done.stderr
    found, before = json.loads(done.stdout), json.loads(want.stdout)
    assert found.pop("readings_ignored") == before.pop("readings_ignored") + 2
    assert found.pop("readings") == before.pop("readings") + 2
    assert found == before


def test_people_get_a_table(texts: Texts, tmp_path: Path) -> None:
    done = footfall(*texts.write(tmp_path))
    lines = done.stdout.splitlines()
    assert lines[1].split()[:4] == ["footfall", "4", "4", "1.000"]
    assert lines[2].startswith("strongest_anchor")
    assert lines[-1].startswith("Learnt from the readings:")


@pytest.mark.parametrize(
    ("file", "old", "new", "pattern", "code"),
    [
        ("readings", "time_s,", "time,", "no column time_s", ExitCode.INPUT),
        ("readings", "0.0,a0,", "0.0,a9,", r"line 2: anchor 'a9' is not in .*anchors", ExitCode.INPUT),
        ("readings", "0.0,a0,", "nan,a0,", "line 2: time_s is 'nan'", ExitCode.INPUT),
        ("anchors", "a1,", "a0,", "line 3: 'a0' is named twice", ExitCode.INPUT),
        ("anchors", "a1,-?", "a1,1e9", "km apart", ExitCode.INPUT),
        ("zones", '"street"', '"shop"', "2 zones with 1 ids", ExitCode.CONFIG),
        ("zones", '"shop"', "7", "Expected `str`, got `int`", ExitCode.CONFIG),
        ("zones", "polygon_m", "polygon", "missing required field `polygon_m`", ExitCode.CONFIG),
        ("zones", "[[zone]]", "[[zone", "not TOML", ExitCode.CONFIG),
        ("zones", "[12.0, 0.0], [12.0, 5.0]", "[0.0, 9.0], [0.0, 5.0]", "shop.*no area", ExitCode.CONFIG),
        ("truth", "shop,", "till,", "zone 'till' is not in", ExitCode.INPUT),
        ("truth", "street,0.0,", "street,1e6,", "leave_s is not after enter_s", ExitCode.INPUT),
        ("truth", "street,0.0,", "street,-inf,", "enter_s is '-inf'", ExitCode.INPUT),
    ],
)  # fmt: skip
def test_files_that_are_wrong_are_named(  # noqa: PLR0917
    texts: Texts, tmp_path: Path, file: str, old: str, new: str, pattern: str, code: int
) -> None:
    text = getattr(texts, file)
    changed = text.replace("a1,5.0", "a1,1e9", 1) if old == "a1,-?" else text.replace(old, new, 1)
    assert changed != text
    replace(texts, **{file: changed}).write(tmp_path)
    with pytest.raises(HostkitError, match=pattern) as refusal:
        evaluate(read_case(*(tmp_path / f"{name}.txt" for name in OPTIONS)))
    assert refusal.value.exit_code == code


@pytest.mark.parametrize("file", OPTIONS)
@pytest.mark.parametrize("content", ["", "\x00", "é" * 1000])
def test_files_of_something_else_are_one_line(texts: Texts, tmp_path: Path, file: str, content: str) -> None:
    replace(texts, **{file: content}).write(tmp_path)
    with pytest.raises(HostkitError, match=file) as refusal:
        read_case(*(tmp_path / f"{name}.txt" for name in OPTIONS))
    assert "\x00" not in str(refusal.value)


def test_true_stays_that_overlap_are_refused(texts: Texts, tmp_path: Path) -> None:
    overlap = replace(texts, truth="zone,enter_s,leave_s\nshop,0,50\nstreet,40,60\n")
    refused(footfall(*overlap.write(tmp_path)), ExitCode.INPUT, "line 3: the stay begins before")


def test_missing_files_are_one_line(texts: Texts, tmp_path: Path) -> None:
    arguments = texts.write(tmp_path)
    gone = [str(tmp_path / "gone") if part.endswith("zones.txt") else part for part in arguments]
    refused(footfall(*gone), ExitCode.INPUT, "gone")


def test_height_is_optional_and_a_truth_outside_the_readings_scores_nothing(texts: Texts, tmp_path: Path) -> None:
    flat = "\n".join(line.rsplit(",", 1)[0] for line in texts.anchors.splitlines())
    replace(texts, anchors=flat, truth="zone,enter_s,leave_s\nshop,90000,90100\n").write(tmp_path)
    case = read_case(*(tmp_path / f"{name}.txt" for name in OPTIONS))
    assert set(case.anchors_m[:, 2]) == {1.1}
    score = evaluate(case).score
    assert (score.transitions, score.transitions_true, score.f1_iou50, score.side_accuracy) == (0, 0, 0.0, 0.0)


def test_stops_are_where_and_when_somebody_stood() -> None:
    time_s, rng = np.arange(0, 90, 0.2), np.random.default_rng(5)
    walked = np.clip((time_s - 40) / 10, 0, 1)[:, None]
    place = (1 - walked) * np.array([2.5, 2.0]) + walked * np.array([11.0, 3.0])
    distance = np.sqrt(((place[:, None] - ANCHORS[:, :2]) ** 2).sum(axis=2) + (ANCHORS[:, 2] - 1.1) ** 2)
    level = -48 - 24 * np.log10(distance) + rng.normal(0, 2, distance.shape)
    anchor = np.tile(np.arange(len(ANCHORS)), len(time_s))
    found = follow(np.repeat(time_s, len(ANCHORS)), anchor, level.ravel(), ANCHORS, [zone.polygon_m for zone in ZONES])
    first, second = stops(found)
    assert (first["x_m"], second["x_m"]) == pytest.approx((2.5, 11.0), abs=1.5)
    edges_s = [found.time_s[0] + stop[name] * 1e-6 for stop in (first, second) for name in ("start_us", "end_us")]
    assert edges_s == pytest.approx([0, 40, 50, 90], abs=4)


def test_a_device_that_is_not_heard_is_nowhere() -> None:
    case = door_walk(2, 1)
    heard = (case.time_s < 30) | (case.time_s > 50)
    found = follow(case.time_s[heard], case.anchor[heard], case.rssi_dbm[heard], ANCHORS, [z.polygon_m for z in ZONES])
    edges = np.array([(stay.enter_s, stay.leave_s) for stay in zone_stays(found)])
    assert ((edges[:, 1] <= 30.5) | (edges[:, 0] >= 49.5)).all()
    assert (edges[:, 1] > 29.5).any()
