#include "common/answer.h"

#include <stdio.h>
#include <string.h>

#include "record/json.h"
#include "streams/catalog.h"

#define TEXT_BYTES_MAX (256 * 1024) /* a document has a few KiB; what is larger is none */

/* Our own documents are flat and their names short; what is beyond this is not one of them. */
static const struct json_limits limits = {.depth_max = 8, .string_bytes_max = 1024};

const char *const answer_counter_names[ANSWER_COUNTERS] = {
    "taken", "passed", "waiting", "refused", "duplicate", "stale", "invalid",
};

/* What json_each's calls fill in, and by what. */
struct reading {
    struct answer *answer;
    const struct stream *stream;
    unsigned reason; /* whose refusals are read */
};

static void
copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    for (; *to != '\0'; to++) {
        if (*to < ' ' || *to > '~')
            *to = '?';
    }
}

/* A number that is never below zero: what is, is malformed. So the difference of two is a number. */
static int64_t
count_at(const struct json *json, const char *path)
{
    const int64_t count = json_int_at(json, path, 0);

    return count > 0 ? count : 0;
}

/* Whether the document speaks of the input that is declared so. */
static bool
is_input(const struct json *value, const struct stream_input *declared)
{
    const char *from = declared->from != NULL ? declared->from->name : "landing";

    return strcmp(json_text_at(value, "name", ""), declared->name) == 0 &&
           strcmp(json_text_at(value, "from", ""), from) == 0;
}

static void
read_input(void *context, const char *name, const struct json *value)
{
    struct reading *reading = context;

    (void)name;
    for (unsigned i = 0; i < reading->stream->input_count; i++) {
        if (!is_input(value, &reading->stream->inputs[i]))
            continue;
        struct answer_input *input = &reading->answer->inputs[i];
        for (unsigned j = 0; j < ANSWER_COUNTERS; j++)
            input->counters[j] = count_at(value, answer_counter_names[j]);
        copy_text(input->epoch, sizeof input->epoch, json_text_at(value, "epoch", ""));
        input->applied = count_at(value, "applied");
        input->stands = count_at(value, "stands") != 0;
    }
}

static void
read_consumer(void *context, const char *name, const struct json *value)
{
    struct answer *answer = ((struct reading *)context)->answer;

    (void)name;
    if (answer->consumer_count == CONSUMERS_MAX)
        return;
    struct answer_consumer *consumer = &answer->consumers[answer->consumer_count++];
    copy_text(consumer->name, sizeof consumer->name, json_text_at(value, "name", ""));
    consumer->applied = count_at(value, "applied");
}

/* The reason called name; REASON_COUNT if there is none. */
static unsigned
reason_called(const char *name)
{
    unsigned i = 0;

    while (i < REASON_COUNT && (name == NULL || strcmp(reason_word(i), name) != 0))
        i++;
    return i;
}

static void
read_reason(void *context, const char *name, const struct json *value)
{
    struct answer *answer = ((struct reading *)context)->answer;
    unsigned reason = reason_called(name);

    if (reason < REASON_COUNT)
        answer->reasons[reason] = json_int(value, 0);
}

static void
read_refusal(void *context, const char *name, const struct json *value)
{
    struct reading *reading = context;
    struct answer *answer = reading->answer;

    (void)name;
    if (answer->recent_count[reading->reason] == ANSWER_RECENT_MAX)
        return;
    struct answer_refusal *refusal = &answer->recent[reading->reason][answer->recent_count[reading->reason]++];
    refusal->time_ms = count_at(value, "time");
    copy_text(refusal->field, sizeof refusal->field, json_text_at(value, "field", ""));
    copy_text(refusal->topic, sizeof refusal->topic, json_text_at(value, "topic", ""));
}

static void
read_recent(void *context, const char *name, const struct json *value)
{
    struct reading *reading = context;

    reading->reason = reason_called(name);
    if (reading->reason < REASON_COUNT)
        json_each(value, "", read_refusal, reading);
}

static void
read_gauge(void *context, const char *name, const struct json *value)
{
    struct answer *answer = ((struct reading *)context)->answer;

    if (name == NULL || answer->gauge_count == OPERATOR_GAUGES_MAX)
        return;
    struct answer_gauge *gauge = &answer->gauges[answer->gauge_count++];
    copy_text(gauge->name, sizeof gauge->name, name);
    gauge->value = json_int(value, 0);
}

int
answer_decode(struct span text, struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    struct json *json = text.len <= TEXT_BYTES_MAX ? json_parse(text, &limits) : NULL;
    if (json == NULL)
        return -1;
    copy_text(answer->process, sizeof answer->process, json_text_at(json, "process", ""));
    struct reading reading = {answer, catalog_find(answer->process), REASON_NONE};
    if (reading.stream != NULL) {
        copy_text(answer->state, sizeof answer->state, json_text_at(json, "state", ""));
        copy_text(answer->why, sizeof answer->why, json_text_at(json, "why", ""));
        answer->pid = count_at(json, "pid");
        copy_text(answer->epoch, sizeof answer->epoch, json_text_at(json, "output.epoch", ""));
        answer->last = count_at(json, "output.last");
        answer->untold = count_at(json, "untold");
        answer->inbox_bytes = count_at(json, "inbox_bytes");
        answer->due = count_at(json, "due");
        answer->unanswered = count_at(json, "unanswered");
        answer->unacknowledged =
            count_at(json, "back_in_time") != 0 || count_at(json, "inbox_lost") != 0;
        json_each(json, "inputs", read_input, &reading);
        json_each(json, "output.consumers", read_consumer, &reading);
        json_each(json, "reasons", read_reason, &reading);
        json_each(json, "recent", read_recent, &reading);
        json_each(json, "gauges", read_gauge, &reading);
    }
    json_free(json);
    return reading.stream != NULL ? 0 : -1;
}

bool
answer_is_stopped(const struct answer *answer)
{
    return strcmp(answer->state, "stopped") == 0;
}

bool
answer_balances(const struct answer_input *input)
{
    uint64_t accounted = 0; /* unsigned: what comes from outside may overflow */

    for (unsigned i = ANSWER_TAKEN + 1; i < ANSWER_COUNTERS; i++)
        accounted += (uint64_t)input->counters[i];
    return accounted == (uint64_t)input->counters[ANSWER_TAKEN];
}

bool
answer_has_consumer(const struct answer *answer, const char *name)
{
    for (unsigned i = 0; i < answer->consumer_count; i++) {
        if (strcmp(answer->consumers[i].name, name) == 0)
            return true;
    }
    return false;
}

int64_t
answer_behind(const struct answer_input *input, const struct answer *producer)
{
    if (strcmp(input->epoch, producer->epoch) != 0)
        return producer->last;
    return input->applied < producer->last ? producer->last - input->applied : 0;
}
