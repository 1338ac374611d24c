/* Probe requests from the radio's task to MicroPython's: each keyed and packed where it is heard, then kept in a ring
 * with one writer and one reader until Python takes it. Wi-Fi and BLE have a ring each. C11 with the compiler's
 * atomic loads and stores only (the C3 and C2 have no atomic add). Nothing here knows MicroPython or a chip. */
#ifndef FOOTFALL_EAR_H
#define FOOTFALL_EAR_H

#include <stddef.h>
#include <stdint.h>

#include "dot11.h"

#define EAR_WIFI_SLOTS 512U /* records that wait, at most; powers of two. 32 octets each, never freed */
#define EAR_BLE_SLOTS 128U
#define EAR_REGISTRY_MOST 256U
#define EAR_KINDS 32U             /* descriptions kept */
#define EAR_DESCRIPTION_MOST 320U /* octets of one; a longer one is not kept */
#define EAR_FCS_BYTES 4U

typedef enum { EAR_WIFI, EAR_BLE, EAR_RADIOS } ear_radio;

/* What the radio says of one reception (rx_ctrl of the promiscuous callback). */
typedef struct {
    uint8_t *frame;        /* from the frame control on; its transmitter's address is overwritten */
    uint32_t on_air;       /* octets, the FCS included: sig_len */
    uint32_t timestamp_us; /* the radio's clock, wraps */
    uint64_t now_us;       /* probe time, at or after the reception */
    int8_t rssi_dbm;
    int8_t noise_dbm;
    uint8_t channel; /* tuned */
    uint8_t state;   /* rx_state: not 0 is an error of reception */
} ear_reception;

/* Counters of both radios since boot, modulo 2^32: seen = rejected + dropped + errors + taken + waiting. */
typedef struct {
    uint32_t seen, rejected, dropped, errors;
    uint32_t high; /* most records that one ring ever held */
} ear_stats;

/* ---- the reader's side: one task ---- */

/* Opens the ear. While it is open, replaces key and registry between two frames; records of the key before are then taken
 * first. What still waits when a shut ear is opened is counted as dropped. Registry: device keys, ascending. */
void ear_start(const uint8_t key[DOT11_KEY_BYTES], const uint64_t *registry, uint32_t registered);

/* Shuts the ear and overwrites key and registry; what waits can still be taken. Returns when the writer is out. */
void ear_stop(void);

/* Stops, and counts as dropped what waits: nobody knows its key any more. */
void ear_forget(void);

/* Records that wait. */
uint32_t ear_waiting(void);

/* Moves the oldest records, at most `most`, to `out`, those of both radios in order of time; gives how many. A record's
 * offset is its time since `base_us`, 0 if it is from before. All are of one key: at a change it gives 0 once. */
uint32_t ear_take(uint8_t *out, uint32_t most, uint64_t base_us);

void ear_read_stats(ear_stats *out);

/* The description of a frame of that fingerprint among the last EAR_KINDS kinds heard; gives its size, 0: none. */
size_t ear_describe(uint32_t fingerprint, uint8_t out[EAR_DESCRIPTION_MOST]);

/* One scan report, arguments as of ble_record; 0: no record came of it. */
int ear_advert(const uint8_t address[DOT11_ADDRESS_BYTES], unsigned address_type, unsigned event_type, const uint8_t *ad,
               size_t size, int8_t rssi_dbm, uint64_t now_us);

/* ---- the writer's side: the radio's task ---- */

void ear_hear(ear_reception *heard);

#endif
