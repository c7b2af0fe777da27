#include "common/client.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/say.h"
#include "wire/port.h"
#include "mqtt/mqtt.h"

#define ATTEMPT_MS 5000 /* client_connect waits so long at least: for the only attempt, where the deadline is now */
#define GOODBYE_MS 500  /* for what is still to be written when we leave */
#define NAME_BYTES 24   /* 23 and a NUL: brokers need not take longer names */

struct client {
    struct client_options options;
    struct wire_options wire_options;
    struct broker broker;
    char name[NAME_BYTES];
    struct port port;

    pthread_mutex_t lock; /* for what follows, what port hears, and what message and up write */
    pthread_cond_t changed;
    uint64_t events;
};

/*
 * What the wire tells us, in its threads.
 */

static void
note_change(struct client *client)
{
    pthread_mutex_lock(&client->lock);
    client->events++;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void
on_up(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct client *client = context;

    (void)session_kept; /* sessions end with the connection */
    if (client->options.up != NULL) {
        pthread_mutex_lock(&client->lock);
        client->options.up(client->options.context);
        pthread_mutex_unlock(&client->lock);
    }
    port_hear_up(&client->port, limits);
    note_change(client);
}

static void
on_subscribed(void *context, bool ok, const char *reason)
{
    struct client *client = context;

    port_hear_subscribed(&client->port, ok, reason);
    note_change(client);
}

static void
on_down(void *context, const char *reason)
{
    struct client *client = context;

    port_hear_down(&client->port, reason);
    note_change(client);
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct client *client = context;

    pthread_mutex_lock(&client->lock);
    client->options.message(client->options.context, message);
    client->events++;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void
on_delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token; /* a command that needs to know waits for an answer */
}

/*
 * The command's thread. Calls into the wire are made without the lock.
 */

struct client *
client_new(const struct client_options *options)
{
    uint32_t random;
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL)
        log_fatal("out of memory");
    hash_init();
    hash_random(&random, sizeof random);
    snprintf(client->name, sizeof client->name, "%.14s-%08" PRIx32, options->name, random);
    client->options = *options;
    client->wire_options.client_name = client->name;
    client->broker = *options->broker;
    broker_defaults(&client->broker);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    client->port = (struct port){.name = "broker",
                                 .client = client->name,
                                 .delivery = WIRE_AT_LEAST_ONCE,
                                 .wanted = true,
                                 .quiet = true,
                                 .lock = &client->lock};

    const struct wire_events events = {client, on_up, on_subscribed, on_down, on_message, on_delivered, NULL};
    client->port.wire = mqtt_wire(options->broker, &client->wire_options, &events);
    if (client->port.wire == NULL) {
        client_free(client);
        return NULL;
    }
    return client;
}

const char *
client_name(const struct client *client)
{
    return client->name;
}

void
client_filters(struct client *client, const char *const *filters, unsigned count)
{
    log_assert(count <= PORT_FILTERS_MAX);
    for (unsigned i = 0; i < count; i++)
        client->port.filters[i] = filters[i];
    client->port.filter_count = client->port.news_from = count;
}

int
client_step(struct client *client)
{
    client->port.wanted = true;
    return port_step(&client->port, clock_steady_ms());
}

int64_t
client_due_ms(const struct client *client)
{
    return port_due_ms(&client->port);
}

bool
client_is_missed(const struct client *client)
{
    return client->port.state != PORT_READY && (client->port.failures > 1 || client_unsteady(client));
}

bool
client_unsteady(const struct client *client)
{
    return reconnect_unsteady(&client->port.reconnect, clock_steady_ms());
}

void
client_reason(struct client *client, char *text, size_t size)
{
    port_reason(&client->port, text, size);
}

struct wire_limits
client_limits(struct client *client)
{
    return port_limits(&client->port);
}

/* Wait until something has happened since `events` was seen, or until_ms. */
static void
wait_for_event(struct client *client, uint64_t events, int64_t until_ms)
{
    client_lock(client);
    while (client->events == events && client_wait(client, until_ms))
        continue;
    client_unlock(client);
}

/* client_step until there is a connection (1), the filters are refused (−1), or it is given up (0). */
static int
step_until_up(struct client *client, int64_t deadline_ms)
{
    const unsigned failures = client->port.failures;
    int64_t limit_ms = clock_steady_ms() + ATTEMPT_MS;

    if (limit_ms < deadline_ms)
        limit_ms = deadline_ms;
    for (;;) {
        client_lock(client);
        const uint64_t events = client->events;
        client_unlock(client);
        if (client_step(client) < 0)
            return -1;
        if (client->port.state == PORT_READY)
            return 1;
        const bool last = client->port.failures != failures && client->port.reconnect.backoff.at_ms >= deadline_ms;
        if (last || clock_steady_ms() >= limit_ms)
            return 0;
        const int64_t due_ms = client_due_ms(client);
        wait_for_event(client, events, due_ms < limit_ms ? due_ms : limit_ms);
    }
}

int
client_connect(struct client *client, int64_t deadline_ms)
{
    char reason[512] = "";
    const int rc = step_until_up(client, deadline_ms);

    if (rc > 0)
        return 0;
    client_reason(client, reason, sizeof reason);
    if (client->port.state != PORT_DOWN) /* in the middle of an attempt: the reason is that of one before it, if any */
        snprintf(reason, sizeof reason, "%s:%d: no answer", client->broker.host, client->broker.port);
    client->port.wanted = false; /* whatever it is in the middle of */
    port_step(&client->port, clock_steady_ms());
    say("%s: %s", rc < 0 ? "the broker refuses to let us read" : "no connection to the broker", reason);
    return -1;
}

int
client_subscribe(struct client *client, const char *const *filters, unsigned count)
{
    struct wire *wire = client->port.wire;

    return wire->calls->subscribe(wire, filters, count, count, WIRE_AT_LEAST_ONCE);
}

int
client_publish(struct client *client, const struct wire_message *message)
{
    return client->port.wire->calls->publish(client->port.wire, message, 0);
}

void
client_lock(struct client *client)
{
    pthread_mutex_lock(&client->lock);
}

void
client_unlock(struct client *client)
{
    pthread_mutex_unlock(&client->lock);
}

uint64_t
client_events(const struct client *client)
{
    return client->events;
}

bool
client_wait(struct client *client, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX)
        return pthread_cond_wait(&client->changed, &client->lock) == 0;
    /* clock_steady_ms is CLOCK_MONOTONIC, as the condition's clock */
    struct timespec deadline = {deadline_ms / 1000, deadline_ms % 1000 * 1000000L};
    return pthread_cond_clockwait(&client->changed, &client->lock, CLOCK_MONOTONIC, &deadline) != ETIMEDOUT;
}

bool
client_is_up(const struct client *client)
{
    return port_is_up(&client->port);
}

void
client_free(struct client *client)
{
    if (client == NULL)
        return;
    if (client->port.wire != NULL) {
        client->port.wire->calls->disconnect(client->port.wire, GOODBYE_MS);
        client->port.wire->calls->free(client->port.wire);
    }
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->changed);
    free(client);
}
