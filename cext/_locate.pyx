"""Batched grid posteriors of positions. Arithmetic only: it knows no floor plan, no clock and no device."""

import numpy as np
from libc.math cimport INFINITY, NAN, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.string cimport memcpy


cdef extern from "locate.h" nogil:
    const int GRID_PAD, GRID_MAX_PROBES, GRID_MAX_ROBUST, GRID_MAX_NODES
    const float GRID_MAX_HEARD_P
    ctypedef struct grid_t:
        const float *map
        const float *log_prior
        const float *x
        const float *floors
        const float *inv_sigma
        const float *link_var
        const float *member
        const int32_t *span
        float *scratch
        int32_t probes, rows, stride, layers
        float y0, cell, power_var
        int32_t nodes
        float *node_db
        float *node_weight
    ctypedef struct grid_burst_t:
        int32_t heard, silent
        int32_t *heard_probe
        int32_t *silent_probe
        float *rssi
        float *weight
        float *listening
    ctypedef struct grid_fix_t:
        double x, y, xx, xy, yy
    ctypedef struct track_motion_t:
        float speed_var, turn_s, pause_s, roam_s, power_hold_s, repeat, repeat_s
    ctypedef struct track_t:
        const grid_t *grid
        const float *prior
        const float *step
        track_motion_t motion
        int32_t nodes
        float *node_db
        float *node_weight
        float node_var
        float *emission
        float **plane
    ctypedef struct grid_ops_t:
        float log_posterior(const grid_t *, const grid_burst_t *) noexcept nogil
        double moments(const grid_t *, float, grid_fix_t *) noexcept nogil
        void layers(const grid_t *, double, float *) noexcept nogil
        void track_step(const track_t *, float *, float) noexcept nogil
        void track_see(const track_t *, float *, const grid_burst_t *, float) noexcept nogil
        double track_posterior(const track_t *, const float *, const float *, grid_fix_t *) noexcept nogil
        const char *name
    size_t track_margin(const grid_t *grid) noexcept
    const grid_ops_t *grid_ops() noexcept
    const grid_ops_t grid_ops_base

LANES = GRID_PAD
MAX_PROBES = GRID_MAX_PROBES
MAX_ROBUST_LINKS = GRID_MAX_ROBUST
MAX_NODES = GRID_MAX_NODES
MAX_HEARD_P = GRID_MAX_HEARD_P

cdef const grid_ops_t *ops = grid_ops()


def processor(name=None):
    """Name of the kernel in use: what fits the processor, or after `name` "base" that of every processor."""
    global ops
    if name is not None:
        ops = &grid_ops_base if name == "base" else grid_ops()
    return ops.name.decode()


# What a radio can report at all; anything else is no reading.
cdef float MIN_RSSI_DBM = -127.0
cdef float MAX_RSSI_DBM = 20.0


cdef class Grid:
    """Expected RSSI per probe and cell, with priors and polygons, all float32 and kept by reference.

    link_var (K,) in dB², or 1 with inv_sigma (K, rows, stride), None: alike everywhere;
    expected_dbm (K, rows, stride), log_prior (rows, stride), x_m (stride,), floors_dbm (K,), member (L, rows, stride),
    span (L, 2) in vectors of 8 cells, node_db and node_weight (Q,) the quadrature
    over transmit power; Q = 0: Gaussian links.
    """

    cdef grid_t grid
    cdef object arrays
    cdef float shared

    def __init__(
        self,
        const float[:, :, ::1] expected_dbm,
        const float[:, ::1] log_prior,
        const float[::1] x_m,
        float y0_m,
        float cell_m,
        const float[::1] floors_dbm,
        const float[:, :, ::1] member,
        const int32_t[:, ::1] span,
        const float[::1] link_var,
        const float[:, :, ::1] inv_sigma,
        float shared,
        float power_sigma_db,
        const float[::1] node_db,
        const float[::1] node_weight,
    ):
        cdef Py_ssize_t i
        check_grid(expected_dbm, log_prior, x_m, floors_dbm, member, span)
        if link_var.shape[0] != floors_dbm.shape[0] or inv_sigma is not None and (
            inv_sigma.shape[0] != expected_dbm.shape[0]
            or inv_sigma.shape[1] != expected_dbm.shape[1]
            or inv_sigma.shape[2] != expected_dbm.shape[2]
        ):
            raise ValueError("link_var and inv_sigma need the probes and cells of the map")
        if node_db.shape[0] > GRID_MAX_NODES or node_weight.shape[0] != node_db.shape[0]:
            raise ValueError("too many power nodes")
        self.arrays = (expected_dbm, log_prior, x_m, floors_dbm, member, span, link_var, inv_sigma)
        self.grid.map = &expected_dbm[0, 0, 0]
        self.grid.log_prior = &log_prior[0, 0]
        self.grid.x = &x_m[0]
        self.grid.floors = &floors_dbm[0]
        self.grid.link_var = &link_var[0]
        self.grid.inv_sigma = &inv_sigma[0, 0, 0] if inv_sigma is not None else NULL
        self.grid.member = &member[0, 0, 0]
        self.grid.span = &span[0, 0]
        self.grid.scratch = NULL
        self.grid.probes = <int32_t>expected_dbm.shape[0]
        self.grid.rows = <int32_t>expected_dbm.shape[1]
        self.grid.stride = <int32_t>expected_dbm.shape[2]
        self.grid.layers = <int32_t>member.shape[0]
        self.grid.y0, self.grid.cell = y0_m, cell_m
        self.shared, self.grid.power_var = shared, power_sigma_db * power_sigma_db
        self.grid.nodes = <int32_t>node_db.shape[0]
        for i in range(node_db.shape[0]):
            self.grid.node_db[i], self.grid.node_weight[i] = node_db[i], node_weight[i]

    def fixes(
        self,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        double[:, ::1] moments,
        float[:, ::1] layers,
        uint8_t[::1] n_probes,
    ):
        """Fill moments (M, 5: x, y about the grid's middle, xx, xy, yy), layers (M, L) and n_probes (M).

        rssi_dbm (M, K), NaN: silent; heard_p (M, K) or (1, K); frames (M, K) or None: one each.
        """
        cdef Py_ssize_t m, step = heard_p.shape[0] != 1, rows = rssi_dbm.shape[0]
        cdef grid_t grid = self.grid
        cdef grid_burst_t burst
        cdef grid_fix_t fix
        cdef double total
        cdef const uint16_t *frame_row
        cdef float[::1] scratch = np.empty(grid.rows * grid.stride, np.float32)
        self._check(rssi_dbm, heard_p, frames)
        self._check_out(rows, moments, layers, n_probes)
        grid.scratch = &scratch[0]
        with nogil:
            for m in range(rows):
                frame_row = &frames[m, 0] if frames is not None else NULL
                self._collect(&burst, &rssi_dbm[m, 0], &heard_p[step * m, 0], frame_row)
                total = ops.moments(&grid, ops.log_posterior(&grid, &burst), &fix)
                ops.layers(&grid, total, &layers[m, 0])
                put_moments(&moments[m, 0], &fix)
                n_probes[m] = <uint8_t>burst.heard

    def posterior(
        self,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        float[:, :, ::1] out,
    ):
        """Fill out (M, rows, stride) with each burst's cell probabilities."""
        cdef Py_ssize_t m, i, step = heard_p.shape[0] != 1, cells = self.grid.rows * self.grid.stride
        cdef grid_t grid = self.grid
        cdef grid_burst_t burst
        cdef grid_fix_t fix
        cdef double total
        cdef const uint16_t *frame_row
        self._check(rssi_dbm, heard_p, frames)
        if out.shape[0] != rssi_dbm.shape[0] or out.shape[1] != grid.rows or out.shape[2] != grid.stride:
            raise ValueError("output array has the wrong shape")
        with nogil:
            for m in range(rssi_dbm.shape[0]):
                frame_row = &frames[m, 0] if frames is not None else NULL
                self._collect(&burst, &rssi_dbm[m, 0], &heard_p[step * m, 0], frame_row)
                grid.scratch = &out[m, 0, 0]
                total = ops.moments(&grid, ops.log_posterior(&grid, &burst), &fix)
                for i in range(cells):
                    grid.scratch[i] = <float>(grid.scratch[i] / total)

    cdef void _collect(
        self, grid_burst_t *burst, const float *rssi, const float *heard_p, const uint16_t *frames
    ) noexcept nogil:
        """Sort one burst's links into heard, silent and unknown."""
        cdef int32_t k, n
        cdef float value, p
        burst.heard = burst.silent = 0
        for k in range(self.grid.probes):
            value = rssi[k]
            if isnan(value):
                p = heard_p[k]
                if p > 0.0:  # false for NaN
                    burst.silent_probe[burst.silent] = k
                    burst.listening[burst.silent] = min(p, GRID_MAX_HEARD_P)
                    burst.silent += 1
            elif MIN_RSSI_DBM <= value <= MAX_RSSI_DBM:
                n = max(<int32_t>frames[k], 1) if frames != NULL else 1
                burst.heard_probe[burst.heard] = k
                burst.rssi[burst.heard] = value
                burst.weight[burst.heard] = 1.0 / (self.grid.link_var[k] * (self.shared + (1.0 - self.shared) / n))
                burst.heard += 1
        if self.grid.nodes and burst.heard > GRID_MAX_ROBUST:
            keep_loudest(burst)

    cdef int _check(
        self, const float[:, ::1] rssi_dbm, const float[:, ::1] heard_p, const uint16_t[:, ::1] frames
    ) except -1:
        cdef Py_ssize_t rows = rssi_dbm.shape[0], probes = self.grid.probes
        if rssi_dbm.shape[1] != probes or heard_p.shape[1] != probes or heard_p.shape[0] not in (1, rows):
            raise ValueError("rssi_dbm and heard_p need one column a probe")
        if frames is not None and (frames.shape[0] != rows or frames.shape[1] != probes):
            raise ValueError("frames needs the shape of rssi_dbm")
        return 0

    cdef int _check_out(
        self, Py_ssize_t rows, const double[:, ::1] moments, const float[:, ::1] layers, const uint8_t[::1] n_probes
    ) except -1:
        if moments.shape[0] < rows or layers.shape[0] < rows or n_probes.shape[0] < rows:
            raise ValueError("output arrays are too short")
        if moments.shape[1] != 5 or layers.shape[1] != self.grid.layers:
            raise ValueError("output arrays have the wrong number of columns")
        return 0


cdef class Track:
    """Steps of one device after another over a Grid, which is kept by reference.

    prior (rows, stride) sums to 1; step (4, rows, stride): share that moves east, west, north, south;
    node_db, node_weight (Q,) the transmit power of a device; node_sigma_db what is left of it at a node;
    motion (7,) the fields of track_motion_t.
    """

    cdef Grid grid
    cdef track_t track
    cdef object arrays

    def __init__(
        self,
        Grid grid,
        const float[:, ::1] prior,
        const float[:, :, ::1] step,
        const float[::1] node_db,
        const float[::1] node_weight,
        float node_sigma_db,
        const float[::1] motion,
    ):
        cdef Py_ssize_t i
        cdef track_motion_t *m = &self.track.motion
        if prior.shape[0] != grid.grid.rows or prior.shape[1] != grid.grid.stride or motion.shape[0] != 7:
            raise ValueError("prior needs the shape of the grid, motion seven numbers")
        if step.shape[0] != 4 or step.shape[1] != prior.shape[0] or step.shape[2] != prior.shape[1]:
            raise ValueError("step needs four planes of the shape of the grid")
        if not 1 <= node_db.shape[0] <= GRID_MAX_NODES or node_weight.shape[0] != node_db.shape[0]:
            raise ValueError("1 to 31 power nodes, with as many weights")
        self.grid, self.arrays = grid, (prior, step)
        self.track.prior, self.track.step = &prior[0, 0], &step[0, 0, 0]
        self.track.nodes, self.track.node_var = <int32_t>node_db.shape[0], node_sigma_db * node_sigma_db
        for i in range(node_db.shape[0]):
            self.track.node_db[i], self.track.node_weight[i] = node_db[i], node_weight[i]
        m.speed_var, m.turn_s, m.pause_s, m.roam_s = motion[0], motion[1], motion[2], motion[3]
        m.power_hold_s, m.repeat, m.repeat_s = motion[4], motion[5], motion[6]

    def forward(
        self,
        float[:, ::1] state,
        double[::1] last_s,
        const int32_t[::1] slot,
        const double[::1] time_s,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        double[:, ::1] moments,
        float[:, ::1] layers,
        uint8_t[::1] n_probes,
    ):
        """Filter rows (M) of devices' slots in `state` (S, Q * cells), in order; last_s (S,), NaN: a new device.

        A row earlier than the one before of its slot counts as simultaneous with it; gives how many were.
        """
        cdef Py_ssize_t m, at, rows = rssi_dbm.shape[0], backwards = 0
        cdef grid_t grid = self.grid.grid
        cdef track_t track = self.track
        cdef grid_burst_t burst
        cdef float[::1] work = self._work()
        self._check(rows, time_s, rssi_dbm, heard_p, frames, moments, layers, n_probes)
        if slot.shape[0] != rows or last_s.shape[0] != state.shape[0] or state.shape[1] != self._size():
            raise ValueError("slot, state and last_s do not fit")
        for m in range(rows):
            if not 0 <= slot[m] < state.shape[0]:
                raise ValueError("slot leaves the states")
        self._lay(&track, &grid, &work[0])
        with nogil:
            for m in range(rows):
                at = slot[m]
                backwards += time_s[m] < last_s[at]
                self._collect(&burst, m, rssi_dbm, heard_p, frames)
                self._ahead(&track, &state[at, 0], &burst, time_s[m], last_s[at])
                last_s[at] = time_s[m] if isnan(last_s[at]) else max(time_s[m], last_s[at])
                self._put(&track, &state[at, 0], NULL, m, moments, layers)
                n_probes[m] = <uint8_t>burst.heard
        return backwards

    def smooth(
        self,
        const int64_t[::1] start,
        const double[::1] time_s,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        float[:, ::1] stored,
        float[:, ::1] kept,
        double[:, ::1] moments,
        float[:, ::1] layers,
        uint8_t[::1] n_probes,
    ):
        """Forward-backward over visits, the v-th being rows start[v] to start[v + 1], in order of time.

        The caller's space: stored (R, Q * cells) and kept (at least ceil(longest visit / R), Q * cells).
        """
        cdef Py_ssize_t v, rows = rssi_dbm.shape[0]
        cdef grid_t grid = self.grid.grid
        cdef track_t track = self.track
        cdef float[::1] work = self._work()
        cdef float[::1] back = np.empty(self._size(), np.float32)
        self._check(rows, time_s, rssi_dbm, heard_p, frames, moments, layers, n_probes)
        if stored.shape[1] != back.shape[0] or kept.shape[1] != back.shape[0] or stored.shape[0] < 1:
            raise ValueError("stored and kept need the size of a state")
        for v in range(start.shape[0] - 1):
            if not 0 <= start[v] <= start[v + 1] <= rows:
                raise ValueError("start leaves the rows")
            if start[v + 1] - start[v] > stored.shape[0] * kept.shape[0]:
                raise ValueError("a visit is longer than the space for it")
        self._lay(&track, &grid, &work[0])
        with nogil:
            for v in range(start.shape[0] - 1):
                self._visit(
                    &track, start[v], start[v + 1], time_s, rssi_dbm, heard_p, frames, stored, kept, &back[0],
                    moments, layers, n_probes,
                )

    cdef void _visit(
        self,
        const track_t *track,
        Py_ssize_t first,
        Py_ssize_t end,
        const double[::1] time_s,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        float[:, ::1] stored,
        float[:, ::1] kept,
        float *back,
        double[:, ::1] moments,
        float[:, ::1] layers,
        uint8_t[::1] n_probes,
    ) noexcept nogil:
        """Keep the forward state before every R rows, then walk those blocks from the last to the first."""
        cdef Py_ssize_t i, block, length = stored.shape[0], blocks = (end - first + length - 1) // length, last
        cdef size_t size = stored.shape[1] * sizeof(float)
        cdef float *f = &stored[0, 0]
        cdef float gap_s
        cdef grid_burst_t burst
        for i in range(first, first + (blocks - 1) * length):
            self._collect(&burst, i, rssi_dbm, heard_p, frames)
            self._ahead(track, f, &burst, time_s[i], time_s[i - 1] if i > first else NAN)
            if (i + 1 - first) % length == 0:
                memcpy(&kept[(i + 1 - first) // length, 0], f, size)
        reset(back, stored.shape[1])
        for block in range(blocks - 1, -1, -1):
            last = min(first + (block + 1) * length, end) - 1
            f = &kept[block, 0]
            for i in range(first + block * length, last + 1):
                memcpy(&stored[i - first - block * length, 0], f, size)
                f = &stored[i - first - block * length, 0]
                self._collect(&burst, i, rssi_dbm, heard_p, frames)
                self._ahead(track, f, &burst, time_s[i], time_s[i - 1] if i > first else NAN)
            for i in range(last, first + block * length - 1, -1):
                self._put(track, &stored[i - first - block * length, 0], back, i, moments, layers)
                self._collect(&burst, i, rssi_dbm, heard_p, frames)
                n_probes[i] = <uint8_t>burst.heard
                if i > first:
                    gap_s = gap(time_s[i], time_s[i - 1])
                    ops.track_see(track, back, &burst, gap_s)
                    ops.track_step(track, back, gap_s)

    cdef void _ahead(
        self, const track_t *track, float *f, const grid_burst_t *burst, double time_s, double before_s
    ) noexcept nogil:
        """One row on: the device moves, then is heard; before_s NaN: it is new."""
        cdef float gap_s = gap(time_s, before_s)
        if isnan(before_s):
            reset(f, self._size())
        else:
            ops.track_step(track, f, gap_s)
        ops.track_see(track, f, burst, gap_s)

    cdef void _put(
        self,
        const track_t *track,
        const float *f,
        const float *back,
        Py_ssize_t m,
        double[:, ::1] moments,
        float[:, ::1] layers,
    ) noexcept nogil:
        cdef grid_fix_t fix
        cdef double total = ops.track_posterior(track, f, back, &fix)
        ops.layers(track.grid, total, &layers[m, 0])
        put_moments(&moments[m, 0], &fix)

    cdef void _collect(
        self,
        grid_burst_t *burst,
        Py_ssize_t m,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
    ) noexcept nogil:
        cdef Py_ssize_t heard_row = m if heard_p.shape[0] != 1 else 0
        cdef const uint16_t *frame_row = &frames[m, 0] if frames is not None else NULL
        self.grid._collect(burst, &rssi_dbm[m, 0], &heard_p[heard_row, 0], frame_row)

    cdef Py_ssize_t _size(self) noexcept nogil:
        return self.track.nodes * self.grid.grid.rows * self.grid.grid.stride

    cdef object _work(self):
        cdef Py_ssize_t cells = self.grid.grid.rows * self.grid.grid.stride
        return np.zeros(3 * cells + 4 * track_margin(&self.grid.grid) + self._size(), np.float32)

    cdef void _lay(self, track_t *track, grid_t *grid, float *work) noexcept:
        """Share the work space out: posterior, two planes for diffusion, emission."""
        cdef Py_ssize_t cells = grid.rows * grid.stride, plane = cells + 2 * track_margin(grid)
        grid.scratch, track.grid = work, grid
        track.plane[0], track.plane[1], track.emission = work + cells, work + cells + plane, work + cells + 2 * plane

    cdef int _check(
        self,
        Py_ssize_t rows,
        const double[::1] time_s,
        const float[:, ::1] rssi_dbm,
        const float[:, ::1] heard_p,
        const uint16_t[:, ::1] frames,
        const double[:, ::1] moments,
        const float[:, ::1] layers,
        const uint8_t[::1] n_probes,
    ) except -1:
        self.grid._check(rssi_dbm, heard_p, frames)
        self.grid._check_out(rows, moments, layers, n_probes)
        if time_s.shape[0] != rows:
            raise ValueError("time_s needs one number a row")
        return 0


cdef float gap(double time_s, double before_s) noexcept nogil:
    """Seconds since the row before, 0 at least; infinite where there is none."""
    return INFINITY if isnan(before_s) else <float>max(time_s - before_s, 0.0)


cdef void reset(float *f, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        f[i] = 1.0


cdef void put_moments(double *moments, const grid_fix_t *fix) noexcept nogil:
    moments[0], moments[1] = fix.x, fix.y
    moments[2], moments[3], moments[4] = fix.xx, fix.xy, fix.yy


cdef int check_grid(
    const float[:, :, ::1] expected_dbm,
    const float[:, ::1] log_prior,
    const float[::1] x_m,
    const float[::1] floors_dbm,
    const float[:, :, ::1] member,
    const int32_t[:, ::1] span,
) except -1:
    cdef Py_ssize_t probes = expected_dbm.shape[0], rows = expected_dbm.shape[1], stride = expected_dbm.shape[2], i
    if not 1 <= probes <= GRID_MAX_PROBES or rows < 1 or stride < 1 or stride % GRID_PAD:
        raise ValueError("a grid needs 1 to 64 probes and rows of whole vectors")
    if log_prior.shape[0] != rows or member.shape[1] != rows or member.shape[0] < 1 or floors_dbm.shape[0] != probes:
        raise ValueError("the grid's arrays disagree in rows, layers or probes")
    if log_prior.shape[1] != stride or member.shape[2] != stride or x_m.shape[0] != stride:
        raise ValueError("the grid's arrays disagree in columns")
    if span.shape[0] != member.shape[0] or span.shape[1] != 2:
        raise ValueError("span needs one pair a layer")
    for i in range(span.shape[0]):
        if not 0 <= span[i, 0] <= span[i, 1] <= rows * stride // GRID_PAD:
            raise ValueError("span leaves the grid")
    return 0


cdef void keep_loudest(grid_burst_t *burst) noexcept nogil:
    """Bring the GRID_MAX_ROBUST loudest links to the front; the rest count as unknown."""
    cdef int32_t i, j, best
    for i in range(GRID_MAX_ROBUST):
        best = i
        for j in range(i + 1, burst.heard):
            if burst.rssi[j] > burst.rssi[best]:
                best = j
        burst.heard_probe[i], burst.heard_probe[best] = burst.heard_probe[best], burst.heard_probe[i]
        burst.rssi[i], burst.rssi[best] = burst.rssi[best], burst.rssi[i]
        burst.weight[i], burst.weight[best] = burst.weight[best], burst.weight[i]
    burst.heard = GRID_MAX_ROBUST
