# cython: language_level=3
"""Sightings to bursts to tracks: which addresses are one phone. No raw address ever gets here.

A burst is a run of frames of one address with gaps under `burst_gap_s`. A closed burst of a known address goes to
that address's track; of a new random address, to the likeliest track of its element class, or it starts a track
where a new phone is likelier than all of them together. A track's weight is the rate at which it takes new
addresses, while it is likely still here, times the likelihood ratio of the RSSI vector; a new phone's is the rate at
which phones of the class have come so far. Bursts
close in the same order whatever the chunking, so chunked input equals whole input.

Constants were chosen on one half of the labelled phones of tests/accuracy/crowd.py and scored on the other.
"""

import numpy as np

cimport cython
from libc.math cimport NAN, exp, log
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

BURST = np.dtype(
    [
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("track", "<u4"),
        ("element_class", "<u4"),
        ("frames", "<u2"),
        ("flags", "u1"),
        ("status", "u1"),
    ]
)
NEW_ADDRESS = 1
NEW_TRACK = 2
NEVER_HEARD = -3
TRACK = np.dtype([("first_us", "<i8"), ("last_us", "<i8"), ("scans", "<u4"), ("hours", "<u4")])

cdef packed struct Sighting:
    int64_t time_us
    uint64_t device_key
    uint32_t fingerprint
    uint32_t ssid_key
    uint16_t sequence
    uint16_t probe
    int8_t rssi_dbm
    int8_t noise_dbm
    uint8_t channel
    uint8_t flags

cdef packed struct Burst:
    int64_t first_us
    int64_t last_us
    uint32_t track
    uint32_t element_class
    uint16_t frames
    uint8_t flags
    uint8_t status

cdef struct Address:
    uint64_t key
    int32_t track  # NONE until a burst of it has closed
    int32_t open  # NONE while no burst of it is open
    uint8_t used

cdef struct Open:
    int64_t first_us
    int64_t last_us
    uint64_t key
    uint32_t element_class
    int32_t previous
    int32_t next
    uint16_t frames
    uint8_t flags

cdef packed struct TrackRow:
    int64_t first_us
    int64_t last_us
    uint32_t scans
    uint32_t hours

cdef struct Track:
    int64_t first_us
    int64_t last_us
    uint64_t key  # the address heard last
    uint32_t element_class
    uint32_t scans
    uint32_t changes
    uint32_t hours  # clock hours it was heard in
    int64_t hour
    int32_t next  # in the list of its class

cdef enum:
    RANDOMISED = 1
    NONE = -1
    FORGOTTEN = -2  # a track not in any list: silent for longer than the horizon
    UNKNOWN = -3  # NEVER_HEARD

cdef int64_t HOUR_US = 3_600_000_000

cdef struct Rules:
    double burst_gap_us
    double burst_max_us
    double scan_gap_us
    double tau_s
    double horizon_us
    double link_db2
    double log_spread
    double independence
    double background_db2
    double change_s
    double birth_s
    double birth_weight
    double follow
    int trust_local_bit
    uint32_t max_fingerprints
    uint32_t max_variants
    uint32_t max_candidates


cdef void* grown(void* old, size_t count, size_t size) except NULL:
    cdef void* new = realloc(old, count * size)
    if new == NULL:
        raise MemoryError
    return new


@cython.final
cdef class Tracker:
    """Streaming association for one life of the site key.

    `probes`: how many probes sightings may name. `max_addresses` bounds memory;
    frames of addresses beyond it are dropped and counted in `dropped`. Time never goes back: an earlier time is taken
    as the latest one seen and counted in `late`.

    Who sends frames chooses fingerprints and addresses, so that each has its bound and its counter: fingerprints beyond
    `max_fingerprints` share one class (`unclassed` counts their frames); a class takes no more than `max_variants`
    fingerprints, so that nobody can make all phones look alike (`refused` counts frames whose fingerprint did not get
    in; recorded phones have at most 2 under one address); a burst ends after `burst_max_s` however the frames go
    on (recorded ones last up to 3.5 s); a new address is compared with `max_candidates` tracks (`crowded` counts those
    for which there were more).
    """

    cdef Rules rules
    cdef readonly int probes
    cdef readonly uint64_t late, dropped, unclassed, refused, crowded
    cdef readonly uint32_t addresses, randomised, tracks
    cdef readonly uint32_t max_addresses
    cdef int64_t now_us
    cdef Address* table
    cdef uint32_t table_size
    cdef Open* opens
    cdef float* open_rssi
    cdef uint16_t* open_count
    cdef int32_t opens_size, free_open, head, tail
    cdef Track* track
    cdef float* track_rssi
    cdef uint32_t tracks_size
    cdef uint32_t* class_fingerprint
    cdef uint32_t* class_parent
    cdef int32_t* class_head
    cdef float* class_births
    cdef int64_t* class_since_us
    cdef uint8_t* class_variants
    cdef int32_t other_class
    cdef uint32_t classes, classes_size
    cdef int32_t* fingerprint_table
    cdef uint32_t fingerprint_table_size
    cdef Burst* out
    cdef float* out_rssi
    cdef uint16_t* out_count
    cdef Py_ssize_t out_n, out_size

    def __cinit__(
        self,
        int probes,
        *,
        uint32_t max_addresses=1 << 20,
        uint32_t max_fingerprints=1 << 16,
        uint32_t max_variants=8,
        uint32_t max_candidates=4096,
        double burst_gap_s=1.0,
        double burst_max_s=10.0,
        double scan_gap_s=3.0,
        double tau_s=600.0,
        double horizon_s=600.0,
        double link_scale_db=6.0,
        double background_scale_db=11.0,
        double independence=0.8,
        double change_s=200.0,
        double birth_s=1800.0,
        double birth_weight=1.0,
        double follow=0.5,
        bint trust_local_bit=True,
    ):
        if not 1 <= probes <= 64:
            raise ValueError("probes must be 1 to 64")
        if not 1 <= max_variants <= 255:
            raise ValueError("max_variants must be 1 to 255")
        self.probes = probes
        self.max_addresses = max_addresses
        self.rules = Rules(
            burst_gap_s * 1e6, burst_max_s * 1e6, scan_gap_s * 1e6, tau_s, horizon_s * 1e6, link_scale_db**2,
            log(background_scale_db / link_scale_db), independence, background_scale_db**2,
            change_s, birth_s, birth_weight, follow, trust_local_bit, max_fingerprints, max_variants, max_candidates,
        )
        self.now_us = -(<int64_t>1 << 62)
        self.table_size = 1024
        self.table = <Address*>calloc(self.table_size, sizeof(Address))
        self.fingerprint_table_size = 256
        self.fingerprint_table = <int32_t*>malloc(self.fingerprint_table_size * sizeof(int32_t))
        self.free_open = self.head = self.tail = self.other_class = NONE
        if self.table == NULL or self.fingerprint_table == NULL:
            raise MemoryError
        memset(self.fingerprint_table, 0xFF, self.fingerprint_table_size * sizeof(int32_t))

    def __dealloc__(self):
        free(self.table)
        free(self.opens)
        free(self.open_rssi)
        free(self.open_count)
        free(self.track)
        free(self.track_rssi)
        free(self.class_fingerprint)
        free(self.class_parent)
        free(self.class_head)
        free(self.class_births)
        free(self.class_since_us)
        free(self.class_variants)
        free(self.fingerprint_table)
        free(self.out)
        free(self.out_rssi)
        free(self.out_count)

    @property
    def element_classes(self):
        """Number of element classes after merging."""
        cdef uint32_t i, roots = 0
        for i in range(self.classes):
            roots += self.class_parent[i] == i
        return roots

    def track_table(self):
        """All tracks so far as TRACK rows (tracks,): first and last heard, scans, clock hours heard in."""
        rows = np.empty(self.tracks, TRACK)
        cdef TrackRow[::1] r = rows
        cdef uint32_t i
        for i in range(self.tracks):
            r[i] = TrackRow(self.track[i].first_us, self.track[i].last_us, self.track[i].scans, self.track[i].hours)
        return rows

    def tracks_of(self, const uint64_t[::1] device_keys):
        """The track of each address (N,); -1 where no burst of it has closed yet, NEVER_HEARD if it is not known."""
        tracks = np.empty(device_keys.shape[0], np.int64)
        cdef int64_t[::1] t = tracks
        cdef Py_ssize_t i
        cdef uint32_t at, mask = self.table_size - 1
        for i in range(device_keys.shape[0]):
            at = <uint32_t>device_keys[i] & mask
            while self.table[at].used and self.table[at].key != device_keys[i]:
                at = (at + 1) & mask
            t[i] = self.table[at].track if self.table[at].used else UNKNOWN
        return tracks

    def feed(self, const Sighting[::1] sightings):
        """Take time-ordered sightings (N,); return `(bursts (M,), rssi_dbm (M, probes), frames (M, probes))`.

        `rssi_dbm` is that of the loudest frame, NaN where a probe heard none. ValueError for a probe
        index out of range, before anything is taken.
        """
        cdef Py_ssize_t i
        for i in range(sightings.shape[0]):
            if sightings[i].probe >= self.probes:
                raise ValueError(f"sighting {i} names probe {sightings[i].probe} of {self.probes}")
        for i in range(sightings.shape[0]):
            self.hear(&sightings[i])
        return self.take()

    def advance(self, int64_t now_us):
        """Close every burst that is over at `now_us`; returns as `feed`."""
        if now_us > self.now_us:
            self.now_us = now_us
        self.close_until(self.now_us)
        return self.take()

    cdef int hear(self, const Sighting* s) except -1:
        if s.time_us < self.now_us:
            self.late += 1
        else:
            self.now_us = s.time_us
        self.close_until(self.now_us)
        cdef Address* address = self.find(s.device_key, s.flags)
        if address == NULL:
            self.dropped += 1
            return 0
        cdef uint32_t element_class = self.class_of(s.fingerprint)
        if address.track >= 0:
            element_class = self.join(element_class, self.track[address.track].element_class)
        if address.open >= 0 and self.now_us - self.opens[address.open].first_us > self.rules.burst_max_us:
            self.end(address.open)
        if address.open < 0:
            address.open = self.new_open(s.device_key, self.now_us, element_class)
        else:
            self.unlink(address.open)
        self.add(address.open, s, element_class)
        return 0

    cdef void add(self, int32_t i, const Sighting* s, uint32_t element_class) noexcept:
        cdef Open* o = &self.opens[i]
        cdef float* known
        o.element_class = self.join(element_class, o.element_class)
        o.last_us = self.now_us
        o.flags |= s.flags
        if o.frames < 65535:
            o.frames += 1
            known = &self.open_rssi[i * self.probes + s.probe]
            if self.open_count[i * self.probes + s.probe] == 0 or s.rssi_dbm > known[0]:
                known[0] = s.rssi_dbm
            self.open_count[i * self.probes + s.probe] += 1
        self.append(i)

    # Open bursts: a list in order of their last frame, so that the head is always the next to close.

    cdef int32_t new_open(self, uint64_t key, int64_t now, uint32_t element_class) except -1:
        cdef int32_t i, size
        if self.free_open < 0:
            size = self.opens_size * 2 if self.opens_size else 64
            self.opens = <Open*>grown(self.opens, size, sizeof(Open))
            self.open_rssi = <float*>grown(self.open_rssi, size * self.probes, sizeof(float))
            self.open_count = <uint16_t*>grown(self.open_count, size * self.probes, sizeof(uint16_t))
            for i in range(self.opens_size, size):
                self.opens[i].next = i + 1 if i + 1 < size else NONE
            self.free_open = self.opens_size
            self.opens_size = size
        i = self.free_open
        self.free_open = self.opens[i].next
        self.opens[i] = Open(now, now, key, element_class, NONE, NONE, 0, 0)
        memset(&self.open_rssi[i * self.probes], 0, self.probes * sizeof(float))
        memset(&self.open_count[i * self.probes], 0, self.probes * sizeof(uint16_t))
        return i

    cdef void append(self, int32_t i) noexcept:
        self.opens[i].previous = self.tail
        self.opens[i].next = NONE
        if self.tail >= 0:
            self.opens[self.tail].next = i
        else:
            self.head = i
        self.tail = i

    cdef void unlink(self, int32_t i) noexcept:
        cdef Open* o = &self.opens[i]
        if o.previous >= 0:
            self.opens[o.previous].next = o.next
        else:
            self.head = o.next
        if o.next >= 0:
            self.opens[o.next].previous = o.previous
        else:
            self.tail = o.previous

    cdef int close_until(self, int64_t now) except -1:
        while self.head >= 0 and now - self.opens[self.head].last_us > self.rules.burst_gap_us:
            self.end(self.head)
        return 0

    cdef int end(self, int32_t i) except -1:
        self.unlink(i)
        self.close(i)
        self.opens[i].next = self.free_open
        self.free_open = i
        return 0

    cdef int close(self, int32_t i) except -1:
        cdef Open* o = &self.opens[i]
        cdef float* rssi = self.new_output()
        cdef uint16_t* counts = &self.out_count[self.out_n * self.probes]
        cdef int p
        for p in range(self.probes):
            counts[p] = self.open_count[i * self.probes + p]
            rssi[p] = self.open_rssi[i * self.probes + p] if counts[p] else NAN
        cdef Address* address = self.find(o.key, o.flags)
        cdef uint8_t status = 0
        cdef uint32_t element_class = self.root(o.element_class)
        if address.track < 0:
            status = NEW_ADDRESS
            address.track = self.candidate(o, rssi)
            if address.track < 0:
                status |= NEW_TRACK
                address.track = self.new_track(element_class)
        address.open = NONE
        self.out[self.out_n] = Burst(
            o.first_us, o.last_us, address.track, element_class, o.frames, o.flags, status
        )
        self.update(address.track, o, rssi)
        self.out_n += 1
        return 0

    cdef void update(self, int32_t i, const Open* o, const float* rssi) noexcept:
        cdef Track* t = &self.track[i]
        cdef float* known = &self.track_rssi[i * self.probes]
        cdef int p
        if t.next == FORGOTTEN:
            self.list_track(i)
        if t.scans and t.key != o.key:
            t.changes += 1
        t.key = o.key
        if o.first_us - t.last_us > self.rules.scan_gap_us:
            t.scans += 1
        if o.first_us // HOUR_US > t.hour:
            t.hour = o.first_us // HOUR_US
            t.hours += 1
        if o.first_us < t.first_us:
            t.first_us = o.first_us
        if o.last_us > t.last_us:
            t.last_us = o.last_us
        for p in range(self.probes):
            if rssi[p] == rssi[p]:
                known[p] = known[p] + self.rules.follow * (rssi[p] - known[p]) if known[p] == known[p] else rssi[p]

    # Which track a new address belongs to.

    cdef int32_t candidate(self, const Open* o, const float* rssi) noexcept:
        if self.rules.trust_local_bit and not o.flags & RANDOMISED:
            return NONE
        cdef uint32_t c = self.root(o.element_class)
        cdef double best = -1e300, evidence = 0, rate, ratio
        cdef int32_t winner = NONE, i = self.class_head[c], previous = NONE
        cdef uint32_t compared = 0
        while i >= 0:
            if o.first_us - self.track[i].last_us > self.rules.horizon_us:
                i = self.forget(c, previous, i)
                continue
            if compared == self.rules.max_candidates:
                self.crowded += 1
                break
            compared += 1
            rate = self.rate_per_s(o, i)
            ratio = rate * exp(self.likelihood(o, rssi, i))
            evidence += ratio
            if ratio > best:
                best, winner = ratio, i
            previous = i
            i = self.track[i].next
        cdef double births_per_s = (self.class_births[c] + self.rules.birth_weight) / (
            (o.first_us - self.class_since_us[c]) * 1e-6 + self.rules.birth_weight * self.rules.birth_s
        )
        cdef double birth = births_per_s / (births_per_s + evidence)
        self.class_births[c] += birth
        return NONE if birth > 0.5 else winner

    cdef double rate_per_s(self, const Open* o, int32_t i) noexcept:
        """Rate at which track `i` takes new addresses: its own so far, while it is likely still here."""
        cdef Track* t = &self.track[i]
        cdef double dt = silence_s(o, t)
        cdef double age_s = (t.last_us - t.first_us) * 1e-6 + self.rules.change_s
        return (t.changes + 0.5) / age_s * exp(-dt / self.rules.tau_s)

    cdef double likelihood(self, const Open* o, const float* rssi, int32_t i) noexcept:
        """Log-likelihood ratio of the RSSI vector: from track `i` over from another phone of its class.

        Differences have Student-t tails (4 degrees of freedom) under both, so that the ratio is bounded.
        """
        cdef const float* known = &self.track_rssi[i * self.probes]
        cdef double d, ratio = 0
        cdef int p
        for p in range(self.probes):
            if rssi[p] == rssi[p] and known[p] == known[p]:
                d = (rssi[p] - known[p]) * (rssi[p] - known[p]) / 4
                ratio += log((1 + d / self.rules.background_db2) / (1 + d / self.rules.link_db2))
        return self.rules.independence * (2.5 * ratio + matched(rssi, known, self.probes) * self.rules.log_spread)

    cdef int32_t new_track(self, uint32_t element_class) except -1:
        cdef uint32_t size
        cdef int p
        if self.tracks == self.tracks_size:
            size = self.tracks_size * 2 if self.tracks_size else 256
            self.track = <Track*>grown(self.track, size, sizeof(Track))
            self.track_rssi = <float*>grown(self.track_rssi, size * self.probes, sizeof(float))
            self.tracks_size = size
        cdef int32_t i = self.tracks
        self.tracks += 1
        self.track[i] = Track(<int64_t>1 << 62, -(<int64_t>1 << 62), 0, element_class, 0, 0, 0, -1, FORGOTTEN)
        for p in range(self.probes):
            self.track_rssi[i * self.probes + p] = NAN
        return i

    cdef void list_track(self, int32_t i) noexcept:
        cdef uint32_t c = self.root(self.track[i].element_class)
        self.track[i].next = self.class_head[c]
        self.class_head[c] = i

    cdef int32_t forget(self, uint32_t c, int32_t previous, int32_t i) noexcept:
        cdef int32_t after = self.track[i].next
        if previous < 0:
            self.class_head[c] = after
        else:
            self.track[previous].next = after
        self.track[i].next = FORGOTTEN
        return after

    # Addresses: open addressing; keys are SipHash output, so their low bits are the hash.

    cdef Address* find(self, uint64_t key, uint8_t flags) except? NULL:
        cdef uint32_t mask = self.table_size - 1
        cdef uint32_t i = <uint32_t>key & mask
        while self.table[i].used:
            if self.table[i].key == key:
                return &self.table[i]
            i = (i + 1) & mask
        if self.addresses == self.max_addresses:
            return NULL
        if self.addresses * 2 >= self.table_size:
            self.grow_table()
            return self.find(key, flags)
        self.table[i] = Address(key, NONE, NONE, 1)
        self.addresses += 1
        self.randomised += flags & RANDOMISED
        return &self.table[i]

    cdef int grow_table(self) except -1:
        cdef Address* old = self.table
        cdef uint32_t size = self.table_size * 2, i, j
        cdef Address* new = <Address*>calloc(size, sizeof(Address))
        if new == NULL:
            raise MemoryError
        for i in range(self.table_size):
            if old[i].used:
                j = <uint32_t>old[i].key & (size - 1)
                while new[j].used:
                    j = (j + 1) & (size - 1)
                new[j] = old[i]
        free(old)
        self.table = new
        self.table_size = size
        return 0

    # Element classes: fingerprints seen under one address are one phone's variants (union-find).

    cdef uint32_t root(self, uint32_t c) noexcept:
        while self.class_parent[c] != c:
            self.class_parent[c] = self.class_parent[self.class_parent[c]]
            c = self.class_parent[c]
        return c

    cdef uint32_t join(self, uint32_t heard, uint32_t known) noexcept:
        """The class of `known` after `heard` was merged into it, unless it would grow too large."""
        heard, known = self.root(heard), self.root(known)
        if heard == known:
            return known
        if self.class_variants[heard] + self.class_variants[known] > self.rules.max_variants:
            self.refused += 1
            return known
        return self.merge(min(heard, known), max(heard, known))

    cdef uint32_t merge(self, uint32_t a, uint32_t b) noexcept:
        cdef int32_t i
        self.class_parent[b] = a
        self.class_variants[a] += self.class_variants[b]
        self.class_births[a] += self.class_births[b]
        if self.class_since_us[b] < self.class_since_us[a]:
            self.class_since_us[a] = self.class_since_us[b]
        i = self.class_head[a]
        if i < 0:
            self.class_head[a] = self.class_head[b]
        else:
            while self.track[i].next >= 0:
                i = self.track[i].next
            self.track[i].next = self.class_head[b]
        self.class_head[b] = NONE
        return a

    cdef uint32_t class_of(self, uint32_t fingerprint) except? 0xFFFFFFFF:
        cdef uint32_t mask = self.fingerprint_table_size - 1
        cdef uint32_t i = slot(fingerprint) & mask
        cdef int32_t c = self.fingerprint_table[i]
        while c >= 0:
            if self.class_fingerprint[c] == fingerprint:
                return c
            i = (i + 1) & mask
            c = self.fingerprint_table[i]
        if self.classes >= self.rules.max_fingerprints:
            return self.shared_class()
        if self.classes * 2 >= self.fingerprint_table_size:
            self.grow_fingerprint_table()
            return self.class_of(fingerprint)
        self.fingerprint_table[i] = self.new_class(fingerprint)
        return self.classes - 1

    cdef int32_t shared_class(self) except -1:
        """The class of all fingerprints beyond the bound; it counts as full, so that nothing merges with it."""
        self.unclassed += 1
        if self.other_class < 0:
            self.other_class = self.new_class(0)
            self.class_variants[self.other_class] = self.rules.max_variants
        return self.other_class

    cdef int32_t new_class(self, uint32_t fingerprint) except -1:
        cdef uint32_t size
        if self.classes == self.classes_size:
            size = self.classes_size * 2 if self.classes_size else 256
            self.class_fingerprint = <uint32_t*>grown(self.class_fingerprint, size, sizeof(uint32_t))
            self.class_parent = <uint32_t*>grown(self.class_parent, size, sizeof(uint32_t))
            self.class_head = <int32_t*>grown(self.class_head, size, sizeof(int32_t))
            self.class_births = <float*>grown(self.class_births, size, sizeof(float))
            self.class_since_us = <int64_t*>grown(self.class_since_us, size, sizeof(int64_t))
            self.class_variants = <uint8_t*>grown(self.class_variants, size, sizeof(uint8_t))
            self.classes_size = size
        self.class_fingerprint[self.classes] = fingerprint
        self.class_parent[self.classes] = self.classes
        self.class_head[self.classes] = NONE
        self.class_births[self.classes] = 0
        self.class_since_us[self.classes] = self.now_us
        self.class_variants[self.classes] = 1
        self.classes += 1
        return self.classes - 1

    cdef int grow_fingerprint_table(self) except -1:
        cdef uint32_t size = self.fingerprint_table_size * 2, i, c
        self.fingerprint_table = <int32_t*>grown(self.fingerprint_table, size, sizeof(int32_t))
        self.fingerprint_table_size = size
        memset(self.fingerprint_table, 0xFF, size * sizeof(int32_t))
        for c in range(self.classes):
            i = slot(self.class_fingerprint[c]) & (size - 1)
            while self.fingerprint_table[i] >= 0:
                i = (i + 1) & (size - 1)
            self.fingerprint_table[i] = c
        return 0

    # Output columns, handed over whole at each call.

    cdef float* new_output(self) except NULL:
        cdef Py_ssize_t size
        if self.out_n == self.out_size:
            size = self.out_size * 2 if self.out_size else 256
            self.out = <Burst*>grown(self.out, size, sizeof(Burst))
            self.out_rssi = <float*>grown(self.out_rssi, size * self.probes, sizeof(float))
            self.out_count = <uint16_t*>grown(self.out_count, size * self.probes, sizeof(uint16_t))
            self.out_size = size
        return &self.out_rssi[self.out_n * self.probes]

    cdef tuple take(self):
        bursts = np.empty(self.out_n, BURST)
        rssi = np.empty((self.out_n, self.probes), np.float32)
        frames = np.empty((self.out_n, self.probes), np.uint16)
        cdef Burst[::1] b = bursts
        cdef float[:, ::1] r = rssi
        cdef uint16_t[:, ::1] n = frames
        cdef Py_ssize_t i
        cdef int p
        for i in range(self.out_n):
            b[i] = self.out[i]
            for p in range(self.probes):
                r[i, p] = self.out_rssi[i * self.probes + p]
                n[i, p] = self.out_count[i * self.probes + p]
        self.out_n = 0
        return bursts, rssi, frames


cdef double silence_s(const Open* o, const Track* t) noexcept:
    cdef double dt = (o.first_us - t.last_us) * 1e-6
    return dt if dt > 0 else 0


cdef int matched(const float* a, const float* b, int probes) noexcept:
    cdef int p, n = 0
    for p in range(probes):
        n += a[p] == a[p] and b[p] == b[p]
    return n


cdef uint32_t slot(uint32_t fingerprint) noexcept:
    """Spread a fingerprint over the table: hostile frames choose it, so the bound on classes is what protects us."""
    return (fingerprint * <uint32_t>0x9E3779B1) >> 7
