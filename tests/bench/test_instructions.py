"""Instructions a frame and a fix: counted, so that a change that doubles them is seen wherever the check runs."""

import pytest

from tests.bare import TARGETS
from tests.bench.instructions import frames, instruction_counts
from tests.bench.instructions_kernels import grid

# Measured 1,077, 1,083 and 2,414 with gcc 12; some room for other compilers.
MOST = {"x86-64": 1350, "aarch64": 1350, "rv32imc": 2900}


@pytest.mark.bench
@pytest.mark.needs(*(program for name in MOST for program in (TARGETS[name].compiler, TARGETS[name].emulator)))
def test_instructions_a_frame() -> None:
    counts = instruction_counts(MOST)
    octets = sum(map(len, frames())) / len(frames())
    for name, count in counts.items():
        shown = count if isinstance(count, str) else f"{count:,.0f} instructions"
        print(f"parse: {shown} a frame of {octets:.0f} octets on {name}")
    for name, most in MOST.items():
        assert isinstance(counts[name], float)
        assert 100 < float(counts[name]) < most


@pytest.mark.bench
@pytest.mark.needs("gcc", "qemu-x86_64", "aarch64-linux-gnu-gcc", "qemu-aarch64")
def test_instructions_a_fix() -> None:
    """6 anchors, 600 cells in rows padded to 640: 26,199 and 25,579 with gcc 12, 40 a cell with its 6 links."""
    for machine in ("x86-64", "aarch64"):
        count = grid(machine).an_item
        print(f"locate: {count} instructions a fix on {machine}")
        assert count is not None
        assert 5_000 < count < 31_000
