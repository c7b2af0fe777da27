#include "mqtt/calls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAHO_SLEEP_US_MAX 1000
#define CONNECT_WAIT_MS 10             /* others who use Paho wait meanwhile */
#define SEND_BUFFER_BYTES (512 * 1024) /* asked for; the kernel gives what wmem_max allows */

static atomic_uint connect_calls;
static atomic_int connect_error;
static atomic_bool connection_waited_for;

unsigned
calls_connects(void)
{
    return atomic_load(&connect_calls);
}

int
calls_connect_error(void)
{
    return atomic_load(&connect_error);
}

void
calls_wait_for_connection(bool wait)
{
    atomic_store(&connection_waited_for, wait);
}

/* What Paho calls. */

int paho_usleep(useconds_t wanted_us);
int paho_cond_signal(pthread_cond_t *condition);
int paho_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int paho_connect(int fd, const struct sockaddr *address, socklen_t address_len);
int paho_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int paho_poll(struct pollfd *files, nfds_t count, int timeout_ms);

/* Paho's only way to sleep, and it sleeps 100 ms at a time where it should wait for something: before it sees its first
 * socket, after a second without traffic, when it ends its threads. Sleeping less makes it look more often and do no more:
 * a command ends 1 ms after its work in place of 100, at the price of 1000 wake-ups a second while nothing connects. */
int
paho_usleep(useconds_t wanted_us)
{
    const useconds_t us = wanted_us < PAHO_SLEEP_US_MAX ? wanted_us : PAHO_SLEEP_US_MAX;
    const struct timespec time = {0, (long)us * 1000};

    return nanosleep(&time, NULL);
}

/* Paho's sender looks for work, and then waits for the signal that there is some, or 1 s: a signal that comes between the
 * two is lost. (Seen: with others at work on the machine, one load in twenty stood still for a second.) So signals are
 * counted, and who missed one does not wait. */
static atomic_uint signals_given;

int
paho_cond_signal(pthread_cond_t *condition)
{
    atomic_fetch_add(&signals_given, 1);
    return pthread_cond_broadcast(condition);
}

int
paho_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    static atomic_uint signals_seen;
    int rc = 0;

    if (atomic_load(&signals_given) == atomic_load(&signals_seen))
        rc = pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, until);
    atomic_store(&signals_seen, atomic_load(&signals_given));
    return rc;
}

static void
tune_socket(int fd)
{
    int on = 1;
    int wanted = SEND_BUFFER_BYTES;
    int given = 0;
    socklen_t len = sizeof given;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return; /* no TCP socket */
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &given, &len) == 0 && given < wanted)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
}

/* Paho gives out no socket, so this is where we see it. Two things it does not do:
 *
 * - TCP_NODELAY. A consumer that answers a message sends PUBACK and then PUBLISH; without it the second waits for the
 *   peer's delayed acknowledgement of the first (measured: 50 ms a round trip instead of 0.13 ms).
 * - Wait for the connection. It looks for it when it next wakes up, which is after 10 ms at best, while on one machine the
 *   connection is there at once: `gait status` took 21 ms and takes 6.5. */
int
paho_connect(int fd, const struct sockaddr *address, socklen_t address_len)
{
    struct pollfd made = {.fd = fd, .events = POLLOUT};
    int error = connect(fd, address, address_len) == 0 ? 0 : errno;
    socklen_t len = sizeof error;

    if (error == EINPROGRESS && atomic_load(&connection_waited_for) && poll(&made, 1, CONNECT_WAIT_MS) == 1)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    tune_socket(fd);
    atomic_store(&connect_error, error);
    atomic_fetch_add(&connect_calls, 1);
    errno = error;
    return error == 0 ? 0 : -1;
}

/* A connection that was not made at once: this is where Paho asks what became of it, and keeps the answer to itself. */
int
paho_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    const int rc = getsockopt(fd, level, name, value, len);

    if (rc == 0 && level == SOL_SOCKET && name == SO_ERROR)
        atomic_store(&connect_error, *(const int *)value);
    return rc;
}

/* Before Paho's receiver goes to sleep it acknowledges what it has read. The kernel would wait up to 40 ms with that, for
 * something to send it with, and a broker that has not set TCP_NODELAY (mosquitto's default) keeps back its next small
 * packet, a PUBACK say, until the one before it is acknowledged. With Receive Maximum 1 every message waited for that
 * (measured, 2000 rows of a table: 9.3 s before, 1.6 s now). The kernel forgets the option, so it is set each time. */
int
paho_poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    const int on = 1;

    for (nfds_t i = 0; timeout_ms != 0 && i < count; i++) {
        if ((files[i].events & POLLIN) != 0)
            (void)setsockopt(files[i].fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
    return poll(files, count, timeout_ms);
}
