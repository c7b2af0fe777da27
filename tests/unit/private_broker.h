/*
 * private_broker: a mosquitto of a test's own, on a free port of 127.0.0.1, in a folder that goes away with it.
 */
#ifndef TESTS_PRIVATE_BROKER_H
#define TESTS_PRIVATE_BROKER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PRIVATE_BROKER_START_MS 5000 /* on a machine that is busy with other tests */
#define PRIVATE_BROKER_TRIES 5       /* the port may be taken between looking and listening */

struct private_broker {
    char dir[64];
    int port;
    pid_t pid;
    const char *settings; /* more lines of its configuration; NULL none */
};

/* A TCP socket to the port, or −1: connected if connecting, else bound to a free port if *port is 0. */
static inline int
private_broker_socket(int *port, bool connecting)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connecting ? connect(fd, (struct sockaddr *)&address, len) : bind(fd, (struct sockaddr *)&address, len);

    if (rc != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        close(fd);
        return -1;
    }
    if (!connecting)
        *port = ntohs(address.sin_port);
    return fd;
}

/* Replace this (forked) process by mosquitto. */
static inline void
private_broker_exec(const char *config)
{
    int quiet = open("/dev/null", O_WRONLY);

    dup2(quiet, STDOUT_FILENO);
    dup2(quiet, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
    execlp("mosquitto", "mosquitto", "-c", config, (char *)NULL);
    execl("/usr/sbin/mosquitto", "mosquitto", "-c", config, (char *)NULL);
    _exit(127);
}

static inline void
private_broker_config(const struct private_broker *broker, char *path, size_t size)
{
    snprintf(path, size, "%s/mosquitto.conf", broker->dir);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    /* Receive Maximum stays at mosquitto's default of 20: the smallest one meets in the wild. */
    fprintf(file, "listener %d 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n",
            broker->port);
    if (geteuid() == 0)
        fprintf(file, "user root\n");
    if (broker->settings != NULL)
        fputs(broker->settings, file);
    fclose(file);
}

/* Whether it takes connections before the time is up; false too if it died. */
static inline bool
private_broker_listens(struct private_broker *broker)
{
    for (int waited_ms = 0; waited_ms < PRIVATE_BROKER_START_MS; waited_ms += 10) {
        int fd = private_broker_socket(&broker->port, true);
        bool dead = waitpid(broker->pid, NULL, WNOHANG) != 0;
        if (fd >= 0)
            close(fd);
        if (dead)
            return false;
        if (fd >= 0)
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

/* Start it on its port again, or on a free one if port is 0. Aborts if it can't be done. */
static inline void
private_broker_start(struct private_broker *broker)
{
    char config[128];
    bool any_port = broker->port == 0;

    if (broker->dir[0] == '\0') {
        snprintf(broker->dir, sizeof broker->dir, "/tmp/gait-test-broker-XXXXXX");
        if (mkdtemp(broker->dir) == NULL)
            abort();
    }
    for (int i = 0; i < PRIVATE_BROKER_TRIES; i++) {
        if (any_port) {
            broker->port = 0;
            close(private_broker_socket(&broker->port, false));
        }
        private_broker_config(broker, config, sizeof config);
        broker->pid = fork();
        if (broker->pid == 0)
            private_broker_exec(config);
        if (private_broker_listens(broker))
            return;
        kill(broker->pid, SIGKILL);
        waitpid(broker->pid, NULL, 0);
    }
    fprintf(stderr, "can't start mosquitto\n");
    abort();
}

/* kill -9. */
static inline void
private_broker_kill(struct private_broker *broker)
{
    kill(broker->pid, SIGKILL);
    waitpid(broker->pid, NULL, 0);
    broker->pid = 0;
}

/* Stop it if it runs, and remove its folder. */
static inline void
private_broker_remove(struct private_broker *broker)
{
    char config[128];

    if (broker->pid != 0)
        private_broker_kill(broker);
    snprintf(config, sizeof config, "%s/mosquitto.conf", broker->dir);
    unlink(config);
    rmdir(broker->dir);
}

#endif
