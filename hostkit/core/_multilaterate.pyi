import numpy as np
from numpy.typing import NDArray

CONVERGED: int
TOO_FEW: int
DEGENERATE: int
UNSETTLED: int
MAX_PROBES: int

def multilaterate(
    rssi_dbm: NDArray[np.float32],
    frames: NDArray[np.uint16] | None,
    anchors: NDArray[np.float64],
    power_precision: float,
    shared: float,
    out: NDArray[np.float64],
    n_probes: NDArray[np.uint8],
    status: NDArray[np.uint8],
) -> None: ...
