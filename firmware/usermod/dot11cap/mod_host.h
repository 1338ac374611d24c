/* The ear's methods of host builds alone (mod_host.c). */
#ifndef FOOTFALL_MOD_HOST_H
#define FOOTFALL_MOD_HOST_H

#ifdef DOT11CAP_HOST
#include "py/obj.h"

extern const mp_obj_fun_builtin_var_t cap_inject_object;
extern const mp_obj_fun_builtin_fixed_t cap_sent_object, cap_flood_object, cap_flooding_object, cap_corrupt_object;
extern const mp_obj_fun_builtin_fixed_t cap_cost_object, cap_tuned_object;

#define EAR_TABLE_HOST                                                                                                 \
    {MP_ROM_QSTR(MP_QSTR_inject), MP_ROM_PTR(&cap_inject_object)},                                                     \
    {MP_ROM_QSTR(MP_QSTR_sent), MP_ROM_PTR(&cap_sent_object)},                                                         \
    {MP_ROM_QSTR(MP_QSTR_flood), MP_ROM_PTR(&cap_flood_object)},                                                       \
    {MP_ROM_QSTR(MP_QSTR_flooding), MP_ROM_PTR(&cap_flooding_object)},                                                 \
    {MP_ROM_QSTR(MP_QSTR_corrupt), MP_ROM_PTR(&cap_corrupt_object)},                                                   \
    {MP_ROM_QSTR(MP_QSTR_cost), MP_ROM_PTR(&cap_cost_object)},                                                         \
    {MP_ROM_QSTR(MP_QSTR_tuned), MP_ROM_PTR(&cap_tuned_object)},
#else
#define EAR_TABLE_HOST
#endif

#endif
