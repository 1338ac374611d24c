# Scans: what one phone sends at once, from one address or several. Those of the last `horizon_s` are the window.

cdef struct Scan:
    int64_t first_us
    int64_t last_us
    uint32_t number
    uint32_t element_class
    int32_t track
    int32_t tied  # the scan before it of one of its addresses
    int32_t next, previous  # in the list of its class
    int32_t place  # among those of its class, while they are linked
    uint16_t first_sequence, last_sequence
    uint8_t root  # its track is settled: the scan before it has left the window
    uint8_t followed
    uint8_t frozen

cdef enum:
    STEADY = 64  # frames after which a scan's mean RSSI follows: BLE goes on for minutes


@cython.final
cdef class Scans:
    """`mean` RSSI in dBm (NaN: not heard) and `weight`, frames up to STEADY, are (size, probes)."""

    cdef Scan* item
    cdef float* mean
    cdef uint8_t* weight
    cdef int probes
    cdef int32_t size, free_item
    cdef readonly uint32_t used

    def __cinit__(self, int probes):
        self.probes = probes
        self.free_item = NONE

    def __dealloc__(self):
        free(self.item)
        free(self.mean)
        free(self.weight)

    cdef int32_t add(self) except -1:
        cdef int32_t i, p, size
        if self.free_item < 0:
            size = self.size + self.size // 4 if self.size else 64
            self.item = <Scan*>grown(self.item, size, sizeof(Scan))
            self.mean = <float*>grown(self.mean, size * self.probes, sizeof(float))
            self.weight = <uint8_t*>grown(self.weight, size * self.probes, 1)
            for i in range(self.size, size):
                self.item[i].next = i + 1 if i + 1 < size else NONE
            self.free_item = self.size
            self.size = size
        i = self.free_item
        self.free_item = self.item[i].next
        self.used += 1
        memset(&self.item[i], 0, sizeof(Scan))
        for p in range(self.probes):
            self.mean[i * self.probes + p] = NAN
        memset(&self.weight[i * self.probes], 0, self.probes)
        return i

    cdef void release(self, int32_t i) noexcept:
        self.item[i].next = self.free_item
        self.free_item = i
        self.used -= 1

    cdef void hear(self, int32_t i, const float* sum, const uint16_t* heard) noexcept:
        """Average in a burst's RSSI."""
        cdef int p
        cdef int32_t at, frames
        for p in range(self.probes):
            if heard[p] == 0:
                continue
            at = i * self.probes + p
            frames = self.weight[at] + heard[p]
            if self.weight[at] == 0:
                self.mean[at] = sum[p] / heard[p]
            else:
                self.mean[at] += (sum[p] - heard[p] * self.mean[at]) / frames
            self.weight[at] = min(frames, STEADY)
