/* ECDSA over P-256 with SHA-256 digests, by the port's own mbedTLS. */
#ifndef FOOTFALL_VERIFY_H
#define FOOTFALL_VERIFY_H

#include <stdint.h>

#define VERIFY_KEY_BYTES 65U       /* uncompressed point (SEC 1, 2.3.3) */
#define VERIFY_DIGEST_BYTES 32U
#define VERIFY_SIGNATURE_BYTES 64U /* r, s; big-endian */

/* 1 if the signature is that key's of that digest, 0 for anything else. */
int verify_p256(const uint8_t key[VERIFY_KEY_BYTES], const uint8_t digest[VERIFY_DIGEST_BYTES],
                const uint8_t signature[VERIFY_SIGNATURE_BYTES]);

#endif
