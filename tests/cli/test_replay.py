"""`footfall replay` as a user sees it: text, JSON, tables, drawing."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.cli import text
from hostkit.cli.main import cli
from tests.builders import ADDRESS, Packet, pcapng, phone_elements, probe_request
from tests.builders import heard as sniffed
from tests.cli.command import COMMAND, ONE_LINE, ROOT, footfall, refused
from tests.crowd import crowd, overhear, save

KEYS = {
    "frames", "skipped", "malformed", "addresses", "randomised_share", "devices", "fixed", "visits", "dwell_s",
    "series", "provenance", "method", "coverage", "kpis", "probes", "warnings",
}  # fmt: skip
SERIES_KEYS = {"start", "devices", "low", "high", "addresses"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("street") / "monday.pcap", overhear(crowd(1)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root, sent = tmp_path_factory.mktemp("pair"), crowd(2)
    one = save(root / "west" / "a.pcap", overhear(sent, 1, share=0.8))
    return one, save(root / "east" / "a.pcap", overhear(sent, 2, share=0.8, offset_s=0.3))


def test_summary_is_plain_text_in_a_pipe(capture: Path) -> None:
    done = footfall("replay", capture, FORCE_COLOR="", TERM="xterm-256color")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "1 capture of 1 probe, 2024-02-29 14:0" in done.stdout
    for name in ("devices", "90 % interval", "Footfall", "Passers-by", "Median dwell", "randomised"):
        assert name in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 200


def test_json_is_one_object_with_what_is_promised(capture: Path) -> None:
    done = footfall("replay", "--json", capture)
    found = json.loads(done.stdout)
    assert set(found) >= KEYS
    assert set(found["devices"]) >= {"estimate", "low", "high"}
    assert set(found["visits"]) == {"passersby", "entrants"}
    assert {"median", "p90"} <= set(found["dwell_s"])
    assert all(set(row) >= SERIES_KEYS for row in found["series"])
    assert found["devices"]["low"] < found["devices"]["estimate"] < found["devices"]["high"] < found["addresses"]
    assert found["frames"] == sum(row["frames"] for row in found["series"])
    assert found["provenance"] == "replay"
    assert done.stderr == ""


def test_results_without_a_key_given_are_the_same_twice(pair: tuple[Path, Path]) -> None:
    texts = {footfall("replay", "--json", *pair).stdout for _ in range(2)}
    assert len(texts) == 1


def test_two_probes_by_name_and_by_folder(pair: tuple[Path, Path]) -> None:
    named = footfall("replay", "--json", "--probe", f"a={pair[0]}", "--probe", f"b={pair[1]}")
    found = json.loads(named.stdout)
    assert [probe["probe"] for probe in found["probes"]] == ["a", "b"]
    assert found["probes"][1]["clock"]["offset_s"] == pytest.approx(0.3, abs=0.001)
    assert found["probes"][1]["clock"]["corrected"] is True
    assert named.stderr == ""
    guessed = footfall("replay", *pair)
    assert ONE_LINE.fullmatch(guessed.stderr)
    assert "overlap in time, so they were taken as east, west; name them with --probe" in guessed.stderr
    assert "clock of east: +0.3000 s" in guessed.stdout


def test_tables_have_units_and_agree_with_json(capture: Path, tmp_path: Path) -> None:
    found = json.loads(footfall("replay", "--json", "--csv", tmp_path / "new" / "out", capture).stdout)
    written = (tmp_path / "new" / "out").iterdir()
    tables = {path.stem: list(csv.DictReader(path.read_text().splitlines())) for path in written}
    assert set(tables) == {"series", "visits", "kpis", "zones"}
    assert [float(row["devices"]) for row in tables["series"]] == [row["devices"] for row in found["series"]]
    assert len(tables["visits"]) == sum(found["visits"].values())
    assert {row["class"] for row in tables["visits"]} <= {"passerby", "entrant"}
    assert [row["id"] for row in tables["kpis"]] == [row["id"] for row in found["kpis"]]
    assert all(float(row["dwell_lo_s"]) <= float(row["dwell_mid_s"]) for row in tables["visits"])
    assert all(row["provenance"] == "replay" for rows in tables.values() for row in rows)


def test_bin_width_is_obeyed(capture: Path) -> None:
    hour = json.loads(footfall("replay", "--json", "--bin", "1h", capture).stdout)
    five = json.loads(footfall("replay", "--json", "--bin", "5", capture).stdout)
    assert hour["bin_s"] == 3600
    assert len(five["series"]) >= 11 * len(hour["series"])
    assert five["devices"] == hour["devices"]


def test_fixed_addresses_are_reported_apart(capture: Path, tmp_path: Path) -> None:
    listed = tmp_path / "fixed.txt"
    listed.write_text(f"# nobody\n{ADDRESS.hex(':')}\n")
    assert json.loads(footfall("replay", "--json", "--fixed", listed, capture).stdout)["fixed"] == 0


def test_drawing_is_a_png_and_the_only_file(capture: Path, tmp_path: Path) -> None:
    done = footfall("replay", "--plot", tmp_path / "out.png", capture)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_simulated_captures_say_so_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(pcapng(overhear(crowd(3)), application="footfall simulate 0.1.0"))
    done = footfall("replay", "--csv", tmp_path / "out", path)
    assert done.stdout.startswith("1 simulated capture")
    assert (tmp_path / "out" / "visits.csv").read_text().splitlines()[1].endswith(",simulated")
    assert json.loads(footfall("replay", "--json", path).stdout)["provenance"] == "simulated"


def test_a_flood_of_addresses_is_named(tmp_path: Path) -> None:
    packets = [
        Packet(
            data=sniffed(probe_request(phone_elements(), address=b"\x02" + number.to_bytes(5, "big"))),
            time_us=number * 3000,
        )
        for number in range(1, 9000)
    ]
    done = footfall("replay", "--json", str(save(tmp_path / "flood.pcap", packets)))
    assert "flood of " in done.stderr
    assert "look for a sender near it" in done.stderr
    result = json.loads(done.stdout)
    assert 2000 < result["flood"]["addresses"] < 4000
    assert result["flood"]["minutes"] == 1
    assert result["series"][0]["high"] > 2000


def test_a_reader_that_leaves_early_is_no_error(capture: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "replay", "--json", str(capture)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0


def test_help_shows_examples_exit_codes_and_every_option() -> None:
    shown = footfall("replay", "--help").stdout
    assert "footfall replay --site site.toml --probe door=door.pcapng" in shown
    for code in ("0 done", "2 ", "3 ", "4 ", "5 ", "130 "):
        assert code in shown
    command = cli.get_command(None, "replay")  # type: ignore[arg-type]
    assert command is not None
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), parameter.name


def test_an_output_without_unicode_is_served_too(capture: Path, tmp_path: Path) -> None:
    odd = tmp_path / "b\udcff\n\x1b[31m中.pcap"
    odd.write_bytes(capture.read_bytes()[:-10])
    done = footfall("replay", odd, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0
    assert "90 % interval" in done.stdout
    assert ONE_LINE.fullmatch(done.stderr)
    assert "\x1b" not in done.stderr
    found = json.loads(footfall("replay", "--json", odd, PYTHONIOENCODING="ascii:strict").stdout)
    assert found["probes"][0]["capture"] == str(odd)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "shop"
    done = footfall("simulate", "--people", "30", "--hours", "1", "--seed", "3", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_recorded_captures_have_no_truth_to_compare_with(shop: Path, capture: Path) -> None:
    done = footfall("replay", "--truth", shop / "truth" / "summary.json", capture)
    refused(done, 2, "--truth: recorded captures have no such truth; give simulated captures")


def test_a_simulated_shop_is_compared_with_its_truth(shop: Path) -> None:
    captures = sorted(shop.glob("*.pcapng"))
    options = ("--site", shop / "site.toml", "--fixed", shop / "fixed-devices.txt")
    summary = shop / "truth" / "summary.json"
    done = footfall("replay", *options, "--truth", summary, *captures)
    assert done.stderr == ""
    assert "against the truth of the simulation" in done.stdout
    assert "intervals hold the truth" in done.stdout
    found = json.loads(footfall("replay", "--json", *options, "--truth", summary, *captures).stdout)
    truth = json.loads(summary.read_text())
    rows = {row["id"]: row for row in found["truth"] if row["of"] is None}
    assert rows["footfall"]["truth"] == truth["kpis"]["footfall"]
    measured = {kpi["id"]: kpi["value"] for kpi in found["kpis"] if kpi["of"] is None}
    assert rows["footfall"]["measured"] == pytest.approx(measured["footfall"], abs=1e-4)
    assert found["fixed"] >= truth["fixed_devices"] // 2


def test_clocks_of_a_simulated_shop_are_found(shop: Path) -> None:
    """Offset and drift of every probe against the first, as the simulation set them."""
    found = json.loads(footfall("replay", "--json", *sorted(shop.glob("*.pcapng"))).stdout)
    with (shop / "truth" / "clocks.csv").open() as file:
        truth = {row["probe"]: row for row in csv.DictReader(file)}
    first = truth["probe-1"]
    for probe in found["probes"][1:]:
        clock, true = probe["clock"], truth[probe["probe"]]
        drift_ppm = float(true["drift_ppm"]) - float(first["drift_ppm"])
        assert clock["drift_s_per_day"] == pytest.approx(drift_ppm * 0.0864, abs=0.05)
        offset_s = float(true["offset_s"]) - float(first["offset_s"])
        assert clock["offset_s"] == pytest.approx(offset_s, abs=abs(drift_ppm) * 1e-6 * 3600 + 0.001)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "size", "drawn"),
    [(_Terminal(), 10**9, True), (_Terminal(), 1000, False), (io.StringIO(), 10**9, False)],
)
def test_progress_shows_on_a_terminal_and_for_long_input_only(
    monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO, size: int, drawn: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    with text.progress_bar("replay") as on_progress:
        on_progress(size // 2, size)
        on_progress(size, size)
    assert ("replay" in terminal.getvalue()) is drawn
