"""Path loss of each probe from a device at measured distances from it: two are enough. It needs no plan.

The same regression as for a walk (see calibrate.py), without places: what lies between probe and device is the tape's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hostkit.core.calibrate import (
    EXPONENT,
    EXPONENT_SD,
    EXPONENT_SPREAD,
    LEVEL_DBM,
    LEVEL_SD_DB,
    MIN_SPAN,
    OFFSET_SPREAD_DB,
    estimate,
    robust_rms,
)
from hostkit.core.calibrate_mixed import Floats, Ints, mixed_fit
from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.errors import InputError
from hostkit.model import Estimate

METHOD = "hierarchical regression on measured distances"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceFit:
    """RSSI(d) = rssi_1m_dbm[k] - 10 exponent[k] log10 d + noise; intervals of 90 %; sigma_db about the lines.

    A probe that was not measured at two distances leans on the others.
    """

    rssi_1m_dbm: tuple[Estimate, ...]
    exponent: tuple[Estimate, ...]
    common_rssi_1m_dbm: float
    common_exponent: float
    sigma_db: float

    def expected_dbm(self, probe: Ints, distance_m: Floats) -> Floats:
        """Mean RSSI (N,) at distances (N,) from probes (N,)."""
        level = np.array([one.value for one in self.rssi_1m_dbm], np.float64)
        exponent = np.array([one.value for one in self.exponent], np.float64)
        return np.asarray(level[probe] - 10.0 * exponent[probe] * _decades(distance_m), np.float64)


def fit_distances(
    probe: ArrayLike, distance_m: ArrayLike, rssi_dbm: ArrayLike, probes: int, *, own_exponents: bool = True
) -> DistanceFit:
    """Fit to stands (N,): probe index, distance in m, mean RSSI. InputError: distances that fix no path loss."""
    index = np.asarray(probe, np.int64)
    decades, rssi = _decades(np.asarray(distance_m, np.float64)), np.asarray(rssi_dbm, np.float64)
    if len(rssi) < 2 or np.ptp(decades) < np.log10(MIN_SPAN):
        raise InputError(
            f"all distances are alike (the farthest below {MIN_SPAN:g} times the nearest)",
            where="calibration",
            next_step="stand 1 m from a probe, then at least 4 m from it",
        )
    middle = float(decades.mean())
    member = (index[:, None] == np.arange(probes)).astype(np.float64)
    slope = -10.0 * (decades - middle)
    fitted = mixed_fit(
        np.column_stack((np.ones(len(rssi)), slope, member, member * slope[:, None])),
        rssi,
        np.zeros(len(rssi)),
        group=np.repeat([0, 1, 2, 3], [1, 1, probes, probes]),
        centre=np.concatenate(([LEVEL_DBM, EXPONENT], np.zeros(2 * probes))),
        spread=np.array([LEVEL_SD_DB, EXPONENT_SD, OFFSET_SPREAD_DB, EXPONENT_SPREAD * own_exponents]),
    )
    contrast = _contrasts(probes, 10.0 * middle)
    value = contrast @ fitted.value
    sd = np.sqrt(np.diag(contrast @ fitted.covariance @ contrast.T))
    figures = tuple(estimate(float(v), float(s), METHOD) for v, s in zip(value, sd, strict=True))
    level, exponent = value[:probes], value[probes:]
    residual = rssi - (level[index] - 10.0 * exponent[index] * decades)
    return DistanceFit(
        rssi_1m_dbm=figures[:probes],
        exponent=figures[probes:],
        common_rssi_1m_dbm=float(level.mean()),
        common_exponent=float(exponent.mean()),
        sigma_db=robust_rms(residual),
    )


def _decades(distance_m: Floats) -> Floats:
    return np.asarray(np.log10(np.maximum(distance_m, MIN_DISTANCE_M)), np.float64)


def _contrasts(probes: int, reach: float) -> Floats:
    """Rows: level at 1 m of each probe, exponent of each."""
    each, one, zero = np.eye(probes), np.ones((probes, 1)), np.zeros((probes, 1))
    return np.block([[one, one * reach, each, each * reach], [zero, one, np.zeros((probes, probes)), each]])
