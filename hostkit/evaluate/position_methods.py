"""The product's positions of a recording: calibrated from a survey or from the readings alone, by each method."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import WalkFit, decades_of, fit_walk
from hostkit.core.calibrate_blind import BlindFit, fit_blind
from hostkit.core.calibrate_map import RadioMap, fit_map
from hostkit.core.locate import DEVICE_HEIGHT_M, Fixes, Locator, grid_axes
from hostkit.core.multilaterate import Solutions, multilaterate
from hostkit.core.ranging import burst_sigma
from hostkit.core.track import Motion, Tracker
from hostkit.evaluate.position_data import MIN_ANCHORS, Recording
from hostkit.field.readings import WEAKEST_DBM, Floats, Windows
from hostkit.model import Floor

CELLS = 3000  # about as many, at least 0.25 m wide: finer ones gain nothing against the noise of a reading
MIN_CELL_M = 0.25
MIN_SIGMA_DB = 1.0  # readings are whole dB and a window is no point
MARGIN_M, MARGIN_SHARE = 1.0, 0.1  # ground beyond the outermost anchors, where no survey tells how far it goes
SURVEYED_MARGIN_M = 0.5
BLIND_POWER_SIGMA_DB = 3.0  # what is not known of the level after `fit_blind`; a survey is of the very device
BLIND_REPEAT = 0.8  # without a map most of a link's error is the place's
MAX_REPEAT = 0.9
# On a flat optimum of errors and coverage over three walks (12 and 8 of 12 anchors) and five folds of a robot's drive.
SPEED_M_S, REPEAT_S = 0.85, 20.0
ELLIPSE_90 = 4.605  # 90 % quantile of chi-square with 2 degrees of freedom


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known before the first window: ground, radio map, and the log-distance law that textbook methods use.

    expected_dbm (K, rows, columns); sigma_db of one reading alike, or (K,); of the law (K,): level at 1 m, exponent and
    deviation of one reading; power_sigma_db: what is not known of the device's transmit power; repeat: as in `Motion`.
    """

    floor: Floor
    cell_m: float
    expected_dbm: NDArray[np.float32]
    sigma_db: NDArray[np.float32] | Floats
    power_sigma_db: float
    repeat: float
    anchors_m: Floats
    level_dbm: Floats
    exponent: Floats
    law_sigma_db: Floats
    fit: WalkFit | BlindFit
    radio_map: RadioMap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Places (W, 2), NaN where the method gives none, and their covariance (W, 2, 2); None for a method without one."""

    place_m: Floats
    covariance_m2: Floats | None = None

    def covers(self, truth_m: Floats) -> NDArray[np.bool_]:
        """Whether the 90 % ellipse of each fix holds the truth (W, 2)."""
        assert self.covariance_m2 is not None
        apart = truth_m - self.place_m
        (xx, xy), (_, yy) = np.moveaxis(self.covariance_m2, 0, -1)
        square = apart[:, 0] ** 2 * yy - 2.0 * apart[:, 0] * apart[:, 1] * xy + apart[:, 1] ** 2 * xx
        return np.asarray(square <= ELLIPSE_90 * (xx * yy - xy**2), np.bool_)


def learn(recording: Recording, windows: Windows, survey: Windows | None) -> Model:
    """Calibrate on the survey, or where there is none on the readings without any truth."""
    floor, cell_m = _ground(recording)
    axes = grid_axes(floor, cell_m)
    if survey is None or survey.place_m is None:
        return _blind(recording, windows, floor, cell_m)
    anchors = recording.anchors_m
    walk = fit_walk(anchors, survey.place_m, survey.rssi_dbm, device_height_m=DEVICE_HEIGHT_M)
    radio = fit_map(walk, anchors, survey.place_m, survey.rssi_dbm, axes, device_height_m=DEVICE_HEIGHT_M)
    averaging = _averaging(survey)
    noise = (np.maximum(radio.sigma_db, MIN_SIGMA_DB) / averaging)[:, None, None]
    level, exponent = walk.lines()
    return Model(
        floor=floor,
        cell_m=cell_m,
        expected_dbm=radio.expected_dbm,
        sigma_db=np.sqrt(noise**2 + radio.map_sigma_db**2).astype(np.float32),
        power_sigma_db=0.0,
        repeat=min(radio.place_share, MAX_REPEAT),
        anchors_m=anchors,
        level_dbm=level,
        exponent=exponent,
        law_sigma_db=np.array([max(one.sigma_db, MIN_SIGMA_DB) for one in walk.anchors]) / averaging,
        fit=walk,
        radio_map=radio,
    )


def grid(model: Model, windows: Windows) -> Track:
    """Each window by itself: no fix where fewer than three anchors were heard."""
    return _track(locator_of(model).fixes(windows.rssi_dbm, None, windows.frames), MIN_ANCHORS)


def grid_hmm(model: Model, windows: Windows) -> Track:
    """The whole recording as one visit: each window in the light of those before and after."""
    motion = Motion(speed_m_s=SPEED_M_S, repeat=model.repeat, repeat_s=REPEAT_S)
    tracker = Tracker(locator_of(model), motion)
    visit = np.zeros(len(windows.time_s), np.int64)
    return _track(tracker.smooth(visit, windows.time_s, windows.rssi_dbm, None, windows.frames), 0)


def locator_of(model: Model) -> Locator:
    """The product's Locator for a model."""
    return Locator.from_maps(
        model.expected_dbm,
        model.floor,
        (),
        np.full(len(model.expected_dbm), WEAKEST_DBM),
        sigma_db=model.sigma_db,
        power_sigma_db=model.power_sigma_db,
        cell_m=model.cell_m,
    )


def lm(model: Model, windows: Windows) -> Track:
    """Textbook multilateration of each window with the log-distance law; no fix where it does not converge."""
    found = multilaterate(
        windows.rssi_dbm,
        model.anchors_m,
        rssi_1m_dbm=model.level_dbm,
        exponent=model.exponent,
        sigma_db=model.law_sigma_db,
        power_sigma_db=model.power_sigma_db,
        frames=windows.frames,
    )
    return Track(place_m=np.column_stack((found.x_m, found.y_m)), covariance_m2=_covariance(found))


def _track(fixes: Fixes, least_anchors: int) -> Track:
    place = np.column_stack((fixes.x_m, fixes.y_m))
    place[fixes.n_probes < least_anchors] = np.nan
    return Track(place_m=place, covariance_m2=_covariance(fixes))


def _covariance(of: Fixes | Solutions) -> Floats:
    return np.stack((of.cov_xx, of.cov_xy, of.cov_xy, of.cov_yy), axis=1).reshape(-1, 2, 2)


def _ground(recording: Recording) -> tuple[Floor, float]:
    """Bounds of anchors and survey with a margin, and cells so that there are about CELLS."""
    known = recording.anchors_m[:, :2]
    if recording.survey is not None and recording.survey.place_m is not None:
        known = np.vstack((known, recording.survey.place_m))
        margin = SURVEYED_MARGIN_M
    else:
        margin = max(MARGIN_M, MARGIN_SHARE * float(np.ptp(known, axis=0).max()))
    (x0, y0), (x1, y1) = known.min(axis=0) - margin, known.max(axis=0) + margin
    cell_m = max(float(np.sqrt((x1 - x0) * (y1 - y0) / CELLS)), MIN_CELL_M)
    bounds = (float(x0), float(y0), float(x1), float(y1))
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    return Floor(id="ground", bounds_m=bounds, interior_m=tuple((float(x), float(y)) for x, y in corners)), cell_m


def _averaging(windows: Windows) -> float:
    """Deviation of a window's mean against that of a single reading, for the usual number of readings."""
    return float(burst_sigma(1.0, float(np.median(windows.frames[windows.frames > 0]))))


def _blind(recording: Recording, windows: Windows, floor: Floor, cell_m: float) -> Model:
    x_m, y_m = grid_axes(floor, cell_m)
    grid_x, grid_y = np.meshgrid(x_m, y_m)
    cells = np.column_stack((grid_x.ravel(), grid_y.ravel()))
    anchors = recording.anchors_m
    fit = fit_blind(anchors, windows.rssi_dbm, cells, device_height_m=DEVICE_HEIGHT_M)
    expected = [
        fit.expected_dbm(decades_of(anchors, np.full(len(cells), k), cells, DEVICE_HEIGHT_M), k)
        for k in range(len(anchors))
    ]
    sigma = np.full(len(anchors), fit.sigma_db / _averaging(windows))
    return Model(
        floor=floor,
        cell_m=cell_m,
        expected_dbm=np.stack(expected).reshape(-1, *grid_x.shape).astype(np.float32),
        sigma_db=sigma,
        power_sigma_db=BLIND_POWER_SIGMA_DB,
        repeat=BLIND_REPEAT,
        anchors_m=anchors,
        level_dbm=fit.rssi_1m_dbm + fit.offset_db,
        exponent=np.full(len(anchors), fit.exponent),
        law_sigma_db=sigma,
        fit=fit,
        radio_map=None,
    )
