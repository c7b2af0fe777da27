#include "store/keyset.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"

/* So many keys are gathered before they become a run: what a commit or two bring under full load; in a set of millions up to
 * eight times as many. A variable for tests alone, which have little data (tests/unit/gathered.h). */
uint32_t keyset_gathered_max = 8192;

/* A large set gathers more: its runs would be many otherwise, and each key merged once more. So many keys for one that is
 * gathered, and at most so many times keyset_gathered_max. */
#define KEYS_PER_GATHERED 128
#define GATHERED_TIMES_MAX 8

/* Runs of one level that are merged. More would write a key less often and leave more runs to look into. */
#define RUNS_MERGED 8

#define LEVELS_MAX 16

/* Bytes of keys in one value: two of them fill a page of LMDB, and no value takes pages of its own. */
#define BLOCK_BYTES 1976

/* A filter is lines of so many bytes, what a processor fetches at once: a token's bits are all in one, one in each word, so
 * that a line is asked without a branch. */
#define LINE_BYTES 64
#define LINE_WORDS 8
#define LINE_BITS (8 * LINE_BYTES)
#define FILTER_BITS_PER_KEY 16
#define FILTER_LAYOUT UINT64_C(1) /* another number when the bits of a token are others: older filters are passed over */
#define FILTER_PART_BYTES (31 * LINE_BYTES)
#define KEYS_PER_PART 64 /* what merging costs as much as writing a part */

/* For so many keys added one value of runs that are done with is removed, and some more: a block holds many keys, but each
 * key comes by once a level. */
#define KEYS_PER_REMOVAL 4
#define REMOVALS_MIN 4

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
    uint64_t lines;
    void *filter_memory;
    uint64_t *filter; /* lines * LINE_WORDS, in filter_memory where a line begins */
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
};

/* Keys of the table. */

#define TABLE_KEY_BYTES_MAX (5 + KEYSET_KEY_BYTES_MAX)

static struct span
run_key(char *key, char kind, uint32_t run, const char *rest, size_t rest_bytes)
{
    key[0] = kind;
    bytes_put_u32(key + 1, run);
    if (rest_bytes > 0)
        memcpy(key + 5, rest, rest_bytes);
    return span_at(key, 5 + rest_bytes);
}

static int
damaged(struct keyset *set, const char *what)
{
    return store_damaged(set->store, set->table, what);
}

/* Whether value is keys, one behind the other, one at least. */
static bool
are_keys(const struct keyset *set, struct span value)
{
    return value.len > 0 && value.len % set->rules.key_bytes == 0;
}

static uint64_t
age_of(const struct keyset *set, const char *key)
{
    return bytes_get_u64(key + set->rules.key_bytes - KEYSET_AGE_BYTES);
}

static int
compare(const struct keyset *set, const char *a, const char *b)
{
    const uint64_t x = bytes_get_u64(a), y = bytes_get_u64(b); /* mostly these differ */

    if (x != y)
        return x < y ? -1 : 1;
    return memcmp(a + 8, b + 8, set->rules.key_bytes - 8);
}

static uint64_t
token_of(const struct keyset *set, const char *key)
{
    return set->rules.token(set->rules.context, key);
}

/* Tokens need not look random; what is made of them here must. (The finalizer of MurmurHash3, Appleby.) */
static uint64_t
mixed(uint64_t token)
{
    token = (token ^ token >> 33) * UINT64_C(0xff51afd7ed558ccd);
    token = (token ^ token >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return token ^ token >> 33;
}

/* Filters. */

static void
make_filter(struct run *run, uint64_t lines)
{
    run->lines = lines;
    run->filter_memory = calloc(run->lines + 1, LINE_BYTES);
    if (run->filter_memory == NULL)
        log_fatal("out of memory");
    run->filter = (uint64_t *)(((uintptr_t)run->filter_memory + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1));
}

static uint64_t *
line_of(uint64_t *filter, uint64_t lines, uint64_t hash)
{
    return filter + ((hash >> 32) * lines >> 32) * LINE_WORDS;
}

/* What a hash sets in a line. */
struct mask {
    uint64_t words[LINE_WORDS];
};

static struct mask
mask_of(uint64_t hash)
{
    const uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    struct mask mask;

    for (unsigned i = 0; i < LINE_WORDS; i++)
        mask.words[i] = UINT64_C(1) << (bits >> (58 - 6 * i) & 63);
    return mask;
}

static void
filter_add(struct run *run, uint64_t hash)
{
    uint64_t *line = line_of(run->filter, run->lines, hash);
    const struct mask mask = mask_of(hash);

    for (unsigned i = 0; i < LINE_WORDS; i++)
        line[i] |= mask.words[i];
}

static bool
filter_may_have(const struct probe *probe, uint64_t hash, const struct mask *mask)
{
    const uint64_t *line = line_of(probe->filter, probe->lines, hash);
    uint64_t missing = 0;

    for (unsigned i = 0; i < LINE_WORDS; i++)
        missing |= mask->words[i] & ~line[i];
    return missing == 0;
}

/* Whether the filter has a part of this number. */
static bool
has_part(const struct run *run, uint32_t number)
{
    return (uint64_t)number * FILTER_PART_BYTES < run->lines * LINE_BYTES;
}

static int
put_part(struct keyset *set, const struct run *run, uint32_t number)
{
    const size_t at = (size_t)number * FILTER_PART_BYTES, left = run->lines * LINE_BYTES - at;
    char key[TABLE_KEY_BYTES_MAX], part[4];

    bytes_put_u32(part, number);
    return store_put(set->store, set->table, run_key(key, 'f', run->number, part, sizeof part),
                     span_at((const char *)run->filter + at, left < FILTER_PART_BYTES ? left : FILTER_PART_BYTES));
}

/* Go through the parts of the run's filter: *len becomes how long they are, and if the run has memory for it they are copied
 * there. 0 or −1. */
static int
read_parts(struct keyset *set, const struct run *run, size_t *len)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = run_key(key, 'f', run->number, NULL, 0);
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    *len = 0;
    for (; rc == 1 && span_begins(item.key, prefix); rc = store_next(set->store, set->table, &item)) {
        if (run->filter != NULL)
            memcpy((char *)run->filter + *len, item.value.at, item.value.len);
        *len += item.value.len;
    }
    return rc < 0 ? -1 : 0;
}

static int
get_filter(struct keyset *set, struct run *run)
{
    size_t len;

    if (read_parts(set, run, &len) != 0)
        return -1;
    if (run->lines == 0 || run->lines != len / LINE_BYTES || len % LINE_BYTES != 0)
        return damaged(set, "a filter of another length");
    make_filter(run, run->lines);
    return read_parts(set, run, &len);
}

/* Runs. */

static void
free_filter(struct run *run)
{
    free(run->filter_memory);
    run->filter_memory = NULL;
    run->filter = NULL;
}

static struct run *
find_run(struct keyset *set, uint32_t number)
{
    for (unsigned i = 0; i < set->run_count; i++) {
        if (set->runs[i].number == number)
            return &set->runs[i];
    }
    log_panic("keyset: there is no run %u", number);
}

static struct run *
add_run(struct keyset *set, uint32_t number)
{
    if (set->run_count == set->run_capacity) {
        set->run_capacity = set->run_capacity * 2 + 16;
        set->runs = realloc(set->runs, set->run_capacity * sizeof *set->runs);
        if (set->runs == NULL)
            log_fatal("out of memory");
    }
    struct run *run = &set->runs[set->run_count++];
    *run = (struct run){.number = number};
    return run;
}

#define HEAD_BYTES (2 + 4 * 8)

static int
put_head(struct keyset *set, const struct run *run)
{
    char key[TABLE_KEY_BYTES_MAX], value[HEAD_BYTES + 2 * KEYSET_KEY_BYTES_MAX];
    const size_t len = set->rules.key_bytes;

    value[0] = (char)run->state;
    value[1] = (char)run->level;
    bytes_put_u64(value + 2, run->token_rule);
    bytes_put_u64(value + 10, run->keys);
    bytes_put_u64(value + 18, run->newest);
    bytes_put_u64(value + 26, run->lines);
    memcpy(value + HEAD_BYTES, run->first, len);
    memcpy(value + HEAD_BYTES + len, run->last, len);
    return store_put(set->store, set->table, run_key(key, 'h', run->number, NULL, 0), span_at(value, HEAD_BYTES + 2 * len));
}

/* 0, or −1 if item is no head. */
static int
get_head(struct keyset *set, const struct store_item *item, struct run *run)
{
    const size_t len = set->rules.key_bytes;
    const char *value = item->value.at;

    if (item->key.len != 5 || item->value.len != HEAD_BYTES + 2 * len || (unsigned char)value[1] >= LEVELS_MAX ||
        (value[0] != RUN_GROWING && value[0] != RUN_READY && value[0] != RUN_DEAD))
        return damaged(set, "a run's head that is none");
    run->number = bytes_get_u32(item->key.at + 1);
    run->state = (enum run_state)value[0];
    run->level = (unsigned char)value[1];
    run->token_rule = bytes_get_u64(value + 2);
    run->keys = bytes_get_u64(value + 10);
    run->newest = bytes_get_u64(value + 18);
    run->lines = bytes_get_u64(value + 26);
    memcpy(run->first, value + HEAD_BYTES, len);
    memcpy(run->last, value + HEAD_BYTES + len, len);
    return 0;
}

static int
kill_run(struct keyset *set, struct run *run)
{
    run->state = RUN_DEAD;
    set->probes_are_old = true;
    free_filter(run);
    return put_head(set, run);
}

/* Writing a run. */

/* A run that will have at most so many keys. */
static int
begin_run(struct keyset *set, struct writer *writer, unsigned level, uint64_t keys)
{
    struct run *run = add_run(set, set->run_count > 0 ? set->runs[set->run_count - 1].number + 1 : 1);

    run->state = RUN_GROWING;
    run->level = level;
    run->token_rule = set->rules.token_rule;
    make_filter(run, keys * FILTER_BITS_PER_KEY / LINE_BITS + 1);
    writer->run = run->number;
    writer->part = 0;
    buffer_clear(&writer->block);
    return put_head(set, run);
}

/* Put the hash of the key with this number in the filter, or rather the one that came PENDING before it. */
static void
write_hash(struct writer *writer, struct run *run, uint64_t number, uint64_t hash)
{
    uint64_t *place = &writer->pending[number % PENDING];

    if (number >= PENDING)
        filter_add(run, *place);
    *place = hash;
    __builtin_prefetch(line_of(run->filter, run->lines, hash), 1);
}

static void
write_pending(const struct writer *writer, struct run *run)
{
    for (uint64_t i = 0; i < PENDING && i < run->keys; i++)
        filter_add(run, writer->pending[i]);
}

static int
write_block(struct keyset *set, struct writer *writer)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span block = buffer_span(&writer->block);
    const size_t len = set->rules.key_bytes;

    if (block.len == 0)
        return 0;
    const struct span at = run_key(key, 'b', writer->run, block.at + block.len - len, len);
    const int rc = store_put(set->store, set->table, at, block);
    buffer_clear(&writer->block);
    return rc;
}

static int
write_key(struct keyset *set, struct writer *writer, struct run *run, const char *key)
{
    const size_t len = set->rules.key_bytes;
    const uint64_t age = age_of(set, key);

    if (writer->block.len + len > BLOCK_BYTES && write_block(set, writer) != 0)
        return -1;
    buffer_add(&writer->block, key, len);
    write_hash(writer, run, run->keys, mixed(token_of(set, key)));
    if (run->keys++ == 0)
        memcpy(run->first, key, len);
    if (age > run->newest)
        run->newest = age;
    return 0;
}

/* All keys are written. Write more of the filter, and be done when all of it is. How many parts were written, at most
 * budget; 0: the run is ready, or dead if no key came; −1. */
static int64_t
end_run(struct keyset *set, struct writer *writer, uint64_t budget)
{
    struct run *run = find_run(set, writer->run);
    int64_t done = 0;

    if (run->keys == 0)
        return kill_run(set, run);
    if (writer->block.len > 0) {
        write_pending(writer, run);
        memcpy(run->last, writer->block.data + writer->block.len - set->rules.key_bytes, set->rules.key_bytes);
        if (write_block(set, writer) != 0)
            return -1;
    }
    for (; (uint64_t)done < budget && has_part(run, writer->part); done++) {
        if (put_part(set, run, writer->part++) != 0)
            return -1;
    }
    if (done > 0)
        return done;
    run->state = RUN_READY;
    set->probes_are_old = true;
    return put_head(set, run);
}

/* Keys in memory. */

static void
clear_memory(struct keyset *set)
{
    buffer_clear(&set->keys);
    set->entry_count = set->written = 0;
    for (uint32_t i = 0; i < set->slot_count; i++)
        set->slots[i] = NONE;
}

static uint32_t *
slot_of(struct keyset *set, uint64_t token)
{
    return &set->slots[mixed(token) & (set->slot_count - 1)];
}

static void
grow_memory(struct keyset *set)
{
    set->entry_capacity = set->entry_capacity * 2 + 256;
    set->slot_count = set->slot_count > 0 ? set->slot_count * 2 : 512;
    set->entries = realloc(set->entries, set->entry_capacity * sizeof *set->entries);
    set->slots = realloc(set->slots, set->slot_count * sizeof *set->slots);
    if (set->entries == NULL || set->slots == NULL)
        log_fatal("out of memory");
    for (uint32_t i = 0; i < set->slot_count; i++)
        set->slots[i] = NONE;
    for (uint32_t i = 0; i < set->entry_count; i++) {
        uint32_t *slot = slot_of(set, set->entries[i].token);
        set->entries[i].next = *slot;
        *slot = i;
    }
}

void
keyset_add(struct keyset *set, const char *key)
{
    if (set->entry_count == set->entry_capacity)
        grow_memory(set);
    const uint64_t token = token_of(set, key);
    uint32_t *slot = slot_of(set, token);
    set->entries[set->entry_count] = (struct entry){token, *slot};
    *slot = set->entry_count++;
    buffer_add(&set->keys, key, set->rules.key_bytes);
}

void
keyset_add_again(struct keyset *set, const char *key)
{
    keyset_add(set, key);
    set->written = set->entry_count;
}

void
keyset_take_back(struct keyset *set)
{
    if (set->entry_count == set->written)
        log_panic("keyset: nothing to take back");
    const struct entry *entry = &set->entries[--set->entry_count];
    *slot_of(set, entry->token) = entry->next;
    set->keys.len -= set->rules.key_bytes;
}

/* What sorting looks at: most keys differ in their first bytes. */
struct place {
    uint64_t head;
    uint32_t index;
};

struct sorting {
    const struct keyset *set;
    const struct buffer *keys;
};

static int
compare_places(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    const struct place *x = a, *y = b;
    const size_t len = sorting->set->rules.key_bytes;

    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return memcmp(sorting->keys->data + x->index * len, sorting->keys->data + y->index * len, len);
}

/* Fewer places than that are sorted by comparing. */
#define RADIX_MIN 64

/* Bring count places in the order of their heads; those of one head stay as they are. Radix sort from the last byte on
 * (Knuth, The Art of Computer Programming 3, 5.2.5), which passes over bytes that are the same in all. Gives places or what
 * took their place, which is freed then. */
static struct place *
sort_heads(struct place *places, uint32_t count)
{
    struct place *other = malloc((count + 1) * sizeof *other);
    uint64_t differ = 0;

    if (other == NULL)
        log_fatal("out of memory");
    for (uint32_t i = 1; i < count; i++)
        differ |= places[i].head ^ places[0].head;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint32_t starts[256] = {0}, sum = 0;
        if ((differ >> shift & 255) == 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            starts[places[i].head >> shift & 255]++;
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint32_t here = starts[byte];
            starts[byte] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++)
            other[starts[places[i].head >> shift & 255]++] = places[i];
        struct place *const sorted = other;
        other = places;
        places = sorted;
    }
    free(other);
    return places;
}

/* Bring places that are in the order of their heads in that of their keys. Mostly they are: keys that came in the order of
 * their ages. */
static void
sort_ties(struct place *places, uint32_t count, struct sorting *sorting)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        bool in_order = true;
        for (end = i + 1; end < count && places[end].head == places[i].head; end++)
            in_order = in_order && compare_places(&places[end - 1], &places[end], sorting) < 0;
        if (!in_order)
            qsort_r(places + i, end - i, sizeof *places, compare_places, sorting);
    }
}

/* The places of the keys in keys, in order. To be freed. */
static struct place *
sort(const struct keyset *set, const struct buffer *keys, uint32_t *count)
{
    struct sorting sorting = {set, keys};
    bool in_order = true;

    *count = (uint32_t)(keys->len / set->rules.key_bytes);
    struct place *places = malloc((*count + 1) * sizeof *places);
    if (places == NULL)
        log_fatal("out of memory");
    for (uint32_t i = 0; i < *count; i++) {
        places[i] = (struct place){bytes_get_u64(keys->data + i * set->rules.key_bytes), i};
        in_order = in_order && (i == 0 || compare_places(&places[i - 1], &places[i], &sorting) < 0);
    }
    if (in_order)
        return places;
    if (*count < RADIX_MIN) {
        qsort_r(places, *count, sizeof *places, compare_places, &sorting);
        return places;
    }
    places = sort_heads(places, *count);
    sort_ties(places, *count, &sorting);
    return places;
}

static int
forget_written(struct keyset *set)
{
    const struct span prefix = {"r", 1};
    struct store_item item;
    int rc;

    while ((rc = store_seek(set->store, set->table, prefix, &item)) == 1 && span_begins(item.key, prefix)) {
        if (store_delete_here(set->store, set->table) != 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

/* What is in memory becomes a run. */
static int
write_memory(struct keyset *set)
{
    struct writer writer = {0};
    uint32_t count;
    struct place *places = sort(set, &set->keys, &count);

    int rc = begin_run(set, &writer, 0, count);
    struct run *run = &set->runs[set->run_count - 1];
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = write_key(set, &writer, run, set->keys.data + places[i].index * set->rules.key_bytes);
    int64_t parts = 1;
    while (rc == 0 && parts > 0)
        parts = end_run(set, &writer, UINT64_MAX);
    free(places);
    buffer_free(&writer.block);
    if (rc != 0 || parts != 0 || (set->written > 0 && forget_written(set) != 0))
        return -1;
    clear_memory(set);
    return 0;
}

/* What is new in memory goes to the store as it is: into the value that was written last while there is room. Values of
 * their own for the few keys of a small transaction would be many to remove when they become a run. */
static int
write_new(struct keyset *set)
{
    const size_t len = set->rules.key_bytes;
    const uint32_t most = (uint32_t)(BLOCK_BYTES / len);
    char key[9] = "r";

    if (set->rules.kept_elsewhere)
        return 0;
    if (set->written == 0 || set->written - set->serial_at >= most) {
        set->serial++;
        set->serial_at = set->written;
    }
    for (;; set->serial++, set->serial_at += most) {
        const uint32_t left = set->entry_count - set->serial_at;
        bytes_put_u64(key + 1, set->serial);
        if (store_put(set->store, set->table, span_at(key, sizeof key),
                      span_at(set->keys.data + set->serial_at * len, (left < most ? left : most) * len)) != 0)
            return -1;
        if (left <= most)
            return 0;
    }
}

/* Merging. */

/* The next key in the order of keys, in place; false: there is none. */
static bool
add_one(char *key, size_t len)
{
    while (len > 0 && ++key[len - 1] == 0)
        len--;
    return len > 0;
}

/* Read the block that holds the first key not below from. 0 or −1. */
static int
read_block(struct keyset *set, struct source *source, const char *from)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = run_key(key, 'b', source->run, from, set->rules.key_bytes);
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    if (rc < 0)
        return -1;
    if (rc == 1 && span_begins(item.key, span_at(key, 5)) && !are_keys(set, item.value))
        return damaged(set, "a block of another length");
    source->ended = rc == 0 || !span_begins(item.key, span_at(key, 5));
    source->at = 0;
    buffer_clear(&source->block);
    if (!source->ended)
        buffer_add_span(&source->block, item.value);
    return 0;
}

static int
next_block(struct keyset *set, struct source *source)
{
    char from[KEYSET_KEY_BYTES_MAX];
    const size_t len = set->rules.key_bytes;

    memcpy(from, source->block.data + source->block.len - len, len);
    if (add_one(from, len))
        return read_block(set, source, from);
    source->ended = true;
    return 0;
}

/* The first source in order has another key now, or has ended: bring it to its place. */
static void
reorder(const struct keyset *set, struct merge *merge)
{
    struct source *moved = merge->order[0];
    unsigned i = 0;

    for (; i + 1 < merge->reading; i++) {
        struct source *next = merge->order[i + 1];
        if (!moved->ended && compare(set, moved->block.data + moved->at, next->block.data + next->at) < 0)
            break;
        merge->order[i] = next;
    }
    merge->order[i] = moved;
    merge->reading -= moved->ended;
}

/* Begin to read a source that is not in order yet. 0 or −1. */
static int
begin_source(struct keyset *set, struct merge *merge, struct source *source)
{
    const char lowest[KEYSET_KEY_BYTES_MAX] = {0};

    if (read_block(set, source, lowest) != 0)
        return -1;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers, as meant */
    memmove(merge->order + 1, merge->order, merge->reading++ * sizeof merge->order[0]);
    merge->order[0] = source;
    reorder(set, merge);
    return 0;
}

/* Begin to merge the oldest runs of level, if there are enough of them. 0 or −1. */
static int
begin_merge(struct keyset *set, unsigned level)
{
    struct merge *merge = &set->merges[level];
    uint64_t keys = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < set->run_count && count < RUNS_MERGED; i++) {
        if (set->runs[i].state == RUN_READY && set->runs[i].level == level) {
            keys += set->runs[i].keys;
            merge->sources[count++].run = set->runs[i].number;
        }
    }
    if (count < RUNS_MERGED)
        return 0;
    merge->reading = 0;
    for (unsigned i = 0; i < RUNS_MERGED; i++) {
        find_run(set, merge->sources[i].run)->merging = true;
        if (begin_source(set, merge, &merge->sources[i]) != 0)
            return -1;
    }
    merge->active = true;
    return begin_run(set, &merge->writer, level + 1, keys);
}

/* All keys are merged: as end_run. When the new run is ready it takes the place of those it was made of. */
static int64_t
end_merge(struct keyset *set, struct merge *merge, uint64_t budget)
{
    const int64_t parts = end_run(set, &merge->writer, budget);

    if (parts != 0)
        return parts;
    merge->active = false;
    for (unsigned i = 0; i < RUNS_MERGED; i++) {
        if (kill_run(set, find_run(set, merge->sources[i].run)) != 0)
            return -1;
    }
    return 0;
}

/* Merge at most budget keys: how many, or −1. */
static int64_t
do_merge(struct keyset *set, struct merge *merge, uint64_t horizon, uint64_t budget)
{
    struct run *run = find_run(set, merge->writer.run);
    uint64_t done = 0;

    for (; done < budget && merge->reading > 0; done++) {
        struct source *least = merge->order[0];
        const char *key = least->block.data + least->at;
        if (age_of(set, key) >= horizon && write_key(set, &merge->writer, run, key) != 0)
            return -1;
        least->at += set->rules.key_bytes;
        if (least->at == least->block.len && next_block(set, least) != 0)
            return -1;
        reorder(set, merge);
    }
    if (done < budget) {
        const int64_t parts = end_merge(set, merge, (budget - done + KEYS_PER_PART - 1) / KEYS_PER_PART);
        return parts < 0 ? -1 : (int64_t)done + parts * KEYS_PER_PART + 1;
    }
    return (int64_t)done;
}

/* Merge what added keys call for, lower levels first: who looks something up pays for each run that is there. A key is
 * merged once in each level but the highest: one for each and two more keep up, also with what a crash has undone. */
static int
merge_some(struct keyset *set, uint64_t horizon, uint64_t added)
{
    unsigned levels = 1;

    for (unsigned i = 0; i < set->run_count; i++) {
        if (set->runs[i].level + 1 > levels)
            levels = set->runs[i].level + 1;
    }
    uint64_t budget = added * (levels + 1);
    for (unsigned level = 0; level + 1 < LEVELS_MAX && level < levels && budget > 0;) {
        struct merge *merge = &set->merges[level];
        if (!merge->active && begin_merge(set, level) != 0)
            return -1;
        if (!merge->active) {
            level++;
            continue;
        }
        int64_t done = do_merge(set, merge, horizon, budget);
        if (done < 0)
            return -1;
        budget -= (uint64_t)done < budget ? (uint64_t)done : budget;
    }
    return 0;
}

/* Removing. */

static int
kill_dead(struct keyset *set, uint64_t horizon)
{
    for (unsigned i = 0; i < set->run_count; i++) {
        struct run *run = &set->runs[i];
        if (run->state == RUN_READY && !run->merging && run->newest < horizon && kill_run(set, run) != 0)
            return -1;
    }
    return 0;
}

/* Remove at most budget values of this kind of a run: how many are left of budget, or −1. */
static int64_t
remove_values(struct keyset *set, char kind, uint32_t number, int64_t budget)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = run_key(key, kind, number, NULL, 0);
    struct store_item item;
    int rc = 0;

    while (budget > 0 && (rc = store_seek(set->store, set->table, prefix, &item)) == 1 && span_begins(item.key, prefix)) {
        if (store_delete_here(set->store, set->table) != 0)
            return -1;
        budget--;
    }
    return rc < 0 ? -1 : budget;
}

/* Remove some of what is done with. */
static int
remove_some(struct keyset *set, int64_t budget)
{
    for (unsigned i = 0; i < set->run_count && budget > 0;) {
        const uint32_t number = set->runs[i].number;
        if (set->runs[i].state != RUN_DEAD) {
            i++;
            continue;
        }
        for (const char *kind = "bfh"; *kind != '\0' && budget > 0; kind++)
            budget = remove_values(set, *kind, number, budget);
        if (budget < 0)
            return -1;
        if (budget == 0)
            break;
        memmove(&set->runs[i], &set->runs[i + 1], (set->run_count - i - 1) * sizeof *set->runs);
        set->run_count--;
    }
    return 0;
}

/* How many keys are gathered before they become a run. */
static uint32_t
gathered_max(const struct keyset *set)
{
    const uint64_t most = (uint64_t)keyset_gathered_max * GATHERED_TIMES_MAX;
    uint64_t keys = 0;

    for (unsigned i = 0; i < set->run_count; i++)
        keys += set->runs[i].state == RUN_READY ? set->runs[i].keys : 0;
    keys /= KEYS_PER_GATHERED;
    return (uint32_t)(keys > most ? most : keys > keyset_gathered_max ? keys : keyset_gathered_max);
}

int
keyset_flush(struct keyset *set, uint64_t horizon)
{
    const uint64_t added = set->entry_count - set->written;

    if (added == 0)
        return 0;
    if ((set->entry_count >= gathered_max(set) ? write_memory(set) : write_new(set)) != 0)
        return -1;
    set->written = set->entry_count;
    if (kill_dead(set, horizon) != 0 || merge_some(set, horizon, added) != 0)
        return -1;
    return remove_some(set, (int64_t)(added / KEYS_PER_REMOVAL + REMOVALS_MIN));
}

/* Looking up. */

static bool
is_wanted(const struct keyset *set, const struct keyset_query *query, const char *key)
{
    if (age_of(set, key) < query->horizon)
        return false;
    if (query->token_count == 0)
        return true;
    const uint64_t token = token_of(set, key);
    for (unsigned i = 0; i < query->token_count; i++) {
        if (token == query->tokens[i])
            return true;
    }
    return false;
}

static void
add_if_between(struct keyset *set, const struct keyset_query *query, uint32_t index, struct buffer *keys)
{
    const size_t len = set->rules.key_bytes;
    const char *key = set->keys.data + index * len;

    if (compare(set, key, query->from) >= 0 && compare(set, key, query->to) <= 0 && age_of(set, key) >= query->horizon)
        buffer_add(keys, key, len);
}

/* The newest first. */
static void
find_in_memory(struct keyset *set, const struct keyset_query *query, struct buffer *keys)
{
    if (query->token_count == 0) {
        for (uint32_t i = set->entry_count; i > 0; i--)
            add_if_between(set, query, i - 1, keys);
    }
    for (unsigned t = 0; t < query->token_count && set->entry_count > 0; t++) {
        uint32_t i = *slot_of(set, query->tokens[t]);
        for (; i != NONE; i = set->entries[i].next) {
            if (set->entries[i].token == query->tokens[t])
                add_if_between(set, query, i, keys);
        }
    }
}

static void
renew_probes(struct keyset *set)
{
    set->probes_are_old = false;
    set->probe_count = 0;
    if (set->probe_capacity < set->run_count) {
        set->probe_capacity = set->run_capacity;
        set->probes = realloc(set->probes, set->probe_capacity * sizeof *set->probes);
        if (set->probes == NULL)
            log_fatal("out of memory");
    }
    for (unsigned i = 0; i < set->run_count; i++) {
        const struct run *run = &set->runs[i];
        if (run->state != RUN_READY)
            continue;
        set->probes[set->probe_count++] = (struct probe){
            .first = bytes_get_u64(run->first),
            .last = bytes_get_u64(run->last),
            .newest = run->newest,
            .lines = run->lines,
            .filter = run->token_rule == set->rules.token_rule ? run->filter : NULL,
            .run = run->number,
        };
    }
}

/* Runs that are asked at once: what their filters say is on its way to the processor together. */
#define RUNS_ASKED 16

/* What is looked for in filters. */
struct wanted {
    uint64_t hashes[KEYSET_TOKENS_MAX];
    struct mask masks[KEYSET_TOKENS_MAX];
};

static void
want(const struct keyset_query *query, struct wanted *wanted)
{
    for (unsigned i = 0; i < query->token_count; i++) {
        wanted->hashes[i] = mixed(query->tokens[i]);
        wanted->masks[i] = mask_of(wanted->hashes[i]);
    }
}

/* Choose runs, from *at on, that may have keys between from and to and are not too old; *at is behind them then. */
static unsigned
choose_runs(const struct keyset *set, const struct keyset_query *query, const struct wanted *wanted, unsigned *at,
            const struct probe **chosen)
{
    const uint64_t from = bytes_get_u64(query->from), to = bytes_get_u64(query->to);
    unsigned count = 0;

    for (; *at < set->probe_count && count < RUNS_ASKED; ++*at) {
        const struct probe *probe = &set->probes[*at];
        if (probe->newest < query->horizon || probe->last < from || probe->first > to)
            continue;
        for (unsigned i = 0; i < query->token_count && probe->filter != NULL; i++)
            __builtin_prefetch(line_of(probe->filter, probe->lines, wanted->hashes[i]));
        chosen[count++] = probe;
    }
    return count;
}

static bool
may_have(const struct keyset_query *query, const struct wanted *wanted, const struct probe *probe)
{
    if (query->token_count == 0 || probe->filter == NULL)
        return true;
    for (unsigned i = 0; i < query->token_count; i++) {
        if (filter_may_have(probe, wanted->hashes[i], &wanted->masks[i]))
            return true;
    }
    return false;
}

/* The place of the first key in block that is not below from. */
static size_t
lower_bound(const struct keyset *set, struct span block, const char *from)
{
    const size_t len = set->rules.key_bytes;
    size_t low = 0, high = block.len / len;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(set, block.at + middle * len, from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low * len;
}

static int
find_in_run(struct keyset *set, const struct keyset_query *query, uint32_t number, struct buffer *keys)
{
    const size_t len = set->rules.key_bytes;
    char key[TABLE_KEY_BYTES_MAX];
    const struct span from = run_key(key, 'b', number, query->from, len);
    struct store_item item;
    unsigned found = 0;
    bool first = true;
    int rc = store_seek(set->store, set->table, from, &item);

    for (; rc == 1 && span_begins(item.key, span_at(key, 5)); rc = store_next(set->store, set->table, &item)) {
        if (!are_keys(set, item.value))
            return damaged(set, "a block of another length");
        size_t at = first ? lower_bound(set, item.value, query->from) : 0;
        first = false;
        for (; at < item.value.len && found < query->max; at += len) {
            if (compare(set, item.value.at + at, query->to) > 0)
                return 0;
            if (!is_wanted(set, query, item.value.at + at))
                continue;
            buffer_add(keys, item.value.at + at, len);
            found++;
        }
        if (found == query->max)
            return 0;
    }
    return rc < 0 ? -1 : 0;
}

/* Bring what came from several places in order, and leave the first max. */
static void
order(struct keyset *set, struct buffer *keys, unsigned max)
{
    struct buffer sorted = {0};
    uint32_t count;
    struct place *places = sort(set, keys, &count);

    for (uint32_t i = 0; i < count && i < max; i++)
        buffer_add(&sorted, keys->data + places[i].index * set->rules.key_bytes, set->rules.key_bytes);
    free(places);
    buffer_free(keys);
    *keys = sorted;
}

/* As find_in_run. If it has as many as are wanted, what stands behind them is not wanted of other runs either: *to, which
 * query points to, goes back to the last one. */
static int
find_and_narrow(struct keyset *set, const struct keyset_query *query, uint32_t number, char *to, struct buffer *keys)
{
    const size_t len = set->rules.key_bytes, before = keys->len;

    if (find_in_run(set, query, number, keys) != 0)
        return -1;
    if (keys->len > before && (keys->len - before) / len == query->max)
        memcpy(to, keys->data + keys->len - len, len);
    return 0;
}

/* Append what was found in memory, where the newest key stands first. Behind the runs, which are older, and turned
 * round, it is in order if keys are told apart by their ages alone. */
static void
add_turned(const struct keyset *set, const char *to, struct buffer *keys)
{
    const size_t len = set->rules.key_bytes;

    for (size_t at = set->found.len; at > 0; at -= len) {
        const char *key = set->found.data + at - len;
        if (compare(set, key, to) <= 0)
            buffer_add(keys, key, len);
    }
}

int
keyset_find(struct keyset *set, const struct keyset_query *query, struct buffer *keys)
{
    const size_t len = set->rules.key_bytes;
    const struct probe *runs[RUNS_ASKED];
    struct wanted wanted = {0};
    char to[KEYSET_KEY_BYTES_MAX];
    struct keyset_query narrowed = *query;
    unsigned at = 0;

    memcpy(to, query->to, len);
    narrowed.to = to;
    buffer_clear(keys);
    buffer_clear(&set->found);
    if (set->probes_are_old)
        renew_probes(set);
    want(query, &wanted);
    unsigned count = choose_runs(set, query, &wanted, &at, runs);
    find_in_memory(set, query, &set->found); /* while filters are on their way */
    for (; count > 0; count = choose_runs(set, query, &wanted, &at, runs)) {
        for (unsigned i = 0; i < count; i++) {
            if (may_have(query, &wanted, runs[i]) && find_and_narrow(set, &narrowed, runs[i]->run, to, keys) != 0)
                return -1;
        }
    }
    add_turned(set, to, keys);
    if (keys->len > len)
        order(set, keys, query->max);
    return (int)(keys->len / len);
}

/* Opening and closing. */

static void
forget_runs(struct keyset *set)
{
    for (unsigned i = 0; i < set->run_count; i++)
        free_filter(&set->runs[i]);
    set->run_count = 0;
    set->probes_are_old = true;
    for (unsigned i = 0; i < LEVELS_MAX; i++)
        set->merges[i].active = false;
}

struct keyset *
keyset_open(struct store *store, const char *name, const struct keyset_rules *rules)
{
    struct keyset *set = calloc(1, sizeof *set);

    if (set == NULL)
        log_fatal("out of memory");
    if (rules->key_bytes <= KEYSET_AGE_BYTES || rules->key_bytes > KEYSET_KEY_BYTES_MAX)
        log_panic("keyset: keys of %zu bytes", rules->key_bytes);
    set->store = store;
    set->rules = *rules;
    set->rules.token_rule ^= FILTER_LAYOUT << 56;
    set->table = store_table(store, name);
    if (set->table < 0) {
        keyset_free(set);
        return NULL;
    }
    return set;
}

static int
load_runs(struct keyset *set)
{
    const struct span prefix = {"h", 1};
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    for (; rc == 1 && span_begins(item.key, prefix); rc = store_next(set->store, set->table, &item)) {
        struct run *run = add_run(set, 0);
        if (get_head(set, &item, run) != 0)
            return -1;
        if (run->state == RUN_GROWING) /* the merge was cut off; what it read is all there */
            run->state = RUN_DEAD;
    }
    for (unsigned i = 0; i < set->run_count && rc >= 0; i++) {
        if (set->runs[i].state == RUN_READY && get_filter(set, &set->runs[i]) != 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

static int
load_memory(struct keyset *set)
{
    const struct span prefix = {"r", 1};
    const size_t len = set->rules.key_bytes;
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    set->serial = 0;
    for (; rc == 1 && span_begins(item.key, prefix); rc = store_next(set->store, set->table, &item)) {
        if (item.key.len != 9 || !are_keys(set, item.value))
            return damaged(set, "keys of another length");
        set->serial = bytes_get_u64(item.key.at + 1);
        set->serial_at = set->entry_count;
        for (size_t at = 0; at + len <= item.value.len; at += len)
            keyset_add(set, item.value.at + at);
    }
    set->written = set->entry_count;
    return rc < 0 ? -1 : 0;
}

int
keyset_load(struct keyset *set)
{
    forget_runs(set);
    clear_memory(set);
    return load_runs(set) != 0 || load_memory(set) != 0 ? -1 : 0;
}

uint64_t
keyset_newest(const struct keyset *set)
{
    uint64_t newest = 0;

    for (unsigned i = 0; i < set->run_count; i++) {
        if (set->runs[i].state == RUN_READY && set->runs[i].newest > newest)
            newest = set->runs[i].newest;
    }
    return newest;
}

void
keyset_free(struct keyset *set)
{
    if (set == NULL)
        return;
    forget_runs(set);
    for (unsigned level = 0; level < LEVELS_MAX; level++) {
        for (unsigned i = 0; i < RUNS_MERGED; i++)
            buffer_free(&set->merges[level].sources[i].block);
        buffer_free(&set->merges[level].writer.block);
    }
    free(set->runs);
    free(set->probes);
    buffer_free(&set->keys);
    buffer_free(&set->found);
    free(set->entries);
    free(set->slots);
    free(set);
}
