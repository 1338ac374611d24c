"""Devices heard over BLE: a series of its own and the check of the Wi-Fi count. Counts; follows nobody.

A device advertises every second or two from one address at a time, and from another about every 15 minutes. Devices of
a time are its addresses less handovers: an address that begins just after another of the same shape has ended.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hostkit.core.count import Z90
from hostkit.model import Estimate

METHOD = "BLE addresses less handovers"
HANDOVER_S = 15.0  # an advertisement is missed now and then; two devices seldom come and go so close
MAX_ADDRESSES = 1 << 16  # of a bin; what is beyond is not told apart and widens the interval
# Variance of the log count: what is left, and of few devices one handover more or less (tests/core/test_bleseries.py).
LEFT_VARIANCE, SPLIT_VARIANCE = 0.003, 0.06
# How far BLE and Wi-Fi may differ by nature (watches, earbuds, radios switched off) before the site has shown by how
# much, as a log standard deviation; and how many bins show it.
BY_NATURE_LOG_SD, SHOWN_BINS = 0.7, 6
LEAST_DEVICES = 3.0  # of either; below that chance decides

_SPAN = np.dtype([("device_key", "<u8"), ("first_us", "<i8"), ("last_us", "<i8"), ("fingerprint", "<u4")])


class BleCounter:
    """Counts by bins of `bin_us` aligned to the epoch, within one life of the key."""

    def __init__(self, bin_us: int) -> None:
        self._bin_us = bin_us
        self._spans: dict[int, NDArray[np.void]] = {}  # by bin, one row an address
        self._beyond: dict[int, int] = {}

    def add(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,) of BLE."""
        numbers = sightings["time_us"] // self._bin_us
        for number in np.unique(numbers).tolist():
            spans = _joined(self._spans.get(number, np.empty(0, _SPAN)), sightings[numbers == number])
            self._beyond[number] = self._beyond.get(number, 0) + max(0, len(spans) - MAX_ADDRESSES)
            self._spans[number] = spans[:MAX_ADDRESSES]

    def count(self, start_us: int) -> Estimate | None:
        """Count the bin that holds `start_us`, and forget it and those before; None where nothing was heard."""
        number = start_us // self._bin_us
        spans, beyond = self._spans.get(number), self._beyond.get(number, 0)
        for older in [one for one in self._spans if one <= number]:
            del self._spans[older]
            self._beyond.pop(older, None)
        if spans is None:
            return None
        value = float(len(spans) - _handovers(spans))
        reach = math.exp(Z90 * math.sqrt(LEFT_VARIANCE + SPLIT_VARIANCE / value))
        return Estimate(value=value, low=value / reach, high=value * reach + beyond, method=METHOD)


def _joined(spans: NDArray[np.void], rows: NDArray[np.void]) -> NDArray[np.void]:
    more = np.empty(len(rows), _SPAN)
    more["device_key"], more["fingerprint"] = rows["device_key"], rows["fingerprint"]
    more["first_us"] = more["last_us"] = rows["time_us"]
    both = np.concatenate([spans, more])
    both = both[np.argsort(both["device_key"], kind="stable")]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(both["device_key"]) != 0]))
    found = both[starts]
    found["first_us"] = np.minimum.reduceat(both["first_us"], starts)
    found["last_us"] = np.maximum.reduceat(both["last_us"], starts)
    return np.asarray(found[np.argsort(found["first_us"], kind="stable")])


def _handovers(spans: NDArray[np.void]) -> int:
    """Addresses that take over from one that ended: each from the latest of its shape that is free."""
    taken = 0
    for shape in np.unique(spans["fingerprint"]).tolist():
        of = spans[spans["fingerprint"] == shape]
        ended_us = sorted(of["last_us"].tolist(), reverse=True)
        for first_us in sorted(of["first_us"].tolist(), reverse=True):
            while ended_us and ended_us[0] >= first_us:
                ended_us.pop(0)
            if ended_us and first_us - ended_us[0] <= HANDOVER_S * 1e6:
                ended_us.pop(0)
                taken += 1
    return taken


def disagree(bins: Sequence[tuple[Estimate, Estimate]]) -> bool | None:
    """Tell whether Wi-Fi and BLE of the last bin lie beyond both intervals, given those of bins in order of time.

    BLE is scaled by what it usually is to Wi-Fi at the site. None where either counts too few.
    """
    if not bins:
        return None
    ratios = [math.log(b.value / w.value) for w, b in bins[:-1] if w.value and b.value]
    usual = float(np.median(ratios)) if len(ratios) >= SHOWN_BINS else 0.0
    slack = math.exp(Z90 * (float(np.std(ratios)) if len(ratios) >= SHOWN_BINS else BY_NATURE_LOG_SD))
    wifi, ble = bins[-1]
    if None in (wifi.low, wifi.high, ble.low, ble.high) or max(wifi.high or 0, ble.high or 0) < LEAST_DEVICES:
        return None
    low, high = ((end or 0.0) / math.exp(usual) for end in (ble.low, ble.high))
    return low / slack > (wifi.high or 0.0) or high * slack < (wifi.low or 0.0)
