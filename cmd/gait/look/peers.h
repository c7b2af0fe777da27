/*
 * peers: the running processes, asked over the broker how they are.
 *
 * An empty message to <prefix>/ask is answered by every process with its metrics. What the broker keeps of them
 * (<prefix>/metrics/<process>, <prefix>/status/<process>) stands in for those that don't answer.
 */
#ifndef LOOK_PEERS_H
#define LOOK_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/broker.h"
#include "base/buffer.h"
#include "operator/stream.h"

#include "operator/stream.h"
#include "common/answer.h"

/* What is known of one process. */
struct peer {
    const struct stream *stream;
    bool answered;        /* in the last round */
    bool known;           /* text and answer are set: from the last round, or as the broker keeps them */
    char status[16];      /* as the broker keeps it: "online", "offline", or empty */
    struct buffer text;   /* the JSON document */
    struct answer answer; /* the same, read */
};

struct peers;

/* To be asked at broker, below prefix; both must outlive it. NULL with a line in the log. Free with peers_free. */
struct peers *peers_new(const struct broker *broker, const char *prefix);

/* Ask everybody, connecting first if need be until connect_deadline_ms (of clock_steady_ms), and wait for all answers
 * at most wait_ms. 1 all expected ones answered, 0 some did not, −1 no connection (a line is on standard error). */
int peers_ask(struct peers *peers, int64_t connect_deadline_ms, int64_t wait_ms);

/* After peers_ask, until the next one: what is known, in the order of the catalog; *count of them. */
const struct peer *peers_list(const struct peers *peers, unsigned *count);

/* Whether the process must answer: it begins a line itself, or is a consumer of another, or nobody is heard of who would
 * know. What is not expected was switched off. */
bool peers_expected(const struct peers *peers, const struct peer *peer);

/* After peers_ask: of *expected processes so many answered. */
unsigned peers_answered(const struct peers *peers, unsigned *expected);

/* The peer with this stream. */
const struct peer *peers_find(const struct peers *peers, const struct stream *stream);

/* Whether no known process has something to say that an operator has yet to acknowledge: that it went back in time, or that
 * its inbox lost messages; if not, why says in one line which has. */
bool peers_onward(const struct peers *peers, struct buffer *why);

/* Whether every process that answered takes in what comes, and has nothing to say of what hinders it; if not, why names
 * those that have. */
bool peers_well(const struct peers *peers, struct buffer *why);

/* Tell the process that an operator has seen what peers_onward finds. What comes of it the next answers say. */
void peers_acknowledge(struct peers *peers, const struct peer *peer);

/* Whether everything that has come in is worked everywhere, and peers_onward; if not, why says in one line who is not
 * done. */
bool peers_at_rest(const struct peers *peers, struct buffer *why);

/* Whether every input of every known process balances; if not, why says in one line which does not. Nothing is known of
 * those that did not answer: see peers_answered. */
bool peers_balanced(const struct peers *peers, struct buffer *why);

/* NULL is fine. */
void peers_free(struct peers *peers);

#endif
