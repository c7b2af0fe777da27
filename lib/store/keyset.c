#include "store/keyset.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/keyset_state.h"

/* So many keys are gathered before they become a run: what a commit or two bring under full load; in a set of millions up to
 * eight times as many. A variable for tests alone, which have little data (tests/unit/gathered.h). */
uint32_t keyset_gathered_max = 8192;

/* A large set gathers more: its runs would be many otherwise, and each key merged once more. So many keys for one that is
 * gathered, and at most so many times keyset_gathered_max. */
#define KEYS_PER_GATHERED 128
#define GATHERED_TIMES_MAX 8

/* For so many keys added one value of runs that are done with is removed, and some more: a block holds many keys, but each
 * key comes by once a level. */
#define KEYS_PER_REMOVAL 4
#define REMOVALS_MIN 4

/* Keys in memory. */

static void
clear_memory(struct keyset *set)
{
    buffer_clear(&set->keys);
    set->entry_count = set->written = 0;
    for (uint32_t i = 0; i < set->slot_count; i++)
        set->slots[i] = NONE;
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
        uint32_t *slot = keyset_slot_of(set, set->entries[i].token);
        set->entries[i].next = *slot;
        *slot = i;
    }
}

/* What is in no run is made again of keys with greater ages than all runs have. */
static void
check_age(struct keyset *set, uint64_t age)
{
    if (age <= set->newest)
        log_panic("keyset: a key that is kept elsewhere is no newer than the one before");
    set->newest = age;
}

void
keyset_add(struct keyset *set, const char *key)
{
    if (set->rules.kept_elsewhere)
        check_age(set, keyset_age_of(set, key));
    if (set->entry_count == set->entry_capacity)
        grow_memory(set);
    const uint64_t token = keyset_token_of(set, key);
    uint32_t *slot = keyset_slot_of(set, token);
    set->entries[set->entry_count] = (struct entry){token, *slot};
    *slot = set->entry_count++;
    buffer_add(&set->keys, key, set->rules.key_bytes);
    log_assert(set->keys.len == set->entry_count * set->rules.key_bytes);
}

void
keyset_add_again(struct keyset *set, const char *key)
{
    log_assert(set->written == set->entry_count);
    keyset_add(set, key);
    set->written = set->entry_count;
}

void
keyset_take_back(struct keyset *set)
{
    if (set->entry_count == set->written)
        log_panic("keyset: nothing to take back");
    const struct entry *entry = &set->entries[--set->entry_count];
    uint32_t *slot = keyset_slot_of(set, entry->token);
    log_assert(*slot == set->entry_count); /* nothing came behind it */
    *slot = entry->next;
    set->keys.len -= set->rules.key_bytes;
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
    struct place *places = keyset_sort(set, &set->keys, &count);

    int rc = keyset_writer_begin(set, &writer, 0, count);
    struct run *run = &set->runs[set->run_count - 1];
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = keyset_writer_add(set, &writer, run, set->keys.data + places[i].index * set->rules.key_bytes);
    log_assert(rc != 0 || (run->keys == count && count == set->entry_count));
    int64_t parts = 1;
    while (rc == 0 && parts > 0)
        parts = keyset_writer_end(set, &writer, UINT64_MAX);
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
        log_assert(set->serial_at < set->entry_count);
        const uint32_t left = set->entry_count - set->serial_at;
        bytes_put_u64(key + 1, set->serial);
        if (store_put(set->store, set->table, span_at(key, sizeof key),
                      span_at(set->keys.data + set->serial_at * len, (left < most ? left : most) * len)) != 0)
            return -1;
        if (left <= most)
            return 0;
    }
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

    if (set->entry_count < set->written || set->keys.len != set->entry_count * set->rules.key_bytes)
        log_panic("keyset: %u keys in memory, %u of them written", set->entry_count, set->written);
    if (added == 0)
        return 0;
    if ((set->entry_count >= gathered_max(set) ? write_memory(set) : write_new(set)) != 0)
        return -1;
    set->written = set->entry_count;
    if (keyset_run_kill_dead(set, horizon) != 0 || keyset_merge_some(set, horizon, added) != 0)
        return -1;
    return keyset_run_remove_some(set, (int64_t)(added / KEYS_PER_REMOVAL + REMOVALS_MIN));
}

/* Opening and closing. */

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
    set->rules.token_rule ^= BLOOM_LAYOUT << 56;
    set->table = store_table(store, name);
    if (set->table < 0) {
        keyset_free(set);
        return NULL;
    }
    return set;
}

static bool
is_in_memory(const struct keyset *set, const char *key)
{
    const size_t len = set->rules.key_bytes;

    if (set->entry_count == 0)
        return false;
    for (uint32_t i = *keyset_slot_of(set, keyset_token_of(set, key)); i != NONE; i = set->entries[i].next) {
        if (memcmp(set->keys.data + i * len, key, len) == 0)
            return true;
    }
    return false;
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
        if (item.key.len != 9 || !keyset_run_are_keys(set, item.value))
            return keyset_run_damaged(set, "keys of another length");
        if (set->rules.kept_elsewhere)
            return keyset_run_damaged(set, "keys that are kept elsewhere");
        set->serial = bytes_get_u64(item.key.at + 1);
        set->serial_at = set->entry_count;
        for (size_t at = 0; at + len <= item.value.len; at += len) {
            if (is_in_memory(set, item.value.at + at))
                return keyset_run_damaged(set, "a key twice");
            keyset_add(set, item.value.at + at);
        }
    }
    set->written = set->entry_count;
    return rc < 0 ? -1 : 0;
}

int
keyset_load(struct keyset *set)
{
    keyset_run_forget(set);
    keyset_merge_forget(set);
    clear_memory(set);
    if (keyset_run_load(set) != 0)
        return -1;
    set->newest = keyset_newest(set);
    return load_memory(set);
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
    keyset_run_forget(set);
    keyset_merge_free(set);
    free(set->runs);
    free(set->probes);
    buffer_free(&set->keys);
    buffer_free(&set->found);
    free(set->entries);
    free(set->slots);
    free(set);
}
