"""Counts of devices and people with their 90 % intervals. Never returns a count without one."""

import math

import numpy as np

from hostkit.core.heard import MEDIAN_INTERVAL_S, p_heard
from hostkit.model import Estimate, PeoplePerDevice

Z90 = 1.6449  # two-sided 90 % of a normal

# Relative error that association leaves in a track count (phones split and merged), as a log standard deviation:
# tests/accuracy/test_associate.py measures it on labelled phones superposed at random times.
TRACK_LOG_SD = 0.25
# Spread of the mean burst rate between crowds of different phones, as a log standard deviation.
RATE_LOG_SD = 0.5


def devices_in_window(*, tracks: int, bursts: int, presence_s: float, window_s: float) -> Estimate:
    """Fuse the track count with the rate count of one window of `window_s`.

    `tracks` were heard with `bursts` bursts in all; `presence_s` is their mean observed presence inside the window.
    Tracks are divided by P(heard); the rate count is bursts / (rate x presence). Both are combined in the log domain,
    weighted by precision. With nothing heard the upper end is the rule of three.
    """
    if tracks == 0:
        return Estimate(value=0.0, low=0.0, high=3.0 / _p_heard(window_s), method="tracks+rate")
    present_s = min(window_s, presence_s + MEDIAN_INTERVAL_S)
    by_track = math.log(tracks / _p_heard(present_s))
    by_rate = math.log(bursts * MEDIAN_INTERVAL_S / present_s)
    track_precision = 1 / (TRACK_LOG_SD**2 + 0.25 / tracks)
    rate_precision = 1 / (RATE_LOG_SD**2 + 1 / bursts)
    precision = track_precision + rate_precision
    centre = (by_track * track_precision + by_rate * rate_precision) / precision
    return log_normal(math.exp(centre), 1 / math.sqrt(precision), method="tracks+rate")


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


def _p_heard(duration_s: float) -> float:
    return p_heard(np.array([duration_s])).item()
