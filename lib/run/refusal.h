/*
 * refusal: what is said of records that are refused or invalid: a line each in a sink of their own, or, where that would be
 * more than their sender's message is worth or than may wait there, one line for many. Each is counted in any case.
 *
 * Layout of what is counted and yet to be told: key "untold"; value = how many reasons u8, u64 BE each, topic. Absent: none.
 */
#ifndef RUN_REFUSAL_H
#define RUN_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "record/reason.h"
#include "operator/stream.h"
#include "state/ledger.h"
#include "state/recent.h"
#include "run/gather.h"

struct refusal {
    /* Given. */
    const struct stream *stream;
    struct store *store;
    int table; /* which may hold other keys too */
    struct ledger *ledger;
    struct recent *recent;
    struct gather *lines;
    uint64_t waiting_bytes_max; /* that lines may take while nobody takes them; further ones are counted */
    bool with_payload;          /* a line shows what was refused */
    bool bounded;               /* lines->bytes_max is what is taken; else that is not known yet, and little is shown */

    struct span levels; /* what the message at hand has in its topic behind the landing topic */
    int64_t wall_ms;    /* of the transaction at hand */
    uint64_t counts[REASON_COUNT]; /* yet to be told in sum, */
    struct buffer counted_topic;   /* of this topic below the prefix; empty: of several */
    bool changed;
    struct buffer topic;
    struct buffer line;
};

/* In a transaction: tell of a record that is refused or invalid. payload is what was refused: a record's members, or the
 * text as it came in (whole). If there is no room for more it is counted, as below. */
void refusal_tell(struct refusal *refusal, unsigned input, struct fault fault, struct span payload, bool whole);

/* Only count it. */
void refusal_count(struct refusal *refusal, unsigned input, struct fault fault);

/* Tell of those that were counted, a line for each reason, if there is room. How many lines. */
unsigned refusal_tell_counted(struct refusal *refusal);

/* How many those are. */
uint64_t refusal_untold(const struct refusal *refusal);

/* Read what is counted, after open and after an aborted transaction; write it, before the commit. 0 or −1. */
int refusal_load(struct refusal *refusal);
int refusal_flush(struct refusal *refusal);

/* A line up to where it shows what was refused, without its last '}'. */
struct span refusal_without_payload(struct span line);

/* Free the texts that it writes into; what is counted stays in the store if it was written. */
void refusal_free(struct refusal *refusal);

#endif
