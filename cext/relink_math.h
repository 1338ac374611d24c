/* Logarithm and exponential by a few multiplications, in loops that compilers vectorise. No libm call, no table. */
#ifndef FOOTFALL_RELINK_MATH_H
#define FOOTFALL_RELINK_MATH_H

#include <stdint.h>

typedef union {
    float real;
    int32_t bits;
} relink_bits;

/* Natural logarithm of a normal x > 0, within 5e-6 of its size or of 1: Cephes, single/logf.c. */
static inline float relink_log(float x) {
    relink_bits b = {x};
    int32_t power = (b.bits - 0x3f3504f3) >> 23; /* mantissa from sqrt(1/2) to sqrt(2) */
    b.bits -= power * (1 << 23);
    float m = b.real - 1, z = m * m;
    float series = ((((((7.0376836292e-2f * m - 1.1514610310e-1f) * m + 1.1676998740e-1f) * m - 1.2420140846e-1f) * m
                      + 1.4249322787e-1f) * m - 1.6668057665e-1f) * m + 2.0000714765e-1f) * m - 2.4999993993e-1f;
    series = (series * m + 0.33333331174f) * m * z;
    return series - 0.5f * z + m + (float)power * 0.69314718056f;
}

/* e to the x within 5e-6 of it, x from -87 to 88 (clipped to that): Cephes, single/expf.c. */
static inline float relink_exp(float x) {
    x = x > 87.0f ? 87.0f : x < -87.0f ? -87.0f : x;
    float scaled = x * 1.44269504089f + 127.5f; /* positive, so that truncation rounds down */
    int32_t power = (int32_t)scaled;
    float f = x - (float)(power - 127) * 0.69314718056f;
    relink_bits two = {.bits = power * (1 << 23)};
    float series = ((((1.9875691500e-4f * f + 1.3981999507e-3f) * f + 8.3334519073e-3f) * f + 4.1665795894e-2f) * f
                    + 1.6666665459e-1f) * f + 5.0000001201e-1f;
    return (series * f * f + f + 1) * two.real;
}

#endif
