"""The command: what it prints, and one line for every wrong option."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hostkit.cli.main import cli
from hostkit.config.dump import dump_site
from hostkit.errors import ConfigError, UsageError
from hostkit.sim.plan import default_site

SHORT = ("--people", "20", "--hours", "1", "--staff", "1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", *arguments], standalone_mode=False)


def test_summary_names_every_file_and_figure(tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "shop"), "--probes", "3", *SHORT)
    assert result.exception is None
    for path in (tmp_path / "shop").rglob("*"):
        assert path.is_dir() or str(path.relative_to(tmp_path / "shop")) in result.output
    assert sorted(path.name for path in (tmp_path / "shop").glob("*.pcapng")) == [
        "probe-1.pcapng",
        "probe-2.pcapng",
        "probe-3.pcapng",
    ]
    assert "footfall  " in result.output
    assert not (tmp_path / "shop" / "truth" / "transmissions.csv").exists()


def test_json_is_the_summary_that_was_written(tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "shop"), "--json", "--start", "2025-07-01T09:30", *SHORT)
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "shop" / "truth" / "summary.json").read_text())
    assert printed["start_s"] == 1751355000  # 09:30 in Berlin is 07:30 UTC in summer
    assert printed["provenance"] == "simulated"


def test_own_site_is_simulated(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(dump_site(default_site(2)).replace('"corner-shop"', '"my-shop"'))
    result = run("--out", str(tmp_path / "shop"), "--site", str(own), *SHORT)
    assert result.exception is None
    assert (tmp_path / "shop" / "site.toml").read_text() == own.read_text()


@pytest.mark.parametrize(
    "arguments",
    [("--people", "0"), ("--hours", "0.1"), ("--probes", "9"), ("--entrant-share", "1.5"), ("--start", "noon")],
)
def test_impossible_values_are_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = run("--out", str(tmp_path / "shop"), *arguments)
    assert isinstance(result.exception, click.BadParameter)
    assert not (tmp_path / "shop").exists()


def test_contradicting_options_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(dump_site(default_site(1)))
    result = run("--out", str(tmp_path / "shop"), "--site", str(own), "--probes", "2")
    assert isinstance(result.exception, click.UsageError)


def test_full_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert isinstance(run("--out", str(tmp_path), "--people", "50000", "--hours", "24").exception, UsageError)


def test_missing_site_is_a_config_error(tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "shop"), "--site", str(tmp_path / "none.toml"))
    assert isinstance(result.exception, ConfigError)


def test_help_has_an_example() -> None:
    assert "footfall simulate --people 200" in CliRunner().invoke(cli, ["simulate", "--help"]).output
