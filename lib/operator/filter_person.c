#include "base/bytes.h"
#include "base/log.h"
#include "operator/filter_state.h"

/*
 * Who has which rows, and who leaves with all of them.
 *
 * Table layouts:
 *   persons     key = person (HASH_ID_BYTES); value = all_ms i64 BE, round u64 BE: who has withdrawn all rows, of what date
 *               at the latest, and how often
 *   person_rows key = person, row name; value = round u64 BE: a row that shares, and up to which of those withdrawals it
 *               has been looked at. Key of one byte 0: value = whole u8, and of a store of before that had no such table,
 *               which is made of the rows in steps, the row name looked at last
 *   closings    key = person; value = the row name looked at last: the person's rows are to be looked at yet
 */
#define PERSON_ROW_BYTES (HASH_ID_BYTES + ROW_NAME_BYTES)

/* So many rows of a person are looked at with the record that withdraws them all; for more there is a closing. */
#define ROWS_AT_ONCE 256

static const struct span made_key = {"", 1}; /* of a NUL */

static void
person_row_key(const struct hash_id *person, struct span name, char key[PERSON_ROW_BYTES])
{
    if (name.len > ROW_NAME_BYTES)
        log_panic("filter: a row name of %zu bytes", name.len);
    memcpy(key, person->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, name.at, name.len);
}

int
filter_person_put_row(struct filter *filter, const struct hash_id *person, struct span name, uint64_t round)
{
    char key[PERSON_ROW_BYTES], value[8];

    log_assert(name.len == ROW_NAME_BYTES);
    person_row_key(person, name, key);
    bytes_put_u64(value, round);
    return store_put(filter->store, filter->person_rows, span_at(key, sizeof key), span_at(value, sizeof value));
}

static int
delete_person_row(struct filter *filter, const struct hash_id *person, struct span name)
{
    char key[PERSON_ROW_BYTES];

    log_assert(name.len == ROW_NAME_BYTES);
    person_row_key(person, name, key);
    return store_delete(filter->store, filter->person_rows, span_at(key, sizeof key)) < 0 ? -1 : 0;
}

int
filter_person_get_all(struct filter *filter, const struct hash_id *person, struct all *all)
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

enum verdict
filter_person_withdraw_row(const struct act *act, const struct hash_id *person, struct span name, int64_t date_ms,
                           uint64_t tie)
{
    struct filter *filter = act->filter;
    struct row old;
    int rc = filter_row_get(filter, name, &old);

    if (rc < 0)
        return VERDICT_ERROR;
    struct row row = {.updated_ms = date_ms, .tie = tie, .flags = old.flags & ROW_PUBLISHED};
    if (rc == 1 && !filter_row_date_withdrawal(act, &old, &row))
        return VERDICT_STALE;
    const bool shared = filter_row_shares(&old), was_open = filter_row_is_open(&old);
    if (filter_row_count(filter, rc == 1 ? &old : NULL, &row) != 0 ||
        filter_row_stop_waiting(act, name, &old, VERDICT_REFUSED) != 0 || filter_row_put(filter, name, &row) != 0)
        return VERDICT_ERROR;
    if (!shared)
        return VERDICT_REFUSED;
    if (was_open)
        filter_row_emit(act, name, &row);
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
        const enum verdict verdict = filter_person_withdraw_row(act, person, name, all->ms, 0);
        if (verdict == VERDICT_ERROR ||
            (verdict == VERDICT_STALE && filter_person_put_row(filter, person, name, all->round) != 0))
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

int
filter_person_withdraw_all(const struct act *act, const struct hash_id *person, const struct all *all)
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

int
filter_person_work_closing(const struct act *act, unsigned budget)
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
    if (filter_person_get_all(filter, &person, &all) != 0)
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

int
filter_person_find_owner(struct filter *filter, struct span body, struct hash_id *person)
{
    struct record record;

    log_assert(body.len > 0);
    buffer_clear(&filter->body);
    buffer_add_byte(&filter->body, '{');
    buffer_add_span(&filter->body, body);
    buffer_add_byte(&filter->body, '}');
    if (record_decode(filter->decoder, buffer_span(&filter->body), RECORD_FROM_LINK, 0, &record).reason != REASON_NONE)
        return store_damaged(filter->store, filter->rows, "a row whose record is none");
    *person = person_id(&filter->person, record.email);
    return 0;
}

/* Rows of a store of before. */

static int
note_owner(struct filter *filter, struct span name, struct span body)
{
    struct hash_id person;
    char key[PERSON_ROW_BYTES], value[8] = {0};

    if (filter_person_find_owner(filter, body, &person) != 0)
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

    log_assert(after.len < sizeof value);
    value[0] = !filter->unmade;
    memcpy(value + 1, after.at != NULL ? after.at : "", after.len);
    return store_put(filter->store, filter->person_rows, made_key, span_at(value, 1 + after.len));
}

int
filter_person_work_unmade(struct filter *filter, unsigned budget)
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
        if (filter_row_decode(filter, item.value, &row) != 0)
            return -1;
        if (item.key.len != ROW_NAME_BYTES)
            return store_damaged(filter->store, filter->rows, "a row's name that is none");
        memcpy(after, item.key.at, len = ROW_NAME_BYTES);
        if (filter_row_shares(&row) && note_owner(filter, item.key, row.body) != 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    filter->unmade = done == budget;
    return put_made(filter, span_at(after, len)) != 0 ? -1 : (int)done + !filter->unmade;
}

int
filter_person_look_for_unmade(struct filter *filter)
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

int
filter_person_catch_up(const struct act *act, const struct hash_id *person, struct span name, const struct all *all)
{
    struct filter *filter = act->filter;
    char key[PERSON_ROW_BYTES];
    struct span value;

    log_assert(name.len == ROW_NAME_BYTES);
    if (all->round == 0)
        return 0;
    person_row_key(person, name, key);
    int rc = store_get_exact(filter->store, filter->person_rows, span_at(key, sizeof key), 8, &value);
    if (rc < 0 || (rc == 0 && !filter->unmade) || (rc == 1 && bytes_get_u64(value.at) >= all->round))
        return rc < 0 ? -1 : 0;
    return filter_person_withdraw_row(act, person, name, all->ms, 0) == VERDICT_ERROR ? -1 : 0;
}
