"""How likely a present phone is heard at least once, and how that falls where probes do not listen. Knows no site.

A phone scans again and again; each scan sweeps the channels. The empirical curve, shipped as data, holds for probes
that miss no scan. A probe that hops, sleeps or is far misses some: the curve's time is stretched by the share heard.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Share of real phones heard at least once within so many seconds (31 labelled phones, all channels listened to).
CURVE_S = np.array([0.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0])
CURVE_P = np.array([0.0, 0.39, 0.61, 0.82, 0.92, 0.995, 0.999])
# Median interval between bursts of a phone, the same recordings: 0.93 bursts a minute.
MEDIAN_INTERVAL_S = 60.0 / 0.93

# Bursts of one phone with smaller gaps are one scan, whatever the address.
SCAN_GAP_S = 3.0

# A scan goes upwards through 2.4 GHz, so long on each channel (derand); a share of scans visits 2 to 5 neighbours only,
# as phones do that are connected. Recorded phones sent on channels 1 and 11 in all scans, on 6 in three of four.
SWEEP_STEP_S = 0.067
SWEEP = tuple(range(1, 14))
SHORT_SHARE = 0.15
_SHORT = tuple(SWEEP[first : first + length] for length in range(2, 6) for first in range(len(SWEEP) - length + 1))
# P(a probe decodes a scan on a channel it listens to), of phones about its shop: walls, distance, collisions
# (tests/accuracy/windows.py, seeds 11 and 31).
REACH = 0.7
PARKED_SHARE = 0.87  # `scan_share` of one probe that stays on channel 1
LEAST_SHARE = 0.02  # heard something, so somebody listened
_PHASES = 256

ByChannel = Mapping[int, float]


def p_heard(duration_s: NDArray[np.float64], listened_share: float = 1.0) -> NDArray[np.float64]:
    """Probability that a phone present for `duration_s` is heard, in (0, 1].

    `listened_share` is the share of its scans that at least one probe hears; it stretches time, as thinning a renewal
    process does. Durations under 5 s are taken as 5 s.
    """
    effective_s = np.maximum(duration_s, 5.0) * listened_share
    return np.asarray(np.interp(effective_s, CURVE_S, CURVE_P), np.float64)


def scan_share(listened: ByChannel, dwell_s: float) -> float:
    """P(a probe is on a channel that a scan uses, at that time), given its share of the time on each channel.

    It goes through the channels in the order given, `dwell_s` on each on average: hopping while a phone sweeps can
    miss what staying would have heard. Channels of 5 GHz are visited by whole scans alone.
    """
    total = sum(listened.values())
    if total <= 0:
        return 0.0
    plan = tuple((channel, round(share / total, 2)) for channel, share in listened.items() if share > 0)
    return min(total, 1.0) * _in_step(plan, max(round(dwell_s, 2), 0.01))


def heard_by_any(shares: Sequence[float], reach: float = REACH) -> float:
    """Share of scans that at least one of several probes hears, from what each has the chance to (`scan_share`)."""
    return 1.0 - float(np.prod([1.0 - reach * share for share in shares]))


@cache
def _in_step(plan: tuple[tuple[int, float], ...], dwell_s: float) -> float:
    whole = _caught(plan, dwell_s, SWEEP) + sum(share for channel, share in plan if channel > SWEEP[-1])
    short = sum(_caught(plan, dwell_s, part) for part in _SHORT) / len(_SHORT)
    return min((1 - SHORT_SHARE) * whole + SHORT_SHARE * short, 1.0)


def _caught(plan: tuple[tuple[int, float], ...], dwell_s: float, sweep: tuple[int, ...]) -> float:
    """Share of moments at which a scan of these channels may begin so that the probe is on one of them in time."""
    cycle_s = dwell_s * len(plan)
    channels = np.array([channel for channel, _ in plan])
    ends_s = np.cumsum([share for _, share in plan]) * cycle_s
    begins_s = (np.arange(_PHASES) + 0.5) / _PHASES * cycle_s
    at_s = (begins_s[:, None] + SWEEP_STEP_S * np.arange(len(sweep))) % cycle_s
    tuned = channels[np.minimum(np.searchsorted(ends_s, at_s, side="right"), len(plan) - 1)]
    return float((tuned == np.array(sweep)).any(axis=1).mean())
