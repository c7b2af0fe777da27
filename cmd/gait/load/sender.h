/*
 * sender: records to the landing topics, until every one has its receipt.
 *
 * A receipt says that the process that takes the records has them on its disk. What has none is kept here and sent
 * again: after the connection was lost, when the process says that it is online anew, and when a receipt comes for something
 * that was sent later. After a second without any receipt one is asked for. What arrives twice by that is recognised there.
 *
 * A process that is away is waited for as long as it takes. One that says itself that it is stopped (a wrong clock, a full
 * disk, a full outbox) and gives no receipt is given up after a while: it will not go on before somebody has read why.
 */
#ifndef LOAD_SENDER_H
#define LOAD_SENDER_H

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
    int64_t stopped_ms_max;  /* a process that says for so long that it is stopped is not waited for any longer */
    void (*tick)(void *context); /* called from within the calls below every 100 ms or so; for a progress bar */
    void (*clear)(void *context); /* called before a line is written: wipe the progress bar away */
    void *context;
};

/* Where a record comes from. */
struct sender_origin {
    unsigned file; /* its number; what it means is up to the caller */
    uint64_t line;
    const char *problem; /* why it will be refused, if that is known already; else NULL */
};

/* An invalid record. */
struct sender_fault {
    unsigned file; /* 0 and line 0: not known */
    uint64_t line;
    char text[192]; /* what is wrong */
};
#define SENDER_FAULTS_MAX 5 /* the first ones are enough to mend the others by */

/* What has happened so far. */
struct sender_totals {
    uint64_t records;   /* given to sender_add */
    uint64_t messages;  /* made of them, those sent again not counted again */
    uint64_t receipted; /* records that have their receipt */
    uint64_t duplicate; /* of them: had been taken before */
    uint64_t invalid;   /* of them: refused as no good record */
    uint64_t refused;   /* of them: at once, for want of consent or room */
    uint64_t stale;     /* of them: older than what is known of their customer */
    uint64_t ahead;     /* of them: dated ahead of the process's clock */
};

struct sender;

/* A sender that begins to connect with its first call. Strings and broker must outlive it. NULL with a line in the
 * log. */
struct sender *sender_new(const struct sender_options *options);

/* Take a record of kind (one line without its end, that begins with '{'), send it when its message is full. Waits while much
 * is under way. origin may be NULL. 0, or −1 when a signal came (see interrupt.h), when a process or the broker
 * is given up (sender_given_up), or when the broker takes no message so large, which it says. */
int sender_add(struct sender *sender, enum record_kind kind, struct span record, const struct sender_origin *origin);

/* Send what waits for its message to be filled. 0 or −1 as above. */
int sender_flush(struct sender *sender);

/* Flush and wait until everything has its receipt. 0 or −1 as above. */
int sender_finish(struct sender *sender);

/* What has happened so far. */
struct sender_totals sender_totals(struct sender *sender);

/* Which process was given up, and why: "PROCESS is stopped: WHY"; or why a broker that never let us in does not; "" if none
 * was. Nothing more is sent then. */
const char *sender_given_up(const struct sender *sender);

/* Invalid record number index of those that are remembered, from 0: 1 and *fault, or 0: there is none. */
int sender_fault(struct sender *sender, unsigned index, struct sender_fault *fault);

/* NULL is fine. */
void sender_free(struct sender *sender);

#endif
