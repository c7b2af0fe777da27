/*
 * bench-ready: how long a process needs from exec until it says that it is ready (NOTIFY_SOCKET), again and again after
 * it was ended by a signal.
 *
 * usage: bench-ready NAME TERM|KILL STARTS COMMAND [ARGUMENT]...
 *
 * The first start is not counted: it makes what a first start makes. Ends the command in the end.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define READY_MS 60000 /* when we give up */
#define RUN_MS 200     /* between ready and the signal: records are under way then, if somebody sends any */

static pid_t child;

_Noreturn static void
give_up(const char *what)
{
    if (child > 0)
        kill(child, SIGKILL);
    fprintf(stderr, "bench-ready: %s\n", what);
    exit(1);
}

/* A socket that says "ready" is sent to, and its name in the environment. */
static int
open_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof address.sun_path, "@gait-bench-%ld", (long)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    name[0] = '\0'; /* the abstract namespace: nothing to remove afterwards */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0)
        give_up("can't make a socket");
    return fd;
}

/* Milliseconds until the command is ready. */
static double
start(int fd, char **command)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char message[64];
    const int64_t start_ns = bench_now_ns();

    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(command[0], command);
        _exit(127);
    }
    if (child < 0 || poll(&wait, 1, READY_MS) != 1 || recv(fd, message, sizeof message, 0) <= 0)
        give_up("the command does not become ready");
    return (double)(bench_now_ns() - start_ns) / 1e6;
}

static void
end(int signal_number)
{
    int status;

    if (waitpid(child, &status, WNOHANG) != 0)
        give_up("the command ended by itself");
    kill(child, signal_number);
    waitpid(child, &status, 0);
    child = 0;
}

int
main(int argc, char **argv)
{
    double samples[BENCH_SAMPLES_MAX];

    if (argc < 5 || (strcmp(argv[2], "TERM") != 0 && strcmp(argv[2], "KILL") != 0)) {
        fprintf(stderr, "usage: bench-ready NAME TERM|KILL STARTS COMMAND [ARGUMENT]...\n");
        return 2;
    }
    const int signal_number = strcmp(argv[2], "KILL") == 0 ? SIGKILL : SIGTERM;
    const uint64_t starts = bench_count(argv[3]);
    if (starts > BENCH_SAMPLES_MAX)
        give_up("too many starts");
    const int fd = open_socket();
    start(fd, argv + 4);
    for (unsigned i = 0; i < starts; i++) {
        poll(NULL, 0, RUN_MS);
        end(signal_number);
        samples[i] = start(fd, argv + 4);
    }
    end(SIGTERM);
    bench_result(argv[1], "ms", samples, (unsigned)starts);
    return 0;
}
