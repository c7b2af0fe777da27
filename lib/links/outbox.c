#include "links/outbox.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/name.h"

#define KEY_BYTES 8
#define HEAD_BYTES 32
#define MESSAGE_HEAD_BYTES 9

_Static_assert(NAME_BYTES_MAX <= UINT8_MAX, "a row's length has one byte");

int
outbox_open(struct outbox *outbox, struct store *store, const char *name)
{
    *outbox = (struct outbox){.store = store};
    outbox->table = store_table(store, name);
    return outbox->table < 0 ? -1 : 0;
}

/* 1, or −1 if item is none of ours. */
static int
decode(struct outbox *outbox, const struct store_item *item, struct outbox_message *message)
{
    if (item->key.len != KEY_BYTES || item->value.len < MESSAGE_HEAD_BYTES)
        return store_damaged(outbox->store, outbox->table, "a message that is too short");
    const size_t row_bytes = (unsigned char)item->value.at[8];
    if (row_bytes > NAME_BYTES_MAX || row_bytes > item->value.len - MESSAGE_HEAD_BYTES)
        return store_damaged(outbox->store, outbox->table, "a message that is shorter than its row's name");
    message->mark = (struct outbox_mark){bytes_get_u64(item->key.at), bytes_get_u64(item->value.at)};
    message->row = span_at(item->value.at + MESSAGE_HEAD_BYTES, row_bytes);
    message->payload = span_at(item->value.at + MESSAGE_HEAD_BYTES + row_bytes,
                               item->value.len - MESSAGE_HEAD_BYTES - row_bytes);
    return 1;
}

/* Whether there are as many messages as the head says, the last of them the last. 0 or −1. */
static int
check_messages(struct outbox *outbox)
{
    const uint64_t heads = outbox->last.sequence > 0;
    const int64_t count = store_count(outbox->store, outbox->table);
    struct outbox_message message = {0};
    struct store_item item;

    if (count < 0)
        return -1;
    if ((uint64_t)count != heads + outbox->last.sequence - outbox->trimmed.sequence)
        return store_damaged(outbox->store, outbox->table, "more or fewer messages than its head says");
    if (outbox->last.sequence == outbox->trimmed.sequence)
        return 0;
    if (store_last(outbox->store, outbox->table, &item) != 1 || decode(outbox, &item, &message) != 1)
        return -1;
    if (message.mark.sequence != outbox->last.sequence || message.mark.end != outbox->last.end)
        return store_damaged(outbox->store, outbox->table, "another last message than its head says");
    return 0;
}

int
outbox_load(struct outbox *outbox)
{
    const char key[KEY_BYTES] = {0};
    struct span head;
    int rc = store_get_exact(outbox->store, outbox->table, span_at(key, sizeof key), HEAD_BYTES, &head);

    if (rc < 0)
        return -1;
    outbox->last = outbox->trimmed = (struct outbox_mark){0};
    outbox->changed = false;
    if (rc == 0)
        return check_messages(outbox);
    outbox->last = (struct outbox_mark){bytes_get_u64(head.at), bytes_get_u64(head.at + 8)};
    outbox->trimmed = (struct outbox_mark){bytes_get_u64(head.at + 16), bytes_get_u64(head.at + 24)};
    if (outbox->trimmed.sequence > outbox->last.sequence || outbox->trimmed.end > outbox->last.end)
        return store_damaged(outbox->store, outbox->table, "more is removed than was ever there");
    if (outbox->last.sequence > OUTBOX_SEQUENCE_MAX || outbox->last.end > OUTBOX_END_MAX)
        return store_damaged(outbox->store, outbox->table, "more messages than any outbox gets to");
    return check_messages(outbox);
}

int
outbox_flush(struct outbox *outbox)
{
    const char key[KEY_BYTES] = {0};
    char head[HEAD_BYTES];

    if (!outbox->changed)
        return 0;
    log_assert(outbox->trimmed.sequence <= outbox->last.sequence && outbox->trimmed.end <= outbox->last.end);
    bytes_put_u64(head, outbox->last.sequence);
    bytes_put_u64(head + 8, outbox->last.end);
    bytes_put_u64(head + 16, outbox->trimmed.sequence);
    bytes_put_u64(head + 24, outbox->trimmed.end);
    outbox->changed = false;
    return store_put(outbox->store, outbox->table, span_at(key, sizeof key), span_at(head, sizeof head));
}

int
outbox_append(struct outbox *outbox, struct span row, struct span payload)
{
    const size_t len = MESSAGE_HEAD_BYTES + row.len + payload.len;
    char key[KEY_BYTES];
    char *at;

    if (row.len > NAME_BYTES_MAX)
        log_panic("outbox: a row name of %zu bytes", row.len);
    log_assert(outbox->last.sequence < OUTBOX_SEQUENCE_MAX && outbox->last.end < OUTBOX_END_MAX - len);
    bytes_put_u64(key, outbox->last.sequence + 1);
    if (store_put_room(outbox->store, outbox->table, span_at(key, sizeof key), len, &at) != 0)
        return -1;
    outbox->last.sequence++;
    outbox->last.end += len;
    outbox->changed = true;
    bytes_put_u64(at, outbox->last.end);
    at[8] = (char)row.len;
    if (row.len > 0)
        memcpy(at + MESSAGE_HEAD_BYTES, row.at, row.len);
    memcpy(at + MESSAGE_HEAD_BYTES + row.len, payload.at, payload.len);
    return 0;
}

int
outbox_read(struct outbox *outbox, uint64_t sequence, struct outbox_message *message)
{
    char key[KEY_BYTES];
    struct store_item item;

    bytes_put_u64(key, sequence > 0 ? sequence : 1);
    int rc = store_seek(outbox->store, outbox->table, span_at(key, sizeof key), &item);
    return rc == 1 ? decode(outbox, &item, message) : rc;
}

int
outbox_trim(struct outbox *outbox, uint64_t sequence, unsigned budget)
{
    struct outbox_message message = {0};
    unsigned done = 0;

    log_assert(sequence <= outbox->last.sequence);
    while (done < budget && outbox->trimmed.sequence < sequence) {
        int rc = outbox_read(outbox, outbox->trimmed.sequence + 1, &message);
        if (rc < 0)
            return -1;
        if (rc != 1 || message.mark.sequence != outbox->trimmed.sequence + 1)
            return store_damaged(outbox->store, outbox->table, "a message is missing");
        if (message.mark.end != outbox->trimmed.end + MESSAGE_HEAD_BYTES + message.row.len + message.payload.len)
            return store_damaged(outbox->store, outbox->table, "a message that ends elsewhere");
        outbox->trimmed = message.mark;
        outbox->changed = true;
        if (store_delete_here(outbox->store, outbox->table) != 0)
            return -1;
        done++;
    }
    return (int)done;
}
