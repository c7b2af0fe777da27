/*
 * outbox: messages that were decided and are not known to have reached every registered consumer yet, in the store, under
 * sequence numbers. A message is appended in the transaction that decided it.
 *
 * Table layout: key = sequence u64 BE, from 1; value = end u64 BE (bytes of all messages ever up to this one's end),
 * row_bytes u8, row name, payload. The entry under the key 0 is the head: last u64 BE, end of last u64 BE, trimmed
 * u64 BE, end of trimmed u64 BE.
 */
#ifndef LINKS_OUTBOX_H
#define LINKS_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* In the place of the row, in a stream: the broker is to keep this message until the next one, for who looks later. */
#define OUTBOX_RETAINED "retained"

/* Where no outbox ever gets to: a head that says so is damaged. A message's number has its room in a token (publisher.h). */
#define OUTBOX_SEQUENCE_MAX (UINT64_C(1) << 55)
#define OUTBOX_END_MAX (UINT64_C(1) << 62)

/* Where a sequence number stands, in messages and in bytes. */
struct outbox_mark {
    uint64_t sequence;
    uint64_t end;
};

struct outbox {
    struct store *store;
    int table;
    struct outbox_mark last;    /* the newest message */
    struct outbox_mark trimmed; /* the newest that is gone */
    bool changed;               /* the head is to be written */
};

struct outbox_message {
    struct outbox_mark mark;
    struct span row; /* tables: the row's name; streams: OUTBOX_RETAINED or empty */
    struct span payload;
};

/* Over the table called name. 0 or −1. */
int outbox_open(struct outbox *outbox, struct store *store, const char *name);

/* Read the head, in a transaction: after open and after an aborted one. 0 or −1. */
int outbox_load(struct outbox *outbox);

/* Append a message under the next sequence number. 0 or −1. */
int outbox_append(struct outbox *outbox, struct span row, struct span payload);

/* The message with this number, or the oldest there is if it is older; in a transaction or snapshot. 1, 0 there is none
 * yet, −1. */
int outbox_read(struct outbox *outbox, uint64_t sequence, struct outbox_message *message);

/* Remove messages up to sequence, at most budget of them. How many, −1. */
int outbox_trim(struct outbox *outbox, uint64_t sequence, unsigned budget);

/* Write the head if it changed; before the commit. 0 or −1. */
int outbox_flush(struct outbox *outbox);

/* Bytes of the messages in it. */
static inline uint64_t
outbox_bytes(const struct outbox *outbox)
{
    return outbox->last.end - outbox->trimmed.end;
}

#endif
