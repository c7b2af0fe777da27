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

/* The first life's epoch, for the inbox; absent as long as there was no other. */
static const struct span first_key = {"first", 5};

/* Value: struct lives as lives_encode has it. Absent likewise. */
static const struct span earlier_key = {"earlier", 7};

/* Value: wall_ms i64 BE, knew u64 BE, last u64 BE, witness (struct back). Absent when nothing is to be acknowledged. */
static const struct span back_key = {"back", 4};
#define BACK_HEAD_BYTES 24

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
    /* Whoever looks after a load went wrong finds the newest refusals; but what is personal must not lie at the broker. */
    const bool kept = outbox == &process->rejected && !process->rejected_payload;
    const struct span mark = kept ? span_of(OUTBOX_RETAINED) : (struct span){0};

    if (message->len > 0 && outbox_append(outbox, mark, buffer_span(message)) != 0)
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

/* Append to line what was refused, if the broker takes the message then: what is too large must not stop the process. */
static void
add_refused(const struct process *process, struct span payload, bool whole, struct buffer *line)
{
    const size_t before = line->len;

    buffer_add_text(line, whole ? ",\"payload\":" : ",\"payload\":{");
    if (whole)
        json_add_any_text(line, payload);
    else
        buffer_add_span(line, payload);
    buffer_add_text(line, whole ? "" : "}");
    /* 0: nobody has named a limit yet. Two for the braces. */
    if (process->limits.packet_bytes_max != 0 &&
        line->len + 2 > wire_room(&process->limits, strlen(process->topics.rejected)))
        line->len = before;
}

/* Report a refusal. payload is what was refused: a record's members, or the text as it came in (whole). */
static void
reject(struct process *process, unsigned input, struct fault fault, struct span payload, bool whole)
{
    const struct span topic = refused_topic(process, input);
    struct buffer *line = &process->scratch;

    ledger_reason(&process->ledger, fault.reason);
    recent_note(&process->recent, &fault, topic, process->timekeeper.wall_ms);
    buffer_clear(line);
    buffer_add_text(line, "\"process\":\"");
    buffer_add_text(line, process->stream->name);
    buffer_add_text(line, "\",\"reason\":\"");
    buffer_add_text(line, reason_word(fault.reason));
    if (fault.field != NULL) {
        buffer_add_text(line, "\",\"field\":\"");
        buffer_add_text(line, fault.field);
    }
    buffer_add_text(line, "\",\"topic\":");
    json_add_any_text(line, topic);
    buffer_add_text(line, ",\"time\":");
    buffer_add_int(line, process->timekeeper.wall_ms);
    if (process->rejected_payload && payload.len > 0)
        add_refused(process, payload, whole, line);
    add_record(process, &process->rejected, &process->rejected_message, buffer_span(line));
}

static void
refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    reject(process_of(output), input, (struct fault){reason, NULL}, body, false);
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    ledger_move(&process_of(output)->ledger, input, from, to);
}

/* Input. */

static uint8_t
field_number(enum record_kind kind, const char *name)
{
    unsigned count;
    const struct record_field *fields = record_fields(kind, &count);

    for (unsigned i = 0; i < count; i++) {
        if (fields[i].name == name)
            return (uint8_t)i;
    }
    return TALLY_NO_FIELD;
}

static void
add_to_tally(struct tally *tally, enum record_kind kind, enum verdict verdict, const struct fault *fault)
{
    if (verdict == VERDICT_INVALID && tally->invalid < TALLY_FAULTS_MAX) {
        tally->faults[tally->invalid].record = (uint32_t)tally->taken; /* fewer than the payload has bytes */
        tally->faults[tally->invalid].reason = (uint8_t)fault->reason;
        tally->faults[tally->invalid].field = field_number(kind, fault->field);
    }
    tally->taken++;
    tally->duplicate += verdict == VERDICT_DUPLICATE;
    tally->invalid += verdict == VERDICT_INVALID;
}

/* How far a transaction has come. */
struct progress {
    uint64_t inbox_position;
    struct link_position links[OPERATOR_INPUTS_MAX];
    struct lives left[OPERATOR_INPUTS_MAX];      /* before these */
    bool moved[OPERATOR_INPUTS_MAX];             /* to another life */
    uint64_t awaits[OPERATOR_INPUTS_MAX];        /* as in struct link */
    bool forgotten[OPERATOR_INPUTS_MAX];         /* the link is to begin without state */
    uint64_t epoch;                              /* of the life that begins with this transaction; 0: none */
    struct lives earlier;
    uint64_t last;                               /* the newest message then */
    bool acknowledged;
    unsigned link_messages[OPERATOR_INPUTS_MAX]; /* that are worked */
    struct payload_place places[PLACES];
    bool worked[PLACES]; /* there is something new to say of the place, or the position before it */
    unsigned records;
    size_t bytes;   /* of the input at work */
    unsigned other; /* steps of expiry, release, trimming */
};

/* Whether this transaction has put out so much that it had better end: one record can have many partners. */
static bool
output_is_full(const struct process *process)
{
    const uint64_t end = process->output.last.end + process->rejected.last.end;
    return end - process->output_end > process->batch_output_bytes_max;
}

static bool
full(struct output *output)
{
    return output_is_full(process_of(output));
}

/* Whether the input at work has to wait for the next transaction. */
static bool
takes_no_more(const struct process *process, const struct progress *progress)
{
    return progress->records >= process->batch_records_max || progress->bytes >= BATCH_PAYLOAD_BYTES_MAX ||
           output_is_full(process);
}

static int
take_record(struct process *process, unsigned input, const struct record *record, struct span row, enum verdict *verdict)
{
    const struct arrival arrival = {input, record, row, process->now_ms, &process->calls};

    *verdict = process->stream->operator->take(process->operator_state, &arrival);
    return *verdict == VERDICT_ERROR || process->output_failed ? -1 : 0;
}

/* Work records of a payload from *place on until it ends, or the transaction has enough. 1 all are worked; 0 it is to
 * go on at *place; −1. */
static int
take_payload(struct process *process, unsigned input, struct span row, struct span payload, struct payload_place *place,
             struct progress *progress)
{
    const bool landing = process->stream->inputs[input].landing != NULL;
    struct record_cursor cursor = {.payload = payload, .at = (size_t)place->at, .place = place->record};
    struct record record;
    struct fault fault;

    while (!takes_no_more(process, progress)) {
        enum verdict verdict = VERDICT_INVALID;
        size_t from = cursor.at;
        int rc = record_next(process->decoders[input], &cursor, landing ? RECORD_FROM_LANDING : RECORD_FROM_LINK,
                             timekeeper_latest_ms(&process->timekeeper), &record, &fault);
        if (rc == 0) {
            progress->bytes += payload.len - from;
            return 1;
        }
        if (fault.reason != REASON_NONE)
            reject(process, input, fault, span_at(payload.at + from, cursor.at - from), true);
        else if (take_record(process, input, &record, row, &verdict) != 0)
            return -1;
        ledger_count(&process->ledger, input, verdict);
        add_to_tally(&place->tally, process->stream->inputs[input].record, verdict, &fault);
        progress->bytes += cursor.at - from;
        progress->records++;
    }
    place->at = cursor.at;
    place->record = cursor.place;
    return 0;
}

/* Work a payload from where it was left, if it was begun; as take_payload. of is what else tells it from those that come
 * instead: the epoch of its producer. */
static int
go_on_with(struct process *process, unsigned input, struct span row, struct span payload, uint64_t of,
           struct payload_place *place, struct progress *progress)
{
    if (place->identity != 0 && place->identity != (hash_checksum(payload) ^ of))
        *place = (struct payload_place){0};
    const int rc = take_payload(process, input, row, payload, place, progress);
    if (rc == 0 && place->identity == 0)
        place->identity = hash_checksum(payload) ^ of;
    return rc;
}

static void
add_receipt(struct receipts *receipts, const struct inbox_entry *entry, const struct payload_place *place)
{
    if (receipts->count == receipts->capacity) {
        receipts->capacity = receipts->capacity * 2 + 16;
        receipts->list = realloc(receipts->list, receipts->capacity * sizeof *receipts->list);
        if (receipts->list == NULL)
            log_fatal("out of memory");
    }
    struct receipt *receipt = &receipts->list[receipts->count++];
    receipt->input = entry->input;
    receipt->tally = place->tally;
    receipt->topic_at = receipts->bytes.len;
    receipt->topic_len = entry->response_topic.len;
    buffer_add_span(&receipts->bytes, entry->response_topic);
    buffer_add_byte(&receipts->bytes, '\0');
    receipt->correlation_at = receipts->bytes.len;
    receipt->correlation_len = entry->correlation.len;
    buffer_add_span(&receipts->bytes, entry->correlation);
}

static int
work_inbox(struct process *process, struct progress *progress)
{
    struct payload_place *place = &progress->places[PLACE_INBOX];
    struct inbox_entry entry;
    int rc = 0;

    progress->bytes = 0;
    while (!takes_no_more(process, progress)) {
        uint64_t behind = progress->inbox_position;
        if ((rc = inbox_read(process->inbox, &behind, &entry)) != 1)
            break;
        if (entry.input >= process->stream->input_count)
            log_panic("inbox: an entry for input %u", entry.input);
        progress->worked[PLACE_INBOX] = true;
        process->levels = entry.levels;
        rc = go_on_with(process, entry.input, (struct span){0}, entry.payload, 0, place, progress);
        process->levels = (struct span){0};
        if (rc != 1)
            return rc;
        if (entry.response_topic.len > 0)
            add_receipt(&process->receipts, &entry, place);
        *place = (struct payload_place){0};
        progress->inbox_position = behind;
        progress->bytes += entry.levels.len + entry.response_topic.len + entry.correlation.len;
    }
    if (rc < 0) { /* nothing behind a damaged entry can be found */
        process->why = WHY_STORE_BROKEN;
        return -1;
    }
    return 0;
}

/* Work what is in the link's queue. */
static int
work_link(struct process *process, unsigned input, struct progress *progress)
{
    struct payload_place *place = &progress->places[input];
    struct link *link = &process->links[input];

    pthread_mutex_lock(&process->lock);
    const struct link_message *message = link->first;
    unsigned count = link->message_count;
    pthread_mutex_unlock(&process->lock);
    progress->bytes = 0;
    /* The first `count` messages and the pointers between them don't change any more; the last one's pointer may. */
    while (count > 0 && !takes_no_more(process, progress)) {
        int rc = 1;
        progress->worked[input] = true;
        if (!message->oldest)
            rc = go_on_with(process, input, message->row, message->payload, message->position.epoch, place, progress);
        if (rc != 1)
            return rc;
        if (message->oldest) {
            const struct link_change change = link_change(message);
            progress->left[input] = change.left;
            progress->moved[input] = true;
            if (progress->awaits[input] != 0)
                progress->awaits[input] = change.until;
        }
        *place = (struct payload_place){0};
        progress->links[input] = message->position;
        progress->link_messages[input]++;
        if (message->position.epoch != 0 && message->position.applied >= progress->awaits[input])
            progress->awaits[input] = 0;
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
link_key(struct process *process, const char *what, unsigned input)
{
    buffer_clear(&process->scratch);
    buffer_add_text(&process->scratch, what);
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

#define POSITION_BYTES_MAX 16
#define FAULT_BYTES 6
#define PLACE_BYTES (41 + TALLY_FAULTS_MAX * FAULT_BYTES)

/* Append place to the position in value: how many bytes that is. */
static size_t
encode_place(const struct payload_place *place, char *value)
{
    if (place->identity == 0)
        return 0;
    bytes_put_u64(value, place->at);
    value[8] = (char)place->record;
    bytes_put_u64(value + 9, place->identity);
    bytes_put_u64(value + 17, place->tally.taken);
    bytes_put_u64(value + 25, place->tally.duplicate);
    bytes_put_u64(value + 33, place->tally.invalid);
    value += 41;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, value += FAULT_BYTES) {
        bytes_put_u32(value, place->tally.faults[i].record);
        value[4] = (char)place->tally.faults[i].reason;
        value[5] = (char)place->tally.faults[i].field;
    }
    return PLACE_BYTES;
}

/* What stands behind the position_bytes of value. */
static struct payload_place
decode_place(struct span value, size_t position_bytes)
{
    const char *at = value.at + position_bytes;

    if (value.len < position_bytes + PLACE_BYTES)
        return (struct payload_place){0};
    struct payload_place place = {
        .at = bytes_get_u64(at),
        .record = (enum record_place)at[8],
        .identity = bytes_get_u64(at + 9),
        .tally = {bytes_get_u64(at + 17), bytes_get_u64(at + 25), bytes_get_u64(at + 33), {{0}}},
    };
    at += 41;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, at += FAULT_BYTES) {
        place.tally.faults[i].record = bytes_get_u32(at);
        place.tally.faults[i].reason = (uint8_t)at[4];
        place.tally.faults[i].field = (uint8_t)at[5];
    }
    return place;
}

static int
put_inbox_position(struct process *process, const struct progress *progress)
{
    char value[POSITION_BYTES_MAX + PLACE_BYTES];

    bytes_put_u64(value, progress->inbox_position);
    const size_t len = 8 + encode_place(&progress->places[PLACE_INBOX], value + 8);
    return store_put(process->store, process->meta, inbox_key, span_at(value, len));
}

static int
put_link_position(struct process *process, unsigned input, const struct progress *progress)
{
    char value[POSITION_BYTES_MAX + PLACE_BYTES];

    bytes_put_u64(value, progress->links[input].epoch);
    bytes_put_u64(value + 8, progress->links[input].applied);
    const size_t len = 16 + encode_place(&progress->places[input], value + 16);
    if (store_put(process->store, process->meta, link_key(process, "link ", input), span_at(value, len)) != 0)
        return -1;
    if (progress->awaits[input] != process->links[input].awaits &&
        put_number(process, link_key(process, "awaits ", input), progress->awaits[input]) != 0)
        return -1;
    if (!progress->moved[input])
        return 0;
    char lives[LIVES_BYTES_MAX];
    const struct span left = lives_encode(&progress->left[input], lives);
    return store_put(process->store, process->meta, link_key(process, "left ", input), left);
}

/* Lives. */

static uint64_t
new_epoch(void)
{
    uint64_t epoch;

    do
        hash_random(&epoch, sizeof epoch);
    while (epoch == 0);
    return epoch;
}

/* This store is an older copy of itself: its numbers go on in another life. What is in the outbox stays, under the numbers
 * that it has, and is sent in the new one. */
static int
begin_life(struct process *process, struct progress *progress)
{
    const struct publisher *publisher = &process->output_publisher;
    char lives[LIVES_BYTES_MAX], value[BACK_HEAD_BYTES + NAME_SIZE];
    const size_t name_len = strlen(publisher->older.witness);

    progress->epoch = new_epoch();
    progress->earlier = publisher_end_life(publisher);
    progress->last = process->output.last.sequence;
    bytes_put_u64(value, (uint64_t)process->timekeeper.wall_ms);
    bytes_put_u64(value + 8, publisher->older.knew);
    bytes_put_u64(value + 16, process->output.last.sequence);
    memcpy(value + BACK_HEAD_BYTES, publisher->older.witness, name_len);
    progress->other++;
    const struct span earlier = lives_encode(&progress->earlier, lives);
    if (put_number(process, first_key, process->first_epoch) != 0 || put_number(process, epoch_key, progress->epoch) != 0 ||
        store_put(process->store, process->meta, earlier_key, earlier) != 0)
        return -1;
    return store_put(process->store, process->meta, back_key, span_at(value, BACK_HEAD_BYTES + name_len));
}

/* An operator has seen what was told. A table whose producer no longer has what this state lacks is sent again as a whole,
 * to one who knows nothing of it; of a stream nobody can say what is missing. */
static int
acknowledge(struct process *process, struct progress *progress)
{
    progress->acknowledged = true;
    progress->other++;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream *from = process->stream->inputs[i].from;
        pthread_mutex_lock(&process->lock);
        const bool lost = process->links[i].lost > 0;
        pthread_mutex_unlock(&process->lock);
        if (from == NULL || from->kind != STREAM_TABLE || !lost)
            continue;
        progress->forgotten[i] = progress->moved[i] = progress->worked[i] = true;
        progress->links[i] = (struct link_position){0};
        progress->left[i].count = 0;
        progress->awaits[i] = UINT64_MAX;
        progress->places[i] = (struct payload_place){0};
    }
    return store_delete(process->store, process->meta, back_key) < 0 ? -1 : 0;
}

static void
say_back(const struct process *process)
{
    struct buffer text = {0};

    back_write(&process->back, &text);
    log_error("%s: %s. What came in after the copy was made has had its receipts, and this state does not know it: what "
              "came out of it stays with the consumers, what waited here is gone. Load it again, and what had come out comes "
              "out a second time. Go on with: gait status --acknowledge %s",
              process->stream->name, buffer_text(&text), process->stream->name);
    buffer_free(&text);
}

static int
load_back(struct process *process)
{
    struct back *back = &process->back;
    struct span value;
    const int rc = store_get(process->store, process->meta, back_key, &value);

    *back = (struct back){.told = rc == 1};
    if (rc != 1 || value.len < BACK_HEAD_BYTES)
        return rc < 0 ? -1 : 0;
    back->wall_ms = (int64_t)bytes_get_u64(value.at);
    back->knew = bytes_get_u64(value.at + 8);
    back->last = bytes_get_u64(value.at + 16);
    snprintf(back->witness, sizeof back->witness, "%.*s", (int)(value.len - BACK_HEAD_BYTES), value.at + BACK_HEAD_BYTES);
    return 0;
}

/* What publishers know of it is what is committed. */
static void
tell_publishers(struct process *process)
{
    if (process->output_publisher.outbox == NULL || process->output_publisher.epoch == process->epoch)
        return;
    publisher_begin_life(&process->output_publisher, process->epoch, &process->earlier);
    process->rejected_publisher.epoch = process->epoch;
    if (process->back.told)
        say_back(process);
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
    process->epoch = new_epoch();
    return put_number(process, epoch_key, process->epoch);
}

static int
load_lives(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, first_key, &value);

    if (rc < 0)
        return -1;
    process->first_epoch = rc == 1 ? bytes_get_u64(value.at) : process->epoch;
    rc = store_get(process->store, process->meta, earlier_key, &value);
    if (rc < 0)
        return -1;
    lives_decode(rc == 1 ? value : (struct span){0}, &process->earlier);
    return load_back(process);
}

static int
load_link_position(struct process *process, unsigned input)
{
    struct link_position position = {0};
    struct lives left;
    struct span value;
    int rc = store_get(process->store, process->meta, link_key(process, "link ", input), &value);

    if (rc < 0)
        return -1;
    if (rc == 1) {
        position = (struct link_position){bytes_get_u64(value.at), bytes_get_u64(value.at + 8)};
        process->places[input] = decode_place(value, 16);
    }
    rc = store_get(process->store, process->meta, link_key(process, "left ", input), &value);
    if (rc < 0)
        return -1;
    lives_decode(rc == 1 ? value : (struct span){0}, &left);
    rc = store_get(process->store, process->meta, link_key(process, "awaits ", input), &value);
    if (rc < 0)
        return -1;
    const uint64_t awaits = rc == 1 ? bytes_get_u64(value.at) : 0;
    if (!same_position(position, process->links[input].committed)) {
        /* At the start; and when a commit took place although it failed: what is queued may be applied then. */
        pthread_mutex_lock(&process->lock);
        link_free(&process->links[input]);
        link_begin(&process->links[input], position);
        link_remember(&process->links[input], &left);
        pthread_mutex_unlock(&process->lock);
    }
    process->links[input].awaits = awaits;
    return 0;
}

static int
load_positions(struct process *process)
{
    struct span value;
    int rc = store_get(process->store, process->meta, inbox_key, &value);

    if (rc < 0)
        return -1;
    memset(process->places, 0, sizeof process->places);
    process->inbox_position = rc == 1 ? bytes_get_u64(value.at) : 0;
    if (rc == 1)
        process->places[PLACE_INBOX] = decode_place(value, 8);
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->stream->inputs[i].from != NULL && load_link_position(process, i) != 0)
            return -1;
    }
    return 0;
}

int
batch_load_own(struct process *process)
{
    if (load_format(process) != 0 || load_epoch(process) != 0 || load_lives(process) != 0 || load_mark(process) != 0 ||
        load_positions(process) != 0 || ledger_load(&process->ledger) != 0 || recent_load(&process->recent) != 0 ||
        outbox_load(&process->rejected) != 0 || outbox_load(&process->output) != 0)
        return -1;
    process->own_loaded = true;
    tell_publishers(process);
    return 0;
}

int
batch_load(struct process *process)
{
    if (batch_load_own(process) != 0)
        return -1;
    if (process->stream->operator->load != NULL && process->stream->operator->load(process->operator_state) != 0)
        return -1;
    process->loaded = true;
    return 0;
}

/* The transaction. */

/* Work what has come of tables, or of streams. */
static int
work_links(struct process *process, enum stream_kind kind, struct progress *progress)
{
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        const struct stream *from = process->stream->inputs[i].from;
        if (from != NULL && from->kind == kind && work_link(process, i, progress) != 0)
            return -1;
    }
    return 0;
}

static int
work_due(struct process *process, unsigned budget, struct progress *progress)
{
    const struct operator *operator = process->stream->operator;

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

/* Whether rows that are known to be old are to be replaced first. */
static bool
awaits_rows(const struct process *process, const struct progress *progress)
{
    bool awaits = false;

    for (unsigned i = 0; i < process->stream->input_count; i++)
        awaits = awaits || progress->awaits[i] != 0;
    return awaits;
}

/* Rows come first: a withdrawal must not stand behind what it is to stop. Then what is due, before more is taken in that
 * would add to it. At last, since a record is to be removed from two places at most, the waiting room and the join's
 * readings, as much again as came: under full load as much must go. */
static int
work_all(struct process *process, struct progress *progress)
{
    if (work_links(process, STREAM_TABLE, progress) != 0)
        return -1;
    if (awaits_rows(process, progress))
        return 0;
    if (work_due(process, BATCH_WORK_MAX, progress) != 0 ||
        work_links(process, STREAM_LOG, progress) != 0)
        return -1;
    if (process->inbox != NULL && work_inbox(process, progress) != 0)
        return -1;
    return work_due(process, 2 * progress->records, progress);
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
    if (recent_flush(&process->recent) != 0)
        return -1;
    if (progress->worked[PLACE_INBOX] && put_inbox_position(process, progress) != 0)
        return -1;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->worked[i] && put_link_position(process, i, progress) != 0)
            return -1;
    }
    if (outbox_flush(&process->output) != 0 || outbox_flush(&process->rejected) != 0)
        return -1;
    return ledger_flush(&process->ledger);
}

static void
committed_acknowledgement(struct process *process)
{
    if (process->back.told)
        log_info("%s: that it went back in time is acknowledged", process->stream->name);
    process->back.told = process->acknowledged = false;
}

static void
committed_life(struct process *process, const struct progress *progress)
{
    const struct publisher *publisher = &process->output_publisher;
    struct back *back = &process->back;

    *back = (struct back){true, process->timekeeper.wall_ms, publisher->older.knew, progress->last, ""};
    snprintf(back->witness, sizeof back->witness, "%s", publisher->older.witness);
    process->epoch = progress->epoch;
    process->earlier = progress->earlier;
    tell_publishers(process);
}

static void
committed(struct process *process, const struct progress *progress)
{
    if (process->inbox != NULL && progress->inbox_position != process->inbox_position)
        inbox_release(process->inbox, progress->inbox_position);
    process->inbox_position = progress->inbox_position;
    memcpy(process->places, progress->places, sizeof process->places);
    if (timekeeper_knows(&process->timekeeper))
        timekeeper_committed(&process->timekeeper);
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->forgotten[i]) {
            link_free(&process->links[i]);
            link_begin(&process->links[i], (struct link_position){0});
        } else if (progress->link_messages[i] > 0) {
            link_commit(&process->links[i], progress->link_messages[i]);
        }
        process->links[i].awaits = progress->awaits[i];
    }
    pthread_mutex_unlock(&process->lock);
    if (progress->acknowledged)
        committed_acknowledgement(process);
    if (progress->epoch != 0)
        committed_life(process, progress);
}

static void
begin(struct process *process, int64_t now_ms, struct progress *progress)
{
    process->now_ms = now_ms;
    process->output_failed = false;
    process->output_end = process->output.last.end + process->rejected.last.end;
    process->calls = (struct output){emit, emit_row, refuse, move, full};
    process->receipts.count = 0;
    buffer_clear(&process->receipts.bytes);
    buffer_clear(&process->output_message);
    buffer_clear(&process->rejected_message);
    progress->inbox_position = process->inbox_position;
    memcpy(progress->places, process->places, sizeof progress->places);
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        progress->links[i] = process->links[i].committed;
        progress->awaits[i] = process->links[i].awaits;
    }
}

/* What comes before anything is decided. */
static int
see_to_lives(struct process *process, struct progress *progress)
{
    if (process->acknowledged && acknowledge(process, progress) != 0)
        return -1;
    return process->output_publisher.older.seen ? begin_life(process, progress) : 0;
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
    bool worked = progress->other > 0 || clock_was_set(process);

    for (unsigned i = 0; i < PLACES; i++)
        worked = worked || progress->worked[i];
    return worked;
}

/* After an aborted transaction: what is in memory must be what is committed, before anybody is shown it. */
static void
reload(struct process *process)
{
    process->loaded = process->own_loaded = false;
    if (store_begin(process->store) == 0)
        batch_load(process);
    store_abort(process->store);
}

/* As batch_work; with for_room, to make some. */
static int
transact(struct process *process, int64_t now_ms, bool intake, bool for_room)
{
    struct progress progress = {0};

    if (store_begin(process->store) != 0) {
        process->fault = store_fault(process->store);
        return -1;
    }
    if (!process->loaded && batch_load(process) != 0)
        goto fail;
    begin(process, now_ms, &progress);
    if (!for_room && see_to_lives(process, &progress) != 0)
        goto fail;
    if (intake && !progress.acknowledged && !process->newcomers.active && work_all(process, &progress) != 0)
        goto fail;
    int appended = for_room ? 0 : newcomer_work(process);
    if (appended < 0)
        goto fail;
    progress.other += (unsigned)appended;
    if (trim(process, &progress) != 0)
        goto fail;
    /* Pages that a transaction frees are used again by the next but one: there has to be one in between, and one that
     * changes nothing is none. */
    if (for_room && put_number(process, format_key, FORMAT_VERSION) != 0)
        goto fail;
    /* Before the flush: that changes what operators have in memory, and they are not told of this abort. */
    if (!anything(process, &progress) && !for_room) {
        store_abort(process->store);
        return 0;
    }
    if (flush(process, &progress) != 0)
        goto fail;
    if (store_commit(process->store) != 0)
        goto fail;
    committed(process, &progress);
    if (!for_room)
        newcomer_committed(process);
    if (process->stream->operator->committed != NULL &&
        process->stream->operator->committed(process->operator_state) != 0) {
        process->fault = store_fault(process->store);
        process->loaded = false;
        return -1;
    }
    return 1;
fail:
    store_abort(process->store);
    process->fault = store_fault(process->store);
    process->receipts.count = 0;
    reload(process);
    return -1;
}

int
batch_work(struct process *process, int64_t now_ms, bool intake)
{
    return transact(process, now_ms, intake, false);
}

int
batch_make_room(struct process *process, int64_t now_ms)
{
    return transact(process, now_ms, false, true);
}

bool
batch_waits(struct process *process, int64_t now_ms, bool intake)
{
    const struct operator *operator = process->stream->operator;
    bool waits = false;

    if (process->newcomers.active || process->acknowledged || process->output_publisher.older.seen)
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

static void
write_receipt(const struct tally *tally, enum record_kind kind, struct buffer *text)
{
    unsigned field_count;
    const struct record_field *fields = record_fields(kind, &field_count);

    buffer_printf(text, "{\"taken\":%" PRIu64 ",\"duplicate\":%" PRIu64 ",\"invalid\":%" PRIu64, tally->taken,
                  tally->duplicate, tally->invalid);
    for (unsigned i = 0; i < tally->invalid && i < TALLY_FAULTS_MAX; i++) {
        buffer_printf(text, "%s{\"record\":%" PRIu32 ",\"reason\":\"%s\"", i == 0 ? ",\"faults\":[" : ",",
                      tally->faults[i].record, reason_word((enum reason)tally->faults[i].reason));
        if (tally->faults[i].field < field_count)
            buffer_printf(text, ",\"field\":\"%s\"", fields[tally->faults[i].field].name);
        buffer_add_byte(text, '}');
    }
    buffer_add_text(text, tally->invalid > 0 ? "]}" : "}");
}

void
batch_send_receipts(struct process *process)
{
    struct receipts *receipts = &process->receipts;
    struct wire *wire = process->link_port.wire;

    for (unsigned i = 0; i < receipts->count; i++) {
        const struct receipt *receipt = &receipts->list[i];
        buffer_clear(&process->scratch);
        write_receipt(&receipt->tally, process->stream->inputs[receipt->input].record, &process->scratch);
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
