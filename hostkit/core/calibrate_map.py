"""Maps of expected RSSI: path loss plus what a survey walk found beyond it, by Gaussian-process regression per anchor.

One Matérn 3/2 kernel for all anchors; its length, amplitude and nugget by marginal likelihood, with weak priors so that
a handful of survey places gives the path loss back, and a walk through every room gives the walls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import BIN_M, Places, WalkFit, averaged, decades_of, folds_of, robust_rms, within_variance
from hostkit.core.calibrate_mixed import Floats

MAX_PLACES = 500  # of one anchor: squares grow until no anchor has more, since a fit costs places³
MAX_TRIED = 250  # of them are used to choose the kernel
LENGTHS_M = (0.75, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0)
AMPLITUDES_DB = (0.5, 1.0, 2.0, 3.0, 4.5, 6.5, 9.0)
NUGGETS_DB = (1.0, 1.7, 2.5, 3.5, 5.0)
TABLES = (LENGTHS_M, AMPLITUDES_DB, NUGGETS_DB)
# Log-normal priors: shadowing is correlated over 1 to 5 m indoors and of 3 to 6 dB (Gudmundson 1991, ITU-R P.1238).
LENGTH_M, LENGTH_LOG_SD = 2.0, 0.6
AMPLITUDE_DB, AMPLITUDE_LOG_SD = 3.0, 0.7
NUGGET_DB, NUGGET_LOG_SD = 2.0, 0.7
SWEEPS = 3
OUTLIER = 3.5  # residuals are pulled in to this many robust deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Covariance of residuals: amplitude² Matérn(distance / length), and a nugget at every square surveyed."""

    length_m: float
    amplitude_db: float
    nugget_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioMap:
    """What a survey taught about a grid: expected RSSI (K, rows, columns) float32 and the deviation of that mean.

    sigma_db (K,): of one window of readings about the map. place_share: of the error variance of a window the part that
    is the place's, not the moment's, and so stays while the device does. cross_validated_db: RMS of surveyed places
    whose 2 m square was left out of the map (not of the path loss below it, whose own is WalkFit.cross_validated_db).
    """

    x_m: Floats
    y_m: Floats
    expected_dbm: NDArray[np.float32]
    map_sigma_db: NDArray[np.float32]
    sigma_db: Floats
    place_share: float
    kernel: Kernel
    cross_validated_db: float | None
    places: int


def fit_map(
    walk: WalkFit,
    anchors_m: Floats,
    place_m: Floats,
    rssi_dbm: Floats,
    axes_m: tuple[Floats, Floats],
    *,
    device_height_m: float,
) -> RadioMap:
    """Map of the grid with cell centres `axes_m` (x, y) from the survey `walk` was fitted to (shapes as there)."""
    survey = _Residuals.of(walk, anchors_m, _bounded(place_m, rssi_dbm), device_height_m)
    kernel = survey.learnt()
    grid_x, grid_y = np.meshgrid(*axes_m)
    cells = np.column_stack((grid_x.ravel(), grid_y.ravel()))
    expected, spread = np.empty((2, len(anchors_m), len(cells)), np.float32)
    for k in range(len(anchors_m)):
        decades = decades_of(anchors_m, np.full(len(cells), k), cells, device_height_m)
        mean, variance = survey.predicted(k, cells, kernel)
        expected[k] = walk.expected_dbm(decades, k) + mean
        spread[k] = np.sqrt(variance)
    shape = (len(anchors_m), *grid_x.shape)
    place_variance = float((spread.astype(np.float64) ** 2).mean()) + kernel.nugget_db**2
    return RadioMap(
        x_m=axes_m[0],
        y_m=axes_m[1],
        expected_dbm=expected.reshape(shape),
        map_sigma_db=spread.reshape(shape),
        sigma_db=np.sqrt(survey.within + kernel.nugget_db**2),
        place_share=place_variance / (place_variance + float(survey.within.mean())),
        kernel=kernel,
        cross_validated_db=survey.cross_validated(kernel),
        places=len(survey.places.anchor),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residuals:
    places: Places
    residual_db: Floats
    within: Floats  # variance of one window at one place (K,)

    @classmethod
    def of(cls, walk: WalkFit, anchors_m: Floats, places: Places, device_height_m: float) -> "_Residuals":
        decades = decades_of(anchors_m, places.anchor, places.place_m, device_height_m)
        residual = places.rssi_dbm - walk.expected_dbm(decades, places.anchor)
        bound = OUTLIER * 1.4826 * float(np.median(np.abs(residual)))
        within = within_variance(places, len(anchors_m))
        return cls(places=places, residual_db=np.clip(residual, -bound, bound), within=within)

    def of_anchor(self, k: int, chosen: NDArray[np.bool_] | None = None) -> tuple[Floats, Floats, Floats]:
        """Places (N, 2), residuals and noise variance without the nugget (N,)."""
        mine = self.places.anchor == k
        if chosen is not None:
            mine &= chosen
        return self.places.place_m[mine], self.residual_db[mine], self.within[k] / self.places.count[mine]

    def learnt(self) -> Kernel:
        """Coordinate ascent of marginal likelihood times prior over the tables LENGTHS_M, AMPLITUDES_DB, NUGGETS_DB."""
        parts = [self._thinned(k) for k in range(len(self.within))]
        apart = [_distances(place, place) for place, _, _ in parts]
        known: dict[tuple[int, ...], float] = {}

        def score(at: tuple[int, ...]) -> float:
            if at not in known:
                kernel = _kernel(at)
                evidence = [_evidence(d, y, v, kernel) for d, (_, y, v) in zip(apart, parts, strict=True)]
                known[at] = _log_prior(kernel) + sum(evidence)
            return known[at]

        at = tuple(len(table) // 2 for table in TABLES)
        for step in range(SWEEPS * len(TABLES)):
            axis = step % len(TABLES)
            at = max((_with(at, axis, value) for value in range(len(TABLES[axis]))), key=score)
        return _kernel(at)

    def predicted(
        self, k: int, cells: Floats, kernel: Kernel, chosen: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats]:
        """Mean and variance (C,) of the residual of anchor k at `cells` (C, 2), from the chosen places."""
        place, residual, noise = self.of_anchor(k, chosen)
        if not len(place):
            return np.zeros(len(cells)), np.full(len(cells), kernel.amplitude_db**2)
        root = np.linalg.cholesky(_covariance(_distances(place, place), noise, kernel))
        across = _shared(_distances(cells, place), kernel)
        half = np.linalg.solve(root, across.T)
        mean = half.T @ np.linalg.solve(root, residual)
        return mean, np.maximum(kernel.amplitude_db**2 - (half**2).sum(axis=0), 0.0)

    def cross_validated(self, kernel: Kernel) -> float | None:
        fold = folds_of(self.places.place_m)
        if len(np.unique(fold)) < 2:
            return None
        error = np.empty(len(fold))
        for at in np.unique(fold):
            for k in range(len(self.within)):
                out = (fold == at) & (self.places.anchor == k)
                mean, _ = self.predicted(k, self.places.place_m[out], kernel, fold != at)
                error[out] = self.residual_db[out] - mean
        return robust_rms(error)

    def _thinned(self, k: int) -> tuple[Floats, Floats, Floats]:
        """Every n-th place of an anchor, so that a trial of a kernel is cheap."""
        place, residual, noise = self.of_anchor(k)
        step = -(-len(place) // MAX_TRIED) or 1
        return place[::step], residual[::step], noise[::step]


def _bounded(place_m: Floats, rssi_dbm: Floats) -> Places:
    """Places in squares of BIN_M, or larger ones until no anchor has more than MAX_PLACES."""
    bin_m = BIN_M
    while True:
        places = averaged(place_m, rssi_dbm, bin_m)
        if np.bincount(places.anchor).max() <= MAX_PLACES:
            return places
        bin_m *= 1.25


def _kernel(at: Sequence[int]) -> Kernel:
    length, amplitude, nugget = (table[index] for table, index in zip(TABLES, at, strict=True))
    return Kernel(length_m=length, amplitude_db=amplitude, nugget_db=nugget)


def _with(at: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*at[:axis], value, *at[axis + 1 :])


def _log_prior(kernel: Kernel) -> float:
    values = np.log((kernel.length_m, kernel.amplitude_db, kernel.nugget_db))
    centre, width = (
        np.log((LENGTH_M, AMPLITUDE_DB, NUGGET_DB)),
        np.array((LENGTH_LOG_SD, AMPLITUDE_LOG_SD, NUGGET_LOG_SD)),
    )
    return float(-0.5 * (((values - centre) / width) ** 2).sum())


def _distances(a: Floats, b: Floats) -> Floats:
    out: Floats = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    return out


def _shared(distance_m: Floats, kernel: Kernel) -> Floats:
    """Matérn 3/2 (Rasmussen & Williams 2006, 4.17)."""
    scaled = np.sqrt(3.0) * distance_m / kernel.length_m
    out: Floats = kernel.amplitude_db**2 * (1.0 + scaled) * np.exp(-scaled)
    return out


def _covariance(distance_m: Floats, noise: Floats, kernel: Kernel) -> Floats:
    return _shared(distance_m, kernel) + np.diag(noise + kernel.nugget_db**2)


def _evidence(distance_m: Floats, residual: Floats, noise: Floats, kernel: Kernel) -> float:
    """Log marginal likelihood of residuals (Rasmussen & Williams 2006, 2.30)."""
    if not len(residual):
        return 0.0
    root = np.linalg.cholesky(_covariance(distance_m, noise, kernel))
    half = np.linalg.solve(root, residual)
    return float(-0.5 * (half**2).sum() - np.log(np.diag(root)).sum() - 0.5 * len(half) * np.log(2.0 * np.pi))
