#include "operator/filter.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "base/name.h"
#include "operator/filter_state.h"
#include "operator/secret.h"

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

static int
filter_load(void *state)
{
    struct filter *filter = state;

    filter->closing_count = store_count(filter->store, filter->closings);
    if (secret_load(filter->store, &filter->key) != 0 || filter_row_load_counts(filter) != 0 || filter->closing_count < 0 ||
        filter_person_look_for_unmade(filter) != 0 || filter_row_look_at_openings(filter) != 0)
        return -1;
    return seen_load(&filter->seen);
}

/* Records. */

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
    return filter_row_put(filter, name, old);
}

static enum verdict
take_consent(const struct act *act, const struct hash_id *person, struct span name, struct row *row)
{
    struct filter *filter = act->filter;
    struct row old;
    struct all all;

    if (filter_person_get_all(filter, person, &all) != 0 || filter_person_catch_up(act, person, name, &all) != 0)
        return VERDICT_ERROR;
    if (all.round > 0 && row->updated_ms <= all.ms)
        return VERDICT_STALE;
    int rc = filter_row_get(filter, name, &old);
    if (rc < 0)
        return VERDICT_ERROR;
    if (rc == 1 && (!filter_row_wins(row, &old) || filter_row_is_overruled(act, row, &old)))
        return note_stale(act, name, row->updated_ms, &old) == 0 ? VERDICT_STALE : VERDICT_ERROR;
    const bool later = row->as_of_ms > act->earliest_ms, was_open = filter_row_is_open(&old);
    row->flags = (old.flags & ROW_PUBLISHED) | (later ? ROW_WAITS : ROW_PUBLISHED);
    filter_row_note_ahead(act, row, &old);
    if (filter_row_count(filter, rc == 1 ? &old : NULL, row) != 0 ||
        filter_row_stop_waiting(act, name, &old, VERDICT_STALE) != 0 ||
        filter_row_put(filter, name, row) != 0 || filter_person_put_row(filter, person, name, all.round) != 0 ||
        (later && filter_row_add_opening(filter, name, row->as_of_ms) != 0))
        return VERDICT_ERROR;
    if (!later || was_open) /* else there is nothing to be taken back until the date has come */
        filter_row_emit(act, name, row);
    return later ? VERDICT_WAITING : VERDICT_PASSED;
}

static enum verdict
take_withdrawal(const struct act *act, const struct hash_id *person, struct span name, const struct record *record,
                uint64_t tie)
{
    struct all all;

    if (!record->withdraws_all)
        return filter_person_withdraw_row(act, person, name, record->time_ms, tie);
    if (filter_person_get_all(act->filter, person, &all) != 0)
        return VERDICT_ERROR;
    const bool news = all.round == 0 || record->time_ms > all.ms;
    all = (struct all){news ? record->time_ms : all.ms, all.round + 1};
    const enum verdict own = filter_person_withdraw_row(act, person, name, record->time_ms, tie);
    if (own == VERDICT_ERROR)
        return VERDICT_ERROR;
    int rc = filter_person_withdraw_all(act, person, &all);
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

    log_assert(arrival->input == 0 && record->kind == RECORD_CUSTOMER && record->withdrawn_ms == 0);
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

static int
filter_recall(void *state, struct span name, int64_t withdrawn_ms, int64_t now_ms, int64_t wall_ms, struct output *output)
{
    struct filter *filter = state;
    const struct act now = act(filter, output, now_ms, wall_ms);
    struct hash_id person = {{0}};
    struct row row;

    if (name.len != ROW_NAME_BYTES)
        return 0; /* none that is given out here */
    if (filter_row_get(filter, name, &row) < 0 ||
        (filter_row_shares(&row) && filter_person_find_owner(filter, row.body, &person) != 0))
        return -1;
    /* One that was dated ahead may have been withdrawn by any record; and then, not now, that date was ahead. */
    if (filter_row_was_ahead(&row) && withdrawn_ms < row.ahead.taken_ms)
        withdrawn_ms = row.ahead.taken_ms;
    const bool was_open = filter_row_is_open(&row);
    const enum verdict verdict = filter_person_withdraw_row(&now, &person, name, withdrawn_ms, 0);
    if (verdict == VERDICT_ERROR || filter_row_get(filter, name, &row) != 1)
        return -1;
    if (verdict == VERDICT_STALE)
        return 0;
    row.flags |= ROW_PUBLISHED;
    if (!was_open)
        filter_row_emit(&now, name, &row);
    return filter_row_put(filter, name, &row) != 0 ? -1 : 1;
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
            rc = filter_person_work_unmade(filter, budget - done);
        else if (filter->closing_count > 0)
            rc = filter_person_work_closing(&now, budget - done);
        else
            rc = filter_row_open_first(&now);
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
    if (filter->openings_changed && filter_row_look_at_openings(filter) != 0)
        return -1;
    return filter_row_put_counts(filter) != 0 || seen_flush(&filter->seen, now_ms) != 0 ? -1 : 0;
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
        if (filter_row_decode(filter, item.value, &row) != 0)
            return -1;
        if (item.key.len > NAME_BYTES_MAX)
            return store_damaged(filter->store, filter->rows, "a row's name that is too long");
        if ((row.flags & ROW_PUBLISHED) != 0 && !visit(context, item.key, filter_row_published(&row, &filter->scratch)))
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
