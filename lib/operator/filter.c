#include "operator/filter.h"


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

struct filter {
    struct store *store;
    struct filter_parameters parameters;
    struct hash_key key; /* of fingerprints */
    struct seen seen;
    int rows;
    struct buffer scratch;
};

static void
filter_close(void *state)
{
    struct filter *filter = state;

    if (filter == NULL)
        return;
    seen_free(&filter->seen);
    buffer_free(&filter->scratch);
    hash_secret_free(filter);
}

static int
filter_open(const void *parameters, struct store *store, void **state)
{
    struct filter *filter = hash_secret_new(sizeof *filter); /* keys are in it */

    filter->store = store;
    filter->parameters = *(const struct filter_parameters *)parameters;
    filter->rows = store_table(store, "rows");
    if (filter->rows < 0 || secret_open(store, &filter->key) != 0 ||
        seen_open(&filter->seen, store, &filter->key, filter->parameters.hold_ms) != 0) {
        filter_close(filter);
        return -1;
    }
    *state = filter;
    return 0;
}

static int
filter_load(void *state)
{
    struct filter *filter = state;
    return seen_load(&filter->seen);
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
    (void)wall_ms;
    return seen_flush(&filter->seen, now_ms);
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
    .rows = filter_rows,
};
