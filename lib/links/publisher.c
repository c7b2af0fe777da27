#include "links/publisher.h"

#include <string.h>

#include "base/log.h"
#include "wire/topic.h"

/* Messages in flight to one receiver, besides the window of bytes: below the 1000 messages at which a broker with default
 * settings begins to drop for a slow consumer. */
#define FLIGHT_MESSAGES_MAX 512

/* A lost message shows when the next one comes. For the last one nothing does, so it is sent again after a while. */
#define PROBE_MIN_MS 1000
#define PROBE_MAX_MS 30000

/* So many probes in a row without an answer, one second, two and four apart, are no slow commit any more. */
#define PROBE_SILENT_MS (PROBE_MIN_MS * 8)

/* A rewind is paid for by time: so much can be owed, so the first few come at once. */
#define REWIND_CREDIT_MS 3000
#define REWIND_MIN_MS 1000
#define REWIND_MAX_MS 30000

/* What the broker refuses may be allowed any moment: somebody is at work on its ACL. */
#define REFUSED_MIN_MS 1000
#define REFUSED_MAX_MS 15000 /* connections that are cut over it come often enough to be unsteady all the time */

_Static_assert(OUTBOX_SEQUENCE_MAX <= PUBLISHER_TOKEN_MASK, "a message's number has its room in a token");

static void
feed_restart(struct publisher_feed *feed)
{
    feed->handed = 0;
    feed->next = feed->applied + 1;
    feed->rewound = 0;
    feed->sent = (struct outbox_mark){0}; /* nothing on this connection: publisher_pump puts it where the window begins */
    feed->probe = (struct backoff){.wait_ms = PROBE_MIN_MS, .at_ms = INT64_MAX};
}

void
publisher_init(struct publisher *publisher)
{
    const struct outbox_mark trimmed = publisher->outbox->trimmed;

    publisher->limits = (struct wire_limits){.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_feed *feed = &publisher->consumers[i].feed;
        *feed = (struct publisher_feed){.applied = trimmed.sequence, .window = trimmed};
        publisher->consumers[i].confirmed = trimmed.sequence;
        publisher->consumers[i].rewinds = (struct publisher_rewinds){0};
        publisher->consumers[i].tell = (struct backoff){.wait_ms = PROBE_MIN_MS};
    }
    publisher->broker = (struct publisher_feed){.follows = true, .window = trimmed};
    publisher_restart(publisher, trimmed.sequence, false, 0);
}

void
publisher_add(struct publisher *publisher, const char *name)
{
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        if (strcmp(publisher->consumers[i].name, name) == 0)
            return;
    }
    if (publisher->consumer_count == CONSUMERS_MAX)
        log_panic("%s: more than %d registered consumers", publisher->topic, CONSUMERS_MAX);
    publisher->consumers[publisher->consumer_count++] = (struct publisher_consumer){.name = name};
}

uint64_t
publisher_confirmed(const struct publisher *publisher)
{
    uint64_t least = publisher->broker.applied;

    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        if (publisher->consumers[i].confirmed < least)
            least = publisher->consumers[i].confirmed;
    }
    return least;
}

/* The broker is sent sequence alone, until it takes it, ever more rarely. */
static void
hold_back(struct publisher *publisher, uint64_t sequence, int64_t steady_ms)
{
    publisher->refused = sequence;
    backoff_put_off(&publisher->retry, REFUSED_MIN_MS, REFUSED_MAX_MS, steady_ms);
}

void
publisher_restart(struct publisher *publisher, uint64_t copied, bool wary, int64_t steady_ms)
{
    publisher->broker.applied = copied;
    publisher->unfit_bytes = 0;
    publisher->refused = 0;
    if (wary && copied < publisher->outbox->last.sequence)
        hold_back(publisher, copied + 1, steady_ms);
    else
        backoff_reset(&publisher->retry);
    feed_restart(&publisher->broker);
    for (unsigned i = 0; i < publisher->consumer_count; i++)
        feed_restart(&publisher->consumers[i].feed);
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

/* One that asks is told a second after the last time, however long a silent one would have to wait. */
static void
tell_sooner(struct publisher_consumer *consumer)
{
    consumer->tell.at_ms -= consumer->tell.wait_ms - PROBE_MIN_MS;
    consumer->tell.wait_ms = PROBE_MIN_MS;
}

/* What a report makes of the consumer, where `applied` is 0 for one that knows another store, or none: for it everything is
 * new. */
static void
place(struct publisher *publisher, struct publisher_consumer *consumer, bool stranger, uint64_t applied, bool wanted,
      bool rewind)
{
    const uint64_t trimmed = publisher->outbox->trimmed.sequence;
    const bool behind = !stranger && applied < trimmed;

    /* Who begins anew must hear where all rows end, too. */
    const bool begins_at_one = stranger && trimmed == 0 && consumer->said.position.epoch == 0 && !consumer->said.anew;

    if (!stranger || begins_at_one)
        consumer->newcomer = consumer->has_rows = false;
    else if (rewind)
        consumer->newcomer = true;
    if (rewind && behind && !consumer->complained)
        log_error("%s: %s went back in time: it needs what follows %llu, and only what follows %llu is left",
                  publisher->topic, consumer->name, (unsigned long long)applied, (unsigned long long)trimmed);
    consumer->complained = behind && (rewind || consumer->complained);
    const bool told = consumer->behind || consumer->elsewhere;
    consumer->behind = behind;
    consumer->elsewhere = !stranger && !behind && consumer->said.position.epoch != publisher->epoch;
    if (wanted || !told)
        tell_sooner(consumer);
    consumer->feed.follows = !behind && !consumer->elsewhere && (!stranger || begins_at_one);
}

/* Where this store stands: the newest message that it has given out. */
static struct link_position
given_out(const struct publisher *publisher)
{
    return (struct link_position){publisher->epoch, publisher->outbox->last.sequence};
}

/* Whether what somebody says proves that this store is an older copy: see lives_prove. */
static bool
proves(struct publisher *publisher, const char *witness, const struct link_position *said, bool met)
{
    if (!lives_prove(*said, met, given_out(publisher), &publisher->earlier))
        return false;
    publisher->older.seen = true;
    publisher->older.witness = witness;
    publisher->older.knew = said->epoch == publisher->epoch ? said->applied : 0;
    return true;
}

static bool
may_rewind(const struct publisher_rewinds *rewinds, int64_t steady_ms)
{
    return rewinds->paid_ms - steady_ms <= REWIND_CREDIT_MS;
}

/* No struct backoff: what is doubled is a price, and what is not owed yet may be spent at once. */
static void
pay_rewind(struct publisher_rewinds *rewinds, uint64_t applied, int64_t steady_ms)
{
    const bool progress = rewinds->price_ms == 0 || applied > rewinds->applied;

    rewinds->price_ms = progress ? REWIND_MIN_MS : backoff_doubled(rewinds->price_ms, REWIND_MAX_MS);
    rewinds->paid_ms = (rewinds->paid_ms > steady_ms ? rewinds->paid_ms : steady_ms) + rewinds->price_ms;
    rewinds->applied = applied;
}

/* What the report changes of where the feed is; rewind: and it is to go back. Whether it went back. */
static bool
move_feed(struct publisher_feed *feed, uint64_t applied, bool wanted, bool rewind)
{
    const bool progress = applied > feed->applied;

    /* Who begins anew may have less than it said before; a report that comes late says nothing. */
    if (progress || wanted)
        feed->applied = applied;
    const bool again = rewind && feed->follows && feed->next > feed->applied + 1 && feed->rewound != feed->applied + 1;
    if (again)
        feed->rewound = feed->applied + 1;
    if (again || feed->next <= feed->applied)
        feed->next = feed->applied + 1;
    /* Not by each report: the questions of one who sees a gap, one for each message behind it, would put off the probe for
     * ever, and one who can't go on would be probed once a second for ever. */
    if (progress || again)
        feed->probe.at_ms = INT64_MAX;
    if (progress)
        feed->probe.wait_ms = PROBE_MIN_MS;
    return again;
}

/* Work what the consumer has said last; rewind: and it is to have what it wants. Whether that costs something. */
static bool
settle(struct publisher *publisher, struct publisher_consumer *consumer, bool wanted, bool rewind)
{
    const struct publisher_word *said = &consumer->said;
    const uint64_t trimmed = publisher->outbox->trimmed.sequence;
    struct publisher_rewinds *rewinds = &consumer->rewinds;
    const bool was_newcomer = consumer->newcomer;
    uint64_t applied;
    const bool met =
        lives_meet(said->position, &said->earlier, given_out(publisher), &publisher->earlier, &applied);

    if (!consumer->witness && proves(publisher, consumer->name, &said->position, met)) {
        consumer->witness = true;
        consumer->feed.follows = rewinds->waits = false; /* it is placed when the next life begins */
        return false;
    }
    const bool ahead = said->position.epoch == publisher->epoch && said->position.applied > applied;
    const bool stranger = !met || ahead;
    place(publisher, consumer, stranger, stranger ? 0 : applied, wanted, rewind);
    if (stranger || applied < trimmed)
        applied = trimmed;
    if (!said->kept && (wanted || applied > consumer->confirmed)) /* as in move_feed */
        consumer->confirmed = applied;
    else if (said->kept && applied > trimmed)
        applied--; /* the last message is sent once more: whoever has it says so, and that counts */
    rewinds->waits = wanted ? !rewind : rewinds->waits && applied <= consumer->feed.applied;
    const bool again = move_feed(&consumer->feed, applied, wanted, rewind);
    return rewind && (again || (consumer->newcomer && !was_newcomer));
}

static void
take_report(struct publisher *publisher, struct publisher_consumer *consumer, bool wanted, int64_t steady_ms)
{
    struct publisher_rewinds *rewinds = &consumer->rewinds;
    const bool rewind = wanted && may_rewind(rewinds, steady_ms);

    consumer->heard = true;
    if (wanted && !rewind)
        rewinds->wanted = consumer->said;
    if (settle(publisher, consumer, wanted, rewind))
        pay_rewind(rewinds, consumer->feed.applied, steady_ms);
}

int
publisher_find(const struct publisher *publisher, struct span name)
{
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        if (span_is(name, publisher->consumers[i].name))
            return (int)i;
    }
    return -1;
}

void
publisher_report(struct publisher *publisher, struct span name, const struct publisher_word *said, bool rewind,
                 int64_t steady_ms)
{
    const int i = publisher_find(publisher, name);

    if (i < 0)
        return;
    publisher->consumers[i].said = *said;
    take_report(publisher, &publisher->consumers[i], rewind, steady_ms);
}

bool
publisher_kept(struct publisher *publisher, const struct link_position *said, const struct lives *earlier, uint64_t *has)
{
    const bool met = lives_meet(*said, earlier, given_out(publisher), &publisher->earlier, has);

    if (said->epoch != publisher->kept_epoch && proves(publisher, "the broker", said, met))
        publisher->kept_epoch = said->epoch;
    return met;
}

bool
publisher_tells(struct publisher_consumer *consumer, int64_t steady_ms)
{
    if (!(consumer->elsewhere || consumer->behind) || !backoff_is_due(&consumer->tell, steady_ms))
        return false;
    backoff_put_off(&consumer->tell, PROBE_MIN_MS, PROBE_MAX_MS, steady_ms);
    return true;
}

/* What somebody has followed that this store does not know: nothing of it is here, but from now on it is known. */
static void
push_foreign(const struct publisher *publisher, struct lives *earlier, uint64_t epoch)
{
    if (epoch != 0 && epoch != publisher->epoch && lives_find(earlier, epoch) == NULL)
        lives_push(earlier, (struct life){.epoch = epoch});
}

struct lives
publisher_end_life(const struct publisher *publisher)
{
    struct lives earlier = publisher->earlier;

    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        const struct publisher_consumer *consumer = &publisher->consumers[i];
        if (consumer->witness)
            push_foreign(publisher, &earlier, consumer->said.position.epoch);
    }
    push_foreign(publisher, &earlier, publisher->kept_epoch);
    lives_push(&earlier, (struct life){.epoch = publisher->epoch, .last = publisher->outbox->last.sequence});
    return earlier;
}

void
publisher_begin_life(struct publisher *publisher, uint64_t epoch, const struct lives *earlier)
{
    log_assert(epoch != 0 && epoch != publisher->epoch);
    publisher->epoch = epoch;
    publisher->earlier = *earlier;
    publisher->older.seen = false;
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_consumer *consumer = &publisher->consumers[i];
        feed_restart(&consumer->feed);
        consumer->feed.follows = false;
        consumer->tell.at_ms = 0; /* of this life it was not told yet */
        if (consumer->heard)
            settle(publisher, consumer, true, true);
    }
}

void
publisher_delivered(struct publisher *publisher, uint64_t token)
{
    if (token >> 56 != publisher->token >> 56)
        return;
    token &= PUBLISHER_TOKEN_MASK;
    if (publisher->refused != 0 && token != publisher->refused)
        return; /* it was under way behind the refused one, and goes out once more */
    publisher->refused = 0;
    backoff_reset(&publisher->retry);
    /* Acknowledgements come in the order of sending, so this one covers all before it. */
    if (token > publisher->broker.applied && token <= publisher->outbox->last.sequence)
        publisher->broker.applied = token;
}

void
publisher_refused(struct publisher *publisher, uint64_t token, int64_t steady_ms)
{
    const uint64_t sequence = token & PUBLISHER_TOKEN_MASK;

    if (token >> 56 != publisher->token >> 56 || sequence <= publisher->broker.applied ||
        sequence > publisher->outbox->last.sequence || (publisher->refused != 0 && publisher->refused != sequence))
        return;
    hold_back(publisher, sequence, steady_ms);
    publisher->broker.applied = sequence - 1;
    publisher->broker.next = sequence;
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

/* payload with all its records shortened that have no room. */
static struct span
shorten_records(struct publisher *publisher, struct span payload, size_t room)
{
    struct buffer *out = &publisher->shortened;

    buffer_clear(out);
    while (payload.len > 0) {
        const char *end = memchr(payload.at, '\n', payload.len);
        const size_t bytes = end != NULL ? (size_t)(end - payload.at) : payload.len;
        const struct span record = span_at(payload.at, bytes);
        if (out->len > 0)
            buffer_add_byte(out, '\n');
        buffer_add_span(out, bytes > room ? publisher->shorten(record) : record);
        if (bytes > room)
            buffer_add_byte(out, '}');
        payload = behind_part(payload, bytes);
    }
    return buffer_span(out);
}

/* Send out as the broker takes it; the last part carries the token. 0, −1 it does not fit or the connection broke. */
static int
send_parts(struct publisher *publisher, struct wire_message *out, uint64_t token, struct wire *wire)
{
    const size_t room = wire_room(&publisher->limits, out->topic.len);
    const bool shorten = publisher->shorten != NULL && out->payload.len > room;
    struct span rest = shorten ? shorten_records(publisher, out->payload, room) : out->payload;
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
    log_assert(rest.len == 0); /* no record is left out */
    return 0;
}

/* Whether the broker is to keep message. */
static bool
retained(const struct publisher *publisher, const struct outbox_message *message)
{
    return publisher->table || span_is(message->row, OUTBOX_RETAINED);
}

/* Send a message to a consumer, or to the broker where that is NULL. */
static int
send_message(struct publisher *publisher, const struct publisher_consumer *consumer,
             const struct outbox_message *message, struct wire *wire)
{
    struct buffer *topic = &publisher->full_topic;

    buffer_clear(topic);
    buffer_add_text(topic, consumer == NULL ? publisher->topic : publisher->link);
    if (consumer != NULL)
        topic_add_feed(topic, consumer->name);
    if (publisher->table)
        topic_add_row(topic, message->row);
    struct wire_message out = {
        .topic = span_at(buffer_text(topic), topic->len),
        .payload = message->payload,
        .epoch = publisher->epoch,
        .sequence = message->mark.sequence,
        .retained = consumer == NULL && retained(publisher, message),
        /* What a consumer misses it asks for. A broker that kept it for one who is away would only keep it twice. */
        .delivery = consumer == NULL ? WIRE_AT_LEAST_ONCE : WIRE_AT_MOST_ONCE,
    };
    if (consumer != NULL && !consumer->heard && publisher->earlier.count > 0) {
        /* It may be in an earlier life, and one from outside might take what it has for another store's beginning. A last
         * part without those before it nobody takes, and everybody asks. */
        out.part = out.parts = 2;
        out.payload = (struct span){0};
        return wire->calls->publish(wire, &out, 0);
    }
    return send_parts(publisher, &out, consumer == NULL ? publisher->token | message->mark.sequence : 0, wire);
}

static bool
window_open(const struct publisher *publisher, const struct publisher_feed *feed)
{
    return feed->sent.sequence <= feed->window.sequence ||
           (feed->follows && feed->sent.end - feed->window.end < publisher->window_bytes &&
            feed->sent.sequence - feed->window.sequence < FLIGHT_MESSAGES_MAX);
}

static bool
feed_ready(const struct publisher *publisher, const struct publisher_feed *feed)
{
    return feed->next <= publisher->outbox->last.sequence &&
           (window_open(publisher, feed) || feed->applied != feed->window.sequence);
}

/* Whether publisher_pump is to probe now, or, after a report for a part of what is in flight, to set the time for it. */
static bool
probe_waits(const struct publisher_feed *feed, int64_t steady_ms)
{
    return feed->probe.at_ms != INT64_MAX ? backoff_is_due(&feed->probe, steady_ms) : feed->sent.sequence > feed->applied;
}

bool
publisher_ready(const struct publisher *publisher, int64_t steady_ms)
{
    if (publisher->unfit_bytes > 0 || publisher->older.seen)
        return false;
    if (publisher->refused != 0 ? backoff_is_due(&publisher->retry, steady_ms) : feed_ready(publisher, &publisher->broker))
        return true;
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        const struct publisher_consumer *consumer = &publisher->consumers[i];
        if (feed_ready(publisher, &consumer->feed) || probe_waits(&consumer->feed, steady_ms) ||
            (consumer->rewinds.waits && may_rewind(&consumer->rewinds, steady_ms)))
            return true;
    }
    return false;
}

/* Whether the next message can go to the wire. Repeats come beside what the wire may hold already, all windows: only when
 * that has gone. */
static bool
wire_open(const struct publisher *publisher, const struct publisher_feed *feed, struct wire *wire)
{
    return feed->next > feed->handed ||
           wire->calls->waiting(wire) <= publisher->window_bytes * (publisher->consumer_count + 1);
}

/* Send one receiver what its window allows: how many, −1. */
static int
pump_feed(struct publisher *publisher, struct publisher_feed *feed, const struct publisher_consumer *consumer,
          struct wire *wire)
{
    struct outbox_message message;
    int sent = 0;

    if (look_up(publisher, feed->applied, &feed->window) != 0)
        return -1;
    if (feed->next <= feed->applied)
        feed->next = feed->applied + 1;
    /* Rewound: what follows is in flight again, and what was ahead of it does not count any more. */
    if (feed->sent.sequence >= feed->next || feed->sent.sequence < feed->applied)
        feed->sent = feed->window;
    while (feed->next <= publisher->outbox->last.sequence && window_open(publisher, feed) &&
           wire_open(publisher, feed, wire)) {
        if (outbox_read(publisher->outbox, feed->next, &message) != 1 ||
            send_message(publisher, consumer, &message, wire) != 0)
            return -1;
        log_assert(message.mark.sequence >= feed->next);
        feed->sent = message.mark;
        feed->next = message.mark.sequence + 1;
        feed->handed = feed->sent.sequence > feed->handed ? feed->sent.sequence : feed->handed;
        sent++;
    }
    return sent;
}

/* Nothing was heard of the last message: send it once more. Whoever missed some then sees the gap. */
static int
probe(struct publisher *publisher, struct publisher_consumer *consumer, struct wire *wire, int64_t steady_ms)
{
    struct publisher_feed *feed = &consumer->feed;
    struct outbox_message message;

    backoff_put_off(&feed->probe, PROBE_MIN_MS, PROBE_MAX_MS, steady_ms);
    feed->rewound = 0;
    if (outbox_read(publisher->outbox, feed->sent.sequence, &message) != 1)
        return -1;
    return send_message(publisher, consumer, &message, wire);
}

static int
pump_consumer(struct publisher *publisher, struct publisher_consumer *consumer, struct wire *wire, int64_t steady_ms)
{
    struct publisher_feed *feed = &consumer->feed;
    const struct publisher_rewinds *rewinds = &consumer->rewinds;

    if (rewinds->waits && may_rewind(rewinds, steady_ms)) {
        consumer->said = rewinds->wanted;
        take_report(publisher, consumer, true, steady_ms);
    }
    if (pump_feed(publisher, feed, consumer, wire) < 0)
        return -1;
    if (feed->sent.sequence <= feed->applied)
        feed->probe.at_ms = INT64_MAX;
    else if (feed->probe.at_ms == INT64_MAX)
        feed->probe.at_ms = steady_ms + feed->probe.wait_ms;
    else if (backoff_is_due(&feed->probe, steady_ms))
        return probe(publisher, consumer, wire, steady_ms);
    return 0;
}

/* Try again what the broker refused: 1 sent, 0 not yet, −1. */
static int
retry_refused(struct publisher *publisher, struct wire *wire, int64_t steady_ms)
{
    struct outbox_message message;

    if (!backoff_is_due(&publisher->retry, steady_ms))
        return 0;
    publisher->retry.at_ms = INT64_MAX; /* until it is answered */
    if (outbox_read(publisher->outbox, publisher->refused, &message) != 1 ||
        send_message(publisher, NULL, &message, wire) != 0)
        return -1;
    publisher->broker.next = publisher->refused + 1;
    return 1;
}

int
publisher_pump(struct publisher *publisher, struct wire *wire, int64_t steady_ms)
{
    if (publisher->older.seen)
        return 0; /* nothing is sent of a life that is about to end: somebody has other messages under its numbers */
    /* First those who decide something with it: what goes to the broker is acknowledged, and the rest waits for that. */
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_consumer *consumer = &publisher->consumers[i];
        if (pump_consumer(publisher, consumer, wire, steady_ms) != 0)
            return -1;
    }
    return publisher->refused != 0 ? retry_refused(publisher, wire, steady_ms)
                                   : pump_feed(publisher, &publisher->broker, NULL, wire);
}

bool
publisher_consumer_silent(const struct publisher *publisher, const struct publisher_consumer *consumer)
{
    const uint64_t applied = consumer->feed.applied + (consumer->said.kept ? 1 : 0); /* see settle */

    return applied < publisher->outbox->last.sequence && !consumer->newcomer &&
           (consumer->complained || consumer->feed.probe.wait_ms >= PROBE_SILENT_MS);
}

void
publisher_free(struct publisher *publisher)
{
    buffer_free(&publisher->full_topic);
    buffer_free(&publisher->shortened);
}
