import numpy as np
from numpy.typing import NDArray

def smooth(
    posterior: NDArray[np.float32],
    prior: NDArray[np.float32],
    time_s: NDArray[np.float64],
    visit: NDArray[np.int32],
    stay_s: float,
) -> NDArray[np.float32]: ...
