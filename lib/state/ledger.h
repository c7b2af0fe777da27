/*
 * ledger: what became of every record, counted in the transaction that decided it, so that the counts are as durable and
 * as exact as the state. For each input, at every commit:
 *   taken = passed + waiting + refused + duplicate + stale + invalid
 *
 * Table layout: key "ledger"; value = input count u8, then u64 BE each: for every input taken and VERDICT_COUNT verdicts,
 * then one for every reason of enum reason. Of a store of before there was a reason, or an input, the missing ones are 0:
 * new inputs come behind those that were there.
 */
#ifndef STATE_LEDGER_H
#define STATE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "operator/operator.h"

struct ledger {
    struct store *store;
    int table;
    unsigned input_count;
    bool changed;
    bool overdrawn; /* more was moved than there was */
    struct {
        uint64_t taken;
        uint64_t verdicts[VERDICT_COUNT];
    } inputs[OPERATOR_INPUTS_MAX];
    uint64_t reasons[REASON_COUNT];
};

/* For input_count inputs, over the table called name, which may hold other keys too. 0 or −1. */
int ledger_open(struct ledger *ledger, struct store *store, const char *name, unsigned input_count);

/* Read it, in a transaction: after open and after an aborted one. 0 or −1. */
int ledger_load(struct ledger *ledger);

/* One record was taken in, with this verdict. */
void ledger_count(struct ledger *ledger, unsigned input, enum verdict verdict);

/* A record that counted as from is now to. */
void ledger_move(struct ledger *ledger, unsigned input, enum verdict from, enum verdict to);

/* One record was refused or found invalid for this reason. */
void ledger_reason(struct ledger *ledger, enum reason reason);

/* Whether the promise above holds. */
bool ledger_balanced(const struct ledger *ledger);

/* A number that is another one when any counter is. */
uint64_t ledger_checksum(const struct ledger *ledger);

/* Write it if it changed; before the commit. If more was moved from a verdict than there was of it, what waits is not what
 * was counted: the store is damaged. Panics if it does not balance otherwise: then the state would be wrong too. 0 or −1. */
int ledger_flush(struct ledger *ledger);

/* The word for a verdict as in the metrics: "passed", "waiting", … */
const char *ledger_word(enum verdict verdict);

#endif
