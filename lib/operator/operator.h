/*
 * operator: what a job does with a record, as pure decisions over a store. No broker, no clock, no thread: time comes in
 * as an argument, results go out through calls, so that an operator can be tested, simulated and replayed.
 *
 * The four operators are filter (filter to table), gate (stream semi-join table, with waiting), presence (table semi-join
 * stream) and join (interval join of two streams). A stream in streams/ is one of them and its parameters.
 */
#ifndef OPERATOR_OPERATOR_H
#define OPERATOR_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/span.h"
#include "record/record.h"
#include "store/store.h"

#define OPERATOR_INPUTS_MAX 8

/* What became of a record that was taken in. The counts of each input balance at every commit:
 * taken = passed + waiting + refused + duplicate + stale + invalid. Numbers stand in the store: add at the end. */
enum verdict {
    VERDICT_ERROR = -1, /* the store failed: the transaction must be aborted; counts nothing */
    VERDICT_PASSED = 0,
    VERDICT_WAITING,
    VERDICT_REFUSED, /* output->refuse was called with the reason */
    VERDICT_DUPLICATE,
    VERDICT_STALE,
    VERDICT_INVALID, /* it did not decode; of an operator only for what waits and would not decode any more, or is deadly */
    VERDICT_COUNT
};

/* Where an operator's results go; valid during one call. */
struct output {
    /* A record for the output stream: its members without braces. */
    void (*emit)(struct output *output, struct span body);
    /* A row of the output table, body as above. Replaces the row of this name. */
    void (*emit_row)(struct output *output, struct span row, struct span body);
    /* Report a refusal: of the record at hand, or of one that waited. Does not count. body is the record's, and goes
     * nowhere unless the operator of the process asked for refused payloads. */
    void (*refuse)(struct output *output, unsigned input, enum reason reason, struct span body);
    /* Count that a record of input that was counted as from is now to (WAITING to PASSED, REFUSED or INVALID). */
    void (*move)(struct output *output, unsigned input, enum verdict from, enum verdict to);
    /* Whether this transaction has put out so much that it should end. Asked between what one record brings about, which
     * can be without bound: the rest is noted, and done by work in later transactions. */
    bool (*full)(struct output *output);
    /* Asked before something is worked that is stored: the body, a copy, of a record of input; place is its number or name.
     * True: the process died of it again and again, so it is not to be worked. It is kept, told of, and counted by its
     * reason then; the operator takes it out, and moves it from WAITING to INVALID if it waited. */
    bool (*deadly)(struct output *output, unsigned input, struct span place, struct span body);
};

/* Where a message of an input stands: no other one has stood there, and what comes again after a crash, because the
 * transaction that it was in was not committed, comes at the same place. */
struct position {
    uint64_t epoch;    /* which life of whoever numbers them; never 0 */
    uint64_t sequence; /* higher ones come later */
};

/* One record on its way in. */
struct arrival {
    unsigned input; /* index in the stream's inputs */
    const struct record *record;
    /* Of the message that it came in, and where it was looked for in that, behind the one before: for a sink whose output is
     * not in the store, and that must know again what it has written before a crash. */
    struct position position;
    size_t at;
    struct span row; /* table inputs: the row's name; else empty */
    struct span sender; /* landing inputs: the first level that its sender has behind the landing topic; empty: none */
    int64_t now_ms;  /* arrival time: for hold and retain */
    int64_t wall_ms; /* what the clock on the wall says: for what people date */
    struct output *output;
};

/* A number that an operator wants shown in the metrics. */
struct gauge {
    const char *name;
    int64_t value;
};
#define OPERATOR_GAUGES_MAX 8

/* fits, work, flush, committed, due_ms, gauges, why_full and recall may be NULL: any state does, nothing to do, nothing due,
 * nothing to show, never full, nothing to be learned. */
struct operator {
    const char *name;

    /* Make the operator from the parameters that the stream gives (a struct of the operator's own, copied), with its
     * tables in store. *state is its memory. 0 or −1 with a line in the log. */
    int (*open)(const void *parameters, struct store *store, void **state);
    void (*close)(void *state);

    /* Whether the state in store, in the transaction or snapshot at hand, was made by these parameters, or is none yet. 1;
     * 0, and how it was made and what to do is appended to fault; −1. */
    int (*fits)(const void *parameters, struct store *store, struct buffer *fault);

    /* Read what is kept in memory from the store: after open and after an aborted transaction, inside a new one. If that one
     * is not committed either, whatever it was for, it is called again before anything is taken. 0, −1. */
    int (*load)(void *state);

    /* Decide on one record, in the transaction at hand. */
    enum verdict (*take)(void *state, const struct arrival *arrival);

    /* Do at most budget steps of what is due (expiry, releases): how many were done, −1 on error. Fewer than budget
     * means that nothing is due any more at now_ms, or that output is full. wall_ms as below. */
    int (*work)(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output);

    /* Last call before the commit: write what was gathered in memory. wall_ms is what the clock on the wall says, for what
     * people date; it may be set at any time (base/timekeeper.h), so nothing is measured with it. 0 or −1. */
    int (*flush)(void *state, int64_t now_ms, int64_t wall_ms);

    /* The transaction is committed: bring what is kept beside the store to it. 0; or −1, then load does it, as it does
     * after a crash, and nothing is taken before it has worked. */
    int (*committed)(void *state);

    /* When work is due next, from memory; INT64_MAX for never, 0 for at once. Between transactions. */
    int64_t (*due_ms)(void *state);

    /* What is worth showing: fills gauges, returns how many (at most OPERATOR_GAUGES_MAX). Between transactions. */
    unsigned (*gauges)(void *state, struct gauge *gauges);

    /* Why nothing more may be taken in, in words for people, valid until the next call; NULL: it may. For what has a
     * bound and must not be forgotten: what one transaction adds may go beyond it. Between transactions. */
    const char *(*why_full)(void *state);

    /* Tables that decide by themselves who shares, in a transaction: whoever reads the table was told once that the row was
     * withdrawn, by a record of withdrawn_ms, which this state, an older copy, may not know. It counts nothing: no record
     * came. 1 the row is withdrawn now by that, 0 it was, or something newer is known, −1. */
    int (*recall)(void *state, struct span row, int64_t withdrawn_ms, int64_t now_ms, int64_t wall_ms,
                  struct output *output);

    /* Tables only: give rows out again from those after row `after` (empty: from the first), in row order, until visit
     * returns false; inside a transaction or a snapshot. For a broker that forgot its retained messages, and for consumers
     * that begin without state. NULL for streams. 0 or −1. */
    int (*rows)(void *state, struct span after, bool (*visit)(void *context, struct span row, struct span body),
                void *context);
};

#endif
