"""Follows one device through readings of fixed anchors, with nothing calibrated before. Knows no clock and no truth.

A hidden Markov model over the cells of a map: the device walks at random, each anchor reads a level that falls with
distance. What the readings say of place and what the places say of the levels are found in turn (EM: Dempster et al.
1977; forward and backward passes: Rabiner 1989), so the parameters come from the very readings that are followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.core.zones import cell_shares
from hostkit.errors import InputError
from hostkit.model import Polygon

DEVICE_HEIGHT_M = 1.1
MISSED_DBM, LOUDEST_DBM = -100.0, 0.0  # what receivers write for "not heard", and more than any of them hears

MIN_STEP_S, MAX_STEP_S = 0.5, 5.0
MIN_CELL_M, MAX_CELLS = 0.5, 1500
MAX_WORK = 1 << 24  # steps times cells: about 300 MB and 20 s
MAX_SIDE_M = 10_000.0
NARROW_M = 1.5  # nobody is told apart from beside a zone: narrower strips of no zone belong to it

WALK_M = 1.0  # standard deviation of the way walked in a second, in x and in y
STUDENT_NU = 4.0  # multipath and bodies make outliers
# Errors of readings last: within a second they say the same of place, within five of the levels.
PLACE_CORRELATION_S, LEVEL_CORRELATION_S = 1.0, 5.0
HEADING_S = 1.5  # before and after: the way that a body faces is that of the walk in between
HEADING_FULL_M_S = 0.5  # slower than this, the body may face anywhere
ROUNDS = 12  # of EM; levels are still within 0.1 dB from the 8th on
# What levels are like before the readings are seen: mean and standard deviation.
EXPONENT, EXPONENT_SD = 2.2, 0.5
BORDER_DB, BORDER_SD_DB = 3.0, 5.0
OFFSET_SD_DB = 3.0
FIRST_SIGMA_DB, MIN_SIGMA_DB = 6.0, 1.0
FIRST_DISTANCE_M = 10.0
MAX_BODY_DB = 15.0
TINY = np.float32(1e-30)  # a step that contradicts all others must leave something


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What anchors read: level_dbm + offset_db (K,) - 10 exponent log10(distance in m), Student-t errors of sigma_db;
    less by border_db across a zone's border and by body_db where the device faces away instead of towards the anchor.
    """

    level_dbm: float
    exponent: float
    border_db: float
    body_db: float
    sigma_db: float
    offset_db: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The way of a device at T even steps: middle of each (s), mean place (m), P(zone) (T, zones), and whether
    anything was heard in it. `sd_m`: standard deviation of a place in x and in y. `ignored` readings were no levels."""

    time_s: NDArray[np.float64]
    step_s: float
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    sd_m: float
    p_zone: NDArray[np.float32]
    heard: NDArray[np.bool_]
    ignored: int
    levels: Levels


def follow(
    time_s: ArrayLike, anchor: ArrayLike, rssi_dbm: ArrayLike, anchors_m: ArrayLike, zones: Sequence[Polygon]
) -> Followed:
    """Follow one device through N readings (time_s, index of anchor, dBm) of anchors (K, 3) and zones.

    Order and duplicates do not matter. Readings that are not finite, at most -100 dBm or above 0 dBm are ignored. The
    map is the rectangle around anchors and zones. InputError: nothing to follow, or more than memory should hold.
    """
    times, levels = np.asarray(time_s, np.float64), np.asarray(rssi_dbm, np.float64)
    probe, places = np.asarray(anchor, np.intp), np.asarray(anchors_m, np.float64)
    kept = np.isfinite(times) & (levels > MISSED_DBM) & (levels <= LOUDEST_DBM)
    if not kept.any():
        raise InputError("no reading to follow", where="readings", next_step="give levels above -100 dBm")
    plan = _plan(places, zones)
    frames = _frames(times[kept], probe[kept], levels[kept], plan)
    model = _Model(plan, frames)
    for _ in range(ROUNDS):
        model.learn(model.places())
    place = model.places()
    x_m, y_m = place @ plan.x_m, place @ plan.y_m
    variance = place @ (plan.x_m**2 + plan.y_m**2) - x_m**2 - y_m**2
    return Followed(
        time_s=frames.time_s,
        step_s=frames.step_s,
        x_m=x_m,
        y_m=y_m,
        sd_m=float(np.sqrt(np.median(np.maximum(variance, 0.0)) / 2)),
        p_zone=np.asarray(place @ plan.share.T, np.float32),
        heard=np.asarray(np.isfinite(frames.rssi_dbm).any(axis=1), np.bool_),
        ignored=int(np.count_nonzero(~kept)),
        levels=model.levels,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """C cells, row by row from the lowest y: centres, share in each zone (Z, C); K anchors: log10 distance and whether
    a border lies between (K, C)."""

    axis_x_m: NDArray[np.float64]
    axis_y_m: NDArray[np.float64]
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    anchors_m: NDArray[np.float64]
    share: NDArray[np.float32]
    log_distance: NDArray[np.float64]
    across: NDArray[np.float64]

    @property
    def cells(self) -> int:
        return len(self.x_m)


def _plan(anchors_m: NDArray[np.float64], zones: Sequence[Polygon]) -> _Plan:
    corners = np.concatenate([anchors_m[:, :2], *(np.asarray(zone, np.float64) for zone in zones)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    if not np.isfinite(corners).all() or (high - low > MAX_SIDE_M).any():
        raise InputError(
            f"anchors and zones are over {MAX_SIDE_M / 1000:g} km apart", where="map", next_step="give metres"
        )
    side = np.maximum(high - low, MIN_CELL_M)
    cell_m = max(MIN_CELL_M, float(np.sqrt(side.prod() / MAX_CELLS)), float(side.max() / MAX_CELLS))
    axis_x, axis_y = (
        centre + (np.arange(n) - (n - 1) / 2) * cell_m
        for centre, n in zip((low + high) / 2, np.maximum(np.ceil(side / cell_m - 1e-6), 1).astype(int), strict=True)
    )
    grid_x, grid_y = (grid.ravel() for grid in np.meshgrid(axis_x, axis_y))
    share = np.array([cell_shares(axis_x, axis_y, cell_m, zone).ravel() for zone in zones], np.float32)
    flat = np.hypot(grid_x - anchors_m[:, :1], grid_y - anchors_m[:, 1:2])
    distance = np.maximum(np.hypot(flat, anchors_m[:, 2:] - DEVICE_HEIGHT_M), MIN_DISTANCE_M)
    share = _widened(share, (len(axis_y), len(axis_x)), cell_m)
    region = np.vstack((1 - share.sum(axis=0), share)).argmax(axis=0)
    own = region[np.argmin(flat, axis=1)]
    return _Plan(
        axis_x_m=axis_x,
        axis_y_m=axis_y,
        x_m=grid_x,
        y_m=grid_y,
        anchors_m=anchors_m,
        share=share,
        log_distance=np.log10(distance),
        across=(region != own[:, None]).astype(np.float64),
    )


def _widened(share: NDArray[np.float32], shape: tuple[int, int], cell_m: float) -> NDArray[np.float32]:
    """Shares (Z, C) with strips beside zones, too narrow to be told from them, given to the nearest zone."""
    none = (share.sum(axis=0) < 0.5).reshape(shape)
    half = max(1, round(NARROW_M / 2 / cell_m))
    square, edge = (2 * half + 1, 2 * half + 1), ((half, half), (half, half))
    core = sliding_window_view(np.pad(none, edge), square).all(axis=(2, 3))
    wide = sliding_window_view(np.pad(core, edge), square).any(axis=(2, 3)).ravel()
    row, column = np.divmod(np.arange(none.size), shape[1])
    held, narrow = np.flatnonzero(~none), np.flatnonzero(none.ravel() & ~wide)
    if len(held):
        distance = (row[narrow, None] - row[held]) ** 2 + (column[narrow, None] - column[held]) ** 2
        share[:, narrow] = share[:, held[np.argmin(distance, axis=1)]]
    return np.where(wide, 0, share / np.maximum(share.sum(axis=0), 1e-9)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """T even steps: their middle (s), mean level at each anchor (T, K; NaN: not heard)."""

    time_s: NDArray[np.float64]
    step_s: float
    rssi_dbm: NDArray[np.float64]


def _frames(
    time_s: NDArray[np.float64], anchor: NDArray[np.intp], rssi_dbm: NDArray[np.float64], plan: _Plan
) -> _Frames:
    distinct = np.unique(time_s)
    step_s = float(np.clip(np.median(np.diff(distinct)) if len(distinct) > 1 else 0, MIN_STEP_S, MAX_STEP_S))
    start_s, steps = distinct[0], (distinct[-1] - distinct[0]) / step_s + 1
    if steps * plan.cells > MAX_WORK:
        what = f"{(distinct[-1] - start_s) / 3600:,.1f} h on {plan.cells} cells are too much at once"
        hours = MAX_WORK / plan.cells * step_s / 3600
        raise InputError(what, where="readings", next_step=f"cut it into parts of at most {hours:.1f} h")
    row = ((time_s - start_s) / step_s).astype(np.intp)
    anchors = len(plan.anchors_m)
    shape = (int(row.max()) + 1, anchors)
    at = row * anchors + anchor
    count = np.bincount(at, minlength=shape[0] * anchors).reshape(shape)
    total = np.bincount(at, rssi_dbm, minlength=shape[0] * anchors).reshape(shape)
    return _Frames(
        time_s=start_s + (np.arange(shape[0]) + 0.5) * step_s,
        step_s=step_s,
        rssi_dbm=np.where(count > 0, total / np.maximum(count, 1), np.nan),
    )


class _Model:
    """The levels as known so far, and the two halves of a round of EM."""

    def __init__(self, plan: _Plan, frames: _Frames) -> None:
        self._plan, self._frames = plan, frames
        self._heard = np.isfinite(frames.rssi_dbm)
        self._facing_dbm = frames.rssi_dbm  # as if the device faced across all lines to anchors
        self.levels = Levels(
            level_dbm=float(np.nanmean(frames.rssi_dbm)) + 10 * EXPONENT * np.log10(FIRST_DISTANCE_M),
            exponent=EXPONENT,
            border_db=BORDER_DB,
            body_db=0.0,
            sigma_db=FIRST_SIGMA_DB,
            offset_db=np.zeros(len(plan.anchors_m)),
        )

    def places(self) -> NDArray[np.float32]:
        """P(cell) at each step given all readings (T, C)."""
        score = np.zeros((len(self._frames.time_s), self._plan.cells), np.float32)
        for k in range(len(self._plan.anchors_m)):
            residual = self._residual(k) / self.levels.sigma_db
            score[self._heard[:, k]] -= np.log1p(residual**2 / STUDENT_NU)
        score *= (STUDENT_NU + 1) / 2 * min(1.0, self._frames.step_s / PLACE_CORRELATION_S)
        score -= score.max(axis=1, keepdims=True)
        return _walk(np.exp(score), self._plan, self._frames.step_s)

    def learn(self, place: NDArray[np.float32]) -> None:
        """Fit the levels to the places: least squares, weighted as Student-t errors want (Lange et al. 1989)."""
        self._face(place)
        anchors = len(self._plan.anchors_m)
        normal, right, squares = np.zeros((3 + anchors,) * 2), np.zeros(3 + anchors), 0.0
        for k in range(anchors):
            heard, residual = self._heard[:, k], self._residual(k)
            weight = place[heard] * (STUDENT_NU + 1) / (STUDENT_NU + (residual / self.levels.sigma_db) ** 2)
            column = np.zeros((3 + anchors, self._plan.cells))
            column[0], column[3 + k] = 1.0, 1.0
            column[1], column[2] = -10 * self._plan.log_distance[k], -self._plan.across[k]
            normal += (column * weight.sum(axis=0)) @ column.T
            right += column @ (self._facing_dbm[heard, k] @ weight)
            squares += float((weight * residual**2).sum())
        self._solve(normal, right, max(float(np.sqrt(squares / self._heard.sum())), MIN_SIGMA_DB))

    def _solve(self, normal: NDArray[np.float64], right: NDArray[np.float64], sigma_db: float) -> None:
        """Weigh the readings against what is known before; a border never amplifies."""
        share = min(1.0, self._frames.step_s / LEVEL_CORRELATION_S)
        offsets = len(self._plan.anchors_m)
        prior = (self.levels.sigma_db / np.array([np.inf, EXPONENT_SD, BORDER_SD_DB, *[OFFSET_SD_DB] * offsets])) ** 2
        mean = np.array([0.0, EXPONENT, BORDER_DB, *[0.0] * offsets])
        found = np.linalg.solve(normal * share + np.diag(prior), right * share + prior * mean)
        self.levels = replace(
            self.levels,
            level_dbm=float(found[0]),
            exponent=float(found[1]),
            border_db=max(float(found[2]), 0.0),
            sigma_db=sigma_db,
            offset_db=found[3:],
        )

    def _face(self, place: NDArray[np.float32]) -> None:
        """Find which way the device faces at each step, and how much the body takes from what is behind it."""
        away = _facing_away(place, self._plan, self._frames.step_s)
        expected = np.column_stack([place @ self._expected(k) for k in range(len(self._plan.anchors_m))])
        missing = np.where(self._heard, expected - self._frames.rssi_dbm, 0.0)
        seen = np.where(self._heard, away, 0.0)
        body_db = float(np.clip((missing * seen).sum() / ((seen**2).sum() + 1e-9), 0.0, MAX_BODY_DB))
        self._facing_dbm = self._frames.rssi_dbm + body_db * away
        self.levels = replace(self.levels, body_db=body_db)

    def _expected(self, k: int) -> NDArray[np.float64]:
        """Level of anchor k in each cell (C,)."""
        level = self.levels.level_dbm + self.levels.offset_db[k]
        fall = 10 * self.levels.exponent * self._plan.log_distance[k] + self.levels.border_db * self._plan.across[k]
        return np.asarray(level - fall, np.float64)

    def _residual(self, k: int) -> NDArray[np.float32]:
        """What anchor k read beyond what it should in each cell (steps in which it heard, C)."""
        read = self._facing_dbm[self._heard[:, k], k].astype(np.float32)
        return np.asarray(read[:, None] - self._expected(k).astype(np.float32), np.float32)


def _facing_away(place: NDArray[np.float32], plan: _Plan, step_s: float) -> NDArray[np.float64]:
    """From -1/2, facing the anchor in full walk, to 1/2, (T, K); 0 for who stands."""
    at = np.column_stack((place @ plan.x_m, place @ plan.y_m))
    lag, step = max(1, round(HEADING_S / step_s)), np.arange(len(at))
    way = at[np.minimum(step + lag, len(at) - 1)] - at[np.maximum(step - lag, 0)]
    walked_m = np.linalg.norm(way, axis=1, keepdims=True)
    way *= np.minimum(walked_m / (2 * lag * step_s * HEADING_FULL_M_S), 1) / np.maximum(walked_m, 1e-9)
    towards = plan.anchors_m[:, :2] - at[:, None]
    towards /= np.maximum(np.linalg.norm(towards, axis=2, keepdims=True), MIN_DISTANCE_M)
    return np.asarray((towards * way[:, None]).sum(axis=2) / -2, np.float64)


def _walk(likelihood: NDArray[np.float32], plan: _Plan, step_s: float) -> NDArray[np.float32]:
    """Smooth P(readings of a step | cell) (T, C) along a random walk that does not leave the map; P(cell) (T, C)."""
    to_x, to_y = (_moves(axis, WALK_M * np.sqrt(step_s)) for axis in (plan.axis_x_m, plan.axis_y_m))
    seen = likelihood.reshape(-1, len(plan.axis_y_m), len(plan.axis_x_m))
    place = np.empty_like(seen)
    now = np.full(seen.shape[1:], 1 / plan.cells, np.float32)
    for t in range(len(seen)):
        now = (to_y @ place[t - 1] @ to_x.T if t else now) * seen[t] + TINY
        place[t] = now / now.sum()
    later = np.ones_like(now)
    for t in range(len(seen) - 1, -1, -1):
        place[t] *= later
        place[t] /= place[t].sum()
        later = to_y.T @ (later * seen[t]) @ to_x
        later /= later.max()
    return place.reshape(likelihood.shape)


def _moves(axis_m: NDArray[np.float64], sd_m: float) -> NDArray[np.float32]:
    """P(to | from) of one step along one axis, (to, from)."""
    density = np.exp(-0.5 * ((axis_m[:, None] - axis_m) / sd_m) ** 2)
    return np.asarray(density / density.sum(axis=0), np.float32)
