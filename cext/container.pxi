# Walks a classic pcap, a pcapng or ESP32 records to their packets. Keeps nothing of them; stops at damage with a fault
# code, but steps over it in ESP32 records. The module that includes this says before which link types it reads
# (is_wanted) and whether it reads ESP32 records (READS_ESP32).

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
    LINK_ESP32 = 0xFFFF  # as `link_type` names ESP32 records: no registered link type is that high
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


cdef struct Packet:
    const uint8_t *data
    uint32_t size  # captured
    uint32_t original_size
    int64_t time_us
    uint16_t link_type
    bint has_time
    const uint8_t *head  # of an ESP32 record; NULL: it is none


cdef inline uint16_t le16(const uint8_t *p) noexcept nogil:
    return <uint16_t>(p[0] | p[1] << 8)


cdef inline uint32_t le32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef inline uint32_t be32(const uint8_t *p) noexcept nogil:
    return <uint32_t>p[3] | <uint32_t>p[2] << 8 | <uint32_t>p[1] << 16 | <uint32_t>p[0] << 24


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


include "esp32.pxi"


@final
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


cdef class Container:
    """A capture in memory, or the piece of one that has arrived. `fault` tells why the walk stopped, `at` where."""

    cdef View view
    cdef const uint8_t *data
    cdef int64_t size, at
    cdef int64_t base  # bytes of pieces before this one
    cdef int64_t needed  # bytes from `at` without which nothing more can be read; 0: not waiting
    cdef bint is_last  # no piece follows
    cdef bint is_pcapng, is_esp32, big_endian, nanoseconds, seen_wanted
    cdef Interface interfaces[MAX_INTERFACES]
    cdef int interface_count
    cdef int fault_code
    cdef uint32_t fault_detail
    cdef Clock clock
    cdef Damage damage
    cdef int64_t truncated
    cdef uint8_t[MAX_APPLICATION_BYTES] application_name
    cdef int application_size

    def __cinit__(self, data, key, bint is_last=True, *_):
        self.hold(data, is_last)
        self.open()

    @final
    cdef void hold(self, data, bint is_last):
        self.view = View(data)
        self.data = <const uint8_t *>self.view.buffer.buf
        self.size = self.view.buffer.len
        self.at = 0
        self.is_last = is_last
        self.needed = 0

    @property
    def position(self):
        return self.base + self.at

    @property
    def done(self):
        """Bytes of this piece that need not be given again, and how many from there on are needed at least."""
        return self.at, self.needed

    @property
    def application(self):
        return self.application_name[: self.application_size]

    @property
    def link_type(self):
        return self.interfaces[0].link_type if self.interface_count else -1

    @property
    def fault(self):
        return FAULTS[self.fault_code], self.fault_detail

    @final
    cdef void open(self):
        """Read the file header of a pcap; a pcapng section or an ESP32 record is one like others."""
        cdef uint32_t little, big, magic
        if self.size < 4:
            self.fault_code = FAULT_NOT_CAPTURE
            return
        little = le32(self.data)
        big = be32(self.data)
        if little == BLOCK_SECTION:
            self.is_pcapng = True
            return
        if READS_ESP32 and little & 0xFFFFFF == ESP32_MAGIC | ESP32_MARK << 16:
            self.is_esp32 = True
            self.interfaces[0].link_type = LINK_ESP32
            self.interface_count = 1
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

    @final
    cdef inline uint16_t u16(self, int64_t at) noexcept nogil:
        cdef const uint8_t *p = self.data + at
        return <uint16_t>(p[0] << 8 | p[1]) if self.big_endian else le16(p)

    @final
    cdef inline uint32_t u32(self, int64_t at) noexcept nogil:
        return be32(self.data + at) if self.big_endian else le32(self.data + at)

    @final
    cdef inline uint64_t u64(self, int64_t at) noexcept nogil:
        if self.big_endian:
            return <uint64_t>be32(self.data + at) << 32 | be32(self.data + at + 4)
        return <uint64_t>le32(self.data + at + 4) << 32 | le32(self.data + at)

    @final
    cdef inline bint stop(self, int fault, uint32_t detail) noexcept nogil:
        self.fault_code = fault
        self.fault_detail = detail
        return False

    @final
    cdef bint check_link(self, uint16_t link_type) noexcept nogil:
        """A capture without any interface that is wanted is refused at its first packet or header."""
        return is_wanted(link_type) or self.stop(FAULT_LINK_TYPE, link_type)

    @final
    cdef inline bint next_packet(self, Packet *packet) noexcept nogil:
        """Find the next packet; False at the end, at a truncation or at a fault."""
        if self.is_esp32:
            return self.next_heard(packet)
        if self.fault_code != FAULT_NONE or self.at >= self.size:
            return False
        return self.next_block(packet) if self.is_pcapng else self.next_record(packet)

    @final
    cdef bint wait(self, int64_t needed) noexcept nogil:
        """What starts at `at` is not whole: more is to come, or the capture was cut."""
        if self.is_last:
            self.truncated = 1
            self.at = self.size
        else:
            self.needed = needed
        return False

    @final
    cdef bint next_heard(self, Packet *packet) noexcept nogil:
        """One heard frame of ESP32 records; marks set the clock, damage is stepped over and counted."""
        cdef const uint8_t *p
        cdef int64_t left, length
        while self.at < self.size:
            p = self.data + self.at
            left = self.size - self.at
            length = esp32_length(p, left)
            if length > left and not self.is_last:
                return self.wait(length)
            if length < 0 or length > left:
                if self.damage.run == 0:
                    self.damage.is_cut = length > left
                self.damage.run += 1
                self.at += 1
                continue
            end_damage(&self.damage)
            self.at += length
            if p[2] == ESP32_MARK:
                set_clock(&self.clock, p)
                continue
            packet.head = p
            packet.data = p + ESP32_HEAD_BYTES
            packet.original_size = le16(p + 8)
            packet.size = le16(p + 10)
            packet.time_us = unwrap(&self.clock, le32(p + 4), &packet.has_time)
            return True
        if self.is_last and self.damage.run:
            self.truncated = self.damage.is_cut
            if self.damage.is_cut:
                self.damage.run = 0
            end_damage(&self.damage)
        return False

    @final
    cdef inline bint next_record(self, Packet *packet) noexcept nogil:
        """One packet of a classic pcap."""
        cdef int64_t left = self.size - self.at, at = self.at
        cdef uint32_t fraction
        if left < PCAP_PACKET_BYTES:
            return self.wait(PCAP_PACKET_BYTES)
        packet.size = self.u32(at + 8)
        packet.original_size = self.u32(at + 12)
        if packet.size > MAX_PACKET_BYTES:
            return self.stop(FAULT_PACKET_SIZE, packet.size)
        if packet.size > left - PCAP_PACKET_BYTES:
            return self.wait(PCAP_PACKET_BYTES + <int64_t>packet.size)
        fraction = self.u32(at + 4)
        packet.time_us = <int64_t>self.u32(at) * 1000000 + (fraction // 1000 if self.nanoseconds else fraction)
        packet.has_time = self.u32(at) < <uint32_t>MAX_TIME_S
        packet.head = NULL
        packet.link_type = self.interfaces[0].link_type
        packet.data = self.data + at + PCAP_PACKET_BYTES
        self.at = at + PCAP_PACKET_BYTES + packet.size
        return True

    @final
    cdef bint next_block(self, Packet *packet) noexcept nogil:
        """Take pcapng blocks up to and including the next one that holds a packet."""
        cdef int64_t at
        cdef uint32_t kind, length
        cdef bint found = False
        while not found and self.at < self.size:
            at = self.at
            if self.size - at < 12:
                return self.wait(12)
            kind = le32(self.data + at)  # the section's own number reads the same both ways
            if kind == BLOCK_SECTION and not self.start_section():
                return False
            kind = self.u32(at)
            length = self.u32(at + 4)
            if length < 12 or length & 3 or length > MAX_BLOCK_BYTES:
                return self.stop(FAULT_BLOCK_SIZE, length)
            if length > self.size - at:
                return self.wait(length)
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

    @final
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

    @final
    cdef void read_section(self, int64_t at, int64_t end) noexcept nogil:
        cdef int64_t value
        cdef uint16_t size = 0
        if at > end:
            return
        value = self.find_option(at, end, OPTION_APPLICATION, &size)
        if value and not self.application_size:
            self.application_size = min(size, <uint16_t>MAX_APPLICATION_BYTES)
            memcpy(self.application_name, self.data + value, self.application_size)

    @final
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

    @final
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
        self.seen_wanted = self.seen_wanted or is_wanted(interface.link_type)
        return True

    @final
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
        if not self.seen_wanted and not self.check_link(interface.link_type):
            return False
        packet.head = NULL
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
