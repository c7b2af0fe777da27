#include "operator/waiting.h"

#include "base/bytes.h"
#include "base/log.h"

#define ARRIVED_BYTES 8

static const struct span size_key = {"bytes", 5};

int
waiting_open(struct waiting *waiting, struct store *store, const struct waiting_names *names)
{
    *waiting = (struct waiting){.store = store};
    waiting->room = store_table(store, names->room);
    waiting->wakes = store_table(store, names->wakes);
    waiting->size = store_table(store, names->size);
    if (waiting->room < 0 || waiting->wakes < 0 || waiting->size < 0)
        return -1;
    return agenda_open(&waiting->agenda, store, names->agenda, WAITING_KEY_BYTES);
}

int
waiting_load(struct waiting *waiting)
{
    struct span value;
    int rc = store_get(waiting->store, waiting->size, size_key, &value);

    if (rc < 0)
        return -1;
    waiting->bytes = waiting->written_bytes = rc == 1 ? bytes_get_u64(value.at) : 0;
    waiting->wake_count = store_count(waiting->store, waiting->wakes);
    return waiting->wake_count < 0 ? -1 : agenda_load(&waiting->agenda);
}

uint64_t
waiting_bytes_with(const struct waiting *waiting, size_t body_bytes)
{
    return waiting->bytes + WAITING_KEY_BYTES + ARRIVED_BYTES + body_bytes;
}

int
waiting_enter(struct waiting *waiting, const struct hash_id *person, const char *tie, int64_t arrived_ms,
              struct span body)
{
    char key[WAITING_KEY_BYTES];
    char *room;

    memcpy(key, person->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, tie, WAITING_TIE_BYTES);
    if (store_put_room(waiting->store, waiting->room, span_at(key, sizeof key), ARRIVED_BYTES + body.len, &room) != 0)
        return -1;
    bytes_put_u64(room, (uint64_t)arrived_ms);
    memcpy(room + ARRIVED_BYTES, body.at, body.len);
    waiting->bytes = waiting_bytes_with(waiting, body.len);
    agenda_add(&waiting->agenda, key);
    return 0;
}

int
waiting_wake(struct waiting *waiting, const struct hash_id *person)
{
    const struct span prefix = span_at(person->bytes, HASH_ID_BYTES);
    struct store_item item;
    struct span value;

    int rc = store_seek(waiting->store, waiting->room, prefix, &item);
    if (rc < 0)
        return -1;
    if (rc == 0 || memcmp(item.key.at, prefix.at, prefix.len) != 0)
        return 0;
    rc = store_get(waiting->store, waiting->wakes, prefix, &value);
    if (rc < 0)
        return -1;
    waiting->wake_count += rc == 0;
    return store_put(waiting->store, waiting->wakes, prefix, (struct span){0});
}

/* The entry as a record, its body copied: whoever is asked may change the store. */
static struct waiting_record
record_of(struct waiting *waiting, const char *key, struct span value)
{
    struct waiting_record record = {
        .time_ms = (int64_t)bytes_get_u64(key + HASH_ID_BYTES),
        .arrived_ms = (int64_t)bytes_get_u64(value.at),
        .tie = span_at(key + HASH_ID_BYTES, WAITING_TIE_BYTES),
    };
    memcpy(record.person.bytes, key, HASH_ID_BYTES);
    buffer_clear(&waiting->body);
    buffer_add(&waiting->body, value.at + ARRIVED_BYTES, value.len - ARRIVED_BYTES);
    record.body = buffer_span(&waiting->body);
    return record;
}

static int
leave(struct waiting *waiting, const char *key, size_t body_bytes)
{
    waiting->bytes -= WAITING_KEY_BYTES + ARRIVED_BYTES + body_bytes;
    return store_delete(waiting->store, waiting->room, span_at(key, WAITING_KEY_BYTES)) < 0 ? -1 : 0;
}

/* The first entry of the person in key behind the rest of key, or at it with `at` set; its key goes to key. 1, 0, −1. */
static int
next_of_person(struct waiting *waiting, char *key, bool at, struct span *value)
{
    struct store_item item;
    const struct span from = span_at(key, WAITING_KEY_BYTES);
    int rc = store_seek(waiting->store, waiting->room, from, &item);

    if (rc == 1 && !at && span_equal(item.key, from))
        rc = store_next(waiting->store, waiting->room, &item);
    if (rc != 1)
        return rc;
    if (memcmp(item.key.at, key, HASH_ID_BYTES) != 0)
        return 0;
    memcpy(key, item.key.at, WAITING_KEY_BYTES);
    *value = item.value;
    return 1;
}

/* What waiting_work is given. */
struct work {
    struct waiting *waiting;
    int64_t expired_ms;
    void *context;
    enum waiting_answer (*ask)(void *context, const struct waiting_record *record);
    int (*expire)(void *context, const struct waiting_record *record);
};

/* Ask about a record of a woken person, unless its time is up, whoever has come. */
static enum waiting_answer
ask_or_expire(const struct work *work, const struct waiting_record *record)
{
    if (record->arrived_ms > work->expired_ms)
        return work->ask(work->context, record);
    return work->expire(work->context, record) == 0 ? WAITING_GO : WAITING_ERROR;
}

/* Ask about the records of the first woken person, at most budget of them. */
static int
work_wake(struct work *work, unsigned budget)
{
    struct waiting *waiting = work->waiting;
    char key[WAITING_KEY_BYTES] = {0};
    struct store_item wake;
    struct span value;
    unsigned done = 0;

    int rc = store_seek(waiting->store, waiting->wakes, (struct span){0}, &wake);
    if (rc != 1)
        return rc;
    bool at_start = wake.value.len == 0;
    memcpy(key, wake.key.at, HASH_ID_BYTES);
    if (!at_start)
        memcpy(key + HASH_ID_BYTES, wake.value.at, WAITING_TIE_BYTES);
    while (done < budget && (rc = next_of_person(waiting, key, at_start, &value)) == 1) {
        const size_t body_bytes = value.len - ARRIVED_BYTES;
        const struct waiting_record record = record_of(waiting, key, value);
        enum waiting_answer answer = ask_or_expire(work, &record);
        if (answer == WAITING_ERROR || (answer == WAITING_GO && leave(waiting, key, body_bytes) != 0))
            return -1;
        at_start = false;
        done++;
    }
    if (rc < 0)
        return -1;
    const struct span person = span_at(key, HASH_ID_BYTES);
    if (done == budget) {
        rc = store_put(waiting->store, waiting->wakes, person, span_at(key + HASH_ID_BYTES, WAITING_TIE_BYTES));
        return rc != 0 ? -1 : (int)done;
    }
    waiting->wake_count--;
    return store_delete(waiting->store, waiting->wakes, person) < 0 ? -1 : (int)done + 1;
}

static int
expire_one(void *context, struct span thing)
{
    struct work *work = context;
    struct span value;
    int rc = store_get(work->waiting->store, work->waiting->room, thing, &value);

    if (rc != 1) /* 0: it left earlier */
        return rc;
    const size_t body_bytes = value.len - ARRIVED_BYTES;
    const struct waiting_record record = record_of(work->waiting, thing.at, value);
    if (work->expire(work->context, &record) != 0)
        return -1;
    return leave(work->waiting, thing.at, body_bytes);
}

int
waiting_work(struct waiting *waiting, unsigned budget, int64_t expired_ms, void *context,
             enum waiting_answer (*ask)(void *context, const struct waiting_record *record),
             int (*expire)(void *context, const struct waiting_record *record))
{
    struct work work = {waiting, expired_ms, context, ask, expire};
    unsigned done = 0;

    while (done < budget && waiting->wake_count > 0) {
        int rc = work_wake(&work, budget - done);
        if (rc < 0)
            return -1;
        if (rc == 0)
            log_panic("waiting: %lld wakes counted, none stored", (long long)waiting->wake_count);
        done += (unsigned)rc;
    }
    if (done >= budget)
        return (int)done;
    int rc = agenda_work(&waiting->agenda, expired_ms, budget - done, expire_one, &work);
    return rc < 0 ? -1 : (int)done + rc;
}

int
waiting_flush(struct waiting *waiting, int64_t now_ms)
{
    char value[8];

    if (waiting->bytes != waiting->written_bytes) {
        bytes_put_u64(value, waiting->bytes);
        if (store_put(waiting->store, waiting->size, size_key, span_at(value, sizeof value)) != 0)
            return -1;
        waiting->written_bytes = waiting->bytes;
    }
    return agenda_flush(&waiting->agenda, now_ms);
}

int64_t
waiting_due_ms(const struct waiting *waiting, int64_t hold_ms)
{
    return waiting->wake_count > 0 ? 0 : agenda_due_ms(&waiting->agenda, hold_ms);
}

void
waiting_free(struct waiting *waiting)
{
    agenda_free(&waiting->agenda);
    buffer_free(&waiting->body);
}
