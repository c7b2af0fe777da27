/*
 * batch: one transaction of a process, from what has arrived to the commit.
 */
#include <errno.h>
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
 *
 * What 3 has more than 2 is told apart where it stands (flags of a customer's row, the sign of a consent's date, the length
 * of a place, keys that are absent), so a store of 2 becomes one of 3 with its first transaction; and one of 3 one of 4,
 * which says that entries of the inbox may have marks: programs of before would take them for damaged.
 */
#define FORMAT_VERSION 4
#define FORMAT_OLDEST 2

static bool
is_read(uint64_t format)
{
    return format >= FORMAT_OLDEST && format <= FORMAT_VERSION;
}

static const struct span format_key = {"format", 6};

/* Value: the name of the process that the state is of. Absent in stores of versions that did not say it. */
static const struct span process_key = {"process", 7};

static const struct span epoch_key = {"epoch", 5};
static const struct span inbox_key = {"inbox", 5};

/* The key of the marks in the inbox (inbox.h), INBOX_KEY_BYTES of it; made when it is first wanted. */
static const struct span inbox_mark_key = {"inbox_key", 9};
#define INBOX_KEY_BYTES 16

/* Value: u64 BE each gaps, bytes, from and to (struct inbox_lost). Absent when nothing is to be acknowledged. */
static const struct span inbox_lost_key = {"inbox_lost", 10};

/* Value: u8 1: persons are told apart without the capitals of their e-mail addresses. Absent: with them. */
static const struct span email_case_key = {"email_case", 10};

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

void
batch_add_record(struct process *process, struct outbox *outbox, struct buffer *message, struct span body)
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
    batch_add_record(process, &process->output, &process->output_message, body);
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

static void
refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    refusal_tell(process_of(output), input, (struct fault){reason, NULL}, body, false);
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    ledger_move(&process_of(output)->ledger, input, from, to);
}

/* Input. */

/*
 * Records that the process died of. Table layout "aside": key = number u64 BE, from 1; value = input u8, then the bytes that
 * the record came in. ASIDE_MAX of them are kept for whoever is going to find out why.
 */
#define ASIDE_MAX 64

static int
keep_aside(struct process *process, unsigned input, struct span bytes, uint64_t *number)
{
    char key[8];
    char *room;
    struct store_item last;
    int rc = store_last(process->store, process->aside, &last);

    *number = rc == 1 && last.key.len == sizeof key ? bytes_get_u64(last.key.at) + 1 : 1;
    if (rc < 0 || *number > ASIDE_MAX)
        return rc < 0 ? -1 : 0;
    bytes_put_u64(key, *number);
    if (store_put_room(process->store, process->aside, span_at(key, sizeof key), 1 + bytes.len, &room) != 0)
        return -1;
    room[0] = (char)input;
    if (bytes.len > 0)
        memcpy(room + 1, bytes.at, bytes.len);
    return 0;
}

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

/* Whether a customer is dated ahead of what one of our clocks says: that can be why a withdrawal does not hold. */
static bool
is_ahead(const struct process *process, const struct record *record)
{
    if (record->kind != RECORD_CUSTOMER)
        return false;
    const int64_t earliest_ms = timekeeper_earliest_ms(&process->timekeeper);
    return record->time_ms > earliest_ms || record->research_as_of_ms > earliest_ms;
}

static uint64_t
taken_in(const struct tally *tally)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        sum += tally->verdicts[i];
    return sum;
}

static void
add_fault_to_tally(struct tally *tally, enum record_kind kind, const struct fault *fault)
{
    const uint64_t invalid = tally->verdicts[VERDICT_INVALID];

    if (invalid >= TALLY_FAULTS_MAX)
        return;
    tally->faults[invalid].record = (uint32_t)taken_in(tally); /* fewer than the payload has bytes */
    tally->faults[invalid].reason = (uint8_t)fault->reason;
    tally->faults[invalid].field = field_number(kind, fault->field);
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
    struct inbox_lost lost;
    unsigned link_messages[OPERATOR_INPUTS_MAX]; /* that are worked */
    struct payload_place places[PLACES];
    bool worked[PLACES]; /* there is something new to say of the place, or the position before it */
    unsigned records;
    size_t bytes;   /* of the input at work */
    unsigned other; /* steps of expiry, release, trimming */
    bool careful;   /* one record, or step, and no more: see attempt.h */
};

/* Whether this transaction has put out so much that it had better end: one record can have many partners. */
static bool
output_is_full(const struct process *process)
{
    const uint64_t end = process->output.last.end + process->rejected.last.end;
    return end - process->output_end > process->batch_output_bytes_max;
}

/* Something stored that is worked alone is all that its transaction does, whatever brought it about. */
static bool
full(struct output *output)
{
    const struct process *process = process_of(output);
    return process->alone || output_is_full(process);
}

/* Whether the input at work has to wait for the next transaction. */
static bool
takes_no_more(const struct process *process, const struct progress *progress)
{
    return progress->records >= (progress->careful ? 1 : process->batch_records_max) ||
           progress->bytes >= BATCH_PAYLOAD_BYTES_MAX || output_is_full(process);
}

/* The first of the levels that the payload at hand came with. An account's others are its own to choose. */
static struct span
sender_of(const struct process *process)
{
    const struct span levels = process->levels;
    const char *end = levels.len > 0 ? memchr(levels.at, '/', levels.len) : NULL;

    return end != NULL ? span_at(levels.at, (size_t)(end - levels.at)) : levels;
}

static int
take_record(struct process *process, unsigned input, const struct record *record, struct span row, enum verdict *verdict,
            struct progress *progress)
{
    const struct arrival arrival = {.input = input,
                                    .record = record,
                                    .row = row,
                                    .sender = sender_of(process),
                                    .now_ms = process->now_ms,
                                    .wall_ms = process->timekeeper.wall_ms,
                                    .output = &process->calls};

    progress->records++;
    *verdict = process->stream->operator->take(process->operator_state, &arrival);
    return *verdict == VERDICT_ERROR || process->output_failed ? -1 : 0;
}

/* A bad record: each of the first of a payload is told of by itself. Those that are only counted cost no more than their
 * bytes; as records they would make many transactions of one payload, each of which looks at all of it. */
static void
take_fault(struct process *process, unsigned input, struct fault fault, struct span text, const struct tally *tally,
           struct progress *progress)
{
    if (tally->verdicts[VERDICT_INVALID] >= process->payload_faults_max) {
        refusal_count(process, input, fault);
        return;
    }
    refusal_tell(process, input, fault, text, true);
    progress->records++;
}

/* Whether the payload at *place has had faults which are told in sum, when it ends. */
static bool
has_untold(const struct process *process, const struct payload_place *place)
{
    return place->tally.verdicts[VERDICT_INVALID] > process->payload_faults_max;
}

/* The payload at *place is worked, or is none of those that come any more. One without records costs its transaction a
 * record too: there may be very many. */
static void
leave_payload(struct process *process, struct payload_place *place, struct progress *progress)
{
    progress->records += taken_in(&place->tally) == 0;
    if (has_untold(process, place))
        refusal_tell_counted(process);
    *place = (struct payload_place){0};
}

/* Where the next record of each place stands. */
static struct attempt_front
front_of(const struct progress *progress, unsigned place)
{
    if (place == PLACE_INBOX)
        return (struct attempt_front){progress->inbox_position, progress->places[place].at};
    return (struct attempt_front){progress->links[place].applied ^ progress->links[place].epoch, progress->places[place].at};
}

/* Find where the record at cursor ends, without working it. A process that dies of even that loses what is left of the
 * payload with it. As record_next, with REASON_POISON. */
static int
pass_over(struct process *process, unsigned input, unsigned deaths, struct record_cursor *cursor, struct fault *fault)
{
    struct record record;
    int rc = 1;

    if (deaths > ATTEMPT_DEATHS)
        *cursor = (struct record_cursor){cursor->payload, cursor->payload.len, RECORD_AT_END};
    else
        rc = record_next(process->decoders[input], cursor, RECORD_FROM_LINK, 0, &record, fault);
    *fault = (struct fault){REASON_POISON, NULL};
    return rc;
}

/* The process died of the record at cursor again and again: it goes to those that are set aside. As record_next. */
static int
set_aside(struct process *process, unsigned input, struct attempt_front front, unsigned deaths,
          struct record_cursor *cursor, struct fault *fault)
{
    const size_t from = cursor->at;
    uint64_t number;

    if (pass_over(process, input, deaths, cursor, fault) == 0)
        return 0;
    if (keep_aside(process, input, span_at(cursor->payload.at + from, cursor->at - from), &number) != 0)
        return -1;
    log_error("died of one record again and again: it is set aside, with number %llu, and counted as invalid, with the "
              "reason poison. Input %s, %zu bytes from %zu on of the payload at %llu; the first %d of them are kept in the "
              "table `aside` of the state", (unsigned long long)number, process->stream->inputs[input].name,
              cursor->at - from, from, (unsigned long long)front.position, ASIDE_MAX);
    process->set_aside++;
    return 1;
}

/* As struct output has it. */
static bool
deadly(struct output *output, unsigned input, struct span place, struct span body)
{
    struct process *process = process_of(output);
    uint64_t number;

    if (!attempt_is_careful(&process->attempt))
        return false;
    process->alone = true;
    const struct attempt_front front = {hash_checksum(place), input};
    const unsigned deaths = attempt_begin_one(&process->attempt, ATTEMPT_STORED, front);
    if (deaths < ATTEMPT_DEATHS)
        return false;
    const struct span kept = span_at(body.at, deaths > ATTEMPT_DEATHS ? 0 : body.len);
    if (keep_aside(process, input, kept, &number) != 0) {
        process->output_failed = true;
        return true;
    }
    refusal_tell(process, input, (struct fault){REASON_POISON, NULL}, (struct span){0}, false);
    log_error("died of one stored record again and again, of input %s: it is set aside, with number %llu, and counted with "
              "the reason poison; the first %d of them are kept in the table `aside` of the state",
              process->stream->inputs[input].name, (unsigned long long)number, ASIDE_MAX);
    process->set_aside++;
    return true;
}

/* The next record of a payload: as record_next, or −1. Where records are worked one by one, it is noted before. */
static int
next_record(struct process *process, unsigned input, unsigned place, const struct progress *progress,
            struct record_cursor *cursor, struct record *record, struct fault *fault)
{
    const bool landing = process->stream->inputs[input].landing != NULL;

    if (progress->careful) {
        struct attempt_front front = front_of(progress, place);
        front.at = cursor->at;
        const unsigned deaths = attempt_begin_one(&process->attempt, place, front);
        if (deaths >= ATTEMPT_DEATHS)
            return set_aside(process, input, front, deaths, cursor, fault);
    }
    return record_next(process->decoders[input], cursor, landing ? RECORD_FROM_LANDING : RECORD_FROM_LINK,
                       timekeeper_latest_ms(&process->timekeeper), record, fault);
}

/* Work records of a payload from *place on until it ends, or the transaction has enough. 1 all are worked; 0 it is to
 * go on at *place; −1. */
static int
take_payload(struct process *process, unsigned input, struct span row, struct span payload, struct payload_place *place,
             struct progress *progress)
{
    const unsigned number = (unsigned)(place - progress->places);
    struct record_cursor cursor = {.payload = payload, .at = (size_t)place->at, .place = place->record};
    struct record record;
    struct fault fault;

    while (!takes_no_more(process, progress)) {
        enum verdict verdict = VERDICT_INVALID;
        size_t from = cursor.at;
        int rc = next_record(process, input, number, progress, &cursor, &record, &fault);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            progress->bytes += payload.len - from;
            return 1;
        }
        if (fault.reason != REASON_NONE) {
            const struct span text = span_at(payload.at + from, fault.reason == REASON_POISON ? 0 : cursor.at - from);
            take_fault(process, input, fault, text, &place->tally, progress);
            add_fault_to_tally(&place->tally, process->stream->inputs[input].record, &fault);
        } else if (take_record(process, input, &record, row, &verdict, progress) != 0) {
            return -1;
        }
        ledger_count(&process->ledger, input, verdict);
        place->tally.verdicts[verdict]++;
        place->tally.ahead += fault.reason == REASON_NONE && is_ahead(process, &record);
        progress->bytes += cursor.at - from;
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
    if (place->identity != 0 && (place->identity != (hash_checksum(payload) ^ of) || place->at > payload.len))
        leave_payload(process, place, progress);
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

/* What stands at the inbox's front can't be read, and is passed over: what was begun there is not gone on with. */
static void
pass_gap(struct process *process, const struct inbox_gap *gap, struct progress *progress)
{
    struct inbox_lost *lost = &progress->lost;

    leave_payload(process, &progress->places[PLACE_INBOX], progress);
    progress->inbox_position = gap->to;
    progress->worked[PLACE_INBOX] = true;
    if (!gap->damage)
        return;
    lost->from = lost->gaps == 0 ? gap->from : lost->from;
    lost->to = gap->to;
    lost->bytes += gap->to - gap->from;
    lost->gaps++;
}

static int
work_inbox(struct process *process, struct progress *progress)
{
    struct payload_place *place = &progress->places[PLACE_INBOX];
    struct inbox_entry entry;
    struct inbox_gap gap;
    int rc = 0;

    progress->bytes = 0;
    while (!takes_no_more(process, progress)) {
        uint64_t behind = progress->inbox_position;
        rc = inbox_read(process->inbox, &behind, &entry, &gap);
        if (rc >= 0 && gap.from != gap.to)
            pass_gap(process, &gap, progress);
        if (rc != 1)
            break;
        if (entry.input >= process->stream->input_count || process->stream->inputs[entry.input].landing == NULL) {
            inbox_damaged(process->inbox, progress->inbox_position, "is for an input that this process does not have");
            errno = EINVAL;
            rc = -1;
            break;
        }
        progress->worked[PLACE_INBOX] = true;
        process->levels = entry.levels;
        rc = go_on_with(process, entry.input, (struct span){0}, entry.payload, 0, place, progress);
        process->levels = (struct span){0};
        if (rc != 1)
            return rc;
        if (entry.response_topic.len > 0)
            add_receipt(&process->receipts, &entry, place);
        leave_payload(process, place, progress);
        progress->inbox_position = behind;
        progress->bytes += entry.levels.len + entry.response_topic.len + entry.correlation.len;
    }
    if (rc < 0) /* full: for what is damaged, which is to be kept */
        store_found(process->store, errno == ENOSPC || errno == EDQUOT ? STORE_FULL : STORE_BROKEN);
    return rc < 0 ? -1 : 0;
}

/* Begin on the link as one that knows nothing of its producer; nothing else is worked until all rows have come. */
static void
forget_table(struct process *process, unsigned input, struct progress *progress)
{
    progress->forgotten[input] = progress->moved[input] = progress->worked[input] = true;
    progress->links[input] = (struct link_position){0};
    progress->left[input].count = 0;
    progress->awaits[input] = LINK_NO_END;
    leave_payload(process, &progress->places[input], progress);
}

/* Work what is in the link's queue. */
static int
work_link(struct process *process, unsigned input, struct progress *progress)
{
    struct payload_place *place = &progress->places[input];
    struct link *link = &process->links[input];

    pthread_mutex_lock(&process->lock);
    const struct link_message *message = link->first;
    unsigned count = link->twofold == 0 ? link->message_count : 0; /* one of those that wait may be forged */
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
            if (progress->awaits[input] != 0 && change.until == LINK_NO_END) {
                forget_table(process, input, progress); /* its producer went back, maybe to before our rows were sent */
                return 0;
            }
            if (progress->awaits[input] != 0)
                progress->awaits[input] = change.until;
        }
        leave_payload(process, place, progress);
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
link_key_of(const struct stream *stream, const char *what, unsigned input, struct buffer *text)
{
    buffer_clear(text);
    buffer_add_text(text, what);
    buffer_add_text(text, stream->inputs[input].from->name);
    return buffer_span(text);
}

static struct span
link_key(struct process *process, const char *what, unsigned input)
{
    return link_key_of(process->stream, what, input, &process->scratch);
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
#define PLACE_BYTES_OF_BEFORE (41 + TALLY_FAULTS_MAX * FAULT_BYTES)
#define PLACE_BYTES (PLACE_BYTES_OF_BEFORE + 40)

/* What stands behind the faults, then ahead. */
static const enum verdict place_verdicts[] = {VERDICT_PASSED, VERDICT_WAITING, VERDICT_REFUSED, VERDICT_STALE};

/* Append place to the position in value: how many bytes that is. */
static size_t
encode_place(const struct payload_place *place, char *value)
{
    if (place->identity == 0)
        return 0;
    bytes_put_u64(value, place->at);
    value[8] = (char)place->record;
    bytes_put_u64(value + 9, place->identity);
    bytes_put_u64(value + 17, taken_in(&place->tally));
    bytes_put_u64(value + 25, place->tally.verdicts[VERDICT_DUPLICATE]);
    bytes_put_u64(value + 33, place->tally.verdicts[VERDICT_INVALID]);
    value += 41;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, value += FAULT_BYTES) {
        bytes_put_u32(value, place->tally.faults[i].record);
        value[4] = (char)place->tally.faults[i].reason;
        value[5] = (char)place->tally.faults[i].field;
    }
    for (unsigned i = 0; i < 4; i++, value += 8)
        bytes_put_u64(value, place->tally.verdicts[place_verdicts[i]]);
    bytes_put_u64(value, place->tally.ahead);
    return PLACE_BYTES;
}

/* The counts of a tally in the value of a place, with what a store of before did not say: what became of the rest. */
static void
decode_counts(const char *at, bool of_before, struct tally *tally)
{
    tally->verdicts[VERDICT_DUPLICATE] = bytes_get_u64(at + 25);
    tally->verdicts[VERDICT_INVALID] = bytes_get_u64(at + 33);
    if (of_before) {
        tally->verdicts[VERDICT_PASSED] = bytes_get_u64(at + 17) - taken_in(tally);
        return;
    }
    at += PLACE_BYTES_OF_BEFORE;
    for (unsigned i = 0; i < 4; i++, at += 8)
        tally->verdicts[place_verdicts[i]] = bytes_get_u64(at);
    tally->ahead = bytes_get_u64(at);
}

/* Whether the place is one. */
static bool
is_place(const struct payload_place *place)
{
    bool right = place->record <= RECORD_AT_END;

    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++)
        right = right && place->tally.faults[i].reason < REASON_COUNT;
    return right;
}

static struct payload_place
decode_place(const char *at, bool of_before)
{
    struct payload_place place = {
        .at = bytes_get_u64(at), .record = (enum record_place)at[8], .identity = bytes_get_u64(at + 9)};
    decode_counts(at, of_before, &place.tally);
    at += 41;
    for (unsigned i = 0; i < TALLY_FAULTS_MAX; i++, at += FAULT_BYTES) {
        place.tally.faults[i].record = bytes_get_u32(at);
        place.tally.faults[i].reason = (uint8_t)at[4];
        place.tally.faults[i].field = (uint8_t)at[5];
    }
    return place;
}

/* The value of position_bytes at key in "meta", and the place behind it, if there is one. 1, 0, −1. */
static int
get_position(struct process *process, struct span key, size_t position_bytes, struct span *value,
             struct payload_place *place)
{
    int rc = store_get(process->store, process->meta, key, value);

    *place = (struct payload_place){0};
    if (rc != 1 || value->len == position_bytes)
        return rc;
    const size_t place_bytes = value->len - position_bytes;
    const bool right = value->len > position_bytes && (place_bytes == PLACE_BYTES || place_bytes == PLACE_BYTES_OF_BEFORE);
    if (right)
        *place = decode_place(value->at + position_bytes, place_bytes == PLACE_BYTES_OF_BEFORE);
    if (!right || !is_place(place))
        return store_damaged_at(process->store, process->meta, key, "a position that is none");
    return 1;
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

/* Whether what this process gives out follows a table of this input, whose rows must not be old. */
static bool
follows_rows(const struct process *process, unsigned input)
{
    const struct stream *from = process->stream->inputs[input].from;
    return from != NULL && from->kind == STREAM_TABLE && process->stream->topic != NULL;
}

/* The same for all tables, before anything is read of them: of a state that was restored. 0 or −1. */
static int
forget_tables(struct process *process)
{
    static const char nowhere[POSITION_BYTES_MAX];
    int rc = 0;

    for (unsigned i = 0; i < process->stream->input_count && rc >= 0; i++) {
        if (!follows_rows(process, i))
            continue;
        rc = store_put(process->store, process->meta, link_key(process, "link ", i), span_at(nowhere, sizeof nowhere));
        if (rc == 0)
            rc = put_number(process, link_key(process, "awaits ", i), LINK_NO_END);
        if (rc == 0)
            rc = store_delete(process->store, process->meta, link_key(process, "left ", i));
    }
    return rc < 0 ? -1 : 0;
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
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (follows_rows(process, i))
            forget_table(process, i, progress);
    }
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
        forget_table(process, i, progress);
    }
    progress->lost = (struct inbox_lost){0};
    if (store_delete(process->store, process->meta, back_key) < 0)
        return -1;
    return store_delete(process->store, process->meta, inbox_lost_key) < 0 ? -1 : 0;
}

static void
say_back(const struct process *process)
{
    struct buffer text = {0};

    back_write(&process->back, &text);
    log_error("%s: %s. What came in after the copy was made has had its receipts, and this state does not know it: what "
              "came out of it stays with the consumers, what waited here is gone. Load it again, and what had come out "
              "comes out a second time. If no copy was put in its place, somebody else publishes in the name of one of the "
              "two: look at who may write to link/. Go on with: gait status --acknowledge %s",
              process->stream->name, buffer_text(&text), process->stream->name);
    buffer_free(&text);
}

/* Whether it can be shown to people. */
static bool
is_name(struct span text)
{
    bool right = text.len > 0 && text.len < NAME_SIZE;

    for (size_t i = 0; right && i < text.len; i++)
        right = text.at[i] >= ' ' && text.at[i] <= '~';
    return right;
}

static int
load_back(struct process *process)
{
    struct back *back = &process->back;
    struct span value;
    const int rc = store_get(process->store, process->meta, back_key, &value);

    *back = (struct back){0};
    if (rc != 1)
        return rc;
    if (value.len < BACK_HEAD_BYTES)
        return store_damaged_at(process->store, process->meta, back_key, "a note that is too short");
    const struct span witness = span_at(value.at + BACK_HEAD_BYTES, value.len - BACK_HEAD_BYTES);
    if (!is_name(witness))
        return store_damaged_at(process->store, process->meta, back_key, "a note that is none");
    back->told = true;
    back->wall_ms = (int64_t)bytes_get_u64(value.at);
    back->knew = bytes_get_u64(value.at + 8);
    back->last = bytes_get_u64(value.at + 16);
    memcpy(back->witness, witness.at, witness.len);
    return 0;
}

static int
put_lost(struct process *process, const struct inbox_lost *lost)
{
    const uint64_t numbers[] = {lost->gaps, lost->bytes, lost->from, lost->to};
    char value[sizeof numbers];

    for (unsigned i = 0; i < 4; i++)
        bytes_put_u64(value + 8 * i, numbers[i]);
    return store_put(process->store, process->meta, inbox_lost_key, span_at(value, sizeof value));
}

static int
load_lost(struct process *process)
{
    struct span value;
    const int rc = store_get_exact(process->store, process->meta, inbox_lost_key, 32, &value);

    process->lost = (struct inbox_lost){0};
    if (rc == 1)
        process->lost = (struct inbox_lost){bytes_get_u64(value.at), bytes_get_u64(value.at + 8),
                                            bytes_get_u64(value.at + 16), bytes_get_u64(value.at + 24)};
    return rc < 0 ? -1 : 0;
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
    struct timekeeper_mark *mark = &process->timekeeper.committed;
    int rc = store_get_exact(process->store, process->meta, clock_key, 16, &value);

    *mark = (struct timekeeper_mark){0};
    if (rc == 1)
        *mark = (struct timekeeper_mark){(int64_t)bytes_get_u64(value.at), (int64_t)bytes_get_u64(value.at + 8)};
    if (!record_time_is_right(mark->now_ms) || !record_time_is_right(mark->wall_ms))
        return store_damaged_at(process->store, process->meta, clock_key, "a time that is none");
    return rc < 0 ? -1 : 0;
}

static bool
folds_email(const struct config *config)
{
    return config_int(config, "limits", "email_case") != 0;
}

/* For a new store. */
static int
note_email_case(struct process *process)
{
    return folds_email(process->options.config) ?
               store_put(process->store, process->meta, email_case_key, span_at("\1", 1)) : 0;
}

/* Rows and persons are kept by hashes of the addresses, which can't be made again in the other way. */
int
batch_email_case_fits(struct store *store, int meta, const struct config *config, struct buffer *fault)
{
    struct span value;
    int rc = store_get(store, meta, email_case_key, &value);

    if (rc < 0)
        return -1;
    const bool folded = rc == 1 && value.len == 1 && value.at[0] == 1;
    if (folded == folds_email(config))
        return 1;
    buffer_printf(fault, "was made with [limits] email_case = %s, and the configuration says %s: set it back, or, to begin "
                  "anew with the other, stop all processes, remove the state folders and the lake, and load again",
                  folded ? "fold" : "keep", folded ? "keep" : "fold");
    return 0;
}

static int
check_email_case(struct process *process)
{
    struct buffer fault = {0};
    const int rc = batch_email_case_fits(process->store, process->meta, process->options.config, &fault);

    if (rc == 0)
        log_config_error("the state in %s %s", process->dir, buffer_text(&fault));
    buffer_free(&fault);
    return rc == 1 ? 0 : -1;
}

/* Whose state it is: 1 that process's, 0 the store does not say it, −1 another's, with a line in the log, or an error. */
static int
check_process(struct store *store, int meta, const struct stream *stream)
{
    struct span value;
    const int rc = store_get(store, meta, process_key, &value);

    if (rc != 1 || span_is(value, stream->name))
        return rc;
    if (!is_name(value))
        return store_damaged_at(store, meta, process_key, "a name that is none");
    log_error("what lies in the place of %s's state is that of %.*s: put each state folder back in its place",
              stream->name, (int)value.len, value.at);
    return -1;
}

/* A store in which nothing was ever committed becomes that of this process. */
static int
begin_state(struct process *process)
{
    if (!store_is_new(process->store))
        return store_damaged_at(process->store, process->meta, format_key, "it is missing");
    if (put_number(process, format_key, FORMAT_VERSION) != 0 ||
        store_put(process->store, process->meta, process_key, span_of(process->stream->name)) != 0)
        return -1;
    return note_email_case(process);
}

static int
load_format(struct process *process)
{
    struct span value;
    int rc = store_get_exact(process->store, process->meta, format_key, 8, &value);

    if (rc != 1)
        return rc < 0 ? -1 : begin_state(process);
    const uint64_t format = bytes_get_u64(value.at);
    if (!is_read(format)) {
        log_error("the state in %s has format %" PRIu64 ", and this program reads %d to %d: go on with the version that "
                  "made it, or remove the folder and load again", process->dir, format, FORMAT_OLDEST, FORMAT_VERSION);
        return -1;
    }
    if ((rc = check_process(process->store, process->meta, process->stream)) < 0)
        return -1;
    if (rc == 0 && store_put(process->store, process->meta, process_key, span_of(process->stream->name)) != 0)
        return -1;
    if (format != FORMAT_VERSION && put_number(process, format_key, FORMAT_VERSION) != 0)
        return -1;
    return check_email_case(process);
}

/* The key of the inbox's marks, if there is one. 1, 0, −1. */
static int
get_inbox_key(struct store *store, int meta, struct hash_key *key)
{
    struct span value;
    const int rc = store_get_exact(store, meta, inbox_mark_key, INBOX_KEY_BYTES, &value);

    if (rc == 1)
        memcpy(key->bytes, value.at, INBOX_KEY_BYTES);
    return rc;
}

int
batch_has_inbox_key(struct process *process)
{
    struct hash_key key;

    return get_inbox_key(process->store, process->meta, &key);
}

/* Of stores that have no inbox too: what is the same for all needs no reason. */
static int
load_inbox_key(struct process *process)
{
    struct hash_key *key = &process->inbox_key;
    const int rc = get_inbox_key(process->store, process->meta, key);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    hash_random(key->bytes, INBOX_KEY_BYTES);
    return store_put(process->store, process->meta, inbox_mark_key, span_at((const char *)key->bytes, INBOX_KEY_BYTES));
}

static int
load_epoch(struct process *process)
{
    struct span value;
    int rc = store_get_exact(process->store, process->meta, epoch_key, 8, &value);

    if (rc < 0)
        return -1;
    if (rc == 0 && !store_is_new(process->store))
        return store_damaged_at(process->store, process->meta, epoch_key, "it is missing");
    if (rc == 1) {
        process->epoch = bytes_get_u64(value.at);
        return process->epoch != 0 ? 0 : store_damaged_at(process->store, process->meta, epoch_key, "it is none");
    }
    process->epoch = new_epoch();
    return put_number(process, epoch_key, process->epoch);
}

/* The numbers at key, if there are any: 1, 0, −1. */
static int
get_numbers(struct store *store, int meta, struct span key, uint64_t *numbers, unsigned count)
{
    struct span value;
    const int rc = store_get(store, meta, key, &value);

    if (rc == 1 && value.len < count * sizeof *numbers)
        return -1;
    for (unsigned i = 0; rc == 1 && i < count; i++)
        numbers[i] = bytes_get_u64(value.at + i * sizeof *numbers);
    return rc;
}

/* The lives at key in "meta", none if there are none. 0 or −1. */
static int
get_lives(struct store *store, int meta, struct span key, struct lives *lives)
{
    struct span value;
    const int rc = store_get(store, meta, key, &value);

    lives->count = 0;
    if (rc == 1 && lives_decode(value, lives) != 0)
        return store_damaged_at(store, meta, key, "lives that are none");
    return rc < 0 ? -1 : 0;
}

int
batch_read_positions(struct store *store, int meta, const struct stream *stream, struct cut_positions *positions)
{
    struct buffer key = {0};
    struct span value;
    uint64_t format = 0;

    *positions = (struct cut_positions){0};
    int rc = get_numbers(store, meta, format_key, &format, 1);
    if (rc == 1 && !is_read(format)) {
        log_error("the state of %s has format %" PRIu64 ", and this program reads %d to %d", stream->name, format,
                  FORMAT_OLDEST, FORMAT_VERSION);
        return -1;
    }
    if (rc == 1 && check_process(store, meta, stream) < 0)
        return -1;
    rc = rc == 1 ? get_numbers(store, meta, epoch_key, &positions->epoch, 1) : -1;
    rc = rc == 1 ? get_numbers(store, meta, inbox_key, &positions->inbox, 1) : -1;
    rc = rc >= 0 ? get_numbers(store, meta, first_key, &positions->inbox_epoch, 1) : -1;
    positions->inbox_epoch = rc == 1 ? positions->inbox_epoch : positions->epoch;
    rc = rc >= 0 ? get_inbox_key(store, meta, &positions->inbox_key) : -1;
    rc = rc >= 0 ? get_lives(store, meta, earlier_key, &positions->earlier) : -1;
    for (unsigned i = 0; i < stream->input_count && rc >= 0; i++) {
        uint64_t link[2] = {0};
        if (stream->inputs[i].from != NULL)
            rc = get_numbers(store, meta, link_key_of(stream, "link ", i, &key), link, 2);
        if (stream->inputs[i].from != NULL && rc >= 0)
            rc = get_lives(store, meta, link_key_of(stream, "left ", i, &key), &positions->left[i]);
        positions->links[i] = (struct link_position){link[0], link[1]};
    }
    rc = rc >= 0 ? store_get(store, meta, back_key, &value) : -1;
    positions->back = rc == 1;
    buffer_free(&key);
    if (rc < 0)
        log_error("the state of %s: what it says of its positions is damaged, or not of this program", stream->name);
    return rc < 0 ? -1 : 0;
}

/* The number at key in "meta", 0 if there is none. 0 or −1. */
static int
get_number(struct process *process, struct span key, uint64_t *number)
{
    struct span value;
    const int rc = store_get_exact(process->store, process->meta, key, 8, &value);

    *number = rc == 1 ? bytes_get_u64(value.at) : 0;
    return rc < 0 ? -1 : 0;
}

static int
load_lives(struct process *process)
{
    if (get_number(process, first_key, &process->first_epoch) != 0 ||
        get_lives(process->store, process->meta, earlier_key, &process->earlier) != 0)
        return -1;
    if (process->first_epoch == 0)
        process->first_epoch = process->epoch;
    return load_back(process);
}

static int
load_link_position(struct process *process, unsigned input)
{
    struct link_position position = {0};
    struct lives left;
    struct span value;
    uint64_t awaits;
    int rc = get_position(process, link_key(process, "link ", input), 16, &value, &process->places[input]);

    if (rc < 0)
        return -1;
    if (rc == 1)
        position = (struct link_position){bytes_get_u64(value.at), bytes_get_u64(value.at + 8)};
    if (get_lives(process->store, process->meta, link_key(process, "left ", input), &left) != 0 ||
        get_number(process, link_key(process, "awaits ", input), &awaits) != 0)
        return -1;
    pthread_mutex_lock(&process->lock);
    if (!same_position(position, process->links[input].committed)) {
        /* At the start; and when a commit took place although it failed: what is queued may be applied then. */
        link_free(&process->links[input]);
        link_begin(&process->links[input], position);
        link_remember(&process->links[input], &left);
    }
    process->links[input].awaits = awaits; /* with the lock: who awaits rows takes none before it is told of them */
    pthread_mutex_unlock(&process->lock);
    return 0;
}

static int
load_positions(struct process *process)
{
    struct span value;
    memset(process->places, 0, sizeof process->places);
    int rc = get_position(process, inbox_key, 8, &value, &process->places[PLACE_INBOX]);

    if (rc < 0)
        return -1;
    process->inbox_position = rc == 1 ? bytes_get_u64(value.at) : 0;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (process->stream->inputs[i].from != NULL && load_link_position(process, i) != 0)
            return -1;
    }
    return 0;
}

/* Whether the input has come from where it begins: to a message or payload behind it, or into its first. A link goes back to
 * there when its rows are awaited anew. */
static bool
has_moved(const struct process *process, unsigned input)
{
    const struct link *link = &process->links[input];

    if (process->stream->inputs[input].from == NULL)
        return process->inbox_position > 0 || process->places[PLACE_INBOX].identity != 0;
    return link->committed.epoch != 0 || process->places[input].identity != 0 || link->awaits != 0;
}

/* Whether what was taken in came from somewhere: positions are committed with the counts. 0 or −1. */
static int
check_positions(struct process *process)
{
    const struct stream *stream = process->stream;
    uint64_t taken = 0;

    for (unsigned i = 0; i < stream->input_count; i++) {
        const struct span key = stream->inputs[i].from != NULL ? link_key(process, "link ", i) : inbox_key;
        if (process->ledger.inputs[i].taken > 0 && !has_moved(process, i))
            return store_damaged_at(process->store, process->meta, key, "a position is missing whose records are counted");
        taken += process->ledger.inputs[i].taken;
    }
    if (taken == 0 && process->output.last.sequence > 0 && process->stream->operator->recall == NULL)
        return store_damaged_at(process->store, process->meta, span_of("ledger"),
                                "it counts no records, and there is output");
    return 0;
}

int
batch_load_own(struct process *process)
{
    if (load_format(process) != 0 || load_epoch(process) != 0 || load_lives(process) != 0 || load_mark(process) != 0 ||
        load_inbox_key(process) != 0 || load_lost(process) != 0 ||
        (process->recall.restored && forget_tables(process) != 0) || load_positions(process) != 0 ||
        ledger_load(&process->ledger) != 0 || recent_load(&process->recent) != 0 || refusal_load(process) != 0 ||
        outbox_load(&process->rejected) != 0 || outbox_load(&process->output) != 0 || check_positions(process) != 0)
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
        int rc = operator->work(process->operator_state, process->now_ms, process->timekeeper.wall_ms, BATCH_WORK_STEP,
                                &process->calls);
        if (rc < 0)
            return -1;
        progress->other += (unsigned)rc;
        if (rc < BATCH_WORK_STEP)
            break;
    }
    return 0;
}

/* What is due has no place in an input: it stands where counters and output stand. */
static struct attempt_front
due_front(const struct process *process)
{
    return (struct attempt_front){ledger_checksum(&process->ledger), process->output.last.end};
}

static bool
is_due(const struct process *process)
{
    const struct operator *operator = process->stream->operator;
    return operator->due_ms != NULL && operator->due_ms(process->operator_state) <= process->now_ms;
}

/* Note where the transaction begins on each place that it may work. */
static void
note_attempt(struct process *process, const struct progress *progress)
{
    struct attempt_front fronts[ATTEMPT_PLACES] = {{0}};
    unsigned tried = 0;

    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        tried |= process->links[i].message_count > 0 ? 1u << i : 0;
    pthread_mutex_unlock(&process->lock);
    if (process->inbox != NULL && inbox_end(process->inbox) > progress->inbox_position)
        tried |= 1u << PLACE_INBOX;
    if (is_due(process))
        tried |= 1u << ATTEMPT_DUE;
    for (unsigned i = 0; i < PLACES; i++)
        fronts[i] = front_of(progress, i);
    fronts[ATTEMPT_DUE] = due_front(process);
    attempt_begin(&process->attempt, tried, fronts);
}

void
batch_opened(struct process *process)
{
    struct attempt_front fronts[ATTEMPT_PLACES] = {{0}};
    struct progress progress = {.inbox_position = process->inbox_position};

    memcpy(progress.places, process->places, sizeof progress.places);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        progress.links[i] = process->links[i].committed;
    for (unsigned i = 0; i < PLACES; i++)
        fronts[i] = front_of(&progress, i);
    fronts[ATTEMPT_DUE] = due_front(process);
    attempt_opened(&process->attempt, fronts);
}

/* One step of what is due, or nothing: what that works which is stored is noted by `deadly`. 0 or −1. */
static int
work_due_one(struct process *process, struct progress *progress)
{
    if (!is_due(process))
        return 0;
    attempt_begin_one(&process->attempt, ATTEMPT_DUE, due_front(process));
    int rc = process->stream->operator->work(process->operator_state, process->now_ms, process->timekeeper.wall_ms, 1,
                                             &process->calls);
    if (rc < 0)
        return -1;
    progress->other += (unsigned)rc;
    return 0;
}

bool
batch_awaits_rows(const struct process *process)
{
    bool awaits = false;

    for (unsigned i = 0; i < process->stream->input_count; i++)
        awaits = awaits || process->links[i].awaits != 0;
    return awaits;
}

/* The same, with the transaction at hand. */
static bool
awaits_rows(const struct process *process, const struct progress *progress)
{
    bool awaits = false;

    for (unsigned i = 0; i < process->stream->input_count; i++)
        awaits = awaits || progress->awaits[i] != 0;
    return awaits;
}

/* One record, or one step of what is due: the first that there is, in the order of work_all. */
static int
work_one(struct process *process, struct progress *progress)
{
    if (work_links(process, STREAM_TABLE, progress) != 0)
        return -1;
    if (awaits_rows(process, progress))
        return 0;
    if (progress->records == 0 && work_due_one(process, progress) != 0)
        return -1;
    if (progress->records + progress->other == 0 && work_links(process, STREAM_LOG, progress) != 0)
        return -1;
    if (progress->records + progress->other == 0 && process->inbox != NULL)
        return work_inbox(process, progress);
    return 0;
}

/* Rows come first: a withdrawal must not stand behind what it is to stop. Then what is due, before more is taken in that
 * would add to it. At last, since a record is to be removed from two places at most, the waiting room and the join's
 * readings, as much again as came: under full load as much must go. */
static int
work_all(struct process *process, struct progress *progress)
{
    progress->careful = attempt_is_careful(&process->attempt);
    if (progress->careful)
        return work_one(process, progress);
    note_attempt(process, progress);
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
work_recalled(struct process *process, struct progress *progress)
{
    const int steps = recall_work(process, &process->calls);

    progress->other += steps > 0 ? (unsigned)steps : 0;
    return steps < 0 ? -1 : 0;
}

static int
trim(struct process *process, struct progress *progress)
{
    const uint64_t of_output = publisher_confirmed(&process->output_publisher);
    const uint64_t of_rejected = publisher_confirmed(&process->rejected_publisher);

    if ((of_output <= process->output.trimmed.sequence && of_rejected <= process->rejected.trimmed.sequence) ||
        hold_taken(process->hold_fd))
        return 0;
    const int output = outbox_trim(&process->output, of_output, TRIM_MAX);
    const int rejected = outbox_trim(&process->rejected, of_rejected, TRIM_MAX);
    if (output < 0 || rejected < 0)
        return -1;
    progress->other += (unsigned)output + (unsigned)rejected;
    return 0;
}

/* Whether any payload at hand has. */
static bool
is_inside_faults(const struct process *process, const struct progress *progress)
{
    bool inside = false;

    for (unsigned i = 0; i < PLACES; i++)
        inside = inside || has_untold(process, &progress->places[i]);
    return inside;
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
    if (recent_flush(&process->recent) != 0 || refusal_flush(process) != 0)
        return -1;
    if (progress->worked[PLACE_INBOX] && put_inbox_position(process, progress) != 0)
        return -1;
    if (progress->lost.gaps != process->lost.gaps && progress->lost.gaps > 0 && put_lost(process, &progress->lost) != 0)
        return -1;
    for (unsigned i = 0; i < process->stream->input_count; i++) {
        if (progress->worked[i] && put_link_position(process, i, progress) != 0)
            return -1;
    }
    if (outbox_flush(&process->output) != 0 || outbox_flush(&process->rejected) != 0)
        return -1;
    return ledger_flush(&process->ledger);
}

void
batch_release(struct process *process)
{
    if (process->inbox == NULL || process->inbox_released == process->inbox_position || hold_taken(process->hold_fd))
        return;
    inbox_release(process->inbox, process->inbox_position);
    process->inbox_released = process->inbox_position;
}

static void
committed_acknowledgement(struct process *process)
{
    if (process->back.told)
        log_info("%s: that it went back in time is acknowledged", process->stream->name);
    if (process->lost.gaps > 0)
        log_info("%s: that its inbox lost messages is acknowledged", process->stream->name);
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
    recall_told(process);
}

static void
committed(struct process *process, const struct progress *progress)
{
    if (progress->careful)
        attempt_end_one(&process->attempt);
    process->kept = true;
    process->inbox_position = progress->inbox_position;
    batch_release(process);
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
    process->lost = progress->lost;
    if (progress->epoch != 0)
        committed_life(process, progress);
    if (process->recall.restored)
        recall_tables_forgotten(process);
}

static void
begin(struct process *process, int64_t now_ms, struct progress *progress)
{
    process->now_ms = now_ms;
    process->output_failed = false;
    process->output_end = process->output.last.end + process->rejected.last.end;
    process->alone = false;
    process->calls = (struct output){emit, emit_row, refuse, move, full, deadly};
    process->receipts.count = 0;
    buffer_clear(&process->receipts.bytes);
    buffer_clear(&process->output_message);
    buffer_clear(&process->rejected_message);
    progress->inbox_position = process->inbox_position;
    progress->lost = process->lost;
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
    bool worked = progress->other > 0 || clock_was_set(process) || !process->kept;

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
    if ((!process->loaded || !process->kept) && batch_load(process) != 0)
        goto fail;
    begin(process, now_ms, &progress);
    if (!for_room && see_to_lives(process, &progress) != 0)
        goto fail;
    const bool decides = intake && !progress.acknowledged && progress.epoch == 0 && !process->newcomers.active;
    const bool recalls = decides && process->recall.due;
    if (recalls && work_recalled(process, &progress) != 0)
        goto fail;
    if (decides && !recalls && work_all(process, &progress) != 0)
        goto fail;
    int appended = for_room ? 0 : newcomer_work(process);
    if (appended < 0)
        goto fail;
    progress.other += (unsigned)appended;
    if (trim(process, &progress) != 0)
        goto fail;
    if (!for_room && !is_inside_faults(process, &progress))
        progress.other += refusal_tell_counted(process);
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
    if (recalls)
        recall_committed(process);
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
    attempt_forget(&process->attempt);
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
    if (process->recall.due)
        return true;
    if (process->inbox != NULL && inbox_end(process->inbox) > process->inbox_position)
        return true;
    pthread_mutex_lock(&process->lock);
    for (unsigned i = 0; i < process->stream->input_count; i++)
        waits = waits || (process->links[i].message_count > 0 && process->links[i].twofold == 0);
    pthread_mutex_unlock(&process->lock);
    return waits || (operator->due_ms != NULL && operator->due_ms(process->operator_state) <= now_ms);
}

static void
write_receipt(const struct tally *tally, enum record_kind kind, struct buffer *text)
{
    unsigned field_count;
    const struct record_field *fields = record_fields(kind, &field_count);

    buffer_printf(text, "{\"taken\":%" PRIu64, taken_in(tally));
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        buffer_printf(text, ",\"%s\":%" PRIu64, ledger_word((enum verdict)i), tally->verdicts[i]);
    if (tally->ahead > 0)
        buffer_printf(text, ",\"ahead\":%" PRIu64, tally->ahead);
    for (unsigned i = 0; i < tally->verdicts[VERDICT_INVALID] && i < TALLY_FAULTS_MAX; i++) {
        buffer_printf(text, "%s{\"record\":%" PRIu32 ",\"reason\":\"%s\"", i == 0 ? ",\"faults\":[" : ",",
                      tally->faults[i].record, reason_word((enum reason)tally->faults[i].reason));
        if (tally->faults[i].field < field_count)
            buffer_printf(text, ",\"field\":\"%s\"", fields[tally->faults[i].field].name);
        buffer_add_byte(text, '}');
    }
    buffer_add_text(text, tally->verdicts[VERDICT_INVALID] > 0 ? "]}" : "}");
}

/* Receipts are not acknowledged, but for one now and then: else nobody would say that the broker's ACL denies them. */
static enum wire_delivery
receipt_delivery(struct process *process)
{
    const int64_t steady_ms = process->options.steady_ms();

    if (steady_ms < process->receipt_tried_ms)
        return WIRE_AT_MOST_ONCE;
    process->receipt_tried_ms = steady_ms + RECEIPT_TRIED_MS;
    return WIRE_AT_LEAST_ONCE;
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
            .delivery = receipt_delivery(process),
        };
        /* One that can't be sent is not missed for long: the publisher sends its message again. */
        if (wire->calls->waiting(wire) > ANSWERS_WAITING_BYTES_MAX || wire->calls->publish(wire, &message, 0) != 0)
            break;
    }
    receipts->count = 0;
}
