"""Streaming stays of many devices, one flat state each. Knows no clock: time comes with the points."""

import numpy as np
from libc.math cimport exp, isfinite
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from hostkit.errors import UsageError

include "device_rows.pxi"

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept nogil

ctypedef fused real:
    float
    double

# Time that is not known: no point before the stay, or none after it yet.
cdef int64_t UNKNOWN = INT64_MIN
UNKNOWN_US = UNKNOWN

# Times beyond this (72,000 years) are no times: differences of two of them fit int64.
cdef int64_t MOST_US = 1 << 61

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

cdef struct stay_t:
    int32_t device
    uint32_t points
    int64_t start_us, end_us, before_us, after_us
    double x, y

# One device: the running stay and one outside point that waits for a second, the latest if so. points == 0: none runs.
cdef struct segment_t:
    int64_t start_us, end_us, before_us, latest_us
    double x, y
    float pending_dx, pending_dy  # from x, y
    uint32_t points
    uint32_t pending

SEGMENT_BYTES = sizeof(segment_t)

# Points at the ends of a stay may be of the walk to or from it. Within this reach as many of the walk are taken for
# stay as of the stay for walk: exp(-r² / 2 s²) = r / (v t), for errors s of reach / 3.2 in x and in y, v in m/s;
# v t is at least half of the reach, as points that follow each other faster are judged several at a time.
cdef double SIGMAS = 3.2
REACH_SIGMAS = SIGMAS
cdef double WALK_M_S = 0.8
cdef enum:
    OCTAVES = 40  # of the time between two points in µs: 2^40 µs are 12 days


def edge(double d_m, double gap_s, double variances):
    """Reach (m) that a point's distance is compared with, `gap_s` after the one before; `variances` of its errors."""
    cdef double low = 0.0, high = d_m, r, walk_m = max(WALK_M_S * gap_s, d_m / 2.0)
    cdef double s2 = (d_m / SIGMAS) ** 2 * variances
    for _ in range(50):
        r = (low + high) / 2
        if exp(-r * r / (2 * s2)) * walk_m > r:
            low = r
        else:
            high = r
    return high


cdef inline int octave_of(uint64_t gap_us) noexcept nogil:
    return min(63 - __builtin_clzll(gap_us | 1), OCTAVES - 1)


cdef class Segmenter:
    """Stays by running centroid: a point within `d_m` of the mean joins it, two in a row outside close the stay, so
    does a gap above `g_s`; stays that likely lasted less than `t_s` are dropped. Devices are small integers, reusable
    after `flush`. `d_m` should be 3.2 standard deviations of the points' errors in x or in y.

    `start_us` to `end_us` leaves out points at the ends that are likelier of the walk to and from the place.
    Time running backwards for a device is taken as no time passing and counted in `backward`; points without finite
    position or possible time are skipped and counted in `unplaced`.
    """

    cdef segment_t *state
    cdef Py_ssize_t size
    cdef double reach2
    cdef double edge2[OCTAVES]
    cdef double start2[OCTAVES]
    cdef int64_t short_us, gap_us
    cdef readonly int64_t backward, unplaced

    def __init__(self, double d_m=8.0, double t_s=120.0, double g_s=1200.0):
        if not (d_m > 0.0 and t_s >= 0.0 and 0.0 < g_s < 1e9 and isfinite(d_m) and t_s < 1e9):
            raise UsageError("bad d_m, t_s or g_s", where="Segmenter", next_step="use 8 m, 120 s, 1200 s")
        self.reach2 = d_m * d_m
        cdef int i
        for i in range(OCTAVES):
            self.edge2[i] = edge(d_m, 2.0**i * 1.414e-6, 1.0) ** 2
            self.start2[i] = edge(d_m, 2.0**i * 1.414e-6, 2.0) ** 2
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
        cdef const int32_t[::1] who = np.ascontiguousarray(device)
        cdef const int64_t[::1] when_us = np.ascontiguousarray(time_us)
        cdef const real[::1] x = np.ascontiguousarray(x_m)
        cdef const real[::1] y = np.ascontiguousarray(y_m)
        cdef stay_t[::1] out
        check_lengths(rows, time_us.shape[0], x_m.shape[0], y_m.shape[0])
        self._reserve(highest(who))
        closed = np.empty(min(rows, 64), STAY)
        while m < rows:
            if found == closed.shape[0]:
                closed = np.resize(closed, min(rows, 2 * found))
            out = closed
            with nogil:
                while m < rows and found < out.shape[0]:
                    found += self._add(who[m], when_us[m], x[m], y[m], &out[found])
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
            if self.state[i].points and now_us - self.state[i].latest_us > self.gap_us:
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
        cdef double dx = x - s.x, dy = y - s.y, away2 = dx * dx + dy * dy
        # Unsigned, so that no time overflows and time running backwards is a long gap; NaN is not within reach.
        cdef uint64_t since_us = <uint64_t>time_us - <uint64_t>s.latest_us
        if s.points and since_us <= <uint64_t>self.gap_us and away2 <= self.reach2:
            self._join(s, time_us, dx, dy, octave_of(since_us))
            return 0
        return self._other(s, device, time_us, x, y, out)

    cdef inline void _join(self, segment_t *s, int64_t time_us, double dx, double dy, int octave) noexcept nogil:
        """A point within reach."""
        cdef double away2 = dx * dx + dy * dy, share = 1.0 / (s.points + 1)
        s.points += 1
        s.x += dx * share
        s.y += dy * share
        if s.points == 2 and away2 > self.start2[octave]:
            s.start_us = s.end_us = time_us
            s.before_us = s.latest_us
        # No branch: a fifth of the points is beyond the edge, at random, and a wrong guess costs more than all else.
        s.end_us += (time_us - s.end_us) & -<int64_t>(away2 <= self.edge2[octave])
        s.latest_us, s.pending = time_us, 0

    cdef int _other(
        self, segment_t *s, int32_t device, int64_t time_us, double x, double y, stay_t *out
    ) noexcept nogil:
        """A point that is first, late, outside or no point; 1 if it closed a stay into out."""
        cdef int closed = 0
        if not (isfinite(x) and isfinite(y) and -MOST_US < time_us < MOST_US):
            self.unplaced += 1
        elif s.points == 0:
            begin(s, time_us, UNKNOWN, x, y)
        elif time_us < s.latest_us:
            self.backward += 1
            closed = self._add(device, s.latest_us, x, y, out)
        elif time_us - s.latest_us > self.gap_us:
            closed = self._close(s, device, time_us, out)
            begin(s, time_us, s.latest_us, x, y)
        elif s.pending == 0:
            s.pending_dx, s.pending_dy = <float>(x - s.x), <float>(y - s.y)
            s.latest_us, s.pending = time_us, 1
        else:
            closed = self._close(s, device, s.latest_us, out)
            begin(s, s.latest_us, s.end_us, s.x + s.pending_dx, s.y + s.pending_dy)
            self._add(device, time_us, x, y, out)  # only one point runs now: this closes nothing
        return closed

    cdef int _close(self, segment_t *s, int32_t device, int64_t after_us, stay_t *out) noexcept nogil:
        """Write the running stay to out unless it is too short; 1 if written."""
        if s.pending:
            after_us = s.latest_us
        if s.points == 0 or likely_us(s, after_us) < self.short_us:
            return 0
        out.device, out.points = device, s.points
        out.start_us, out.end_us, out.before_us = s.start_us, s.end_us, s.before_us
        out.after_us = after_us
        out.x, out.y = s.x, s.y
        return 1


cdef inline int64_t likely_us(const segment_t *s, int64_t after_us) noexcept nogil:
    """How long a stay lasted: half of the way to the points before and after, each at most twice the mean interval."""
    cdef int64_t seen_us = s.end_us - s.start_us, most_us = 0, before_us = 0, later_us = 0
    if s.points < 2:
        return 0
    most_us = 2 * seen_us // (s.points - 1)
    if s.before_us != UNKNOWN:
        before_us = min(s.start_us - s.before_us, most_us)
    if after_us != UNKNOWN:
        later_us = min(after_us - s.end_us, most_us)
    return seen_us + (before_us + later_us) // 2


cdef inline void begin(segment_t *s, int64_t time_us, int64_t before_us, double x, double y) noexcept nogil:
    s.start_us = s.end_us = s.latest_us = time_us
    s.before_us, s.x, s.y = before_us, x, y
    s.points, s.pending = 1, 0
