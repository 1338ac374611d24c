"""Slow twins of the position and dwell kernels, written from the definitions and in plain Python or SciPy."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from hostkit.core.locate import Locator
from hostkit.core.ranging import SHADOW_SHARE


def grid_posterior(
    locator: Locator,
    rssi_dbm: NDArray[np.float64],
    heard_p: NDArray[np.float64],
    *,
    floors_dbm: NDArray[np.float64],
    sigma_db: float,
    power_sigma_db: float,
    frames: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Posterior (rows, columns) of one burst with the full covariance matrix of its links, no Sherman–Morrison."""
    heard, silent = ~np.isnan(rssi_dbm), np.isnan(rssi_dbm)
    n = np.ones(len(rssi_dbm)) if frames is None else np.maximum(frames, 1)
    link = sigma_db**2 * (SHADOW_SHARE + (1 - SHADOW_SHARE) / n)
    cov = np.diag(link[heard]) + power_sigma_db**2
    log_p = np.zeros(locator.expected_dbm.shape[1:])
    for row, column in np.ndindex(log_p.shape):
        mean = locator.expected_dbm[:, row, column]
        power, power_var = 0.0, power_sigma_db**2
        if heard.any():
            residual = rssi_dbm[heard] - mean[heard]
            log_p[row, column] = multivariate_normal.logpdf(residual, cov=cov)
            gain = power_sigma_db**2 * np.linalg.solve(cov, np.ones(len(cov)))
            power, power_var = gain @ residual, power_sigma_db**2 * (1 - gain.sum())
        below = ndtr((floors_dbm - mean - power) / math.sqrt(sigma_db**2 + power_var))
        log_p[row, column] += np.log(1 - np.minimum(heard_p, 0.99) * (1 - below))[silent].sum()
    weight = np.exp(log_p - log_p.max())
    return weight / weight.sum()


@dataclass
class Stay:
    device: int
    points: list[tuple[int, float, float]]
    before: int | None
    after: int | None

    def row(self) -> tuple[object, ...]:
        times = [t for t, _, _ in self.points]
        return (self.device, len(times), times[0], times[-1], self.before, self.after)

    def mean(self) -> tuple[float, float]:
        return tuple(float(np.mean([p[axis] for p in self.points])) for axis in (1, 2))


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
            self.running[device] = Stay(device, [(t, x, y)], None, None)
            return []
        latest = waiting[0] if waiting else stay.points[-1][0]
        if t - latest > self.g_s * 1e6:
            stay.after = waiting[0] if waiting else t
            self.running[device] = Stay(device, [(t, x, y)], latest, None)
            return self._kept(stay)
        mx, my = stay.mean()
        if math.hypot(x - mx, y - my) <= self.d_m:
            stay.points.append((t, x, y))
            return []
        if waiting is None:
            self.waiting[device] = (t, x, y)
            return []
        stay.after = waiting[0]
        self.running[device] = Stay(device, [waiting], stay.points[-1][0], None)
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
        return [stay] if stay.points[-1][0] - stay.points[0][0] >= self.t_s * 1e6 else []


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
