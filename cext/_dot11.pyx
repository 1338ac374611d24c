"""Captures and bare 802.11 frames to FRAME rows. Reads bytes only; refuses what it cannot place by an error code."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np


cdef extern from "dot11.h" nogil:
    enum:
        DOT11_KEY_BYTES
        DOT11_ADDRESS_BYTES
        DOT11_RECORD_BYTES

    ctypedef enum dot11_verdict:
        DOT11_PROBE_REQUEST
        DOT11_TOO_SHORT
        DOT11_UNKNOWN_VERSION
        DOT11_NOT_MANAGEMENT
        DOT11_OTHER_SUBTYPE

    enum:
        DOT11_RETRY
        DOT11_MALFORMED

    ctypedef struct dot11_key:
        pass

    ctypedef struct dot11_probe:
        uint64_t device_key
        uint32_t fingerprint
        uint32_t ssid_key
        uint32_t element_mask
        uint16_t sequence
        uint8_t channel
        uint8_t flags
        uint8_t element_count

    ctypedef struct dot11_reception:
        uint32_t offset_us
        int8_t rssi_dbm
        int8_t noise_dbm
        uint8_t channel

    ctypedef struct dot11_rule:
        uint32_t code
        uint32_t select
        uint8_t space
        uint8_t treat
        uint8_t bit

    void dot11_key_load(dot11_key *key, const uint8_t *data) noexcept
    uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size) noexcept
    dot11_verdict dot11_parse(const dot11_key *key, const uint8_t *frame, size_t size, dot11_probe *out) noexcept
    dot11_verdict dot11_record(
        const dot11_key *key, const uint8_t *frame, size_t size, const dot11_reception *reception, uint8_t *out
    ) noexcept
    int dot11_element_rule(size_t index, dot11_rule *out) noexcept
    uint32_t dot11_fingerprint_version() noexcept


cdef packed struct Row:
    int64_t time_us
    uint64_t device_key
    uint32_t fingerprint
    uint32_t ssid_key
    uint32_t element_mask
    uint16_t sequence
    int8_t rssi_dbm
    int8_t noise_dbm
    uint8_t channel
    uint8_t flags
    uint8_t element_count
    uint8_t status


FRAME = np.dtype(
    [
        ("time_us", "<i8"),  # Unix time; 0 where the source has no clock
        ("device_key", "<u8"),  # SipHash-2-4 of the address under the site key
        ("fingerprint", "<u4"),  # of the elements, static table only
        ("ssid_key", "<u4"),  # 0: wildcard
        ("element_mask", "<u4"),  # bit of each kind of element seen
        ("sequence", "<u2"),  # 802.11 sequence number, 12 bits
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),  # 0: unknown
        ("channel", "u1"),  # of the DS element, else the tuned one; 0: unknown
        ("flags", "u1"),  # wire.Flag
        ("element_count", "u1"),  # whole elements, at most 255
        ("status", "u1"),  # Status
    ]
)

cdef enum Status:
    STATUS_CUT = 1
    STATUS_BACKWARDS = 2
    STATUS_TUNED = 4

# Why a packet was not kept; the order is that of SKIP_REASONS.
cdef enum Skip:
    SKIP_TOO_SHORT
    SKIP_UNKNOWN_VERSION
    SKIP_NOT_MANAGEMENT
    SKIP_OTHER_SUBTYPE
    SKIP_BAD_RADIOTAP
    SKIP_BAD_FCS
    SKIP_NO_RSSI
    SKIP_NO_TIME
    SKIP_OTHER_LINK
    SKIP_COUNT

SKIP_REASONS = (
    "too_short",
    "unknown_version",
    "not_management",
    "other_subtype",
    "bad_radiotap",
    "bad_fcs",
    "no_rssi",
    "no_time",
    "other_link_type",
)

# Why a capture cannot be read on; the order is that of FAULTS.
cdef enum Fault:
    FAULT_NONE
    FAULT_NOT_CAPTURE
    FAULT_VERSION
    FAULT_LINK_TYPE
    FAULT_PACKET_SIZE
    FAULT_BLOCK_SIZE
    FAULT_NO_INTERFACE
    FAULT_INTERFACES

FAULTS = (
    "none",
    "not_capture",
    "version",
    "link_type",
    "packet_size",
    "block_size",
    "no_interface",
    "interfaces",
)

cdef enum:
    LINK_RADIOTAP = 127
    MAX_PACKET_BYTES = 262144  # the largest snapshot length any capture program writes
    MAX_BLOCK_BYTES = 16777216  # as Wireshark
    MAX_INTERFACES = 1024
    MAX_APPLICATION_BYTES = 64
    PCAP_HEADER_BYTES = 24
    PCAP_PACKET_BYTES = 16
    PCAP_US = 0xA1B2C3D4
    PCAP_NS = 0xA1B23C4D
    BLOCK_SECTION = 0x0A0D0D0A
    BLOCK_INTERFACE = 1
    BLOCK_PACKET = 2
    BLOCK_SIMPLE = 3
    BLOCK_ENHANCED = 6
    SECTION_ORDER = 0x1A2B3C4D
    OPTION_APPLICATION = 4
    OPTION_RESOLUTION = 9
    OPTION_OFFSET = 14
    MAX_TIME_S = 4102444800  # the year 2100, as wire.MAX_TIME_US


cdef struct Interface:
    int64_t offset_s
    uint16_t link_type
    uint8_t resolution  # if_tsresol: high bit, power of two; else of ten


# Where the fields of one radiotap header are; 0: absent (no field can start before byte 8).
cdef struct Layout:
    uint16_t flags
    uint16_t channel
    uint16_t rssi
    uint16_t noise
    uint32_t end  # of all fields


cdef struct Packet:
    const uint8_t *data
    uint32_t size  # captured
    uint32_t original_size
    int64_t time_us
    uint16_t link_type
    bint has_time


cdef struct Tally:
    int64_t packets
    int64_t frames
    int64_t malformed
    int64_t retries
    int64_t randomised
    int64_t cut
    int64_t backwards
    int64_t truncated
    int64_t skipped[SKIP_COUNT]


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


cdef inline uint16_t le16(const uint8_t *p) noexcept nogil:
    return <uint16_t>(p[0] | p[1] << 8)


cdef inline uint32_t le32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef inline uint32_t be32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[3] | <uint32_t>p[2] << 8 | <uint32_t>p[1] << 16 | <uint32_t>p[0] << 24


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


cdef inline int64_t pcapng_time(uint64_t ticks, const Interface *interface, bint *ok) noexcept nogil:
    """Ticks of an interface as Unix µs; `ok` is cleared where that is before 1970 or past 2099."""
    cdef uint32_t exponent = interface.resolution & 127
    cdef uint64_t second_ticks = 1, seconds, rest
    cdef int64_t total_s
    if interface.resolution & 128:
        if exponent > 43:  # 2**43 ticks a second: finer is cut so that the product below fits
            ticks = ticks >> (exponent - 43) if exponent - 43 < 64 else 0
            exponent = 43
        second_ticks = <uint64_t>1 << exponent
    else:
        while exponent > 12:
            ticks //= 10
            exponent -= 1
        while exponent > 0:
            second_ticks *= 10
            exponent -= 1
    seconds = ticks // second_ticks
    rest = ticks % second_ticks
    if seconds >> 61 or not -(<int64_t>1 << 61) < interface.offset_s < <int64_t>1 << 61:
        ok[0] = False
        return 0
    total_s = <int64_t>seconds + interface.offset_s
    ok[0] = 0 <= total_s < <int64_t>MAX_TIME_S
    return total_s * 1000000 + <int64_t>(rest * 1000000 // second_ticks) if ok[0] else 0


cdef inline void fill_row(Row *row, const dot11_probe *probe) noexcept nogil:
    row.device_key = probe.device_key
    row.fingerprint = probe.fingerprint
    row.ssid_key = probe.ssid_key
    row.element_mask = probe.element_mask
    row.sequence = probe.sequence
    row.channel = probe.channel
    row.flags = probe.flags
    row.element_count = probe.element_count


cdef class View:
    """A read-only borrowed buffer; mmap, bytes, bytearray and memoryview all serve."""

    cdef Py_buffer buffer
    cdef bint held

    def __cinit__(self, data):
        PyObject_GetBuffer(data, &self.buffer, PyBUF_SIMPLE)
        self.held = True

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)


cdef class Reader:
    """Walks a capture. `fault` tells why it stopped, `at` and `packet` where."""

    cdef View view
    cdef const uint8_t *data
    cdef int64_t size, at, newest_us
    cdef dot11_key key
    cdef bint is_pcapng, big_endian, nanoseconds, seen_radiotap
    cdef uint32_t pcap_link
    cdef Interface interfaces[MAX_INTERFACES]
    cdef int interface_count
    cdef Layout layout
    cdef uint32_t layout_present
    cdef Tally tally
    cdef int fault_code
    cdef uint32_t fault_detail
    cdef int64_t application_at
    cdef uint16_t application_size

    def __init__(self, data, bytes key):
        if len(key) != DOT11_KEY_BYTES:
            raise ValueError(f"a key has {DOT11_KEY_BYTES} bytes, not {len(key)}")
        self.view = View(data)
        self.data = <const uint8_t *>self.view.buffer.buf
        self.size = self.view.buffer.len
        dot11_key_load(&self.key, <const uint8_t *>key)
        self.open()

    @property
    def packets(self):
        return self.tally.packets

    @property
    def position(self):
        return self.at

    @property
    def application(self):
        return self.data[self.application_at : self.application_at + self.application_size]

    @property
    def link_type(self):
        return self.interfaces[0].link_type if self.interface_count else -1

    @property
    def fault(self):
        return FAULTS[self.fault_code], self.fault_detail

    @property
    def totals(self):
        cdef Tally t = self.tally
        cdef int reason
        return (
            (t.packets, t.frames, t.malformed, t.retries, t.randomised, t.cut, t.backwards, t.truncated),
            tuple([t.skipped[reason] for reason in range(<int>SKIP_COUNT)]),
        )

    def read(self, int64_t max_frames):
        """Give the next rows as an array of FRAME, at most `max_frames`; fewer at the end or before a fault."""
        cdef int64_t room = min(max_frames, (self.size - self.at) // 40 + 1)
        rows = np.empty(room, FRAME)
        cdef char[::1] raw = rows.view(np.int8)
        cdef Row *first = <Row *>&raw[0]
        cdef int64_t kept
        with nogil:
            kept = self.fill(first, room)
        return rows[:kept]

    cdef void open(self):
        """Read the file header of a pcap; a pcapng section is a block like others."""
        cdef uint32_t little, big, magic
        if self.size < 4:
            self.fault_code = FAULT_NOT_CAPTURE
            return
        little = le32(self.data)
        big = be32(self.data)
        if little == BLOCK_SECTION:
            self.is_pcapng = True
            return
        self.big_endian = big == PCAP_US or big == PCAP_NS
        magic = big if self.big_endian else little
        self.nanoseconds = magic == PCAP_NS
        if (magic != PCAP_US and magic != PCAP_NS) or self.size < PCAP_HEADER_BYTES:
            self.fault_code = FAULT_NOT_CAPTURE
        elif self.u16(4) != 2:
            self.fault_code = FAULT_VERSION
            self.fault_detail = self.u16(4)
        else:
            self.interfaces[0].link_type = <uint16_t>(self.u32(20) & 0xFFFF)
            self.interface_count = 1
            self.at = PCAP_HEADER_BYTES
            self.check_link(self.interfaces[0].link_type)

    cdef inline uint16_t u16(self, int64_t at) noexcept nogil:
        cdef const uint8_t *p = self.data + at
        return <uint16_t>(p[0] << 8 | p[1]) if self.big_endian else le16(p)

    cdef inline uint32_t u32(self, int64_t at) noexcept nogil:
        return be32(self.data + at) if self.big_endian else le32(self.data + at)

    cdef inline uint64_t u64(self, int64_t at) noexcept nogil:
        if self.big_endian:
            return <uint64_t>be32(self.data + at) << 32 | be32(self.data + at + 4)
        return <uint64_t>le32(self.data + at + 4) << 32 | le32(self.data + at)

    cdef inline bint stop(self, int fault, uint32_t detail) noexcept nogil:
        self.fault_code = fault
        self.fault_detail = detail
        return False

    cdef bint check_link(self, uint16_t link_type) noexcept nogil:
        """A capture without any radiotap interface is refused at its first packet or header."""
        return link_type == LINK_RADIOTAP or self.stop(FAULT_LINK_TYPE, link_type)

    cdef int64_t fill(self, Row *rows, int64_t room) noexcept nogil:
        cdef Packet packet
        cdef int64_t kept = 0
        while kept < room and self.next_packet(&packet):
            self.tally.packets += 1
            kept += self.keep(&packet, rows + kept)
        return kept

    cdef inline bint next_packet(self, Packet *packet) noexcept nogil:
        """Find the next packet; False at the end, at a truncation or at a fault."""
        if self.fault_code != FAULT_NONE or self.at >= self.size:
            return False
        return self.next_block(packet) if self.is_pcapng else self.next_record(packet)

    cdef bint truncate(self) noexcept nogil:
        self.tally.truncated += 1
        self.at = self.size
        return False

    cdef inline bint next_record(self, Packet *packet) noexcept nogil:
        """One packet of a classic pcap."""
        cdef int64_t left = self.size - self.at, at = self.at
        cdef uint32_t fraction
        if left < PCAP_PACKET_BYTES:
            return self.truncate()
        packet.size = self.u32(at + 8)
        packet.original_size = self.u32(at + 12)
        if packet.size > MAX_PACKET_BYTES:
            return self.stop(FAULT_PACKET_SIZE, packet.size)
        if packet.size > left - PCAP_PACKET_BYTES:
            return self.truncate()
        fraction = self.u32(at + 4)
        packet.time_us = <int64_t>self.u32(at) * 1000000 + (fraction // 1000 if self.nanoseconds else fraction)
        packet.has_time = self.u32(at) < <uint32_t>MAX_TIME_S
        packet.link_type = LINK_RADIOTAP
        packet.data = self.data + at + PCAP_PACKET_BYTES
        self.at = at + PCAP_PACKET_BYTES + packet.size
        return True

    cdef bint next_block(self, Packet *packet) noexcept nogil:
        """Take pcapng blocks up to and including the next one that holds a packet."""
        cdef int64_t at
        cdef uint32_t kind, length
        cdef bint found = False
        while not found and self.at < self.size:
            at = self.at
            if self.size - at < 12:
                return self.truncate()
            kind = le32(self.data + at)  # the section's own number reads the same both ways
            if kind == BLOCK_SECTION and not self.start_section():
                return False
            kind = self.u32(at)
            length = self.u32(at + 4)
            if length < 12 or length & 3 or length > MAX_BLOCK_BYTES:
                return self.stop(FAULT_BLOCK_SIZE, length)
            if length > self.size - at:
                return self.truncate()
            if self.u32(at + length - 4) != length:
                return self.stop(FAULT_BLOCK_SIZE, length)
            if kind == BLOCK_SECTION:
                self.read_section(at + 24, at + length - 4)
            elif kind == BLOCK_INTERFACE:
                if not self.read_interface(at + 8, at + length - 4):
                    return False
            elif kind == BLOCK_ENHANCED or kind == BLOCK_PACKET or kind == BLOCK_SIMPLE:
                found = self.read_packet(kind, at + 8, at + length - 4, packet)
                if not found:
                    return False
            self.at = at + length
        return found

    cdef bint start_section(self) noexcept nogil:
        """Learn the byte order; interfaces are numbered anew."""
        if le32(self.data + self.at + 8) == SECTION_ORDER:
            self.big_endian = False
        elif be32(self.data + self.at + 8) == SECTION_ORDER:
            self.big_endian = True
        else:
            return self.stop(FAULT_NOT_CAPTURE, 0)
        self.interface_count = 0
        return True

    cdef void read_section(self, int64_t at, int64_t end) noexcept nogil:
        cdef int64_t value
        cdef uint16_t size = 0
        if at > end:
            return
        value = self.find_option(at, end, OPTION_APPLICATION, &size)
        if value and not self.application_at:
            self.application_at = value
            self.application_size = min(size, <uint16_t>MAX_APPLICATION_BYTES)

    cdef int64_t find_option(self, int64_t at, int64_t end, uint16_t code, uint16_t *size) noexcept nogil:
        """Where the value of the first such option is, its size in `size`; 0 without one."""
        cdef uint16_t found
        while end - at >= 4:
            found = self.u16(at)
            size[0] = self.u16(at + 2)
            at += 4
            if found == 0 or size[0] > end - at:
                return 0
            if found == code:
                return at
            at += (size[0] + 3) & ~3
        return 0

    cdef bint read_interface(self, int64_t at, int64_t end) noexcept nogil:
        cdef Interface *interface
        cdef uint16_t size = 0
        cdef int64_t value
        if end - at < 8:
            return self.stop(FAULT_BLOCK_SIZE, <uint32_t>(end - at + 12))
        if self.interface_count == MAX_INTERFACES:
            return self.stop(FAULT_INTERFACES, MAX_INTERFACES)
        interface = &self.interfaces[self.interface_count]
        self.interface_count += 1
        interface.link_type = self.u16(at)
        interface.resolution = 6
        interface.offset_s = 0
        value = self.find_option(at + 8, end, OPTION_RESOLUTION, &size)
        if value and size == 1:
            interface.resolution = self.data[value]
        value = self.find_option(at + 8, end, OPTION_OFFSET, &size)
        if value and size == 8:
            interface.offset_s = <int64_t>self.u64(value)
        self.seen_radiotap = self.seen_radiotap or interface.link_type == LINK_RADIOTAP
        return True

    cdef bint read_packet(self, uint32_t kind, int64_t at, int64_t end, Packet *packet) noexcept nogil:
        """One enhanced, simple or obsolete packet block with its body at `at`."""
        cdef uint32_t fixed = 4 if kind == BLOCK_SIMPLE else 20
        cdef uint32_t number = 0
        cdef Interface *interface
        if end - at < fixed:
            return self.stop(FAULT_BLOCK_SIZE, <uint32_t>(end - at + 12))
        if kind == BLOCK_ENHANCED:
            number = self.u32(at)
        elif kind == BLOCK_PACKET:
            number = self.u16(at)
        if number >= <uint32_t>self.interface_count:
            return self.stop(FAULT_NO_INTERFACE, number)
        interface = &self.interfaces[number]
        if not self.seen_radiotap and not self.check_link(interface.link_type):
            return False
        packet.link_type = interface.link_type
        packet.data = self.data + at + fixed
        if kind == BLOCK_SIMPLE:
            packet.original_size = self.u32(at)
            packet.size = min(packet.original_size, <uint32_t>(end - at - 4))
            packet.has_time = False
            return True
        packet.size = self.u32(at + 12)
        packet.original_size = self.u32(at + 16)
        if packet.size > MAX_PACKET_BYTES or packet.size > end - at - fixed:
            return self.stop(FAULT_PACKET_SIZE, packet.size)
        packet.time_us = pcapng_time(
            <uint64_t>self.u32(at + 4) << 32 | self.u32(at + 8), interface, &packet.has_time
        )
        return True

    cdef inline int64_t skip(self, int reason) noexcept nogil:
        self.tally.skipped[reason] += 1
        return 0

    cdef inline bint find_fields(self, const uint8_t *header, uint32_t length, Layout *layout) noexcept nogil:
        """Lay out the header; one without extended words by the layout of the last with the same present word."""
        cdef uint32_t present = le32(header + 4)
        if present >> 29:
            return place_fields(header, length, layout)
        if present != self.layout_present:
            memset(&self.layout, 0, sizeof(Layout))
            self.layout.end = place_word(&self.layout, present, 8, 0xFFFF)
            self.layout_present = present
        layout[0] = self.layout
        return layout.end <= length

    cdef inline int64_t keep(self, const Packet *packet, Row *row) noexcept nogil:
        """Parse one packet into `row`; 1 if it was a probe request with time and RSSI, else 0 and counted."""
        cdef uint32_t length, end = packet.size, whole = packet.original_size
        cdef uint8_t radio_flags
        cdef const uint8_t *header = packet.data
        cdef Layout layout
        cdef dot11_probe probe
        cdef dot11_verdict verdict
        if packet.link_type != LINK_RADIOTAP:
            return self.skip(SKIP_OTHER_LINK)
        if end < 8 or header[0] != 0:
            return self.skip(SKIP_BAD_RADIOTAP)
        length = le16(header + 2)
        if length < 8 or length > end or not self.find_fields(header, length, &layout):
            return self.skip(SKIP_BAD_RADIOTAP)
        radio_flags = header[layout.flags] if layout.flags else 0
        if radio_flags & RADIO_BAD_FCS:
            return self.skip(SKIP_BAD_FCS)
        if whole < end:
            whole = end  # a lie: what was captured is there
        if radio_flags & RADIO_FCS:
            if whole < length + 4:
                return self.skip(SKIP_TOO_SHORT)
            whole -= 4
            end = min(end, whole)
        verdict = dot11_parse(&self.key, header + length, end - length, &probe)
        if verdict != DOT11_PROBE_REQUEST:
            return self.skip(SKIP_TOO_SHORT + (verdict - DOT11_TOO_SHORT))
        if not layout.rssi or header[layout.rssi] == 0:
            return self.skip(SKIP_NO_RSSI)
        if not packet.has_time:
            return self.skip(SKIP_NO_TIME)
        fill_row(row, &probe)
        row.time_us = packet.time_us
        row.rssi_dbm = <int8_t>header[layout.rssi]
        row.noise_dbm = <int8_t>header[layout.noise] if layout.noise else 0
        row.status = STATUS_CUT if end < whole else 0
        if not probe.channel:
            row.status |= STATUS_TUNED
            row.channel = channel_of(le16(header + layout.channel)) if layout.channel else 0
        self.count(row)
        return 1

    cdef inline void count(self, Row *row) noexcept nogil:
        self.tally.frames += 1
        if row.time_us < self.newest_us:
            row.status |= STATUS_BACKWARDS
            self.tally.backwards += 1
        self.newest_us = row.time_us
        self.tally.malformed += (row.flags & DOT11_MALFORMED) != 0
        self.tally.retries += (row.flags & DOT11_RETRY) != 0
        self.tally.randomised += row.flags & 1
        self.tally.cut += row.status & STATUS_CUT


def siphash(const uint8_t[::1] data, bytes key):
    """SipHash-2-4 of `data` under a 16-byte key."""
    cdef dot11_key loaded
    load_key(&loaded, key)
    return dot11_siphash(&loaded, &data[0] if data.shape[0] else NULL, <size_t>data.shape[0])


cdef int load_key(dot11_key *loaded, bytes key) except -1:
    if len(key) != DOT11_KEY_BYTES:
        raise ValueError(f"a key has {DOT11_KEY_BYTES} bytes, not {len(key)}")
    dot11_key_load(loaded, <const uint8_t *>key)
    return 0


def device_keys(bytes addresses, bytes key):
    """Keys of addresses laid end to end, 6 bytes each."""
    cdef dot11_key loaded
    cdef const uint8_t *p = <const uint8_t *>addresses
    cdef Py_ssize_t count = len(addresses) // DOT11_ADDRESS_BYTES, i
    load_key(&loaded, key)
    keys = np.empty(count, np.uint64)
    cdef uint64_t[::1] out = keys
    for i in range(count):
        out[i] = dot11_siphash(&loaded, p + i * DOT11_ADDRESS_BYTES, DOT11_ADDRESS_BYTES)
    return keys


def parse_frames(data, const int64_t[::1] offsets, const int64_t[::1] lengths, bytes key):
    """Rows of bare frames inside `data`, and the index of the first that is no probe request or lies outside (-1)."""
    cdef View view = View(data)
    cdef dot11_key loaded
    cdef dot11_probe probe
    cdef Py_ssize_t count = offsets.shape[0], i
    cdef int64_t size = view.buffer.len
    load_key(&loaded, key)
    rows = np.zeros(count, FRAME)
    if count == 0:
        return rows, -1
    cdef char[::1] raw = rows.view(np.int8)
    cdef Row *row = <Row *>&raw[0]
    cdef const uint8_t *base = <const uint8_t *>view.buffer.buf
    cdef Py_ssize_t bad = -1
    with nogil:
        for i in range(count):
            if offsets[i] < 0 or lengths[i] < 0 or offsets[i] > size or lengths[i] > size - offsets[i]:
                bad = i
                break
            if dot11_parse(&loaded, base + offsets[i], <size_t>lengths[i], &probe) != DOT11_PROBE_REQUEST:
                bad = i
                break
            fill_row(row + i, &probe)
            row[i].status = 0 if probe.channel else STATUS_TUNED
    return rows, bad


def record(bytes body, bytes key, uint32_t offset_us, int8_t rssi_dbm, int8_t noise_dbm, uint8_t channel):
    """The wire record of one bare frame, by the probe's own code; empty if it is no probe request."""
    cdef dot11_key loaded
    cdef dot11_reception reception = dot11_reception(offset_us, rssi_dbm, noise_dbm, channel)
    cdef uint8_t[DOT11_RECORD_BYTES] out
    load_key(&loaded, key)
    if dot11_record(&loaded, <const uint8_t *>body, <size_t>len(body), &reception, out) != DOT11_PROBE_REQUEST:
        return b""
    return <bytes>out[:DOT11_RECORD_BYTES]


def element_rules():
    """The static table as (space, code, select, treatment, mask bit)."""
    cdef dot11_rule rule
    cdef size_t i = 0
    rows = []
    while dot11_element_rule(i, &rule):
        rows.append((rule.space, rule.code, rule.select, rule.treat, rule.bit))
        i += 1
    return tuple(rows)


def fingerprint_version():
    """Hash of the static table and of the hash's own revision."""
    return dot11_fingerprint_version()
