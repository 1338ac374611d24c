/* The grid kernel alone: as many fixes as the argument says, of the room of the benchmarks: 600 cells, 6 anchors. */
#include <stdio.h>
#include <stdlib.h>

#include "locate.h"

#define ROWS 20
#define STRIDE 32 /* 30 columns, padded */
#define CELLS (ROWS * STRIDE)
#define PROBES 6

static float map[PROBES][CELLS], log_prior[CELLS], x[STRIDE], floors[PROBES], link_var[PROBES], scratch[CELLS];

int main(int argc, char **argv)
{
    grid_t grid = {.map = map[0], .log_prior = log_prior, .x = x, .floors = floors, .link_var = link_var};
    grid_burst_t burst = {.heard = PROBES};
    grid_fix_t fix = {0, 0, 0, 0, 0};
    const grid_ops_t *ops = grid_ops();
    long count = argc > 1 ? atol(argv[1]) : 1;
    double sum = 0;

    grid.scratch = scratch, grid.probes = PROBES, grid.rows = ROWS, grid.stride = STRIDE;
    grid.y0 = -9.5f, grid.cell = 1.0f, grid.power_var = 9.0f;
    for (int k = 0; k < PROBES; k++) {
        floors[k] = -120.0f, link_var[k] = 16.0f, burst.heard_probe[k] = k;
        burst.rssi[k] = -60.0f - 3.0f * (float)k, burst.weight[k] = 1.0f / 16.0f;
        for (int c = 0; c < CELLS; c++)
            map[k][c] = -50.0f - (float)((c * 7 + k * 13) % 40);
    }
    for (int c = 0; c < STRIDE; c++)
        x[c] = (float)c - 14.5f;
    while (count-- > 0)
        sum += ops->moments(&grid, ops->log_posterior(&grid, &burst), &fix);
    return printf("%s %d\n", ops->name, sum > 0 && fix.xx > 0) < 0;
}
