"""Batched Levenberg-Marquardt positions from RSSI. Arithmetic only: a reading is a number, an anchor a point."""

from libc.math cimport NAN, fabs, fmax, isnan, log10, sqrt
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memset

cdef enum:
    MAX_ANCHORS = 64
    MIN_ANCHORS = 3  # place and transmit power are three unknowns
    MAX_ITERATIONS = 60
    SIDE = 3  # starts on a SIDE x SIDE lattice over the anchors, and their weighted centroid
    STARTS = SIDE * SIDE + 1
    OK = 0
    FEW = 1
    LINE = 2
    LOST = 3

CONVERGED, TOO_FEW, DEGENERATE, UNSETTLED = OK, FEW, LINE, LOST
MAX_PROBES = MAX_ANCHORS

cdef double MIN_RSSI_DBM = -127.0, MAX_RSSI_DBM = 20.0
cdef double DB_PER_NEPER = 4.3429448190325175
cdef double MIN_SQUARED_M = 0.25  # closer than 0.5 m the law says nothing
cdef double FLAT = 1e-4  # variance across / along the anchors below which they stand in a line: 1 % in length
cdef double SINGULAR = 1e-9  # determinant / trace^2 of an information that fixes no place
cdef double SETTLED_M = 1e-6
cdef double REACH = 3.0  # solutions further than this many diagonals of the anchors from their middle are none

cdef struct burst_t:
    int anchors
    double x[MAX_ANCHORS]
    double y[MAX_ANCHORS]
    double zz[MAX_ANCHORS]      # squared height over the device
    double at_1m[MAX_ANCHORS]   # reading - RSSI expected at 1 m
    double slope[MAX_ANCHORS]   # dB per neper of distance
    double weight[MAX_ANCHORS]  # 1/dB^2
    double total                # sum of the weights and of the prior's on the power
    double middle_x, middle_y, half_x, half_y

cdef struct normal_t:
    double cost, axx, axy, ayy, bx, by  # half the squared error's Gauss-Newton form and slope, the power profiled out
    double hxx, hxy, hyy                # the same form with the curvature of the residuals
    double power, residual


def multilaterate(
    const float[:, ::1] rssi_dbm,
    const uint16_t[:, ::1] frames,
    const double[:, ::1] anchors,
    double power_precision,
    double shared,
    double[:, ::1] out,
    uint8_t[::1] n_probes,
    uint8_t[::1] status,
):
    """Fill out (M, 7: x, y, power, cov_xx, cov_xy, cov_yy, residual; NaN unless CONVERGED), n_probes and status (M).

    rssi_dbm (M, K), NaN: silent; frames (M, K) or None; anchors (K, 6): x, y, z over the device, RSSI at 1 m, exponent,
    sigma; power_precision in 1/dB² (0: power quite unknown; infinite: known).
    """
    cdef Py_ssize_t m, rows = rssi_dbm.shape[0], probes = anchors.shape[0]
    cdef burst_t burst
    cdef const uint16_t *frame_row
    if not 1 <= probes <= MAX_ANCHORS or rssi_dbm.shape[1] != probes or anchors.shape[1] != 6:
        raise ValueError("1 to 64 anchors of six numbers, and a column of readings for each")
    if frames is not None and (frames.shape[0] != rows or frames.shape[1] != probes):
        raise ValueError("frames needs the shape of rssi_dbm")
    if out.shape[0] < rows or out.shape[1] != 7 or n_probes.shape[0] < rows or status.shape[0] < rows:
        raise ValueError("output arrays are too short")
    with nogil:
        for m in range(rows):
            frame_row = &frames[m, 0] if frames is not None else NULL
            collect(&burst, &rssi_dbm[m, 0], frame_row, anchors, shared, power_precision)
            n_probes[m] = <uint8_t>burst.anchors
            status[m] = solve(&burst, &out[m, 0])


cdef void collect(
    burst_t *burst,
    const float *rssi,
    const uint16_t *frames,
    const double[:, ::1] anchors,
    double shared,
    double power_precision,
) noexcept nogil:
    cdef int n = 0
    cdef Py_ssize_t k
    cdef double count
    burst.total = power_precision
    for k in range(anchors.shape[0]):
        if isnan(rssi[k]) or not MIN_RSSI_DBM <= rssi[k] <= MAX_RSSI_DBM:
            continue
        count = fmax(frames[k], 1.0) if frames != NULL else 1.0
        burst.x[n], burst.y[n], burst.zz[n] = anchors[k, 0], anchors[k, 1], anchors[k, 2] * anchors[k, 2]
        burst.at_1m[n], burst.slope[n] = rssi[k] - anchors[k, 3], DB_PER_NEPER * anchors[k, 4]
        burst.weight[n] = 1.0 / (anchors[k, 5] * anchors[k, 5] * (shared + (1.0 - shared) / count))
        burst.total += burst.weight[n]
        n += 1
    burst.anchors = n


cdef uint8_t solve(burst_t *burst, double *out) noexcept nogil:
    cdef double start[STARTS][3]
    cdef double best[2]
    cdef double place[2]
    cdef normal_t found, other
    cdef int i
    cdef bint settled = False
    memset(&found, 0, sizeof(found))
    best[0] = best[1] = NAN
    for i in range(7):
        out[i] = NAN
    if burst.anchors < MIN_ANCHORS:
        return FEW
    if in_line(burst):
        return LINE
    starts(burst, start)
    for i in range(2):
        place[0], place[1] = start[i][0], start[i][1]
        if descend(burst, place, &other) and (not settled or other.cost < found.cost):
            settled, found = True, other
            best[0], best[1] = place[0], place[1]
    if not settled:
        return LOST
    return put(&found, best, out)


cdef uint8_t put(const normal_t *found, const double *place, double *out) noexcept nogil:
    cdef double det = found.axx * found.ayy - found.axy * found.axy, trace = found.axx + found.ayy
    if not det > SINGULAR * trace * trace:
        return LINE
    out[0], out[1], out[2] = place[0], place[1], found.power
    out[3], out[4], out[5] = found.ayy / det, -found.axy / det, found.axx / det
    out[6] = found.residual
    return OK


cdef bint in_line(burst_t *burst) noexcept nogil:
    """Whether the anchors stand in a line or at one point; also measures them."""
    cdef double x0 = burst.x[0], x1 = x0, y0 = burst.y[0], y1 = y0, mx = 0, my = 0, xx = 0, xy = 0, yy = 0, dx, dy
    cdef int k, n = burst.anchors
    for k in range(n):
        x0, x1 = min(x0, burst.x[k]), max(x1, burst.x[k])
        y0, y1 = min(y0, burst.y[k]), max(y1, burst.y[k])
        mx += burst.x[k] / n
        my += burst.y[k] / n
    for k in range(n):
        dx, dy = burst.x[k] - mx, burst.y[k] - my
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    burst.middle_x, burst.half_x = (x0 + x1) / 2, (x1 - x0) / 2
    burst.middle_y, burst.half_y = (y0 + y1) / 2, (y1 - y0) / 2
    return not xx * yy - xy * xy > FLAT * (xx + yy) * (xx + yy)


cdef void starts(const burst_t *burst, double[3] *start) noexcept nogil:
    """Places to start from, the two of least cost first."""
    cdef int i, j, k
    cdef double loudest = -1e9, weight, total = 0, x = 0, y = 0
    cdef normal_t at
    for k in range(burst.anchors):
        loudest = max(loudest, burst.at_1m[k])
    for k in range(burst.anchors):
        weight = 1.0 / (1.0 + fmax(loudest - burst.at_1m[k], 0.0)) ** 2
        total += weight
        x += weight * burst.x[k]
        y += weight * burst.y[k]
    start[0][0], start[0][1] = x / total, y / total
    for i in range(SIDE):
        for j in range(SIDE):
            k = 1 + SIDE * i + j
            start[k][0] = burst.middle_x + burst.half_x * (2.0 * i / (SIDE - 1) - 1.0) * 0.8
            start[k][1] = burst.middle_y + burst.half_y * (2.0 * j / (SIDE - 1) - 1.0) * 0.8
    for k in range(STARTS):
        normal(burst, start[k], &at, False)
        start[k][2] = at.cost
    for i in range(2):
        for k in range(i + 1, STARTS):
            if start[k][2] < start[i][2]:
                for j in range(3):
                    start[i][j], start[k][j] = start[k][j], start[i][j]


cdef bint descend(const burst_t *burst, double *place, normal_t *at) noexcept nogil:
    """Levenberg-Marquardt with Marquardt's scaling from `place`, which moves; whether it settled near the anchors."""
    cdef double damping = 1e-3, det, sx, sy, axx, axy, ayy, reach = REACH * size(burst)
    cdef double there[2]
    cdef normal_t new
    cdef bint newton
    normal(burst, place, at, True)
    for _ in range(MAX_ITERATIONS):
        newton = at.hxx > 0 and at.hxx * at.hyy - at.hxy * at.hxy > SINGULAR * (at.hxx + at.hyy) ** 2
        axx, axy, ayy = (at.hxx, at.hxy, at.hyy) if newton else (at.axx, at.axy, at.ayy)
        axx, ayy = axx * (1 + damping) + 1e-12, ayy * (1 + damping) + 1e-12
        det = axx * ayy - axy * axy
        if not det > 0:
            return False
        sx, sy = (axy * at.by - ayy * at.bx) / det, (axy * at.bx - axx * at.by) / det
        there[0], there[1] = place[0] + sx, place[1] + sy
        normal(burst, there, &new, True)
        if new.cost <= at.cost:
            place[0], place[1], at[0], damping = there[0], there[1], new, damping * 0.2
        else:
            damping = fmax(damping, 1e-3) * 6.0
        if fabs(sx) + fabs(sy) < SETTLED_M:
            return fabs(place[0] - burst.middle_x) + fabs(place[1] - burst.middle_y) < reach
    return False


cdef double size(const burst_t *burst) noexcept nogil:
    return 2.0 * sqrt(burst.half_x * burst.half_x + burst.half_y * burst.half_y)


cdef void normal(const burst_t *burst, const double *place, normal_t *at, bint slopes) noexcept nogil:
    """Squared error at a place, the power that fits best profiled out, and unless `slopes` is false its derivatives.

    Variable projection: the error is linear in the power: profiling is a Schur complement (Golub & Pereyra 1973).
    """
    cdef double e, w, dx, dy, squared, gx, gy, we, cxx, cxy, czz
    cdef double ee = 0, se = 0, xx = 0, xy = 0, yy = 0, sx = 0, sy = 0, xe = 0, ye = 0, weight = 0
    cdef double wxx = 0, wxy = 0, wzz = 0, exx = 0, exy = 0, ezz = 0
    cdef int k
    for k in range(burst.anchors):
        dx, dy = place[0] - burst.x[k], place[1] - burst.y[k]
        squared = dx * dx + dy * dy + burst.zz[k]
        if squared < MIN_SQUARED_M:
            squared, dx, dy = MIN_SQUARED_M, 0.0, 0.0
        w = burst.weight[k]
        e = burst.at_1m[k] + burst.slope[k] * 1.1512925464970229 * log10(squared)  # ln(10) / 2
        we = w * e
        ee += we * e
        se += we
        weight += w
        if slopes:
            gx, gy = burst.slope[k] * dx / squared, burst.slope[k] * dy / squared
            sx += w * gx
            sy += w * gy
            xx += w * gx * gx
            xy += w * gx * gy
            yy += w * gy * gy
            xe += we * gx
            ye += we * gy
            # The Hessian of ln d is -(cxx, cxy; cxy, -cxx) + czz: harmonic but for the height.
            cxx, cxy = (gx * gx - gy * gy) / burst.slope[k], 2.0 * gx * gy / burst.slope[k]
            czz = burst.slope[k] * burst.zz[k] / (squared * squared)
            wxx += w * cxx
            wxy += w * cxy
            wzz += w * czz
            exx += we * cxx
            exy += we * cxy
            ezz += we * czz
    at.power = se / burst.total
    at.cost = ee - se * at.power
    at.axx, at.axy, at.ayy = xx - sx * sx / burst.total, xy - sx * sy / burst.total, yy - sy * sy / burst.total
    cxx, cxy, czz = exx - wxx * at.power, exy - wxy * at.power, ezz - wzz * at.power
    at.hxx, at.hxy, at.hyy = at.axx - cxx + czz, at.axy - cxy, at.ayy + cxx + czz
    at.bx, at.by = xe - sx * at.power, ye - sy * at.power
    at.residual = sqrt(fmax(ee - (2.0 * se - weight * at.power) * at.power, 0.0) / weight)
