"""Reference counts to kappa, people per counted device: what a person counted against what was heard. No files.

Each count gives a ratio with a variance. Ratios of counts differ by more than chance (other days, other phones): that
spread is estimated too and is part of what is stated, as the next day differs as well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hostkit.core.inside import CORRELATION, Inside
from hostkit.model import Occupancy

# Between counts, as a log standard deviation, before any was repeated: day by day kappa of brno-lab scatters by 0.15
# to 0.25. It weighs as much as PRIOR_COUNTS counts.
SPREAD_LOG_SD = 0.2
PRIOR_COUNTS = 4.0
UNKNOWN_LOG_SD = 0.5  # of kappa before any count: a factor of 2.3 either way at 90 %
TAIL = 4.0  # degrees of freedom: a slip of the pen is an outlier, not the truth
PASS_LOG_SD = math.log(1.5) / 1.6449  # PASS: the 90 % interval of kappa is within a factor of 1.5 either way
LEAST_PEOPLE = 2.0  # bins with fewer say nothing of a ratio
NOISE_BINS = 20.0  # bins that the prior of the noise weighs
MOST_AT_ONCE = 999
Way = Literal["in", "out", "by"]
WAYS: tuple[Way, ...] = ("in", "out", "by")
_WAYS: Mapping[str, Way] = MappingProxyType({"o": "out", "p": "by"})
INDEPENDENT_BINS = 4.0  # neighbouring bins are alike: so many count as one


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCount:
    """Log of people over devices of one count, and the variance of that log by chance alone."""

    log_ratio: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """People per counted device: log-normal; `log_sd` is that of the next day's, `counts` it rests on."""

    median: float
    log_sd: float
    counts: int

    @property
    def passed(self) -> bool:
        """Tell whether it is known well enough to publish figures in people."""
        return self.log_sd <= PASS_LOG_SD


def read_tap(line: str) -> tuple[Way, int] | None:
    """Read what a person at the door types: Enter is one in, `3` three; `o` one out, `p 3` three by; None: neither."""
    word, _, number = line.strip().lower().partition(" ")
    way = _WAYS.get(word, "in")
    digits = number.strip() if word in _WAYS else f"{word}{number}"
    if digits and not (digits.isascii() and digits.isdigit() and int(digits[:9]) <= MOST_AT_ONCE and len(digits) <= 9):
        return None
    return way, int(digits) if digits else 1


def reference_count(people: float, devices: float, devices_log_sd: float) -> ReferenceCount:
    """A count of `people` at a door while `devices` were estimated; both above 0.

    Who comes is Poisson for both, so that their difference only has the variance of who carries no phone: bounded by
    1 / people. ValueError for counts that say nothing.
    """
    if not (0 < people < math.inf and 0 < devices < math.inf):
        raise ValueError("a ratio needs people and devices above 0")
    return ReferenceCount(log_ratio=math.log(people / devices), variance=1 / people + devices_log_sd**2)


def combine(counts: Sequence[ReferenceCount], *, prior_median: float = 1.0) -> Kappa:
    """Kappa from counts of equal right: Student-t weights about their centre, spread between them estimated."""
    if not counts:
        return Kappa(median=prior_median, log_sd=UNKNOWN_LOG_SD, counts=0)
    ratio = np.array([count.log_ratio for count in counts])
    chance = np.array([count.variance for count in counts])
    spread, centre = SPREAD_LOG_SD**2, float(np.median(ratio))
    mean, variance = centre, math.inf
    for _ in range(50):
        total = chance + spread
        robust = (TAIL + 1) / (TAIL + (ratio - centre) ** 2 / total)
        precision = robust / total
        prior = 1 / UNKNOWN_LOG_SD**2
        variance = 1 / (precision.sum() + prior)
        mean = float((precision @ ratio + prior * math.log(prior_median)) * variance)
        between = np.maximum((ratio - mean) ** 2 - chance, 0.0)
        spread = (PRIOR_COUNTS * SPREAD_LOG_SD**2 + float(between.sum())) / (PRIOR_COUNTS + len(counts))
        if abs(mean - centre) < 1e-9:
            break
        centre = mean
    return Kappa(median=math.exp(mean), log_sd=math.sqrt(variance + spread), counts=len(counts))


def fit_occupancy(days: Sequence[Sequence[tuple[float, Inside]]], site: Occupancy) -> Occupancy:
    """Fit kappa of those inside and its noise to (people, devices) of bins, a sequence for each day counted."""
    ratios = [log_ratios(day) for day in days]
    ratios = [of_day for of_day in ratios if len(of_day)]
    noise = _noise_log_sd(ratios, site.noise_log_sd)
    counts = [
        ReferenceCount(log_ratio=float(np.median(of_day)), variance=day_variance(noise, len(of_day)))
        for of_day in ratios
    ]
    kappa = combine(counts, prior_median=site.people_per_device)
    return replace(
        site,
        people_per_device=kappa.median,
        log_sd=kappa.log_sd,
        noise_log_sd=noise,
        reference_counts=kappa.counts,
    )


def day_variance(noise_log_sd: float, bins: int) -> float:
    """Variance of the middle ratio of a day's bins, whose neighbours are alike."""
    return (noise_log_sd * CORRELATION) ** 2 * INDEPENDENT_BINS / bins


def log_ratios(bins: Sequence[tuple[float, Inside]]) -> NDArray[np.float64]:
    """Log of people over devices of the bins that say something of it."""
    return np.array(
        [math.log(people / one.devices) for people, one in bins if people >= LEAST_PEOPLE and one.devices >= 1],
        np.float64,
    )


def _noise_log_sd(ratios: Sequence[NDArray[np.float64]], prior: float) -> float:
    """Spread of bins within their day, outliers bounded, shrunk to the prior."""
    off = np.concatenate([np.empty(0), *(of_day - np.median(of_day) for of_day in ratios)])
    off = np.clip(off, -3 * prior, 3 * prior)
    return math.sqrt((NOISE_BINS * prior**2 + float(off @ off)) / (NOISE_BINS + len(off)))
