/* The ear under threads: one floods it, the other takes records, changes keys, shuts and opens it, asks for
 * descriptions. Built with TSan or ASan; prints what it counted and ends with 1 if a record is not what was sent. */
#include "../../firmware/usermod/dot11cap/ear.c"

#include <stdio.h>
#include <stdlib.h>

#include "../../firmware/usermod/dot11cap/radio.h"
#include "../../firmware/usermod/dot11cap/radio_host.h"

#define BATCH 30U

static const uint8_t keys[2][DOT11_KEY_BYTES] = {{1}, {2}};

static int is_wiped(void)
{
    const uint8_t *p = (const uint8_t *)ear.secrets;
    size_t i;

    for (i = 0; i < sizeof ear.secrets; i++)
        if (p[i])
            return 0;
    return 1;
}

/* One key throughout: nothing may be lost, nothing may be corrupt. */
static uint32_t gentle(uint32_t frames)
{
    uint8_t records[BATCH * DOT11_RECORD_BYTES];
    uint32_t taken = 0, bad = 0;

    ear_start(keys[0], NULL, 0);
    radio_open();
    host_flood(frames, 1);
    while (host_is_flooding() || ear_waiting()) {
        const uint32_t n = ear_take(records, BATCH, 0);
        bad += host_corrupt(records, n, keys[0]);
        taken += n;
    }
    printf("gentle: %u of %u taken, %u corrupt\n", taken, frames, bad);
    return bad + (taken != frames);
}

/* One key, a reader that rests: what does not fit is dropped, what was in is taken whole and in its order. */
static uint32_t brim(uint32_t frames)
{
    uint8_t records[BATCH * DOT11_RECORD_BYTES];
    uint32_t taken = 0, bad = 0, n;
    ear_stats before, after;

    ear_forget();
    ear_start(keys[0], NULL, 0);
    ear_read_stats(&before);
    host_flood(frames, 0);
    while (host_is_flooding() || ear_waiting()) {
        while (host_is_flooding() && ear_waiting() < EAR_WIFI_SLOTS)
            ;
        for (n = 0; n < 64U; n++)
            bad += ear_waiting() > EAR_WIFI_SLOTS;
        for (n = 0; n < EAR_WIFI_SLOTS; n += BATCH) {
            const uint32_t count = ear_take(records, BATCH, 0);
            bad += host_corrupt(records, count, keys[0]);
            taken += count;
        }
    }
    ear_read_stats(&after);
    printf("brim: %u of %u taken, %u wrong, at most %u held\n", taken, frames, bad, after.high);
    return bad + (after.high > EAR_WIFI_SLOTS) + (taken + after.dropped - before.dropped != frames);
}

/* Nobody reads: exactly a ring of the oldest is kept, the rest is counted. */
static uint32_t full(uint32_t over)
{
    static uint8_t records[(EAR_WIFI_SLOTS + 1) * DOT11_RECORD_BYTES];
    uint32_t taken, bad;
    ear_stats before, after;

    ear_forget();
    ear_start(keys[0], NULL, 0);
    ear_read_stats(&before);
    host_flood(EAR_WIFI_SLOTS + over, 0);
    while (host_is_flooding())
        ;
    taken = ear_take(records, EAR_WIFI_SLOTS + 1, 0);
    bad = host_corrupt(records, taken, keys[0]) + (taken > 0 && records[20] + 256U * records[21] != 0);
    ear_read_stats(&after);
    printf("full: %u taken, %u dropped, %u wrong\n", taken, after.dropped - before.dropped, bad);
    return bad + (taken != EAR_WIFI_SLOTS) + (after.dropped - before.dropped != over);
}

/* Keys change, the ear is shut and forgets, all while frames come. */
static uint32_t rough(uint32_t frames)
{
    const uint64_t registry[2] = {1, 2};
    uint8_t records[BATCH * DOT11_RECORD_BYTES], description[EAR_DESCRIPTION_MOST];
    uint32_t taken = 0, bad = 0, turn = 0;
    ear_stats before, after;

    ear_forget();
    ear_read_stats(&before);
    host_flood(frames, 0);
    while (host_is_flooding()) {
        ear_start(keys[turn++ & 1U], registry, 2);
        taken += ear_take(records, BATCH, 0);
        taken += ear_take(records, BATCH, 0); /* the first may have given 0 between two keys */
        bad += ear_describe(0xffffffffU, description) != 0;
        if (turn % 64 == 0) {
            ear_stop();
            bad += !is_wiped();
        }
        if (turn % 1024 == 0)
            ear_forget();
    }
    ear_forget();
    ear_read_stats(&after);
    printf("rough: %u keys, %u taken\n", turn, taken);
    return bad + (after.seen - before.seen != after.rejected - before.rejected + after.dropped - before.dropped +
                                                  after.errors - before.errors + taken);
}

int main(int count, char **words)
{
    const uint32_t frames = count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : 100000U;

    return gentle(frames) + full(9) + brim(frames) + rough(frames) ? 1 : 0;
}
