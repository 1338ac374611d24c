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
    (Rabiner 1989, with a rank-one transition matrix, so that a step costs S and not S²).
    """
    cdef Py_ssize_t rows = posterior.shape[0], states = posterior.shape[1], i, s
    cdef double stay, total
    out = np.empty((rows, states), np.float32)
    cdef float[:, ::1] g = out
    cdef double[::1] beta = np.empty(states)
    if prior.shape[0] != states or time_s.shape[0] != rows or visit.shape[0] != rows:
        raise ValueError("posterior (M, S), prior (S,), time_s (M,) and visit (M,) do not fit together")
    with nogil:
        for i in range(rows):
            stay = 0
            if i and visit[i] == visit[i - 1]:
                stay = exp((time_s[i - 1] - time_s[i]) / stay_s)
            total = 0
            for s in range(states):
                g[i, s] = <float>((posterior[i, s] / prior[s] + TINY) * ((stay * g[i - 1, s] if stay else 0) + (1 - stay) * prior[s]))
                total += g[i, s]
            for s in range(states):
                g[i, s] = <float>(g[i, s] / total)
        for i in range(rows - 1, -1, -1):
            if i + 1 == rows or visit[i + 1] != visit[i]:
                for s in range(states):
                    beta[s] = 1
            else:
                stay = exp((time_s[i] - time_s[i + 1]) / stay_s)
                backward(&beta[0], &posterior[i + 1, 0], &prior[0], stay, states)
            total = 0
            for s in range(states):
                g[i, s] = <float>(g[i, s] * beta[s])
                total += g[i, s]
            for s in range(states):
                g[i, s] = <float>(g[i, s] / total)
    return out


cdef void backward(double* beta, const float* posterior, const float* prior, double stay, Py_ssize_t states) noexcept nogil:
    """One step back: beta(s) ← Σ_t P(t | s) e(t) beta(t), scaled to a maximum of 1."""
    cdef double moved = 0, largest = 0
    cdef Py_ssize_t s
    for s in range(states):
        beta[s] *= posterior[s] / prior[s] + TINY
        moved += prior[s] * beta[s]
    for s in range(states):
        beta[s] = stay * beta[s] + (1 - stay) * moved
        if beta[s] > largest:
            largest = beta[s]
    for s in range(states):
        beta[s] /= largest
