"""dot11.c as the probe compiles it: warnings, sanitizers, and the paths a 64-bit hub never takes."""

import random
import subprocess
from pathlib import Path

import pytest

from hostkit.core.dot11 import FINGERPRINT_VERSION, record_of
from tests.builders import KEY
from tests.core.test_dot11_twin import random_frame

CEXT = Path(__file__).parents[2] / "cext"
DRIVER = Path(__file__).with_name("dot11_driver.c")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wcast-align")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
# What a 32-bit or big-endian compiler would take: no 128-bit product, loads octet by octet.
PORTABLE = ("-U__SIZEOF_INT128__", "-U__BYTE_ORDER__", "-Wno-builtin-macro-redefined")
SEED = 20240229


def compile_driver(folder: Path, compiler: str, *flags: str) -> Path:
    program = folder / "driver"
    command = [compiler, *STRICT, *flags, f"-I{CEXT}", str(DRIVER), str(CEXT / "dot11.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run_driver(program: Path, frames: list[bytes], mutations: int) -> list[str]:
    """Give the table's version and the record of each frame, in hex."""
    data = b"".join(len(frame).to_bytes(2, "little") + frame for frame in frames)
    done = subprocess.run([str(program), str(mutations)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        pytest.param("gcc", SANITIZERS, marks=pytest.mark.needs("gcc"), id="gcc sanitized"),
        pytest.param("clang", SANITIZERS, marks=pytest.mark.needs("clang"), id="clang sanitized"),
        pytest.param("gcc", (*SANITIZERS, *PORTABLE), marks=pytest.mark.needs("gcc"), id="gcc portable"),
    ],
)
def test_every_build_makes_the_same_records(tmp_path: Path, compiler: str, flags: tuple[str, ...]) -> None:
    rng = random.Random(SEED)
    frames = [random_frame(rng) for _ in range(400)] + [b"", b"\x40", b"\x40" * 65535]
    version, *records = run_driver(compile_driver(tmp_path, compiler, *flags), frames, 300)
    reception = {"offset_us": 0x01020304, "rssi_dbm": -50, "noise_dbm": -90, "channel": 6}
    assert int(version, 16) == FINGERPRINT_VERSION
    assert records == [record_of(frame, KEY, **reception).hex() for frame in frames]


def test_dot11_includes_nothing_but_string_and_integers() -> None:
    lines = [line for path in CEXT.glob("dot11*.[ch]") for line in path.read_text().splitlines()]
    included = {line.split(None, 1)[1] for line in lines if line.startswith("#include")}
    assert included == {'"dot11.h"', '"dot11_hash.h"', '"dot11_table.h"', "<string.h>", "<stddef.h>", "<stdint.h>"}
