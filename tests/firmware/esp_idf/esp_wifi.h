#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "esp_err.h"

#define ESP_ERR_WIFI_NOT_INIT 0x3001
#define ESP_ERR_WIFI_NOT_STARTED 0x3002
#define WIFI_PROMIS_FILTER_MASK_MGMT (1U)

typedef enum { WIFI_IF_STA, WIFI_IF_AP } wifi_interface_t;
typedef enum { WIFI_SECOND_CHAN_NONE, WIFI_SECOND_CHAN_ABOVE, WIFI_SECOND_CHAN_BELOW } wifi_second_chan_t;
typedef enum { WIFI_PKT_MGMT, WIFI_PKT_CTRL, WIFI_PKT_DATA, WIFI_PKT_MISC } wifi_promiscuous_pkt_type_t;

typedef struct {
    unsigned sig_len : 12;
    unsigned : 4;
    unsigned rate : 5;
    unsigned : 3;
    unsigned channel : 4;
    unsigned : 4;
    unsigned rx_state : 8;
    signed noise_floor : 8;
    signed rssi : 8;
    unsigned : 8;
    unsigned timestamp : 32;
} wifi_pkt_rx_ctrl_t;

typedef struct {
    wifi_pkt_rx_ctrl_t rx_ctrl;
    uint8_t payload[];
} wifi_promiscuous_pkt_t;

typedef struct {
    uint32_t filter_mask;
} wifi_promiscuous_filter_t;

typedef void (*wifi_promiscuous_cb_t)(void *buf, wifi_promiscuous_pkt_type_t type);

esp_err_t esp_wifi_set_promiscuous(bool en);
esp_err_t esp_wifi_set_promiscuous_rx_cb(wifi_promiscuous_cb_t cb);
esp_err_t esp_wifi_set_promiscuous_filter(const wifi_promiscuous_filter_t *filter);
esp_err_t esp_wifi_set_channel(uint8_t primary, wifi_second_chan_t second);
esp_err_t esp_wifi_80211_tx(wifi_interface_t ifx, const void *buffer, int len, bool en_sys_seq);
