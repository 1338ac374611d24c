import numpy as np
from numpy.typing import NDArray

BURST: np.dtype[np.void]
TRACK: np.dtype[np.void]
NEW_ADDRESS: int
NEVER_HEARD: int
NEW_TRACK: int

Columns = tuple[NDArray[np.void], NDArray[np.float32], NDArray[np.uint16]]

class Tracker:
    probes: int
    late: int
    dropped: int
    unclassed: int
    refused: int
    crowded: int
    addresses: int
    randomised: int
    tracks: int
    element_classes: int

    def __init__(
        self,
        probes: int,
        *,
        max_addresses: int = ...,
        max_fingerprints: int = ...,
        max_variants: int = ...,
        max_candidates: int = ...,
        burst_gap_s: float = ...,
        burst_max_s: float = ...,
        scan_gap_s: float = ...,
        tau_s: float = ...,
        horizon_s: float = ...,
        link_scale_db: float = ...,
        background_scale_db: float = ...,
        independence: float = ...,
        change_s: float = ...,
        birth_s: float = ...,
        birth_weight: float = ...,
        follow: float = ...,
        trust_local_bit: bool = ...,
    ) -> None: ...
    def feed(self, sightings: NDArray[np.void]) -> Columns: ...
    def advance(self, now_us: int) -> Columns: ...
    def track_table(self) -> NDArray[np.void]: ...
    def tracks_of(self, device_keys: NDArray[np.uint64]) -> NDArray[np.int64]: ...
