/* A batch closed: everything in its header that differs from one to the next, its listened times, its CRC.
 * hostkit/contract/wire.md is the format. Knows no ear, no MicroPython, no chip. */
#ifndef FOOTFALL_PACK_H
#define FOOTFALL_PACK_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t key_id, seq, seen, kept, dropped;
    uint64_t offset_us; /* of UTC to probe time; 0: unknown */
    uint64_t base_us, sent_us;
} pack_numbers;

/* Closes the batch in `buf` whose records end at `at`, with `head` before them: header and listened entries, what differs
 * from batch to batch 0. open_us is how long each entry was open, and keeps what is below 1 ms. Gives the batch's size; 0,
 * and nothing is changed, if that is no batch or `room` ends before its CRC. */
size_t pack_batch(uint8_t *buf, size_t room, size_t at, const uint8_t *head, size_t head_bytes, uint32_t *open_us,
                  size_t entries, const pack_numbers *numbers);

/* CRC-32 of IEEE 802.3. */
uint32_t pack_crc32(const uint8_t *data, size_t size);

#endif
