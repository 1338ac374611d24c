"""Path loss from probes that hear each other: transmit and receive offsets, exponent, noise. It needs no survey.

What is identifiable: only sums transmit_i + receive_j are seen, so that both kinds of offset are given against their
own mean, and rssi_1m_dbm is that of the mean probe heard by the mean probe; a phone's transmit power is not in it.
Receive offsets and the exponent carry over to phones as far as phones are heard from where probes stand: probes hang
high and see each other, so that the exponent is rather too low for a phone in a crowd. Both directions of a pair share
their shadowing, which is a random effect of the pair.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hostkit.core.calibrate import (
    EXPONENT,
    EXPONENT_SD,
    LEVEL_DBM,
    LEVEL_SD_DB,
    MIN_SPAN,
    OFFSET_SPREAD_DB,
    estimate,
    robust_rms,
)
from hostkit.core.calibrate_mixed import Floats, Ints, Mixed, mixed_fit
from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.errors import InputError
from hostkit.model import Estimate

PAIR_SPREAD_DB = 4.0  # shadowing of a link (ITU-R P.1238, office: 4 to 10 dB about its own law)
MAX_PROBES = 32  # every pair is a coefficient
MIN_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFit:
    """RSSI at j of i = rssi_1m_dbm + transmit_db[i] + receive_db[j] - 10 exponent log10 d_ij + noise; 90 % intervals.

    sigma_db: noise of a link about the law, its pair's shadowing included; residual_db: RMS of links about the fit
    without it. heard (K,): links each probe was heard on or hears; a probe of 0 has the prior's offsets.
    """

    rssi_1m_dbm: Estimate
    exponent: Estimate
    transmit_db: tuple[Estimate, ...]
    receive_db: tuple[Estimate, ...]
    sigma_db: float
    residual_db: float
    cross_validated_db: float
    heard: tuple[int, ...]
    links: int
    readings: int


def fit_links(probes_m: ArrayLike, sender: ArrayLike, receiver: ArrayLike, rssi_dbm: ArrayLike) -> LinkFit:
    """Fit to readings (N,) that probe `receiver` had of frames of probe `sender`, indices into probes_m (K, 3).

    Readings of one link are averaged; infinite ones and NaN are left out. InputError: links that fix no path loss.
    """
    probes, pairs, rssi = _checked(probes_m, sender, receiver, rssi_dbm)
    link, at, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(at.ravel(), rssi) / count
    decades = np.log10(np.maximum(np.linalg.norm(probes[link[:, 0]] - probes[link[:, 1]], axis=1), MIN_DISTANCE_M))
    _check_links(link, decades)
    problem = _Links(link=link, decades=decades, rssi_dbm=mean, probes=len(probes))
    fitted = problem.fit(np.ones(len(link), bool))
    return problem.result(fitted, len(rssi))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Links:
    link: Ints
    decades: Floats
    rssi_dbm: Floats
    probes: int

    @property
    def middle(self) -> float:
        return float(self.decades.mean())

    def design(self) -> Floats:
        """Columns: level, exponent, transmit (K), receive (K), pairs."""
        everyone = np.arange(self.probes)
        sent, heard = ((self.link[:, [end]] == everyone).astype(np.float64) for end in (0, 1))
        pair = np.unique(np.sort(self.link, axis=1), axis=0, return_inverse=True)[1].ravel()
        together = (pair[:, None] == np.arange(pair.max() + 1)).astype(np.float64)
        slope = -10.0 * (self.decades - self.middle)
        return np.column_stack((np.ones(len(slope)), slope, sent, heard, together))

    def fit(self, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Mixed:
        design = self.design()
        pairs = design.shape[1] - 2 - 2 * self.probes
        return mixed_fit(
            design[chosen],
            self.rssi_dbm[chosen],
            np.zeros(int(chosen.sum())),
            group=np.repeat([0, 1, 2, 3, 4], [1, 1, self.probes, self.probes, pairs]),
            centre=np.concatenate(([LEVEL_DBM, EXPONENT], np.zeros(2 * self.probes + pairs))),
            spread=np.array([LEVEL_SD_DB, EXPONENT_SD, OFFSET_SPREAD_DB, OFFSET_SPREAD_DB, PAIR_SPREAD_DB]),
        )

    def result(self, fitted: Mixed, readings: int) -> LinkFit:
        contrast = _contrasts(self.probes, len(fitted.value), self.middle)
        value = contrast @ fitted.value
        sd = np.sqrt(np.diag(contrast @ fitted.covariance @ contrast.T))
        figure = [estimate(float(v), float(s)) for v, s in zip(value, sd, strict=True)]
        law = self.design()[:, : 2 + 2 * self.probes] @ fitted.value[: 2 + 2 * self.probes]
        return LinkFit(
            rssi_1m_dbm=figure[0],
            exponent=figure[1],
            transmit_db=tuple(figure[2 : 2 + self.probes]),
            receive_db=tuple(figure[2 + self.probes :]),
            sigma_db=robust_rms(self.rssi_dbm - law),
            residual_db=robust_rms(self.rssi_dbm - self.design() @ fitted.value),
            cross_validated_db=self._cross_validated(),
            heard=tuple(np.bincount(self.link.ravel(), minlength=self.probes).tolist()),
            links=len(self.link),
            readings=readings,
        )

    def _cross_validated(self) -> float:
        """RMS of links whose pair was left out, five parts of the pairs at a time."""
        pair = np.unique(np.sort(self.link, axis=1), axis=0, return_inverse=True)[1].ravel()
        error = np.zeros(len(pair))
        for part in range(5):
            out = pair % 5 == part
            if out.any() and not out.all():
                error[out] = (self.rssi_dbm - self.design() @ self.fit(~out).value)[out]
        return robust_rms(error)


def _checked(
    probes_m: ArrayLike, sender: ArrayLike, receiver: ArrayLike, rssi_dbm: ArrayLike
) -> tuple[Floats, Ints, Floats]:
    probes, rssi = np.asarray(probes_m, np.float64), np.asarray(rssi_dbm, np.float64)
    ends = np.asarray(sender), np.asarray(receiver)
    if probes.ndim != 2 or probes.shape[1] != 3 or not np.isfinite(probes).all():
        raise _bad("the probes have no places", "give x, y and height of each in metres")
    if not 2 <= len(probes) <= MAX_PROBES:
        raise _bad(f"{len(probes)} probes", f"give 2 to {MAX_PROBES}")
    if rssi.ndim != 1 or any(end.shape != rssi.shape or end.dtype.kind not in "iu" for end in ends):
        raise _bad("senders, receivers and readings do not match", "give three columns of one length, two of integers")
    pairs = np.column_stack(ends)
    if ((pairs < 0) | (pairs >= len(probes))).any():
        raise _bad("a probe that is not in probes_m", f"number probes 0 to {len(probes) - 1}")
    known = np.isfinite(rssi) & (pairs[:, 0] != pairs[:, 1])
    return probes, pairs[known].astype(np.int64), rssi[known]


def _check_links(link: Ints, decades: Floats) -> None:
    pairs = len(np.unique(np.sort(link, axis=1), axis=0))
    if pairs < MIN_PAIRS:
        raise _bad(f"{pairs} pairs of probes hear each other", f"at least {MIN_PAIRS}; let probes transmit")
    if np.ptp(decades) < np.log10(MIN_SPAN):
        what = f"all pairs are alike in distance (the farthest below {MIN_SPAN:g} times the nearest)"
        raise _bad(what, "calibrate by a walk")


def _contrasts(probes: int, columns: int, middle: float) -> Floats:
    """Rows: level at 1 m of the mean probes, exponent, transmit and receive offsets against their means."""
    rows = np.zeros((2 + 2 * probes, columns))
    rows[0, 0], rows[0, 1], rows[0, 2 : 2 + 2 * probes] = 1.0, 10.0 * middle, 1.0 / probes
    rows[1, 1] = 1.0
    apart = np.eye(probes) - 1.0 / probes
    rows[2 : 2 + probes, 2 : 2 + probes] = apart
    rows[2 + probes :, 2 + probes : 2 + 2 * probes] = apart
    return rows


def _bad(what: str, next_step: str) -> InputError:
    return InputError(what, where="calibration", next_step=next_step)
