"""Drawings and tables are those of the data; every case is closed and takes its board; units and lists are whole."""

import csv
import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
HARDWARE = ROOT / "hardware"
BOARDS = sorted((HARDWARE / "boards").iterdir())
CASE = runpy.run_path(str(ROOT / "scripts" / "enclosure"))
by_board = pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.name)


def test_drawings_and_tables_are_the_data() -> None:
    for path, text in runpy.run_path(str(ROOT / "scripts" / "drawings"))["files"]().items():
        assert path.read_text() == text, f"{path}: run scripts/drawings"
        if path.suffix == ".svg":
            ElementTree.fromstring(text)


@by_board
def test_wiring_names_every_pin(folder: Path) -> None:
    drawn = (folder / "wiring.svg").read_text()
    with (folder / "pins.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert f">GPIO{row['gpio']}<" in drawn
            assert f">{row['signal']} ({row['direction']})<" in drawn


@by_board
@pytest.mark.needs("openscad")
def test_case_is_closed_and_takes_its_board(folder: Path, tmp_path: Path) -> None:
    size = tomllib.loads((folder / "board.toml").read_text())["size"]
    tray, lid = (CASE["triangles"](path) for path in CASE["render"](folder.name, tmp_path))
    for mesh in (tray, lid):
        assert open_edges(mesh) == 0
        assert CASE["volume_mm3"](mesh) > 0
    x, y, z = np.ptp(tray.reshape(-1, 3), axis=0)
    assert x > size["length"] + 4
    assert y > size["width"] + 4
    assert z > size["above"] + size["below"] + 2
    assert np.ptp(lid.reshape(-1, 3), axis=0)[:2] == pytest.approx([x, y])
    assert room(tray, size) > 0.5


def open_edges(mesh: np.ndarray) -> int:
    """Count edges that are not walked once in each direction: a surface without any is closed."""
    corners = [[tuple(corner) for corner in triangle] for triangle in mesh.round(4).tolist()]
    walked = Counter((a, b) for one in corners for a, b in ((one[0], one[1]), (one[1], one[2]), (one[2], one[0])))
    return sum(count != walked[(b, a)] for (a, b), count in walked.items())


def room(tray: np.ndarray, size: dict[str, float]) -> float:
    """Give the play, mm, between the board and the two long walls of the tray together, over the rails."""
    middle = np.ptp(tray.reshape(-1, 3)[:, 0]) * 0.15, np.ptp(tray.reshape(-1, 3)[:, 2]) * 0.8
    hits = sorted(crossings(tray, *middle))
    assert len(hits) == 4  # in and out of each wall
    return hits[2] - hits[1] - size["width"]


def crossings(mesh: np.ndarray, x: float, z: float) -> list[float]:
    """Give y where the line through (x, z) along y meets the surface."""
    found = []
    for triangle in mesh:
        flat, (a, b, c) = triangle[:, [0, 2]], triangle
        matrix = np.column_stack((flat[1] - flat[0], flat[2] - flat[0]))
        if abs(np.linalg.det(matrix)) > 1e-9:
            u, v = np.linalg.solve(matrix, np.array((x, z)) - flat[0])
            if u >= 0 and v >= 0 and u + v <= 1:
                found.append(float(a[1] + u * (b[1] - a[1]) + v * (c[1] - a[1])))
    return found


def test_an_open_surface_is_seen() -> None:
    corner = np.array([[[0, 0, 0], [0, 1, 0], [1, 0, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 1]],
                       [[0, 0, 0], [0, 0, 1], [0, 1, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]], float)  # fmt: skip
    assert open_edges(corner) == 0
    assert open_edges(corner[:3]) > 0
    assert CASE["volume_mm3"](corner) == pytest.approx(1 / 6)


@pytest.mark.needs("openscad")
def test_enclosure_says_its_measures(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "enclosure", "XIAO-ESP32C3", "--to", tmp_path / "case"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "tray.stl: 29 x 23 x" in done.stdout
    assert "next:" in done.stdout


def test_bill_of_materials_is_whole() -> None:
    with (HARDWARE / "bom.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["for"] for row in rows} == {"probe", "hub", "site", "technician", "installer"}
    for row in rows:
        assert None not in row and row["item"] and row["count"].isdecimal()  # noqa: PT018
        assert row["unit price"] == ""  # the reader's


@pytest.mark.needs("systemd-analyze")
def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    units = []
    for unit in sorted((HARDWARE / "hub").glob("*.service")):
        text = unit.read_text()
        program = text.split("ExecStart=")[1].split()[0]
        units.append(tmp_path / unit.name)
        units[-1].write_text(text.replace(f"ExecStart={program}", "ExecStart=/bin/true"))  # verify wants it installed
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
