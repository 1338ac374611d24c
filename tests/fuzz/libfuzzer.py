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
TARGET = Path(__file__).with_name("dot11_fuzz.c")
MAX_BYTES = 2400  # a management frame has at most 2,304 octets of body
FLAGS = ("-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all")


def build(folder: Path) -> Path:
    """Compile the fuzzer of dot11.c."""
    program = folder / "dot11_fuzz"
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    sources = (str(TARGET), str(CEXT / "dot11.c"))
    subprocess.run(["clang", *FLAGS, sanitizers, f"-I{CEXT}", *sources, "-o", str(program)], check=True)
    return program


def fuzz(program: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run on a copy of the seeds; what crashes is written to `folder`."""
    corpus = folder / "corpus"
    if not corpus.is_dir():
        shutil.copytree(FOLDER, corpus)
    command = [str(program), f"-max_len={MAX_BYTES}", f"-artifact_prefix={folder}/", *options, str(corpus)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(seconds: str, seed: str = "0") -> int:
    """Fuzz for so many seconds; seed 0: a new one each time, which libFuzzer prints."""
    folder = Path(tempfile.mkdtemp(prefix="footfall-fuzz-"))
    done = fuzz(build(folder), folder, f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1")
    sys.stdout.write(done.stderr[-4000:])
    sys.stdout.write(f"corpus and findings: {folder}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
