/*
 * process_state: the inside of a process, for process.c and for tests that look into it, and for nobody else.
 */
#ifndef RUN_PROCESS_STATE_H
#define RUN_PROCESS_STATE_H

#include "base/backoff.h"
#include "state/attempt.h"
#include "run/process.h"

/* Why nothing is taken in at present; WHY_NOT_STOPPED: it is. */
enum why_stopped {
    WHY_NOT_STOPPED,
    WHY_DISK_FULL,
    WHY_NO_ADDRESS_SPACE,
    WHY_STORE_BROKEN,
    WHY_FILES_WRONG,
    WHY_CLOCK_WRONG,
    WHY_TRANSPORT,    /* it says why; */
    WHY_OUTPUT_FULL,  /* likewise */
    WHY_OPERATOR_FULL /* the operator says why */
};

struct process {
    struct process_options options;
    const struct stream *stream;
    char *dir; /* of this process's state */
    int lock_fd;
    struct host host;
    struct store *store;
    struct attempt attempt;
    struct timekeeper time;
    struct batch *batch;
    struct transport *transport;

    enum why_stopped why;
    enum why_stopped why_stalled; /* until stall is due */
    struct buffer why_text;
    struct backoff stall; /* after transactions that failed: when to try the next one */
    bool open;   /* records are taken, by nothing hindered */
    bool learns; /* as in struct intake */
};

/* Append to why the words for why nothing is taken in, or what is not well all the same; nothing if all is. */
void process_write_why(struct process *process, struct buffer *why);

#endif
