"""Boards as data, the pin map generated from them, and the layout of a release."""

import csv
import json
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOARDS = sorted((ROOT / "hardware" / "boards").iterdir())
OFFSETS = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0}
UPLINKS = {"lan", "serial", "wifi-park", "wifi-burst"}
RELEASE = [sys.executable, str(ROOT / "scripts" / "release")]


def test_pin_map_is_the_boards() -> None:
    pins = runpy.run_path(str(ROOT / "scripts" / "pins"))
    text = pins["TARGET"].read_text()
    assert pins["rewritten"](text) == text, "run scripts/pins"


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.name)
def test_board_is_whole(folder: Path) -> None:
    board = tomllib.loads((folder / "board.toml").read_text())
    assert board["bootloader_offset"] == OFFSETS[board["chip"]]
    assert set(board["uplinks"]) <= UPLINKS
    assert ("lan" in board["uplinks"]) == ("ethernet" in board)
    assert (ROOT / "firmware" / "image" / f"FOOTFALL_{board['chip'].upper()}" / "mpconfigboard.cmake").is_file()
    with (folder / "pins.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["gpio"] for row in rows}) == len(rows)
    assert len({row["signal"] for row in rows}) == len(rows)
    assert {row["direction"] for row in rows} <= {"in", "out", "inout"}
    assert "led" in {row["signal"] for row in rows}
    assert board["name"] in (folder / "board.md").read_text()


def image(path: Path, chip: int) -> Path:
    path.write_bytes(bytes([0xE9, 1, 2, 0x20]) + bytes(8) + bytes([chip, 0]) + bytes(100))
    return path


def test_release_is_laid_out_and_checked(tmp_path: Path) -> None:
    out = tmp_path / "release"
    images = [str(image(tmp_path / "a.bin", 0)), str(image(tmp_path / "b.bin", 5))]
    subprocess.run([*RELEASE, *images, "--version", "1.2", "--out", str(out)], check=True)
    builds = json.loads((out / "manifest.json").read_text())["builds"]
    assert [(b["chipFamily"], b["parts"][0]["offset"]) for b in builds] == [("ESP32", 0x1000), ("ESP32-C3", 0)]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], check=True, cwd=out)
    assert subprocess.run([*RELEASE, "--check", str(out)], check=False).returncode == 0
    victim = out / builds[0]["parts"][0]["path"]
    victim.write_bytes(victim.read_bytes()[:-1] + b"\1")
    bad = subprocess.run([*RELEASE, "--check", str(out)], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stderr.count("\n")) == (3, 1)


@pytest.mark.parametrize("what", ["text", "two", "missing"])
def test_release_refuses_what_is_no_image(tmp_path: Path, what: str) -> None:
    (tmp_path / "text.bin").write_text("no image at all, whatever its name says")
    given = {
        "text": [tmp_path / "text.bin"],
        "two": [image(tmp_path / "a.bin", 0), image(tmp_path / "b.bin", 0)],
        "missing": [tmp_path / "nowhere.bin"],
    }[what]
    done = subprocess.run(
        [*RELEASE, *map(str, given), "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "next:" in done.stderr
    assert not (tmp_path / "out").exists()
