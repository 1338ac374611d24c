"""The grid kernel as other processors and compilers build it: warnings, sanitizers, and the same places everywhere."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core._locate import processor
from hostkit.core.locate import NODE_STEP, NOWHERE, STUDENT_SCALE, Fixes, Locator, padded, power_nodes
from hostkit.core.track import TRACK_NODE_STEP, Motion, Tracker, steps
from hostkit.model import Floor, PathLoss

CEXT = Path(__file__).parents[2] / "cext"
DRIVER = Path(__file__).with_name("locate_driver.c")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
FLOOR = Floor(id="ground", bounds_m=(0, 0, 11, 7), interior_m=((0, 0), (11, 0), (11, 7), (0, 7)))
PROBES = np.array([(0, 0, 2.5), (11, 0, 2.5), (11, 7, 2.5), (0, 7, 2.5), (5, 3, 2.5)], float)
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=5.0)
FLOORS, HEARD = np.full(5, -85.0), np.full(5, 0.5, np.float32)
MOTION = Motion()
BURSTS = 60


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    processor("best")


def site(kind: str) -> tuple[Locator, NDArray[np.float32], NDArray[np.float64]]:
    """A Locator, readings (BURSTS, 5) and the seconds between them."""
    rng = np.random.default_rng(3)
    prior = np.ones((7, 11))
    prior[2:5, 6] = 0.0
    options = {"robust": "robust" in kind, "prior": prior}
    it = Locator(PROBES, FLOOR, (), MODEL, np.zeros(5), FLOORS, **options)
    if "cellwise" in kind:
        sigma = rng.uniform(2, 6, it.expected_dbm.shape)
        it = Locator.from_maps(it.expected_dbm, FLOOR, (), FLOORS, sigma_db=sigma, power_sigma_db=5.0, **options)
    places = rng.integers(0, (7, 11), (BURSTS, 2))
    rssi = it.expected_dbm[:, places[:, 0], places[:, 1]].T + rng.normal(0, 4, (BURSTS, 5))
    rssi[rng.random(rssi.shape) < 0.3] = np.nan
    return it, rssi.astype(np.float32), rng.choice([0.5, 2.0, 30.0], BURSTS)


def packed(kind: str) -> bytes:
    """The same for the driver."""
    it, rssi, gap_s = site(kind)
    scale = STUDENT_SCALE if it.robust else 1.0
    nodes = power_nodes(5.0, NODE_STEP * it.sigma_db if it.robust else 0.0)
    track_nodes = power_nodes(5.0, TRACK_NODE_STEP * it.sigma_db)
    prior = np.exp(it.log_prior) / np.exp(it.log_prior).sum()
    cellwise = "cellwise" in kind
    sigma = np.random.default_rng(3).uniform(2, 6, it.expected_dbm.shape) * scale
    left = (track_nodes[0][1] - track_nodes[0][0]) / np.sqrt(12.0)
    numbers = replace(MOTION, speed_m_s=MOTION.speed_m_s**2)
    header = (5, *padded(prior, 0).shape, len(nodes[0]), len(track_nodes[0]), BURSTS, cellwise)
    floats = (
        (it.y_m[0] - it.y_m.mean(), 1.0, 25.0, left**2),
        padded(it.expected_dbm, 0),
        padded(it.log_prior, NOWHERE),
        padded(it.x_m - it.x_m.mean(), 0),
        FLOORS,
        np.ones(5) if cellwise else np.full(5, (4.0 * scale) ** 2),
        padded(1 / sigma, 1.0) if cellwise else (),
        *nodes,
        *track_nodes,
        padded(prior, 0),
        padded(steps(prior), 0),
        astuple(numbers),
        HEARD,
        rssi,
        (np.inf, *gap_s[1:]),
    )
    return np.array(header, np.int32).tobytes() + b"".join(np.asarray(f, np.float32).tobytes() for f in floats)


def moments(it: Locator, fixes: Fixes) -> NDArray[np.float64]:
    centred = (fixes.x_m - it.x_m.mean(), fixes.y_m - it.y_m.mean())
    return np.column_stack((*centred, fixes.cov_xx, fixes.cov_xy, fixes.cov_yy))


def by_the_module(kind: str) -> NDArray[np.float64]:
    it, rssi, gap_s = site(kind)
    time_s = np.cumsum(gap_s) - gap_s[0]
    track = Tracker(it, MOTION).update(np.zeros(BURSTS, int), time_s, rssi, HEARD)
    return np.hstack((moments(it, it.fixes(rssi, HEARD)), moments(it, track)))


def by_the_driver(program: Path, kind: str, *emulator: str) -> NDArray[np.float64]:
    run = [*emulator, str(program)]
    env = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # the driver frees nothing
    done = subprocess.run(run, input=packed(kind), env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    return np.array([[float.fromhex(word) for word in line.split()] for line in lines[1:]])


def built(folder: Path, *command: str) -> Path:
    program = folder / "driver"
    sources = (str(DRIVER), str(CEXT / "locate.c"), str(CEXT / "locate_avx2.c"))
    subprocess.run([*command, *STRICT, f"-I{CEXT}", *sources, "-o", str(program), "-lm"], check=True)
    return program


KINDS = ("gauss", "robust", "cellwise", "robust cellwise")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_of_this_processor_agrees(kind: str) -> None:
    best = by_the_module(kind)
    assert processor("base") == "base"
    np.testing.assert_allclose(by_the_module(kind), best, atol=1e-3)


@pytest.mark.parametrize("compiler", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("gcc", "clang")])
def test_every_compiler_finds_the_same_places(tmp_path: Path, compiler: str) -> None:
    program = built(tmp_path, compiler, *SANITIZERS)
    for kind in KINDS:
        np.testing.assert_allclose(by_the_driver(program, kind), by_the_module(kind), atol=1e-3)


@pytest.mark.needs("aarch64-linux-gnu-gcc", "qemu-aarch64")
def test_aarch64_finds_the_same_places(tmp_path: Path) -> None:
    """Gaussian and robust posteriors to the last bit but for the centring; the driver takes sigma maps as they come."""
    program = built(tmp_path, "aarch64-linux-gnu-gcc", "-O2", "-static")
    processor("base")  # as many lanes, so the same order of sums
    for kind in KINDS:
        found, want = by_the_driver(program, kind, "qemu-aarch64"), by_the_module(kind)
        np.testing.assert_allclose(found, want, atol=1e-4)
        if "cellwise" not in kind:
            np.testing.assert_allclose(found[:, :5], want[:, :5], atol=1e-12)
