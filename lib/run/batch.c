#include "run/batch.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "state/format.h"
#include "run/batch_state.h"

/* How far a transaction has come. */
struct progress {
    struct payload_place places[SOURCES_MAX];
    bool worked[SOURCES_MAX]; /* there is something new to say of the place, or the position before it */
    struct position behind[SOURCES_MAX]; /* of the message that was worked last; zeros: none was */
    unsigned records;
    size_t bytes;   /* of the source at work */
    unsigned other; /* steps of expiry, release, and the transport's own */
    bool careful;   /* one record, or step, and no more: see attempt.h */
};

_Static_assert(SOURCES_MAX < 32, "a bit for each source has its place");

static const struct transport_calls *
calls_of(const struct batch *batch)
{
    return batch->transport->calls;
}

static int64_t
setting(const struct batch *batch, const char *key)
{
    return config_int(batch->options.config, batch->stream->name, key);
}

/* Output. */

static struct batch *
batch_of(struct output *output)
{
    return (struct batch *)((char *)output - offsetof(struct batch, calls));
}

static void
emit(struct output *output, struct span body)
{
    gather_record(&batch_of(output)->output, body);
}

static void
emit_row(struct output *output, struct span row, struct span body)
{
    gather_row(&batch_of(output)->output, row, body);
}

static void
refuse(struct output *output, unsigned input, enum reason reason, struct span body)
{
    refusal_tell(&batch_of(output)->refusal, input, (struct fault){reason, NULL}, body, false);
}

static void
move(struct output *output, unsigned input, enum verdict from, enum verdict to)
{
    ledger_move(&batch_of(output)->ledger, input, from, to);
}

static bool
output_failed(const struct batch *batch)
{
    return batch->failed || batch->output.failed || batch->rejected.failed;
}

/* Whether this transaction has put out so much that it had better end: one record can have many partners. */
static bool
output_is_full(const struct batch *batch)
{
    const uint64_t appended = calls_of(batch)->appended(batch->transport);

    log_assert(appended >= batch->appended);
    return appended - batch->appended > batch->output_bytes_max;
}

/* Something stored that is worked alone is all that its transaction does, whatever brought it about. */
static bool
full(struct output *output)
{
    const struct batch *batch = batch_of(output);

    return batch->alone || output_is_full(batch);
}

/* As struct output has it. */
static bool
deadly(struct output *output, unsigned input, struct span place, struct span body)
{
    struct batch *batch = batch_of(output);

    if (!attempt_is_careful(batch->options.attempt))
        return false;
    batch->alone = true;
    const struct attempt_front front = {hash_checksum(place), input};
    const unsigned deaths = attempt_begin_one(batch->options.attempt, ATTEMPT_STORED, front);
    if (deaths < ATTEMPT_DEATHS)
        return false;
    if (aside_stored(&batch->aside, input, deaths, body) != 0)
        batch->failed = true;
    else
        refusal_tell(&batch->refusal, input, (struct fault){REASON_POISON, NULL}, (struct span){0}, false);
    return true;
}

/* Input. */

/* Whether a customer is dated ahead of what one of our clocks says: that can be why a withdrawal does not hold. */
static bool
is_ahead(const struct batch *batch, const struct record *record)
{
    if (record->kind != RECORD_CUSTOMER)
        return false;
    const int64_t earliest_ms = timekeeper_earliest_ms(batch->options.time);
    return record->time_ms > earliest_ms || record->research_as_of_ms > earliest_ms;
}

/* Whether the source at work has to wait for the next transaction. */
static bool
takes_no_more(const struct batch *batch, const struct progress *progress)
{
    return progress->records >= (progress->careful ? 1 : batch->records_max) ||
           progress->bytes >= BATCH_PAYLOAD_BYTES_MAX || output_is_full(batch);
}

/* The first of the levels that a message came with. An account's others are its own to choose. */
static struct span
sender_of(struct span levels)
{
    const char *end = levels.len > 0 ? memchr(levels.at, '/', levels.len) : NULL;

    return end != NULL ? span_at(levels.at, (size_t)(end - levels.at)) : levels;
}

/* Where the next record of each source stands. */
static struct attempt_front
front_of(const struct batch *batch, const struct progress *progress, unsigned source)
{
    return (struct attempt_front){calls_of(batch)->front(batch->transport, source), progress->places[source].at};
}

static int
take_record(struct batch *batch, const struct source_message *message, size_t at, const struct record *record,
            enum verdict *verdict, struct progress *progress)
{
    const struct arrival arrival = {.input = message->input,
                                    .record = record,
                                    .row = message->row,
                                    .sender = sender_of(message->levels),
                                    .position = message->position,
                                    .at = at,
                                    .now_ms = batch->now_ms,
                                    .wall_ms = batch->options.time->wall_ms,
                                    .output = &batch->calls};

    progress->records++;
    *verdict = batch->stream->operator->take(batch->operator_state, &arrival);
    return *verdict == VERDICT_ERROR || output_failed(batch) ? -1 : 0;
}

/* A bad record: each of the first of a payload is told of by itself. Those that are only counted cost no more than their
 * bytes; as records they would make many transactions of one payload, each of which looks at all of it. */
static void
take_fault(struct batch *batch, unsigned input, struct fault fault, struct span text, const struct tally *tally,
           struct progress *progress)
{
    if (tally->verdicts[VERDICT_INVALID] >= batch->payload_faults_max) {
        refusal_count(&batch->refusal, input, fault);
        return;
    }
    refusal_tell(&batch->refusal, input, fault, text, true);
    progress->records++;
}

/* Whether the payload at *place has had faults which are told in sum, when it ends. */
static bool
has_untold(const struct batch *batch, const struct payload_place *place)
{
    return place->tally.verdicts[VERDICT_INVALID] > batch->payload_faults_max;
}

/* The payload at *place is worked, or is none of those that come any more. One without records costs its transaction a
 * record too: there may be very many. */
static void
leave_payload(struct batch *batch, struct payload_place *place, struct progress *progress)
{
    progress->records += tally_taken(&place->tally) == 0;
    if (has_untold(batch, place))
        refusal_tell_counted(&batch->refusal);
    *place = (struct payload_place){0};
}

/* The next record of a payload: as record_next, or −1. Where records are worked one by one, it is noted before. */
static int
next_record(struct batch *batch, unsigned input, unsigned source, const struct progress *progress,
            struct record_cursor *cursor, struct record *record, struct fault *fault)
{
    const bool landing = batch->stream->inputs[input].landing != NULL;

    if (progress->careful) {
        struct attempt_front front = front_of(batch, progress, source);
        front.at = cursor->at;
        const unsigned deaths = attempt_begin_one(batch->options.attempt, source, front);
        if (deaths >= ATTEMPT_DEATHS)
            return aside_record(&batch->aside, input, front, deaths, cursor, fault);
    }
    return record_next(batch->decoders[input], cursor, landing ? RECORD_FROM_LANDING : RECORD_FROM_LINK,
                       timekeeper_latest_ms(batch->options.time), record, fault);
}

/* Work records of a message from its place on until it ends, or the transaction has enough. 1 all are worked; 0 it is to
 * go on there; −1. */
static int
take_payload(struct batch *batch, unsigned source, const struct source_message *message, struct progress *progress)
{
    struct payload_place *place = &progress->places[source];
    const unsigned input = message->input;
    const struct span payload = message->payload;
    struct record_cursor cursor = {.payload = payload, .at = (size_t)place->at, .place = place->record};
    struct record record;
    struct fault fault;

    while (!takes_no_more(batch, progress)) {
        enum verdict verdict = VERDICT_INVALID;
        size_t from = cursor.at;
        int rc = next_record(batch, input, source, progress, &cursor, &record, &fault);
        if (rc < 0)
            return -1;
        log_assert(cursor.at >= from && cursor.at <= payload.len);
        if (rc == 0) {
            progress->bytes += payload.len - from;
            return 1;
        }
        if (fault.reason != REASON_NONE) {
            const struct span text = span_at(payload.at + from, fault.reason == REASON_POISON ? 0 : cursor.at - from);
            take_fault(batch, input, fault, text, &place->tally, progress);
            tally_add_fault(&place->tally, batch->stream->inputs[input].record, &fault);
        } else if (take_record(batch, message, from, &record, &verdict, progress) != 0) {
            return -1;
        }
        ledger_count(&batch->ledger, input, verdict);
        place->tally.verdicts[verdict]++;
        place->tally.ahead += fault.reason == REASON_NONE && is_ahead(batch, &record);
        progress->bytes += cursor.at - from;
    }
    place->at = cursor.at;
    place->record = cursor.place;
    return 0;
}

/* Work a message from where it was left, if it was begun; as take_payload. */
static int
go_on_with(struct batch *batch, unsigned source, const struct source_message *message, struct progress *progress)
{
    struct payload_place *place = &progress->places[source];

    if (place->identity != 0 &&
        (place->identity != (hash_checksum(message->payload) ^ message->life) || place->at > message->payload.len))
        leave_payload(batch, place, progress);
    log_assert(message->input < batch->stream->input_count && place->at <= message->payload.len);
    log_assert(place->identity != 0 || (place->at == 0 && tally_taken(&place->tally) == 0));
    batch->refusal.levels = message->levels;
    const int rc = take_payload(batch, source, message, progress);
    batch->refusal.levels = (struct span){0};
    if (rc == 0 && place->identity == 0)
        place->identity = hash_checksum(message->payload) ^ message->life;
    return rc;
}

/* Positions of different epochs are not compared. */
static bool
comes_later(struct position position, struct position before)
{
    return position.epoch != before.epoch || position.sequence > before.sequence;
}

/* Work what the source has. 0 or −1. */
static int
work_source(struct batch *batch, unsigned source, struct progress *progress)
{
    const struct transport_calls *calls = calls_of(batch);
    struct payload_place *place = &progress->places[source];
    struct source_message message;
    enum source_next next;

    progress->bytes = 0;
    while (!takes_no_more(batch, progress) &&
           (next = calls->next(batch->transport, source, &message)) != SOURCE_EMPTY) {
        if (next == SOURCE_BROKEN)
            return -1;
        progress->worked[source] = true;
        if (next == SOURCE_MESSAGE) {
            log_assert(comes_later(message.position, progress->behind[source]));
            const int rc = go_on_with(batch, source, &message, progress);
            if (rc != 1)
                return rc;
            const uint64_t front = calls->front(batch->transport, source);
            calls->worked(batch->transport, source, &place->tally);
            if (calls->front(batch->transport, source) == front)
                log_panic("a source stands where it stood, behind a message that is worked");
            progress->behind[source] = message.position;
            progress->bytes += message.levels.len + message.beside_bytes;
        }
        leave_payload(batch, place, progress);
    }
    return 0;
}

static bool
has_table(const struct batch *batch, unsigned input)
{
    const struct stream *from = batch->stream->inputs[input].from;

    return from != NULL && from->kind == STREAM_TABLE;
}

/* Rows come first: a withdrawal must not stand behind what it is to stop. */
static int
work_tables(struct batch *batch, struct progress *progress)
{
    for (unsigned i = 0; i < batch->stream->input_count; i++) {
        if (has_table(batch, i) && work_source(batch, i, progress) != 0)
            return -1;
    }
    return 0;
}

/* The outputs of others that are no tables. */
static int
work_streams(struct batch *batch, struct progress *progress)
{
    for (unsigned i = 0; i < batch->stream->input_count; i++) {
        if (batch->stream->inputs[i].from != NULL && !has_table(batch, i) && work_source(batch, i, progress) != 0)
            return -1;
    }
    return 0;
}

static int
work_landing(struct batch *batch, struct progress *progress)
{
    return stream_has_landing(batch->stream) ? work_source(batch, SOURCE_LANDING, progress) : 0;
}

/* What is due. */

int64_t
batch_due_ms(const struct batch *batch)
{
    const struct operator *operator = batch->stream->operator;

    return operator->due_ms != NULL ? operator->due_ms(batch->operator_state) : INT64_MAX;
}

static bool
is_due(const struct batch *batch, int64_t now_ms)
{
    return batch_due_ms(batch) <= now_ms;
}

static int
work_due(struct batch *batch, unsigned budget, struct progress *progress)
{
    const struct operator *operator = batch->stream->operator;

    if (operator->work == NULL)
        return 0;
    for (unsigned done = 0; done < budget && !output_is_full(batch); done += BATCH_WORK_STEP) {
        int rc = operator->work(batch->operator_state, batch->now_ms, batch->options.time->wall_ms, BATCH_WORK_STEP,
                                &batch->calls);
        if (rc < 0)
            return -1;
        progress->other += (unsigned)rc;
        if (rc < BATCH_WORK_STEP)
            break;
    }
    return 0;
}

/* What is due has no place in a source: it stands where counters and output stand. */
static struct attempt_front
due_front(const struct batch *batch)
{
    return (struct attempt_front){ledger_checksum(&batch->ledger), calls_of(batch)->appended(batch->transport)};
}

static void
fill_fronts(const struct batch *batch, const struct progress *progress, struct attempt_front fronts[ATTEMPT_PLACES])
{
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        fronts[i] = front_of(batch, progress, i);
    fronts[ATTEMPT_DUE] = due_front(batch);
}

/* Note where the transaction begins on each source that it may work. */
static void
note_attempt(struct batch *batch, const struct progress *progress)
{
    struct attempt_front fronts[ATTEMPT_PLACES] = {{0}};
    unsigned tried = calls_of(batch)->has(batch->transport);

    if (is_due(batch, batch->now_ms))
        tried |= 1u << ATTEMPT_DUE;
    fill_fronts(batch, progress, fronts);
    attempt_begin(batch->options.attempt, tried, fronts);
}

void
batch_opened(struct batch *batch)
{
    struct attempt_front fronts[ATTEMPT_PLACES] = {{0}};
    struct progress progress = {0};

    memcpy(progress.places, batch->places, sizeof progress.places);
    calls_of(batch)->begin(batch->transport);
    fill_fronts(batch, &progress, fronts);
    attempt_opened(batch->options.attempt, fronts);
}

/* One step of what is due, or nothing: what that works which is stored is noted by `deadly`. 0 or −1. */
static int
work_due_one(struct batch *batch, struct progress *progress)
{
    if (!is_due(batch, batch->now_ms))
        return 0;
    attempt_begin_one(batch->options.attempt, ATTEMPT_DUE, due_front(batch));
    int rc = batch->stream->operator->work(batch->operator_state, batch->now_ms, batch->options.time->wall_ms, 1,
                                           &batch->calls);
    if (rc < 0)
        return -1;
    progress->other += (unsigned)rc;
    return 0;
}

/* One record, or one step of what is due: the first that there is, in the order of work_all. */
static int
work_one(struct batch *batch, struct progress *progress)
{
    if (work_tables(batch, progress) != 0)
        return -1;
    if (calls_of(batch)->awaits(batch->transport))
        return 0;
    if (progress->records == 0 && work_due_one(batch, progress) != 0)
        return -1;
    if (progress->records + progress->other == 0 && work_streams(batch, progress) != 0)
        return -1;
    if (progress->records + progress->other == 0)
        return work_landing(batch, progress);
    return 0;
}

/* Behind the rows what is due, before more is taken in that would add to it. At last, since a record is to be removed from
 * two places at most, the waiting room and the join's readings, as much again as came: under full load as much must go. */
static int
work_all(struct batch *batch, struct progress *progress)
{
    progress->careful = attempt_is_careful(batch->options.attempt);
    if (progress->careful)
        return work_one(batch, progress);
    note_attempt(batch, progress);
    if (work_tables(batch, progress) != 0)
        return -1;
    if (calls_of(batch)->awaits(batch->transport))
        return 0;
    if (work_due(batch, BATCH_WORK_MAX, progress) != 0 || work_streams(batch, progress) != 0 ||
        work_landing(batch, progress) != 0)
        return -1;
    return work_due(batch, 2 * progress->records, progress);
}

/* The transaction. */

int
batch_load_own(struct batch *batch)
{
    const struct batch_options *options = &batch->options;
    const bool fold = config_int(options->config, "limits", "email_case") != 0;

    if (format_load(batch->store, options->meta, batch->stream->name, fold, options->state_dir) != 0 ||
        format_load_time(batch->store, options->meta, &options->time->committed) != 0 || ledger_load(&batch->ledger) != 0 ||
        recent_load(&batch->recent) != 0 || refusal_load(&batch->refusal) != 0)
        return -1;
    memset(batch->places, 0, sizeof batch->places);
    if (calls_of(batch)->load(batch->transport, batch->places, &batch->ledger) != 0)
        return -1;
    batch->own_loaded = true;
    return 0;
}

int
batch_load(struct batch *batch)
{
    const struct operator *operator = batch->stream->operator;

    log_assert(batch->transport != NULL);
    if (batch_load_own(batch) != 0)
        return -1;
    if (operator->load != NULL && operator->load(batch->operator_state) != 0)
        return -1;
    batch->loaded = true;
    return 0;
}

void
batch_kept(struct batch *batch)
{
    batch->kept = true;
}

/* After an aborted transaction: what is in memory must be what is committed, before anybody is shown it. */
static void
reload(struct batch *batch)
{
    batch->loaded = batch->own_loaded = false;
    if (store_begin(batch->store) == 0)
        batch_load(batch);
    store_abort(batch->store);
}

/* Whether any payload at hand has faults that are told in sum when it ends. */
static bool
is_inside_faults(const struct batch *batch, const struct progress *progress)
{
    bool inside = false;

    for (unsigned i = 0; i < SOURCES_MAX; i++)
        inside = inside || has_untold(batch, &progress->places[i]);
    return inside;
}

static void
begin(struct batch *batch, struct progress *progress)
{
    struct refusal *refusal = &batch->refusal;

    batch->now_ms = batch->options.time->now_ms;
    batch->calls = (struct output){emit, emit_row, refuse, move, full, deadly};
    batch->failed = batch->alone = false;
    gather_begin(&batch->output);
    gather_begin(&batch->rejected);
    refusal->wall_ms = batch->options.time->wall_ms;
    calls_of(batch)->begin(batch->transport);
    batch->appended = calls_of(batch)->appended(batch->transport);
    memcpy(progress->places, batch->places, sizeof progress->places);
}

/* What the transport has to do before records are worked: 1 they are to be, 0, −1. */
static int
prepare(struct batch *batch, bool intake, struct progress *progress)
{
    struct prepared prepared = {0};

    if (calls_of(batch)->prepare(batch->transport, intake, &batch->calls, &prepared) != 0)
        return -1;
    log_assert(prepared.moved >> SOURCES_MAX == 0);
    progress->other += prepared.steps;
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        if ((prepared.moved >> i & 1) == 0)
            continue;
        leave_payload(batch, &progress->places[i], progress);
        progress->worked[i] = true;
    }
    return intake && !prepared.alone;
}

static int
finish(struct batch *batch, bool for_room, struct progress *progress)
{
    const int steps = calls_of(batch)->finish(batch->transport, for_room);

    progress->other += steps > 0 ? (unsigned)steps : 0;
    if (steps >= 0 && !for_room && !is_inside_faults(batch, progress))
        progress->other += refusal_tell_counted(&batch->refusal);
    return steps < 0 ? -1 : 0;
}

/* Whether the clock was set, to what may be right, since the last commit. */
static bool
clock_was_set(const struct batch *batch)
{
    return batch->options.time->set && timekeeper_knows(batch->options.time);
}

/* Whether there is anything to commit. */
static bool
anything(const struct batch *batch, const struct progress *progress)
{
    bool worked = progress->other > 0 || clock_was_set(batch) || !batch->kept;

    for (unsigned i = 0; i < SOURCES_MAX; i++)
        worked = worked || progress->worked[i];
    return worked;
}

static int
flush(struct batch *batch, const struct progress *progress)
{
    const struct operator *operator = batch->stream->operator;
    const struct timekeeper *time = batch->options.time;
    const struct timekeeper_mark mark = {time->now_ms, time->wall_ms};

    gather_close(&batch->output);
    gather_close(&batch->rejected);
    if (output_failed(batch))
        return -1;
    log_assert(batch->output.message.len == 0 && batch->rejected.message.len == 0);
    if (operator->flush != NULL && operator->flush(batch->operator_state, batch->now_ms, time->wall_ms) != 0)
        return -1;
    if (timekeeper_knows(time) && format_put_time(batch->store, batch->options.meta, mark) != 0)
        return -1;
    if (recent_flush(&batch->recent) != 0 || refusal_flush(&batch->refusal) != 0)
        return -1;
    if (calls_of(batch)->flush(batch->transport, progress->places, progress->worked) != 0)
        return -1;
    return ledger_flush(&batch->ledger);
}

static void
committed(struct batch *batch, const struct progress *progress)
{
    log_assert(batch->loaded && !output_failed(batch));
    if (progress->careful)
        attempt_end_one(batch->options.attempt);
    batch->kept = true;
    memcpy(batch->places, progress->places, sizeof batch->places);
    if (timekeeper_knows(batch->options.time))
        timekeeper_committed(batch->options.time);
    calls_of(batch)->committed(batch->transport);
}

/* As batch_work; with for_room, as batch_make_room. */
static int
transact(struct batch *batch, bool intake, bool for_room)
{
    const struct operator *operator = batch->stream->operator;
    struct progress progress = {0};

    if (store_begin(batch->store) != 0) {
        batch->fault = store_fault(batch->store);
        return -1;
    }
    if ((!batch->loaded || !batch->kept) && batch_load(batch) != 0)
        goto fail;
    begin(batch, &progress);
    const int records = for_room ? 0 : prepare(batch, intake, &progress);
    if (records < 0 || (records == 1 && work_all(batch, &progress) != 0) || finish(batch, for_room, &progress) != 0)
        goto fail;
    /* Pages that a transaction frees are used again by the next but one: there has to be one in between, and one that
     * changes nothing is none. */
    if (for_room && format_touch(batch->store, batch->options.meta) != 0)
        goto fail;
    /* Before the flush: that changes what operators have in memory, and they are not told of this abort. */
    if (!anything(batch, &progress) && !for_room) {
        store_abort(batch->store);
        return 0;
    }
    if (flush(batch, &progress) != 0 || calls_of(batch)->commit(batch->transport) != 0)
        goto fail;
    committed(batch, &progress);
    if (operator->committed != NULL && operator->committed(batch->operator_state) != 0) {
        batch->fault = store_fault(batch->store);
        batch->loaded = false;
        return -1;
    }
    return 1;
fail:
    store_abort(batch->store);
    attempt_forget(batch->options.attempt);
    batch->fault = store_fault(batch->store);
    calls_of(batch)->aborted(batch->transport);
    reload(batch);
    return -1;
}

int
batch_work(struct batch *batch, bool intake)
{
    return transact(batch, intake, false);
}

int
batch_make_room(struct batch *batch)
{
    return transact(batch, false, true);
}

enum store_fault
batch_fault(const struct batch *batch)
{
    return batch->fault;
}

bool
batch_waits(const struct batch *batch, bool intake, int64_t steady_ms)
{
    return calls_of(batch)->waits(batch->transport, intake, steady_ms) || clock_was_set(batch) ||
           (intake && is_due(batch, batch->options.time->now_ms));
}

/* Opening. */

static void
open_decoders(struct batch *batch)
{
    const struct config *config = batch->options.config;
    const struct record_limits limits = {
        .json = {(unsigned)config_int(config, "limits", "depth"), (unsigned)config_int(config, "limits", "string")},
        .payload_bytes_max = (unsigned)config_int(config, "limits", "payload"),
        .earliest_ms = config_int(config, "limits", "earliest"),
        .ahead_ms = config_int(config, "limits", "ahead"),
        .fold_email = config_int(config, "limits", "email_case") != 0,
    };

    for (unsigned i = 0; i < batch->stream->input_count; i++) {
        const struct stream_input *input = &batch->stream->inputs[i];
        struct record_limits link_limits = limits;
        /* What one of us sends may be longer than what was taken in: a join puts two records into one. And what was taken
         * in under other limits is good. */
        link_limits.payload_bytes_max = STREAM_MESSAGE_BYTES_MAX;
        link_limits.json = (struct json_limits){RECORD_DEPTH_MAX, RECORD_STRING_BYTES_MAX};
        batch->decoders[i] = record_decoder_new(input->record, input->landing != NULL ? &limits : &link_limits);
    }
}

static int
open_operator(struct batch *batch)
{
    void *parameters = batch->stream->parameters(batch->options.config, batch->options.dir);

    if (parameters == NULL)
        return -1;
    int rc = batch->stream->operator->open(parameters, batch->store, &batch->operator_state);
    hash_secret_free(parameters);
    return rc;
}

struct batch *
batch_open(const struct batch_options *options)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        log_fatal("out of memory");
    batch->options = *options;
    batch->stream = options->stream;
    batch->store = options->store;
    batch->records_max = BATCH_RECORDS_MAX;
    batch->output_bytes_max = BATCH_OUTPUT_BYTES_MAX;
    batch->payload_faults_max = BATCH_PAYLOAD_FAULTS_MAX;
    batch->message_bytes = batch->message_bytes_wanted = (size_t)setting(batch, "message_bytes");
    open_decoders(batch);
    batch->aside = (struct aside){.stream = batch->stream, .store = batch->store, .decoders = batch->decoders};
    if (aside_open(&batch->aside) != 0 ||
        ledger_open(&batch->ledger, batch->store, "meta", batch->stream->input_count) != 0 ||
        recent_open(&batch->recent, batch->store, "meta") != 0 || open_operator(batch) != 0) {
        batch_close(batch);
        return NULL;
    }
    return batch;
}

void
batch_use(struct batch *batch, struct transport *transport)
{
    const bool with_payload = setting(batch, "rejected_payload") != 0;

    log_assert(transport->calls != NULL && batch->transport == NULL);
    batch->transport = transport;
    batch->output = (struct gather){.transport = transport, .sink = SINK_OUTPUT, .bytes_max = &batch->message_bytes};
    /* Whoever looks after a load went wrong finds the newest refusals; but what is personal must not lie about. */
    batch->rejected = (struct gather){.transport = transport,
                                      .sink = SINK_REJECTED,
                                      .retained = !with_payload,
                                      .bytes_max = &batch->message_bytes};
    batch->refusal = (struct refusal){.stream = batch->stream,
                                      .store = batch->store,
                                      .table = batch->options.meta,
                                      .ledger = &batch->ledger,
                                      .recent = &batch->recent,
                                      .lines = &batch->rejected,
                                      .waiting_bytes_max = (uint64_t)setting(batch, "outbox_bytes") / BATCH_REJECTED_SHARE,
                                      .with_payload = with_payload};
}

void
batch_bound(struct batch *batch, size_t message_bytes_max)
{
    batch->message_bytes = message_bytes_max < batch->message_bytes_wanted ? message_bytes_max : batch->message_bytes_wanted;
    batch->refusal.bounded = true;
}

bool
batch_is_loaded(const struct batch *batch)
{
    return batch->loaded;
}

bool
batch_is_shown(const struct batch *batch)
{
    return batch->own_loaded;
}

void
batch_close(struct batch *batch)
{
    if (batch == NULL)
        return;
    if (batch->operator_state != NULL)
        batch->stream->operator->close(batch->operator_state);
    for (unsigned i = 0; i < OPERATOR_INPUTS_MAX; i++)
        record_decoder_free(batch->decoders[i]);
    gather_free(&batch->output);
    gather_free(&batch->rejected);
    refusal_free(&batch->refusal);
    free(batch);
}

/* What others ask. */

int
batch_recall(struct batch *batch, struct span row, int64_t withdrawn_ms)
{
    return batch->stream->operator->recall(batch->operator_state, row, withdrawn_ms, batch->now_ms,
                                           batch->options.time->wall_ms, &batch->calls);
}

int
batch_rows(struct batch *batch, struct span after, bool (*visit)(void *context, struct span row, struct span body),
           void *context)
{
    return batch->stream->operator->rows(batch->operator_state, after, visit, context);
}

const struct ledger *
batch_ledger(const struct batch *batch)
{
    return &batch->ledger;
}

const struct recent *
batch_recent(const struct batch *batch)
{
    return &batch->recent;
}

unsigned
batch_gauges(const struct batch *batch, struct gauge gauges[OPERATOR_GAUGES_MAX])
{
    const struct operator *operator = batch->stream->operator;

    return operator->gauges != NULL ? operator->gauges(batch->operator_state, gauges) : 0;
}

uint64_t
batch_untold(const struct batch *batch)
{
    return refusal_untold(&batch->refusal);
}

unsigned
batch_set_aside(const struct batch *batch)
{
    return batch->aside.count;
}

const char *
batch_why_full(const struct batch *batch)
{
    const struct operator *operator = batch->stream->operator;

    return batch->loaded && operator->why_full != NULL ? operator->why_full(batch->operator_state) : NULL;
}
