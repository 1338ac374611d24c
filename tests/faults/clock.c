/* A wall clock that shows as many seconds more as the file $CLOCK_FILE says. Preloaded before a service. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *path = getenv("CLOCK_FILE");
    FILE *file = id == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long more = 0;
    if (file) {
        if (fscanf(file, "%ld", &more) == 1)
            now->tv_sec += more;
        fclose(file);
    }
    return result;
}
