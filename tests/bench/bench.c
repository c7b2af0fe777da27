#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t
bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void
bench_result(const char *name, const char *unit, const double *samples, unsigned count)
{
    printf("%s %s", name, unit);
    for (unsigned i = 0; i < count; i++)
        printf(" %.6g", samples[i]);
    printf("\n");
    fflush(stdout); /* a line that is done is shown while the next one is measured */
}

uint64_t
bench_count(const char *text)
{
    char *end;

    errno = 0;
    unsigned long long count = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && text[0] != '-' && count > 0)
        return count;
    fprintf(stderr, "%s is not a number of at least 1\n", text);
    exit(2);
}

/* Each step can be undone, so no two places get the same number. */
uint64_t
bench_shuffled(uint64_t i)
{
    const uint64_t mask = BENCH_SHUFFLED - 1;

    i = i * 0x9e3779b1 & mask;
    i ^= i >> 12;
    i = i * 0x85ebca6b & mask;
    i ^= i >> 12;
    return i * 0xc2b2ae35 & mask;
}

void
bench_add_customer(struct buffer *text, unsigned person)
{
    buffer_printf(text,
                  "{\"customerName\":\"Person %06u\",\"email\":\"person.%06u@example.com\",\"phone\":\"5550%06u\","
                  "\"birthDay\":\"1970-01-01\",\"serialNumber\":\"5e1f0000-0000-4000-8000-000000%06u\","
                  "\"registrationDate\":1500000000000,\"lastUpdateDate\":1500000000000,"
                  "\"shareWithResearchAsOfDate\":1500000000000,\"shareWithFriendsAsOfDate\":1500000000000}\n",
                  person, person, person, person);
}

void
bench_add_accelerometer(struct buffer *text, unsigned person, int64_t time_ms)
{
    buffer_printf(text,
                  "{\"user\":\"person.%06u@example.com\",\"timestamp\":%" PRId64 ",\"x\":1.0,\"y\":-0.5,\"z\":0.0}\n",
                  person, time_ms);
}

void
bench_add_step_trainer(struct buffer *text, unsigned person, int64_t time_ms)
{
    buffer_printf(text,
                  "{\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"5e1f0000-0000-4000-8000-000000%06u\","
                  "\"distanceFromObject\":221}\n",
                  time_ms, person);
}

/* Whoever removes the folder when we are gone, and what tells him: the end of a pipe that only we hold. A handler could
 * remove nothing safely, and kill -9 asks none. */
static struct {
    pid_t pid;
    int fd;
} guard;

static _Noreturn void
become_guard(int fd, const char *dir)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

    for (unsigned i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    setsid(); /* out of the group that is killed */
    dup2(fd, STDIN_FILENO);
    execl("/bin/sh", "sh", "-c", "cat >/dev/null; rm -rf -- \"$0\"", dir, (char *)NULL);
    _exit(127);
}

static int
start_guard(const char *dir)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    guard.fd = ends[1];
    guard.pid = fork();
    if (guard.pid == 0)
        become_guard(ends[0], dir);
    close(ends[0]);
    return guard.pid > 0 ? 0 : -1;
}

void
bench_dir_make(char *dir)
{
    const char *above = getenv("TMPDIR");

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    snprintf(dir, BENCH_DIR_SIZE, "%s/gait-bench.XXXXXX", above != NULL && *above != '\0' ? above : "/tmp");
    if (mkdtemp(dir) != NULL && start_guard(dir) == 0)
        return;
    fprintf(stderr, "%s: %s\n", dir, strerror(errno));
    exit(1);
}

void
bench_dir_remove(const char *dir)
{
    int status;

    close(guard.fd);
    if (waitpid(guard.pid, &status, 0) != guard.pid || status != 0)
        fprintf(stderr, "%s: can't be removed\n", dir);
}
