"""Our kernels on the benchmarks' inputs, and the floors below them: what the table's ratios are made of."""

import ctypes
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import Tracker
from hostkit.core.dot11 import CaptureReader
from hostkit.core.dwell import Segmenter
from hostkit.core.locate import Locator
from tests.bench.workloads import GAP_S, MODEL, PROBES, ROOM, STAY_M, STAY_S, Array, Bursts, Walks
from tests.builders import KEY

FLOOR = Path(__file__).with_name("floor.c")
END_US = 1 << 60
LOOK_US = 30_000_000


def parse(capture: bytes) -> int:
    """Give the number of probe requests."""
    reader, count = CaptureReader(capture, KEY), 0
    while len(part := reader.read()):
        count += len(part)
    return count


def packets(capture: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give where each packet of a little-endian pcap starts and how long it is."""
    offsets, lengths, at = [], [], 24
    while at < len(capture):
        (size,) = struct.unpack_from("<I", capture, at + 8)
        offsets.append(at + 16)
        lengths.append(size)
        at += 16 + size
    return np.array(offsets), np.array(lengths)


def hash_octets(capture: bytes, folder: Path) -> Callable[[], object]:
    """Build floor.c with the kernels' own flags and give a call that hashes every captured octet once."""
    library = folder / "floor.so"
    subprocess.run(["gcc", "-std=c99", "-O3", "-shared", "-fPIC", str(FLOOR), "-o", str(library)], check=True)
    floor = ctypes.CDLL(str(library)).floor_octets
    offsets, lengths = packets(capture)
    return lambda: floor(ctypes.c_char_p(capture), offsets.ctypes, lengths.ctypes, ctypes.c_size_t(len(offsets)))


def copying(*columns: NDArray[np.generic]) -> Callable[[], object]:
    """Give a call that copies the input once: what memory bandwidth alone costs."""
    targets = [np.empty_like(column) for column in columns]

    def work() -> None:
        for target, column in zip(targets, columns, strict=True):
            np.copyto(target, column)

    return work


def locator(case: Bursts, *, robust: bool = False, cell_m: float = 1.0) -> Locator:
    """Give ROOM's locator for the anchors of a case."""
    count = len(case.anchors_m)
    return Locator(
        case.anchors_m, ROOM, (), MODEL, np.zeros(count), np.full(count, -120.0), robust=robust, cell_m=cell_m
    )


def places(it: Locator, rssi_dbm: NDArray[np.generic]) -> Array:
    """Give the posterior means (M, 2)."""
    fixes = it.fixes(rssi_dbm)
    return np.column_stack((fixes.x_m, fixes.y_m))


Columns = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]


def columns_of(walks: Walks) -> Columns:
    """Give the fixes as the kernel takes them, in the order they have."""
    x_m, y_m = (column.astype(np.float32) for column in (walks.x_m, walks.y_m))
    return walks.device, (walks.time_s * 1e6).astype(np.int64), x_m, y_m


def segment(columns: Columns) -> list[NDArray[np.void]]:
    """Give the stays that closed on the way and those that the end closes."""
    it = Segmenter(STAY_M, STAY_S, GAP_S)
    return [it.update(*columns), it.flush()]


def stays(columns: Columns) -> Array:
    """Give the stays (S, 3): device, from, to (s)."""
    rows = np.concatenate(segment(columns))
    return np.column_stack((rows["device"], rows["start_us"] / 1e6, rows["end_us"] / 1e6))


def track(rows: NDArray[np.void]) -> int:
    """Give the number of tracks."""
    it = Tracker(PROBES)
    it.feed(rows)
    it.advance(END_US)
    return it.tracks


def track_as_heard(rows: NDArray[np.void]) -> int:
    """Give the number of tracks of who hands over what was heard every half minute, and wants its labels then."""
    it = Tracker(PROBES)
    look = rows["time_us"] // LOOK_US
    for part in np.split(rows, np.flatnonzero(np.diff(look)) + 1):
        it.feed(part)
        it.advance((part["time_us"][-1] // LOOK_US + 1) * LOOK_US)
    return it.tracks


def burst_features(rows: NDArray[np.void]) -> tuple[Array, Array]:
    """Give what clustering sees of the tracker's own bursts, by their end (M,) in s.

    Features (M, 1 + probes): element class, far apart, and level at each probe.
    """
    it = Tracker(PROBES)
    first, last = it.feed(rows), it.advance(END_US)
    bursts, rssi_dbm = (np.concatenate([first[index], last[index]]) for index in (0, 1))
    features = np.column_stack([bursts["element_class"] * 1000.0, np.nan_to_num(rssi_dbm, nan=-100.0)])
    return features, bursts["last_us"] / 1e6
