/* One 802.11 probe request to one sighting, the same on the probe and on the hub. Allocates nothing, keeps no
 * state, reads nothing past the end of the frame and leaves no address in what it returns. C99, string.h only. */
#ifndef FOOTFALL_DOT11_H
#define FOOTFALL_DOT11_H

#include <stddef.h>
#include <stdint.h>

#define DOT11_KEY_BYTES 16
#define DOT11_ADDRESS_BYTES 6
#define DOT11_HEADER_BYTES 24  /* frame control .. sequence control; elements follow (IEEE 802.11-2020, 9.3.3.1) */
#define DOT11_RECORD_BYTES 26  /* hostkit.core.wire.RECORD */
#define DOT11_MASKED_MOST 64   /* octets of an element that can be MASKED, its header included */

/* What dot11_parse made of a frame; anything but DOT11_PROBE_REQUEST leaves the output untouched. */
typedef enum {
    DOT11_PROBE_REQUEST,
    DOT11_TOO_SHORT,
    DOT11_UNKNOWN_VERSION,
    DOT11_NOT_MANAGEMENT,
    DOT11_OTHER_SUBTYPE,
    DOT11_ENCRYPTED, /* a probe request with the Protected Frame bit, which none may have (802.11-2020, 9.2.4.1.9) */
    DOT11_NO_ROOM /* of dot11_describe alone */
} dot11_verdict;

/* Bits of a sighting's flags: hostkit.core.wire.Flag. */
enum dot11_flag {
    DOT11_RANDOMISED = 1, /* locally administered address */
    DOT11_BLE = 2,
    DOT11_RETRY = 4,
    DOT11_MALFORMED = 8, /* elements ran past the frame's end; what was valid is kept */
    DOT11_REGISTERED = 16
};

/* How an element enters the fingerprint. */
enum dot11_class {
    DOT11_STABLE,   /* id, length and body; of a vendor's element OUI, type, length and a hash of the body */
    DOT11_MASKED,   /* id, length and body under a bit mask */
    DOT11_PRESENCE, /* id only (and extended id) */
    DOT11_TYPE,     /* id, OUI and vendor type only */
    DOT11_DROP      /* not at all */
};

/* One row of the static element table, for whoever wants to read it; see dot11_element_rule. */
enum dot11_space { DOT11_ELEMENT, DOT11_EXTENSION, DOT11_VENDOR };
typedef struct {
    uint32_t code;   /* element id, extended id, or OUI << 8 | vendor type */
    uint32_t select; /* bits of code that count: all but the type where a rule is for a whole OUI */
    uint8_t space;   /* enum dot11_space */
    uint8_t treat;   /* enum dot11_class */
    uint8_t bit;     /* of the element mask; 0: any element without one of its own */
    uint8_t clear[DOT11_MASKED_MOST]; /* what MASKED clears, by octet of the element with its header */
} dot11_rule;

typedef struct {
    uint64_t k0, k1;
} dot11_key;

typedef struct {
    uint64_t device_key;   /* SipHash-2-4 of the transmitter address */
    uint32_t fingerprint;  /* unkeyed hash of the elements under the static table */
    uint32_t ssid_key;     /* low half of SipHash-2-4 of the SSID; 0: wildcard or none */
    uint32_t element_mask; /* bit of each kind of element seen */
    uint16_t sequence;     /* 12 bits */
    uint8_t channel;       /* of the DS element; 0: none */
    uint8_t flags;         /* enum dot11_flag */
    uint8_t element_count; /* whole elements, saturates at 255 */
} dot11_probe;

/* What the radio knows of a frame besides its bytes. */
typedef struct {
    uint32_t offset_us; /* since the batch's base time */
    int8_t rssi_dbm;
    int8_t noise_dbm; /* 0: unknown */
    uint8_t channel;  /* tuned; the DS element wins over it */
} dot11_reception;

void dot11_key_load(dot11_key *key, const uint8_t bytes[DOT11_KEY_BYTES]);

/* SipHash-2-4 (Aumasson and Bernstein 2012), 64-bit output. */
uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size);

/* Reads one bare management frame without its FCS. */
dot11_verdict dot11_parse(const dot11_key *key, const uint8_t *frame, size_t size, dot11_probe *out);

/* The probe's path: parses and packs one wire record. */
dot11_verdict dot11_record(const dot11_key *key, const uint8_t *frame, size_t size,
                                const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES]);

/* Packs one wire record; the channel of `probe` wins over the tuned one. */
void dot11_pack(const dot11_probe *probe, const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES]);

/* What the fingerprint of a bare frame was made of, as elements of the same order: STABLE whole, MASKED under its mask,
 * PRESENCE and TYPE without a body, a STABLE vendor as OUI, type, length (1) and hash (4), DROP not at all. Needs at most
 * `room` octets, `*used` of them written; DOT11_NO_ROOM where that is too few (the first elements are then there). */
dot11_verdict dot11_describe(const uint8_t *frame, size_t size, uint8_t *out, size_t room, size_t *used);

/* The fingerprint of every frame with that description; 0 if it is none of dot11_describe's, else 1. */
int dot11_fingerprint_of(const uint8_t *description, size_t size, uint32_t *fingerprint);

/* Row `index` of the static table; 0 past its end, else 1. */
int dot11_element_rule(size_t index, dot11_rule *out);

/* Hash of the static table, its masks and the revision of the hash: equal versions give comparable fingerprints. */
uint32_t dot11_fingerprint_version(void);

#endif
