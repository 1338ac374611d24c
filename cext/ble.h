/* One BLE advertisement to one sighting, the same on the probe and on the hub. Allocates nothing, keeps no state,
 * reads nothing past the end and leaves no address, name or beacon identity in what it returns. C99, string.h only.
 * References: Bluetooth Core Specification 5.4; AD types: Core Specification Supplement 11 and Assigned Numbers. */
#ifndef FOOTFALL_BLE_H
#define FOOTFALL_BLE_H

#include "dot11.h"

#define BLE_ACCESS_ADDRESS 0x8e89bed6U /* of every advertising PDU (Vol 6 Part B 2.1.2) */
#define BLE_CRC_BYTES 3U
#define BLE_LEGACY_AD_BYTES 31U        /* Vol 6 Part B 2.3.1 */
#define BLE_TX_UNKNOWN 127             /* as HCI says it (Vol 4 Part E 7.7.65.13) */

/* What ble_parse_pdu made of a PDU; anything but BLE_ADVERTISEMENT leaves the output untouched. */
typedef enum {
    BLE_ADVERTISEMENT,
    BLE_TOO_SHORT,  /* for what its headers declare */
    BLE_OTHER_PDU,  /* scan and connect requests, reserved types */
    BLE_NO_ADDRESS, /* extended, without AdvA */
    BLE_SHAPELESS   /* ble_record only: see ble_is_shaped */
} ble_verdict;

/* PDU types of the advertising channel (Vol 6 Part B table 2.3). */
enum ble_pdu {
    BLE_ADV_IND = 0,
    BLE_ADV_DIRECT_IND = 1,
    BLE_ADV_NONCONN_IND = 2,
    BLE_SCAN_RSP = 4,
    BLE_ADV_SCAN_IND = 6,
    BLE_ADV_EXT_IND = 7 /* on a secondary channel: AUX_ADV_IND and its like */
};

/* Whose address it is (Vol 6 Part B 1.3). */
enum ble_address {
    BLE_PUBLIC,
    BLE_STATIC,         /* random, kept at least until the device restarts */
    BLE_RESOLVABLE,     /* private, changes about every 15 minutes */
    BLE_NON_RESOLVABLE, /* private */
    BLE_RESERVED        /* random with the top bits 10: no such kind */
};

/* Bits of `sighting.element_mask`. */
enum ble_kind {
    BLE_OTHER = 0,
    BLE_FLAGS = 1,
    BLE_SERVICES_16 = 2,
    BLE_SERVICES_32 = 3,
    BLE_SERVICES_128 = 4,
    BLE_NAME = 5, /* that there is one; the name itself is never read */
    BLE_TX_POWER = 6,
    BLE_SERVICE_DATA = 7,
    BLE_MANUFACTURER = 8,
    BLE_APPEARANCE = 9,
    BLE_SOLICITATION = 10,
    BLE_IBEACON = 16,
    BLE_EDDYSTONE_UID = 17,
    BLE_EDDYSTONE_URL = 18,
    BLE_EDDYSTONE_TLM = 19,
    BLE_EDDYSTONE_EID = 20
};

/* `sighting.fingerprint` hashes the shape of the AD structures; DOT11_RANDOMISED is set for private addresses only:
 * a public or static one stays. `sighting.channel` and `.sequence` are 0, the PDU does not hold them. */
typedef struct {
    dot11_probe sighting;
    uint16_t company; /* of the first manufacturer data; 0xffff (no company): none */
    uint16_t service; /* first 16-bit service UUID, listed or with data; 0: none */
    int8_t tx_dbm;    /* as sent in the AD or extended header; BLE_TX_UNKNOWN: not */
    uint8_t address;  /* enum ble_address */
    uint8_t pdu;      /* enum ble_pdu */
} ble_advert;

/* CRC of an advertising PDU, header first, as its three octets are sent: the lowest first (Vol 6 Part B 3.1.1). */
uint32_t ble_crc24(const uint8_t *pdu, size_t size);

/* Kind of an address, most significant octet first. */
enum ble_address ble_address_kind(const uint8_t address[DOT11_ADDRESS_BYTES], int is_random);

/* Reads one PDU from its header on, without CRC; octets past its declared length are not looked at. */
ble_verdict ble_parse_pdu(const dot11_key *key, const uint8_t *pdu, size_t size, ble_advert *out);

/* Whether the AD tells what made it: not a scan response, whose AD is another one, and not without structures. A
 * fingerprint that all phones share would make all phones one class. */
int ble_is_shaped(const ble_advert *advert);

/* The probe's path: what a scan report holds to one wire record. `address` most significant octet first;
 * `address_type` 0 public, 1 random, 2 and 3 the same when resolved; `event_type` 0 to 4: ADV_IND, ADV_DIRECT_IND,
 * ADV_SCAN_IND, ADV_NONCONN_IND, SCAN_RSP (Vol 4 Part E 7.7.65.2). */
ble_verdict ble_record(const dot11_key *key, const uint8_t address[DOT11_ADDRESS_BYTES], unsigned address_type,
                            unsigned event_type, const uint8_t *ad, size_t size, const dot11_reception *reception,
                            uint8_t out[DOT11_RECORD_BYTES]);

/* Hash of the shape table and of its revision: equal versions give comparable fingerprints. */
uint32_t ble_shape_version(void);

#endif
