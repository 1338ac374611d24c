/* The ear as MicroPython sees it. README.md beside this file is the contract. */
#include <errno.h>
#include <string.h>

#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/stream.h"

#include "arguments.h"
#include "ear.h"
#include "mod_host.h"
#include "pack.h"
#include "radio.h"
#include "verify.h"

#define WAKE_AT 16
#define FRAME_MOST 512U

static struct {
    uint32_t wake;
    bool wanted;  /* between start() and stop() */
    bool radio;   /* promiscuous reception is on */
    uint8_t channel;
} cap = {.wake = WAKE_AT, };

/* ---- reception ---- */

static void shut_radio(void)
{
    if (cap.radio) {
        cap.radio = false;
        check(radio_close());
    }
}

static void open_radio(void)
{
    check(radio_tune(cap.channel));
    if (!cap.radio) {
        check(radio_open());
        cap.radio = true;
    }
}

static void stop(void)
{
    cap.wanted = false;
    ear_stop();
    shut_radio();
}

/* A guard on the GC heap: its finaliser runs at soft reset, before the heap goes. */
typedef struct {
    mp_obj_base_t base;
} guard_object;

static mp_obj_t guard_del(mp_obj_t self)
{
    (void)self;
    ear_forget();
    stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(guard_del_object, guard_del);

static const mp_rom_map_elem_t guard_table[] = {
    {MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&guard_del_object)},
};
static MP_DEFINE_CONST_DICT(guard_dict, guard_table);
static MP_DEFINE_CONST_OBJ_TYPE(guard_type, MP_QSTR_guard, MP_TYPE_FLAG_NONE, locals_dict, &guard_dict);

MP_REGISTER_ROOT_POINTER(void *dot11cap_guard);

static uint32_t read_registry(mp_obj_t object, uint64_t registry[EAR_REGISTRY_MOST])
{
    mp_buffer_info_t given;
    size_t i, n;

    mp_get_buffer_raise(object, &given, MP_BUFFER_READ);
    n = given.len / sizeof *registry;
    if (given.len % sizeof *registry || n > EAR_REGISTRY_MOST)
        mp_raise_ValueError(MP_ERROR_TEXT("registry: 8 bytes a key, at most 256"));
    memcpy(registry, given.buf, given.len);
    for (i = 1; i < n; i++)
        if (registry[i - 1] >= registry[i])
            mp_raise_ValueError(MP_ERROR_TEXT("registry: not ascending"));
    return (uint32_t)n;
}

static mp_obj_t cap_start(size_t n_args, const mp_obj_t *positional, mp_map_t *named)
{
    enum { SELF, KEY, WAKE, REGISTRY };
    static const mp_arg_t allowed[] = {
        {MP_QSTR_self, MP_ARG_REQUIRED | MP_ARG_OBJ, {.u_obj = MP_OBJ_NULL}},
        {MP_QSTR_key, MP_ARG_REQUIRED | MP_ARG_OBJ, {.u_obj = MP_OBJ_NULL}},
        {MP_QSTR_wake, MP_ARG_KW_ONLY | MP_ARG_INT, {.u_int = WAKE_AT}},
        {MP_QSTR_registry, MP_ARG_KW_ONLY | MP_ARG_OBJ, {.u_rom_obj = MP_ROM_PTR(&mp_const_empty_bytes_obj)}},
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    uint64_t registry[EAR_REGISTRY_MOST];
    mp_buffer_info_t key;
    uint32_t registered;

    mp_arg_parse_all(n_args, positional, named, MP_ARRAY_SIZE(allowed), allowed, args);
    bytes_of(args[KEY].u_obj, DOT11_KEY_BYTES, &key);
    if (args[WAKE].u_int < 1 || args[WAKE].u_int > (mp_int_t)EAR_WIFI_SLOTS)
        mp_raise_ValueError(MP_ERROR_TEXT("wake: 1 to 512"));
    registered = read_registry(args[REGISTRY].u_obj, registry);
    if (MP_STATE_VM(dot11cap_guard) == NULL) {
        guard_object *guard = mp_obj_malloc_with_finaliser(guard_object, &guard_type);
        MP_STATE_VM(dot11cap_guard) = guard;
    }
    cap.wake = (uint32_t)args[WAKE].u_int;
    ear_start(key.buf, registry, registered);
    if (!cap.wanted)
        cap.channel = 0;
    cap.wanted = true;
    return mp_obj_new_int_from_ull(radio_now_us());
}
static MP_DEFINE_CONST_FUN_OBJ_KW(cap_start_object, 2, cap_start);

static mp_obj_t cap_stop(mp_obj_t self)
{
    (void)self;
    stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(cap_stop_object, cap_stop);

static mp_obj_t cap_channel(mp_obj_t self, mp_obj_t number)
{
    (void)self;
    const mp_int_t channel = mp_obj_get_int(number);

    if (channel < 0 || channel > 255)
        mp_raise_OSError(MP_EINVAL);
    if (!channel)
        shut_radio();
    else if (cap.wanted)
        check(radio_tune((unsigned)channel));
    cap.channel = (uint8_t)channel;
    if (channel && cap.wanted)
        open_radio();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(cap_channel_object, cap_channel);

/* ---- records ---- */

static mp_obj_t cap_recvinto(size_t n_args, const mp_obj_t *args)
{
    const mp_int_t at = mp_obj_get_int(args[2]);
    mp_buffer_info_t buffer;

    (void)n_args;
    mp_get_buffer_raise(args[1], &buffer, MP_BUFFER_WRITE);
    if (at < 0 || (size_t)at > buffer.len)
        mp_raise_ValueError(MP_ERROR_TEXT("at: outside the buffer"));
    return mp_obj_new_int_from_uint(ear_take((uint8_t *)buffer.buf + at,
                                             (uint32_t)((buffer.len - (size_t)at) / DOT11_RECORD_BYTES), unsigned_of(args[3])));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(cap_recvinto_object, 4, 4, cap_recvinto);

static mp_obj_t cap_pack(size_t n_args, const mp_obj_t *args)
{
    enum { SELF, BUF, AT, HEAD, OPEN_US, KEY_ID, SEQ, KEPT, DROPPED, OFFSET_US, BASE_US, SENT_US };
    mp_buffer_info_t buffer, head, open;
    ear_stats now;
    size_t size;

    (void)n_args;
    mp_get_buffer_raise(args[BUF], &buffer, MP_BUFFER_WRITE);
    mp_get_buffer_raise(args[HEAD], &head, MP_BUFFER_READ);
    mp_get_buffer_raise(args[OPEN_US], &open, MP_BUFFER_WRITE);
    ear_read_stats(&now);
    const pack_numbers numbers = {
        .key_id = (uint32_t)unsigned_of(args[KEY_ID]),
        .seq = (uint32_t)unsigned_of(args[SEQ]),
        .seen = now.seen,
        .kept = (uint32_t)unsigned_of(args[KEPT]),
        .dropped = now.dropped + (uint32_t)unsigned_of(args[DROPPED]),
        .offset_us = unsigned_of(args[OFFSET_US]),
        .base_us = unsigned_of(args[BASE_US]),
        .sent_us = unsigned_of(args[SENT_US]),
    };
    size = pack_batch(buffer.buf, buffer.len, (size_t)mp_obj_get_int(args[AT]), head.buf, head.len, open.buf, open.len / 4,
                      &numbers);
    if (!size)
        mp_raise_ValueError(MP_ERROR_TEXT("at, head or open_us"));
    return mp_obj_new_int_from_uint(size);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(cap_pack_object, 12, 12, cap_pack);

static mp_obj_t cap_any(mp_obj_t self)
{
    (void)self;
    return mp_obj_new_int_from_uint(ear_waiting());
}
static MP_DEFINE_CONST_FUN_OBJ_1(cap_any_object, cap_any);

static mp_obj_t cap_now_us(mp_obj_t self)
{
    (void)self;
    return mp_obj_new_int_from_ull(radio_now_us());
}
static MP_DEFINE_CONST_FUN_OBJ_1(cap_now_us_object, cap_now_us);

static mp_obj_t cap_stats(mp_obj_t self)
{
    (void)self;
    ear_stats now;

    ear_read_stats(&now);
    mp_obj_t items[] = {
        mp_obj_new_int_from_uint(now.seen),   mp_obj_new_int_from_uint(now.rejected), mp_obj_new_int_from_uint(now.dropped),
        mp_obj_new_int_from_uint(now.errors), mp_obj_new_int_from_uint(now.high),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
static MP_DEFINE_CONST_FUN_OBJ_1(cap_stats_object, cap_stats);

static mp_obj_t cap_describe(mp_obj_t self, mp_obj_t fingerprint)
{
    (void)self;
    uint8_t description[EAR_DESCRIPTION_MOST];
    const size_t size = ear_describe((uint32_t)unsigned_of(fingerprint), description);

    return size ? mp_obj_new_bytes(description, size) : mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(cap_describe_object, cap_describe);

/* ---- BLE, sending, signatures ---- */

static mp_obj_t cap_ble(size_t n_args, const mp_obj_t *args)
{
    mp_buffer_info_t address, ad;
    const mp_int_t rssi_dbm = mp_obj_get_int(args[4]);

    (void)n_args;
    bytes_of(args[2], DOT11_ADDRESS_BYTES, &address);
    mp_get_buffer_raise(args[5], &ad, MP_BUFFER_READ);
    return mp_obj_new_bool(ear_advert(address.buf, (unsigned)mp_obj_get_int(args[1]), (unsigned)mp_obj_get_int(args[3]), ad.buf,
                                      ad.len, (int8_t)(rssi_dbm < -128 ? -128 : rssi_dbm > 127 ? 127 : rssi_dbm),
                                      radio_now_us()));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(cap_ble_object, 6, 6, cap_ble);

static mp_obj_t cap_send(mp_obj_t self, mp_obj_t frame)
{
    (void)self;
    mp_buffer_info_t buffer;

    mp_get_buffer_raise(frame, &buffer, MP_BUFFER_READ);
    if (buffer.len < DOT11_HEADER_BYTES || buffer.len > FRAME_MOST)
        mp_raise_ValueError(MP_ERROR_TEXT("frame: 24 to 512 bytes"));
    check(radio_send(buffer.buf, buffer.len));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(cap_send_object, cap_send);

#ifndef DOT11CAP_WITHOUT_MBEDTLS
static mp_obj_t cap_verify(size_t n_args, const mp_obj_t *args)
{
    mp_buffer_info_t k, d, s;

    (void)n_args;
    mp_get_buffer_raise(args[1], &k, MP_BUFFER_READ);
    mp_get_buffer_raise(args[2], &d, MP_BUFFER_READ);
    mp_get_buffer_raise(args[3], &s, MP_BUFFER_READ);
    return mp_obj_new_bool(k.len == VERIFY_KEY_BYTES && d.len == VERIFY_DIGEST_BYTES && s.len == VERIFY_SIGNATURE_BYTES &&
                           verify_p256(k.buf, d.buf, s.buf));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(cap_verify_object, 4, 4, cap_verify);
#endif

/* ---- the ear as a stream ---- */

static mp_uint_t stream_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t arg, int *error)
{
    (void)self;
    if (request == MP_STREAM_POLL)
        return (arg & MP_STREAM_POLL_RD) && ear_waiting() >= cap.wake ? MP_STREAM_POLL_RD : 0;
    if (request == MP_STREAM_CLOSE)
        return 0;
    *error = MP_EINVAL;
    return MP_STREAM_ERROR;
}
static const mp_stream_p_t stream_protocol = {.ioctl = stream_ioctl};

/* ---- the ear, and the module that gives it ---- */

static const mp_rom_map_elem_t ear_table[] = {
    {MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&cap_start_object)},
    {MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&cap_stop_object)},
    {MP_ROM_QSTR(MP_QSTR_channel), MP_ROM_PTR(&cap_channel_object)},
    {MP_ROM_QSTR(MP_QSTR_recvinto), MP_ROM_PTR(&cap_recvinto_object)},
    {MP_ROM_QSTR(MP_QSTR_pack), MP_ROM_PTR(&cap_pack_object)},
    {MP_ROM_QSTR(MP_QSTR_any), MP_ROM_PTR(&cap_any_object)},
    {MP_ROM_QSTR(MP_QSTR_now_us), MP_ROM_PTR(&cap_now_us_object)},
    {MP_ROM_QSTR(MP_QSTR_stats), MP_ROM_PTR(&cap_stats_object)},
    {MP_ROM_QSTR(MP_QSTR_describe), MP_ROM_PTR(&cap_describe_object)},
    {MP_ROM_QSTR(MP_QSTR_ble), MP_ROM_PTR(&cap_ble_object)},
    {MP_ROM_QSTR(MP_QSTR_send), MP_ROM_PTR(&cap_send_object)},
#ifndef DOT11CAP_WITHOUT_MBEDTLS
    {MP_ROM_QSTR(MP_QSTR_verify), MP_ROM_PTR(&cap_verify_object)},
#endif
    EAR_TABLE_HOST
};
static MP_DEFINE_CONST_DICT(ear_dict, ear_table);

/* Not static: the port calls it by name. */
void dot11cap_attr(mp_obj_t self, qstr name, mp_obj_t *destination);
void dot11cap_attr(mp_obj_t self, qstr name, mp_obj_t *destination)
{
    (void)self;
    if (destination[0] != MP_OBJ_NULL)
        return;
    if (name == MP_QSTR_ELEMENT_TABLE)
        destination[0] = mp_obj_new_int_from_uint(dot11_fingerprint_version());
    else
        destination[1] = MP_OBJ_SENTINEL; /* look on in the table */
}

static MP_DEFINE_CONST_OBJ_TYPE(ear_type, MP_QSTR_Ear, MP_TYPE_FLAG_NONE, protocol, &stream_protocol, attr, dot11cap_attr,
                                locals_dict, &ear_dict);
static const mp_obj_base_t the_ear = {&ear_type};

static mp_obj_t cap_ear(void)
{
    return MP_OBJ_FROM_PTR(&the_ear);
}
static MP_DEFINE_CONST_FUN_OBJ_0(cap_ear_object, cap_ear);

static const mp_rom_map_elem_t module_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_dot11cap)},
    {MP_ROM_QSTR(MP_QSTR_Ear), MP_ROM_PTR(&cap_ear_object)},
};
static MP_DEFINE_CONST_DICT(module_dict, module_table);

const mp_obj_module_t dot11cap_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&module_dict,
};

MP_REGISTER_MODULE(MP_QSTR_dot11cap, dot11cap_module);
