"""CPU time of positions and stays against SciPy, NumPy and the slow twin on the same input in the same run."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hostkit.core.dwell import Segmenter
from hostkit.core.locate import DEVICE_HEIGHT_M, Locator
from hostkit.core.ranging import expected_rssi
from hostkit.model import Floor, PathLoss
from tests.oracles_locate import SlowSegmenter

pytestmark = pytest.mark.bench

ROOM = Floor(id="room", bounds_m=(0, 0, 30, 20), interior_m=((0, 0), (30, 0), (30, 20), (0, 20)))
ANCHORS = np.array([(x, y, DEVICE_HEIGHT_M) for x in (0, 15, 30) for y in (0, 20)], float)
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=3.0)
Array = NDArray[np.float64]


def per_second(work: Callable[[], object], items: int, rounds: int = 3) -> float:
    """Items per CPU-second, median of rounds."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return items / float(np.median(spent))


def readings(count: int) -> Array:
    rng = np.random.default_rng(2)
    places = rng.uniform((0, 0), (30, 20), (count, 2))
    distance = np.linalg.norm(places[:, None] - ANCHORS[None, :, :2], axis=2)
    return expected_rssi(distance, MODEL) + rng.normal(0, 4, distance.shape) + rng.normal(0, 3, (count, 1))


def by_scipy(rssi: Array) -> None:
    def residual(place: Array, row: Array) -> Array:
        return row + 45 + 27 * np.log10(np.maximum(np.hypot(*(place - ANCHORS[:, :2]).T), 0.5))

    for row in rssi:
        least_squares(residual, (15.0, 10.0), args=(row,))


def by_numpy(rssi: NDArray[np.float32], expected: NDArray[np.float32]) -> Array:
    """The same posterior mean as three matrix products in float32."""
    w, s2 = 1 / 16, 9.0
    shrink = s2 / (1 + s2 * w * rssi.shape[1])
    total = expected.sum(axis=0)
    quad = w * (-2 * rssi @ expected + (expected**2).sum(axis=0))
    pull = w * (rssi.sum(axis=1, keepdims=True) - total)
    log_p = -0.5 * (quad - shrink * pull**2)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    x, y = np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5)
    return (p @ np.column_stack((x.ravel(), y.ravel())).astype(np.float32)) / p.sum(axis=1, keepdims=True)


def test_positions() -> None:
    """600 cells, 6 anchors, covariance and one polygon included."""
    rssi = readings(20_000).astype(np.float32)
    plain, robust = (
        Locator(ANCHORS, ROOM, (), MODEL, np.zeros(6), np.full(6, -120.0), robust=flag) for flag in (False, True)
    )
    expected = plain.expected_dbm.reshape(6, -1).astype(np.float32)
    fixes = plain.fixes(rssi[:500])
    np.testing.assert_allclose(np.column_stack((fixes.x_m, fixes.y_m)), by_numpy(rssi[:500], expected), atol=0.01)
    silent = np.where(rssi < -78, np.nan, rssi)
    speed = {
        "plain": per_second(lambda: plain.fixes(rssi), len(rssi)),
        "robust": per_second(lambda: robust.fixes(rssi), len(rssi)),
        "with silence": per_second(lambda: plain.fixes(silent, np.full(6, 0.5)), len(rssi)),
        "numpy": per_second(lambda: by_numpy(rssi[:2000], expected), 2000),
        "scipy": per_second(lambda: by_scipy(rssi[:100].astype(float)), 100),
    }
    print({name: f"{value:,.0f}/s = {value / speed['scipy']:.1f} x scipy" for name, value in speed.items()})
    # Far below what is printed on an idle machine: numpy's threads and a busy neighbour move these ratios by three.
    assert speed["plain"] >= 150 * speed["scipy"]
    assert speed["plain"] >= 1.2 * speed["numpy"]
    assert speed["robust"] >= 40 * speed["scipy"]


def test_cost_is_linear_in_bursts_anchors_and_cells() -> None:
    rng = np.random.default_rng(3)
    floor = Floor(id="hall", bounds_m=(0, 0, 60, 40), interior_m=ROOM.interior_m)
    base = ANCHORS
    many = np.column_stack((rng.uniform((0, 0), (30, 20), (24, 2)), np.full(24, DEVICE_HEIGHT_M)))
    speed = {}
    for name, anchors, plan in (("base", base, ROOM), ("4 x cells", base, floor), ("4 x anchors", many, ROOM)):
        it = Locator(anchors, plan, (), MODEL, np.zeros(len(anchors)), np.full(len(anchors), -120.0))
        rssi = rng.uniform(-90, -50, (8000, len(anchors))).astype(np.float32)
        speed[name] = per_second(lambda it=it, rssi=rssi: it.fixes(rssi), len(rssi))
    print({name: f"{value:,.0f}/s" for name, value in speed.items()})
    assert speed["4 x cells"] >= speed["base"] / 6
    assert speed["4 x anchors"] >= speed["base"] / 6


def test_stays() -> None:
    """1,000 devices × 1,000 points against a copy of the same columns (the floor) and the slow twin."""
    rng = np.random.default_rng(4)
    devices, points = 1000, 1000
    device = np.tile(np.arange(devices, dtype=np.int32), points)
    time_us = np.repeat(np.arange(points) * 60_000_000, devices)
    jumps = np.where(rng.random((points, devices)) < 0.03, rng.normal(0, 40, (points, devices)), 0)
    x, y = ((np.cumsum(jumps, axis=0) + rng.normal(0, 2, jumps.shape)).ravel().astype(np.float32) for _ in range(2))
    columns = (device, time_us, x, y)

    def segment() -> int:
        it = Segmenter()
        return len(it.update(*columns)) + len(it.flush())

    def slowly() -> None:
        slow = SlowSegmenter(8.0, 120.0, 1200.0)
        for row in zip(*(c[:2000].tolist() for c in columns), strict=True):
            slow.add(*row)

    speed = {
        "kernel": per_second(segment, len(device)),
        "copy": per_second(lambda: [c.copy() for c in columns], len(device)),
        "slow twin": per_second(slowly, 2000),
    }
    print({name: f"{value / 1e6:,.2f} M points/s" for name, value in speed.items()}, f"{segment():,} stays")
    assert segment() > devices
    assert speed["kernel"] >= 200 * speed["slow twin"]
    assert speed["kernel"] >= 0.01 * speed["copy"]
