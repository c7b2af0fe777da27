#include "base/log.h"
#include "store/keyset_state.h"

#define KEYS_PER_PART 64 /* what merging costs as much as writing a part of a filter */

/* The next key in the order of keys, in place; false: there is none. */
static bool
add_one(char *key, size_t len)
{
    while (len > 0 && ++key[len - 1] == 0)
        len--;
    return len > 0;
}

/* The source has ended: all its keys were read, or the run goes with those that were not. 0 or −1. */
static int
check_end(struct keyset *set, const struct source *source)
{
    if (source->keys != keyset_run_find(set, source->run)->keys)
        return keyset_run_damaged(set, "a run of another number of keys than its head says");
    return 0;
}

/* Read the block that holds the first key not below from. 0 or −1. */
static int
read_block(struct keyset *set, struct source *source, const char *from)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = keyset_run_key(key, 'b', source->run, from, set->rules.key_bytes);
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    if (rc < 0)
        return -1;
    source->ended = rc == 0 || !span_begins(item.key, span_at(key, 5));
    source->at = 0;
    buffer_clear(&source->block);
    if (source->ended)
        return check_end(set, source);
    if (keyset_run_check_order(set, &item, from) != 0)
        return -1;
    buffer_add_span(&source->block, item.value);
    source->keys += item.value.len / set->rules.key_bytes;
    return 0;
}

static int
next_block(struct keyset *set, struct source *source)
{
    char from[KEYSET_KEY_BYTES_MAX];
    const size_t len = set->rules.key_bytes;

    log_assert(source->at == source->block.len && source->at >= len);
    memcpy(from, source->block.data + source->block.len - len, len);
    if (add_one(from, len))
        return read_block(set, source, from);
    source->ended = true;
    return check_end(set, source);
}

/* The first source in order has another key now, or has ended: bring it to its place. 0 or −1. */
static int
reorder(struct keyset *set, struct merge *merge)
{
    struct source *moved = merge->order[0];
    unsigned i = 0;

    log_assert(merge->reading > 0 && (moved->ended || moved->at < moved->block.len));
    for (; i + 1 < merge->reading; i++) {
        struct source *next = merge->order[i + 1];
        const int order = moved->ended ? 1 : keyset_compare(set, moved->block.data + moved->at, next->block.data + next->at);
        if (order == 0)
            return keyset_run_damaged(set, "a key in two runs");
        if (order < 0)
            break;
        merge->order[i] = next;
    }
    merge->order[i] = moved;
    merge->reading -= moved->ended;
    return 0;
}

/* Begin to read a source that is not in order yet. 0 or −1. */
static int
begin_source(struct keyset *set, struct merge *merge, struct source *source)
{
    const char lowest[KEYSET_KEY_BYTES_MAX] = {0};

    log_assert(merge->reading < RUNS_MERGED);
    source->keys = 0;
    if (read_block(set, source, lowest) != 0)
        return -1;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers, as meant */
    memmove(merge->order + 1, merge->order, merge->reading++ * sizeof merge->order[0]);
    merge->order[0] = source;
    return reorder(set, merge);
}

/* Begin to merge the oldest runs of level, if there are enough of them. 0 or −1. */
static int
begin_merge(struct keyset *set, unsigned level)
{
    struct merge *merge = &set->merges[level];
    uint64_t keys = 0;
    unsigned count = 0;

    log_assert(!merge->active && level + 1 < LEVELS_MAX);
    for (unsigned i = 0; i < set->run_count && count < RUNS_MERGED; i++) {
        if (set->runs[i].state == RUN_READY && set->runs[i].level == level) {
            log_assert(!set->runs[i].merging);
            keys += set->runs[i].keys;
            merge->sources[count++].run = set->runs[i].number;
        }
    }
    if (count < RUNS_MERGED)
        return 0;
    merge->reading = 0;
    for (unsigned i = 0; i < RUNS_MERGED; i++) {
        keyset_run_find(set, merge->sources[i].run)->merging = true;
        if (begin_source(set, merge, &merge->sources[i]) != 0)
            return -1;
    }
    merge->active = true;
    return keyset_writer_begin(set, &merge->writer, level + 1, keys);
}

/* All keys are merged: as keyset_writer_end. When the new run is ready it takes the place of those it was made of. */
static int64_t
end_merge(struct keyset *set, struct merge *merge, uint64_t budget)
{
    const int64_t parts = keyset_writer_end(set, &merge->writer, budget);

    if (parts != 0)
        return parts;
    merge->active = false;
    for (unsigned i = 0; i < RUNS_MERGED; i++) {
        if (keyset_run_kill(set, keyset_run_find(set, merge->sources[i].run)) != 0)
            return -1;
    }
    return 0;
}

/* Merge at most budget keys: how many, or −1. */
static int64_t
do_merge(struct keyset *set, struct merge *merge, uint64_t horizon, uint64_t budget)
{
    struct run *run = keyset_run_find(set, merge->writer.run);
    uint64_t done = 0;

    for (; done < budget && merge->reading > 0; done++) {
        struct source *least = merge->order[0];
        const char *key = least->block.data + least->at;
        if (keyset_age_of(set, key) >= horizon && keyset_writer_add(set, &merge->writer, run, key) != 0)
            return -1;
        least->at += set->rules.key_bytes;
        if (least->at == least->block.len && next_block(set, least) != 0)
            return -1;
        if (reorder(set, merge) != 0)
            return -1;
    }
    if (done < budget) {
        const int64_t parts = end_merge(set, merge, (budget - done + KEYS_PER_PART - 1) / KEYS_PER_PART);
        return parts < 0 ? -1 : (int64_t)done + parts * KEYS_PER_PART + 1;
    }
    return (int64_t)done;
}

int
keyset_merge_some(struct keyset *set, uint64_t horizon, uint64_t added)
{
    unsigned levels = 1;

    for (unsigned i = 0; i < set->run_count; i++) {
        if (set->runs[i].level + 1 > levels)
            levels = set->runs[i].level + 1;
    }
    /* A key is merged once in each level but the highest: one for each and two more keep up, also with what a crash has
     * undone. */
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

void
keyset_merge_forget(struct keyset *set)
{
    for (unsigned i = 0; i < LEVELS_MAX; i++)
        set->merges[i].active = false;
}

void
keyset_merge_free(struct keyset *set)
{
    for (unsigned level = 0; level < LEVELS_MAX; level++) {
        for (unsigned i = 0; i < RUNS_MERGED; i++)
            buffer_free(&set->merges[level].sources[i].block);
        buffer_free(&set->merges[level].writer.block);
    }
}
