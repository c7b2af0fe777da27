/*
 * newcomer: a registered consumer that has no state yet, of a producer whose first messages are gone: one that was
 * registered later, or whose state folder was removed. It is told where the oldest message stands
 * (<prefix>/link/<producer>/<consumer>/oldest, a report like the others) and begins there. Of a table it needs the rows
 * too: they are appended to the outbox once more beforehand, which changes nothing for those who have them, and it begins
 * with these. What became of some rows earlier, or between two of them, it must not hear without the others: who knows
 * one owner of a trainer alone, and then hears that he has withdrawn, refuses the trainer's readings. So nothing else is
 * decided until all rows are appended.
 *
 * If this process dies on the way the consumer reports again, and all begins anew.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "links/links_state.h"
#include "wire/topic.h"

#define CHUNK_ROWS 200

/* Tell it to begin behind this message, and where all rows have come, if it begins with these; or, if it knows this store,
 * that it has what is before; or, with lost, that this is not so, and nothing of that is left. */
static void
greet(struct links *links, const struct publisher_consumer *consumer, uint64_t behind, bool lost, bool has_rows)
{
    const char *prefix = config_text(links->host->config, "mqtt", "prefix");
    char *topic = topic_name(TOPIC_OLDEST, prefix, links->stream->name, consumer->name);
    struct buffer text = {0};
    const struct link_position oldest = {links->epoch, behind};
    struct wire *wire = links->link_port.wire;

    link_write_report(oldest, lost, &text);
    lives_write(&links->earlier, false, &text);
    if (has_rows) {
        text.len--; /* the brace */
        buffer_printf(&text, ",\"until\":%" PRIu64 "}", links->output.last.sequence);
    }
    const struct wire_message message = {
        .topic = span_of(topic), .payload = buffer_span(&text), .delivery = WIRE_AT_LEAST_ONCE};
    wire->calls->publish(wire, &message, 0);
    free(topic);
    buffer_free(&text);
}

void
newcomer_look(struct links *links)
{
    struct publisher *publisher = &links->output_publisher;
    const bool table = links->stream->operator->rows != NULL;

    if (publisher->older.seen)
        return; /* nobody is told of a life that is about to end */
    /* Nobody is given rows that are known to be old. And rows take new numbers: those may be of messages that somebody has
     * who was not heard yet, and would hide it. */
    const bool may_begin = links->heard && !links->recall.due && !links_awaits_rows(links);
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_consumer *consumer = &publisher->consumers[i];
        if (publisher_tells(consumer, links->host->steady_ms()))
            greet(links, consumer, consumer->feed.applied, consumer->behind, false);
        if (!consumer->newcomer || !may_begin)
            continue;
        if (!table || consumer->has_rows || links->output.trimmed.sequence == 0) {
            const uint64_t behind = consumer->has_rows ? links->newcomers.behind : links->output.trimmed.sequence;
            greet(links, consumer, behind, false, table);
            consumer->newcomer = false; /* likewise, which it does until it has heard */
        } else if (!links->newcomers.active) {
            log_info("%s begins without state: appending all rows for it", consumer->name);
            links->newcomers.active = true;
            buffer_clear(&links->newcomers.after);
        }
    }
}

static bool
append_row(void *context, struct span row, struct span body)
{
    struct links *links = context;
    struct newcomers *newcomers = &links->newcomers;

    /* Copies: appending changes the store that row and body point into. */
    buffer_clear(&newcomers->row);
    buffer_add_span(&newcomers->row, row);
    buffer_clear(&newcomers->payload);
    buffer_add_byte(&newcomers->payload, '{');
    buffer_add_span(&newcomers->payload, body);
    buffer_add_byte(&newcomers->payload, '}');
    newcomers->failed =
        outbox_append(&links->output, buffer_span(&newcomers->row), buffer_span(&newcomers->payload)) != 0;
    return !newcomers->failed && ++newcomers->appended < CHUNK_ROWS;
}

int
newcomer_work(struct links *links)
{
    struct newcomers *newcomers = &links->newcomers;

    newcomers->appended = 0;
    newcomers->failed = newcomers->finished = false;
    if (!newcomers->active)
        return 0;
    const struct span after = buffer_span(&newcomers->after);
    if (after.len == 0)
        newcomers->behind = links->output.last.sequence;
    if (batch_rows(process_batch(links->host->process), after, append_row, links) != 0 || newcomers->failed)
        return -1;
    newcomers->finished = newcomers->appended < CHUNK_ROWS;
    return (int)newcomers->appended + 1;
}

void
newcomer_committed(struct links *links)
{
    struct newcomers *newcomers = &links->newcomers;
    struct publisher *publisher = &links->output_publisher;

    if (!newcomers->active)
        return;
    log_assert(!newcomers->failed);
    if (newcomers->appended > 0) {
        buffer_clear(&newcomers->after);
        buffer_add_span(&newcomers->after, buffer_span(&newcomers->row));
    }
    if (!newcomers->finished)
        return;
    newcomers->active = false;
    for (unsigned i = 0; i < publisher->consumer_count; i++)
        publisher->consumers[i].has_rows = publisher->consumers[i].has_rows || publisher->consumers[i].newcomer;
}

void
newcomer_free(struct links *links)
{
    buffer_free(&links->newcomers.after);
    buffer_free(&links->newcomers.row);
    buffer_free(&links->newcomers.payload);
}
