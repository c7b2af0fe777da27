#include "run/publisher.h"

#include <string.h>

#include "base/log.h"

/* Messages in flight, besides the window of bytes: below the 1000 messages at which a broker with default settings begins
 * to drop for a slow consumer. */
#define FLIGHT_MESSAGES_MAX 512

/* A lost message shows when the next one comes. For the last one nothing does, so it is sent again after a while. */
#define PROBE_MIN_MS 1000
#define PROBE_MAX_MS 30000

void
publisher_init(struct publisher *publisher)
{
    publisher->limits = (struct wire_limits){.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};
    publisher->confirmed = publisher->outbox->trimmed;
    publisher->delivered = publisher->outbox->trimmed.sequence;
    for (unsigned i = 0; i < publisher->consumer_count; i++)
        publisher->consumers[i].applied = publisher->outbox->trimmed.sequence;
    publisher_restart(publisher);
}

void
publisher_add(struct publisher *publisher, const char *name)
{
    if (publisher->consumer_count == PUBLISHER_CONSUMERS_MAX)
        log_fatal("%s: more than %d registered consumers", publisher->topic, PUBLISHER_CONSUMERS_MAX);
    publisher->consumers[publisher->consumer_count++] = (struct publisher_consumer){.name = name};
}

uint64_t
publisher_confirmed(const struct publisher *publisher)
{
    uint64_t least = UINT64_MAX;

    if (publisher->consumer_count == 0)
        return publisher->delivered;
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        if (publisher->consumers[i].applied < least)
            least = publisher->consumers[i].applied;
    }
    return least;
}

void
publisher_rewind(struct publisher *publisher, uint64_t next)
{
    if (next <= publisher->outbox->trimmed.sequence)
        next = publisher->outbox->trimmed.sequence + 1;
    if (next < publisher->next)
        publisher->next = next;
}

void
publisher_restart(struct publisher *publisher)
{
    publisher->next = publisher_confirmed(publisher) + 1;
    publisher->sent = publisher->confirmed;
    publisher->probe_wait_ms = PROBE_MIN_MS;
    publisher->probe_ms = INT64_MAX;
    publisher->unfit_bytes = 0;
}

void
publisher_stand(struct publisher *publisher, size_t packet_bytes)
{
    if (publisher->unfit_bytes == 0)
        log_error("%s: a record needs a packet of %zu bytes, and the broker takes %zu at most: it stands until the broker's "
                  "maximum packet size is raised",
                  publisher->topic, packet_bytes, publisher->limits.packet_bytes_max);
    publisher->unfit_bytes = packet_bytes;
}

void
publisher_report(struct publisher *publisher, struct span name, uint64_t epoch, uint64_t applied, bool rewind)
{
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_consumer *consumer = &publisher->consumers[i];
        if (!span_is(name, consumer->name))
            continue;
        const bool stranger = epoch != publisher->epoch || applied > publisher->outbox->last.sequence;
        if (stranger)
            applied = 0; /* it knows another life of this store, or none: for it everything is new */
        if (!stranger || publisher->outbox->trimmed.sequence == 0) {
            consumer->newcomer = consumer->has_rows = false;
        } else if (rewind) {
            consumer->newcomer = true;
            consumer->applied = publisher->outbox->trimmed.sequence;
        }
        const bool behind = !consumer->newcomer && applied < publisher->outbox->trimmed.sequence;
        if (rewind && behind && !consumer->behind)
            log_error("%s: %s went back in time: it needs what follows %llu, and only what follows %llu is left",
                      publisher->topic, consumer->name, (unsigned long long)applied,
                      (unsigned long long)publisher->outbox->trimmed.sequence);
        consumer->behind = behind;
        if (applied > consumer->applied)
            consumer->applied = applied;
        if (rewind)
            publisher_rewind(publisher, applied + 1);
        publisher->probe_wait_ms = PROBE_MIN_MS;
        publisher->probe_ms = INT64_MAX;
    }
    if (publisher->next <= publisher_confirmed(publisher))
        publisher->next = publisher_confirmed(publisher) + 1;
}

void
publisher_delivered(struct publisher *publisher, uint64_t token)
{
    if (token >> 56 != publisher->token >> 56)
        return;
    token &= PUBLISHER_TOKEN_MASK;
    /* Acknowledgements come in the order of sending, so this one covers all before it. */
    if (token > publisher->delivered && token <= publisher->outbox->last.sequence)
        publisher->delivered = token;
}

/* Where the window begins: see the header. */
static uint64_t
window_begin(const struct publisher *publisher)
{
    uint64_t begin = publisher_confirmed(publisher);

    for (unsigned i = 0; publisher->table && i < publisher->consumer_count; i++) {
        if (publisher->consumers[i].applied > begin)
            begin = publisher->consumers[i].applied;
    }
    return begin;
}

/* Find where sequence stands in bytes, if mark is not that already. */
static int
look_up(struct publisher *publisher, uint64_t sequence, struct outbox_mark *mark)
{
    struct outbox_message message;

    if (sequence <= publisher->outbox->trimmed.sequence) {
        *mark = publisher->outbox->trimmed;
        return 0;
    }
    if (sequence == mark->sequence)
        return 0;
    if (outbox_read(publisher->outbox, sequence, &message) != 1)
        return -1;
    *mark = message.mark;
    return 0;
}

/* How much of rest goes into one packet: all of it, or up to the last end of a record; 0: its first record does not fit. */
static size_t
part_bytes(struct span rest, size_t room)
{
    if (rest.len <= room)
        return rest.len;
    const char *end = memrchr(rest.at, '\n', room + 1);
    return end != NULL ? (size_t)(end - rest.at) : 0;
}

/* What stands behind a part of so many bytes. */
static struct span
behind_part(struct span rest, size_t bytes)
{
    return bytes < rest.len ? span_at(rest.at + bytes + 1, rest.len - bytes - 1) : span_at(rest.at + bytes, 0);
}

/* How many parts the payload makes; 0 when a record does not fit, and *record_bytes says how long that is. */
static unsigned
count_parts(struct span payload, size_t room, size_t *record_bytes)
{
    unsigned parts = 0;

    do {
        const size_t bytes = part_bytes(payload, room);
        if (bytes == 0 && payload.len > 0) {
            const char *end = memchr(payload.at, '\n', payload.len);
            *record_bytes = end != NULL ? (size_t)(end - payload.at) : payload.len;
            return 0;
        }
        payload = behind_part(payload, bytes);
        parts++;
    } while (payload.len > 0);
    return parts;
}

/* Send out as the broker takes it; the last part carries the token. 0, −1 it does not fit or the connection broke. */
static int
send_parts(struct publisher *publisher, struct wire_message *out, uint64_t token, struct wire *wire)
{
    const size_t room = wire_room(&publisher->limits, out->topic.len);
    struct span rest = out->payload;
    size_t record_bytes = 0;
    const unsigned parts = count_parts(rest, room, &record_bytes);

    if (parts == 0) {
        publisher_stand(publisher, record_bytes + out->topic.len + WIRE_OVERHEAD_BYTES);
        return -1;
    }
    out->parts = parts > 1 ? parts : 0;
    for (unsigned part = 1; part <= parts; part++) {
        out->part = part;
        out->payload = span_at(rest.at, part_bytes(rest, room));
        rest = behind_part(rest, out->payload.len);
        if (wire->calls->publish(wire, out, part == parts ? token : 0) != 0)
            return -1;
    }
    return 0;
}

static int
send_message(struct publisher *publisher, const struct outbox_message *message, struct wire *wire)
{
    struct wire_message out = {
        .topic = span_of(publisher->topic),
        .payload = message->payload,
        .epoch = publisher->epoch,
        .sequence = message->mark.sequence,
        /* Sent again for a consumer's sake, an older state of a row must not take the place of a newer one: if the
         * connection broke between the two it would stay there, a withdrawn person's record among them. */
        .retained = publisher->table && message->mark.sequence > publisher->copied,
        .delivery = WIRE_AT_LEAST_ONCE,
    };
    uint64_t token = publisher->consumer_count == 0 ? publisher->token | message->mark.sequence : 0;

    if (publisher->table) {
        buffer_clear(&publisher->row_topic);
        buffer_add_text(&publisher->row_topic, publisher->topic);
        buffer_add_byte(&publisher->row_topic, '/');
        buffer_add_span(&publisher->row_topic, message->row);
        out.topic = span_at(buffer_text(&publisher->row_topic), publisher->row_topic.len);
    }
    if (send_parts(publisher, &out, token, wire) != 0)
        return -1;
    if (message->mark.sequence > publisher->copied)
        publisher->copied = message->mark.sequence;
    return 0;
}

static bool
window_open(const struct publisher *publisher)
{
    return publisher->sent.sequence <= publisher->window.sequence ||
           (publisher->sent.end - publisher->window.end < publisher->window_bytes &&
            publisher->sent.sequence - publisher->window.sequence < FLIGHT_MESSAGES_MAX);
}

/* Whether publisher_pump is to probe now, or, after a report for a part of what is in flight, to set the time for it. */
static bool
probe_waits(const struct publisher *publisher, int64_t steady_ms)
{
    if (publisher->probe_ms != INT64_MAX)
        return steady_ms >= publisher->probe_ms;
    return publisher->consumer_count > 0 && publisher->sent.sequence > publisher_confirmed(publisher);
}

bool
publisher_ready(const struct publisher *publisher, int64_t steady_ms)
{
    if (publisher->unfit_bytes > 0)
        return false;
    if (probe_waits(publisher, steady_ms))
        return true;
    return publisher->next <= publisher->outbox->last.sequence &&
           (window_open(publisher) || window_begin(publisher) != publisher->window.sequence);
}

/* Nothing was heard of the last message: send it once more. Whoever missed some then sees the gap. */
static int
probe(struct publisher *publisher, struct wire *wire, int64_t steady_ms)
{
    struct outbox_message message;

    publisher->probe_wait_ms = publisher->probe_wait_ms * 2 < PROBE_MAX_MS ? publisher->probe_wait_ms * 2 : PROBE_MAX_MS;
    publisher->probe_ms = steady_ms + publisher->probe_wait_ms;
    if (outbox_read(publisher->outbox, publisher->sent.sequence, &message) != 1)
        return -1;
    return send_message(publisher, &message, wire);
}

int
publisher_pump(struct publisher *publisher, struct wire *wire, int64_t steady_ms)
{
    struct outbox_message message;
    int sent = 0;

    if (look_up(publisher, publisher_confirmed(publisher), &publisher->confirmed) != 0 ||
        look_up(publisher, window_begin(publisher), &publisher->window) != 0)
        return -1;
    if (publisher->next <= publisher->confirmed.sequence)
        publisher->next = publisher->confirmed.sequence + 1;
    /* Rewound: what follows is in flight again, and what was ahead of it does not count any more. */
    if (publisher->sent.sequence >= publisher->next || publisher->sent.sequence < publisher->confirmed.sequence)
        publisher->sent = publisher->confirmed;
    while (publisher->next <= publisher->outbox->last.sequence && window_open(publisher)) {
        if (outbox_read(publisher->outbox, publisher->next, &message) != 1 ||
            send_message(publisher, &message, wire) != 0)
            return -1;
        publisher->sent = message.mark;
        publisher->next = message.mark.sequence + 1;
        sent++;
    }
    if (publisher->sent.sequence <= publisher->confirmed.sequence || publisher->consumer_count == 0)
        publisher->probe_ms = INT64_MAX;
    else if (sent > 0 || publisher->probe_ms == INT64_MAX)
        publisher->probe_ms = steady_ms + publisher->probe_wait_ms;
    else if (steady_ms >= publisher->probe_ms && probe(publisher, wire, steady_ms) != 0)
        return -1;
    return sent;
}

void
publisher_free(struct publisher *publisher)
{
    buffer_free(&publisher->row_topic);
}
