# Addresses heard, by device key: open addressing by 48 bits of it. Keys are SipHash output, so that no sender can
# choose them, and two of a million addresses are taken for one with probability 0.002.

cdef packed struct Address:
    uint32_t hash  # gives its place
    uint16_t more
    uint32_t at  # index << INDEX | STABLE | kind: where it is

cdef enum:
    EMPTY = 0
    UNPLACED = 1  # until a burst of it has closed
    ON_TRACK = 2
    IN_SCAN = 3  # its last one, while that is in the window
    SENDING = 4  # in an open burst, which knows where it was
    KIND = 7
    STABLE = 8
    INDEX = 4
    MOST_INDEX = 1 << 28
    LARGE = 1 << 15  # addresses from which on those that have gone are dropped before the table grows


@cython.final
cdef class Addresses:
    """At most `most` addresses. Pointers hold until the next `put`."""

    cdef Address* table
    cdef uint32_t size, most
    cdef readonly uint32_t count, randomised, forgotten

    def __cinit__(self, uint32_t most):
        self.most = most
        self.size = 128
        self.table = <Address*>calloc(self.size, sizeof(Address))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    cdef Address* find(self, uint64_t key) noexcept:
        """Where it is or, EMPTY, belongs."""
        cdef uint64_t mixed = key * <uint64_t>0x9E3779B97F4A7C15
        return self.at(<uint32_t>(mixed >> 32), <uint16_t>(mixed >> 16))

    cdef Address* at(self, uint32_t hash, uint16_t more) noexcept:
        cdef uint32_t i = <uint32_t>(<uint64_t>hash * self.size >> 32)
        while self.table[i].at != EMPTY and (self.table[i].hash != hash or self.table[i].more != more):
            i = i + 1 if i + 1 < self.size else 0
        return &self.table[i]

    cdef Address* put(self, uint64_t key, bint randomised, bint stable) except? NULL:
        """Find or add; NULL where the table is full."""
        cdef Address* found = self.find(key)
        cdef uint64_t mixed = key * <uint64_t>0x9E3779B97F4A7C15
        if found.at != EMPTY:
            return found
        if self.full():
            return NULL
        if <uint64_t>(self.held() + 1) * 15 > <uint64_t>self.size * 14:
            if not (self.held() >= LARGE and self.forget()):
                self.rebuild(self.size + self.size // 32, False)
            found = self.find(key)
        found[0] = Address(<uint32_t>(mixed >> 32), <uint16_t>(mixed >> 16), UNPLACED | STABLE * stable)
        self.count += 1
        self.randomised += randomised
        return found

    cdef uint32_t held(self) noexcept:
        return self.count - self.forgotten

    cdef bint full(self) noexcept:
        return self.held() == self.most

    cdef bint forget(self) except? False:
        """Drop what is not stable and in no open burst or scan of the window, if that is a quarter at least."""
        cdef uint32_t i, gone = 0
        for i in range(self.size):
            gone += has_gone(&self.table[i])
        if gone == 0 or gone < self.held() // 4:
            return False
        self.rebuild(self.size, True)
        self.forgotten += gone
        return True

    cdef int rebuild(self, uint32_t size, bint drop) except -1:
        cdef uint32_t i, old_size = self.size
        cdef Address* old = self.table
        cdef Address* new = <Address*>calloc(size, sizeof(Address))
        if new == NULL:
            raise MemoryError
        self.table, self.size = new, size
        for i in range(old_size):
            if old[i].at != EMPTY and not (drop and has_gone(&old[i])):
                self.at(old[i].hash, old[i].more)[0] = old[i]
        free(old)
        return 0


cdef bint has_gone(const Address* a) noexcept:
    return a.at & (KIND | STABLE) in (UNPLACED, ON_TRACK)
