/* What host builds give tests besides: a radio to speak into. */
#include "mod_host.h"

#include "arguments.h"
#include "ear.h"
#include "radio.h"
#include "radio_host.h"

#define SENT_MOST 512U

/* inject(frame, rssi_dbm=-60, channel=6, at_us=now, late_us=0): one frame with its FCS, as the radio's task would bring it,
 * so much later. */
static mp_obj_t cap_inject(size_t n_args, const mp_obj_t *args)
{
    mp_buffer_info_t frame;

    mp_get_buffer_raise(args[1], &frame, MP_BUFFER_READ);
    host_inject(frame.buf, frame.len, (int8_t)(n_args > 2 ? mp_obj_get_int(args[2]) : -60),
                (uint8_t)(n_args > 3 ? mp_obj_get_int(args[3]) : 6), n_args > 4 ? unsigned_of(args[4]) : radio_now_us(),
                n_args > 5 ? unsigned_of(args[5]) : 0);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(cap_inject_object, 2, 6, cap_inject);

static mp_obj_t cap_sent(mp_obj_t self)
{
    (void)self;
    uint8_t frame[SENT_MOST];

    return mp_obj_new_bytes(frame, host_sent(frame, sizeof frame));
}
MP_DEFINE_CONST_FUN_OBJ_1(cap_sent_object, cap_sent);

/* flood(n, gentle): n frames from another thread, each of its own address; returns at once. */
static mp_obj_t cap_flood(mp_obj_t self, mp_obj_t frames, mp_obj_t gentle)
{
    (void)self;
    check(host_flood((uint32_t)unsigned_of(frames), mp_obj_is_true(gentle)));
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_3(cap_flood_object, cap_flood);

static mp_obj_t cap_flooding(mp_obj_t self)
{
    (void)self;
    return mp_obj_new_bool(host_is_flooding());
}
MP_DEFINE_CONST_FUN_OBJ_1(cap_flooding_object, cap_flooding);

/* corrupt(records, key): how many of a flood's records, in the order taken, are not what was sent. */
static mp_obj_t cap_corrupt(mp_obj_t self, mp_obj_t records, mp_obj_t key)
{
    (void)self;
    mp_buffer_info_t r, k;

    mp_get_buffer_raise(records, &r, MP_BUFFER_READ);
    bytes_of(key, DOT11_KEY_BYTES, &k);
    return mp_obj_new_int_from_uint(host_corrupt(r.buf, r.len / DOT11_RECORD_BYTES, k.buf));
}
MP_DEFINE_CONST_FUN_OBJ_3(cap_corrupt_object, cap_corrupt);

static mp_obj_t cap_cost(mp_obj_t self, mp_obj_t frame)
{
    (void)self;
    mp_buffer_info_t buffer;

    mp_get_buffer_raise(frame, &buffer, MP_BUFFER_READ);
    return mp_obj_new_int_from_uint(host_cost(buffer.buf, buffer.len));
}
MP_DEFINE_CONST_FUN_OBJ_2(cap_cost_object, cap_cost);

static mp_obj_t cap_tuned(mp_obj_t self)
{
    (void)self;
    return mp_obj_new_int(host_tuned());
}
MP_DEFINE_CONST_FUN_OBJ_1(cap_tuned_object, cap_tuned);
