# The window: the scans of the last `horizon_s`, by class in order of time, and the tracks they are on.


@cython.final
cdef class Window:
    """Puts bursts into scans and scans on tracks, links classes anew, and settles what leaves the window."""

    cdef relink_rules rules
    cdef relink_work work
    cdef Scans scans
    cdef Tracks tracks
    cdef Classes classes
    cdef Addresses known
    cdef Bursts bursts
    cdef int probes
    cdef uint32_t max_scans, number, linked, frozen
    cdef uint64_t crowded
    cdef double scan_gap_us
    cdef int32_t frozen_head, due, last_due  # the latter a queue of classes with scans
    cdef int64_t relink_us
    cdef int32_t[::1] order, before, chain, track
    cdef relink_scan* input
    cdef float* rssi
    cdef Revision* revision
    cdef Py_ssize_t revised, revisions_size

    def __cinit__(
        self, int probes, Classes classes, Addresses known, Bursts bursts, relink_rules rules, int32_t max_tracks,
        uint32_t max_scans, double scan_gap_us, int64_t relink_us,
    ):
        self.probes = probes
        self.classes, self.known, self.bursts, self.rules = classes, known, bursts, rules
        self.scans, self.tracks = Scans(probes, rules.sequence_p > 0), Tracks(max_tracks)
        self.max_scans, self.scan_gap_us = max_scans, scan_gap_us
        self.relink_us = relink_us
        self.frozen_head = self.due = self.last_due = NONE
        self.order = np.empty(2 * max_scans + 1, np.int32)
        self.before, self.chain, self.track = (np.empty(max_scans, np.int32) for _ in range(3))
        self.input = <relink_scan*>malloc(max_scans * sizeof(relink_scan))
        self.rssi = <float*>malloc(max_scans * probes * sizeof(float))
        if self.input == NULL or self.rssi == NULL or not relink_bins(&self.work, &self.rules):
            raise MemoryError

    def __dealloc__(self):
        relink_free(&self.work)
        free(self.input)
        free(self.rssi)
        free(self.revision)

    cdef size_t octets(self) noexcept:
        cdef size_t of_linked = 5 * sizeof(int32_t) + sizeof(relink_scan) + self.probes * sizeof(float)
        return (
            self.scans.octets() + self.tracks.size * sizeof(Track) + self.max_scans * of_linked
            + self.revisions_size * sizeof(Revision) + relink_bytes(&self.work, self.probes)
        )

    cdef revisions(self):
        if self.revised == 0:
            return np.empty(0, REVISION)
        return np.asarray(<Revision[:self.revised]>self.revision).view(REVISION).copy()

    cdef table(self):
        rows = np.zeros(self.tracks.count, TRACK)
        cdef TrackRow[::1] r = rows
        cdef Track* sums = <Track*>grown(NULL, self.tracks.count + 1, sizeof(Track))
        cdef uint32_t c
        cdef int32_t i, j
        for i in range(self.tracks.count):
            sums[i] = self.tracks.item[i]
        for c in range(self.classes.count):
            for j in range(self.ordered(c)):
                i = self.order[j]
                self.tracks.note(
                    &sums[self.scans.item[i].track], self.scans.item[i].first_us, self.scans.last_us(i), 0
                )
        for i in range(self.tracks.count):
            if sums[i].scans:
                r[i] = TrackRow(sums[i].first_us, sums[i].last_us, sums[i].scans, sums[i].hours)
        free(sums)
        return rows

    cdef int32_t track_of(self, uint32_t at) noexcept:
        """The track of an address that is not sending, NONE for none."""
        if at & KIND == IN_SCAN:
            return self.scans.item[at >> INDEX].track
        return <int32_t>(at >> INDEX) if at & KIND == ON_TRACK else NONE

    cdef int32_t scan_of(self, uint32_t at) noexcept:
        return <int32_t>(at >> INDEX) if at & KIND == IN_SCAN else NONE

    # A burst to a scan.

    cdef bint place(self, Open* o, const float* sum, const uint16_t* heard, int64_t now_us) except? -1:
        """Put a closed burst where it belongs, and say so in its `at`; False where there are too many tracks."""
        cdef int32_t i = self.scan_of(o.at), track = self.track_of(o.at)
        cdef uint32_t c = self.classes.root(o.element_class)
        if o.at & STABLE:
            if track < 0:
                track = self.tracks.add()
            if track < 0:
                return False
            o.at = <uint32_t>track << INDEX | STABLE | ON_TRACK
            self.tracks.note(&self.tracks.item[track], o.first_us, o.last_us, <int64_t>self.scan_gap_us)
            self.number += 1
            return True
        cdef bint ble = self.is_ble(c)
        cdef double gap_us = BLE_GAP_US if ble else self.scan_gap_us
        if i >= 0 and o.first_us - self.scans.last_us(i) > gap_us:
            i = NONE
        if i >= 0 and ble and o.last_us - self.scans.item[i].first_us > BLE_SPAN_US:
            i = NONE
        if i < 0 and track < 0 and not ble:
            i = self.beside(o, c, sum, heard)
            self.classes.item[c].beside += i >= 0
        if i < 0:
            i = self.begin(o, c, sum, heard, now_us)
        else:
            self.scans.hear(i, sum, heard)
        if i < 0:
            return False
        self.extend(i, o)
        o.at = <uint32_t>i << INDEX | IN_SCAN
        return True

    cdef bint is_ble(self, uint32_t c) noexcept:
        return self.classes.item[c].fingerprint >> 32 & 1

    cdef void extend(self, int32_t i, const Open* o) noexcept:
        if o.last_us >= self.scans.last_us(i):
            self.scans.item[i].lasted_us = <uint32_t>min(o.last_us - self.scans.item[i].first_us, MOST_US)
            if self.scans.with_sequence:
                self.scans.sequence[2 * i + 1] = o.last_sequence

    cdef int32_t beside(self, const Open* o, uint32_t c, const float* sum, const uint16_t* heard) noexcept:
        """The scan of class `c` at the same time that sounds most alike, if it sounds more alike than another phone."""
        cdef int32_t i = self.classes.item[c].tail, best = NONE, looked = 0
        cdef double least = self.chance(c), alike
        cdef bint near
        cdef Scan* s
        while i >= 0 and looked < BESIDE:
            s = &self.scans.item[i]
            near = o.first_us - self.scans.last_us(i) <= JOIN_US and s.first_us - o.last_us <= JOIN_US
            if near and o.last_us - s.first_us <= LONGEST_US:
                alike = self.alike(i, sum, heard)
                if alike >= least:
                    best, least = i, alike
            looked += 1
            i = self.scans.item[i].previous
        return best

    cdef double chance(self, uint32_t c) noexcept:
        """Log odds that another address at the time of a scan of class `c` is another phone's, before any RSSI.

        Both are learnt: how many scans of the class fall within that time by chance, and how often it uses several
        addresses at once.
        """
        cdef Class* k = &self.classes.item[c]
        if k.head < 0:
            return 0
        cdef double span_us = self.scans.item[k.tail].first_us - self.scans.item[k.head].first_us
        cdef double others = k.scans * 2.0 * JOIN_US / max(span_us, 60e6)
        return log(min(others, 1.0) * (k.begun + 2.0) / (min(k.beside, k.begun) + 1.0))

    cdef double alike(self, int32_t i, const float* sum, const uint16_t* heard) noexcept:
        """Log-likelihood ratio of the RSSI of a burst and a scan: within one scan over of two phones."""
        cdef double d, z = 0
        cdef size_t at
        cdef int p
        for p in range(self.probes):
            at = <size_t>i * self.probes + p
            if heard[p] and self.scans.weight[at]:
                d = sum[p] / heard[p] - <float>self.scans.sum[at] / self.scans.weight[at]
                z += log(self.rules.apart_var_db2 / WITHIN_DB2)
                z -= d * d * (1 / WITHIN_DB2 - 1 / self.rules.apart_var_db2)
        return z / 2

    cdef int32_t begin(
        self, const Open* o, uint32_t c, const float* sum, const uint16_t* heard, int64_t now_us
    ) except? -1:
        """A new scan; NONE where there are too many tracks."""
        cdef int32_t i = self.scans.add(), after = self.scan_of(o.at)
        cdef Scan* s = &self.scans.item[i]
        s.first_us, s.number, s.element_class = o.first_us, self.number, c
        if self.scans.with_sequence:
            self.scans.sequence[2 * i] = o.first_sequence
        self.extend(i, o)
        if after >= 0 and self.scans.item[after].frozen:
            after = NONE
        s.tied, s.track = after, self.track_of(o.at)
        s.root = s.track >= 0 and s.tied < 0
        self.scans.hear(i, sum, heard)
        if s.track < 0:
            after = self.likeliest(i, c)
            s.track = self.scans.item[after].track if after >= 0 else self.tracks.add()
        if s.track < 0:
            self.scans.release(i)
            return NONE
        if after >= 0:
            self.scans.item[after].followed = 1
        self.tracks.item[s.track].live += 1
        self.number += 1
        self.list_scan(i, c)
        self.enqueue(c, now_us)
        return i

    cdef int32_t likeliest(self, int32_t j, uint32_t c) except? -1:
        """The scan that scan `j` follows as far as one can tell now, by the broad density of intervals."""
        cdef int32_t i = self.classes.item[c].tail, best = NONE, looked = 0, at
        cdef double most = self.rules.birth_most_per_s, lag_s, weight
        cdef int64_t first_us = self.scans.item[j].first_us
        cdef float[64] here, there
        self.scans.levels(j, here)
        while i >= 0 and looked < RECENT:
            lag_s = (first_us - self.scans.item[i].first_us) * 1e-6
            if lag_s >= self.rules.horizon_s:
                break
            if not self.scans.item[i].followed and first_us > self.scans.last_us(i):
                at = relink_bin(lag_s)
                self.scans.levels(i, there)
                weight = relink_ratio(&self.rules, there, here, self.probes, self.work.stay[at])
                weight *= self.work.density[at]
                if self.scans.with_sequence:
                    weight *= relink_counts_on(
                        &self.rules, self.scans.sequence[2 * i + 1], self.scans.sequence[2 * j]
                    )
                if weight > most:
                    best, most = i, weight
            looked += 1
            i = self.scans.item[i].previous
        return best

    # Lists of classes.

    cdef int32_t ordered(self, uint32_t c) noexcept:
        """How many scans class `c` has, put into `order` as they began."""
        cdef int32_t i, n = 0, at
        i = self.classes.item[c].tail
        while i >= 0:
            n += 1
            i = self.scans.item[i].previous
        i, at = self.classes.item[c].tail, n
        while i >= 0:
            at -= 1
            self.order[at] = i
            i = self.scans.item[i].previous
        return n

    cdef void list_scan(self, int32_t i, uint32_t c) noexcept:
        cdef Class* k = &self.classes.item[c]
        cdef int32_t after = k.tail, later = NONE
        while after >= 0 and self.scans.item[after].first_us > self.scans.item[i].first_us:
            later, after = after, self.scans.item[after].previous
        self.scans.item[i].previous = after
        if later >= 0:
            self.scans.item[later].previous = i
        else:
            k.tail = i
        if after < 0:
            k.head = i
        k.scans += 1
        k.begun += 1
        k.fresh += 1
        if k.scans > self.max_scans:
            self.leave(c, self.scans.item[k.head].first_us)

    cdef uint32_t join(self, uint32_t heard, uint32_t known) except? 0xFFFFFFFF:
        """The class of `known` after `heard` was merged into it, unless it would grow too large."""
        heard, known = self.classes.root(heard), self.classes.root(known)
        if heard == known or not self.classes.joinable(heard, known):
            return known
        cdef Class* a = &self.classes.item[min(heard, known)]
        cdef Class* b = &self.classes.item[max(heard, known)]
        b.parent = min(heard, known)
        a.variants += b.variants
        a.scans += b.scans
        a.fresh += b.fresh + 1
        a.begun += b.begun
        a.beside += b.beside
        self.merge(a, b)
        b.scans = b.fresh = 0
        if a.scans > self.max_scans:
            self.leave(b.parent, self.scans.item[a.head].first_us)
        return b.parent

    cdef void merge(self, Class* a, Class* b) noexcept:
        """Move the list of `b` into that of `a`, from the latest scan on; at the same time `a` comes first."""
        cdef int32_t i = a.tail, j = b.tail
        cdef int32_t* to = &a.tail
        while i >= 0 or j >= 0:
            if j >= 0 and (i < 0 or self.scans.item[j].first_us >= self.scans.item[i].first_us):
                to[0] = a.head = j
                to = &self.scans.item[j].previous
                j = to[0]
            else:
                to[0] = a.head = i
                to = &self.scans.item[i].previous
                i = to[0]
        to[0] = b.head = b.tail = NONE

    # Out of the window.

    cdef void leave(self, uint32_t c, int64_t now_us) noexcept:
        """Settle scans of class `c` that are older than the horizon, and the oldest of more than `max_scans`."""
        cdef Class* k = &self.classes.item[c]
        cdef int32_t n = self.ordered(c), at, i, before = NONE
        cdef int32_t crowd = n - <int32_t>self.max_scans
        self.crowded += max(crowd, 0)
        for at in range(n):
            i = self.order[at]
            if at < crowd or now_us - self.scans.last_us(i) > self.rules.horizon_s * 1e6:
                self.freeze(at, n)
                k.scans -= 1
                continue
            if before < 0:
                k.head = i
            self.scans.item[i].previous, before = before, i
        k.tail = before
        if before < 0:
            k.head = NONE

    cdef void freeze(self, int32_t at, int32_t n) noexcept:
        """Settle a scan of `order`: its track is final, and the next scan of its track begins from there."""
        cdef int32_t i = self.order[at], j
        cdef Scan* s = &self.scans.item[i]
        cdef Scan* later
        cdef bint found = False
        for j in range(at + 1, n):
            later = &self.scans.item[self.order[j]]
            if later.tied == i or (not found and later.track == s.track):
                later.root, later.tied = 1, NONE
                found = True
        self.tracks.note(&self.tracks.item[s.track], s.first_us, self.scans.last_us(i), 0)
        self.tracks.item[s.track].live -= 1
        s.frozen, s.previous = 1, self.frozen_head
        self.frozen_head = i
        self.frozen += 1

    cdef uint32_t thawed(self, uint32_t at) noexcept:
        """Where an address is once the frozen scans are gone."""
        if at & KIND == IN_SCAN and self.scans.item[at >> INDEX].frozen:
            return <uint32_t>self.scans.item[at >> INDEX].track << INDEX | ON_TRACK
        return at

    cdef int sweep(self) except -1:
        """Let addresses keep the tracks of frozen scans, and give those back."""
        cdef uint32_t i
        cdef int32_t s = self.bursts.head
        while s >= 0:
            self.bursts.item[s].at = self.thawed(self.bursts.item[s].at)
            s = self.bursts.item[s].next
        for i in range(self.known.size):
            self.known.table[i].at = self.thawed(self.known.table[i].at)
        while self.frozen_head >= 0:
            s = self.frozen_head
            self.frozen_head = self.scans.item[s].previous
            self.scans.release(s)
        self.frozen = 0
        if self.known.full():
            self.known.forget()
        return 0

    # When.

    cdef void enqueue(self, uint32_t c, int64_t now_us) noexcept:
        """Look at a class one `relink_us` from now on; a queue is enough, for that is the same for all."""
        if self.classes.item[c].queued:
            return
        self.classes.item[c].queued = 1
        self.classes.item[c].due_us, self.classes.item[c].after = now_us + self.relink_us, NONE
        if self.last_due >= 0:
            self.classes.item[self.last_due].after = c
        else:
            self.due = c
        self.last_due = c

    cdef int settle(self) except -1:
        """Look at the class that is due: link it if it has changed enough, settle its scans older than the horizon."""
        cdef uint32_t c = self.due
        cdef Class* k = &self.classes.item[c]
        cdef int64_t now_us = k.due_us
        self.due, k.queued = k.after, 0
        if self.due < 0:
            self.last_due = NONE
        if k.fresh and (k.fresh * SHARE >= k.scans or k.waited == PATIENCE):
            self.link(c)
            k.fresh = k.waited = 0
        elif k.fresh:
            k.waited += 1
        self.leave(c, now_us)
        if self.frozen > ASIDE and self.frozen * 64 > self.scans.used:
            self.sweep()
        if k.head >= 0:
            self.enqueue(c, now_us)
        return 0

    cdef int link(self, uint32_t c) except -1:
        cdef int32_t i, n, j, tied, count = self.ordered(c)
        cdef int64_t start_us = self.scans.item[self.order[0]].first_us
        cdef Scan* s
        for n in range(count):
            i = self.order[n]
            s = &self.scans.item[i]
            s.previous = n  # its place, until all are linked
            tied = self.scans.item[s.tied].previous if s.tied >= 0 else NONE
            if tied >= n or (tied >= 0 and self.order[tied] != s.tied):
                tied = NONE
            while tied >= 0 and self.chain[tied] >= 0:
                tied = self.chain[tied]  # a scan that another one was tied to already
            self.chain[n] = NONE
            if tied >= 0:
                self.chain[tied] = n
            self.input[n] = relink_scan(
                (s.first_us - start_us) * 1e-6, (self.scans.last_us(i) - start_us) * 1e-6, tied, 0, 0, s.root
            )
            if self.scans.with_sequence:
                self.input[n].first_sequence = self.scans.sequence[2 * i]
                self.input[n].last_sequence = self.scans.sequence[2 * i + 1]
            self.scans.levels(i, &self.rssi[n * self.probes])
        for j in range(count):
            self.scans.item[self.order[j]].previous = self.order[j - 1] if j else NONE
        n = count
        self.rules.tied_share = 0.0 if self.is_ble(c) else 1.0
        cdef int chains = relink(&self.work, &self.rules, n, self.probes, self.input, self.rssi, &self.before[0])
        if chains < 0:
            raise MemoryError
        if not self.is_ble(c):
            unite(&self.rules, n, self.probes, self.input, self.rssi, chains, &self.before[0], &self.chain[0])
        relink_release(&self.work)
        self.name_chains(n)
        return self.relabel(n)

    cdef int name_chains(self, int32_t n) except -1:
        """Each chain gets the settled track of its root, else the first of its scans' tracks that no other has."""
        cdef int32_t j, track
        self.linked += 1
        for j in range(n):
            self.chain[j] = self.chain[self.before[j]] if self.before[j] >= 0 else j
            self.track[j] = NONE
            if self.scans.item[self.order[j]].root:
                self.track[j] = self.scans.item[self.order[j]].track
                self.tracks.item[self.track[j]].claimed = self.linked
        for j in range(n):
            track = self.scans.item[self.order[j]].track
            if self.track[self.chain[j]] < 0 and self.tracks.item[track].claimed != self.linked:
                self.tracks.item[track].claimed = self.linked
                self.track[self.chain[j]] = track
        for j in range(n):
            if self.chain[j] == j and self.track[j] < 0:
                track = self.tracks.add()
                self.track[j] = track if track >= 0 else self.scans.item[self.order[j]].track
        return 0

    cdef int relabel(self, int32_t n) except -1:
        cdef int32_t j, to
        cdef Scan* s
        for j in range(n):
            self.scans.item[self.order[j]].followed = 0
        for j in range(n):
            s = &self.scans.item[self.order[j]]
            to = self.track[self.chain[j]]
            if self.before[j] >= 0:
                self.scans.item[self.order[self.before[j]]].followed = 1
            if s.track != to:
                self.tracks.item[to].live += 1  # before any track is taken for lost
        for j in range(n):
            s = &self.scans.item[self.order[j]]
            if s.track != self.track[self.chain[j]]:
                self.revise(s, self.track[self.chain[j]])
        return 0

    cdef int revise(self, Scan* s, int32_t to) except -1:
        cdef Py_ssize_t size
        if self.revised == self.revisions_size:
            size = self.revisions_size * 2 if self.revisions_size else 32
            self.revision = <Revision*>grown(self.revision, size, sizeof(Revision))
            self.revisions_size = size
        self.revision[self.revised] = Revision(s.number, s.track, to)
        self.revised += 1
        self.tracks.lose(s.track)
        s.track = to
        return 0
