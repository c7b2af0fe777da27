#include "operator/filter.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/name.h"
#include "operator/person.h"
#include "operator/secret.h"
#include "operator/seen.h"

/*
 * The newest record known of a row, consenting or not.
 *
 * Table layouts:
 *   rows        key = row name (hex); value = updated_ms i64 BE, as_of_ms i64 BE (0: does not share), tie u64 BE, flags u8,
 *               with ROW_AHEAD i64 BE each of struct ahead, then body (empty where it does not share: nothing personal is
 *               kept of those). Stores of before know no flag but ROW_PUBLISHED
 *   openings    key = as_of_ms u64 BE, row name; no value: the row waits for its date
 *   persons     key = person (HASH_ID_BYTES); value = all_ms i64 BE, round u64 BE: who has withdrawn all rows, of what date
 *               at the latest, and how often
 *   person_rows key = person, row name; value = round u64 BE: a row that shares, and up to which of those withdrawals it
 *               has been looked at. Key of one byte 0: value = whole u8, and of a store of before that had no such table,
 *               which is made of the rows in steps, the row name looked at last
 *   closings    key = person; value = the row name looked at last: the person's rows are to be looked at yet
 */
enum row_flags {
    ROW_PUBLISHED = 1, /* it stands in the output, as a record or as a withdrawn marker */
    ROW_AHEAD = 2,     /* consents of it were dated ahead: see struct ahead */
    ROW_WAITS = 4      /* it shares, and as_of_ms lies ahead: a marker stands in the output if anything does */
};

/* Consents of a row that were dated ahead of our clocks when they came. Behind a withdrawal none of these dates lets anybody
 * in again; a consent that is dated right does, and one that is newer than all of them. */
struct ahead {
    int64_t from_ms, to_ms; /* their dates */
    int64_t taken_ms;       /* when the one came that won */
    int64_t right_ms;       /* date of the newest record that was not dated ahead, up to then and while that one held */
};

struct row {
    int64_t updated_ms;
    int64_t as_of_ms;
    uint64_t tie;
    unsigned flags;
    struct ahead ahead;
    struct span body;
};

#define ROW_HEAD_BYTES 25
#define ROW_AHEAD_BYTES 32
#define ROW_NAME_BYTES (HASH_ID_HEX_SIZE - 1)
#define PERSON_ROW_BYTES (HASH_ID_BYTES + ROW_NAME_BYTES)
#define OPENING_BYTES (8 + ROW_NAME_BYTES)

/* So many rows of a person are looked at with the record that withdraws them all; for more there is a closing. */
#define ROWS_AT_ONCE 256

static const struct span made_key = {"", 1}; /* of a NUL */

/* Of a person who has withdrawn all rows; round 0: has not. */
struct all {
    int64_t ms;
    uint64_t round;
};

/* Table layout "row_counts": key "closed"; value u64 BE, how many rows do not share. Absent: not counted yet. */
static const struct span closed_key = {"closed", 6};

struct filter {
    struct store *store;
    struct filter_parameters parameters;
    struct hash_key key; /* of fingerprints and persons */
    struct person person;
    struct seen seen;
    int rows, openings, persons, person_rows, closings, row_counts;
    bool unmade; /* person_rows is not whole */
    int64_t closing_count;
    int64_t opening_ms; /* date of the first opening; INT64_MAX: there is none */
    bool openings_changed;
    int64_t behind_ms; /* how far the later of our clocks is before the earlier one */
    int64_t row_count;
    int64_t closed_count; /* of them do not share: they stay for ever, since an older consent must not come back */
    bool closed_changed;
    struct record_decoder *decoder; /* of bodies */
    struct buffer scratch;
    struct buffer body;
    char why[224];
};

/* One call's surroundings. */
struct act {
    struct filter *filter;
    struct output *output;
    int64_t earliest_ms; /* what both clocks have come to: what is dated later lies ahead */
};

static struct act
act(struct filter *filter, struct output *output, int64_t now_ms, int64_t wall_ms)
{
    const int64_t earliest_ms = wall_ms < now_ms ? wall_ms : now_ms;

    filter->behind_ms = now_ms - earliest_ms;
    return (struct act){filter, output, earliest_ms};
}

static void
filter_close(void *state)
{
    struct filter *filter = state;

    if (filter == NULL)
        return;
    person_free(&filter->person);
    seen_free(&filter->seen);
    record_decoder_free(filter->decoder);
    buffer_free(&filter->scratch);
    buffer_free(&filter->body);
    hash_secret_free(filter);
}

static int
filter_open(const void *parameters, struct store *store, void **state)
{
    static const struct record_limits any = {.json = {1, UINT_MAX}};
    struct filter *filter = hash_secret_new(sizeof *filter); /* keys are in it */

    filter->store = store;
    filter->parameters = *(const struct filter_parameters *)parameters;
    filter->person.key = &filter->key;
    filter->decoder = record_decoder_new(RECORD_CUSTOMER, &any);
    filter->rows = store_table(store, "rows");
    filter->openings = store_table(store, "openings");
    filter->persons = store_table(store, "persons");
    filter->person_rows = store_table(store, "person_rows");
    filter->closings = store_table(store, "closings");
    filter->row_counts = store_table(store, "row_counts");
    if (filter->rows < 0 || filter->row_counts < 0 || filter->openings < 0 || filter->persons < 0 ||
        filter->person_rows < 0 || filter->closings < 0 || secret_open(store) != 0 ||
        seen_open(&filter->seen, store, &filter->key, filter->parameters.hold_ms) != 0) {
        filter_close(filter);
        return -1;
    }
    *state = filter;
    return 0;
}

/* The rows. */

static bool
shares(const struct row *row)
{
    return row->as_of_ms != 0;
}

static bool
waits(const struct row *row)
{
    return (row->flags & ROW_WAITS) != 0;
}

/* Whether it has a record if it shares, and only then, and waits only then. */
static bool
is_whole(const struct row *row)
{
    return shares(row) ? row->body.len > 0 : row->body.len == 0 && !waits(row);
}

/* 0, or −1 if value is no row. */
static int
decode_row(struct filter *filter, struct span value, struct row *row)
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
    return is_whole(row) ? 0 : store_damaged(filter->store, filter->rows, "a row that does not share and waits, or has a record");
}

/* What is known of the row: 1, 0, −1. Its body is valid until the next put. */
static int
get_row(struct filter *filter, struct span name, struct row *row)
{
    struct span value;
    int rc = store_get(filter->store, filter->rows, name, &value);

    *row = (struct row){0};
    if (rc == 1)
        return decode_row(filter, value, row) == 0 ? 1 : -1;
    return rc;
}

/* Count a row that takes old's place; NULL: it is new. 0, or −1 if the counts can't be. */
static int
count_row(struct filter *filter, const struct row *old, const struct row *row)
{
    const int more_closed = !shares(row) - (old != NULL && !shares(old));

    filter->row_count += old == NULL;
    filter->closed_count += more_closed;
    filter->closed_changed = filter->closed_changed || more_closed != 0;
    if (filter->closed_count < 0 || filter->closed_count > filter->row_count)
        return store_damaged(filter->store, filter->row_counts, "another number of rows without consent than there are");
    return 0;
}

static int
put_row(struct filter *filter, struct span name, const struct row *row)
{
    struct buffer *value = &filter->scratch;
    char head[ROW_HEAD_BYTES + ROW_AHEAD_BYTES];
    const bool ahead = (row->flags & ROW_AHEAD) != 0;

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
        if (decode_row(filter, item.value, &row) != 0)
            return -1;
        filter->closed_count += !shares(&row);
    }
    return rc;
}

static int
load_counts(struct filter *filter)
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

static int
put_counts(struct filter *filter)
{
    char value[8];

    if (!filter->closed_changed)
        return 0;
    bytes_put_u64(value, (uint64_t)filter->closed_count);
    filter->closed_changed = false;
    return store_put(filter->store, filter->row_counts, closed_key, span_at(value, sizeof value));
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

/* Whether the row's record stands in the output. */
static bool
is_open(const struct row *row)
{
    return shares(row) && !waits(row);
}

/* The output row's body: the record, or a withdrawn marker. */
static struct span
published_body(const struct row *row, struct buffer *scratch)
{
    if (is_open(row))
        return row->body;
    buffer_clear(scratch);
    record_encode_withdrawn(row->updated_ms, scratch);
    return buffer_span(scratch);
}

static void
emit(const struct act *act, struct span name, const struct row *row)
{
    act->output->emit_row(act->output, name, published_body(row, &act->filter->scratch));
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

static int
add_opening(struct filter *filter, struct span name, int64_t as_of_ms)
{
    char key[OPENING_BYTES];

    opening_key(as_of_ms, name, key);
    filter->openings_changed = true;
    return store_put(filter->store, filter->openings, span_at(key, sizeof key), (struct span){0});
}

/* The row waits for its date no more, for what the verdict says of its record. 0 or −1. */
static int
stop_waiting(const struct act *act, struct span name, const struct row *row, enum verdict verdict)
{
    struct filter *filter = act->filter;
    char key[OPENING_BYTES];

    if (!waits(row))
        return 0;
    if (verdict == VERDICT_REFUSED)
        act->output->refuse(act->output, 0, REASON_NO_CONSENT, row->body);
    act->output->move(act->output, 0, VERDICT_WAITING, verdict);
    opening_key(row->as_of_ms, name, key);
    filter->openings_changed = true;
    const int rc = store_delete(filter->store, filter->openings, span_at(key, sizeof key));
    return rc == 0 ? store_damaged(filter->store, filter->openings, "a row that waits is missing") : rc < 0 ? -1 : 0;
}

static int
look_at_openings(struct filter *filter)
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
    if (count_row(filter, row, &closed) != 0 || stop_waiting(act, name, row, VERDICT_INVALID) != 0)
        return -1;
    return put_row(filter, name, &closed) == 0 ? 1 : -1;
}

/* Give out the first row that waits, if its date has come: 1, 0, −1. */
static int
open_first(const struct act *act)
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
    if ((rc = get_row(filter, row_name, &row)) < 0)
        return -1;
    if (rc == 0 || !waits(&row))
        return store_damaged(filter->store, filter->openings, "a row that does not wait");
    buffer_clear(&filter->body);
    buffer_add_span(&filter->body, row.body);
    row.body = buffer_span(&filter->body);
    if (act->output->deadly(act->output, 0, row_name, row.body))
        return give_up(act, row_name, &row);
    if (stop_waiting(act, row_name, &row, VERDICT_PASSED) != 0)
        return -1;
    row.flags = (row.flags & ~(unsigned)ROW_WAITS) | ROW_PUBLISHED;
    emit(act, row_name, &row);
    return put_row(filter, row_name, &row) != 0 ? -1 : 1;
}

/* Who has which rows. */

static void
person_row_key(const struct hash_id *person, struct span name, char key[PERSON_ROW_BYTES])
{
    if (name.len > ROW_NAME_BYTES)
        log_panic("filter: a row name of %zu bytes", name.len);
    memcpy(key, person->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, name.at, name.len);
}

static int
put_person_row(struct filter *filter, const struct hash_id *person, struct span name, uint64_t round)
{
    char key[PERSON_ROW_BYTES], value[8];

    person_row_key(person, name, key);
    bytes_put_u64(value, round);
    return store_put(filter->store, filter->person_rows, span_at(key, sizeof key), span_at(value, sizeof value));
}

static int
delete_person_row(struct filter *filter, const struct hash_id *person, struct span name)
{
    char key[PERSON_ROW_BYTES];

    person_row_key(person, name, key);
    return store_delete(filter->store, filter->person_rows, span_at(key, sizeof key)) < 0 ? -1 : 0;
}

static int
get_all(struct filter *filter, const struct hash_id *person, struct all *all)
{
    struct span value;
    int rc = store_get_exact(filter->store, filter->persons, span_at(person->bytes, HASH_ID_BYTES), 16, &value);

    *all = (struct all){0};
    if (rc == 1)
        *all = (struct all){(int64_t)bytes_get_u64(value.at), bytes_get_u64(value.at + 8)};
    return rc < 0 ? -1 : 0;
}

static int
put_all(struct filter *filter, const struct hash_id *person, const struct all *all)
{
    char value[16];

    bytes_put_u64(value, (uint64_t)all->ms);
    bytes_put_u64(value + 8, all->round);
    return store_put(filter->store, filter->persons, span_at(person->bytes, HASH_ID_BYTES), span_at(value, sizeof value));
}

/* Withdrawals. */

/* Keep what is known of old's consents that were dated ahead, as long as it can matter to *row, which takes its place. */
static void
keep_ahead(struct row *row, const struct row *old)
{
    if ((old->flags & ROW_AHEAD) == 0 || row->updated_ms >= old->ahead.to_ms)
        return;
    row->flags |= ROW_AHEAD;
    row->ahead = old->ahead;
}

/* Whether the row's record was dated ahead when it was taken. */
static bool
was_ahead(const struct row *row)
{
    return shares(row) && (row->flags & ROW_AHEAD) != 0 && row->updated_ms >= row->ahead.from_ms;
}

/* Date *row, a withdrawal, with regard to old, and return whether it wins over that: also if it comes while old's date lies
 * ahead, or was made after old had been taken, which was dated ahead then. It is newer then than all that was dated right.
 * What we did not take as dated ahead (in a store of before, or our clock was set back) gives it its own date. */
static bool
date_withdrawal(const struct act *act, const struct row *old, struct row *row)
{
    const bool ahead = was_ahead(old);
    const bool later =
        shares(old) && (old->updated_ms > act->earliest_ms || (ahead && row->updated_ms >= old->ahead.taken_ms));

    if (later) {
        const int64_t least_ms = ahead ? old->ahead.right_ms : old->updated_ms;
        row->updated_ms = row->updated_ms > least_ms ? row->updated_ms : least_ms;
    }
    keep_ahead(row, old);
    return later || wins(row, old);
}

/* Withdraw the person's row by a record of date_ms. PASSED: it shared; REFUSED: it did not, and now we know why not; STALE:
 * something newer is known; ERROR. */
static enum verdict
withdraw_row(const struct act *act, const struct hash_id *person, struct span name, int64_t date_ms, uint64_t tie)
{
    struct filter *filter = act->filter;
    struct row old;
    int rc = get_row(filter, name, &old);

    if (rc < 0)
        return VERDICT_ERROR;
    struct row row = {.updated_ms = date_ms, .tie = tie, .flags = old.flags & ROW_PUBLISHED};
    if (rc == 1 && !date_withdrawal(act, &old, &row))
        return VERDICT_STALE;
    const bool shared = shares(&old), was_open = is_open(&old);
    if (count_row(filter, rc == 1 ? &old : NULL, &row) != 0 || stop_waiting(act, name, &old, VERDICT_REFUSED) != 0 ||
        put_row(filter, name, &row) != 0)
        return VERDICT_ERROR;
    if (!shared)
        return VERDICT_REFUSED;
    if (was_open)
        emit(act, name, &row);
    return delete_person_row(filter, person, name) == 0 ? VERDICT_PASSED : VERDICT_ERROR;
}

/* Look at the person's rows behind `after` that have not been looked at since all were withdrawn, at most budget of them;
 * `after` becomes the last one. How many were looked at, −1. Fewer, and the output is not full: that was all. *withdrawn
 * counts those that shared. */
static int
withdraw_some(const struct act *act, const struct hash_id *person, const struct all *all, char after[ROW_NAME_BYTES],
              size_t *after_len, unsigned budget, unsigned *withdrawn)
{
    struct filter *filter = act->filter;
    char key[PERSON_ROW_BYTES];
    unsigned done = 0;

    for (; done < budget && !act->output->full(act->output); done++) {
        struct store_item item;
        person_row_key(person, span_at(after, *after_len), key);
        const struct span from = span_at(key, HASH_ID_BYTES + *after_len);
        int rc = store_seek(filter->store, filter->person_rows, from, &item);
        if (rc == 1 && span_equal(item.key, from))
            rc = store_next(filter->store, filter->person_rows, &item);
        if (rc < 0)
            return -1;
        if (rc == 0 || item.key.len != PERSON_ROW_BYTES || memcmp(item.key.at, key, HASH_ID_BYTES) != 0)
            break;
        if (item.value.len != 8)
            return store_damaged(filter->store, filter->person_rows, "a person's row that is none");
        memcpy(after, item.key.at + HASH_ID_BYTES, ROW_NAME_BYTES);
        *after_len = ROW_NAME_BYTES;
        if (bytes_get_u64(item.value.at) >= all->round)
            continue;
        const struct span name = span_at(after, ROW_NAME_BYTES);
        const enum verdict verdict = withdraw_row(act, person, name, all->ms, 0);
        if (verdict == VERDICT_ERROR ||
            (verdict == VERDICT_STALE && put_person_row(filter, person, name, all->round) != 0))
            return -1;
        *withdrawn += verdict == VERDICT_PASSED;
    }
    return (int)done;
}

static int
put_closing(struct filter *filter, const struct hash_id *person, struct span after)
{
    const struct span key = span_at(person->bytes, HASH_ID_BYTES);
    struct span nothing;
    int rc = store_get(filter->store, filter->closings, key, &nothing);

    filter->closing_count += rc == 0;
    return rc < 0 || store_put(filter->store, filter->closings, key, after) != 0 ? -1 : 0;
}

/* Withdraw all rows of the person: those there are, as many as may be done at once, and what will come that is no newer.
 * 1 some shared, or there are too many to know; 0 none did; −1. */
static int
withdraw_all(const struct act *act, const struct hash_id *person, const struct all *all)
{
    struct filter *filter = act->filter;
    char after[ROW_NAME_BYTES];
    size_t after_len = 0;
    unsigned withdrawn = 0;

    if (put_all(filter, person, all) != 0)
        return -1;
    if (!filter->unmade) {
        const int done = withdraw_some(act, person, all, after, &after_len, ROWS_AT_ONCE, &withdrawn);
        if (done < 0)
            return -1;
        if (done < ROWS_AT_ONCE && !act->output->full(act->output))
            return withdrawn > 0;
    }
    return put_closing(filter, person, span_at(after, after_len)) != 0 ? -1 : 1;
}

/* Go on with the first closing: how many steps were done, 0 there is none, −1. */
static int
work_closing(const struct act *act, unsigned budget)
{
    struct filter *filter = act->filter;
    struct hash_id person;
    struct store_item item;
    struct all all;
    char after[ROW_NAME_BYTES];
    unsigned withdrawn = 0;

    int rc = store_seek(filter->store, filter->closings, (struct span){0}, &item);
    if (rc != 1)
        return rc;
    if (item.key.len != HASH_ID_BYTES || item.value.len > sizeof after)
        return store_damaged(filter->store, filter->closings, "a closing that is none");
    memcpy(person.bytes, item.key.at, HASH_ID_BYTES);
    size_t after_len = item.value.len;
    memcpy(after, item.value.at, after_len);
    if (get_all(filter, &person, &all) != 0)
        return -1;
    const int done = withdraw_some(act, &person, &all, after, &after_len, budget, &withdrawn);
    if (done < 0)
        return -1;
    if ((unsigned)done == budget || act->output->full(act->output))
        return put_closing(filter, &person, span_at(after, after_len)) != 0 ? -1 : done;
    if (--filter->closing_count < 0)
        log_panic("filter: more closings are done than were counted");
    rc = store_delete(filter->store, filter->closings, span_at(person.bytes, HASH_ID_BYTES));
    if (rc != 1)
        return rc < 0 ? -1 : store_damaged(filter->store, filter->closings, "a closing is missing");
    return done + 1;
}

/* Whose row this is, by its record, which it shares. 0 or −1. */
static int
find_owner(struct filter *filter, struct span body, struct hash_id *person)
{
    struct record record;

    buffer_clear(&filter->body);
    buffer_add_byte(&filter->body, '{');
    buffer_add_span(&filter->body, body);
    buffer_add_byte(&filter->body, '}');
    if (record_decode(filter->decoder, buffer_span(&filter->body), RECORD_FROM_LINK, 0, &record).reason != REASON_NONE)
        return store_damaged(filter->store, filter->rows, "a row whose record is none");
    *person = person_id(&filter->person, record.email);
    return 0;
}

static int
filter_recall(void *state, struct span name, int64_t withdrawn_ms, int64_t now_ms, int64_t wall_ms, struct output *output)
{
    struct filter *filter = state;
    const struct act now = act(filter, output, now_ms, wall_ms);
    struct hash_id person = {{0}};
    struct row row;

    if (name.len != ROW_NAME_BYTES)
        return 0; /* none that is given out here */
    int rc = get_row(filter, name, &row);
    if (rc < 0 || (shares(&row) && find_owner(filter, row.body, &person) != 0))
        return -1;
    /* One that was dated ahead may have been withdrawn by any record; and then, not now, that date was ahead. */
    if (was_ahead(&row) && withdrawn_ms < row.ahead.taken_ms)
        withdrawn_ms = row.ahead.taken_ms;
    const bool was_open = is_open(&row);
    const enum verdict verdict = withdraw_row(&now, &person, name, withdrawn_ms, 0);
    if (verdict == VERDICT_ERROR || (rc = get_row(filter, name, &row)) != 1)
        return -1;
    if (verdict == VERDICT_STALE)
        return 0;
    row.flags |= ROW_PUBLISHED;
    if (!was_open)
        emit(&now, name, &row);
    return put_row(filter, name, &row) != 0 ? -1 : 1;
}

/* Rows of a store of before. */

static int
note_owner(struct filter *filter, struct span name, struct span body)
{
    struct hash_id person;
    char key[PERSON_ROW_BYTES], value[8] = {0};

    if (find_owner(filter, body, &person) != 0)
        return -1;
    person_row_key(&person, name, key);
    int rc = store_put_new(filter->store, filter->person_rows, span_at(key, sizeof key), span_at(value, sizeof value));
    return rc < 0 ? -1 : 0;
}

/* How far person_rows is made: up to the row `after`, or wholly. */
static int
put_made(struct filter *filter, struct span after)
{
    char value[1 + ROW_NAME_BYTES];

    value[0] = !filter->unmade;
    memcpy(value + 1, after.at != NULL ? after.at : "", after.len);
    return store_put(filter->store, filter->person_rows, made_key, span_at(value, 1 + after.len));
}

/* Go on making person_rows: how many steps were done, −1. */
static int
work_unmade(struct filter *filter, unsigned budget)
{
    char after[ROW_NAME_BYTES];
    struct span value;
    struct store_item item;
    unsigned done = 0;

    int rc = store_get(filter->store, filter->person_rows, made_key, &value);
    if (rc < 0)
        return -1;
    if (rc == 0 || value.len < 1 || value.len > 1 + sizeof after)
        return store_damaged(filter->store, filter->person_rows, "a row's name that is none");
    size_t len = value.len - 1;
    memcpy(after, value.at + 1, len);
    rc = store_seek(filter->store, filter->rows, span_at(after, len), &item);
    if (rc == 1 && len > 0 && span_equal(item.key, span_at(after, len)))
        rc = store_next(filter->store, filter->rows, &item);
    for (; rc == 1 && done < budget; done++, rc = store_next(filter->store, filter->rows, &item)) {
        struct row row = {0};
        if (decode_row(filter, item.value, &row) != 0)
            return -1;
        if (item.key.len != ROW_NAME_BYTES)
            return store_damaged(filter->store, filter->rows, "a row's name that is none");
        memcpy(after, item.key.at, len = ROW_NAME_BYTES);
        if (shares(&row) && note_owner(filter, item.key, row.body) != 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    filter->unmade = done == budget;
    return put_made(filter, span_at(after, len)) != 0 ? -1 : (int)done + !filter->unmade;
}

/* Whether person_rows is whole: a new store's is, one of before has rows and no word of it. 0 or −1. */
static int
look_for_unmade(struct filter *filter)
{
    struct span value;
    int rc = store_get(filter->store, filter->person_rows, made_key, &value);

    if (rc == 1)
        filter->unmade = value.len > 0 && value.at[0] == 0;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    const int64_t rows = store_count(filter->store, filter->rows);
    filter->unmade = rows != 0;
    return rows < 0 ? -1 : put_made(filter, (struct span){0});
}

static int
filter_load(void *state)
{
    struct filter *filter = state;

    filter->closing_count = store_count(filter->store, filter->closings);
    if (secret_load(filter->store, &filter->key) != 0 || load_counts(filter) != 0 || filter->closing_count < 0 ||
        look_for_unmade(filter) != 0 || look_at_openings(filter) != 0)
        return -1;
    return seen_load(&filter->seen);
}

/* Records. */

/* Bring a row to what is known of its person before it changes: its turn may not have come yet since all were withdrawn,
 * and what comes now was made after that. 0 or −1. */
static int
catch_up(const struct act *act, const struct hash_id *person, struct span name, const struct all *all)
{
    struct filter *filter = act->filter;
    char key[PERSON_ROW_BYTES];
    struct span value;

    if (all->round == 0)
        return 0;
    person_row_key(person, name, key);
    int rc = store_get_exact(filter->store, filter->person_rows, span_at(key, sizeof key), 8, &value);
    if (rc < 0 || (rc == 0 && !filter->unmade) || (rc == 1 && bytes_get_u64(value.at) >= all->round))
        return rc < 0 ? -1 : 0;
    return withdraw_row(act, person, name, all->ms, 0) == VERDICT_ERROR ? -1 : 0;
}

/* Whether a consent that is newer than old by its date is one of those that a withdrawal was made after; or, since its date
 * does not tell, may be. */
static bool
is_overruled(const struct act *act, const struct row *row, const struct row *old)
{
    if ((old->flags & ROW_AHEAD) == 0 || was_ahead(old) || row->updated_ms > old->ahead.to_ms)
        return false;
    return row->updated_ms >= old->ahead.from_ms || row->updated_ms > act->earliest_ms;
}

/* A consent of date_ms did not count beside one that was dated ahead. It must not behind a withdrawal either. 0 or −1. */
static int
note_stale(const struct act *act, struct span name, int64_t date_ms, struct row *old)
{
    struct filter *filter = act->filter;
    int64_t *known_ms = date_ms > act->earliest_ms ? &old->ahead.from_ms : &old->ahead.right_ms;

    if ((old->flags & ROW_AHEAD) == 0 || (date_ms > act->earliest_ms ? date_ms >= *known_ms : date_ms <= *known_ms))
        return 0;
    *known_ms = date_ms;
    buffer_clear(&filter->body);
    buffer_add_span(&filter->body, old->body);
    old->body = buffer_span(&filter->body);
    return put_row(filter, name, old);
}

/* Note in *row, a consent that takes old's place, which consents were dated ahead. */
static void
note_ahead(const struct act *act, struct row *row, const struct row *old)
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
        .right_ms = was_ahead(old) ? old->ahead.right_ms : old->updated_ms,
    };
}

static enum verdict
take_consent(const struct act *act, const struct hash_id *person, struct span name, struct row *row)
{
    struct filter *filter = act->filter;
    struct row old;
    struct all all;

    if (get_all(filter, person, &all) != 0 || catch_up(act, person, name, &all) != 0)
        return VERDICT_ERROR;
    if (all.round > 0 && row->updated_ms <= all.ms)
        return VERDICT_STALE;
    int rc = get_row(filter, name, &old);
    if (rc < 0)
        return VERDICT_ERROR;
    if (rc == 1 && (!wins(row, &old) || is_overruled(act, row, &old)))
        return note_stale(act, name, row->updated_ms, &old) == 0 ? VERDICT_STALE : VERDICT_ERROR;
    const bool later = row->as_of_ms > act->earliest_ms, was_open = is_open(&old);
    row->flags = (old.flags & ROW_PUBLISHED) | (later ? ROW_WAITS : ROW_PUBLISHED);
    note_ahead(act, row, &old);
    if (count_row(filter, rc == 1 ? &old : NULL, row) != 0 || stop_waiting(act, name, &old, VERDICT_STALE) != 0 ||
        put_row(filter, name, row) != 0 || put_person_row(filter, person, name, all.round) != 0 ||
        (later && add_opening(filter, name, row->as_of_ms) != 0))
        return VERDICT_ERROR;
    if (!later || was_open) /* else there is nothing to be taken back until the date has come */
        emit(act, name, row);
    return later ? VERDICT_WAITING : VERDICT_PASSED;
}

static enum verdict
take_withdrawal(const struct act *act, const struct hash_id *person, struct span name, const struct record *record,
                uint64_t tie)
{
    struct all all;

    if (!record->withdraws_all)
        return withdraw_row(act, person, name, record->time_ms, tie);
    if (get_all(act->filter, person, &all) != 0)
        return VERDICT_ERROR;
    const bool news = all.round == 0 || record->time_ms > all.ms;
    all = (struct all){news ? record->time_ms : all.ms, all.round + 1};
    const enum verdict own = withdraw_row(act, person, name, record->time_ms, tie);
    if (own == VERDICT_ERROR)
        return VERDICT_ERROR;
    int rc = withdraw_all(act, person, &all);
    if (rc < 0)
        return VERDICT_ERROR;
    return rc == 1 ? VERDICT_PASSED : own;
}

/* A withdrawal that comes again. It says again that the person has left, which matters to rows that were opened since by a
 * consent dated ahead, and to no others; to them it is no duplicate. */
static enum verdict
take_again(const struct act *act, const struct hash_id *person, struct span name, const struct record *record, uint64_t tie)
{
    const enum verdict verdict = take_withdrawal(act, person, name, record, tie);

    return verdict == VERDICT_STALE || verdict == VERDICT_REFUSED ? VERDICT_DUPLICATE : verdict;
}

static enum verdict
filter_take(void *state, const struct arrival *arrival)
{
    struct filter *filter = state;
    const struct act now = act(filter, arrival->output, arrival->now_ms, arrival->wall_ms);
    const struct record *record = arrival->record;
    const struct span identity[] = {record->email, record->serial_number};
    const bool consents = record->research_as_of_ms != 0;
    char name[HASH_ID_HEX_SIZE];
    uint64_t fingerprint;

    const int is_new = seen_add(&filter->seen, record, arrival->now_ms, &fingerprint);
    if (is_new < 0)
        return VERDICT_ERROR;
    if (is_new == 0 && consents)
        return VERDICT_DUPLICATE;
    const struct hash_id id = hash_id(&filter->parameters.pseudonym_key, identity, 2);
    const struct hash_id person = person_id(&filter->person, record->email);
    hash_hex(&id, name);
    if (consents) {
        struct row row = {.updated_ms = record->time_ms,
                          .as_of_ms = record->research_as_of_ms,
                          .tie = fingerprint,
                          .body = record->body};
        return take_consent(&now, &person, span_of(name), &row);
    }
    if (is_new == 0)
        return take_again(&now, &person, span_of(name), record, fingerprint);
    const enum verdict verdict = take_withdrawal(&now, &person, span_of(name), record, fingerprint);
    if (verdict == VERDICT_REFUSED)
        arrival->output->refuse(arrival->output, arrival->input, REASON_NO_CONSENT, record->body);
    return verdict;
}

/* First whose rows are whose, then who has withdrawn them all: nothing of theirs must be given out before. */
static int
filter_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct filter *filter = state;
    const struct act now = act(filter, output, now_ms, wall_ms);
    unsigned done = 0;

    while (done < budget && !output->full(output)) {
        int rc;
        if (filter->unmade)
            rc = work_unmade(filter, budget - done);
        else if (filter->closing_count > 0)
            rc = work_closing(&now, budget - done);
        else
            rc = open_first(&now);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        done += (unsigned)rc;
    }
    return (int)done;
}

static int
filter_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct filter *filter = state;

    (void)wall_ms;
    if (filter->openings_changed && look_at_openings(filter) != 0)
        return -1;
    return put_counts(filter) != 0 || seen_flush(&filter->seen, now_ms) != 0 ? -1 : 0;
}

static int64_t
filter_due_ms(void *state)
{
    const struct filter *filter = state;

    if (filter->unmade || filter->closing_count > 0)
        return 0;
    return filter->opening_ms < INT64_MAX - filter->behind_ms ? filter->opening_ms + filter->behind_ms : INT64_MAX;
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
        struct row row = {0};
        if (decode_row(filter, item.value, &row) != 0)
            return -1;
        if (item.key.len > NAME_BYTES_MAX)
            return store_damaged(filter->store, filter->rows, "a row's name that is too long");
        if ((row.flags & ROW_PUBLISHED) != 0 && !visit(context, item.key, published_body(&row, &filter->scratch)))
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
    .work = filter_work,
    .flush = filter_flush,
    .due_ms = filter_due_ms,
    .gauges = filter_gauges,
    .why_full = filter_why_full,
    .recall = filter_recall,
    .rows = filter_rows,
};
