/*
 * sender: records to the landing topics, until every one has its receipt.
 *
 * A receipt says that the process that takes the records has them on its disk. What has none is kept here and sent
 * again: after the connection was lost, when the process says that it is online anew, and after some seconds without
 * any receipt. What arrives twice by that is recognised there.
 */
#ifndef GAIT_SENDER_H
#define GAIT_SENDER_H

#include <stdint.h>

#include "base/broker.h"
#include "base/span.h"
#include "record/record.h"

struct sender_options {
    const char *command; /* for the client's name and for messages: "load" */
    const struct broker *broker;
    const char *prefix;
    unsigned batch_records;  /* most in a message, from 1 */
    int64_t records_per_s;   /* not faster than this; 0: as fast as it goes */
    void (*tick)(void *context); /* called from within the calls below every 100 ms or so; for a progress bar */
    void *context;
};

/* What has happened so far. */
struct sender_totals {
    uint64_t records;   /* given to sender_add */
    uint64_t messages;  /* made of them, those sent again not counted again */
    uint64_t receipted; /* records that have their receipt */
    uint64_t duplicate; /* of them: had been taken before */
    uint64_t invalid;   /* of them: refused as no good record */
};

struct sender;

/* A sender that begins to connect with its first call. Strings and broker must outlive it. NULL with a line in the
 * log. */
struct sender *sender_new(const struct sender_options *options);

/* Take a record of kind (one line without its end), send it when its message is full. Waits while much is under way.
 * 0, or -1 when a signal came (see interrupt.h), or when the broker takes no message so large, which it says. */
int sender_add(struct sender *sender, enum record_kind kind, struct span record);

/* Send what waits for its message to be filled. 0 or -1 as above. */
int sender_flush(struct sender *sender);

/* Flush and wait until everything has its receipt. 0 or -1 as above. */
int sender_finish(struct sender *sender);

struct sender_totals sender_totals(struct sender *sender);

/* NULL is fine. */
void sender_free(struct sender *sender);

#endif
