#include "run/refusal.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/log.h"
#include "record/json.h"

/* What a line may take with what was refused in it: enough to see what it is about. And while nobody has named a limit of
 * the transport's, which `message_bytes` follows: what every one takes. */
#define LINE_BYTES_MAX (64u << 10)
#define LINE_BYTES_UNKNOWN 1024

#define PAYLOAD_MEMBER ",\"payload\":"
#define CUT_MEMBER ",\"cut\":true"

static const struct span untold_key = {"untold", 6};

static const char *
input_topic(const struct refusal *refusal, unsigned input)
{
    const struct stream_input *from = &refusal->stream->inputs[input];

    log_assert(input < refusal->stream->input_count);
    return from->landing != NULL ? from->landing : from->from->topic;
}

/* The topic that what is refused came on, below the prefix; of a record that waited, without the levels of its sender. */
static struct span
refused_topic(struct refusal *refusal, unsigned input)
{
    struct buffer *topic = &refusal->topic;

    buffer_clear(topic);
    buffer_add_text(topic, input_topic(refusal, input));
    if (refusal->levels.len > 0 && refusal->stream->inputs[input].landing != NULL) {
        buffer_add_byte(topic, '/');
        buffer_add_span(topic, refusal->levels);
    }
    return buffer_span(topic);
}

/* What is left of line for a payload, with its member's name and what else may follow. */
static size_t
room_in(const struct refusal *refusal, const struct buffer *line)
{
    const size_t wanted = refusal->bounded ? *refusal->lines->bytes_max : LINE_BYTES_UNKNOWN;
    const size_t most = wanted < LINE_BYTES_MAX ? wanted : LINE_BYTES_MAX;
    const size_t taken = line->len + sizeof PAYLOAD_MEMBER + sizeof CUT_MEMBER + sizeof "{}";

    return most > taken ? most - taken : 0;
}

/* Append to line what was refused: a record's members as an object; text, and a record without room, as a string, which
 * is cut where it has no room. What strangers send must neither stop the process nor fill its disk. */
static void
add_refused(const struct refusal *refusal, struct span payload, bool whole, struct buffer *line)
{
    const size_t room = room_in(refusal, line);

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
begin_line(struct refusal *refusal, struct fault fault, struct span topic)
{
    struct buffer *line = &refusal->line;

    buffer_clear(line);
    buffer_add_text(line, "\"process\":\"");
    buffer_add_text(line, refusal->stream->name);
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
    buffer_add_int(line, refusal->wall_ms);
    return line;
}

static void
end_line(struct refusal *refusal, const struct buffer *line)
{
    gather_record(refusal->lines, buffer_span(line));
}

static bool
has_room(const struct refusal *refusal)
{
    struct transport *transport = refusal->lines->transport;
    const uint64_t waiting = transport->calls->waiting(transport, refusal->lines->sink);

    return waiting + refusal->lines->message.len < refusal->waiting_bytes_max;
}

uint64_t
refusal_untold(const struct refusal *refusal)
{
    uint64_t sum = 0;

    for (unsigned r = 0; r < REASON_COUNT; r++)
        sum += refusal->counts[r];
    return sum;
}

/* Count it as one that is to be told in sum. */
static void
count(struct refusal *refusal, enum reason reason, struct span topic)
{
    log_assert(reason > REASON_NONE && reason < REASON_COUNT);
    if (refusal_untold(refusal) == 0)
        buffer_add_span(&refusal->counted_topic, topic);
    else if (!span_equal(buffer_span(&refusal->counted_topic), topic))
        buffer_clear(&refusal->counted_topic);
    refusal->counts[reason]++;
    refusal->changed = true;
}

void
refusal_tell(struct refusal *refusal, unsigned input, struct fault fault, struct span payload, bool whole)
{
    const struct span topic = refused_topic(refusal, input);

    ledger_reason(refusal->ledger, fault.reason);
    recent_note(refusal->recent, &fault, topic, refusal->wall_ms);
    if (!has_room(refusal)) {
        count(refusal, fault.reason, topic);
        return;
    }
    struct buffer *line = begin_line(refusal, fault, topic);
    if (refusal->with_payload)
        add_refused(refusal, payload, whole, line);
    end_line(refusal, line);
}

void
refusal_count(struct refusal *refusal, unsigned input, struct fault fault)
{
    const struct span topic = refused_topic(refusal, input);

    ledger_reason(refusal->ledger, fault.reason);
    recent_note(refusal->recent, &fault, topic, refusal->wall_ms);
    count(refusal, fault.reason, topic);
}

unsigned
refusal_tell_counted(struct refusal *refusal)
{
    unsigned lines = 0;

    if (refusal_untold(refusal) == 0 || !has_room(refusal))
        return 0;
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        if (refusal->counts[r] == 0)
            continue;
        const struct fault fault = {(enum reason)r, NULL};
        struct buffer *line = begin_line(refusal, fault, buffer_span(&refusal->counted_topic));
        buffer_printf(line, ",\"count\":%" PRIu64, refusal->counts[r]);
        end_line(refusal, line);
        refusal->counts[r] = 0;
        lines++;
    }
    buffer_clear(&refusal->counted_topic);
    refusal->changed = true;
    return lines;
}

/* Kept. */

int
refusal_load(struct refusal *refusal)
{
    struct span value;
    int rc = store_get(refusal->store, refusal->table, untold_key, &value);

    if (rc < 0)
        return -1;
    memset(refusal->counts, 0, sizeof refusal->counts);
    buffer_clear(&refusal->counted_topic);
    refusal->changed = false;
    if (rc == 0)
        return 0;
    const size_t kept = value.len > 0 ? (unsigned char)value.at[0] : 0;
    if (kept == 0 || kept > REASON_COUNT || value.len < 1 + 8 * kept)
        return store_damaged(refusal->store, refusal->table, "counts of refusals that are none");
    for (size_t r = 0; r < kept; r++)
        refusal->counts[r] = bytes_get_u64(value.at + 1 + 8 * r);
    buffer_add_span(&refusal->counted_topic, span_at(value.at + 1 + 8 * kept, value.len - 1 - 8 * kept));
    return 0;
}

int
refusal_flush(struct refusal *refusal)
{
    struct buffer *value = &refusal->line;
    char number[8];

    if (!refusal->changed)
        return 0;
    refusal->changed = false;
    buffer_clear(value);
    buffer_add_byte(value, REASON_COUNT);
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        bytes_put_u64(number, refusal->counts[r]);
        buffer_add(value, number, sizeof number);
    }
    buffer_add_span(value, buffer_span(&refusal->counted_topic));
    return store_put(refusal->store, refusal->table, untold_key, buffer_span(value));
}

void
refusal_free(struct refusal *refusal)
{
    buffer_free(&refusal->counted_topic);
    buffer_free(&refusal->topic);
    buffer_free(&refusal->line);
}
