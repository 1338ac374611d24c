"""How likely a present phone is heard at least once: the empirical curve, shipped as data. Knows no site."""

import numpy as np
from numpy.typing import NDArray

# Share of real phones heard at least once within so many seconds (31 labelled phones, all channels listened to).
CURVE_S = np.array([0.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0])
CURVE_P = np.array([0.0, 0.39, 0.61, 0.82, 0.92, 0.995, 0.999])
# Median interval between bursts of a phone, the same recordings: 0.93 bursts a minute.
MEDIAN_INTERVAL_S = 60.0 / 0.93

# Bursts of one phone with smaller gaps are one scan, whatever the address.
SCAN_GAP_S = 3.0


def p_heard(duration_s: NDArray[np.float64], listened_share: float = 1.0) -> NDArray[np.float64]:
    """Probability that a phone present for `duration_s` is heard, in (0, 1].

    `listened_share` is the share of the time and channels a burst uses that at least one probe listened to; it
    stretches time, as thinning a renewal process does. Durations under 5 s are taken as 5 s.
    """
    effective_s = np.maximum(duration_s, 5.0) * listened_share
    return np.asarray(np.interp(effective_s, CURVE_S, CURVE_P), np.float64)
