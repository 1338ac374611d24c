# Addresses heard, by device key: open addressing; keys are SipHash output, so their low bits are the hash.

cdef struct Address:
    uint64_t key
    int32_t track  # NONE until a burst of it has closed; of a scan in the window, ask the scan
    int32_t scan  # its last one, while that is in the window
    int32_t open  # NONE while no burst of it is open
    uint8_t used
    uint8_t stable

cdef enum:
    LARGE = 1 << 16  # slots from which on addresses that have gone are dropped before the table grows


@cython.final
cdef class Addresses:
    """At most `most` addresses. Pointers hold until the next `put`."""

    cdef Address* table
    cdef uint32_t size, most
    cdef readonly uint32_t count, randomised, forgotten

    def __cinit__(self, uint32_t most):
        self.most = most
        self.size = 1024
        self.table = <Address*>calloc(self.size, sizeof(Address))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    cdef Address* find(self, uint64_t key) noexcept:
        cdef uint32_t mask = self.size - 1
        cdef uint32_t i = <uint32_t>key & mask
        while self.table[i].used:
            if self.table[i].key == key:
                return &self.table[i]
            i = (i + 1) & mask
        return NULL

    cdef Address* put(self, uint64_t key, bint randomised, bint stable) except? NULL:
        """Find or add; NULL where the table is full."""
        cdef Address* known = self.find(key)
        cdef uint32_t i
        if known != NULL:
            return known
        if self.count - self.forgotten == self.most:
            return NULL
        if (self.count - self.forgotten) * 2 >= self.size:
            self.make_room()
        i = <uint32_t>key & (self.size - 1)
        while self.table[i].used:
            i = (i + 1) & (self.size - 1)
        self.table[i] = Address(key, NONE, NONE, NONE, 1, stable)
        self.count += 1
        self.randomised += randomised
        return &self.table[i]

    cdef int make_room(self) except -1:
        """Double the table; a large one first drops what is not stable and in no open burst or scan of the window."""
        cdef uint32_t i, gone = 0
        if self.size >= LARGE:
            for i in range(self.size):
                gone += self.table[i].used and self.has_gone(&self.table[i])
        self.rebuild(self.size if gone * 4 >= self.size else self.size * 2, gone > 0)
        self.forgotten += gone
        return 0

    cdef bint has_gone(self, const Address* a) noexcept:
        return not a.stable and a.open < 0 and a.scan < 0

    cdef int rebuild(self, uint32_t size, bint drop) except -1:
        cdef uint32_t i, j
        cdef Address* old = self.table
        cdef Address* new = <Address*>calloc(size, sizeof(Address))
        if new == NULL:
            raise MemoryError
        for i in range(self.size):
            if not old[i].used or (drop and self.has_gone(&old[i])):
                continue
            j = <uint32_t>old[i].key & (size - 1)
            while new[j].used:
                j = (j + 1) & (size - 1)
            new[j] = old[i]
        free(old)
        self.table = new
        self.size = size
        return 0
