/*
 * seen: recognises a landing record whose fields all equal those of one already taken.
 *
 * Remembered for `hold`, and for REDELIVERY_MS at least: after a lost connection the broker hands out again what it has
 * no acknowledgement for, and that must not count twice even where hold is 0. Only fingerprints are kept.
 *
 * Table layout: a keyset (store/keyset.h): key = the record's time_ms u64 BE, fingerprint u64, arrived_ms u64 BE. Time
 * first: runs of live records follow each other then, and a look-up passes over all but the last.
 */
#ifndef OPERATOR_SEEN_H
#define OPERATOR_SEEN_H

#include "base/hash.h"
#include "record/record.h"
#include "store/keyset.h"

#define REDELIVERY_MS (10 * 60 * 1000)

struct seen {
    const struct hash_key *key;
    struct keyset *set;
    int64_t hold_ms;
    struct buffer found;
};

/* key must outlive seen. 0 or −1. Free with seen_free. */
int seen_open(struct seen *seen, struct store *store, const struct hash_key *key, int64_t hold_ms);
int seen_load(struct seen *seen);

/* Remember record, which arrived at now_ms: 1 it is new, 0 it is a duplicate, −1. *fingerprint is the record's. */
int seen_add(struct seen *seen, const struct record *record, int64_t now_ms, uint64_t *fingerprint);

/* Forget the record that seen_add remembered last: it was refused for a reason that may be gone when it is sent again. */
void seen_take_back(struct seen *seen);

/* Last call before the commit. 0 or −1. */
int seen_flush(struct seen *seen, int64_t now_ms);
void seen_free(struct seen *seen);

#endif
