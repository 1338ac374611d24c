/* The rings between radio and Python. See ear.h for the contract. */
#include "ear.h"

#include <string.h>

#include "ble.h"

#define PROBE_REQUEST 0x40U /* frame control of a probe request: version 0, management, subtype 4 */
#define TAIL_BYTES (DOT11_RECORD_BYTES - 4U) /* a record without its offset */

typedef struct {
    uint64_t at_us;
    uint8_t tail[TAIL_BYTES];
    uint8_t turn; /* of the secrets it was made with, modulo 256 */
} slot;

/* head and the counters are the writer's, tail the reader's; a slot belongs to whom head and tail give it. */
typedef struct {
    slot *slots;
    uint32_t size; /* a power of two */
    uint32_t head, tail;
    uint32_t seen, rejected, dropped, errors, high;
} ring;

typedef struct {
    dot11_key key;
    uint32_t registered;
    uint64_t registry[EAR_REGISTRY_MOST];
} secrets;

typedef struct {
    uint32_t fingerprint;
    uint16_t size;
    uint8_t octets[EAR_DESCRIPTION_MOST];
} kind;

static slot wifi_slots[EAR_WIFI_SLOTS], ble_slots[EAR_BLE_SLOTS];

static struct {
    ring rings[EAR_RADIOS];
    uint32_t open;      /* reader writes */
    uint32_t busy;      /* the radio's task is inside; it writes */
    uint32_t turn;      /* secrets[turn & 1] are in force; reader writes */
    uint32_t taking;    /* records of this turn are taken; the reader's */
    uint32_t held;      /* the reader looks at the kinds; it writes */
    secrets secrets[2]; /* the one not in force is the reader's */
    kind kinds[EAR_KINDS];
    uint32_t next_kind; /* next to be replaced; the radio's task */
    uint32_t lag_us;    /* least seen of probe time less the radio's clock; the radio's task */
    uint32_t has_lag;
} ear = {.rings = {[EAR_WIFI] = {.slots = wifi_slots, .size = EAR_WIFI_SLOTS},
                   [EAR_BLE] = {.slots = ble_slots, .size = EAR_BLE_SLOTS}}};

/* Between a store and a load of the other side's flag only sequential consistency helps (Dekker). */
static uint32_t look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void tell(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void count(uint32_t *counter)
{
    __atomic_store_n(counter, *counter + 1U, __ATOMIC_RELAXED);
}

static uint32_t counted(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Through a volatile pointer, so that no compiler leaves it out. */
static void wipe(void *memory, size_t size)
{
    volatile uint8_t *p = memory;

    while (size--)
        *p++ = 0;
}

/* ---- writing ---- */

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const uint8_t *p)
{
    return (uint64_t)load32(p) | (uint64_t)load32(p + 4) << 32;
}

static int is_registered(const secrets *in_force, uint64_t device_key)
{
    uint32_t low = 0, high = in_force->registered;

    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (in_force->registry[middle] < device_key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < in_force->registered && in_force->registry[low] == device_key;
}

static void put(ring *r, uint32_t turn, const uint8_t record[DOT11_RECORD_BYTES], uint64_t at_us)
{
    const secrets *in_force = &ear.secrets[turn & 1U];
    const uint32_t head = r->head;
    const uint32_t held = head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
    slot *s = &r->slots[head & (r->size - 1U)];

    if (held == r->size) {
        count(&r->dropped);
        return;
    }
    s->at_us = at_us;
    s->turn = (uint8_t)(turn & 0xffU);
    memcpy(s->tail, record + 4, TAIL_BYTES);
    if (in_force->registered && is_registered(in_force, load64(record + 4)))
        s->tail[TAIL_BYTES - 1] |= DOT11_REGISTERED;
    __atomic_store_n(&r->head, head + 1U, __ATOMIC_RELEASE);
    if (held + 1U > r->high)
        __atomic_store_n(&r->high, held + 1U, __ATOMIC_RELAXED);
}

/* The radio's clock ticks with the probe's, from another start, and is read before it: their least difference is the
 * start, whatever the task was late with the others. Holds across the wrap as long as it is late by less than one. */
static uint64_t time_of(const ear_reception *heard)
{
    const uint32_t lag_us = (uint32_t)heard->now_us - heard->timestamp_us;

    if (!ear.has_lag || (int32_t)(lag_us - ear.lag_us) < 0) {
        ear.has_lag = 1;
        ear.lag_us = lag_us;
    }
    return heard->now_us - (lag_us - ear.lag_us);
}

/* A kind heard for the first time, or for the first time since it was replaced. */
static void remember(uint32_t fingerprint, const uint8_t *frame, size_t size)
{
    kind *k;
    size_t used;
    uint32_t i;

    for (i = 0; i < EAR_KINDS; i++)
        if (ear.kinds[i].size && ear.kinds[i].fingerprint == fingerprint)
            return;
    k = &ear.kinds[ear.next_kind];
    k->size = 0;
    if (dot11_describe(frame, size, k->octets, EAR_DESCRIPTION_MOST, &used) != DOT11_PROBE_REQUEST)
        return;
    k->fingerprint = fingerprint;
    k->size = (uint16_t)used;
    ear.next_kind = (ear.next_kind + 1U) % EAR_KINDS;
}

/* Of a frame that is not read past its first octets, nothing but the count. */
static int is_candidate(const ear_reception *heard, ring *r)
{
    count(&r->seen);
    if (heard->state || heard->on_air < EAR_FCS_BYTES + DOT11_HEADER_BYTES) {
        count(&r->errors);
        return 0;
    }
    if (heard->frame[0] != PROBE_REQUEST) {
        count(&r->rejected);
        return 0;
    }
    return 1;
}

static void keep(ear_reception *heard)
{
    const uint32_t turn = look(&ear.turn);
    const dot11_reception reception = {0, heard->rssi_dbm, heard->noise_dbm, heard->channel};
    const size_t size = heard->on_air - EAR_FCS_BYTES;
    const uint64_t at_us = time_of(heard);
    uint8_t record[DOT11_RECORD_BYTES];
    ring *r = &ear.rings[EAR_WIFI];

    if (dot11_record(&ear.secrets[turn & 1U].key, heard->frame, size, &reception, record) == DOT11_PROBE_REQUEST) {
        if (!look(&ear.held))
            remember(load32(record + 12), heard->frame, size);
        put(r, turn, record, at_us);
    } else {
        count(&r->rejected);
    }
    wipe(heard->frame + 10, DOT11_ADDRESS_BYTES);
}

void ear_hear(ear_reception *heard)
{
    tell(&ear.busy, 1);
    if (look(&ear.open) && is_candidate(heard, &ear.rings[EAR_WIFI]))
        keep(heard);
    tell(&ear.busy, 0);
}

int ear_advert(const uint8_t address[DOT11_ADDRESS_BYTES], unsigned address_type, unsigned event_type, const uint8_t *ad,
               size_t size, int8_t rssi_dbm, uint64_t now_us)
{
    const uint32_t turn = ear.turn;
    const dot11_reception reception = {0, rssi_dbm, 0, 0};
    ring *r = &ear.rings[EAR_BLE];
    uint8_t record[DOT11_RECORD_BYTES];
    const uint32_t dropped = r->dropped;

    if (!ear.open)
        return 0;
    count(&r->seen);
    if (ble_record(&ear.secrets[turn & 1U].key, address, address_type, event_type, ad, size, &reception, record) != BLE_ADVERTISEMENT) {
        count(&r->rejected);
        return 0;
    }
    put(r, turn, record, now_us);
    return r->dropped == dropped;
}

/* ---- reading ---- */

static uint32_t held_by(const ring *r)
{
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
}

static void wait_for_the_radio(void)
{
    while (look(&ear.busy))
        ; /* a frame's time: microseconds */
}

/* The writer takes the new secrets with its next frame; the old ones are overwritten when it has left the last. */
static void exchange(const uint8_t key[DOT11_KEY_BYTES], const uint64_t *registry, uint32_t registered)
{
    const uint32_t turn = ear.turn + 1U;
    secrets *fresh = &ear.secrets[turn & 1U], *stale = &ear.secrets[ear.turn & 1U];

    dot11_key_load(&fresh->key, key);
    fresh->registered = registered;
    if (registered)
        memcpy(fresh->registry, registry, registered * sizeof *registry);
    tell(&ear.turn, turn);
    wait_for_the_radio();
    wipe(stale, sizeof *stale);
}

void ear_stop(void)
{
    tell(&ear.open, 0);
    wait_for_the_radio();
    wipe(ear.secrets, sizeof ear.secrets);
    ear.has_lag = 0; /* the radio's clock may start anew */
}

void ear_forget(void)
{
    uint32_t i;

    ear_stop();
    for (i = 0; i < EAR_RADIOS; i++) {
        ring *r = &ear.rings[i];
        r->dropped += held_by(r);
        r->tail = r->head;
    }
}

void ear_start(const uint8_t key[DOT11_KEY_BYTES], const uint64_t *registry, uint32_t registered)
{
    if (!ear.open)
        ear_forget();
    exchange(key, registry, registered);
    if (!ear.open)
        ear.taking = ear.turn;
    tell(&ear.open, 1);
}

uint32_t ear_waiting(void)
{
    return held_by(&ear.rings[EAR_WIFI]) + held_by(&ear.rings[EAR_BLE]);
}

/* The oldest of the key that is taken. */
static const slot *oldest(const ring *r)
{
    const slot *s = &r->slots[r->tail & (r->size - 1U)];

    return held_by(r) && s->turn == (ear.taking & 0xffU) ? s : NULL;
}

uint32_t ear_take(uint8_t *out, uint32_t most, uint64_t base_us)
{
    ring *rings = ear.rings;
    uint32_t taken;

    for (taken = 0; taken < most; taken++, out += DOT11_RECORD_BYTES) {
        const slot *wifi = oldest(&rings[EAR_WIFI]), *ble = oldest(&rings[EAR_BLE]);
        ring *r = !wifi || (ble && ble->at_us < wifi->at_us) ? &rings[EAR_BLE] : &rings[EAR_WIFI];
        const slot *first = r == &rings[EAR_BLE] ? ble : wifi;
        uint32_t offset_us, i;
        if (!first)
            break;
        offset_us = first->at_us > base_us ? (uint32_t)(first->at_us - base_us) : 0;
        for (i = 0; i < 4; i++)
            out[i] = (uint8_t)(offset_us >> 8 * i);
        memcpy(out + 4, first->tail, TAIL_BYTES);
        __atomic_store_n(&r->tail, r->tail + 1U, __ATOMIC_RELEASE);
    }
    if (!taken && most && ear.taking != ear.turn)
        ear.taking++;
    return taken;
}

void ear_read_stats(ear_stats *out)
{
    uint32_t i;

    memset(out, 0, sizeof *out);
    for (i = 0; i < EAR_RADIOS; i++) {
        const ring *r = &ear.rings[i];
        out->seen += counted(&r->seen);
        out->rejected += counted(&r->rejected);
        out->dropped += counted(&r->dropped);
        out->errors += counted(&r->errors);
        if (counted(&r->high) > out->high)
            out->high = counted(&r->high);
    }
}

size_t ear_describe(uint32_t fingerprint, uint8_t out[EAR_DESCRIPTION_MOST])
{
    size_t size = 0;
    uint32_t i;

    tell(&ear.held, 1);
    wait_for_the_radio();
    for (i = 0; i < EAR_KINDS && !size; i++)
        if (ear.kinds[i].size && ear.kinds[i].fingerprint == fingerprint) {
            size = ear.kinds[i].size;
            memcpy(out, ear.kinds[i].octets, size);
        }
    tell(&ear.held, 0);
    return size;
}
