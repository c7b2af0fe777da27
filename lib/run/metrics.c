#include "run/metrics.h"

#include <inttypes.h>
#include <unistd.h>

static void
add_text(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "\"%s\":", name);
    buffer_add_json_string(text, span_of(value));
}

static void
add_number(struct buffer *text, const char *name, uint64_t value)
{
    buffer_printf(text, ",\"%s\":%" PRIu64, name, value);
}

static void
add_inputs(const struct metrics *metrics, struct buffer *text)
{
    const struct ledger *ledger = batch_ledger(metrics->batch);

    buffer_add_text(text, ",\"inputs\":[");
    for (unsigned i = 0; i < metrics->stream->input_count; i++) {
        const struct stream_input *input = &metrics->stream->inputs[i];
        buffer_add_text(text, i > 0 ? ",{" : "{");
        add_text(text, "name", input->name);
        buffer_add_byte(text, ',');
        add_text(text, "from", input->from != NULL ? input->from->name : "landing");
        metrics->transport->calls->write_input(metrics->transport, i, text);
        add_number(text, "taken", ledger->inputs[i].taken);
        for (unsigned v = 0; v < VERDICT_COUNT; v++)
            add_number(text, ledger_word((enum verdict)v), ledger->inputs[i].verdicts[v]);
        buffer_add_byte(text, '}');
    }
    buffer_add_byte(text, ']');
}

static void
add_reasons(const struct metrics *metrics, bool recent, struct buffer *text)
{
    const struct ledger *ledger = batch_ledger(metrics->batch);
    const char *comma = "";

    buffer_add_text(text, ",\"reasons\":{");
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        if (ledger->reasons[r] == 0)
            continue;
        buffer_printf(text, "%s\"%s\":%" PRIu64, comma, reason_word((enum reason)r), ledger->reasons[r]);
        comma = ",";
    }
    buffer_add_text(text, recent ? "},\"recent\":" : "},\"recent\":{}");
    if (recent)
        recent_write(batch_recent(metrics->batch), text);
}

static void
add_gauges(const struct metrics *metrics, struct buffer *text)
{
    struct gauge gauges[OPERATOR_GAUGES_MAX];
    const unsigned count = batch_gauges(metrics->batch, gauges);

    buffer_add_text(text, ",\"gauges\":{");
    for (unsigned i = 0; i < count; i++)
        buffer_printf(text, "%s\"%s\":%" PRId64, i > 0 ? "," : "", gauges[i].name, gauges[i].value);
    buffer_add_byte(text, '}');
}

static void
write_all(const struct metrics *metrics, bool recent, struct buffer *text)
{
    const struct transport_calls *calls = metrics->transport->calls;

    buffer_add_byte(text, '{');
    add_text(text, "process", metrics->stream->name);
    buffer_add_byte(text, ',');
    add_text(text, "version", GAIT_VERSION);
    add_number(text, "pid", (uint64_t)getpid());
    buffer_add_byte(text, ',');
    add_text(text, "state", metrics->stopped ? "stopped" : "running");
    buffer_add_byte(text, ',');
    add_text(text, "why", metrics->why);
    add_inputs(metrics, text);
    calls->write_output(metrics->transport, text);
    add_reasons(metrics, recent, text);
    add_gauges(metrics, text);
    add_number(text, "untold", batch_untold(metrics->batch));
    add_number(text, "due", batch_due_ms(metrics->batch) <= 0);
    calls->write_all(metrics->transport, text);
    buffer_add_byte(text, '}');
}

void
metrics_write(const struct metrics *metrics, size_t room, struct buffer *text)
{
    const size_t before = text->len;

    write_all(metrics, true, text);
    if (room == 0 || text->len - before <= room)
        return;
    text->len = before;
    write_all(metrics, false, text);
}
