/* The grid kernel without Python: grid and bursts on stdin, what is found on stdout, in hexadecimal. */
#include <stdio.h>
#include <stdlib.h>

#include "locate.h"

static void *take(size_t count, size_t size) {
    void *data = malloc(count * size + 64);
    if (!data || fread(data, size, count, stdin) != count) exit(2);
    return data;
}

static float *take_floats(size_t count) { return take(count, sizeof(float)); }

static void collect(const grid_t *grid, grid_burst_t *burst, const float *rssi, const float *heard_p) {
    burst->heard = burst->silent = 0;
    for (int32_t k = 0; k < grid->probes; k++) {
        if (isnan(rssi[k])) {
            burst->silent_probe[burst->silent] = k;
            burst->listening[burst->silent++] = heard_p[k];
        } else {
            burst->heard_probe[burst->heard] = k;
            burst->rssi[burst->heard] = rssi[k];
            burst->weight[burst->heard++] = 1.0f / grid->link_var[k];
        }
    }
}

static void print_fix(const grid_fix_t *fix) { printf("%a %a %a %a %a ", fix->x, fix->y, fix->xx, fix->xy, fix->yy); }

/* stdin: int32 probes, rows, stride, nodes, track nodes, bursts, cellwise; floats y0, cell, power_var, node_var; arrays. */
int main(void) {
    const int32_t *n = take(7, sizeof *n);
    const float *scalar = take_floats(4);
    const size_t probes = (size_t)n[0], cells = (size_t)n[1] * (size_t)n[2], bursts = (size_t)n[5];
    grid_t grid = {.probes = n[0], .rows = n[1], .stride = n[2], .nodes = n[3], .y0 = scalar[0], .cell = scalar[1]};
    track_t track = {.grid = &grid, .nodes = n[4], .node_var = scalar[3]};
    grid.power_var = scalar[2];
    grid.map = take_floats(probes * cells), grid.log_prior = take_floats(cells), grid.x = take_floats((size_t)n[2]);
    grid.floors = take_floats(probes), grid.link_var = take_floats(probes);
    if (n[6]) grid.inv_sigma = take_floats(probes * cells);
    const float *nodes = take_floats(2 * (size_t)n[3]), *track_nodes = take_floats(2 * (size_t)n[4]);
    for (int32_t j = 0; j < n[3]; j++) grid.node_db[j] = nodes[j], grid.node_weight[j] = nodes[n[3] + j];
    for (int32_t j = 0; j < n[4]; j++) track.node_db[j] = track_nodes[j], track.node_weight[j] = track_nodes[n[4] + j];
    track.prior = take_floats(cells), track.step = take_floats(4 * cells);
    const float *motion = take_floats(7), *heard_p = take_floats(probes), *rssi = take_floats(bursts * probes);
    const float *gap_s = take_floats(bursts);
    memcpy(&track.motion, motion, sizeof track.motion);
    const size_t plane = cells + 2 * track_margin(&grid), size = cells * (size_t)n[4];
    float *scratch = calloc(cells + 2 * plane + 2 * size, sizeof *scratch), *state = scratch + cells + 2 * plane + size;
    if (!scratch) return 2;
    grid.scratch = scratch, track.plane[0] = scratch + cells, track.plane[1] = scratch + cells + plane;
    track.emission = scratch + cells + 2 * plane;
    for (size_t i = 0; i < size; i++) state[i] = 1.0f;
    const grid_ops_t *ops = grid_ops();
    printf("%s\n", ops->name);
    for (size_t m = 0; m < bursts; m++) {
        grid_burst_t burst;
        grid_fix_t fix;
        collect(&grid, &burst, rssi + m * probes, heard_p);
        ops->moments(&grid, ops->log_posterior(&grid, &burst), &fix);
        print_fix(&fix);
        ops->track_step(&track, state, gap_s[m]);
        ops->track_see(&track, state, &burst, gap_s[m]);
        ops->track_posterior(&track, state, NULL, &fix);
        print_fix(&fix);
        printf("\n");
    }
    return 0;
}
