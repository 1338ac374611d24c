/* One 802.11 probe request to one sighting. See dot11.h for the contract. */
#include "dot11.h"
#include "dot11_hash.h"
#include "dot11_table.h"

#include <string.h>

#define HASH_REVISION 2U /* raise when the hash or the walk changes, not when the table does */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define DIGEST_BYTES 11U /* of a vendor element: header, OUI, type, length, hash */

/* ---- keys ---- */

void dot11_key_load(dot11_key *key, const uint8_t bytes[DOT11_KEY_BYTES])
{
    key->k0 = load64(bytes);
    key->k1 = load64(bytes + 8);
}

uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size)
{
    return siphash(key, data, size);
}

/* ---- element walk ---- */

static uint8_t find_vendor(uint32_t code)
{
    size_t i = 0;

    while ((code & vendors[i].select) != vendors[i].code)
        i++; /* the last row fits all */
    return vendors[i].rule;
}

IN_PLACE uint8_t find_rule(const uint8_t *element)
{
    const uint8_t rule = elements[element[0]];

    if (rule != LOOK_FURTHER)
        return rule;
    if (element[0] == ID_EXTENSION)
        return element[1] > 0 ? extensions[element[2]] : 0;
    return find_vendor(element[1] >= 4 ? load32_big(element + 2) : 0);
}

static int is_whole(const uint8_t *p, const uint8_t *end)
{
    return end - p >= 2 && end - p - 2 >= p[1];
}

/* What the table leaves of an element, itself an element: `p` is the element or `room`. Size 0: nothing is left. */
typedef struct {
    const uint8_t *p;
    size_t size;
} span;

typedef struct {
    uint8_t bytes[DOT11_MASKED_MOST];
} scratch;

/* Eight octets without some bits; in any byte order. */
static void keep_bits(uint8_t *to, const uint8_t *from, const uint8_t *clear)
{
    uint64_t octets, bits;

    memcpy(&octets, from, sizeof octets);
    memcpy(&bits, clear, sizeof bits);
    octets &= ~bits;
    memcpy(to, &octets, sizeof octets);
}

static span mask_element(const uint8_t *element, scratch *room)
{
    const span whole = {element, 2U + element[1]}, masked = {room->bytes, whole.size};
    size_t row = 0, i;

    if (whole.size < MASKED_LEAST || whole.size > DOT11_MASKED_MOST)
        return whole;
    while (masks[row].code != (element[0] == ID_EXTENSION ? element[2] : element[0]))
        row++; /* every MASKED rule has a row, and their codes differ */
    for (i = 0; i + 8 < whole.size; i += 8)
        keep_bits(room->bytes + i, element + i, masks[row].clear + i);
    i = whole.size - 8; /* the last eight overlap those before */
    keep_bits(room->bytes + i, element + i, masks[row].clear + i);
    return masked;
}

/* A vendor's element as OUI, type, length and the hash of its body. */
static span digest_vendor(const uint8_t *element, scratch *room)
{
    const span digest = {room->bytes, DIGEST_BYTES};
    const size_t head = element[1] >= 4 ? 4 : 0;
    const uint32_t hash = finish(absorb(SALT_A, element + 2 + head, element[1] - head));

    room->bytes[0] = (uint8_t)ID_VENDOR;
    room->bytes[1] = DIGEST_BYTES - 2;
    if (head)
        memcpy(room->bytes + 2, element + 2, 4);
    else
        memset(room->bytes + 2, 0, 4);
    room->bytes[6] = element[1];
    store32(room->bytes + 7, hash);
    return digest;
}

IN_PLACE span reduce(const uint8_t *element, uint8_t rule, scratch *room)
{
    const span whole = {element, 2U + element[1]}, nothing = {element, 0};
    const span type = {room->bytes, 6}, presence = {room->bytes, 2}, extended = {room->bytes, 3};

    switch (RULE_TREAT(rule)) {
    case DOT11_STABLE:
        return element[0] == ID_VENDOR ? digest_vendor(element, room) : whole;
    case DOT11_MASKED:
        return mask_element(element, room);
    case DOT11_DROP:
        return nothing;
    case DOT11_TYPE: /* of a whole OUI and type: there are four octets */
        memcpy(room->bytes, element, 6);
        room->bytes[1] = 4;
        return type;
    default:
        break;
    }
    room->bytes[0] = element[0];
    room->bytes[1] = element[0] == ID_EXTENSION;
    if (element[0] != ID_EXTENSION)
        return presence;
    room->bytes[2] = element[2];
    return extended;
}

static uint32_t ssid_key(const dot11_key *key, const uint8_t *element)
{
    const uint32_t half = element[1] ? (uint32_t)(siphash(key, element + 2, element[1]) & 0xffffffffU) : 0;

    return half || !element[1] ? half : 1; /* 0 is the wildcard */
}

static void walk_elements(const dot11_key *key, const uint8_t *p, const uint8_t *end, dot11_probe *out)
{
    uint64_t hash = SALT_A;
    uint32_t mask = 0;
    unsigned count = 0;
    scratch room;

    for (; is_whole(p, end); p += 2U + p[1], count++) {
        const uint8_t rule = find_rule(p);
        const span token = reduce(p, rule, &room);
        if (token.size > 0)
            hash = absorb(hash, token.p, token.size);
        if (p[0] == ID_DS && p[1] == 1 && !out->channel)
            out->channel = p[2];
        else if (p[0] == ID_SSID && !(mask & (uint32_t)1 << RULE_BIT(rule)))
            out->ssid_key = ssid_key(key, p);
        mask |= (uint32_t)1 << RULE_BIT(rule);
    }
    if (p != end)
        out->flags |= DOT11_MALFORMED;
    out->element_mask = mask;
    out->element_count = (uint8_t)(count < 255 ? count : 255);
    out->fingerprint = finish(hash);
}

/* ---- frame ---- */

static dot11_verdict judge(const uint8_t *frame, size_t size)
{
    if (size < 2)
        return DOT11_TOO_SHORT;
    if (frame[0] & 0x03U)
        return DOT11_UNKNOWN_VERSION;
    if (frame[0] & 0x0cU)
        return DOT11_NOT_MANAGEMENT;
    if (frame[0] != 0x40U)
        return DOT11_OTHER_SUBTYPE;
    if (frame[1] & 0x40U)
        return DOT11_ENCRYPTED;
    return size < DOT11_HEADER_BYTES ? DOT11_TOO_SHORT : DOT11_PROBE_REQUEST;
}

/* Octets before the elements; at most `size`. +HTC: an HT Control field follows the sequence control (9.3.3.1). */
static size_t header_bytes(const uint8_t *frame, size_t size)
{
    const size_t header = DOT11_HEADER_BYTES + (frame[1] & 0x80U ? 4U : 0U);

    return header < size ? header : size;
}

static const dot11_probe nothing_seen;

dot11_verdict dot11_parse(const dot11_key *key, const uint8_t *frame, size_t size, dot11_probe *out)
{
    const dot11_verdict verdict = judge(frame, size);
    const uint8_t *address = frame + 10;

    if (verdict != DOT11_PROBE_REQUEST)
        return verdict;
    *out = nothing_seen;
    out->device_key = siphash(key, address, DOT11_ADDRESS_BYTES);
    out->sequence = (uint16_t)(((unsigned)frame[22] | (unsigned)frame[23] << 8) >> 4);
    out->flags = (uint8_t)((address[0] & 0x02U ? DOT11_RANDOMISED : 0) | (frame[1] & 0x08U ? DOT11_RETRY : 0));
    if (frame[1] & 0x80U && size < DOT11_HEADER_BYTES + 4U)
        out->flags |= DOT11_MALFORMED;
    walk_elements(key, frame + header_bytes(frame, size), frame + size, out);
    return verdict;
}

void dot11_pack(const dot11_probe *probe, const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES])
{
    out = store32(out, reception->offset_us);
    out = store32(out, (uint32_t)(probe->device_key & 0xffffffffU));
    out = store32(out, (uint32_t)(probe->device_key >> 32));
    out = store32(out, probe->fingerprint);
    out = store32(out, probe->ssid_key);
    out = store8(store8(out, probe->sequence), probe->sequence >> 8U);
    out = store8(store8(out, (uint8_t)reception->rssi_dbm), (uint8_t)reception->noise_dbm);
    store8(store8(out, probe->channel ? probe->channel : reception->channel), probe->flags);
}

dot11_verdict dot11_record(const dot11_key *key, const uint8_t *frame, size_t size,
                                const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES])
{
    dot11_probe probe;
    const dot11_verdict verdict = dot11_parse(key, frame, size, &probe);

    if (verdict == DOT11_PROBE_REQUEST)
        dot11_pack(&probe, reception, out);
    return verdict;
}

/* ---- descriptions ---- */

dot11_verdict dot11_describe(const uint8_t *frame, size_t size, uint8_t *out, size_t room, size_t *used)
{
    const dot11_verdict verdict = judge(frame, size);
    const uint8_t *p, *end = frame + size;
    scratch reduced;

    if (verdict != DOT11_PROBE_REQUEST)
        return verdict;
    *used = 0;
    for (p = frame + header_bytes(frame, size); is_whole(p, end); p += 2U + p[1]) {
        const span token = reduce(p, find_rule(p), &reduced);
        if (token.size > room - *used)
            return DOT11_NO_ROOM;
        if (token.size > 0)
            memcpy(out + *used, token.p, token.size);
        *used += token.size;
    }
    return verdict;
}

/* An element of a description is what its own reduction leaves, but for digests: those are not hashed again. */
static int is_described(const uint8_t *element, uint8_t rule)
{
    scratch room;
    span token;

    if (element[0] == ID_VENDOR && RULE_TREAT(rule) == DOT11_STABLE)
        return element[1] == DIGEST_BYTES - 2;
    token = reduce(element, rule, &room);
    return token.size == 2U + element[1] && memcmp(token.p, element, token.size) == 0;
}

int dot11_fingerprint_of(const uint8_t *description, size_t size, uint32_t *fingerprint)
{
    const uint8_t *p = description, *end = description + size;
    uint64_t hash = SALT_A;

    for (; is_whole(p, end); p += 2U + p[1]) {
        if (!is_described(p, find_rule(p)))
            return 0;
        hash = absorb(hash, p, 2U + p[1]);
    }
    *fingerprint = finish(hash);
    return p == end;
}

/* ---- the table as data ---- */

static int fill_rule(dot11_rule *out, unsigned space, uint32_t code, uint32_t select, uint8_t rule)
{
    size_t i;

    out->code = code;
    out->select = select;
    out->space = (uint8_t)space;
    out->treat = (uint8_t)RULE_TREAT(rule);
    out->bit = (uint8_t)RULE_BIT(rule);
    memset(out->clear, 0, sizeof out->clear);
    for (i = 0; i < COUNT(masks); i++)
        if (masks[i].space == space && masks[i].code == code)
            memcpy(out->clear, masks[i].clear, sizeof out->clear);
    return 1;
}

int dot11_element_rule(size_t index, dot11_rule *out)
{
    const uint8_t *const tables[2] = {elements, extensions};
    unsigned space, id;

    for (space = DOT11_ELEMENT; space <= DOT11_EXTENSION; space++)
        for (id = 0; id < 256; id++)
            if (tables[space][id] && tables[space][id] != LOOK_FURTHER && index-- == 0)
                return fill_rule(out, space, id, 0xffU, tables[space][id]);
    if (index >= COUNT(vendors))
        return 0;
    return fill_rule(out, DOT11_VENDOR, vendors[index].code, vendors[index].select, vendors[index].rule);
}

uint32_t dot11_fingerprint_version(void)
{
    uint64_t hash = SALT_A ^ HASH_REVISION;
    dot11_rule rule;
    uint8_t row[11];
    size_t i;

    for (i = 0; dot11_element_rule(i, &rule); i++) {
        uint8_t *p = store32(store32(row, rule.code), rule.select);
        store8(store8(store8(p, rule.space), rule.treat), rule.bit);
        hash = absorb(absorb(hash, row, sizeof row), rule.clear, sizeof rule.clear);
    }
    return finish(hash);
}
