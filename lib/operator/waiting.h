/*
 * waiting: the waiting room. Records whose customer is not there yet stay here, durably, until they are let go, refused,
 * or their time is up.
 *
 * When something changes for a person, waiting_wake makes a note, and waiting_work asks again about that person's
 * records, a few at a time: a customer who releases a million readings must not stop the loop.
 *
 * A record that was let go is settled, and its room given back when all that came before it have left, too.
 *
 * Table layouts, names are given at open:
 *   records, settled   a backlog (operator/backlog.h)
 *   index              its index: key = person (HASH_ID_BYTES), number u64 BE
 *   size               key "bytes"; value u64 BE, the sum of all that wait
 *                      key "senders"; value u64 BE, of those that have a sender; absent: 0
 *   senders            key = sender u64; value u64 BE, the sum of those of it that wait; absent: none does
 *   wakes              key = person; value = number u64 BE of the last record asked about (empty: none yet)
 */
#ifndef OPERATOR_WAITING_H
#define OPERATOR_WAITING_H

#include <stdint.h>

#include "operator/backlog.h"

struct waiting_names {
    struct backlog_names backlog;
    const char *wakes, *size;
    const char *senders; /* NULL: no record has one */
};

struct waiting {
    struct store *store;
    struct backlog backlog;
    int wakes, size, senders;
    uint64_t bytes;
    uint64_t senders_bytes; /* of records that have a sender; those without are one sender more */
    uint64_t written_bytes, written_senders_bytes; /* what the store holds of these */
    struct {
        uint64_t sender; /* 0: none */
        uint64_t bytes;
        bool changed;
    } at_hand; /* the sender that was asked about last: a message has many records, all of one */
    int64_t wake_count;
    struct buffer keys; /* of the index, of a woken person */
    struct buffer body; /* of the record that is asked about */
};

/* The last one: it goes, and that has put out so much that no more is to be asked about in this call. */
enum waiting_answer { WAITING_ERROR = -1, WAITING_STAY, WAITING_GO, WAITING_GO_LAST };

/* 0 or −1. Free with waiting_free. */
int waiting_open(struct waiting *waiting, struct store *store, const struct waiting_names *names);

/* Read the sums, in a transaction: after open and after an aborted one. 0 or −1. */
int waiting_load(struct waiting *waiting);

/* Let record in; its number is set. 0 or −1. */
int waiting_enter(struct waiting *waiting, struct backlog_record *record);

/* Whether one more record of body_bytes may enter: all may have bytes_max, those of its sender sender_bytes_max.
 * 1, 0, −1. */
int waiting_has_room(struct waiting *waiting, uint64_t sender, size_t body_bytes, uint64_t bytes_max,
                     uint64_t sender_bytes_max);

/* Something changed for person: ask again about those who wait for it. 0 or −1. */
int waiting_wake(struct waiting *waiting, const struct hash_id *person);

/* Ask about woken records: ask says whether each stays or goes (then it is out, and ask has dealt with it), and whether it
 * is the last in this call, which may do less than budget then. Then turn out those that arrived at expired_ms or before:
 * expire is called for each. How many steps were done, or −1. */
int waiting_work(struct waiting *waiting, unsigned budget, int64_t expired_ms, void *context,
                 enum waiting_answer (*ask)(void *context, const struct backlog_record *record),
                 int (*expire)(void *context, const struct backlog_record *record));

/* To be asked first by ask and expire, of a record of input: whether it is deadly (backlog_is_deadly), and so neither to be
 * asked about nor told of. Then it is out, and counted. */
bool waiting_gives_up(const struct backlog_record *record, unsigned input, struct output *output);

/* Last call before the commit: write the sums that have changed. 0 or −1. */
int waiting_flush(struct waiting *waiting);

/* When something is due: 0 while anybody is woken, else when the first record expires. */
int64_t waiting_due_ms(const struct waiting *waiting, int64_t hold_ms);

/* Free what is in memory; records stay in the store. Also of one whose waiting_open failed. */
void waiting_free(struct waiting *waiting);

#endif
