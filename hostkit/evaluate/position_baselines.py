"""How else positions are computed from RSSI: textbook methods, each by the window. None is in the product."""

import numpy as np

from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.evaluate.extras import imported
from hostkit.evaluate.position_data import MIN_ANCHORS
from hostkit.evaluate.position_methods import Model, Track
from hostkit.field.readings import Floats, Windows

NEIGHBOURS = 5
PART_NUMBERS = 4_000_000  # distances held at a time


def centre(anchors_m: Floats, windows: Windows) -> Track:
    """The middle of the anchors' bounding box, whatever is heard."""
    corner = anchors_m[:, :2]
    middle = 0.5 * (corner.min(axis=0) + corner.max(axis=0))
    return Track(place_m=np.tile(middle, (len(windows.time_s), 1)))


def weighted_centroid(anchors_m: Floats, windows: Windows) -> Track:
    """Anchors weighted by received power."""
    weight = np.where(np.isnan(windows.rssi_dbm), 0.0, 10.0 ** (windows.rssi_dbm / 10.0))
    return Track(place_m=weight @ anchors_m[:, :2] / weight.sum(axis=1, keepdims=True))


def nls(model: Model, windows: Windows) -> Track:
    """Least squares of distances that the log-distance law gives, by SciPy, from the anchors' middle.

    InputError where SciPy is missing.
    """
    least_squares = imported("scipy.optimize").least_squares
    anchors = model.anchors_m[:, :2]
    distance = 10.0 ** ((model.level_dbm - windows.rssi_dbm) / (10.0 * model.exponent))
    place = np.full((len(distance), 2), np.nan)
    for row, known in enumerate(np.isfinite(distance)):
        if known.sum() >= MIN_ANCHORS:
            place[row] = least_squares(_residual, anchors.mean(axis=0), args=(anchors[known], distance[row, known])).x
    return Track(place_m=place)


def knn(windows: Windows, survey: Windows) -> Track:
    """Mean place of the NEIGHBOURS survey windows with the nearest RSSI; what is not heard counts as just too weak."""
    assert survey.place_m is not None
    silent = min(np.nanmin(survey.rssi_dbm), np.nanmin(windows.rssi_dbm)) - 1.0
    known = np.nan_to_num(survey.rssi_dbm, nan=silent)
    asked = np.nan_to_num(windows.rssi_dbm, nan=silent)
    nearest = min(NEIGHBOURS, len(known))
    place = np.empty((len(asked), 2))
    step = max(1, PART_NUMBERS // len(known))
    for start in range(0, len(asked), step):
        part = slice(start, start + step)
        square = (known**2).sum(axis=1) - 2.0 * asked[part] @ known.T
        place[part] = survey.place_m[np.argpartition(square, nearest - 1, axis=1)[:, :nearest]].mean(axis=1)
    return Track(place_m=place)


def _residual(place: Floats, anchors: Floats, distance: Floats) -> Floats:
    out: Floats = np.maximum(np.hypot(*(place - anchors).T), MIN_DISTANCE_M) - distance
    return out
