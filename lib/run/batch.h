/*
 * batch: one transaction of a process, from what has arrived to the commit: decode, decide, state, counters, what is due.
 * Whatever has come when it begins is worked, up to its limits, also inside of a payload; if it fails all of it is as if it
 * had not been begun, and what is in memory is read anew.
 */
#ifndef RUN_BATCH_H
#define RUN_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/timekeeper.h"
#include "store/store.h"
#include "operator/stream.h"
#include "state/attempt.h"
#include "state/ledger.h"
#include "state/recent.h"
#include "run/transport.h"

/* Bounds one transaction: its memory, and how long a reading waits for the commit it is in. */
#define BATCH_RECORDS_MAX 8192
#define BATCH_PAYLOAD_BYTES_MAX (2u << 20)

/* Output of one transaction after which it does no more. */
#define BATCH_OUTPUT_BYTES_MAX (8u << 20)

/* Steps of expiry and release in one transaction, besides two for each record taken in, and how many at a time between two
 * looks at the output. */
#define BATCH_WORK_MAX 1000
#define BATCH_WORK_STEP 100

/* Invalid records of one payload that are told of one by one; of the rest one message for each reason says how many. A
 * byte of payload can be an invalid record, and a message about it has a hundred and more. */
#define BATCH_PAYLOAD_FAULTS_MAX 64

/* The part of outbox_bytes that messages about refusals may take besides: when nobody takes them intake goes on, and
 * further ones are counted, to be told in sum when there is room again. */
#define BATCH_REJECTED_SHARE 8

struct batch_options {
    const struct stream *stream;
    const struct config *config;
    const char *dir;       /* the folder for everything */
    const char *state_dir; /* of this process */
    struct store *store;
    int meta;                    /* its table for what is no operator's */
    struct timekeeper *time;
    struct attempt *attempt;
};

struct batch;

/* The operator and the tables of a process; what options points to must outlive it. NULL with a line in the log. Then
 * batch_use says which transport it works with, and batch_load is called in a transaction. Free with batch_close. */
struct batch *batch_open(const struct batch_options *options);
void batch_use(struct batch *batch, struct transport *transport);

/* Read everything that is kept in memory from the store, inside a transaction. 0 or −1. */
int batch_load(struct batch *batch);

/* The same, without the operator: for a process whose operator can't go on yet. */
int batch_load_own(struct batch *batch);

/* What batch_load has written is committed: that makes a new store one of ours. */
void batch_kept(struct batch *batch);

/* Whether what is in memory agrees with the store; and whether all but what the operator keeps does, which is what is
 * shown. */
bool batch_is_loaded(const struct batch *batch);
bool batch_is_shown(const struct batch *batch);

/* Begin to note what is worked next; once all is loaded and open. */
void batch_opened(struct batch *batch);

/* Work what has arrived in one transaction; intake: records may be worked, else only what has to be done all the same. 1
 * something was worked, 0 there was nothing, −1 it failed, and batch_fault says of what kind that is. */
int batch_work(struct batch *batch, bool intake);

/* After batch_work found no room: make some, and commit even if there is none to be made, so that the store can use again
 * what earlier transactions have freed. As batch_work. */
int batch_make_room(struct batch *batch);

/* Of what kind the last failure was: STORE_FINE if what went wrong is not the store's. */
enum store_fault batch_fault(const struct batch *batch);

/* Whether batch_work would find anything. */
bool batch_waits(const struct batch *batch, bool intake, int64_t steady_ms);

/* Messages may have so many bytes, or as many as the configuration says, if that is less. */
void batch_bound(struct batch *batch, size_t message_bytes_max);

/* What a transport asks of the operator. */

/* In prepare: as the operator's recall. */
int batch_recall(struct batch *batch, struct span row, int64_t withdrawn_ms);

/* As the operator's rows, of a stream that has some. */
int batch_rows(struct batch *batch, struct span after, bool (*visit)(void *context, struct span row, struct span body),
               void *context);

/* What is shown. */

/* What became of its records, and its newest refusals; both belong to batch. */
const struct ledger *batch_ledger(const struct batch *batch);
const struct recent *batch_recent(const struct batch *batch);

/* Fill gauges with what the operator wants shown: how many there are. Between transactions. */
unsigned batch_gauges(const struct batch *batch, struct gauge gauges[OPERATOR_GAUGES_MAX]);

/* Refusals that are counted and yet to be told; records that were set aside since it was opened. */
uint64_t batch_untold(const struct batch *batch);
unsigned batch_set_aside(const struct batch *batch);

/* When the operator has something to do next; INT64_MAX for never. */
int64_t batch_due_ms(const struct batch *batch);

/* Why the operator takes nothing more in; NULL: it does. */
const char *batch_why_full(const struct batch *batch);

/* NULL is fine. */
void batch_close(struct batch *batch);

#endif
