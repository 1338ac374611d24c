/* libFuzzer's way into dot11.c: whatever bytes come, nothing is read past their end and what is said holds together.
 * The first octet says how much room a description gets. */
#include <stdlib.h>
#include <string.h>

#include "dot11.h"

#define MUST(condition)  \
    do {                 \
        if (!(condition)) \
            abort();     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_description(const uint8_t *frame, size_t size, size_t room, uint32_t expected)
{
    uint8_t *tight = malloc(room ? room : 1), *wide = malloc(6 * size + 16);
    size_t used = 0, all = 0;
    uint32_t fingerprint = 0;
    dot11_verdict verdict;

    MUST(tight && wide);
    MUST(dot11_describe(frame, size, wide, 6 * size + 16, &all) == DOT11_PROBE_REQUEST);
    MUST(dot11_fingerprint_of(wide, all, &fingerprint) && fingerprint == expected);
    verdict = dot11_describe(frame, size, tight, room, &used);
    MUST(used <= room && used <= all && memcmp(tight, wide, used) == 0);
    MUST((verdict == DOT11_PROBE_REQUEST) == (used == all) && (verdict == DOT11_NO_ROOM) == (room < all));
    free(tight);
    free(wide);
}

static void check_frame(const dot11_key *key, const uint8_t *frame, size_t size, size_t room)
{
    const dot11_reception reception = {1, -50, -90, 6};
    uint8_t record[DOT11_RECORD_BYTES];
    dot11_probe probe, again;
    const dot11_verdict verdict = dot11_parse(key, frame, size, &probe);

    MUST(dot11_record(key, frame, size, &reception, record) == verdict);
    if (verdict != DOT11_PROBE_REQUEST)
        return;
    memset(&again, 0xff, sizeof again);
    MUST(dot11_parse(key, frame, size, &again) == verdict && again.fingerprint == probe.fingerprint);
    MUST(again.device_key == probe.device_key && again.ssid_key == probe.ssid_key && again.flags == probe.flags);
    MUST(probe.sequence < 4096 && !(probe.flags & (DOT11_BLE | DOT11_REGISTERED)));
    check_description(frame, size, room, probe.fingerprint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t bytes[DOT11_KEY_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint32_t fingerprint;
    dot11_key key;
    uint8_t *frame;

    if (size == 0)
        return 0;
    frame = malloc(size > 1 ? size - 1 : 1); /* of its own size, so that the sanitizer sees any overrun */
    MUST(frame);
    memcpy(frame, data + 1, size - 1);
    dot11_key_load(&key, bytes);
    check_frame(&key, frame, size - 1, data[0]);
    dot11_fingerprint_of(frame, size - 1, &fingerprint);
    free(frame);
    return 0;
}
