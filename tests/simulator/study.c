#include "study.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const filters[] = {STUDY_LINK "/feed", STUDY_LINK "/oldest"};

static void
up(void *context, bool session_kept, const struct wire_limits *limits)
{
    struct study *study = context;

    (void)session_kept;
    (void)limits;
    study->up = true;
}

static void
subscribed(void *context, bool ok, const char *reason)
{
    struct study *study = context;

    (void)reason;
    study->subscribed = ok;
}

static void
down(void *context, const char *reason)
{
    struct study *study = context;

    (void)reason;
    study->down = true;
}

static void
delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

static void
take_records(struct study *study, struct span payload)
{
    while (payload.len > 0) {
        const char *end = memchr(payload.at, '\n', payload.len);
        const size_t len = end != NULL ? (size_t)(end - payload.at) : payload.len;
        lines_add(&study->records, "%.*s", (int)len, payload.at);
        payload = end != NULL ? span_at(end + 1, payload.len - len - 1) : (struct span){0};
    }
}

/* Gather the records of the next message, of which this is all or a part. 1 it is whole, 0 not yet, −1 a part is missing. */
static int
gather(struct study *study, const struct wire_message *message)
{
    if (message->parts == 0 || message->part == 1)
        buffer_clear(&study->whole);
    else if (message->part != study->gathering.part + 1 || message->sequence != study->gathering.sequence ||
             message->epoch != study->gathering.epoch)
        return -1;
    else
        buffer_add_byte(&study->whole, '\n');
    study->gathering.epoch = message->epoch;
    study->gathering.sequence = message->sequence;
    study->gathering.part = message->part;
    buffer_add_span(&study->whole, message->payload);
    return message->parts == 0 || message->part == message->parts;
}

static void
take(struct study *study, const struct wire_message *message)
{
    const uint64_t applied = message->epoch == study->epoch ? study->applied : 0;
    const int whole = message->sequence == applied + 1 ? gather(study, message) : -1;

    study->report = true;
    if (whole == 1) {
        study->epoch = message->epoch;
        study->applied = message->sequence;
        take_records(study, buffer_span(&study->whole));
    } else if (whole < 0 && message->sequence > applied) {
        study->rewind = true;
    }
}

static void
begin_at(struct study *study, struct span text)
{
    uint64_t epoch, applied;

    if (sscanf(text.at, "{\"epoch\":\"%" SCNx64 "\",\"applied\":%" SCNu64, &epoch, &applied) != 2)
        abort();
    if (epoch == study->epoch) {
        study->lost = study->lost || applied > study->applied;
        return;
    }
    study->epoch = epoch;
    study->applied = applied;
    study->report = study->rewind = true;
}

static void
message(void *context, const struct wire_message *message)
{
    struct study *study = context;

    if (study->state != STUDY_READY)
        return;
    if (span_is(message->topic, filters[0]))
        take(study, message);
    else
        begin_at(study, message->payload);
}

struct wire_events
study_events(struct study *study)
{
    return (struct wire_events){study, up, subscribed, down, message, delivered, NULL};
}

static void
send_report(struct study *study)
{
    char text[128];

    snprintf(text, sizeof text, "{\"epoch\":\"%016" PRIx64 "\",\"applied\":%" PRIu64 ",\"rewind\":%d}", study->epoch,
             study->applied, study->rewind);
    const struct wire_message report = {
        .topic = span_of(STUDY_LINK), .payload = span_of(text), .retained = true, .delivery = WIRE_AT_LEAST_ONCE};
    if (study->wire->calls->publish(study->wire, &report, 0) == 0)
        study->report = study->rewind = false;
}

static void
go_away(struct study *study)
{
    if (study->state != STUDY_DOWN)
        study->wire->calls->disconnect(study->wire, 0);
    study->state = STUDY_DOWN;
    study->up = study->subscribed = study->down = false;
}

void
study_step(struct study *study)
{
    if (study->wire == NULL)
        return;
    if (study->down || study->away)
        go_away(study);
    if (study->away)
        return;
    if (study->state == STUDY_DOWN && study->wire->calls->connect(study->wire) == 0)
        study->state = STUDY_CONNECTING;
    if (study->state == STUDY_CONNECTING && study->up &&
        study->wire->calls->subscribe(study->wire, filters, 2, 0, WIRE_AT_MOST_ONCE) == 0)
        study->state = STUDY_SUBSCRIBING;
    if (study->state == STUDY_SUBSCRIBING && study->subscribed) {
        study->state = STUDY_READY;
        study->report = study->rewind = true;
    }
    if (study->state == STUDY_READY && study->report)
        send_report(study);
}

void
study_free(struct study *study)
{
    if (study->wire != NULL)
        study->wire->calls->free(study->wire);
    lines_free(&study->records);
    buffer_free(&study->whole);
}
