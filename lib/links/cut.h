/*
 * cut: what the stores of several processes say of each other, and whether one can go on from all of them together.
 *
 * A link goes on where its consumer has stopped, so it needs of the producer's store what follows, and that store must know
 * what the consumer has applied:
 *   trimmed ≤ applied ≤ last.
 * A consumer that has not heard yet of the life its producer is in (lives.h) stands where it will when it has. One in a life
 * that its producer does not know is of a later time than that one's state. One that knows nothing of the producer's store
 * begins as a newcomer.
 */
#ifndef LINKS_CUT_H
#define LINKS_CUT_H

#include "base/buffer.h"
#include "operator/stream.h"
#include "links/kept.h"

/* One process of a set; stream NULL: it is not in it. */
struct cut_member {
    const struct stream *stream;
    struct kept_positions positions;
};

/* Read them from the store of stream's process, in a snapshot of store_open_to_read. 0, or −1 with lines in the log. */
int cut_read(struct store *store, const struct stream *stream, struct kept_positions *positions);

/* Append what member's positions are, for people, of itself and of each link that it consumes:
 *   process NAME epoch E [earlier E N …] inbox N output TRIMMED LAST [back]
 *   link PRODUCER NAME epoch E applied N [left E N …] */
void cut_write(const struct cut_member *member, struct buffer *text);

/* Whether the members, count of them, can go on from there: 0; or −1, with a line in faults for each link that can't.
 * Producers that are not in the set are not asked. */
int cut_check(const struct cut_member *members, unsigned count, struct buffer *faults);

#endif
