#include "operator/agenda.h"

#include "base/bytes.h"
#include "base/log.h"

#define KEY_BYTES 16

int
agenda_open(struct agenda *agenda, struct store *store, const char *name, size_t thing_bytes)
{
    *agenda = (struct agenda){.store = store, .thing_bytes = thing_bytes, .first_ms = INT64_MAX};
    agenda->table = store_table(store, name);
    return agenda->table < 0 ? -1 : 0;
}

static int
read_first(struct agenda *agenda)
{
    struct store_item item;
    int rc = store_seek(agenda->store, agenda->table, (struct span){0}, &item);

    agenda->first_ms = rc == 1 ? (int64_t)bytes_get_u64(item.key.at) : INT64_MAX;
    return rc < 0 ? -1 : 0;
}

int
agenda_load(struct agenda *agenda)
{
    struct store_item item;
    int rc = store_last(agenda->store, agenda->table, &item);

    buffer_clear(&agenda->gathered);
    agenda->last_ms = rc == 1 ? (int64_t)bytes_get_u64(item.key.at) : 0;
    agenda->serial = rc == 1 ? bytes_get_u64(item.key.at + 8) : 0;
    return rc < 0 ? -1 : read_first(agenda);
}

void
agenda_add(struct agenda *agenda, const void *thing)
{
    buffer_add(&agenda->gathered, thing, agenda->thing_bytes);
}

void
agenda_take_back(struct agenda *agenda)
{
    if (agenda->gathered.len < agenda->thing_bytes)
        log_panic("agenda: nothing to take back");
    agenda->gathered.len -= agenda->thing_bytes;
}

int
agenda_flush(struct agenda *agenda, int64_t now_ms)
{
    char key[KEY_BYTES];
    const size_t batch_bytes = AGENDA_BATCH * agenda->thing_bytes;

    if (agenda->gathered.len == 0)
        return 0;
    if (now_ms > agenda->last_ms)
        agenda->last_ms = now_ms;
    if (agenda->first_ms == INT64_MAX)
        agenda->first_ms = agenda->last_ms;
    for (size_t at = 0; at < agenda->gathered.len; at += batch_bytes) {
        size_t len = agenda->gathered.len - at;
        bytes_put_u64(key, (uint64_t)agenda->last_ms);
        bytes_put_u64(key + 8, ++agenda->serial);
        if (store_put(agenda->store, agenda->table, span_at(key, sizeof key),
                      span_at(agenda->gathered.data + at, len < batch_bytes ? len : batch_bytes)) != 0)
            return -1;
    }
    buffer_clear(&agenda->gathered);
    return 0;
}

int
agenda_work(struct agenda *agenda, int64_t until_ms, unsigned budget, int (*visit)(void *context, struct span thing),
            void *context)
{
    unsigned visited = 0;

    while (visited < budget && agenda->first_ms <= until_ms) {
        struct store_item item;
        int rc = store_seek(agenda->store, agenda->table, (struct span){0}, &item);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        /* A copy: visit changes the store, which may move what item points to. */
        buffer_clear(&agenda->due);
        buffer_add_span(&agenda->due, item.value);
        if (store_delete_here(agenda->store, agenda->table) != 0)
            return -1;
        for (size_t at = 0; at < agenda->due.len; at += agenda->thing_bytes, visited++) {
            if (visit(context, span_at(agenda->due.data + at, agenda->thing_bytes)) != 0)
                return -1;
        }
        if (read_first(agenda) != 0)
            return -1;
    }
    return (int)visited;
}

int64_t
agenda_due_ms(const struct agenda *agenda, int64_t after_ms)
{
    return agenda->first_ms == INT64_MAX ? INT64_MAX : agenda->first_ms + after_ms;
}

void
agenda_free(struct agenda *agenda)
{
    buffer_free(&agenda->gathered);
    buffer_free(&agenda->due);
}
