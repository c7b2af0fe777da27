/*
 * publisher: the producing end of a link. It sends the messages of an outbox in order, never further ahead of its
 * registered consumers than a window of bytes, goes back when one asks it to, and says up to where the outbox may be
 * trimmed. A stream waits for its slowest consumer, a table for its fastest: rows are few, withdrawals are among them, and
 * those must not stand in line behind a consumer that is away.
 *
 * A broker may take less than what a message has that was appended before it said so. Then the message goes out in parts,
 * cut between records, and its number holds for all of them.
 *
 * Without registered consumers the broker stands in for one: what it acknowledged is done with.
 */
#ifndef RUN_PUBLISHER_H
#define RUN_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/wire.h"
#include "run/outbox.h"

#define PUBLISHER_CONSUMERS_MAX 32

struct publisher_consumer {
    const char *name;
    uint64_t applied; /* it has applied everything up to here, and committed it */
    bool behind;      /* it needs messages that are gone, and the log says so */
    bool newcomer;    /* it knows nothing of this store, whose first messages are gone, and is to be told: see newcomer.c */
    bool has_rows;    /* all rows of the table were appended for it, and it has not reported yet that it begins there */
};

struct publisher {
    struct outbox *outbox;
    const char *topic; /* of the stream; of a table: what stands before "/<row>" */
    bool table;
    uint64_t epoch;
    uint64_t window_bytes;
    uint64_t token; /* upper bits that tell this publisher's tokens from others' */
    struct publisher_consumer consumers[PUBLISHER_CONSUMERS_MAX];
    unsigned consumer_count;

    uint64_t next;                /* the next one to send */
    struct outbox_mark sent;      /* the newest sent one on this connection */
    struct outbox_mark confirmed; /* what all have applied */
    struct outbox_mark window;    /* where the window begins */
    uint64_t delivered;           /* by the broker, if it stands in */
    uint64_t copied;              /* tables: the broker's copy goes up to here; the caller sets it on connecting */
    int64_t probe_ms;             /* when to send the last one again, if nothing was heard by then */
    int64_t probe_wait_ms;
    struct buffer row_topic;
    struct wire_limits limits;    /* of the broker; the caller sets them on connecting, as `copied` */
    size_t unfit_bytes;           /* the packet that a record would need, if the broker takes none so large; else 0 */
};

/* The bit of sequence numbers that a token holds. */
#define PUBLISHER_TOKEN_MASK ((UINT64_C(1) << 56) - 1)

/* Set up over outbox, which must be loaded; the rest of the fields above `next` are the caller's. */
void publisher_init(struct publisher *publisher);

/* A record does not fit into what the broker takes, by a packet of so many bytes: nothing is sent until the next
 * connection. Says so in the log. */
void publisher_stand(struct publisher *publisher, size_t packet_bytes);

/* Register a consumer; name must stay valid. */
void publisher_add(struct publisher *publisher, const char *name);

/* The connection is new: what was sent and not applied is sent again. */
void publisher_restart(struct publisher *publisher);

/* Send again from next on, or from the oldest message there is. */
void publisher_rewind(struct publisher *publisher, uint64_t next);

/* Consumer name reports that it has applied up to `applied` of epoch; rewind: it wants everything behind that again.
 * Names that are not registered are ignored. One that knows nothing of this epoch becomes a newcomer if the oldest
 * messages are gone, and holds the rest. */
void publisher_report(struct publisher *publisher, struct span name, uint64_t epoch, uint64_t applied, bool rewind);

/* The broker acknowledged the message with this token. */
void publisher_delivered(struct publisher *publisher, uint64_t token);

/* Send what the window allows, inside a snapshot. Returns how many were sent, −1 if the store or the wire failed. */
int publisher_pump(struct publisher *publisher, struct wire *wire, int64_t steady_ms);

/* Up to where the outbox may be trimmed. */
uint64_t publisher_confirmed(const struct publisher *publisher);

/* Whether anything waits to be sent that the window would allow. */
bool publisher_ready(const struct publisher *publisher, int64_t steady_ms);

void publisher_free(struct publisher *publisher);

#endif
