"""The inputs of every benchmark, by seed and size: ours and the peers get the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.core.ranging import expected_rssi
from hostkit.core.wire import SIGHTING, Flag
from hostkit.model import Floor, PathLoss
from tests.builders import Packet, heard, pcap, phone_elements, probe_request, vendor

Array = NDArray[np.float64]

# ---- parse ----


def street(count: int) -> bytes:
    """Give a capture of 500 phones of 40 models in random order, a third of them naming a network."""
    random = np.random.default_rng(1)
    models = [vendor("0017f20a", random.bytes(int(size))) for size in random.integers(0, 40, 40)]
    frames = [
        heard(
            probe_request(
                phone_elements(ssid=b"network %d" % phone if phone % 3 == 0 else b"", tail=models[phone % 40]),
                address=phone.to_bytes(6, "big"),
            )
        )
        for phone in range(500)
    ]
    return pcap(Packet(data=frames[phone]) for phone in random.integers(0, 500, count))


# ---- locate: ALGORITHMS section 3's room ----

ROOM = Floor(id="room", bounds_m=(0, 0, 30, 20), interior_m=((0, 0), (30, 0), (30, 20), (0, 20)))
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=4.0, power_sigma_db=3.0)
ANCHORS = np.array([(x, y, DEVICE_HEIGHT_M) for x in (0, 15, 30) for y in (0, 20)], float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Bursts of phones of unlike power anywhere in ROOM: anchors (K, 3), places (M, 2), RSSI (M, K)."""

    anchors_m: Array
    places_m: Array
    rssi_dbm: Array


def bursts(count: int, anchors_m: Array = ANCHORS, floor: Floor = ROOM) -> Bursts:
    """Draw bursts with MODEL's noise and spread of transmit power."""
    rng = np.random.default_rng(2)
    places = rng.uniform(floor.bounds_m[:2], floor.bounds_m[2:], (count, 2))
    distance = np.linalg.norm(places[:, None] - anchors_m[None, :, :2], axis=2)
    noise = rng.normal(0, MODEL.sigma_db, distance.shape) + rng.normal(0, MODEL.power_sigma_db, (count, 1))
    return Bursts(anchors_m=anchors_m, places_m=places, rssi_dbm=expected_rssi(distance, MODEL) + noise)


# ---- dwell ----

STEP_S = 20.0
NOISE_M = 2.5
HALL_M = 80.0
SPEED_M_PER_S = 0.8
PAUSE_MEDIAN_S, PAUSE_LOG_SD = 400.0, 0.6
STAY_M, STAY_S, GAP_S = 8.0, 120.0, 1200.0  # D, T and G of ALGORITHMS section 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Walks:
    """Fixes (P,) of devices and the true stays (S, 3): device, from (s), to (s)."""

    device: NDArray[np.int32]
    time_s: Array
    x_m: Array
    y_m: Array
    stays: Array

    @property
    def devices(self) -> int:
        return int(self.device.max()) + 1

    def first(self, devices: int) -> "Walks":
        """The walks of the first so many devices."""
        return self._rows(np.flatnonzero(self.device < devices), self.stays[self.stays[:, 0] < devices])

    def as_heard(self) -> "Walks":
        """The same fixes as a hub has them: of all devices, in order of time."""
        return self._rows(np.lexsort((self.device, self.time_s)), self.stays)

    def _rows(self, rows: NDArray[np.intp], stays: Array) -> "Walks":
        columns = {name: getattr(self, name)[rows] for name in ("device", "time_s", "x_m", "y_m")}
        return Walks(**columns, stays=stays)


def walks(devices: int, points: int, seed: int = 4) -> Walks:
    """Devices that pause and walk in a hall, a fix every 20 s with 2.5 m noise, by device and then time.

    Pauses of at least STAY_S are the true stays.
    """
    rng = np.random.default_rng(seed)
    parts = [_walk(rng, points) for _ in range(devices)]
    place = np.concatenate([part[0] for part in parts]) + rng.normal(0, NOISE_M, (devices * points, 2))
    stays = [np.column_stack((np.full(len(part[1]), number), part[1])) for number, part in enumerate(parts)]
    return Walks(
        device=np.repeat(np.arange(devices, dtype=np.int32), points),
        time_s=np.tile(np.arange(points) * STEP_S, devices),
        x_m=place[:, 0].copy(),
        y_m=place[:, 1].copy(),
        stays=np.concatenate(stays),
    )


def _walk(rng: np.random.Generator, points: int) -> tuple[Array, Array]:
    """Places (points, 2) at every STEP_S, and the pauses (S, 2) of at least STAY_S that begin and end within."""
    end_s = points * STEP_S
    time_s, place = [0.0], [rng.uniform(0, HALL_M, 2)]
    stays = []
    while time_s[-1] < end_s:
        pause_s = rng.lognormal(np.log(PAUSE_MEDIAN_S), PAUSE_LOG_SD)
        to = rng.uniform(0, HALL_M, 2)
        if pause_s >= STAY_S and time_s[-1] + STAY_S < end_s:
            stays.append((time_s[-1], min(time_s[-1] + pause_s, end_s - STEP_S)))
        walk_s = float(np.linalg.norm(to - place[-1])) / SPEED_M_PER_S
        time_s += [time_s[-1] + pause_s, time_s[-1] + pause_s + walk_s]
        place += [place[-1], to]
    at_s = np.arange(points) * STEP_S
    corners = np.array(place)
    return np.column_stack([np.interp(at_s, time_s, corners[:, axis]) for axis in (0, 1)]), np.array(stays)


def stays_f1(found: Array, true: Array) -> float:
    """F1 of stays (S, 3) that share half of their union with a true one of the same device, one to one."""
    matched = 0
    for device in np.unique(true[:, 0]):
        ours, theirs = found[found[:, 0] == device, 1:], true[true[:, 0] == device, 1:]
        shared = np.minimum.outer(ours[:, 1], theirs[:, 1]) - np.maximum.outer(ours[:, 0], theirs[:, 0])
        union = np.maximum.outer(ours[:, 1], theirs[:, 1]) - np.minimum.outer(ours[:, 0], theirs[:, 0])
        matched += int(((shared / union) >= 0.5).any(axis=0).sum())  # half of a union: no two of one side can
    return 2 * matched / max(len(found) + len(true), 1)


# ---- associate ----

PROBES = 4


def crowd(phones: int, minutes: int, classes: int, seed: int = 1) -> NDArray[np.void]:
    """Phones that scan once a minute, each scan from an address of its own, heard by four probes."""
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
