/* The static element table: the one place that says what a fingerprint is made of. Data for dot11.c alone; read it from
 * elsewhere row by row with dot11_element_rule. Any change changes dot11_fingerprint_version. */
#ifndef FOOTFALL_DOT11_TABLE_H
#define FOOTFALL_DOT11_TABLE_H

#include "dot11.h"

#define RULE(treat, bit) (uint8_t)(((unsigned)(treat) << 5) | (unsigned)(bit))
#define RULE_TREAT(rule) ((unsigned)(rule) >> 5)
#define RULE_BIT(rule) ((unsigned)(rule)&31U)
#define LOOK_FURTHER RULE(7, 31) /* extended id or vendor decides */

#define ID_SSID 0U
#define ID_DS 3U
#define ID_HT 45U
#define ID_VENDOR 221U
#define ID_EXTENSION 255U
#define EXTENSION_HE 35U
#define EXTENSION_EHT 108U

/* Element ids of IEEE 802.11-2020 table 9-92; without a row: STABLE, bit 0. What names a network, a place or an address
 * is not the phone's model. */
static const uint8_t elements[256] = {
    [ID_SSID] = RULE(DOT11_DROP, 1),
    [1] = RULE(DOT11_STABLE, 2),        /* supported rates */
    [ID_DS] = RULE(DOT11_PRESENCE, 3),  /* DS parameter set: the channel of this very frame */
    [10] = RULE(DOT11_STABLE, 4),       /* request */
    [ID_HT] = RULE(DOT11_MASKED, 5),    /* HT capabilities */
    [50] = RULE(DOT11_STABLE, 6),       /* extended supported rates */
    [59] = RULE(DOT11_STABLE, 7),       /* supported operating classes */
    [70] = RULE(DOT11_STABLE, 8),       /* RM enabled capabilities */
    [72] = RULE(DOT11_PRESENCE, 0),     /* 20/40 BSS coexistence: what the phone hears */
    [84] = RULE(DOT11_DROP, 9),         /* SSID list */
    [97] = RULE(DOT11_PRESENCE, 0),     /* channel usage */
    [107] = RULE(DOT11_DROP, 10),       /* interworking: the venue and HESSID sought */
    [114] = RULE(DOT11_DROP, 11),       /* mesh id */
    [127] = RULE(DOT11_STABLE, 12),     /* extended capabilities */
    [148] = RULE(DOT11_PRESENCE, 0),    /* DMG capabilities: hold the station's address */
    [158] = RULE(DOT11_PRESENCE, 0),    /* multi-band: holds the station's address of another band */
    [170] = RULE(DOT11_PRESENCE, 0),    /* multiple MAC sublayers: likewise */
    [191] = RULE(DOT11_STABLE, 13),     /* VHT capabilities */
    [ID_VENDOR] = LOOK_FURTHER,
    [ID_EXTENSION] = LOOK_FURTHER,
};
/* Extended ids, table 9-92 with 802.11ax and 802.11be; without a row: STABLE, bit 0. */
static const uint8_t extensions[256] = {
    [2] = RULE(DOT11_PRESENCE, 14),            /* FILS request parameters: change from frame to frame */
    [EXTENSION_HE] = RULE(DOT11_MASKED, 15),   /* HE capabilities */
    [57] = RULE(DOT11_DROP, 0),                /* known BSSIDs */
    [58] = RULE(DOT11_DROP, 0),                /* short SSID list: CRC-32 of names */
    [59] = RULE(DOT11_STABLE, 16),             /* HE 6 GHz band capabilities */
    [106] = RULE(DOT11_PRESENCE, 0),           /* EHT operation: of the network, none in a probe request */
    [107] = RULE(DOT11_PRESENCE, 17),          /* multi-link: may hold the MLD address, which never changes */
    [EXTENSION_EHT] = RULE(DOT11_MASKED, 18),  /* EHT capabilities */
};
/* OUI << 8 | type; the first that fits. A WPS body carries a UUID and P2P a device name: neither may enter, even
 * hashed. Microsoft's type 8 and Epigram's type 4 count and drift within one address (2 and 7 % of its frames). A
 * STABLE body enters as its hash of 32 bits, so that a description needs not hold it. */
static const struct {
    uint32_t code, select;
    uint8_t rule;
} vendors[] = {
    {0x0050f208U, 0xffffffffU, RULE(DOT11_TYPE, 19)},
    {0x506f9a16U, 0xffffffffU, RULE(DOT11_STABLE, 20)}, /* multi-band operation */
    {0x00101800U, 0xffffff00U, RULE(DOT11_STABLE, 21)}, /* Broadcom */
    {0x0017f200U, 0xffffff00U, RULE(DOT11_STABLE, 22)}, /* Apple */
    {0x8cfdf000U, 0xffffff00U, RULE(DOT11_STABLE, 23)}, /* Qualcomm */
    {0x0050f204U, 0xffffffffU, RULE(DOT11_TYPE, 24)},   /* WPS */
    {0x506f9a09U, 0xffffffffU, RULE(DOT11_TYPE, 25)},   /* P2P */
    {0x00904c04U, 0xffffffffU, RULE(DOT11_TYPE, 26)},   /* Epigram */
    {0x506f9a00U, 0xffffff00U, RULE(DOT11_STABLE, 27)}, /* Wi-Fi Alliance */
    {0x0050f200U, 0xffffff00U, RULE(DOT11_STABLE, 28)}, /* Microsoft */
    {0, 0, RULE(DOT11_STABLE, 29)},                     /* any other */
};
/* What MASKED clears, by octet of the element with its header; a shorter or longer element is STABLE. */
#define MASKED_LEAST 16U
static const struct {
    uint8_t space, code;
    uint8_t clear[DOT11_MASKED_MOST];
} masks[] = {
    {DOT11_ELEMENT, ID_HT, {
        [3] = 0x40, /* 40 MHz intolerant follows what the phone hears (9.4.2.55) */
        [5] = 0xff, [6] = 0xff, [7] = 0xff, [8] = 0xff, [9] = 0xff, /* the Rx MCS bitmask follows the chains awake */
        [10] = 0xff, [11] = 0xff, [12] = 0xff, [13] = 0xff, [14] = 0xff}},
    {DOT11_EXTENSION, EXTENSION_HE, {
        [20] = 0x0c, [22] = 0x0c}}, /* Rx and Tx HE-MCS of two streams, likewise (9.4.2.248) */
    {DOT11_EXTENSION, EXTENSION_EHT, {
        [14] = 0xff, [15] = 0xff, [16] = 0xff}}, /* Rx and Tx streams per EHT-MCS, likewise (802.11be, 9.4.2.313) */
};

#endif
