/* See verify.h. The calls used are public in mbedTLS 2.28 and 3.x alike. */
#include "verify.h"

#include "mbedtls/bignum.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/ecp.h"

int verify_p256(const uint8_t key[VERIFY_KEY_BYTES], const uint8_t digest[VERIFY_DIGEST_BYTES],
                const uint8_t signature[VERIFY_SIGNATURE_BYTES])
{
    mbedtls_ecp_group curve;
    mbedtls_ecp_point point;
    mbedtls_mpi r, s;
    int is_good;

    mbedtls_ecp_group_init(&curve);
    mbedtls_ecp_point_init(&point);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    is_good = mbedtls_ecp_group_load(&curve, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
              mbedtls_ecp_point_read_binary(&curve, &point, key, VERIFY_KEY_BYTES) == 0 &&
              mbedtls_ecp_check_pubkey(&curve, &point) == 0 &&
              mbedtls_mpi_read_binary(&r, signature, VERIFY_SIGNATURE_BYTES / 2) == 0 &&
              mbedtls_mpi_read_binary(&s, signature + VERIFY_SIGNATURE_BYTES / 2, VERIFY_SIGNATURE_BYTES / 2) == 0 &&
              mbedtls_ecdsa_verify(&curve, digest, VERIFY_DIGEST_BYTES, &point, &r, &s) == 0;
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&curve);
    return is_good;
}
