#include "operator/gate.h"

#include "base/log.h"
#include "operator/consent.h"
#include "operator/person.h"
#include "operator/secret.h"
#include "operator/seen.h"
#include "operator/waiting.h"

struct gate {
    struct gate_parameters parameters;
    struct hash_key key;
    struct person person;
    struct seen seen;
    struct consent consent;
    struct waiting waiting;
};

static void
gate_close(void *state)
{
    struct gate *gate = state;

    if (gate == NULL)
        return;
    person_free(&gate->person);
    seen_free(&gate->seen);
    waiting_free(&gate->waiting);
    hash_secret_free(gate);
}

static int
gate_open(const void *parameters, struct store *store, void **state)
{
    static const struct waiting_names names = {
        {"waiting", "waiting_settled", "waiting_index"}, "waiting_wakes", "waiting_size", "waiting_senders"};
    struct gate *gate = hash_secret_new(sizeof *gate); /* keys are in it */

    gate->parameters = *(const struct gate_parameters *)parameters;
    log_assert(gate->parameters.hold_ms >= 0 && gate->parameters.hold_bytes >= 0 && gate->parameters.hold_sender_bytes >= 0);
    gate->person.key = &gate->key;
    if (secret_open(store) != 0 ||
        seen_open(&gate->seen, store, &gate->key, gate->parameters.hold_ms) != 0 ||
        consent_open(&gate->consent, store, "consent_rows", "consent_persons") != 0 ||
        waiting_open(&gate->waiting, store, &names) != 0) {
        gate_close(gate);
        return -1;
    }
    *state = gate;
    return 0;
}

static int
gate_load(void *state)
{
    struct gate *gate = state;

    consent_load(&gate->consent);
    if (secret_load(gate->consent.store, &gate->key) != 0)
        return -1;
    return seen_load(&gate->seen) != 0 || waiting_load(&gate->waiting) != 0 ? -1 : 0;
}

static struct hash_id
person_of(struct gate *gate, const struct record *record)
{
    return person_id(&gate->person, gate->parameters.key == GATE_BY_EMAIL ? record->email : record->serial_number);
}

/* The rule: what is known of its person decides on a reading. */
static enum verdict
decide(const struct gate *gate, const struct consent_answer *answer, int64_t time_ms)
{
    if (answer->state == CONSENT_CLOSED)
        return VERDICT_REFUSED;
    if (answer->state == CONSENT_OPEN && (!gate->parameters.as_of || time_ms >= answer->from_ms))
        return VERDICT_PASSED;
    return VERDICT_WAITING;
}

static enum verdict
refuse(const struct arrival *arrival, enum reason reason)
{
    arrival->output->refuse(arrival->output, GATE_STREAM, reason, arrival->record->body);
    return VERDICT_REFUSED;
}

/* What stands for its sender; 0 for those who have no level of their own. */
static uint64_t
sender_of(const struct gate *gate, const struct arrival *arrival)
{
    return arrival->sender.len > 0 ? hash_64(&gate->key, arrival->sender) | 1 : 0;
}

static enum verdict
hold(struct gate *gate, const struct arrival *arrival, const struct hash_id *person)
{
    struct backlog_record record = {
        .arrived_ms = arrival->now_ms,
        .time_ms = arrival->record->time_ms,
        .person = *person,
        .sender = sender_of(gate, arrival),
        .body = arrival->record->body,
    };

    if (gate->parameters.hold_ms == 0)
        return refuse(arrival, REASON_NO_CONSENT);
    const int room = waiting_has_room(&gate->waiting, record.sender, record.body.len, (uint64_t)gate->parameters.hold_bytes,
                                      (uint64_t)gate->parameters.hold_sender_bytes);
    if (room < 0)
        return VERDICT_ERROR;
    if (room == 0) {
        seen_take_back(&gate->seen);
        return refuse(arrival, REASON_HOLD_FULL);
    }
    return waiting_enter(&gate->waiting, &record) == 0 ? VERDICT_WAITING : VERDICT_ERROR;
}

static enum verdict
take_reading(struct gate *gate, const struct arrival *arrival)
{
    struct consent_answer answer;
    uint64_t fingerprint;

    int rc = seen_add(&gate->seen, arrival->record, arrival->now_ms, &fingerprint);
    if (rc != 1)
        return rc == 0 ? VERDICT_DUPLICATE : VERDICT_ERROR;
    const struct hash_id person = person_of(gate, arrival->record);
    if (consent_ask(&gate->consent, &person, &answer) != 0)
        return VERDICT_ERROR;
    switch (decide(gate, &answer, arrival->record->time_ms)) {
    case VERDICT_PASSED:
        arrival->output->emit(arrival->output, arrival->record->body);
        return VERDICT_PASSED;
    case VERDICT_REFUSED:
        return refuse(arrival, REASON_NO_CONSENT);
    default:
        return hold(gate, arrival, &person);
    }
}

static enum verdict
take_row(struct gate *gate, const struct arrival *arrival)
{
    const struct record *record = arrival->record;
    const bool open = record->withdrawn_ms == 0;
    struct hash_id owner, person;

    if (open)
        owner = person_of(gate, record);
    int rc = consent_apply(&gate->consent, arrival->row, open ? &owner : NULL, record, &person);
    if (rc == 0)
        return open ? VERDICT_STALE : VERDICT_PASSED;
    return rc < 0 || waiting_wake(&gate->waiting, &person) != 0 ? VERDICT_ERROR : VERDICT_PASSED;
}

static enum verdict
gate_take(void *state, const struct arrival *arrival)
{
    log_assert(arrival->input == GATE_STREAM || arrival->input == GATE_TABLE);
    return arrival->input == GATE_STREAM ? take_reading(state, arrival) : take_row(state, arrival);
}

struct work {
    struct gate *gate;
    struct output *output;
};

static enum waiting_answer
ask(void *context, const struct backlog_record *record)
{
    struct work *work = context;
    struct consent_answer answer;

    if (waiting_gives_up(record, GATE_STREAM, work->output))
        return WAITING_GO;
    if (consent_ask(&work->gate->consent, &record->person, &answer) != 0)
        return WAITING_ERROR;
    enum verdict verdict = decide(work->gate, &answer, record->time_ms);
    if (verdict == VERDICT_WAITING)
        return WAITING_STAY;
    if (verdict == VERDICT_PASSED)
        work->output->emit(work->output, record->body);
    else
        work->output->refuse(work->output, GATE_STREAM, REASON_NO_CONSENT, record->body);
    work->output->move(work->output, GATE_STREAM, VERDICT_WAITING, verdict);
    return work->output->full(work->output) ? WAITING_GO_LAST : WAITING_GO;
}

static int
expire(void *context, const struct backlog_record *record)
{
    struct work *work = context;

    if (waiting_gives_up(record, GATE_STREAM, work->output))
        return 0;
    work->output->refuse(work->output, GATE_STREAM, REASON_EXPIRED, record->body);
    work->output->move(work->output, GATE_STREAM, VERDICT_WAITING, VERDICT_REFUSED);
    return 0;
}

static int
gate_work(void *state, int64_t now_ms, int64_t wall_ms, unsigned budget, struct output *output)
{
    struct gate *gate = state;
    struct work work = {gate, output};

    (void)wall_ms;
    return waiting_work(&gate->waiting, budget, now_ms - gate->parameters.hold_ms, &work, ask, expire);
}

static int
gate_flush(void *state, int64_t now_ms, int64_t wall_ms)
{
    struct gate *gate = state;

    (void)wall_ms;
    return seen_flush(&gate->seen, now_ms) != 0 || waiting_flush(&gate->waiting) != 0 ? -1 : 0;
}

static int64_t
gate_due_ms(void *state)
{
    struct gate *gate = state;

    return waiting_due_ms(&gate->waiting, gate->parameters.hold_ms);
}

static unsigned
gate_gauges(void *state, struct gauge *gauges)
{
    struct gate *gate = state;

    gauges[0] = (struct gauge){"waiting_bytes", (int64_t)gate->waiting.bytes};
    return 1;
}

const struct operator gate_operator = {
    .name = "gate",
    .open = gate_open,
    .close = gate_close,
    .load = gate_load,
    .take = gate_take,
    .work = gate_work,
    .flush = gate_flush,
    .due_ms = gate_due_ms,
    .gauges = gate_gauges,
};
