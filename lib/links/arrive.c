/*
 * arrive: what the wires' threads do with what comes in. They leave it where the loop finds it, and return.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "links/links_state.h"
#include "wire/topic.h"

/* Of topics that somebody else names. mosquitto cuts the connection of whoever publishes to one of more than 200 levels. */
#define ANSWER_TOPIC_BYTES_MAX 512
#define ANSWER_TOPIC_LEVELS_MAX 32

_Static_assert(PREFIX_BYTES_MAX + 4 * NAME_SIZE <= ANSWER_TOPIC_BYTES_MAX, "gait's own tools ask below the prefix");
_Static_assert(PREFIX_LEVELS_MAX + 4 <= ANSWER_TOPIC_LEVELS_MAX, "likewise");

static unsigned
levels(struct span topic)
{
    unsigned count = 1;

    for (size_t i = 0; i < topic.len; i++)
        count += topic.at[i] == '/';
    return count;
}

/* Whether topic is one, of a bearable length. */
static bool
is_topic(struct span topic)
{
    return topic.len > 0 && topic.len <= ANSWER_TOPIC_BYTES_MAX && levels(topic) <= ANSWER_TOPIC_LEVELS_MAX &&
           memchr(topic.at, '\0', topic.len) == NULL && memchr(topic.at, '+', topic.len) == NULL &&
           memchr(topic.at, '#', topic.len) == NULL;
}

/* Whether rest is level, or lies below it. */
static bool
is_at_or_below(struct span rest, struct span level)
{
    return span_begins(rest, level) && (rest.len == level.len || rest.at[level.len] == '/');
}

/*
 * Whether we answer to a topic that somebody else names. We may publish anywhere below the prefix, the asker may not: so
 * only where answers of this kind are, below level, and of one who publishes to a level of its own, which the
 * broker may give to nobody else, only to that level there. Elsewhere the broker may not let us publish at all, and some
 * cut the connection of whoever tries. What is not answered is counted.
 */
static bool
may_answer(struct links *links, struct span topic, const char *level, struct span own)
{
    const char *prefix = config_text(links->host->config, "mqtt", "prefix");
    struct span rest;

    if (topic.len == 0)
        return false;
    if (is_topic(topic) && topic_is_below(topic, prefix, level, &rest) && rest.len > 0 &&
        (own.len == 0 || is_at_or_below(rest, own)))
        return true;
    pthread_mutex_lock(&links->mailbox.lock);
    links->mailbox.unanswered++;
    pthread_mutex_unlock(&links->mailbox.lock);
    return false;
}

/* Levels as they may be shown to people: to `to`, what is longer cut off, behind a whole character. */
static struct span
readable(struct span levels, char to[LEVELS_BYTES_MAX])
{
    size_t len = levels.len;

    if (len > LEVELS_BYTES_MAX) {
        len = LEVELS_BYTES_MAX;
        while (len > 0 && ((unsigned char)levels.at[len] & 0xc0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)levels.at[i];
        to[i] = (char)(byte < ' ' || byte == 0x7f ? '?' : byte);
    }
    return span_at(to, len);
}

static void
keep_ask(struct links *links, const struct wire_message *message)
{
    if (!may_answer(links, message->response_topic, TOPIC_ANSWER_LEVEL, (struct span){0}))
        return;
    uint64_t position = links->inbox != NULL ? inbox_end(links->inbox) : 0;
    pthread_mutex_lock(&links->mailbox.lock);
    if (links->mailbox.ask_count < ASKS_MAX) {
        struct ask *ask = &links->mailbox.asks[links->mailbox.ask_count++];
        *ask = (struct ask){.topic = strndup(message->response_topic.at, message->response_topic.len)};
        if (ask->topic == NULL)
            log_fatal("out of memory");
        ask->inbox_position = position;
        buffer_add_span(&ask->correlation, message->correlation);
    }
    pthread_mutex_unlock(&links->mailbox.lock);
}

static void
keep_report(struct links *links, struct span name, const struct wire_message *message)
{
    struct report report = {.heard = true};
    struct mailbox *mailbox = &links->mailbox;

    if (span_is(name, TOPIC_SYNC_LEVEL)) {
        pthread_mutex_lock(&links->mailbox.lock);
        mailbox->synced = true;
        mailbox->recalled_come = mailbox->recalled_come || span_is(message->payload, SYNC_RECALL);
        pthread_mutex_unlock(&links->mailbox.lock);
        return;
    }
    const bool kept = span_is(name, TOPIC_KEPT_LEVEL);
    const int from = publisher_find(&links->output_publisher, name); /* the names don't change */
    if ((!kept && from < 0) || link_read_report(message->payload, &report.said.position, &report.rewind) != 0)
        return;
    lives_read(message->payload, true, &report.said.earlier);
    report.said.anew = report.said.position.epoch == 0 && link_reads_anew(message->payload);
    report.said.kept = message->retained;
    pthread_mutex_lock(&links->mailbox.lock);
    if (kept) {
        mailbox->kept_heard = true;
        mailbox->kept = report;
    } else {
        /* However many come, the newest holds; but a question is not overwritten by one who says the same without it. */
        const struct report *before = &mailbox->reports[from];
        const bool same = before->heard && before->said.position.epoch == report.said.position.epoch &&
                          before->said.position.applied == report.said.position.applied;
        report.rewind = report.rewind || (same && before->rewind);
        mailbox->reports[from] = report;
    }
    pthread_mutex_unlock(&links->mailbox.lock);
}

/* A producer says where its oldest message stands: to one who knows nothing of its store, or whom it can't serve. */
static void
keep_oldest(struct links *links, unsigned input, const struct wire_message *message)
{
    struct link *link = &links->links[input];
    const char *from = links->stream->inputs[input].from->name;
    struct link_told told = {0};

    if (link_read_report(message->payload, &told.position, &told.rewind) != 0)
        return;
    link_read_told(message->payload, &told);
    pthread_mutex_lock(&links->mailbox.lock);
    const bool stranger = link->queued.epoch == 0;
    const bool news = link_adopt(link, &told);
    const uint64_t lost = link->lost, applied = link->queued.applied;
    pthread_mutex_unlock(&links->mailbox.lock);
    if (news && lost > 0)
        log_error("%s: has applied message %llu of %s, which keeps only what follows %llu: this state is an older one. "
                  "%s",
                  links->stream->name, (unsigned long long)applied, from, (unsigned long long)lost,
                  links->stream->inputs[input].from->kind == STREAM_TABLE
                      ? "Nothing is decided by its older rows until gait status --acknowledge has them all sent again"
                      : "Nothing more is taken from there: bring back the newest state, or remove it and load again");
    else if (news && applied > 0 && (stranger || told.earlier.count == 0))
        log_warning("%s: begins behind message %llu of %s: what was before is gone", links->stream->name,
                    (unsigned long long)applied, from);
    else if (news && !stranger)
        log_warning("%s: goes on behind message %llu of %s, whose state is an older copy of itself", links->stream->name,
                    (unsigned long long)applied, from);
}

static bool
is_row_name(struct span row)
{
    if (row.len == 0 || row.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < row.len; i++) {
        const char c = row.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* Whether topic is one of what gait sends to whoever reports there: of a table with a row's name behind it. What is not
 * comes from a stranger, and no operator has to know what to do with it. */
static bool
is_feed(struct span topic, const char *report_to, enum stream_kind kind, struct span *row)
{
    *row = (struct span){0};
    if (kind == STREAM_LOG)
        return topic_is(topic, report_to, TOPIC_FEED_LEVEL);
    return topic_is_below(topic, report_to, TOPIC_FEED_LEVEL, row) && is_row_name(*row);
}

/* What a producer sends to this process. */
static void
keep_link_message(struct links *links, const struct wire_message *message)
{
    struct span row;

    for (unsigned i = 0; i < links->stream->input_count; i++) {
        const char *report_to = links->topics.report_to[i];
        if (report_to == NULL)
            continue;
        if (topic_is(message->topic, report_to, TOPIC_OLDEST_LEVEL)) {
            keep_oldest(links, i, message);
        } else if (is_feed(message->topic, report_to, links->stream->inputs[i].from->kind, &row)) {
            pthread_mutex_lock(&links->mailbox.lock);
            const bool twofold = link_receive(&links->links[i], message, row, links->host->steady_ms());
            pthread_mutex_unlock(&links->mailbox.lock);
            if (twofold)
                log_error("two different messages came under number %llu of %s, so somebody else publishes to %s/"
                          TOPIC_FEED_LEVEL ": "
                          "nothing more is taken from there. See who may (the broker's ACL), and whether what came is to be "
                          "trusted; then start this process anew", (unsigned long long)message->sequence,
                          links->stream->inputs[i].from->name, report_to);
        }
    }
}

static void
message_on_links(void *context, const struct wire_message *message)
{
    struct links *links = context;
    struct span level;

    if (span_is(message->topic, links->topics.ask)) {
        keep_ask(links, message);
    } else if (span_is(message->topic, links->topics.acknowledge)) {
        pthread_mutex_lock(&links->mailbox.lock);
        links->mailbox.acknowledged = links->mailbox.acknowledged || !message->retained;
        pthread_mutex_unlock(&links->mailbox.lock);
    } else if (topic_matches(message->topic, links->topics.reports, &level)) {
        keep_report(links, level, message);
    } else if (links->topics.rows != NULL && topic_matches(message->topic, links->topics.rows, &level)) {
        recall_keep(links, level, message);
    } else {
        keep_link_message(links, message);
    }
    mailbox_wake(&links->mailbox);
}

static void
message_on_landing(void *context, const struct wire_message *message)
{
    struct links *links = context;
    char levels[LEVELS_BYTES_MAX];
    struct span level;

    if (span_is(message->topic, links->topics.ask)) {
        keep_ask(links, message);
        mailbox_wake(&links->mailbox);
        return;
    }
    for (unsigned i = 0; i < links->stream->input_count; i++) {
        if (links->topics.landing[i] == NULL || !topic_matches(message->topic, links->topics.landing[i], &level))
            continue;
        pthread_mutex_lock(&links->mailbox.lock);
        const bool own = probe_came(links, i, message);
        pthread_mutex_unlock(&links->mailbox.lock);
        if (own)
            break;
        struct inbox_entry entry = {.input = i, .levels = readable(level, levels), .payload = message->payload};
        if (entry.payload.len > links->payload_bytes_max) /* enough of it to be refused as too large */
            entry.payload.len = links->payload_bytes_max + 1;
        if (may_answer(links, message->response_topic, TOPIC_RECEIPT_LEVEL, level)) {
            entry.response_topic = message->response_topic;
            entry.correlation = message->correlation;
        }
        if (inbox_append(links->inbox, &entry) != 0) {
            /* The spare file was to prevent this. Returning would acknowledge what is not kept, and waiting would stop
             * every connection of this process: the only honest way out is the one that crashes take too. */
            log_error("inbox: can't keep a message: %s; ending without acknowledging it", strerror(errno));
            _exit(1);
        }
    }
    mailbox_wake(&links->mailbox);
}

static void
up_on_links(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct links *links = context;

    (void)session_kept;
    /* What was heard of an earlier connection says nothing of what this broker remembers. */
    pthread_mutex_lock(&links->mailbox.lock);
    links->mailbox.synced = links->mailbox.kept_heard = false;
    links->mailbox.delivered_output = links->mailbox.delivered_rejected = 0;
    links->mailbox.refused_output = links->mailbox.refused_rejected = 0;
    links->mailbox.refill_delivered = links->mailbox.refill_refused = false;
    pthread_mutex_unlock(&links->mailbox.lock);
    port_hear_up(&links->link_port, limits);
    mailbox_wake(&links->mailbox);
}

static void
up_on_landing(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct links *links = context;

    (void)session_kept;
    port_hear_up(&links->landing_port, limits);
    mailbox_wake(&links->mailbox);
}

static void
subscribed_on_links(void *context, bool ok, const char *reason)
{
    struct links *links = context;

    port_hear_subscribed(&links->link_port, ok, reason);
    mailbox_wake(&links->mailbox);
}

static void
subscribed_on_landing(void *context, bool ok, const char *reason)
{
    struct links *links = context;

    port_hear_subscribed(&links->landing_port, ok, reason);
    mailbox_wake(&links->mailbox);
}

static void
down_on_links(void *context, const char *reason)
{
    struct links *links = context;

    port_hear_down(&links->link_port, reason);
    mailbox_wake(&links->mailbox);
}

static void
down_on_landing(void *context, const char *reason)
{
    struct links *links = context;

    port_hear_down(&links->landing_port, reason);
    mailbox_wake(&links->mailbox);
}

static void
delivered_on_links(void *context, uint64_t token)
{
    struct links *links = context;
    struct mailbox *mailbox = &links->mailbox;

    pthread_mutex_lock(&links->mailbox.lock);
    if (token == TOKEN_REFILL_LAST)
        mailbox->refill_delivered = true;
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_PROBE)
        probe_answered(links, token, true);
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_OUTPUT && token > mailbox->delivered_output)
        mailbox->delivered_output = token;
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_REJECTED && token > mailbox->delivered_rejected)
        mailbox->delivered_rejected = token;
    pthread_mutex_unlock(&links->mailbox.lock);
    mailbox_wake(&links->mailbox);
}

static void
refused_on_links(void *context, uint64_t token, struct span topic, const char *reason)
{
    struct links *links = context;
    struct mailbox *mailbox = &links->mailbox;
    const uint64_t kind = token & ~PUBLISHER_TOKEN_MASK;

    (void)topic; /* the reason says it */
    if (kind == TOKEN_PROBE) {
        pthread_mutex_lock(&links->mailbox.lock);
        probe_answered(links, token, false);
        pthread_mutex_unlock(&links->mailbox.lock);
        mailbox_wake(&links->mailbox);
        return;
    }
    pthread_mutex_lock(&links->mailbox.lock);
    if (kind == TOKEN_REFILL)
        mailbox->refill_refused = true;
    else if (kind == TOKEN_OUTPUT && mailbox->refused_output == 0)
        mailbox->refused_output = token;
    else if (kind == TOKEN_REJECTED && mailbox->refused_rejected == 0)
        mailbox->refused_rejected = token;
    snprintf(mailbox->refused.text, sizeof mailbox->refused.text, "%s", reason);
    mailbox->refused.until_ms = links->host->steady_ms() + REFUSED_SHOWN_MS;
    pthread_mutex_unlock(&links->mailbox.lock);
    mailbox_wake(&links->mailbox);
}

static void
delivered_on_landing(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

struct wire_events
arrive_on_links(struct links *links)
{
    return (struct wire_events){links,          up_on_links,        subscribed_on_links, down_on_links,
                                message_on_links, delivered_on_links, refused_on_links};
}

struct wire_events
arrive_on_landing(struct links *links)
{
    return (struct wire_events){links,            up_on_landing,        subscribed_on_landing, down_on_landing,
                                message_on_landing, delivered_on_landing, NULL};
}
