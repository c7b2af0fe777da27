#include "base/bytes.h"
#include "base/log.h"
#include "operator/join_state.h"

/*
 * The readings of a side that were admitted are a backlog (operator/backlog.h): a reading waits there until it has come out
 * with a partner, and stays for others.
 *
 * Index keys "steps_index" and "accelerations_index": group, time_ms u64 BE, number u64 BE. group is the person where
 * readings match by customer, and nothing where they match by time. The number tells readings of one time apart.
 */
#define TIME_BYTES 16
#define KEY_BYTES_MAX (HASH_ID_BYTES + TIME_BYTES)

/*
 * Who belongs together by a row of the table.
 *
 * Table layouts "step_partners" and "acceleration_partners": key = person of this side, person of the other; value = open u8
 * (0: withdrawn), number u64 BE of the reading of this side admitted last when the row came first: those up to it are
 * paired by a pairing, later ones pair by themselves. No number is 0.
 */
#define PARTNERS_BYTES 9

/* So many partners of a reading are looked at when it is admitted, or its pairing comes to it; for more there is a rest. And
 * so many are one step of work. */
#define PARTNERS_AT_ONCE 256
#define PARTNERS_A_STEP 64

/*
 * Partners that a reading has not been paired with yet: it has too many, or the output was full.
 *
 * Table layout "rests": key = side u8, number u64 BE; value = limit u64 BE, one_group u8, then the index key of the other
 * side to go on from.
 */
struct rest {
    unsigned side;
    uint64_t number; /* of the reading */
    uint64_t limit;  /* partners have lower numbers: later ones pair by themselves */
    bool one_group;  /* only the group of the key: else all those that pair by themselves */
    char from[KEY_BYTES_MAX];
};

#define REST_KEY_BYTES 9
#define REST_HEAD_BYTES 9

/*
 * A row that came after readings of both its sides had been admitted: they have to be paired with each other yet.
 *
 * Table layout "pairings": key = serial number, e-mail (both HASH_ID_BYTES); value = limits u64 BE, u64 BE: of the step
 * and of the acceleration readings only those with lower numbers (later ones pair by themselves), then TIME_BYTES of the
 * index key of the step reading done last, or nothing.
 */
#define PAIRING_KEY_BYTES (2 * HASH_ID_BYTES)
#define LIMITS_BYTES 16

/* Index keys. */

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
encode_key(const struct join *join, const void *group, int64_t time_ms, uint64_t number, char *key)
{
    const size_t len = group_bytes(join);

    memmove(key, group, len);
    bytes_put_u64(key + len, (uint64_t)time_ms);
    bytes_put_u64(key + len + 8, number);
}

struct keyset_rules
join_pairs_rules(const struct join *join)
{
    return (struct keyset_rules){
        .key_bytes = group_bytes(join) + TIME_BYTES,
        .token = token,
        .context = join,
        .token_rule = (uint64_t)span_ms(join),
    };
}

void
join_pairs_index_key(const void *context, const struct backlog_record *record, char *key)
{
    encode_key(context, record->person.bytes, record->time_ms, 0, key);
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

/* reading, kept by side, waits no more, if it did, for what the verdict says: PASSED, it has come out with a partner. 0 or
 * −1. */
static int
settle(struct join *join, unsigned side, const struct backlog_record *reading, enum verdict verdict, struct output *output)
{
    int rc = backlog_waits(&join->sides[side].readings, reading);

    if (rc != 1)
        return rc;
    output->move(output, side, VERDICT_WAITING, verdict);
    return backlog_settle(&join->sides[side].readings, reading->number);
}

/* A reading that is being paired. */
struct walk {
    const struct backlog_record *reading;
    struct rest rest; /* how far it is */
    unsigned left;    /* so many partners may be looked at yet */
    bool any;         /* it has come out with a partner */
    struct output *output;
};

/* Pair the reading with the one of the other side that has this number, if that may come out. 0 or −1. */
static int
pair_one(struct join *join, struct walk *walk, uint64_t number)
{
    const unsigned other = 1 - walk->rest.side;
    struct backlog_record partner;

    if (backlog_get_kept(&join->sides[other].readings, number, &partner) != 0)
        return -1;
    int rc = may_pair(join, other, &partner);
    if (rc != 1)
        return rc;
    if (other == JOIN_ACCELEROMETER)
        emit_pair(join, walk->reading->body, partner.body, walk->output);
    else
        emit_pair(join, partner.body, walk->reading->body, walk->output);
    walk->any = true;
    return settle(join, other, &partner, VERDICT_PASSED, walk->output);
}

/* When the reading's window begins. */
static int64_t
window_from_ms(const struct join *join, const struct walk *walk)
{
    const int64_t window_ms = join->parameters.window_ms;

    return walk->reading->time_ms > window_ms ? walk->reading->time_ms - window_ms : 0;
}

static void
begin_group(const struct join *join, struct walk *walk, const void *group)
{
    encode_key(join, group, window_from_ms(join, walk), 0, walk->rest.from);
}

/* Gather the index keys of partners in the group of rest.from, from that key on, as many as may be looked at. How many, or
 * −1. A time that is none, kept by a version that took it over its link, has none. */
static int
find_partners(struct join *join, const struct walk *walk)
{
    if (!record_time_is_right(walk->reading->time_ms))
        return 0;
    const int64_t from_ms = window_from_ms(join, walk);
    const int64_t behind_ms = walk->reading->time_ms + join->parameters.window_ms;
    const int64_t to_ms = behind_ms < RECORD_TIME_MS_MAX ? behind_ms : RECORD_TIME_MS_MAX;
    char to[KEY_BYTES_MAX];
    struct keyset_query query = {.from = walk->rest.from, .to = to, .max = walk->left};

    encode_key(join, walk->rest.from, to_ms, UINT64_MAX, to);
    for (int64_t span = from_ms / span_ms(join); span <= to_ms / span_ms(join); span++) {
        if (query.token_count == KEYSET_TOKENS_MAX)
            log_panic("join: a window that lies in more than %d spans", KEYSET_TOKENS_MAX);
        query.tokens[query.token_count++] = token_of(join, to, (uint64_t)span);
    }
    return backlog_find(&join->sides[1 - walk->rest.side].readings, &query, &join->found);
}

/* Pair the reading within the group of rest.from, from that key on. 1 it is done, 0 it is to go on at rest.from, −1. */
static int
pair_group(struct join *join, struct walk *walk)
{
    struct backlog *partners = &join->sides[1 - walk->rest.side].readings;
    const size_t key_bytes = partners->rules.key_bytes;

    log_assert(walk->left > 0);
    const int count = find_partners(join, walk);

    for (int i = 0; i < count; i++) {
        const char *key = join->found.data + (size_t)i * key_bytes;
        const uint64_t number = backlog_number(partners, key);
        if (number < walk->rest.limit && pair_one(join, walk, number) != 0)
            return -1;
        if (--walk->left == 0 || walk->output->full(walk->output)) {
            memcpy(walk->rest.from, key, key_bytes);
            bytes_put_u64(walk->rest.from + key_bytes - KEYSET_AGE_BYTES, number + 1);
            return 0;
        }
    }
    return count < 0 ? -1 : 1;
}

/* Whether value is one of partners: early ones have no number, which is 0 then. */
static bool
are_partners(struct span value)
{
    return value.len == 1 || value.len == PARTNERS_BYTES;
}

static uint64_t
first_limit_of(struct span partners)
{
    return partners.len == PARTNERS_BYTES ? bytes_get_u64(partners.at + 1) : 0;
}

/* Whether the reading is to be paired with the group that this value of partners tells of. */
static bool
is_partner(const struct rest *rest, struct span value)
{
    const uint64_t first_limit = first_limit_of(value);

    return value.at[0] != 0 && (rest->one_group || rest->number > first_limit);
}

/* Pair the reading with what it has not been paired with yet. 1 it is done, 0 it is to go on at rest.from, −1. */
static int
pair_rest(struct join *join, struct walk *walk)
{
    const int partners = join->sides[walk->rest.side].partners;
    char key[2 * HASH_ID_BYTES];
    struct store_item item;

    if (join->parameters.match == JOIN_BY_TIME)
        return pair_group(join, walk);
    memcpy(key, walk->reading->person.bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, walk->rest.from, HASH_ID_BYTES);
    int rc = store_seek(join->store, partners, span_at(key, sizeof key), &item);
    for (; rc == 1 && span_begins(item.key, span_at(key, HASH_ID_BYTES)); rc = store_next(join->store, partners, &item)) {
        if (item.key.len != 2 * HASH_ID_BYTES || !are_partners(item.value))
            return store_damaged(join->store, partners, "partners that are none");
        const char *group = item.key.at + HASH_ID_BYTES;
        if (memcmp(group, walk->rest.from, HASH_ID_BYTES) != 0) {
            if (walk->rest.one_group)
                return 1;
            begin_group(join, walk, group);
        }
        if (walk->left == 0)
            return 0;
        int done = is_partner(&walk->rest, item.value) ? pair_group(join, walk) : 1;
        if (done != 1)
            return done;
        walk->left--;
    }
    return rc < 0 ? -1 : 1;
}

/* Put a rest that is new, or is there. 0 or −1. */
static int
put_rest(struct join *join, const struct rest *rest, bool is_new)
{
    const size_t key_bytes = join->sides[1 - rest->side].readings.rules.key_bytes;
    char key[REST_KEY_BYTES], value[REST_HEAD_BYTES + KEY_BYTES_MAX];

    log_assert(rest->side < 2 && key_bytes <= KEY_BYTES_MAX && rest->number > 0);
    key[0] = (char)rest->side;
    bytes_put_u64(key + 1, rest->number);
    bytes_put_u64(value, rest->limit);
    value[8] = rest->one_group;
    memcpy(value + REST_HEAD_BYTES, rest->from, key_bytes);
    const struct span at = span_at(key, sizeof key), text = span_at(value, REST_HEAD_BYTES + key_bytes);
    if (!is_new)
        return store_put(join->store, join->rests, at, text);
    const int rc = store_put_new(join->store, join->rests, at, text);
    return rc == 0 ? store_damaged(join->store, join->rests, "a rest of a reading that has none") : rc < 0 ? -1 : 0;
}

static int
note_rest(struct join *join, const struct rest *rest)
{
    join->rest_count++;
    return put_rest(join, rest, true);
}

int
join_pairs_admit(struct join *join, unsigned side, struct backlog_record *reading, struct output *output)
{
    static const char first_group[HASH_ID_BYTES];

    log_assert(side < 2);
    struct backlog *readings = &join->sides[side].readings;
    struct walk walk = {.reading = reading, .left = PARTNERS_AT_ONCE, .output = output};

    walk.rest = (struct rest){
        .side = side, .number = readings->last + 1, .limit = join->sides[1 - side].readings.last + 1};
    begin_group(join, &walk, first_group);
    int done = pair_rest(join, &walk);
    if (done < 0)
        return -1;
    reading->settled = walk.any;
    if (backlog_add(readings, reading, join->now_ms) != 0)
        return -1;
    if (reading->number != walk.rest.number)
        log_panic("join: a reading was paired under another number than it is kept");
    if (done == 0 && note_rest(join, &walk.rest) != 0)
        return -1;
    return walk.any;
}

/* The table's rows. */

int
join_pairs_set(struct join *join, const struct hash_id persons[2], bool open)
{
    char key[2 * HASH_ID_BYTES], value[PARTNERS_BYTES];
    struct span known;

    for (unsigned side = 0; side < 2; side++) {
        uint64_t first_limit = join->sides[side].readings.last;
        memcpy(key, persons[side].bytes, HASH_ID_BYTES);
        memcpy(key + HASH_ID_BYTES, persons[1 - side].bytes, HASH_ID_BYTES);
        int rc = store_get(join->store, join->sides[side].partners, span_at(key, sizeof key), &known);
        if (rc == 1 && !are_partners(known))
            rc = store_damaged(join->store, join->sides[side].partners, "partners that are none");
        if (rc < 0)
            return -1;
        if (rc == 1)
            first_limit = first_limit_of(known);
        value[0] = open;
        bytes_put_u64(value + 1, first_limit);
        if (store_put(join->store, join->sides[side].partners, span_at(key, sizeof key), span_at(value, sizeof value)) != 0)
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

    encode_key(join, person->bytes, -1, UINT64_MAX, to);
    return backlog_find(&join->sides[side].readings, &query, keys);
}

/* Whether side keeps any reading of person. 1, 0, −1. */
static int
has_readings(struct join *join, unsigned side, const struct hash_id *person)
{
    char from[KEY_BYTES_MAX];

    encode_key(join, person->bytes, 0, 0, from);
    return find_readings(join, side, person, from, 1, &join->found);
}

int
join_pairs_note(struct join *join, const struct hash_id persons[2])
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
    rc = store_put_new(join->store, join->pairings, span_at(key, sizeof key), span_at(limits, sizeof limits));
    return rc == 0 ? store_damaged(join->store, join->pairings, "a pairing of nobody") : rc < 0 ? -1 : 0;
}

/* A pairing at work. */
struct pairing {
    struct hash_id persons[2];
    uint64_t limits[2];
};

/* Pair a reading that was admitted before, unless it may not come out any more, or is deadly: then what it has not been
 * paired with by this pairing or rest is given up. As pair_rest. */
static int
go_on(struct join *join, struct walk *walk, struct backlog_record *reading)
{
    int rc = may_pair(join, walk->rest.side, reading);

    if (rc != 1)
        return rc < 0 ? -1 : 1;
    buffer_clear(&join->body);
    buffer_add_span(&join->body, reading->body);
    reading->body = buffer_span(&join->body);
    if (backlog_is_deadly(reading, walk->rest.side, walk->output))
        return settle(join, walk->rest.side, reading, VERDICT_INVALID, walk->output) == 0 ? 1 : -1;
    const int done = pair_rest(join, walk);
    if (done >= 0 && walk->any && settle(join, walk->rest.side, reading, VERDICT_PASSED, walk->output) != 0)
        return -1;
    return done;
}

/* Pair the step reading with this index key with what the other side has. 0 or −1. */
static int
pair_step(struct join *join, const struct pairing *pairing, const char *index_key, struct output *output)
{
    struct backlog *steps = &join->sides[JOIN_STEP_TRAINER].readings;
    struct backlog_record reading;
    struct walk walk = {.reading = &reading, .left = PARTNERS_AT_ONCE, .output = output};

    walk.rest = (struct rest){.side = JOIN_STEP_TRAINER,
                              .number = backlog_number(steps, index_key),
                              .limit = pairing->limits[JOIN_ACCELEROMETER],
                              .one_group = true};
    if (walk.rest.number >= pairing->limits[JOIN_STEP_TRAINER])
        return 0;
    if (backlog_get_kept(steps, walk.rest.number, &reading) != 0)
        return -1;
    begin_group(join, &walk, pairing->persons[JOIN_ACCELEROMETER].bytes);
    int done = go_on(join, &walk, &reading);
    return done < 0 || (done == 0 && note_rest(join, &walk.rest) != 0) ? -1 : 0;
}

/* Where the step readings of a pairing begin that are not done yet. */
static void
pairing_from(const struct join *join, const struct pairing *pairing, struct span value, char *from)
{
    encode_key(join, pairing->persons[0].bytes, 0, 0, from);
    if (value.len == LIMITS_BYTES)
        return;
    memcpy(from + HASH_ID_BYTES, value.at + LIMITS_BYTES, TIME_BYTES); /* behind the one done last */
    bytes_put_u64(from + HASH_ID_BYTES + 8, bytes_get_u64(from + HASH_ID_BYTES + 8) + 1);
}

/* A pairing or a rest, which was there and counted, is done. 0 or −1. */
static int
remove_work(struct join *join, int table, int64_t *count, struct span key)
{
    const int rc = store_delete(join->store, table, key);

    if (--*count < 0)
        log_panic("join: more work is done than was counted");
    return rc == 0 ? store_damaged(join->store, table, "what is at work is missing") : rc < 0 ? -1 : 0;
}

/* Step readings of the first pairing, at most budget of them: how many steps were done, 0 there is no pairing, −1. */
static int
work_pairing(struct join *join, unsigned budget, struct output *output)
{
    char key[PAIRING_KEY_BYTES], from[KEY_BYTES_MAX];
    char value[LIMITS_BYTES + TIME_BYTES];
    struct pairing pairing = {0};
    struct store_item item;
    struct span open;

    int rc = store_seek(join->store, join->pairings, (struct span){0}, &item);
    if (rc != 1)
        return rc;
    if (item.key.len != sizeof key || (item.value.len != LIMITS_BYTES && item.value.len != sizeof value))
        return store_damaged(join->store, join->pairings, "a pairing that is none");
    memcpy(key, item.key.at, sizeof key);
    memcpy(value, item.value.at, item.value.len);
    for (unsigned side = 0; side < 2; side++) {
        memcpy(pairing.persons[side].bytes, key + side * HASH_ID_BYTES, HASH_ID_BYTES);
        pairing.limits[side] = bytes_get_u64(value + side * 8);
    }
    pairing_from(join, &pairing, item.value, from);
    rc = store_get(join->store, join->sides[0].partners, span_at(key, sizeof key), &open);
    if (rc != 1 || !are_partners(open))
        return rc < 0 ? -1 : store_damaged(join->store, join->pairings, "a pairing of nobody");
    int count = 0, done = 0;
    if (open.at[0] != 0) /* else withdrawn meanwhile */
        count = find_readings(join, JOIN_STEP_TRAINER, &pairing.persons[0], from, budget, &join->steps);
    for (; done < count && (done == 0 || !output->full(output)); done++) {
        if (pair_step(join, &pairing, join->steps.data + (size_t)done * KEY_BYTES_MAX, output) != 0)
            return -1;
    }
    if (count < 0)
        return -1;
    if (done == count && (unsigned)count < budget)
        return remove_work(join, join->pairings, &join->pairing_count, span_at(key, sizeof key)) == 0 ? count + 1 : -1;
    log_assert(done > 0);
    memcpy(value + LIMITS_BYTES, join->steps.data + (size_t)(done - 1) * KEY_BYTES_MAX + HASH_ID_BYTES, TIME_BYTES);
    rc = store_put(join->store, join->pairings, span_at(key, sizeof key), span_at(value, sizeof value));
    return rc != 0 ? -1 : done;
}

/* 0, or −1 if item is no rest. */
static int
check_rest(struct join *join, const struct store_item *item)
{
    const unsigned side = item->key.len == REST_KEY_BYTES ? (unsigned char)item->key.at[0] : 2;

    if (side > 1 || item->value.len != REST_HEAD_BYTES + join->sides[1 - side].readings.rules.key_bytes)
        return store_damaged(join->store, join->rests, "a rest that is none");
    return 0;
}

/* Go on with the first rest: how many steps were done, 0 there is none, −1. */
static int
work_rest(struct join *join, unsigned budget, struct output *output)
{
    const unsigned max = budget * PARTNERS_A_STEP;
    struct backlog_record reading;
    struct walk walk = {.reading = &reading, .left = max, .output = output};
    struct store_item item;
    char key[REST_KEY_BYTES];

    int rc = store_seek(join->store, join->rests, (struct span){0}, &item);
    if (rc != 1)
        return rc;
    if (check_rest(join, &item) != 0)
        return -1;
    memcpy(key, item.key.at, sizeof key);
    walk.rest = (struct rest){.side = (unsigned)key[0],
                              .number = bytes_get_u64(key + 1),
                              .limit = bytes_get_u64(item.value.at),
                              .one_group = item.value.at[8] != 0};
    memcpy(walk.rest.from, item.value.at + REST_HEAD_BYTES, item.value.len - REST_HEAD_BYTES);
    int done = backlog_get(&join->sides[walk.rest.side].readings, walk.rest.number, &reading);
    done = done == 1 ? go_on(join, &walk, &reading) : done == 0 ? 1 : -1; /* it may have left meanwhile */
    if (done < 0 || (done == 0 && put_rest(join, &walk.rest, false) != 0) ||
        (done == 1 && remove_work(join, join->rests, &join->rest_count, span_at(key, sizeof key)) != 0))
        return -1;
    log_assert(walk.left <= max);
    const unsigned steps = (max - walk.left + PARTNERS_A_STEP - 1) / PARTNERS_A_STEP;
    return steps > 0 ? (int)steps : 1;
}

/* A reading has one rest at a time: pairings go on when there is none. */
int
join_pairs_work(struct join *join, unsigned budget, struct output *output)
{
    unsigned done = 0;

    while (done < budget && !output->full(output) && join->rest_count + join->pairing_count > 0) {
        int rc = join->rest_count > 0 ? work_rest(join, budget - done, output) : work_pairing(join, budget - done, output);
        if (rc < 0)
            return -1;
        if (rc == 0)
            return store_damaged(join->store, join->rest_count > 0 ? join->rests : join->pairings,
                                 "it counts entries that are not there");
        done += (unsigned)rc;
        log_assert(done <= budget);
    }
    return (int)done;
}
