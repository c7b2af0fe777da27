/*
 * kept: what stands in a process's store of its links, in the table "meta": where each source is, which lives the store has
 * had, what an operator has yet to see. Here is how it is read of a store that may be another's; the transport's own calls
 * are in links_state.h.
 */
#ifndef LINKS_KEPT_H
#define LINKS_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "operator/stream.h"
#include "links/link.h"
#include "links/lives.h"
#include "links/outbox.h"

/* Positions of one store. */
struct kept_positions {
    uint64_t epoch;
    struct lives earlier;                            /* before this epoch's */
    uint64_t inbox;                                  /* the first entry that is not worked */
    uint64_t inbox_epoch;                            /* what the inbox knows the store by, */
    struct hash_key inbox_key;                       /* and how it marks entries; zeros in stores of before */
    struct link_position links[OPERATOR_INPUTS_MAX]; /* by input; zeros for landing, and where nothing was heard */
    struct lives left[OPERATOR_INPUTS_MAX];          /* by input: the lives before these */
    struct outbox_mark last;                         /* of the output */
    struct outbox_mark trimmed;
    bool back; /* it is an older copy of itself, which has begun another life, and nobody has acknowledged that */
};

/* Read them but for last and trimmed, which the outbox has, in a snapshot; meta is the table. 0, or −1 with a line in the
 * log: something is not of a format that is read here. */
int kept_read(struct store *store, int meta, const struct stream *stream, struct kept_positions *positions);

#endif
