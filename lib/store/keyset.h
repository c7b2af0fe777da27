/*
 * keyset: a set of keys of one size, cheap to add to however large it is and in whatever order keys come, that forgets by
 * age. A B+ tree writes a page for each key that comes in no order; here keys are gathered, sorted and written in runs, one
 * behind the other.
 *
 * A log-structured merge tree (O'Neil, Cheng, Gawlick, O'Neil 1996) over one table of a store: eight runs of a level are
 * merged into one of the next, a bounded number of keys a transaction. A run has a blocked Bloom filter (Bloom 1970; Putze,
 * Sanders, Singler 2007) of the tokens of its keys in memory, 16 bits a key, so that a look-up reads only runs that hold
 * what it wants, and few others. What is being merged is not seen before it is done; a merge that a crash or a failed
 * transaction cut off is begun again.
 *
 * The last eight bytes of a key are its age (u64 BE): something that grows with its arrival, a time or a number. Keys below
 * a horizon are dead: never found, left out by the next merge, a run of nothing else dropped as a whole. Nothing else can be
 * removed, so there are no tombstones.
 *
 * Table layout:
 *   'r', serial u64 BE             → keys not in a run yet, one behind the other
 *   'b', run u32 BE, last key      → a block of a run: keys in order
 *   'f', run u32 BE, part u32 BE   → a part of the run's filter, as it is in memory
 *   'h', run u32 BE                → state u8, level u8, token rule and filter layout u64 BE, keys u64 BE, newest age
 *                                    u64 BE, filter lines u64 BE, first key, last key
 */
#ifndef STORE_KEYSET_H
#define STORE_KEYSET_H

#include <stdint.h>

#include "base/buffer.h"
#include "store/store.h"

#define KEYSET_KEY_BYTES_MAX 48
#define KEYSET_AGE_BYTES 8

/* Look-ups for one key ask for at most so many tokens. */
#define KEYSET_TOKENS_MAX 4

struct keyset_rules {
    size_t key_bytes; /* with the age; more than KEYSET_AGE_BYTES, at most KEYSET_KEY_BYTES_MAX */
    /* The token of key: what it is looked for by. Any number will do, equal ones for keys that are wanted together. */
    uint64_t (*token)(const void *context, const char *key);
    const void *context;
    uint64_t token_rule; /* another number when token gives others than before: older filters are passed over then */
    bool kept_elsewhere; /* keys in no run are not written: keyset_newest says what is to be added again */
};

struct keyset;

/* Make the set that lives in the table called name, which must stay valid, as what rules.context points to. Nothing is
 * read: keyset_load must follow. NULL with a line in the log. Free with keyset_free. */
struct keyset *keyset_open(struct store *store, const char *name, const struct keyset_rules *rules);

/* Read what is kept in memory from the store, forgetting what was there: in a transaction, after open and after an aborted
 * one. 0 or −1. */
int keyset_load(struct keyset *set);

/* The greatest age in any run; 0 if there is none. For keys that are kept elsewhere and come with growing ages: after
 * keyset_load those above it are to be added again. */
uint64_t keyset_newest(const struct keyset *set);

/* Add key, which must not be in the set. keyset_flush must follow before the commit. */
void keyset_add(struct keyset *set, const char *key);

/* Add key, which was there before keyset_load: it calls for no merging, since it did so when it came. Before any other is
 * added. */
void keyset_add_again(struct keyset *set, const char *key);

/* Forget the key that was added last after all; not flushed yet. */
void keyset_take_back(struct keyset *set);

/* What to look for. */
struct keyset_query {
    const char *from, *to; /* keys, both included */
    uint64_t horizon;      /* least age */
    uint64_t tokens[KEYSET_TOKENS_MAX]; /* only keys with one of these; they must differ */
    unsigned token_count;  /* 0: any. Reads every run that may have keys between from and to */
    unsigned max;          /* how many are wanted at most; the lowest ones */
};

/* Gather the keys that query asks for in keys (replaced), one behind the other, in order. How many, or −1. */
int keyset_find(struct keyset *set, const struct keyset_query *query, struct buffer *keys);

/* Last call before the commit: write what was added, and merge as much as that calls for. Keys below horizon are
 * forgotten. 0 or −1. */
int keyset_flush(struct keyset *set, uint64_t horizon);

/* Free set and what is in memory; what was added and not flushed is forgotten. NULL is fine. */
void keyset_free(struct keyset *set);

#endif
