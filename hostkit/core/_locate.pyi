import numpy as np
from numpy.typing import NDArray

LANES: int
MAX_PROBES: int
MAX_ROBUST_LINKS: int
MAX_NODES: int
MAX_HEARD_P: float

def processor(name: str | None = None) -> str: ...

class Grid:
    def __init__(
        self,
        expected_dbm: NDArray[np.float32],
        log_prior: NDArray[np.float32],
        x_m: NDArray[np.float32],
        y0_m: float,
        cell_m: float,
        floors_dbm: NDArray[np.float32],
        member: NDArray[np.float32],
        span: NDArray[np.int32],
        link_var: NDArray[np.float32],
        inv_sigma: NDArray[np.float32] | None,
        shared: float,
        power_sigma_db: float,
        node_db: NDArray[np.float32],
        node_weight: NDArray[np.float32],
    ) -> None: ...
    def fixes(
        self,
        rssi_dbm: NDArray[np.float32],
        heard_p: NDArray[np.float32],
        frames: NDArray[np.uint16] | None,
        moments: NDArray[np.float64],
        layers: NDArray[np.float32],
        n_probes: NDArray[np.uint8],
    ) -> None: ...
    def posterior(
        self,
        rssi_dbm: NDArray[np.float32],
        heard_p: NDArray[np.float32],
        frames: NDArray[np.uint16] | None,
        out: NDArray[np.float32],
    ) -> None: ...

class Track:
    def __init__(
        self,
        grid: Grid,
        prior: NDArray[np.float32],
        step: NDArray[np.float32],
        node_db: NDArray[np.float32],
        node_weight: NDArray[np.float32],
        node_sigma_db: float,
        motion: NDArray[np.float32],
    ) -> None: ...
    def forward(
        self,
        state: NDArray[np.float32],
        last_s: NDArray[np.float64],
        slot: NDArray[np.int32],
        time_s: NDArray[np.float64],
        rssi_dbm: NDArray[np.float32],
        heard_p: NDArray[np.float32],
        frames: NDArray[np.uint16] | None,
        moments: NDArray[np.float64],
        layers: NDArray[np.float32],
        n_probes: NDArray[np.uint8],
    ) -> int: ...
    def smooth(
        self,
        start: NDArray[np.int64],
        time_s: NDArray[np.float64],
        rssi_dbm: NDArray[np.float32],
        heard_p: NDArray[np.float32],
        frames: NDArray[np.uint16] | None,
        stored: NDArray[np.float32],
        kept: NDArray[np.float32],
        moments: NDArray[np.float64],
        layers: NDArray[np.float32],
        n_probes: NDArray[np.uint8],
    ) -> None: ...
