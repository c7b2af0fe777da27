/*
 * refusal: what is said of records that are refused or invalid: a line each in an outbox of their own, or, where that
 * would be more than their sender's message is worth or than the outbox may hold, one line for many. Each is counted in
 * any case.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/log.h"
#include "record/json.h"
#include "run/process_state.h"

/* What a line may take with what was refused in it: enough to see what it is about. And while nobody has named a limit of
 * the broker's, which `message_bytes` follows: what every broker takes. */
#define LINE_BYTES_MAX (64u << 10)
#define LINE_BYTES_UNKNOWN 1024

#define PAYLOAD_MEMBER ",\"payload\":"
#define CUT_MEMBER ",\"cut\":true"

static const struct span untold_key = {"untold", 6};

static const char *
input_topic(const struct process *process, unsigned input)
{
    const struct stream_input *from = &process->stream->inputs[input];
    return from->landing != NULL ? from->landing : from->from->topic;
}

/* The topic that what is refused came on, below the prefix; of a record that waited, without the levels of its sender. */
static struct span
refused_topic(struct process *process, unsigned input)
{
    struct buffer *topic = &process->refused_topic;

    buffer_clear(topic);
    buffer_add_text(topic, input_topic(process, input));
    if (process->levels.len > 0 && process->stream->inputs[input].landing != NULL) {
        buffer_add_byte(topic, '/');
        buffer_add_span(topic, process->levels);
    }
    return buffer_span(topic);
}

/* What is left of line for a payload, with its member's name and what else may follow. */
static size_t
room_in(const struct process *process, const struct buffer *line)
{
    const size_t wanted = process->limits.packet_bytes_max == 0 ? LINE_BYTES_UNKNOWN : (size_t)process->message_bytes;
    const size_t most = wanted < LINE_BYTES_MAX ? wanted : LINE_BYTES_MAX;
    const size_t taken = line->len + sizeof PAYLOAD_MEMBER + sizeof CUT_MEMBER + sizeof "{}";

    return most > taken ? most - taken : 0;
}

/* Append to line what was refused: a record's members as an object; text, and a record without room, as a string, which
 * is cut where it has no room. What strangers send must neither stop the process nor fill its disk. */
static void
add_refused(const struct process *process, struct span payload, bool whole, struct buffer *line)
{
    const size_t room = room_in(process, line);

    if (room < sizeof "{}" || payload.len == 0)
        return;
    buffer_add_text(line, PAYLOAD_MEMBER);
    if (!whole && payload.len + 2 <= room) {
        buffer_add_byte(line, '{');
        buffer_add_span(line, payload);
        buffer_add_byte(line, '}');
    } else if (!json_add_text_up_to(line, payload, room)) {
        buffer_add_text(line, CUT_MEMBER);
    }
}

struct span
refusal_without_payload(struct span line)
{
    /* No name and no text before it has a quote that is not escaped. */
    const char *member = memmem(line.at, line.len, PAYLOAD_MEMBER, sizeof PAYLOAD_MEMBER - 1);
    return span_at(line.at, member != NULL ? (size_t)(member - line.at) : line.len - 1);
}

/* Begin a line; topic may be empty. */
static struct buffer *
begin_line(struct process *process, struct fault fault, struct span topic)
{
    struct buffer *line = &process->scratch;

    buffer_clear(line);
    buffer_add_text(line, "\"process\":\"");
    buffer_add_text(line, process->stream->name);
    buffer_add_text(line, "\",\"reason\":\"");
    buffer_add_text(line, reason_word(fault.reason));
    if (fault.field != NULL) {
        buffer_add_text(line, "\",\"field\":\"");
        buffer_add_text(line, fault.field);
    }
    buffer_add_byte(line, '"');
    if (topic.len > 0) {
        buffer_add_text(line, ",\"topic\":");
        json_add_any_text(line, topic);
    }
    buffer_add_text(line, ",\"time\":");
    buffer_add_int(line, process->timekeeper.wall_ms);
    return line;
}

static void
end_line(struct process *process, const struct buffer *line)
{
    batch_add_record(process, &process->rejected, &process->rejected_message, buffer_span(line));
}

static bool
has_room(const struct process *process)
{
    return outbox_bytes(&process->rejected) + process->rejected_message.len < process->rejected_bytes_max;
}

uint64_t
refusal_untold(const struct process *process)
{
    uint64_t sum = 0;

    for (unsigned r = 0; r < REASON_COUNT; r++)
        sum += process->untold.counts[r];
    return sum;
}

/* Count it as one that is to be told in sum. */
static void
count(struct process *process, enum reason reason, struct span topic)
{
    struct untold *untold = &process->untold;

    if (refusal_untold(process) == 0)
        buffer_add_span(&untold->topic, topic);
    else if (!span_equal(buffer_span(&untold->topic), topic))
        buffer_clear(&untold->topic);
    untold->counts[reason]++;
    untold->changed = true;
}

void
refusal_tell(struct process *process, unsigned input, struct fault fault, struct span payload, bool whole)
{
    const struct span topic = refused_topic(process, input);

    ledger_reason(&process->ledger, fault.reason);
    recent_note(&process->recent, &fault, topic, process->timekeeper.wall_ms);
    if (!has_room(process)) {
        count(process, fault.reason, topic);
        return;
    }
    struct buffer *line = begin_line(process, fault, topic);
    if (process->rejected_payload)
        add_refused(process, payload, whole, line);
    end_line(process, line);
}

void
refusal_count(struct process *process, unsigned input, struct fault fault)
{
    const struct span topic = refused_topic(process, input);

    ledger_reason(&process->ledger, fault.reason);
    recent_note(&process->recent, &fault, topic, process->timekeeper.wall_ms);
    count(process, fault.reason, topic);
}

unsigned
refusal_tell_counted(struct process *process)
{
    struct untold *untold = &process->untold;
    unsigned lines = 0;

    if (refusal_untold(process) == 0 || !has_room(process))
        return 0;
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        if (untold->counts[r] == 0)
            continue;
        struct buffer *line = begin_line(process, (struct fault){(enum reason)r, NULL}, buffer_span(&untold->topic));
        buffer_printf(line, ",\"count\":%" PRIu64, untold->counts[r]);
        end_line(process, line);
        untold->counts[r] = 0;
        lines++;
    }
    buffer_clear(&untold->topic);
    untold->changed = true;
    return lines;
}

/* Kept. */

int
refusal_load(struct process *process)
{
    struct untold *untold = &process->untold;
    struct span value;
    int rc = store_get(process->store, process->meta, untold_key, &value);

    if (rc < 0)
        return -1;
    memset(untold->counts, 0, sizeof untold->counts);
    buffer_clear(&untold->topic);
    untold->changed = false;
    if (rc == 0)
        return 0;
    const size_t kept = value.len > 0 ? (unsigned char)value.at[0] : 0;
    if (kept == 0 || kept > REASON_COUNT || value.len < 1 + 8 * kept)
        return store_damaged(process->store, process->meta, "counts of refusals that are none");
    for (size_t r = 0; r < kept; r++)
        untold->counts[r] = bytes_get_u64(value.at + 1 + 8 * r);
    buffer_add_span(&untold->topic, span_at(value.at + 1 + 8 * kept, value.len - 1 - 8 * kept));
    return 0;
}

int
refusal_flush(struct process *process)
{
    struct untold *untold = &process->untold;
    struct buffer *value = &process->scratch;
    char number[8];

    if (!untold->changed)
        return 0;
    untold->changed = false;
    buffer_clear(value);
    buffer_add_byte(value, REASON_COUNT);
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        bytes_put_u64(number, untold->counts[r]);
        buffer_add(value, number, sizeof number);
    }
    buffer_add_span(value, buffer_span(&untold->topic));
    return store_put(process->store, process->meta, untold_key, buffer_span(value));
}
