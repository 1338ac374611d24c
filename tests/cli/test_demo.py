"""The real demo: every process, headless and fast, and stopped at awkward moments."""

import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.command import COMMAND, ROOT, footfall, refused

FIGURES = {"footfall", "visitors", "passersby", "dwell_mean", "dwell_median", "occupancy", "conversion_rate"}
BROKERS = [
    pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")),
    "amqtt",
]


def children_of(folder: Path) -> list[str]:
    """Find the command lines of processes that work in `folder`."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line:
            lines.append(line)
    return lines


@pytest.mark.parametrize("broker", BROKERS)
def test_measures_against_the_truth_of_what_was_played(broker: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = footfall(
        "demo", "--json", "--duration", "12", "--speed", "600", "--seed", "5", "--broker", broker, "--keep", kept
    )
    assert done.returncode == 0, done.stderr
    assert broker in done.stderr
    assert "http://127.0.0.1:" in done.stderr
    result = json.loads(done.stdout)
    assert set(result) >= {"truth", "measured", "rows", "provenance"}
    assert result["provenance"] == "simulated"
    assert result["end_s"] - result["start_s"] == pytest.approx(7200, rel=0.01)
    assert set(result["measured"]) >= FIGURES
    assert result["rows"]["produced"] == result["rows"]["stored"] > 100
    assert result["rows"]["duplicates"] == 0
    for name in ("footfall", "visitors", "passersby"):
        assert abs(result["measured"][name]["error"]) < 0.5, name
    truth = json.loads((kept / "played" / "truth" / "summary.json").read_text())
    assert truth["kpis"]["footfall"] == result["truth"]["footfall"] > 50
    assert result["measured"]["transactions"]["value"] == truth["kpis"]["transactions"]
    assert not children_of(kept)


def test_a_person_reads_it(tmp_path: Path) -> None:
    done = footfall("demo", "--duration", "6", "--speed", "300", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("broker: ")
    assert lines[1].startswith("page: http://127.0.0.1:")
    assert lines[1].endswith("/ (simulated)")
    assert any("simulated: " in line and "occupancy" in line for line in lines), "a live line"
    for name in ("Footfall", "Visitors", "Passers-by", "Mean dwell", "Conversion rate"):
        assert any(line.startswith(name) for line in lines), name
    assert lines[-1].startswith("rows: ")
    assert not list(tmp_path.iterdir()), "temporary data stays behind"


MOMENTS = {
    "begun": lambda folder: any(folder.iterdir()),
    "first child": lambda folder: len(children_of(folder)) >= 1,
    "all children": lambda folder: len(children_of(folder)) >= 4,
    "hub at work": lambda folder: any(folder.rglob("hub.db")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment(moment: str, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*COMMAND, "demo", "--duration", "60", "--headless"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pause = threading.Event()
    while not MOMENTS[moment](tmp_path):
        assert running.poll() is None
        pause.wait(0.02)
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=120)
    assert running.returncode in (0, 130), said
    assert "Traceback" not in said
    if running.returncode == 0:
        assert "rows: " in out
    else:
        assert said.strip() == "footfall: stopped by you"
    assert not list(tmp_path.iterdir())
    assert not children_of(tmp_path)


def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*COMMAND, "demo", "--duration", "60", "--headless", "--keep", str(tmp_path / "kept")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline().startswith("broker")
    assert running.stdout.readline().startswith("page")
    kept = tmp_path / "kept"
    assert len(children_of(kept)) >= 4
    running.kill()
    running.wait()
    running.stdout.close()
    pause = threading.Event()
    for _ in range(600):
        if not children_of(kept):
            break
        pause.wait(0.1)
    assert not children_of(kept)


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    refused(footfall("demo", "--keep", tmp_path / "full"), 2, "full: exists and is not empty; choose another folder")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = footfall("demo", "--headless", "--json", "--http", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "in use" in done.stderr.splitlines()[-1]
