"""Instructions a frame: counted, so that a change that doubles them is seen wherever the check runs."""

import pytest

from tests.bare import TARGETS
from tests.bench.instructions import frames, instruction_counts

# Measured 1,648, 1,394 and 3,385 with gcc 12; some room for other compilers.
MOST = {"x86-64": 1950, "aarch64": 1700, "rv32imc": 3900}


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
