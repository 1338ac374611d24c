"""Instructions an item costs in each kernel: the shipped modules on x86-64 under callgrind, the grid's C under qemu.

The state machines of dwell and association are Cython classes: on another processor they need a Python of its kind, so
aarch64 is counted for what is plain C, dot11.c (tests/bench/instructions.py) and the grid.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bare import CEXT, TARGETS
from tests.bench.environments import ROOT
from tests.bench.instructions import instruction_counts, one_by_one

DRIVER = Path(__file__).with_name("locate_steps.c")
FLAGS = ("-std=c99", "-O3", "-static")  # as setup.py has it; the emulator needs no libraries then
# Kernel, the function whose calls are counted, items of the smaller of two runs: their difference is the items alone.
SHIPPED = (
    ("parse", "__pyx_pw_*_dot11_6Reader_*read", 2_000),
    ("ble", "__pyx_pw_*_ble_6Reader_*read", 1_000),
    ("locate", "__pyx_pw_*_locate_4Grid_*fixes", 100),
    ("locate LM", "__pyx_pw_*_multilaterate_*multilaterate", 100),
    ("dwell", "__pyx_fuse_*__pyx_pw_*_dwell_9Segmenter_*update", 20_000),
    ("associate", "__pyx_pw_*_associate_7Tracker_*feed", 2_400),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Instructions an item; `missing` says why there are none."""

    kernel: str
    machine: str
    an_item: float | None = None
    missing: str = ""


def counts(*, say: Callable[[str], None]) -> Iterator[Count]:
    """Count every kernel on every processor that it can be counted on."""
    for kernel, function, items in SHIPPED:
        say(f"{kernel}: instructions")
        yield shipped(kernel, function, items)
    for machine in ("x86-64", "aarch64"):
        yield grid(machine)
    for machine, found in instruction_counts().items():
        told = {"missing": found} if isinstance(found, str) else {"an_item": found}
        yield Count(kernel="parse, probe's path", machine=machine, **told)


def shipped(kernel: str, function: str, items: int) -> Count:
    """Count the module as it is built for this x86-64, all its vector units in use."""
    machine = "x86-64, as shipped"
    if shutil.which("valgrind") is None:
        return Count(kernel=kernel, machine=machine, missing="not installed: valgrind")
    once, twice = (_collected(kernel, function, count) for count in (items, 2 * items))
    if once is None or twice is None or once == twice:
        return Count(kernel=kernel, machine=machine, missing="callgrind saw no call")
    return Count(kernel=kernel, machine=machine, an_item=(twice - once) / items)


def _collected(kernel: str, function: str, items: int) -> int | None:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--toggle-collect={function}"]
    command += [sys.executable, "-m", "tests.bench.counted", kernel, str(items)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found[1]) if found and not done.returncode else None


def grid(machine: str) -> Count:
    """Count one fix of 6 anchors on 600 cells, its baseline kernel: SSE2, NEON."""
    target, kernel = TARGETS[machine], "locate, grid alone"
    if target.missing:
        return Count(kernel=kernel, machine=machine, missing=f"not installed: {', '.join(target.missing)}")
    with tempfile.TemporaryDirectory() as name:
        program, log = Path(name) / "steps", Path(name) / "log"
        sources = [str(DRIVER), str(CEXT / "locate.c"), str(CEXT / "locate_avx2.c")]
        command = [target.compiler, *FLAGS, f"-I{CEXT}", *sources, "-lm", "-o", str(program)]
        subprocess.run(command, check=True)
        cpu = ("-cpu", "qemu64") if machine == "x86-64" else ()
        options = (one_by_one(target), "-d", "exec,nochain", "-D", str(log))
        executed = []
        for fixes in ("1", "2"):
            done = subprocess.run(
                [target.emulator, *cpu, *options, str(program), fixes], capture_output=True, check=True
            )
            assert done.stdout == b"base 1\n"
            with log.open("rb") as lines:
                executed.append(sum(line.startswith(b"Trace") for line in lines))
    return Count(kernel=kernel, machine=machine, an_item=float(executed[1] - executed[0]))
