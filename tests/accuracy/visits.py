"""People who pass or enter a shop, heard now and then by four probes: truth for dwell and entrant figures.

Own small model, apart from the product's simulator: a 20 × 12 m shop behind a 4 m strip of street. Phones probe at
0.93 bursts a minute in the median (CV 0.81 between phones), as measured on real ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.locate import Locator
from hostkit.core.ranging import expected_rssi
from hostkit.model import Floor, PathLoss

SHOP = ((0.0, 0.0), (20.0, 0.0), (20.0, 12.0), (0.0, 12.0))
FLOOR = Floor(id="ground", bounds_m=(-10.0, -4.0, 30.0, 12.0), interior_m=SHOP)
PROBES = np.array([(1.0, 0.5, 2.5), (19.0, 0.5, 2.5), (19.0, 11.5, 2.5), (1.0, 11.5, 2.5)])
MODEL = PathLoss(rssi_1m_dbm=-45.0, exponent=2.7, sigma_db=5.0, power_sigma_db=5.0)
HEARING_FLOOR_DBM = -88.0
LISTENED_P = 0.9
BURSTS_PER_MIN, RATE_LOG_SD = 0.93, 0.71  # log-normal with CV 0.81
MAX_BURSTS = 400
MEDIAN_INTERVAL_S, MAX_INTERVAL_S = 64.5, 300.0
INSIDE_PRIOR = 240 / 640  # area of the shop over that of the map


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Visits (V,) that were heard at least once inside or in front of the shop, with truth."""

    entrant: NDArray[np.bool_]
    dwell_s: NDArray[np.float64]
    lo_s: NDArray[np.float64]
    hi_s: NDArray[np.float64]
    p_inside: NDArray[np.float64]

    @property
    def mid_s(self) -> NDArray[np.float64]:
        return (self.lo_s + self.hi_s) / 2


def simulate(  # noqa: PLR0917
    seed: int,
    people: int,
    entrant_share: float = 0.2,
    edge_intervals: float = 2.0,
    bursts_per_min: float = BURSTS_PER_MIN,
    model: PathLoss = MODEL,
) -> Heard:
    """Play `people` passes; an entrant walks about the shop until the dwell is over.

    Unknown edges reach out by `edge_intervals` mean intervals: 2 makes the midpoint unbiased where bursts come at
    random, as here; the visit cutter takes 1, with which dwell in the product's simulator is nearest to the truth.
    """
    rng = np.random.default_rng(seed)
    entrant = rng.random(people) < entrant_share
    stop = rng.random(people) < 0.15  # window stoppers
    crossing = 40.0 / rng.lognormal(np.log(1.2), 0.2, people) + np.where(
        stop, rng.lognormal(np.log(30), 0.6, people), 0
    )
    dwell = np.where(entrant, rng.lognormal(np.log(420), 0.9, people), crossing)
    interval = 60.0 / (bursts_per_min * np.exp(RATE_LOG_SD * rng.normal(size=people)))
    bursts = np.cumsum(rng.exponential(interval[:, None], (people, MAX_BURSTS)), axis=1)
    inside_time = bursts < dwell[:, None]
    who, burst = np.nonzero(inside_time)
    time_s = bursts[who, burst]
    rssi = _readings(rng, entrant[who], time_s / dwell[who], who, people, model)
    heard = np.isfinite(rssi).any(axis=1)
    who, time_s, rssi = who[heard], time_s[heard], rssi[heard]
    locator = Locator(PROBES, FLOOR, (), model, np.zeros(4), np.full(4, HEARING_FLOOR_DBM))
    p_inside = locator.fixes(rssi, np.full(4, LISTENED_P)).p_interior
    return _visits((entrant, dwell), (who, time_s), p_inside, edge_intervals)


def _readings(  # noqa: PLR0917
    rng: np.random.Generator,
    entrant: NDArray[np.bool_],
    progress: NDArray[np.float64],
    who: NDArray[np.intp],
    people: int,
    model: PathLoss,
) -> NDArray[np.float64]:
    """RSSI (B, 4) of bursts: passers-by walk along the street, entrants are somewhere in the shop."""
    street = np.column_stack((-10 + 40 * progress, -4 + 3.5 * rng.random(len(who))))
    shop = rng.uniform(SHOP[0], SHOP[2], (len(who), 2))
    place = np.where(entrant[:, None], shop, street)
    flat = place[:, None] - PROBES[None, :, :2]
    distance = np.sqrt((flat**2).sum(axis=2) + (PROBES[:, 2] - 1.1) ** 2)
    power = rng.normal(0, model.power_sigma_db, people)[who]
    rssi = expected_rssi(distance, model) + power[:, None] + rng.normal(0, model.sigma_db, distance.shape)
    heard = (rssi >= HEARING_FLOOR_DBM) & (rng.random(rssi.shape) < LISTENED_P)
    return np.where(heard, rssi, np.nan)


def _visits(
    truth: tuple[NDArray[np.bool_], NDArray[np.float64]],
    bursts: tuple[NDArray[np.intp], NDArray[np.float64]],
    p_inside: NDArray[np.float32],
    edge_intervals: float,
) -> Heard:
    """Bounds from the hearings; P(inside) takes the bursts of a visit as independent."""
    (entrant, dwell), (who, time_s) = truth, bursts
    count = np.bincount(who, minlength=len(dwell))
    seen = count > 0
    first, last = np.full(len(dwell), np.inf), np.full(len(dwell), -np.inf)
    np.minimum.at(first, who, time_s)
    np.maximum.at(last, who, time_s)
    lo = np.where(seen, last - first, 0.0)[seen]
    around = edge_intervals * np.minimum((lo + MEDIAN_INTERVAL_S) / count[seen], MAX_INTERVAL_S)
    odds = np.log(INSIDE_PRIOR / (1 - INSIDE_PRIOR))
    p = np.clip(p_inside.astype(float), 0.01, 0.99)
    odds += np.bincount(who, np.log(p / (1 - p)) - odds, len(dwell))[seen]
    return Heard(
        entrant=entrant[seen], dwell_s=dwell[seen], lo_s=lo, hi_s=lo + 2 * around, p_inside=1 / (1 + np.exp(-odds))
    )
