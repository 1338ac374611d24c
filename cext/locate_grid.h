/* Posterior of one burst's place on a grid of cells. C99 with GCC/Clang vector types; no malloc, no Python.
 *
 * Limits: float32. grid_exp errs by < 1e-5 (relative) on [-87, 0], grid_log by < 1e-6 (absolute) on normal floats near 1,
 * grid_phi by < 2e-4 (absolute; Bowling et al. 2009), which is why silence is never certain (GRID_MAX_HEARD_P).
 */
#ifndef FOOTFALL_LOCATE_GRID_H
#define FOOTFALL_LOCATE_GRID_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
/* One binary for every x86-64. Contraction to FMA stays off (-std=c99), so that both clones give the same bits. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__)
#define GRID_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GRID_CLONES
#endif
#define GRID_INLINE static inline __attribute__((always_inline))

#define GRID_LANES 8
#define GRID_MAX_PROBES 64
#define GRID_MAX_ROBUST 14 /* 14 factors of at most 16, squared, stay inside float32 */
#define GRID_MAX_NODES 31
#define GRID_MAX_HEARD_P 0.99f

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t v8i __attribute__((vector_size(32), aligned(4), may_alias));

typedef struct {
    const float *map;       /* [probes][cells] expected RSSI, dBm, at the mean transmit power */
    const float *log_prior; /* [cells], very negative where nobody can be */
    const float *x;         /* [stride] centre of each column, m, relative to the middle of the grid */
    const float *floors;    /* [probes] weakest RSSI heard, dBm */
    const float *member;    /* [layers][cells] share of a cell inside a polygon */
    const int32_t *span;    /* [layers][2] first and one past the last vector of 8 cells a polygon touches */
    float *scratch;         /* [cells], the caller's */
    int32_t probes, rows, stride, layers;
    float y0, cell;         /* centre of the first row, pitch, m */
    float power_var;        /* variance of transmit power between devices, dB^2; 0: known */
    float silent_var;       /* variance of one link, dB^2 */
    int32_t nodes;          /* 0: Gaussian links; else quadrature nodes over the transmit power */
    float node_db[GRID_MAX_NODES], node_weight[GRID_MAX_NODES];
} grid_t;

typedef struct {
    int32_t heard, silent;
    int32_t heard_probe[GRID_MAX_PROBES], silent_probe[GRID_MAX_PROBES];
    float rssi[GRID_MAX_PROBES], weight[GRID_MAX_PROBES]; /* dBm, 1/dB^2 */
    float listening[GRID_MAX_PROBES];                     /* P(a silent probe was on the channel) */
} grid_burst_t;

typedef struct {
    double x, y, xx, xy, yy;
} grid_fix_t;

GRID_INLINE v8 grid_splat(float a) { return (v8){a, a, a, a, a, a, a, a}; }

GRID_INLINE v8 grid_min(v8 a, v8 b) {
    v8 out;
    for (int i = 0; i < GRID_LANES; i++) out[i] = a[i] < b[i] ? a[i] : b[i];
    return out;
}

GRID_INLINE v8 grid_max(v8 a, v8 b) {
    v8 out;
    for (int i = 0; i < GRID_LANES; i++) out[i] = a[i] > b[i] ? a[i] : b[i];
    return out;
}

GRID_INLINE float grid_sum(v8 a) { return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7])); }

/* exp(x) for x <= 0: 2^n from the exponent bits, 2^f by its series to the fifth power. */
GRID_INLINE v8 grid_exp(v8 x) {
    const v8 magic = grid_splat(12582912.0f); /* 1.5 * 2^23: rounds to an integer in the low bits */
    v8 t = grid_max(x, grid_splat(-87.0f)) * grid_splat(1.44269504f);
    v8 shifted = t + magic;
    v8 f = t - (shifted - magic);
    v8 p = grid_splat(1.3333558e-3f);
    p = p * f + grid_splat(9.6181291e-3f);
    p = p * f + grid_splat(5.5504109e-2f);
    p = p * f + grid_splat(2.4022651e-1f);
    p = p * f + grid_splat(6.9314718e-1f);
    p = p * f + grid_splat(1.0f);
    return (v8)((v8i)p + ((v8i)shifted << 23));
}

/* log(x) for normal x > 0: mantissa in [sqrt(1/2), sqrt(2)), then 2 atanh((m - 1) / (m + 1)). */
GRID_INLINE v8 grid_log(v8 x) {
    const v8i root_half = (v8i)grid_splat(0.70710678f);
    v8i e = ((v8i)x - root_half) >> 23;
    v8 m = (v8)((v8i)x - (e << 23));
    v8 s = (m - grid_splat(1.0f)) / (m + grid_splat(1.0f));
    v8 z = s * s;
    v8 p = grid_splat(2.0f / 9.0f);
    p = p * z + grid_splat(2.0f / 7.0f);
    p = p * z + grid_splat(2.0f / 5.0f);
    p = p * z + grid_splat(2.0f / 3.0f);
    p = p * z + grid_splat(2.0f);
    return __builtin_convertvector(e, v8) * grid_splat(0.69314718f) + p * s;
}

/* Standard normal distribution function by the logistic of a cubic (Bowling et al. 2009). */
GRID_INLINE v8 grid_phi(v8 t) {
    const v8 one = grid_splat(1.0f);
    v8 z = (grid_splat(0.07056f) * t * t + grid_splat(1.5976f)) * t;
    v8 high = one / (one + grid_exp(grid_min(z, -z))); /* exp(-|z|) never overflows */
    v8i negative = t < grid_splat(0.0f);
    return (v8)((negative & (v8i)(one - high)) | (~negative & (v8i)high));
}

/* log P(the silent probes stayed silent | cell), the device's power being normal around power_mean given the heard ones. */
GRID_INLINE v8 grid_log_silence(const grid_t *grid, const grid_burst_t *burst, int32_t cell, v8 power_mean, float inv_sd) {
    const v8 one = grid_splat(1.0f);
    const size_t cells = (size_t)grid->rows * (size_t)grid->stride;
    v8 sum = grid_splat(0.0f), product = one;
    for (int32_t i = 0; i < burst->silent; i++) {
        const int32_t k = burst->silent_probe[i];
        v8 mean = *(const v8 *)(grid->map + (size_t)k * cells + cell) + power_mean;
        v8 phi = grid_phi((grid_splat(grid->floors[k]) - mean) * grid_splat(inv_sd));
        product *= one - grid_splat(burst->listening[i]) * (one - phi);
        if ((i & 7) == 7) { /* eight factors of at least 0.01 keep the product a normal float */
            sum += grid_log(product);
            product = one;
        }
    }
    return sum + grid_log(product);
}

/* Log likelihood of the heard links with Student-t errors (3 degrees of freedom), summed over the power nodes. */
GRID_INLINE v8 grid_log_student(const grid_t *grid, const grid_burst_t *burst, const v8 *residual, int32_t links) {
    const v8 one = grid_splat(1.0f), most = grid_splat(16.0f);
    v8 sum = grid_splat(0.0f);
    for (int32_t j = 0; j < grid->nodes; j++) {
        const v8 shift = grid_splat(grid->node_db[j]);
        v8 product = one;
        for (int32_t i = 0; i < links; i++) {
            v8 r = residual[i] - shift;
            product *= grid_min(one + r * r * grid_splat(burst->weight[i] * (1.0f / 3.0f)), most);
        }
        sum += grid_splat(grid->node_weight[j]) / (product * product);
    }
    return grid_log(sum);
}

/* Unnormalised log posterior of every cell into scratch; gives its maximum. */
GRID_CLONES
static float grid_log_posterior(const grid_t *grid, const grid_burst_t *burst) {
    const int32_t cells = grid->rows * grid->stride;
    float total = 0.0f;
    for (int32_t i = 0; i < burst->heard; i++) total += burst->weight[i];
    /* Sherman-Morrison: the inverse of diag(1/w) + power_var * ones is diag(w) - shrink * w w'. */
    const float shrink = grid->power_var / (1.0f + grid->power_var * total);
    const float inv_sd = 1.0f / sqrtf(grid->silent_var + shrink);
    v8 most = grid_splat(-INFINITY), residual[GRID_MAX_ROBUST];
    for (int32_t cell = 0; cell < cells; cell += GRID_LANES) {
        v8 quad = grid_splat(0.0f), pull = grid_splat(0.0f);
        for (int32_t i = 0; i < burst->heard; i++) {
            const float *row = grid->map + (size_t)burst->heard_probe[i] * (size_t)cells;
            v8 r = grid_splat(burst->rssi[i]) - *(const v8 *)(row + cell);
            v8 wr = grid_splat(burst->weight[i]) * r;
            pull += wr;
            quad += wr * r;
            if (grid->nodes) residual[i] = r; /* the caller keeps heard <= GRID_MAX_ROBUST */
        }
        v8 value = *(const v8 *)(grid->log_prior + cell);
        if (grid->nodes) value += grid_log_student(grid, burst, residual, burst->heard);
        else value -= grid_splat(0.5f) * (quad - grid_splat(shrink) * pull * pull);
        if (burst->silent) value += grid_log_silence(grid, burst, cell, grid_splat(shrink) * pull, inv_sd);
        *(v8 *)(grid->scratch + cell) = value;
        most = grid_max(most, value);
    }
    float top = most[0];
    for (int i = 1; i < GRID_LANES; i++) top = most[i] > top ? most[i] : top;
    return top;
}

/* Turns scratch into weights exp(value - top) and gives their sum; fix holds the moments about the grid's middle. */
GRID_CLONES
static double grid_moments(const grid_t *grid, float top, grid_fix_t *fix) {
    double sum = 0.0, sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0, syy = 0.0;
    for (int32_t row = 0; row < grid->rows; row++) {
        float *line = grid->scratch + (size_t)row * (size_t)grid->stride;
        v8 p0 = grid_splat(0.0f), p1 = p0, p2 = p0;
        for (int32_t column = 0; column < grid->stride; column += GRID_LANES) {
            v8 x = *(const v8 *)(grid->x + column);
            v8 p = grid_exp(*(const v8 *)(line + column) - grid_splat(top));
            v8 px = p * x;
            *(v8 *)(line + column) = p;
            p0 += p;
            p1 += px;
            p2 += px * x;
        }
        const double y = (double)grid->y0 + (double)row * (double)grid->cell;
        const double s0 = (double)grid_sum(p0), s1 = (double)grid_sum(p1);
        sum += s0, sx += s1, sxx += (double)grid_sum(p2);
        sy += s0 * y, sxy += s1 * y, syy += s0 * y * y;
    }
    const double mx = sx / sum, my = sy / sum, within = (double)grid->cell * (double)grid->cell / 12.0;
    fix->x = mx, fix->y = my;
    fix->xx = fmax(sxx / sum - mx * mx, 0.0) + within;
    fix->yy = fmax(syy / sum - my * my, 0.0) + within;
    fix->xy = sxy / sum - mx * my;
    return sum;
}

/* Posterior probability of each polygon from the weights in scratch. */
GRID_CLONES
static void grid_layers(const grid_t *grid, double sum, float *out) {
    const size_t cells = (size_t)grid->rows * (size_t)grid->stride;
    for (int32_t layer = 0; layer < grid->layers; layer++) {
        const float *member = grid->member + (size_t)layer * cells;
        v8 inside = grid_splat(0.0f);
        for (int32_t v = grid->span[2 * layer]; v < grid->span[2 * layer + 1]; v++)
            inside += *(const v8 *)(member + GRID_LANES * v) * *(const v8 *)(grid->scratch + GRID_LANES * v);
        const float p = (float)((double)grid_sum(inside) / sum);
        out[layer] = p > 1.0f ? 1.0f : p;
    }
}
#endif
