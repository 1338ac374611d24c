/* The library as it is on this machine, without a line for each of its steps. */
#undef MBEDTLS_DEBUG_C
