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
#include "run/process_state.h"

#define CHUNK_ROWS 200

/* Tell it to begin behind this message, and where all rows have come, if it begins with these; or, if it knows this store,
 * that it has what is before; or, with lost, that this is not so, and nothing of that is left. */
static void
greet(struct process *process, const struct publisher_consumer *consumer, uint64_t behind, bool lost, bool has_rows)
{
    struct buffer topic = {0};
    struct buffer text = {0};
    const struct link_position oldest = {process->epoch, behind};
    struct wire *wire = process->link_port.wire;

    buffer_printf(&topic, "%s/link/%s/%s/oldest", config_text(process->options.config, "mqtt", "prefix"),
                  process->stream->name, consumer->name);
    link_write_report(oldest, lost, &text);
    lives_write(&process->earlier, false, &text);
    if (has_rows) {
        text.len--; /* the brace */
        buffer_printf(&text, ",\"until\":%" PRIu64 "}", process->output.last.sequence);
    }
    const struct wire_message message = {
        .topic = span_at(buffer_text(&topic), topic.len), .payload = buffer_span(&text), .delivery = WIRE_AT_LEAST_ONCE};
    wire->calls->publish(wire, &message, 0);
    buffer_free(&topic);
    buffer_free(&text);
}

void
newcomer_look(struct process *process)
{
    struct publisher *publisher = &process->output_publisher;
    const bool table = process->stream->operator->rows != NULL;

    if (publisher->older.seen)
        return; /* nobody is told of a life that is about to end */
    /* Nobody is given rows that are known to be old. And rows take new numbers: those may be of messages that somebody has
     * who was not heard yet, and would hide it. */
    const bool may_begin = process->heard && !process->recall.due && !batch_awaits_rows(process);
    for (unsigned i = 0; i < publisher->consumer_count; i++) {
        struct publisher_consumer *consumer = &publisher->consumers[i];
        if (publisher_tells(consumer, process->options.steady_ms()))
            greet(process, consumer, consumer->feed.applied, consumer->behind, false);
        if (!consumer->newcomer || !may_begin)
            continue;
        if (!table || consumer->has_rows || process->output.trimmed.sequence == 0) {
            const uint64_t behind = consumer->has_rows ? process->newcomers.behind : process->output.trimmed.sequence;
            greet(process, consumer, behind, false, table);
            consumer->newcomer = false; /* likewise, which it does until it has heard */
        } else if (!process->newcomers.active) {
            log_info("%s begins without state: appending all rows for it", consumer->name);
            process->newcomers.active = true;
            buffer_clear(&process->newcomers.after);
        }
    }
}

static bool
append_row(void *context, struct span row, struct span body)
{
    struct process *process = context;
    struct newcomers *newcomers = &process->newcomers;

    /* Copies: appending changes the store that row and body point into. */
    buffer_clear(&newcomers->row);
    buffer_add_span(&newcomers->row, row);
    buffer_clear(&newcomers->payload);
    buffer_add_byte(&newcomers->payload, '{');
    buffer_add_span(&newcomers->payload, body);
    buffer_add_byte(&newcomers->payload, '}');
    newcomers->failed =
        outbox_append(&process->output, buffer_span(&newcomers->row), buffer_span(&newcomers->payload)) != 0;
    return !newcomers->failed && ++newcomers->appended < CHUNK_ROWS;
}

int
newcomer_work(struct process *process)
{
    struct newcomers *newcomers = &process->newcomers;

    newcomers->appended = 0;
    newcomers->failed = newcomers->finished = false;
    if (!newcomers->active)
        return 0;
    const struct span after = buffer_span(&newcomers->after);
    if (after.len == 0)
        newcomers->behind = process->output.last.sequence;
    if (process->stream->operator->rows(process->operator_state, after, append_row, process) != 0 || newcomers->failed)
        return -1;
    newcomers->finished = newcomers->appended < CHUNK_ROWS;
    return (int)newcomers->appended + 1;
}

void
newcomer_committed(struct process *process)
{
    struct newcomers *newcomers = &process->newcomers;
    struct publisher *publisher = &process->output_publisher;

    if (!newcomers->active)
        return;
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
newcomer_free(struct process *process)
{
    buffer_free(&process->newcomers.after);
    buffer_free(&process->newcomers.row);
    buffer_free(&process->newcomers.payload);
}
