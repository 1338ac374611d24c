/* Which scan of one element class follows which: the likeliest set of chains, each one phone. Knows no class, no key.
 *
 * A scan j follows scan i with weight f(lag) * ratio(RSSI): f is the density of the class's own scan intervals, learnt
 * here without labels, the ratio that of the RSSI vectors of one phone, which has stayed or moved since, over those of
 * two. A chain costs a birth. Weights are found by expectation maximisation over soft links (Sinkhorn-normalised, so
 * that a scan has one predecessor and one successor; a link never confirms itself), chains by the auction algorithm
 * (Bertsekas 1988). First for few phones, then again for as many as that gave, as phones of a model that is there several
 * times are likelier, and with RSSI averaged along the chains that it gave. */
#ifndef FOOTFALL_RELINK_H
#define FOOTFALL_RELINK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    RELINK_NONE = -1,
    RELINK_CANDIDATES = 64, /* predecessors weighed for one scan */
    RELINK_KEPT = 16,       /* of them after two rounds */
    RELINK_PASSES = 6,
    RELINK_ROUNDS = 5, /* in the first pass; one in each of the others */
    RELINK_MEAN = 3,     /* scans before one that its mean RSSI remembers */
    RELINK_SWEEPS = 3,   /* of Sinkhorn's normalisation in a round */
    RELINK_REACH = 2,    /* bins each side of a lag that support it */
    RELINK_RHYTHMS = 64, /* pairs of intervals looked at for one */
    RELINK_BIDS = 200    /* mean number per scan before an auction is called off */
};

static const double RELINK_DOUBT = 3; /* pairs of intervals that the class's own density counts for */

typedef struct {
    double horizon_s;     /* longest silence within a chain */
    double least_s;       /* shortest: one phone ends a scan before it begins the next */
    double link_var_db2;  /* of the difference of two RSSI of one phone that stayed, each probe */
    double apart_var_db2; /* of two phones, or one that moved */
    double gain;          /* half the logarithm of the ratio of those */
    double stay_p, stay_s;    /* a phone has stayed with probability stay_p exp(-lag / stay_s) */
    double first_birth_per_s; /* rate of births while a class is taken for one phone */
    double birth_per_s, birth_power, birth_most_per_s; /* and then: times the number of phones to this power */
    double sequence_p; /* that a phone numbers its frames on from scan to scan; 0: not looked at */
    double tied_share; /* that counts of intervals between tied scans: 0 where scans are pieces of one */
    double broad_share;   /* of intervals like nobody's: weight of the prior density beside learnt ones */
} relink_rules;

typedef struct {
    double first_s, last_s;
    int32_t tied; /* the predecessor that an address proves, or RELINK_NONE */
    uint16_t first_sequence, last_sequence;
    uint8_t root; /* has no predecessor among these */
} relink_scan;

typedef struct {
    int32_t from;
    uint16_t bin;
    float ratio;  /* of RSSI */
    float weight; /* ratio * density */
    float soft;
} relink_edge;

typedef struct {
    relink_edge *edge;
    int32_t *begin, *owner, *stack; /* begin: n + 1 */
    double *in, *out, *price;
    float *score;
    double *mass; /* by bin, then summed */
    int32_t *pairs, *lag_before, *lag_after, *partner; /* of relink_rhythm: the first by bin, the others (n) */
    float *density, *width, *stay;
    float *back, *ahead;   /* RSSI of a scan with those before, with those after it in its chain (n, probes) */
    float *back_n, *ahead_n; /* and of how many it is the mean */
    int32_t nodes, edges, bins;
    double binned_s; /* horizon the bins were made for */
} relink_work;

/* Bins as wide as half the spread of a timer's intervals: 50 ms and 0.2 % of the lag. */
static inline int relink_bin(double lag_s) { return (int)(1000.0 * log1p(0.04 * lag_s)); }
static inline double relink_lag_s(int bin) { return expm1(bin / 1000.0) / 0.04; }

/* Broad prior of scan intervals: log-normal around 45 s with a long tail (recorded phones: 10 to 330 s). */
static double relink_broad(double lag_s) {
    double z = log(lag_s / 45.0) / 1.4;
    return 0.9 * exp(-0.5 * z * z) / (1.4 * 2.5066 * lag_s) + 0.1 * exp(-lag_s / 300.0) / 300.0;
}

static inline int relink_grow(void **old, size_t count, size_t size) {
    void *bigger = realloc(*old, count * size);
    if (bigger) *old = bigger;
    return bigger != NULL;
}

static void relink_free(relink_work *w) {
    free(w->edge), free(w->begin), free(w->owner), free(w->stack), free(w->in), free(w->out), free(w->price);
    free(w->score), free(w->mass), free(w->density), free(w->width), free(w->stay);
    free(w->back), free(w->ahead), free(w->back_n), free(w->ahead_n);
    free(w->pairs), free(w->lag_before), free(w->lag_after), free(w->partner);
    memset(w, 0, sizeof *w);
}

static int relink_reserve(relink_work *w, const relink_rules *r, int n, int probes) {
    size_t nodes = (size_t)n + 1;
    if (n > w->nodes) {
        if (!relink_grow((void **)&w->begin, nodes, sizeof *w->begin)
            || !relink_grow((void **)&w->owner, nodes, sizeof *w->owner)
            || !relink_grow((void **)&w->stack, 2 * nodes, sizeof *w->stack)
            || !relink_grow((void **)&w->in, nodes, sizeof *w->in)
            || !relink_grow((void **)&w->out, nodes, sizeof *w->out)
            || !relink_grow((void **)&w->price, nodes, sizeof *w->price)
            || !relink_grow((void **)&w->score, 2 * nodes, sizeof *w->score)
            || !relink_grow((void **)&w->back, nodes * (size_t)probes, sizeof *w->back)
            || !relink_grow((void **)&w->ahead, nodes * (size_t)probes, sizeof *w->ahead)
            || !relink_grow((void **)&w->back_n, nodes, sizeof *w->back_n)
            || !relink_grow((void **)&w->ahead_n, nodes, sizeof *w->ahead_n)
            || !relink_grow((void **)&w->lag_before, nodes, sizeof *w->lag_before)
            || !relink_grow((void **)&w->lag_after, nodes, sizeof *w->lag_after)
            || !relink_grow((void **)&w->partner, nodes, sizeof *w->partner)
            || !relink_grow((void **)&w->edge, nodes * RELINK_CANDIDATES, sizeof *w->edge)) return 0;
        w->nodes = n;
    }
    if (r->horizon_s != w->binned_s) {
        int bins = relink_bin(r->horizon_s) + RELINK_REACH + 2;
        size_t size = (size_t)bins + 1;
        if (!relink_grow((void **)&w->mass, size, sizeof *w->mass)
            || !relink_grow((void **)&w->pairs, size + 1, sizeof *w->pairs)
            || !relink_grow((void **)&w->density, size, sizeof *w->density)
            || !relink_grow((void **)&w->width, size, sizeof *w->width)
            || !relink_grow((void **)&w->stay, size, sizeof *w->stay)) return 0;
        for (int b = 0; b <= bins; b++) {
            int low = b > RELINK_REACH ? b - RELINK_REACH : 0;
            w->width[b] = (float)(relink_lag_s(b + RELINK_REACH + 1) - relink_lag_s(low));
            w->density[b] = (float)relink_broad(relink_lag_s(b) + 0.01);
            w->stay[b] = (float)(r->stay_p * exp(-relink_lag_s(b) / r->stay_s));
        }
        w->bins = bins;
        w->binned_s = r->horizon_s;
    }
    return 1;
}

/* The k-th largest of n values, which are put in another order. */
static float relink_kth(float *value, int n, int k) {
    int low = 0, high = n - 1;
    while (low < high) {
        float pivot = value[(low + high) / 2], swap;
        int i = low, j = high;
        while (i <= j) {
            while (value[i] > pivot) i++;
            while (value[j] < pivot) j--;
            if (i <= j) swap = value[i], value[i++] = value[j], value[j--] = swap;
        }
        if (k <= j) high = j;
        else if (k >= i) low = i;
        else break;
    }
    return value[k];
}

/* Likelihood ratio of two RSSI vectors (NaN: not heard): of one phone that has stayed with probability `stay`, over
 * those of two phones. */
static float relink_ratio(const relink_rules *r, const float *a, const float *b, int probes, float stay) {
    float shrink = (float)(0.5 / r->apart_var_db2 - 0.5 / r->link_var_db2), sum = 0;
    int heard = 0;
    for (int p = 0; p < probes; p++) {
        float d = a[p] - b[p];
        if (d == d) sum += d * d, heard++;
    }
    sum = sum * shrink + (float)heard * (float)r->gain;
    return stay * expf(sum < 30 ? sum : 30) + 1 - stay;
}

/* Keeps the `most` heaviest of edges [begin, end), in order; gives the new end. Equals go to the later ones. */
static int relink_heaviest(relink_work *w, int begin, int end, int most) {
    int count = end - begin, to = begin, equal = 0;
    if (count <= most) return end;
    for (int e = 0; e < count; e++) w->score[e] = w->edge[begin + e].weight;
    float least = relink_kth(w->score, count, most - 1);
    for (int e = begin; e < end; e++) equal += w->edge[e].weight > least;
    equal = most - equal; /* so many of those that weigh just `least` */
    for (int e = end - 1, seen = 0; e >= begin; e--)
        if (w->edge[e].weight == least && seen++ >= equal) w->edge[e].weight = -1;
    for (int e = begin; e < end; e++)
        if (w->edge[e].weight >= least) w->edge[to++] = w->edge[e];
    return to;
}

/* Likelihood ratio of sequence numbers: one phone that numbers on, by fewer than 64, over any number (12 bits). */
static float relink_counts_on(const relink_rules *r, const relink_scan *a, const relink_scan *b) {
    int step = (b->first_sequence - a->last_sequence) & 4095;
    return (float)(1 - r->sequence_p + (step > 0 && step < 64 ? r->sequence_p * 4096 / 63 : 0));
}

/* Edges into every scan that is neither tied nor a root, from scans that are not tied to another. */
static void relink_edges(relink_work *w, const relink_rules *r, int n, int probes, const relink_scan *scan,
                         const float *rssi) {
    int oldest = 0, end = 0;
    for (int j = 0; j < n; j++) w->owner[j] = RELINK_NONE;
    for (int j = 0; j < n; j++)
        if (scan[j].tied >= 0) w->owner[scan[j].tied] = j;
    for (int j = 0; j < n; j++) {
        int fill = end;
        w->begin[j] = end;
        while (oldest < j && scan[j].first_s - scan[oldest].first_s >= r->horizon_s) oldest++;
        if (scan[j].tied >= 0 || scan[j].root) continue;
        for (int i = j - 1; i >= oldest; i--) {
            double lag_s = scan[j].first_s - scan[i].first_s;
            if (w->owner[i] >= 0 || scan[j].first_s - scan[i].last_s < r->least_s) continue;
            if (fill - end == 2 * RELINK_CANDIDATES) fill = relink_heaviest(w, end, fill, RELINK_CANDIDATES);
            relink_edge *e = &w->edge[fill++];
            e->from = i;
            e->bin = (uint16_t)relink_bin(lag_s);
            e->ratio = relink_ratio(r, &rssi[(size_t)i * probes], &rssi[(size_t)j * probes], probes, w->stay[e->bin]);
            if (r->sequence_p > 0) e->ratio *= relink_counts_on(r, &scan[i], &scan[j]);
            e->weight = e->ratio * w->density[e->bin];
        }
        end = relink_heaviest(w, end, fill, RELINK_CANDIDATES);
    }
    w->begin[n] = w->edges = end;
}

static void relink_prune(relink_work *w, int n) {
    int to = 0, begin = 0;
    for (int j = 0; j < n; j++) {
        int end = w->begin[j + 1], kept = relink_heaviest(w, begin, end, RELINK_KEPT);
        memmove(&w->edge[to], &w->edge[begin], (size_t)(kept - begin) * sizeof *w->edge);
        w->begin[j] = to;
        to += kept - begin;
        begin = end;
    }
    w->begin[n] = w->edges = to;
}

/* Weights to soft links: each scan has at most one predecessor (else a birth) and one successor (else an end). */
static void relink_soften(relink_work *w, int n, double birth_per_s) {
    for (int i = 0; i < n; i++) w->out[i] = 1;
    for (int sweep = 0; sweep < RELINK_SWEEPS; sweep++) {
        for (int j = 0; j < n; j++) {
            double sum = birth_per_s;
            for (int e = w->begin[j]; e < w->begin[j + 1]; e++) sum += w->edge[e].weight * w->out[w->edge[e].from];
            w->in[j] = 1 / sum;
        }
        for (int i = 0; i < n; i++) w->price[i] = 1;
        for (int j = 0; j < n; j++)
            for (int e = w->begin[j]; e < w->begin[j + 1]; e++) w->price[w->edge[e].from] += w->edge[e].weight * w->in[j];
        for (int i = 0; i < n; i++) w->out[i] = 1 / w->price[i];
    }
    for (int j = 0; j < n; j++)
        for (int e = w->begin[j]; e < w->begin[j + 1]; e++)
            w->edge[e].soft = (float)(w->edge[e].weight * w->in[j] * w->out[w->edge[e].from]);
}

/* Soft links to the density of intervals, and that to weights; what a link itself adds is left out of its own. */
static void relink_learn(relink_work *w, const relink_rules *r, int n, const relink_scan *scan) {
    double total = 0;
    memset(w->mass, 0, ((size_t)w->bins + 1) * sizeof *w->mass);
    for (int e = 0; e < w->edges; e++) w->mass[w->edge[e].bin + 1] += w->edge[e].soft, total += w->edge[e].soft;
    for (int j = 0; j < n; j++) {
        double lag_s = scan[j].tied >= 0 ? scan[j].first_s - scan[scan[j].tied].first_s : -1;
        if (lag_s >= 0 && lag_s < r->horizon_s) {
            w->mass[relink_bin(lag_s) + 1] += r->tied_share;
            total += r->tied_share;
        }
    }
    for (int b = 0; b < w->bins; b++) w->mass[b + 1] += w->mass[b];
    for (int at = 0; at < w->edges; at++) {
        relink_edge *e = &w->edge[at];
        int low = e->bin > RELINK_REACH ? e->bin - RELINK_REACH : 0, high = e->bin + RELINK_REACH + 1;
        double near = w->mass[high] - w->mass[low] - e->soft, broad = 1 + r->broad_share * total;
        double density = (near > 0 ? near : 0) / w->width[e->bin] + broad * w->density[e->bin];
        e->weight = (float)(e->ratio * density / (total - e->soft + broad));
    }
}

/* Intervals of the chains so far, by scan: that before it and that after it, as bins. */
static void relink_lags(relink_work *w, const relink_rules *r, int n, const relink_scan *scan, const int32_t *previous) {
    for (int j = 0; j < n; j++) w->lag_before[j] = w->lag_after[j] = RELINK_NONE;
    for (int j = 0; j < n; j++) {
        double lag_s = previous[j] >= 0 ? scan[j].first_s - scan[previous[j]].first_s : r->horizon_s;
        if (lag_s < r->horizon_s) w->lag_before[j] = w->lag_after[previous[j]] = relink_bin(lag_s);
    }
}

/* Sorts the scans between two intervals by the bin of `key`: partners of bin b are [pairs[b], pairs[b + 1]). */
static void relink_pair(relink_work *w, int n, const int32_t *key, const int32_t *value) {
    memset(w->pairs, 0, ((size_t)w->bins + 2) * sizeof *w->pairs);
    for (int j = 0; j < n; j++)
        if (key[j] >= 0 && value[j] >= 0) w->pairs[key[j]]++;
    for (int b = 0; b <= w->bins; b++) w->pairs[b + 1] += w->pairs[b];
    for (int j = n - 1; j >= 0; j--)
        if (key[j] >= 0 && value[j] >= 0) w->partner[--w->pairs[key[j]]] = value[j];
}

/* How much likelier an interval `bin` is beside one `known` than by its `density`; `own` stands beside that already. */
static double relink_beside(const relink_work *w, int known, int bin, int own, double density) {
    int first = known > RELINK_REACH ? known - RELINK_REACH : 0, end = w->pairs[known + RELINK_REACH + 1], seen = 0;
    int step = (end - w->pairs[first]) / RELINK_RHYTHMS + 1;
    double like = 0, all;
    for (int at = w->pairs[first]; at < end; at += step, seen++) like += abs(w->partner[at] - bin) <= RELINK_REACH;
    like *= step, all = (double)seen * step;
    if (own >= 0) all -= 1, like -= abs(own - bin) <= RELINK_REACH;
    like = like > 1 ? like - 1 : 0; /* one may be chance */
    if (all < like) all = like;
    return (like / (w->width[bin] * density) + RELINK_DOUBT) / (all + RELINK_DOUBT);
}

/* Rhythms: scans come in the order of a model's timers (30, 30, 60 s; 5 and 8 s), so that an interval tells the next.
 * Weights are those of relink_learn, times how much likelier the interval is after the one before it, and before the
 * one after it, in all chains so far but its own. */
static void relink_rhythm(relink_work *w, const relink_rules *r, int n, const relink_scan *scan,
                          const int32_t *previous) {
    for (int e = 0; e < w->edges; e++) w->edge[e].soft = w->edge[e].weight / w->edge[e].ratio;
    relink_lags(w, r, n, scan, previous);
    relink_pair(w, n, w->lag_before, w->lag_after);
    for (int e = 0; e < w->edges; e++) {
        int i = w->edge[e].from, known = w->lag_before[i];
        if (known >= 0)
            w->edge[e].weight *= (float)relink_beside(w, known, w->edge[e].bin, w->lag_after[i], w->edge[e].soft);
    }
    relink_pair(w, n, w->lag_after, w->lag_before);
    for (int j = 0; j < n; j++) {
        int known = w->lag_after[j];
        for (int e = w->begin[j]; known >= 0 && e < w->begin[j + 1]; e++)
            w->edge[e].weight *= (float)relink_beside(w, known, w->edge[e].bin, w->lag_before[j], w->edge[e].soft);
    }
}

/* The chains of greatest likelihood by an auction of predecessors, within `step` of the best a link; gives how many. */
static int relink_assign(relink_work *w, int n, double birth_per_s, const relink_scan *scan, int32_t *previous) {
    const double step = 0.02;
    long bids = 0;
    int waiting = 0, chains = 0;
    for (int j = 0; j < n; j++) w->owner[j] = RELINK_NONE, w->price[j] = 0, previous[j] = scan[j].tied;
    for (int e = 0; e < w->edges; e++) w->edge[e].soft = (float)log(w->edge[e].weight / birth_per_s + 1e-30);
    for (int j = n - 1; j >= 0; j--)
        if (w->begin[j] < w->begin[j + 1]) w->stack[waiting++] = j;
    while (waiting && bids++ < (long)RELINK_BIDS * n + 1000) {
        int j = w->stack[--waiting], winner = RELINK_NONE;
        double best = 0, second = 0;
        for (int e = w->begin[j]; e < w->begin[j + 1]; e++) {
            double value = w->edge[e].soft - w->price[w->edge[e].from];
            if (value > best) second = best, best = value, winner = w->edge[e].from;
            else if (value > second) second = value;
        }
        if (winner < 0) continue; /* worth more as the first of a chain */
        if (w->owner[winner] >= 0) previous[w->owner[winner]] = RELINK_NONE, w->stack[waiting++] = w->owner[winner];
        w->price[winner] += best - second + step;
        w->owner[winner] = j;
        previous[j] = winner;
    }
    for (int j = 0; j < n; j++) chains += previous[j] < 0;
    return chains;
}

/* As relink_ratio, of means of `an` and `bn` scans. */
static float relink_mean_ratio(const relink_rules *r, const float *a, float an, const float *b, float bn, int probes,
                               float stay) {
    double of_scan = r->link_var_db2 / 2, of_means = of_scan * (1 / an + 1 / bn);
    double apart = r->apart_var_db2 - r->link_var_db2 + of_means, gain = 0.5 * log(apart / of_means), sum = 0;
    for (int p = 0; p < probes; p++) {
        double d = a[p] - b[p];
        if (d == d) sum += gain + d * d * (0.5 / apart - 0.5 / of_means);
    }
    return stay * expf((float)(sum < 30 ? sum : 30)) + 1 - stay;
}

/* The mean of scan `j` and, as far as the phone has likely stayed, of scan `from`, which is a mean already. */
static void relink_mean(const relink_rules *r, const float *rssi, int probes, int j, int from, float stay, float *mean,
                        float *n) {
    const float *x = &rssi[(size_t)j * probes], *m = &mean[(size_t)from * probes];
    float *to = &mean[(size_t)j * probes];
    float stayed = 1 - (1 - stay) / relink_mean_ratio(r, x, 1, m, n[from], probes, stay), old = n[from] * stayed;
    if (old > RELINK_MEAN) old = RELINK_MEAN;
    n[j] = 1 + old;
    for (int p = 0; p < probes; p++) {
        if (x[p] != x[p]) to[p] = stayed > 0.5f ? m[p] : x[p];
        else to[p] = m[p] == m[p] ? (x[p] + old * m[p]) / (1 + old) : x[p];
    }
}

/* Ratios of edges anew, between what chains say of each end's RSSI. */
static void relink_average(relink_work *w, const relink_rules *r, int n, int probes, const relink_scan *scan,
                           const float *rssi, const int32_t *previous) {
    memcpy(w->back, rssi, (size_t)n * probes * sizeof *rssi);
    memcpy(w->ahead, rssi, (size_t)n * probes * sizeof *rssi);
    for (int j = 0; j < n; j++) w->back_n[j] = w->ahead_n[j] = 1;
    for (int j = 0; j < n; j++) {
        double lag = previous[j] >= 0 ? scan[j].first_s - scan[previous[j]].first_s : r->horizon_s;
        if (lag < r->horizon_s)
            relink_mean(r, rssi, probes, j, previous[j], w->stay[relink_bin(lag)], w->back, w->back_n);
    }
    for (int j = n - 1; j >= 0; j--) {
        double lag = previous[j] >= 0 ? scan[j].first_s - scan[previous[j]].first_s : r->horizon_s;
        if (lag < r->horizon_s)
            relink_mean(r, rssi, probes, previous[j], j, w->stay[relink_bin(lag)], w->ahead, w->ahead_n);
    }
    for (int j = 0; j < n; j++)
        for (int at = w->begin[j]; at < w->begin[j + 1]; at++) {
            relink_edge *e = &w->edge[at];
            int i = e->from;
            float was = e->ratio;
            e->ratio = relink_mean_ratio(r, &w->back[(size_t)i * probes], w->back_n[i], &w->ahead[(size_t)j * probes],
                                         w->ahead_n[j], probes, w->stay[e->bin]);
            if (r->sequence_p > 0) e->ratio *= relink_counts_on(r, &scan[i], &scan[j]);
            e->weight *= e->ratio / was;
        }
}

/* Links `n` scans in order of `first_s`, with RSSI (n, probes): `previous` (n) gets each one's predecessor. Gives the
 * number of chains, RELINK_NONE where memory is short. */
static int relink(relink_work *w, const relink_rules *r, int n, int probes, const relink_scan *scan, const float *rssi,
                  int32_t *previous) {
    double birth_per_s = r->first_birth_per_s;
    int chains = 0;
    if (!relink_reserve(w, r, n, probes)) return RELINK_NONE;
    relink_edges(w, r, n, probes, scan, rssi);
    for (int again = 0; again < RELINK_PASSES; again++) {
        for (int round = 0; w->edges && round < (again ? 1 : RELINK_ROUNDS); round++) {
            if (round == 2) relink_prune(w, n);
            relink_soften(w, n, birth_per_s);
            relink_learn(w, r, n, scan);
        }
        if (again && w->edges) relink_rhythm(w, r, n, scan, previous);
        chains = relink_assign(w, n, birth_per_s, scan, previous);
        if (chains == 1) break;
        if (w->edges) relink_average(w, r, n, probes, scan, rssi, previous);
        birth_per_s = r->birth_per_s * pow(chains, r->birth_power);
        if (birth_per_s > r->birth_most_per_s) birth_per_s = r->birth_most_per_s;
    }
    return chains;
}

#endif
