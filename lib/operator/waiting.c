#include "operator/waiting.h"

#include "base/bytes.h"
#include "base/log.h"

#define INDEX_KEY_BYTES (HASH_ID_BYTES + KEYSET_AGE_BYTES)
#define POSITION_BYTES 8

/* What a record counts besides its body: about what its entry and its index key take. */
#define RECORD_BYTES 80

static const struct span size_key = {"bytes", 5};
static const struct span senders_key = {"senders", 7};

/* What a record is looked for by: its person, which is a hash already. */
static uint64_t
token(const void *context, const char *key)
{
    (void)context;
    return bytes_get_u64(key);
}

static void
index_key(const void *context, const struct backlog_record *record, char *key)
{
    (void)context;
    memcpy(key, record->person.bytes, HASH_ID_BYTES);
}

int
waiting_open(struct waiting *waiting, struct store *store, const struct waiting_names *names)
{
    const struct keyset_rules rules = {.key_bytes = INDEX_KEY_BYTES, .token = token};

    *waiting = (struct waiting){.store = store, .senders = -1};
    waiting->wakes = store_table(store, names->wakes);
    waiting->size = store_table(store, names->size);
    if (names->senders != NULL)
        waiting->senders = store_table(store, names->senders);
    if (waiting->wakes < 0 || waiting->size < 0 || (names->senders != NULL && waiting->senders < 0))
        return -1;
    return backlog_open(&waiting->backlog, store, &names->backlog, &rules, index_key);
}

/* A number of the table; 0 where it is absent. 0 or −1. */
static int
get_number(struct waiting *waiting, int table, struct span key, uint64_t *number)
{
    struct span value;
    int rc = store_get_exact(waiting->store, table, key, 8, &value);

    *number = rc == 1 ? bytes_get_u64(value.at) : 0;
    return rc < 0 ? -1 : 0;
}

static int
put_number(struct waiting *waiting, int table, struct span key, uint64_t number)
{
    char value[8];

    bytes_put_u64(value, number);
    return store_put(waiting->store, table, key, span_at(value, sizeof value));
}

/* What has no sender is what is left of all. 0 or −1. */
static int
check_sums(struct waiting *waiting)
{
    if (waiting->senders_bytes > waiting->bytes)
        return store_damaged(waiting->store, waiting->size, "more waits of senders than waits");
    return 0;
}

int
waiting_load(struct waiting *waiting)
{
    if (get_number(waiting, waiting->size, size_key, &waiting->bytes) != 0 ||
        get_number(waiting, waiting->size, senders_key, &waiting->senders_bytes) != 0)
        return -1;
    waiting->written_bytes = waiting->bytes;
    waiting->written_senders_bytes = waiting->senders_bytes;
    waiting->at_hand.sender = 0;
    waiting->at_hand.changed = false;
    waiting->wake_count = store_count(waiting->store, waiting->wakes);
    return waiting->wake_count < 0 || check_sums(waiting) != 0 ? -1 : backlog_load(&waiting->backlog);
}

/* Who sent what waits. */

static int
write_sender(struct waiting *waiting)
{
    char key[8];

    if (!waiting->at_hand.changed)
        return 0;
    log_assert(waiting->at_hand.sender != 0);
    waiting->at_hand.changed = false;
    bytes_put_u64(key, waiting->at_hand.sender);
    if (waiting->at_hand.bytes > 0)
        return put_number(waiting, waiting->senders, span_at(key, sizeof key), waiting->at_hand.bytes);
    return store_delete(waiting->store, waiting->senders, span_at(key, sizeof key)) < 0 ? -1 : 0;
}

static int
use_sender(struct waiting *waiting, uint64_t sender)
{
    char key[8];

    log_assert(sender != 0);
    if (waiting->at_hand.sender == sender)
        return 0;
    if (write_sender(waiting) != 0)
        return -1;
    bytes_put_u64(key, sender);
    waiting->at_hand.sender = sender;
    return get_number(waiting, waiting->senders, span_at(key, sizeof key), &waiting->at_hand.bytes);
}

/* Add to the sum in (true), or take from it. 0, or −1 if it is less than that, or more than there can be. */
static int
add(struct waiting *waiting, int table, uint64_t *sum, uint64_t bytes, bool in)
{
    if (!in && *sum < bytes)
        return store_damaged(waiting->store, table, "less waits by its sums than leaves");
    if (in && *sum > UINT64_MAX - bytes)
        return store_damaged(waiting->store, table, "more waits by its sums than can be");
    *sum += in ? bytes : -bytes;
    return 0;
}

/* Count record in (true), or out. 0 or −1. */
static int
count(struct waiting *waiting, const struct backlog_record *record, bool in)
{
    const uint64_t bytes = RECORD_BYTES + record->body.len;

    if (add(waiting, waiting->size, &waiting->bytes, bytes, in) != 0)
        return -1;
    if (record->sender == 0)
        return check_sums(waiting);
    if (waiting->senders < 0)
        return store_damaged(waiting->store, waiting->size, "what waits has a sender, where none has one");
    if (add(waiting, waiting->size, &waiting->senders_bytes, bytes, in) != 0 || use_sender(waiting, record->sender) != 0)
        return -1;
    waiting->at_hand.changed = true;
    return add(waiting, waiting->senders, &waiting->at_hand.bytes, bytes, in) != 0 ? -1 : check_sums(waiting);
}

int
waiting_has_room(struct waiting *waiting, uint64_t sender, size_t body_bytes, uint64_t bytes_max,
                 uint64_t sender_bytes_max)
{
    const uint64_t bytes = RECORD_BYTES + body_bytes;
    uint64_t sender_bytes = waiting->bytes - waiting->senders_bytes;

    log_assert(waiting->senders_bytes <= waiting->bytes && (sender == 0 || waiting->senders >= 0));
    if (waiting->bytes + bytes > bytes_max)
        return 0;
    if (sender != 0) {
        if (use_sender(waiting, sender) != 0)
            return -1;
        sender_bytes = waiting->at_hand.bytes;
    }
    return sender_bytes + bytes <= sender_bytes_max;
}

int
waiting_enter(struct waiting *waiting, struct backlog_record *record)
{
    log_assert(record->sender == 0 || waiting->senders >= 0);
    record->settled = false;
    if (count(waiting, record, true) != 0)
        return -1;
    return backlog_add(&waiting->backlog, record, record->arrived_ms);
}

/* Gather the index keys of the person's records behind number after, max at most. How many, or −1. */
static int
find_behind(struct waiting *waiting, const struct hash_id *person, uint64_t after, unsigned max)
{
    char from[INDEX_KEY_BYTES], to[INDEX_KEY_BYTES];
    struct keyset_query query = {.from = from, .to = to, .token_count = 1, .max = max};

    memcpy(from, person->bytes, HASH_ID_BYTES);
    memcpy(to, person->bytes, HASH_ID_BYTES);
    bytes_put_u64(from + HASH_ID_BYTES, after + 1);
    bytes_put_u64(to + HASH_ID_BYTES, UINT64_MAX);
    query.tokens[0] = token(NULL, from);
    return backlog_find(&waiting->backlog, &query, &waiting->keys);
}

int
waiting_wake(struct waiting *waiting, const struct hash_id *person)
{
    const struct span key = span_at(person->bytes, HASH_ID_BYTES);
    struct span value;
    int rc = store_get(waiting->store, waiting->wakes, key, &value);

    if (rc < 0 || (rc == 1 && value.len == 0)) /* it is woken: somebody with very many rows is, by each of them */
        return rc < 0 ? -1 : 0;
    if (rc == 0) {
        if ((rc = find_behind(waiting, person, 0, 1)) != 1)
            return rc;
        waiting->wake_count++;
    }
    return store_put(waiting->store, waiting->wakes, key, (struct span){0});
}

/* What waiting_work is given. */
struct work {
    struct waiting *waiting;
    int64_t expired_ms;
    void *context;
    enum waiting_answer (*ask)(void *context, const struct backlog_record *record);
    int (*expire)(void *context, const struct backlog_record *record);
    bool full; /* ask has said that no more is to be asked about */
};

/* Ask about a record of a woken person, unless its time is up, whoever has come. */
static enum waiting_answer
ask_or_expire(const struct work *work, const struct backlog_record *record)
{
    if (record->arrived_ms > work->expired_ms)
        return work->ask(work->context, record);
    return work->expire(work->context, record) == 0 ? WAITING_GO : WAITING_ERROR;
}

/* 0 or −1. */
static int
work_record(struct work *work, uint64_t number)
{
    struct waiting *waiting = work->waiting;
    struct backlog_record record;

    if (backlog_get_kept(&waiting->backlog, number, &record) != 0)
        return -1;
    /* A copy: whoever is asked may change the store. */
    buffer_clear(&waiting->body);
    buffer_add_span(&waiting->body, record.body);
    record.body = buffer_span(&waiting->body);
    int rc = backlog_waits(&waiting->backlog, &record);
    if (rc != 1)
        return rc;
    const enum waiting_answer answer = ask_or_expire(work, &record);
    if (answer == WAITING_ERROR || answer == WAITING_STAY)
        return answer == WAITING_STAY ? 0 : -1;
    work->full = answer == WAITING_GO_LAST;
    if (count(waiting, &record, false) != 0)
        return -1;
    return backlog_settle(&waiting->backlog, number);
}

/* Ask about the records of the first woken person, at most budget of them. */
static int
work_wake(struct work *work, unsigned budget)
{
    struct waiting *waiting = work->waiting;
    struct hash_id person;
    struct store_item wake;
    char position[POSITION_BYTES];
    uint64_t number = 0;

    int rc = store_seek(waiting->store, waiting->wakes, (struct span){0}, &wake);
    if (rc != 1)
        return rc;
    if (wake.key.len != HASH_ID_BYTES || (wake.value.len != 0 && wake.value.len != POSITION_BYTES))
        return store_damaged(waiting->store, waiting->wakes, "a wake that is none");
    memcpy(person.bytes, wake.key.at, HASH_ID_BYTES);
    if (wake.value.len > 0)
        number = bytes_get_u64(wake.value.at);
    const int count = find_behind(waiting, &person, number, budget);
    int done = 0;
    for (; done < count && !work->full; done++) {
        number = backlog_number(&waiting->backlog, waiting->keys.data + done * INDEX_KEY_BYTES);
        if (work_record(work, number) != 0)
            return -1;
    }
    const struct span key = span_at(person.bytes, HASH_ID_BYTES);
    if (count < 0)
        return -1;
    if ((unsigned)count == budget || done < count) {
        bytes_put_u64(position, number);
        return store_put(waiting->store, waiting->wakes, key, span_at(position, sizeof position)) != 0 ? -1 : done;
    }
    if (waiting->wake_count-- <= 0)
        log_panic("waiting: more are woken than are counted");
    rc = store_delete(waiting->store, waiting->wakes, key);
    if (rc != 1)
        return rc < 0 ? -1 : store_damaged(waiting->store, waiting->wakes, "a wake is missing");
    return count + 1;
}

static int
turn_out(void *context, const struct backlog_record *record)
{
    const struct work *work = context;

    return count(work->waiting, record, false) != 0 ? -1 : work->expire(work->context, record);
}

int
waiting_work(struct waiting *waiting, unsigned budget, int64_t expired_ms, void *context,
             enum waiting_answer (*ask)(void *context, const struct backlog_record *record),
             int (*expire)(void *context, const struct backlog_record *record))
{
    struct work work = {waiting, expired_ms, context, ask, expire, false};
    unsigned done = 0;

    while (done < budget && waiting->wake_count > 0 && !work.full) {
        int rc = work_wake(&work, budget - done);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return store_damaged(waiting->store, waiting->wakes, "it counts entries that are not there");
        done += (unsigned)rc;
    }
    if (done >= budget || work.full)
        return (int)done;
    int rc = backlog_expire(&waiting->backlog, expired_ms, true, budget - done, &work, turn_out);
    log_assert(rc < 0 || (unsigned)rc <= budget - done);
    return rc < 0 ? -1 : (int)done + rc;
}

bool
waiting_gives_up(const struct backlog_record *record, unsigned input, struct output *output)
{
    if (!backlog_is_deadly(record, input, output))
        return false;
    output->move(output, input, VERDICT_WAITING, VERDICT_INVALID);
    return true;
}

int
waiting_flush(struct waiting *waiting)
{
    log_assert(waiting->senders_bytes <= waiting->bytes);
    if (write_sender(waiting) != 0)
        return -1;
    if (waiting->bytes != waiting->written_bytes &&
        put_number(waiting, waiting->size, size_key, waiting->bytes) != 0)
        return -1;
    if (waiting->senders_bytes != waiting->written_senders_bytes &&
        put_number(waiting, waiting->size, senders_key, waiting->senders_bytes) != 0)
        return -1;
    waiting->written_bytes = waiting->bytes;
    waiting->written_senders_bytes = waiting->senders_bytes;
    return backlog_flush(&waiting->backlog);
}

int64_t
waiting_due_ms(const struct waiting *waiting, int64_t hold_ms)
{
    return waiting->wake_count > 0 ? 0 : backlog_due_ms(&waiting->backlog, hold_ms);
}

void
waiting_free(struct waiting *waiting)
{
    backlog_free(&waiting->backlog);
    buffer_free(&waiting->keys);
    buffer_free(&waiting->body);
}
