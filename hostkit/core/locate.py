"""Positions of bursts from the RSSI at three or more probes. One burst at a time: it follows nobody through time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

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
MAX_SIGMA_DB = 60.0  # a link that says nothing
PART_ROWS = 65_536  # bursts converted for the kernel at a time

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
        probes = finite(probes_m, "probes.position_m", (-1, 3))
        offsets = finite(offsets_db, "probes.offset_db", (len(probes),))
        _check_model(path_loss, len(probes))
        expected = _expected(probes, offsets, floor, path_loss, grid_axes(floor, cell_m))
        sigma, power = path_loss.sigma_db, path_loss.power_sigma_db
        self._build(expected, floor, zones, floors_dbm, sigma, power, cell_m=cell_m, robust=robust, prior=prior)

    @classmethod
    def from_maps(
        cls,
        expected_dbm: ArrayLike,
        floor: Floor,
        zones: Sequence[Zone],
        floors_dbm: ArrayLike,
        *,
        sigma_db: ArrayLike,
        power_sigma_db: float,
        cell_m: float = 1.0,
        robust: bool = False,
        prior: ArrayLike | None = None,
    ) -> Self:
        """Make a Locator from expected RSSI (K, rows, columns) at the cells of `grid_axes(floor, cell_m)`, rows by y.

        sigma_db of a link: one number, (K,), or (K, rows, columns) where it differs by cell.
        """
        it = cls.__new__(cls)
        it._build(
            expected_dbm, floor, zones, floors_dbm, sigma_db, power_sigma_db, cell_m=cell_m, robust=robust, prior=prior
        )
        return it

    def _build(  # noqa: PLR0917
        self,
        expected_dbm: ArrayLike,
        floor: Floor,
        zones: Sequence[Zone],
        floors_dbm: ArrayLike,
        sigma_db: ArrayLike,
        power_sigma_db: float,
        *,
        cell_m: float,
        robust: bool,
        prior: ArrayLike | None,
    ) -> None:
        self.x_m, self.y_m = grid_axes(floor, cell_m)
        self.cell_m, self.robust, self.n_zones = cell_m, robust, len(zones)
        shape = (len(self.y_m), len(self.x_m))
        self.expected_dbm = finite(expected_dbm, "expected_dbm", (-1, *shape))
        self.n_probes = len(self.expected_dbm)
        floors = finite(floors_dbm, "probes.floor_dbm", (self.n_probes,))
        sigma, inv_sigma = _sigma(sigma_db, (self.n_probes, *shape), STUDENT_SCALE if robust else 1.0)
        _check_power(power_sigma_db, self.n_probes)
        self.sigma_db, self.power_sigma_db = float(np.median(sigma)), power_sigma_db
        self.log_prior = _log_prior(prior, shape)
        member = self._members((floor.interior_m, *(zone.polygon_m for zone in zones)))
        step = NODE_STEP * self.sigma_db if robust else 0.0
        self.kernel = Grid(
            padded(self.expected_dbm, 0.0),
            padded(self.log_prior, NOWHERE),
            padded(self.x_m - self.x_m.mean(), 0.0),
            float(self.y_m[0] - self.y_m.mean()),
            self.cell_m,
            floors.astype(np.float32),
            member,
            _spans(member),
            np.ones(self.n_probes, np.float32) if inv_sigma is not None else (sigma**2).astype(np.float32),
            inv_sigma,
            SHADOW_SHARE,
            power_sigma_db,
            *power_nodes(power_sigma_db, step),
        )

    def fixes(self, rssi_dbm: ArrayLike, heard_p: ArrayLike | None = None, frames: ArrayLike | None = None) -> Fixes:
        """Positions of M bursts.

        rssi_dbm (M, K): mean dBm of a burst's frames at each probe; NaN: silent; other values no radio reports
        (infinite, below -127, above 20) tell nothing. heard_p (K,) or (M, K): P(the probe was on the channel), at most
        0.99 is believed; None: silence tells nothing. frames (M, K): how many frames the mean is of; None: one.
        """
        rows = Rows(self.n_probes, rssi_dbm, heard_p, frames)
        moments = np.empty((len(rows), 5))
        layers = np.empty((len(rows), 1 + self.n_zones), np.float32)
        n_probes = np.empty(len(rows), np.uint8)
        for part in rows.parts():
            self.kernel.fixes(*rows[part], moments[part], layers[part], n_probes[part])
        return self.columns(moments, layers, n_probes)

    def columns(self, moments: NDArray[np.float64], layers: NDArray[np.float32], n_probes: NDArray[np.uint8]) -> Fixes:
        """Fixes from what the kernel fills: moments (M, 5) about the grid's middle, layers (M, 1 + Z)."""
        moments[:, 0] += self.x_m.mean()
        moments[:, 1] += self.y_m.mean()
        return Fixes(
            x_m=moments[:, 0],
            y_m=moments[:, 1],
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
        rows = Rows(self.n_probes, rssi_dbm, heard_p, frames)
        out = np.empty((len(rows), len(self.y_m), _stride(len(self.x_m))), np.float32)
        for part in rows.parts():
            self.kernel.posterior(*rows[part], out[part])
        return out[:, :, : len(self.x_m)]

    def _members(self, polygons: Sequence[Polygon]) -> NDArray[np.float32]:
        return padded(np.stack([cell_shares(self.x_m, self.y_m, self.cell_m, p) for p in polygons]), 0.0)


class Rows:
    """Readings as the caller has them, handed to the kernel a part at a time: a copy of all of them is never made."""

    def __init__(self, n_probes: int, rssi_dbm: ArrayLike, heard_p: ArrayLike | None, frames: ArrayLike | None) -> None:
        self.rssi, self.frames = np.asarray(rssi_dbm), None if frames is None else np.asarray(frames)
        if self.rssi.ndim != 2 or self.rssi.shape[1] != n_probes or self.rssi.dtype.kind not in "fiu":
            raise misshapen("rssi_dbm", self.rssi.shape, f"(bursts, {n_probes}) of numbers")
        self.heard = np.zeros((1, n_probes)) if heard_p is None else np.atleast_2d(np.asarray(heard_p))
        if self.heard.shape not in ((1, n_probes), self.rssi.shape) or self.heard.dtype.kind not in "fiu":
            raise misshapen("heard_p", self.heard.shape, f"({n_probes},) or {self.rssi.shape} of numbers")
        if self.frames is not None and (self.frames.shape != self.rssi.shape or self.frames.dtype.kind not in "iu"):
            raise misshapen("frames", self.frames.shape, f"{self.rssi.shape} of integers")

    def __len__(self) -> int:
        return len(self.rssi)

    def parts(self) -> "Iterator[slice[int, int, None]]":
        """Slices that together cover the rows."""
        return (slice(start, start + PART_ROWS) for start in range(0, len(self), PART_ROWS))

    def __getitem__(
        self, part: "slice[int, int, None]"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16] | None]:
        heard = self.heard if len(self.heard) == 1 else self.heard[part]
        counts = None if self.frames is None else np.clip(self.frames[part], 0, 65_535)
        return (
            _float32(self.rssi[part]),
            _float32(heard),
            None if counts is None else np.ascontiguousarray(counts, np.uint16),
        )


def grid_axes(floor: Floor, cell_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell centres; the grid covers the bounds and is centred on them."""
    x0, y0, x1, y1 = finite(floor.bounds_m, "floor.bounds_m", (4,))
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


def power_nodes(power_sigma_db: float, step_db: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Trapezoid nodes over transmit power (dB) and their weights, at most `step_db` apart where MAX_NODES allows it.

    No step: no nodes.
    """
    if step_db <= 0.0:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    half = int(np.ceil(min(NODE_REACH * power_sigma_db / step_db, MAX_NODES)))
    node = np.linspace(-NODE_REACH, NODE_REACH, min(2 * half + 1, MAX_NODES)) if half else np.zeros(1)
    weight = np.exp(-0.5 * node**2)
    return (node * power_sigma_db).astype(np.float32), (weight / weight.sum()).astype(np.float32)


def _log_prior(prior: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.float64]:
    if prior is None:
        return np.zeros(shape)
    weight = finite(prior, "prior", shape)
    if (weight < 0.0).any() or not weight.any():
        raise ConfigError("the prior allows no cell", where="prior", next_step="give weights of at least 0, not all 0")
    positive = weight > 0.0
    return np.where(positive, np.log(np.where(positive, weight / weight.max(), 1.0)), NOWHERE)


def _check_model(path_loss: PathLoss, probes: int) -> None:
    numbers = (path_loss.rssi_1m_dbm, path_loss.exponent, path_loss.sigma_db)
    if not np.isfinite(numbers).all() or path_loss.exponent <= 0.0:
        raise ConfigError("not a path-loss model", where="path_loss", next_step="use an exponent between 1.5 and 6")
    _check_power(path_loss.power_sigma_db, probes)


def _check_power(power_sigma_db: float, probes: int) -> None:
    if not 0.0 <= power_sigma_db <= MAX_SIGMA_DB:
        what = f"power_sigma_db must be 0 to {MAX_SIGMA_DB:g}"
        raise ConfigError(what, where="path_loss.power_sigma_db", next_step="use 3 to 6 dB")
    if not 1 <= probes <= MAX_PROBES:
        raise ConfigError(f"{probes} probes", where="probes", next_step=f"give 1 to {MAX_PROBES} a floor")


def _sigma(
    sigma_db: ArrayLike, shape: tuple[int, int, int], scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
    """Scaled sigma (K,), or (K, rows, columns) together with its reciprocal for the kernel."""
    sigma = np.asarray(sigma_db, np.float64)
    if sigma.shape not in ((), shape[:1], shape) or not ((sigma >= MIN_SIGMA_DB) & (sigma <= MAX_SIGMA_DB)).all():
        what = f"not between {MIN_SIGMA_DB} and {MAX_SIGMA_DB:g} dB, or not one a probe or cell"
        raise ConfigError(what, where="path_loss.sigma_db", next_step="use 3 to 8 dB, or calibrate")
    if sigma.ndim < 2:
        return np.broadcast_to(sigma * scale, shape[:1]), None
    return sigma * scale, padded(1.0 / (sigma * scale), 1.0)


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


def padded(cells: NDArray[np.float64] | NDArray[np.float32], fill: float) -> NDArray[np.float32]:
    """Copy as float32 with the last axis filled up to whole vectors."""
    out = np.full((*cells.shape[:-1], _stride(cells.shape[-1])), fill, np.float32)
    out[..., : cells.shape[-1]] = cells
    return out


def _float32(values: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def finite(values: ArrayLike, where: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers as float64 of that shape, -1 for any length."""
    array = np.asarray(values, np.float64)
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        raise ConfigError("wrong number of values, or not all finite", where=where, next_step=f"give shape {shape}")
    return array


def misshapen(where: str, shape: tuple[int, ...], want: str) -> UsageError:
    """The error of an array that does not fit."""
    return UsageError(f"shape {shape} does not fit", where=where, next_step=f"pass {want}")
