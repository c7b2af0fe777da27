/*
 * aside: records that the process died of again and again (state/attempt.h). They are worked no more, so that the others
 * are, and the first of them are kept for whoever is going to find out why.
 *
 * Table layout "aside": key = number u64 BE, from 1; value = input u8, then the bytes that the record came in.
 */
#ifndef RUN_ASIDE_H
#define RUN_ASIDE_H

#include "operator/stream.h"
#include "state/attempt.h"

struct aside {
    /* Given. */
    const struct stream *stream;
    struct store *store;
    struct record_decoder *const *decoders; /* by input */

    int table;
    unsigned count; /* that were set aside since it was opened */
};

/* 0 or −1. */
int aside_open(struct aside *aside);

/* In a transaction: set the record at cursor aside, which stands at front and was died of so often. cursor moves behind it.
 * As record_next, with REASON_POISON; or −1. */
int aside_record(struct aside *aside, unsigned input, struct attempt_front front, unsigned deaths,
                 struct record_cursor *cursor, struct fault *fault);

/* The same of one that is stored, and was taken in by input. 0 or −1. */
int aside_stored(struct aside *aside, unsigned input, unsigned deaths, struct span body);

#endif
