/*
 * seen: recognises a landing record whose fields all equal those of one already taken.
 *
 * Remembered for `hold`, and for REDELIVERY_MS at least: after a lost connection the broker hands out again what it has
 * no acknowledgement for, and that must not count twice even where hold is 0. Only fingerprints are kept.
 *
 * Table layout: key = the record's time_ms u64 BE, fingerprint u64; no value. Time first, because live records come in
 * order of time and then fall on the same pages.
 */
#ifndef OPERATOR_SEEN_H
#define OPERATOR_SEEN_H

#include "base/hash.h"
#include "operator/agenda.h"
#include "record/record.h"

#define SEEN_KEY_BYTES 16
#define REDELIVERY_MS (10 * 60 * 1000)

struct seen {
    struct store *store;
    const struct hash_key *key;
    struct agenda agenda;
    int table;
    int64_t hold_ms;
};

/* key must outlive seen. 0 or −1. Free with seen_free. */
int seen_open(struct seen *seen, struct store *store, const struct hash_key *key, int64_t hold_ms);
int seen_load(struct seen *seen);

/* Remember record: 1 it is new, 0 it is a duplicate, −1. Its key is left in key, SEEN_KEY_BYTES. */
int seen_add(struct seen *seen, const struct record *record, char *key);

/* Forget the record that seen_add remembered last, with this key: it was refused for a reason that may be gone when it is
 * sent again. 0 or −1. */
int seen_take_back(struct seen *seen, const char *key);

/* Forget what is too old, as operator->work does. */
int seen_work(struct seen *seen, int64_t now_ms, unsigned budget);
int seen_flush(struct seen *seen, int64_t now_ms);
int64_t seen_due_ms(const struct seen *seen);
void seen_free(struct seen *seen);

#endif
