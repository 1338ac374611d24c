"""dot11.c on the probe's processors: it compiles strictly, asks nothing of a libc, and gives the hub's figures."""

import random
import subprocess
from pathlib import Path

import pytest

from hostkit.core.describe import describe_frame
from hostkit.core.dot11 import FINGERPRINT_VERSION, record_of
from tests.bare import CEXT, TARGETS, build, compile_object, run
from tests.builders import KEY
from tests.core.test_dot11_twin import random_frame

SEED = 20240229
MAY_NEED = {"memcpy", "memset", "memcmp"}
OF_THE_COMPILER = {"bcmp", "__muldi3", "__ashldi3", "__lshrdi3"}  # a compiler's own run-time library, not a libc
RECEPTION = {"offset_us": 0x01020304, "rssi_dbm": -50, "noise_dbm": -90, "channel": 6}
EACH = [
    pytest.param(name, marks=pytest.mark.needs(target.compiler, target.emulator)) for name, target in TARGETS.items()
]


@pytest.mark.parametrize("name", EACH)
def test_processor_gives_the_hubs_figures(tmp_path: Path, name: str) -> None:
    """Golden vectors: records with keys, and fingerprints found again from descriptions."""
    rng = random.Random(SEED)
    frames = [random_frame(rng) for _ in range(300)] + [b"", b"\x40"]
    version, *lines = run(TARGETS[name], build(TARGETS[name], tmp_path), frames)
    assert int(version, 16) == FINGERPRINT_VERSION
    assert len(lines) == len(frames)
    for frame, line in zip(frames, lines, strict=True):
        record, fingerprint = line.split(" ")
        assert record == record_of(frame, KEY, **RECEPTION).hex()
        if record:
            assert int(fingerprint, 16) == describe_frame(frame).fingerprint


@pytest.mark.parametrize("name", EACH)
def test_object_needs_no_libc_but_to_move_memory(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    compiled = compile_object(target, CEXT / "dot11.c", tmp_path / "dot11.o", "c99")
    nm = target.compiler.removesuffix("gcc") + "nm"
    listed = subprocess.run([nm, "-u", str(compiled)], capture_output=True, text=True, check=True).stdout
    needed = {line.split()[-1] for line in listed.splitlines()}
    assert needed <= MAY_NEED | OF_THE_COMPILER


@pytest.mark.needs("clang")
def test_clang_compiles_it_too(tmp_path: Path) -> None:
    command = ["clang", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-fsyntax-only"]
    subprocess.run([*command, f"-I{CEXT}", str(CEXT / "dot11.c")], check=True, cwd=tmp_path)
