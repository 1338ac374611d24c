/* The grid kernel for any processor, and the choice of a better one at run time. */
#include "locate.h"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define GRID_LANES 4 /* SSE2 and NEON, which every x86-64 and aarch64 has */
#include "locate_track.h"

const grid_ops_t grid_ops_base = GRID_OPS("base");

const grid_ops_t *grid_ops(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) return &grid_ops_avx2;
#endif
    return &grid_ops_base;
}
