"""The table of scripts/bench at small size: ratios that must hold, with room for a busy machine, and growth."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.associate import Tracker
from tests.bench import kernels
from tests.bench import workloads as w
from tests.bench.environments import OWN, RECIPES
from tests.bench.growth import growths
from tests.bench.measure import cpu_s, cpu_s_in_turn, least_cpu_s
from tests.bench.table import CLUSTERERS, LOCATORS, PARSERS, ROBUST, SEGMENTERS, rows
from tests.builders import pcap
from tests.cli.command import ROOT
from tests.oracles_locate import SlowSegmenter

pytestmark = pytest.mark.bench

# Least ratios: about half of what is measured on an idle machine, or the aim where that is far below.
LEAST = {
    ("parse", "floor: hash every octet"): 0.8,
    ("parse", "dpkt"): 400,
    ("parse", "scapy"): 6_000,
    ("parse", "tshark"): 200,
    ("locate", "scipy"): 400,
    ("locate", "numpy LM"): 4,
    ("locate robust", "scipy"): 150,
    ("locate LM", "scipy"): 200,
    ("locate LM", "numpy LM"): 2,
    # The aim is 40: out of reach beside one run over all bursts at the end, and beside a run at every half minute too.
    ("associate", "scikit-learn HDBSCAN"): 0.5,
    ("associate 50 phones", "HDBSCAN each 30 s"): 5,
    ("associate 200 phones", "HDBSCAN each 30 s"): 5,
    ("associate 600 phones", "HDBSCAN each 30 s"): 7,
}
MAX_SLOPE = 1.25  # linear, and what caches add
MAX_SLOPE_ALIKE = 1.8  # linking the scans of one class anew compares them with each other


@pytest.mark.needs("gcc", "tshark")
def test_quick_run_prints_and_writes_the_table(tmp_path: Path) -> None:
    """The command as people run it; every peer of this environment is there and as slow as it should be."""
    plot = tmp_path / "bench.png"
    command = [str(ROOT / "scripts" / "bench"), "--quick", "--json", "-", "--plot", str(plot)]
    environment = os.environ | {"FOOTFALL_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    found = {(row["kernel"], row["peer"]): row for row in written["rows"]}
    assert not [row["missing"] for row in found.values() if row["missing"]]
    slow = {key: found[key]["ratio"] for key, least in LEAST.items() if found[key]["ratio"] < least}
    assert not slow
    assert all(row["met"] is (None if row["aim"] is None else row["ratio"] >= row["aim"]) for row in found.values())
    assert {row["peer_quality"] for row in found.values() if row["kernel"] == "parse"} == {None, 1.0}
    assert found["locate", "scipy"]["ours_quality"] < found["locate", "scipy"]["peer_quality"]
    assert {(curve["kernel"], curve["axis"]) for curve in written["growth"]} >= {
        ("parse", "frames"),
        ("dwell", "devices"),
    }
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_every_peer_that_the_design_names_is_in_the_table() -> None:
    peers = {peer.name for group in (PARSERS, LOCATORS, ROBUST, SEGMENTERS, CLUSTERERS) for peer in group}
    assert peers >= {
        *("scapy", "dpkt", "tshark", "scipy", "localization", "easy-trilateration", "pyceres"),
        *("trackintel", "movingpandas", "scikit-mobility", "infostop", "fastmob", "scikit-learn HDBSCAN"),
    }
    places = {peer.place for group in (PARSERS, LOCATORS, ROBUST, SEGMENTERS, CLUSTERERS) for peer in group}
    assert places == {OWN, *RECIPES}


def test_a_peer_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = {row.peer: row for row in rows(quick=True, say=lambda line: None, only="parse")}
    assert found["tshark"].missing.startswith("does not run: FileNotFoundError")
    assert found["floor: hash every octet"].missing.startswith("needs a C compiler")
    assert found["tshark"].ratio is None
    assert found["dpkt"].ratio is not None


def test_growth_is_linear() -> None:
    found = {(curve.kernel, curve.axis): curve.slope for curve in growths(quick=True)}
    assert found.pop(("associate", "phones alike")) <= MAX_SLOPE_ALIKE
    assert {key: slope for key, slope in found.items() if slope > MAX_SLOPE} == {}
    assert min(found.values()) > 0.2, "an axis on which nothing grows is not measured"


@pytest.mark.realdata
@pytest.mark.needs("gcc")
def test_recorded_frames_keep_up_with_hashing_every_octet(realdata: Path, tmp_path: Path) -> None:
    files = sorted(realdata.glob("probes/brno-lab/pcap/*/*.pcap"))
    capture = pcap([]) + b"".join(path.read_bytes()[24:] for path in files)
    ours_s, floor_s = cpu_s_in_turn(lambda: kernels.parse(capture), kernels.hash_octets(capture, tmp_path))
    assert floor_s >= 0.8 * ours_s


def test_stays_against_the_slow_twin() -> None:
    walks = w.walks(20, 1000)
    columns = kernels.columns_of(walks.as_heard())

    def slowly() -> None:
        slow = SlowSegmenter(w.STAY_M, w.STAY_S, w.GAP_S)
        for row in zip(*(column[:2000].tolist() for column in columns), strict=True):
            slow.add(*row)

    assert w.stays_f1(kernels.stays(columns), walks.stays) >= 0.97
    assert least_cpu_s(slowly) / 2000 >= 200 * least_cpu_s(lambda: kernels.segment(columns)) / len(columns[0])


def test_f1_of_stays_by_hand() -> None:
    true = np.array([(0, 0, 100), (0, 200, 300), (1, 0, 100)], float)
    found = np.array([(0, 0, 51), (0, 240, 400), (1, 0, 100), (1, 150, 160)], float)
    assert w.stays_f1(found, true) == 2 * 2 / 7
    assert w.stays_f1(true, true) == 1.0


def test_cost_of_a_new_address_is_bounded_by_the_candidates() -> None:
    """Each is compared with the tracks of its class: linear up to the bound on candidates, then flat."""
    cost_us = {}
    for phones in (100, 1000, 8000):
        rows_ = w.crowd(phones, max(2, 4000 // phones), 1)
        stable = rows_["time_us"] < 60_000_000
        rows_["flags"][stable] = 0  # the first minute makes a track of each phone
        it = Tracker(w.PROBES)
        it.feed(rows_[stable])
        asked = rows_[~stable][: 12 * 2000]
        cost_us[phones] = cpu_s(lambda it=it, asked=asked: it.feed(asked)) / (len(asked) / 12) * 1e6
    print({phones: f"{cost:.1f} µs per new address" for phones, cost in cost_us.items()})
    assert cost_us[1000] < 40 * cost_us[100]
    assert cost_us[8000] < 16 * cost_us[1000]
