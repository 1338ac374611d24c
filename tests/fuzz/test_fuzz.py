"""A short run of each fuzzer with a fixed seed; the long one is scripts/fuzz."""

import re
from pathlib import Path

import pytest

from tests.fuzz.corpus import FOLDER, SEEDS
from tests.fuzz.libfuzzer import build, fuzz

RUNS = 60_000
SEED = 20240229


@pytest.mark.parametrize("target", SEEDS)
def test_seeds_are_those_the_builders_make(target: str) -> None:
    kept = {path.name: path.read_bytes() for path in (FOLDER / target).iterdir()}
    assert kept == SEEDS[target]()
    assert sum(map(len, kept.values())) < 4096


@pytest.mark.needs("clang")
@pytest.mark.parametrize("target", SEEDS)
def test_native_code_survives_whatever_comes(tmp_path: Path, target: str) -> None:
    program = build(target, tmp_path)
    done = fuzz(target, program, tmp_path, f"-runs={RUNS}", f"-seed={SEED}", "-print_final_stats=1")
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"stat::number_of_executed_units: {RUNS}" in done.stderr
    covered = re.findall(r"cov: (\d+)", done.stderr)
    assert int(covered[-1]) > 100, "the fuzzer does not get into the walk"
