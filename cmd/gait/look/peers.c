#include "look/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "wire/topic.h"
#include "wire/wire.h"
#include "streams/catalog.h"
#include "common/client.h"

#define ASK_EXPIRY_S 10             /* a process that comes back later need not answer us */
#define ROUND_BYTES 8

enum { FILTER_ANSWER, FILTER_METRICS, FILTER_STATUS, FILTER_COUNT };

struct peers {
    struct client *client;
    char *ask_topic;
    char *prefix;
    char *filters[FILTER_COUNT];
    struct peer list[STREAMS_COUNT];
    unsigned count;
    uint64_t round; /* goes out as correlation data: a late answer to an earlier question is no answer to this one */
    bool closed;    /* between two rounds: the list may be read without the lock */
};

static struct peer *
find(struct peers *peers, struct span name)
{
    for (unsigned i = 0; i < peers->count; i++) {
        if (span_is(name, peers->list[i].stream->name))
            return &peers->list[i];
    }
    return NULL;
}

/* Take the metrics in payload: as an answer of this round, or else as what the broker keeps of it. */
static void
take_metrics(struct peers *peers, struct span payload, bool answered)
{
    struct answer answer;

    if (answer_decode(payload, &answer) != 0)
        return;
    struct peer *peer = find(peers, span_of(answer.process));
    if (peer == NULL || (peer->answered && !answered))
        return;
    peer->answered = answered;
    peer->known = true;
    peer->answer = answer;
    buffer_clear(&peer->text);
    buffer_add_span(&peer->text, payload);
}

static void
take_status(struct peers *peers, struct span name, struct span payload)
{
    struct peer *peer = find(peers, name);

    if (peer != NULL && (span_is(payload, "online") || span_is(payload, "offline")))
        snprintf(peer->status, sizeof peer->status, "%.*s", (int)payload.len, payload.at);
}

static void
on_message(void *context, const struct wire_message *message)
{
    struct peers *peers = context;
    struct span topic = message->topic;
    struct span name;

    if (peers->closed)
        return;
    if (span_is(topic, peers->filters[FILTER_ANSWER])) {
        if (message->correlation.len == ROUND_BYTES && bytes_get_u64(message->correlation.at) == peers->round)
            take_metrics(peers, message->payload, true);
    } else if (topic_matches(topic, peers->filters[FILTER_METRICS], &name)) {
        take_metrics(peers, message->payload, false);
    } else if (topic_matches(topic, peers->filters[FILTER_STATUS], &name)) {
        take_status(peers, name, message->payload);
    }
}

struct peers *
peers_new(const struct broker *broker, const char *prefix)
{
    struct peers *peers = calloc(1, sizeof *peers);

    if (peers == NULL)
        log_fatal("out of memory");
    for (unsigned i = 0; catalog_streams[i] != NULL; i++)
        peers->list[peers->count++].stream = catalog_streams[i];
    const struct client_options options = {.broker = broker, .name = "gait", .context = peers, .message = on_message};
    peers->client = client_new(&options);
    if (peers->client == NULL) {
        peers_free(peers);
        return NULL;
    }
    peers->prefix = strdup(prefix);
    if (peers->prefix == NULL)
        log_fatal("out of memory");
    peers->ask_topic = topic_name(TOPIC_ASK, prefix, NULL, NULL);
    peers->filters[FILTER_ANSWER] = topic_name(TOPIC_ANSWER, prefix, client_name(peers->client), NULL);
    peers->filters[FILTER_METRICS] = topic_name(TOPIC_METRICS, prefix, "+", NULL);
    peers->filters[FILTER_STATUS] = topic_name(TOPIC_STATUS, prefix, "+", NULL);
    client_filters(peers->client, (const char *const *)peers->filters, FILTER_COUNT);
    return peers;
}

const struct peer *
peers_list(const struct peers *peers, unsigned *count)
{
    *count = peers->count;
    return peers->list;
}

const struct peer *
peers_find(const struct peers *peers, const struct stream *stream)
{
    for (unsigned i = 0; i < peers->count; i++) {
        if (peers->list[i].stream == stream)
            return &peers->list[i];
    }
    log_panic("a stream that is not in the catalog");
}

/* Whether the process begins a line: nobody else says then whether there is one. */
static bool
begins_line(const struct peer *peer)
{
    return peer->stream->input_count == 1 && peer->stream->inputs[0].landing != NULL;
}

bool
peers_expected(const struct peers *peers, const struct peer *peer)
{
    bool told = false; /* by somebody who knows his consumers */
    bool untold = false;

    if (peer->answered || begins_line(peer))
        return true;
    for (unsigned i = 0; i < peer->stream->input_count; i++) {
        if (peer->stream->inputs[i].from == NULL)
            continue;
        const struct peer *producer = peers_find(peers, peer->stream->inputs[i].from);
        if (producer->known && answer_has_consumer(&producer->answer, peer->stream->name))
            return true;
        told |= producer->known;
        untold |= !producer->known && peers_expected(peers, producer);
    }
    return untold && !told;
}

unsigned
peers_answered(const struct peers *peers, unsigned *expected)
{
    unsigned answered = 0;

    *expected = 0;
    for (unsigned i = 0; i < peers->count; i++) {
        answered += peers->list[i].answered;
        *expected += peers_expected(peers, &peers->list[i]);
    }
    return answered;
}

static bool
all_answered(const struct peers *peers)
{
    unsigned expected;

    return peers_answered(peers, &expected) == expected;
}

/* A new round: nobody has answered. True if connected. */
static bool
begin_round(struct peers *peers)
{
    client_lock(peers->client);
    peers->closed = false; /* before a new connection, which brings what the broker keeps */
    peers->round++;
    for (unsigned i = 0; i < peers->count; i++)
        peers->list[i].answered = false;
    bool up = client_is_up(peers->client);
    client_unlock(peers->client);
    return up;
}

/* Wait for the answers; whether all came. */
static bool
end_round(struct peers *peers, int64_t deadline_ms)
{
    client_lock(peers->client);
    while (!all_answered(peers) && client_is_up(peers->client) && client_wait(peers->client, deadline_ms))
        continue;
    bool complete = all_answered(peers);
    peers->closed = true;
    client_unlock(peers->client);
    return complete;
}

int
peers_ask(struct peers *peers, int64_t connect_deadline_ms, int64_t wait_ms)
{
    unsigned char correlation[ROUND_BYTES];

    if (!begin_round(peers) && client_connect(peers->client, connect_deadline_ms) != 0)
        return -1;
    bytes_put_u64(correlation, peers->round); /* only this thread changes it */
    const struct wire_message question = {
        .topic = span_of(peers->ask_topic),
        .response_topic = span_of(peers->filters[FILTER_ANSWER]),
        .correlation = span_at(correlation, sizeof correlation),
        .delivery = WIRE_AT_LEAST_ONCE,
        .expiry_s = ASK_EXPIRY_S,
    };
    client_publish(peers->client, &question); /* if it can't, the connection is gone, and the wait ends at once */
    return end_round(peers, clock_steady_ms() + wait_ms) ? 1 : 0;
}

/* What the process says of itself, as the end of a sentence about its work. */
static void
add_why(const struct answer *answer, struct buffer *why)
{
    if (answer->why[0] != '\0')
        buffer_printf(why, "%s%s", answer_is_stopped(answer) ? ", stopped: " : "; it runs, but: ", answer->why);
}

/* Whether this input has applied all that its producer has given out. */
static bool
input_at_rest(const struct peers *peers, const struct peer *peer, unsigned i, struct buffer *why)
{
    const struct stream *from = peer->stream->inputs[i].from;

    if (from == NULL)
        return true;
    if (peer->answer.inputs[i].stands) {
        buffer_printf(why, "%s takes nothing more from %s", peer->stream->name, from->name);
        add_why(&peer->answer, why);
        return false;
    }
    int64_t behind = answer_behind(&peer->answer.inputs[i], &peers_find(peers, from)->answer);
    if (behind == 0)
        return true;
    buffer_printf(why, "%s is %" PRId64 " messages behind %s", peer->stream->name, behind, from->name);
    return false;
}

static bool
peer_at_rest(const struct peers *peers, const struct peer *peer, struct buffer *why)
{
    const struct answer *answer = &peer->answer;

    if (!peer->answered) {
        buffer_printf(why, "%s does not answer", peer->stream->name);
        return false;
    }
    if (answer->inbox_bytes != 0 || answer->due != 0) {
        buffer_printf(why, "%s has %" PRId64 " bytes in its inbox and %" PRId64 " records due", peer->stream->name,
                      answer->inbox_bytes, answer->due);
        add_why(answer, why);
        return false;
    }
    if (answer->unacknowledged) {
        buffer_printf(why, "%s %s: %s", peer->stream->name, answer_is_stopped(answer) ? "is stopped" : "runs, but",
                      answer->why);
        return false;
    }
    for (unsigned i = 0; i < peer->stream->input_count; i++) {
        if (!input_at_rest(peers, peer, i, why))
            return false;
    }
    return true;
}

bool
peers_onward(const struct peers *peers, struct buffer *why)
{
    for (unsigned i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->list[i];
        if (peer->known && peer->answer.unacknowledged) {
            buffer_printf(why, "%s: %s", peer->stream->name, peer->answer.why);
            return false;
        }
    }
    return true;
}

bool
peers_well(const struct peers *peers, struct buffer *why)
{
    const char *comma = "";

    for (unsigned i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->list[i];
        if (!peer->answered || peer->answer.why[0] == '\0')
            continue;
        buffer_printf(why, "%s%s", comma, peer->stream->name);
        comma = ", ";
    }
    return comma[0] == '\0';
}

void
peers_acknowledge(struct peers *peers, const struct peer *peer)
{
    char *topic = topic_name(TOPIC_ACKNOWLEDGE, peers->prefix, peer->stream->name, NULL);
    const struct wire_message message = {.topic = span_of(topic), .delivery = WIRE_AT_LEAST_ONCE};

    client_publish(peers->client, &message); /* if it can't, the connection is gone, and nothing is cleared */
    free(topic);
}

/*
 * The answers are not of one instant, and need not be. Input has ended, so a process at the head with an empty inbox
 * gives out nothing any more: what it called its last is its last. A process whose producers are like that, that has
 * applied all of theirs and has nothing due, is so too, whichever of them answered first: positions only grow.
 */
bool
peers_at_rest(const struct peers *peers, struct buffer *why)
{
    for (unsigned i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->list[i];
        if (peers_expected(peers, peer) && !peer_at_rest(peers, peer, why))
            return false;
    }
    return true;
}

bool
peers_balanced(const struct peers *peers, struct buffer *why)
{
    for (unsigned i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->list[i];
        for (unsigned j = 0; peer->known && j < peer->stream->input_count; j++) {
            if (!answer_balances(&peer->answer.inputs[j])) {
                buffer_printf(why, "%s %s", peer->stream->name, peer->stream->inputs[j].name);
                return false;
            }
        }
    }
    return true;
}

void
peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    client_free(peers->client);
    for (unsigned i = 0; i < peers->count; i++)
        buffer_free(&peers->list[i].text);
    for (unsigned i = 0; i < FILTER_COUNT; i++)
        free(peers->filters[i]);
    free(peers->ask_topic);
    free(peers->prefix);
    free(peers);
}
