"""How the cost of each kernel grows with what it is given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hostkit.core.locate import DEVICE_HEIGHT_M
from tests.bench import kernels
from tests.bench import workloads as w
from tests.bench.measure import least_cpu_s, slope


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """CPU seconds of one call at each size, and the exponent of growth."""

    kernel: str
    axis: str
    sizes: list[int]
    cpu_s: list[float]
    slope: float


def growths(*, quick: bool, only: str | None = None) -> Iterator[Growth]:
    """Measure every curve, or `only` one kernel's; `quick`: three small sizes each."""
    for kernel, axis, sizes, prepare in CURVES:
        if only not in (None, kernel):
            continue
        taken = sizes[:3] if quick else sizes
        works = [prepare(size) for size in taken]
        cpu_s = [least_cpu_s(work) for work in works]
        yield Growth(kernel=kernel, axis=axis, sizes=list(taken), cpu_s=cpu_s, slope=slope(taken, cpu_s))


def _frames(count: int) -> Callable[[], object]:
    capture = w.street(count)
    return lambda: kernels.parse(capture)


def _anchors(count: int) -> Callable[[], object]:
    rng = np.random.default_rng(3)
    anchors = np.column_stack((rng.uniform((0, 0), (30, 20), (count, 2)), np.full(count, DEVICE_HEIGHT_M)))
    return _fixes(w.bursts(2000, anchors), 1.0)


def _cells(count: int) -> Callable[[], object]:
    return _fixes(w.bursts(1000), float(np.sqrt(600 / count)))


def _fixes(case: w.Bursts, cell_m: float) -> Callable[[], object]:
    it, rssi_dbm = kernels.locator(case, cell_m=cell_m), case.rssi_dbm.astype(np.float32)
    return lambda: it.fixes(rssi_dbm)


def _bursts(count: int) -> Callable[[], object]:
    return _fixes(w.bursts(count), 1.0)


def _devices(count: int) -> Callable[[], object]:
    columns = kernels.columns_of(w.walks(count, 200).as_heard())
    return lambda: kernels.segment(columns)


def _phones(count: int) -> Callable[[], object]:
    rows = w.crowd(count, 20, max(1, count // 10))
    return lambda: kernels.track(rows)


def _alike(count: int) -> Callable[[], object]:
    """Ten minutes of phones of one element class: each scan may belong to any track, and all are linked anew."""
    rows = w.crowd(count, 10, 1)
    return lambda: kernels.track(rows)


# Sizes double or more so that the logarithms span at least a decade.
CURVES: tuple[tuple[str, str, tuple[int, ...], Callable[[int], Callable[[], object]]], ...] = (
    ("parse", "frames", (2_000, 6_000, 20_000, 60_000, 200_000), _frames),
    ("locate", "bursts", (500, 1_500, 5_000, 15_000, 50_000), _bursts),
    ("locate", "anchors", (4, 8, 16, 32, 64), _anchors),
    ("locate", "cells", (600, 2_400, 9_600, 38_400), _cells),
    ("dwell", "devices", (30, 100, 300, 1_000, 3_000), _devices),
    ("associate", "phones", (50, 150, 500, 1_500), _phones),
    ("associate", "phones alike", (10, 30, 100, 300, 600), _alike),
)
