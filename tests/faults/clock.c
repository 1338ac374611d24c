/* A process's clock, moved or fast. Preloaded before a service or a board.

   $CLOCK_FILE holds how many seconds more the wall clock shows. $CLOCK_SPEED: every clock runs so many times as fast,
   the wall clock from $CLOCK_SINCE (seconds) on, and every wait of poll, select and sleep is as much shorter. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static int64_t speed = 1, since_ns;

__attribute__((constructor)) static void begin(void)
{
    const char *fast = getenv("CLOCK_SPEED"), *since = getenv("CLOCK_SINCE");
    if (fast)
        speed = atol(fast);
    if (since)
        since_ns = atol(since) * SECOND;
}

static struct timespec shorter(int64_t ns)
{
    ns /= speed;
    return (struct timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, id, now);
    int64_t from_ns = id == CLOCK_REALTIME ? since_ns : 0, ns = now->tv_sec * SECOND + now->tv_nsec;
    ns = from_ns + (ns - from_ns) * speed;
    now->tv_sec = ns / SECOND;
    now->tv_nsec = ns % SECOND;
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

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int poll(struct pollfd *files, nfds_t count, int ms)
{
    struct timespec wait = shorter(ms * INT64_C(1000000));
    return ppoll(files, count, ms < 0 ? NULL : &wait, NULL);
}

int select(int count, fd_set *in, fd_set *out, fd_set *other, struct timeval *until)
{
    struct timespec wait = { 0 };
    if (until)
        wait = shorter(until->tv_sec * SECOND + until->tv_usec * INT64_C(1000));
    return pselect(count, in, out, other, until ? &wait : NULL, NULL);
}

int usleep(useconds_t us)
{
    struct timespec wait = shorter(us * INT64_C(1000));
    return (int)syscall(SYS_nanosleep, &wait, NULL);
}
