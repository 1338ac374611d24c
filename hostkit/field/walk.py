"""A survey walk: readings at known places → path loss and offsets of site.toml, tried on held-out squares."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import MIN_PLACES, WalkFit, fit_walk, folds_of, robust_rms
from hostkit.core.calibrate_mixed import Floats
from hostkit.core.locate import DEVICE_HEIGHT_M
from hostkit.core.places import PlaceModel
from hostkit.errors import InputError
from hostkit.field import exchanged
from hostkit.field.ground import Corner, Ground, check_way_round, corners
from hostkit.field.readings import SURVEY_SQUARE_M, Windows
from hostkit.field.trial import Check, Held, Mark, Need, Note, ProbeRow, Trial
from hostkit.hub.adjust import changes_of, with_values
from hostkit.model import Estimate, Site

LEAST_POINTS = 20  # marked points: fewer leave a probe's own offset to chance
LEAST_PROBES = 3  # a position needs them
ERROR_SHARE = 0.75  # of guessing the centre: a worse survey is not worth its walk
NOISE_DB = 10.0  # about the fitted law; an open shop has 4 to 7, a stock room full of metal 9
EXPONENTS = (1.5, 5.0)  # free space is 2, a corridor guides to 1.6, dense shelves 4 (ITU-R P.1238)
BOUNDS: Mapping[str, tuple[float, float]] = {  # of site.toml, with room
    "rssi_1m_dbm": (-110.0, -10.0), "exponent": (1.0, 8.0), "sigma_db": (1.0, 25.0), "offset_db": (-39.0, 39.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Windows of readings at known places: place (W, 2), mean RSSI (W, K), frames (W, K); K probes of the ground."""

    place_m: Floats
    rssi_dbm: Floats
    frames: NDArray[np.int64]
    source: str

    @classmethod
    def of(cls, windows: Windows, source: str) -> "Survey":
        """Take windows that have places."""
        assert windows.place_m is not None
        return cls(place_m=windows.place_m, rssi_dbm=windows.rssi_dbm, frames=windows.frames, source=source)

    def squares(self) -> NDArray[np.int64]:
        """Number of each window's square of SURVEY_SQUARE_M (W,): one square is one point."""
        square = np.floor(self.place_m / SURVEY_SQUARE_M)
        return np.asarray(np.unique(square, axis=0, return_inverse=True)[1].ravel(), np.int64)


def walk_trial(site: Site, ground: Ground, survey: Survey, *, phone: bool) -> Trial:
    """Try a survey. `phone` false: of a tag, whose own level says nothing of phones and is not taken.

    InputError for readings that cannot belong to those places.
    """
    needs = _needs(ground, survey)
    areas = corners(ground.floor, survey.place_m)
    if not all(need.met for need in needs):
        missing = tuple(Note(word="corner", values=(one.text(),)) for one in areas if one.missing)
        return Trial(kind="walk", unit="m", source=survey.source, needs=needs, weak=missing)
    check_way_round(ground, survey.place_m, survey.rssi_dbm, survey.source)
    exchanged.check_walk(ground, survey.place_m, survey.rssi_dbm, survey.source)
    fit, shared = (_fit(ground, survey, own_exponents=own) for own in (True, False))
    before = _errors(site, ground, survey)
    after = _held_out(site, ground, survey, phone=phone)
    naive = np.hypot(*(survey.place_m - np.asarray(ground.centre_m)).T)
    held = Held(before=float(before.mean()), after=float(after.mean()), naive=float(naive.mean()))
    rows = _rows(ground, fit, shared)
    marks = _marks(survey, before, after)
    return Trial(
        kind="walk",
        unit="m",
        source=survey.source,
        needs=needs,
        held=held,
        checks=_checks(held, fit, rows, areas),
        changes=changes_of(site, values_of(ground, shared, phone=phone)),
        columns=("rssi_1m", "exponent", "offset", "sigma"),
        rows=rows,
        marks=marks,
        weak=_weak(rows, areas, marks),
    )


def values_of(ground: Ground, fit: WalkFit, *, phone: bool) -> dict[str, float]:
    """Give what a fit makes of site.toml's numbers, within what site.toml may say.

    One exponent for all probes: with one each, errors of held-out squares were 1 to 5 % larger in eight of nine
    recorded walks and 1 % smaller in simulated ones.
    """
    level, exponent = fit.lines()
    values = {
        "path_loss.rssi_1m_dbm": float(level.mean()),
        "path_loss.exponent": float(exponent.mean()),
        "path_loss.sigma_db": fit.sigma_db,
    }
    if not phone:
        del values["path_loss.rssi_1m_dbm"]
    for name, one, anchor in zip(ground.names, level - level.mean(), fit.anchors, strict=True):
        if anchor.places:
            values[f"probes.{name}.offset_db"] = float(one)
    return {key: float(np.clip(value, *BOUNDS[key.rpartition(".")[2]])) for key, value in values.items()}


def positions(site: Site, ground: Ground, rssi_dbm: Floats, frames: NDArray[np.int64]) -> Floats:
    """Where the hub would put readings (W, K), each window by itself (W, 2); the centre where it gives no position."""
    wide = np.full((len(rssi_dbm), len(site.probes)), np.nan, np.float32)
    heard = np.zeros(wide.shape, np.uint16)
    wide[:, ground.probes] = rssi_dbm
    heard[:, ground.probes] = np.minimum(frames, 1000)
    places = _places(site).place(wide, heard)
    found = np.column_stack((places.x_m, places.y_m))
    return np.where(np.isfinite(found), found, ground.centre_m)


@lru_cache(maxsize=4)
def _places(site: Site) -> PlaceModel:
    return PlaceModel(site)


def _needs(ground: Ground, survey: Survey) -> tuple[Need, ...]:
    heard = np.isfinite(survey.rssi_dbm)
    squares = survey.squares()
    with_places = sum(len(np.unique(squares[column])) >= MIN_PLACES for column in heard.T)
    points = len(np.unique(squares[heard.any(axis=1)]))
    return (
        Need(word="points", have=points, least=LEAST_POINTS),
        Need(word="probes", have=with_places, least=LEAST_PROBES),
    )


def _fit(ground: Ground, survey: Survey, *, own_exponents: bool) -> WalkFit:
    free = survey.rssi_dbm + ground.losses_db(survey.place_m)
    return fit_walk(ground.places_m, survey.place_m, free, device_height_m=DEVICE_HEIGHT_M, own_exponents=own_exponents)


def _errors(site: Site, ground: Ground, survey: Survey) -> Floats:
    found = positions(site, ground, survey.rssi_dbm, survey.frames)
    return np.asarray(np.hypot(*(found - survey.place_m).T), np.float64)


def _held_out(site: Site, ground: Ground, survey: Survey, *, phone: bool) -> Floats:
    """Error of each window (W,) where its 2 m square, and with it a fifth of all, was left out of the fit."""
    fold, error = folds_of(survey.place_m), np.empty(len(survey.place_m))
    for at in np.unique(fold):
        out = fold == at
        try:
            fit = _fit(ground, _where(survey, ~out), own_exponents=False)
        except InputError as cause:
            step = "stand at more points, spread over the shop"
            raise InputError("too few places to leave any out", where=survey.source, next_step=step) from cause
        error[out] = _errors(with_values(site, values_of(ground, fit, phone=phone)), ground, _where(survey, out))
    return error


def _where(survey: Survey, chosen: NDArray[np.bool_]) -> Survey:
    return Survey(
        place_m=survey.place_m[chosen],
        rssi_dbm=survey.rssi_dbm[chosen],
        frames=survey.frames[chosen],
        source=survey.source,
    )


def _rows(ground: Ground, fit: WalkFit, shared: WalkFit) -> tuple[ProbeRow, ...]:
    """Level and exponent of each probe by itself, and its offset as it is set: with one exponent for all."""
    (level, exponent), (common, _) = fit.lines(), shared.lines()
    rows = []
    for at, (name, anchor) in enumerate(zip(ground.names, fit.anchors, strict=True)):
        offset = float(common[at] - common.mean())
        weak = None
        if anchor.lacks:
            weak = Note(word="probe_few", values=(name, str(anchor.places)))
        elif exponent_is_odd(anchor.exponent):
            weak = Note(word="probe_odd", values=(name, f"{exponent[at]:.1f}"))
        figures = (float(level[at]), float(exponent[at]), offset, anchor.sigma_db)
        rows.append(ProbeRow(name=name, figures=figures, readings=anchor.points, weak=weak))
    return tuple(rows)


def _marks(survey: Survey, before: Floats, after: Floats) -> tuple[Mark, ...]:
    square = survey.squares()
    count = np.bincount(square)
    columns = (survey.place_m[:, 0], survey.place_m[:, 1], before, after)
    means = np.column_stack([np.bincount(square, column) / count for column in columns])
    return tuple(Mark(x_m=x, y_m=y, before=was, after=now) for x, y, was, now in means.tolist())


def _checks(held: Held, fit: WalkFit, rows: tuple[ProbeRow, ...], areas: tuple[Corner, ...]) -> tuple[Check, ...]:
    assert held.naive is not None
    assert fit.exponent.value is not None
    noise = fit.residual_db if fit.cross_validated_db is None else fit.cross_validated_db
    covered = sum(not one.missing for one in areas)
    return (
        Check(word="error", value=held.after, limit=ERROR_SHARE * held.naive, unit="m"),
        Check(word="noise", value=noise, limit=NOISE_DB, unit="dB"),
        exponent_check(fit.exponent.value),
        Check(word="corners", value=covered, limit=len(areas), unit="", most=False),
        Check(word="probes_ready", value=sum(row.weak is None for row in rows), limit=len(rows), unit="", most=False),
    )


def exponent_check(exponent: float) -> Check:
    """Hold an exponent against the nearer of its two limits."""
    low, high = EXPONENTS
    if exponent < (low + high) / 2:
        return Check(word="exponent", value=exponent, limit=low, unit="", most=False)
    return Check(word="exponent", value=exponent, limit=high, unit="")


def exponent_is_odd(exponent: Estimate) -> bool:
    """Whether all of its 90 % interval lies outside the limits."""
    assert exponent.low is not None
    assert exponent.high is not None
    return exponent.high < EXPONENTS[0] or exponent.low > EXPONENTS[1]


def _weak(rows: tuple[ProbeRow, ...], areas: tuple[Corner, ...], marks: tuple[Mark, ...]) -> tuple[Note, ...]:
    notes = [Note(word="corner", values=(one.text(),)) for one in areas if one.missing]
    notes += [row.weak for row in rows if row.weak is not None]
    worst = max(marks, key=lambda mark: mark.after)
    if worst.after > 2.0 * robust_rms(np.array([mark.after for mark in marks])):
        notes.append(Note(word="worst", values=(f"{worst.x_m:.1f}", f"{worst.y_m:.1f}", f"{worst.after:.1f}")))
    return tuple(notes)
