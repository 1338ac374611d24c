"""Instructions a frame costs on each processor, counted by qemu's user mode: no clock, the same on every machine.

Counted is the probe's path, frame to packed record, every frame parsed anew, on phones' frames of `street`.
"""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.bare import TARGETS, Target, build, run
from tests.builders import element as information
from tests.builders import phone_elements, probe_request, vendor

FRAMES = 12


def frames() -> list[bytes]:
    """Give probe requests of phones: 130 to 190 octets, a third naming a network."""
    return [
        probe_request(
            phone_elements(
                ssid=b"network %d" % number if number % 3 == 0 else b"",
                tail=information(191, bytes(12))
                + vendor("0050f204", bytes(20))
                + vendor("0017f20a", bytes(number % 8)),
            ),
            address=number.to_bytes(6, "big"),
            sequence=number,
        )
        for number in range(FRAMES)
    ]


def instruction_counts(names: Iterable[str] = tuple(TARGETS)) -> dict[str, float | str]:
    """Give instructions a frame for each of these TARGETS, or why they cannot be had.

    That of xtensa says little: this core has no multiplication to 64 bits, an ESP32's has.
    """
    return {name: _count(TARGETS[name]) for name in names}


def _count(target: Target) -> float | str:
    """Run over all frames once and twice: the difference is the frames alone."""
    if target.missing:
        return f"not installed: {', '.join(target.missing)}"
    with tempfile.TemporaryDirectory() as name:
        program, log = build(target, Path(name)), Path(name) / "log"
        options = (one_by_one(target), "-d", "exec,nochain", "-D", str(log))
        executed = []
        for repeat in (1, 2):
            run(target, program, frames(), repeat=repeat, options=options)
            with log.open("rb") as lines:
                executed.append(sum(line.startswith(b"Trace") for line in lines))
    return (executed[1] - executed[0]) / FRAMES


def one_by_one(target: Target) -> str:
    """Give this version's option that makes a block of each instruction."""
    told = subprocess.run([target.emulator, "--help"], capture_output=True, text=True, check=False).stdout
    return "-one-insn-per-tb" if "one-insn-per-tb" in told else "-singlestep"
