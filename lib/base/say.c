#include "base/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/printable.h"

static const char *as = "gait";

/* A limit does not hold for a dump that goes into a pipe, and nobody but root may look into who can't be dumped. Sanitizers
 * have to, at the end. What we start (a broker) has the limit too, and the filter, by which no kind of memory goes into a
 * dump; that it can't be dumped ends with exec. The filter before that: afterwards it is root's. */
static void
leave_no_core(void)
{
    const struct rlimit none = {0, 0};
    const int filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

    setrlimit(RLIMIT_CORE, &none);
    if (filter >= 0) {
        const ssize_t written = write(filter, "0", 1); /* there is nobody to tell: a kernel without core dumps */
        (void)written;
        close(filter);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

void
say_begin(void)
{
    leave_no_core();
    /* The lowest free number is given out: the loop ends with the first that is no standard stream's. Reading only, but
     * for errors, which there is nobody to tell of. */
    int fd;
    while ((fd = open("/dev/null", fcntl(STDOUT_FILENO, F_GETFD) < 0 ? O_RDONLY : O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        continue;
    if (fd >= 0)
        close(fd);
}

void
say_as(const char *name)
{
    as = name;
}

const char *
say_name(void)
{
    return as;
}

void
say(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    const int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        log_fatal("out of memory");
    flockfile(stderr); /* one event is one line, whichever threads speak and whatever is in it */
    fprintf(stderr, "%s: ", as);
    fwrite(text, 1, printable_clean(text, (size_t)len), stderr);
    fputc('\n', stderr);
    funlockfile(stderr);
    free(text);
}

void
say_lines(const char *text)
{
    while (*text != '\0') {
        int len = (int)strcspn(text, "\n");
        say("%.*s", len, text);
        text += text[len] == '\n' ? len + 1 : len;
    }
}

int
say_end(int status)
{
    struct pollfd reader = {STDOUT_FILENO, 0, 0};
    bool failed = ferror(stdout) != 0; /* earlier: errno does not say any more why */
    bool gone = poll(&reader, 1, 0) > 0 && (reader.revents & (POLLERR | POLLHUP)) != 0;

    errno = 0;
    if (fclose(stdout) != 0)
        failed = true;
    if (!failed || gone || errno == EPIPE)
        return status;
    say("standard output: %s", errno != 0 ? strerror(errno) : "not all could be written");
    return status != 0 ? status : 1;
}
