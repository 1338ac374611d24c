"""Counts of devices and people with their 90 % intervals. Never returns a count without one."""

import math

import numpy as np
from numpy.typing import NDArray

from hostkit.core.heard import MEDIAN_INTERVAL_S, p_heard
from hostkit.model import Estimate, PeoplePerDevice

METHOD = "tracks + rate"
CHAPMAN = "Chapman between two halves of the probes"
Z90 = 1.6449  # two-sided 90 % of a normal

# Relative error that association leaves in a track count (phones split and merged), as a log standard deviation:
# tests/accuracy/test_associate.py measures it on labelled phones superposed at random times.
TRACK_LOG_SD = 0.25
# What follows was fitted by tests/accuracy/fit_windows.py on simulated windows of seeds 11 and 31, for 5 % of them to
# lie beyond either end. Where many come and go, who comes is taken for a twin who left: tracks stand for more, by a
# power of their number, as far as they were not there all the time.
# To simulated phones alone 0.221 and 0.034 fit better now; recorded ones, counted too high as it is, would gain 6 %.
CROWD_TRACKS, CROWD_POWER = 15.0, 0.208
TRACK_BIAS_LOG = -0.02
# Of the counted logarithm: what is left in a large crowd; of few phones one split or merged is a larger share; of scans
# that nobody heard those phones are unknown that make few.
LEFT_VARIANCE, SPLIT_VARIANCE, UNHEARD_VARIANCE = 0.003, 0.32, 0.032
# Phones that hardly scan, as those that are connected, are never too many: the upper end is higher, the lower nearer.
UNHEARD_LOG, LOWER = 0.04, 0.91
# Recorded phones send several element sets and count more than once, by a quarter of few phones, which the simulated
# ones do not: the lower end is lower still (tests/accuracy/test_associate.py, test_count_windows.py hold both).
FRAGMENT_LOG = 0.075
# Weight of the rate count beside the tracks: its own error is 1.3 times as large, and mostly the same.
RATE_WEIGHT = 0.12


def devices_in_window(
    *,
    spans_s: NDArray[np.float64],
    scans: NDArray[np.int64],
    window_s: float,
    heard: float = 1.0,
    per_s: NDArray[np.float64] | None = None,
) -> Estimate:
    """Fuse the track count with the rate count of one window of `window_s` seconds.

    `spans_s` (T,): from when to when each track was seen in the window; `scans` (T,): of each; `per_s` (T,): how many
    of its scans are heard a second where that is known of its class; `heard`: share of all scans that a probe can have
    heard. A device was present for its span and about one scan interval more; tracks are divided by P(heard) in the
    mean of that time, the rate count is the presence that the scans stand for over the same mean. Both are combined in
    the log domain. With nothing heard the upper end is the rule of three.
    """
    whole_s = max(window_s, 1.0)
    if not len(spans_s):
        high = 3.0 / p_heard(np.array([whole_s]), heard).item()
        return Estimate(value=0.0, low=0.0, high=high, method=METHOD)
    tracks = len(spans_s)
    mean_s = float(np.minimum(spans_s + MEDIAN_INTERVAL_S, whole_s).mean())
    by_track = tracks / p_heard(np.array([mean_s]), heard).item()
    stood_s = scans / (heard / MEDIAN_INTERVAL_S if per_s is None else per_s)
    by_rate = float(stood_s.sum()) / mean_s
    centre = TRACK_BIAS_LOG + CROWD_POWER * math.log1p(tracks * (1 - mean_s / whole_s) / CROWD_TRACKS)
    centre += (1 - RATE_WEIGHT) * math.log(by_track) + RATE_WEIGHT * math.log(by_rate)
    variance = LEFT_VARIANCE + SPLIT_VARIANCE / tracks + UNHEARD_VARIANCE * (1 - heard)
    reach = Z90 * math.sqrt(variance)
    low, value, high = (math.exp(centre + off) for off in (-LOWER * reach - FRAGMENT_LOG, 0.0, reach + UNHEARD_LOG))
    return Estimate(value=value, low=low, high=high, method=METHOD)


class ClassRates:
    """How often phones of each element class are heard to scan, learnt from their tracks: gamma about what is usual."""

    SHAPE = 1.5  # of the prior: CV 0.81 between recorded phones
    MAX_CLASSES = 1 << 16

    def __init__(self) -> None:
        self._learnt: dict[int, tuple[float, float]] = {}  # class → gaps between scans, and all they lasted

    def learn(self, classes: NDArray[np.uint32], scans: NDArray[np.int64], lasted_s: NDArray[np.float64]) -> None:
        """Take tracks (T,): their class, scans, and the time from the first to the last of these."""
        distinct, row = np.unique(classes, return_inverse=True)
        gaps, lasted = np.bincount(row, scans - 1), np.bincount(row, lasted_s)
        for one, gap, long_s in zip(distinct.tolist(), gaps.tolist(), lasted.tolist(), strict=True):
            if one in self._learnt or len(self._learnt) < self.MAX_CLASSES:
                before = self._learnt.get(one, (0.0, 0.0))
                self._learnt[one] = before[0] + gap, before[1] + long_s

    def per_s(self, classes: NDArray[np.uint32], heard: float) -> NDArray[np.float64]:
        """Scans heard a second of a phone of each class (T,), where `heard` of them are."""
        prior_s = self.SHAPE * MEDIAN_INTERVAL_S / heard
        learnt = [self._learnt.get(one, (0.0, 0.0)) for one in classes.tolist()]
        gaps, lasted_s = np.array(learnt, np.float64).reshape(-1, 2).T
        return np.asarray((self.SHAPE + gaps) / (prior_s + lasted_s))


def chapman(heard: NDArray[np.bool_]) -> Estimate | None:
    """Devices by capture and recapture: tracks (T, probes) that either half of the probes heard, and both.

    A check of the count from other evidence, not the count: who is loud is loud at every probe, so that it is rather
    too low (Chapman 1951; variance: Seber 1970). None with fewer than two probes or where nobody was heard by both.
    """
    first, second = heard[:, ::2].any(axis=1), heard[:, 1::2].any(axis=1)
    n, m, both = int(first.sum()), int(second.sum()), int((first & second).sum())
    if not both:
        return None
    value = (n + 1) * (m + 1) / (both + 1) - 1
    variance = (n + 1) * (m + 1) * (n - both) * (m - both) / ((both + 1) ** 2 * (both + 2))
    known = n + m - both
    factor = math.exp(Z90 * math.sqrt(math.log1p(variance / max(value - known, 0.5) ** 2)))  # of those not heard at all
    unheard = max(value - known, 0.0)
    return Estimate(value=value, low=known + unheard / factor, high=known + unheard * factor, method=CHAPMAN)


def people(devices: Estimate, kappa: PeoplePerDevice) -> Estimate:
    """Scale a device figure to people: kappa is log-normal and independent of the count."""
    method = f"{devices.method} x kappa ({kappa.reference_counts} reference counts)"
    if devices.value is None or devices.low is None or devices.high is None:
        return Estimate(value=None, low=None, high=None, method=method, reason=devices.reason)
    if devices.value <= 0:
        high = devices.high * kappa.median * math.exp(Z90 * kappa.log_sd)
        return Estimate(value=0.0, low=0.0, high=high, method=method)
    up = math.hypot(math.log(devices.high / devices.value), Z90 * kappa.log_sd)
    down = math.hypot(math.log(devices.value / devices.low), Z90 * kappa.log_sd) if devices.low > 0 else math.inf
    value = devices.value * kappa.median
    return Estimate(value=value, low=value * math.exp(-down), high=value * math.exp(up), method=method)


def log_normal(value: float, log_sd: float, *, method: str) -> Estimate:
    """A positive figure whose error is a factor: the 90 % interval is value x exp(±1.645 log_sd)."""
    factor = math.exp(Z90 * log_sd)
    return Estimate(value=value, low=value / factor, high=value * factor, method=method)


def undefined(reason: str, *, method: str) -> Estimate:
    """A figure that has no value, and why."""
    return Estimate(value=None, low=None, high=None, method=method, reason=reason)
