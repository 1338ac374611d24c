# Records of frames as an ESP32 hears them, with a clock of 32 bits (hostkit/contract/wire.md, "Heard frames"). Keeps no
# frame; a record counts only with its CRC, so that reading finds its feet again after any damage.

cdef enum:
    ESP32_MAGIC = 0x5246  # "FR"
    ESP32_HEARD = 0
    ESP32_MARK = 1
    ESP32_HEAD_BYTES = 16
    ESP32_MARK_BYTES = 16
    ESP32_CRC_BYTES = 4
    ESP32_MAX_FRAME_BYTES = 4095  # rx_ctrl.sig_len has 12 bits
    CLOCK_BACK_US = 1000000  # frames are handed over out of order by less than this, or the clock has wrapped

# The radio's clock without its wraps, and what it is in Unix time.
cdef struct Clock:
    int64_t now_us
    int64_t mark_us
    int64_t unix_us  # at the mark; 0: unknown

# Octets that belong to no record.
cdef struct Damage:
    int64_t places, octets
    int64_t run  # octets of the place being stepped over
    bint is_cut  # that place began as a record that the end cut

cdef uint32_t[256] CRC_TABLE


cdef void fill_crc_table() noexcept:
    cdef uint32_t octet, value
    cdef int bit
    for octet in range(256):
        value = octet
        for bit in range(8):
            value = value >> 1 ^ (<uint32_t>0xEDB88320 if value & 1 else 0)
        CRC_TABLE[octet] = value


fill_crc_table()


cdef uint32_t crc32(const uint8_t *p, int64_t size) noexcept nogil:
    """IEEE 802.3, as binascii.crc32."""
    cdef uint32_t value = 0xFFFFFFFF
    cdef int64_t i
    for i in range(size):
        value = value >> 8 ^ CRC_TABLE[(value ^ p[i]) & 0xFF]
    return ~value


cdef int64_t esp32_length(const uint8_t *p, int64_t left) noexcept nogil:
    """Octets of the record at `p`; -1: none is there. More than `left`: at least so many are needed to tell."""
    cdef int64_t length
    cdef uint16_t captured
    if p[0] != <uint8_t>(ESP32_MAGIC & 0xFF) or left > 1 and p[1] != ESP32_MAGIC >> 8 or left > 2 and p[2] > ESP32_MARK:
        return -1
    if left < ESP32_HEAD_BYTES:
        return ESP32_HEAD_BYTES
    captured = le16(p + 10)
    if captured > ESP32_MAX_FRAME_BYTES or le16(p + 8) > ESP32_MAX_FRAME_BYTES:
        return -1
    if p[2] == ESP32_MARK and captured != ESP32_MARK_BYTES:
        return -1
    length = ESP32_HEAD_BYTES + <int64_t>captured + ESP32_CRC_BYTES
    if length <= left and crc32(p, length - ESP32_CRC_BYTES) != le32(p + length - ESP32_CRC_BYTES):
        return -1
    return length


cdef void end_damage(Damage *damage) noexcept nogil:
    damage.places += damage.run > 0
    damage.octets += damage.run
    damage.run = 0


cdef void set_clock(Clock *clock, const uint8_t *mark) noexcept nogil:
    """Take over a mark; one that no probe can have made leaves the clock without Unix time."""
    cdef uint64_t now_us = <uint64_t>le32(mark + 20) << 32 | le32(mark + 16)
    cdef uint64_t unix_us = <uint64_t>le32(mark + 28) << 32 | le32(mark + 24)
    cdef bint sane = now_us >> 62 == 0 and <uint32_t>now_us == le32(mark + 4)
    sane = sane and unix_us < <uint64_t>MAX_TIME_S * 1000000
    clock.now_us = <int64_t>now_us if sane else <int64_t>le32(mark + 4)
    clock.mark_us = clock.now_us
    clock.unix_us = <int64_t>unix_us if sane else 0


cdef int64_t unwrap(Clock *clock, uint32_t stamp_us, bint *ok) noexcept nogil:
    """Unix time of a stamp; `ok` is cleared where the clock has none."""
    cdef uint32_t later_us = stamp_us - <uint32_t>clock.now_us
    cdef int64_t time_us
    if later_us > <uint32_t>0xFFFFFFFF - CLOCK_BACK_US:
        clock.now_us -= <int64_t>(<uint32_t>0 - later_us)
    else:
        clock.now_us += later_us
    time_us = clock.unix_us + clock.now_us - clock.mark_us
    ok[0] = clock.unix_us > 0 and 0 <= time_us < <int64_t>MAX_TIME_S * 1000000
    return time_us if ok[0] else 0
