"""Crowds with known truth from captures of single phones: superposed by shifting time, heard by simulated probes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import CaptureReader
from hostkit.core.wire import SIGHTING, Flag, sightings_from

KEY = bytes(range(16))
WINDOW_S = 900
DUPLICATE_US = 50_000
EMPTY_PCAP_BYTES = 24
ROOM_M = (20.0, 15.0)
PROBES_M = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 15.0], [0.0, 15.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One session of one phone alone: SIGHTING rows in order of time, each transmission once."""

    phone: str
    sightings: NDArray[np.void]


def recordings(data: Path) -> list[Recording]:
    """Every session of the labelled phones under `derand/`, in a fixed order."""
    sessions: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((data / "derand" / "cagliari").glob("dev*/*.pcap")):
        if path.stat().st_size <= EMPTY_PCAP_BYTES:
            continue  # a channel on which nothing was heard
        sessions.setdefault((path.parent.name, path.name.split("-ch-")[0]), []).append(path)
    for path in sorted((data / "derand" / "milano").glob("*.pcap")):
        sessions[(path.stem, "")] = [path]
    loaded = [Recording(phone=phone, sightings=_session(paths)) for (phone, _), paths in sessions.items()]
    return [recording for recording in loaded if len(recording.sightings)]


def _session(paths: list[Path]) -> NDArray[np.void]:
    """Merge the channels' captures; the same address and sequence number within 50 ms is one transmission."""
    parts = []
    for path in paths:
        reader = CaptureReader(path.read_bytes(), KEY)
        while len(frames := reader.read()):
            parts.append(sightings_from(frames, 0, 0))
    rows = np.sort(np.concatenate([np.empty(0, SIGHTING), *parts]), order=["device_key", "sequence", "time_us"])
    same = (np.diff(rows["device_key"]) == 0) & (np.diff(rows["sequence"]) == 0)
    again = np.concatenate([[False], same & (np.diff(rows["time_us"]) < DUPLICATE_US)])
    return np.sort(rows[~again], order="time_us")


def crowd(
    sessions: list[Recording], *, phones: int, seed: int, moving: bool, window_s: int = WINDOW_S
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Superpose `phones` phones: (SIGHTING rows of 4 probes in order of time, label of each row).

    Phones beyond the recorded ones are clones with other addresses, other times and other places. A session shorter
    than the window is cut from its own span.
    """
    random = np.random.default_rng(seed)
    names = sorted({session.phone for session in sessions})
    order = [names[i % len(names)] for i in random.permutation(phones)]
    parts, labels = [], []
    for label, name in enumerate(order):
        mine = [session for session in sessions if session.phone == name]
        rows = _excerpt(mine[random.integers(len(mine))].sightings, random, window_s)
        heard = _heard(rows, random, moving=moving)
        parts.append(heard)
        labels.append(np.full(len(heard), label))
    rows, label = np.concatenate(parts), np.concatenate(labels)
    by_time = np.argsort(rows["time_us"], kind="stable")
    return rows[by_time], label[by_time]


def _excerpt(rows: NDArray[np.void], random: np.random.Generator, window_s: int) -> NDArray[np.void]:
    """Cut a window at a random place, as if it lay on a circle, and give the phone addresses of its own."""
    rows = rows.copy()
    span_us = max(int(rows["time_us"][-1] - rows["time_us"][0]) + 1_000_000, window_s * 1_000_000)
    rows["time_us"] = (rows["time_us"] - rows["time_us"][0] + random.integers(span_us)) % span_us
    rows["device_key"] ^= np.uint64(random.integers(1 << 62))
    rows["flags"] |= np.uint8(Flag.RANDOMISED)
    return np.sort(rows[rows["time_us"] < window_s * 1_000_000], order="time_us")


def _heard(rows: NDArray[np.void], random: np.random.Generator, *, moving: bool) -> NDArray[np.void]:
    """Each transmission as four probes hear it: exponent 2.7, shadowing per burst 4 and per frame 2 dB, floor -92."""
    time_s = rows["time_us"] / 1e6
    burst = np.cumsum(np.diff(time_s, prepend=-10.0) > 1.0)
    place = _places(time_s, random, moving=moving)
    power_dbm = -42 + random.normal(0, 4)
    bursts = int(burst[-1]) + 1 if len(burst) else 1
    parts = []
    for probe, (x_m, y_m) in enumerate(PROBES_M):
        distance_m = np.maximum(np.hypot(place[:, 0] - x_m, place[:, 1] - y_m), 1.0)
        shadow_db = random.normal(0, 4, bursts)[burst] + random.normal(0, 2, len(rows))
        rssi_dbm = power_dbm - 27 * np.log10(distance_m) + shadow_db
        heard = (rssi_dbm > -92) & (random.random(len(rows)) < 0.8)
        copy = rows[heard].copy()
        copy["probe"] = probe
        copy["rssi_dbm"] = np.clip(np.round(rssi_dbm[heard]), -100, -10)
        parts.append(copy)
    return np.concatenate(parts)


def _places(time_s: NDArray[np.float64], random: np.random.Generator, *, moving: bool) -> NDArray[np.float64]:
    """Positions (N, 2): one place, or a new place every 60 to 180 s, walked to in a straight line within 20 s."""
    if not moving:
        return np.tile(random.uniform((0, 0), ROOM_M), (len(time_s), 1))
    knots_s = np.cumsum(random.uniform(60, 180, WINDOW_S // 60 + 2)) - 60
    legs = random.uniform((0, 0), ROOM_M, (len(knots_s), 2))
    stay_until_s = knots_s[1:] - 20
    times = np.sort(np.concatenate([knots_s, stay_until_s]))
    points = np.repeat(legs, 2, axis=0)[: len(times)]
    return np.column_stack([np.interp(time_s, times, points[:, axis]) for axis in range(2)])
