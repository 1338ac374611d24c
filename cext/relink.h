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

#include "relink_math.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    RELINK_NONE = -1,
    RELINK_CANDIDATES = 64, /* predecessors weighed for one scan */
    RELINK_KEPT = 16,       /* of them after two rounds */
    RELINK_PASSES = 6,
    RELINK_ROUNDS = 3, /* in the first pass; one in each of the others */
    RELINK_MEAN = 3,     /* scans before one that its mean RSSI remembers */
    RELINK_SWEEPS = 2,   /* of Sinkhorn's normalisation in a round */
    RELINK_REACH = 2,    /* bins each side of a lag that support it */
    RELINK_RHYTHMS = 64, /* pairs of intervals looked at for one */
    RELINK_DIGIT = 128,  /* bins are sorted by two digits of this base */
    RELINK_BIDS = 200    /* mean number per scan before an auction is called off */
};

static const float RELINK_DOUBT = 3; /* pairs of intervals that the class's own density counts for */

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
    int32_t *from; /* edges into scan j: [begin[j], begin[j + 1]) of these */
    uint16_t *bin; /* of the lag */
    float *ratio;  /* of RSSI */
    float *weight; /* ratio * density */
    float *soft;   /* how far it is taken for a link, then its gain over a birth */
    int32_t *begin, *owner, *stack; /* begin: n + 1 */
    float *in, *out, *price;
    float *level, *heard, *log_ratio, *score; /* of one scan with all before it; the first two (probes, n) */
    float *mass; /* by bin */
    int32_t *lag_before, *lag_after, *partner, *first, *last, *sorted; /* of relink_rhythm, by scan */
    float *density, *per_s, *stay; /* by bin: the broad prior, 1 over the width of its neighbourhood */
    float *back, *ahead;   /* RSSI of a scan with those before, with those after it in its chain (n, probes) */
    float *back_n, *ahead_n; /* and of how many it is the mean */
    int32_t nodes, edges, most_edges, bins;
    double binned_s; /* horizon the bins were made for */
} relink_work;

/* Bins as wide as half the spread of a timer's intervals: 50 ms and 0.2 % of the lag. */
static inline int relink_bin(double lag_s) { return (int)(1000.0f * relink_log(1.0f + 0.04f * (float)lag_s)); }
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

/* Frees what is by scan and by edge: the next class to be linked is another one. */
static void relink_release(relink_work *w) {
    relink_work kept = {.mass = w->mass, .density = w->density, .per_s = w->per_s, .stay = w->stay,
                        .bins = w->bins, .binned_s = w->binned_s};
    free(w->from), free(w->bin), free(w->ratio), free(w->weight), free(w->soft);
    free(w->begin), free(w->owner), free(w->stack), free(w->in), free(w->out), free(w->price);
    free(w->level), free(w->heard), free(w->log_ratio), free(w->score);
    free(w->back), free(w->ahead), free(w->back_n), free(w->ahead_n);
    free(w->lag_before), free(w->lag_after), free(w->partner), free(w->first), free(w->last), free(w->sorted);
    *w = kept;
}

static void relink_free(relink_work *w) {
    relink_release(w);
    free(w->mass), free(w->density), free(w->per_s), free(w->stay);
    memset(w, 0, sizeof *w);
}

static int relink_grow_edges(relink_work *w, int most) {
    size_t count = (size_t)most + (size_t)most / 4;
    if (most <= w->most_edges) return 1;
    if (!relink_grow((void **)&w->from, count, sizeof *w->from) || !relink_grow((void **)&w->bin, count, sizeof *w->bin)
        || !relink_grow((void **)&w->ratio, count, sizeof *w->ratio)
        || !relink_grow((void **)&w->weight, count, sizeof *w->weight)
        || !relink_grow((void **)&w->soft, count, sizeof *w->soft)) return 0;
    w->most_edges = (int)count;
    return 1;
}

static int relink_grow_nodes(relink_work *w, int n, int probes) {
    size_t nodes = (size_t)n + (size_t)n / 4 + 1, levels = nodes * (size_t)probes;
    if (n <= w->nodes) return 1;
    if (!relink_grow((void **)&w->begin, nodes, sizeof *w->begin)
        || !relink_grow((void **)&w->owner, nodes, sizeof *w->owner)
        || !relink_grow((void **)&w->stack, nodes, sizeof *w->stack)
        || !relink_grow((void **)&w->in, nodes, sizeof *w->in)
        || !relink_grow((void **)&w->out, nodes, sizeof *w->out)
        || !relink_grow((void **)&w->price, nodes, sizeof *w->price)
        || !relink_grow((void **)&w->level, levels, sizeof *w->level)
        || !relink_grow((void **)&w->heard, levels, sizeof *w->heard)
        || !relink_grow((void **)&w->log_ratio, nodes, sizeof *w->log_ratio)
        || !relink_grow((void **)&w->score, 2 * nodes, sizeof *w->score)
        || !relink_grow((void **)&w->back, levels, sizeof *w->back)
        || !relink_grow((void **)&w->ahead, levels, sizeof *w->ahead)
        || !relink_grow((void **)&w->back_n, nodes, sizeof *w->back_n)
        || !relink_grow((void **)&w->ahead_n, nodes, sizeof *w->ahead_n)
        || !relink_grow((void **)&w->lag_before, nodes, sizeof *w->lag_before)
        || !relink_grow((void **)&w->lag_after, nodes, sizeof *w->lag_after)
        || !relink_grow((void **)&w->partner, nodes, sizeof *w->partner)
        || !relink_grow((void **)&w->first, nodes, sizeof *w->first)
        || !relink_grow((void **)&w->last, nodes, sizeof *w->last)
        || !relink_grow((void **)&w->sorted, 2 * nodes, sizeof *w->sorted)) return 0;
    w->nodes = (int)nodes - 1;
    return 1;
}

static int relink_bins(relink_work *w, const relink_rules *r) {
    if (r->horizon_s == w->binned_s) return 1;
    int bins = relink_bin(r->horizon_s) + 2 * RELINK_REACH + 2;
    size_t size = (size_t)bins + 1;
    if (!relink_grow((void **)&w->mass, size, sizeof *w->mass)
        || !relink_grow((void **)&w->density, size, sizeof *w->density)
        || !relink_grow((void **)&w->per_s, size, sizeof *w->per_s)
        || !relink_grow((void **)&w->stay, size, sizeof *w->stay)) return 0;
    for (int b = 0; b <= bins; b++) {
        int low = b > RELINK_REACH ? b - RELINK_REACH : 0;
        w->per_s[b] = (float)(1 / (relink_lag_s(b + RELINK_REACH + 1) - relink_lag_s(low)));
        w->density[b] = (float)relink_broad(relink_lag_s(b) + 0.01);
        w->stay[b] = (float)(r->stay_p * exp(-relink_lag_s(b) / r->stay_s));
    }
    w->bins = bins;
    w->binned_s = r->horizon_s;
    return 1;
}

/* Octets that `w` holds. */
static size_t relink_bytes(const relink_work *w, int probes) {
    size_t of_edge = sizeof *w->from + sizeof *w->bin + sizeof *w->ratio + sizeof *w->weight + sizeof *w->soft;
    size_t of_node = 10 * sizeof(int32_t) + 8 * sizeof(float) + 4 * (size_t)probes * sizeof(float);
    size_t of_bin = sizeof *w->mass + sizeof *w->density + sizeof *w->per_s + sizeof *w->stay;
    return (size_t)w->most_edges * of_edge + (w->nodes ? (size_t)w->nodes + 1 : 0) * of_node
           + (w->bins ? (size_t)w->bins + 1 : 0) * of_bin;
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
    return stay * relink_exp(sum < 30 ? sum : 30) + 1 - stay;
}

/* Keeps the `most` heaviest of edges [begin, end), moved in order to `to` and on; gives the end. Equals go to the later
 * ones. */
static int relink_heaviest(relink_work *w, int begin, int end, int to, int most) {
    int count = end - begin, spare = most;
    float least = -1;
    if (count > most) {
        memcpy(w->score, &w->weight[begin], (size_t)count * sizeof *w->score);
        least = relink_kth(w->score, count, most - 1);
        for (int e = begin; e < end; e++) spare -= w->weight[e] > least; /* so many of those that weigh just `least` */
        for (int e = end - 1; e >= begin; e--)
            if (w->weight[e] == least && spare-- <= 0) w->weight[e] = -1;
    }
    for (int e = begin; e < end; e++) {
        if (w->weight[e] < least) continue;
        w->from[to] = w->from[e], w->bin[to] = w->bin[e], w->ratio[to] = w->ratio[e], w->weight[to] = w->weight[e];
        to++;
    }
    return to;
}

/* Likelihood ratio of sequence numbers: one phone that numbers on, by fewer than 64, over any number (12 bits). */
static float relink_counts_on(const relink_rules *r, int last, int first) {
    int step = (first - last) & 4095;
    return (float)(1 - r->sequence_p + (step > 0 && step < 64 ? r->sequence_p * 4096 / 63 : 0));
}

/* RSSI by probe, 0 where not heard, so that a scan is compared with all before it in one loop. */
static void relink_levels(relink_work *w, int n, int probes, const float *rssi) {
    for (int p = 0; p < probes; p++)
        for (int j = 0; j < n; j++) {
            float x = rssi[(size_t)j * probes + p];
            w->heard[(size_t)p * n + j] = x == x;
            w->level[(size_t)p * n + j] = x == x ? x : 0;
        }
}

/* Lags of scan `j` after scans [oldest, j) and logarithms of the RSSI ratio of a phone that stayed. */
static void relink_compare(relink_work *w, const relink_rules *r, int n, int probes, int oldest, int j) {
    const float shrink = (float)(0.5 / r->apart_var_db2 - 0.5 / r->link_var_db2), gain = (float)r->gain;
    float *restrict sum = w->log_ratio;
    for (int i = oldest; i < j; i++) sum[i] = 0;
    for (int p = 0; p < probes; p++) {
        const float *restrict level = &w->level[(size_t)p * n], *restrict heard = &w->heard[(size_t)p * n];
        const float x = level[j];
        if (heard[j] == 0) continue;
        for (int i = oldest; i < j; i++) sum[i] += heard[i] * (gain + shrink * (level[i] - x) * (level[i] - x));
    }
    for (int i = oldest; i < j; i++) sum[i] = relink_exp(sum[i] < 30 ? sum[i] : 30);
}

/* Edges into every scan that is neither tied nor a root, from scans that are not tied to another. */
static int relink_edges(relink_work *w, const relink_rules *r, int n, int probes, const relink_scan *scan,
                        const float *rssi) {
    int oldest = 0, end = 0;
    relink_levels(w, n, probes, rssi);
    for (int j = 0; j < n; j++) w->owner[j] = RELINK_NONE;
    for (int j = 0; j < n; j++)
        if (scan[j].tied >= 0) w->owner[scan[j].tied] = j;
    for (int j = 0; j < n; j++) {
        int fill = end;
        w->begin[j] = end;
        while (oldest < j && scan[j].first_s - scan[oldest].first_s >= r->horizon_s) oldest++;
        if (scan[j].tied >= 0 || scan[j].root) continue;
        if (!relink_grow_edges(w, end + j - oldest)) return 0;
        relink_compare(w, r, n, probes, oldest, j);
        for (int i = oldest; i < j; i++) {
            if (w->owner[i] >= 0 || scan[j].first_s - scan[i].last_s < r->least_s) continue;
            int bin = relink_bin(scan[j].first_s - scan[i].first_s);
            float stay = w->stay[bin], ratio = stay * w->log_ratio[i] + 1 - stay;
            if (r->sequence_p > 0) ratio *= relink_counts_on(r, scan[i].last_sequence, scan[j].first_sequence);
            w->from[fill] = i, w->bin[fill] = (uint16_t)bin, w->ratio[fill] = ratio;
            w->weight[fill++] = ratio * w->density[bin];
        }
        end = relink_heaviest(w, end, fill, end, RELINK_CANDIDATES);
    }
    w->begin[n] = w->edges = end;
    return 1;
}

static void relink_prune(relink_work *w, int n) {
    int to = 0, begin = 0;
    for (int j = 0; j < n; j++) {
        int end = w->begin[j + 1];
        w->begin[j] = to;
        to = relink_heaviest(w, begin, end, to, RELINK_KEPT);
        begin = end;
    }
    w->begin[n] = w->edges = to;
}

/* Weights to soft links: each scan has at most one predecessor (else a birth) and one successor (else an end). */
static void relink_soften(relink_work *w, int n, double birth_per_s) {
    const int32_t *restrict begin = w->begin, *restrict from = w->from;
    const float *restrict weight = w->weight;
    float *restrict in = w->in, *restrict out = w->out, *restrict price = w->price, *restrict soft = w->soft;
    for (int i = 0; i < n; i++) out[i] = 1;
    for (int sweep = 0; sweep < RELINK_SWEEPS; sweep++) {
        for (int i = 0; i < n; i++) price[i] = 1;
        for (int j = 0; j < n; j++) {
            float sum = (float)birth_per_s, more = 0;
            int e = begin[j], end = begin[j + 1];
            for (; e + 1 < end; e += 2) sum += weight[e] * out[from[e]], more += weight[e + 1] * out[from[e + 1]];
            if (e < end) sum += weight[e] * out[from[e]];
            in[j] = 1 / (sum + more);
            for (e = begin[j]; e < end; e++) price[from[e]] += weight[e] * in[j];
        }
        for (int i = 0; i < n; i++) out[i] = 1 / price[i];
    }
    for (int j = 0; j < n; j++)
        for (int e = begin[j]; e < begin[j + 1]; e++) soft[e] = weight[e] * in[j] * out[from[e]];
}

/* Soft links to the density of intervals, and that to weights; what a link itself adds is left out of its own. */
static void relink_learn(relink_work *w, const relink_rules *r, int n, const relink_scan *scan) {
    float total = 0, *restrict mass = w->mass; /* each bin's is kept RELINK_REACH on, so that none has too few before */
    memset(mass, 0, ((size_t)w->bins + 1) * sizeof *mass);
    for (int e = 0; e < w->edges; e++) mass[w->bin[e] + RELINK_REACH] += w->soft[e], total += w->soft[e];
    for (int j = 0; j < n; j++) {
        double lag_s = scan[j].tied >= 0 ? scan[j].first_s - scan[scan[j].tied].first_s : -1;
        if (lag_s >= 0 && lag_s < r->horizon_s)
            mass[relink_bin(lag_s) + RELINK_REACH] += (float)r->tied_share, total += (float)r->tied_share;
    }
    float broad = 1 + (float)r->broad_share * total;
    for (int e = 0; e < w->edges; e++) {
        const float *m = &mass[w->bin[e]];
        float near = m[0] + m[1] + (m[2] - w->soft[e]) + m[3] + m[4];
        float density = (near > 0 ? near : 0) * w->per_s[w->bin[e]] + broad * w->density[w->bin[e]];
        w->weight[e] = w->ratio[e] * density / (total - w->soft[e] + broad);
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

/* Scans with a `key`, sorted by it and then by number; gives how many. */
static int relink_sort(relink_work *w, int n, const int32_t *key) {
    int count[2][RELINK_DIGIT + 1] = {{0}}, many = 0;
    int32_t *half = w->sorted + w->nodes;
    for (int j = 0; j < n; j++)
        if (key[j] >= 0) count[0][key[j] % RELINK_DIGIT + 1]++, count[1][key[j] / RELINK_DIGIT + 1]++, many++;
    for (int digit = 0; digit < 2; digit++)
        for (int d = 0; d < RELINK_DIGIT; d++) count[digit][d + 1] += count[digit][d];
    for (int j = 0; j < n; j++)
        if (key[j] >= 0) half[count[0][key[j] % RELINK_DIGIT]++] = j;
    for (int k = 0; k < many; k++) w->sorted[count[1][key[half[k]] / RELINK_DIGIT]++] = half[k];
    return many;
}

/* The `value` of every scan between two intervals whose `key` is near that of scan j: partner[first[j], last[j]). */
static void relink_pair(relink_work *w, int n, const int32_t *key, const int32_t *value) {
    int many = relink_sort(w, n, key), low = 0, high = 0, begin = 0, end = 0;
    for (int at = 0; at < many; at++) {
        int j = w->sorted[at];
        for (; high < many && key[w->sorted[high]] <= key[j] + RELINK_REACH; high++)
            if (value[w->sorted[high]] >= 0) w->partner[end++] = value[w->sorted[high]];
        for (; key[w->sorted[low]] < key[j] - RELINK_REACH; low++) begin += value[w->sorted[low]] >= 0;
        w->first[j] = begin, w->last[j] = end;
    }
}

/* How much likelier an interval `bin` is beside that of scan `at` than by its `density`; `own` stands there already. */
static float relink_beside(const relink_work *w, int at, int bin, int own, float density) {
    const int32_t *partner = w->partner;
    int first = w->first[at], end = w->last[at], step = (end - first) / RELINK_RHYTHMS + 1, near = 0;
    int seen = (end - first + step - 1) / step;
    if (step == 1)
        for (int k = first; k < end; k++) near += (uint32_t)(partner[k] - bin + RELINK_REACH) <= 2 * RELINK_REACH;
    else
        for (int k = first; k < end; k += step) near += (uint32_t)(partner[k] - bin + RELINK_REACH) <= 2 * RELINK_REACH;
    int like = near * step, all = seen * step;
    if (own >= 0) all -= 1, like -= abs(own - bin) <= RELINK_REACH;
    like = like > 1 ? like - 1 : 0; /* one may be chance */
    if (all < like) all = like;
    return ((float)like * w->per_s[bin] / density + RELINK_DOUBT) / ((float)all + RELINK_DOUBT);
}

/* Rhythms: scans come in the order of a model's timers (30, 30, 60 s; 5 and 8 s), so that an interval tells the next.
 * Weights are those of relink_learn, times how much likelier the interval is after the one before it, and before the
 * one after it, in all chains so far but its own. */
static void relink_rhythm(relink_work *w, const relink_rules *r, int n, const relink_scan *scan,
                          const int32_t *previous) {
    for (int e = 0; e < w->edges; e++) w->soft[e] = w->weight[e] / w->ratio[e];
    relink_lags(w, r, n, scan, previous);
    relink_pair(w, n, w->lag_before, w->lag_after);
    for (int e = 0; e < w->edges; e++) {
        int i = w->from[e];
        if (w->lag_before[i] >= 0) w->weight[e] *= relink_beside(w, i, w->bin[e], w->lag_after[i], w->soft[e]);
    }
    relink_pair(w, n, w->lag_after, w->lag_before);
    for (int j = 0; j < n; j++)
        for (int e = w->begin[j]; w->lag_after[j] >= 0 && e < w->begin[j + 1]; e++)
            w->weight[e] *= relink_beside(w, j, w->bin[e], w->lag_before[j], w->soft[e]);
}

/* The chains of greatest likelihood by an auction of predecessors, within `step` of the best a link; gives how many. */
static int relink_assign(relink_work *w, int n, double birth_per_s, const relink_scan *scan, int32_t *previous) {
    const float step = 0.02f;
    long bids = 0;
    int waiting = 0, chains = 0;
    for (int j = 0; j < n; j++) w->owner[j] = RELINK_NONE, w->price[j] = 0, previous[j] = scan[j].tied;
    const float per_birth = (float)(1 / birth_per_s);
    for (int e = 0; e < w->edges; e++) w->soft[e] = relink_log(w->weight[e] * per_birth + 1e-30f);
    for (int j = n - 1; j >= 0; j--)
        if (w->begin[j] < w->begin[j + 1]) w->stack[waiting++] = j;
    while (waiting && bids++ < (long)RELINK_BIDS * n + 1000) {
        int j = w->stack[--waiting], winner = RELINK_NONE;
        float best = 0, second = 0;
        for (int e = w->begin[j]; e < w->begin[j + 1]; e++) {
            float value = w->soft[e] - w->price[w->from[e]];
            if (value > best) second = best, best = value, winner = w->from[e];
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
    const float of_scan = (float)r->link_var_db2 / 2, of_means = of_scan * (1 / an + 1 / bn);
    const float apart = (float)(r->apart_var_db2 - r->link_var_db2) + of_means;
    float shrink = 0.5f / apart - 0.5f / of_means, sum = 0, heard = 0;
    for (int p = 0; p < probes; p++) {
        float d = a[p] - b[p];
        if (d == d) sum += d * d, heard++;
    }
    sum = sum * shrink + heard * 0.5f * relink_log(apart / of_means);
    return stay * relink_exp(sum < 30 ? sum : 30) + 1 - stay;
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
            int i = w->from[at];
            float was = w->ratio[at];
            w->ratio[at] = relink_mean_ratio(r, &w->back[(size_t)i * probes], w->back_n[i],
                                             &w->ahead[(size_t)j * probes], w->ahead_n[j], probes,
                                             w->stay[w->bin[at]]);
            if (r->sequence_p > 0)
                w->ratio[at] *= relink_counts_on(r, scan[i].last_sequence, scan[j].first_sequence);
            w->weight[at] *= w->ratio[at] / was;
        }
}

/* Links `n` scans in order of `first_s`, with RSSI (n, probes): `previous` (n) gets each one's predecessor. Gives the
 * number of chains, RELINK_NONE where memory is short. */
static int relink(relink_work *w, const relink_rules *r, int n, int probes, const relink_scan *scan, const float *rssi,
                  int32_t *previous) {
    double birth_per_s = r->first_birth_per_s;
    int chains = 0;
    if (!relink_bins(w, r) || !relink_grow_nodes(w, n, probes) || !relink_edges(w, r, n, probes, scan, rssi)) return RELINK_NONE;
    for (int again = 0; again < RELINK_PASSES; again++) {
        for (int round = 0; w->edges && round < (again ? 1 : RELINK_ROUNDS); round++) {
            if (round == 2) relink_prune(w, n);
            relink_soften(w, n, birth_per_s);
            relink_learn(w, r, n, scan);
        }
        if (again && w->edges) relink_rhythm(w, r, n, scan, previous);
        chains = relink_assign(w, n, birth_per_s, scan, previous);
        if (chains == 1 || again + 1 == RELINK_PASSES) break;
        if (w->edges) relink_average(w, r, n, probes, scan, rssi, previous);
        birth_per_s = r->birth_per_s * pow(chains, r->birth_power);
        if (birth_per_s > r->birth_most_per_s) birth_per_s = r->birth_most_per_s;
    }
    return chains;
}

#endif
