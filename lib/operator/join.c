#include "operator/join.h"

#include "base/log.h"
#include "operator/join_state.h"
#include "operator/secret.h"

/* Table layout "rules": key "rules"; value match u8, subject u8. */
static const char rules_table[] = "rules";
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
    hash_secret_free(join);
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
         {{"steps_waiting", "steps_waiting_settled", "steps_waiting_index"}, "steps_wakes", "steps_waiting_size", NULL}},
        {{"accelerations", "accelerations_settled", "accelerations_index"},
         "acceleration_partners", "acceleration_rows", "acceleration_persons",
         {{"accelerations_waiting", "accelerations_waiting_settled", "accelerations_waiting_index"},
          "accelerations_wakes", "accelerations_waiting_size", NULL}},
    };
    const struct keyset_rules rules = join_pairs_rules(join);
    struct side *side = &join->sides[number];

    side->person.key = &join->key;
    side->partners = store_table(join->store, names[number].partners);
    if (side->partners < 0 ||
        backlog_open(&side->readings, join->store, &names[number].readings, &rules, join_pairs_index_key) != 0)
        return -1;
    if (consent_open(&side->consent, join->store, names[number].rows, names[number].persons) != 0)
        return -1;
    return waiting_open(&side->waiting, join->store, &names[number].waiting);
}

static int
join_open(const void *parameters, struct store *store, void **state)
{
    struct join *join = hash_secret_new(sizeof *join); /* keys are in it */

    join->store = store;
    join->parameters = *(const struct join_parameters *)parameters;
    log_assert(join->parameters.window_ms >= 0 && join->parameters.retain_ms >= 0);
    join->pseudonym.key = &join->parameters.pseudonym_key;
    join->pairings = store_table(store, "pairings");
    join->rests = store_table(store, "rests");
    join->rules = store_table(store, rules_table);
    if (join->pairings < 0 || join->rests < 0 || join->rules < 0 || secret_open(store) != 0 ||
        open_side(join, 0) != 0 || open_side(join, 1) != 0) {
        join_close(join);
        return -1;
    }
    *state = join;
    return 0;
}

/* Index keys are laid out for one way to match, and readings are kept with their subject replaced already: a
 * state that was made by other rules must not be read by these. */
static int
join_fits(const void *parameters, struct store *store, struct buffer *fault)
{
    static const char *const matches[] = {[JOIN_BY_TIME] = "time", [JOIN_BY_CUSTOMER] = "customer"};
    static const char *const subjects[] = {
        [JOIN_SUBJECT_PSEUDONYM] = "pseudonym", [JOIN_SUBJECT_EMAIL] = "email", [JOIN_SUBJECT_NONE] = "none"};
    const struct join_parameters *join = parameters;
    const int table = store_table(store, rules_table);
    struct span value;
    int rc = table < 0 ? -1 : store_get_exact(store, table, rules_key, 2, &value);

    if (rc <= 0)
        return rc < 0 ? -1 : 1;
    const unsigned match = (unsigned char)value.at[0], subject = (unsigned char)value.at[1];
    if (match >= sizeof matches / sizeof matches[0] || subject >= sizeof subjects / sizeof subjects[0])
        return store_damaged(store, table, "rules that are none");
    if (match == join->match && subject == join->subject)
        return 1;
    buffer_printf(fault, "was made with match = %s and subject = %s, and the configuration says %s and %s: set these back, "
                  "or, to begin anew with the others, stop this process and remove its state folder", matches[match],
                  subjects[subject], matches[join->match], subjects[join->subject]);
    return 0;
}

static int
load_rules(struct join *join)
{
    const char rules[2] = {(char)join->parameters.match, (char)join->parameters.subject};
    struct buffer fault = {0};

    log_assert(join->parameters.match <= JOIN_BY_CUSTOMER && join->parameters.subject <= JOIN_SUBJECT_NONE);
    const int rc = join_fits(&join->parameters, join->store, &fault);

    if (rc == 0)
        log_config_error("join: the state %s", buffer_text(&fault));
    buffer_free(&fault);
    return rc == 1 && store_put_new(join->store, join->rules, rules_key, span_at(rules, sizeof rules)) >= 0 ? 0 : -1;
}

static int
join_load(void *state)
{
    struct join *join = state;

    if (load_rules(join) != 0 || secret_load(join->store, &join->key) != 0)
        return -1;
    join->pairing_count = store_count(join->store, join->pairings);
    join->rest_count = store_count(join->store, join->rests);
    if (join->pairing_count < 0 || join->rest_count < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        consent_load(&join->sides[i].consent);
        if (backlog_load(&join->sides[i].readings) != 0 || waiting_load(&join->sides[i].waiting) != 0)
            return -1;
    }
    return 0;
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
        record_rename_person(record, span_of(hex), &join->body);
    } else {
        record_leave_out_person(record, &join->body);
    }
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
    int rc = join_pairs_admit(join, side, &reading, arrival->output);
    if (rc < 0)
        return VERDICT_ERROR;
    return rc == 1 ? VERDICT_PASSED : VERDICT_WAITING;
}

/* The table's rows. */

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
        int rc = consent_apply(&join->sides[side].consent, arrival->row, open ? &owner : NULL, record, &persons[side]);
        if (rc < 0)
            return VERDICT_ERROR;
        known = known && rc == 1;
    }
    if (!known)
        return open ? VERDICT_STALE : VERDICT_PASSED;
    if (open && join_pairs_note(join, persons) != 0)
        return VERDICT_ERROR;
    if (join_pairs_set(join, persons, open) != 0)
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

    log_assert(arrival->input <= JOIN_TABLE);
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

/* A record that waited is dealt with. */
static enum waiting_answer
gone(const struct work *work)
{
    return work->output->full(work->output) ? WAITING_GO_LAST : WAITING_GO;
}

static enum waiting_answer
ask(void *context, const struct backlog_record *record)
{
    struct work *work = context;
    struct consent_answer answer;
    struct backlog_record reading = *record;

    if (waiting_gives_up(record, work->side, work->output))
        return gone(work);
    if (consent_ask(&work->join->sides[work->side].consent, &record->person, &answer) != 0)
        return WAITING_ERROR;
    if (answer.state == CONSENT_UNKNOWN)
        return WAITING_STAY;
    if (answer.state == CONSENT_CLOSED) {
        work->output->refuse(work->output, work->side, REASON_NO_CONSENT, record->body);
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
        return gone(work);
    }
    if (!record_time_is_right(record->time_ms)) { /* as above */
        work->output->refuse(work->output, work->side, REASON_OUT_OF_RANGE, record->body);
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_INVALID);
        return gone(work);
    }
    int rc = join_pairs_admit(work->join, work->side, &reading, work->output);
    if (rc < 0)
        return WAITING_ERROR;
    if (rc == 1)
        work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_PASSED);
    return gone(work);
}

static int
expire(void *context, const struct backlog_record *record)
{
    struct work *work = context;

    if (waiting_gives_up(record, work->side, work->output))
        return 0;
    work->output->refuse(work->output, work->side, REASON_EXPIRED, record->body);
    work->output->move(work->output, work->side, VERDICT_WAITING, VERDICT_REFUSED);
    return 0;
}

/* Those who wait, in steps, and what they leave to be paired. How many steps were done, or −1. */
static int
work_waiting(struct join *join, unsigned side, int64_t expired_ms, unsigned budget, struct output *output)
{
    struct work work = {join, side, output};
    int done = 0, rc;

    do {
        if ((rc = join_pairs_work(join, budget - (unsigned)done, output)) < 0)
            return -1;
        done += rc;
        if ((unsigned)done >= budget || output->full(output))
            return done;
        rc = waiting_work(&join->sides[side].waiting, budget - (unsigned)done, expired_ms, &work, ask, expire);
        if (rc < 0)
            return -1;
        done += rc;
        log_assert((unsigned)done <= budget);
    } while (join->rest_count > 0 && (unsigned)done < budget);
    return done;
}

static int
join_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct join *join = state;
    const int64_t expired_ms = now_ms - join->parameters.retain_ms;
    unsigned done = 0;

    (void)wall_ms;
    join->now_ms = now_ms;
    for (unsigned side = 0; side < 2 && done < budget && !output->full(output); side++) {
        int rc = work_waiting(join, side, expired_ms, budget - done, output);
        if (rc < 0)
            return -1;
        done += (unsigned)rc;
    }
    for (unsigned side = 0; side < 2 && done < budget && !output->full(output); side++) {
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
    int64_t due_ms = join->pairing_count + join->rest_count > 0 ? 0 : INT64_MAX;

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
    .fits = join_fits,
    .load = join_load,
    .take = join_take,
    .work = join_work,
    .flush = join_flush,
    .due_ms = join_due_ms,
    .gauges = join_gauges,
};
