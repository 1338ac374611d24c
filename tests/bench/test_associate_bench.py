"""Association: sightings per CPU-second beside clustering the same bursts, and how cost grows within one class."""

import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN

from hostkit.core.associate import Tracker
from hostkit.core.wire import SIGHTING, Flag

pytestmark = pytest.mark.bench

PROBES = 4
SILENT_DBM = -100.0
ALIKE = 1000.0  # between element classes: farther than any two places


def crowd(phones: int, minutes: int, classes: int, seed: int = 1) -> NDArray[np.void]:
    """Phones that scan once a minute, with an address of its own for every second scan, heard by four probes."""
    rng = np.random.default_rng(seed)
    scans = phones * minutes
    phone = np.tile(np.arange(phones), minutes)
    time_us = (np.repeat(np.arange(minutes), phones) + rng.random(scans)) * 60e6
    key = rng.integers(1, 1 << 62, scans)
    level_dbm = rng.uniform(-85, -45, (phones, PROBES))[phone] + rng.normal(0, 3, (scans, PROBES))
    rows = np.zeros((scans, 3, PROBES), SIGHTING)
    rows["time_us"] = (time_us[:, None] + np.arange(3) * 30_000)[:, :, None]
    rows["device_key"], rows["fingerprint"] = key[:, None, None], (phone % classes)[:, None, None]
    rows["rssi_dbm"] = np.clip(level_dbm, -99, -20)[:, None, :]
    rows["probe"] = np.arange(PROBES)
    rows["flags"] = Flag.RANDOMISED
    rows = rows.ravel()
    return rows[np.argsort(rows["time_us"], kind="stable")]


def cpu_s(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU time of a call."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return float(np.median(spent))


def track(rows: NDArray[np.void]) -> int:
    it = Tracker(PROBES)
    it.feed(rows)
    it.advance(1 << 60)
    return it.tracks


def cluster(bursts: NDArray[np.void], rssi_dbm: NDArray[np.float32]) -> int:
    """The usual baseline: bursts by element class and level, density-based, no time."""
    features = np.column_stack([bursts["element_class"] * ALIKE, np.nan_to_num(rssi_dbm, nan=SILENT_DBM)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that will change their defaults
        return int(HDBSCAN(min_cluster_size=3).fit(features).labels_.max()) + 1


def test_against_hdbscan_on_the_same_bursts() -> None:
    rows = crowd(phones=200, minutes=30, classes=20)
    it = Tracker(PROBES)
    first, last = it.feed(rows), it.advance(1 << 60)
    bursts, rssi = np.concatenate([first[0], last[0]]), np.concatenate([first[1], last[1]])
    assert len(bursts) == 200 * 30
    ours_s, theirs_s = cpu_s(lambda: track(rows)), cpu_s(lambda: cluster(bursts, rssi))
    print(
        f"tracker {len(rows) / ours_s:,.0f} sightings/s, HDBSCAN {len(rows) / theirs_s:,.0f}:"
        f" {theirs_s / ours_s:.0f} x; {it.tracks} tracks, {cluster(bursts, rssi)} clusters of 200 phones"
    )
    assert theirs_s >= 20 * ours_s  # 43 to 59 on an idle machine


def test_growth_with_active_tracks_of_one_class() -> None:
    """Each new address is compared with the tracks of its class: linear up to the bound on candidates, then flat."""
    cost_us = {}
    for phones in (10, 100, 1000, 8000):
        rows = crowd(phones, max(2, 4000 // phones), 1)
        stable = rows["time_us"] < 60_000_000
        rows["flags"][stable] = 0  # the first minute makes a track of each phone
        it = Tracker(PROBES)
        it.feed(rows[stable])
        asked = rows[~stable][: 12 * 2000]
        cost_us[phones] = cpu_s(lambda it=it, asked=asked: it.feed(asked), 1) / (len(asked) / 12) * 1e6
    print({phones: f"{cost:.1f} µs per new address" for phones, cost in cost_us.items()})
    assert cost_us[1000] < 40 * cost_us[100]
    assert cost_us[8000] < 16 * cost_us[1000]
