# Linking the scans of one class: relink.h, its rules, and a way to call it alone.

cdef extern from "relink.h" nogil:
    ctypedef struct relink_rules:
        double horizon_s, least_s, link_var_db2, apart_var_db2, gain, stay_p, stay_s
        double first_birth_per_s, birth_per_s, birth_power, birth_most_per_s, sequence_p, tied_share, broad_share
    ctypedef struct relink_scan:
        double first_s, last_s
        int32_t tied
        uint16_t first_sequence, last_sequence
        uint8_t root
    ctypedef struct relink_work:
        float* density
        float* stay
    int relink_bins(relink_work*, const relink_rules*)
    int relink_bin(double)
    float relink_ratio(const relink_rules*, const float*, const float*, int, float)
    size_t relink_bytes(const relink_work*, int)
    float relink_counts_on(const relink_rules*, int, int)
    int relink(relink_work*, const relink_rules*, int, int, const relink_scan*, const float*, int32_t*)
    void relink_release(relink_work*)
    void relink_free(relink_work*)

cdef extern from "unite.h" nogil:
    void unite(const relink_rules*, int, int, const relink_scan*, const float*, int, int32_t*, int32_t*)


cdef relink_rules rules_of(
    double horizon_s, double link_scale_db, double background_scale_db, double stay_s, double birth_weight,
    bint link_sequence_numbers,
):
    return relink_rules(
        horizon_s, 0.05, link_scale_db**2, background_scale_db**2, log(background_scale_db / link_scale_db), 0.95,
        stay_s, 1e-12 / 900 * birth_weight, 4e-7 / 900 * birth_weight, 3.0, 0.1 / 900, 0.5 * link_sequence_numbers,
        1.0, 0.1,
    )


def link(
    const double[::1] first_s,
    const double[::1] last_s,
    const float[:, ::1] rssi_dbm,
    const int32_t[::1] tied,
    *,
    double horizon_s=900.0,
    double link_scale_db=5.7,
    double background_scale_db=9.5,
    double stay_s=600.0,
    double birth_weight=1.0,
):
    """The scan each of N scans of one class follows (N,), -1 for the first of a phone.

    `first_s` (N,) ascends; `rssi_dbm` is (N, probes), NaN where not heard; `tied` (N,) is the earlier scan that an
    address proves to be the one before, each at most once, or -1. ValueError for arrays that do not go together.
    """
    cdef int32_t n = first_s.shape[0], j
    cdef relink_work work
    cdef relink_rules rules = rules_of(horizon_s, link_scale_db, background_scale_db, stay_s, birth_weight, False)
    before = np.empty(n, np.int32)
    cdef int32_t[::1] b = before
    if not last_s.shape[0] == rssi_dbm.shape[0] == tied.shape[0] == n:
        raise ValueError("as many last_s, rssi_dbm and tied as first_s")
    if n == 0:
        return before
    cdef relink_scan* scans = <relink_scan*>grown(NULL, n, sizeof(relink_scan))
    memset(&work, 0, sizeof(work))
    try:
        for j in range(n):
            if tied[j] >= j or (j and not first_s[j] >= first_s[j - 1]):
                raise ValueError(f"scan {j}: first_s goes back, or tied is not earlier")
            scans[j] = relink_scan(first_s[j], last_s[j], tied[j], 0, 0, 0)
        if relink(&work, &rules, n, rssi_dbm.shape[1], scans, &rssi_dbm[0, 0], &b[0]) < 0:
            raise MemoryError
    finally:
        relink_free(&work)
        free(scans)
    return before
