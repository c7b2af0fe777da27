/*
 * batch: one transaction of a process, from what has arrived to the commit.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "run/process_state.h"

/* Messages of the outbox that are removed in one transaction. */
#define TRIM_MAX 1000

/*
 * The version of everything in a store: keys, values, what they mean. A store of another version is refused.
 *
 * To change a layout: give it the next number here, let load_format read stores of the version before and rewrite them in
 * steps of at most BATCH_WORK_MAX entries a transaction (a note in "meta" says how far it is), and keep that code until no
 * store of the old version can be left; or, where the state can be made again by loading once more, refuse it and say so
 * in the release notes.
 */
#define FORMAT_VERSION 2

static const struct span format_key = {"format", 6};
static const struct span epoch_key = {"epoch", 5};
static const struct span inbox_key = {"inbox", 5};

/* Value: now_ms i64 BE, wall_ms i64 BE (struct timekeeper_mark). Absent in stores of versions that had none. */
static const struct span clock_key = {"clock", 5};

/* Output. */

static struct process *
process_of(struct output *output)
{
    return (struct process *)((char *)output - offsetof(struct process, calls));
}

/* Give the gathered message to its outbox. */
static void
close_message(struct process *process, struct outbox *outbox, struct buffer *message)
{
    if (message->len > 0 && outbox_append(outbox, (struct span){0}, buffer_span(message)) != 0)
        process->output_failed = true;
    buffer_clear(message);
}

static void
add_record(struct process *process, struct outbox *outbox, struct buffer *message, struct span body)
{
    if (message->len > 0 && message->len + body.len + 3 > (size_t)process->message_bytes)
        close_message(process, outbox, message);
    if (message->len > 0)
        buffer_add_byte(message, '\n');
    buffer_add_byte(message, '{');
    buffer_add_span(message, body);
    buffer_add_byte(message, '}');
}

static void
emit(struct output *output, struct span body)
{
    struct process *process = process_of(output);
    add_record(process, &process->output, &process->output_message, body);
}

static void
emit_row(struct output *output, struct span row, struct span body)
{
    struct process *process = process_of(output);

    buffer_clear(&process->output_message);
    buffer_add_byte(&process->output_message, '{');
    buffer_add_span(&process->output_message, body);
    buffer_add_byte(&process->output_message, '}');
    if (outbox_append(&process->output, row, buffer_span(&process->output_message)) != 0)
        process->output_failed = true;
    buffer_clear(&process->output_message);
}

static const char *
input_topic(const struct process *process, unsigned input)
{
    const struct stream_input *from = &process->stream->inputs[input];
    return from->landing != NULL ? from->landing : from->from->topic;
}

/* Report a refusal. payload is what was refused: a record's members, or the text as it came in (whole). */
static void
reject(struct process *process, unsigned input, enum reason reason, struct span payload, bool whole)
{
    struct buffer *line = &process->scratch;

    ledger_reason(&process->ledger, reason);
    buffer_clear(line);
    buffer_add_text(line, "\"process\":\"");
    buffer_add_text(line, process->stream->name);
    buffer_add_text(line, "\",\"reason\":\"");
    buffer_add_text(line, reason_word(reason));
    buffer_add_text(line, "\",\"topic\":\"");
    buffer_add_text(line, input_topic(process, input));
    buffer_add_text(line, "\",\"time\":");
    buffer_add_int(line, process->timekeeper.wall_ms);
    if (process->rejected_payload && payload.len > 0) {
        buffer_add_text(line, whole ? ",\"payload\":" : ",\"payload\":{");
        if (whole)
            json_add_any_text(line, payload);
        else
            buffer_add_span(line, payload);
        buffer_add_text(line, whole ? "" : "}");
    }
    add_record(process, &process->rejected, &process->rejected_message, buffer_span(line));
}

static void
refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    reject(process_of(output), input, reason, body, false);
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    ledger_move(&process_of(output)->ledger, input, from, to);
}

/* Input. */

/* Work all records of one payload. 0 or −1. receipt may be NULL. */
static int
take_payload(struct process *process, unsigned input, struct span row, struct span payload, struct receipt *receipt,
             unsigned *records)
{
    const bool landing = process->stream->inputs[input].landing != NULL;
    struct record_cursor cursor = record_cursor(payload);
    struct record record;
    struct receipt counts = {0};
    enum reason reason;

    for (;;) {
        enum verdict verdict = VERDICT_INVALID;
        size_t from = cursor.at;
        int rc = record_next(process->decoders[input], &cursor, landing ? RECORD_FROM_LANDING : RECORD_FROM_LINK,
                             timekeeper_latest_ms(&process->timekeeper), &record, &reason);
        if (rc == 0)
            break;
        if (reason == REASON_NONE) {
            const struct arrival arrival = {input, &record, row, process->now_ms, &process->calls};
            verdict = process->stream->operator->take(process->operator_state, &arrival);
            if (verdict == VERDICT_ERROR || process->output_failed)
                return -1;
        } else {
            reject(process, input, reason, span_at(payload.at + from, cursor.at - from), true);
        }
        ledger_count(&process->ledger, input, verdict);
        counts.taken++;
        counts.duplicate += verdict == VERDICT_DUPLICATE;
        counts.invalid += verdict == VERDICT_INVALID;
        ++*records;
    }
    if (receipt != NULL) {
        receipt->taken = counts.taken;
        receipt->duplicate = counts.duplicate;
        receipt->invalid = counts.invalid;
    }
    return 0;
}

static struct receipt *
add_receipt(struct receipts *receipts, const struct inbox_entry *entry)
{
    if (receipts->count == receipts->capacity) {
        receipts->capacity = receipts->capacity * 2 + 16;
        receipts->list = realloc(receipts->list, receipts->capacity * sizeof *receipts->list);
        if (receipts->list == NULL)
            log_fatal("out of memory");
    }
    struct receipt *receipt = &receipts->list[receipts->count++];
    receipt->topic_at = receipts->bytes.len;
    receipt->topic_len = entry->response_topic.len;
    buffer_add_span(&receipts->bytes, entry->response_topic);
    buffer_add_byte(&receipts->bytes, '\0');
    receipt->correlation_at = receipts->bytes.len;
    receipt->correlation_len = entry->correlation.len;
    buffer_add_span(&receipts->bytes, entry->correlation);
    return receipt;
}

/* Whether this transaction has put out so much that it had better end: one record can have many partners. */
static bool
output_is_full(const struct process *process)
{
    const uint64_t end = process->output.last.end + process->rejected.last.end;
    return end - process->output_end > BATCH_OUTPUT_BYTES_MAX;
}

static int
work_inbox(struct process *process, uint64_t *position, unsigned *records)
{
    struct inbox_entry entry;
    size_t bytes = 0;
    int rc = 0;

    while (*records < BATCH_RECORDS_MAX && bytes < BATCH_PAYLOAD_BYTES_MAX && !output_is_full(process) &&
           (rc = inbox_read(process->inbox, position, &entry)) == 1) {
        struct receipt *receipt = NULL;
        if (entry.input >= process->stream->input_count)
            log_panic("inbox: an entry for input %u", entry.input);
        if (entry.response_topic.len > 0)
            receipt = add_receipt(&process->receipts, &entry);
        if (take_payload(process, entry.input, (struct span){0}, entry.payload, receipt, records) != 0)
            return -1;
        bytes += entry.payload.len + entry.response_topic.len + entry.correlation.len;
    }
    if (rc < 0) { /* nothing behind a damaged entry can be found */
        process->why = WHY_STORE_BROKEN;
        return -1;
    }
    return 0;
}

/* How far a transaction has come. */
struct progress {
    uint64_t inbox_position;
    struct link_position links[OPERATOR_INPUTS_MAX];
    unsigned link_messages[OPERATOR_INPUTS_MAX]; /* that are worked */
    unsigned records;
    unsigned other; /* steps of expiry, release, trimming */
};

/* Work what is in the link's queue. */
static int
work_link(struct process *process, unsigned input, struct progress *progress)
{
    struct link *link = &process->links[input];
    size_t bytes = 0;

    pthread_mutex_lock(&process->lock);
    const struct link_message *message = link->first;
    unsigned count = link->message_count;
    pthread_mutex_unlock(&process->lock);
    /* The first `count` messages and the pointers between them don't change any more; the last one's pointer may. */
    while (count > 0 && progress->records < BATCH_RECORDS_MAX && bytes < BATCH_PAYLOAD_BYTES_MAX &&
           !output_is_full(process)) {
        if (!message->oldest &&
            take_payload(process, input, message->row, message->payload, NULL, &progress->records) != 0)
            return -1;
        bytes += message->payload.len;
        progress->links[input] = message->position;
        progress->link_messages[input]++;
        if (--count > 0)
            message = message->next;
    }
    return 0;
}

/* Positions in the store. */

static bool
same_position(struct link_position a, struct link_position b)
{
    return a.epoch == b.epoch && a.applied == b.applied;
}

static struct span
link_key(struct process *process, unsigned input)
{
    buffer_clear(&process->scratch);
    buffer_add_text(&process->scratch, "link ");
    buffer_add_text(&process->scratch, process->stream->inputs[input].from->name);
    return buffer_span(&process->scratch);
}

static int
put_number(struct process *process, struct span key, uint64_t number)
{
    char value[8];

    bytes_put_u64(value, number);
    return store_put(process->store, process->meta, key, span_at(value, sizeof value));
}

static int
put_link_position(struct process *process, unsigned input, struct link_position position)
{
    char value[16];

    bytes_put_u64(value, position.epoch);
    bytes_put_u64(value + 8, position.applied);
    return store_put(process->store, process->meta, link_key(process, input), span_at(value, sizeof value));
}

static int
put_mark(struct process *process)
{
    char value[16];

    bytes_put_u64(value, (uint64_t)process->timekeeper.now_ms);
    bytes_put_u64(value + 8, (uint64_t)process->timekeeper.wall_ms);
    return store_put(process->store, process->meta, clock_key, span_at(value, sizeof value));
}

static int
load_mark(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, clock_key, &value);

    process->timekeeper.committed = (struct timekeeper_mark){0};
    if (rc == 1)
        process->timekeeper.committed =
            (struct timekeeper_mark){(int64_t)bytes_get_u64(value.at), (int64_t)bytes_get_u64(value.at + 8)};
    return rc < 0 ? -1 : 0;
}

static int
load_format(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, format_key, &value);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return put_number(process, format_key, FORMAT_VERSION);
    if (bytes_get_u64(value.at) != FORMAT_VERSION)
        log_fatal("the state in %s has format %llu, and this program reads %d: go on with the version that made it, or "
                  "remove the folder and load again", process->dir, (unsigned long long)bytes_get_u64(value.at),
                  FORMAT_VERSION);
    return 0;
}

static int
load_epoch(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, epoch_key, &value);

    if (rc < 0)
        return -1;
    if (rc == 1) {
        process->epoch = bytes_get_u64(value.at);
        return 0;
    }
    do
        hash_random(&process->epoch, sizeof process->epoch);
    while (process->epoch == 0);
    return put_number(process, epoch_key, process->epoch);
}

static int
load_positions(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, inbox_key, &value);

    if (rc < 0)
        return -1;
    process->inbox_position = rc == 1 ? bytes_get_u64(value.at) : 0;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        struct link_position position = {0};
        if (process->stream->inputs[i].from == NULL)
            continue;
        if ((rc = store_get(process->store, process->meta, link_key(process, i), &value)) < 0)
            return -1;
        if (rc == 1)
            position = (struct link_position){bytes_get_u64(value.at), bytes_get_u64(value.at + 8)};
        if (!same_position(position, process->links[i].committed)) {
            /* At the start; and when a commit took place although it failed: what is queued may be applied then. */
            pthread_mutex_lock(&process->lock);
            link_free(&process->links[i]);
            link_begin(&process->links[i], position);
            pthread_mutex_unlock(&process->lock);
        }
    }
    return 0;
}

int
batch_load(struct process *process)
{
    if (load_format(process) != 0 || load_epoch(process) != 0 || load_mark(process) != 0 ||
        load_positions(process) != 0 || ledger_load(&process->ledger) != 0 || outbox_load(&process->rejected) != 0 ||
        outbox_load(&process->output) != 0)
        return -1;
    if (process->stream->operator->load != NULL && process->stream->operator->load(process->operator_state) != 0)
        return -1;
    process->loaded = true;
    return 0;
}

/* The transaction. */

static int
work_inputs(struct process *process, struct progress *progress)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->stream->inputs[i].from != NULL && work_link(process, i, progress) != 0)
            return -1;
    }
    if (process->inbox != NULL && work_inbox(process, &progress->inbox_position, &progress->records) != 0)
        return -1;
    return 0;
}

static int
work_due(struct process *process, struct progress *progress)
{
    const struct operator *operator = process->stream->operator;

    /* A record is to be removed from two places at most, the waiting room and the join's readings: under full load as much
     * must go as comes. */
    const unsigned budget = BATCH_WORK_MAX + 2 * progress->records;

    if (operator->work == NULL)
        return 0;
    for (unsigned done = 0; done < budget && !output_is_full(process); done += BATCH_WORK_STEP) {
        int rc = operator->work(process->operator_state, process->now_ms, BATCH_WORK_STEP, &process->calls);
        if (rc < 0)
            return -1;
        progress->other += (unsigned)rc;
        if (rc < BATCH_WORK_STEP)
            break;
    }
    return 0;
}

static int
trim(struct process *process, struct progress *progress)
{
    int output = outbox_trim(&process->output, publisher_confirmed(&process->output_publisher), TRIM_MAX);
    int rejected = outbox_trim(&process->rejected, publisher_confirmed(&process->rejected_publisher), TRIM_MAX);

    if (output < 0 || rejected < 0)
        return -1;
    progress->other += (unsigned)output + (unsigned)rejected;
    return 0;
}

static int
flush(struct process *process, const struct progress *progress)
{
    const struct operator *operator = process->stream->operator;
    const int64_t wall_ms = process->timekeeper.wall_ms;

    close_message(process, &process->output, &process->output_message);
    close_message(process, &process->rejected, &process->rejected_message);
    if (process->output_failed)
        return -1;
    if (operator->flush != NULL && operator->flush(process->operator_state, process->now_ms, wall_ms) != 0)
        return -1;
    if (timekeeper_knows(&process->timekeeper) && put_mark(process) != 0)
        return -1;
    if (progress->inbox_position != process->inbox_position &&
        put_number(process, inbox_key, progress->inbox_position) != 0)
        return -1;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->link_messages[i] > 0 && put_link_position(process, i, progress->links[i]) != 0)
            return -1;
    }
    if (outbox_flush(&process->output) != 0 || outbox_flush(&process->rejected) != 0)
        return -1;
    return ledger_flush(&process->ledger);
}

static void
committed(struct process *process, const struct progress *progress)
{
    if (process->inbox != NULL && progress->inbox_position != process->inbox_position)
        inbox_release(process->inbox, progress->inbox_position);
    process->inbox_position = progress->inbox_position;
    if (timekeeper_knows(&process->timekeeper))
        timekeeper_committed(&process->timekeeper);
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->link_messages[i] > 0)
            link_commit(&process->links[i], progress->link_messages[i]);
    }
    pthread_mutex_unlock(&process->lock);
}

static void
begin(struct process *process, int64_t now_ms, struct progress *progress)
{
    process->now_ms = now_ms;
    process->output_failed = false;
    process->output_end = process->output.last.end + process->rejected.last.end;
    process->calls = (struct output){emit, emit_row, refuse, move};
    process->receipts.count = 0;
    buffer_clear(&process->receipts.bytes);
    buffer_clear(&process->output_message);
    buffer_clear(&process->rejected_message);
    progress->inbox_position = process->inbox_position;
    for (unsigned i = 0; i < process->stream->input_count; i++)
        progress->links[i] = process->links[i].committed;
}

/* Whether the clock was set, to what may be right, since the last commit. */
static bool
clock_was_set(const struct process *process)
{
    return process->timekeeper.set && timekeeper_knows(&process->timekeeper);
}

/* Whether there is anything to commit. */
static bool
anything(const struct process *process, const struct progress *progress)
{
    if (progress->records > 0 || progress->other > 0 || progress->inbox_position != process->inbox_position)
        return true;
    if (clock_was_set(process))
        return true;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->link_messages[i] > 0)
            return true;
    }
    return false;
}

/* After an aborted transaction: what is in memory must be what is committed, before anybody is shown it. */
static void
reload(struct process *process)
{
    process->loaded = false;
    if (store_begin(process->store) == 0)
        batch_load(process);
    store_abort(process->store);
}

int
batch_work(struct process *process, int64_t now_ms, bool intake)
{
    struct progress progress = {0};

    if (store_begin(process->store) != 0) {
        process->fault = store_fault(process->store);
        return -1;
    }
    if (!process->loaded && batch_load(process) != 0)
        goto fail;
    begin(process, now_ms, &progress);
    if (intake && !process->newcomers.active && (work_inputs(process, &progress) != 0 || work_due(process, &progress) != 0))
        goto fail;
    int appended = newcomer_work(process);
    if (appended < 0)
        goto fail;
    progress.other += (unsigned)appended;
    if (trim(process, &progress) != 0)
        goto fail;
    /* Before the flush: that changes what operators have in memory, and they are not told of this abort. */
    if (!anything(process, &progress)) {
        store_abort(process->store);
        return 0;
    }
    if (flush(process, &progress) != 0)
        goto fail;
    if (store_commit(process->store) != 0)
        goto fail;
    committed(process, &progress);
    newcomer_committed(process);
    return 1;
fail:
    store_abort(process->store);
    process->fault = store_fault(process->store);
    process->receipts.count = 0;
    reload(process);
    return -1;
}

bool
batch_waits(struct process *process, int64_t now_ms, bool intake)
{
    const struct operator *operator = process->stream->operator;
    bool waits = false;

    if (process->newcomers.active)
        return true;
    if (clock_was_set(process))
        return true;
    if (!intake)
        return false;
    if (process->inbox != NULL && inbox_end(process->inbox) > process->inbox_position)
        return true;
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        waits = waits || process->links[i].message_count > 0;
    pthread_mutex_unlock(&process->lock);
    return waits || (operator->due_ms != NULL && operator->due_ms(process->operator_state) <= now_ms);
}

void
batch_send_receipts(struct process *process)
{
    struct receipts *receipts = &process->receipts;
    struct wire *wire = process->link_port.wire;

    for (unsigned i = 0; i < receipts->count; i++) {
        const struct receipt *receipt = &receipts->list[i];
        buffer_clear(&process->scratch);
        buffer_printf(&process->scratch, "{\"taken\":%" PRIu64 ",\"duplicate\":%" PRIu64 ",\"invalid\":%" PRIu64 "}",
                      receipt->taken, receipt->duplicate, receipt->invalid);
        const struct wire_message message = {
            .topic = span_at(receipts->bytes.data + receipt->topic_at, receipt->topic_len),
            .payload = buffer_span(&process->scratch),
            .correlation = span_at(receipts->bytes.data + receipt->correlation_at, receipt->correlation_len),
            .delivery = WIRE_AT_MOST_ONCE,
        };
        /* One that can't be sent is not missed for long: the publisher sends its message again. */
        if (wire->calls->publish(wire, &message, 0) != 0)
            break;
    }
    receipts->count = 0;
}
