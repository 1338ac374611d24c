"""Captures and bare 802.11 frames to FRAME rows. Reads bytes only; refuses what it cannot place by an error code."""

from cython cimport final
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

import numpy as np

include "key.pxi"


cdef extern from "dot11.h" nogil:
    enum:
        DOT11_MASKED_MOST

    ctypedef enum dot11_verdict:
        DOT11_PROBE_REQUEST
        DOT11_TOO_SHORT
        DOT11_UNKNOWN_VERSION
        DOT11_NOT_MANAGEMENT
        DOT11_OTHER_SUBTYPE
        DOT11_ENCRYPTED
        DOT11_NO_ROOM

    enum:
        DOT11_RANDOMISED
        DOT11_RETRY
        DOT11_MALFORMED

    ctypedef struct dot11_rule:
        uint32_t code
        uint32_t select
        uint8_t space
        uint8_t treat
        uint8_t bit
        uint8_t[64] clear

    uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size) noexcept
    dot11_verdict dot11_parse(const dot11_key *key, const uint8_t *frame, size_t size, dot11_probe *out) noexcept
    dot11_verdict dot11_record(
        const dot11_key *key, const uint8_t *frame, size_t size, const dot11_reception *reception, uint8_t *out
    ) noexcept
    dot11_verdict dot11_describe(
        const uint8_t *frame, size_t size, uint8_t *out, size_t room, size_t *used
    ) noexcept
    int dot11_fingerprint_of(const uint8_t *description, size_t size, uint32_t *fingerprint) noexcept
    int dot11_element_rule(size_t index, dot11_rule *out) noexcept
    uint32_t dot11_fingerprint_version() noexcept

cdef enum:
    LINK_RADIOTAP = 127
    READS_ESP32 = 1


cdef inline bint is_wanted(uint16_t link_type) noexcept nogil:
    return link_type == LINK_RADIOTAP

include "container.pxi"
include "radiotap.pxi"


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
    SKIP_ENCRYPTED
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
    "encrypted",
    "bad_radiotap",
    "bad_fcs",
    "no_rssi",
    "no_time",
    "other_link_type",
)

cdef enum:
    KEPT = -1  # beside Skip
    FCS_BYTES = 4
    HEADER_BYTES = 24  # DOT11_HEADER_BYTES
    PROBE_REQUEST = 0x40  # the only frame control that dot11_parse takes
    NOT_PLAIN = 0xC0  # +HTC: the elements begin later; protected: there are none to read
    MAX_CLASSES = 65536
    SEEN_BITS = 11  # 2 ** SEEN_BITS bodies, a direct-mapped table that a level 2 cache holds
    SEEN_FRAMES = 2048
    SEEN_LEAST_BYTES = 32
    MET_BITS = 10
    MET_ADDRESSES = 1024


# Elements met before and what they came to: a scan repeats them to the octet, and phones of one model share them.
cdef struct Seen:
    const uint8_t *body  # inside the capture
    size_t size
    dot11_probe probe


# An address met before and its key. Inside the reader alone, like the capture itself.
cdef struct Met:
    uint64_t address  # 48 bits and VALID
    uint64_t key

cdef enum:
    VALID_BIT = 63


cdef struct Tally:
    int64_t packets, frames, malformed, retries, randomised, cut, backwards
    int64_t skipped[SKIP_COUNT]


cdef inline uint64_t le64(const uint8_t *p) noexcept nogil:
    return <uint64_t>le32(p + 4) << 32 | le32(p)


cdef inline size_t slot_of(const uint8_t *body, size_t size) noexcept nogil:
    """By every octet, in four sums that a processor works on side by side; at least 32, the last ones twice."""
    cdef uint64_t a = size, b = 0, c = 0, d = 0, odd = 0x9E3779B97F4A7C15
    cdef const uint8_t *p = body
    cdef const uint8_t *last = body + size - 32
    while True:
        a = (a ^ le64(p)) * odd
        b = (b ^ le64(p + 8)) * odd
        c = (c ^ le64(p + 16)) * odd
        d = (d ^ le64(p + 24)) * odd
        if p == last:
            break
        p = p + 32 if p + 32 < last else last
    return ((a ^ b >> 29) * odd + (c ^ d >> 31) * odd) >> (64 - SEEN_BITS)


cdef inline void fill_row(Row *row, const dot11_probe *probe) noexcept nogil:
    row.device_key = probe.device_key
    row.fingerprint = probe.fingerprint
    row.ssid_key = probe.ssid_key
    row.element_mask = probe.element_mask
    row.sequence = probe.sequence
    row.channel = probe.channel
    row.flags = probe.flags
    row.element_count = probe.element_count


# One packet as the radio delivered it: a frame and what is known besides its bytes.
cdef struct Heard:
    const uint8_t *frame
    uint32_t size  # captured, without FCS
    uint32_t whole  # on the air, without FCS
    int8_t rssi_dbm  # 0: unknown
    int8_t noise_dbm
    uint8_t channel  # tuned; 0: see mhz
    uint16_t mhz  # tuned; 0: unknown


@final
cdef class Reader(Container):
    """The probe requests of a capture as rows, and a count of everything else.

    `classify` gives the fingerprint to put in place of that of a description; it is asked once for each that is new.
    """

    cdef dot11_key key
    cdef Layout layout
    cdef uint32_t layout_present
    cdef int64_t newest_us
    cdef Seen seen[SEEN_FRAMES]
    cdef Met met[MET_ADDRESSES]
    cdef Tally tally
    cdef const uint8_t *kept  # the frame of the row read last
    cdef size_t kept_size
    cdef object classify, failure
    cdef dict classes
    cdef bint classifies, has_last
    cdef uint32_t last_static, last_class

    def __init__(self, data, bytes key, bint is_last=True, classify=None):
        load_key(&self.key, key)
        self.classify = classify
        self.classifies = classify is not None
        self.classes = {}

    @property
    def packets(self):
        return self.tally.packets

    @property
    def totals(self):
        cdef Tally t = self.tally
        cdef int reason
        return (
            (
                t.packets, t.frames, t.malformed, t.retries, t.randomised, t.cut, t.backwards, self.truncated,
                self.damage.places, self.damage.octets,
            ),
            tuple([t.skipped[reason] for reason in range(<int>SKIP_COUNT)]),
        )

    @property
    def last_elements(self):
        """Element bytes of the frame of the row read last, SSID included, and whether its address names a group."""
        cdef size_t header = 24
        if self.kept == NULL:
            return b"", False
        if self.kept[1] & 0x80:
            header = min(<size_t>28, self.kept_size)  # +HTC
        return self.kept[header : self.kept_size], self.kept[10] & 1 == 1

    def go_on(self, data, bint is_last):
        """Hold the next piece, which begins where `done` of this one ends."""
        self.base += self.at
        self.hold(data, is_last)
        memset(self.seen, 0, sizeof(self.seen))  # they point into the piece before
        memset(self.met, 0, sizeof(self.met))  # an address lives no longer than its piece
        self.kept = NULL

    def read(self, int64_t max_frames):
        """Give the next rows as an array of FRAME, at most `max_frames`; fewer at the end or before a fault."""
        cdef int64_t room = min(max_frames, (self.size - self.at) // 40 + 1)
        rows = np.empty(room, FRAME)
        cdef char[::1] raw = rows.view(np.int8)
        cdef Row *first = <Row *>&raw[0]
        cdef int64_t kept
        with nogil:
            kept = self.fill(first, room)
        self.raise_failure()
        return rows[:kept]

    def read_packets(self, int64_t max_packets):
        """Give a row for each of the next packets, and why it is none (an index of SKIP_REASONS; -1: it is one)."""
        rows = np.zeros(max_packets, FRAME)
        reasons = np.empty(max_packets, np.int8)
        cdef char[::1] raw = rows.view(np.int8)
        cdef Row *row = <Row *>&raw[0]
        cdef int8_t[::1] out = reasons
        cdef Packet packet
        cdef int64_t count = 0
        while count < max_packets and self.next_packet(&packet):
            self.tally.packets += 1
            out[count] = <int8_t>self.keep(&packet, row + count)
            count += 1
        self.raise_failure()
        return rows[:count], reasons[:count]

    cdef int raise_failure(self) except -1:
        if self.failure is not None:
            raise self.failure
        return 0

    cdef int64_t fill(self, Row *rows, int64_t room) noexcept nogil:
        cdef Packet packet
        cdef int64_t kept = 0
        while kept < room and self.next_packet(&packet):
            self.tally.packets += 1
            kept += self.keep(&packet, rows + kept) == KEPT
        return kept

    cdef inline int skip(self, int reason) noexcept nogil:
        self.tally.skipped[reason] += 1
        return reason

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

    cdef inline uint64_t key_of(self, const uint8_t *address) noexcept nogil:
        """The device key; one met before is only looked up."""
        cdef uint64_t packed = <uint64_t>1 << VALID_BIT | <uint64_t>le16(address + 4) << 32 | le32(address)
        cdef Met *met = &self.met[packed * <uint64_t>0x9E3779B97F4A7C15 >> (64 - MET_BITS)]
        if met.address != packed:
            met.address = packed
            met.key = dot11_siphash(&self.key, address, DOT11_ADDRESS_BYTES)
        return met.key

    cdef inline dot11_verdict parse(self, const uint8_t *frame, size_t size, dot11_probe *probe) noexcept nogil:
        """As dot11_parse, but elements met before are only compared. Changes the time it takes and nothing else."""
        cdef size_t count = size - HEADER_BYTES
        cdef const uint8_t *body = frame + HEADER_BYTES
        cdef Seen *seen
        cdef dot11_verdict verdict
        if size < HEADER_BYTES + SEEN_LEAST_BYTES or frame[0] != PROBE_REQUEST or frame[1] & NOT_PLAIN:
            return dot11_parse(&self.key, frame, size, probe)
        seen = &self.seen[slot_of(body, count)]
        if seen.size == count and memcmp(seen.body, body, count) == 0:
            probe[0] = seen.probe
            probe.device_key = self.key_of(frame + 10)
            probe.sequence = le16(frame + 22) >> 4
            probe.flags = <uint8_t>(
                seen.probe.flags & DOT11_MALFORMED
                | (DOT11_RANDOMISED if frame[10] & 2 else 0)
                | (DOT11_RETRY if frame[1] & 8 else 0)
            )
            return DOT11_PROBE_REQUEST
        verdict = dot11_parse(&self.key, frame, size, probe)
        seen.body = body
        seen.size = count
        seen.probe = probe[0]
        return verdict

    cdef inline int hear_radiotap(self, const Packet *packet, Heard *heard) noexcept nogil:
        """KEPT, or why the packet holds no frame."""
        cdef uint32_t length, end = packet.size, whole = max(packet.original_size, packet.size)
        cdef uint8_t radio_flags
        cdef const uint8_t *header = packet.data
        cdef Layout layout
        if end < 8 or header[0] != 0:
            return SKIP_BAD_RADIOTAP
        length = le16(header + 2)
        if length < 8 or length > end or not self.find_fields(header, length, &layout):
            return SKIP_BAD_RADIOTAP
        radio_flags = header[layout.flags] if layout.flags else 0
        if radio_flags & RADIO_BAD_FCS:
            return SKIP_BAD_FCS
        if radio_flags & RADIO_FCS:
            if whole < length + FCS_BYTES:
                return SKIP_TOO_SHORT
            whole -= FCS_BYTES
        heard.frame = header + length
        heard.size = min(end, whole) - length
        heard.whole = whole - length
        heard.rssi_dbm = <int8_t>header[layout.rssi] if layout.rssi else 0
        heard.noise_dbm = <int8_t>header[layout.noise] if layout.noise else 0
        heard.channel = 0
        heard.mhz = le16(header + layout.channel) if layout.channel else 0
        return KEPT

    cdef inline int hear_esp32(self, const Packet *packet, Heard *heard) noexcept nogil:
        """Likewise; a receive state other than 0 is an error of reception."""
        if packet.head[3] != 0:
            return SKIP_BAD_FCS
        if packet.original_size < FCS_BYTES:
            return SKIP_TOO_SHORT
        heard.frame = packet.data
        heard.whole = packet.original_size - FCS_BYTES
        heard.size = min(packet.size, heard.whole)
        heard.rssi_dbm = <int8_t>packet.head[12]
        heard.noise_dbm = <int8_t>packet.head[13]
        heard.channel = packet.head[14]
        heard.mhz = 0
        return KEPT

    cdef inline int keep(self, const Packet *packet, Row *row) noexcept nogil:
        """Parse one packet into `row`; KEPT if it was a probe request with time and RSSI, else counted and why."""
        cdef Heard heard
        cdef dot11_probe probe
        cdef dot11_verdict verdict
        cdef int reason
        if packet.head != NULL:
            reason = self.hear_esp32(packet, &heard)
        elif packet.link_type == LINK_RADIOTAP:
            reason = self.hear_radiotap(packet, &heard)
        else:
            reason = SKIP_OTHER_LINK
        if reason != KEPT:
            return self.skip(reason)
        verdict = self.parse(heard.frame, heard.size, &probe)
        if verdict != DOT11_PROBE_REQUEST:
            return self.skip(SKIP_TOO_SHORT + (verdict - DOT11_TOO_SHORT))
        if heard.rssi_dbm == 0:
            return self.skip(SKIP_NO_RSSI)
        if not packet.has_time:
            return self.skip(SKIP_NO_TIME)
        fill_row(row, &probe)
        row.time_us = packet.time_us
        row.rssi_dbm = heard.rssi_dbm
        row.noise_dbm = heard.noise_dbm
        row.status = STATUS_CUT if heard.size < heard.whole else 0
        if not probe.channel:
            row.status |= STATUS_TUNED
            row.channel = heard.channel if heard.channel else channel_of(heard.mhz)
        self.kept = heard.frame
        self.kept_size = heard.size
        if self.classifies:
            row.fingerprint = self.class_of(&heard, probe.fingerprint)
        self.count(row)
        return KEPT

    cdef uint32_t class_of(self, const Heard *heard, uint32_t fingerprint) noexcept nogil:
        """What `classify` makes of the frame, by its fingerprint."""
        if fingerprint != self.last_static or not self.has_last:
            with gil:
                try:
                    self.last_class = self.ask_class(heard, fingerprint)
                    self.last_static = fingerprint
                    self.has_last = True
                except Exception as error:
                    self.failure = error
        return self.last_class

    cdef uint32_t ask_class(self, const Heard *heard, uint32_t fingerprint) except? 0:
        known = self.classes.get(fingerprint)
        if known is None:
            if len(self.classes) >= MAX_CLASSES:
                self.classes.clear()  # an attacker's doing: then it is slow, not large
            known = self.classify(describe(heard.frame[:heard.size]))
            self.classes[fingerprint] = known
        return <uint32_t>known

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


def describe(bytes frame):
    """What the fingerprint of a bare probe request is made of, as reduced elements; None for another frame."""
    cdef size_t room = 6 * <size_t>len(frame) + 16, used = 0  # an empty vendor element grows from 2 to 11 octets
    out = bytearray(room)
    cdef uint8_t *first = out
    if dot11_describe(<const uint8_t *>frame, <size_t>len(frame), first, room, &used) != DOT11_PROBE_REQUEST:
        return None
    return bytes(out[:used])


def fingerprint_of(bytes description):
    """The fingerprint of every frame with that description; None if it is no description."""
    cdef uint32_t fingerprint = 0
    if not dot11_fingerprint_of(<const uint8_t *>description, <size_t>len(description), &fingerprint):
        return None
    return fingerprint


def siphash(const uint8_t[::1] data, bytes key):
    """SipHash-2-4 of `data` under a 16-byte key."""
    cdef dot11_key loaded
    load_key(&loaded, key)
    return dot11_siphash(&loaded, &data[0] if data.shape[0] else NULL, <size_t>data.shape[0])


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
    """The static table as (space, code, select, treatment, mask bit, octets of bits that MASKED clears)."""
    cdef dot11_rule rule
    cdef size_t i = 0
    rows = []
    while dot11_element_rule(i, &rule):
        rows.append((rule.space, rule.code, rule.select, rule.treat, rule.bit, <bytes>rule.clear[:DOT11_MASKED_MOST]))
        i += 1
    return tuple(rows)


def fingerprint_version():
    """Hash of the static table and of the hash's own revision."""
    return dot11_fingerprint_version()
