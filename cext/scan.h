/* A scan in few octets: there are 15 of them for each phone. */
#ifndef FOOTFALL_SCAN_H
#define FOOTFALL_SCAN_H

#include <stdint.h>

typedef struct {
    int64_t first_us;
    uint32_t lasted_us;
    uint32_t number;
    uint32_t element_class : 29;
    uint32_t root : 1;     /* its track is settled: the scan before it has left the window */
    uint32_t followed : 1;
    uint32_t frozen : 1;
    int32_t track;
    int32_t tied;     /* the scan before it of one of its addresses */
    int32_t previous; /* in the list of its class, or its place there while that is linked; in lists of free and frozen ones */
} Scan;

#endif
