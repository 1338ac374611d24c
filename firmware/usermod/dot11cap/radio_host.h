/* A radio without a chip, for tests: frames come from who calls, or from a thread. */
#ifndef FOOTFALL_RADIO_HOST_H
#define FOOTFALL_RADIO_HOST_H

#include <stddef.h>
#include <stdint.h>

/* Brings one frame, its FCS included, to the ear as it was heard at `at_us` and brought `late_us` after it, if the
 * radio is open. */
void host_inject(const uint8_t *frame, size_t size, int8_t rssi_dbm, uint8_t channel, uint64_t at_us, uint64_t late_us);

/* The frame sent last; gives its size. */
size_t host_sent(uint8_t *out, size_t room);

unsigned host_tuned(void); /* 0: the radio is shut */

/* Brings so many frames, from a thread of their own where there are threads; a gentle flood waits while the ring is full. */
int host_flood(uint32_t frames, int gentle);
int host_is_flooding(void);

/* Instructions that the ear takes for a frame of a kind heard before; 0 where they cannot be counted. */
uint32_t host_cost(const uint8_t *frame, size_t size);

/* Of a flood's records, in the order taken and with fewer than 393,216 missing between two, how many are not what was
 * sent. */
uint32_t host_corrupt(const uint8_t *records, size_t count, const uint8_t key[16]);

#endif
