/* A device's place and transmit power over time: hidden Markov steps on the grid of locate_grid.h. No malloc, no Python.
 *
 * A state is f[nodes][cells], the ratio of the probability of (power node, cell) to its prior, scaled to a maximum of 1.
 * Every transition here is reversible with the prior as its stationary law, so the same operator carries the forward
 * state on and the backward state back (Rabiner 1989; Kelly 1979 for reversibility).
 */
#ifndef FOOTFALL_LOCATE_TRACK_H
#define FOOTFALL_LOCATE_TRACK_H
#include "locate_grid.h"

GRID_INLINE size_t track_cells(const track_t *track) {
    return (size_t)track->grid->rows * (size_t)track->grid->stride;
}

/* f <- (1 - share) f + share * (f spread by `variance` m^2 along each axis): `n` steps to the four neighbours. */
static void track_spread(const track_t *track, float *f, float variance, float share) {
    const grid_t *grid = track->grid;
    const size_t cells = track_cells(track), margin = track_margin(grid), stride = (size_t)grid->stride;
    const float one_step = 2.0f * TRACK_STEP * grid->cell * grid->cell;
    const int32_t n = (int32_t)ceilf(variance / one_step);
    const float *east = track->step, *west = east + cells, *north = west + cells, *south = north + cells;
    if (n < 1) return;
    const vf scale = grid_splat(variance / (one_step * (float)n)), moved = grid_splat(share);
    float *from = track->plane[0] + margin, *to = track->plane[1] + margin;
    memcpy(from, f, cells * sizeof *f);
    for (int32_t i = 0; i < n; i++) {
        for (size_t c = 0; c < cells; c += GRID_LANES) {
            vf here = *(const vf *)(from + c);
            vf flow = *(const vf *)(east + c) * (*(const vf *)(from + c + 1) - here);
            flow += *(const vf *)(west + c) * (*(const vf *)(from + c - 1) - here);
            flow += *(const vf *)(north + c) * (*(const vf *)(from + c + stride) - here);
            flow += *(const vf *)(south + c) * (*(const vf *)(from + c - stride) - here);
            *(vf *)(to + c) = here + scale * flow;
        }
        float *swap = from;
        from = to, to = swap;
    }
    for (size_t c = 0; c < cells; c += GRID_LANES) {
        vf here = *(const vf *)(f + c);
        *(vf *)(f + c) = here + moved * (*(const vf *)(from + c) - here);
    }
}

/* Mean of f over power and place under the prior. */
GRID_INLINE float track_mean(const track_t *track, const float *f) {
    const size_t cells = track_cells(track);
    double mean = 0.0;
    for (int32_t j = 0; j < track->nodes; j++, f += cells) {
        vf sum = grid_splat(0.0f);
        for (size_t c = 0; c < cells; c += GRID_LANES) sum += *(const vf *)(track->prior + c) * *(const vf *)(f + c);
        mean += (double)track->node_weight[j] * (double)grid_sum(sum);
    }
    return (float)mean;
}

/* f <- hold * f + (1 - hold) * mean over the power nodes, then roam * f + (1 - roam) * mean over everything. */
static void track_forget(const track_t *track, float *f, float hold, float roam) {
    const size_t cells = track_cells(track);
    const vf held = grid_splat(hold * roam), reset = grid_splat((1.0f - hold) * roam);
    const vf anywhere = grid_splat((1.0f - roam) * track_mean(track, f));
    for (size_t c = 0; c < cells; c += GRID_LANES) {
        vf mean = grid_splat(0.0f);
        for (int32_t j = 0; j < track->nodes; j++)
            mean += grid_splat(track->node_weight[j]) * *(const vf *)(f + (size_t)j * cells + c);
        mean = anywhere + reset * mean;
        for (int32_t j = 0; j < track->nodes; j++) {
            vf *value = (vf *)(f + (size_t)j * cells + c);
            *value = mean + held * *value;
        }
    }
}

/* The state after (or, of a backward state, before) gap_s seconds; nothing changes where gap_s is 0. */
static void track_step(const track_t *track, float *f, float gap_s) {
    const track_motion_t *motion = &track->motion;
    if (!(gap_s > 0.0f)) return;
    /* Displacement of an Ornstein-Uhlenbeck velocity: straight at first, a random walk after turn_s. */
    const float turn = motion->turn_s, walked = gap_s - turn * (1.0f - expf(-gap_s / turn));
    const float variance = fminf(2.0f * motion->speed_var * turn * walked, TRACK_MAX_VAR);
    const float moved = 1.0f - expf(-gap_s / motion->pause_s);
    for (int32_t j = 0; j < track->nodes; j++) track_spread(track, f + (size_t)j * track_cells(track), variance, moved);
    track_forget(track, f, expf(-gap_s / motion->power_hold_s), expf(-gap_s / motion->roam_s));
}

GRID_INLINE float track_burst_emission(const track_t *track, const grid_burst_t *burst, int robust, int cellwise) {
    const grid_t *grid = track->grid;
    const size_t cells = track_cells(track);
    const vf var = grid_splat(track->node_var), nowhere = grid_splat(-1e30f);
    grid_links_t links;
    grid_sums_t sums;
    grid_spread(grid, burst, track->node_db, track->nodes, robust, &links);
    sums.total = grid_splat(links.total);
    vf most = nowhere, keep = grid_keep(&sums, var);
    for (size_t c = 0; c < cells; c += GRID_LANES) {
        grid_residuals(&links, burst->heard, (int32_t)c, robust, cellwise, &sums);
        if (cellwise) keep = grid_keep(&sums, var);
        const vi can = *(const vf *)(track->prior + c) > grid_splat(0.0f);
        for (int32_t j = 0; j < track->nodes; j++) {
            vf node = links.node[j], value;
            if (robust) {
                vf root = grid_student(&links, &sums, j, burst->heard, cellwise);
                value = grid_log(root * root) + sums.log_scale;
            } else {
                value = grid_log_gauss(&sums, node, var, keep, cellwise);
            }
            if (burst->silent) value += grid_log_silence(grid, burst, (int32_t)c, node, var, cellwise);
            value = grid_select(can, value, nowhere);
            *(vf *)(track->emission + (size_t)j * cells + c) = value;
            most = grid_select(value > most, value, most);
        }
    }
    return grid_top(most);
}

/* log P(burst | power node, cell) into emission; gives its maximum. */
static float track_emission(const track_t *track, const grid_burst_t *burst) {
    if (track->grid->inv_sigma)
        return track->grid->nodes ? track_burst_emission(track, burst, 1, 1) : track_burst_emission(track, burst, 0, 1);
    return track->grid->nodes ? track_burst_emission(track, burst, 1, 0) : track_burst_emission(track, burst, 0, 0);
}

/* f <- f * emission^power, scaled to a maximum of 1. */
static void track_weigh(const track_t *track, float *f, float top, float power) {
    const size_t size = track_cells(track) * (size_t)track->nodes;
    const vf least = grid_splat(TRACK_LEAST), outlier = grid_splat(TRACK_OUTLIER);
    vf most = least;
    for (size_t i = 0; i < size; i += GRID_LANES) {
        vf value = grid_splat(power) * (*(const vf *)(track->emission + i) - grid_splat(top));
        value = *(const vf *)(f + i) * (grid_exp(value) + outlier);
        *(vf *)(f + i) = value;
        most = grid_select(value > most, value, most);
    }
    const vf scale = grid_splat(1.0f / grid_top(most));
    for (size_t i = 0; i < size; i += GRID_LANES) {
        vf value = *(const vf *)(f + i) * scale;
        *(vf *)(f + i) = grid_select(value > least, value, least);
    }
}

/* One burst, gap_s after the one before; a gap that is not finite is the first. Errors of a link repeat for a while
 * (bodies, shelves, a phone in a pocket): a burst soon after another tells only what is new. */
static void track_see(const track_t *track, float *f, const grid_burst_t *burst, float gap_s) {
    const track_motion_t *motion = &track->motion;
    if (!burst->heard && !burst->silent) return;
    const float again = isfinite(gap_s) ? motion->repeat * expf(-gap_s / motion->repeat_s) : 0.0f;
    track_weigh(track, f, track_emission(track, burst), 1.0f - again);
}

/* The grid's scratch <- P(cell) up to a factor, from a forward state and, unless NULL, a backward one. Gives the sum. */
static double track_posterior(const track_t *track, const float *f, const float *back, grid_fix_t *fix) {
    const size_t cells = track_cells(track);
    for (size_t c = 0; c < cells; c += GRID_LANES) {
        vf sum = grid_splat(0.0f);
        for (int32_t j = 0; j < track->nodes; j++) {
            const size_t i = (size_t)j * cells + c;
            vf value = grid_splat(track->node_weight[j]) * *(const vf *)(f + i);
            if (back) value *= *(const vf *)(back + i);
            sum += value;
        }
        *(vf *)(track->grid->scratch + c) = sum * *(const vf *)(track->prior + c);
    }
    return grid_sum_moments(track->grid, 0, 0.0f, fix);
}

#define GRID_OPS(kind)                                                                                              \
    {grid_log_posterior, grid_moments, grid_layers, track_step, track_see, track_posterior, kind}
#endif
