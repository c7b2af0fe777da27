/*
 * memory_wire: a broker in memory and its connections, for tests that run many processes in one thread.
 *
 * Nothing moves by itself. Each connection has a way out (what its owner asked for and the broker has not seen yet) and
 * a way in (events for its owner); the test moves one thing at a time by memory_wire_send and memory_wire_hear, and
 * breaks what it likes in between. Like MQTT with a broker that does what it may: retained messages, wildcards + and #,
 * sessions that are kept and get at-least-once messages again until they are acknowledged, at-most-once messages that
 * get lost, a will, a kill -9 that forgets everything.
 */
#ifndef TESTS_MEMORY_WIRE_H
#define TESTS_MEMORY_WIRE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

#define MEMORY_WIRES_MAX 32
#define MEMORY_FILTERS_MAX 16

/* A message with bytes of its own. */
struct memory_message {
    struct memory_message *next; /* retained ones */
    struct wire_message wire;
    char bytes[];
};

/* Something on its way, in or out. */
enum memory_kind {
    MEMORY_CONNECT, /* out */
    MEMORY_SUBSCRIBE,
    MEMORY_PUBLISH,
    MEMORY_UP, /* in */
    MEMORY_SUBSCRIBED,
    MEMORY_MESSAGE,
    MEMORY_DELIVERED,
    MEMORY_REFUSED
};

struct memory_item {
    struct memory_item *next;
    enum memory_kind kind;
    bool session_kept;
    uint64_t token;
    char *filters[MEMORY_FILTERS_MAX];
    unsigned filter_count;
    unsigned news_from;
    enum wire_delivery delivery;
    struct memory_message *message;
};

struct memory_queue {
    struct memory_item *first;
    struct memory_item **end;
};

enum memory_state { MEMORY_IDLE, MEMORY_CONNECTING, MEMORY_ONLINE };

/* A client: the connection while `owned`, and what the broker knows of it, which may outlive that. */
struct memory_wire {
    struct wire wire;
    struct memory_broker *broker;
    bool owned;
    const struct wire_options *options;
    struct wire_events events;
    enum memory_state state;
    struct wire_limits limits;
    const char *down; /* an event that is to come before all others; NULL none */
    struct memory_queue out;

    char name[128];
    bool session; /* the broker knows it, connected or not */
    bool session_keeps;
    char *filters[MEMORY_FILTERS_MAX];
    enum wire_delivery deliveries[MEMORY_FILTERS_MAX];
    unsigned filter_count;
    struct memory_queue in;
};

/* What becomes of a message on its way to a subscriber. At-least-once messages are never lost by a living broker. */
enum memory_fate { MEMORY_ONCE, MEMORY_TWICE, MEMORY_LOST };

struct memory_broker {
    struct memory_wire *wires[MEMORY_WIRES_MAX];
    unsigned wire_count;
    struct memory_message *retained;
    struct memory_message *saved; /* retained ones as they were once, for memory_broker_go_back */

    bool refuses;        /* connections */
    size_t packet_bytes_max; /* announced to who connects, for messages with numbers; 0: none */
    bool retained_first; /* retained messages come before the word that the subscription is made, not after */
    unsigned cut_in;     /* the connection breaks at this publish call from now, of whomever; 0 never */
    /* Whether the broker's ACL refuses a message that has come so far; NULL: none. */
    bool (*refuses_message)(void *context, const struct memory_wire *from, const struct wire_message *message);
    /* Or ends the connection because of it. */
    bool (*cuts_for)(void *context, const struct memory_wire *from, const struct wire_message *message);
    /* Whether the ACL keeps a message from whoever has subscribed to it, without a word. */
    bool (*hides)(void *context, const struct memory_wire *to, const struct wire_message *message);
    /* Whether a publish call has any effect; NULL: it has. */
    bool (*allows)(void *context, const struct memory_wire *from);
    /* Sees each message that a publish call takes; may be NULL. */
    void (*takes)(void *context, const struct memory_wire *from, const struct wire_message *message);
    /* Decides on each message on its way to a subscriber; NULL: all arrive once. */
    enum memory_fate (*fate)(void *context, const struct memory_wire *to, const struct wire_message *message);
    void *context;
};

/* Memory. */

static inline void *
memory_zeroed(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

static inline struct span
memory_copy_span(struct span span, char **to)
{
    char *at = *to;

    if (span.len > 0)
        memcpy(at, span.at, span.len);
    at[span.len] = '\0';
    *to += span.len + 1;
    return span_at(at, span.len);
}

static inline struct memory_message *
memory_copy(const struct wire_message *from)
{
    const size_t bytes = from->topic.len + from->payload.len + from->response_topic.len + from->correlation.len + 4;
    struct memory_message *message = memory_zeroed(sizeof *message + bytes);
    char *to = message->bytes;

    message->wire = *from;
    message->wire.topic = memory_copy_span(from->topic, &to);
    message->wire.payload = memory_copy_span(from->payload, &to);
    message->wire.response_topic = memory_copy_span(from->response_topic, &to);
    message->wire.correlation = memory_copy_span(from->correlation, &to);
    return message;
}

static inline void
memory_free_item(struct memory_item *item)
{
    for (unsigned i = 0; i < item->filter_count; i++)
        free(item->filters[i]);
    free(item->message);
    free(item);
}

static inline struct memory_item *
memory_push(struct memory_queue *queue, enum memory_kind kind)
{
    struct memory_item *item = memory_zeroed(sizeof *item);

    item->kind = kind;
    if (queue->first == NULL)
        queue->end = &queue->first;
    *queue->end = item;
    queue->end = &item->next;
    return item;
}

static inline struct memory_item *
memory_pop(struct memory_queue *queue)
{
    struct memory_item *item = queue->first;

    if (item != NULL)
        queue->first = item->next;
    return item;
}

/* Drop what is in queue; with keep, all but messages that must be acknowledged. */
static inline void
memory_drop(struct memory_queue *queue, bool keep)
{
    struct memory_item *item = queue->first;

    queue->first = NULL;
    queue->end = &queue->first;
    while (item != NULL) {
        struct memory_item *next = item->next;
        if (keep && item->kind == MEMORY_MESSAGE && item->message->wire.delivery == WIRE_AT_LEAST_ONCE) {
            item->next = NULL;
            *queue->end = item;
            queue->end = &item->next;
        } else {
            memory_free_item(item);
        }
        item = next;
    }
}

/* Routing. */

static inline bool
memory_matches(const char *topic, const char *filter)
{
    if (topic[0] == '$' && filter[0] != '$')
        return false;
    for (;;) {
        const size_t level = strcspn(topic, "/");
        if (strcmp(filter, "#") == 0)
            return true;
        const size_t wanted = strcspn(filter, "/");
        if (!(wanted == 1 && filter[0] == '+') && (wanted != level || strncmp(topic, filter, level) != 0))
            return false;
        topic += level;
        filter += wanted;
        if (*topic == '\0')
            return *filter == '\0' || strcmp(filter, "/#") == 0;
        if (*filter == '\0')
            return false;
        topic++;
        filter++;
    }
}

static inline void
memory_deliver(struct memory_wire *to, const struct wire_message *message, enum wire_delivery delivery, bool retained)
{
    struct memory_message *copy = memory_copy(message);

    copy->wire.retained = retained;
    if (delivery < copy->wire.delivery)
        copy->wire.delivery = delivery;
    if (to->state != MEMORY_ONLINE && copy->wire.delivery == WIRE_AT_MOST_ONCE)
        free(copy);
    else
        memory_push(&to->in, MEMORY_MESSAGE)->message = copy;
}

static inline void
memory_route_to(struct memory_broker *broker, struct memory_wire *to, const struct wire_message *message)
{
    for (unsigned i = 0; i < to->filter_count; i++) {
        if (!memory_matches(message->topic.at, to->filters[i]))
            continue;
        if (broker->hides != NULL && broker->hides(broker->context, to, message))
            return;
        enum memory_fate fate = broker->fate != NULL ? broker->fate(broker->context, to, message) : MEMORY_ONCE;
        if (fate == MEMORY_LOST && to->deliveries[i] == WIRE_AT_LEAST_ONCE)
            fate = MEMORY_ONCE;
        for (unsigned times = fate == MEMORY_LOST ? 0 : fate == MEMORY_TWICE ? 2 : 1; times > 0; times--)
            memory_deliver(to, message, to->deliveries[i], false);
        return;
    }
}

static inline void
memory_retain(struct memory_broker *broker, const struct wire_message *message)
{
    struct memory_message **at = &broker->retained;

    while (*at != NULL && !span_equal((*at)->wire.topic, message->topic))
        at = &(*at)->next;
    struct memory_message *old = *at;
    if (old != NULL)
        *at = old->next;
    free(old);
    if (message->payload.len == 0)
        return;
    struct memory_message *kept = memory_copy(message);
    kept->next = broker->retained;
    broker->retained = kept;
}

static inline void
memory_route(struct memory_broker *broker, const struct wire_message *message)
{
    if (message->retained)
        memory_retain(broker, message);
    for (unsigned i = 0; i < broker->wire_count; i++) {
        if (broker->wires[i]->session)
            memory_route_to(broker, broker->wires[i], message);
    }
}

/* The broker's side of a client. */

static inline void
memory_forget_session(struct memory_wire *wire)
{
    for (unsigned i = 0; i < wire->filter_count; i++)
        free(wire->filters[i]);
    wire->filter_count = 0;
    wire->session = false;
    memory_drop(&wire->in, false);
}

/* The connection is no more; what was on its way is lost, but for what a kept session still owes. */
static inline void
memory_end_connection(struct memory_wire *wire)
{
    memory_drop(&wire->out, false);
    memory_drop(&wire->in, wire->session_keeps);
    if (!wire->session_keeps)
        memory_forget_session(wire);
    wire->state = MEMORY_IDLE;
}

static inline void
memory_accept(struct memory_wire *wire)
{
    const bool known = wire->session;

    wire->session = true;
    wire->session_keeps = wire->options->session_s > 0;
    wire->state = MEMORY_ONLINE;
    wire->limits = (struct wire_limits){
        .packet_bytes_max = wire->broker->packet_bytes_max > 0 ? wire->broker->packet_bytes_max : SIZE_MAX,
        .acknowledges = true,
        .retains = true,
        .session_s = wire->options->session_s,
    };
    /* It comes before what waited. */
    struct memory_queue waited = wire->in;
    wire->in = (struct memory_queue){0};
    memory_push(&wire->in, MEMORY_UP)->session_kept = known;
    if (waited.first != NULL) {
        *wire->in.end = waited.first;
        wire->in.end = waited.end;
    }
}

static inline void
memory_send_retained(struct memory_wire *wire, const struct memory_item *request)
{
    for (const struct memory_message *kept = wire->broker->retained; kept != NULL; kept = kept->next) {
        for (unsigned i = 0; i < request->news_from; i++) {
            if (memory_matches(kept->wire.topic.at, request->filters[i])) {
                memory_deliver(wire, &kept->wire, request->delivery, true);
                break;
            }
        }
    }
}

static inline void
memory_subscribe_client(struct memory_wire *wire, struct memory_item *request)
{
    for (unsigned i = 0; i < request->filter_count; i++) {
        unsigned at = 0;
        while (at < wire->filter_count && strcmp(wire->filters[at], request->filters[i]) != 0)
            at++;
        if (at == MEMORY_FILTERS_MAX)
            abort();
        if (at == wire->filter_count)
            wire->filters[wire->filter_count++] = strdup(request->filters[i]);
        wire->deliveries[at] = request->delivery;
    }
    if (wire->broker->retained_first)
        memory_send_retained(wire, request);
    memory_push(&wire->in, MEMORY_SUBSCRIBED);
    if (!wire->broker->retained_first)
        memory_send_retained(wire, request);
}

/* What the test does. */

/* The connection breaks; the owner will hear of it. */
static inline void
memory_wire_cut(struct memory_wire *wire)
{
    if (wire->state == MEMORY_IDLE)
        return;
    const bool will = wire->state == MEMORY_ONLINE && wire->options->will_topic != NULL;
    const struct wire_options *options = wire->options;
    memory_end_connection(wire);
    wire->down = "connection lost";
    if (will) {
        const struct wire_message message = {
            .topic = span_of(options->will_topic), .payload = span_of(options->will_text), .retained = true};
        memory_route(wire->broker, &message);
    }
}

/* Let the broker see the next thing that the owner of wire asked for. Whether there was any. */
static inline bool
memory_wire_send(struct memory_wire *wire)
{
    struct memory_item *item = memory_pop(&wire->out);

    if (item == NULL)
        return false;
    if (item->kind == MEMORY_CONNECT && wire->broker->refuses) {
        wire->state = MEMORY_IDLE;
        wire->down = "connection refused";
    } else if (item->kind == MEMORY_CONNECT) {
        memory_accept(wire);
    } else if (item->kind == MEMORY_SUBSCRIBE) {
        memory_subscribe_client(wire, item);
    } else if (wire->broker->cuts_for != NULL &&
               wire->broker->cuts_for(wire->broker->context, wire, &item->message->wire)) {
        memory_wire_cut(wire);
    } else if (wire->broker->refuses_message != NULL &&
               wire->broker->refuses_message(wire->broker->context, wire, &item->message->wire)) {
        if (item->message->wire.delivery == WIRE_AT_LEAST_ONCE) {
            struct memory_item *refused = memory_push(&wire->in, MEMORY_REFUSED);
            refused->token = item->token;
            refused->message = memory_copy(&item->message->wire);
        }
    } else {
        memory_route(wire->broker, &item->message->wire);
        if (item->token != 0)
            memory_push(&wire->in, MEMORY_DELIVERED)->token = item->token;
    }
    memory_free_item(item);
    return true;
}

/* Let the owner of wire hear the next event. Whether there was any. */
static inline bool
memory_wire_hear(struct memory_wire *wire)
{
    const struct wire_events *events = &wire->events;

    if (!wire->owned)
        return false;
    if (wire->down != NULL) {
        const char *reason = wire->down;
        wire->down = NULL;
        events->down(events->context, reason);
        return true;
    }
    /* It stays in the queue until it is heard out: if its owner dies meanwhile it was not acknowledged. */
    struct memory_item *item = wire->state == MEMORY_ONLINE ? wire->in.first : NULL;
    if (item == NULL)
        return false;
    if (item->kind == MEMORY_UP)
        events->up(events->context, item->session_kept, &wire->limits);
    else if (item->kind == MEMORY_SUBSCRIBED)
        events->subscribed(events->context, true, "");
    else if (item->kind == MEMORY_MESSAGE)
        events->message(events->context, &item->message->wire);
    else if (item->kind == MEMORY_DELIVERED)
        events->delivered(events->context, item->token);
    else if (events->refused != NULL)
        events->refused(events->context, item->token, item->message->wire.topic, "refused to user test");
    memory_free_item(memory_pop(&wire->in));
    return true;
}

/* As memory_wire_hear, but then the connection breaks before the broker sees the acknowledgement. */
static inline void
memory_wire_hear_and_cut(struct memory_wire *wire)
{
    const struct memory_item *item = wire->in.first;

    if (wire->owned && wire->down == NULL && wire->state == MEMORY_ONLINE && item != NULL &&
        item->kind == MEMORY_MESSAGE)
        wire->events.message(wire->events.context, &item->message->wire);
    memory_wire_cut(wire);
}

static inline void
memory_free_messages(struct memory_message **list)
{
    while (*list != NULL) {
        struct memory_message *message = *list;
        *list = message->next;
        free(message);
    }
}

/* The broker dies and comes back: every connection breaks, and of sessions, or retained messages, nothing is left. */
static inline void
memory_broker_forget(struct memory_broker *broker, bool sessions, bool retained)
{
    if (retained)
        memory_free_messages(&broker->retained);
    for (unsigned i = 0; i < broker->wire_count; i++) {
        struct memory_wire *wire = broker->wires[i];
        if (wire->state != MEMORY_IDLE) {
            wire->down = "connection lost";
            memory_end_connection(wire);
        }
        if (sessions)
            memory_forget_session(wire);
    }
}

static inline struct memory_message *
memory_copy_messages(const struct memory_message *list)
{
    struct memory_message *copy = NULL;
    struct memory_message **end = &copy;

    for (; list != NULL; list = list->next, end = &(*end)->next)
        *end = memory_copy(&list->wire);
    return copy;
}

/* The broker writes down what it retains; later it dies and comes back with that. */
static inline void
memory_broker_save(struct memory_broker *broker)
{
    memory_free_messages(&broker->saved);
    broker->saved = memory_copy_messages(broker->retained);
}

static inline void
memory_broker_go_back(struct memory_broker *broker)
{
    memory_broker_forget(broker, true, true);
    broker->retained = memory_copy_messages(broker->saved);
}

static inline void
memory_broker_free(struct memory_broker *broker)
{
    memory_broker_forget(broker, true, true);
    memory_free_messages(&broker->saved);
    for (unsigned i = 0; i < broker->wire_count; i++)
        free(broker->wires[i]);
    broker->wire_count = 0;
}

/* What wires' owners call. */

static inline int
memory_connect(struct wire *base)
{
    struct memory_wire *wire = (struct memory_wire *)base;

    if (wire->state != MEMORY_IDLE || wire->down != NULL)
        return -1;
    wire->state = MEMORY_CONNECTING;
    memory_push(&wire->out, MEMORY_CONNECT);
    return 0;
}

static inline int
memory_subscribe(struct wire *base, const char *const *filters, unsigned count, unsigned news_from,
                 enum wire_delivery delivery)
{
    struct memory_wire *wire = (struct memory_wire *)base;

    if (wire->state != MEMORY_ONLINE)
        return -1;
    struct memory_item *item = memory_push(&wire->out, MEMORY_SUBSCRIBE);
    for (unsigned i = 0; i < count; i++)
        item->filters[item->filter_count++] = strdup(filters[i]);
    item->delivery = delivery;
    item->news_from = news_from;
    return 0;
}

static inline int
memory_publish(struct wire *base, const struct wire_message *message, uint64_t token)
{
    struct memory_wire *wire = (struct memory_wire *)base;

    if (wire->state == MEMORY_ONLINE && wire->broker->cut_in > 0 && --wire->broker->cut_in == 0)
        memory_wire_cut(wire);
    if (wire->state != MEMORY_ONLINE || (wire->broker->allows != NULL && !wire->broker->allows(wire->broker->context, wire)))
        return -1;
    if (message->sequence != 0 && !wire_fits(&wire->limits, message))
        return -1;
    if (wire->broker->takes != NULL)
        wire->broker->takes(wire->broker->context, wire, message);
    struct memory_item *item = memory_push(&wire->out, MEMORY_PUBLISH);
    item->message = memory_copy(message);
    item->token = token;
    return 0;
}

static inline size_t
memory_waiting(struct wire *base)
{
    const struct memory_wire *wire = (const struct memory_wire *)base;
    size_t bytes = 0;

    for (const struct memory_item *item = wire->out.first; item != NULL; item = item->next)
        bytes += item->message != NULL ? item->message->wire.payload.len + item->message->wire.topic.len : 0;
    return bytes;
}

static inline void
memory_disconnect(struct wire *base, int timeout_ms)
{
    struct memory_wire *wire = (struct memory_wire *)base;

    (void)timeout_ms;
    while (wire->state == MEMORY_ONLINE && memory_wire_send(wire))
        ;
    if (wire->state != MEMORY_IDLE)
        memory_end_connection(wire);
    wire->down = NULL;
}

static inline void
memory_free(struct wire *base)
{
    struct memory_wire *wire = (struct memory_wire *)base;

    if (wire == NULL)
        return;
    memory_disconnect(base, 0);
    wire->owned = false;
}

/* A connection to broker; a client that comes back by its name finds its session. Freed by its owner and with the
 * broker. */
static inline struct wire *
memory_wire(struct memory_broker *broker, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls calls = {memory_connect, memory_subscribe,  memory_publish,
                                            memory_waiting, memory_disconnect, memory_free};
    unsigned i = 0;

    while (i < broker->wire_count && strcmp(broker->wires[i]->name, options->client_name) != 0)
        i++;
    if (i == MEMORY_WIRES_MAX || (i < broker->wire_count && broker->wires[i]->owned))
        abort();
    if (i == broker->wire_count)
        broker->wires[broker->wire_count++] = memory_zeroed(sizeof(struct memory_wire));
    struct memory_wire *wire = broker->wires[i];
    snprintf(wire->name, sizeof wire->name, "%s", options->client_name);
    wire->wire.calls = &calls;
    wire->broker = broker;
    wire->owned = true;
    wire->options = options;
    wire->events = *events;
    return &wire->wire;
}

#endif
