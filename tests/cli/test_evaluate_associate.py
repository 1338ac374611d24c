"""`footfall evaluate associate` as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.cli.command import footfall, refused
from tests.crowd import save
from tests.evaluate.phones import folder, packets, phones, table


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("in"), phones(apart_s=3600.0))


def test_a_mix_as_table_object_and_drawing(recorded: Path, tmp_path: Path) -> None:
    mix = ("--mix", "3", "--window", "300", "--clones", "2", "--probes", "3", "--moving")
    done = footfall("evaluate", "associate", recorded, *mix, "--plot", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("12 devices heard by 3 probes in 5 min: ")
    assert [line.split("  ")[0] for line in lines[3:]] == [
        "footfall", "addresses", "element hash", "masked element hash", "hdbscan", "dbscan sequence",
    ]  # fmt: skip
    assert all(len(line) <= 120 for line in lines)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    objects = [json.loads(footfall("evaluate", "associate", recorded, *mix, "--json").stdout) for _ in range(2)]
    assert objects[0]["devices_true"] == 12
    assert objects[0]["devices"] == objects[1]["devices"]
    assert objects[0]["v_measure"] == objects[1]["v_measure"]


def test_remarks_go_to_standard_error(tmp_path: Path) -> None:
    path = folder(tmp_path / "in", phones(count=1))
    (path / "notes.txt").write_text("none of mine")
    done = footfall("evaluate", "associate", path, "--json")
    assert json.loads(done.stdout)["notes"] == [line.removeprefix("footfall: ") for line in done.stderr.splitlines()]
    assert len(done.stderr.splitlines()) == 2


def test_what_is_wrong_is_one_line(recorded: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> object:
        return footfall("evaluate", "associate", *arguments)

    capture = save(tmp_path / "a.pcap", packets(phones(count=1)))
    labels = tmp_path / "l.csv"
    labels.write_text("a\n")
    mixed = table(tmp_path / "s.csv", phones(probes=2))
    for done, exit_code, pattern in (
        (run(recorded, "--probes", "3"), 2, "no mix without a seed"),
        (run(capture), 3, "which device sent which frame"),
        (run(capture, "--labels", labels), 3, r"1 labels for \d+ packets"),
        (run(capture, "--labels", tmp_path / "none.csv"), 3, "cannot be read"),
        (run(mixed, "--mix", "1"), 2, "a mix already"),
        (run(tmp_path / "none"), 3, "cannot be read"),
    ):
        refused(done, exit_code, pattern)  # type: ignore[arg-type]


def test_help_has_an_example() -> None:
    shown = footfall("evaluate", "associate", "--help").stdout
    assert "footfall evaluate associate phones/ --mix 1" in shown
