"""What a layout of probes can do before any phone was heard: hearing and the bound on positions, cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core.locate import DEVICE_HEIGHT_M, grid_axes
from hostkit.core.ranging import DB_PER_NEPER, MIN_DISTANCE_M, expected_rssi, normal_cdf, wall_loss
from hostkit.core.zones import cell_shares
from hostkit.model import Floor, PathLoss, Probe

HEARING = 3  # probes that give a position
_POWER_NODES, _POWER_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)  # exact for degree 13: 1e-3 of a probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What each of K probes says of a phone at each of P points: P(heard) (K, P) and RSSI's slope in dB/m (K, P, 2)."""

    heard_p: NDArray[np.float64]
    slope: NDArray[np.float64]
    margin_db: NDArray[np.float64]  # of the expected RSSI over the probe's floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A floor cell by cell, rows from low y: share inside the shop, P(three probes hear), error bound in m."""

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    inside: NDArray[np.float32]
    three_p: NDArray[np.float64]
    error_m: NDArray[np.float64]

    def over(self, share: NDArray[np.float32], of: NDArray[np.float64]) -> float:
        """Mean of `of` over the area that `share` says."""
        return float((share * of).sum() / max(float(share.sum()), 1e-12))


def forecast(floor: Floor, probes: Sequence[Probe], path_loss: PathLoss, cell_m: float = 1.0) -> Forecast:
    """Predict one burst's position for a phone at `DEVICE_HEIGHT_M` in each cell, from the placed `probes` of `floor`.

    ConfigError for a floor of too many cells.
    """
    x_m, y_m = grid_axes(floor, cell_m)
    shape = (len(y_m), len(x_m))
    points = np.column_stack([axis.ravel() for axis in np.meshgrid(x_m, y_m)])
    placed = [probe for probe in probes if probe.floor == floor.id and probe.position_m is not None]
    links = links_to(points, floor, placed, path_loss)
    error = error_m(np.einsum("kpi->pi", parts(links, path_loss)), path_loss, room(floor))
    return Forecast(
        x_m=x_m,
        y_m=y_m,
        inside=cell_shares(x_m, y_m, cell_m, floor.interior_m),
        three_p=three_hear_p(links.margin_db, path_loss).reshape(shape),
        error_m=error.reshape(shape),
    )


def links_to(points_m: NDArray[np.float64], floor: Floor, probes: Sequence[Probe], path_loss: PathLoss) -> Links:
    """Links from points (P, 2) to placed probes; walls weaken them, a phone's power is as spread as phones' is."""
    places = np.array([probe.position_m for probe in probes], np.float64).reshape(-1, 3)
    delta = np.concatenate(
        (
            points_m[None] - places[:, None, :2],
            np.broadcast_to(DEVICE_HEIGHT_M - places[:, None, 2:], (len(places), len(points_m), 1)),
        ),
        axis=2,
    )
    squared = np.maximum((delta**2).sum(axis=2), MIN_DISTANCE_M**2)
    losses = [wall_loss(place[:2], points_m, floor.walls) for place in places]
    loss = np.array(losses, np.float64).reshape(squared.shape)
    own = np.array([(probe.offset_db, probe.floor_dbm) for probe in probes], np.float64).reshape(-1, 2)
    margin = expected_rssi(np.sqrt(squared), path_loss) - loss + own[:, :1] - own[:, 1:]
    spread = np.hypot(path_loss.sigma_db, path_loss.power_sigma_db)
    slope = -DB_PER_NEPER * path_loss.exponent * delta[:, :, :2] / squared[:, :, None]
    return Links(heard_p=normal_cdf(margin / spread), slope=slope, margin_db=margin)


def three_hear_p(margin_db: NDArray[np.float64], path_loss: PathLoss) -> NDArray[np.float64]:
    """P(at least three probes hear one frame) (P,) from margins (K, P): links fade apart, transmit power is shared."""
    total = np.zeros(margin_db.shape[1])
    for node, weight in zip(_POWER_NODES, _POWER_WEIGHTS / _POWER_WEIGHTS.sum(), strict=True):
        heard = normal_cdf((margin_db + node * path_loss.power_sigma_db) / path_loss.sigma_db)
        few = np.zeros((HEARING, margin_db.shape[1]))  # P(0, 1, 2 have heard so far)
        few[0] = 1.0
        for p in heard:
            few[1:] = few[1:] * (1 - p) + few[:-1] * p
            few[0] *= 1 - p
        total += weight * (1 - few.sum(axis=0))
    return total


def parts(links: Links, path_loss: PathLoss) -> NDArray[np.float64]:
    """Each probe's part of the information (K, P, 6): of xx, xy, yy, of x and y with power, and of power. They add up.

    A link counts as often as it is heard; what silence tells is left out.
    """
    weight = links.heard_p / path_loss.sigma_db**2
    x, y = links.slope[:, :, 0], links.slope[:, :, 1]
    return np.stack([weight * one for one in (x * x, x * y, y * y, x, y, np.ones_like(x))], axis=2)


def error_m(information: NDArray[np.float64], path_loss: PathLoss, room_m: ArrayLike) -> NDArray[np.float64]:
    """Root of the Cramér–Rao bound's trace in m (..., ) from summed parts (..., 6); see `ranging.crlb` for the source.

    Transmit power is a nuisance with its prior. `room_m`: standard deviation of x and y known beforehand, infinite for
    none (van Trees 1968, 2.4: prior information adds), so that no error is larger than not listening at all.
    """
    xx, xy, yy, px, py, power = np.moveaxis(information, -1, 0)
    known = np.inf if path_loss.power_sigma_db <= 0 else path_loss.power_sigma_db**-2.0
    share = np.where(np.isinf(known), 0.0, 1 / np.maximum(power + known, 1e-300))
    wide, deep = np.asarray(room_m, np.float64) ** -2.0
    a, b, d = xx - px * px * share + wide, xy - px * py * share, yy - py * py * share + deep
    determinant = a * d - b * b
    fixed = determinant > 1e-12 * (a + d) ** 2
    return np.sqrt(np.where(fixed, (a + d) / np.where(fixed, determinant, 1.0), np.inf))


def room(floor: Floor) -> tuple[float, float]:
    """Standard deviation in m of x and y of somebody anywhere in the shop: uniform over its extent."""
    corners = np.asarray(floor.interior_m, np.float64)
    wide, deep = np.ptp(corners, axis=0) / np.sqrt(12.0)
    return float(wide), float(deep)
