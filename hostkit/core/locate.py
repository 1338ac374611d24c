"""Positions of bursts from the RSSI at three or more probes. One burst at a time: it follows nobody through time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core._locate import LANES, MAX_NODES, MAX_PROBES, Grid
from hostkit.core.ranging import SHADOW_SHARE, expected_rssi, wall_loss
from hostkit.core.zones import cell_shares
from hostkit.errors import ConfigError, UsageError
from hostkit.model import Floor, PathLoss, Polygon, Zone

DEVICE_HEIGHT_M = 1.1  # a phone in a hand, a pocket or a bag
MAX_CELLS = 65_536  # a map of 64 probes then takes 16 MiB
MIN_SIGMA_DB = 0.1  # below it float32 cannot tell neighbouring cells apart

# Student-t with 3 degrees of freedom in place of a Gaussian of sigma: at this scale it loses 3 % of RMSE where no link
# is blocked and wins 10 % where 15 % of links lose another 20 dB (tests/accuracy/test_locate.py).
STUDENT_SCALE = 0.9
NODE_REACH = 2.6  # power nodes span ± this many power_sigma_db
NODE_STEP = 1.2  # and stand at most this many Student scales apart: 0.1 % of RMSE from the integral

NOWHERE = -1e30  # log prior of padding and of cells nobody can be in


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixes:
    """Posterior mean and covariance (m, m²) of M bursts, P(inside the shop), P(zone) (M, Z), and how many probes heard.

    With n_probes below three the mean is little more than the prior: use the probabilities, not x and y.
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    cov_xx: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    cov_yy: NDArray[np.float64]
    p_interior: NDArray[np.float32]
    p_zone: NDArray[np.float32]
    n_probes: NDArray[np.uint8]


class Locator:
    """Grid-Bayes positions on one floor: a precomputed map of expected RSSI, transmit power integrated out.

    probes_m (K, 3), offsets_db (K,), floors_dbm (K,); `zones` are the columns of `Fixes.p_zone`, whatever their floor.
    `prior` (rows, columns) weighs the cells, 0 where nobody can be (plan mask); default: all alike. `robust` gives
    links Student-t errors, for shops where some links cross what the plan does not show.
    Calls share no state, so that threads may use one Locator. ConfigError: numbers that make no map.
    """

    def __init__(  # noqa: PLR0917
        self,
        probes_m: ArrayLike,
        floor: Floor,
        zones: Sequence[Zone],
        path_loss: PathLoss,
        offsets_db: ArrayLike,
        floors_dbm: ArrayLike,
        *,
        cell_m: float = 1.0,
        robust: bool = False,
        prior: ArrayLike | None = None,
    ) -> None:
        self.x_m, self.y_m = grid_axes(floor, cell_m)
        self.cell_m = cell_m
        probes = _finite(probes_m, "probes.position_m", (-1, 3))
        offsets = _finite(offsets_db, "probes.offset_db", (len(probes),))
        floors = _finite(floors_dbm, "probes.floor_dbm", (len(probes),))
        _check_model(path_loss, len(probes))
        self.n_probes, self.n_zones = len(probes), len(zones)
        self.expected_dbm = _expected(probes, offsets, floor, path_loss, (self.x_m, self.y_m))
        member = self._members((floor.interior_m, *(zone.polygon_m for zone in zones)))
        node_db, node_weight = _power_nodes(path_loss) if robust else (np.empty(0), np.empty(0))
        self._grid = Grid(
            _padded(self.expected_dbm, 0.0),
            _padded(_log_prior(prior, (len(self.y_m), len(self.x_m))), NOWHERE),
            _padded(self.x_m - self.x_m.mean(), 0.0),
            float(self.y_m[0] - self.y_m.mean()),
            self.cell_m,
            floors.astype(np.float32),
            member,
            _spans(member),
            path_loss.sigma_db * (STUDENT_SCALE if robust else 1.0),
            SHADOW_SHARE,
            path_loss.power_sigma_db,
            node_db.astype(np.float32),
            node_weight.astype(np.float32),
        )

    def fixes(self, rssi_dbm: ArrayLike, heard_p: ArrayLike | None = None, frames: ArrayLike | None = None) -> Fixes:
        """Positions of M bursts.

        rssi_dbm (M, K): mean dBm of a burst's frames at each probe; NaN: silent; other values no radio reports
        (infinite, below -127, above 20) tell nothing. heard_p (K,) or (M, K): P(the probe was on the channel), at most
        0.99 is believed; None: silence tells nothing. frames (M, K): how many frames the mean is of; None: one.
        """
        rssi, heard, counts = self._inputs(rssi_dbm, heard_p, frames)
        moments = np.empty((len(rssi), 5))
        layers = np.empty((len(rssi), 1 + self.n_zones), np.float32)
        n_probes = np.empty(len(rssi), np.uint8)
        self._grid.fixes(rssi, heard, counts, moments, layers, n_probes)
        return Fixes(
            x_m=moments[:, 0] + self.x_m.mean(),
            y_m=moments[:, 1] + self.y_m.mean(),
            cov_xx=moments[:, 2],
            cov_xy=moments[:, 3],
            cov_yy=moments[:, 4],
            p_interior=layers[:, 0],
            p_zone=layers[:, 1:],
            n_probes=n_probes,
        )

    def posterior(
        self, rssi_dbm: ArrayLike, heard_p: ArrayLike | None = None, frames: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Cell probabilities (M, rows, columns) behind `fixes`; row 0 is the lowest y. For maps: M is small."""
        rssi, heard, counts = self._inputs(rssi_dbm, heard_p, frames)
        out = np.empty((len(rssi), len(self.y_m), _stride(len(self.x_m))), np.float32)
        self._grid.posterior(rssi, heard, counts, out)
        return out[:, :, : len(self.x_m)]

    def _members(self, polygons: Sequence[Polygon]) -> NDArray[np.float32]:
        return _padded(np.stack([cell_shares(self.x_m, self.y_m, self.cell_m, p) for p in polygons]), 0.0)

    def _inputs(
        self, rssi_dbm: ArrayLike, heard_p: ArrayLike | None, frames: ArrayLike | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16] | None]:
        rssi = _float32(rssi_dbm)
        if rssi.ndim != 2 or rssi.shape[1] != self.n_probes:
            raise _misshapen("rssi_dbm", rssi.shape, f"(bursts, {self.n_probes})")
        heard = np.zeros((1, self.n_probes), np.float32) if heard_p is None else np.atleast_2d(_float32(heard_p))
        if heard.shape[1:] != (self.n_probes,) or len(heard) not in (1, len(rssi)):
            raise _misshapen("heard_p", heard.shape, f"({self.n_probes},) or {rssi.shape}")
        if frames is None:
            return rssi, heard, None
        counts = np.asarray(frames)
        if counts.shape != rssi.shape or counts.dtype.kind not in "iu":
            raise _misshapen("frames", counts.shape, f"{rssi.shape} of integers")
        return rssi, heard, np.ascontiguousarray(np.clip(counts, 0, 65_535), np.uint16)


def grid_axes(floor: Floor, cell_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell centres; the grid covers the bounds and is centred on them."""
    x0, y0, x1, y1 = _finite(floor.bounds_m, "floor.bounds_m", (4,))
    if not (x1 > x0 and y1 > y0 and np.isfinite(cell_m) and cell_m > 0.0):
        raise ConfigError("the floor has no area", where="floor.bounds_m", next_step="give x_min, y_min, x_max, y_max")
    columns, rows = (max(1, int(np.ceil(round(side / cell_m, 6)))) for side in (x1 - x0, y1 - y0))
    if columns * rows > MAX_CELLS:
        what = f"{columns} × {rows} cells of {cell_m:g} m are more than {MAX_CELLS}"
        raise ConfigError(what, where="floor.bounds_m", next_step="map a smaller area or use larger cells")
    centre_x, centre_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0
    return (
        centre_x + (np.arange(columns) - (columns - 1) / 2.0) * cell_m,
        centre_y + (np.arange(rows) - (rows - 1) / 2.0) * cell_m,
    )


def _expected(
    probes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    floor: Floor,
    path_loss: PathLoss,
    cells: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Expected RSSI (K, rows, columns), walls included."""
    grid_x, grid_y = np.meshgrid(*cells)
    points = np.column_stack((grid_x.ravel(), grid_y.ravel()))
    rows = []
    for probe, offset in zip(probes, offsets, strict=True):
        flat = points - probe[:2]
        distance = np.sqrt((flat**2).sum(axis=1) + (probe[2] - DEVICE_HEIGHT_M) ** 2)
        rows.append(expected_rssi(distance, path_loss) + offset - wall_loss(probe[:2], points, floor.walls))
    return np.stack(rows).reshape(len(probes), *grid_x.shape)


def _power_nodes(path_loss: PathLoss) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trapezoid nodes over transmit power, no further apart than NODE_STEP where MAX_NODES allows it."""
    power = path_loss.power_sigma_db
    if power <= 0.0:
        return np.zeros(1), np.ones(1)
    half = int(np.ceil(NODE_REACH * power / (NODE_STEP * STUDENT_SCALE * path_loss.sigma_db)))
    node = np.linspace(-NODE_REACH, NODE_REACH, min(2 * half + 1, MAX_NODES))
    weight = np.exp(-0.5 * node**2)
    return node * power, weight / weight.sum()


def _log_prior(prior: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.float64]:
    if prior is None:
        return np.zeros(shape)
    weight = _finite(prior, "prior", shape)
    if (weight < 0.0).any() or not weight.any():
        raise ConfigError("the prior allows no cell", where="prior", next_step="give weights of at least 0, not all 0")
    positive = weight > 0.0
    return np.where(positive, np.log(np.where(positive, weight / weight.max(), 1.0)), NOWHERE)


def _check_model(path_loss: PathLoss, probes: int) -> None:
    numbers = (path_loss.rssi_1m_dbm, path_loss.exponent, path_loss.sigma_db, path_loss.power_sigma_db)
    if not np.isfinite(numbers).all() or path_loss.exponent <= 0.0 or path_loss.power_sigma_db < 0.0:
        raise ConfigError("not a path-loss model", where="path_loss", next_step="use an exponent between 1.5 and 6")
    if path_loss.sigma_db < MIN_SIGMA_DB:
        raise ConfigError(
            f"sigma_db is below {MIN_SIGMA_DB}", where="path_loss.sigma_db", next_step="use 3 to 8 dB, or calibrate"
        )
    if not 1 <= probes <= MAX_PROBES:
        raise ConfigError(f"{probes} probes", where="probes", next_step=f"give 1 to {MAX_PROBES} a floor")


def _spans(member: NDArray[np.float32]) -> NDArray[np.int32]:
    """First and one past the last vector of cells each layer touches; (0, 0) for a layer off the map."""
    touched = member.reshape(len(member), -1, LANES).max(axis=2)
    spans = np.zeros((len(member), 2), np.int32)
    for layer, cells in enumerate(touched):
        where = np.flatnonzero(cells)
        if len(where):
            spans[layer] = where[0], where[-1] + 1
    return spans


def _stride(columns: int) -> int:
    return -(-columns // LANES) * LANES


def _padded(cells: NDArray[np.float64] | NDArray[np.float32], fill: float) -> NDArray[np.float32]:
    """Copy as float32 with the last axis filled up to whole vectors."""
    out = np.full((*cells.shape[:-1], _stride(cells.shape[-1])), fill, np.float32)
    out[..., : cells.shape[-1]] = cells
    return out


def _float32(values: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def _finite(values: ArrayLike, where: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        raise ConfigError("wrong number of values, or not all finite", where=where, next_step=f"give shape {shape}")
    return array


def _misshapen(where: str, shape: tuple[int, ...], want: str) -> UsageError:
    return UsageError(f"shape {shape} does not fit", where=where, next_step=f"pass {want}")
