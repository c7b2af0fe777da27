/*
 * mailbox: what the wires' threads leave for the loop, and how they wake it. All that a foreign thread may touch is in here,
 * or is said to be under its lock: the queues of links (link.h), what ports hear, the shared part of probes. Its owner takes
 * out what has come, at each step.
 */
#ifndef LINKS_MAILBOX_H
#define LINKS_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "links/publisher.h"

/* Questions that may wait to be looked at; more are dropped, and come again. */
#define ASKS_MAX 64

/* Somebody asks for the metrics. */
struct ask {
    char *topic;
    struct buffer correlation;
    uint64_t inbox_position; /* answered when the inbox is worked up to here */
};

/* A consumer's newest report since the last look. */
struct report {
    bool heard;
    struct publisher_word said;
    bool rewind;
};

/* The newest message that the broker refused. */
struct refused {
    char text[256];   /* what, to whom, why */
    int64_t until_ms; /* shown until then; steady clock */
};

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;

    /* Under the lock. */
    struct ask asks[ASKS_MAX];
    unsigned ask_count;
    struct report reports[CONSUMERS_MAX]; /* in the order of the publisher's consumers */
    bool synced;                 /* our own message came back: everything retained has come before it */
    bool kept_heard;             /* the broker's copy of …/.kept came */
    struct report kept;
    bool acknowledged;           /* an operator says so */
    uint64_t delivered_output;   /* newest token acknowledged, */
    uint64_t delivered_rejected;
    uint64_t refused_output;     /* and the first one refused, since the last look */
    uint64_t refused_rejected;
    bool refill_delivered, refill_refused;
    struct buffer recalled; /* what the broker keeps as withdrawn, see recall.c, */
    uint64_t recalled_of;   /* of so many rows, */
    bool recalled_come;     /* and all of it has come */
    struct refused refused;
    uint64_t unanswered; /* receipts and answers that were asked for where we give none, since the start */
};

/* Make mailbox, which is all zero, ready for other threads. Free with mailbox_close. */
void mailbox_open(struct mailbox *mailbox);

/* End a mailbox_wait, from any thread; not with the lock held. */
void mailbox_wake(struct mailbox *mailbox);

/* Wait until mailbox_wake is called, or timeout_ms have passed. */
void mailbox_wait(struct mailbox *mailbox, int64_t timeout_ms);

/* Free what was left in it and not taken out; not mailbox itself. No other thread may touch it any more. */
void mailbox_close(struct mailbox *mailbox);

/* Free count questions. */
void mailbox_free_asks(struct ask *asks, unsigned count);

#endif
