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

/* What is known of a row of a person: as stored, 1 if there is no such row. 0 or −1. */
static int
look_up_row(struct consent *consent, struct span key, int64_t *known)
{
    struct span value;
    int rc = store_get_exact(consent->store, consent->persons, key, AS_OF_BYTES, &value);

    *known = rc == 1 ? (int64_t)bytes_get_u64(value.at) : 1;
    return rc < 0 ? -1 : 0;
}

int
consent_apply(struct consent *consent, struct span row, const struct hash_id *person, const struct record *record,
              struct hash_id *changed)
{
    char key[HASH_ID_BYTES + NAME_BYTES_MAX];
    char value[AS_OF_BYTES];
    int64_t known, now = record->research_as_of_ms;

    if (row.len == 0 || row.len > NAME_BYTES_MAX)
        log_panic("consent: a row name of %zu bytes", row.len);
    log_assert((person == NULL) == (record->withdrawn_ms != 0)); /* nobody's consent is somebody's */
    if (person != NULL) {
        *changed = *person;
    } else {
        int rc = owner(consent, row, changed);
        if (rc != 1)
            return rc;
    }
    memcpy(key, changed->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, row.at, row.len);
    const struct span person_row = span_at(key, HASH_ID_BYTES + row.len);
    if (look_up_row(consent, person_row, &known) != 0)
        return -1;
    /* One of the same date is taken: a row that waits for its date stands withdrawn under its own. */
    if (record->withdrawn_ms == 0 && known <= 0 && record->time_ms + known < 0)
        return 0;
    if (record->withdrawn_ms != 0)
        now = known < -record->withdrawn_ms ? known : -record->withdrawn_ms;
    bytes_put_u64(value, (uint64_t)now);
    consent->cache[slot_of(changed)].used = false;
    if ((person != NULL &&
         store_put(consent->store, consent->rows, row, span_at(person->bytes, HASH_ID_BYTES)) != 0) ||
        store_put(consent->store, consent->persons, person_row, span_at(value, sizeof value)) != 0)
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
        if (as_of_ms <= 0 && answer->state == CONSENT_UNKNOWN)
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
