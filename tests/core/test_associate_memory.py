"""What the tracker holds: octets it states, against what the process grew by, and how many for each phone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.associate import Tracker
from tests.bench.workloads import PROBES, crowd

ROOT = Path(__file__).parents[2]
MINUTES = 20  # longer than the window
# A phone that scans once a minute, each time from another address, has 15 scans in the window and 20 addresses. Tables
# grow by a 32nd at most once they are large; of few phones it is the smallest tables that show.
MOST_OCTETS = {100: 1_040, 1000: 1_020, 10_000: 1_000}
MEASURE = """
import re, sys
from hostkit.core.associate import Tracker
from tests.bench.workloads import PROBES, crowd
rows = crowd(int(sys.argv[1]), 20, int(sys.argv[1]) // 10)
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
it = Tracker(PROBES)
before, had = resident(), it.octets
for part in range(0, len(rows), 1000):
    it.feed(rows[part : part + 1000])
print(resident() - before, it.octets - had)
"""


@pytest.mark.parametrize("phones", MOST_OCTETS)
def test_octets_for_each_phone_are_bounded(phones: int) -> None:
    it = Tracker(PROBES)
    fixed = it.octets
    for part in np.array_split(crowd(phones, MINUTES, phones // 10), 40):
        it.feed(part)
    assert fixed < 128 * 1024
    assert (it.octets - fixed) / phones < MOST_OCTETS[phones]


def test_a_process_grows_by_what_is_stated() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE, "3000"], cwd=ROOT, check=True, capture_output=True, text=True)
    grown, stated = map(int, done.stdout.split())
    assert stated > 2_000_000
    assert 0.6 * stated < grown < 1.75 * stated  # realloc leaves holes
