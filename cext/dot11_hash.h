/* What dot11.c computes with: octets to words, SipHash-2-4, the fingerprint's hash. For it alone. */
#ifndef FOOTFALL_DOT11_HASH_H
#define FOOTFALL_DOT11_HASH_H

#include "dot11.h"

#include <string.h>

/* Whatever a compiler thinks of the size: a frame costs a third less this way, on every processor. */
#define IN_PLACE static inline __attribute__((always_inline))

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

static uint8_t *store8(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value & 0xffU);
    return p + 1;
}

static uint8_t *store32(uint8_t *p, uint32_t value)
{
    return store8(store8(store8(store8(p, value), value >> 8), value >> 16), value >> 24);
}

/* ---- SipHash-2-4 ---- */

typedef struct {
    uint64_t v0, v1, v2, v3;
} sip_state;

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64U - bits);
}

IN_PLACE void sip_round(sip_state *s)
{
    s->v0 += s->v1, s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0, s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1, s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2, s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

IN_PLACE void sip_absorb(sip_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
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
    const uint32_t al = (uint32_t)(a & 0xffffffffU), ah = (uint32_t)(a >> 32);
    const uint32_t bl = (uint32_t)(b & 0xffffffffU), bh = (uint32_t)(b >> 32);
    const uint64_t low = (uint64_t)al * bl, mid = (uint64_t)ah * bl + (low >> 32);
    const uint64_t cross = (uint64_t)al * bh + (mid & 0xffffffffU);
    return (low & 0xffffffffU) ^ cross << 32 ^ ((uint64_t)ah * bh + (mid >> 32) + (cross >> 32));
#endif
}

/* Adds one element; its length is in it. */
IN_PLACE uint64_t absorb(uint64_t hash, const uint8_t *p, size_t size)
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

static uint32_t finish(uint64_t hash)
{
    hash = fold(hash ^ SALT_A, SALT_B);
    return (uint32_t)(hash ^ hash >> 32);
}

#endif
