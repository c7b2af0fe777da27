#include <stdlib.h>

#include "base/log.h"
#include "store/keyset_state.h"

/* So many bytes of a filter are a value. */
#define FILTER_PART_BYTES (31 * BLOOM_LINE_BYTES)

struct span
keyset_run_key(char *key, char kind, uint32_t run, const char *rest, size_t rest_bytes)
{
    log_assert(rest_bytes <= KEYSET_KEY_BYTES_MAX);
    key[0] = kind;
    bytes_put_u32(key + 1, run);
    if (rest_bytes > 0)
        memcpy(key + 5, rest, rest_bytes);
    return span_at(key, 5 + rest_bytes);
}

int
keyset_run_damaged(struct keyset *set, const char *what)
{
    return store_damaged(set->store, set->table, what);
}

bool
keyset_run_are_keys(const struct keyset *set, struct span value)
{
    return value.len > 0 && value.len % set->rules.key_bytes == 0;
}

int
keyset_run_check_block(struct keyset *set, const struct store_item *item)
{
    const size_t len = set->rules.key_bytes;

    log_assert(item->key.len >= 5);
    if (!keyset_run_are_keys(set, item->value))
        return keyset_run_damaged(set, "a block of another length");
    if (!span_equal(span_at(item->key.at + 5, item->key.len - 5), span_at(item->value.at + item->value.len - len, len)))
        return keyset_run_damaged(set, "a block that ends with another key");
    return 0;
}

int
keyset_run_check_order(struct keyset *set, const struct store_item *item, const char *from)
{
    const size_t len = set->rules.key_bytes;

    if (keyset_run_check_block(set, item) != 0)
        return -1;
    bool in_order = keyset_compare(set, item->value.at, from) >= 0;
    for (size_t at = len; at < item->value.len; at += len)
        in_order = in_order && keyset_compare(set, item->value.at + at - len, item->value.at + at) < 0;
    return in_order ? 0 : keyset_run_damaged(set, "a block whose keys are in no order");
}

/* Filters. */

bool
keyset_run_has_part(const struct run *run, uint32_t number)
{
    return (uint64_t)number * FILTER_PART_BYTES < run->filter.lines * BLOOM_LINE_BYTES;
}

int
keyset_run_put_part(struct keyset *set, const struct run *run, uint32_t number)
{
    const size_t at = (size_t)number * FILTER_PART_BYTES, left = run->filter.lines * BLOOM_LINE_BYTES - at;
    char key[TABLE_KEY_BYTES_MAX], part[4];

    if (!keyset_run_has_part(run, number))
        log_panic("keyset: run %u has no part %u", run->number, number);
    bytes_put_u32(part, number);
    return store_put(set->store, set->table, keyset_run_key(key, 'f', run->number, part, sizeof part),
                     span_at((const char *)run->filter.words + at, left < FILTER_PART_BYTES ? left : FILTER_PART_BYTES));
}

/* Go through the parts of the run's filter: *len becomes how long they are, and if the run has memory for it they are copied
 * there. 0 or −1. */
static int
read_parts(struct keyset *set, const struct run *run, size_t *len)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = keyset_run_key(key, 'f', run->number, NULL, 0);
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    *len = 0;
    for (; rc == 1 && span_begins(item.key, prefix); rc = store_next(set->store, set->table, &item)) {
        if (run->filter.words != NULL) {
            log_assert(item.value.len <= run->filter.lines * BLOOM_LINE_BYTES - *len);
            memcpy((char *)run->filter.words + *len, item.value.at, item.value.len);
        }
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
    if (run->filter.lines == 0 || run->filter.lines != len / BLOOM_LINE_BYTES || len % BLOOM_LINE_BYTES != 0)
        return keyset_run_damaged(set, "a filter of another length");
    bloom_make(&run->filter, run->filter.lines);
    return read_parts(set, run, &len);
}

/* Runs. */

struct run *
keyset_run_find(struct keyset *set, uint32_t number)
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

struct run *
keyset_run_add(struct keyset *set)
{
    const uint32_t last = set->run_count > 0 ? set->runs[set->run_count - 1].number : 0;

    log_assert(last < UINT32_MAX);
    return add_run(set, last + 1);
}

#define HEAD_BYTES (2 + 4 * 8)

int
keyset_run_put_head(struct keyset *set, const struct run *run)
{
    char key[TABLE_KEY_BYTES_MAX], value[HEAD_BYTES + 2 * KEYSET_KEY_BYTES_MAX];
    const size_t len = set->rules.key_bytes;

    log_assert(run->level < LEVELS_MAX);
    log_assert(run->state != RUN_READY || (run->keys > 0 && run->keys / BLOOM_LINE_BITS < run->filter.lines));
    log_assert(run->state != RUN_READY || keyset_compare(set, run->first, run->last) <= 0);
    value[0] = (char)run->state;
    value[1] = (char)run->level;
    bytes_put_u64(value + 2, run->token_rule);
    bytes_put_u64(value + 10, run->keys);
    bytes_put_u64(value + 18, run->newest);
    bytes_put_u64(value + 26, run->filter.lines);
    memcpy(value + HEAD_BYTES, run->first, len);
    memcpy(value + HEAD_BYTES + len, run->last, len);
    return store_put(set->store, set->table, keyset_run_key(key, 'h', run->number, NULL, 0),
                     span_at(value, HEAD_BYTES + 2 * len));
}

/* 0, or −1 if item is no head. */
static int
get_head(struct keyset *set, const struct store_item *item, struct run *run)
{
    const size_t len = set->rules.key_bytes;
    const char *value = item->value.at;

    if (item->key.len != 5 || item->value.len != HEAD_BYTES + 2 * len || (unsigned char)value[1] >= LEVELS_MAX ||
        (value[0] != RUN_GROWING && value[0] != RUN_READY && value[0] != RUN_DEAD))
        return keyset_run_damaged(set, "a run's head that is none");
    run->number = bytes_get_u32(item->key.at + 1);
    run->state = (enum run_state)value[0];
    run->level = (unsigned char)value[1];
    run->token_rule = bytes_get_u64(value + 2);
    run->keys = bytes_get_u64(value + 10);
    run->newest = bytes_get_u64(value + 18);
    run->filter.lines = bytes_get_u64(value + 26);
    memcpy(run->first, value + HEAD_BYTES, len);
    memcpy(run->last, value + HEAD_BYTES + len, len);
    /* Memory is taken for as many keys as heads say: what one says is held against its filter, which is there. */
    if (run->state == RUN_READY && (run->keys == 0 || run->keys / BLOOM_LINE_BITS >= run->filter.lines ||
                                    keyset_compare(set, run->first, run->last) > 0))
        return keyset_run_damaged(set, "a run's head that is none");
    return 0;
}

int
keyset_run_kill(struct keyset *set, struct run *run)
{
    if (run->state == RUN_DEAD)
        log_panic("keyset: run %u is dead already", run->number);
    run->state = RUN_DEAD;
    set->probes_are_old = true;
    bloom_free(&run->filter);
    return keyset_run_put_head(set, run);
}

/* Removing. */

int
keyset_run_kill_dead(struct keyset *set, uint64_t horizon)
{
    for (unsigned i = 0; i < set->run_count; i++) {
        struct run *run = &set->runs[i];
        if (run->state == RUN_READY && !run->merging && run->newest < horizon && keyset_run_kill(set, run) != 0)
            return -1;
    }
    return 0;
}

/* Remove at most budget values of this kind of a run: how many are left of budget, or −1. */
static int64_t
remove_values(struct keyset *set, char kind, uint32_t number, int64_t budget)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span prefix = keyset_run_key(key, kind, number, NULL, 0);
    struct store_item item;
    int rc = 0;

    while (budget > 0 && (rc = store_seek(set->store, set->table, prefix, &item)) == 1 && span_begins(item.key, prefix)) {
        if (store_delete_here(set->store, set->table) != 0)
            return -1;
        budget--;
    }
    return rc < 0 ? -1 : budget;
}

int
keyset_run_remove_some(struct keyset *set, int64_t budget)
{
    char key[TABLE_KEY_BYTES_MAX];

    for (unsigned i = 0; i < set->run_count && budget > 0;) {
        const uint32_t number = set->runs[i].number;
        if (set->runs[i].state != RUN_DEAD) {
            i++;
            continue;
        }
        for (const char *kind = "bf"; *kind != '\0' && budget > 0; kind++)
            budget = remove_values(set, *kind, number, budget);
        if (budget <= 0)
            return budget < 0 ? -1 : 0;
        const int rc = store_delete(set->store, set->table, keyset_run_key(key, 'h', number, NULL, 0));
        if (rc != 1)
            return rc < 0 ? -1 : keyset_run_damaged(set, "a run without a head");
        budget--;
        memmove(&set->runs[i], &set->runs[i + 1], (set->run_count - i - 1) * sizeof *set->runs);
        set->run_count--;
    }
    return 0;
}

/* Loading. */

int
keyset_run_load(struct keyset *set)
{
    const struct span prefix = {"h", 1};
    struct store_item item;
    int rc = store_seek(set->store, set->table, prefix, &item);

    log_assert(set->run_count == 0);
    for (; rc == 1 && span_begins(item.key, prefix); rc = store_next(set->store, set->table, &item)) {
        struct run *run = add_run(set, 0);
        if (get_head(set, &item, run) != 0)
            return -1;
        if (set->run_count > 1 && run->number <= set->runs[set->run_count - 2].number)
            return keyset_run_damaged(set, "runs in no order");
        if (run->state == RUN_GROWING) /* the merge was cut off; what it read is all there */
            run->state = RUN_DEAD;
    }
    for (unsigned i = 0; i < set->run_count && rc >= 0; i++) {
        if (set->runs[i].state == RUN_READY && get_filter(set, &set->runs[i]) != 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

void
keyset_run_forget(struct keyset *set)
{
    for (unsigned i = 0; i < set->run_count; i++)
        bloom_free(&set->runs[i].filter);
    set->run_count = 0;
    set->probes_are_old = true;
}
