"""Association of addresses into tracks: the kernel's types, the columns it hands over, their revision. No I/O."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

try:
    from hostkit.core._associate import BURST, NEVER_HEARD, NEW_ADDRESS, NEW_TRACK, REVISION, TRACK, Tracker, link
except ImportError as error:
    raise ImportError("the association kernel is not built; run: python setup.py build_ext --inplace") from error

__all__ = [
    "BURST",
    "NEVER_HEARD",
    "NEW_ADDRESS",
    "NEW_TRACK",
    "REVISION",
    "TRACK",
    "Columns",
    "Tracker",
    "link",
    "revise",
]

# Bursts (M,), their RSSI in dBm at the loudest (M, probes; NaN: not heard) and the frames of each (M, probes).
Columns: TypeAlias = tuple[NDArray[np.void], NDArray[np.float32], NDArray[np.uint16]]


def revise(rows: NDArray[np.void], revisions: NDArray[np.void]) -> None:
    """Put rows with columns `scan` and `track` (M,) on the tracks that REVISION rows (R,), in order, say; in place."""
    if not len(revisions) or not len(rows):
        return
    scans, latest = np.unique(revisions["scan"][::-1], return_index=True)
    to = revisions["to"][::-1][latest]
    at = np.minimum(np.searchsorted(scans, rows["scan"]), len(scans) - 1)
    known = scans[at] == rows["scan"]
    rows["track"][known] = to[at[known]]
