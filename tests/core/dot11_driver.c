/* Runs dot11.c over frames from standard input (u16 little-endian length, bytes) and prints each record in hex. Then
 * walks `argv[1]` mutations of each, every frame in a heap block of its own size so that a sanitizer sees any overrun. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dot11.h"

static uint64_t state = 88172645463325252U;

static uint32_t any(uint32_t below) /* xorshift64 */
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void mutate(const dot11_key *key, const uint8_t *frame, size_t size)
{
    const size_t cut = any(4) ? size : any((uint32_t)size + 1);
    uint8_t *copy = malloc(cut ? cut : 1), record[DOT11_RECORD_BYTES];
    const dot11_reception reception = {1, -50, -90, 6};
    uint32_t changes = any(4);

    if (!copy)
        exit(2);
    memcpy(copy, frame, cut);
    while (cut && changes--)
        copy[any((uint32_t)cut)] = (uint8_t)any(256);
    dot11_record(key, copy, cut, &reception, record);
    free(copy);
}

int main(int argc, char **argv)
{
    const dot11_reception reception = {0x01020304, -50, -90, 6};
    uint8_t key_bytes[DOT11_KEY_BYTES], head[2], *frame, record[DOT11_RECORD_BYTES];
    dot11_key key;
    long i, mutations = argc > 1 ? atol(argv[1]) : 0;

    for (i = 0; i < DOT11_KEY_BYTES; i++)
        key_bytes[i] = (uint8_t)i;
    dot11_key_load(&key, key_bytes);
    printf("%08lx\n", (unsigned long)dot11_fingerprint_version());
    while (fread(head, 1, 2, stdin) == 2) {
        const size_t size = (size_t)(head[0] | head[1] << 8);
        frame = malloc(size ? size : 1);
        if (!frame || fread(frame, 1, size, stdin) != size)
            return 2;
        if (dot11_record(&key, frame, size, &reception, record) == DOT11_PROBE_REQUEST)
            for (i = 0; i < DOT11_RECORD_BYTES; i++)
                printf("%02x", record[i]);
        putchar('\n');
        for (i = 0; i < mutations; i++)
            mutate(&key, frame, size);
        free(frame);
    }
    return 0;
}
