/*
 * waiting: the waiting room. Records whose customer is not there yet stay here, durably, until they are let go, refused,
 * or their time is up.
 *
 * When something changes for a person, waiting_wake makes a note, and waiting_work asks again about that person's
 * records, a few at a time: a customer who releases a million readings must not stop the loop.
 *
 * Table layouts, NAME is given at open:
 *   NAME         key = person (HASH_ID_BYTES), time_ms u64 BE, tie u64; value = arrived_ms i64 BE, body
 *   NAME_wakes   key = person; value = the rest of the last key asked about (empty: none yet)
 *   NAME_agenda  the keys of the first, for expiry
 *   NAME_size    key "bytes"; value u64 BE, the sum of all keys and values
 */
#ifndef OPERATOR_WAITING_H
#define OPERATOR_WAITING_H

#include <stdint.h>

#include "base/hash.h"
#include "operator/agenda.h"

#define WAITING_TIE_BYTES 16 /* time_ms and tie */
#define WAITING_KEY_BYTES (HASH_ID_BYTES + WAITING_TIE_BYTES)

struct waiting_names {
    const char *room, *wakes, *agenda, *size;
};

struct waiting {
    struct store *store;
    struct agenda agenda;
    int room, wakes, size;
    uint64_t bytes;
    uint64_t written_bytes; /* what the store holds of bytes */
    int64_t wake_count;
    struct buffer body; /* of the record that is asked about */
};

/* A record in the room. Spans are valid during the call they are given to. */
struct waiting_record {
    struct hash_id person;
    int64_t time_ms;
    int64_t arrived_ms;
    struct span tie; /* WAITING_TIE_BYTES of its key */
    struct span body;
};

enum waiting_answer { WAITING_ERROR = -1, WAITING_STAY, WAITING_GO };

/* 0 or −1. Free with waiting_free. */
int waiting_open(struct waiting *waiting, struct store *store, const struct waiting_names *names);
int waiting_load(struct waiting *waiting);

/* Let a record in. tie tells records of the same person apart: time_ms u64 BE first, then 8 bytes that differ. 0 or −1. */
int waiting_enter(struct waiting *waiting, const struct hash_id *person, const char *tie, int64_t arrived_ms,
                  struct span body);

/* What one more record of body_bytes would bring the room to. */
uint64_t waiting_bytes_with(const struct waiting *waiting, size_t body_bytes);

/* Something changed for person: ask again about those who wait for it. 0 or −1. */
int waiting_wake(struct waiting *waiting, const struct hash_id *person);

/* Ask about woken records: ask says whether each stays or goes (then it is out, and ask has dealt with it). Then turn out
 * those that arrived at expired_ms or before: expire is called for each. How many steps were done, or −1. */
int waiting_work(struct waiting *waiting, unsigned budget, int64_t expired_ms, void *context,
                 enum waiting_answer (*ask)(void *context, const struct waiting_record *record),
                 int (*expire)(void *context, const struct waiting_record *record));

int waiting_flush(struct waiting *waiting, int64_t now_ms);

/* When something is due: 0 while anybody is woken, else when the first record expires. */
int64_t waiting_due_ms(const struct waiting *waiting, int64_t hold_ms);

void waiting_free(struct waiting *waiting);

#endif
