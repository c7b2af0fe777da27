#include "operator/join.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "operator/agenda.h"
#include "operator/consent.h"
#include "operator/person.h"
#include "operator/secret.h"
#include "operator/waiting.h"

/*
 * A reading in the index of its side.
 *
 * Table layout "steps" and "accelerations": key = group, time_ms u64 BE, number u64 BE; value = paired u8, arrived_ms
 * i64 BE, person (HASH_ID_BYTES), body. group is the person where readings match by customer, and nothing where they
 * match by time: then live readings of everybody fall on the same few pages. number counts admissions; it tells readings
 * of one time apart.
 */
struct reading {
    int64_t time_ms;
    uint64_t number;
    int64_t arrived_ms;
    struct hash_id person;
    bool paired; /* has come out with a partner at least once */
    struct span body;
};

#define TIME_BYTES 16
#define KEY_BYTES_MAX (HASH_ID_BYTES + TIME_BYTES)
#define VALUE_HEAD_BYTES (1 + 8 + HASH_ID_BYTES)

/* One of the two streams. Its number is that of its input. */
struct side {
    struct person person;
    int index;
    struct agenda agenda; /* of index keys */
    struct consent consent;
    struct waiting waiting;
    /* Who belongs together by a row of the table. Layout: key = person of this side, person of the other; value = open u8
     * (0: withdrawn). */
    int partners;
};

/*
 * A row that came after readings of both its sides had been admitted: they have to be paired with each other yet.
 *
 * Table layout "pairings": key = serial number, e-mail (both HASH_ID_BYTES); value = limit u64 BE: only readings with
 * lower numbers (later ones pair by themselves), then TIME_BYTES of the index key of the step reading done last, or
 * nothing.
 */
#define PAIRING_KEY_BYTES (2 * HASH_ID_BYTES)

struct join {
    struct store *store;
    struct join_parameters parameters;
    struct hash_key key;
    struct person pseudonym; /* of e-mail addresses, with the pseudonym key */
    struct side sides[2];
    int pairings;
    /* Table layout: key "admitted"; value u64 BE: the last number given. Key "rules"; value match u8, subject u8. */
    int numbers;
    uint64_t number;
    uint64_t written_number; /* what the store holds of number */
    int64_t pairing_count;
    int64_t now_ms;
    struct buffer record;   /* an output record */
    struct buffer unpaired; /* index keys of partners that were found for the first time */
    struct buffer body;     /* of the accelerometer reading, its subject replaced */
    struct buffer value;
};

static const struct span number_key = {"admitted", 8};
static const struct span rules_key = {"rules", 5};

static void
join_close(void *state)
{
    struct join *join = state;

    if (join == NULL)
        return;
    for (unsigned i = 0; i < 2; i++) {
        person_free(&join->sides[i].person);
        agenda_free(&join->sides[i].agenda);
        waiting_free(&join->sides[i].waiting);
    }
    person_free(&join->pseudonym);
    buffer_free(&join->record);
    buffer_free(&join->unpaired);
    buffer_free(&join->body);
    buffer_free(&join->value);
    free(join);
}

static size_t
group_bytes(const struct join *join)
{
    return join->parameters.match == JOIN_BY_CUSTOMER ? HASH_ID_BYTES : 0;
}

static int
open_side(struct join *join, unsigned number)
{
    static const struct {
        const char *index, *agenda, *partners, *rows, *persons;
        struct waiting_names waiting;
    } names[2] = {
        {"steps", "steps_agenda", "step_partners", "step_rows", "step_persons",
         {"steps_waiting", "steps_wakes", "steps_waiting_agenda", "steps_waiting_size"}},
        {"accelerations", "accelerations_agenda", "acceleration_partners", "acceleration_rows", "acceleration_persons",
         {"accelerations_waiting", "accelerations_wakes", "accelerations_waiting_agenda",
          "accelerations_waiting_size"}},
    };
    struct side *side = &join->sides[number];

    side->person.key = &join->key;
    side->index = store_table(join->store, names[number].index);
    side->partners = store_table(join->store, names[number].partners);
    if (side->index < 0 || side->partners < 0)
        return -1;
    if (agenda_open(&side->agenda, join->store, names[number].agenda, group_bytes(join) + TIME_BYTES) != 0)
        return -1;
    if (consent_open(&side->consent, join->store, names[number].rows, names[number].persons) != 0)
        return -1;
    return waiting_open(&side->waiting, join->store, &names[number].waiting);
}

static int
join_open(const void *parameters, struct store *store, void **state)
{
    struct join *join = calloc(1, sizeof *join);

    if (join == NULL)
        log_fatal("out of memory");
    join->store = store;
    join->parameters = *(const struct join_parameters *)parameters;
    join->pseudonym.key = &join->parameters.pseudonym_key;
    join->pairings = store_table(store, "pairings");
    join->numbers = store_table(store, "numbers");
    if (join->pairings < 0 || join->numbers < 0 || secret_open(store, &join->key) != 0 || open_side(join, 0) != 0 ||
        open_side(join, 1) != 0) {
        join_close(join);
        return -1;
    }
    *state = join;
    return 0;
}

/* Index keys and agendas are laid out for one way to match, and readings are kept with their subject replaced already: a
 * state that was made by other rules must not be read by these. */
static int
check_rules(struct join *join)
{
    const char rules[2] = {(char)join->parameters.match, (char)join->parameters.subject};
    const struct span wanted = span_at(rules, sizeof rules);
    struct span value;
    int rc = store_get(join->store, join->numbers, rules_key, &value);

    if (rc == 0)
        return store_put(join->store, join->numbers, rules_key, wanted);
    if (rc == 1 && !span_equal(value, wanted)) {
        log_error("join: the state was made with another `match` or `subject`: set those again, or remove the state "
                  "folder of this process to begin anew");
        return -1;
    }
    return rc < 0 ? -1 : 0;
}

static int
join_load(void *state)
{
    struct join *join = state;
    struct span value;
    int rc = store_get(join->store, join->numbers, number_key, &value);

    if (rc < 0)
        return -1;
    join->number = join->written_number = rc == 1 ? bytes_get_u64(value.at) : 0;
    if (check_rules(join) != 0)
        return -1;
    join->pairing_count = store_count(join->store, join->pairings);
    if (join->pairing_count < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        consent_load(&join->sides[i].consent);
        if (agenda_load(&join->sides[i].agenda) != 0 || waiting_load(&join->sides[i].waiting) != 0)
            return -1;
    }
    return 0;
}

/* Index keys and values. */

static size_t
encode_key(const struct join *join, const struct hash_id *group, int64_t time_ms, uint64_t number, char *key)
{
    size_t len = group_bytes(join);

    memcpy(key, group->bytes, len);
    bytes_put_u64(key + len, (uint64_t)time_ms);
    bytes_put_u64(key + len + 8, number);
    return len + TIME_BYTES;
}

static struct reading
decode_reading(const struct join *join, const struct store_item *item)
{
    const char *time = item->key.at + group_bytes(join);
    struct reading reading = {
        .time_ms = (int64_t)bytes_get_u64(time),
        .number = bytes_get_u64(time + 8),
        .paired = item->value.at[0] != 0,
        .arrived_ms = (int64_t)bytes_get_u64(item->value.at + 1),
        .body = span_at(item->value.at + VALUE_HEAD_BYTES, item->value.len - VALUE_HEAD_BYTES),
    };
    memcpy(reading.person.bytes, item->value.at + 9, HASH_ID_BYTES);
    return reading;
}

static int
put_reading(struct join *join, struct side *side, const struct reading *reading)
{
    char key[KEY_BYTES_MAX];
    char *value;
    size_t len = encode_key(join, &reading->person, reading->time_ms, reading->number, key);

    if (store_put_room(join->store, side->index, span_at(key, len), VALUE_HEAD_BYTES + reading->body.len, &value) != 0)
        return -1;
    value[0] = reading->paired;
    bytes_put_u64(value + 1, (uint64_t)reading->arrived_ms);
    memcpy(value + 9, reading->person.bytes, HASH_ID_BYTES);
    memcpy(value + VALUE_HEAD_BYTES, reading->body.at, reading->body.len);
    agenda_add(&side->agenda, key);
    return 0;
}

/* A reading of side that counted as waiting has found a partner. */
static int
mark_paired(struct join *join, unsigned side, struct span key, struct output *output)
{
    struct span value;

    if (store_get(join->store, join->sides[side].index, key, &value) != 1)
        return -1;
    buffer_clear(&join->value);
    buffer_add_span(&join->value, value);
    join->value.data[0] = 1;
    output->move(output, side, VERDICT_WAITING, VERDICT_PASSED);
    return store_put(join->store, join->sides[side].index, key, buffer_span(&join->value));
}

static int
mark_unpaired(struct join *join, unsigned side, struct output *output)
{
    const size_t key_bytes = group_bytes(join) + TIME_BYTES;

    for (size_t at = 0; at < join->unpaired.len; at += key_bytes) {
        if (mark_paired(join, side, span_at(join->unpaired.data + at, key_bytes), output) != 0)
            return -1;
    }
    return 0;
}

static void
emit_pair(struct join *join, struct span step, struct span acceleration, struct output *output)
{
    buffer_clear(&join->record);
    buffer_add_span(&join->record, step);
    buffer_add_byte(&join->record, ',');
    buffer_add_span(&join->record, acceleration);
    output->emit(output, buffer_span(&join->record));
}

/* Whether reading, found in the index of side, may come out now. 1, 0, −1. Where readings match by customer the row that
 * joins them has been asked already. */
static int
may_pair(struct join *join, unsigned side, const struct reading *reading, uint64_t limit)
{
    struct consent_answer answer;

    if (reading->number >= limit || reading->arrived_ms + join->parameters.retain_ms <= join->now_ms)
        return 0;
    if (join->parameters.match == JOIN_BY_CUSTOMER)
        return 1;
    if (consent_ask(&join->sides[side].consent, &reading->person, &answer) != 0)
        return -1;
    return answer.state == CONSENT_OPEN;
}

/* Pair one reading of side with those of the other side in group within the window and numbered below limit. 1 if there
 * was any, 0, −1. */
static int
pair_group(struct join *join, unsigned side, const struct reading *reading, const struct hash_id *group, uint64_t limit,
           struct output *output)
{
    const unsigned other = 1 - side;
    const int index = join->sides[other].index;
    const int64_t window_ms = join->parameters.window_ms;
    const int64_t from_ms = reading->time_ms > window_ms ? reading->time_ms - window_ms : 0;
    const size_t group_len = group_bytes(join);
    char from[KEY_BYTES_MAX];
    struct store_item item;
    bool any = false;

    buffer_clear(&join->unpaired);
    size_t len = encode_key(join, group, from_ms, 0, from);
    int rc = store_seek(join->store, index, span_at(from, len), &item);
    for (; rc == 1 && memcmp(item.key.at, from, group_len) == 0; rc = store_next(join->store, index, &item)) {
        const struct reading partner = decode_reading(join, &item);
        if (partner.time_ms - reading->time_ms > window_ms)
            break;
        int may = may_pair(join, other, &partner, limit);
        if (may < 0)
            return -1;
        if (may == 0)
            continue;
        any = true;
        if (!partner.paired)
            buffer_add_span(&join->unpaired, item.key);
        if (side == JOIN_STEP_TRAINER)
            emit_pair(join, reading->body, partner.body, output);
        else
            emit_pair(join, partner.body, reading->body, output);
    }
    if (rc < 0 || mark_unpaired(join, other, output) != 0)
        return -1;
    return any;
}

/* Pair one reading of side with everything on the other side that is there. 1 if there was any, 0, −1. */
static int
pair_all(struct join *join, unsigned side, const struct reading *reading, struct output *output)
{
    const struct span prefix = span_at(reading->person.bytes, HASH_ID_BYTES);
    const int partners = join->sides[side].partners;
    const uint64_t no_limit = UINT64_MAX;
    struct store_item item;
    int any = 0;

    if (join->parameters.match == JOIN_BY_TIME)
        return pair_group(join, side, reading, &reading->person, no_limit, output);
    int rc = store_seek(join->store, partners, prefix, &item);
    for (; rc == 1 && memcmp(item.key.at, prefix.at, prefix.len) == 0; rc = store_next(join->store, partners, &item)) {
        struct hash_id group;
        if (item.value.at[0] == 0)
            continue;
        memcpy(group.bytes, item.key.at + HASH_ID_BYTES, HASH_ID_BYTES);
        int found = pair_group(join, side, reading, &group, no_limit, output);
        if (found < 0)
            return -1;
        any |= found;
    }
    return rc < 0 ? -1 : any;
}

/* Let a reading take part: pair it with what is there, then keep it for what comes. 1 paired, 0 not yet, −1. */
static int
admit(struct join *join, unsigned side, struct reading *reading, struct output *output)
{
    reading->number = ++join->number;
    int rc = pair_all(join, side, reading, output);
    if (rc < 0)
        return -1;
    reading->paired = rc == 1;
    return put_reading(join, &join->sides[side], reading) != 0 ? -1 : rc;
}

/* The accelerometer body as it goes out: the e-mail address as subject says. */
static struct span
replace_subject(struct join *join, const struct record *record)
{
    char hex[HASH_ID_HEX_SIZE];

    if (join->parameters.subject == JOIN_SUBJECT_EMAIL)
        return record->body;
    buffer_clear(&join->body);
    if (join->parameters.subject == JOIN_SUBJECT_PSEUDONYM) {
        const struct hash_id pseudonym = person_id(&join->pseudonym, record->email);
        hash_hex(&pseudonym, hex);
        buffer_add_text(&join->body, "\"user\":\"");
        buffer_add_text(&join->body, hex);
        buffer_add_text(&join->body, "\",");
    }
    buffer_add_span(&join->body, record_body_behind_user(record));
    return buffer_span(&join->body);
}

static enum verdict
wait_for_row(struct join *join, unsigned side, const struct reading *reading)
{
    char tie[WAITING_TIE_BYTES];

    bytes_put_u64(tie, (uint64_t)reading->time_ms);
    bytes_put_u64(tie + 8, ++join->number);
    if (waiting_enter(&join->sides[side].waiting, &reading->person, tie, reading->arrived_ms, reading->body) != 0)
        return VERDICT_ERROR;
    return VERDICT_WAITING;
}

static struct hash_id
person_of(struct join *join, unsigned side, const struct record *record)
{
    return person_id(&join->sides[side].person, side == JOIN_STEP_TRAINER ? record->serial_number : record->email);
}

static enum verdict
take_reading(struct join *join, unsigned side, const struct arrival *arrival)
{
    const struct record *record = arrival->record;
    struct consent_answer answer;
    struct reading reading = {.time_ms = record->time_ms, .arrived_ms = arrival->now_ms};

    reading.person = person_of(join, side, record);
    if (consent_ask(&join->sides[side].consent, &reading.person, &answer) != 0)
        return VERDICT_ERROR;
    if (answer.state == CONSENT_CLOSED) {
        arrival->output->refuse(arrival->output, side, REASON_NO_CONSENT, record->body);
        return VERDICT_REFUSED;
    }
    reading.body = side == JOIN_STEP_TRAINER ? record->body : replace_subject(join, record);
    if (answer.state == CONSENT_UNKNOWN)
        return wait_for_row(join, side, &reading);
    int rc = admit(join, side, &reading, arrival->output);
    if (rc < 0)
        return VERDICT_ERROR;
    return rc == 1 ? VERDICT_PASSED : VERDICT_WAITING;
}

/* The table's rows. */

static int
set_partners(struct join *join, const struct hash_id persons[2], bool open)
{
    const char value = open;
    char key[2 * HASH_ID_BYTES];

    for (unsigned side = 0; side < 2; side++) {
        memcpy(key, persons[side].bytes, HASH_ID_BYTES);
        memcpy(key + HASH_ID_BYTES, persons[1 - side].bytes, HASH_ID_BYTES);
        if (store_put(join->store, join->sides[side].partners, span_at(key, sizeof key), span_at(&value, 1)) != 0)
            return -1;
    }
    return 0;
}

/* Whether the index of side has any reading of person (match by customer only). 1, 0, −1. */
static int
has_readings(struct join *join, unsigned side, const struct hash_id *person)
{
    struct store_item item;
    int rc = store_seek(join->store, join->sides[side].index, span_at(person->bytes, HASH_ID_BYTES), &item);

    return rc != 1 ? rc : memcmp(item.key.at, person->bytes, HASH_ID_BYTES) == 0;
}

/* A row that was not there before: note that what its two sides have admitted already is to be paired. A row that comes
 * back after a withdrawal is not new: what was decided while it was away stays decided. */
static int
note_pairing(struct join *join, const struct hash_id persons[2])
{
    char key[PAIRING_KEY_BYTES];
    char limit[8];
    struct span nothing;

    if (join->parameters.match == JOIN_BY_TIME)
        return 0;
    memcpy(key, persons[0].bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, persons[1].bytes, HASH_ID_BYTES);
    int rc = store_get(join->store, join->sides[0].partners, span_at(key, sizeof key), &nothing);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    for (unsigned side = 0; side < 2; side++) {
        if ((rc = has_readings(join, side, &persons[side])) != 1)
            return rc;
    }
    bytes_put_u64(limit, join->number + 1);
    join->pairing_count++;
    return store_put(join->store, join->pairings, span_at(key, sizeof key), span_at(limit, sizeof limit));
}

static enum verdict
take_row(struct join *join, const struct arrival *arrival)
{
    const struct record *record = arrival->record;
    const bool open = record->withdrawn_ms == 0;
    struct hash_id persons[2];
    bool known = true;

    for (unsigned side = 0; side < 2; side++) {
        struct hash_id owner;
        if (open)
            owner = person_of(join, side, record);
        int rc = consent_apply(&join->sides[side].consent, arrival->row, open ? &owner : NULL,
                               open ? record->research_as_of_ms : 0, &persons[side]);
        if (rc < 0)
            return VERDICT_ERROR;
        known = known && rc == 1;
    }
    if (!known)
        return VERDICT_PASSED;
    if (open && note_pairing(join, persons) != 0)
        return VERDICT_ERROR;
    if (set_partners(join, persons, open) != 0)
        return VERDICT_ERROR;
    for (unsigned side = 0; side < 2; side++) {
        if (waiting_wake(&join->sides[side].waiting, &persons[side]) != 0)
            return VERDICT_ERROR;
    }
    return VERDICT_PASSED;
}

static enum verdict
join_take(void *state, const struct arrival *arrival)
{
    struct join *join = state;

    join->now_ms = arrival->now_ms;
    if (arrival->input == JOIN_TABLE)
        return take_row(join, arrival);
    return take_reading(join, arrival->input, arrival);
}

/* What is due. */

struct work {
    struct join *join;
    unsigned side;
    struct output *output;
};

static enum waiting_answer
ask(void *context, const struct waiting_record *record)
{
    struct work *work = context;
    struct consent_answer answer;
    struct reading reading = {
        .time_ms = record->time_ms,
        .arrived_ms = record->arrived_ms,
        .person = record->person,
        .body = record->body,
    };

    if (consent_ask(&work->join->sides[work->side].consent, &record->person, &answer) != 0)
        return WAITING_ERROR;
    if (answer.state == CONSENT_UNKNOWN)
        return WAITING_STAY;
    if (answer.state == CONSENT_CLOSED) {
        work->output->refuse(work->output, work->side, REASON_NO_CONSENT, record->body);
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
        return WAITING_GO;
    }
    int rc = admit(work->join, work->side, &reading, work->output);
    if (rc < 0)
        return WAITING_ERROR;
    if (rc == 1)
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_PASSED);
    return WAITING_GO;
}

static int
expire_waiting(void *context, const struct waiting_record *record)
{
    struct work *work = context;

    work->output->refuse(work->output, work->side, REASON_EXPIRED, record->body);
    work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
    return 0;
}

static int
expire_reading(void *context, struct span key)
{
    struct work *work = context;
    struct join *join = work->join;
    const int index = join->sides[work->side].index;
    struct store_item item = {.key = key};
    int rc = store_get(join->store, index, key, &item.value);

    if (rc != 1)
        return rc;
    const struct reading reading = decode_reading(join, &item);
    if (!reading.paired) {
        work->output->refuse(work->output, work->side, REASON_EXPIRED, reading.body);
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
    }
    return store_delete(join->store, index, key) < 0 ? -1 : 0;
}

/* The step reading of the pairing at key behind the one at position (NULL: the first). Its key goes to index_key, its
 * body to join->body. 1, 0, −1. */
static int
next_of_pairing(struct join *join, const struct hash_id *person, struct span position, char *index_key,
                struct reading *reading)
{
    struct store_item item;
    size_t len = encode_key(join, person, 0, 0, index_key);

    if (position.len != 0)
        memcpy(index_key + HASH_ID_BYTES, position.at, TIME_BYTES);
    int rc = store_seek(join->store, join->sides[JOIN_STEP_TRAINER].index, span_at(index_key, len), &item);
    if (rc == 1 && position.len != 0 && span_equal(item.key, span_at(index_key, len)))
        rc = store_next(join->store, join->sides[JOIN_STEP_TRAINER].index, &item);
    if (rc != 1)
        return rc;
    if (memcmp(item.key.at, person->bytes, HASH_ID_BYTES) != 0)
        return 0;
    memcpy(index_key, item.key.at, len);
    *reading = decode_reading(join, &item);
    buffer_clear(&join->body);
    buffer_add_span(&join->body, reading->body);
    reading->body = buffer_span(&join->body);
    return 1;
}

/* One step reading of the first pairing: 1 step done, 0 there is no pairing, −1. */
static int
work_pairing(struct join *join, struct output *output)
{
    char key[PAIRING_KEY_BYTES];
    char value[8 + TIME_BYTES];
    char index_key[KEY_BYTES_MAX];
    struct hash_id persons[2];
    struct store_item item;
    struct span open;
    struct reading reading = {0};

    int rc = store_seek(join->store, join->pairings, (struct span){0}, &item);
    if (rc != 1)
        return rc;
    memcpy(key, item.key.at, sizeof key);
    memcpy(value, item.value.at, item.value.len);
    const struct span position = span_at(value + 8, item.value.len - 8);
    memcpy(persons[0].bytes, key, HASH_ID_BYTES);
    memcpy(persons[1].bytes, key + HASH_ID_BYTES, HASH_ID_BYTES);
    rc = store_get(join->store, join->sides[0].partners, span_at(key, sizeof key), &open);
    if (rc == 1 && open.at[0] != 0)
        rc = next_of_pairing(join, &persons[0], position, index_key, &reading);
    else if (rc == 1)
        rc = 0; /* withdrawn meanwhile */
    if (rc < 0)
        return -1;
    if (rc == 0) {
        join->pairing_count--;
        return store_delete(join->store, join->pairings, span_at(key, sizeof key)) < 0 ? -1 : 1;
    }
    const uint64_t limit = bytes_get_u64(value);
    if (may_pair(join, JOIN_STEP_TRAINER, &reading, limit) == 1) {
        rc = pair_group(join, JOIN_STEP_TRAINER, &reading, &persons[1], limit, output);
        const struct span found = span_at(index_key, sizeof index_key);
        if (rc < 0 || (rc == 1 && !reading.paired && mark_paired(join, JOIN_STEP_TRAINER, found, output) != 0))
            return -1;
    }
    memcpy(value + 8, index_key + HASH_ID_BYTES, TIME_BYTES);
    return store_put(join->store, join->pairings, span_at(key, sizeof key), span_at(value, sizeof value)) != 0 ? -1 : 1;
}

static int
join_work(void *state, int64_t now_ms, unsigned budget, struct output *output)
{
    struct join *join = state;
    const int64_t expired_ms = now_ms - join->parameters.retain_ms;
    unsigned done = 0;

    join->now_ms = now_ms;
    for (unsigned side = 0; side < 2 && done < budget; side++) {
        struct work work = {join, side, output};
        int rc = waiting_work(&join->sides[side].waiting, budget - done, expired_ms, &work, ask, expire_waiting);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
    }
    while (done < budget && join->pairing_count > 0) {
        int rc = work_pairing(join, output);
        if (rc < 0)
            return -1;
        if (rc == 0)
            log_panic("join: %lld pairings counted, none stored", (long long)join->pairing_count);
        done++;
    }
    for (unsigned side = 0; side < 2 && done < budget; side++) {
        struct work work = {join, side, output};
        int rc = agenda_work(&join->sides[side].agenda, expired_ms, budget - done, expire_reading, &work);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
    }
    return (int)done;
}

static int
join_flush(void *state, int64_t now_ms)
{
    struct join *join = state;
    char value[8];

    if (join->number != join->written_number) {
        bytes_put_u64(value, join->number);
        if (store_put(join->store, join->numbers, number_key, span_at(value, sizeof value)) != 0)
            return -1;
        join->written_number = join->number;
    }
    for (unsigned side = 0; side < 2; side++) {
        if (agenda_flush(&join->sides[side].agenda, now_ms) != 0 ||
            waiting_flush(&join->sides[side].waiting, now_ms) != 0)
            return -1;
    }
    return 0;
}

static int64_t
join_due_ms(void *state)
{
    struct join *join = state;
    int64_t due_ms = join->pairing_count > 0 ? 0 : INT64_MAX;

    for (unsigned side = 0; side < 2; side++) {
        const int64_t times[] = {waiting_due_ms(&join->sides[side].waiting, join->parameters.retain_ms),
                                 agenda_due_ms(&join->sides[side].agenda, join->parameters.retain_ms)};
        for (unsigned i = 0; i < 2; i++) {
            if (times[i] < due_ms)
                due_ms = times[i];
        }
    }
    return due_ms;
}

static unsigned
join_gauges(void *state, struct gauge *gauges)
{
    struct join *join = state;

    gauges[0] = (struct gauge){"waiting_bytes",
                               (int64_t)(join->sides[0].waiting.bytes + join->sides[1].waiting.bytes)};
    return 1;
}

const struct operator join_operator = {
    .name = "join",
    .open = join_open,
    .close = join_close,
    .load = join_load,
    .take = join_take,
    .work = join_work,
    .flush = join_flush,
    .due_ms = join_due_ms,
    .gauges = join_gauges,
};
