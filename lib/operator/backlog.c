#include "operator/backlog.h"

#include "base/bytes.h"
#include "base/log.h"
#include "record/record.h"

#define KEY_BYTES 8
#define HEAD_BYTES (1 + 8 + 8 + 8 + HASH_ID_BYTES)
#define SENDER_BYTES 8
#define STATE_BYTES 16
#define BITS_BYTES (BACKLOG_SETTLED_BLOCK / 8)
#define NO_BLOCK UINT64_MAX
#define NUMBER_MAX (UINT64_MAX / 2) /* none lives to give so many: more are none of ours, and leave room for those to come */

enum { MARK_SETTLED = 1, MARK_SENDER = 2 };

static const unsigned char state_key[KEY_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

int
backlog_open(struct backlog *backlog, struct store *store, const struct backlog_names *names,
             const struct keyset_rules *rules, backlog_index_key *index_key)
{
    *backlog = (struct backlog){.store = store, .rules = *rules, .index_key = index_key, .block = NO_BLOCK};
    backlog->rules.kept_elsewhere = true;
    backlog->records = store_table(store, names->records);
    backlog->settled = store_table(store, names->settled);
    if (backlog->records < 0 || backlog->settled < 0)
        return -1;
    backlog->index = keyset_open(store, names->index, &backlog->rules);
    return backlog->index != NULL ? 0 : -1;
}

static int
missing(struct backlog *backlog)
{
    return store_damaged(backlog->store, backlog->records, "a record is missing");
}

/* What stands before the body. */
static size_t
head_bytes(struct span value)
{
    return HEAD_BYTES + (value.len > 0 && (value.at[0] & MARK_SENDER) != 0 ? SENDER_BYTES : 0);
}

/* 0, or −1 if value is no record. Times are added to; and nobody's hash is all zeros. */
static int
check_value(struct backlog *backlog, struct span value)
{
    static const struct hash_id nobody;

    if (value.len < head_bytes(value) || !record_time_is_right((int64_t)bytes_get_u64(value.at + 1)) ||
        !record_time_is_right((int64_t)bytes_get_u64(value.at + 9)) ||
        memcmp(value.at + 25, nobody.bytes, HASH_ID_BYTES) == 0)
        return store_damaged(backlog->store, backlog->records, "a record that is none");
    return 0;
}

static int
get_value(struct backlog *backlog, uint64_t number, struct span *value)
{
    char key[KEY_BYTES];

    bytes_put_u64(key, number);
    int rc = store_get(backlog->store, backlog->records, span_at(key, sizeof key), value);
    if (rc == 0)
        return missing(backlog);
    return rc < 0 ? -1 : check_value(backlog, *value);
}

/* When the record with this number entered; *ms stays as it is if nobody is kept. 0 or −1. */
static int
read_entered(struct backlog *backlog, uint64_t number, int64_t *ms)
{
    struct span value;

    if (backlog->lowest > backlog->last)
        return 0;
    if (get_value(backlog, number, &value) != 0)
        return -1;
    *ms = (int64_t)bytes_get_u64(value.at + 1);
    return 0;
}

static int
read_first(struct backlog *backlog)
{
    backlog->first_ms = INT64_MAX;
    return read_entered(backlog, backlog->lowest, &backlog->first_ms);
}

/* Find which records there are: 0 or −1. */
static int
read_ends(struct backlog *backlog)
{
    struct store_item item;
    struct span state;
    int rc = store_get_exact(backlog->store, backlog->settled, span_at(state_key, sizeof state_key), STATE_BYTES, &state);

    if (rc < 0)
        return -1;
    backlog->last = rc == 1 ? bytes_get_u64(state.at) : 0;
    backlog->lowest = rc == 1 ? bytes_get_u64(state.at + 8) : 1;
    const uint64_t given = backlog->last;
    if ((rc = store_last(backlog->store, backlog->records, &item)) == 1 && item.key.len == KEY_BYTES)
        backlog->last = bytes_get_u64(item.key.at);
    if ((rc == 1 && item.key.len != KEY_BYTES) || backlog->last < given || backlog->last > NUMBER_MAX ||
        backlog->lowest == 0 || backlog->last < backlog->lowest - 1)
        return store_damaged(backlog->store, backlog->records, "a record's number that is none");
    const int64_t count = store_count(backlog->store, backlog->records);
    if (rc >= 0 && count >= 0 && (uint64_t)count != backlog->last + 1 - backlog->lowest)
        return store_damaged(backlog->store, backlog->records, "more or fewer records than their numbers say");
    if (rc < 0 || count < 0 || read_first(backlog) != 0)
        return -1;
    return read_entered(backlog, backlog->last, &backlog->last_ms);
}

static void
make_index_key(const struct backlog *backlog, const struct backlog_record *record, char *key)
{
    backlog->index_key(backlog->rules.context, record, key);
    bytes_put_u64(key + backlog->rules.key_bytes - KEYSET_AGE_BYTES, record->number);
}

/* value has been checked. */
static struct backlog_record
decode_record(uint64_t number, struct span value)
{
    const size_t head = head_bytes(value);

    log_assert(value.len >= head);
    struct backlog_record record = {
        .number = number,
        .settled = (value.at[0] & MARK_SETTLED) != 0,
        .arrived_ms = (int64_t)bytes_get_u64(value.at + 9),
        .time_ms = (int64_t)bytes_get_u64(value.at + 17),
        .sender = head > HEAD_BYTES ? bytes_get_u64(value.at + HEAD_BYTES) : 0,
        .body = span_at(value.at + head, value.len - head),
    };

    memcpy(record.person.bytes, value.at + 25, HASH_ID_BYTES);
    return record;
}

/* What no run of the index has. There may be as much of it as a large index gathers: it is read in one go. */
static int
load_index(struct backlog *backlog)
{
    char number[KEY_BYTES], key[KEYSET_KEY_BYTES_MAX];
    struct store_item item;

    if (keyset_load(backlog->index) != 0)
        return -1;
    const uint64_t newest = keyset_newest(backlog->index);
    if (newest > backlog->last)
        return store_damaged(backlog->store, backlog->settled, "records were given numbers behind the last one");
    uint64_t next = newest < backlog->lowest ? backlog->lowest : newest + 1;
    bytes_put_u64(number, next);
    int rc = store_seek(backlog->store, backlog->records, span_at(number, sizeof number), &item);
    for (; rc == 1 && item.key.len == KEY_BYTES && bytes_get_u64(item.key.at) == next; next++) {
        if (check_value(backlog, item.value) != 0)
            return -1;
        const struct backlog_record record = decode_record(next, item.value);
        make_index_key(backlog, &record, key);
        keyset_add_again(backlog->index, key);
        rc = store_next(backlog->store, backlog->records, &item);
    }
    if (rc >= 0 && next <= backlog->last)
        return missing(backlog);
    return rc < 0 ? -1 : 0;
}

int
backlog_load(struct backlog *backlog)
{
    backlog->block = NO_BLOCK;
    backlog->removed = backlog->block_changed = false;
    return read_ends(backlog) != 0 || load_index(backlog) != 0 ? -1 : 0;
}

/* Settled bits. */

static int
write_block(struct backlog *backlog)
{
    char key[KEY_BYTES];

    if (!backlog->block_changed)
        return 0;
    log_assert(backlog->block != NO_BLOCK); /* whose key is the state's */
    backlog->block_changed = false;
    bytes_put_u64(key, backlog->block);
    return store_put(backlog->store, backlog->settled, span_at(key, sizeof key), span_at(backlog->bits, BITS_BYTES));
}

/* Bring the bits of number's block to memory. */
static int
use_block(struct backlog *backlog, uint64_t number)
{
    const uint64_t block = number / BACKLOG_SETTLED_BLOCK;
    char key[KEY_BYTES];
    struct span value;

    if (backlog->block == block)
        return 0;
    if (write_block(backlog) != 0)
        return -1;
    bytes_put_u64(key, block);
    int rc = store_get_exact(backlog->store, backlog->settled, span_at(key, sizeof key), BITS_BYTES, &value);
    if (rc < 0)
        return -1;
    backlog->block = block;
    if (rc == 1)
        memcpy(backlog->bits, value.at, BITS_BYTES);
    else
        memset(backlog->bits, 0, BITS_BYTES);
    return 0;
}

int
backlog_waits(struct backlog *backlog, const struct backlog_record *record)
{
    const unsigned bit = (unsigned)(record->number % BACKLOG_SETTLED_BLOCK);

    log_assert(record->number >= backlog->lowest && record->number <= backlog->last);
    if (record->settled)
        return 0;
    if (use_block(backlog, record->number) != 0)
        return -1;
    return (backlog->bits[bit / 8] >> bit % 8 & 1) == 0;
}

bool
backlog_is_deadly(const struct backlog_record *record, unsigned input, struct output *output)
{
    char number[KEY_BYTES];

    bytes_put_u64(number, record->number);
    return output->deadly(output, input, span_at(number, sizeof number), record->body);
}

int
backlog_settle(struct backlog *backlog, uint64_t number)
{
    const unsigned bit = (unsigned)(number % BACKLOG_SETTLED_BLOCK);

    if (use_block(backlog, number) != 0)
        return -1;
    if (number < backlog->lowest || number > backlog->last || (backlog->bits[bit / 8] >> bit % 8 & 1) != 0)
        log_panic("backlog: a record that does not wait is settled");
    backlog->bits[bit / 8] |= (unsigned char)(1u << bit % 8);
    backlog->block_changed = true;
    return 0;
}

/* Forget the bits of the block that number is the last of. */
static int
remove_block(struct backlog *backlog, uint64_t number)
{
    const uint64_t block = number / BACKLOG_SETTLED_BLOCK;
    char key[KEY_BYTES];

    if (backlog->block == block) {
        backlog->block = NO_BLOCK;
        backlog->block_changed = false;
    }
    bytes_put_u64(key, block);
    return store_delete(backlog->store, backlog->settled, span_at(key, sizeof key)) < 0 ? -1 : 0;
}

/* Records. */

/* Numbers only grow, at both ends; and what is written can be read again. */
static void
check_ends(const struct backlog *backlog)
{
    if (backlog->lowest == 0 || backlog->lowest - 1 > backlog->last || backlog->last == UINT64_MAX)
        log_panic("backlog: records are kept from a number behind the last one");
}

int
backlog_add(struct backlog *backlog, struct backlog_record *record, int64_t now_ms)
{
    static const struct hash_id nobody;

    const bool alone = backlog->lowest > backlog->last;
    const size_t head = HEAD_BYTES + (record->sender != 0 ? SENDER_BYTES : 0);
    char key[KEY_BYTES], index_key[KEYSET_KEY_BYTES_MAX];
    char *room;

    check_ends(backlog);
    if (memcmp(record->person.bytes, nobody.bytes, HASH_ID_BYTES) == 0)
        log_panic("backlog: a record of nobody");
    record->number = backlog->last + 1;
    log_assert(record->number <= NUMBER_MAX);
    bytes_put_u64(key, record->number);
    if (store_put_room(backlog->store, backlog->records, span_at(key, sizeof key), head + record->body.len, &room) != 0)
        return -1;
    if (alone || now_ms > backlog->last_ms)
        backlog->last_ms = now_ms;
    room[0] = (char)((record->settled ? MARK_SETTLED : 0) | (record->sender != 0 ? MARK_SENDER : 0));
    bytes_put_u64(room + 1, (uint64_t)backlog->last_ms);
    bytes_put_u64(room + 9, (uint64_t)record->arrived_ms);
    bytes_put_u64(room + 17, (uint64_t)record->time_ms);
    memcpy(room + 25, record->person.bytes, HASH_ID_BYTES);
    if (record->sender != 0)
        bytes_put_u64(room + HEAD_BYTES, record->sender);
    if (record->body.len > 0)
        memcpy(room + head, record->body.at, record->body.len);
    if (alone)
        backlog->first_ms = backlog->last_ms;
    backlog->last = record->number;
    make_index_key(backlog, record, index_key);
    keyset_add(backlog->index, index_key);
    return 0;
}

int
backlog_get(struct backlog *backlog, uint64_t number, struct backlog_record *record)
{
    struct span value;

    *record = (struct backlog_record){.number = number};
    if (number < backlog->lowest || number > backlog->last)
        return 0;
    if (get_value(backlog, number, &value) != 0)
        return -1;
    *record = decode_record(number, value);
    return 1;
}

int
backlog_get_kept(struct backlog *backlog, uint64_t number, struct backlog_record *record)
{
    const int rc = backlog_get(backlog, number, record);

    return rc == 1 ? 0 : rc == 0 ? missing(backlog) : -1;
}

uint64_t
backlog_number(const struct backlog *backlog, const char *key)
{
    return bytes_get_u64(key + backlog->rules.key_bytes - KEYSET_AGE_BYTES);
}

int
backlog_find(struct backlog *backlog, struct keyset_query *query, struct buffer *keys)
{
    query->horizon = backlog->lowest;
    return keyset_find(backlog->index, query, keys);
}

/* Remove the lowest record. */
static int
remove_lowest(struct backlog *backlog)
{
    const uint64_t number = backlog->lowest++;
    char key[KEY_BYTES];

    check_ends(backlog);
    bytes_put_u64(key, number);
    backlog->removed = true;
    const int rc = store_delete(backlog->store, backlog->records, span_at(key, sizeof key));
    if (rc != 1)
        return rc < 0 ? -1 : missing(backlog);
    if (backlog->lowest % BACKLOG_SETTLED_BLOCK == 0 && remove_block(backlog, number) != 0)
        return -1;
    return read_first(backlog);
}

/* Visit the lowest record with its body copied. It is read again: asking whether it waits may have changed the store. */
static int
visit_lowest(struct backlog *backlog, void *context, int (*visit)(void *context, const struct backlog_record *record))
{
    struct backlog_record record;

    if (backlog_get_kept(backlog, backlog->lowest, &record) != 0)
        return -1;
    buffer_clear(&backlog->body);
    buffer_add_span(&backlog->body, record.body);
    record.body = buffer_span(&backlog->body);
    return visit(context, &record);
}

int
backlog_expire(struct backlog *backlog, int64_t until_ms, bool settled_too, unsigned budget, void *context,
               int (*visit)(void *context, const struct backlog_record *record))
{
    unsigned done = 0;

    for (; done < budget && backlog->lowest <= backlog->last; done++) {
        struct backlog_record record;
        const bool expired = backlog->first_ms <= until_ms;
        if (!expired && !settled_too)
            break;
        if (backlog_get_kept(backlog, backlog->lowest, &record) != 0)
            return -1;
        const int waits = backlog_waits(backlog, &record);
        if (waits == 1 && !expired)
            break;
        if (waits < 0 || (waits == 1 && visit_lowest(backlog, context, visit) != 0))
            return -1;
        if (remove_lowest(backlog) != 0)
            return -1;
    }
    return (int)done;
}

int64_t
backlog_due_ms(const struct backlog *backlog, int64_t after_ms)
{
    return backlog->first_ms == INT64_MAX ? INT64_MAX : backlog->first_ms + after_ms;
}

int
backlog_flush(struct backlog *backlog)
{
    char value[STATE_BYTES];

    if (keyset_flush(backlog->index, backlog->lowest) != 0 || write_block(backlog) != 0)
        return -1;
    if (!backlog->removed)
        return 0;
    backlog->removed = false;
    check_ends(backlog);
    bytes_put_u64(value, backlog->last);
    bytes_put_u64(value + 8, backlog->lowest);
    return store_put(backlog->store, backlog->settled, span_at(state_key, sizeof state_key), span_at(value, sizeof value));
}

void
backlog_free(struct backlog *backlog)
{
    keyset_free(backlog->index);
    buffer_free(&backlog->body);
}
