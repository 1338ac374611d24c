/* One 802.11 probe request to one sighting. See dot11.h for the contract. */
#include "dot11.h"

#include <string.h>

#define HASH_REVISION 1U /* raise when the hash or the walk changes, not when the table does */

/* ---- the static element table: the only place that says what a fingerprint is made of ---- */

#define RULE(treat, bit) (uint8_t)(((unsigned)(treat) << 5) | (unsigned)(bit))
#define RULE_TREAT(rule) ((unsigned)(rule) >> 5)
#define RULE_BIT(rule) ((unsigned)(rule)&31U)
#define LOOK_FURTHER RULE(7, 31) /* extended id or vendor decides */

#define ID_SSID 0U
#define ID_DS 3U
#define ID_HT 45U
#define ID_VENDOR 221U
#define ID_EXTENSION 255U
#define EXTENSION_FILS 2U
#define EXTENSION_HE 35U

/* Element ids of IEEE 802.11-2020 table 9-92; without a row: STABLE, bit 0. Names of networks are not the phone's. */
static const uint8_t elements[256] = {
    [ID_SSID] = RULE(DOT11_DROP, 1),
    [1] = RULE(DOT11_STABLE, 2),        /* supported rates */
    [ID_DS] = RULE(DOT11_PRESENCE, 3),  /* DS parameter set: the channel of this very frame */
    [10] = RULE(DOT11_STABLE, 4),       /* request */
    [ID_HT] = RULE(DOT11_MASKED, 5),    /* HT capabilities */
    [50] = RULE(DOT11_STABLE, 6),       /* extended supported rates */
    [59] = RULE(DOT11_STABLE, 7),       /* supported operating classes */
    [70] = RULE(DOT11_STABLE, 8),       /* RM enabled capabilities */
    [84] = RULE(DOT11_DROP, 9),         /* SSID list */
    [107] = RULE(DOT11_DROP, 10),       /* interworking: the venue and HESSID sought */
    [114] = RULE(DOT11_DROP, 11),       /* mesh id */
    [127] = RULE(DOT11_STABLE, 12),     /* extended capabilities */
    [191] = RULE(DOT11_STABLE, 13),     /* VHT capabilities */
    [ID_VENDOR] = LOOK_FURTHER,
    [ID_EXTENSION] = LOOK_FURTHER,
};
/* Extended ids, table 9-92 with 802.11ax and 802.11be; without a row: STABLE, bit 0. */
static const uint8_t extensions[256] = {
    [EXTENSION_FILS] = RULE(DOT11_PRESENCE, 14), /* FILS request parameters: change from frame to frame */
    [EXTENSION_HE] = RULE(DOT11_MASKED, 15),     /* HE capabilities */
    [59] = RULE(DOT11_STABLE, 16),               /* HE 6 GHz band capabilities */
    [107] = RULE(DOT11_STABLE, 17),              /* multi-link */
    [108] = RULE(DOT11_STABLE, 18),              /* EHT capabilities */
};
/* OUI << 8 | type; the first that fits. A WPS body carries a UUID and P2P a device name: neither may enter, even
 * hashed. Microsoft's type 8 and Epigram's type 4 count and drift within one address (2 and 7 % of its frames). */
static const struct {
    uint32_t code, select;
    uint8_t rule;
} vendors[] = {
    {0x0050f208U, 0xffffffffU, RULE(DOT11_TYPE, 19)},
    {0x506f9a16U, 0xffffffffU, RULE(DOT11_STABLE, 20)}, /* multi-band operation */
    {0x00101800U, 0xffffff00U, RULE(DOT11_STABLE, 21)}, /* Broadcom */
    {0x0017f200U, 0xffffff00U, RULE(DOT11_STABLE, 22)}, /* Apple */
    {0x8cfdf000U, 0xffffff00U, RULE(DOT11_STABLE, 23)}, /* Qualcomm */
    {0x0050f204U, 0xffffffffU, RULE(DOT11_TYPE, 24)},   /* WPS */
    {0x506f9a09U, 0xffffffffU, RULE(DOT11_TYPE, 25)},   /* P2P */
    {0x00904c04U, 0xffffffffU, RULE(DOT11_TYPE, 26)},   /* Epigram */
    {0x506f9a00U, 0xffffff00U, RULE(DOT11_STABLE, 27)}, /* Wi-Fi Alliance */
    {0x0050f200U, 0xffffff00U, RULE(DOT11_STABLE, 28)}, /* Microsoft */
    {0, 0, RULE(DOT11_STABLE, 29)},                     /* any other */
};
/* What MASKED clears, by octet of the element with its header; a shorter or longer element is STABLE. */
#define MASKED_LEAST 16U
#define MASKED_MOST 64U
static const uint8_t ht_clear[MASKED_MOST] = {
    [3] = 0x40, /* 40 MHz intolerant follows what the phone hears (9.4.2.55) */
    [5] = 0xff, [6] = 0xff, [7] = 0xff, [8] = 0xff, [9] = 0xff, /* the Rx MCS bitmask follows the chains awake */
    [10] = 0xff, [11] = 0xff, [12] = 0xff, [13] = 0xff, [14] = 0xff,
};
static const uint8_t he_clear[MASKED_MOST] = {
    [20] = 0x0c, [22] = 0x0c, /* Rx and Tx HE-MCS of two streams, likewise (9.4.2.248) */
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- little-endian loads and stores ---- */

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static uint32_t load32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}
#else
static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const uint8_t *p)
{
    return (uint64_t)load32(p) | (uint64_t)load32(p + 4) << 32;
}
#endif

static uint32_t load32_big(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static uint8_t *store(uint8_t *p, uint64_t value, size_t bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *p++ = (uint8_t)(value & 0xffU);
    return p;
}

/* ---- SipHash-2-4 ---- */

typedef struct {
    uint64_t v0, v1, v2, v3;
} sip_state;

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64U - bits);
}

static void sip_round(sip_state *s)
{
    s->v0 += s->v1, s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0, s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1, s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2, s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void sip_absorb(sip_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

void dot11_key_load(dot11_key *key, const uint8_t bytes[DOT11_KEY_BYTES])
{
    key->k0 = load64(bytes);
    key->k1 = load64(bytes + 8);
}

/* The last 0 to 7 of `size` bytes as a little-endian word, without a loop: its count is the one thing that varies. */
static uint64_t sip_tail(const uint8_t *data, size_t size)
{
    const size_t rest = size & 7U;
    const uint8_t *p = data + (size - rest);

    if (rest == 0)
        return 0;
    if (size >= 8)
        return load64(p + rest - 8) >> (8U * (8U - rest));
    if (rest >= 4)
        return load32(p) | (uint64_t)load32(p + rest - 4) << (8U * (rest - 4U));
    return (uint64_t)p[0] | (uint64_t)p[rest >> 1] << (8U * (rest >> 1)) | (uint64_t)p[rest - 1] << (8U * (rest - 1U));
}

static inline uint64_t siphash(const dot11_key *key, const uint8_t *data, size_t size)
{
    sip_state s = {key->k0 ^ 0x736f6d6570736575U, key->k1 ^ 0x646f72616e646f6dU,
                   key->k0 ^ 0x6c7967656e657261U, key->k1 ^ 0x7465646279746573U};
    const uint64_t last = (uint64_t)size << 56 | sip_tail(data, size);

    for (; size >= 8; data += 8, size -= 8)
        sip_absorb(&s, load64(data));
    sip_absorb(&s, last);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size)
{
    return siphash(key, data, size);
}

/* ---- fingerprint hash: folded 64 x 64 bit products, as in wyhash; not cryptographic, equal on every machine ---- */

#define SALT_A 0xa0761d6478bd642fU
#define SALT_B 0xe7037ed1a0b428dbU

static uint64_t fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    const wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    const uint64_t al = a & 0xffffffffU, ah = a >> 32, bl = b & 0xffffffffU, bh = b >> 32;
    const uint64_t low = al * bl, mid = ah * bl + (low >> 32), cross = al * bh + (mid & 0xffffffffU);
    return (low & 0xffffffffU) ^ cross << 32 ^ (ah * bh + (mid >> 32) + (cross >> 32));
#endif
}

/* Adds a run of bytes; runs are kept apart by their length. */
static uint64_t absorb(uint64_t hash, const uint8_t *p, size_t size)
{
    uint64_t a, b = 0;

    hash ^= (uint64_t)size * SALT_B;
    for (; size > 16; p += 16, size -= 16)
        hash = fold(load64(p) ^ SALT_A, load64(p + 8) ^ hash);
    if (size >= 8)
        a = load64(p), b = load64(p + size - 8);
    else if (size >= 4)
        a = load32(p), b = load32(p + size - 4);
    else
        a = size ? (uint64_t)p[0] | (uint64_t)p[size >> 1] << 8 | (uint64_t)p[size - 1] << 16 : 0;
    return fold(a ^ SALT_A, b ^ hash);
}

static uint64_t load_kept(const uint8_t *p, const uint8_t *clear)
{
    return load64(p) & ~load64(clear);
}

/* Likewise without the bits of `clear`; at least 16 bytes, the last 16 overlapping those before. */
static uint64_t absorb_masked(uint64_t hash, const uint8_t *p, size_t size, const uint8_t *clear)
{
    hash ^= (uint64_t)size * SALT_B;
    for (; size > 16; p += 16, clear += 16, size -= 16)
        hash = fold(load_kept(p, clear) ^ SALT_A, load_kept(p + 8, clear + 8) ^ hash);
    p -= 16 - size, clear -= 16 - size;
    return fold(load_kept(p, clear) ^ SALT_A, load_kept(p + 8, clear + 8) ^ hash);
}

static uint32_t finish(uint64_t hash)
{
    hash = fold(hash ^ SALT_A, SALT_B);
    return (uint32_t)(hash ^ hash >> 32);
}

/* ---- element walk ---- */

static uint8_t find_vendor(uint32_t code)
{
    size_t i = 0;

    while ((code & vendors[i].select) != vendors[i].code)
        i++; /* the last row fits all */
    return vendors[i].rule;
}

/* The rule of an element whose id alone does not tell. */
static uint8_t look_further(const uint8_t *element)
{
    if (element[0] == ID_EXTENSION)
        return element[1] > 0 ? extensions[element[2]] : 0;
    return find_vendor(element[1] >= 4 ? load32_big(element + 2) : 0);
}

/* Adds what the table leaves of an element that is not STABLE. */
static uint64_t absorb_reduced(uint64_t hash, const uint8_t *element, unsigned treat)
{
    const size_t size = 2U + element[1];
    uint8_t token[2];

    if (treat == DOT11_MASKED && size >= MASKED_LEAST && size <= MASKED_MOST)
        return absorb_masked(hash, element, size, element[0] == ID_HT ? ht_clear : he_clear);
    if (treat == DOT11_MASKED)
        return absorb(hash, element, size);
    if (treat == DOT11_TYPE)
        return absorb(hash, element + 2, 4);
    if (treat == DOT11_DROP)
        return hash;
    token[0] = element[0];
    token[1] = element[0] == ID_EXTENSION ? element[2] : 0;
    return absorb(hash, token, sizeof token);
}

static uint32_t ssid_key(const dot11_key *key, const uint8_t *element)
{
    const uint32_t half = element[1] ? (uint32_t)(siphash(key, element + 2, element[1]) & 0xffffffffU) : 0;

    return half || !element[1] ? half : 1; /* 0 is the wildcard */
}

static void walk_elements(const dot11_key *key, const uint8_t *p, const uint8_t *end, dot11_probe *out)
{
    const uint8_t *run = p; /* first of the STABLE elements not yet hashed */
    uint64_t hash = SALT_A;
    uint32_t mask = 0;
    unsigned count = 0;

    for (; end - p >= 2 && end - p - 2 >= p[1]; p += 2U + p[1], count++) {
        uint8_t rule = elements[p[0]];
        if (rule == LOOK_FURTHER)
            rule = look_further(p);
        if (RULE_TREAT(rule) != DOT11_STABLE) {
            if (run != p)
                hash = absorb(hash, run, (size_t)(p - run));
            run = p + 2U + p[1];
            hash = absorb_reduced(hash, p, RULE_TREAT(rule));
            if (p[0] == ID_DS && p[1] == 1)
                out->channel = p[2];
            else if (p[0] == ID_SSID && !(mask & (uint32_t)1 << RULE_BIT(rule)))
                out->ssid_key = ssid_key(key, p);
        }
        mask |= (uint32_t)1 << RULE_BIT(rule);
    }
    if (run != p)
        hash = absorb(hash, run, (size_t)(p - run));
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
    return size < DOT11_HEADER_BYTES ? DOT11_TOO_SHORT : DOT11_PROBE_REQUEST;
}

dot11_verdict dot11_parse(const dot11_key *key, const uint8_t *frame, size_t size, dot11_probe *out)
{
    const dot11_verdict verdict = judge(frame, size);
    const uint8_t *address = frame + 10;
    size_t header = DOT11_HEADER_BYTES;

    if (verdict != DOT11_PROBE_REQUEST)
        return verdict;
    memset(out, 0, sizeof *out);
    out->device_key = siphash(key, address, DOT11_ADDRESS_BYTES);
    out->sequence = (uint16_t)(((unsigned)frame[22] | (unsigned)frame[23] << 8) >> 4);
    out->flags = (uint8_t)((address[0] & 0x02U ? DOT11_RANDOMISED : 0) | (frame[1] & 0x08U ? DOT11_RETRY : 0));
    if (frame[1] & 0x80U)
        header += 4; /* +HTC: an HT Control field follows the sequence control */
    if (size < header)
        out->flags |= DOT11_MALFORMED, header = size;
    walk_elements(key, frame + header, frame + size, out);
    return verdict;
}

void dot11_pack(const dot11_probe *probe, const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES])
{
    out = store(out, reception->offset_us, 4);
    out = store(out, probe->device_key, 8);
    out = store(out, probe->fingerprint, 4);
    out = store(out, probe->ssid_key, 4);
    out = store(out, probe->sequence, 2);
    out = store(out, (uint8_t)reception->rssi_dbm, 1);
    out = store(out, (uint8_t)reception->noise_dbm, 1);
    out = store(out, probe->channel ? probe->channel : reception->channel, 1);
    store(out, probe->flags, 1);
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

/* ---- the table as data ---- */

static int fill_rule(dot11_rule *out, unsigned space, uint32_t code, uint32_t select, uint8_t rule)
{
    out->code = code;
    out->select = select;
    out->space = (uint8_t)space;
    out->treat = (uint8_t)RULE_TREAT(rule);
    out->bit = (uint8_t)RULE_BIT(rule);
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
        uint8_t *p = store(store(row, rule.code, 4), rule.select, 4);
        store(store(store(p, rule.space, 1), rule.treat, 1), rule.bit, 1);
        hash = absorb(hash, row, sizeof row);
    }
    hash = absorb(hash, ht_clear, sizeof ht_clear);
    hash = absorb(hash, he_clear, sizeof he_clear);
    return finish(hash);
}
