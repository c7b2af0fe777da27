#include "state/recent.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/log.h"
#include "record/json.h"

#define KEY "recent"
#define KEY_BYTES (sizeof KEY) /* the reason stands where the NUL did */
#define HEAD_BYTES 10
#define REFUSAL_BYTES_MAX (HEAD_BYTES + RECENT_FIELD_BYTES_MAX + RECENT_TOPIC_BYTES_MAX)

_Static_assert(RECENT_TOPIC_BYTES_MAX <= UINT8_MAX, "a length that is held in a byte");

static struct span
key_of(enum reason reason, char *key)
{
    memcpy(key, KEY, KEY_BYTES);
    key[KEY_BYTES - 1] = (char)reason;
    return span_at(key, KEY_BYTES);
}

/* The refusal at age, 0 the newest. */
static const struct recent_refusal *
refusal_at(const struct recent *recent, enum reason reason, unsigned age)
{
    log_assert(age < recent->reasons[reason].count);
    return &recent->reasons[reason].ring[(recent->reasons[reason].next + RECENT_MAX - 1 - age) % RECENT_MAX];
}

int
recent_open(struct recent *recent, struct store *store, const char *name)
{
    *recent = (struct recent){.store = store};
    recent->table = store_table(store, name);
    return recent->table < 0 ? -1 : 0;
}

/* Behind the last refusal that was encoded. */
static char *
encode(const struct recent_refusal *refusal, char *at)
{
    bytes_put_u64(at, (uint64_t)refusal->time_ms);
    at[8] = (char)refusal->field_bytes;
    at[9] = (char)refusal->topic_bytes;
    memcpy(at + HEAD_BYTES, refusal->field, refusal->field_bytes);
    memcpy(at + HEAD_BYTES + refusal->field_bytes, refusal->topic, refusal->topic_bytes);
    return at + HEAD_BYTES + refusal->field_bytes + refusal->topic_bytes;
}

/* Bytes of the refusal that value begins with; 0: it is none. */
static size_t
decode(struct span value, struct recent_refusal *refusal)
{
    if (value.len < HEAD_BYTES)
        return 0;
    refusal->time_ms = (int64_t)bytes_get_u64(value.at);
    refusal->field_bytes = (unsigned char)value.at[8];
    refusal->topic_bytes = (unsigned char)value.at[9];
    const size_t bytes = HEAD_BYTES + (size_t)refusal->field_bytes + refusal->topic_bytes;
    if (bytes > value.len || refusal->field_bytes > RECENT_FIELD_BYTES_MAX || refusal->topic_bytes > RECENT_TOPIC_BYTES_MAX)
        return 0;
    memcpy(refusal->field, value.at + HEAD_BYTES, refusal->field_bytes);
    memcpy(refusal->topic, value.at + HEAD_BYTES + refusal->field_bytes, refusal->topic_bytes);
    return bytes;
}

static int
load_reason(struct recent *recent, enum reason reason)
{
    struct recent_refusal newest_first[RECENT_MAX];
    char key[KEY_BYTES];
    struct span value;
    unsigned count = 0;
    int rc = store_get(recent->store, recent->table, key_of(reason, key), &value);

    if (rc < 0)
        return -1;
    if (rc == 0)
        value.len = 0;
    while (value.len > 0 && count < RECENT_MAX) {
        const size_t bytes = decode(value, &newest_first[count++]);
        if (bytes == 0)
            return store_damaged(recent->store, recent->table, "a refusal that is none");
        value = span_at(value.at + bytes, value.len - bytes);
    }
    for (unsigned i = 0; i < count; i++)
        /* cppcheck-suppress uninitvar ; as many as count says were decoded */
        recent->reasons[reason].ring[i] = newest_first[count - 1 - i];
    recent->reasons[reason].next = count % RECENT_MAX;
    recent->reasons[reason].count = count;
    recent->reasons[reason].changed = false;
    return 0;
}

int
recent_load(struct recent *recent)
{
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        if (load_reason(recent, (enum reason)r) != 0)
            return -1;
    }
    return 0;
}

void
recent_note(struct recent *recent, const struct fault *fault, struct span topic, int64_t time_ms)
{
    const struct span field = fault->field != NULL ? span_of(fault->field) : (struct span){0};
    struct recent_refusal *refusal = &recent->reasons[fault->reason].ring[recent->reasons[fault->reason].next];

    if (field.len > RECENT_FIELD_BYTES_MAX || topic.len > RECENT_TOPIC_BYTES_MAX)
        log_panic("recent: a field's name of %zu bytes, a topic of %zu", field.len, topic.len);
    refusal->time_ms = time_ms;
    refusal->field_bytes = (unsigned char)field.len;
    refusal->topic_bytes = (unsigned char)topic.len;
    if (field.len > 0)
        memcpy(refusal->field, field.at, field.len);
    memcpy(refusal->topic, topic.at, topic.len);
    recent->reasons[fault->reason].next = (recent->reasons[fault->reason].next + 1) % RECENT_MAX;
    recent->reasons[fault->reason].count += recent->reasons[fault->reason].count < RECENT_MAX;
    recent->reasons[fault->reason].changed = true;
}

static int
flush_reason(struct recent *recent, enum reason reason)
{
    char value[RECENT_MAX * REFUSAL_BYTES_MAX];
    char key[KEY_BYTES];
    char *end = value;

    for (unsigned age = 0; age < recent->reasons[reason].count; age++)
        end = encode(refusal_at(recent, reason, age), end);
    log_assert((size_t)(end - value) <= sizeof value);
    recent->reasons[reason].changed = false;
    return store_put(recent->store, recent->table, key_of(reason, key), span_at(value, (size_t)(end - value)));
}

int
recent_flush(struct recent *recent)
{
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        if (recent->reasons[r].changed && flush_reason(recent, (enum reason)r) != 0)
            return -1;
    }
    return 0;
}

static void
write_refusal(const struct recent_refusal *refusal, struct buffer *text)
{
    buffer_add_byte(text, '{');
    if (refusal->field_bytes > 0) {
        buffer_add_text(text, "\"field\":");
        json_add_any_text(text, span_at(refusal->field, refusal->field_bytes));
        buffer_add_byte(text, ',');
    }
    buffer_add_text(text, "\"topic\":");
    json_add_any_text(text, span_at(refusal->topic, refusal->topic_bytes));
    buffer_printf(text, ",\"time\":%" PRId64 "}", refusal->time_ms);
}

void
recent_write(const struct recent *recent, struct buffer *text)
{
    const char *comma = "";

    buffer_add_byte(text, '{');
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        if (recent->reasons[r].count == 0)
            continue;
        buffer_printf(text, "%s\"%s\":", comma, reason_word((enum reason)r));
        for (unsigned age = 0; age < recent->reasons[r].count; age++) {
            buffer_add_byte(text, age == 0 ? '[' : ',');
            write_refusal(refusal_at(recent, (enum reason)r, age), text);
        }
        buffer_add_byte(text, ']');
        comma = ",";
    }
    buffer_add_byte(text, '}');
}
