#include "base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t
read_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t
clock_steady_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

uint64_t
clock_boot(void)
{
    static const char hex[] = "0123456789abcdef";
    char text[64] = "";
    uint64_t boot = 0;
    unsigned digits = 0;
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        close(fd);
    for (const char *at = text; *at != '\0' && digits < 16; at++) {
        const char *digit = strchr(hex, *at);
        if (digit == NULL)
            continue;
        boot = boot << 4 | (uint64_t)(digit - hex);
        digits++;
    }
    return boot;
}

/* The number that the len digits at text make, or −1 if there are others among them. */
static int
parse_part(const char *text, unsigned len)
{
    int number = 0;

    for (unsigned i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

int
clock_date(const char *text, int64_t *wall_ms)
{
    if (strlen(text) != strlen("YYYY-MM-DD") || text[4] != '-' || text[7] != '-')
        return -1;
    const int year = parse_part(text, 4), month = parse_part(text + 5, 2), day = parse_part(text + 8, 2);
    if (year < 0 || month < 0 || day < 0)
        return -1;
    struct tm date = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    const time_t seconds = timegm(&date);
    if (date.tm_mon != month - 1 || date.tm_mday != day) /* the calendar has no such day */
        return -1;
    *wall_ms = (int64_t)seconds * 1000;
    return 0;
}

void
clock_write(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        memcpy(text, "(no date)", sizeof "(no date)");
}
