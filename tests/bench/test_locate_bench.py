"""CPU time of positions without AVX2, in robust mode and over time, against SciPy on the same input in the same run."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from hostkit.core._locate import processor
from hostkit.core.ranging import expected_rssi
from hostkit.core.track import Tracker
from tests.bench.kernels import locator
from tests.bench.measure import least_cpu_s
from tests.bench.workloads import ANCHORS, MODEL, bursts

pytestmark = pytest.mark.bench

BURSTS, SOLVED, TRACKED = 20_000, 100, 3_000


def test_positions_on_every_processor_and_over_time() -> None:
    """600 cells, 6 anchors, one polygon; tracks carry 7 power nodes; SciPy knows the transmit power."""
    case = bursts(BURSTS)
    rssi = case.rssi_dbm.astype(np.float32)
    plain, robust = (locator(case, robust=flag) for flag in (False, True))
    device, time_s = np.repeat(np.arange(TRACKED // 50), 50), np.tile(np.arange(50.0) * 2, TRACKED // 50)

    def by_scipy() -> None:
        for row in rssi[:SOLVED].astype(float):
            least_squares(lambda p, row=row: row - expected_rssi(np.hypot(*(p - ANCHORS[:, :2]).T), MODEL), (15, 10))

    cost = {"scipy": least_cpu_s(by_scipy, 3) / SOLVED}
    for kernel in ("best", "base"):
        name = processor(kernel)
        cost[f"plain {name}"] = least_cpu_s(lambda: plain.fixes(rssi), 3) / BURSTS
        cost[f"robust {name}"] = least_cpu_s(lambda: robust.fixes(rssi), 3) / BURSTS
        cost[f"filter {name}"] = least_cpu_s(lambda: Tracker(plain).update(device, time_s, rssi[:TRACKED])) / TRACKED
        cost[f"smoother {name}"] = least_cpu_s(lambda: Tracker(plain).smooth(device, time_s, rssi[:TRACKED])) / TRACKED
    processor("best")
    ratio = {name: cost["scipy"] / value for name, value in cost.items()}
    print({name: f"{1 / cost[name]:,.0f}/s = {value:.0f} x scipy" for name, value in ratio.items()})
    # SSE2, which every processor has; tests/bench/test_kernels_bench.py holds what this processor takes to its aims.
    assert ratio["plain base"] >= 800
    assert ratio["robust base"] >= 200
    assert ratio["filter base"] >= 40
    assert ratio["smoother base"] >= 20
