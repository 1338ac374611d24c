/* One BLE advertisement to one sighting. See ble.h for the contract. */
#include "ble.h"

#include <string.h>

#define SHAPE_REVISION 1U /* raise when the hash or the walk changes, not when the table does */

/* ---- the shape table: the only place that says what a fingerprint is made of ---- */

/* How much of a structure enters: its type, its length and type, these and so many octets of its body, or all. */
#define KEEP_TYPE 0U
#define KEEP_SHAPE 1U
#define KEEP_ALL 31U
#define KEEP_BODY(octets) (KEEP_SHAPE + (octets))

#define AD_TX_POWER 0x0aU
#define AD_SERVICE_DATA_16 0x16U
#define AD_MANUFACTURER 0xffU

/* AD types; without a row: KEEP_SHAPE. Bodies that count, rotate or tell a person stay out. */
static const struct {
    uint8_t type, keep, kind;
} rules[] = {
    {0x01, KEEP_ALL, BLE_FLAGS},
    {0x02, KEEP_ALL, BLE_SERVICES_16},
    {0x03, KEEP_ALL, BLE_SERVICES_16},
    {0x04, KEEP_ALL, BLE_SERVICES_32},
    {0x05, KEEP_ALL, BLE_SERVICES_32},
    {0x06, KEEP_ALL, BLE_SERVICES_128},
    {0x07, KEEP_ALL, BLE_SERVICES_128},
    {0x08, KEEP_TYPE, BLE_NAME}, /* shortened: the length follows the space left */
    {0x09, KEEP_TYPE, BLE_NAME},
    {AD_TX_POWER, KEEP_SHAPE, BLE_TX_POWER},
    {0x14, KEEP_ALL, BLE_SOLICITATION},
    {0x15, KEEP_ALL, BLE_SOLICITATION},
    {0x1f, KEEP_ALL, BLE_SOLICITATION},
    {AD_SERVICE_DATA_16, KEEP_BODY(2), BLE_SERVICE_DATA},
    {0x19, KEEP_ALL, BLE_APPEARANCE},
    {0x20, KEEP_BODY(4), BLE_SERVICE_DATA},
    {0x21, KEEP_BODY(16), BLE_SERVICE_DATA},
    {0x30, KEEP_TYPE, BLE_NAME}, /* broadcast name */
    {AD_MANUFACTURER, KEEP_BODY(2), BLE_MANUFACTURER},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define COMPANY_APPLE 0x004cU
#define COMPANY_NONE 0xffffU
#define SERVICE_EDDYSTONE 0xfeaaU
#define APPLE_IBEACON 0x02U
#define IBEACON_BODY 21U /* UUID, major, minor, power at 1 m */

/* Frame types of Eddystone and the least octets each has behind the UUID (github.com/google/eddystone). */
static const struct {
    uint8_t type, least, kind;
} eddystones[] = {
    {0x00, 18, BLE_EDDYSTONE_UID},
    {0x10, 3, BLE_EDDYSTONE_URL},
    {0x20, 14, BLE_EDDYSTONE_TLM},
    {0x30, 10, BLE_EDDYSTONE_EID},
};

static unsigned load16(const uint8_t *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

/* ---- shape hash: SipHash links, each keyed by the one before; unkeyed as a whole, equal on every machine ---- */

#define SHAPE_START 0x466f6f7466616c6cU /* "Footfall" */

static uint64_t absorb(uint64_t shape, const uint8_t *p, size_t size)
{
    const dot11_key link = {shape, SHAPE_START};

    return dot11_siphash(&link, p, size);
}

static uint32_t finish(uint64_t shape)
{
    return (uint32_t)(shape & 0xffffffffU) ^ (uint32_t)(shape >> 32);
}

/* ---- AD structures ---- */

/* One AD structure inside its payload. */
typedef struct {
    const uint8_t *at;   /* its length octet */
    const uint8_t *body; /* after the type */
    size_t size;         /* of the body */
    unsigned type;
} structure;

static uint32_t bit(unsigned kind)
{
    return (uint32_t)1 << kind;
}

/* Apple's body is a row of (type, length, value): types and lengths name the kind of device, values rotate. */
static uint64_t read_apple(uint64_t shape, const structure *ad, ble_advert *out)
{
    const uint8_t *p = ad->body + 2, *end = ad->body + ad->size;

    if (end - p == 2 + (int)IBEACON_BODY && p[0] == APPLE_IBEACON && p[1] == IBEACON_BODY)
        out->sighting.element_mask |= bit(BLE_IBEACON);
    for (; end - p >= 2; p += 2 + p[1]) {
        shape = absorb(shape, p, 2);
        if (end - p - 2 < p[1])
            break;
    }
    return shape;
}

static uint64_t read_manufacturer(uint64_t shape, const structure *ad, ble_advert *out)
{
    if (ad->size < 2)
        return shape;
    if (out->company == COMPANY_NONE)
        out->company = (uint16_t)load16(ad->body);
    return load16(ad->body) == COMPANY_APPLE ? read_apple(shape, ad, out) : shape;
}

static void read_service_data(const structure *ad, ble_advert *out)
{
    size_t i;

    if (ad->size < 3 || load16(ad->body) != SERVICE_EDDYSTONE)
        return;
    for (i = 0; i < COUNT(eddystones); i++)
        if (ad->body[2] == eddystones[i].type && ad->size - 2 >= eddystones[i].least)
            out->sighting.element_mask |= bit(eddystones[i].kind);
}

/* Adds one structure to the shape and notes what it tells. */
static uint64_t read_structure(uint64_t shape, const structure *ad, ble_advert *out)
{
    unsigned keep = KEEP_SHAPE, kind = BLE_OTHER;
    size_t i, whole = ad->size + 2;

    for (i = 0; i < COUNT(rules); i++)
        if (rules[i].type == ad->type)
            keep = rules[i].keep, kind = rules[i].kind;
    out->sighting.element_mask |= bit(kind);
    if (keep == KEEP_TYPE)
        shape = absorb(shape, ad->at + 1, 1);
    else
        shape = absorb(shape, ad->at, keep == KEEP_ALL || keep + 1 > whole ? whole : keep + 1);
    if ((kind == BLE_SERVICES_16 || ad->type == AD_SERVICE_DATA_16) && ad->size >= 2 && !out->service)
        out->service = (uint16_t)load16(ad->body);
    if (ad->type == AD_TX_POWER && ad->size == 1)
        out->tx_dbm = (int8_t)ad->body[0];
    if (ad->type == AD_SERVICE_DATA_16)
        read_service_data(ad, out);
    return ad->type == AD_MANUFACTURER ? read_manufacturer(shape, ad, out) : shape;
}

/* Walks the AD (Vol 3 Part C 11): a length of 0 ends it early, what follows must be 0 then. */
static void walk_structures(const uint8_t *p, const uint8_t *end, ble_advert *out)
{
    uint64_t shape = SHAPE_START;
    unsigned count = 0;

    for (; end - p >= 2 && p[0] > 0 && end - p - 1 >= p[0]; p += 1U + p[0], count++) {
        const structure ad = {p, p + 2, p[0] - 1U, p[1]};
        shape = read_structure(shape, &ad, out);
    }
    while (p != end && *p == 0)
        p++;
    if (p != end)
        out->sighting.flags |= DOT11_MALFORMED;
    out->sighting.element_count = (uint8_t)(count < 255 ? count : 255);
    out->sighting.fingerprint = finish(shape);
}

/* ---- PDU ---- */

enum ble_address ble_address_kind(const uint8_t address[DOT11_ADDRESS_BYTES], int is_random)
{
    static const uint8_t kinds[4] = {BLE_NON_RESOLVABLE, BLE_RESOLVABLE, BLE_RESERVED, BLE_STATIC};

    return is_random ? (enum ble_address)kinds[address[0] >> 6] : BLE_PUBLIC;
}

/* Fills everything the sender and its AD tell. */
static void fill(const dot11_key *key, const uint8_t address[DOT11_ADDRESS_BYTES], int is_random, unsigned pdu,
                 const uint8_t *ad, size_t size, ble_advert *out)
{
    out->company = COMPANY_NONE;
    out->address = (uint8_t)ble_address_kind(address, is_random);
    out->pdu = (uint8_t)pdu;
    out->sighting.device_key = dot11_siphash(key, address, DOT11_ADDRESS_BYTES);
    out->sighting.flags |= DOT11_BLE;
    if (out->address != BLE_PUBLIC && out->address != BLE_STATIC)
        out->sighting.flags |= DOT11_RANDOMISED;
    if (pdu != BLE_ADV_EXT_IND && size > BLE_LEGACY_AD_BYTES)
        out->sighting.flags |= DOT11_MALFORMED;
    walk_structures(ad, ad + size, out);
}

static void start(ble_advert *out)
{
    memset(out, 0, sizeof *out);
    out->tx_dbm = BLE_TX_UNKNOWN;
}

/* Addresses travel lowest octet first. */
static void turn(uint8_t address[DOT11_ADDRESS_BYTES], const uint8_t *sent)
{
    size_t i;

    for (i = 0; i < DOT11_ADDRESS_BYTES; i++)
        address[i] = sent[DOT11_ADDRESS_BYTES - 1 - i];
}

/* Common extended advertising payload (Vol 6 Part B 2.3.4); `p` from the payload's first octet on. */
static ble_verdict parse_extended(const dot11_key *key, int is_random, const uint8_t *p, size_t size, ble_advert *out)
{
    static const uint8_t before_tx[6] = {6, 6, 1, 2, 3, 18}; /* AdvA, TargetA, CTEInfo, ADI, AuxPtr, SyncInfo */
    const size_t header = size > 0 ? p[0] & 0x3fU : 0;
    uint8_t address[DOT11_ADDRESS_BYTES];
    size_t at = 2, i;

    if (size < 1 + header)
        return BLE_TOO_SHORT;
    if (header == 0 || !(p[1] & 0x01U))
        return BLE_NO_ADDRESS;
    if (header < 1 + DOT11_ADDRESS_BYTES)
        return BLE_TOO_SHORT;
    for (i = 0; i < sizeof before_tx; i++)
        at += (unsigned)p[1] >> i & 1U ? before_tx[i] : 0U;
    turn(address, p + 2);
    start(out);
    if (p[1] & 0x40U && at < 1 + header)
        out->tx_dbm = (int8_t)p[at];
    if (at + (p[1] >> 6 & 1U) > 1 + header)
        out->sighting.flags |= DOT11_MALFORMED; /* the fields run over the header */
    fill(key, address, is_random, BLE_ADV_EXT_IND, p + 1 + header, size - 1 - header, out);
    return BLE_ADVERTISEMENT;
}

ble_verdict ble_parse_pdu(const dot11_key *key, const uint8_t *pdu, size_t size, ble_advert *out)
{
    const unsigned type = size ? pdu[0] & 0x0fU : 0;
    uint8_t address[DOT11_ADDRESS_BYTES];
    size_t payload, ad = DOT11_ADDRESS_BYTES;
    int is_random;

    if (size < 2 || size - 2 < pdu[1])
        return BLE_TOO_SHORT;
    payload = pdu[1];
    is_random = (pdu[0] & 0x40U) != 0; /* TxAdd */
    if (type == BLE_ADV_EXT_IND)
        return parse_extended(key, is_random, pdu + 2, payload, out);
    if (type > BLE_ADV_SCAN_IND || type == 3 || type == 5)
        return BLE_OTHER_PDU;
    if (type == BLE_ADV_DIRECT_IND)
        ad += DOT11_ADDRESS_BYTES; /* TargetA in the place of AD */
    if (payload < ad)
        return BLE_TOO_SHORT;
    turn(address, pdu + 2);
    start(out);
    fill(key, address, is_random, type, pdu + 2 + ad, payload - ad, out);
    return BLE_ADVERTISEMENT;
}

uint32_t ble_crc24(const uint8_t *pdu, size_t size)
{
    uint32_t state = 0xaaaaaaU; /* 0x555555 with the bit sent first lowest */
    unsigned i;

    for (; size > 0; pdu++, size--)
        for (state ^= *pdu, i = 0; i < 8; i++)
            state = state >> 1 ^ (state & 1U ? 0xda6000U : 0U);
    return state;
}

int ble_is_shaped(const ble_advert *advert)
{
    return advert->pdu != BLE_SCAN_RSP && advert->sighting.element_count > 0;
}

/* ---- the probe's path ---- */

#define HCI_SCAN_RSP 4U /* the last of the event types; which of the others it was is not in a record */

ble_verdict ble_record(const dot11_key *key, const uint8_t address[DOT11_ADDRESS_BYTES], unsigned address_type,
                            unsigned event_type, const uint8_t *ad, size_t size, const dot11_reception *reception,
                            uint8_t out[DOT11_RECORD_BYTES])
{
    ble_advert advert;

    if (event_type > HCI_SCAN_RSP || address_type > 3)
        return BLE_OTHER_PDU;
    start(&advert);
    fill(key, address, (address_type & 1U) != 0, event_type == HCI_SCAN_RSP ? BLE_SCAN_RSP : BLE_ADV_IND, ad, size, &advert);
    if (!ble_is_shaped(&advert))
        return BLE_SHAPELESS;
    dot11_pack(&advert.sighting, reception, out);
    return BLE_ADVERTISEMENT;
}

uint32_t ble_shape_version(void)
{
    uint64_t shape = SHAPE_START ^ SHAPE_REVISION;
    size_t i;

    for (i = 0; i < COUNT(rules); i++) {
        const uint8_t row[3] = {rules[i].type, rules[i].keep, rules[i].kind};
        shape = absorb(shape, row, sizeof row);
    }
    return finish(shape);
}
