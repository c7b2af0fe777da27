#include "base/bytes.h"
#include "base/log.h"
#include "operator/filter_state.h"

/*
 * The newest record known of a row, consenting or not.
 *
 * Table layouts:
 *   rows        key = row name (hex); value = updated_ms i64 BE, as_of_ms i64 BE (0: does not share), tie u64 BE, flags u8,
 *               with ROW_AHEAD i64 BE each of struct ahead, then body (empty where it does not share: nothing personal is
 *               kept of those). Stores of before know no flag but ROW_PUBLISHED
 *   openings    key = as_of_ms u64 BE, row name; no value: the row waits for its date
 *   row_counts  key "closed"; value u64 BE, how many rows do not share. Absent: not counted yet
 */
#define ROW_HEAD_BYTES 25
#define ROW_AHEAD_BYTES 32
#define OPENING_BYTES (8 + ROW_NAME_BYTES)

static const struct span closed_key = {"closed", 6};

/* The rows. */

/* Whether it has a record if it shares, and only then, and waits only then. */
static bool
is_whole(const struct row *row)
{
    return filter_row_shares(row) ? row->body.len > 0 : row->body.len == 0 && !filter_row_waits(row);
}

int
filter_row_decode(struct filter *filter, struct span value, struct row *row)
{
    if (value.len < ROW_HEAD_BYTES)
        return store_damaged(filter->store, filter->rows, "a row that is too short");
    *row = (struct row){
        .updated_ms = (int64_t)bytes_get_u64(value.at),
        .as_of_ms = (int64_t)bytes_get_u64(value.at + 8),
        .tie = bytes_get_u64(value.at + 16),
        .flags = (unsigned char)value.at[24],
    };
    size_t head = ROW_HEAD_BYTES;
    if ((row->flags & ROW_AHEAD) != 0) {
        if (value.len < ROW_HEAD_BYTES + ROW_AHEAD_BYTES)
            return store_damaged(filter->store, filter->rows, "a row that is too short");
        row->ahead = (struct ahead){(int64_t)bytes_get_u64(value.at + head), (int64_t)bytes_get_u64(value.at + head + 8),
                                   (int64_t)bytes_get_u64(value.at + head + 16),
                                   (int64_t)bytes_get_u64(value.at + head + 24)};
        head += ROW_AHEAD_BYTES;
    }
    row->body = span_at(value.at + head, value.len - head);
    if (!is_whole(row))
        return store_damaged(filter->store, filter->rows, "a row that does not share and waits, or has a record");
    return 0;
}

int
filter_row_get(struct filter *filter, struct span name, struct row *row)
{
    struct span value;
    int rc = store_get(filter->store, filter->rows, name, &value);

    *row = (struct row){0};
    if (rc == 1)
        return filter_row_decode(filter, value, row) == 0 ? 1 : -1;
    return rc;
}

int
filter_row_count(struct filter *filter, const struct row *old, const struct row *row)
{
    const int more_closed = !filter_row_shares(row) - (old != NULL && !filter_row_shares(old));

    filter->row_count += old == NULL;
    filter->closed_count += more_closed;
    filter->closed_changed = filter->closed_changed || more_closed != 0;
    if (filter->closed_count < 0 || filter->closed_count > filter->row_count)
        return store_damaged(filter->store, filter->row_counts, "another number of rows without consent than there are");
    return 0;
}

int
filter_row_put(struct filter *filter, struct span name, const struct row *row)
{
    struct buffer *value = &filter->scratch;
    char head[ROW_HEAD_BYTES + ROW_AHEAD_BYTES];
    const bool ahead = (row->flags & ROW_AHEAD) != 0;

    log_assert(name.len == ROW_NAME_BYTES);
    if (!is_whole(row))
        log_panic("filter: a row that does not share would be kept with its record, or wait");
    bytes_put_u64(head, (uint64_t)row->updated_ms);
    bytes_put_u64(head + 8, (uint64_t)row->as_of_ms);
    bytes_put_u64(head + 16, row->tie);
    head[24] = (char)row->flags;
    bytes_put_u64(head + ROW_HEAD_BYTES, (uint64_t)row->ahead.from_ms);
    bytes_put_u64(head + ROW_HEAD_BYTES + 8, (uint64_t)row->ahead.to_ms);
    bytes_put_u64(head + ROW_HEAD_BYTES + 16, (uint64_t)row->ahead.taken_ms);
    bytes_put_u64(head + ROW_HEAD_BYTES + 24, (uint64_t)row->ahead.right_ms);
    buffer_clear(value);
    buffer_add(value, head, ROW_HEAD_BYTES + (ahead ? ROW_AHEAD_BYTES : 0));
    buffer_add_span(value, row->body);
    return store_put(filter->store, filter->rows, name, buffer_span(value));
}

/* Count the rows that do not share, of a store whose version did not. 0 or −1. */
static int
count_closed(struct filter *filter)
{
    struct store_item item;
    int rc = store_seek(filter->store, filter->rows, (struct span){0}, &item);

    filter->closed_count = 0;
    filter->closed_changed = true;
    for (; rc == 1; rc = store_next(filter->store, filter->rows, &item)) {
        struct row row = {0};
        if (filter_row_decode(filter, item.value, &row) != 0)
            return -1;
        filter->closed_count += !filter_row_shares(&row);
    }
    return rc;
}

int
filter_row_load_counts(struct filter *filter)
{
    struct span value;

    filter->closed_changed = false;
    filter->row_count = store_count(filter->store, filter->rows);
    int rc = store_get_exact(filter->store, filter->row_counts, closed_key, 8, &value);
    if (rc < 0 || filter->row_count < 0)
        return -1;
    if (rc == 1 && bytes_get_u64(value.at) > (uint64_t)filter->row_count)
        return store_damaged(filter->store, filter->row_counts, "more rows without consent than rows");
    if (rc == 1)
        filter->closed_count = (int64_t)bytes_get_u64(value.at);
    else if (count_closed(filter) != 0)
        return -1;
    return 0;
}

int
filter_row_put_counts(struct filter *filter)
{
    char value[8];

    if (!filter->closed_changed)
        return 0;
    log_assert(filter->closed_count >= 0 && filter->closed_count <= filter->row_count);
    bytes_put_u64(value, (uint64_t)filter->closed_count);
    filter->closed_changed = false;
    return store_put(filter->store, filter->row_counts, closed_key, span_at(value, sizeof value));
}

bool
filter_row_wins(const struct row *a, const struct row *b)
{
    if (a->updated_ms != b->updated_ms)
        return a->updated_ms > b->updated_ms;
    if ((a->as_of_ms == 0) != (b->as_of_ms == 0))
        return a->as_of_ms == 0;
    if (a->as_of_ms != b->as_of_ms)
        return a->as_of_ms > b->as_of_ms;
    return a->tie > b->tie;
}

struct span
filter_row_published(const struct row *row, struct buffer *scratch)
{
    if (filter_row_is_open(row))
        return row->body;
    buffer_clear(scratch);
    record_encode_withdrawn(row->updated_ms, scratch);
    return buffer_span(scratch);
}

void
filter_row_emit(const struct act *act, struct span name, const struct row *row)
{
    log_assert(is_whole(row));
    act->output->emit_row(act->output, name, filter_row_published(row, &act->filter->scratch));
}

/* Rows that wait for their date. */

static void
opening_key(int64_t as_of_ms, struct span name, char key[OPENING_BYTES])
{
    if (name.len != ROW_NAME_BYTES)
        log_panic("filter: a row name of %zu bytes", name.len);
    bytes_put_u64(key, (uint64_t)as_of_ms);
    memcpy(key + 8, name.at, ROW_NAME_BYTES);
}

int
filter_row_add_opening(struct filter *filter, struct span name, int64_t as_of_ms)
{
    char key[OPENING_BYTES];

    log_assert(as_of_ms > 0);
    opening_key(as_of_ms, name, key);
    filter->openings_changed = true;
    return store_put(filter->store, filter->openings, span_at(key, sizeof key), (struct span){0});
}

int
filter_row_stop_waiting(const struct act *act, struct span name, const struct row *row, enum verdict verdict)
{
    struct filter *filter = act->filter;
    char key[OPENING_BYTES];

    if (!filter_row_waits(row))
        return 0;
    if (verdict == VERDICT_REFUSED)
        act->output->refuse(act->output, 0, REASON_NO_CONSENT, row->body);
    act->output->move(act->output, 0, VERDICT_WAITING, verdict);
    opening_key(row->as_of_ms, name, key);
    filter->openings_changed = true;
    const int rc = store_delete(filter->store, filter->openings, span_at(key, sizeof key));
    return rc == 0 ? store_damaged(filter->store, filter->openings, "a row that waits is missing") : rc < 0 ? -1 : 0;
}

int
filter_row_look_at_openings(struct filter *filter)
{
    struct store_item item;
    int rc = store_seek(filter->store, filter->openings, (struct span){0}, &item);

    if (rc == 1 && item.key.len != OPENING_BYTES)
        return store_damaged(filter->store, filter->openings, "an opening that is none");
    filter->opening_ms = rc == 1 ? (int64_t)bytes_get_u64(item.key.at) : INT64_MAX;
    filter->openings_changed = false;
    return rc < 0 ? -1 : 0;
}

/* The process died of giving out the row, a copy, whose record waits: it stays closed, like one without consent of the same
 * date. 1 or −1. */
static int
give_up(const struct act *act, struct span name, const struct row *row)
{
    struct filter *filter = act->filter;
    struct row closed = *row;

    closed.as_of_ms = 0;
    closed.flags &= ~(unsigned)ROW_WAITS;
    closed.body = (struct span){0};
    if (filter_row_count(filter, row, &closed) != 0 || filter_row_stop_waiting(act, name, row, VERDICT_INVALID) != 0)
        return -1;
    return filter_row_put(filter, name, &closed) == 0 ? 1 : -1;
}

int
filter_row_open_first(const struct act *act)
{
    struct filter *filter = act->filter;
    struct store_item item;
    char name[ROW_NAME_BYTES];
    struct row row;

    int rc = store_seek(filter->store, filter->openings, (struct span){0}, &item);
    if (rc == 1 && item.key.len != OPENING_BYTES)
        return store_damaged(filter->store, filter->openings, "an opening that is none");
    if (rc != 1 || (int64_t)bytes_get_u64(item.key.at) > act->earliest_ms)
        return rc < 0 ? -1 : 0;
    memcpy(name, item.key.at + 8, sizeof name);
    const struct span row_name = span_at(name, sizeof name);
    if ((rc = filter_row_get(filter, row_name, &row)) < 0)
        return -1;
    if (rc == 0 || !filter_row_waits(&row))
        return store_damaged(filter->store, filter->openings, "a row that does not wait");
    buffer_clear(&filter->body);
    buffer_add_span(&filter->body, row.body);
    row.body = buffer_span(&filter->body);
    if (act->output->deadly(act->output, 0, row_name, row.body))
        return give_up(act, row_name, &row);
    if (filter_row_stop_waiting(act, row_name, &row, VERDICT_PASSED) != 0)
        return -1;
    row.flags = (row.flags & ~(unsigned)ROW_WAITS) | ROW_PUBLISHED;
    log_assert(filter_row_is_open(&row));
    filter_row_emit(act, row_name, &row);
    return filter_row_put(filter, row_name, &row) != 0 ? -1 : 1;
}

/* Dates ahead. */

/* Keep what is known of old's consents that were dated ahead, as long as it can matter to *row, which takes its place. */
static void
keep_ahead(struct row *row, const struct row *old)
{
    if ((old->flags & ROW_AHEAD) == 0 || row->updated_ms >= old->ahead.to_ms)
        return;
    row->flags |= ROW_AHEAD;
    row->ahead = old->ahead;
}

bool
filter_row_date_withdrawal(const struct act *act, const struct row *old, struct row *row)
{
    const bool ahead = filter_row_was_ahead(old);
    const bool later =
        filter_row_shares(old) && (old->updated_ms > act->earliest_ms || (ahead && row->updated_ms >= old->ahead.taken_ms));

    if (later) {
        const int64_t least_ms = ahead ? old->ahead.right_ms : old->updated_ms;
        row->updated_ms = row->updated_ms > least_ms ? row->updated_ms : least_ms;
    }
    keep_ahead(row, old);
    return later || filter_row_wins(row, old);
}

bool
filter_row_is_overruled(const struct act *act, const struct row *row, const struct row *old)
{
    if ((old->flags & ROW_AHEAD) == 0 || filter_row_was_ahead(old) || row->updated_ms > old->ahead.to_ms)
        return false;
    return row->updated_ms >= old->ahead.from_ms || row->updated_ms > act->earliest_ms;
}

void
filter_row_note_ahead(const struct act *act, struct row *row, const struct row *old)
{
    keep_ahead(row, old);
    if (row->updated_ms <= act->earliest_ms)
        return;
    const bool more = (old->flags & ROW_AHEAD) != 0 && old->ahead.from_ms < row->updated_ms;
    row->flags |= ROW_AHEAD;
    row->ahead = (struct ahead){
        .from_ms = more ? old->ahead.from_ms : row->updated_ms,
        .to_ms = row->updated_ms,
        .taken_ms = act->earliest_ms,
        .right_ms = filter_row_was_ahead(old) ? old->ahead.right_ms : old->updated_ms,
    };
    log_assert(row->ahead.from_ms <= row->ahead.to_ms && row->ahead.taken_ms < row->ahead.to_ms);
}
