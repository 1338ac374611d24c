import numpy as np
from numpy.typing import NDArray

BURST: np.dtype[np.void]
TRACK: np.dtype[np.void]
REVISION: np.dtype[np.void]
NEW_ADDRESS: int
NEVER_HEARD: int
NEW_TRACK: int

Columns = tuple[NDArray[np.void], NDArray[np.float32], NDArray[np.uint16]]

def link(
    first_s: NDArray[np.float64],
    last_s: NDArray[np.float64],
    rssi_dbm: NDArray[np.float32],
    tied: NDArray[np.int32],
    *,
    horizon_s: float = ...,
    link_scale_db: float = ...,
    background_scale_db: float = ...,
    stay_s: float = ...,
    birth_weight: float = ...,
) -> NDArray[np.int32]: ...

class Tracker:
    probes: int
    late: int
    dropped: int
    unclassed: int
    refused: int
    crowded: int
    addresses: int
    randomised: int
    forgotten: int
    tracks: int
    element_classes: int

    def __init__(
        self,
        probes: int,
        *,
        max_addresses: int = ...,
        max_tracks: int = ...,
        max_fingerprints: int = ...,
        max_variants: int = ...,
        max_scans: int = ...,
        burst_gap_s: float = ...,
        burst_max_s: float = ...,
        scan_gap_s: float = ...,
        horizon_s: float = ...,
        relink_s: float = ...,
        link_scale_db: float = ...,
        background_scale_db: float = ...,
        stay_s: float = ...,
        birth_weight: float = ...,
        trust_local_bit: bool = ...,
        link_sequence_numbers: bool = ...,
    ) -> None: ...
    @property
    def revisions(self) -> NDArray[np.void]: ...
    def feed(self, sightings: NDArray[np.void]) -> Columns: ...
    def advance(self, now_us: int) -> Columns: ...
    def track_table(self) -> NDArray[np.void]: ...
    def tracks_of(self, device_keys: NDArray[np.uint64]) -> NDArray[np.int64]: ...
