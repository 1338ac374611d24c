/* The ear on an ESP32 of any kind: promiscuous reception by ESP-IDF. Fields of rx_ctrl by name only, their offsets
 * differ from chip to chip. Reference: ESP-IDF Programming Guide, Wi-Fi, "Wi-Fi Sniffer Mode". */
#include "esp_err.h"
#include "esp_timer.h"
#include "esp_wifi.h"

#include <errno.h>

#include "ear.h"
#include "radio.h"

static int error_of(esp_err_t status)
{
    switch (status) {
    case ESP_OK:
        return 0;
    case ESP_ERR_NO_MEM:
        return ENOMEM;
    case ESP_ERR_INVALID_ARG:
        return EINVAL;
    case ESP_ERR_WIFI_NOT_INIT:
    case ESP_ERR_WIFI_NOT_STARTED:
        return ENODEV; /* network.WLAN(...).active(True) comes first */
    default:
        return EIO;
    }
}

/* In the Wi-Fi driver's task. The buffer is the driver's until we return. */
static void heard(void *buffer, wifi_promiscuous_pkt_type_t type)
{
    wifi_promiscuous_pkt_t *packet = buffer;
    ear_reception reception = {
        .frame = packet->payload,
        .on_air = packet->rx_ctrl.sig_len,
        .timestamp_us = packet->rx_ctrl.timestamp,
        .now_us = radio_now_us(),
        .rssi_dbm = (int8_t)packet->rx_ctrl.rssi,
        .noise_dbm = (int8_t)packet->rx_ctrl.noise_floor,
        .channel = (uint8_t)packet->rx_ctrl.channel,
        .state = (uint8_t)packet->rx_ctrl.rx_state,
    };

    if (type == WIFI_PKT_MGMT)
        ear_hear(&reception);
}

int radio_open(void)
{
    const wifi_promiscuous_filter_t management = {.filter_mask = WIFI_PROMIS_FILTER_MASK_MGMT};
    esp_err_t status = esp_wifi_set_promiscuous_filter(&management);

    if (status == ESP_OK)
        status = esp_wifi_set_promiscuous_rx_cb(heard);
    if (status == ESP_OK)
        status = esp_wifi_set_promiscuous(true);
    return error_of(status);
}

int radio_close(void)
{
    const esp_err_t status = esp_wifi_set_promiscuous(false);

    return status == ESP_ERR_WIFI_NOT_INIT ? 0 : error_of(status);
}

int radio_tune(unsigned channel)
{
    return error_of(esp_wifi_set_channel((uint8_t)channel, WIFI_SECOND_CHAN_NONE));
}

int radio_send(const uint8_t *frame, size_t size)
{
    return error_of(esp_wifi_80211_tx(WIFI_IF_STA, frame, (int)size, true));
}

uint64_t radio_now_us(void)
{
    return (uint64_t)esp_timer_get_time();
}
