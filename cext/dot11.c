/* One 802.11 probe request to one sighting. See dot11.h for the contract. */
#include "dot11.h"

#include <string.h>

#define HASH_REVISION 1U /* raise when the hash or the walk changes, not when the table does */

/* ---- the static element table: the only place that says what a fingerprint is made of ---- */

#define RULE(treat, bit) (uint8_t)(((unsigned)(treat) << 5) | (unsigned)(bit))
#define RULE_TREAT(rule) ((unsigned)(rule) >> 5)
#define RULE_BIT(rule) ((unsigned)(rule)&31U)

#define ID_SSID 0U
#define ID_DS 3U
#define ID_HT 45U
#define ID_VENDOR 221U
#define ID_EXTENSION 255U

#define OTHER_EXTENSION RULE(DOT11_STABLE, 19)
#define OTHER_VENDOR RULE(DOT11_STABLE, 28)
#define OTHER_ELEMENT RULE(DOT11_STABLE, 31)

typedef struct {
    uint8_t id, rule;
} id_rule;
typedef struct {
    uint32_t code, select;
    uint8_t rule;
} vendor_rule;

/* Element ids of IEEE 802.11-2020 table 9-92. Names of networks and of the wanted venue are not the phone's. */
static const id_rule elements[] = {
    {ID_SSID, RULE(DOT11_DROP, 0)},
    {1, RULE(DOT11_STABLE, 1)},      /* supported rates */
    {ID_DS, RULE(DOT11_PRESENCE, 2)}, /* DS parameter set: the channel of this very frame */
    {10, RULE(DOT11_STABLE, 3)},     /* request */
    {ID_HT, RULE(DOT11_MASKED, 4)},  /* HT capabilities */
    {50, RULE(DOT11_STABLE, 5)},     /* extended supported rates */
    {59, RULE(DOT11_STABLE, 6)},     /* supported operating classes */
    {70, RULE(DOT11_STABLE, 7)},     /* RM enabled capabilities */
    {72, RULE(DOT11_STABLE, 8)},     /* 20/40 BSS coexistence */
    {84, RULE(DOT11_DROP, 9)},       /* SSID list */
    {107, RULE(DOT11_DROP, 10)},     /* interworking: access network type and HESSID sought */
    {114, RULE(DOT11_DROP, 11)},     /* mesh id */
    {127, RULE(DOT11_STABLE, 12)},   /* extended capabilities */
    {191, RULE(DOT11_STABLE, 13)},   /* VHT capabilities */
};
/* Extended ids, table 9-92 with 802.11ax and 802.11be. */
static const id_rule extensions[] = {
    {2, RULE(DOT11_PRESENCE, 14)}, /* FILS request parameters: change from frame to frame */
    {35, RULE(DOT11_STABLE, 15)},  /* HE capabilities */
    {59, RULE(DOT11_STABLE, 16)},  /* HE 6 GHz band capabilities */
    {107, RULE(DOT11_STABLE, 17)}, /* multi-link */
    {108, RULE(DOT11_STABLE, 18)}, /* EHT capabilities */
};
/* OUI << 8 | type. A WPS body carries a UUID and P2P a device name: neither may enter, even hashed. */
static const vendor_rule vendors[] = {
    {0x0050f204U, 0xffffffffU, RULE(DOT11_TYPE, 20)},   /* WPS */
    {0x506f9a09U, 0xffffffffU, RULE(DOT11_TYPE, 21)},   /* P2P */
    {0x0050f200U, 0xffffff00U, RULE(DOT11_STABLE, 22)}, /* Microsoft */
    {0x506f9a00U, 0xffffff00U, RULE(DOT11_STABLE, 23)}, /* Wi-Fi Alliance */
    {0x0017f200U, 0xffffff00U, RULE(DOT11_STABLE, 24)}, /* Apple */
    {0x00101800U, 0xffffff00U, RULE(DOT11_STABLE, 25)}, /* Broadcom */
    {0x8cfdf000U, 0xffffff00U, RULE(DOT11_STABLE, 26)}, /* Qualcomm */
    {0x00904c00U, 0xffffff00U, RULE(DOT11_STABLE, 27)}, /* Epigram */
};
/* HT capabilities, header and 26 octets (9.4.2.55): 40 MHz intolerant (bit 14 of the info field) follows what the
 * phone hears; the Rx MCS bitmask (octets 3..12) follows the chains awake. */
#define HT_BYTES 28U
static const uint8_t ht_mask[HT_BYTES] = {
    0xff, 0xff, 0xff, 0xbf, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

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

uint64_t dot11_siphash(const dot11_key *key, const uint8_t *data, size_t size)
{
    sip_state s = {key->k0 ^ 0x736f6d6570736575U, key->k1 ^ 0x646f72616e646f6dU,
                   key->k0 ^ 0x6c7967656e657261U, key->k1 ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)size << 56;
    size_t i;

    for (; size >= 8; data += 8, size -= 8)
        sip_absorb(&s, load64(data));
    for (i = 0; i < size; i++)
        last |= (uint64_t)data[i] << (8U * i);
    sip_absorb(&s, last);
    s.v2 ^= 0xff;
    for (i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
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
    uint64_t a, b;

    hash ^= (uint64_t)size * SALT_B;
    for (; size > 16; p += 16, size -= 16)
        hash = fold(load64(p) ^ SALT_A, load64(p + 8) ^ hash);
    if (size >= 8) {
        a = load64(p), b = load64(p + size - 8);
    } else if (size >= 4) {
        a = load32(p), b = load32(p + size - 4);
    } else {
        a = size > 0 ? (uint64_t)p[0] | (uint64_t)p[size >> 1] << 8 | (uint64_t)p[size - 1] << 16 : 0;
        b = 0;
    }
    return fold(a ^ SALT_A, b ^ hash);
}

static uint32_t finish(uint64_t hash)
{
    hash = fold(hash ^ SALT_A, SALT_B);
    return (uint32_t)(hash ^ hash >> 32);
}

uint32_t dot11_hash(const uint8_t *data, size_t size)
{
    return finish(absorb(SALT_A, data, size));
}

/* ---- element walk ---- */

typedef struct {
    uint64_t hash;
    const uint8_t *run; /* first byte of the STABLE elements not yet hashed; 0: none */
} walk;

static void end_run(walk *w, const uint8_t *end)
{
    if (w->run) {
        w->hash = absorb(w->hash, w->run, (size_t)(end - w->run));
        w->run = 0;
    }
}

static uint8_t find_id(const id_rule *rules, size_t count, uint8_t id, uint8_t other)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (rules[i].id == id)
            return rules[i].rule;
    return other;
}

static uint8_t find_vendor(uint32_t code)
{
    size_t i;

    for (i = 0; i < COUNT(vendors); i++)
        if ((code & vendors[i].select) == vendors[i].code)
            return vendors[i].rule;
    return OTHER_VENDOR;
}

static uint8_t find_rule(const uint8_t *element)
{
    const uint8_t length = element[1];

    if (element[0] == ID_VENDOR)
        return length >= 4 ? find_vendor(load32_big(element + 2)) : OTHER_VENDOR;
    if (element[0] == ID_EXTENSION)
        return length >= 1 ? find_id(extensions, COUNT(extensions), element[2], OTHER_EXTENSION) : OTHER_EXTENSION;
    return find_id(elements, COUNT(elements), element[0], OTHER_ELEMENT);
}

/* Hashes what the table leaves of a non-STABLE element. */
static void add_reduced(walk *w, const uint8_t *element, unsigned treat)
{
    uint8_t kept[HT_BYTES];
    size_t i;

    switch (treat) {
    case DOT11_MASKED:
        for (i = 0; i < HT_BYTES; i++)
            kept[i] = element[i] & ht_mask[i];
        w->hash = absorb(w->hash, kept, HT_BYTES);
        break;
    case DOT11_PRESENCE:
        kept[0] = element[0];
        kept[1] = element[0] == ID_EXTENSION ? element[2] : 0;
        w->hash = absorb(w->hash, kept, 2);
        break;
    case DOT11_TYPE:
        w->hash = absorb(w->hash, element + 2, 4);
        break;
    default:
        break;
    }
}

static void read_ssid(const dot11_key *key, const uint8_t *element, dot11_probe *out)
{
    if (element[1] == 0)
        return;
    out->ssid_key = (uint32_t)(dot11_siphash(key, element + 2, element[1]) & 0xffffffffU);
    if (out->ssid_key == 0)
        out->ssid_key = 1; /* 0 is the wildcard */
}

static void walk_elements(const dot11_key *key, const uint8_t *p, const uint8_t *end, dot11_probe *out)
{
    walk w = {SALT_A, 0};
    unsigned count = 0;

    while (end - p >= 2 && end - p - 2 >= p[1]) {
        const uint8_t rule = find_rule(p);
        unsigned treat = RULE_TREAT(rule);
        if (treat == DOT11_MASKED && p[1] + 2U != HT_BYTES)
            treat = DOT11_STABLE; /* not the element the mask was made for */
        if (treat == DOT11_STABLE) {
            if (!w.run)
                w.run = p;
        } else {
            end_run(&w, p);
            add_reduced(&w, p, treat);
            if (p[0] == ID_SSID && !(out->element_mask & 1U))
                read_ssid(key, p, out);
            else if (p[0] == ID_DS && p[1] == 1)
                out->channel = p[2];
        }
        out->element_mask |= (uint32_t)1 << RULE_BIT(rule);
        count++;
        p += 2U + p[1];
    }
    end_run(&w, p);
    if (p != end)
        out->flags |= DOT11_MALFORMED;
    out->element_count = (uint8_t)(count < 255 ? count : 255);
    out->fingerprint = finish(w.hash);
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
    out->device_key = dot11_siphash(key, address, DOT11_ADDRESS_BYTES);
    out->sequence = (uint16_t)(((unsigned)frame[22] | (unsigned)frame[23] << 8) >> 4);
    out->flags = (uint8_t)((address[0] & 0x02U ? DOT11_RANDOMISED : 0) | (frame[1] & 0x08U ? DOT11_RETRY : 0));
    if (frame[1] & 0x80U)
        header += 4; /* +HTC: an HT Control field follows the sequence control */
    if (size < header)
        out->flags |= DOT11_MALFORMED, header = size;
    walk_elements(key, frame + header, frame + size, out);
    return verdict;
}

dot11_verdict dot11_record(const dot11_key *key, const uint8_t *frame, size_t size,
                                const dot11_reception *reception, uint8_t out[DOT11_RECORD_BYTES])
{
    dot11_probe probe;
    const dot11_verdict verdict = dot11_parse(key, frame, size, &probe);

    if (verdict != DOT11_PROBE_REQUEST)
        return verdict;
    out = store(out, reception->offset_us, 4);
    out = store(out, probe.device_key, 8);
    out = store(out, probe.fingerprint, 4);
    out = store(out, probe.ssid_key, 4);
    out = store(out, probe.sequence, 2);
    out = store(out, (uint8_t)reception->rssi_dbm, 1);
    out = store(out, (uint8_t)reception->noise_dbm, 1);
    out = store(out, probe.channel ? probe.channel : reception->channel, 1);
    store(out, probe.flags, 1);
    return verdict;
}

/* ---- the table as data ---- */

static void fill_rule(dot11_rule *out, enum dot11_space space, uint32_t code, uint32_t select, uint8_t rule)
{
    out->code = code;
    out->select = select;
    out->space = (uint8_t)space;
    out->treat = (uint8_t)RULE_TREAT(rule);
    out->bit = (uint8_t)RULE_BIT(rule);
}

int dot11_element_rule(size_t index, dot11_rule *out)
{
    if (index < COUNT(elements)) {
        fill_rule(out, DOT11_ELEMENT, elements[index].id, 0xffU, elements[index].rule);
        return 1;
    }
    index -= COUNT(elements);
    if (index < COUNT(extensions)) {
        fill_rule(out, DOT11_EXTENSION, extensions[index].id, 0xffU, extensions[index].rule);
        return 1;
    }
    index -= COUNT(extensions);
    if (index < COUNT(vendors)) {
        fill_rule(out, DOT11_VENDOR, vendors[index].code, vendors[index].select, vendors[index].rule);
        return 1;
    }
    return 0;
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
    return finish(absorb(hash, ht_mask, HT_BYTES));
}
