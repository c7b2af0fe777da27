/*
 * keyset_state: the inside of a keyset, shared by keyset.c, keyset_sort.c, keyset_run.c, keyset_writer.c, keyset_merge.c and
 * keyset_find.c, and nobody else.
 */
#ifndef STORE_KEYSET_STATE_H
#define STORE_KEYSET_STATE_H

#include "base/bytes.h"
#include "store/bloom.h"
#include "store/keyset.h"

/* Runs of one level that are merged. More would write a key less often and leave more runs to look into. */
#define RUNS_MERGED 8

#define LEVELS_MAX 16

/* Bytes of keys in one value: two of them fill a page of LMDB, and no value takes pages of its own. */
#define BLOCK_BYTES 1976

/* Keys of the table. */
#define TABLE_KEY_BYTES_MAX (5 + KEYSET_KEY_BYTES_MAX)

#define NONE UINT32_MAX

enum run_state {
    RUN_GROWING = 'g', /* a merge writes it */
    RUN_READY = 'r',
    RUN_DEAD = 'd' /* to be removed */
};

struct run {
    uint32_t number;
    enum run_state state;
    unsigned level;
    bool merging; /* into one of the next level */
    uint64_t token_rule;
    uint64_t keys;
    uint64_t newest; /* age */
    char first[KEYSET_KEY_BYTES_MAX];
    char last[KEYSET_KEY_BYTES_MAX];
    struct bloom filter;
};

/* What a look-up wants to know of each run that is ready: close together, since it goes through all of them. */
struct probe {
    uint64_t first, last; /* the first bytes of the run's first and last key */
    uint64_t newest;
    uint64_t lines;
    uint64_t *filter; /* NULL: of other tokens, or of another layout */
    uint32_t run;
};

/* Where a merge reads. */
struct source {
    uint32_t run;
    struct buffer block; /* copied: what is written meanwhile may move it */
    size_t at;
    uint64_t keys; /* that were read, with all of block */
    bool ended;
};

/* Hashes that are on their way into a filter. */
#define PENDING 16

/* What writes a run, key by key. */
struct writer {
    uint32_t run;
    struct buffer block;
    uint32_t part; /* of the filter: the next one to be written, when all keys are */
    uint64_t pending[PENDING]; /* a ring; the filter is larger than what a processor has at hand, so its lines are fetched
                                  some keys ahead */
};

struct merge {
    bool active;
    struct source sources[RUNS_MERGED];
    struct source *order[RUNS_MERGED]; /* those that have not ended, by their next keys */
    unsigned reading;                  /* how many these are */
    struct writer writer;
};

/* A key in memory; its bytes stand at the same place of keys. */
struct entry {
    uint64_t token;
    uint32_t next; /* of the same slot; NONE */
};

struct keyset {
    struct store *store;
    struct keyset_rules rules;
    int table;

    struct run *runs; /* by number */
    unsigned run_count, run_capacity;
    struct probe *probes;
    unsigned probe_count, probe_capacity;
    bool probes_are_old; /* runs have come or gone since */
    struct merge merges[LEVELS_MAX]; /* of the runs of each level */

    /* Keys that are in no run: [0, written) are in the store, too, or kept elsewhere since an earlier transaction. */
    struct buffer keys;
    struct buffer found; /* what a look-up has found of them */
    struct entry *entries;
    uint32_t entry_count, entry_capacity, written;
    uint32_t *slots;
    uint32_t slot_count; /* a power of two */
    uint64_t serial;     /* of the value in the store that was written last */
    uint32_t serial_at;  /* the first key in it */
    uint64_t newest;     /* age that was added, where keys are kept elsewhere */
};

/* What all of them ask of keys. */

/* The age at the end of key. */
static inline uint64_t
keyset_age_of(const struct keyset *set, const char *key)
{
    return bytes_get_u64(key + set->rules.key_bytes - KEYSET_AGE_BYTES);
}

/* The token by which filters know key, as the rules make it. */
static inline uint64_t
keyset_token_of(const struct keyset *set, const char *key)
{
    return set->rules.token(set->rules.context, key);
}

/* As memcmp. */
static inline int
keyset_compare(const struct keyset *set, const char *a, const char *b)
{
    const uint64_t x = bytes_get_u64(a), y = bytes_get_u64(b); /* mostly these differ */

    if (x != y)
        return x < y ? -1 : 1;
    return memcmp(a + 8, b + 8, set->rules.key_bytes - 8);
}

/* keyset.c: the slot of this token in memory. There must be slots. */
static inline uint32_t *
keyset_slot_of(const struct keyset *set, uint64_t token)
{
    return &set->slots[bloom_hash(token) & (set->slot_count - 1)];
}

/* keyset_sort.c: the place of a key among others, by its index. */
struct place {
    uint64_t head; /* what sorting looks at: most keys differ in their first bytes */
    uint32_t index;
};

/* The places of the keys in keys, in order; *count is how many. To be freed. */
struct place *keyset_sort(const struct keyset *set, const struct buffer *keys, uint32_t *count);

/* keyset_run.c: a key of the table, written to key (TABLE_KEY_BYTES_MAX): what it is of, the run, and rest. */
struct span keyset_run_key(char *key, char kind, uint32_t run, const char *rest, size_t rest_bytes);

/* What stands in the table is wrong: as store_damaged. */
int keyset_run_damaged(struct keyset *set, const char *what);

/* Whether value is keys, one behind the other, one at least. */
bool keyset_run_are_keys(const struct keyset *set, struct span value);

/* 0, or −1 if item, which stands among a run's blocks, is none. */
int keyset_run_check_block(struct keyset *set, const struct store_item *item);

/* The same, and −1 if its keys are not in order, or the first one is below from: for who writes them anew. */
int keyset_run_check_order(struct keyset *set, const struct store_item *item, const char *from);

/* The run of this number, which must be there; valid until one is added or removed. */
struct run *keyset_run_find(struct keyset *set, uint32_t number);

/* A run with the number behind all others, in memory only. Valid as above. */
struct run *keyset_run_add(struct keyset *set);

/* Write what is to be known of run. 0 or −1. */
int keyset_run_put_head(struct keyset *set, const struct run *run);

/* Whether run's filter has a part of this number. */
bool keyset_run_has_part(const struct run *run, uint32_t number);

/* Write that part, which it must have. 0 or −1. */
int keyset_run_put_part(struct keyset *set, const struct run *run, uint32_t number);

/* Nobody reads run any more; it is to be removed, and was not yet. 0 or −1. */
int keyset_run_kill(struct keyset *set, struct run *run);

/* Kill the runs that have only keys below horizon, and that no merge reads. 0 or −1. */
int keyset_run_kill_dead(struct keyset *set, uint64_t horizon);

/* Remove at most budget values of runs that are done with. 0 or −1. */
int keyset_run_remove_some(struct keyset *set, int64_t budget);

/* Read all runs from the store; there must be none in memory. 0 or −1. */
int keyset_run_load(struct keyset *set);

/* Forget them in memory. */
void keyset_run_forget(struct keyset *set);

/* keyset_writer.c: begin a run of this level that will have at most so many keys. 0 or −1. */
int keyset_writer_begin(struct keyset *set, struct writer *writer, unsigned level, uint64_t keys);

/* Append key, which must be above all before it; run is the writer's. 0 or −1. */
int keyset_writer_add(struct keyset *set, struct writer *writer, struct run *run, const char *key);

/* All keys are written. Write more of the filter, and be done when all of it is. How many parts were written, at most
 * budget; 0: the run is ready, or dead if no key came; −1. */
int64_t keyset_writer_end(struct keyset *set, struct writer *writer, uint64_t budget);

/* keyset_merge.c: merge what so many added keys call for, lower levels first: who looks something up pays for each run that
 * is there. Keys below horizon are left out. 0 or −1. */
int keyset_merge_some(struct keyset *set, uint64_t horizon, uint64_t added);

/* Forget which merges are under way; give their memory back. */
void keyset_merge_forget(struct keyset *set);
void keyset_merge_free(struct keyset *set);

#endif
