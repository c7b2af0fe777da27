#include "operator/backlog.h"

#include "base/bytes.h"
#include "base/log.h"

#define KEY_BYTES 8
#define HEAD_BYTES (8 + 8 + 8 + HASH_ID_BYTES)
#define STATE_BYTES 24
#define BITS_BYTES (BACKLOG_SETTLED_BLOCK / 8)
#define NO_BLOCK UINT64_MAX

static const char state_key[KEY_BYTES] = {0};

int
backlog_open(struct backlog *backlog, struct store *store, const struct backlog_names *names,
             const struct keyset_rules *rules)
{
    *backlog = (struct backlog){.store = store, .index_key_bytes = rules->key_bytes, .block = NO_BLOCK};
    backlog->records = store_table(store, names->records);
    backlog->settled = store_table(store, names->settled);
    if (backlog->records < 0 || backlog->settled < 0)
        return -1;
    backlog->index = keyset_open(store, names->index, rules);
    return backlog->index != NULL ? 0 : -1;
}

static int
get_value(struct backlog *backlog, uint64_t number, struct span *value)
{
    char key[KEY_BYTES];

    bytes_put_u64(key, number);
    int rc = store_get(backlog->store, backlog->records, span_at(key, sizeof key), value);
    if (rc == 0)
        log_panic("backlog: record %llu is missing", (unsigned long long)number);
    if (rc == 1 && value->len < HEAD_BYTES)
        log_panic("backlog: a record of %zu bytes", value->len);
    return rc < 0 ? -1 : 0;
}

/* Read when the lowest record entered. */
static int
read_first(struct backlog *backlog)
{
    struct span value;

    backlog->first_ms = INT64_MAX;
    if (backlog->lowest > backlog->last)
        return 0;
    if (get_value(backlog, backlog->lowest, &value) != 0)
        return -1;
    backlog->first_ms = (int64_t)bytes_get_u64(value.at);
    return 0;
}

static int
read_last(struct backlog *backlog)
{
    struct span value;

    backlog->last_ms = 0;
    if (backlog->lowest > backlog->last)
        return 0;
    if (get_value(backlog, backlog->last, &value) != 0)
        return -1;
    backlog->last_ms = (int64_t)bytes_get_u64(value.at);
    return 0;
}

int
backlog_load(struct backlog *backlog)
{
    struct span value;
    int rc = store_get(backlog->store, backlog->records, span_at(state_key, sizeof state_key), &value);

    if (rc < 0)
        return -1;
    if (rc == 1 && value.len != STATE_BYTES)
        log_panic("backlog: a state of %zu bytes", value.len);
    backlog->last = rc == 1 ? bytes_get_u64(value.at) : 0;
    backlog->lowest = rc == 1 ? bytes_get_u64(value.at + 8) : 1;
    backlog->waiting_bytes = rc == 1 ? bytes_get_u64(value.at + 16) : 0;
    backlog->block = NO_BLOCK;
    backlog->changed = backlog->block_changed = false;
    return read_first(backlog) != 0 || read_last(backlog) != 0 ? -1 : keyset_load(backlog->index);
}

/* Settled bits. */

static int
write_block(struct backlog *backlog)
{
    char key[KEY_BYTES];

    if (!backlog->block_changed)
        return 0;
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
    int rc = store_get(backlog->store, backlog->settled, span_at(key, sizeof key), &value);
    if (rc < 0)
        return -1;
    if (rc == 1 && value.len != BITS_BYTES)
        log_panic("backlog: a block of %zu bytes", value.len);
    backlog->block = block;
    if (rc == 1)
        memcpy(backlog->bits, value.at, BITS_BYTES);
    else
        memset(backlog->bits, 0, BITS_BYTES);
    return 0;
}

int
backlog_waits(struct backlog *backlog, uint64_t number)
{
    const unsigned bit = (unsigned)(number % BACKLOG_SETTLED_BLOCK);

    if (use_block(backlog, number) != 0)
        return -1;
    return (backlog->bits[bit / 8] >> bit % 8 & 1) == 0;
}

static int
set_bit(struct backlog *backlog, uint64_t number)
{
    const unsigned bit = (unsigned)(number % BACKLOG_SETTLED_BLOCK);

    if (use_block(backlog, number) != 0)
        return -1;
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

uint64_t
backlog_bytes_with(const struct backlog *backlog, size_t body_bytes)
{
    return backlog->waiting_bytes + KEY_BYTES + HEAD_BYTES + body_bytes;
}

int
backlog_add(struct backlog *backlog, struct backlog_record *record, int64_t now_ms, char *key, bool settled)
{
    char number[KEY_BYTES];
    char *room;

    record->number = backlog->last + 1;
    bytes_put_u64(number, record->number);
    if (store_put_room(backlog->store, backlog->records, span_at(number, sizeof number), HEAD_BYTES + record->body.len,
                       &room) != 0)
        return -1;
    const bool alone = backlog->lowest > backlog->last;
    if (alone || now_ms > backlog->last_ms)
        backlog->last_ms = now_ms;
    bytes_put_u64(room, (uint64_t)backlog->last_ms);
    bytes_put_u64(room + 8, (uint64_t)record->arrived_ms);
    bytes_put_u64(room + 16, (uint64_t)record->time_ms);
    memcpy(room + 24, record->person.bytes, HASH_ID_BYTES);
    if (record->body.len > 0)
        memcpy(room + HEAD_BYTES, record->body.at, record->body.len);
    memcpy(key + backlog->index_key_bytes - KEYSET_AGE_BYTES, number, KEYSET_AGE_BYTES);
    keyset_add(backlog->index, key);
    if (alone)
        backlog->first_ms = backlog->last_ms;
    backlog->last = record->number;
    backlog->changed = true;
    if (settled)
        return set_bit(backlog, record->number);
    backlog->waiting_bytes = backlog_bytes_with(backlog, record->body.len);
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
    record->arrived_ms = (int64_t)bytes_get_u64(value.at + 8);
    record->time_ms = (int64_t)bytes_get_u64(value.at + 16);
    memcpy(record->person.bytes, value.at + 24, HASH_ID_BYTES);
    record->body = span_at(value.at + HEAD_BYTES, value.len - HEAD_BYTES);
    return 1;
}

int
backlog_settle(struct backlog *backlog, uint64_t number, size_t body_bytes)
{
    backlog->waiting_bytes -= KEY_BYTES + HEAD_BYTES + body_bytes;
    backlog->changed = true;
    return set_bit(backlog, number);
}

uint64_t
backlog_number(const struct backlog *backlog, const char *key)
{
    return bytes_get_u64(key + backlog->index_key_bytes - KEYSET_AGE_BYTES);
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

    bytes_put_u64(key, number);
    backlog->changed = true;
    if (store_delete(backlog->store, backlog->records, span_at(key, sizeof key)) < 0 ||
        (backlog->lowest % BACKLOG_SETTLED_BLOCK == 0 && remove_block(backlog, number) != 0))
        return -1;
    return read_first(backlog);
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
        const int waits = backlog_waits(backlog, backlog->lowest);
        if (waits < 0)
            return -1;
        if (waits == 1 && !expired)
            break;
        if (waits == 1) {
            if (backlog_get(backlog, backlog->lowest, &record) != 1)
                return -1;
            buffer_clear(&backlog->body);
            buffer_add_span(&backlog->body, record.body);
            record.body = buffer_span(&backlog->body);
            if (visit(context, &record) != 0)
                return -1;
            backlog->waiting_bytes -= KEY_BYTES + HEAD_BYTES + record.body.len;
        }
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
    if (!backlog->changed)
        return 0;
    backlog->changed = false;
    bytes_put_u64(value, backlog->last);
    bytes_put_u64(value + 8, backlog->lowest);
    bytes_put_u64(value + 16, backlog->waiting_bytes);
    return store_put(backlog->store, backlog->records, span_at(state_key, sizeof state_key), span_at(value, sizeof value));
}

void
backlog_free(struct backlog *backlog)
{
    keyset_free(backlog->index);
    buffer_free(&backlog->body);
}
