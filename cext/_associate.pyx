# cython: language_level=3
"""Sightings to bursts to scans to tracks: which addresses are one phone. No raw address ever gets here.

A burst is a run of frames of one address with gaps under `burst_gap_s`; bursts of one class that overlap in time and
agree in RSSI are one scan. A scan goes to the track of its addresses, else to the likeliest one, at once; every
`relink_s` the scans of the last `horizon_s` are linked anew at the least cost (relink.h), and what changed is told as
revisions. Whatever the chunking, bursts close and classes are linked in the same order, so chunked input equals whole.

Constants were chosen on one half of the labelled phones of tests/accuracy/crowd.py and scored on the other.
"""

import numpy as np

cimport cython
from libc.math cimport NAN, log, lrint
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

BURST = np.dtype(
    [
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("track", "<u4"),
        ("element_class", "<u4"),
        ("scan", "<u4"),
        ("frames", "<u2"),
        ("flags", "u1"),
        ("status", "u1"),
    ]
)
NEW_ADDRESS = 1
NEW_TRACK = 2
NEVER_HEARD = -3
TRACK = np.dtype([("first_us", "<i8"), ("last_us", "<i8"), ("scans", "<u4"), ("hours", "<u4")])
REVISION = np.dtype([("scan", "<u4"), ("track", "<u4"), ("to", "<u4")])

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
    uint32_t scan
    uint16_t frames
    uint8_t flags
    uint8_t status

cdef packed struct Revision:
    uint32_t scan
    uint32_t track
    uint32_t to

cdef enum:
    RANDOMISED = 1
    BLE = 2
    REGISTERED = 16
    NONE = -1
    UNKNOWN = -3  # NEVER_HEARD
    BESIDE = 32  # scans looked at for one that a burst may be part of
    SHARE = 4  # a class is linked again when one in so many of its scans is new, or after
    PATIENCE = 6  # times `relink_s`
    ASIDE = 64  # scans out of the window that are kept until there are so many, and a 64th of all
    RECENT = 256  # scans that a new one is compared with at once
    JOIN_US = 1_000_000  # between the bursts of one scan
    LONGEST_US = 10_000_000  # scan of several addresses
    BLE_GAP_US = 30_000_000  # advertisements never pause: what one address sends is cut into pieces as long as this
    BLE_SPAN_US = 60_000_000


cdef int64_t MOST_US = 0xFFFFFFFF  # that a scan may last: 71 minutes of one address without a pause
cdef double WITHIN_DB2 = 3.5**2  # of RSSI within one scan


cdef void* grown(void* old, size_t count, size_t size) except NULL:
    cdef void* new = realloc(old, count * size)
    if new == NULL:
        raise MemoryError
    return new


include "relink.pxi"
include "addresses.pxi"
include "bursts.pxi"
include "classes.pxi"
include "scans.pxi"
include "tracks.pxi"
include "window.pxi"


@cython.final
cdef class Tracker:
    """Streaming association for one life of the site key.

    `probes`: how many probes sightings may name. Time never goes back: an earlier time is taken as the latest one seen
    and counted in `late`. Addresses that are not randomised (`trust_local_bit`) and registered ones have a track each.

    Who sends frames chooses fingerprints and addresses, so that each has its bound and its counter: frames of new
    addresses beyond `max_addresses` (those that have gone are forgotten first) and bursts beyond `max_tracks` are
    dropped (`dropped`); fingerprints beyond `max_fingerprints` share one class (`unclassed` counts their frames); a
    class takes no more than `max_variants` fingerprints, so that nobody can make all look alike (`refused` counts
    frames whose fingerprint did not get in; recorded phones have at most 3 under one address); a burst ends after
    `burst_max_s` however the frames go on (recorded ones last up to 3.5 s); a class links its `max_scans` latest scans
    (`crowded` counts those settled early for it).
    """

    cdef readonly int probes
    cdef readonly uint64_t late, dropped
    cdef Window window
    cdef Addresses known
    cdef Bursts bursts
    cdef Classes classes
    cdef int64_t now_us
    cdef double burst_gap_us, burst_max_us
    cdef bint trust_local_bit
    cdef Burst* out
    cdef float* out_rssi
    cdef uint16_t* out_count
    cdef Py_ssize_t out_n, out_size

    def __cinit__(
        self,
        int probes,
        *,
        uint32_t max_addresses=1 << 20,
        int32_t max_tracks=1 << 20,
        uint32_t max_fingerprints=1 << 16,
        int max_variants=8,
        uint32_t max_scans=1024,
        double burst_gap_s=1.0,
        double burst_max_s=10.0,
        double scan_gap_s=3.0,
        double horizon_s=900.0,
        double relink_s=30.0,
        double link_scale_db=5.7,
        double background_scale_db=9.5,
        double stay_s=600.0,
        double birth_weight=1.0,
        bint trust_local_bit=True,
        bint link_sequence_numbers=False,
    ):
        if not 1 <= probes <= 64:
            raise ValueError("probes must be 1 to 64")
        if not 1 <= max_variants <= 255:
            raise ValueError("max_variants must be 1 to 255")
        if max(max_addresses, max_tracks, max_fingerprints) > MOST_INDEX:
            raise ValueError("max_addresses, max_tracks and max_fingerprints must be at most 2^28")
        if not (0 < horizon_s <= 3600 and 1 <= relink_s <= horizon_s):
            raise ValueError("horizon_s must be up to 3600, relink_s 1 to horizon_s")
        if not 0 < link_scale_db < background_scale_db:
            raise ValueError("link_scale_db must be less than background_scale_db")
        self.probes = probes
        self.burst_gap_us = burst_gap_s * 1e6
        self.burst_max_us = burst_max_s * 1e6
        self.trust_local_bit = trust_local_bit
        self.now_us = -NEVER_US
        self.known = Addresses(max_addresses)
        self.bursts = Bursts(probes)
        self.classes = Classes(max_fingerprints, max_variants)
        self.window = Window(
            probes, self.classes, self.known, self.bursts,
            rules_of(horizon_s, link_scale_db, background_scale_db, stay_s, birth_weight, link_sequence_numbers),
            max_tracks, max_scans, scan_gap_s * 1e6, <int64_t>(relink_s * 1e6),
        )

    def __dealloc__(self):
        free(self.out)
        free(self.out_rssi)
        free(self.out_count)

    @property
    def addresses(self):
        """Addresses heard; one forgotten and heard again counts twice."""
        return self.known.count

    @property
    def randomised(self):
        """How many of `addresses` are randomised."""
        return self.known.randomised

    @property
    def forgotten(self):
        """How many of `addresses` were forgotten for want of room, out of the window as they were."""
        return self.known.forgotten

    @property
    def tracks(self):
        """Tracks that have a burst."""
        return self.window.tracks.in_use()

    @property
    def octets(self):
        """Memory held between calls: the sum of all allocations, without Python's own objects."""
        cdef size_t of_burst = sizeof(Open) + self.probes * (2 * sizeof(float) + sizeof(uint16_t))
        cdef size_t of_output = sizeof(Burst) + self.probes * (sizeof(float) + sizeof(uint16_t))
        return (
            self.window.octets() + self.known.size * sizeof(Address) + self.bursts.size * of_burst
            + self.classes.size * sizeof(Class) + self.classes.table_size * sizeof(int32_t)
            + self.out_size * of_output
        )

    @property
    def unclassed(self):
        """Frames whose fingerprint was beyond `max_fingerprints`."""
        return self.classes.unclassed

    @property
    def refused(self):
        """Frames whose fingerprint did not get into its address's class."""
        return self.classes.refused

    @property
    def crowded(self):
        """Scans settled before their time because their class had more than `max_scans`."""
        return self.window.crowded

    @property
    def element_classes(self):
        """Number of element classes after merging."""
        return self.classes.roots()

    @property
    def revisions(self):
        """What the last `feed` or `advance` changed, REVISION rows in order: all bursts of `scan` go to track `to`."""
        return self.window.revisions()

    def track_table(self):
        """TRACK rows (T,) by track: first and last heard, scans, clock hours heard in; no scans: lost to others."""
        return self.window.table()

    def tracks_of(self, const uint64_t[::1] device_keys):
        """The track of each address (N,); -1 where no burst of it has closed yet, NEVER_HEARD if it is not known."""
        tracks = np.empty(device_keys.shape[0], np.int64)
        cdef int64_t[::1] t = tracks
        cdef Py_ssize_t i
        cdef Address* address
        for i in range(device_keys.shape[0]):
            address = self.known.find(device_keys[i])
            t[i] = self.window.track_of(self.home(address)) if address.at != EMPTY else UNKNOWN
        return tracks

    def feed(self, const Sighting[::1] sightings):
        """Take time-ordered sightings (N,); return `(bursts (M,), rssi_dbm (M, probes), frames (M, probes))`.

        `rssi_dbm` is that of the loudest frame, NaN where a probe heard none; a burst's track is the one it went to
        when it closed, before `revisions`. ValueError for a probe index out of range, before anything is taken.
        """
        cdef Py_ssize_t i
        for i in range(sightings.shape[0]):
            if sightings[i].probe >= self.probes:
                raise ValueError(f"sighting {i} names probe {sightings[i].probe} of {self.probes}")
        self.window.revised = 0
        for i in range(sightings.shape[0]):
            self.hear(&sightings[i])
        return self.take()

    def advance(self, int64_t now_us):
        """Close every burst that is over at `now_us`; returns as `feed`."""
        self.window.revised = 0
        if now_us > self.now_us:
            self.now_us = now_us
        self.pass_time()
        return self.take()

    cdef uint32_t home(self, const Address* address) noexcept:
        """Where it is apart from sending."""
        return self.bursts.item[address.at >> INDEX].at if address.at & KIND == SENDING else address.at

    cdef int hear(self, const Sighting* s) except -1:
        cdef uint32_t element_class
        cdef int32_t scan
        cdef bint stable = s.flags & REGISTERED != 0 or (self.trust_local_bit and not s.flags & RANDOMISED)
        if s.time_us < self.now_us:
            self.late += 1
        else:
            self.now_us = s.time_us
        self.pass_time()
        cdef Address* address = self.known.put(s.device_key, s.flags & RANDOMISED, stable)
        if address == NULL:
            self.dropped += 1
            return 0
        element_class = self.classes.of(s.fingerprint | <uint64_t>(s.flags & BLE) << 31)
        scan = self.window.scan_of(self.home(address))
        if scan >= 0:
            element_class = self.window.join(element_class, self.window.scans.item[scan].element_class)
        cdef int32_t i = address.at >> INDEX
        if address.at & KIND == SENDING and self.now_us - self.bursts.item[i].first_us > self.burst_max_us:
            self.close(i, self.now_us)
        if address.at & KIND != SENDING:
            i = self.bursts.open(s, self.now_us, address.at, element_class)
            address.at = <uint32_t>i << INDEX | (address.at & STABLE) | SENDING
        else:
            element_class = self.window.join(element_class, self.bursts.item[i].element_class)
        self.bursts.item[i].element_class = element_class
        self.bursts.add(i, s, self.now_us)
        return 0

    cdef int pass_time(self) except -1:
        """Close bursts and link classes up to now, each as of when it is due."""
        cdef int64_t due_us
        while self.window.due >= 0:
            due_us = self.classes.item[self.window.due].due_us
            if due_us > self.now_us:
                break
            self.close_until(due_us)
            self.window.settle()
        return self.close_until(self.now_us)

    cdef int close_until(self, int64_t now_us) except -1:
        """Close the bursts that are over at `now_us`, each as of when it was."""
        cdef int32_t head = self.bursts.head
        while head >= 0 and now_us - self.bursts.item[head].last_us > self.burst_gap_us:
            self.close(head, self.bursts.item[head].last_us + <int64_t>self.burst_gap_us)
            head = self.bursts.head
        return 0

    cdef int close(self, int32_t i, int64_t over_us) except -1:
        cdef Open* o = &self.bursts.item[i]
        cdef Address* address = self.known.find(o.key)
        cdef uint8_t status = NEW_ADDRESS if o.at & KIND == UNPLACED else 0
        cdef int64_t tracks = self.window.tracks.in_use()
        cdef uint32_t scan = self.window.number
        cdef uint16_t* heard = &self.bursts.heard[i * self.probes]
        cdef bint placed = self.window.place(o, &self.bursts.sum[i * self.probes], heard, over_us)
        address.at = o.at
        if not placed:
            self.dropped += o.frames
            self.bursts.release(i)
            return 0
        if o.at & KIND == IN_SCAN:
            scan = self.window.scans.item[o.at >> INDEX].number
        if self.window.tracks.in_use() > tracks:
            status |= NEW_TRACK
        self.new_output(&self.bursts.loudest[i * self.probes], heard)
        self.out[self.out_n] = Burst(
            o.first_us, o.last_us, self.window.track_of(o.at), self.classes.root(o.element_class), scan, o.frames,
            o.flags, status,
        )
        self.out_n += 1
        self.bursts.release(i)
        return 0

    # Output columns, handed over whole at each call.

    cdef int new_output(self, const float* loudest, const uint16_t* heard) except -1:
        cdef Py_ssize_t size, at = self.out_n * self.probes
        cdef int p
        if self.out_n == self.out_size:
            size = self.out_size * 2 if self.out_size else 256
            self.out = <Burst*>grown(self.out, size, sizeof(Burst))
            self.out_rssi = <float*>grown(self.out_rssi, size * self.probes, sizeof(float))
            self.out_count = <uint16_t*>grown(self.out_count, size * self.probes, sizeof(uint16_t))
            self.out_size = size
        for p in range(self.probes):
            self.out_rssi[at + p] = loudest[p] if heard[p] else NAN
            self.out_count[at + p] = heard[p]
        return 0

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
        self.out_n = self.out_size = 0
        free(self.out)
        free(self.out_rssi)
        free(self.out_count)
        self.out, self.out_rssi, self.out_count = NULL, NULL, NULL
        return bursts, rssi, frames
