"""A technician's scripts run as their help says, on what the simulator writes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.config import load_site
from tests.cli.command import footfall

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "scripts" / "field").glob("*.py"))


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `Sample data` of the scripts says."""
    folder = tmp_path_factory.mktemp("technician")
    made = {re.search(r"Sample data: footfall (.+)", script.read_text()).group(1) for script in SCRIPTS}  # type: ignore[union-attr]
    most = max(made, key=len)
    assert all(words.replace(" --survey", "") == most.replace(" --survey", "") for words in made)
    words = shlex.split(most)
    words[words.index("shop")] = str(folder / "shop")
    done = footfall(*words)
    assert done.returncode == 0, done.stderr
    return folder


def example(script: Path) -> list[str]:
    """The words after the script's name in its help."""
    text = re.search(r"Example: +python (scripts/field/\w+\.py) (.+?)\n\"\"\"", script.read_text(), re.S)
    assert text is not None
    assert ROOT / text[1] == script
    return shlex.split(text[2])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_its_example_runs_on_the_simulators_data(script: Path, folder: Path) -> None:
    helped = run(folder, script, "--help")
    assert helped.returncode == 0
    assert "Example:" in helped.stdout
    done = run(folder, script, *example(script))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 1
    assert done.stderr == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_file_that_is_not_there_is_one_line(script: Path, folder: Path) -> None:
    words = [word.replace("shop/", "none/") for word in example(script)]
    done = run(folder, script, *words)
    assert done.returncode in {3, 4}
    assert re.fullmatch(r"footfall: [^\n]+: [^\n]+; [^\n]+\n", done.stderr), done.stderr


def test_the_fit_finds_the_simulated_law(folder: Path) -> None:
    done = run(folder, ROOT / "scripts/field/path_loss_fit.py", *example(ROOT / "scripts/field/path_loss_fit.py"))
    found = re.search(r"all: (-[\d.]+) dBm, exponent ([\d.]+)", done.stdout)
    assert found is not None
    loss = load_site(folder / "shop/site.toml").path_loss
    assert float(found[1]) == pytest.approx(loss.rssi_1m_dbm, abs=5.0)
    assert float(found[2]) == pytest.approx(loss.exponent, abs=0.6)


def test_an_imported_survey_is_the_survey(folder: Path) -> None:
    run(folder, ROOT / "scripts/field/survey_import.py", *example(ROOT / "scripts/field/survey_import.py"))
    imported = sorted((folder / "walk.csv").read_text().splitlines()[1:])
    walk = (folder / "shop/survey/walk.csv").read_text().splitlines()[1:]
    kept = sorted(line for line in walk if re.search("probe-[12]", line))
    assert len(imported) == len(kept) > 1000
    assert [line.split(",")[1] for line in imported] == [line.split(",")[1] for line in kept]
    assert [float(line.split(",")[0]) for line in imported] == [float(line.split(",")[0]) for line in kept]
    assert [float(line.split(",")[2]) for line in imported] == [float(line.split(",")[2]) for line in kept]


def test_two_probes_differ_by_what_the_simulator_gave_them(folder: Path) -> None:
    capture = folder / "shop/probe-1.pcapng"
    done = run(folder, ROOT / "scripts/field/probe_comparison.py", capture, capture)
    assert "100%" in done.stdout
    assert "+0.0 dB" in done.stdout
