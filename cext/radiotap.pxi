# Where the fields of a radiotap header are (radiotap.org): extended present words, vendor namespaces, alignment.
# Reads no octet past the header.

# Where the fields of one radiotap header are; 0: absent (no field can start before byte 8).
cdef struct Layout:
    uint16_t flags
    uint16_t channel
    uint16_t rssi
    uint16_t noise
    uint32_t end  # of all fields


# Radiotap fields 0..27, alignment << 4 | size (radiotap.org/fields/defined; 2 is FHSS, 22 timestamp, 26 0-length PSDU).
cdef uint8_t[28] FIELDS = [
    0x88, 0x11, 0x11, 0x24, 0x22, 0x11, 0x11, 0x22, 0x22, 0x22, 0x11, 0x11, 0x11, 0x11,
    0x22, 0x22, 0x11, 0x11, 0x48, 0x13, 0x48, 0x2C, 0x8C, 0x2C, 0x2C, 0x26, 0x11, 0x24,
]

cdef enum:
    FIELD_FLAGS = 1
    FIELD_CHANNEL = 3
    FIELD_RSSI = 5
    FIELD_NOISE = 6
    BIT_RADIOTAP_SPACE = 29
    BIT_VENDOR_SPACE = 30
    BIT_MORE = 31
    RADIO_FCS = 0x10
    RADIO_BAD_FCS = 0x40


cdef inline void note_field(Layout *layout, int field, uint32_t at) noexcept nogil:
    """The first of several stays: further antennas repeat signal and noise."""
    if field == FIELD_FLAGS and not layout.flags:
        layout.flags = <uint16_t>at
    elif field == FIELD_CHANNEL and not layout.channel:
        layout.channel = <uint16_t>at
    elif field == FIELD_RSSI and not layout.rssi:
        layout.rssi = <uint16_t>at
    elif field == FIELD_NOISE and not layout.noise:
        layout.noise = <uint16_t>at


cdef inline uint32_t place_word(Layout *layout, uint32_t present, uint32_t at, uint32_t end) noexcept nogil:
    """Place the fields of one present word of the radiotap namespace; give the next free byte, at most end + 1."""
    cdef int field
    cdef uint32_t align, size
    for field in range(28):
        if not present >> field & 1:
            continue
        align = FIELDS[field] >> 4
        size = FIELDS[field] & 15
        at = (at + align - 1) & ~(align - 1)
        if at + size > end:
            return end + 1
        note_field(layout, field, at)
        at += size
    return at


cdef bint place_fields(const uint8_t *header, uint32_t length, Layout *layout) noexcept nogil:
    """Lay out a whole header of `length` bytes, extended words and vendor namespaces included; False: it runs over."""
    cdef uint32_t word = 4, at = 4, present, number = 0
    cdef bint vendor = False
    memset(layout, 0, sizeof(Layout))
    while True:  # at: past the last present word
        if at + 4 > length:
            return False
        present = le32(header + at)
        at += 4
        if not present >> BIT_MORE & 1:
            break
    while True:
        present = le32(header + word)
        word += 4
        if not vendor:
            if number > 0:
                return True  # bits 32 and up of the radiotap namespace have no defined size
            at = place_word(layout, present, at, length)
            number += 1
        if present >> BIT_VENDOR_SPACE & 1:
            at = (at + 1) & ~<uint32_t>1
            if at + 6 > length:
                return False
            at += 6 + le16(header + at + 4)
            vendor = True
        elif present >> BIT_RADIOTAP_SPACE & 1:
            vendor = False
            number = 0
        if at > length:
            return False
        if not present >> BIT_MORE & 1:
            return True


cdef inline uint8_t channel_of(uint32_t mhz) noexcept nogil:
    """IEEE 802.11-2020 annex E; 0: not a Wi-Fi channel. 6 GHz numbers overlap those of the other bands."""
    if mhz == 2484:
        return 14
    if 2412 <= mhz <= 2472:
        return <uint8_t>((mhz - 2407) // 5)
    if 4910 <= mhz <= 4980:
        return <uint8_t>((mhz - 4000) // 5)
    if 5000 < mhz <= 5925:
        return <uint8_t>((mhz - 5000) // 5)
    if 5950 < mhz <= 7115:
        return <uint8_t>((mhz - 5950) // 5)
    return 0
