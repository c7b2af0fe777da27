#include <stdlib.h>

#include "base/log.h"
#include "store/keyset_state.h"

static bool
is_wanted(const struct keyset *set, const struct keyset_query *query, const char *key)
{
    if (keyset_age_of(set, key) < query->horizon)
        return false;
    if (query->token_count == 0)
        return true;
    const uint64_t token = keyset_token_of(set, key);
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

    if (keyset_compare(set, key, query->from) >= 0 && keyset_compare(set, key, query->to) <= 0 &&
        keyset_age_of(set, key) >= query->horizon)
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
        uint32_t i = *keyset_slot_of(set, query->tokens[t]);
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
            .lines = run->filter.lines,
            .filter = run->token_rule == set->rules.token_rule ? run->filter.words : NULL,
            .run = run->number,
        };
    }
}

/* Runs that are asked at once: what their filters say is on its way to the processor together. */
#define RUNS_ASKED 16

/* What is looked for in filters. */
struct wanted {
    uint64_t hashes[KEYSET_TOKENS_MAX];
    struct bloom_mask masks[KEYSET_TOKENS_MAX];
};

static void
want(const struct keyset_query *query, struct wanted *wanted)
{
    for (unsigned i = 0; i < query->token_count; i++) {
        wanted->hashes[i] = bloom_hash(query->tokens[i]);
        wanted->masks[i] = bloom_mask(wanted->hashes[i]);
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
            __builtin_prefetch(bloom_line(probe->filter, probe->lines, wanted->hashes[i]));
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
        if (bloom_may_have(probe->filter, probe->lines, wanted->hashes[i], &wanted->masks[i]))
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
        if (keyset_compare(set, block.at + middle * len, from) < 0)
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
    const struct span from = keyset_run_key(key, 'b', number, query->from, len);
    struct store_item item;
    unsigned found = 0;
    bool first = true;
    int rc = store_seek(set->store, set->table, from, &item);

    for (; rc == 1 && span_begins(item.key, span_at(key, 5)); rc = store_next(set->store, set->table, &item)) {
        if (keyset_run_check_block(set, &item) != 0)
            return -1;
        size_t at = first ? lower_bound(set, item.value, query->from) : 0;
        first = false;
        for (; at < item.value.len && found < query->max; at += len) {
            if (keyset_compare(set, item.value.at + at, query->to) > 0)
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
    struct place *places = keyset_sort(set, keys, &count);

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
        if (keyset_compare(set, key, to) <= 0)
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

    if (query->token_count > KEYSET_TOKENS_MAX)
        log_panic("keyset: a look-up of %u tokens", query->token_count);
    log_assert(query->max > 0);
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
    const size_t found = keys->len / len;
    log_assert(found * len == keys->len && found <= query->max);
    return (int)found;
}
