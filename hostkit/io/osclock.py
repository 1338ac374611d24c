"""What the kernel knows of this machine's clock: adjtimex(2), read only. Where there is no such call, nothing."""

import ctypes
import sys
from dataclasses import dataclass

TIME_ERROR = 5  # the clock is not synchronised, by whoever should do so
STA_NANO = 0x2000
PPM = 65_536  # frequency is given in 2**-16 ppm


@dataclass(frozen=True, slots=True, kw_only=True)
class OsClock:
    """Whether time comes from elsewhere, what is still to be corrected, the bound of the error, the correction."""

    synced: bool
    offset_us: float
    error_us: float
    drift_ppm: float


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read_clock() -> OsClock | None:
    """Ask the kernel; None where it cannot be asked."""
    call = getattr(ctypes.CDLL(None), "adjtimex", None) if sys.platform.startswith("linux") else None
    timex = _Timex()
    state = -1 if call is None else call(ctypes.byref(timex))
    if state < 0:
        return None
    return OsClock(
        synced=state != TIME_ERROR,
        offset_us=timex.offset / (1000 if timex.status & STA_NANO else 1),
        error_us=float(max(timex.maxerror, 0)),
        drift_ppm=timex.freq / PPM,
    )
