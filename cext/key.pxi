# The site key as the native code takes it.

cdef extern from "dot11.h" nogil:
    enum:
        DOT11_KEY_BYTES
        DOT11_ADDRESS_BYTES
        DOT11_RECORD_BYTES

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

    void dot11_key_load(dot11_key *key, const uint8_t *data) noexcept


cdef int load_key(dot11_key *loaded, bytes key) except -1:
    if len(key) != DOT11_KEY_BYTES:
        raise ValueError(f"a key has {DOT11_KEY_BYTES} bytes, not {len(key)}")
    dot11_key_load(loaded, <const uint8_t *>key)
    return 0
