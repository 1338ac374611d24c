"""Path loss fitted to readings at known places: offsets, exponents and noise of anchors. It draws no map.

A hierarchical regression: every anchor has its own offset and exponent, shrunk towards the common ones as far as the
data do not tell them apart, with Student-t errors. Variance components by EM; intervals from the posterior curvature.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core.calibrate_mixed import Floats, Ints, Mixed, mixed_fit
from hostkit.core.ranging import MIN_DISTANCE_M, normal_cdf
from hostkit.errors import InputError
from hostkit.model import Estimate

BIN_M = 0.3  # readings this close share their shadowing: they are averaged and count as one place
MIN_PLACES = 4  # fewer places of one anchor say nothing about its exponent
MIN_SPAN = 2.0  # ratio of the farthest to the nearest place below which level and exponent are one number
BLOCK_M, FOLDS = 2.0, 5  # cross-validation leaves out whole squares, since neighbours share shadowing

WITHIN_FREEDOM = 10.0  # degrees of freedom that all anchors' variance weighs against one anchor's

Z_90 = 1.645
CENSOR_ITERATIONS = 8

# Weak priors: what any 2.4 GHz transmitter and any building do (Rappaport 2002, table 4.2), and how unequal boards are.
LEVEL_DBM, LEVEL_SD_DB = -50.0, 20.0
EXPONENT, EXPONENT_SD = 2.5, 1.0
OFFSET_SPREAD_DB, EXPONENT_SPREAD = 3.0, 0.25

METHOD = "hierarchical Student-t regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorFit:
    """One anchor: offset against the common level, own exponent, noise of one reading, and what it rests on.

    `lacks` says what its own survey lacks, where offset and exponent lean on the other anchors; else it is empty.
    """

    offset_db: Estimate
    exponent: Estimate
    sigma_db: float
    points: int
    places: int
    lacks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkFit:
    """RSSI(d) = rssi_1m_dbm + offset_k - 10 exponent_k log10 d + noise. All intervals are of 90 %.

    sigma_db: noise of one reading; within_db: its part that differs at one and the same place; residual_db: RMS of
    places about the fit; cross_validated_db: the same for places whose 2 m square was left out (None: one square).
    """

    rssi_1m_dbm: Estimate
    exponent: Estimate
    sigma_db: float
    within_db: float
    residual_db: float
    cross_validated_db: float | None
    anchors: tuple[AnchorFit, ...]
    points: int
    places: int

    def lines(self) -> tuple[Floats, Floats]:
        """Level at 1 m and exponent of each anchor (K,)."""
        level = np.array([_value(self.rssi_1m_dbm) + _value(a.offset_db) for a in self.anchors])
        return level, np.array([_value(a.exponent) for a in self.anchors])

    def expected_dbm(self, decades: Floats, anchor: Ints | int) -> Floats:
        """Mean RSSI at distances of 10^decades m (...) from the anchors with indices (...)."""
        level, exponent = self.lines()
        return np.asarray(level[anchor] - 10.0 * exponent[anchor] * decades, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Readings of one anchor averaged over squares of a floor: anchor, centre (N, 2), mean, count, within-variance."""

    anchor: Ints
    place_m: Floats
    rssi_dbm: Floats
    count: Floats
    square_sum: Floats  # of deviations from the mean, dB²

    def where(self, chosen: NDArray[np.bool_]) -> "Places":
        """Those of the mask (N,)."""
        return Places(
            anchor=self.anchor[chosen],
            place_m=self.place_m[chosen],
            rssi_dbm=self.rssi_dbm[chosen],
            count=self.count[chosen],
            square_sum=self.square_sum[chosen],
        )


def fit_walk(
    anchors_m: ArrayLike,
    place_m: ArrayLike,
    rssi_dbm: ArrayLike,
    *,
    device_height_m: float,
    floors_dbm: ArrayLike | None = None,
    own_exponents: bool = True,
) -> WalkFit:
    """Fit to a survey walk.

    anchors_m (K, 3); place_m (N, 2): where the device truly was; rssi_dbm (N, K): what each anchor read there, NaN:
    nothing. floors_dbm (K,): the weakest an anchor hears, if all listened all the time: NaN then tells that the
    reading was below (Tobit, by EM); without it NaN tells nothing. With `own_exponents` false all anchors share one.
    InputError: places that fix no path loss.
    """
    anchors, place, rssi = checked_survey(anchors_m, place_m, rssi_dbm)
    if not np.isfinite(rssi).any():
        raise _bad("no readings", f"walk about with a device that all {len(anchors)} anchors hear")
    model = _Model(anchors_m=anchors, device_height_m=device_height_m, own_exponents=own_exponents)
    places = averaged(place, rssi if floors_dbm is None else _uncensored(model, place, rssi, floors_dbm))
    _check_span(places, model.decades(places))
    return _walk_fit(model, places, np.isfinite(rssi).sum(axis=0))


def averaged(place_m: Floats, rssi_dbm: Floats, bin_m: float = BIN_M) -> Places:
    """Average each anchor's readings (N, K) over squares of `bin_m`; the centre is that of the readings."""
    point, anchor = np.nonzero(np.isfinite(rssi_dbm))
    square = np.floor((place_m[point] - place_m.min(axis=0)) / bin_m).astype(np.int64)
    _, at = np.unique(np.column_stack((anchor, square)), axis=0, return_inverse=True)
    at = at.ravel()
    count = np.bincount(at).astype(np.float64)
    value = rssi_dbm[point, anchor]
    mean = np.bincount(at, value) / count
    first = np.zeros(len(count), np.int64)
    first[at] = anchor
    return Places(
        anchor=first,
        place_m=np.column_stack([np.bincount(at, place_m[point, axis]) / count for axis in (0, 1)]),
        rssi_dbm=mean,
        count=count,
        square_sum=np.asarray(np.bincount(at, (value - mean[at]) ** 2), np.float64),
    )


def within_variance(places: Places, anchors: int) -> Floats:
    """Variance (K,) of readings at one place, dB²; few readings of an anchor lean on all anchors'.

    0 where hardly any place was read twice: then all noise counts as differing from place to place.
    """
    freedom = np.bincount(places.anchor, places.count - 1.0, anchors)
    total = np.bincount(places.anchor, places.square_sum, anchors)
    if freedom.sum() < 2.0 * WITHIN_FREEDOM:
        return np.zeros(anchors)
    common = total.sum() / freedom.sum()
    variance: Floats = (total + WITHIN_FREEDOM * common) / (freedom + WITHIN_FREEDOM)
    return variance


def estimate(value: float, sd: float, method: str = METHOD) -> Estimate:
    """90 % interval of a value with Gaussian error."""
    return Estimate(value=value, low=value - Z_90 * sd, high=value + Z_90 * sd, method=method)


def checked_survey(anchors_m: ArrayLike, place_m: ArrayLike, rssi_dbm: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Arrays (K, 3), (N, 2), (N, K) of a survey, InputError where they are none; infinite readings become NaN."""
    anchors, place, rssi = (np.asarray(a, np.float64) for a in (anchors_m, place_m, rssi_dbm))
    fits = anchors.ndim == place.ndim == rssi.ndim == 2 and anchors.shape[1] == 3 and place.shape[1] == 2
    if not fits or rssi.shape != (len(place), len(anchors)):
        raise _bad(f"shapes {anchors.shape}, {place.shape}, {rssi.shape}", "pass (K, 3), (N, 2) and (N, K)")
    if not (np.isfinite(anchors).all() and np.isfinite(place).all()):
        raise _bad("a place is not finite", "give every anchor and every point its coordinates in metres")
    return anchors, place, np.where(np.isfinite(rssi), rssi, np.nan)


def decades_of(anchors_m: Floats, anchor: Ints, place_m: Floats, device_height_m: float) -> Floats:
    """log10 of the distance (N,) in metres from places (N, 2) at device height to anchors (K, 3) with indices (N,)."""
    to = anchors_m[anchor]
    flat = ((place_m - to[:, :2]) ** 2).sum(axis=1)
    out: Floats = np.log10(np.maximum(np.sqrt(flat + (to[:, 2] - device_height_m) ** 2), MIN_DISTANCE_M))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """The fitted lines: levels at 1 m (K,), exponents (K,), and what they came from."""

    level_dbm: Floats
    exponent: Floats
    within: Floats
    mixed: Mixed
    middle: float

    def expected_dbm(self, anchor: Ints, decades: Floats) -> Floats:
        return self.level_dbm[anchor] - 10.0 * self.exponent[anchor] * decades


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    anchors_m: Floats
    device_height_m: float
    own_exponents: bool

    def decades(self, places: Places) -> Floats:
        return decades_of(self.anchors_m, places.anchor, places.place_m, self.device_height_m)

    def fit(self, places: Places) -> _Lines:
        """Offsets are taken at the mean distance, where they and the exponents are least alike."""
        anchors, decades = len(self.anchors_m), self.decades(places)
        middle = float(decades.mean())
        within = within_variance(places, anchors)
        member = (places.anchor[:, None] == np.arange(anchors)).astype(np.float64)
        slope = -10.0 * (decades - middle)
        mixed = mixed_fit(
            np.column_stack((np.ones(len(slope)), slope, member, member * slope[:, None])),
            places.rssi_dbm,
            within[places.anchor] / places.count,
            group=np.repeat([0, 1, 2, 3], [1, 1, anchors, anchors]),
            centre=np.concatenate(([LEVEL_DBM, EXPONENT], np.zeros(2 * anchors))),
            spread=np.array([LEVEL_SD_DB, EXPONENT_SD, OFFSET_SPREAD_DB, EXPONENT_SPREAD * self.own_exponents]),
        )
        exponent = mixed.value[1] + mixed.value[2 + anchors :]
        level = mixed.value[0] + mixed.value[2 : 2 + anchors] + 10.0 * middle * exponent
        return _Lines(level_dbm=level, exponent=exponent, within=within, mixed=mixed, middle=middle)


def _check_span(places: Places, decades: Floats) -> None:
    if len(np.unique(np.round(places.place_m / BIN_M), axis=0)) < MIN_PLACES:
        raise _bad(
            f"readings at fewer than {MIN_PLACES} places {BIN_M} m apart", "walk on: at least 20 places, near and far"
        )
    if np.ptp(decades) < np.log10(MIN_SPAN):
        raise _bad(
            f"all places are alike in distance (the farthest below {MIN_SPAN:g} times the nearest)",
            "add places near the anchors and far from them",
        )


def _uncensored(model: _Model, place: Floats, rssi: Floats, floors_dbm: ArrayLike) -> Floats:
    """Put E[reading | it is below the floor] in place of what was not heard (EM for a Tobit model)."""
    anchors = len(model.anchors_m)
    floors = np.asarray(floors_dbm, np.float64)
    if floors.shape != (anchors,) or not np.isfinite(floors).all():
        raise _bad(f"floors_dbm of shape {floors.shape}", f"give {anchors} finite floors")
    missed = np.isnan(rssi)
    filled = np.where(missed, floors, rssi)
    everyone = np.broadcast_to(np.arange(anchors), rssi.shape)
    decades = np.column_stack(
        [decades_of(model.anchors_m, column, place, model.device_height_m) for column in everyone.T]
    )
    for _ in range(CENSOR_ITERATIONS if missed.any() else 0):
        lines = model.fit(averaged(place, filled))
        mean = lines.expected_dbm(everyone, decades)
        sigma = np.sqrt(lines.mixed.scale_db**2 + lines.within)
        z = np.clip((floors - mean) / sigma, -8.0, 8.0)
        hazard = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi) / np.maximum(normal_cdf(z), 1e-15)
        filled = np.where(missed, mean - sigma * hazard, rssi)
    return filled


def _walk_fit(model: _Model, places: Places, points: Ints) -> WalkFit:
    lines, decades, anchors = model.fit(places), model.decades(places), len(points)
    contrast = _contrasts(anchors, lines.middle)
    value = contrast @ lines.mixed.value
    sd = np.sqrt(np.diag(contrast @ lines.mixed.covariance @ contrast.T))
    figure = [estimate(float(v), float(s)) for v, s in zip(value, sd, strict=True)]
    rms = robust_rms(places.rssi_dbm - lines.expected_dbm(places.anchor, decades))
    between = max(rms**2 - float((lines.within[places.anchor] / places.count).mean()), 0.0)
    return WalkFit(
        rssi_1m_dbm=figure[0],
        exponent=figure[1],
        sigma_db=float(np.sqrt(between + lines.within.mean())),
        within_db=float(np.sqrt(lines.within.mean())),
        residual_db=rms,
        cross_validated_db=_cross_validated(model, places),
        anchors=tuple(
            AnchorFit(
                offset_db=figure[2 + k],
                exponent=figure[2 + anchors + k],
                sigma_db=float(np.sqrt(between + lines.within[k])),
                points=int(points[k]),
                places=int((places.anchor == k).sum()),
                lacks=_lacks(decades[places.anchor == k]),
            )
            for k in range(anchors)
        ),
        points=int(points.sum()),
        places=len(decades),
    )


def _contrasts(anchors: int, middle: float) -> Floats:
    """Rows: mean level at 1 m, mean exponent, offset of each anchor at 1 m against that, exponent of each anchor."""
    mean = np.full((anchors, anchors), 1.0 / anchors)
    apart = np.eye(anchors) - mean
    one, zero, none, column = np.ones((1, 1)), np.zeros((1, 1)), np.zeros((1, anchors)), np.zeros((anchors, 1))
    reach = 10.0 * middle
    return np.block(
        [
            [one, one * reach, mean[:1], mean[:1] * reach],
            [zero, one, none, mean[:1]],
            [column, column, apart, apart * reach],
            [column, column + 1.0, np.zeros((anchors, anchors)), np.eye(anchors)],
        ]
    )


def _lacks(decades: Floats) -> str:
    if len(decades) < MIN_PLACES:
        return f"{len(decades)} places, needs {MIN_PLACES}"
    if np.ptp(decades) < np.log10(MIN_SPAN):
        return f"its farthest place is below {MIN_SPAN:g} times its nearest"
    return ""


def robust_rms(residual: Floats) -> float:
    """RMS with what lies beyond 3 robust deviations pulled in to there; 0 for none."""
    if not len(residual):
        return 0.0
    bound = 3.0 * 1.4826 * float(np.median(np.abs(residual)))
    return float(np.sqrt((np.clip(residual, -bound, bound) ** 2).mean()))


def folds_of(place_m: Floats) -> Ints:
    """Fold of each place (N,) by its square of BLOCK_M, neighbours apart."""
    square = np.floor(place_m / BLOCK_M).astype(np.int64)
    return np.asarray((square[:, 0] + 2 * square[:, 1]) % FOLDS, np.int64)


def _cross_validated(model: _Model, places: Places) -> float | None:
    fold = folds_of(places.place_m)
    left_out = np.full(len(fold), np.nan)
    for at in np.unique(fold):
        out = fold == at
        if len(np.unique(places.place_m[~out], axis=0)) >= MIN_PLACES:
            tested = places.where(out)
            expected = model.fit(places.where(~out)).expected_dbm(tested.anchor, model.decades(tested))
            left_out[out] = tested.rssi_dbm - expected
    known = left_out[np.isfinite(left_out)]
    return robust_rms(known) if len(known) else None


def _value(figure: Estimate) -> float:
    assert figure.value is not None
    return figure.value


def _bad(what: str, next_step: str) -> InputError:
    return InputError(what, where="calibration", next_step=next_step)
