# cython: language_level=3
"""Forward-backward smoothing of place posteriors along a visit. Knows places by number only."""

import numpy as np

from libc.math cimport exp
from libc.stdint cimport int32_t

cdef float TINY = 1e-12


def smooth(
    const float[:, ::1] posterior,
    const float[::1] prior,
    const double[::1] time_s,
    const int32_t[::1] visit,
    double stay_s,
):
    """Posterior (M, S) of each burst alone → posterior given the whole visit (M, S), float32.

    Rows are in order of visit and time. `prior` (S,), positive, is what each posterior already contains and where a
    move leads; a device stays in its place with probability exp(-gap / stay_s) and otherwise moves by the prior
    (Rabiner 1989, with a rank-one transition matrix, so that a step costs S and not S²). NaN says nothing. ValueError
    for columns that do not fit together and for a prior that is not positive.
    """
    cdef Py_ssize_t rows = posterior.shape[0], states = posterior.shape[1], i, s
    cdef double stay = 0
    if prior.shape[0] != states or time_s.shape[0] != rows or visit.shape[0] != rows:
        raise ValueError("posterior (M, S), prior (S,), time_s (M,) and visit (M,) do not fit together")
    for s in range(states):
        if not prior[s] > 0:
            raise ValueError("prior must be positive")
    out = np.empty((rows, states), np.float32)
    cdef float[:, ::1] g = out
    cdef double[::1] row = np.empty(states)
    cdef double[::1] beta = np.empty(states)
    with nogil:
        for i in range(rows):
            stay = staying(i, time_s, visit, stay_s) if i else 0
            for s in range(states):
                row[s] = (stay * g[i - 1, s] if stay else 0) + (1 - stay) * prior[s]
                row[s] *= evidence(posterior[i, s], prior[s])
            put(&g[i, 0], row, prior)
        for i in range(rows - 1, -1, -1):
            stay = staying(i + 1, time_s, visit, stay_s) if i + 1 < rows else 0
            if stay:
                backward(&beta[0], &posterior[i + 1, 0], &prior[0], stay, states)
            else:
                for s in range(states):
                    beta[s] = 1
            for s in range(states):
                row[s] = g[i, s] * beta[s]
            put(&g[i, 0], row, prior)
    return out


cdef double staying(Py_ssize_t i, const double[::1] time_s, const int32_t[::1] visit, double stay_s) noexcept nogil:
    """P(row i is from the place of the row before)."""
    if visit[i] != visit[i - 1]:
        return 0
    return exp((time_s[i - 1] - time_s[i]) / stay_s)


cdef double evidence(float posterior, float prior) noexcept nogil:
    return posterior / prior + TINY if posterior == posterior else 1


cdef void put(float* g, const double[::1] row, const float[::1] prior) noexcept nogil:
    """Normalise; a row that contradicts all before it so much that nothing is left says nothing."""
    cdef double total = 0
    cdef Py_ssize_t s
    for s in range(row.shape[0]):
        total += row[s]
    for s in range(row.shape[0]):
        g[s] = <float>(row[s] / total if total > 0 else prior[s])


cdef void backward(
    double* beta, const float* posterior, const float* prior, double stay, Py_ssize_t states
) noexcept nogil:
    """One step back: beta(s) ← Σ_t P(t | s) e(t) beta(t), scaled to a maximum of 1."""
    cdef double moved = 0, largest = 0
    cdef Py_ssize_t s
    for s in range(states):
        beta[s] *= evidence(posterior[s], prior[s])
        moved += prior[s] * beta[s]
    for s in range(states):
        beta[s] = stay * beta[s] + (1 - stay) * moved
        if beta[s] > largest:
            largest = beta[s]
    for s in range(states):
        beta[s] /= largest
