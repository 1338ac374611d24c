"""Builds and runs the fuzzers of the native code: libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.

`python -m tests.fuzz.libfuzzer SECONDS [SEED]` runs long; what it finds is left in the folder it names.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.corpus import FOLDER

CEXT = Path(__file__).parents[2] / "cext"
SOURCES = {"dot11": ("dot11.c",), "ble": ("ble.c", "dot11.c")}
MAX_BYTES = {"dot11": 2400, "ble": 300}  # a management frame has 2,304 octets of body, a PDU of BLE 257, at most
FLAGS = ("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all")


def build(target: str, folder: Path) -> Path:
    """Compile the fuzzer of one of SOURCES."""
    program = folder / f"{target}_fuzz"
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    driver = Path(__file__).with_name(f"{target}_fuzz.c")
    sources = (str(driver), *(str(CEXT / name) for name in SOURCES[target]))
    subprocess.run(["clang", *FLAGS, sanitizers, f"-I{CEXT}", *sources, "-o", str(program)], check=True)
    return program


def fuzz(target: str, program: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run on a copy of the seeds; what crashes is written to `folder`."""
    corpus = folder / "corpus" / target
    if not corpus.is_dir():
        shutil.copytree(FOLDER / target, corpus)
    command = [str(program), f"-max_len={MAX_BYTES[target]}", f"-artifact_prefix={folder}/", *options, str(corpus)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(seconds: str, seed: str = "0") -> int:
    """Fuzz each for so many seconds; seed 0: a new one each time, which libFuzzer prints."""
    folder = Path(tempfile.mkdtemp(prefix="footfall-fuzz-"))
    for target in SOURCES:
        program = build(target, folder)
        done = fuzz(target, program, folder, f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1")
        sys.stdout.write(done.stderr[-4000:])
        if done.returncode:
            break
    sys.stdout.write(f"corpus and findings: {folder}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
