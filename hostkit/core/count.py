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
# Error of the mean scan rate of a crowd, as a log standard deviation: rates of 8 to 30 superposed phones were 0.95 to
# 1.25 of what MEDIAN_INTERVAL_S says (tests/accuracy/test_associate.py); other crowds have other phones.
RATE_LOG_SD = 0.35
RATE_CV = 0.81  # between phones, of recorded scan rates
# The same for the tracks of one window, and what grows with fewer: of few phones one that is split or merged is a
# larger share (variance of the log count times the count). Chosen on tests/accuracy/windows.py, seeds 11 and 31.
WINDOW_LOG_SD, SPLIT_VARIANCE = 0.15, 0.35
# Phones that scan too rarely to be on the curve of P(heard), or too far away, are never too many: the upper end alone
# is higher by this, as a logarithm (the same windows).
UNHEARD_LOG = 0.05
# In a crowd tracks of twins merge, among few phones one is split: tracks are off by a power of their number about so
# many (those windows: 0.10; recorded phones superposed, 16 to 104 of them: 0.16).
CROWD_TRACKS, CROWD_POWER = 30.0, 0.13


def devices_in_window(*, spans_s: NDArray[np.float64], scans: int, window_s: float) -> Estimate:
    """Fuse the track count with the rate count of one window of `window_s` seconds.

    `spans_s` (T,): from when to when each track was seen in the window; `scans`: of all tracks. A device was present
    for its span and about one scan interval more; tracks are weighted by 1 / P(heard) in that time, the rate count is
    scans / (rate x mean presence). Both are combined in the log domain by precision. More scans than the tracks can
    have made mean that twins were merged: the track count is then believed less. With nothing heard the upper end is
    the rule of three.
    """
    if not len(spans_s):
        high = 3.0 / p_heard(np.array([max(window_s, 1.0)])).item()
        return Estimate(value=0.0, low=0.0, high=high, method=METHOD)
    presence_s = np.minimum(spans_s + MEDIAN_INTERVAL_S, max(window_s, 1.0))
    weights = 1 / p_heard(presence_s)
    by_track = float(weights.sum())
    by_track *= (by_track / CROWD_TRACKS) ** CROWD_POWER
    by_rate = scans * MEDIAN_INTERVAL_S / float(presence_s.mean())
    merged = max(0.0, math.log(by_rate / by_track))
    track_precision = 1 / ((WINDOW_LOG_SD + merged / 2) ** 2 + SPLIT_VARIANCE / by_track)
    rate_precision = 1 / (RATE_LOG_SD**2 + RATE_CV**2 / by_track + 1 / scans)
    precision = track_precision + rate_precision
    centre = (math.log(by_track) * track_precision + math.log(by_rate) * rate_precision) / precision
    reach = Z90 / math.sqrt(precision)
    low, value, high = (math.exp(centre + off) for off in (-reach, 0.0, reach + UNHEARD_LOG))
    return Estimate(value=value, low=low, high=high, method=METHOD)


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
