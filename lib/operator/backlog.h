/*
 * backlog: readings in the order in which they entered, that wait for something or are kept for what comes, until their
 * time is up. Each has a number; whether it still waits is one bit. They are found by an index (store/keyset.h) whose keys
 * end with the number.
 *
 * Records are appended and removed at the ends only, and the bits of many share a page: what comes in no order of persons or
 * times writes no more pages than what does.
 *
 * Table layouts, NAME is given at open:
 *   NAME           key = number u64 BE, from 1; value = marks u8 (1: settled when it entered, 2: it has a sender),
 *                  entered_ms i64 BE, arrived_ms i64 BE, time_ms i64 BE, person (HASH_ID_BYTES), sender u64 BE (if it has
 *                  one), body. entered_ms is when it came into the backlog, never before the one in front of it
 *   NAME_settled   key = number / SETTLED_BLOCK u64 BE; value = a bit for each number of the block: settled since it
 *                  entered. Absent: no bit is set
 *                  key = 2^64 − 1 u64; value = last number given u64 BE, lowest number kept u64 BE, when that changed last
 *   NAME_index     a keyset: key = what the caller looks for, number u64 BE. What is in none of its runs yet is not
 *                  there: it is made of the records again
 */
#ifndef OPERATOR_BACKLOG_H
#define OPERATOR_BACKLOG_H

#include <stdint.h>

#include "base/hash.h"
#include "store/keyset.h"
#include "operator/operator.h"

/* Numbers whose bits are one value of the store: 1 KiB. */
#define BACKLOG_SETTLED_BLOCK 8192

struct backlog_names {
    const char *records, *settled, *index;
};

/* Spans are valid until the next change of the store. */
struct backlog_record {
    uint64_t number;
    bool settled; /* it did not wait when it entered; backlog_waits says whether it does now */
    int64_t arrived_ms;
    int64_t time_ms;
    struct hash_id person;
    uint64_t sender; /* a hash; 0: of none that is told apart */
    struct span body;
};

/* Writes the index key of record to key, all but the number. context is that of the index's rules. */
typedef void backlog_index_key(const void *context, const struct backlog_record *record, char *key);

struct backlog {
    struct store *store;
    struct keyset *index;
    struct keyset_rules rules;
    backlog_index_key *index_key;
    int records, settled;
    uint64_t last;          /* number given last */
    uint64_t lowest;        /* kept; last + 1 if there is none */
    int64_t first_ms;       /* when the lowest entered; INT64_MAX if there is none */
    int64_t last_ms;        /* when the last one did */
    bool removed;           /* since the state was written */
    uint64_t block; /* whose bits are in memory; UINT64_MAX: of none */
    bool block_changed;
    unsigned char bits[BACKLOG_SETTLED_BLOCK / 8];
    struct buffer body; /* of the record that is being visited */
};

/* rules are those of the index (its keys are always kept elsewhere), index_key makes them. 0 or −1. Free with
 * backlog_free. */
int backlog_open(struct backlog *backlog, struct store *store, const struct backlog_names *names,
                 const struct keyset_rules *rules, backlog_index_key *index_key);

/* Read what is kept in memory, in a transaction: after open and after an aborted one. 0 or −1. */
int backlog_load(struct backlog *backlog);

/* Append record, which enters at now_ms; its number is set. 0 or −1. */
int backlog_add(struct backlog *backlog, struct backlog_record *record, int64_t now_ms);

/* The record with number: 1, 0 it is gone, −1. */
int backlog_get(struct backlog *backlog, uint64_t number, struct backlog_record *record);

/* The same of one that must be kept, since an index has it: 0, or −1; that it is gone is damage. */
int backlog_get_kept(struct backlog *backlog, uint64_t number, struct backlog_record *record);

/* Whether record waits: 1, 0 it is settled, −1. May change the store. */
int backlog_waits(struct backlog *backlog, const struct backlog_record *record);

/* Whether record, a copy, is not to be worked: output->deadly says so, of a record of input. */
bool backlog_is_deadly(const struct backlog_record *record, unsigned input, struct output *output);

/* The record with this number, which does, waits no more. 0 or −1. */
int backlog_settle(struct backlog *backlog, uint64_t number);

/* Find index keys as keyset_find does, of records that are kept: query->horizon is filled in. */
int backlog_find(struct backlog *backlog, struct keyset_query *query, struct buffer *keys);

/* The number at the end of an index key. */
uint64_t backlog_number(const struct backlog *backlog, const char *key);

/* Remove records from the oldest on that entered at until_ms or before, at most budget of them; with settled_too also those
 * that are settled, whenever they entered. visit is called for each that still waits, with its body copied: it may change
 * the store. How many were removed, or −1. */
int backlog_expire(struct backlog *backlog, int64_t until_ms, bool settled_too, unsigned budget, void *context,
                   int (*visit)(void *context, const struct backlog_record *record));

/* When the lowest record is due if each is due after_ms after it entered; INT64_MAX for never. */
int64_t backlog_due_ms(const struct backlog *backlog, int64_t after_ms);

/* Last call before the commit. 0 or −1. */
int backlog_flush(struct backlog *backlog);

/* Free the index and what is in memory; records stay in the store. Also of one whose backlog_open failed. */
void backlog_free(struct backlog *backlog);

#endif
