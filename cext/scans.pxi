# Scans: what one phone sends at once, from one address or several. Those of the last `horizon_s` are the window.

cdef extern from "scan.h":
    ctypedef struct Scan:
        int64_t first_us
        uint32_t lasted_us, number, element_class
        int32_t track, tied, previous
        uint32_t root, followed, frozen

cdef enum:
    STEADY = 64  # frames after which a scan's mean RSSI follows: BLE goes on for minutes


@cython.final
cdef class Scans:
    """`sum` of RSSI in dBm and `weight`, frames up to STEADY (0: not heard), are (size, probes).

    `sequence`, first and last (size, 2), is kept for `with_sequence` only.
    """

    cdef Scan* item
    cdef int16_t* sum
    cdef uint8_t* weight
    cdef uint16_t* sequence
    cdef int probes
    cdef bint with_sequence
    cdef int32_t size, free_item
    cdef readonly uint32_t used

    def __cinit__(self, int probes, bint with_sequence):
        self.probes, self.with_sequence = probes, with_sequence
        self.free_item = NONE

    def __dealloc__(self):
        free(self.item)
        free(self.sum)
        free(self.weight)
        free(self.sequence)

    cdef size_t octets(self) noexcept:
        cdef size_t of_sequence = 2 * sizeof(uint16_t) if self.with_sequence else 0
        return self.size * (sizeof(Scan) + of_sequence + self.probes * (sizeof(int16_t) + 1))

    cdef int grow(self) except -1:
        cdef int32_t i, size = self.size + self.size // 64 if self.size >= 4096 else self.size + 64
        if size > MOST_INDEX:
            raise MemoryError
        self.item = <Scan*>grown(self.item, size, sizeof(Scan))
        self.sum = <int16_t*>grown(self.sum, size * self.probes, sizeof(int16_t))
        self.weight = <uint8_t*>grown(self.weight, size * self.probes, 1)
        if self.with_sequence:
            self.sequence = <uint16_t*>grown(self.sequence, size * 2, sizeof(uint16_t))
        for i in range(self.size, size):
            self.item[i].previous = i + 1 if i + 1 < size else NONE
        self.free_item = self.size
        self.size = size
        return 0

    cdef int32_t add(self) except -1:
        cdef int32_t i
        if self.free_item < 0:
            self.grow()
        i = self.free_item
        self.free_item = self.item[i].previous
        self.used += 1
        memset(&self.item[i], 0, sizeof(Scan))
        memset(&self.sum[<size_t>i * self.probes], 0, self.probes * sizeof(int16_t))
        memset(&self.weight[<size_t>i * self.probes], 0, self.probes)
        return i

    cdef void release(self, int32_t i) noexcept:
        self.item[i].previous = self.free_item
        self.free_item = i
        self.used -= 1

    cdef void hear(self, int32_t i, const float* sum, const uint16_t* heard) noexcept:
        """Average in a burst's RSSI."""
        cdef int p
        cdef int32_t frames
        cdef double total
        cdef size_t at
        for p in range(self.probes):
            if heard[p] == 0:
                continue
            at = <size_t>i * self.probes + p
            frames, total = self.weight[at] + heard[p], self.sum[at] + sum[p]
            if frames > STEADY:
                total, frames = total * STEADY / frames, STEADY
            self.sum[at], self.weight[at] = <int16_t>lrint(total), frames

    cdef void levels(self, int32_t i, float* rssi_dbm) noexcept:
        """RSSI (probes,), NaN where not heard."""
        cdef int p
        cdef size_t at
        for p in range(self.probes):
            at = <size_t>i * self.probes + p
            rssi_dbm[p] = <float>self.sum[at] / self.weight[at] if self.weight[at] else NAN

    cdef int64_t last_us(self, int32_t i) noexcept:
        return self.item[i].first_us + self.item[i].lasted_us
