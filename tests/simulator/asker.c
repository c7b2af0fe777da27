#include "asker.h"

#include <stdlib.h>
#include <string.h>

#include "streams/catalog.h"

static void
message(void *context, const struct wire_message *message)
{
    struct asker *asker = context;
    struct answer answer;

    if (answer_decode(message->payload, &answer) != 0)
        abort();
    asker->answers[number_of_stream(catalog_find(answer.process))] = answer;
}

static void
up(void *context, bool session_kept, const struct wire_limits *limits)
{
    (void)context;
    (void)session_kept;
    (void)limits;
}

static void
subscribed(void *context, bool ok, const char *reason)
{
    (void)context;
    (void)ok;
    (void)reason;
}

static void
down(void *context, const char *reason)
{
    (void)context;
    (void)reason;
}

static void
delivered(void *context, uint64_t token)
{
    (void)context;
    (void)token;
}

struct wire_events
asker_events(struct asker *asker)
{
    return (struct wire_events){asker, up, subscribed, down, message, delivered, NULL};
}

void
asker_ask(struct asker *asker)
{
    const struct wire_message question = {
        .topic = span_of("gait/ask"), .response_topic = span_of(ASKER_ANSWERS), .delivery = WIRE_AT_LEAST_ONCE};

    memset(asker->answers, 0, sizeof asker->answers);
    asker->wire->calls->publish(asker->wire, &question, 0);
}

bool
asker_has_all(const struct asker *asker)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (asker->answers[i].process[0] == '\0')
            return false;
    }
    return true;
}

bool
asker_hears_rest(const struct asker *asker)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct answer *answer = &asker->answers[i];
        if (answer->process[0] == '\0' || answer->inbox_bytes != 0 || answer->due != 0 || answer->unacknowledged)
            return false;
        for (unsigned j = 0; j < catalog_streams[i]->input_count; j++) {
            const struct stream *from = catalog_streams[i]->inputs[j].from;
            if (from != NULL && answer_behind(&answer->inputs[j], &asker->answers[number_of_stream(from)]) != 0)
                return false;
        }
    }
    return true;
}
