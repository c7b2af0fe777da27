/*
 * inside: what tests see of the inside of a process, and what they move there. No other file of the tests knows its members,
 * so that whoever moves them has inside.c to change.
 */
#ifndef TESTS_INSIDE_H
#define TESTS_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "wire/wire.h"
#include "state/attempt.h"
#include "links/inbox.h"
#include "state/ledger.h"
#include "links/link.h"
#include "links/outbox.h"
#include "run/process.h"
#include "state/recent.h"
#include "base/timekeeper.h"
#include "store/store.h"

/* Its store; of the tables in that, the one with positions and counters, and the one of records that were set aside. */
struct store *inside_store(struct process *process);
int inside_meta(const struct process *process);
int inside_aside(const struct process *process);

/* The life of its store. */
uint64_t inside_epoch(const struct process *process);

/* Whether what it has in memory agrees with its store; and make it read that again, as after a transaction that failed. */
bool inside_is_loaded(const struct process *process);
void inside_unload(struct process *process);

/* What became of its records, the newest refusals, its clock, what it is at, and the state of its operator. */
const struct ledger *inside_ledger(const struct process *process);
const struct recent *inside_recent(const struct process *process);
const struct timekeeper *inside_timekeeper(const struct process *process);
const struct attempt *inside_attempt(const struct process *process);
void *inside_operator_state(const struct process *process);

/* Its inbox (NULL without a landing input), where that ends, up to where it is worked, and whether that is inside of a
 * payload; and its key. */
struct inbox *inside_inbox(const struct process *process);
uint64_t inside_inbox_end(const struct process *process);
uint64_t inside_inbox_position(const struct process *process);
bool inside_is_in_payload(const struct process *process);
struct hash_key inside_inbox_key(const struct process *process);

/* The link of an input; and where its reports go, NULL if the input is none. */
const struct link *inside_link(const struct process *process, unsigned input);
const char *inside_report_topic(const struct process *process, unsigned input);

/* What was decided, and what is said of what was refused, and may not have arrived; and where the latter goes. */
const struct outbox *inside_output(const struct process *process);
const struct outbox *inside_rejected(const struct process *process);
const char *inside_rejected_topic(const struct process *process);

/* Append lines to the latter, in a transaction of their own. 0 or −1. */
int inside_reject(struct process *process, struct span lines);

/* How many refusals for this reason are counted, and not told of yet: to be set. */
uint64_t *inside_untold(struct process *process, enum reason reason);

/* Receipts of the transaction at hand, and the bytes kept for some; and of all that were asked for, those not given. */
unsigned inside_receipts(const struct process *process);
size_t inside_receipt_bytes(const struct process *process);
uint64_t inside_unanswered(const struct process *process);

/* One transaction; one that makes room; and whether the first would find anything. As batch_work. */
int inside_work(struct process *process, int64_t now_ms, bool intake);
int inside_make_room(struct process *process, int64_t now_ms);
bool inside_has_work(struct process *process, int64_t now_ms, bool intake);

/* Whether nothing is taken in; the words for that, or for what else is not well; whether its state is told to be an older
 * copy; and its metrics, appended to text. */
bool inside_is_stopped(const struct process *process);
const char *inside_why(struct process *process);
bool inside_is_back(const struct process *process);
void inside_metrics(struct process *process, struct buffer *text);

/* Whether one of its two connections is up and subscribed to everything; and what the wire of one calls. */
bool inside_is_connected(const struct process *process, bool landing);
struct wire_events inside_events(struct process *process, bool landing);

/* The descriptor of the file that a hold is taken in. */
int inside_hold(const struct process *process);

/* Limits that come of its configuration or are constants, and what the broker has said of itself: to be set. */
struct inside_limits {
    unsigned *batch_records;
    uint64_t *batch_output_bytes;
    uint64_t *payload_faults;
    uint64_t *outbox_bytes;
    uint64_t *rejected_bytes;
    uint64_t *output_window_bytes, *rejected_window_bytes;
    size_t *message_bytes;
    bool *broker_retains;
};
struct inside_limits inside_limits(struct process *process);

/* Rows that it waits for before it decides or gives out any: to be looked at or set. */
struct inside_rows {
    bool *restored;     /* those that it has are to be forgotten */
    bool *due;          /* the broker is to say who left */
    bool *heard;        /* everybody who may know more has spoken, or had the time to, */
    int64_t *synced_ms; /* since then */
    bool *newcomer;     /* it gives them to one that begins without */
};
struct inside_rows inside_rows(struct process *process);

/* Whether rows for a newcomer are in this transaction, or were in the last. */
bool inside_serves_newcomer(const struct process *process);

/* What the wires have left for the loop, as it is now. */
struct inside_report {
    bool heard;
    bool rewind;
    struct link_position position;
};
struct inside_arrived {
    struct inside_report reports[2]; /* of its first consumers */
    struct inside_report kept;       /* the broker's copy of where its own copy goes to */
    bool synced;
    bool refill_delivered;
    uint64_t delivered_output, delivered_rejected; /* tokens */
};
struct inside_arrived inside_arrived(const struct process *process);

/* What a message is published with; number is a sequence number of either outbox. */
enum inside_token { INSIDE_OUTPUT, INSIDE_REJECTED, INSIDE_REFILL, INSIDE_REFILL_LAST };
uint64_t inside_token(enum inside_token of, uint64_t number);

/* Bytes of what it knows its own message on a landing topic by. */
#define INSIDE_PROBE_BYTES 16

/* Other constants of it. */
struct inside_numbers {
    size_t transaction_bytes; /* of payloads, and of what their receipts need */
    unsigned payload_faults;  /* told of one by one */
    unsigned questions;       /* that may wait */
    int64_t receipt_tried_ms; /* how often a receipt is to be acknowledged */
    int64_t refusal_shown_ms;
};
extern const struct inside_numbers inside_numbers;

#endif
