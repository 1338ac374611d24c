"""Association of addresses into tracks: the kernel's types, and the columns it hands over. No I/O."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

try:
    from hostkit.core._associate import BURST, NEVER_HEARD, NEW_ADDRESS, NEW_TRACK, TRACK, Tracker
except ImportError as error:
    raise ImportError("the association kernel is not built; run: python setup.py build_ext --inplace") from error

__all__ = ["BURST", "NEVER_HEARD", "NEW_ADDRESS", "NEW_TRACK", "TRACK", "Columns", "Tracker"]

# Bursts (M,), their mean RSSI in dBm (M, probes; NaN: not heard) and the frames averaged (M, probes).
Columns: TypeAlias = tuple[NDArray[np.void], NDArray[np.float32], NDArray[np.uint16]]
