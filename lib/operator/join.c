#include "operator/join.h"

#include <limits.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "operator/backlog.h"
#include "operator/consent.h"
#include "operator/person.h"
#include "operator/secret.h"
#include "operator/waiting.h"

/*
 * The readings of a side that were admitted are a backlog (operator/backlog.h): a reading waits there until it has come out
 * with a partner, and stays for others.
 *
 * Index keys "steps_index" and "accelerations_index": group, time_ms u64 BE, number u64 BE. group is the person where
 * readings match by customer, and nothing where they match by time. The number tells readings of one time apart.
 */
#define TIME_BYTES 16
#define KEY_BYTES_MAX (HASH_ID_BYTES + TIME_BYTES)

/* One of the two streams. Its number is that of its input. */
struct side {
    struct person person;
    struct backlog readings;
    struct consent consent;
    struct waiting waiting;
    /* Who belongs together by a row of the table. Layout: key = person of this side, person of the other; value = open u8
     * (0: withdrawn). */
    int partners;
};

/*
 * A row that came after readings of both its sides had been admitted: they have to be paired with each other yet.
 *
 * Table layout "pairings": key = serial number, e-mail (both HASH_ID_BYTES); value = limits u64 BE, u64 BE: of the step
 * and of the acceleration readings only those with lower numbers (later ones pair by themselves), then TIME_BYTES of the
 * index key of the step reading done last, or nothing.
 */
#define PAIRING_KEY_BYTES (2 * HASH_ID_BYTES)
#define LIMITS_BYTES 16

struct join {
    struct store *store;
    struct join_parameters parameters;
    struct hash_key key;
    struct person pseudonym; /* of e-mail addresses, with the pseudonym key */
    struct side sides[2];
    int pairings;
    int rules; /* Table layout: key "rules"; value match u8, subject u8 */
    int64_t pairing_count;
    int64_t now_ms;
    struct buffer record; /* an output record */
    struct buffer found;  /* index keys of partners */
    struct buffer steps;  /* index keys of a pairing's step readings */
    struct buffer body;   /* of the accelerometer reading, its subject replaced; of a pairing's step reading */
};

static const struct span rules_key = {"rules", 5};

static void
join_close(void *state)
{
    struct join *join = state;

    if (join == NULL)
        return;
    for (unsigned i = 0; i < 2; i++) {
        person_free(&join->sides[i].person);
        backlog_free(&join->sides[i].readings);
        waiting_free(&join->sides[i].waiting);
    }
    person_free(&join->pseudonym);
    buffer_free(&join->record);
    buffer_free(&join->found);
    buffer_free(&join->steps);
    buffer_free(&join->body);
    free(join);
}

static size_t
group_bytes(const struct join *join)
{
    return join->parameters.match == JOIN_BY_CUSTOMER ? HASH_ID_BYTES : 0;
}

/* Readings are looked for by spans of so much time: whatever is within a window lies in three of them at most. */
static int64_t
span_ms(const struct join *join)
{
    return join->parameters.window_ms + 1;
}

/* For a group and the span that begins at span * span_ms. */
static uint64_t
token_of(const struct join *join, const char *group, uint64_t span)
{
    return group_bytes(join) > 0 ? bytes_get_u64(group) ^ span * UINT64_C(0x9e3779b97f4a7c15) : span;
}

static uint64_t
token(const void *context, const char *key)
{
    const struct join *join = context;
    return token_of(join, key, bytes_get_u64(key + group_bytes(join)) / (uint64_t)span_ms(join));
}

static void
encode_key(const struct join *join, const struct hash_id *group, int64_t time_ms, uint64_t number, char *key)
{
    const size_t len = group_bytes(join);

    memcpy(key, group->bytes, len);
    bytes_put_u64(key + len, (uint64_t)time_ms);
    bytes_put_u64(key + len + 8, number);
}

static void
index_key(const void *context, const struct backlog_record *record, char *key)
{
    encode_key(context, &record->person, record->time_ms, 0, key);
}

static int
open_side(struct join *join, unsigned number)
{
    static const struct {
        struct backlog_names readings;
        const char *partners, *rows, *persons;
        struct waiting_names waiting;
    } names[2] = {
        {{"steps", "steps_settled", "steps_index"},
         "step_partners", "step_rows", "step_persons",
         {{"steps_waiting", "steps_waiting_settled", "steps_waiting_index"}, "steps_wakes", "steps_waiting_size"}},
        {{"accelerations", "accelerations_settled", "accelerations_index"},
         "acceleration_partners", "acceleration_rows", "acceleration_persons",
         {{"accelerations_waiting", "accelerations_waiting_settled", "accelerations_waiting_index"},
          "accelerations_wakes", "accelerations_waiting_size"}},
    };
    const struct keyset_rules rules = {
        .key_bytes = group_bytes(join) + TIME_BYTES,
        .token = token,
        .context = join,
        .token_rule = (uint64_t)span_ms(join),
    };
    struct side *side = &join->sides[number];

    side->person.key = &join->key;
    side->partners = store_table(join->store, names[number].partners);
    if (side->partners < 0 || backlog_open(&side->readings, join->store, &names[number].readings, &rules, index_key) != 0)
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
    join->rules = store_table(store, "rules");
    if (join->pairings < 0 || join->rules < 0 || secret_open(store, &join->key) != 0 || open_side(join, 0) != 0 ||
        open_side(join, 1) != 0) {
        join_close(join);
        return -1;
    }
    *state = join;
    return 0;
}

/* Index keys are laid out for one way to match, and readings are kept with their subject replaced already: a
 * state that was made by other rules must not be read by these. */
static int
check_rules(struct join *join)
{
    const char rules[2] = {(char)join->parameters.match, (char)join->parameters.subject};
    const struct span wanted = span_at(rules, sizeof rules);
    struct span value;
    int rc = store_get(join->store, join->rules, rules_key, &value);

    if (rc == 0)
        return store_put(join->store, join->rules, rules_key, wanted);
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

    if (check_rules(join) != 0)
        return -1;
    join->pairing_count = store_count(join->store, join->pairings);
    if (join->pairing_count < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        consent_load(&join->sides[i].consent);
        if (backlog_load(&join->sides[i].readings) != 0 || waiting_load(&join->sides[i].waiting) != 0)
            return -1;
    }
    return 0;
}

/* Pairing. */

static void
emit_pair(struct join *join, struct span step, struct span acceleration, struct output *output)
{
    buffer_clear(&join->record);
    buffer_add_span(&join->record, step);
    buffer_add_byte(&join->record, ',');
    buffer_add_span(&join->record, acceleration);
    output->emit(output, buffer_span(&join->record));
}

/* Whether reading, kept by side, may come out now. 1, 0, −1. Where readings match by customer the row that joins them has
 * been asked already. */
static int
may_pair(struct join *join, unsigned side, const struct backlog_record *reading)
{
    struct consent_answer answer;

    if (reading->arrived_ms + join->parameters.retain_ms <= join->now_ms)
        return 0;
    if (join->parameters.match == JOIN_BY_CUSTOMER)
        return 1;
    if (consent_ask(&join->sides[side].consent, &reading->person, &answer) != 0)
        return -1;
    return answer.state == CONSENT_OPEN;
}

/* reading, kept by side, has come out with a partner: 0 or −1. */
static int
mark_paired(struct join *join, unsigned side, const struct backlog_record *reading, struct output *output)
{
    int rc = backlog_waits(&join->sides[side].readings, reading);

    if (rc != 1)
        return rc;
    output->move(output, side, VERDICT_WAITING, VERDICT_PASSED);
    return backlog_settle(&join->sides[side].readings, reading->number);
}

/* Pair reading, of side, with the one of the other side that has this number. 1, 0 it may not come out, −1. */
static int
pair_one(struct join *join, unsigned side, const struct backlog_record *reading, uint64_t number, struct output *output)
{
    const unsigned other = 1 - side;
    struct backlog_record partner;

    if (backlog_get(&join->sides[other].readings, number, &partner) != 1)
        return -1;
    int may = may_pair(join, other, &partner);
    if (may != 1)
        return may;
    if (side == JOIN_STEP_TRAINER)
        emit_pair(join, reading->body, partner.body, output);
    else
        emit_pair(join, partner.body, reading->body, output);
    return mark_paired(join, other, &partner, output) == 0 ? 1 : -1;
}

/* Pair one reading of side with those of the other side in group within the window and numbered below limit. 1 if there
 * was any, 0, −1. */
static int
pair_group(struct join *join, unsigned side, const struct backlog_record *reading, const struct hash_id *group,
           uint64_t limit, struct output *output)
{
    struct backlog *partners = &join->sides[1 - side].readings;
    const int64_t window_ms = join->parameters.window_ms;
    const int64_t from_ms = reading->time_ms > window_ms ? reading->time_ms - window_ms : 0;
    const int64_t to_ms = reading->time_ms + window_ms;
    char from[KEY_BYTES_MAX], to[KEY_BYTES_MAX];
    struct keyset_query query = {.from = from, .to = to, .max = UINT_MAX};
    bool any = false;

    encode_key(join, group, from_ms, 0, from);
    encode_key(join, group, to_ms, UINT64_MAX, to);
    for (int64_t span = from_ms / span_ms(join); span <= to_ms / span_ms(join); span++)
        query.tokens[query.token_count++] = token_of(join, from, (uint64_t)span);
    const int count = backlog_find(partners, &query, &join->found);
    for (int i = 0; i < count; i++) {
        const uint64_t number = backlog_number(partners, join->found.data + (size_t)i * partners->rules.key_bytes);
        if (number >= limit)
            continue;
        int rc = pair_one(join, side, reading, number, output);
        if (rc < 0)
            return -1;
        any = any || rc == 1;
    }
    return count < 0 ? -1 : any;
}

/* Pair one reading of side with everything on the other side that is there. 1 if there was any, 0, −1. */
static int
pair_all(struct join *join, unsigned side, const struct backlog_record *reading, struct output *output)
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
admit(struct join *join, unsigned side, struct backlog_record *reading, struct output *output)
{
    int rc = pair_all(join, side, reading, output);

    if (rc < 0)
        return -1;
    reading->settled = rc == 1;
    return backlog_add(&join->sides[side].readings, reading, join->now_ms) != 0 ? -1 : rc;
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
    struct backlog_record reading = {.time_ms = record->time_ms, .arrived_ms = arrival->now_ms};

    reading.person = person_of(join, side, record);
    if (consent_ask(&join->sides[side].consent, &reading.person, &answer) != 0)
        return VERDICT_ERROR;
    if (answer.state == CONSENT_CLOSED) {
        arrival->output->refuse(arrival->output, side, REASON_NO_CONSENT, record->body);
        return VERDICT_REFUSED;
    }
    reading.body = side == JOIN_STEP_TRAINER ? record->body : replace_subject(join, record);
    if (answer.state == CONSENT_UNKNOWN)
        return waiting_enter(&join->sides[side].waiting, &reading) == 0 ? VERDICT_WAITING : VERDICT_ERROR;
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

/* Gather the index keys of a person's readings of side from `from` on, max at most (match by customer only). How many, or
 * −1. */
static int
find_readings(struct join *join, unsigned side, const struct hash_id *person, const char *from, unsigned max,
              struct buffer *keys)
{
    char to[KEY_BYTES_MAX];
    struct keyset_query query = {.from = from, .to = to, .max = max};

    encode_key(join, person, -1, UINT64_MAX, to);
    return backlog_find(&join->sides[side].readings, &query, keys);
}

/* Whether side keeps any reading of person. 1, 0, −1. */
static int
has_readings(struct join *join, unsigned side, const struct hash_id *person)
{
    char from[KEY_BYTES_MAX];

    encode_key(join, person, 0, 0, from);
    return find_readings(join, side, person, from, 1, &join->found);
}

/* A row that was not there before: note that what its two sides have admitted already is to be paired. A row that comes
 * back after a withdrawal is not new: what was decided while it was away stays decided. */
static int
note_pairing(struct join *join, const struct hash_id persons[2])
{
    char key[PAIRING_KEY_BYTES];
    char limits[LIMITS_BYTES];
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
        bytes_put_u64(limits + side * 8, join->sides[side].readings.last + 1);
    }
    join->pairing_count++;
    return store_put(join->store, join->pairings, span_at(key, sizeof key), span_at(limits, sizeof limits));
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
ask(void *context, const struct backlog_record *record)
{
    struct work *work = context;
    struct consent_answer answer;
    struct backlog_record reading = *record;

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
expire(void *context, const struct backlog_record *record)
{
    struct work *work = context;

    work->output->refuse(work->output, work->side, REASON_EXPIRED, record->body);
    work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
    return 0;
}

/* A pairing at work. */
struct pairing {
    struct hash_id persons[2];
    uint64_t limits[2];
};

/* Pair the step reading with this index key with all the other side has. 0 or −1. */
static int
pair_step(struct join *join, const struct pairing *pairing, const char *index_key, struct output *output)
{
    struct backlog *steps = &join->sides[JOIN_STEP_TRAINER].readings;
    struct backlog_record reading;
    const uint64_t number = backlog_number(steps, index_key);

    if (number >= pairing->limits[JOIN_STEP_TRAINER])
        return 0;
    if (backlog_get(steps, number, &reading) != 1)
        return -1;
    int rc = may_pair(join, JOIN_STEP_TRAINER, &reading);
    if (rc != 1)
        return rc;
    buffer_clear(&join->body);
    buffer_add_span(&join->body, reading.body);
    reading.body = buffer_span(&join->body);
    rc = pair_group(join, JOIN_STEP_TRAINER, &reading, &pairing->persons[JOIN_ACCELEROMETER],
                    pairing->limits[JOIN_ACCELEROMETER], output);
    return rc == 1 ? mark_paired(join, JOIN_STEP_TRAINER, &reading, output) : rc;
}

/* Step readings of the first pairing, at most budget of them: how many steps were done, 0 there is no pairing, −1. */
static int
work_pairing(struct join *join, unsigned budget, struct output *output)
{
    char key[PAIRING_KEY_BYTES], from[KEY_BYTES_MAX];
    char value[LIMITS_BYTES + TIME_BYTES];
    struct pairing pairing;
    struct store_item item;
    struct span open;

    int rc = store_seek(join->store, join->pairings, (struct span){0}, &item);
    if (rc != 1)
        return rc;
    memcpy(key, item.key.at, sizeof key);
    memcpy(value, item.value.at, item.value.len);
    for (unsigned side = 0; side < 2; side++) {
        memcpy(pairing.persons[side].bytes, key + side * HASH_ID_BYTES, HASH_ID_BYTES);
        pairing.limits[side] = bytes_get_u64(value + side * 8);
    }
    encode_key(join, &pairing.persons[0], 0, 0, from);
    if (item.value.len == sizeof value) { /* behind the one done last */
        memcpy(from + HASH_ID_BYTES, value + LIMITS_BYTES, TIME_BYTES);
        bytes_put_u64(from + HASH_ID_BYTES + 8, bytes_get_u64(from + HASH_ID_BYTES + 8) + 1);
    }
    if (store_get(join->store, join->sides[0].partners, span_at(key, sizeof key), &open) != 1)
        return -1;
    int count = 0;
    if (open.at[0] != 0) /* else withdrawn meanwhile */
        count = find_readings(join, JOIN_STEP_TRAINER, &pairing.persons[0], from, budget, &join->steps);
    for (int i = 0; i < count; i++) {
        if (pair_step(join, &pairing, join->steps.data + (size_t)i * KEY_BYTES_MAX, output) != 0)
            return -1;
    }
    if (count < 0)
        return -1;
    if ((unsigned)count < budget) {
        join->pairing_count--;
        return store_delete(join->store, join->pairings, span_at(key, sizeof key)) < 0 ? -1 : count + 1;
    }
    memcpy(value + LIMITS_BYTES, join->steps.data + (size_t)(count - 1) * KEY_BYTES_MAX + HASH_ID_BYTES, TIME_BYTES);
    rc = store_put(join->store, join->pairings, span_at(key, sizeof key), span_at(value, sizeof value));
    return rc != 0 ? -1 : count;
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
        int rc = waiting_work(&join->sides[side].waiting, budget - done, expired_ms, &work, ask, expire);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
    }
    while (done < budget && join->pairing_count > 0) {
        int rc = work_pairing(join, budget - done, output);
        if (rc < 0)
            return -1;
        if (rc == 0)
            log_panic("join: %lld pairings counted, none stored", (long long)join->pairing_count);
        done += (unsigned)rc;
    }
    for (unsigned side = 0; side < 2 && done < budget; side++) {
        struct work work = {join, side, output};
        int rc = backlog_expire(&join->sides[side].readings, expired_ms, false, budget - done, &work, expire);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
    }
    return (int)done;
}

static int
join_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct join *join = state;

    (void)now_ms;
    (void)wall_ms;
    for (unsigned side = 0; side < 2; side++) {
        if (backlog_flush(&join->sides[side].readings) != 0 || waiting_flush(&join->sides[side].waiting) != 0)
            return -1;
    }
    return 0;
}

static int64_t
join_due_ms(void *state)
{
    struct join *join = state;
    const int64_t retain_ms = join->parameters.retain_ms;
    int64_t due_ms = join->pairing_count > 0 ? 0 : INT64_MAX;

    for (unsigned side = 0; side < 2; side++) {
        const int64_t times[] = {waiting_due_ms(&join->sides[side].waiting, retain_ms),
                                 backlog_due_ms(&join->sides[side].readings, retain_ms)};
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
