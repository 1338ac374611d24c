import numpy as np
from numpy.typing import ArrayLike, NDArray

EVENT: np.dtype[np.void]

class ZoneTracker:
    backward: int
    unplaced: int
    n_zones: int
    def __init__(self, n_zones: int, silence_s: float = ...) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def update(
        self, device: NDArray[np.int32], time_us: NDArray[np.int64], p_zone: NDArray[np.float32]
    ) -> NDArray[np.void]: ...
    def flush(self, device: ArrayLike | None = ...) -> NDArray[np.void]: ...
    def expire(self, now_us: int) -> NDArray[np.void]: ...
