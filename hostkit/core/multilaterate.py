"""Textbook positions: weighted least squares over the path loss, transmit power fitted along. One burst at a time."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core import _multilaterate as kernel
from hostkit.core.locate import DEVICE_HEIGHT_M, MIN_SIGMA_DB, Rows, finite
from hostkit.core.ranging import SHADOW_SHARE
from hostkit.errors import ConfigError


class Status(IntEnum):
    """Why a burst has a solution or none."""

    CONVERGED = kernel.CONVERGED
    TOO_FEW = kernel.TOO_FEW  # fewer than three probes heard
    DEGENERATE = kernel.DEGENERATE  # the probes that heard stand in a line or at one point, or fix no place
    UNSETTLED = kernel.UNSETTLED  # the error has no minimum near the probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Solutions:
    """Places (m) of M bursts, transmit power over the mean (dB), covariance (m²) and weighted rms residual (dB).

    NaN unless `status` (see Status) is CONVERGED: a solution is never invented.
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    power_db: NDArray[np.float64]
    cov_xx: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    cov_yy: NDArray[np.float64]
    residual_db: NDArray[np.float64]
    n_probes: NDArray[np.uint8]
    status: NDArray[np.uint8]


def multilaterate(
    rssi_dbm: ArrayLike,
    probes_m: ArrayLike,
    *,
    rssi_1m_dbm: ArrayLike,
    exponent: ArrayLike,
    sigma_db: ArrayLike,
    power_sigma_db: float,
    frames: ArrayLike | None = None,
) -> Solutions:
    """Solve M bursts by Levenberg–Marquardt from the best two of ten starts; transmit power is N(0, power_sigma_db).

    rssi_dbm and frames (M, K) as in `Locator.fixes`; probes_m (K, 3); rssi_1m_dbm (offset included), exponent and
    sigma_db one number or (K,). power_sigma_db: 0 where the power is known, infinite where nothing is. ConfigError:
    numbers that make no model.
    """
    probes = finite(probes_m, "probes.position_m", (-1, 3))
    count = len(probes)
    if not 1 <= count <= kernel.MAX_PROBES:
        raise ConfigError(f"{count} probes", where="probes", next_step=f"give 1 to {kernel.MAX_PROBES} a floor")
    if not power_sigma_db >= 0.0:
        raise ConfigError("negative or NaN", where="path_loss.power_sigma_db", next_step="use 3 to 6 dB")
    model = [
        _each(values, name, count, least)
        for values, name, least in (
            (rssi_1m_dbm, "rssi_1m_dbm", -np.inf),
            (exponent, "exponent", 0.1),
            (sigma_db, "sigma_db", MIN_SIGMA_DB),
        )
    ]
    anchors = np.column_stack((probes - [0.0, 0.0, DEVICE_HEIGHT_M], *model))
    with np.errstate(divide="ignore", over="ignore"):
        precision = float(np.float64(power_sigma_db) ** -2.0)
    rows = Rows(count, rssi_dbm, None, frames)
    out = np.empty((len(rows), 7))
    n_probes, status = np.empty(len(rows), np.uint8), np.empty(len(rows), np.uint8)
    for part in rows.parts():
        rssi, _, counts = rows[part]
        kernel.multilaterate(rssi, counts, anchors, precision, SHADOW_SHARE, out[part], n_probes[part], status[part])
    return _solutions(out, n_probes, status)


def _solutions(out: NDArray[np.float64], n_probes: NDArray[np.uint8], status: NDArray[np.uint8]) -> Solutions:
    return Solutions(
        x_m=out[:, 0],
        y_m=out[:, 1],
        power_db=out[:, 2],
        cov_xx=out[:, 3],
        cov_xy=out[:, 4],
        cov_yy=out[:, 5],
        residual_db=out[:, 6],
        n_probes=n_probes,
        status=status,
    )


def _each(values: ArrayLike, name: str, count: int, least: float) -> NDArray[np.float64]:
    """One finite number of at least `least` a probe."""
    given = np.asarray(values, np.float64)
    if given.shape not in ((), (count,)) or not np.isfinite(given).all() or not (given >= least).all():
        what = "wrong number of values, not finite or too small"
        raise ConfigError(what, where=f"path_loss.{name}", next_step=f"give one number, or {count}")
    return np.broadcast_to(given, (count,))
