/* Which of two chains of one element class are one phone that keeps two timers: those that are always in one place.
 * Among many twins two are in one place by chance too often, so that chains of relink.h are left as they are there. */
#ifndef FOOTFALL_UNITE_H
#define FOOTFALL_UNITE_H

#include "relink.h"

enum {
    UNITE_FEW = 2,   /* chains */
    UNITE_LEAST = 3  /* times that one follows the other */
};
static const double UNITE_LAG_S = 120; /* who follows later may have walked on */
static const double UNITE_PRIOR = 0, UNITE_OVERLAP = 3; /* log odds for one phone; against, for each scan within another */

/* Log odds that chains `a` and `b` are one phone, less than 0 where too little is known. */
static double unite_odds(const relink_rules *r, int n, int probes, const relink_scan *scan, const float *rssi,
                         const int32_t *chain, int a, int b) {
    double odds = UNITE_PRIOR;
    int last = RELINK_NONE, follows = 0;
    for (int j = 0; j < n; j++) {
        if (chain[j] != a && chain[j] != b) continue;
        if (last < 0 && chain[j] == b) return -1; /* the earlier chain comes first */
        if (last >= 0 && chain[last] != chain[j]) {
            double lag_s = scan[j].first_s - scan[last].first_s;
            float stay = (float)(r->stay_p * exp(-lag_s / r->stay_s));
            if (scan[j].first_s - scan[last].last_s < r->least_s) odds -= UNITE_OVERLAP;
            if (lag_s < UNITE_LAG_S) {
                odds += log(relink_ratio(r, &rssi[(size_t)last * probes], &rssi[(size_t)j * probes], probes, stay));
                follows++;
            }
        }
        last = j;
    }
    return follows < UNITE_LEAST ? -1 : odds;
}

/* A scan that is the first of a settled track begins a chain, whatever comes before. */
static int unite_settled(int n, const relink_scan *scan, const int32_t *chain, int b) {
    for (int j = 0; j < n; j++)
        if (chain[j] == b) return scan[j].root;
    return 1;
}

/* Unites `chains` chains as far as odds say, in `previous` as of relink; `chain` (n) is room to work in. */
static void unite(const relink_rules *r, int n, int probes, const relink_scan *scan, const float *rssi, int chains,
                  int32_t *previous, int32_t *chain) {
    int32_t last[UNITE_FEW];
    if (chains < 2 || chains > UNITE_FEW) return;
    for (int j = 0, used = 0; j < n; j++) chain[j] = previous[j] >= 0 ? chain[previous[j]] : used++;
    for (int again = 1; again < chains; again++) {
        double best = 0;
        int to = RELINK_NONE, from = RELINK_NONE;
        for (int a = 0; a < chains; a++)
            for (int b = a + 1; b < chains; b++) {
                double odds = unite_settled(n, scan, chain, b) ? -1
                                                               : unite_odds(r, n, probes, scan, rssi, chain, a, b);
                if (odds > best) best = odds, to = a, from = b;
            }
        if (to < 0) break;
        for (int j = 0; j < n; j++)
            if (chain[j] == from) chain[j] = to;
    }
    for (int c = 0; c < UNITE_FEW; c++) last[c] = RELINK_NONE;
    for (int j = 0; j < n; j++) previous[j] = last[chain[j]], last[chain[j]] = j;
}

#endif
