/* Places on a grid of cells: types, limits, and the one table of functions that fits the processor. C99, no Python.
 *
 * Limits: float32. grid_exp errs by < 1e-5 (relative) on [-87, 0], grid_log by < 1e-6 (absolute) on normal floats near 1,
 * grid_phi by < 2e-4 (absolute; Bowling et al. 2009), which is why silence is never certain (GRID_MAX_HEARD_P).
 * Contraction to FMA stays off (-std=c99): processors differ by the order of sums alone.
 */
#ifndef FOOTFALL_LOCATE_H
#define FOOTFALL_LOCATE_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GRID_PAD 8 /* rows are padded to whole vectors of the widest kind */
#define GRID_MAX_PROBES 64
#define GRID_MAX_ROBUST 14 /* so many links, each 20 scales off, still have a product below 2^122 */
#define GRID_MAX_NODES 31
#define GRID_MAX_HEARD_P 0.99f


typedef struct {
    const float *map;       /* [probes][cells] expected RSSI, dBm, at the mean transmit power */
    const float *log_prior; /* [cells], very negative where nobody can be */
    const float *x;         /* [stride] centre of each column, m, relative to the middle of the grid */
    const float *floors;    /* [probes] weakest RSSI heard, dBm */
    const float *inv_sigma; /* [probes][cells] 1 / sigma of a link, 1/dB, where it differs by cell; else NULL */
    const float *link_var;  /* [probes] variance of one link, dB^2; 1 with inv_sigma */
    const float *member;    /* [layers][cells] share of a cell inside a polygon */
    const int32_t *span;    /* [layers][2] first and one past the last GRID_PAD cells a polygon touches */
    float *scratch;         /* [cells], the caller's */
    int32_t probes, rows, stride, layers;
    float y0, cell;         /* centre of the first row, pitch, m */
    float power_var;        /* variance of transmit power between devices, dB^2; 0: known */
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

#define TRACK_STEP 0.2f      /* largest share of a cell that one diffusion step moves to one neighbour: 5 of them stay positive */
#define TRACK_OUTLIER 1e-6f  /* likelihood left, relative to the best cell, where a burst fits nothing: no state dies */
#define TRACK_LEAST 1e-20f   /* keeps float32 away from denormals */
#define TRACK_MAX_VAR 4.0f   /* m^2 along one axis: a step reaches 8 m at four sigma */

typedef struct {
    float speed_var; /* m^2/s^2 along one axis */
    float turn_s, pause_s, roam_s, power_hold_s;
    float repeat, repeat_s; /* share of a link's error that the next burst repeats at once, and how long that lasts */
} track_motion_t;

typedef struct {
    const grid_t *grid; /* its scratch takes the posterior */
    const float *prior; /* [cells] P(cell), 0 where nobody can be */
    const float *step;  /* [4][cells] share that one step moves east, west, north, south; 0 into walls and off the map */
    track_motion_t motion;
    int32_t nodes;
    float node_db[GRID_MAX_NODES], node_weight[GRID_MAX_NODES], node_var;
    float *emission;    /* [nodes][cells] */
    float *plane[2];    /* [cells + 2 * margin], zero: diffusion */
} track_t;

/* Values beside the first and last row are read, times 0. */
static inline size_t track_margin(const grid_t *grid) { return (size_t)grid->stride + GRID_PAD; }

typedef struct {
    /* Unnormalised log posterior of every cell into scratch; gives its maximum. */
    float (*log_posterior)(const grid_t *grid, const grid_burst_t *burst);
    /* Turns scratch into weights exp(value - top) and gives their sum; fix holds the moments about the grid's middle. */
    double (*moments)(const grid_t *grid, float top, grid_fix_t *fix);
    /* Posterior probability of each polygon from the weights in scratch and their sum. */
    void (*layers)(const grid_t *grid, double sum, float *out);
    void (*track_step)(const track_t *track, float *f, float gap_s);
    void (*track_see)(const track_t *track, float *f, const grid_burst_t *burst, float gap_s);
    double (*track_posterior)(const track_t *track, const float *f, const float *back, grid_fix_t *fix);
    const char *name;
} grid_ops_t;

extern const grid_ops_t grid_ops_base, grid_ops_avx2; /* the second on x86-64 alone */

/* The functions for this processor. */
const grid_ops_t *grid_ops(void);
#endif
