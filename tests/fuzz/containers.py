"""Damaged captures without end: the container reader against its slow twin, whole and in pieces.

`python -m tests.fuzz.containers SECONDS [SEED]`; a finding names its seed. The check runs the same loops for a moment.
"""

import random
import sys
import time

from tests.core.test_dot11_twin import assert_equal, mutated, random_capture
from tests.core.test_esp32 import random_records
from tests.core.test_stream import assert_same, cuts

MUTATIONS = 20


def fuzz_one(seed: int) -> None:
    """Build one capture, damage it again and again, and read each in both ways."""
    rng = random.Random(seed)
    capture = rng.choice([random_capture, random_records])(rng)
    for _ in range(MUTATIONS):
        damaged = mutated(rng, capture)
        assert_equal(damaged)
        assert_same(damaged, cuts(rng, damaged))


def main(seconds: str, seed: str = "0") -> int:
    """Fuzz for so many seconds from this seed on; 0: from one of the clock's."""
    first = int(seed) or time.time_ns() % 2**40
    end_s, done = time.monotonic() + float(seconds), 0
    while time.monotonic() < end_s:
        try:
            fuzz_one(first + done)
        except AssertionError as error:
            raise AssertionError(
                f"seed {first + done}; again: python -m tests.fuzz.containers 1 {first + done}"
            ) from error
        done += 1
    sys.stdout.write(f"containers: {done * MUTATIONS} damaged captures from seed {first} on, none read differently\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
