/*
 * batch_state: the inside of a batch, for batch.c and for tests that look into it, and for nobody else.
 */
#ifndef RUN_BATCH_STATE_H
#define RUN_BATCH_STATE_H

#include "run/aside.h"
#include "run/batch.h"
#include "run/gather.h"
#include "run/refusal.h"

struct batch {
    struct batch_options options;
    struct transport *transport;
    const struct stream *stream;
    struct store *store;
    bool loaded;     /* what is kept in memory agrees with the store; */
    bool own_loaded; /* all but what the operator keeps */
    bool kept;
    void *operator_state;
    struct ledger ledger;
    struct recent recent;
    struct refusal refusal;
    struct aside aside;
    struct record_decoder *decoders[OPERATOR_INPUTS_MAX];
    struct payload_place places[SOURCES_MAX]; /* as in the store */
    size_t message_bytes_wanted; /* by the configuration */

    /* Limits; tests, which have little data, set others. */
    unsigned records_max;
    uint64_t output_bytes_max;
    uint64_t payload_faults_max;
    size_t message_bytes; /* that are wanted, or that somebody takes */

    /* The transaction at hand. */
    struct output calls; /* what operators are given */
    struct gather output;
    struct gather rejected;
    bool failed; /* what an operator can't be told of */
    bool alone; /* something stored is worked by it, which killed before, or may have, and nothing else is to be */
    uint64_t appended; /* to both sinks, when it began */
    int64_t now_ms; /* the timekeeper's: records are stamped with it and expire by it */
    enum store_fault fault; /* why the last one failed */
};

#endif
