# Tracks: what is known of them from scans that have left the window, and of stable addresses.

cdef struct Track:
    int64_t first_us
    int64_t last_us
    int32_t hour
    uint32_t scans
    uint32_t hours  # clock hours it was heard in
    uint32_t live  # scans in the window
    uint32_t claimed  # when its class was linked last; of a free one the next

cdef packed struct TrackRow:
    int64_t first_us
    int64_t last_us
    uint32_t scans
    uint32_t hours

cdef int64_t HOUR_US = 3_600_000_000
cdef int64_t NEVER_US = <int64_t>1 << 62


@cython.final
cdef class Tracks:
    """At most `most`; one that has lost all its scans to others is given out again."""

    cdef Track* item
    cdef int32_t count, size, most, free_item
    cdef readonly uint32_t empty

    def __cinit__(self, int32_t most):
        self.most = most
        self.free_item = NONE

    def __dealloc__(self):
        free(self.item)

    cdef int32_t add(self) except? -1:
        """A new track; NONE where there are too many."""
        cdef int32_t i = self.free_item, size
        if i >= 0:
            self.free_item = <int32_t>self.item[i].claimed
            self.empty -= 1
        elif self.count == self.most:
            return NONE
        else:
            if self.count == self.size:
                size = self.size + self.size // 32 if self.size >= 1024 else self.size + 32
                self.item = <Track*>grown(self.item, size, sizeof(Track))
                self.size = size
            i = self.count
            self.count += 1
        self.item[i] = Track(NEVER_US, -NEVER_US, -1, 0, 0, 0, 0)
        return i

    cdef int64_t in_use(self) noexcept:
        return <int64_t>self.count - self.empty

    cdef void lose(self, int32_t i) noexcept:
        """Take away a scan that is still in the window."""
        self.item[i].live -= 1
        if self.item[i].live == 0 and self.item[i].scans == 0:
            self.item[i].claimed = <uint32_t>self.free_item
            self.free_item = i
            self.empty += 1

    cdef void note(self, Track* t, int64_t first_us, int64_t last_us, int64_t gap_us) noexcept:
        """Take a burst or scan for good; one that begins within `gap_us` of the last is part of it."""
        if t.scans == 0 or first_us - t.last_us > gap_us:
            t.scans += 1
        if first_us // HOUR_US > t.hour or t.hours == 0:
            t.hour = <int32_t>(first_us // HOUR_US)
            t.hours += 1
        t.first_us = min(t.first_us, first_us)
        t.last_us = max(t.last_us, last_us)
