/*
 * memory_transport: the transport of a process in memory. Its sources are lists of messages, its sinks keep what was
 * appended, and a commit is that of the process's store. How far each source is worked stands in that store, so a process
 * that is opened again goes on there; lists and sinks are the test's and outlive the process, as a broker does.
 *
 * It looks whether the core keeps to what transport.h promises, in the order of its calls and what it gives them, and any of
 * the calls that may fail can be made to. What a test sets is said beside the members of struct memory_transport.
 */
#ifndef TESTS_MEMORY_TRANSPORT_H
#define TESTS_MEMORY_TRANSPORT_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "run/process.h"
#include "run/transport.h"

#define MEMORY_MESSAGES_MAX 256
#define MEMORY_SENT_MAX 1024
#define MEMORY_TOLD_MAX 64

/* All messages of a source stand in this life of whoever numbers them, the first at 1. */
#define MEMORY_EPOCH 7

/* What a source has at one position: a message, or, moved, that it goes on elsewhere. Texts are the test's. */
struct memory_message {
    bool moved;
    unsigned input;
    struct span payload;
    const char *row;
    const char *levels;
    uint64_t life;
};

struct memory_source {
    struct memory_message list[MEMORY_MESSAGES_MAX];
    unsigned count;

    /* So many of them are worked, as committed and with the transaction at hand; and rows are awaited until so many are, 0:
     * none. Layout: key "memory N" for source N in the process's table; value = worked u64 BE, awaits u64 BE, place. */
    uint64_t worked, worked_now;
    uint64_t awaits, awaits_now;
    unsigned had; /* of them when the transaction began */
};

/* What was appended to a sink. */
struct memory_sent {
    enum sink sink;
    char *row;
    char *payload;
    bool retained;
};

/* What was told of a message that is worked. */
struct memory_told {
    unsigned source;
    uint64_t sequence;
    struct tally tally;
};

/* Calls that can be made to fail, and how a transaction has come to where it is. */
enum memory_call {
    MEMORY_NO_CALL,
    MEMORY_LOAD,
    MEMORY_BEGIN,
    MEMORY_PREPARE,
    MEMORY_NEXT,
    MEMORY_APPEND,
    MEMORY_FINISH,
    MEMORY_FLUSH,
    MEMORY_COMMIT,
    MEMORY_START
};

struct memory_transport {
    struct transport transport;
    const struct host *host; /* NULL: no process is open */
    struct memory_source sources[SOURCES_MAX];

    /* The sinks: what is committed comes first, then what the transaction at hand appended. */
    struct memory_sent sent[MEMORY_SENT_MAX];
    unsigned sent_count, committed_count;
    uint64_t appended, appended_committed;
    uint64_t held[2], held_committed[2]; /* bytes of each sink that were not let go */
    bool is_taken[2];                    /* set by a test: somebody has taken what is committed; finish lets it go then */

    struct memory_told told[MEMORY_TOLD_MAX];
    unsigned told_count, told_committed;

    /* What becomes of the next calls: so many of this one go well, then one fails, with this fault of the store. */
    enum memory_call fails;
    unsigned fails_after;
    enum store_fault fault;

    /* What it is told to say. */
    struct intake intake;
    uint64_t output_bytes_max; /* that may be held before it is full; 0: any */
    const char *why;
    const char *unsteady;
    const char *more;
    int64_t idle_ms;
    bool is_unfounded;
    bool stands_still; /* all messages stand at one position, which no transport may say */

    /* What is to be done before records in the next transaction, which clears it. */
    unsigned steps;
    bool alone;
    unsigned moves;          /* a bit for each source: the message at its front is gone */
    const char *recalled;    /* a row to be withdrawn, if records may be worked */
    unsigned chores;         /* steps that are due behind records, whatever there is room for */

    /* What has been asked of it. */
    enum memory_call at; /* the last of one transaction */
    bool is_stale;       /* what it has in memory need not be what is committed */
    unsigned given;      /* the source whose message was given and is not worked, and one more; 0: none */
    unsigned begins, prepares, nexts, finishes, rooms, flushes, commits, aborts, loads, hears, speaks, looks, waits, closes;
    bool kept, started, was_stopped;
    bool was_prepared;   /* in this transaction, */
    bool may_decide;     /* and was told so */
    int64_t waited_ms;
    atomic_bool woken;
    int64_t steady_ms; /* the clock of the test: waiting takes its time */
};

static inline struct memory_transport *
memory_of(struct transport *transport)
{
    return (struct memory_transport *)transport;
}

/* The core has broken a promise of transport.h. */
static inline void
memory_expect(bool kept, const char *promise)
{
    if (!kept)
        fail_msg("promise broken: %s", promise);
}

/* Whether this call is to fail now. */
static inline bool
memory_fails(struct memory_transport *memory, enum memory_call call)
{
    if (memory->fails != call)
        return false;
    if (memory->fails_after > 0) {
        memory->fails_after--;
        return false;
    }
    memory->fails = MEMORY_NO_CALL;
    if (memory->fault != STORE_FINE)
        store_found(memory->host->store, memory->fault);
    return true;
}

/* For tests. */

/* Give a source one message more. The payload must outlive the process. */
static inline void
memory_give_span(struct memory_transport *memory, unsigned source, struct memory_message message)
{
    struct memory_source *to = &memory->sources[source];

    memory_expect(to->count < MEMORY_MESSAGES_MAX, "a test has more messages than fit");
    to->list[to->count++] = message;
}

/* The same, of a source of its own (input), or of landing with the levels of its sender. */
static inline void
memory_give(struct memory_transport *memory, unsigned input, const char *row, const char *payload)
{
    memory_give_span(memory, input, (struct memory_message){.input = input, .row = row, .payload = span_of(payload)});
}

static inline void
memory_land(struct memory_transport *memory, unsigned input, const char *levels, const char *payload)
{
    memory_give_span(memory, SOURCE_LANDING,
                     (struct memory_message){.input = input, .levels = levels, .payload = span_of(payload)});
}

/* A source goes on elsewhere. */
static inline void
memory_move(struct memory_transport *memory, unsigned source)
{
    memory_give_span(memory, source, (struct memory_message){.moved = true});
}

/* The committed message of a sink with this number, from 0; NULL: there are not so many. */
static inline const struct memory_sent *
memory_sent(const struct memory_transport *memory, enum sink sink, unsigned number)
{
    for (unsigned i = 0; i < memory->committed_count; i++) {
        if (memory->sent[i].sink == sink && number-- == 0)
            return &memory->sent[i];
    }
    return NULL;
}

static inline unsigned
memory_sent_count(const struct memory_transport *memory, enum sink sink)
{
    unsigned count = 0;

    for (unsigned i = 0; i < memory->committed_count; i++)
        count += memory->sent[i].sink == sink;
    return count;
}

/* Free what the sinks have from this number on. */
static inline void
memory_forget_from(struct memory_transport *memory, unsigned from)
{
    for (unsigned i = from; i < memory->sent_count; i++) {
        free(memory->sent[i].row);
        free(memory->sent[i].payload);
    }
    memory->sent_count = from;
}

/* The calls. */

static inline struct span
memory_key(unsigned source, char *text, size_t size)
{
    const int len = snprintf(text, size, "memory %u", source);

    return span_at(text, (size_t)len);
}

static inline void
memory_close(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory->closes++;
    memory->host = NULL;
}

/* What the transaction at hand has done is not so. */
static inline void
memory_go_back(struct memory_transport *memory)
{
    memory_forget_from(memory, memory->committed_count);
    memory->appended = memory->appended_committed;
    memory->told_count = memory->told_committed;
    memcpy(memory->held, memory->held_committed, sizeof memory->held);
    memory->given = 0;
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        memory->sources[i].worked_now = memory->sources[i].worked;
        memory->sources[i].awaits_now = memory->sources[i].awaits;
    }
}

static inline int
memory_load(struct transport *transport, struct payload_place places[SOURCES_MAX], const struct ledger *ledger)
{
    struct memory_transport *memory = memory_of(transport);
    struct span value;
    char key[32];

    memory->loads++;
    if (memory_fails(memory, MEMORY_LOAD))
        return -1;
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        struct memory_source *source = &memory->sources[i];
        const struct span at = memory_key(i, key, sizeof key);
        const int rc = store_get(memory->host->store, memory->host->meta, at, &value);
        if (rc < 0)
            return -1;
        source->worked = source->awaits = 0;
        if (rc == 0)
            continue;
        if (value.len < 16 || place_decode(span_at(value.at + 16, value.len - 16), &places[i]) != 0)
            return store_damaged_at(memory->host->store, memory->host->meta, at, "a position that is none");
        source->worked = bytes_get_u64(value.at);
        source->awaits = bytes_get_u64(value.at + 8);
    }
    for (unsigned i = 0; i < memory->host->stream->input_count; i++) {
        const unsigned source = memory->host->stream->inputs[i].from != NULL ? i : SOURCE_LANDING;
        if (ledger->inputs[i].taken > 0 && memory->sources[source].worked == 0 && places[source].identity == 0)
            return store_damaged_at(memory->host->store, memory->host->meta, memory_key(source, key, sizeof key),
                                    "a position is missing whose records are counted");
    }
    memory_go_back(memory);
    memory->is_stale = false;
    memory->at = MEMORY_LOAD;
    return 0;
}

static inline int
memory_is_founded(struct transport *transport)
{
    return !memory_of(transport)->is_unfounded;
}

static inline void
memory_kept(struct transport *transport)
{
    memory_of(transport)->kept = true;
}

static inline int
memory_start(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(!memory->started, "start comes once");
    if (memory_fails(memory, MEMORY_START))
        return -1;
    memory->started = true;
    return 0;
}

static inline void
memory_begin(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(!memory->is_stale, "a load comes before it begins, after an abort");
    memory_expect(memory->started, "it is started before it begins");
    memory->begins++;
    memory->at = MEMORY_BEGIN;
    memory->was_prepared = false;
    memory_go_back(memory);
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        memory->sources[i].had = memory->sources[i].count;
}

/* The message at the front of a source is gone, and what follows is another one. */
static inline void
memory_skip(struct memory_transport *memory, unsigned source)
{
    struct memory_source *from = &memory->sources[source];

    if (from->worked_now < from->had)
        from->worked_now++;
}

static inline int
memory_prepare(struct transport *transport, bool intake, struct output *output, struct prepared *prepared)
{
    struct memory_transport *memory = memory_of(transport);
    unsigned recalled = 0;

    (void)output;
    memory_expect(memory->at == MEMORY_BEGIN, "it is prepared when it has begun");
    memory->prepares++;
    memory->at = MEMORY_PREPARE;
    memory->was_prepared = true;
    memory->may_decide = intake;
    if (memory_fails(memory, MEMORY_PREPARE))
        return -1;
    if (memory->recalled != NULL && intake) {
        if (batch_recall(process_batch(memory->host->process), span_of(memory->recalled), 1) < 0)
            return -1;
        recalled = 1;
    }
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        if ((memory->moves >> i & 1) != 0)
            memory_skip(memory, i);
    }
    *prepared = (struct prepared){
        .steps = memory->steps + recalled, .alone = memory->alone || recalled > 0, .moved = memory->moves};
    return 0;
}

static inline enum source_next
memory_next(struct transport *transport, unsigned source, struct source_message *message)
{
    struct memory_transport *memory = memory_of(transport);
    struct memory_source *from = &memory->sources[source];

    memory_expect(memory->at == MEMORY_PREPARE, "records are worked when it is prepared, and before it finishes");
    memory_expect(memory->may_decide && !memory->alone, "records are worked only if they may be");
    memory_expect(memory->given == 0, "a message is worked before the next one is asked for");
    memory_expect(source < SOURCES_MAX, "a source that there is");
    memory->nexts++;
    if (memory_fails(memory, MEMORY_NEXT))
        return SOURCE_BROKEN;
    if (from->worked_now >= from->had)
        return SOURCE_EMPTY;
    const struct memory_message *front = &from->list[from->worked_now];
    if (front->moved) {
        from->worked_now++;
        return SOURCE_MOVED;
    }
    *message = (struct source_message){
        .input = front->input,
        .payload = front->payload,
        .row = front->row != NULL ? span_of(front->row) : (struct span){0},
        .levels = front->levels != NULL ? span_of(front->levels) : (struct span){0},
        .position = {MEMORY_EPOCH, memory->stands_still ? 1 : from->worked_now + 1},
        .life = front->life,
    };
    memory->given = source + 1;
    return SOURCE_MESSAGE;
}

static inline void
memory_worked(struct transport *transport, unsigned source, const struct tally *tally)
{
    struct memory_transport *memory = memory_of(transport);
    struct memory_source *from = &memory->sources[source];

    memory_expect(memory->given == source + 1, "what is worked was given");
    memory_expect(memory->told_count < MEMORY_TOLD_MAX, "a test has more messages than fit");
    memory->given = 0;
    from->worked_now++;
    if (from->worked_now >= from->awaits_now)
        from->awaits_now = 0;
    memory->told[memory->told_count++] = (struct memory_told){source, from->worked_now, *tally};
}

static inline unsigned
memory_has(struct transport *transport)
{
    const struct memory_transport *memory = memory_of(transport);
    unsigned has = 0;

    for (unsigned i = 0; i < SOURCES_MAX; i++)
        has |= memory->sources[i].count > memory->sources[i].worked_now ? 1u << i : 0;
    return has;
}

static inline uint64_t
memory_front(struct transport *transport, unsigned source)
{
    return memory_of(transport)->sources[source].worked_now;
}

static inline bool
memory_awaits(struct transport *transport)
{
    const struct memory_transport *memory = memory_of(transport);
    bool awaits = false;

    for (unsigned i = 0; i < SOURCES_MAX; i++)
        awaits = awaits || memory->sources[i].awaits_now > 0;
    return awaits;
}

static inline char *
memory_copy(struct span text)
{
    char *copy = malloc(text.len + 1);

    memory_expect(copy != NULL, "there is memory");
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}

static inline int
memory_append(struct transport *transport, enum sink sink, struct span row, struct span payload, bool retained)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(memory->at >= MEMORY_BEGIN && memory->at <= MEMORY_FINISH, "it appends when it has begun");
    memory_expect(payload.len > 0, "what is appended is a message");
    memory_expect(memory->sent_count < MEMORY_SENT_MAX, "a test puts out more than fits");
    if (memory_fails(memory, MEMORY_APPEND))
        return -1;
    memory->sent[memory->sent_count++] =
        (struct memory_sent){sink, row.len > 0 ? memory_copy(row) : NULL, memory_copy(payload), retained};
    memory->appended += row.len + payload.len;
    memory->held[sink] += row.len + payload.len;
    return 0;
}

static inline uint64_t
memory_waiting(struct transport *transport, enum sink sink)
{
    return memory_of(transport)->held[sink];
}

static inline uint64_t
memory_appended(struct transport *transport)
{
    return memory_of(transport)->appended;
}

static inline int
memory_finish(struct transport *transport, bool for_room)
{
    struct memory_transport *memory = memory_of(transport);
    unsigned steps = for_room ? 0 : memory->chores;

    memory_expect(memory->at == (for_room ? MEMORY_BEGIN : MEMORY_PREPARE), "it finishes what it has prepared");
    memory->at = MEMORY_FINISH;
    memory->finishes++;
    memory->rooms += for_room;
    if (memory_fails(memory, MEMORY_FINISH))
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        if (!memory->is_taken[i] || memory->held[i] == 0)
            continue;
        memory->held[i] -= memory->held_committed[i];
        steps++;
    }
    return (int)steps;
}

static inline int
memory_flush(struct transport *transport, const struct payload_place places[SOURCES_MAX], const bool worked[SOURCES_MAX])
{
    struct memory_transport *memory = memory_of(transport);
    char key[32];

    memory_expect(memory->at == MEMORY_FINISH, "it is flushed when it has finished");
    memory->at = MEMORY_FLUSH;
    memory->flushes++;
    if (memory_fails(memory, MEMORY_FLUSH))
        return -1;
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        const struct memory_source *source = &memory->sources[i];
        char value[16 + PLACE_BYTES];
        memory_expect(worked[i] || source->worked_now == source->worked, "who has worked something says so");
        if (!worked[i] && source->awaits_now == source->awaits)
            continue;
        bytes_put_u64(value, source->worked_now);
        bytes_put_u64(value + 8, source->awaits_now);
        const size_t len = 16 + place_encode(&places[i], value + 16);
        if (store_put(memory->host->store, memory->host->meta, memory_key(i, key, sizeof key), span_at(value, len)) != 0)
            return -1;
    }
    return 0;
}

static inline int
memory_commit(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(memory->at == MEMORY_FLUSH, "it is committed when it is flushed");
    memory->at = MEMORY_COMMIT;
    if (memory_fails(memory, MEMORY_COMMIT))
        return -1;
    return store_commit(memory->host->store);
}

static inline void
memory_committed(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(memory->at == MEMORY_COMMIT, "what is committed was to be");
    memory->at = MEMORY_NO_CALL;
    memory->commits++;
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        memory->sources[i].worked = memory->sources[i].worked_now;
        memory->sources[i].awaits = memory->sources[i].awaits_now;
    }
    memory->committed_count = memory->sent_count;
    memory->appended_committed = memory->appended;
    memory->told_committed = memory->told_count;
    memcpy(memory->held_committed, memory->held, sizeof memory->held);
    for (unsigned i = 0; i < 2; i++)
        memory->is_taken[i] = memory->is_taken[i] && memory->held[i] > 0;
    if (!memory->was_prepared)
        return;
    memory->steps = memory->moves = memory->chores = 0;
    memory->alone = false;
    memory->recalled = memory->may_decide ? NULL : memory->recalled;
}

static inline void
memory_aborted(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);

    memory->at = MEMORY_NO_CALL;
    memory->aborts++;
    memory->is_stale = true;
    memory_go_back(memory);
}

static inline void
memory_hear(struct transport *transport, int64_t steady_ms)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(steady_ms == memory->steady_ms, "it is told what time it is");
    memory->hears++;
}

static inline void
memory_speak(struct transport *transport, int64_t steady_ms)
{
    struct memory_transport *memory = memory_of(transport);

    memory_expect(steady_ms == memory->steady_ms, "it is told what time it is");
    memory_expect(memory->hears == ++memory->speaks, "each step hears and then speaks");
    memory->was_stopped = process_is_stopped(memory->host->process);
}

/* Rows that are awaited are something to be learned. */
static inline struct intake
memory_look(struct transport *transport, int64_t steady_ms)
{
    struct memory_transport *memory = memory_of(transport);
    struct intake intake = memory->intake;

    (void)steady_ms;
    memory->looks++;
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        intake.learns = intake.learns || memory->sources[i].awaits > 0;
    return intake;
}

static inline bool
memory_is_full(struct transport *transport)
{
    const struct memory_transport *memory = memory_of(transport);

    return memory->output_bytes_max > 0 && memory->held[SINK_OUTPUT] >= memory->output_bytes_max;
}

static inline bool
memory_waits(struct transport *transport, bool intake, int64_t steady_ms)
{
    const struct memory_transport *memory = memory_of(transport);
    bool waits = memory->steps > 0 || memory->moves > 0 || memory->chores > 0 || (intake && memory->recalled != NULL);

    (void)steady_ms;
    for (unsigned i = 0; i < 2; i++)
        waits = waits || (memory->is_taken[i] && memory->held[i] > 0);
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        waits = waits || (intake && memory->sources[i].count > memory->sources[i].worked);
    return waits;
}

static inline int64_t
memory_idle_ms(struct transport *transport, int64_t steady_ms)
{
    (void)steady_ms;
    return memory_of(transport)->idle_ms;
}

static inline void
memory_wait(struct transport *transport, int64_t timeout_ms)
{
    struct memory_transport *memory = memory_of(transport);

    memory->waits++;
    memory->waited_ms = atomic_exchange(&memory->woken, false) ? 0 : timeout_ms;
    memory->steady_ms += memory->waited_ms;
}

static inline void
memory_wake(struct transport *transport)
{
    atomic_store(&memory_of(transport)->woken, true);
}

static inline bool
memory_is_ready(const struct transport *transport)
{
    return ((const struct memory_transport *)transport)->speaks > 0;
}

static inline void
memory_write_why(struct transport *transport, struct buffer *text)
{
    buffer_add_text(text, memory_is_full(transport) ? "nobody takes it" : memory_of(transport)->why);
}

static inline void
memory_write_unsteady(struct transport *transport, struct buffer *text)
{
    buffer_add_text(text, memory_of(transport)->unsteady);
}

static inline void
memory_write_more(struct transport *transport, bool stopped, struct buffer *text)
{
    const char *more = memory_of(transport)->more;

    if (*more != '\0')
        buffer_printf(text, "%s%s, %s", text->len > 0 ? "; " : "", more, stopped ? "stopped" : "running");
}

static inline void
memory_write_input(struct transport *transport, unsigned input, struct buffer *text)
{
    buffer_printf(text, ",\"at\":%u", (unsigned)memory_of(transport)->sources[input].worked);
}

static inline void
memory_write_output(struct transport *transport, struct buffer *text)
{
    buffer_printf(text, ",\"sent\":%u", memory_of(transport)->committed_count);
}

static inline void
memory_write_all(struct transport *transport, struct buffer *text)
{
    buffer_printf(text, ",\"aborts\":%u", memory_of(transport)->aborts);
}

static const struct transport_calls memory_calls = {
    .close = memory_close,
    .load = memory_load,
    .is_founded = memory_is_founded,
    .kept = memory_kept,
    .start = memory_start,
    .begin = memory_begin,
    .prepare = memory_prepare,
    .next = memory_next,
    .worked = memory_worked,
    .has = memory_has,
    .front = memory_front,
    .awaits = memory_awaits,
    .append = memory_append,
    .waiting = memory_waiting,
    .appended = memory_appended,
    .finish = memory_finish,
    .flush = memory_flush,
    .commit = memory_commit,
    .committed = memory_committed,
    .aborted = memory_aborted,
    .hear = memory_hear,
    .speak = memory_speak,
    .look = memory_look,
    .is_full = memory_is_full,
    .waits = memory_waits,
    .idle_ms = memory_idle_ms,
    .wait = memory_wait,
    .wake = memory_wake,
    .is_ready = memory_is_ready,
    .write_why = memory_write_why,
    .write_unsteady = memory_write_unsteady,
    .write_more = memory_write_more,
    .write_input = memory_write_input,
    .write_output = memory_write_output,
    .write_all = memory_write_all,
};

/* For open_transport; context is the struct memory_transport. */
static inline struct transport *
memory_open(void *context, const struct host *host)
{
    struct memory_transport *memory = context;

    memory->transport.calls = &memory_calls;
    memory->host = host;
    memory->kept = memory->started = false;
    memory->at = MEMORY_NO_CALL;
    memory->is_stale = true;
    return &memory->transport;
}

/* Everything as at first, and nothing hindered. */
static inline void
memory_reset(struct memory_transport *memory)
{
    memory_forget_from(memory, 0);
    memset(memory, 0, sizeof *memory);
    memory->intake.decides = true;
    memory->why = memory->unsteady = memory->more = "";
    memory->idle_ms = INT64_MAX;
    memory->steady_ms = 1000;
}

#endif
