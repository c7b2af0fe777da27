#include "operator/secret.h"

#define TABLE "secret"

int
secret_open(struct store *store)
{
    return store_table(store, TABLE) < 0 ? -1 : 0;
}

/* With another key nothing would be found again that is in the store, and nobody would see that. */
int
secret_load(struct store *store, struct hash_key *key)
{
    const struct span name = span_of("key");
    const int table = store_table(store, TABLE);
    struct span value;
    int rc = store_get_exact(store, table, name, sizeof key->bytes, &value);

    if (rc == 1)
        memcpy(key->bytes, value.at, sizeof key->bytes);
    if (rc == 0 && !store_is_new(store))
        return store_damaged_at(store, table, name, "it is missing");
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    hash_random(key->bytes, sizeof key->bytes);
    return store_put(store, table, name, span_at(key->bytes, sizeof key->bytes));
}
