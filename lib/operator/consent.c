#include "operator/consent.h"

#include "base/bytes.h"
#include "base/log.h"

#define AS_OF_BYTES 8

int
consent_open(struct consent *consent, struct store *store, const char *rows, const char *persons)
{
    *consent = (struct consent){.store = store};
    consent->rows = store_table(store, rows);
    consent->persons = store_table(store, persons);
    return consent->rows < 0 || consent->persons < 0 ? -1 : 0;
}

void
consent_load(struct consent *consent)
{
    for (unsigned i = 0; i < CONSENT_CACHE_SLOTS; i++)
        consent->cache[i].used = false;
}

static unsigned
slot_of(const struct hash_id *person)
{
    return bytes_get_u32(person->bytes) % CONSENT_CACHE_SLOTS;
}

/* Whose row this is: 1, 0, −1. */
static int
owner(struct consent *consent, struct span row, struct hash_id *person)
{
    struct span value;
    int rc = store_get_exact(consent->store, consent->rows, row, HASH_ID_BYTES, &value);

    if (rc == 1)
        memcpy(person->bytes, value.at, HASH_ID_BYTES);
    return rc;
}

int
consent_apply(struct consent *consent, struct span row, const struct hash_id *person, int64_t as_of_ms,
              struct hash_id *changed)
{
    char key[HASH_ID_BYTES + NAME_BYTES_MAX];
    char value[AS_OF_BYTES];

    if (row.len == 0 || row.len > NAME_BYTES_MAX)
        log_panic("consent: a row name of %zu bytes", row.len);
    if (person != NULL) {
        *changed = *person;
        if (store_put(consent->store, consent->rows, row, span_at(person->bytes, HASH_ID_BYTES)) != 0)
            return -1;
    } else {
        int rc = owner(consent, row, changed);
        if (rc != 1)
            return rc;
    }
    memcpy(key, changed->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, row.at, row.len);
    bytes_put_u64(value, (uint64_t)as_of_ms);
    consent->cache[slot_of(changed)].used = false;
    if (store_put(consent->store, consent->persons, span_at(key, HASH_ID_BYTES + row.len),
                  span_at(value, sizeof value)) != 0)
        return -1;
    return 1;
}

static int
look_up(struct consent *consent, const struct hash_id *person, struct consent_answer *answer)
{
    const struct span prefix = span_at(person->bytes, HASH_ID_BYTES);
    struct store_item item;
    int rc = store_seek(consent->store, consent->persons, prefix, &item);

    *answer = (struct consent_answer){CONSENT_UNKNOWN, 0};
    while (rc == 1 && span_begins(item.key, prefix)) {
        if (item.value.len != AS_OF_BYTES)
            return store_damaged(consent->store, consent->persons, "a date of another length");
        int64_t as_of_ms = (int64_t)bytes_get_u64(item.value.at);
        if (as_of_ms == 0 && answer->state == CONSENT_UNKNOWN)
            answer->state = CONSENT_CLOSED;
        if (as_of_ms > 0 && (answer->state != CONSENT_OPEN || as_of_ms < answer->from_ms))
            *answer = (struct consent_answer){CONSENT_OPEN, as_of_ms};
        rc = store_next(consent->store, consent->persons, &item);
    }
    return rc < 0 ? -1 : 0;
}

int
consent_ask(struct consent *consent, const struct hash_id *person, struct consent_answer *answer)
{
    unsigned slot = slot_of(person);

    if (consent->cache[slot].used && memcmp(&consent->cache[slot].person, person, sizeof *person) == 0) {
        *answer = consent->cache[slot].answer;
        return 0;
    }
    if (look_up(consent, person, answer) != 0)
        return -1;
    consent->cache[slot].person = *person;
    consent->cache[slot].answer = *answer;
    consent->cache[slot].used = true;
    return 0;
}
