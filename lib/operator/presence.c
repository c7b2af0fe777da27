#include "operator/presence.h"

#include "base/bytes.h"
#include "base/log.h"
#include "operator/consent.h"
#include "operator/person.h"
#include "operator/secret.h"

/*
 * Table layouts:
 *   rows       key = row name; value = state u8, person (HASH_ID_BYTES), body (withdrawn: the marker)
 *   waiting    key = person, row name; no value: the row waits for a reading of person
 *   seen       key = person; no value: a reading of person has been seen
 *   releases   key = person, who has been seen; no value: rows that wait for person are to be published yet
 */
enum row_state { ROW_WAITING = 'w', ROW_PUBLISHED = 'p', ROW_WITHDRAWN = 'x' };

#define ROW_HEAD_BYTES (1 + HASH_ID_BYTES)

/* So many rows of a person are published with the first reading; for more there is a release. */
#define ROWS_AT_ONCE 256

struct presence {
    struct store *store;
    struct hash_key key;
    struct person person;
    int rows, waiting, seen, releases;
    int64_t release_count;
    struct hash_id last_seen; /* readings come in runs: whose the last one was, already seen for sure */
    bool last_seen_set;
    struct buffer value;
    struct buffer marker;
};

static void
presence_close(void *state)
{
    struct presence *presence = state;

    if (presence == NULL)
        return;
    person_free(&presence->person);
    buffer_free(&presence->value);
    buffer_free(&presence->marker);
    hash_secret_free(presence);
}

static int
presence_open(const void *parameters, struct store *store, void **state)
{
    struct presence *presence = hash_secret_new(sizeof *presence); /* keys are in it */

    (void)parameters;
    presence->store = store;
    presence->person.key = &presence->key;
    presence->rows = store_table(store, "rows");
    presence->waiting = store_table(store, "waiting");
    presence->seen = store_table(store, "seen");
    presence->releases = store_table(store, "releases");
    if (presence->rows < 0 || presence->waiting < 0 || presence->seen < 0 || presence->releases < 0 ||
        secret_open(store) != 0) {
        presence_close(presence);
        return -1;
    }
    *state = presence;
    return 0;
}

static int
presence_load(void *state)
{
    struct presence *presence = state;

    presence->last_seen_set = false;
    presence->release_count = store_count(presence->store, presence->releases);
    return presence->release_count < 0 ? -1 : secret_load(presence->store, &presence->key);
}

static size_t
waiting_key(const struct hash_id *person, struct span row, char *key)
{
    if (row.len == 0 || row.len > NAME_BYTES_MAX)
        log_panic("presence: a row name of %zu bytes", row.len);
    memcpy(key, person->bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, row.at, row.len);
    return HASH_ID_BYTES + row.len;
}

static int
put_row(struct presence *presence, struct span row, enum row_state row_state, const struct hash_id *person,
        struct span body)
{
    log_assert(row.len > 0 && row.len <= NAME_BYTES_MAX);
    log_assert(row_state != ROW_WITHDRAWN || record_withdrawn_ms(body) != 0); /* nothing else is kept of who has left */
    buffer_clear(&presence->value);
    buffer_add_byte(&presence->value, (char)row_state);
    buffer_add(&presence->value, person->bytes, HASH_ID_BYTES);
    buffer_add_span(&presence->value, body);
    return store_put(presence->store, presence->rows, row, buffer_span(&presence->value));
}

/* The row was waiting and is no more, for what the verdict says. */
static int
stop_waiting(struct presence *presence, struct span row, const struct hash_id *person, enum verdict verdict,
             struct output *output)
{
    char key[HASH_ID_BYTES + NAME_BYTES_MAX];
    size_t len = waiting_key(person, row, key);

    output->move(output, PRESENCE_TABLE, VERDICT_WAITING, verdict);
    const int rc = store_delete(presence->store, presence->waiting, span_at(key, len));
    return rc == 0 ? store_damaged(presence->store, presence->waiting, "a row that waits is missing") : rc < 0 ? -1 : 0;
}

/* What is known of a row before it changes. */
struct known {
    enum row_state state;
    struct hash_id person;
    struct span body; /* in the store: valid until the next put */
};

/* 1, or −1 if value is no row. */
static int
decode_row(struct presence *presence, struct span value, struct known *known)
{
    if (value.len < ROW_HEAD_BYTES)
        return store_damaged(presence->store, presence->rows, "a row that is too short");
    known->state = (enum row_state)value.at[0];
    if (known->state != ROW_WAITING && known->state != ROW_PUBLISHED && known->state != ROW_WITHDRAWN)
        return store_damaged(presence->store, presence->rows, "a row in no state");
    memcpy(known->person.bytes, value.at + 1, HASH_ID_BYTES);
    known->body = span_at(value.at + ROW_HEAD_BYTES, value.len - ROW_HEAD_BYTES);
    return 1;
}

/* 1, 0 nothing is known of it, −1. */
static int
look_up(struct presence *presence, struct span row, struct known *known)
{
    struct span value;
    int rc = store_get(presence->store, presence->rows, row, &value);

    *known = (struct known){.state = ROW_WITHDRAWN};
    return rc == 1 ? decode_row(presence, value, known) : rc;
}

/* Whether record says nothing that is not known: a producer may give out all its rows again (links/newcomer.c). */
static bool
is_repeat(const struct known *known, const struct record *record)
{
    if (record->withdrawn_ms != 0)
        return known->state == ROW_WITHDRAWN && record->withdrawn_ms <= record_withdrawn_ms(known->body);
    return known->state != ROW_WITHDRAWN && span_equal(known->body, record->body);
}

/* Whether it is of before the row's withdrawal, as in consent.h. */
static bool
is_overruled(const struct known *known, const struct record *record)
{
    return record->withdrawn_ms == 0 && known->state == ROW_WITHDRAWN && record->time_ms < record_withdrawn_ms(known->body);
}

/* A withdrawal goes on even for a row that was never published: whoever is downstream may have heard of the person. */
static enum verdict
take_withdrawn(struct presence *presence, const struct arrival *arrival, struct hash_id *person)
{
    buffer_clear(&presence->marker);
    record_encode_withdrawn(arrival->record->withdrawn_ms, &presence->marker);
    if (put_row(presence, arrival->row, ROW_WITHDRAWN, person, buffer_span(&presence->marker)) != 0)
        return VERDICT_ERROR;
    arrival->output->emit_row(arrival->output, arrival->row, buffer_span(&presence->marker));
    return VERDICT_PASSED;
}

static enum verdict
take_open(struct presence *presence, const struct arrival *arrival, const struct hash_id *person)
{
    char key[HASH_ID_BYTES + NAME_BYTES_MAX];
    struct span nothing;
    int rc = store_get(presence->store, presence->seen, span_at(person->bytes, HASH_ID_BYTES), &nothing);

    if (rc < 0 ||
        put_row(presence, arrival->row, rc == 1 ? ROW_PUBLISHED : ROW_WAITING, person, arrival->record->body) != 0)
        return VERDICT_ERROR;
    if (rc == 1) {
        arrival->output->emit_row(arrival->output, arrival->row, arrival->record->body);
        return VERDICT_PASSED;
    }
    size_t len = waiting_key(person, arrival->row, key);
    if (store_put(presence->store, presence->waiting, span_at(key, len), (struct span){0}) != 0)
        return VERDICT_ERROR;
    return VERDICT_WAITING;
}

static enum verdict
take_row(struct presence *presence, const struct arrival *arrival)
{
    const bool withdrawn = arrival->record->withdrawn_ms != 0;
    struct known known;
    int rc = look_up(presence, arrival->row, &known);

    if (rc < 0)
        return VERDICT_ERROR;
    if (rc == 1 && is_repeat(&known, arrival->record))
        return VERDICT_DUPLICATE;
    if (rc == 1 && is_overruled(&known, arrival->record))
        return VERDICT_STALE;
    if (rc == 1 && known.state == ROW_WAITING) {
        enum verdict verdict = withdrawn ? VERDICT_REFUSED : VERDICT_STALE;
        if (withdrawn)
            arrival->output->refuse(arrival->output, PRESENCE_TABLE, REASON_NO_CONSENT, known.body);
        if (stop_waiting(presence, arrival->row, &known.person, verdict, arrival->output) != 0)
            return VERDICT_ERROR;
    }
    if (withdrawn)
        return take_withdrawn(presence, arrival, &known.person);
    const struct hash_id person = person_id(&presence->person, arrival->record->email);
    return take_open(presence, arrival, &person);
}

/* The process died of publishing the row, which waits for person: nothing is known of it any more. 0 or −1. */
static int
give_up(struct presence *presence, struct span row, const struct hash_id *person, struct output *output)
{
    if (stop_waiting(presence, row, person, VERDICT_INVALID, output) != 0)
        return -1;
    return store_delete(presence->store, presence->rows, row) < 0 ? -1 : 0;
}

/* Publish a row that waited for person. */
static int
publish(struct presence *presence, struct span row, const struct hash_id *person, struct output *output)
{
    struct known known;
    struct buffer body = {0};
    int rc = look_up(presence, row, &known);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return store_damaged(presence->store, presence->waiting, "a row waits that is not there");
    if (known.state != ROW_WAITING)
        return store_damaged(presence->store, presence->waiting, "a row that does not wait");
    buffer_add_span(&body, known.body);
    if (output->deadly(output, PRESENCE_TABLE, row, buffer_span(&body))) {
        rc = give_up(presence, row, person, output);
    } else if ((rc = put_row(presence, row, ROW_PUBLISHED, person, buffer_span(&body))) == 0) {
        output->emit_row(output, row, buffer_span(&body));
        rc = stop_waiting(presence, row, person, VERDICT_PASSED, output);
    }
    buffer_free(&body);
    return rc;
}

/* Publish rows that wait for person, at most budget of them: how many, −1. Fewer, and output is not full: there are no
 * more. */
static int
publish_some(struct presence *presence, const struct hash_id *person, unsigned budget, struct output *output)
{
    const struct span prefix = span_at(person->bytes, HASH_ID_BYTES);
    unsigned done = 0;

    while (done < budget && !output->full(output)) {
        struct store_item item;
        char row[NAME_BYTES_MAX];
        int rc = store_seek(presence->store, presence->waiting, prefix, &item);
        if (rc < 0)
            return -1;
        if (rc == 0 || !span_begins(item.key, prefix))
            break;
        size_t len = item.key.len - HASH_ID_BYTES;
        if (len == 0 || len > NAME_BYTES_MAX)
            return store_damaged(presence->store, presence->waiting, "a row's name of another length");
        memcpy(row, item.key.at + HASH_ID_BYTES, len);
        if (publish(presence, span_at(row, len), person, output) != 0)
            return -1;
        done++;
    }
    return (int)done;
}

static int
note_release(struct presence *presence, const struct hash_id *person)
{
    const struct span key = span_at(person->bytes, HASH_ID_BYTES);
    const int rc = store_put_new(presence->store, presence->releases, key, (struct span){0});

    presence->release_count++;
    return rc == 0 ? store_damaged(presence->store, presence->releases, "a release of somebody unseen") : rc < 0 ? -1 : 0;
}

/* All rows that wait for person are published. 0 or −1. */
static int
end_release(struct presence *presence, const struct hash_id *person)
{
    const int rc = store_delete(presence->store, presence->releases, span_at(person->bytes, HASH_ID_BYTES));

    if (--presence->release_count < 0)
        log_panic("presence: more releases are done than were counted");
    return rc == 0 ? store_damaged(presence->store, presence->releases, "a release is missing") : rc < 0 ? -1 : 0;
}

static enum verdict
take_reading(struct presence *presence, const struct arrival *arrival)
{
    const struct hash_id person = person_id(&presence->person, arrival->record->email);

    if (presence->last_seen_set && memcmp(&presence->last_seen, &person, sizeof person) == 0)
        return VERDICT_PASSED;
    int rc = store_put_new(presence->store, presence->seen, span_at(person.bytes, HASH_ID_BYTES), (struct span){0});
    if (rc == 1) {
        rc = publish_some(presence, &person, ROWS_AT_ONCE, arrival->output);
        if (rc == ROWS_AT_ONCE || (rc >= 0 && arrival->output->full(arrival->output)))
            rc = note_release(presence, &person);
    }
    if (rc < 0)
        return VERDICT_ERROR;
    presence->last_seen = person;
    presence->last_seen_set = true;
    return VERDICT_PASSED;
}

static enum verdict
presence_take(void *state, const struct arrival *arrival)
{
    log_assert(arrival->input == PRESENCE_TABLE || arrival->input == PRESENCE_STREAM);
    return arrival->input == PRESENCE_TABLE ? take_row(state, arrival) : take_reading(state, arrival);
}

static int
presence_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct presence *presence = state;
    unsigned done = 0;

    (void)now_ms;
    (void)wall_ms;
    while (done < budget && presence->release_count > 0 && !output->full(output)) {
        struct hash_id person;
        struct store_item item;
        int rc = store_seek(presence->store, presence->releases, (struct span){0}, &item);
        if (rc != 1)
            return rc < 0 ? -1 : store_damaged(presence->store, presence->releases, "it counts entries that are not there");
        if (item.key.len != HASH_ID_BYTES)
            return store_damaged(presence->store, presence->releases, "a person of another length");
        memcpy(person.bytes, item.key.at, HASH_ID_BYTES);
        rc = publish_some(presence, &person, budget - done, output);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
        if (done == budget || output->full(output))
            break;
        if (end_release(presence, &person) != 0)
            return -1;
        done++;
    }
    return (int)done;
}

static int64_t
presence_due_ms(void *state)
{
    const struct presence *presence = state;

    return presence->release_count > 0 ? 0 : INT64_MAX;
}

static int
presence_rows(void *state, struct span after, bool (*visit)(void *context, struct span row, struct span body),
              void *context)
{
    struct presence *presence = state;
    struct store_item item;
    int rc = store_seek(presence->store, presence->rows, after, &item);

    if (rc == 1 && span_equal(item.key, after))
        rc = store_next(presence->store, presence->rows, &item);
    for (; rc == 1; rc = store_next(presence->store, presence->rows, &item)) {
        struct known known = {0};
        if (decode_row(presence, item.value, &known) < 0)
            return -1;
        if (item.key.len > NAME_BYTES_MAX)
            return store_damaged(presence->store, presence->rows, "a row's name that is too long");
        if (known.state != ROW_WAITING && !visit(context, item.key, known.body))
            return 0;
    }
    return rc;
}

const struct operator presence_operator = {
    .name = "presence",
    .open = presence_open,
    .close = presence_close,
    .load = presence_load,
    .take = presence_take,
    .work = presence_work,
    .due_ms = presence_due_ms,
    .rows = presence_rows,
};
