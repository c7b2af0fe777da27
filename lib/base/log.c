#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/folder.h"
#include "base/printable.h"

/* Longest line; what is longer is cut. Below PIPE_BUF (4096), so that lines of several processes that share a pipe
 * never run into each other. */
#define LINE_BYTES_MAX 2048

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static const char *program = "gait";
static _Atomic enum log_level level_max = LOG_INFO;
static void (*_Atomic follow)(const char *text);
static atomic_bool config_error;

void
log_open(const char *name, enum log_level level)
{
    program = name;
    level_max = level;
}

void
log_set_level(enum log_level level)
{
    level_max = level;
}

/* Where in path, whose first len bytes count, the last level begins. */
static size_t
last_level(const char *path, size_t len)
{
    const char *slash = memrchr(path, '/', len);

    return slash == NULL ? 0 : (size_t)(slash + 1 - path);
}

int
log_to_file(const char *path, struct buffer *fault)
{
    struct buffer dir = {NULL, 0, 0};
    struct buffer folder = {NULL, 0, 0};
    const size_t name = last_level(path, strlen(path));
    const size_t below = name == 0 ? 0 : last_level(path, name - 1);
    int rc = 0;

    if (below > 0)
        buffer_add_span(&dir, span_at(path, below > 1 ? below - 1 : 1)); /* "/" is a name, too */
    else
        buffer_add_text(&dir, path[0] == '/' ? "/" : ".");
    buffer_add_span(&folder, span_at(path + below, name > below ? name - below - 1 : 0));
    /* Appended to, so that who cuts the file while we write it (copytruncate) gets no hole. */
    int fd = folder_file(buffer_text(&dir), buffer_text(&folder), path + name, O_WRONLY | O_CREAT | O_APPEND, fault);
    if (fd >= 0 && (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)) {
        buffer_printf(fault, "%s: %s", path, strerror(errno));
        rc = -1;
    }
    const int error = errno;
    if (fd >= 0)
        close(fd);
    buffer_free(&dir);
    buffer_free(&folder);
    errno = error;
    return fd < 0 ? -1 : rc;
}

void
log_follow(void (*follower)(const char *text))
{
    follow = follower;
}

/* "2026-11-24T08:15:02.123Z" and so on up to the text; returns the length. */
static size_t
write_prefix(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + len, size - len, ".%03ldZ %s %s: ", now.tv_nsec / 1000000, level_names[level], program);
    if (more < 0)
        return len;
    len += (size_t)more;
    return len < size ? len : size - 1;
}

static void write_line(enum log_level level, bool shown, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* shown: on standard error; the follower is told in any case. */
static void
write_line(enum log_level level, bool shown, const char *format, va_list args)
{
    char line[LINE_BYTES_MAX];
    size_t room = sizeof line - 1; /* one for the line end */
    size_t start = write_prefix(line, room, level);
    int more = vsnprintf(line + start, room - start, format, args);
    size_t len = start + (more < 0 ? 0 : (size_t)more);

    if (len > room - 1)
        len = room - 1; /* vsnprintf has cut it there */
    len = start + printable_clean(line + start, len - start); /* whatever is in the text, one event is one line */
    line[len] = '\0';
    void (*follower)(const char *text) = follow;
    if (follower != NULL && level <= LOG_WARNING)
        follower(line + start);
    if (!shown)
        return;
    line[len++] = '\n';
    /* One write: lines of several threads and processes don't mix. There is nobody to tell if it fails. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

static void write_error(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

static void
write_error(const char *format, va_list args)
{
    bool shown = level_max >= LOG_ERROR;

    if (shown || follow != NULL)
        write_line(LOG_ERROR, shown, format, args);
}

void
log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_error(format, args);
    va_end(args);
}

void
log_config_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_error(format, args);
    va_end(args);
    config_error = true;
}

bool
log_had_config_error(void)
{
    return config_error;
}

void
log_warning(const char *format, ...)
{
    bool shown = level_max >= LOG_WARNING;

    if (!shown && follow == NULL)
        return;
    va_list args;
    va_start(args, format);
    write_line(LOG_WARNING, shown, format, args);
    va_end(args);
}

void
log_info(const char *format, ...)
{
    if (level_max < LOG_INFO)
        return;
    va_list args;
    va_start(args, format);
    write_line(LOG_INFO, true, format, args);
    va_end(args);
}

void
log_debug(const char *format, ...)
{
    if (level_max < LOG_DEBUG)
        return;
    va_list args;
    va_start(args, format);
    write_line(LOG_DEBUG, true, format, args);
    va_end(args);
}

void
log_fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_ERROR, true, format, args);
    va_end(args);
    /* Not exit: its handlers would run while other threads still work, and may be what brought us here. */
    _exit(EXIT_FAILED);
}

void
log_panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_ERROR, true, format, args);
    va_end(args);
    abort();
}
