/* What Python gave, as C takes it; raises what the contract says. */
#ifndef FOOTFALL_ARGUMENTS_H
#define FOOTFALL_ARGUMENTS_H

#include <stdint.h>

#include "py/binary.h"
#include "py/runtime.h"

static inline void check(int error)
{
    if (error)
        mp_raise_OSError(error);
}

static inline const uint8_t *bytes_of(mp_obj_t object, size_t size, mp_buffer_info_t *buffer)
{
    mp_get_buffer_raise(object, buffer, MP_BUFFER_READ);
    if (buffer->len != size)
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%u bytes, not %u"), (unsigned)size, (unsigned)buffer->len);
    return buffer->buf;
}

/* A non-negative int of any size; above 2^64 it wraps. */
static inline uint64_t unsigned_of(mp_obj_t object)
{
    uint64_t value = 0;
    byte *at = (byte *)&value;

    mp_binary_set_val('@', 'Q', object, at, &at);
    return value;
}

#endif
