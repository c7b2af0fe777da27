#include "run/aside.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "store/store.h"

/* So many are kept, which is enough to find out why; those that follow are only told of. */
#define ASIDE_MAX 64

int
aside_open(struct aside *aside)
{
    aside->table = store_table(aside->store, "aside");
    return aside->table < 0 ? -1 : 0;
}

static int
keep(struct aside *aside, unsigned input, struct span bytes, uint64_t *number)
{
    char key[8];
    char *room;
    struct store_item last;

    log_assert(input < aside->stream->input_count);
    int rc = store_last(aside->store, aside->table, &last);

    *number = rc == 1 && last.key.len == sizeof key ? bytes_get_u64(last.key.at) + 1 : 1;
    if (rc < 0 || *number > ASIDE_MAX)
        return rc < 0 ? -1 : 0;
    bytes_put_u64(key, *number);
    if (store_put_room(aside->store, aside->table, span_at(key, sizeof key), 1 + bytes.len, &room) != 0)
        return -1;
    room[0] = (char)input;
    if (bytes.len > 0)
        memcpy(room + 1, bytes.at, bytes.len);
    return 0;
}

/* Find where the record at cursor ends, without working it. A process that dies of even that loses what is left of the
 * payload with it. As record_next, with REASON_POISON. */
static int
pass_over(struct aside *aside, unsigned input, unsigned deaths, struct record_cursor *cursor, struct fault *fault)
{
    struct record record;
    int rc = 1;

    if (deaths > ATTEMPT_DEATHS)
        *cursor = (struct record_cursor){cursor->payload, cursor->payload.len, RECORD_AT_END};
    else
        rc = record_next(aside->decoders[input], cursor, RECORD_FROM_LINK, 0, &record, fault);
    *fault = (struct fault){REASON_POISON, NULL};
    return rc;
}

int
aside_record(struct aside *aside, unsigned input, struct attempt_front front, unsigned deaths, struct record_cursor *cursor,
             struct fault *fault)
{
    const size_t from = cursor->at;
    uint64_t number;

    if (pass_over(aside, input, deaths, cursor, fault) == 0)
        return 0;
    if (keep(aside, input, span_at(cursor->payload.at + from, cursor->at - from), &number) != 0)
        return -1;
    log_error("died of one record again and again: it is set aside, with number %llu, and counted as invalid, with the "
              "reason poison. Input %s, %zu bytes from %zu on of the payload at %llu; the first %d of them are kept in the "
              "table `aside` of the state", (unsigned long long)number, aside->stream->inputs[input].name,
              cursor->at - from, from, (unsigned long long)front.position, ASIDE_MAX);
    aside->count++;
    return 1;
}

int
aside_stored(struct aside *aside, unsigned input, unsigned deaths, struct span body)
{
    const struct span kept = span_at(body.at, deaths > ATTEMPT_DEATHS ? 0 : body.len);
    uint64_t number;

    if (keep(aside, input, kept, &number) != 0)
        return -1;
    log_error("died of one stored record again and again, of input %s: it is set aside, with number %llu, and counted with "
              "the reason poison; the first %d of them are kept in the table `aside` of the state",
              aside->stream->inputs[input].name, (unsigned long long)number, ASIDE_MAX);
    aside->count++;
    return 0;
}
