"""Streaming zone visits of many devices from probabilities, one flat state each. Knows no clock and no polygon."""

import numpy as np
from libc.math cimport isnan
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from hostkit.errors import UsageError

include "device_rows.pxi"

# Times beyond this (72,000 years) are no times: differences of two of them fit int64.
cdef int64_t MOST_US = 1 << 61

EVENT = np.dtype(
    [
        ("device", "<i4"),
        ("zone", "<i4"),
        ("enter_us", "<i8"),
        ("leave_us", "<i8"),
        ("p_mean", "<f4"),
        ("points", "<u4"),
    ]
)

cdef struct event_t:
    int32_t device, zone
    int64_t enter_us, leave_us
    float p_mean
    uint32_t points

# One device in one zone. `high` and `low` count consecutive observations above and below the thresholds.
cdef struct presence_t:
    int64_t enter_us, last_us  # first of the confirming pair; last observation that was not low
    double p_sum
    uint32_t points
    uint32_t inside, high, low

cdef struct clock_t:
    int64_t last_us
    float interval_s  # streaming median of the time between observations
    uint32_t intervals, seen

cdef float ENTER_P = 0.7
cdef float LEAVE_P = 0.3
cdef uint32_t CONFIRM = 2
cdef float SILENT_INTERVALS = 3.0


cdef class ZoneTracker:
    """Zone visits with hysteresis: entered at P > 0.7 twice, left at P < 0.3 twice or after silence of 3 median
    intervals between the device's observations, at most `silence_s` (which also serves until an interval is known).

    An event's enter_us is the first of the two confirming observations, leave_us the last one that was not below 0.3:
    the observed part of the stay. State: 24 bytes a device and 40 for each of its zones.

    Time running backwards is taken as no time passing and counted in `backward`; rows whose probabilities are all NaN
    are skipped and counted in `unplaced`, single NaN say nothing of their zone.
    """

    cdef presence_t *presence
    cdef clock_t *clock
    cdef Py_ssize_t size
    cdef readonly int n_zones
    cdef int64_t silence_us
    cdef readonly int64_t backward, unplaced

    def __init__(self, int n_zones, double silence_s=600.0):
        if not 0 <= n_zones <= 4096 or not 0.0 < silence_s < 1e9:
            raise UsageError("bad n_zones or silence_s", where="ZoneTracker", next_step="use 0 to 4096 and 600 s")
        self.n_zones, self.silence_us = n_zones, <int64_t>(silence_s * 1e6)

    def __dealloc__(self):
        free(self.presence)
        free(self.clock)

    @property
    def nbytes(self):
        """Bytes of state held."""
        return self.size * (sizeof(clock_t) + self.n_zones * sizeof(presence_t))

    def update(self, const int32_t[:] device, const int64_t[:] time_us, const float[:, ::1] p_zone):
        """Add observations, p_zone (M, n_zones), in time order per device; gives the zone visits (EVENT) that ended."""
        cdef Py_ssize_t m = 0, rows = device.shape[0], found = 0
        cdef event_t[::1] out
        check_lengths(rows, time_us.shape[0], p_zone.shape[0], rows)
        if p_zone.shape[1] != self.n_zones:
            raise UsageError("wrong number of zones", where="p_zone", next_step=f"pass {self.n_zones} columns")
        self._reserve(highest(np.ascontiguousarray(device)))
        ended = np.empty(64 + self.n_zones, EVENT)
        while m < rows:
            if ended.shape[0] - found < self.n_zones:
                ended = np.resize(ended, 2 * len(ended))
            out = ended
            with nogil:
                while m < rows and out.shape[0] - found >= self.n_zones:
                    found = self._add(device[m], time_us[m], &p_zone[m, 0], out, found)
                    m += 1
        return ended[:found]

    def flush(self, device=None):
        """End all zone visits of the given devices (all: None) for good; their slots start anew."""
        cdef const int32_t[:] which = slots(device, self.size)
        cdef Py_ssize_t i, found = 0
        ended = np.empty(which.shape[0] * self.n_zones, EVENT)
        cdef event_t[::1] out = ended
        for i in range(which.shape[0]):
            if which[i] < self.size:
                found = self._leave_all(which[i], out, found)
                memset(&self.clock[which[i]], 0, sizeof(clock_t))
        return ended[:found]

    def expire(self, int64_t now_us):
        """End the zone visits of all devices silent too long before `now_us`; their interval estimate is kept."""
        cdef Py_ssize_t i, found = 0
        cdef list silent = []
        for i in range(self.size):
            if self.clock[i].seen and now_us - self.clock[i].last_us > self._patience(&self.clock[i]):
                silent.append(i)
        ended = np.empty(len(silent) * self.n_zones, EVENT)
        cdef event_t[::1] out = ended
        for i in silent:
            found = self._leave_all(<int32_t>i, out, found)
        return ended[:found]

    cdef int _reserve(self, int32_t device) except -1:
        cdef Py_ssize_t size = max(self.size, 64), zones = max(self.n_zones, 1)
        if device < self.size:
            return 0
        while size <= device:
            size *= 2
        cdef void *presence = realloc(self.presence, size * zones * sizeof(presence_t))
        if presence == NULL:
            raise MemoryError
        self.presence = <presence_t *>presence
        cdef void *clock = realloc(self.clock, size * sizeof(clock_t))
        if clock == NULL:
            raise MemoryError
        self.clock = <clock_t *>clock
        memset(self.presence + self.size * zones, 0, (size - self.size) * zones * sizeof(presence_t))
        memset(self.clock + self.size, 0, (size - self.size) * sizeof(clock_t))
        self.size = size
        return 0

    cdef int64_t _patience(self, const clock_t *clock) noexcept nogil:
        """How long this device may be silent before it has left, µs."""
        if clock.intervals == 0:
            return self.silence_us
        return min(<int64_t>(SILENT_INTERVALS * clock.interval_s * 1e6), self.silence_us)

    cdef Py_ssize_t _add(
        self, int32_t device, int64_t time_us, const float *p, event_t[::1] out, Py_ssize_t found
    ) noexcept nogil:
        """One observation; gives the number of events in out, at most one a zone more than before."""
        cdef clock_t *clock = &self.clock[device]
        cdef int zone, known = 0
        for zone in range(self.n_zones):
            known += not isnan(p[zone])
        if not known or not -MOST_US < time_us < MOST_US:
            self.unplaced += 1
            return found
        if clock.seen and time_us < clock.last_us:
            time_us = clock.last_us
            self.backward += 1
        if clock.seen:
            if time_us - clock.last_us > self._patience(clock):
                found = self._leave_all(device, out, found)
            learn_interval(clock, (time_us - clock.last_us) * <float>1e-6)
        clock.seen, clock.last_us = 1, time_us
        for zone in range(self.n_zones):
            if not isnan(p[zone]) and observe(&self.presence[device * self.n_zones + zone], time_us, p[zone]):
                found = self._leave(device, zone, out, found)
        return found

    cdef Py_ssize_t _leave_all(self, int32_t device, event_t[::1] out, Py_ssize_t found) noexcept nogil:
        cdef int zone
        for zone in range(self.n_zones):
            found = self._leave(device, zone, out, found)
        return found

    cdef Py_ssize_t _leave(self, int32_t device, int zone, event_t[::1] out, Py_ssize_t found) noexcept nogil:
        """End one presence, into out if the zone had been entered."""
        cdef presence_t *s = &self.presence[<Py_ssize_t>device * self.n_zones + zone]
        if s.inside:
            out[found].device, out[found].zone = device, zone
            out[found].enter_us, out[found].leave_us = s.enter_us, s.last_us
            out[found].p_mean, out[found].points = <float>(s.p_sum / s.points), s.points
            found += 1
        memset(s, 0, sizeof(presence_t))
        return found


cdef inline int observe(presence_t *s, int64_t time_us, float p) noexcept nogil:
    """One probability of one zone; 1 if the zone has been left."""
    s.high = s.high + 1 if p > ENTER_P else 0
    s.low = s.low + 1 if p < LEAVE_P else 0
    if not s.inside:
        if s.high == 1:
            s.enter_us, s.p_sum, s.points = time_us, 0.0, 0
        if not s.high:
            return 0
        s.inside = s.high >= CONFIRM
    if not s.low:
        s.last_us = time_us
        s.p_sum += p
        s.points += 1
    return s.low >= CONFIRM


cdef inline void learn_interval(clock_t *clock, float interval_s) noexcept nogil:
    """Streaming median: a step towards each interval, never past it, by a share that shrinks from 1/2 to 1/20."""
    cdef float grow = 1.0 + max(<float>0.05, <float>1.0 / (clock.intervals + 1))
    if interval_s <= 0.0:
        return
    if clock.intervals == 0:
        clock.interval_s = interval_s
    elif interval_s > clock.interval_s:
        clock.interval_s = min(interval_s, clock.interval_s * grow)
    else:
        clock.interval_s = max(interval_s, clock.interval_s / grow)
    clock.intervals += clock.intervals < 1000
