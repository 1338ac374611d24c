/* What the ear needs of the chip it runs on. Each returns 0 or an errno. */
#ifndef FOOTFALL_RADIO_H
#define FOOTFALL_RADIO_H

#include <stddef.h>
#include <stdint.h>

/* Hands every management frame to ear_hear from now on. */
int radio_open(void);

/* None after it returns. */
int radio_close(void);

/* Primary channel, 20 MHz. */
int radio_tune(unsigned channel);

/* One raw frame without FCS, on the tuned channel. */
int radio_send(const uint8_t *frame, size_t size);

/* Probe time: µs since boot, never stepped. */
uint64_t radio_now_us(void);

#endif
