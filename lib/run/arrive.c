/*
 * arrive: what the wires' threads do with what comes in. They leave it where the loop finds it, and return.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "run/process_state.h"

/* The rest of topic behind prefix, if it begins with that. */
static bool
begins_with(struct span topic, const char *prefix, struct span *rest)
{
    size_t len = strlen(prefix);

    if (topic.len < len || memcmp(topic.at, prefix, len) != 0)
        return false;
    *rest = span_at(topic.at + len, topic.len - len);
    return true;
}

/* Whether topic matches filter, whose only wildcards are a last level + or #. *level is what that stands for: of #, which
 * takes an empty level too, maybe nothing. */
static bool
matches(struct span topic, const char *filter, struct span *level)
{
    size_t len = strlen(filter);

    *level = (struct span){0};
    if (len < 2 || filter[len - 2] != '/' || strchr("+#", filter[len - 1]) == NULL)
        return span_is(topic, filter);
    if (filter[len - 1] == '#' && span_equal(topic, span_at(filter, len - 2)))
        return true;
    if (topic.len < len - 1 || memcmp(topic.at, filter, len - 1) != 0)
        return false;
    *level = span_at(topic.at + len - 1, topic.len - (len - 1));
    return filter[len - 1] == '#' || (level->len > 0 && memchr(level->at, '/', level->len) == NULL);
}

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
 * only where answers of this kind ("/receipt/", "/answer/") are, and of one who publishes to a level of its own, which the
 * broker may give to nobody else, only to that level there. Elsewhere the broker may not let us publish at all, and some
 * cut the connection of whoever tries. What is not answered is counted.
 */
static bool
may_answer(struct process *process, struct span topic, const char *kind, struct span own)
{
    const char *prefix = config_text(process->options.config, "mqtt", "prefix");
    struct span rest;

    if (topic.len == 0)
        return false;
    if (is_topic(topic) && begins_with(topic, prefix, &rest) && begins_with(rest, kind, &rest) && rest.len > 0 &&
        (own.len == 0 || is_at_or_below(rest, own)))
        return true;
    pthread_mutex_lock(&process->lock);
    process->unanswered++;
    pthread_mutex_unlock(&process->lock);
    return false;
}

/* Levels as they may be shown to people: to `to`, what is longer cut off, behind a whole character. */
static struct span
readable(struct span levels, char to[INBOX_LEVELS_BYTES_MAX])
{
    size_t len = levels.len;

    if (len > INBOX_LEVELS_BYTES_MAX) {
        len = INBOX_LEVELS_BYTES_MAX;
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
keep_ask(struct process *process, const struct wire_message *message)
{
    if (!may_answer(process, message->response_topic, "/answer/", (struct span){0}))
        return;
    uint64_t position = process->inbox != NULL ? inbox_end(process->inbox) : 0;
    pthread_mutex_lock(&process->lock);
    if (process->arrived.ask_count < ASKS_MAX) {
        struct ask *ask = &process->arrived.asks[process->arrived.ask_count++];
        *ask = (struct ask){.topic = strndup(message->response_topic.at, message->response_topic.len)};
        if (ask->topic == NULL)
            log_fatal("out of memory");
        ask->inbox_position = position;
        buffer_add_span(&ask->correlation, message->correlation);
    }
    pthread_mutex_unlock(&process->lock);
}

static void
keep_report(struct process *process, struct span name, const struct wire_message *message)
{
    struct report report = {.heard = true};
    struct arrived *arrived = &process->arrived;

    if (span_is(name, ".sync")) {
        pthread_mutex_lock(&process->lock);
        arrived->synced = true;
        arrived->recalled_come = arrived->recalled_come || span_is(message->payload, SYNC_RECALL);
        pthread_mutex_unlock(&process->lock);
        return;
    }
    const bool kept = span_is(name, ".kept");
    const int from = publisher_find(&process->output_publisher, name); /* the names don't change */
    if ((!kept && from < 0) || link_read_report(message->payload, &report.said.position, &report.rewind) != 0)
        return;
    lives_read(message->payload, true, &report.said.earlier);
    report.said.anew = report.said.position.epoch == 0 && link_reads_anew(message->payload);
    report.said.kept = message->retained;
    pthread_mutex_lock(&process->lock);
    if (kept) {
        arrived->kept_heard = true;
        arrived->kept = report;
    } else {
        /* However many come, the newest holds; but a question is not overwritten by one who says the same without it. */
        const struct report *before = &arrived->reports[from];
        const bool same = before->heard && before->said.position.epoch == report.said.position.epoch &&
                          before->said.position.applied == report.said.position.applied;
        report.rewind = report.rewind || (same && before->rewind);
        arrived->reports[from] = report;
    }
    pthread_mutex_unlock(&process->lock);
}

/* A producer says where its oldest message stands: to one who knows nothing of its store, or whom it can't serve. */
static void
keep_oldest(struct process *process, unsigned input, const struct wire_message *message)
{
    struct link *link = &process->links[input];
    const char *from = process->stream->inputs[input].from->name;
    struct link_told told = {0};

    if (link_read_report(message->payload, &told.position, &told.rewind) != 0)
        return;
    link_read_told(message->payload, &told);
    pthread_mutex_lock(&process->lock);
    const bool stranger = link->queued.epoch == 0;
    const bool news = link_adopt(link, &told);
    const uint64_t lost = link->lost, applied = link->queued.applied;
    pthread_mutex_unlock(&process->lock);
    if (news && lost > 0)
        log_error("%s: has applied message %llu of %s, which keeps only what follows %llu: this state is an older one. "
                  "%s",
                  process->stream->name, (unsigned long long)applied, from, (unsigned long long)lost,
                  process->stream->inputs[input].from->kind == STREAM_TABLE
                      ? "Nothing is decided by its older rows until gait status --acknowledge has them all sent again"
                      : "Nothing more is taken from there: bring back the newest state, or remove it and load again");
    else if (news && applied > 0 && (stranger || told.earlier.count == 0))
        log_warning("%s: begins behind message %llu of %s: what was before is gone", process->stream->name,
                    (unsigned long long)applied, from);
    else if (news && !stranger)
        log_warning("%s: goes on behind message %llu of %s, whose state is an older copy of itself", process->stream->name,
                    (unsigned long long)applied, from);
}

/* Whether rest, behind the topic of a feed, is what gait puts there: of a table the level of a row's name, else nothing.
 * What is not comes from a stranger, and no operator has to know what to do with it. */
static bool
is_of_kind(enum stream_kind kind, struct span rest)
{
    if (kind == STREAM_LOG)
        return rest.len == 0;
    if (rest.len < 2 || rest.len > 1 + NAME_BYTES_MAX || rest.at[0] != '/')
        return false;
    for (size_t i = 1; i < rest.len; i++) {
        const char c = rest.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* What a producer sends to this process. */
static void
keep_link_message(struct process *process, const struct wire_message *message)
{
    struct span rest, row;

    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const char *report_to = process->topics.report_to[i];
        if (report_to == NULL || !begins_with(message->topic, report_to, &rest))
            continue;
        if (span_is(rest, "/oldest")) {
            keep_oldest(process, i, message);
        } else if (begins_with(rest, "/feed", &row) && is_of_kind(process->stream->inputs[i].from->kind, row)) {
            row = row.len == 0 ? row : span_at(row.at + 1, row.len - 1);
            pthread_mutex_lock(&process->lock);
            const bool twofold = link_receive(&process->links[i], message, row, process->options.steady_ms());
            pthread_mutex_unlock(&process->lock);
            if (twofold)
                log_error("two different messages came under number %llu of %s, so somebody else publishes to %s/feed: "
                          "nothing more is taken from there. See who may (the broker's ACL), and whether what came is to be "
                          "trusted; then start this process anew", (unsigned long long)message->sequence,
                          process->stream->inputs[i].from->name, report_to);
        }
    }
}

static void
message_on_links(void *context, const struct wire_message *message)
{
    struct process *process = context;
    struct span level;

    if (span_is(message->topic, process->topics.ask)) {
        keep_ask(process, message);
    } else if (span_is(message->topic, process->topics.acknowledge)) {
        pthread_mutex_lock(&process->lock);
        process->arrived.acknowledged = process->arrived.acknowledged || !message->retained;
        pthread_mutex_unlock(&process->lock);
    } else if (matches(message->topic, process->topics.reports, &level)) {
        keep_report(process, level, message);
    } else if (process->topics.rows != NULL && matches(message->topic, process->topics.rows, &level)) {
        recall_keep(process, level, message);
    } else {
        keep_link_message(process, message);
    }
    process_wake(process);
}

static void
message_on_landing(void *context, const struct wire_message *message)
{
    struct process *process = context;
    char levels[INBOX_LEVELS_BYTES_MAX];
    struct span level;

    if (span_is(message->topic, process->topics.ask)) {
        keep_ask(process, message);
        process_wake(process);
        return;
    }
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->topics.landing[i] == NULL || !matches(message->topic, process->topics.landing[i], &level))
            continue;
        pthread_mutex_lock(&process->lock);
        const bool own = probe_came(process, i, message);
        pthread_mutex_unlock(&process->lock);
        if (own)
            break;
        struct inbox_entry entry = {.input = i, .levels = readable(level, levels), .payload = message->payload};
        if (entry.payload.len > process->payload_bytes_max) /* enough of it to be refused as too large */
            entry.payload.len = process->payload_bytes_max + 1;
        if (may_answer(process, message->response_topic, "/receipt/", level)) {
            entry.response_topic = message->response_topic;
            entry.correlation = message->correlation;
        }
        if (inbox_append(process->inbox, &entry) != 0) {
            /* The spare file was to prevent this. Returning would acknowledge what is not kept, and waiting would stop
             * every connection of this process: the only honest way out is the one that crashes take too. */
            log_error("inbox: can't keep a message: %s; ending without acknowledging it", strerror(errno));
            _exit(1);
        }
    }
    process_wake(process);
}

static void
up_on_links(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct process *process = context;

    (void)session_kept;
    /* What was heard of an earlier connection says nothing of what this broker remembers. */
    pthread_mutex_lock(&process->lock);
    process->arrived.synced = process->arrived.kept_heard = false;
    process->arrived.delivered_output = process->arrived.delivered_rejected = 0;
    process->arrived.refused_output = process->arrived.refused_rejected = 0;
    process->arrived.refill_delivered = process->arrived.refill_refused = false;
    pthread_mutex_unlock(&process->lock);
    port_hear_up(&process->link_port, limits);
    process_wake(process);
}

static void
up_on_landing(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct process *process = context;

    (void)session_kept;
    port_hear_up(&process->landing_port, limits);
    process_wake(process);
}

static void
subscribed_on_links(void *context, bool ok, const char *reason)
{
    struct process *process = context;

    port_hear_subscribed(&process->link_port, ok, reason);
    process_wake(process);
}

static void
subscribed_on_landing(void *context, bool ok, const char *reason)
{
    struct process *process = context;

    port_hear_subscribed(&process->landing_port, ok, reason);
    process_wake(process);
}

static void
down_on_links(void *context, const char *reason)
{
    struct process *process = context;

    port_hear_down(&process->link_port, reason);
    process_wake(process);
}

static void
down_on_landing(void *context, const char *reason)
{
    struct process *process = context;

    port_hear_down(&process->landing_port, reason);
    process_wake(process);
}

static void
delivered_on_links(void *context, uint64_t token)
{
    struct process *process = context;
    struct arrived *arrived = &process->arrived;

    pthread_mutex_lock(&process->lock);
    if (token == TOKEN_REFILL_LAST)
        arrived->refill_delivered = true;
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_PROBE)
        probe_answered(process, token, true);
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_OUTPUT && token > arrived->delivered_output)
        arrived->delivered_output = token;
    else if ((token & ~PUBLISHER_TOKEN_MASK) == TOKEN_REJECTED && token > arrived->delivered_rejected)
        arrived->delivered_rejected = token;
    pthread_mutex_unlock(&process->lock);
    process_wake(process);
}

static void
refused_on_links(void *context, uint64_t token, struct span topic, const char *reason)
{
    struct process *process = context;
    struct arrived *arrived = &process->arrived;
    const uint64_t kind = token & ~PUBLISHER_TOKEN_MASK;

    (void)topic; /* the reason says it */
    if (kind == TOKEN_PROBE) {
        pthread_mutex_lock(&process->lock);
        probe_answered(process, token, false);
        pthread_mutex_unlock(&process->lock);
        process_wake(process);
        return;
    }
    pthread_mutex_lock(&process->lock);
    if (kind == TOKEN_REFILL)
        arrived->refill_refused = true;
    else if (kind == TOKEN_OUTPUT && arrived->refused_output == 0)
        arrived->refused_output = token;
    else if (kind == TOKEN_REJECTED && arrived->refused_rejected == 0)
        arrived->refused_rejected = token;
    snprintf(arrived->refusal.text, sizeof arrived->refusal.text, "%s", reason);
    arrived->refusal.until_ms = process->options.steady_ms() + REFUSAL_SHOWN_MS;
    pthread_mutex_unlock(&process->lock);
    process_wake(process);
}

static void
delivered_on_landing(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

struct wire_events
arrive_on_links(struct process *process)
{
    return (struct wire_events){process,          up_on_links,        subscribed_on_links, down_on_links,
                                message_on_links, delivered_on_links, refused_on_links};
}

struct wire_events
arrive_on_landing(struct process *process)
{
    return (struct wire_events){process,            up_on_landing,        subscribed_on_landing, down_on_landing,
                                message_on_landing, delivered_on_landing, NULL};
}
