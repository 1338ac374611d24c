"""Log-distance path loss, its bounds, and RSSI rings for sites with one or two probes. No positions here."""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.model import PathLoss, Rings, Wall

# Below this the log-distance law says nothing: antennas are in each other's near field or in one hand.
MIN_DISTANCE_M = 0.5

# RSSI of frames of one burst is shared shadowing plus fading that differs by frame: corr(frame, frame) = SHADOW_SHARE.
# Chosen, not measured at the site: averaging helps, but never by more than sqrt(SHADOW_SHARE) in sigma.
SHADOW_SHARE = 0.7

DB_PER_NEPER = 10.0 / np.log(10.0)


class Ring(IntEnum):
    """Where a device stands to a single probe, nearest first."""

    INSIDE = 0
    NEAR = 1
    FAR = 2


NO_RING = -1


def expected_rssi(distance_m: ArrayLike, path_loss: PathLoss) -> NDArray[np.float64]:
    """Mean RSSI in dBm at a distance, of the shape of `distance_m`; distances below 0.5 m count as 0.5 m."""
    distance = np.maximum(np.asarray(distance_m, np.float64), MIN_DISTANCE_M)
    return path_loss.rssi_1m_dbm - 10.0 * path_loss.exponent * np.log10(distance)


def distance_of(rssi_dbm: ArrayLike, path_loss: PathLoss) -> NDArray[np.float64]:
    """Distance in metres at which `rssi_dbm` is the mean: the inverse of `expected_rssi`, at least 0.5 m."""
    exponent = (path_loss.rssi_1m_dbm - np.asarray(rssi_dbm, np.float64)) / (10.0 * path_loss.exponent)
    return np.maximum(np.power(10.0, np.minimum(exponent, 300.0)), MIN_DISTANCE_M)


def burst_sigma(sigma_db: float, frames: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation in dB of the mean RSSI of `frames` frames of one burst (see SHADOW_SHARE); 0 counts as 1."""
    n = np.maximum(np.asarray(frames, np.float64), 1.0)
    sigma: NDArray[np.float64] = sigma_db * np.sqrt(SHADOW_SHARE + (1.0 - SHADOW_SHARE) / n)
    return sigma


def normal_cdf(t: ArrayLike) -> NDArray[np.float64]:
    """Standard normal distribution function, absolute error below 1e-7 (Abramowitz & Stegun 1964, 26.2.17)."""
    value = np.asarray(t, np.float64)
    size = np.abs(value)
    k = 1.0 / (1.0 + 0.2316419 * size)
    series = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    tail: NDArray[np.float64] = np.exp(-0.5 * np.minimum(size, 38.0) ** 2) / np.sqrt(2.0 * np.pi) * series
    return np.where(value < 0.0, tail, 1.0 - tail)


def silence_p(
    expected_dbm: ArrayLike, floor_dbm: ArrayLike, sigma_db: ArrayLike, heard_p: ArrayLike
) -> NDArray[np.float64]:
    """P(a probe reports nothing), which expects `expected_dbm` and is on the channel with probability `heard_p`."""
    below = normal_cdf((np.asarray(floor_dbm) - np.asarray(expected_dbm)) / np.asarray(sigma_db))
    return 1.0 - np.asarray(heard_p) * (1.0 - below)


def wall_loss(
    probe_m: NDArray[np.float64], points_m: NDArray[np.float64], walls: tuple[Wall, ...]
) -> NDArray[np.float64]:
    """Total loss in dB (N,) of the walls that the lines from one probe (2,) to points (N, 2) cross."""
    loss = np.zeros(len(points_m))
    for wall in walls:
        a, b = np.asarray(wall.from_m, np.float64), np.asarray(wall.to_m, np.float64)
        apart = _side(a, b, probe_m[None, :]) * _side(a, b, points_m) < 0.0
        between = _side(probe_m, points_m, a) * _side(probe_m, points_m, b) < 0.0
        loss += np.where(apart & between, wall.loss_db, 0.0)
    return loss


def crlb(
    position_m: NDArray[np.float64], probes_m: NDArray[np.float64], path_loss: PathLoss, *, power_known: bool = False
) -> NDArray[np.float64]:
    """Cramér–Rao bound (2, 2) in m² on an unbiased position from one RSSI a probe (Patwari et al. 2003).

    `position_m` (2,), `probes_m` (K, 2). With `power_known` false, transmit power is a nuisance with the prior
    N(0, power_sigma_db). Where the geometry fixes no position (fewer than two directions) all entries are inf.
    """
    information = fisher_information(position_m, probes_m, path_loss, power_known=power_known)
    size = np.trace(information)
    if not np.linalg.det(information) > 1e-12 * size * size:
        return np.full((2, 2), np.inf)
    return np.asarray(np.linalg.inv(information), np.float64)


def fisher_information(
    position_m: NDArray[np.float64], probes_m: NDArray[np.float64], path_loss: PathLoss, *, power_known: bool = False
) -> NDArray[np.float64]:
    """Fisher information (2, 2) in 1/m² behind `crlb`; the Schur complement over transmit power if that is unknown."""
    delta = np.asarray(position_m, np.float64) - np.asarray(probes_m, np.float64)
    squared = np.maximum((delta**2).sum(axis=1), MIN_DISTANCE_M**2)
    gradient = -DB_PER_NEPER * path_loss.exponent * delta / squared[:, None]
    weight = 1.0 / path_loss.sigma_db**2
    information: NDArray[np.float64] = weight * gradient.T @ gradient
    if power_known or path_loss.power_sigma_db <= 0.0:
        return information
    pull = weight * gradient.sum(axis=0)
    information -= np.outer(pull, pull) / (weight * len(delta) + 1.0 / path_loss.power_sigma_db**2)
    return information


def ring_of(median_dbm: ArrayLike, previous: ArrayLike, rings: Rings) -> NDArray[np.int8]:
    """Ring of each visit from its median RSSI; `previous` holds the ring so far, NO_RING at first.

    A ring is entered at its threshold and left only `hysteresis_db` below it. NaN keeps the previous ring.
    """
    median = np.asarray(median_dbm, np.float64)
    before = np.asarray(previous, np.int8)
    slack = rings.hysteresis_db
    stays_inside = (before == Ring.INSIDE) & (median >= rings.inside_dbm - slack)
    stays_near = (before != NO_RING) & (before <= Ring.NEAR) & (median >= rings.near_dbm - slack)
    ring = np.where(stays_near | (median >= rings.near_dbm), Ring.NEAR, Ring.FAR)
    ring = np.where(stays_inside | (median >= rings.inside_dbm), Ring.INSIDE, ring)
    return np.where(np.isnan(median), before, ring).astype(np.int8)


def _side(a: NDArray[np.float64], b: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sign tells on which side of the line a → b each point lies; any of the three may be a batch (N, 2)."""
    along, out = b - a, points - a
    return along[..., 0] * out[..., 1] - along[..., 1] * out[..., 0]
