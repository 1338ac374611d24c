"""What probes' captures say of levels and channels, and of one probe against another. Keeps no address."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate_mixed import Floats, Ints
from hostkit.core.dot11 import CaptureReader
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.errors import InputError
from hostkit.hub.survey import read_frames
from hostkit.io.capture import open_capture

APART_US = 2_000_000  # clocks of two probes may differ by so much
MAX_FRAMES = 5_000_000  # held at once, 40 bytes each
LEAST_COMMON = 20
_HEARD = np.dtype([("who", "<u8"), ("sequence", "<u2"), ("time_us", "<i8"), ("rssi_dbm", "i1"), ("channel", "u1")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Frames of one capture: an array of who (keyed), sequence, time, level and channel."""

    path: Path
    frames: NDArray[np.void]

    @property
    def levels_dbm(self) -> Ints:
        """Level of each frame (N,)."""
        return np.asarray(self.frames["rssi_dbm"], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One channel of a capture: frames, addresses, median level."""

    channel: int
    frames: int
    addresses: int
    median_dbm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two probes on the frames both heard: how many, and by how many dB the second is louder, median and 10, 90 %."""

    frames: tuple[int, int]
    common: int
    louder_db: tuple[float, float, float]


def read_heard(path: Path, key: bytes | None = None) -> Heard:
    """Read a capture; give captures that are to be compared the same `key`. InputError for one without frames."""
    parts = [_kept(frames) for frames in _chunks(path, key or secrets.token_bytes(KEY_BYTES))]
    frames = np.concatenate(parts) if parts else np.empty(0, _HEARD)
    if not len(frames):
        raise InputError("no probe request in it", where=str(path), next_step="see that the probe listens, then again")
    return Heard(path=path, frames=frames)


def histogram(heard: Heard, step_db: int = 2) -> tuple[Ints, Ints]:
    """Lower edges of bins of `step_db` (B,) and frames in each (B,)."""
    level = heard.levels_dbm // step_db
    first = int(level.min())
    counts = np.bincount(level - first)
    return (first + np.arange(len(counts))) * step_db, counts


def channels(heard: Heard) -> tuple[ChannelRow, ...]:
    """Say of every channel what was heard on it, the busiest first."""
    rows = []
    for channel in np.unique(heard.frames["channel"]).tolist():
        mine = heard.frames[heard.frames["channel"] == channel]
        median = float(np.median(mine["rssi_dbm"]))
        addresses = len(np.unique(mine["who"]))
        rows.append(ChannelRow(channel=channel, frames=len(mine), addresses=addresses, median_dbm=median))
    return tuple(sorted(rows, key=lambda row: -row.frames))


def compared(first: Heard, second: Heard) -> Compared:
    """Compare two captures read with one key. InputError where they have hardly a frame in common."""
    pairs = _common(first.frames, second.frames)
    if len(pairs) < LEAST_COMMON:
        raise InputError(
            f"{len(pairs)} frames were heard by both, at least {LEAST_COMMON} are needed",
            where=f"{first.path}, {second.path}",
            next_step="give captures of the same minutes, with clocks right to 2 s",
        )
    low, middle, high = np.quantile(pairs, (0.1, 0.5, 0.9)).tolist()
    return Compared(frames=(len(first.frames), len(second.frames)), common=len(pairs), louder_db=(middle, low, high))


def _common(first: NDArray[np.void], second: NDArray[np.void]) -> Floats:
    """Level in the second minus that in the first of frames both heard, each sequence number of an address once."""
    a, b = (_once(frames) for frames in (first, second))
    _, at, of = np.intersect1d(a[["who", "sequence"]], b[["who", "sequence"]], return_indices=True)
    near = np.abs(a["time_us"][at] - b["time_us"][of]) <= APART_US
    return np.asarray(b["rssi_dbm"][of][near].astype(np.float64) - a["rssi_dbm"][at][near], np.float64)


def _once(frames: NDArray[np.void]) -> NDArray[np.void]:
    return np.asarray(frames[np.unique(frames[["who", "sequence"]], return_index=True)[1]])


def _chunks(path: Path, key: bytes) -> Iterator[NDArray[np.void]]:
    file = open_capture(path)
    reader = CaptureReader(file.data, key, name=str(path))
    read = 0
    for frames in read_frames(file, reader, lambda _: None):
        read += len(frames)
        if read > MAX_FRAMES:
            step = "cut it with: editcap -c 1000000 IN OUT"
            raise InputError(f"has over {MAX_FRAMES} frames", where=str(path), next_step=step)
        yield frames


def _kept(frames: NDArray[np.void]) -> NDArray[np.void]:
    out = np.empty(len(frames), _HEARD)
    names = {"who": "device_key", "sequence": "sequence", "time_us": "time_us", "rssi_dbm": "rssi_dbm"}
    for name, source in (names | {"channel": "channel"}).items():
        out[name] = frames[source]
    return out
