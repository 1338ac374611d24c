/* See pack.h. */
#include "pack.h"

#include <string.h>

#define HEADER_BYTES 94U
#define ENTRIES_AT 6U
#define LISTENED_BYTES 6U
#define RECORD_BYTES 26U
#define CRC_BYTES 4U

/* Remainders of one octet, reflected polynomial 0xedb88320: each is the exclusive or of its bits' remainders. */
#define REST(i)                                                                                                        \
    (((i)&1U ? 0x77073096U : 0U) ^ ((i)&2U ? 0xee0e612cU : 0U) ^ ((i)&4U ? 0x076dc419U : 0U) ^                         \
     ((i)&8U ? 0x0edb8832U : 0U) ^ ((i)&16U ? 0x1db71064U : 0U) ^ ((i)&32U ? 0x3b6e20c8U : 0U) ^                       \
     ((i)&64U ? 0x76dc4190U : 0U) ^ ((i)&128U ? 0xedb88320U : 0U))
#define REST4(i) REST(i), REST((i) + 1U), REST((i) + 2U), REST((i) + 3U)
#define REST16(i) REST4(i), REST4((i) + 4U), REST4((i) + 8U), REST4((i) + 12U)
#define REST64(i) REST16(i), REST16((i) + 16U), REST16((i) + 32U), REST16((i) + 48U)

static const uint32_t rests[256] = {REST64(0U), REST64(64U), REST64(128U), REST64(192U)};

uint32_t pack_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffffU, word;

    for (; size > 0 && (uintptr_t)data % sizeof word; size--)
        crc = rests[(crc ^ *data++) & 0xffU] ^ crc >> 8;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        memcpy(&word, __builtin_assume_aligned(data, sizeof word), sizeof word);
        crc ^= word; /* every chip of ours is little-endian */
        crc = rests[crc & 0xffU] ^ crc >> 8;
        crc = rests[crc & 0xffU] ^ crc >> 8;
        crc = rests[crc & 0xffU] ^ crc >> 8;
        crc = rests[crc & 0xffU] ^ crc >> 8;
    }
    for (; size > 0; size--)
        crc = rests[(crc ^ *data++) & 0xffU] ^ crc >> 8;
    return ~crc;
}

static uint8_t *put(uint8_t *to, uint64_t value, unsigned octets)
{
    for (; octets > 0; octets--, value >>= 8)
        *to++ = (uint8_t)(value & 0xffU);
    return to;
}

static void put_header(uint8_t *buf, size_t records, const pack_numbers *numbers)
{
    uint8_t *to = buf + 58;

    put(buf + 8, records, 2);
    put(buf + 42, numbers->key_id, 4);
    put(buf + 50, numbers->seq, 4);
    to = put(to, numbers->offset_us ? numbers->base_us + numbers->offset_us : 0, 8);
    to = put(to, numbers->base_us, 8);
    to = put(to, numbers->sent_us, 8);
    to = put(to, numbers->seen, 4);
    to = put(to, numbers->kept, 4);
    put(to, numbers->dropped, 4);
}

size_t pack_batch(uint8_t *buf, size_t room, size_t at, const uint8_t *head, size_t head_bytes, uint32_t *open_us,
                  size_t entries, const pack_numbers *numbers)
{
    size_t i;

    if (head_bytes != HEADER_BYTES + entries * LISTENED_BYTES || head[ENTRIES_AT] != entries || at < head_bytes ||
        at > room || room - at < CRC_BYTES || (at - head_bytes) % RECORD_BYTES)
        return 0;
    memcpy(buf, head, head_bytes);
    put_header(buf, (at - head_bytes) / RECORD_BYTES, numbers);
    for (i = 0; i < entries; i++) {
        put(buf + HEADER_BYTES + i * LISTENED_BYTES + 2, open_us[i] / 1000U, 4);
        open_us[i] %= 1000U;
    }
    put(buf + at, pack_crc32(buf, at), CRC_BYTES);
    return at + CRC_BYTES;
}
