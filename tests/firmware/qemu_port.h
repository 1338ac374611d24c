/* The qemu port with asyncio and a clock. The clock is the instructions the processor retired, 1 ns each. */
#include "ports/qemu/mpconfigport.h"

#include <stdint.h>

#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)
#undef MICROPY_PY_SELECT
#define MICROPY_PY_SELECT (1)
#undef MICROPY_PY_ASYNCIO
#define MICROPY_PY_ASYNCIO (1)

static inline uint32_t retired_low(void)
{
    uint32_t low;

    __asm__ volatile("csrr %0, minstret" : "=r"(low));
    return low;
}

static inline uint64_t retired(void)
{
    uint32_t high, low, again;

    do {
        __asm__ volatile("csrr %0, minstreth\n csrr %1, minstret\n csrr %2, minstreth"
                         : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

static inline void wait_ns(uint64_t ns)
{
    const uint64_t end = retired() + ns;

    while (retired() < end)
        ;
}

#define mp_hal_ticks_cpu() retired_low()
#define mp_hal_ticks_us() ((mp_uint_t)(retired() / 1000U))
#define mp_hal_ticks_ms() ((mp_uint_t)(retired() / 1000000U))
#define mp_hal_delay_us(us) wait_ns((uint64_t)(us) * 1000U)
#define mp_hal_delay_ms(ms) wait_ns((uint64_t)(ms) * 1000000U)
