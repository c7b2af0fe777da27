#include "operator/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "operator/secret.h"
#include "operator/seen.h"

/*
 * The newest record known of a row, consenting or not.
 *
 * Table layout "rows": key = row name (hex); value = updated_ms i64 BE, as_of_ms i64 BE (0: does not share),
 * tie u64 BE, published u8 (the row stands in the output, as a record or as a withdrawn marker), body (empty where it
 * does not share: nothing personal is kept of those).
 */
struct row {
    int64_t updated_ms;
    int64_t as_of_ms;
    uint64_t tie;
    bool published;
    struct span body;
};

#define ROW_HEAD_BYTES 25

/* Table layout "row_counts": key "closed"; value u64 BE, how many rows do not share. Absent: not counted yet. */
static const struct span closed_key = {"closed", 6};

struct filter {
    struct store *store;
    struct filter_parameters parameters;
    struct hash_key key; /* of fingerprints */
    struct seen seen;
    int rows, row_counts;
    int64_t row_count;
    int64_t closed_count; /* of them do not share: they stay for ever, since an older consent must not come back */
    bool closed_changed;
    struct buffer scratch;
    char why[224];
};

static void
filter_close(void *state)
{
    struct filter *filter = state;

    if (filter == NULL)
        return;
    seen_free(&filter->seen);
    buffer_free(&filter->scratch);
    free(filter);
}

static int
filter_open(const void *parameters, struct store *store, void **state)
{
    struct filter *filter = calloc(1, sizeof *filter);

    if (filter == NULL)
        log_fatal("out of memory");
    filter->store = store;
    filter->parameters = *(const struct filter_parameters *)parameters;
    filter->rows = store_table(store, "rows");
    filter->row_counts = store_table(store, "row_counts");
    if (filter->rows < 0 || filter->row_counts < 0 || secret_open(store, &filter->key) != 0 ||
        seen_open(&filter->seen, store, &filter->key, filter->parameters.hold_ms) != 0) {
        filter_close(filter);
        return -1;
    }
    *state = filter;
    return 0;
}

static void
encode_row(const struct row *row, struct buffer *value)
{
    char head[ROW_HEAD_BYTES];

    bytes_put_u64(head, (uint64_t)row->updated_ms);
    bytes_put_u64(head + 8, (uint64_t)row->as_of_ms);
    bytes_put_u64(head + 16, row->tie);
    head[24] = row->published;
    buffer_clear(value);
    buffer_add(value, head, sizeof head);
    buffer_add_span(value, row->body);
}

static struct row
decode_row(struct span value)
{
    if (value.len < ROW_HEAD_BYTES)
        log_panic("filter: a row of %zu bytes", value.len);
    return (struct row){
        .updated_ms = (int64_t)bytes_get_u64(value.at),
        .as_of_ms = (int64_t)bytes_get_u64(value.at + 8),
        .tie = bytes_get_u64(value.at + 16),
        .published = value.at[24] != 0,
        .body = span_at(value.at + ROW_HEAD_BYTES, value.len - ROW_HEAD_BYTES),
    };
}

/* Count the rows that do not share, of a store whose version did not. 0 or −1. */
static int
count_closed(struct filter *filter)
{
    struct store_item item;
    int rc = store_seek(filter->store, filter->rows, (struct span){0}, &item);

    filter->closed_count = 0;
    filter->closed_changed = true;
    for (; rc == 1; rc = store_next(filter->store, filter->rows, &item))
        filter->closed_count += decode_row(item.value).as_of_ms == 0;
    return rc;
}

static int
filter_load(void *state)
{
    struct filter *filter = state;
    struct span value;

    filter->closed_changed = false;
    filter->row_count = store_count(filter->store, filter->rows);
    int rc = store_get(filter->store, filter->row_counts, closed_key, &value);
    if (rc < 0 || filter->row_count < 0)
        return -1;
    if (rc == 1 && value.len == 8)
        filter->closed_count = (int64_t)bytes_get_u64(value.at);
    else if (count_closed(filter) != 0)
        return -1;
    return seen_load(&filter->seen);
}

/* Whether a wins over b. A total order, so that the winner never depends on the order of arrival: the newer one; of two
 * of the same date the one without consent, then the later consent, then (records that differ in nothing that matters
 * here) whichever the fingerprint says. */
static bool
wins(const struct row *a, const struct row *b)
{
    if (a->updated_ms != b->updated_ms)
        return a->updated_ms > b->updated_ms;
    if ((a->as_of_ms == 0) != (b->as_of_ms == 0))
        return a->as_of_ms == 0;
    if (a->as_of_ms != b->as_of_ms)
        return a->as_of_ms > b->as_of_ms;
    return a->tie > b->tie;
}

/* The output row's body: the record, or a withdrawn marker. */
static struct span
published_body(const struct row *row, struct buffer *scratch)
{
    if (row->as_of_ms != 0)
        return row->body;
    buffer_clear(scratch);
    record_encode_withdrawn(row->updated_ms, scratch);
    return buffer_span(scratch);
}

/* A row was put: a new one, or one that was there; so many more do not share now. */
static void
count_row(struct filter *filter, bool is_new, int more_closed)
{
    filter->row_count += is_new;
    filter->closed_count += more_closed;
    filter->closed_changed = filter->closed_changed || more_closed != 0;
}

static enum verdict
filter_take(void *state, const struct arrival *arrival)
{
    struct filter *filter = state;
    const struct record *record = arrival->record;
    const struct span identity[] = {record->email, record->serial_number};
    char name[HASH_ID_HEX_SIZE];
    struct span value;
    uint64_t fingerprint;

    int rc = seen_add(&filter->seen, record, arrival->now_ms, &fingerprint);
    if (rc != 1)
        return rc == 0 ? VERDICT_DUPLICATE : VERDICT_ERROR;
    const struct hash_id id = hash_id(&filter->parameters.pseudonym_key, identity, 2);
    hash_hex(&id, name);

    struct row row = {.updated_ms = record->time_ms, .as_of_ms = record->research_as_of_ms, .tie = fingerprint};
    row.published = row.as_of_ms != 0;
    if (row.published)
        row.body = record->body;
    bool was_open = false;
    if ((rc = store_get(filter->store, filter->rows, span_of(name), &value)) < 0)
        return VERDICT_ERROR;
    if (rc == 1) {
        const struct row old = decode_row(value);
        if (!wins(&row, &old))
            return VERDICT_STALE;
        was_open = old.as_of_ms != 0;
        row.published |= old.published;
    }
    count_row(filter, rc == 0, (row.as_of_ms == 0) - (rc == 1 && !was_open));
    encode_row(&row, &filter->scratch);
    if (store_put(filter->store, filter->rows, span_of(name), buffer_span(&filter->scratch)) != 0)
        return VERDICT_ERROR;
    if (row.as_of_ms != 0 || was_open) {
        arrival->output->emit_row(arrival->output, span_of(name), published_body(&row, &filter->scratch));
        return VERDICT_PASSED;
    }
    arrival->output->refuse(arrival->output, arrival->input, REASON_NO_CONSENT, record->body);
    return VERDICT_REFUSED;
}

static int
filter_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct filter *filter = state;
    char value[8];

    (void)wall_ms;
    bytes_put_u64(value, (uint64_t)filter->closed_count);
    if (filter->closed_changed &&
        store_put(filter->store, filter->row_counts, closed_key, span_at(value, sizeof value)) != 0)
        return -1;
    filter->closed_changed = false;
    return seen_flush(&filter->seen, now_ms);
}

static unsigned
filter_gauges(void *state, struct gauge *gauges)
{
    const struct filter *filter = state;

    gauges[0] = (struct gauge){"rows", filter->row_count};
    gauges[1] = (struct gauge){"rows_without_consent", filter->closed_count};
    return 2;
}

static const char *
filter_why_full(void *state)
{
    struct filter *filter = state;

    if (filter->row_count < filter->parameters.rows_max)
        return NULL;
    snprintf(filter->why, sizeof filter->why,
             "there are %" PRId64 " rows of customers, %" PRId64 " of them without consent, and the key `rows` of this "
             "process allows %" PRId64 ": raise it and start the process again",
             filter->row_count, filter->closed_count, filter->parameters.rows_max);
    return filter->why;
}

static int
filter_rows(void *state, struct span after, bool (*visit)(void *context, struct span row, struct span body), void *context)
{
    struct filter *filter = state;
    struct store_item item;
    int rc = store_seek(filter->store, filter->rows, after, &item);

    if (rc == 1 && span_equal(item.key, after))
        rc = store_next(filter->store, filter->rows, &item);
    for (; rc == 1; rc = store_next(filter->store, filter->rows, &item)) {
        const struct row row = decode_row(item.value);
        if (row.published && !visit(context, item.key, published_body(&row, &filter->scratch)))
            return 0;
    }
    return rc;
}

const struct operator filter_operator = {
    .name = "filter",
    .open = filter_open,
    .close = filter_close,
    .load = filter_load,
    .take = filter_take,
    .flush = filter_flush,
    .gauges = filter_gauges,
    .why_full = filter_why_full,
    .rows = filter_rows,
};
