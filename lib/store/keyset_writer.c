#include "base/log.h"
#include "store/keyset_state.h"

int
keyset_writer_begin(struct keyset *set, struct writer *writer, unsigned level, uint64_t keys)
{
    if (set->run_count > 0 && set->runs[set->run_count - 1].number == UINT32_MAX) /* no store lives to give so many */
        return keyset_run_damaged(set, "a run with the last of all numbers");
    struct run *run = keyset_run_add(set);

    log_assert(level < LEVELS_MAX);
    run->state = RUN_GROWING;
    run->level = level;
    run->token_rule = set->rules.token_rule;
    bloom_make(&run->filter, bloom_lines(keys));
    writer->run = run->number;
    writer->part = 0;
    buffer_clear(&writer->block);
    return keyset_run_put_head(set, run);
}

/* Put the hash of the key with this number in the filter, or rather the one that came PENDING before it. */
static void
write_hash(struct writer *writer, struct run *run, uint64_t number, uint64_t hash)
{
    uint64_t *place = &writer->pending[number % PENDING];

    if (number >= PENDING)
        bloom_add(&run->filter, *place);
    *place = hash;
    __builtin_prefetch(bloom_line(run->filter.words, run->filter.lines, hash), 1);
}

static void
write_pending(const struct writer *writer, struct run *run)
{
    for (uint64_t i = 0; i < PENDING && i < run->keys; i++)
        bloom_add(&run->filter, writer->pending[i]);
}

static int
write_block(struct keyset *set, struct writer *writer)
{
    char key[TABLE_KEY_BYTES_MAX];
    const struct span block = buffer_span(&writer->block);
    const size_t len = set->rules.key_bytes;

    if (block.len == 0)
        return 0;
    log_assert(block.len <= BLOCK_BYTES && block.len % len == 0);
    const struct span at = keyset_run_key(key, 'b', writer->run, block.at + block.len - len, len);
    const int rc = store_put(set->store, set->table, at, block);
    buffer_clear(&writer->block);
    return rc;
}

int
keyset_writer_add(struct keyset *set, struct writer *writer, struct run *run, const char *key)
{
    const size_t len = set->rules.key_bytes;
    const uint64_t age = keyset_age_of(set, key);

    log_assert(run->number == writer->run && run->state == RUN_GROWING);
    log_assert((run->keys > 0) == (writer->block.len > 0)); /* so the one before is at hand, whichever block it ends */
    if (writer->block.len > 0 && keyset_compare(set, writer->block.data + writer->block.len - len, key) >= 0)
        log_panic("keyset: keys of run %u are in no order, or one is there twice", writer->run);
    if (writer->block.len + len > BLOCK_BYTES && write_block(set, writer) != 0)
        return -1;
    buffer_add(&writer->block, key, len);
    write_hash(writer, run, run->keys, bloom_hash(keyset_token_of(set, key)));
    if (run->keys++ == 0)
        memcpy(run->first, key, len);
    if (age > run->newest)
        run->newest = age;
    return 0;
}

int64_t
keyset_writer_end(struct keyset *set, struct writer *writer, uint64_t budget)
{
    struct run *run = keyset_run_find(set, writer->run);
    int64_t done = 0;

    if (run->state != RUN_GROWING)
        log_panic("keyset: run %u was written already", writer->run);
    log_assert(bloom_lines(run->keys) <= run->filter.lines); /* no more came than there is room for */
    if (run->keys == 0)
        return keyset_run_kill(set, run);
    if (writer->block.len > 0) {
        write_pending(writer, run);
        memcpy(run->last, writer->block.data + writer->block.len - set->rules.key_bytes, set->rules.key_bytes);
        if (write_block(set, writer) != 0)
            return -1;
    }
    for (; (uint64_t)done < budget && keyset_run_has_part(run, writer->part); done++) {
        if (keyset_run_put_part(set, run, writer->part++) != 0)
            return -1;
    }
    if (done > 0)
        return done;
    run->state = RUN_READY;
    set->probes_are_old = true;
    return keyset_run_put_head(set, run);
}
