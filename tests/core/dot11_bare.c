/* dot11.c without any libc, for processors that are not ours, under qemu's user mode: reads a repeat count and frames
 * (u16 little-endian each, then length and bytes) from standard input, prints in hex the table's version and of each
 * frame its record and its description's fingerprint, then goes through all frames that often. */
#include "dot11.h"

#if defined(__x86_64__)
#define READ 0
#define WRITE 1
#define EXIT 60
static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
#define READ 63
#define WRITE 64
#define EXIT 93
static long call(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#elif defined(__riscv)
#define READ 63
#define WRITE 64
#define EXIT 93
static long call(long number, long a, long b, long c)
{
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}
#elif defined(__XTENSA__)
#define READ 12
#define WRITE 13
#define EXIT 118
static long call(long number, long a, long b, long c)
{
    register long a2 __asm__("a2") = number, a6 __asm__("a6") = a, a3 __asm__("a3") = b, a4 __asm__("a4") = c;
    __asm__ volatile("syscall" : "+r"(a2) : "r"(a6), "r"(a3), "r"(a4) : "memory");
    return a2;
}
#endif

/* What the compiler may call; a libc's are faster, so counts of instructions are from above. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *one, const void *other, size_t size);

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    volatile uint8_t *out = to;
    const uint8_t *in = from;
    while (size--)
        *out++ = *in++;
    return to;
}

void *memset(void *to, int value, size_t size)
{
    volatile uint8_t *out = to;
    while (size--)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *one, const void *other, size_t size)
{
    const volatile uint8_t *p = one, *q = other;
    for (; size; size--, p++, q++)
        if (*p != *q)
            return *p < *q ? -1 : 1;
    return 0;
}

#if defined(__XTENSA__) /* this core's libgcc leaves it to the chip's ROM */
long long __muldi3(long long a, long long b);
long long __muldi3(long long a, long long b)
{
    unsigned long long x = (unsigned long long)a, y = (unsigned long long)b, sum = 0;
    for (; y; y >>= 1, x <<= 1)
        if (y & 1U)
            sum += x;
    return (long long)sum;
}
#endif

static uint8_t input[1 << 20], line[256], description[65536];
static volatile uint32_t sink;

static void print_hex(const uint8_t *bytes, size_t size, char end)
{
    size_t i, at = 0;
    for (i = 0; i < size; i++) {
        line[at++] = (uint8_t)"0123456789abcdef"[bytes[i] >> 4];
        line[at++] = (uint8_t)"0123456789abcdef"[bytes[i] & 15];
    }
    line[at++] = (uint8_t)end;
    call(WRITE, 1, (long)line, (long)at);
}

static void print_u32(uint32_t value, char end)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    print_hex(bytes, sizeof bytes, end);
}

static void print_frame(const dot11_key *key, const uint8_t *frame, size_t size)
{
    const dot11_reception reception = {0x01020304, -50, -90, 6};
    uint8_t record[DOT11_RECORD_BYTES];
    uint32_t fingerprint = 0;
    size_t used = 0;
    const int kept = dot11_record(key, frame, size, &reception, record) == DOT11_PROBE_REQUEST;

    print_hex(record, kept ? sizeof record : 0, ' ');
    if (kept && dot11_describe(frame, size, description, sizeof description, &used) == DOT11_PROBE_REQUEST)
        dot11_fingerprint_of(description, used, &fingerprint);
    print_u32(fingerprint, '\n');
}

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static void run(void)
{
    const dot11_reception reception = {0x01020304, -50, -90, 6};
    uint8_t record[DOT11_RECORD_BYTES], bytes[DOT11_KEY_BYTES];
    const uint8_t *p, *end = input;
    uint32_t repeat;
    dot11_key key;
    long got;

    while ((got = call(READ, 0, (long)end, (long)(input + sizeof input - end))) > 0)
        end += got;
    for (got = 0; got < DOT11_KEY_BYTES; got++)
        bytes[got] = (uint8_t)got;
    dot11_key_load(&key, bytes);
    print_u32(dot11_fingerprint_version(), '\n');
    for (p = input + 2; p < end; p += 2 + u16(p))
        print_frame(&key, p + 2, u16(p));
    for (repeat = u16(input); repeat > 0; repeat--)
        for (p = input + 2; p < end; p += 2 + u16(p)) {
            dot11_record(&key, p + 2, u16(p), &reception, record);
            sink += record[4];
        }
}

void start(void);
void start(void)
{
    run();
    call(EXIT, 0, 0, 0);
}
