#include "operator/seen.h"

#include "base/bytes.h"
#include "base/log.h"

#define KEY_BYTES 24

/* What a record is looked for by: its fingerprint. */
static uint64_t
token(const void *context, const char *key)
{
    (void)context;
    return bytes_get_u64(key + 8);
}

int
seen_open(struct seen *seen, struct store *store, const struct hash_key *key, int64_t hold_ms)
{
    const struct keyset_rules rules = {.key_bytes = KEY_BYTES, .token = token};

    *seen = (struct seen){.key = key, .hold_ms = hold_ms > REDELIVERY_MS ? hold_ms : REDELIVERY_MS};
    seen->set = keyset_open(store, "seen", &rules);
    return seen->set != NULL ? 0 : -1;
}

int
seen_load(struct seen *seen)
{
    return keyset_load(seen->set);
}

/* What arrived before this is forgotten. */
static uint64_t
horizon(const struct seen *seen, int64_t now_ms)
{
    return now_ms > seen->hold_ms ? (uint64_t)(now_ms - seen->hold_ms) + 1 : 0;
}

int
seen_add(struct seen *seen, const struct record *record, int64_t now_ms, uint64_t *fingerprint)
{
    char key[KEY_BYTES], to[KEY_BYTES];
    const struct keyset_query query = {
        .from = key,
        .to = to,
        .horizon = horizon(seen, now_ms),
        .tokens = {hash_64(seen->key, record->identity)},
        .token_count = 1,
        .max = 1,
    };

    log_assert(record->identity.len > 0); /* or all would be one */
    log_assert(record->time_ms >= 0 && now_ms >= 0);
    *fingerprint = query.tokens[0];
    bytes_put_u64(key, (uint64_t)record->time_ms);
    bytes_put_u64(key + 8, *fingerprint);
    bytes_put_u64(key + 16, 0);
    memcpy(to, key, 16);
    bytes_put_u64(to + 16, UINT64_MAX);
    int rc = keyset_find(seen->set, &query, &seen->found);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    bytes_put_u64(key + 16, (uint64_t)now_ms);
    keyset_add(seen->set, key);
    return 1;
}

void
seen_take_back(struct seen *seen)
{
    keyset_take_back(seen->set);
}

int
seen_flush(struct seen *seen, int64_t now_ms)
{
    return keyset_flush(seen->set, horizon(seen, now_ms));
}

void
seen_free(struct seen *seen)
{
    keyset_free(seen->set);
    buffer_free(&seen->found);
}
