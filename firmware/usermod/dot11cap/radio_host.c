/* See radio_host.h. */
#include "radio_host.h"

#include <errno.h>
#include <string.h>

#include "ear.h"
#include "radio.h"

#define FRAME_MOST 2352U
#define RSSI_STEPS 96U
#define RETURNS_AFTER (4096U * RSSI_STEPS) /* frames of a flood until sequence and RSSI come again */
#define NOISE_DBM (-95)

static const uint8_t flood_elements[] = {
    0, 4, 'n', 'a', 'm', 'e', 1, 4, 2, 4, 11, 22, 3, 1, 6, 50, 4, 12, 18, 24, 36, 0, 0, 0, 0 /* FCS */
};
#define FLOOD_BYTES (DOT11_HEADER_BYTES + sizeof flood_elements)

static struct {
    uint32_t open;
    unsigned channel;
    uint8_t sent[512];
    size_t sent_bytes;
    uint32_t flooding;
    int gentle;
    uint32_t frames;  /* of the flood */
    uint32_t checked; /* of the flood: those before this one are gone */
} host;

int radio_open(void)
{
    __atomic_store_n(&host.open, 1, __ATOMIC_SEQ_CST);
    return 0;
}

int radio_close(void)
{
    __atomic_store_n(&host.open, 0, __ATOMIC_SEQ_CST);
    return 0;
}

int radio_tune(unsigned channel)
{
    if (channel < 1 || channel > 14)
        return EINVAL;
    host.channel = channel;
    return 0;
}

int radio_send(const uint8_t *frame, size_t size)
{
    memcpy(host.sent, frame, size);
    host.sent_bytes = size;
    return 0;
}

size_t host_sent(uint8_t *out, size_t room)
{
    const size_t size = host.sent_bytes < room ? host.sent_bytes : room;

    memcpy(out, host.sent, size);
    return size;
}

unsigned host_tuned(void)
{
    return __atomic_load_n(&host.open, __ATOMIC_SEQ_CST) ? host.channel : 0;
}

static void bring(uint8_t *frame, size_t size, int8_t rssi_dbm, uint8_t channel, uint64_t at_us, uint64_t late_us)
{
    ear_reception heard = {
        .frame = frame,
        .on_air = (uint32_t)size,
        .timestamp_us = (uint32_t)at_us,
        .now_us = at_us + late_us,
        .rssi_dbm = rssi_dbm,
        .noise_dbm = NOISE_DBM,
        .channel = channel,
    };

    if (__atomic_load_n(&host.open, __ATOMIC_SEQ_CST))
        ear_hear(&heard);
}

void host_inject(const uint8_t *frame, size_t size, int8_t rssi_dbm, uint8_t channel, uint64_t at_us, uint64_t late_us)
{
    uint8_t copy[FRAME_MOST];
    const size_t kept = size < sizeof copy ? size : sizeof copy;

    memcpy(copy, frame, kept);
    bring(copy, kept, rssi_dbm, channel, at_us, late_us);
}

/* ---- the flood ---- */

static void address_of(uint32_t number, uint8_t out[DOT11_ADDRESS_BYTES])
{
    const uint32_t mixed = number * 2654435761U;

    out[0] = 2;
    out[1] = 0;
    memcpy(out + 2, &mixed, 4);
}

static uint16_t sequence_of(uint32_t number)
{
    return (uint16_t)(number % 4096U);
}

static int8_t rssi_of(uint32_t number)
{
    return (int8_t)(-1 - (int)(number / 4096U % RSSI_STEPS));
}

static void pause_of_thread(void);

static void *flood(void *unused)
{
    uint8_t frame[FLOOD_BYTES];
    uint32_t i;

    for (i = 0; i < host.frames; i++) {
        memset(frame, 0, sizeof frame);
        frame[0] = 0x40;
        memset(frame + 4, 0xff, DOT11_ADDRESS_BYTES);
        address_of(i, frame + 10);
        frame[22] = (uint8_t)(sequence_of(i) << 4);
        frame[23] = (uint8_t)(sequence_of(i) >> 4);
        memcpy(frame + DOT11_HEADER_BYTES, flood_elements, sizeof flood_elements);
        while (host.gentle && ear_waiting() == EAR_WIFI_SLOTS)
            pause_of_thread();
        bring(frame, sizeof frame, rssi_of(i), 6, i, 0);
    }
    __atomic_store_n(&host.flooding, 0, __ATOMIC_RELEASE);
    return unused;
}

#if defined(__unix__)
#include <pthread.h>
#include <sched.h>
#include <time.h>

uint64_t radio_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

static void pause_of_thread(void)
{
    sched_yield();
}

static int begin(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, flood, NULL) ? EAGAIN : pthread_detach(thread);
}
#else
uint64_t radio_now_us(void)
{
    static uint64_t now_us;

    return now_us += 100;
}

static void pause_of_thread(void)
{
    host.gentle = 0; /* nobody else would take records: the rest is dropped */
}

static int begin(void)
{
    return flood(NULL) ? EIO : 0;
}
#endif

int host_flood(uint32_t frames, int gentle)
{
    int error;

    if (host_is_flooding())
        return EBUSY;
    host.frames = frames;
    host.gentle = gentle;
    host.checked = 0;
    __atomic_store_n(&host.flooding, 1, __ATOMIC_RELEASE);
    error = begin();
    if (error)
        __atomic_store_n(&host.flooding, 0, __ATOMIC_RELEASE);
    return error;
}

#if defined(__riscv)
static uint32_t retired(void)
{
    uint32_t value;

    __asm__ volatile("csrr %0, minstret" : "=r"(value));
    return value;
}
#else
static uint32_t retired(void)
{
    return 0;
}
#endif

uint32_t host_cost(const uint8_t *frame, size_t size)
{
    uint8_t copy[FRAME_MOST], taken[DOT11_RECORD_BYTES];
    uint32_t before, after;
    ear_reception heard = {.frame = copy, .on_air = (uint32_t)size, .rssi_dbm = -60, .channel = 6};

    if (size > sizeof copy)
        return 0;
    memcpy(copy, frame, size);
    ear_hear(&heard); /* its kind is known from here on */
    memcpy(copy, frame, size);
    before = retired();
    ear_hear(&heard);
    after = retired();
    while (ear_take(taken, 1, 0))
        ;
    return after - before;
}

int host_is_flooding(void)
{
    return __atomic_load_n(&host.flooding, __ATOMIC_ACQUIRE) != 0;
}

static uint64_t load(const uint8_t *p, unsigned octets)
{
    uint64_t value = 0;

    while (octets-- > 0)
        value = value << 8 | p[octets];
    return value;
}

/* The number of the frame that a record is of, from what comes again only after RETURNS_AFTER frames. */
static uint32_t number_of(const uint8_t *record)
{
    const uint32_t here = (uint32_t)load(record + 20, 2) + 4096U * (uint32_t)(-1 - (int8_t)record[22]);

    return host.checked + (here + RETURNS_AFTER - host.checked % RETURNS_AFTER) % RETURNS_AFTER;
}

uint32_t host_corrupt(const uint8_t *records, size_t count, const uint8_t bytes[DOT11_KEY_BYTES])
{
    uint32_t bad = 0;
    dot11_key key;

    dot11_key_load(&key, bytes);
    for (; count > 0; count--, records += DOT11_RECORD_BYTES) {
        const uint32_t number = number_of(records);
        uint8_t address[DOT11_ADDRESS_BYTES];
        address_of(number, address);
        bad += number >= host.frames || load(records, 4) != number || (int8_t)records[23] != NOISE_DBM || records[24] != 6 ||
               records[25] != DOT11_RANDOMISED || load(records + 4, 8) != dot11_siphash(&key, address, sizeof address);
        host.checked = number + 1U;
    }
    return bad;
}
