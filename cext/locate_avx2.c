/* The grid kernel for x86-64 with AVX2; empty elsewhere. System headers come before the target. */
#include "locate.h"
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define GRID_LANES 8
#include "locate_track.h"

const grid_ops_t grid_ops_avx2 = GRID_OPS("avx2");
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
