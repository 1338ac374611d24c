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
        self, int probes, Classes classes, Addresses known, int32_t max_tracks, uint32_t max_scans, double scan_gap_us,
        int64_t relink_us,
    ):
        self.probes = probes
        self.classes, self.known = classes, known
        self.scans, self.tracks = Scans(probes), Tracks(max_tracks)
        self.max_scans, self.scan_gap_us = max_scans, scan_gap_us
        self.relink_us = relink_us
        self.frozen_head = self.due = self.last_due = NONE
        self.order, self.before, self.chain, self.track = (np.empty(max_scans, np.int32) for _ in range(4))
        self.input = <relink_scan*>malloc(max_scans * sizeof(relink_scan))
        self.rssi = <float*>malloc(max_scans * probes * sizeof(float))
        if self.input == NULL or self.rssi == NULL:
            raise MemoryError

    def __dealloc__(self):
        relink_free(&self.work)
        free(self.input)
        free(self.rssi)
        free(self.revision)

    cdef size_t octets(self) noexcept:
        cdef size_t of_scan = sizeof(Scan) + self.probes * (sizeof(float) + 1)
        cdef size_t of_linked = 4 * sizeof(int32_t) + sizeof(relink_scan) + self.probes * sizeof(float)
        return (
            self.scans.size * of_scan + self.tracks.size * sizeof(Track) + self.max_scans * of_linked
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
        cdef int32_t i
        for i in range(self.tracks.count):
            sums[i] = self.tracks.item[i]
        for c in range(self.classes.count):
            i = self.classes.item[c].head
            while i >= 0:
                self.tracks.note(
                    &sums[self.scans.item[i].track], self.scans.item[i].first_us, self.scans.item[i].last_us, 0
                )
                i = self.scans.item[i].next
        for i in range(self.tracks.count):
            if sums[i].scans:
                r[i] = TrackRow(sums[i].first_us, sums[i].last_us, sums[i].scans, sums[i].hours)
        free(sums)
        return rows

    cdef int32_t track_of(self, const Address* address) noexcept:
        return self.scans.item[address.scan].track if address.scan >= 0 else address.track

    # A burst to a scan.

    cdef bint place(
        self, const Open* o, Address* address, const float* sum, const uint16_t* heard, int64_t now_us
    ) except? -1:
        """Put a closed burst where it belongs; False where there are too many tracks."""
        cdef int32_t i = address.scan
        cdef uint32_t c = self.classes.root(o.element_class)
        if address.stable:
            if address.track < 0:
                address.track = self.tracks.add()
            if address.track < 0:
                return False
            self.tracks.note(&self.tracks.item[address.track], o.first_us, o.last_us, <int64_t>self.scan_gap_us)
            self.number += 1
            return True
        cdef bint ble = self.is_ble(c)
        cdef double gap_us = BLE_GAP_US if ble else self.scan_gap_us
        if i >= 0 and o.first_us - self.scans.item[i].last_us > gap_us:
            i = NONE
        if i >= 0 and ble and o.last_us - self.scans.item[i].first_us > BLE_SPAN_US:
            i = NONE
        if i < 0 and address.track < 0 and not ble:
            i = self.beside(o, c, sum, heard)
            self.classes.item[c].beside += i >= 0
        if i < 0:
            i = self.begin(o, c, address, sum, heard, now_us)
        else:
            self.scans.hear(i, sum, heard)
        if i < 0:
            return False
        self.extend(&self.scans.item[i], o)
        address.scan, address.track = i, self.scans.item[i].track
        return True

    cdef bint is_ble(self, uint32_t c) noexcept:
        return self.classes.item[c].fingerprint >> 32 & 1

    cdef void extend(self, Scan* s, const Open* o) noexcept:
        if o.last_us >= s.last_us:
            s.last_us = o.last_us
            s.last_sequence = o.last_sequence

    cdef int32_t beside(self, const Open* o, uint32_t c, const float* sum, const uint16_t* heard) noexcept:
        """The scan of class `c` at the same time that sounds most alike, if it sounds more alike than another phone."""
        cdef int32_t i = self.classes.item[c].tail, best = NONE, looked = 0
        cdef double least = self.chance(c), alike
        cdef bint near
        cdef Scan* s
        while i >= 0 and looked < BESIDE:
            s = &self.scans.item[i]
            near = o.first_us - s.last_us <= JOIN_US and s.first_us - o.last_us <= JOIN_US
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
        cdef int p
        for p in range(self.probes):
            if heard[p] and self.scans.weight[i * self.probes + p]:
                d = sum[p] / heard[p] - self.scans.mean[i * self.probes + p]
                z += log(self.rules.apart_var_db2 / WITHIN_DB2)
                z -= d * d * (1 / WITHIN_DB2 - 1 / self.rules.apart_var_db2)
        return z / 2

    cdef int32_t begin(
        self, const Open* o, uint32_t c, const Address* address, const float* sum, const uint16_t* heard, int64_t now_us
    ) except? -1:
        """A new scan; NONE where there are too many tracks."""
        cdef int32_t i = self.scans.add(), after
        cdef Scan* s = &self.scans.item[i]
        s.first_us, s.last_us, s.number, s.element_class = o.first_us, o.last_us, self.number, c
        s.first_sequence, s.last_sequence = o.first_sequence, o.last_sequence
        s.tied = after = address.scan if address.scan >= 0 and not self.scans.item[address.scan].frozen else NONE
        s.track = self.track_of(address)
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
        if not relink_reserve(&self.work, &self.rules, 1, self.probes):
            raise MemoryError
        while i >= 0 and looked < RECENT:
            lag_s = (self.scans.item[j].first_us - self.scans.item[i].first_us) * 1e-6
            if lag_s >= self.rules.horizon_s:
                break
            if not self.scans.item[i].followed and self.scans.item[j].first_us > self.scans.item[i].last_us:
                at = relink_bin(lag_s)
                weight = self.work.density[at] * relink_ratio(
                    &self.rules, &self.scans.mean[i * self.probes], &self.scans.mean[j * self.probes], self.probes,
                    self.work.stay[at],
                )
                if self.rules.sequence_p > 0:
                    weight *= relink_counts_on(
                        &self.rules, self.scans.item[i].last_sequence, self.scans.item[j].first_sequence
                    )
                if weight > most:
                    best, most = i, weight
            looked += 1
            i = self.scans.item[i].previous
        return best

    # Lists of classes.

    cdef int list_scan(self, int32_t i, uint32_t c) except -1:
        cdef Class* k = &self.classes.item[c]
        cdef int32_t after = k.tail
        while after >= 0 and self.scans.item[after].first_us > self.scans.item[i].first_us:
            after = self.scans.item[after].previous
        self.insert(i, after, k)
        k.scans += 1
        k.begun += 1
        k.fresh += 1
        if k.scans > self.max_scans:
            self.crowded += 1
            self.freeze(k.head)
        return 0

    cdef void insert(self, int32_t i, int32_t after, Class* k) noexcept:
        cdef Scan* s = &self.scans.item[i]
        s.previous = after
        s.next = self.scans.item[after].next if after >= 0 else k.head
        if after >= 0:
            self.scans.item[after].next = i
        else:
            k.head = i
        if s.next >= 0:
            self.scans.item[s.next].previous = i
        else:
            k.tail = i

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
        cdef int32_t i = b.head, at = a.head, after
        while i >= 0:
            after = self.scans.item[i].next
            while at >= 0 and self.scans.item[at].first_us <= self.scans.item[i].first_us:
                at = self.scans.item[at].next
            self.insert(i, self.scans.item[at].previous if at >= 0 else a.tail, a)
            i = after
        b.head = b.tail = NONE
        while a.scans > self.max_scans:
            self.crowded += 1
            self.freeze(a.head)
        return b.parent

    # Out of the window.

    cdef int freeze(self, int32_t i) except -1:
        """Settle a scan: its track is final, and the next scan of its track begins from there."""
        cdef Scan* s = &self.scans.item[i]
        cdef Class* k = &self.classes.item[self.classes.root(s.element_class)]
        cdef int32_t j = s.next
        cdef bint found = False
        while j >= 0:
            if self.scans.item[j].tied == i or (not found and self.scans.item[j].track == s.track):
                self.scans.item[j].root, self.scans.item[j].tied = 1, NONE
                found = True
            j = self.scans.item[j].next
        if s.previous >= 0:
            self.scans.item[s.previous].next = s.next
        else:
            k.head = s.next
        if s.next >= 0:
            self.scans.item[s.next].previous = s.previous
        else:
            k.tail = s.previous
        k.scans -= 1
        self.tracks.note(&self.tracks.item[s.track], s.first_us, s.last_us, 0)
        self.tracks.item[s.track].live -= 1
        s.frozen, s.next = 1, self.frozen_head
        self.frozen_head = i
        self.frozen += 1
        return 0

    cdef void sweep(self) noexcept:
        """Let addresses keep the tracks of frozen scans, and give those back."""
        cdef uint32_t i
        cdef int32_t s
        for i in range(self.known.size):
            s = self.known.table[i].scan if self.known.table[i].used else NONE
            if s >= 0 and self.scans.item[s].frozen:
                self.known.table[i].track, self.known.table[i].scan = self.scans.item[s].track, NONE
        while self.frozen_head >= 0:
            s = self.frozen_head
            self.frozen_head = self.scans.item[s].next
            self.scans.release(s)
        self.frozen = 0

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
        cdef int32_t i, after
        self.due, k.queued = k.after, 0
        if self.due < 0:
            self.last_due = NONE
        if k.fresh and (k.fresh * SHARE >= k.scans or k.waited == PATIENCE):
            self.link(c)
            k.fresh = k.waited = 0
        elif k.fresh:
            k.waited += 1
        i = k.head
        while i >= 0:
            after = self.scans.item[i].next
            if now_us - self.scans.item[i].last_us > self.rules.horizon_s * 1e6:
                self.freeze(i)
            i = after
        if self.frozen > ASIDE and self.frozen * 4 > self.scans.used:
            self.sweep()
        if k.head >= 0:
            self.enqueue(c, now_us)
        return 0

    cdef int link(self, uint32_t c) except -1:
        cdef int32_t i = self.classes.item[c].head, n = 0, p, tied
        cdef int64_t start_us = self.scans.item[i].first_us
        cdef Scan* s
        while i >= 0:
            s = &self.scans.item[i]
            self.order[n], s.place = i, n
            tied = self.scans.item[s.tied].place if s.tied >= 0 else NONE
            if tied >= n or (tied >= 0 and self.order[tied] != s.tied):
                tied = NONE
            while tied >= 0 and self.chain[tied] >= 0:
                tied = self.chain[tied]  # a scan that another one was tied to already
            self.chain[n] = NONE
            if tied >= 0:
                self.chain[tied] = n
            self.input[n] = relink_scan(
                (s.first_us - start_us) * 1e-6, (s.last_us - start_us) * 1e-6, tied, s.first_sequence, s.last_sequence,
                s.root,
            )
            for p in range(self.probes):
                self.rssi[n * self.probes + p] = self.scans.mean[i * self.probes + p]
            n += 1
            i = s.next
        self.rules.tied_share = 0.0 if self.is_ble(c) else 1.0
        cdef int chains = relink(&self.work, &self.rules, n, self.probes, self.input, self.rssi, &self.before[0])
        if chains < 0:
            raise MemoryError
        if not self.is_ble(c):
            unite(&self.rules, n, self.probes, self.input, self.rssi, chains, &self.before[0], &self.chain[0])
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
            size = self.revisions_size * 2 if self.revisions_size else 256
            self.revision = <Revision*>grown(self.revision, size, sizeof(Revision))
            self.revisions_size = size
        self.revision[self.revised] = Revision(s.number, s.track, to)
        self.revised += 1
        self.tracks.lose(s.track)
        s.track = to
        return 0
