/* Runs ble.c over PDUs from standard input (u16 little-endian length, octets), each in a heap block of its own size so
 * that a sanitizer sees any overrun. Prints the verdict and what came of it, and the record of its AD as a scan report. */
#include <stdio.h>
#include <stdlib.h>

#include "ble.h"

static void print_record(const dot11_key *key, const uint8_t *pdu, size_t size)
{
    const dot11_reception reception = {0x01020304, -50, 0, 0};
    uint8_t record[DOT11_RECORD_BYTES];
    size_t i;

    if (size < 8 || ble_record(key, pdu + 2, pdu[0] >> 6, pdu[0] & 7U, pdu + 8, size - 8, &reception, record) != BLE_ADVERTISEMENT)
        return;
    for (i = 0; i < sizeof record; i++)
        printf("%02x", record[i]);
}

int main(void)
{
    uint8_t key_bytes[DOT11_KEY_BYTES], head[2];
    dot11_key key;
    unsigned i;

    for (i = 0; i < DOT11_KEY_BYTES; i++)
        key_bytes[i] = (uint8_t)i;
    dot11_key_load(&key, key_bytes);
    printf("%08lx\n", (unsigned long)ble_shape_version());
    while (fread(head, 1, 2, stdin) == 2) {
        const size_t size = (size_t)(head[0] | head[1] << 8);
        uint8_t *pdu = malloc(size ? size : 1);
        ble_advert out;
        ble_verdict verdict;

        if (!pdu || fread(pdu, 1, size, stdin) != size)
            return 2;
        verdict = ble_parse_pdu(&key, pdu, size, &out);
        printf("%d %06lx ", (int)verdict, (unsigned long)ble_crc24(pdu, size));
        if (verdict == BLE_ADVERTISEMENT)
            printf("%08lx%08lx %08lx %08lx %u %u %u %u %d %u %u", (unsigned long)(out.sighting.device_key >> 32),
                   (unsigned long)(out.sighting.device_key & 0xffffffffU), (unsigned long)out.sighting.fingerprint,
                   (unsigned long)out.sighting.element_mask, out.sighting.flags, out.sighting.element_count, out.company,
                   out.service, out.tx_dbm, out.address, out.pdu);
        putchar(' ');
        print_record(&key, pdu, size);
        putchar('\n');
        free(pdu);
    }
    return 0;
}
