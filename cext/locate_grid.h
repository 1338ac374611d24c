/* Posterior of one burst's place, in vectors of GRID_LANES cells: included once by each kind of processor's file. */
#ifndef FOOTFALL_LOCATE_GRID_H
#define FOOTFALL_LOCATE_GRID_H
#include "locate.h"

#define GRID_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * GRID_LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * GRID_LANES), aligned(4), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * GRID_LANES), aligned(4), may_alias));

GRID_INLINE vf grid_splat(float a) {
#ifdef __clang__
    return a - (vf){0};
#else
    return __builtin_shuffle((vf){a}, (vi){0}); /* GCC 12 makes one broadcast of this, seven inserts of the other */
#endif
}

/* mask ? a : b, lane by lane; a comparison of vectors gives the mask. */
GRID_INLINE vf grid_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

GRID_INLINE float grid_sum(vf a) {
    float sum = 0.0f;
    for (int i = 0; i < GRID_LANES; i++) sum += a[i];
    return sum;
}

/* exp(x) for x <= 0, 0 below -87: 2^n from the exponent bits, 2^f by its series to the fifth power. */
GRID_INLINE vf grid_exp(vf x) {
    const vf magic = grid_splat(12582912.0f); /* 1.5 * 2^23: rounds to an integer in the low bits */
    vf t = x * grid_splat(1.44269504f);
    vf shifted = t + magic;
    vf f = t - (shifted - magic);
    vf p = grid_splat(1.3333558e-3f);
    p = p * f + grid_splat(9.6181291e-3f);
    p = p * f + grid_splat(5.5504109e-2f);
    p = p * f + grid_splat(2.4022651e-1f);
    p = p * f + grid_splat(6.9314718e-1f);
    p = p * f + grid_splat(1.0f);
    return (vf)(((vu)p + ((vu)shifted << 23)) & (vu)(x > grid_splat(-87.0f)));
}

/* log(x) for normal x > 0: mantissa in [sqrt(1/2), sqrt(2)), then 2 atanh((m - 1) / (m + 1)). */
GRID_INLINE vf grid_log(vf x) {
    const vi root_half = (vi)grid_splat(0.70710678f);
    vi e = ((vi)x - root_half) >> 23;
    vf m = (vf)((vu)x - ((vu)e << 23));
    vf s = (m - grid_splat(1.0f)) / (m + grid_splat(1.0f));
    vf z = s * s;
    vf p = grid_splat(2.0f / 9.0f);
    p = p * z + grid_splat(2.0f / 7.0f);
    p = p * z + grid_splat(2.0f / 5.0f);
    p = p * z + grid_splat(2.0f / 3.0f);
    p = p * z + grid_splat(2.0f);
    return __builtin_convertvector(e, vf) * grid_splat(0.69314718f) + p * s;
}

/* Standard normal distribution function by the logistic of a cubic (Bowling et al. 2009). */
GRID_INLINE vf grid_phi(vf t) {
    const vf one = grid_splat(1.0f);
    vf z = (grid_splat(0.07056f) * t * t + grid_splat(1.5976f)) * t;
    vf high = one / (one + grid_exp((vf)((vi)z | (vi)grid_splat(-0.0f)))); /* exp(-|z|) never overflows */
    return grid_select(t < grid_splat(0.0f), one - high, high);
}

/* The links of one burst with every number repeated in all lanes: compilers broadcast scalars badly in loops. */
typedef struct {
    const float *row[GRID_MAX_PROBES], *inv_sigma[GRID_MAX_PROBES];
    vf rssi[GRID_MAX_PROBES], weight[GRID_MAX_PROBES];
    vf root[GRID_MAX_ROBUST];                   /* 1 / (sqrt(3) scale) of a Student-t link */
    vf shift[GRID_MAX_NODES * GRID_MAX_ROBUST]; /* [nodes][heard] transmit power of a node in such units */
    vf node[GRID_MAX_NODES];
    float total;                                             /* sum of the weights */
} grid_links_t;

/* Residuals of one vector of cells: sums over the links, and what a Student-t link needs. */
typedef struct {
    vf quad, pull, total;                                /* sum w r^2, w r, w */
    vf log_scale;                                        /* sum log 1 / sigma, 0 without inv_sigma */
    vf scaled[GRID_MAX_ROBUST], root[GRID_MAX_ROBUST];   /* residual * root, and the root */
} grid_sums_t;

GRID_INLINE void grid_spread(const grid_t *grid, const grid_burst_t *burst, const float *node_db, int32_t nodes,
                             int robust, grid_links_t *links) {
    const size_t cells = (size_t)grid->rows * (size_t)grid->stride;
    links->total = 0.0f;
    for (int32_t i = 0; i < burst->heard; i++) {
        links->row[i] = grid->map + (size_t)burst->heard_probe[i] * cells;
        if (grid->inv_sigma) links->inv_sigma[i] = grid->inv_sigma + (size_t)burst->heard_probe[i] * cells;
        links->rssi[i] = grid_splat(burst->rssi[i]);
        links->weight[i] = grid_splat(burst->weight[i]);
        links->total += burst->weight[i];
        if (robust) links->root[i] = grid_splat(sqrtf(burst->weight[i] * (1.0f / 3.0f)));
    }
    for (int32_t j = 0; j < nodes; j++) {
        links->node[j] = grid_splat(node_db[j]);
        for (int32_t i = 0; robust && i < burst->heard; i++)
            links->shift[j * burst->heard + i] = links->node[j] * links->root[i];
    }
}

/* robust and cellwise are constants where this is inlined; the caller keeps heard <= GRID_MAX_ROBUST if robust. */
GRID_INLINE void grid_residuals(const grid_links_t *links, int32_t heard, int32_t cell, int robust, int cellwise,
                                grid_sums_t *sums) {
    const vf zero = grid_splat(0.0f);
    vf quad = zero, pull = zero, total = zero, log_scale = zero, product = grid_splat(1.0f);
    for (int32_t i = 0; i < heard; i++) {
        vf r = links->rssi[i] - *(const vf *)(links->row[i] + cell), w = links->weight[i];
        vf root = grid_splat(0.0f);
        if (robust) root = links->root[i];
        if (cellwise) {
            vf inverse = *(const vf *)(links->inv_sigma[i] + cell);
            w *= inverse * inverse;
            total += w;
            product *= inverse;
            root *= inverse;
            if ((i & 7) == 7) { /* eight factors of 0.01 to 10 keep the product a normal float */
                log_scale += grid_log(product);
                product = grid_splat(1.0f);
            }
        }
        if (robust) sums->scaled[i] = r * root, sums->root[i] = root;
        vf wr = w * r;
        pull += wr;
        quad += wr * r;
    }
    sums->quad = quad, sums->pull = pull, sums->total = total, sums->log_scale = zero;
    if (cellwise) sums->log_scale = log_scale + grid_log(product);
    else sums->total = grid_splat(links->total);
}

/* Log likelihood, up to a constant, of Gaussian links and a transmit power of mean power_db and variance power_var.
 * Sherman-Morrison: the inverse of diag(1/w) + v * ones is diag(w) - v / (1 + v sum w) * w w'. */
GRID_INLINE vf grid_log_gauss(const grid_sums_t *sums, vf power_db, vf power_var, vf keep, int cellwise) {
    vf pull = sums->pull - power_db * sums->total;
    vf quad = sums->quad - power_db * (sums->pull + pull);
    vf value = grid_splat(-0.5f) * (quad - power_var * keep * (pull * pull));
    if (cellwise) value += sums->log_scale + grid_splat(0.5f) * grid_log(keep);
    return value;
}

/* The same of links with Student-t errors (3 degrees of freedom) at a node of transmit power: the reciprocal root of the
 * density, 2^-60 of it. Where the product overflows a float the readings fit nowhere: density 0. */
GRID_INLINE vf grid_student(const grid_links_t *links, const grid_sums_t *sums, int32_t node, int32_t heard,
                            int cellwise) {
    const vf one = grid_splat(1.0f);
    vf product = one;
    for (int32_t i = 0; i < heard; i++) {
        vf r = sums->scaled[i];
        if (cellwise) r -= links->node[node] * sums->root[i];
        else r -= links->shift[node * heard + i];
        product *= one + r * r;
    }
    return grid_splat(0x1p60f) / product; /* keeps the square a normal float for products up to 2^122 */
}

/* log P(the silent probes stayed silent | cell), the device's power being normal with this mean and variance. */
GRID_INLINE vf grid_log_silence(const grid_t *grid, const grid_burst_t *burst, int32_t cell, vf mean_db, vf var,
                                int cellwise) {
    const vf one = grid_splat(1.0f);
    const size_t cells = (size_t)grid->rows * (size_t)grid->stride;
    vf sum = grid_splat(0.0f), product = one;
    for (int32_t i = 0; i < burst->silent; i++) {
        const size_t k = (size_t)burst->silent_probe[i];
        vf mean = *(const vf *)(grid->map + k * cells + cell) + mean_db, inverse;
        if (cellwise) {
            vf s = one / *(const vf *)(grid->inv_sigma + k * cells + cell);
            /* 1 / sqrt: the variance is at least 0.01 */
            inverse = grid_splat(10.0f) * grid_exp(grid_splat(-0.5f) * grid_log(grid_splat(100.0f) * (s * s + var)));
        } else {
            inverse = grid_splat(1.0f / sqrtf(grid->link_var[k] + var[0]));
        }
        vf phi = grid_phi((grid_splat(grid->floors[k]) - mean) * inverse);
        product *= one - grid_splat(burst->listening[i]) * (one - phi);
        if ((i & 7) == 7) { /* eight factors of at least 0.01 keep the product a normal float */
            sum += grid_log(product);
            product = one;
        }
    }
    return sum + grid_log(product);
}

GRID_INLINE float grid_top(vf most) {
    float top = most[0];
    for (int i = 1; i < GRID_LANES; i++) top = most[i] > top ? most[i] : top;
    return top;
}

GRID_INLINE vf grid_keep(const grid_sums_t *sums, vf power_var) {
    return grid_splat(1.0f) / (grid_splat(1.0f) + power_var * sums->total);
}

GRID_INLINE float grid_burst_posterior(const grid_t *grid, const grid_burst_t *burst, int robust, int cellwise) {
    const int32_t cells = grid->rows * grid->stride, heard = burst->heard, nodes = grid->nodes;
    const vf power_var = grid_splat(grid->power_var), zero = grid_splat(0.0f);
    grid_links_t links;
    grid_sums_t sums;
    grid_spread(grid, burst, grid->node_db, nodes, robust, &links);
    sums.total = grid_splat(links.total);
    vf most = grid_splat(-INFINITY), keep = grid_keep(&sums, power_var), weight[GRID_MAX_NODES];
    for (int32_t j = 0; j < nodes; j++) weight[j] = grid_splat(grid->node_weight[j]);
    for (int32_t cell = 0; cell < cells; cell += GRID_LANES) {
        vf value = *(const vf *)(grid->log_prior + cell);
        grid_residuals(&links, heard, cell, robust, cellwise, &sums);
        if (cellwise) keep = grid_keep(&sums, power_var);
        if (robust) {
            vf density = zero;
            for (int32_t j = 0; j < nodes; j++) {
                vf root = grid_student(&links, &sums, j, heard, cellwise);
                density += weight[j] * root * root;
            }
            value += grid_log(density) + sums.log_scale;
        } else {
            value += grid_log_gauss(&sums, zero, power_var, keep, cellwise);
        }
        if (burst->silent) {
            vf var = power_var * keep;
            value += grid_log_silence(grid, burst, cell, var * sums.pull, var, cellwise);
        }
        *(vf *)(grid->scratch + cell) = value;
        most = grid_select(value > most, value, most);
    }
    return grid_top(most);
}

static float grid_log_posterior(const grid_t *grid, const grid_burst_t *burst) {
    if (grid->inv_sigma)
        return grid->nodes ? grid_burst_posterior(grid, burst, 1, 1) : grid_burst_posterior(grid, burst, 0, 1);
    return grid->nodes ? grid_burst_posterior(grid, burst, 1, 0) : grid_burst_posterior(grid, burst, 0, 0);
}

GRID_INLINE double grid_sum_moments(const grid_t *grid, int logs, float top, grid_fix_t *fix) {
    double sum = 0.0, sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0, syy = 0.0;
    for (int32_t row = 0; row < grid->rows; row++) {
        float *line = grid->scratch + (size_t)row * (size_t)grid->stride;
        vf p0 = grid_splat(0.0f), p1 = p0, p2 = p0;
        for (int32_t column = 0; column < grid->stride; column += GRID_LANES) {
            vf x = *(const vf *)(grid->x + column);
            vf p = *(const vf *)(line + column);
            if (logs) *(vf *)(line + column) = p = grid_exp(p - grid_splat(top));
            vf px = p * x;
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

static double grid_moments(const grid_t *grid, float top, grid_fix_t *fix) { return grid_sum_moments(grid, 1, top, fix); }

static void grid_layers(const grid_t *grid, double sum, float *out) {
    const size_t cells = (size_t)grid->rows * (size_t)grid->stride;
    for (int32_t layer = 0; layer < grid->layers; layer++) {
        const float *member = grid->member + (size_t)layer * cells;
        vf inside = grid_splat(0.0f);
        for (int32_t c = GRID_PAD * grid->span[2 * layer]; c < GRID_PAD * grid->span[2 * layer + 1]; c += GRID_LANES)
            inside += *(const vf *)(member + c) * *(const vf *)(grid->scratch + c);
        const float p = (float)((double)grid_sum(inside) / sum);
        out[layer] = p > 1.0f ? 1.0f : p;
    }
}
#endif
