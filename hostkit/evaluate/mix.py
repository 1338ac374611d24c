"""Crowds with known truth from recordings of single devices: superposed by shifting time, heard by simulated probes.

Frames, their elements and their timing are as recorded; who is there at once, where, and every RSSI are simulated.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError, UsageError
from hostkit.evaluate.labelled import Labelled

MAX_PROBES = 64
MAX_SIGHTINGS = 20_000_000  # rows that clones times probes may come to: 1 GB

ROOM_M = (20.0, 15.0)
POWER_DBM, POWER_SD_DB = -42.0, 4.0  # at 1 m, mean and spread between phones
EXPONENT = 2.7  # indoors, with furniture (ITU-R P.1238: 2.2 to 3.3)
BURST_SHADOW_DB, FRAME_SHADOW_DB = 4.0, 2.0  # one draw per burst and probe, one per frame and probe
FLOOR_DBM = -92.0
HEARD_SHARE = 0.8  # of frames above the floor: collisions, and a probe that hops
NEAREST_M = 1.0
BURST_GAP_S = 1.0
RSSI_RANGE_DBM = (-100, -10)
STAY_S, WALK_S = (60.0, 180.0), 20.0  # a moving phone's time from place to place, its last part walking


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How to superpose: copies of each device, within how long, heard by how many probes on the room's border."""

    seed: int
    window_s: float = 900.0
    clones: int = 1
    probes: int = 4
    moving: bool = False


def superpose(recorded: Labelled, mix: Mix) -> Labelled:
    """Give the crowd of `mix.clones` copies of every device, from time 0 to `mix.window_s`.

    Each copy plays one recording of its device, chosen at random and cut to the window at a random place as if it lay
    on a circle, with addresses and a place of its own; what it draws does not depend on who else is there. Devices of
    which nothing is heard are not in the result.
    UsageError for a table already mixed; InputError where nothing is heard, or too much.
    """
    if recorded.probes > 1:
        raise UsageError("is heard by several probes: a mix already", where="--mix", next_step="leave --mix out")
    heard: list[Labelled] = []
    sightings = 0
    for label in range(len(recorded.devices) * mix.clones):
        number, clone = divmod(label, mix.clones)
        sent, heard_as = (np.random.default_rng([mix.seed, number, clone, purpose]) for purpose in (0, 1))
        excerpt = _excerpt(recorded.where(recorded.label == number), label, mix.window_s, sent)
        one = _heard(excerpt, mix, heard_as)
        heard.append(one)
        sightings += len(one.label)
        if sightings > MAX_SIGHTINGS:
            raise InputError(
                f"more than {MAX_SIGHTINGS:,} sightings", where="--mix", next_step="take fewer --clones or --probes"
            )
    if not sightings:
        raise InputError(
            f"nothing is heard within {mix.window_s:g} s", where="--mix", next_step="give a longer --window"
        )
    return _joined(heard, recorded, mix)


def probe_places_m(probes: int) -> NDArray[np.float64]:
    """Places (P, 2) on the room's border, equally far apart along it, the first in a corner."""
    width, height = ROOM_M
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0]], float)
    along = np.concatenate([[0], np.cumsum(np.abs(np.diff(corners, axis=0)).sum(axis=1))])
    at = np.arange(probes) * along[-1] / probes
    return np.column_stack([np.interp(at, along, corners[:, axis]) for axis in (0, 1)])


def _excerpt(device: Labelled, label: int, window_s: float, random: np.random.Generator) -> Labelled:
    """Cut one recording to the window and make it another device's: label and addresses."""
    sessions = np.unique(device.session)
    at, shift, other = random.integers([max(len(sessions), 1), 1 << 62, 1 << 62])
    one = device.where(device.session == sessions[at]) if len(sessions) else device
    rows = one.sightings.copy()
    if len(rows):
        window_us = round(window_s * 1e6)
        span_us = max(int(rows["time_us"][-1] - rows["time_us"][0]) + 1_000_000, window_us)
        rows["time_us"] = (rows["time_us"] - rows["time_us"][0] + shift % span_us) % span_us
        rows["device_key"] ^= np.uint64(other)
        one = replace(one, sightings=rows, label=np.full(len(rows), label))
        one = one.where(rows["time_us"] < window_us)
    return one.where(np.argsort(one.sightings["time_us"], kind="stable"))


def _heard(one: Labelled, mix: Mix, random: np.random.Generator) -> Labelled:
    """Each transmission as every probe hears it, if it does."""
    time_s = one.sightings["time_us"] / 1e6
    burst = np.cumsum(np.diff(time_s, prepend=0.0) > BURST_GAP_S)
    place_m = _places_m(time_s, mix, random)
    power_dbm = random.normal(POWER_DBM, POWER_SD_DB)
    parts = []
    for probe, at_m in enumerate(probe_places_m(mix.probes)):
        distance_m = np.maximum(np.hypot(*(place_m - at_m).T), NEAREST_M)
        shadow_db = random.normal(0, BURST_SHADOW_DB, burst.max(initial=0) + 1)[burst]
        shadow_db += random.normal(0, FRAME_SHADOW_DB, len(time_s))
        rssi_dbm = power_dbm - 10 * EXPONENT * np.log10(distance_m) + shadow_db
        heard = np.flatnonzero((rssi_dbm > FLOOR_DBM) & (random.random(len(time_s)) < HEARD_SHARE))
        part = one.where(heard)
        part.sightings["probe"] = probe
        part.sightings["rssi_dbm"] = np.clip(np.rint(rssi_dbm[heard]), *RSSI_RANGE_DBM)
        parts.append(part)
    return _concatenated(parts)


def _places_m(time_s: NDArray[np.float64], mix: Mix, random: np.random.Generator) -> NDArray[np.float64]:
    """Places (N, 2): one, or a new one after every stay, walked to in a straight line (random waypoints)."""
    if not mix.moving:
        return np.tile(random.uniform((0, 0), ROOM_M), (len(time_s), 1))
    stays_s = random.uniform(*STAY_S, int(mix.window_s / STAY_S[0]) + 2)
    leave_s = np.cumsum(stays_s) - random.uniform(0, STAY_S[0])
    knots_s = np.sort(np.concatenate([leave_s - WALK_S, leave_s]))
    places_m = random.uniform((0, 0), ROOM_M, (len(stays_s) + 1, 2))
    corners = np.repeat(places_m, 2, axis=0)[1:-1]
    return np.column_stack([np.interp(time_s, knots_s, corners[:, axis]) for axis in (0, 1)])


def _concatenated(parts: list[Labelled]) -> Labelled:
    return replace(
        parts[0],
        sightings=np.concatenate([part.sightings for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        session=np.concatenate([part.session for part in parts]),
        elements=np.concatenate([part.elements for part in parts]),
    )


def _joined(heard: list[Labelled], recorded: Labelled, mix: Mix) -> Labelled:
    crowd = _concatenated(heard)
    present, label = np.unique(crowd.label, return_inverse=True)
    silent = len(recorded.devices) * mix.clones - len(present)
    note = f"--mix: {silent} devices sent nothing that was heard within {mix.window_s:g} s; they are not counted"
    names = [f"{recorded.devices[i // mix.clones]} {i % mix.clones + 1}" for i in present.tolist()]
    notes = (*recorded.notes, note) if silent else recorded.notes
    crowd = replace(crowd, label=label, devices=tuple(names), probes=mix.probes, notes=notes)
    return crowd.where(np.argsort(crowd.sightings["time_us"], kind="stable"))
