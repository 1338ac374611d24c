# Element classes: fingerprints seen under one address are one phone's variants (union-find). Each lists its scans.

cdef struct Class:
    uint64_t fingerprint  # bit 32: of BLE advertisements
    uint32_t parent
    uint32_t scans
    uint32_t fresh  # scans since it was linked last
    uint32_t begun  # scans ever
    uint32_t beside  # bursts of further addresses in them
    int32_t head, tail  # its scans in the window, in order of time
    int64_t due_us  # when to look at its window again
    int32_t after  # next in the queue of such times
    uint16_t waited
    uint8_t queued
    uint8_t variants


@cython.final
cdef class Classes:
    """At most `most` fingerprints, each class of at most `max_variants`; the rest share one class."""

    cdef Class* item
    cdef int32_t* table
    cdef uint32_t count, size, table_size, most
    cdef int max_variants
    cdef int32_t other
    cdef readonly uint64_t unclassed, refused

    def __cinit__(self, uint32_t most, int max_variants):
        self.most = most
        self.max_variants = max_variants
        self.other = NONE
        self.table_size = 256
        self.table = <int32_t*>malloc(self.table_size * sizeof(int32_t))
        if self.table == NULL:
            raise MemoryError
        memset(self.table, 0xFF, self.table_size * sizeof(int32_t))

    def __dealloc__(self):
        free(self.item)
        free(self.table)

    cdef uint32_t root(self, uint32_t c) noexcept:
        while self.item[c].parent != c:
            self.item[c].parent = self.item[self.item[c].parent].parent
            c = self.item[c].parent
        return c

    cdef uint32_t roots(self) noexcept:
        cdef uint32_t i, roots = 0
        for i in range(self.count):
            roots += self.item[i].parent == i
        return roots

    cdef bint joinable(self, uint32_t a, uint32_t b) noexcept:
        """Whether two roots may become one class, which counts a refusal."""
        if self.item[a].variants + self.item[b].variants <= self.max_variants:
            return True
        self.refused += 1
        return False

    cdef uint32_t of(self, uint64_t fingerprint) except? 0xFFFFFFFF:
        cdef uint32_t mask = self.table_size - 1
        cdef uint32_t i = slot(fingerprint) & mask
        cdef int32_t c = self.table[i]
        while c >= 0:
            if self.item[c].fingerprint == fingerprint:
                return c
            i = (i + 1) & mask
            c = self.table[i]
        if self.count >= self.most:
            return self.shared()
        if self.count * 2 >= self.table_size:
            self.grow_table()
            return self.of(fingerprint)
        self.table[i] = self.add(fingerprint)
        return self.count - 1

    cdef int32_t shared(self) except -1:
        """The class of all fingerprints beyond the bound; it counts as full, so that nothing merges with it."""
        self.unclassed += 1
        if self.other < 0:
            self.other = self.add(1 << 33)
            self.item[self.other].variants = self.max_variants
        return self.other

    cdef int32_t add(self, uint64_t fingerprint) except -1:
        cdef uint32_t size
        if self.count == self.size:
            size = self.size + self.size // 4 if self.size else 32
            self.item = <Class*>grown(self.item, size, sizeof(Class))
            self.size = size
        self.item[self.count] = Class(fingerprint, self.count, 0, 0, 0, 0, NONE, NONE, 0, NONE, 0, 0, 1)
        self.count += 1
        return self.count - 1

    cdef int grow_table(self) except -1:
        cdef uint32_t size = self.table_size * 2, i, c
        self.table = <int32_t*>grown(self.table, size, sizeof(int32_t))
        self.table_size = size
        memset(self.table, 0xFF, size * sizeof(int32_t))
        for c in range(self.count):
            i = slot(self.item[c].fingerprint) & (size - 1)
            while self.table[i] >= 0:
                i = (i + 1) & (size - 1)
            self.table[i] = c
        return 0


cdef uint32_t slot(uint64_t fingerprint) noexcept:
    """Spread a fingerprint over the table: hostile frames choose it, so the bound on classes is what protects us."""
    return (<uint32_t>(fingerprint ^ fingerprint >> 17) * <uint32_t>0x9E3779B1) >> 7
