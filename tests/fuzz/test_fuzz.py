"""A short run of the fuzzer with a fixed seed; the long one is scripts/fuzz."""

import re
from pathlib import Path

import pytest

from tests.fuzz.corpus import FOLDER, seeds
from tests.fuzz.libfuzzer import build, fuzz

RUNS = 60_000
SEED = 20240229


def test_seeds_are_those_the_builders_make() -> None:
    kept = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert kept == seeds()
    assert sum(map(len, kept.values())) < 4096


@pytest.mark.needs("clang")
def test_dot11_survives_whatever_comes(tmp_path: Path) -> None:
    done = fuzz(build(tmp_path), tmp_path, f"-runs={RUNS}", f"-seed={SEED}", "-print_final_stats=1")
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"stat::number_of_executed_units: {RUNS}" in done.stderr
    covered = re.findall(r"cov: (\d+)", done.stderr)
    assert int(covered[-1]) > 100, "the fuzzer does not get into the walk"
