/* libFuzzer's way into ble.c: whatever bytes come, nothing is read past their end and what is said holds together. The
 * first octet says address and event type of a scan report, the rest is a PDU; its octets from the ninth on are AD. */
#include <stdlib.h>
#include <string.h>

#include "ble.h"

#define MUST(condition)  \
    do {                 \
        if (!(condition)) \
            abort();     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pdu(const dot11_key *key, const uint8_t *pdu, size_t size)
{
    ble_advert advert, again;
    const ble_verdict verdict = ble_parse_pdu(key, pdu, size, &advert);

    MUST(ble_crc24(pdu, size) >> 24 == 0);
    MUST(verdict != BLE_SHAPELESS);
    if (verdict != BLE_ADVERTISEMENT)
        return;
    memset(&again, 0xff, sizeof again);
    MUST(ble_parse_pdu(key, pdu, 2U + pdu[1], &again) == verdict); /* what follows the PDU does not count */
    MUST(again.sighting.fingerprint == advert.sighting.fingerprint && again.sighting.flags == advert.sighting.flags);
    MUST(advert.sighting.flags & DOT11_BLE && !(advert.sighting.flags & (DOT11_RETRY | DOT11_REGISTERED)));
    MUST(!(advert.sighting.flags & DOT11_RANDOMISED) == (advert.address <= BLE_STATIC));
    MUST((advert.sighting.element_count == 0) == (advert.sighting.element_mask == 0));
    MUST(advert.sighting.element_count <= 127);
}

static void check_report(const dot11_key *key, const uint8_t *pdu, size_t size, unsigned types)
{
    const dot11_reception reception = {1, -50, 0, 0};
    uint8_t record[DOT11_RECORD_BYTES];
    const unsigned address_type = types & 7U, event_type = types >> 3 & 7U;
    const ble_verdict verdict = ble_record(key, pdu + 2, address_type, event_type, pdu + 8, size - 8, &reception, record);

    MUST(verdict == BLE_ADVERTISEMENT || verdict == BLE_OTHER_PDU || verdict == BLE_SHAPELESS);
    MUST((verdict == BLE_OTHER_PDU) == (address_type > 3 || event_type > 4));
    MUST(verdict != BLE_ADVERTISEMENT || (record[25] & DOT11_BLE && event_type != 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t bytes[DOT11_KEY_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    dot11_key key;
    uint8_t *pdu;

    if (size == 0)
        return 0;
    pdu = malloc(size > 1 ? size - 1 : 1); /* of its own size, so that the sanitizer sees any overrun */
    MUST(pdu);
    memcpy(pdu, data + 1, size - 1);
    dot11_key_load(&key, bytes);
    check_pdu(&key, pdu, size - 1);
    if (size > 8)
        check_report(&key, pdu, size - 1, data[0]);
    free(pdu);
    return 0;
}
