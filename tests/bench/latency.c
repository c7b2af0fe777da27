/*
 * bench-latency: how long a pair of readings takes from its publisher to a subscriber of the machine learning records.
 *
 * usage: bench-latency NAME PORT E-MAIL SERIAL-NUMBER PAIRS PAIRS-A-SECOND     SIGTERM: send no more
 *
 * Publishes the accelerometer reading of each pair half a period before its step trainer reading, and takes the time
 * from publishing the latter. Pairs go out by the clock, whether earlier ones have come back or not: a pipeline that
 * stands still is felt by every pair that falls into that time, not by one alone. One connection of our own (lib/mqtt),
 * QoS 1 both ways, no receipts. Prints how many pairs there were, p50, and p99 and p99.9 if there are pairs enough to
 * have one; fails if a record does not come within half a minute of the last pair.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "bench.h"
#include "mqtt/mqtt.h"

#define PAIRS_MAX 100000
#define CONNECT_S 10
#define ANSWER_S 30

/* Our readings are from a time before all others', so that nobody else's pair with them, and a millisecond apart. They
 * begin where the wall clock says within that time: the ones of an earlier run would be duplicates. */
#define EPOCH_MS INT64_C(1500000000000)
#define EPOCH_LENGTH_MS INT64_C(9999000000)
#define EPOCH_MARK "\"sensorReadingTime\":150"

struct client {
    struct wire *wire;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool up, subscribed;
    int64_t first_ms; /* time of the first pair */
    unsigned pairs, answered;
    int64_t sent_ns[PAIRS_MAX];
    double took_ms[PAIRS_MAX]; /* 0: not answered yet */
};

static struct client client = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static volatile sig_atomic_t stop;

static void
on_term(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

static void
set_flag(bool *flag)
{
    pthread_mutex_lock(&client.lock);
    *flag = true;
    pthread_cond_broadcast(&client.changed);
    pthread_mutex_unlock(&client.lock);
}

static void
on_up(void *context, bool session_kept, const struct wire_limits *limits)
{
    (void)context;
    (void)session_kept;
    (void)limits;
    set_flag(&client.up);
}

static void
on_subscribed(void *context, bool ok, const char *reason)
{
    (void)context;
    if (!ok)
        log_fatal("not subscribed: %s", reason);
    set_flag(&client.subscribed);
}

static void
on_down(void *context, const char *reason)
{
    (void)context;
    log_fatal("connection lost: %s", reason);
}

static void
on_delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

static void
answer(int64_t time_ms, int64_t now_ns)
{
    const int64_t pair = time_ms - client.first_ms;

    pthread_mutex_lock(&client.lock);
    if (pair >= 0 && pair < client.pairs && client.took_ms[pair] == 0) {
        client.took_ms[pair] = (double)(now_ns - client.sent_ns[pair]) / 1e6;
        client.answered++;
        pthread_cond_broadcast(&client.changed);
    }
    pthread_mutex_unlock(&client.lock);
}

/* Our pairs are told from others' by the beginning of their times. */
static void
on_message(void *context, const struct wire_message *message)
{
    const size_t mark_len = sizeof EPOCH_MARK - 1, number_at = mark_len - 3;
    const int64_t now_ns = bench_now_ns();
    const char *at = message->payload.at, *end = at + message->payload.len;

    (void)context;
    while ((at = memmem(at, (size_t)(end - at), EPOCH_MARK, mark_len)) != NULL) {
        char number[14] = "";
        if ((size_t)(end - at) >= number_at + 13)
            memcpy(number, at + number_at, 13);
        answer(strtoll(number, NULL, 10), now_ns);
        at += mark_len;
    }
}

/* Wait until *flag. */
static void
await(const bool *flag, const char *what)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CONNECT_S;
    pthread_mutex_lock(&client.lock);
    while (!*flag) {
        if (pthread_cond_clockwait(&client.changed, &client.lock, CLOCK_REALTIME, &until) != 0)
            log_fatal("no %s in %d s", what, CONNECT_S);
    }
    pthread_mutex_unlock(&client.lock);
}

static void
await_answers(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_S;
    pthread_mutex_lock(&client.lock);
    while (client.answered < client.pairs) {
        if (pthread_cond_clockwait(&client.changed, &client.lock, CLOCK_REALTIME, &until) != 0)
            log_fatal("%u of %u pairs did not come back", client.pairs - client.answered, client.pairs);
    }
    pthread_mutex_unlock(&client.lock);
}

static void
publish(const char *topic, const char *payload)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = span_of(payload), .delivery = WIRE_AT_LEAST_ONCE};

    if (client.wire->calls->publish(client.wire, &message, 0) != 0)
        log_fatal("can't publish");
}

static void
sleep_until(int64_t ns)
{
    const struct timespec until = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

/* How many were sent. */
static unsigned
send_pairs(const char *email, const char *serial_number, int64_t period_ns)
{
    char text[512];
    const int64_t start_ns = bench_now_ns();
    unsigned i;

    for (i = 0; i < client.pairs && !stop; i++) {
        const int64_t time_ms = client.first_ms + i;
        sleep_until(start_ns + i * period_ns);
        snprintf(text, sizeof text,
                 "{\"user\":\"%s\",\"timestamp\":%" PRId64 ",\"x\":1,\"y\":0,\"z\":-1}", email, time_ms);
        publish("gait/landing/accelerometer", text);
        snprintf(text, sizeof text,
                 "{\"sensorReadingTime\":%" PRId64 ",\"serialNumber\":\"%s\",\"distanceFromObject\":200}",
                 time_ms, serial_number);
        sleep_until(start_ns + i * period_ns + period_ns / 2);
        pthread_mutex_lock(&client.lock);
        client.sent_ns[i] = bench_now_ns();
        pthread_mutex_unlock(&client.lock);
        publish("gait/landing/step_trainer", text);
    }
    return i;
}

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
print(const char *name)
{
    static const struct {
        const char *name;
        double part;
        unsigned pairs_min;
    } points[] = {{"p50", 0.5, 1}, {"p99", 0.99, 100}, {"p99.9", 0.999, 1000}};
    char line[128];

    const double pairs = client.pairs;
    snprintf(line, sizeof line, "%s/pairs", name);
    bench_result(line, "pairs", &pairs, 1);
    qsort(client.took_ms, client.pairs, sizeof client.took_ms[0], compare);
    for (unsigned i = 0; i < sizeof points / sizeof points[0] && client.pairs >= points[i].pairs_min; i++) {
        snprintf(line, sizeof line, "%s/%s", name, points[i].name);
        bench_result(line, "ms", &client.took_ms[(unsigned)(client.pairs * points[i].part)], 1);
    }
}

static void
open_wire(const struct broker *broker, const struct wire_options *options)
{
    static const char *const filter = "gait/curated/machine_learning";
    const struct wire_events events = {NULL, on_up, on_subscribed, on_down, on_message, on_delivered, NULL};

    client.wire = mqtt_wire(broker, options, &events);
    if (client.wire == NULL || client.wire->calls->connect(client.wire) != 0)
        log_fatal("can't connect");
    await(&client.up, "connection");
    if (client.wire->calls->subscribe(client.wire, &filter, 1, 0, WIRE_AT_LEAST_ONCE) != 0)
        log_fatal("can't subscribe");
    await(&client.subscribed, "subscription");
}

int
main(int argc, char **argv)
{
    const struct wire_options options = {.client_name = "bench-latency"};

    log_open("bench-latency", LOG_WARNING);
    if (argc != 7) {
        fprintf(stderr, "usage: bench-latency NAME PORT E-MAIL SERIAL-NUMBER PAIRS PAIRS-A-SECOND\n");
        return 2;
    }
    const struct broker broker = {.host = "127.0.0.1", .port = (int)bench_count(argv[2])};
    const uint64_t pairs = bench_count(argv[5]);
    if (pairs > PAIRS_MAX)
        log_fatal("at most %d pairs", PAIRS_MAX);
    client.pairs = (unsigned)pairs;
    client.first_ms = EPOCH_MS + clock_wall_ms() % EPOCH_LENGTH_MS;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_term);
    open_wire(&broker, &options);
    const unsigned sent = send_pairs(argv[3], argv[4], 1000000000 / (int64_t)bench_count(argv[6]));
    pthread_mutex_lock(&client.lock);
    client.pairs = sent;
    pthread_mutex_unlock(&client.lock);
    await_answers();
    client.wire->calls->free(client.wire);
    if (sent == 0)
        log_fatal("stopped before the first pair");
    print(argv[1]);
    return 0;
}
