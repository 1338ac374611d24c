# What a BLE sniffer writes before a packet of the air. Reads no octet past the packet.
# 256: tcpdump.org/linktypes/LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR.html; 272: Nordic's nRF Sniffer, versions 1 to 3 of its
# header, as Wireshark's packet-nordic_ble.c reads them.

cdef enum Crc:
    CRC_GOOD
    CRC_BAD
    CRC_UNCHECKED

# One packet of the air: PDU from its header on, and what the sniffer says of it.
cdef struct Heard:
    const uint8_t *pdu
    uint32_t size  # of PDU and CRC, as captured
    uint32_t access_address
    Crc crc
    int8_t rssi_dbm  # 0: unknown
    int8_t noise_dbm  # 0: unknown
    uint8_t channel  # index: 37 to 39 primary, 0 to 36 secondary

cdef enum:
    PHDR_BYTES = 10
    PHDR_DEWHITENED = 0x0001
    PHDR_SIGNAL = 0x0002
    PHDR_NOISE = 0x0004
    PHDR_CRC_CHECKED = 0x0400
    PHDR_CRC_VALID = 0x0800
    NORDIC_BYTES = 17
    NORDIC_UART_BYTES = 6
    NORDIC_EVENT_BYTES = 10
    NORDIC_CRC_OK = 0x01
    PHY_CODED = 2
    MAX_CHANNEL = 39


cdef inline uint8_t channel_index(uint8_t radio_channel) noexcept nogil:
    """Index of a physical channel 0 to 39, in order of frequency (Core Vol 6 Part B 1.4.1)."""
    if radio_channel == 0:
        return 37
    if radio_channel == 12:
        return 38
    if radio_channel == 39:
        return 39
    return radio_channel - (1 if radio_channel < 12 else 2)


cdef inline bint read_header(const Packet *packet, Heard *heard) noexcept nogil:
    """Fill `heard`; False where the header is not whole, contradicts itself or its version is unknown."""
    if packet.link_type == LINK_NORDIC:
        return read_nordic(packet.data, packet.size, heard)
    return read_phdr(packet.data, packet.size, heard)


cdef inline bint read_phdr(const uint8_t *p, uint32_t size, Heard *heard) noexcept nogil:
    cdef uint16_t flags
    if size < PHDR_BYTES:
        return False
    flags = le16(p + 8)
    if not flags & PHDR_DEWHITENED or p[0] > MAX_CHANNEL:
        return False
    heard.channel = channel_index(p[0])
    heard.rssi_dbm = <int8_t>p[1] if flags & PHDR_SIGNAL else 0
    heard.noise_dbm = <int8_t>p[2] if flags & PHDR_NOISE else 0
    heard.crc = CRC_UNCHECKED
    if flags & PHDR_CRC_CHECKED:
        heard.crc = CRC_GOOD if flags & PHDR_CRC_VALID else CRC_BAD
    return find_pdu(p + PHDR_BYTES, size - PHDR_BYTES, flags >> 14, heard)


cdef inline bint read_nordic(const uint8_t *p, uint32_t size, Heard *heard) noexcept nogil:
    cdef uint32_t behind, phy
    if size < NORDIC_BYTES or p[7] != NORDIC_EVENT_BYTES or not 1 <= p[3] <= 3 or p[9] > MAX_CHANNEL:
        return False
    if p[3] == 1:
        if p[1] != NORDIC_UART_BYTES:
            return False
        behind = p[2]
        phy = 0  # its flags have no room for it
    else:
        behind = le16(p + 1)
        phy = p[8] >> 4 & 7
    if behind < NORDIC_EVENT_BYTES:
        return False
    heard.channel = p[9]
    heard.rssi_dbm = -<int8_t>p[10] if p[10] < 128 else 0
    heard.noise_dbm = 0
    heard.crc = CRC_GOOD if p[8] & NORDIC_CRC_OK else CRC_BAD
    return find_pdu(p + NORDIC_BYTES, min(size - NORDIC_BYTES, behind - NORDIC_EVENT_BYTES), phy, heard)


cdef inline bint find_pdu(const uint8_t *p, uint32_t size, uint32_t phy, Heard *heard) noexcept nogil:
    """Split access address, on the coded PHY its coding indicator, and PDU."""
    cdef uint32_t before = 5 if phy == PHY_CODED else 4
    if size < before:
        return False
    heard.access_address = le32(p)
    heard.pdu = p + before
    heard.size = size - before
    return True
