/*
 * agenda: what has to be done with things some time after they arrived (expire them), in arrival order.
 *
 * Things are known by a key of fixed size. They are gathered in memory and written a batch at a time under the time of
 * the batch, so that remembering a million of them costs a few thousand puts, all at the end of the table. A thing that
 * went away earlier is simply not found when its time comes: nothing is ever removed from the middle.
 *
 * Table layout: key = time_ms u64 BE, serial u64 BE; value = 1 to AGENDA_BATCH thing keys, one behind the other.
 */
#ifndef OPERATOR_AGENDA_H
#define OPERATOR_AGENDA_H

#include <stdint.h>

#include "base/buffer.h"
#include "store/store.h"

/* Things under one key: how much is done at least when anything is due. */
#define AGENDA_BATCH 100

struct agenda {
    struct store *store;
    int table;
    size_t thing_bytes;
    struct buffer gathered;
    struct buffer due; /* the batch at work */
    uint64_t serial;   /* last one used */
    int64_t last_ms;   /* time of the last batch: time in keys never goes back, whatever the clock does */
    int64_t first_ms;  /* time of the oldest batch; INT64_MAX if there is none */
};

/* Set up agenda over the table called name, of things with keys of thing_bytes. 0 or −1. Free with agenda_free. */
int agenda_open(struct agenda *agenda, struct store *store, const char *name, size_t thing_bytes);

/* Forget what is gathered and read the rest from the store; in a transaction. 0 or −1. */
int agenda_load(struct agenda *agenda);

/* Remember the thing with the key at thing. */
void agenda_add(struct agenda *agenda, const void *thing);

/* Forget the thing that was added last after all; nothing may have been written since. */
void agenda_take_back(struct agenda *agenda);

/* Write what is gathered, as arrived at now_ms. 0 or −1. */
int agenda_flush(struct agenda *agenda, int64_t now_ms);

/* Call visit for things that arrived at until_ms or before, oldest first, and forget them; stops after the batch that
 * reaches budget. visit returns 0, or −1 to stop with an error. How many were visited, or −1. */
int agenda_work(struct agenda *agenda, int64_t until_ms, unsigned budget,
                int (*visit)(void *context, struct span thing), void *context);

/* When the oldest thing is due if each is due after_ms after its arrival; INT64_MAX for never. */
int64_t agenda_due_ms(const struct agenda *agenda, int64_t after_ms);

void agenda_free(struct agenda *agenda);

#endif
