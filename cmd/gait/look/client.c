#include "look/client.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/say.h"
#include "mqtt/mqtt.h"

#define ATTEMPT_MS 5000    /* for one attempt: a host that doesn't answer at all must not eat up the whole deadline */
#define GOODBYE_MS 200     /* for what is still to be written when we leave */
#define REASON_BYTES_MAX 256

enum state { DOWN, CONNECTING, UP, SUBSCRIBED, REFUSED };

struct client {
    struct wire *wire;
    struct wire_options options;
    struct broker broker;
    char name[24];
    void (*message)(void *context, const struct wire_message *message);
    void *context;
    struct backoff backoff;

    pthread_mutex_t lock; /* for what follows, and for what message writes */
    pthread_cond_t changed;
    enum state state;
    char reason[REASON_BYTES_MAX]; /* DOWN, REFUSED: why */
};

static void
change_state(struct client *client, enum state state, const char *reason)
{
    pthread_mutex_lock(&client->lock);
    client->state = state;
    snprintf(client->reason, sizeof client->reason, "%s", reason);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void
on_up(void *context, bool session_kept, const struct wire_limits *limits)
{
    (void)session_kept; /* sessions end with the connection */
    (void)limits;       /* questions are small */
    change_state(context, UP, "");
}

static void
on_subscribed(void *context, bool ok, const char *reason)
{
    change_state(context, ok ? SUBSCRIBED : REFUSED, reason);
}

static void
on_down(void *context, const char *reason)
{
    change_state(context, DOWN, reason);
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct client *client = context;
    pthread_mutex_lock(&client->lock);
    client->message(client->context, message);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void
on_delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token; /* a command that needs to know waits for an answer */
}

struct client *
client_new(const struct broker *broker, void (*message)(void *context, const struct wire_message *message),
           void *context)
{
    uint64_t random;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        log_fatal("out of memory");
    hash_init();
    hash_random(&random, sizeof random);
    snprintf(client->name, sizeof client->name, "gait-%016" PRIx64, random);
    client->options.client_name = client->name;
    client->broker = *broker;
    broker_defaults(&client->broker);
    client->message = message;
    client->context = context;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);

    const struct wire_events events = {client, on_up, on_subscribed, on_down, on_message, on_delivered, NULL};
    client->wire = mqtt_wire(broker, &client->options, &events);
    if (client->wire == NULL) {
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

/* Wait until state is none of those that pass by themselves; returns it, or DOWN at the deadline. */
static enum state
wait_while(struct client *client, enum state passing, int64_t deadline_ms)
{
    pthread_mutex_lock(&client->lock);
    while (client->state == passing && client_wait(client, deadline_ms))
        continue;
    if (client->state == passing)
        snprintf(client->reason, sizeof client->reason, "%s:%d: no answer", client->broker.host, client->broker.port);
    enum state state = client->state == passing ? DOWN : client->state;
    pthread_mutex_unlock(&client->lock);
    return state;
}

/* One attempt. Ends in SUBSCRIBED, REFUSED or DOWN. */
static enum state
connect_once(struct client *client, const char *const *filters, unsigned count, int64_t deadline_ms)
{
    change_state(client, CONNECTING, "");
    enum state state = DOWN;
    if (client->wire->calls->connect(client->wire) == 0)
        state = wait_while(client, CONNECTING, deadline_ms);
    if (state == UP && client->wire->calls->subscribe(client->wire, filters, count, count, WIRE_AT_LEAST_ONCE) == 0)
        state = wait_while(client, UP, deadline_ms);
    if (state != SUBSCRIBED)
        client->wire->calls->disconnect(client->wire, 0); /* whatever it was in the middle of */
    return state == UP ? DOWN : state;
}

static void
sleep_ms(int64_t ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    if (ms > 0)
        nanosleep(&time, NULL);
}

int
client_connect(struct client *client, const char *const *filters, unsigned count, int64_t deadline_ms)
{
    enum state state = DOWN;

    if (client->backoff.up_ms != 0) /* there was one, and it is lost */
        sleep_ms(backoff_down(&client->backoff, clock_steady_ms()) - clock_steady_ms());
    while (state != REFUSED) {
        state = connect_once(client, filters, count, clock_steady_ms() + ATTEMPT_MS);
        if (state == SUBSCRIBED) {
            backoff_up(&client->backoff, clock_steady_ms());
            return 0;
        }
        const int64_t again_ms = backoff_down(&client->backoff, clock_steady_ms());
        if (again_ms >= deadline_ms)
            break;
        if (state != REFUSED)
            sleep_ms(again_ms - clock_steady_ms());
    }
    client_lock(client);
    say("%s: %s", state == REFUSED ? "the broker refuses to let us read" : "no connection to the broker",
        client->reason[0] != '\0' ? client->reason : "refused");
    client_unlock(client);
    return -1;
}

int
client_publish(struct client *client, const struct wire_message *message)
{
    return client->wire->calls->publish(client->wire, message, 0);
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
    return client->state == SUBSCRIBED;
}

void
client_free(struct client *client)
{
    if (client == NULL)
        return;
    if (client->wire != NULL) {
        client->wire->calls->disconnect(client->wire, GOODBYE_MS);
        client->wire->calls->free(client->wire);
    }
    pthread_mutex_destroy(&client->lock);
    pthread_cond_destroy(&client->changed);
    free(client);
}
