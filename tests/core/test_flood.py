"""A flood of fresh addresses: noticed, counted, bounded in memory, and the count says what it does not know."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.bins import CountBin
from hostkit.core.count import METHOD
from hostkit.core.dot11 import CaptureReader
from hostkit.core.flood import LEAST_PER_MIN, MOST_PER_MIN, FloodGate
from hostkit.core.inside import NOBODY
from hostkit.core.pipeline import Events, Pipeline
from hostkit.core.wire import SIGHTING, Flag, sightings_from
from tests.shop import NOON_S, busy_shop, shop, together

SEED = 1
BEGIN_S = 1800  # the middle of a bin


def flood(
    addresses: int, *, minutes: float = 1.0, begin_s: float = BEGIN_S, elements: str = "one", power: bool = False
) -> NDArray[np.void]:
    """Frames of one board, each from an address of its own."""
    rng = np.random.default_rng(SEED)
    rows = np.zeros(addresses, SIGHTING)
    begin_us = round((NOON_S + begin_s) * 1e6)
    rows["time_us"] = np.sort(begin_us + rng.integers(0, round(minutes * 60e6), addresses))
    rows["device_key"] = rng.integers(0, 1 << 63, addresses)
    rows["fingerprint"] = 1 if elements == "one" else rng.integers(0, 1 << 32, addresses)
    rows["probe"] = rng.choice(4, addresses, p=(0.1, 0.1, 0.7, 0.1))
    rows["rssi_dbm"] = np.rint(rng.uniform(-85, -40, addresses) if power else rng.normal(-60, 3, addresses))
    rows["flags"] = Flag.RANDOMISED
    return rows


def run(it: Pipeline, rows: NDArray[np.void], parts: int = 200) -> list[CountBin]:
    bins: list[CountBin] = []
    for part in np.array_split(rows, parts):
        it.feed(part)
        events = it.advance(int(part["time_us"][-1])) if len(part) else Events(visits=(), bins=())
        bins += events.bins
    return [*bins, *it.finish().bins]


def by_start(bins: list[CountBin]) -> dict[float, CountBin]:
    return {bin_.start_s - NOON_S: bin_ for bin_ in bins}


@pytest.mark.parametrize("elements", ["one", "any"])
@pytest.mark.parametrize("power", [False, True])
def test_a_flood_is_set_aside_and_its_bin_says_so(elements: str, power: bool) -> None:
    quiet, sent = busy_shop(SEED), flood(200_000, elements=elements, power=power)
    clean, it = by_start(run(Pipeline(shop()), quiet)), Pipeline(shop())
    dirty = by_start(run(it, together(quiet, sent)))
    found = it.totals().flood
    assert found.addresses > 0.95 * len(sent)
    assert found.minutes == 1
    assert np.argmax(found.probe_frames) == 2
    assert it.totals().frames == len(quiet) + len(sent)
    for start_s, bin_ in clean.items():
        truth, other = bin_.devices, dirty[start_s].devices
        assert other.low is not None
        assert other.high is not None
        assert truth.value is not None
        assert other.low <= truth.value <= other.high, start_s
        flooded = start_s == BEGIN_S
        assert (other.high > 100_000) == flooded
        assert (other.method == METHOD) != flooded
        assert (dirty[start_s].inside == NOBODY) == flooded
    assert dirty[BEGIN_S].addresses > 190_000
    whole = it.totals().devices
    assert whole.high is not None
    assert whole.high > 100_000


def test_most_of_a_flood_makes_no_visits() -> None:
    it = Pipeline(shop())
    for part in np.array_split(together(busy_shop(SEED), flood(200_000, elements="any")), 50):
        it.feed(part)
    made = len(it.finish().visits)
    assert made < 50 + 3 * LEAST_PER_MIN


def test_a_flood_from_the_first_frame_on() -> None:
    it = Pipeline(shop())
    bins = run(it, flood(100_000, minutes=5, begin_s=0, elements="any"))
    assert it.totals().flood.addresses > 100_000 - 3.5 * MOST_PER_MIN
    assert it.totals().flood.minutes >= 4
    assert bins[0].devices.high is not None
    assert bins[0].devices.high > 80_000


@pytest.mark.parametrize("phones", [40, 600])
def test_phones_are_no_flood(phones: int) -> None:
    rows = busy_shop(SEED, phones=phones, hours=1.0)
    it = Pipeline(shop())
    it.feed(rows)
    it.finish()
    assert it.totals().flood.addresses == 0


@pytest.mark.realdata
def test_recorded_phones_are_no_flood(realdata: Path) -> None:
    for path in sorted((realdata / "probes" / "brno-lab" / "pcap").rglob("*.pcap")):
        reader, it = CaptureReader(path.read_bytes(), bytes(16)), Pipeline(shop(1))
        while len(frames := reader.read()):
            it.feed(sightings_from(np.sort(frames, order="time_us"), 0, 0))
        it.finish()
        assert it.totals().flood.addresses == 0, path.name


def rows_at(times_s: NDArray[np.float64]) -> NDArray[np.void]:
    rows = np.zeros(len(times_s), SIGHTING)
    rows["time_us"], rows["device_key"] = np.rint(times_s * 1e6), np.arange(len(times_s))
    return rows


def pass_through(gate: FloodGate, rows: NDArray[np.void]) -> int:
    """How many of a minute's rows, all of new addresses, are set aside."""
    fresh = np.ones(len(rows), np.bool_)
    return 0 if gate.lets_all_in(rows, fresh) else int(gate.refused(rows, fresh).sum())


def test_what_is_usual_is_learnt_and_four_times_as_much_passes() -> None:
    gate = FloodGate(0, 1)
    minutes = [rows_at(60.0 * minute + np.arange(0, 60, 60 / 1000)) for minute in range(40)]
    assert sum(pass_through(gate, rows) for rows in minutes) == 0
    assert pass_through(gate, rows_at(60.0 * 40 + np.arange(0, 60, 60 / 3500))) == 0
    assert pass_through(gate, rows_at(60.0 * 41 + np.arange(0, 60, 60 / 40_000))) > 25_000
    quiet = FloodGate(0, 1)
    assert pass_through(quiet, rows_at(60.0 * 40 + np.arange(0, 60, 60 / 3500))) > 2500


def test_a_flood_does_not_become_usual_but_a_crowd_that_stays_does() -> None:
    gate = FloodGate(0, 1)
    early = [pass_through(gate, rows_at(60.0 * (10 + m) + np.arange(0, 60, 60 / 1500))) for m in range(30)]
    assert min(early[3:]) > 1000
    late = [pass_through(gate, rows_at(60.0 * (40 + m) + np.arange(0, 60, 60 / 1500))) for m in range(180)]
    assert max(late[-20:]) == 0


def test_known_addresses_need_no_token() -> None:
    gate = FloodGate(0, 1)
    rows = rows_at(np.arange(0, 60, 60 / 40_000))
    fresh = np.arange(len(rows)) % 100 == 0
    assert gate.lets_all_in(rows, fresh)
    assert not gate.lets_all_in(rows, np.ones(len(rows), np.bool_))
    refused = gate.refused(rows, ~fresh)
    assert not refused[fresh].any()
    assert refused.sum() > 30_000


# One process floods a pipeline in minutes, as a probe delivers it, and tells its peak memory.
FLOODED = """
import re, sys
import numpy as np
from hostkit.core.pipeline import Pipeline
from tests.core.test_flood import flood
from tests.shop import shop
it = Pipeline(shop())
for minute in range(int(sys.argv[1])):
    rows = flood(50_000, begin_s=60.0 * minute, elements="any")
    rows["device_key"] += np.uint64(minute << 40)
    it.feed(rows)
    it.advance(int(rows["time_us"][-1]))
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], it.totals().flood.addresses)
"""


def test_memory_is_bounded_however_long_it_lasts() -> None:
    peaks = []
    for minutes in (3, 24):
        done = subprocess.run([sys.executable, "-c", FLOODED, str(minutes)], check=True, capture_output=True, text=True)
        peak_kb, refused = map(int, done.stdout.split())
        assert refused > 45_000 * minutes
        peaks.append(peak_kb)
    assert peaks[1] < 1.15 * peaks[0]
