/*
 * tank: an operator over a store of its own that is filled with readings, as a process would: decoded from text,
 * decided upon, one synced commit a batch. Without inbox, links and outbox: what grows is the operator's.
 */
#ifndef BENCH_TANK_H
#define BENCH_TANK_H

#include "operator/operator.h"
#include "store/store.h"

/* gate: the customers of all readings are unknown, so every reading waits. join: all are known, and half of the
 * readings are of the step trainer, each with its partner: every reading is joined. */
enum tank_kind { TANK_GATE, TANK_JOIN };

/* In what order readings come: by their times, as from devices; or in none, as from an old archive. */
enum tank_arrival { TANK_LIVE, TANK_REPLAYED };

struct tank {
    struct output output; /* first: what the operator is given is the tank */
    enum tank_kind kind;
    enum tank_arrival arrival;
    const struct operator *operator;
    struct store *store;
    void *state;
    struct record_decoder *decoders[OPERATOR_INPUTS_MAX];
    uint64_t readings; /* that were taken in */
    uint64_t emitted;  /* records that came out */
    int64_t ns;        /* that all of it took: of tank_take, summed up */
    struct buffer texts[2];
};

/* Make the store in folder dir. Exits with a line on standard error if that fails, as the calls below do. */
void tank_open(struct tank *tank, const char *dir, enum tank_kind kind, enum tank_arrival arrival);

/* Take in count more readings (an even number) in one transaction. Nanoseconds from the first byte that is decoded to
 * the end of the commit. */
int64_t tank_take(struct tank *tank, unsigned count);

/* Take in readings until there are as many, in large transactions; whether that was done by until_ns (bench_now_ns). */
bool tank_fill(struct tank *tank, uint64_t readings, int64_t until_ns);

/* Whether all readings that were taken in are where they should be. */
bool tank_is_right(const struct tank *tank);

void tank_close(struct tank *tank);

#endif
