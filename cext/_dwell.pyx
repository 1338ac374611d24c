"""Streaming stays and zone visits of many devices, one flat state each. Knows no clock: time comes with the points."""

import numpy as np
from libc.math cimport isfinite, isnan
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from hostkit.errors import UsageError

ctypedef fused real:
    float
    double

# Time that is not known: no point before the stay, or none after it yet.
cdef int64_t UNKNOWN = INT64_MIN
UNKNOWN_US = UNKNOWN

# Times beyond this (72,000 years) are no times: differences of two of them fit int64.
cdef int64_t MOST_US = 1 << 61

# A hostile or broken caller cannot make the state grow without end: 2^24 devices of 64 bytes are 1 GiB.
MAX_DEVICES = 1 << 24

STAY = np.dtype(
    [
        ("device", "<i4"),
        ("points", "<u4"),
        ("start_us", "<i8"),
        ("end_us", "<i8"),
        ("before_us", "<i8"),
        ("after_us", "<i8"),
        ("x_m", "<f8"),
        ("y_m", "<f8"),
    ]
)

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

cdef struct stay_t:
    int32_t device
    uint32_t points
    int64_t start_us, end_us, before_us, after_us
    double x, y

cdef struct event_t:
    int32_t device, zone
    int64_t enter_us, leave_us
    float p_mean
    uint32_t points

# One device: the running stay and one outside point that waits for a second. points == 0: nothing runs.
cdef struct segment_t:
    int64_t start_us, end_us, before_us, pending_us
    double x, y
    float pending_dx, pending_dy  # from x, y
    uint32_t points
    uint32_t pending

SEGMENT_BYTES = sizeof(segment_t)


cdef class Segmenter:
    """Stays by running centroid: a point within `d_m` of the mean joins it, two in a row outside close the stay, so
    does a gap above `g_s`; stays shorter than `t_s` are dropped. Devices are small integers, reusable after `flush`.

    Time running backwards for a device is taken as no time passing and counted in `backward`; points without finite
    position or possible time are skipped and counted in `unplaced`.
    """

    cdef segment_t *state
    cdef Py_ssize_t size
    cdef double reach2
    cdef int64_t short_us, gap_us
    cdef readonly int64_t backward, unplaced

    def __init__(self, double d_m=8.0, double t_s=120.0, double g_s=1200.0):
        if not (d_m > 0.0 and t_s >= 0.0 and 0.0 < g_s < 1e9 and isfinite(d_m) and t_s < 1e9):
            raise UsageError("bad d_m, t_s or g_s", where="Segmenter", next_step="use 8 m, 120 s, 1200 s")
        self.reach2 = d_m * d_m
        self.short_us, self.gap_us = <int64_t>(t_s * 1e6), <int64_t>(g_s * 1e6)

    def __dealloc__(self):
        free(self.state)

    @property
    def nbytes(self):
        """Bytes of state held."""
        return self.size * sizeof(segment_t)

    def update(
        self, const int32_t[:] device, const int64_t[:] time_us, const real[:] x_m, const real[:] y_m
    ):
        """Add points, in time order per device; gives the stays (STAY) they closed, in the order of closing."""
        cdef Py_ssize_t m = 0, rows = device.shape[0], found = 0
        cdef stay_t[:] out
        check_lengths(rows, time_us.shape[0], x_m.shape[0], y_m.shape[0])
        self._reserve(highest(device))
        closed = np.empty(min(rows, 64), STAY)
        while m < rows:
            if found == closed.shape[0]:
                closed = np.resize(closed, min(rows, 2 * found))
            out = closed
            with nogil:
                while m < rows and found < out.shape[0]:
                    found += self._add(device[m], time_us[m], x_m[m], y_m[m], &out[found])
                    m += 1
        return closed[:found]

    def flush(self, device=None):
        """Close the stays of the given devices (all: None) for good; their slots start anew. `after_us` is that of a
        point waiting outside, else UNKNOWN_US."""
        cdef const int32_t[:] which = slots(device, self.size)
        cdef Py_ssize_t i, found = 0
        closed = np.empty(which.shape[0], STAY)
        cdef stay_t[:] out = closed
        for i in range(which.shape[0]):
            if which[i] < self.size:
                found += self._close(&self.state[which[i]], which[i], UNKNOWN, &out[found])
                memset(&self.state[which[i]], 0, sizeof(segment_t))
        return closed[:found]

    def expire(self, int64_t now_us):
        """Close the stays of all devices not placed for more than `g_s` before `now_us`; later points start anew."""
        cdef Py_ssize_t i
        cdef list silent = []
        for i in range(self.size):
            if self.state[i].points and now_us - latest(&self.state[i]) > self.gap_us:
                silent.append(i)
        return self.flush(np.array(silent, np.int32))

    cdef int _reserve(self, int32_t device) except -1:
        cdef Py_ssize_t size = max(self.size, 64)
        if device < self.size:
            return 0
        while size <= device:
            size *= 2
        cdef segment_t *state = <segment_t *>realloc(self.state, size * sizeof(segment_t))
        if state == NULL:
            raise MemoryError
        memset(state + self.size, 0, (size - self.size) * sizeof(segment_t))
        self.state, self.size = state, size
        return 0

    cdef int _add(self, int32_t device, int64_t time_us, double x, double y, stay_t *out) noexcept nogil:
        """One point; 1 if it closed a stay into out."""
        cdef segment_t *s = &self.state[device]
        cdef int closed = 0
        cdef double dx = x - s.x, dy = y - s.y
        if not (isfinite(x) and isfinite(y) and -MOST_US < time_us < MOST_US):
            self.unplaced += 1
            return 0
        if s.points == 0:
            begin(s, time_us, UNKNOWN, x, y)
            return 0
        if time_us < latest(s):
            time_us = latest(s)
            self.backward += 1
        if time_us - latest(s) > self.gap_us:
            closed = self._close(s, device, time_us, out)
            begin(s, time_us, latest(s), x, y)
        elif dx * dx + dy * dy <= self.reach2:
            s.points += 1
            s.x += dx / s.points
            s.y += dy / s.points
            s.end_us, s.pending = time_us, 0
        elif s.pending == 0:
            s.pending_us, s.pending_dx, s.pending_dy, s.pending = time_us, <float>dx, <float>dy, 1
        else:
            closed = self._close(s, device, s.pending_us, out)
            begin(s, s.pending_us, s.end_us, s.x + s.pending_dx, s.y + s.pending_dy)
            self._add(device, time_us, x, y, out)  # only one point runs now: this closes nothing
        return closed

    cdef int _close(self, segment_t *s, int32_t device, int64_t after_us, stay_t *out) noexcept nogil:
        """Write the running stay to out unless it is too short; 1 if written."""
        if s.points == 0 or s.end_us - s.start_us < self.short_us:
            return 0
        out.device, out.points = device, s.points
        out.start_us, out.end_us, out.before_us = s.start_us, s.end_us, s.before_us
        out.after_us = s.pending_us if s.pending else after_us
        out.x, out.y = s.x, s.y
        return 1


cdef inline int64_t latest(const segment_t *s) noexcept nogil:
    return s.pending_us if s.pending else s.end_us


cdef inline void begin(segment_t *s, int64_t time_us, int64_t before_us, double x, double y) noexcept nogil:
    s.start_us = s.end_us = time_us
    s.before_us, s.x, s.y = before_us, x, y
    s.points, s.pending = 1, 0


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
    the observed part of the stay. Time running backwards is taken as no time passing and counted in `backward`; rows
    whose probabilities are all NaN are skipped and counted in `unplaced`, single NaN say nothing of their zone.
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
        self._reserve(highest(device))
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


cdef int check_lengths(Py_ssize_t rows, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except -1:
    if a != rows or b != rows or c != rows:
        raise UsageError("columns differ in length", where="update", next_step="pass one value a point in each")
    return 0


cdef int32_t highest(const int32_t[:] device) except -2:
    cdef Py_ssize_t i
    cdef int32_t most = -1, least = 0
    for i in range(device.shape[0]):
        most, least = max(most, device[i]), min(least, device[i])
    if least < 0 or most >= MAX_DEVICES:
        raise UsageError("device numbers out of range", where="device", next_step=f"use 0 to {MAX_DEVICES - 1}")
    return most


cdef slots(device, Py_ssize_t size):
    """The device numbers asked for as int32, all of them for None."""
    if device is None:
        return np.arange(size, dtype=np.int32)
    which = np.unique(np.asarray(device, np.int32))
    highest(which)
    return which
