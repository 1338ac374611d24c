"""How frames reach probes: path loss, walls, bodies, shadowing, hopping and hearing. Knows nothing of people or files.

RSSI = path loss model + transmit offset + probe offset - walls + a field fixed in space + a part fixed within one scan
+ the owner's body + a little per frame. The shares below split the site's `sigma_db` so that the parts add up to it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.model import PathLoss, Probe
from hostkit.sim.plan import Plan, Points, crossings

# One frame heard by one probe. `emission` indexes the emissions; `channel` is the one tuned to, not the one sent on.
RECEPTION = np.dtype(
    [
        ("time_s", "<f8"),  # true time since the simulation's start
        ("emission", "<u4"),
        ("probe", "<u2"),
        ("channel", "u1"),
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),
    ]
)

FIELD_SHARE, SCAN_SHARE, FRAME_SHARE = 0.60, 0.55, 0.2  # standard deviations as shares of sigma_db
BODY_SHARE = 1.33  # peak to peak loss round the body as a share of sigma_db: 8 dB at 6 dB (BLE on body, ble/pact: 5–10)

# Loss of a frame on a neighbouring channel, by distance in channels; beyond the last it is not heard. An ESP32 hears
# its own channel: parked on 1 it recorded 11,546 frames of channel 1 and 6 of others (brno-lab, 2022-11-08).
BLEED_DB = (0.0,)
SWITCH_S = 0.005  # deaf after a hop while the synthesiser settles
_HOP_STRETCH = 0.02  # at most; it differs between probes, so that no two hop in step for long
HEIGHT_M = 1.1  # of a phone in a pocket or hand
_NEAREST_M = 0.5  # log-distance loss is not defined closer
_FIELD_LENGTH_M = 2.5  # decorrelation distance of indoor shadowing (Gudmundson 1991; 1–5 m indoors)
_FIELD_WAVES = 64
_SOFT_FLOOR_DB = 1.5  # at the floor half the frames are decoded
_LOST_SHARE = 0.03  # collisions and noise
_NOISE_DBM = (-95.0, 1.0)
_RSSI_RANGE_DBM = (-100, -10)
_CHUNK = 20_000  # scans × walls at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """One probe as it really is: what the site says, and what nobody told the site."""

    probe: Probe
    hidden_offset_db: float
    clock_offset_s: float
    clock_drift: float  # seconds gained per second
    hop_phase_s: float
    hop_stretch: float = 0.0  # by what share the probe's loop lengthens each dwell
    bleed_db: tuple[float, ...] = BLEED_DB

    @property
    def dwell_s(self) -> float:
        """Give the time between hops."""
        return self.probe.dwell_ms / 1000.0 * (1.0 + self.hop_stretch)

    def clock_s(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give what the probe's clock shows at true `time_s`."""
        return time_s * (1.0 + self.clock_drift) + self.clock_offset_s

    def tuned(self, time_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the channel listened to at each time, 0 while switching."""
        channels = np.array(self.probe.channels)
        if len(channels) == 1:
            return np.full(len(time_s), channels[0])
        slot, into_s = np.divmod(time_s + self.hop_phase_s, self.dwell_s)
        return np.where(into_s < SWITCH_S, 0, channels[slot.astype(np.int64) % len(channels)])

    def listened_ms(self, from_s: float, to_s: float) -> dict[int, int]:
        """Give the milliseconds each channel was listened to within [from_s, to_s)."""
        if len(self.probe.channels) == 1:
            return {self.probe.channels[0]: round((to_s - from_s) * 1000)}
        dwell_s = self.dwell_s
        first, last = (int((at + self.hop_phase_s) // dwell_s) for at in (from_s, to_s))
        slots = np.arange(first, last + 1)
        begin = np.maximum(slots * dwell_s + SWITCH_S - self.hop_phase_s, from_s)
        end = np.minimum((slots + 1) * dwell_s - self.hop_phase_s, to_s)
        total = np.bincount(slots % len(self.probe.channels), np.maximum(end - begin, 0.0), len(self.probe.channels))
        return {channel: round(float(s) * 1000) for channel, s in zip(self.probe.channels, total, strict=True)}


def ears(probes: tuple[Probe, ...], *, clock_error_s: float, offset_sigma_db: float, seed: int) -> tuple[Ear, ...]:
    """Draw each probe's secrets: gain offset, clock offset within ±`clock_error_s`, drift of at most 3 in a million."""
    drawn = []
    for index, probe in enumerate(probes):
        rng = np.random.default_rng([seed, 5, index])
        drawn.append(
            Ear(
                probe=probe,
                hidden_offset_db=float(offset_sigma_db * rng.standard_normal()),
                clock_offset_s=float(rng.uniform(-clock_error_s, clock_error_s)),
                clock_drift=float(rng.uniform(-3e-6, 3e-6)) if clock_error_s else 0.0,
                hop_phase_s=float(rng.uniform(0.0, 10.0)),
                hop_stretch=float(rng.uniform(0.0, _HOP_STRETCH)),
            )
        )
    return tuple(drawn)


def receptions(
    plan: Plan, listeners: tuple[Ear, ...], emissions: NDArray[np.void], tx_offset_db: NDArray[np.float64], seed: int
) -> NDArray[np.void]:
    """Give every frame each probe hears, sorted by time then probe. `tx_offset_db` is indexed by phone."""
    heard = [heard_by(plan, ear, index, emissions, tx_offset_db, seed=seed) for index, ear in enumerate(listeners)]
    together = np.concatenate(heard)
    return together[np.lexsort((together["probe"], together["time_s"]))]


def heard_by(
    plan: Plan, ear: Ear, index: int, emissions: NDArray[np.void], tx_offset_db: NDArray[np.float64], *, seed: int
) -> NDArray[np.void]:
    """Give every frame that probe `index`, which is `ear`, hears, sorted by time."""
    bursts, first, burst = np.unique(emissions["burst"], return_index=True, return_inverse=True)
    scans = emissions[first]
    rng = np.random.default_rng([seed, 6, index])
    mean_dbm = _mean_dbm(plan, ear, scans, rng) + tx_offset_db[scans["phone"]]
    mean_dbm += SCAN_SHARE * plan.site.path_loss.sigma_db * rng.standard_normal(len(bursts))
    mean_dbm = mean_dbm[burst]
    mean_dbm += FRAME_SHARE * plan.site.path_loss.sigma_db * rng.standard_normal(len(emissions))
    frames = _hear(ear, emissions, mean_dbm, rng)
    frames["probe"] = index
    return frames


def _mean_dbm(plan: Plan, ear: Ear, scans: NDArray[np.void], rng: np.random.Generator) -> NDArray[np.float64]:
    """Give what `ear` receives of each scan on average, without transmit offset."""
    loss, position = plan.site.path_loss, ear.probe.position_m
    assert position is not None  # build_plan refuses such sites
    xy = np.stack([scans["x_m"], scans["y_m"]], axis=1).astype(np.float64)
    towards = np.array(position[:2]) - xy
    distance_m = np.maximum(np.hypot(np.hypot(towards[:, 0], towards[:, 1]), position[2] - HEIGHT_M), _NEAREST_M)
    mean_dbm = loss.rssi_1m_dbm - 10.0 * loss.exponent * np.log10(distance_m)
    mean_dbm += ear.probe.offset_db + ear.hidden_offset_db
    mean_dbm -= _wall_loss_db(plan, xy, np.array(position[:2]))
    mean_dbm += _field_db(xy, FIELD_SHARE * loss.sigma_db, rng)
    return np.asarray(mean_dbm + _body_db(scans["facing_rad"], towards, loss))


def _wall_loss_db(plan: Plan, xy: Points, probe_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    chunks = [xy[start : start + _CHUNK] for start in range(0, len(xy), _CHUNK)]
    losses = [crossings(part, np.broadcast_to(probe_xy, part.shape), plan.walls) @ plan.wall_loss_db for part in chunks]
    return np.concatenate([*losses, np.empty(0)])


def _field_db(xy: Points, sigma_db: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Evaluate a Gaussian field with Gaussian correlation at `xy`, by random Fourier features (Rahimi & Recht 2007)."""
    waves = rng.standard_normal((2, _FIELD_WAVES)) / _FIELD_LENGTH_M
    phases = rng.uniform(0.0, 2.0 * np.pi, _FIELD_WAVES)
    total = np.zeros(len(xy))
    for (kx, ky), phase in zip(waves.T.tolist(), phases.tolist(), strict=True):
        total += np.cos(kx * xy[:, 0] + ky * xy[:, 1] + phase)
    return np.asarray(sigma_db * np.sqrt(2.0 / _FIELD_WAVES) * total)


def _body_db(facing_rad: NDArray[np.float64], towards: Points, loss: PathLoss) -> NDArray[np.float64]:
    """Give gain and loss round the body, zero on average over directions; none where `facing_rad` is NaN."""
    cosine = np.cos(np.arctan2(towards[:, 1], towards[:, 0]) - facing_rad)
    return np.asarray(np.nan_to_num(0.5 * BODY_SHARE * loss.sigma_db * cosine))


def _hear(
    ear: Ear, emissions: NDArray[np.void], on_channel_dbm: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.void]:
    tuned = ear.tuned(emissions["time_s"])
    apart = np.abs(tuned - emissions["channel"].astype(np.int64))
    bleed_db = np.array((*ear.bleed_db, np.inf))[np.minimum(apart, len(ear.bleed_db))]
    rssi_dbm = on_channel_dbm - bleed_db
    with np.errstate(over="ignore"):
        decoded = (1.0 - _LOST_SHARE) / (1.0 + np.exp((ear.probe.floor_dbm - rssi_dbm) / _SOFT_FLOOR_DB))
    heard = np.flatnonzero((rng.random(len(emissions)) < decoded) & (tuned > 0))
    frames = np.zeros(len(heard), dtype=RECEPTION)
    frames["time_s"] = emissions["time_s"][heard]
    frames["emission"] = heard
    frames["channel"] = tuned[heard]
    frames["rssi_dbm"] = np.clip(np.rint(rssi_dbm[heard]), *_RSSI_RANGE_DBM)
    frames["noise_dbm"] = np.rint(rng.normal(*_NOISE_DBM, len(heard)))
    return frames
