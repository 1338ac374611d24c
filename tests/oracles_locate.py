"""Slow twins of the position and dwell kernels, written from the definitions and in plain Python or SciPy."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import multivariate_normal
from scipy.stats import t as student_t

from hostkit.core.locate import STUDENT_SCALE, Locator
from hostkit.core.ranging import SHADOW_SHARE, expected_rssi
from hostkit.core.track import Motion
from hostkit.model import PathLoss


def grid_posterior(
    locator: Locator,
    rssi_dbm: NDArray[np.float64],
    heard_p: NDArray[np.float64],
    *,
    floors_dbm: NDArray[np.float64],
    sigma_db: float | NDArray[np.float64],
    power_sigma_db: float,
    frames: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Posterior (rows, columns) of one burst with the full covariance matrix of its links, no Sherman–Morrison.

    sigma_db one number or one a probe and cell (K, rows, columns).
    """
    heard, silent = ~np.isnan(rssi_dbm), np.isnan(rssi_dbm)
    sigmas = np.broadcast_to(sigma_db, locator.expected_dbm.shape)
    log_p = np.zeros(locator.expected_dbm.shape[1:])
    for row, column in np.ndindex(log_p.shape):
        mean, sigma = locator.expected_dbm[:, row, column], sigmas[:, row, column]
        cov = np.diag(_link_variance(sigma, frames)[heard]) + power_sigma_db**2
        power, power_var = 0.0, power_sigma_db**2
        if heard.any():
            residual = rssi_dbm[heard] - mean[heard]
            log_p[row, column] = multivariate_normal.logpdf(residual, cov=cov)
            gain = power_sigma_db**2 * np.linalg.solve(cov, np.ones(len(cov)))
            power, power_var = gain @ residual, power_sigma_db**2 * (1 - gain.sum())
        below = ndtr((floors_dbm - mean - power) / np.sqrt(sigma**2 + power_var))
        log_p[row, column] += np.log(1 - np.minimum(heard_p, 0.99) * (1 - below))[silent].sum()
    weight = np.exp(log_p - log_p.max())
    return weight / weight.sum()


def student_posterior(
    locator: Locator,
    rssi_dbm: NDArray[np.float64],
    sigma_db: float | NDArray[np.float64],
    power: tuple[NDArray[np.float64], NDArray[np.float64]],
    frames: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Posterior (rows, columns) of one burst in robust mode by SciPy's Student-t, summed over the power's nodes."""
    heard, shape = ~np.isnan(rssi_dbm), locator.expected_dbm.shape
    sigmas = np.broadcast_to(sigma_db, shape).reshape(shape[0], -1)
    scale = STUDENT_SCALE * np.sqrt([_link_variance(of_cell, frames) for of_cell in sigmas.T]).T.reshape(shape)
    p = np.zeros(shape[1:])
    for node_db, weight in zip(*power, strict=True):
        residual = rssi_dbm[:, None, None] - locator.expected_dbm - node_db
        p += weight * student_t.pdf(residual, df=3, scale=scale)[heard].prod(axis=0)
    return p / p.sum()


def _link_variance(sigma_db: NDArray[np.float64], frames: NDArray[np.int64] | None) -> NDArray[np.float64]:
    n = np.ones(len(sigma_db)) if frames is None else np.maximum(frames, 1)
    return sigma_db**2 * (SHADOW_SHARE + (1 - SHADOW_SHARE) / n)


def posterior_mean(
    rssi_dbm: NDArray[np.float64], probes_m: NDArray[np.float64], cells_m: NDArray[np.float64], model: PathLoss
) -> NDArray[np.float64]:
    """Mean place (M, 2) over cells (C, 2) of equal prior, from the full covariance of the links."""
    expected = expected_rssi(np.linalg.norm(cells_m[:, None] - probes_m, axis=2), model)
    inverse = np.linalg.inv(model.sigma_db**2 * np.eye(len(probes_m)) + model.power_sigma_db**2)
    means = []
    for row in rssi_dbm:
        residual = row - expected
        log_p = -0.5 * ((residual @ inverse) * residual).sum(axis=1)
        weight = np.exp(log_p - log_p.max())
        means.append(weight @ cells_m / weight.sum())
    return np.array(means)


def track_posterior(
    locator: Locator,
    motion: Motion,
    power: tuple[NDArray[np.float64], NDArray[np.float64], float],
    time_s: NDArray[np.float64],
    rssi_dbm: NDArray[np.float64],
    *,
    sigma_db: float,
    heard_p: float = 0.0,
    floor_dbm: float = -math.inf,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Filtered and smoothed cell probabilities (T, rows * columns) of one visit, by dense matrices.

    power: nodes, their weights and the standard deviation left at a node.
    """
    prior = np.exp(locator.log_prior)
    prior = prior / prior.sum()
    node_db, node_weight, left_db = power
    start = np.kron(node_weight, prior.ravel())
    alpha, transitions, seen = [start], [], []
    for i in range(len(time_s)):
        gap = time_s[i] - time_s[i - 1] if i else None
        log_p = _track_likelihood(locator, rssi_dbm[i], node_db, left_db, sigma_db)
        log_p += _track_silence(locator, rssi_dbm[i], node_db, left_db, sigma_db, heard_p, floor_dbm)
        log_p = np.where(locator.log_prior > -1e20, log_p, -np.inf)
        again = 0.0 if gap is None else motion.repeat * math.exp(-gap / motion.repeat_s)
        nothing = np.isnan(rssi_dbm[i]).all() and heard_p == 0.0
        seen.append(1.0 if nothing else (np.exp((1 - again) * (log_p - log_p.max())) + 1e-6).ravel())
        transitions.append(
            np.eye(len(start)) if gap is None else _transition(prior, node_weight, gap, motion, locator.cell_m)
        )
        row = (alpha[-1] @ transitions[-1]) * seen[-1]
        alpha.append(row / row.sum())
    beta, smoothed = np.ones(len(start)), []
    for i in reversed(range(len(time_s))):
        both = alpha[i + 1] * beta
        smoothed.insert(0, both / both.sum())
        beta = transitions[i] @ (seen[i] * beta)
        beta /= beta.max()
    filtered, smooth = (np.array(p).reshape(len(time_s), len(node_db), -1).sum(axis=1) for p in (alpha[1:], smoothed))
    return filtered, smooth


def _track_likelihood(
    locator: Locator, rssi_dbm: NDArray[np.float64], node_db: NDArray[np.float64], left_db: float, sigma_db: float
) -> NDArray[np.float64]:
    """log P(what was heard | node, cell), up to a constant."""
    heard = ~np.isnan(rssi_dbm)
    residual = rssi_dbm[heard][:, None, None, None] - locator.expected_dbm[heard][:, None] - node_db[:, None, None]
    if locator.robust:
        return student_t.logpdf(residual, df=3, scale=STUDENT_SCALE * sigma_db).sum(axis=0)
    cov = sigma_db**2 * np.eye(heard.sum()) + left_db**2
    return -0.5 * np.einsum("iqrc,ij,jqrc->qrc", residual, np.linalg.inv(cov), residual)


def _track_silence(  # noqa: PLR0917
    locator: Locator,
    rssi_dbm: NDArray[np.float64],
    node_db: NDArray[np.float64],
    left_db: float,
    sigma_db: float,
    heard_p: float,
    floor_dbm: float,
) -> NDArray[np.float64]:
    """log P(the silent probes stayed silent | node, cell)."""
    mean = locator.expected_dbm[np.isnan(rssi_dbm)][:, None] + node_db[:, None, None]
    sd = math.hypot(sigma_db * (STUDENT_SCALE if locator.robust else 1.0), left_db)
    return np.log(1 - min(heard_p, 0.99) * (1 - ndtr((floor_dbm - mean) / sd))).sum(axis=0)


def _transition(
    prior: NDArray[np.float64], node_weight: NDArray[np.float64], gap_s: float, motion: Motion, cell_m: float
) -> NDArray[np.float64]:
    """Row-stochastic matrix over (node, cell): walk round walls, stand, change power, turn up anywhere."""
    rows, columns = prior.shape
    walk = np.zeros((prior.size, prior.size))
    for r, c in np.ndindex(rows, columns):
        for r2, c2 in ((r, c + 1), (r, c - 1), (r + 1, c), (r - 1, c)):
            if 0 <= r2 < rows and 0 <= c2 < columns and prior[r, c] > 0:
                walk[r * columns + c, r2 * columns + c2] = 0.2 * min(1.0, prior[r2, c2] / prior[r, c])
    turn = motion.turn_s
    variance = min(2 * motion.speed_m_s**2 * turn * (gap_s - turn * (1 - math.exp(-gap_s / turn))), 4.0)
    count = math.ceil(variance / (0.4 * cell_m**2))
    walk *= variance / (0.4 * cell_m**2 * max(count, 1))
    walk += np.diag(1 - walk.sum(axis=1))
    stand, hold, roam = (math.exp(-gap_s / s) for s in (motion.pause_s, motion.power_hold_s, motion.roam_s))
    place = stand * np.eye(prior.size) + (1 - stand) * np.linalg.matrix_power(walk, count)
    power = hold * np.eye(len(node_weight)) + (1 - hold) * node_weight
    anywhere = np.kron(node_weight, prior.ravel())
    return roam * np.kron(power, place) + (1 - roam) * anywhere


@dataclass
class Stay:
    device: int
    points: list[tuple[int, float, float]]
    start: int
    end: int
    before: int | None
    after: int | None = None

    def row(self) -> tuple[object, ...]:
        return (self.device, len(self.points), self.start, self.end, self.before, self.after)

    def mean(self) -> tuple[float, float]:
        return tuple(float(np.mean([p[axis] for p in self.points])) for axis in (1, 2))

    def likely_us(self) -> float:
        """Half of the way to the neighbours, each at most two mean intervals long."""
        if len(self.points) < 2:
            return 0
        most = 2 * (self.end - self.start) // (len(self.points) - 1)
        before = min(self.start - self.before, most) if self.before is not None else 0
        after = min(self.after - self.end, most) if self.after is not None else 0
        return self.end - self.start + (before + after) // 2


def edge_reach(d_m: float, gap_us: int, variances: float) -> float:
    """Where as many points of a walk are taken for stay as the other way round."""
    octave_s = 2.0 ** int(math.log2(gap_us | 1)) * 1.414e-6
    walk_m, spread = max(0.8 * octave_s, d_m / 2), (d_m / 3.2) ** 2 * variances
    excess = lambda r: math.exp(-r * r / (2 * spread)) - r / walk_m  # noqa: E731
    return d_m if excess(d_m) >= 0 else float(brentq(excess, 0, d_m, xtol=1e-12))


@dataclass
class SlowSegmenter:
    """One device at a time, keeping every point."""

    d_m: float
    t_s: float
    g_s: float
    running: dict[int, Stay] = field(default_factory=dict)
    waiting: dict[int, tuple[int, float, float]] = field(default_factory=dict)

    def add(self, device: int, t: int, x: float, y: float) -> list[Stay]:
        stay, waiting = self.running.get(device), self.waiting.pop(device, None)
        if stay is None:
            self.running[device] = Stay(device, [(t, x, y)], t, t, None)
            return []
        latest = waiting[0] if waiting else stay.points[-1][0]
        if t - latest > self.g_s * 1e6:
            stay.after = waiting[0] if waiting else t
            self.running[device] = Stay(device, [(t, x, y)], t, t, latest)
            return self._kept(stay)
        mx, my = stay.mean()
        away = math.hypot(x - mx, y - my)
        if away <= self.d_m:
            stay.points.append((t, x, y))
            if len(stay.points) == 2 and away > edge_reach(self.d_m, t - latest, 2.0):
                stay.start = stay.end = t
                stay.before = latest
            if away <= edge_reach(self.d_m, t - latest, 1.0):
                stay.end = t
            return []
        if waiting is None:
            self.waiting[device] = (t, x, y)
            return []
        stay.after = waiting[0]
        self.running[device] = Stay(device, [waiting], waiting[0], waiting[0], stay.end)
        return self._kept(stay) + self.add(device, t, x, y)

    def flush(self) -> list[Stay]:
        out = []
        for device in sorted(self.running):
            stay = self.running[device]
            stay.after = self.waiting[device][0] if device in self.waiting else None
            out += self._kept(stay)
        self.running.clear()
        self.waiting.clear()
        return out

    def _kept(self, stay: Stay) -> list[Stay]:
        return [stay] if stay.likely_us() >= self.t_s * 1e6 else []


def zone_events(times: list[int], p: list[float], patience_us: int) -> list[tuple[int, int]]:
    """[(enter, leave)] of one device and zone for a fixed patience, looking back over whole lists."""
    events, start, enter, last = [], 0, None, 0
    for i, t in enumerate(times):
        if i and t - times[i - 1] > patience_us:
            events += [(times[enter], times[last])] if enter is not None else []
            start, enter = i, None
        pair = p[max(i - 1, start) : i + 1]
        if enter is None and len(pair) == 2 and min(pair) > 0.7:
            enter = i - 1
        if enter is not None and p[i] >= 0.3:
            last = i
        if enter is not None and max(pair) < 0.3:
            events.append((times[enter], times[last]))
            enter = None
    return events + ([(times[enter], times[last])] if enter is not None else [])
