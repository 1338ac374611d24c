"""BLE sniffer captures and scan reports to ADVERT rows. Reads bytes only; keeps no address and no name."""

from cython cimport final
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from hostkit.core._dot11 import FRAME

include "key.pxi"


cdef extern from "ble.h" nogil:
    enum:
        BLE_ACCESS_ADDRESS
        BLE_CRC_BYTES

    ctypedef enum ble_verdict:
        BLE_ADVERTISEMENT
        BLE_TOO_SHORT
        BLE_OTHER_PDU
        BLE_NO_ADDRESS

    ctypedef struct ble_advert:
        dot11_probe sighting
        uint16_t company
        uint16_t service
        int8_t tx_dbm
        uint8_t address
        uint8_t pdu

    enum:
        DOT11_MALFORMED
        DOT11_RANDOMISED

    int ble_address_kind(const uint8_t *address, int is_random) noexcept
    uint32_t ble_crc24(const uint8_t *pdu, size_t size) noexcept
    ble_verdict ble_parse_pdu(const dot11_key *key, const uint8_t *pdu, size_t size, ble_advert *out) noexcept
    int ble_is_shaped(const ble_advert *advert) noexcept
    ble_verdict ble_record(
        const dot11_key *key,
        const uint8_t *address,
        unsigned address_type,
        unsigned event_type,
        const uint8_t *ad,
        size_t size,
        const dot11_reception *reception,
        uint8_t *out
    ) noexcept
    uint32_t ble_shape_version() noexcept

cdef enum:
    LINK_PHDR = 256  # LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR
    LINK_NORDIC = 272  # LINKTYPE_NORDIC_BLE
    READS_ESP32 = 0

cdef inline bint is_wanted(uint16_t link_type) noexcept nogil:
    return link_type == LINK_PHDR or link_type == LINK_NORDIC

include "container.pxi"
include "blesniffer.pxi"


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
    uint16_t company
    uint16_t service
    int8_t tx_dbm
    uint8_t address
    uint8_t pdu
    uint8_t reserved

ADVERT = np.dtype(
    [
        *((name, FRAME[name]) for name in FRAME.names),  # ssid_key and sequence are 0; channel is BLE's channel index
        ("company", "<u2"),  # of the first manufacturer data; 0xFFFF: none
        ("service", "<u2"),  # first 16-bit service UUID, listed or with data; 0: none
        ("tx_dbm", "i1"),  # as sent; 127: not
        ("address", "u1"),  # AddressKind
        ("pdu", "u1"),  # Pdu
        ("reserved", "u1"),
    ]
)

cdef enum Status:
    STATUS_BACKWARDS = 2
    STATUS_SHAPELESS = 8

# Why a packet was not kept; the order is that of SKIP_REASONS.
cdef enum Skip:
    SKIP_TOO_SHORT
    SKIP_OTHER_PDU
    SKIP_NO_ADDRESS
    SKIP_BAD_HEADER
    SKIP_BAD_CRC
    SKIP_OTHER_ACCESS
    SKIP_NO_RSSI
    SKIP_NO_TIME
    SKIP_OTHER_LINK
    SKIP_COUNT

SKIP_REASONS = (
    "too_short",
    "other_pdu",
    "no_address",
    "bad_header",
    "bad_crc",
    "other_access_address",
    "no_rssi",
    "no_time",
    "other_link_type",
)

cdef struct Tally:
    int64_t packets, frames, malformed, randomised, shapeless, extended, backwards
    int64_t skipped[SKIP_COUNT]


@final
cdef class Reader(Container):
    """The advertisements of a capture as rows, and a count of everything else."""

    cdef dot11_key key
    cdef int64_t newest_us
    cdef Tally tally

    def __init__(self, data, bytes key, bint is_last=True):
        load_key(&self.key, key)

    def go_on(self, data, bint is_last):
        """Hold the next piece, which begins where `done` of this one ends."""
        self.base += self.at
        self.hold(data, is_last)

    @property
    def packets(self):
        return self.tally.packets

    @property
    def totals(self):
        cdef Tally t = self.tally
        cdef int reason
        return (
            (t.packets, t.frames, t.malformed, t.randomised, t.shapeless, t.extended, t.backwards, self.truncated),
            tuple([t.skipped[reason] for reason in range(<int>SKIP_COUNT)]),
        )

    def read(self, int64_t max_frames):
        """Give the next rows as an array of ADVERT, at most `max_frames`; fewer at the end or before a fault."""
        cdef int64_t room = min(max_frames, (self.size - self.at) // 32 + 1)
        rows = np.empty(room, ADVERT)
        cdef char[::1] raw = rows.view(np.int8)
        cdef Row *first = <Row *>&raw[0]
        cdef int64_t kept
        with nogil:
            kept = self.fill(first, room)
        return rows[:kept]

    cdef int64_t fill(self, Row *rows, int64_t room) noexcept nogil:
        cdef Packet packet
        cdef int64_t kept = 0
        while kept < room and self.next_packet(&packet):
            self.tally.packets += 1
            kept += self.keep(&packet, rows + kept)
        return kept

    cdef inline int64_t skip(self, int reason) noexcept nogil:
        self.tally.skipped[reason] += 1
        return 0

    cdef inline int64_t keep(self, const Packet *packet, Row *row) noexcept nogil:
        """Parse one packet into `row`; 1 if it was an advertisement with time and RSSI, else 0 and counted."""
        cdef Heard heard
        cdef ble_advert advert
        cdef ble_verdict verdict
        if not is_wanted(packet.link_type):
            return self.skip(SKIP_OTHER_LINK)
        if not read_header(packet, &heard):
            return self.skip(SKIP_BAD_HEADER)
        if heard.crc == CRC_BAD:
            return self.skip(SKIP_BAD_CRC)
        if heard.size < 2 or heard.size < <uint32_t>(2 + heard.pdu[1] + BLE_CRC_BYTES):
            return self.skip(SKIP_TOO_SHORT)
        if heard.access_address != <uint32_t>BLE_ACCESS_ADDRESS:
            return self.skip(SKIP_OTHER_ACCESS)
        if heard.crc == CRC_UNCHECKED and not crc_holds(&heard):
            return self.skip(SKIP_BAD_CRC)
        verdict = ble_parse_pdu(&self.key, heard.pdu, 2 + heard.pdu[1], &advert)
        if verdict != BLE_ADVERTISEMENT:
            return self.skip(SKIP_TOO_SHORT + (verdict - BLE_TOO_SHORT))
        if heard.rssi_dbm == 0:
            return self.skip(SKIP_NO_RSSI)
        if not packet.has_time:
            return self.skip(SKIP_NO_TIME)
        fill_row(row, &advert)
        row.time_us = packet.time_us
        row.rssi_dbm = heard.rssi_dbm
        row.noise_dbm = heard.noise_dbm
        row.channel = heard.channel
        self.count(row)
        return 1

    cdef inline void count(self, Row *row) noexcept nogil:
        self.tally.frames += 1
        if row.time_us < self.newest_us:
            row.status |= STATUS_BACKWARDS
            self.tally.backwards += 1
        self.newest_us = row.time_us
        self.tally.malformed += (row.flags & DOT11_MALFORMED) != 0
        self.tally.randomised += (row.flags & DOT11_RANDOMISED) != 0
        self.tally.shapeless += (row.status & STATUS_SHAPELESS) != 0
        self.tally.extended += row.pdu == 7


cdef inline bint crc_holds(const Heard *heard) noexcept nogil:
    cdef const uint8_t *crc = heard.pdu + 2 + heard.pdu[1]
    return ble_crc24(heard.pdu, 2 + heard.pdu[1]) == <uint32_t>(crc[0] | crc[1] << 8 | crc[2] << 16)


cdef inline void fill_row(Row *row, const ble_advert *advert) noexcept nogil:
    memset(row, 0, sizeof(Row))
    row.device_key = advert.sighting.device_key
    row.fingerprint = advert.sighting.fingerprint
    row.element_mask = advert.sighting.element_mask
    row.flags = advert.sighting.flags
    row.element_count = advert.sighting.element_count
    row.status = 0 if ble_is_shaped(advert) else STATUS_SHAPELESS
    row.company = advert.company
    row.service = advert.service
    row.tx_dbm = advert.tx_dbm
    row.address = advert.address
    row.pdu = advert.pdu


def parse_pdu(bytes pdu, bytes key):
    """The row of one bare PDU, one element, and 0; or none and the reason, 1 + its place in SKIP_REASONS."""
    cdef dot11_key loaded
    cdef ble_advert advert
    cdef ble_verdict verdict
    load_key(&loaded, key)
    verdict = ble_parse_pdu(&loaded, <const uint8_t *>pdu, <size_t>len(pdu), &advert)
    rows = np.zeros(1 if verdict == BLE_ADVERTISEMENT else 0, ADVERT)
    cdef char[::1] raw
    if verdict == BLE_ADVERTISEMENT:
        raw = rows.view(np.int8)
        fill_row(<Row *>&raw[0], &advert)
    return rows, <int>verdict


def record(
    bytes address, unsigned address_type, unsigned event_type, bytes ad, bytes key, uint32_t offset_us, int8_t rssi_dbm
):
    """The wire record of one scan report, by the probe's own code; empty where it keeps none."""
    cdef dot11_key loaded
    cdef dot11_reception reception = dot11_reception(offset_us, rssi_dbm, 0, 0)
    cdef uint8_t[DOT11_RECORD_BYTES] out
    cdef ble_verdict verdict
    if len(address) != DOT11_ADDRESS_BYTES:
        raise ValueError(f"an address has {DOT11_ADDRESS_BYTES} bytes")
    load_key(&loaded, key)
    verdict = ble_record(
        &loaded, <const uint8_t *>address, address_type, event_type,
        <const uint8_t *>ad, <size_t>len(ad), &reception, out,
    )
    return <bytes>out[:DOT11_RECORD_BYTES] if verdict == BLE_ADVERTISEMENT else b""


def address_kind(bytes address, bint is_random):
    if len(address) != DOT11_ADDRESS_BYTES:
        raise ValueError(f"an address has {DOT11_ADDRESS_BYTES} bytes")
    return ble_address_kind(<const uint8_t *>address, is_random)


def crc24(bytes pdu):
    """CRC of an advertising PDU, its first octet on the air lowest."""
    return ble_crc24(<const uint8_t *>pdu, <size_t>len(pdu))


def shape_version():
    """Hash of the shape table and of the hash's own revision."""
    return ble_shape_version()
