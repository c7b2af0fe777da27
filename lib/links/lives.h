/*
 * lives: which lives a producer's store has had, and what somebody has of each.
 *
 * The numbers of an outbox belong to one epoch. If the store is replaced by an older copy of itself, its next numbers are
 * those of messages that others have already: then it begins another epoch, another life, in which its numbers go on behind
 * its last. What the life before had given out up to there is in the new one too; what it gave out later is not.
 *
 * A producer remembers where each earlier life ended for it, and a consumer what it has of each that it has left. From both
 * together follows what the consumer has of the present one, whichever copies came back in which order.
 */
#ifndef LINKS_LIVES_H
#define LINKS_LIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

/* How many are remembered: as often may a state come back from a copy while a consumer is away. */
#define LIVES_MAX 8

/* In an outbox: (epoch, number); of a link: up to where the producer's outbox is applied. epoch 0: nothing was heard yet. */
struct link_position {
    uint64_t epoch;
    uint64_t applied;
};

struct life {
    uint64_t epoch;
    uint64_t applied; /* a consumer's: up to where it has this life's messages */
    uint64_t last;    /* up to where they are those of the lives that follow, too; 0: of none */
};

/* Those before the present one, newest first. */
struct lives {
    unsigned count;
    struct life list[LIVES_MAX];
};

/* The life of this epoch, or NULL. */
const struct life *lives_find(const struct lives *lives, uint64_t epoch);

/* Put this life in front, instead of what is known of it, if it is; the oldest makes room. */
void lives_push(struct lives *lives, struct life life);

/* A consumer leaves the life it is in, at `from`, for one in front of which its producer has had `told`. */
void lives_leave(struct lives *lives, struct link_position from, const struct lives *told);

/* Make `applied` of each life what a consumer has of it that stands at `at`: what it took in the life behind it counts. */
void lives_settle(struct lives *lives, struct link_position at);

/* Whether consumer, which stands at `at` and is settled, knows a life of the producer's, which has given out messages up to
 * `last` and had `earlier` before; *has is up to where it has the messages of the present life then. */
bool lives_meet(struct link_position at, const struct lives *consumer, struct link_position last,
                const struct lives *earlier, uint64_t *has);

/* Whether somebody at `at`, who knows a life of the producer's (met: lives_meet says so), proves that the producer is an
 * older copy of itself: it has what was not given out yet, or has followed a life that is not known there. */
bool lives_prove(struct link_position at, bool met, struct link_position last, const struct lives *earlier);

/* Add lives to a report (link.h), if there are any: "earlier":["<16 hex digits>",N,…], where N is `applied` for a
 * consumer's, else `last`. */
void lives_write(const struct lives *lives, bool applied, struct buffer *report);

/* Read them, into `applied` or `last`. None where there are none. */
void lives_read(struct span report, bool applied, struct lives *lives);

/* As they are stored: of each epoch, applied and last, u64 BE. Decoding: 0, or −1 if these are none. */
#define LIVES_BYTES_MAX (LIVES_MAX * 24)
struct span lives_encode(const struct lives *lives, char bytes[LIVES_BYTES_MAX]);
int lives_decode(struct span bytes, struct lives *lives);

#endif
