#include "operator/secret.h"

#include "base/log.h"

int
secret_open(struct store *store, struct hash_key *key)
{
    const struct span name = span_of("key");
    struct span value;
    int table = store_table(store, "secret");

    if (table < 0 || store_begin(store) != 0)
        return -1;
    int rc = store_get(store, table, name, &value);
    if (rc == 1 && value.len != sizeof key->bytes)
        log_fatal("store: the secret has %zu bytes, not %zu: this is not a store of this version", value.len,
                  sizeof key->bytes);
    if (rc == 1) {
        memcpy(key->bytes, value.at, sizeof key->bytes);
        store_abort(store);
        return 0;
    }
    hash_random(key->bytes, sizeof key->bytes);
    if (rc < 0 || store_put(store, table, name, span_at(key->bytes, sizeof key->bytes)) != 0) {
        store_abort(store);
        return -1;
    }
    return store_commit(store);
}
