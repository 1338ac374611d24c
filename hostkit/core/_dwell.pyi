import numpy as np
from numpy.typing import ArrayLike, NDArray

UNKNOWN_US: int
MAX_DEVICES: int
SEGMENT_BYTES: int
REACH_SIGMAS: float
STAY: np.dtype[np.void]

class Segmenter:
    backward: int
    unplaced: int
    def __init__(self, d_m: float = ..., t_s: float = ..., g_s: float = ...) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def update(
        self,
        device: NDArray[np.int32],
        time_us: NDArray[np.int64],
        x_m: NDArray[np.float32] | NDArray[np.float64],
        y_m: NDArray[np.float32] | NDArray[np.float64],
    ) -> NDArray[np.void]: ...
    def flush(self, device: ArrayLike | None = ...) -> NDArray[np.void]: ...
    def expire(self, now_us: int) -> NDArray[np.void]: ...
