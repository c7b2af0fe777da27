#include "operator/seen.h"

#include "base/bytes.h"

int
seen_open(struct seen *seen, struct store *store, const struct hash_key *key, int64_t hold_ms)
{
    *seen = (struct seen){.store = store, .key = key, .hold_ms = hold_ms > REDELIVERY_MS ? hold_ms : REDELIVERY_MS};
    seen->table = store_table(store, "seen");
    return seen->table < 0 ? -1 : agenda_open(&seen->agenda, store, "seen_agenda", SEEN_KEY_BYTES);
}

int
seen_load(struct seen *seen)
{
    return agenda_load(&seen->agenda);
}

int
seen_add(struct seen *seen, const struct record *record, char *key)
{
    bytes_put_u64(key, (uint64_t)record->time_ms);
    bytes_put_u64(key + 8, hash_64(seen->key, record->identity));
    int rc = store_put_new(seen->store, seen->table, span_at(key, SEEN_KEY_BYTES), (struct span){0});
    if (rc == 1)
        agenda_add(&seen->agenda, key);
    return rc;
}

int
seen_take_back(struct seen *seen, const char *key)
{
    agenda_take_back(&seen->agenda);
    return store_delete(seen->store, seen->table, span_at(key, SEEN_KEY_BYTES)) < 0 ? -1 : 0;
}

static int
forget(void *context, struct span thing)
{
    struct seen *seen = context;
    return store_delete(seen->store, seen->table, thing) < 0 ? -1 : 0;
}

int
seen_work(struct seen *seen, int64_t now_ms, unsigned budget)
{
    return agenda_work(&seen->agenda, now_ms - seen->hold_ms, budget, forget, seen);
}

int
seen_flush(struct seen *seen, int64_t now_ms)
{
    return agenda_flush(&seen->agenda, now_ms);
}

int64_t
seen_due_ms(const struct seen *seen)
{
    return agenda_due_ms(&seen->agenda, seen->hold_ms);
}

void
seen_free(struct seen *seen)
{
    agenda_free(&seen->agenda);
}
