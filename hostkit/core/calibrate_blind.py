"""Path loss from readings alone, where nobody knows where the device was: empirical Bayes over the places it may be in.

Level, exponent and noise maximise the marginal likelihood of the readings (places integrated out) times weak priors;
offsets of anchors follow by EM. Level and exponent are told apart by the spread of readings among anchors only, so
they are worth less than those of a survey: no interval is claimed.
"""

from dataclasses import dataclass

import numpy as np

from hostkit.core.calibrate import EXPONENT, LEVEL_DBM, LEVEL_SD_DB, OFFSET_SPREAD_DB, decades_of
from hostkit.core.calibrate_mixed import Floats
from hostkit.errors import InputError

MAX_WINDOWS = 120  # spread over the recording; more say the same again
MAX_CELLS = 400
LEVELS_DBM = np.arange(-84.0, -23.0, 2.0)
EXPONENTS = np.arange(1.4, 3.9, 0.2)
SIGMAS_DB = np.array([3.0, 4.0, 5.0, 6.0, 7.5, 9.0])
EXPONENT_SD = 0.5  # tighter than a survey's: the data say less
SIGMA_DB, SIGMA_LOG_SD = 5.0, 0.35
INDEPENDENT = 0.3  # share of windows that count as independent: a walker stays near where it was
OFFSET_ROUNDS = 2
MIN_WINDOWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindFit:
    """RSSI(d) = rssi_1m_dbm + offset_db[k] - 10 exponent log10 d + N(0, sigma_db) of one window."""

    rssi_1m_dbm: float
    exponent: float
    sigma_db: float
    offset_db: Floats
    windows: int

    def expected_dbm(self, decades: Floats, anchor: int) -> Floats:
        """Mean RSSI of an anchor at distances of 10^decades m."""
        return np.asarray(self.rssi_1m_dbm + self.offset_db[anchor] - 10.0 * self.exponent * decades, np.float64)


def fit_blind(anchors_m: Floats, rssi_dbm: Floats, cells_m: Floats, *, device_height_m: float) -> BlindFit:
    """Fit windows (W, K; NaN: not heard) of a device that is somewhere in cells_m (C, 2), anchors_m (K, 3).

    InputError: fewer than three windows in which three anchors heard it.
    """
    rssi = rssi_dbm[np.isfinite(rssi_dbm).sum(axis=1) >= 3]
    if len(rssi) < MIN_WINDOWS:
        raise InputError(
            f"only {len(rssi)} windows in which three anchors heard the device",
            where="readings",
            next_step="give more readings, or a calibration",
        )
    windows = rssi[np.linspace(0, len(rssi) - 1, min(len(rssi), MAX_WINDOWS)).astype(int)]
    cells = cells_m[:: -(-len(cells_m) // MAX_CELLS)]
    anchors = len(anchors_m)
    decades = np.stack([decades_of(anchors_m, np.full(len(cells), k), cells, device_height_m) for k in range(anchors)])
    offset = np.zeros(anchors)
    for _ in range(OFFSET_ROUNDS):
        level, exponent, sigma = _best(windows - offset, decades)
        offset = _offsets(windows, level - 10.0 * exponent * decades, offset, sigma)
    return BlindFit(rssi_1m_dbm=level, exponent=exponent, sigma_db=sigma, offset_db=offset, windows=len(rssi))


def _best(rssi: Floats, decades: Floats) -> tuple[float, float, float]:
    """Level, exponent and sigma of highest posterior in the tables."""
    best, found = -np.inf, (LEVEL_DBM, EXPONENT, SIGMA_DB)
    for exponent in EXPONENTS:
        for level in LEVELS_DBM:
            squares = _squares(rssi, level - 10.0 * exponent * decades)
            for sigma in SIGMAS_DB:
                score = INDEPENDENT * _evidence(squares, np.isfinite(rssi).sum(axis=1), sigma)
                score += _log_prior(level, exponent, sigma)
                if score > best:
                    best, found = score, (float(level), float(exponent), float(sigma))
    return found


def _squares(rssi: Floats, expected: Floats) -> Floats:
    """Σ over anchors heard of (reading - expected (K, C))², (W, C)."""
    heard = np.isfinite(rssi)
    value = np.where(heard, rssi, 0.0)
    out: Floats = (value**2).sum(axis=1, keepdims=True) - 2.0 * value @ expected + heard.astype(float) @ expected**2
    return out


def _evidence(squares: Floats, heard: Floats, sigma: float) -> float:
    least = squares.min(axis=1)
    share = np.exp(-0.5 * (squares - least[:, None]) / sigma**2).mean(axis=1)
    return float((np.log(share) - 0.5 * least / sigma**2 - heard * np.log(sigma)).sum())


def _log_prior(level: float, exponent: float, sigma: float) -> float:
    z = np.array(
        [
            (level - LEVEL_DBM) / LEVEL_SD_DB,
            (exponent - EXPONENT) / EXPONENT_SD,
            np.log(sigma / SIGMA_DB) / SIGMA_LOG_SD,
        ]
    )
    return float(-0.5 * (z**2).sum())


def _offsets(rssi: Floats, expected: Floats, offset: Floats, sigma: float) -> Floats:
    """One EM step: mean residual of each anchor under the posterior of places, shrunk; they sum to zero."""
    squares = _squares(rssi - offset, expected)
    weight = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)) / sigma**2)
    weight /= weight.sum(axis=1, keepdims=True)
    heard = np.isfinite(rssi)
    residual = np.where(heard, rssi - weight @ expected.T, 0.0).sum(axis=0)
    counted = INDEPENDENT * heard.sum(axis=0)
    shrunk = INDEPENDENT * residual / (counted + (sigma / OFFSET_SPREAD_DB) ** 2)
    return np.asarray(shrunk - shrunk.mean(), np.float64)
