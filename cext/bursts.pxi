# Open bursts, in order of their last frame, so that the head is always the next to close.

cdef struct Open:
    int64_t first_us
    int64_t last_us
    uint64_t key
    uint32_t at  # where its address was, as Address.at
    uint32_t element_class
    int32_t previous
    int32_t next
    uint16_t frames
    uint16_t first_sequence
    uint16_t last_sequence
    uint8_t flags


@cython.final
cdef class Bursts:
    """`loudest` and `sum` of RSSI in dBm and `heard`, the number of frames, are (size, probes)."""

    cdef Open* item
    cdef float* loudest
    cdef float* sum
    cdef uint16_t* heard
    cdef int probes
    cdef int32_t size, free_item, head, tail

    def __cinit__(self, int probes):
        self.probes = probes
        self.free_item = self.head = self.tail = NONE

    def __dealloc__(self):
        free(self.item)
        free(self.loudest)
        free(self.sum)
        free(self.heard)

    cdef int32_t open(self, const Sighting* s, int64_t now, uint32_t at, uint32_t element_class) except -1:
        cdef int32_t i, size
        if self.free_item < 0:
            size = self.size * 2 if self.size else 16
            self.item = <Open*>grown(self.item, size, sizeof(Open))
            self.loudest = <float*>grown(self.loudest, size * self.probes, sizeof(float))
            self.sum = <float*>grown(self.sum, size * self.probes, sizeof(float))
            self.heard = <uint16_t*>grown(self.heard, size * self.probes, sizeof(uint16_t))
            for i in range(self.size, size):
                self.item[i].next = i + 1 if i + 1 < size else NONE
            self.free_item = self.size
            self.size = size
        i = self.free_item
        self.free_item = self.item[i].next
        self.item[i] = Open(now, now, s.device_key, at, element_class, NONE, NONE, 0, s.sequence, s.sequence, 0)
        memset(&self.sum[i * self.probes], 0, self.probes * sizeof(float))
        memset(&self.heard[i * self.probes], 0, self.probes * sizeof(uint16_t))
        self.append(i)
        return i

    cdef void add(self, int32_t i, const Sighting* s, int64_t now) noexcept:
        cdef Open* o = &self.item[i]
        cdef int at = i * self.probes + s.probe
        o.last_us = now
        o.last_sequence = s.sequence
        o.flags |= s.flags
        self.unlink(i)
        self.append(i)
        if o.frames == 65535:
            return
        o.frames += 1
        if self.heard[at] == 0 or s.rssi_dbm > self.loudest[at]:
            self.loudest[at] = s.rssi_dbm
        self.sum[at] += s.rssi_dbm
        self.heard[at] += 1

    cdef void release(self, int32_t i) noexcept:
        self.unlink(i)
        self.item[i].next = self.free_item
        self.free_item = i

    cdef void append(self, int32_t i) noexcept:
        self.item[i].previous = self.tail
        self.item[i].next = NONE
        if self.tail >= 0:
            self.item[self.tail].next = i
        else:
            self.head = i
        self.tail = i

    cdef void unlink(self, int32_t i) noexcept:
        cdef Open* o = &self.item[i]
        if o.previous >= 0:
            self.item[o.previous].next = o.next
        else:
            self.head = o.next
        if o.next >= 0:
            self.item[o.next].previous = o.previous
        else:
            self.tail = o.previous
