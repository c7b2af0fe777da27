/*
 * gate: a reading passes if its person consents, waits while nothing is known, and is refused when the answer is no.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operator/seen.h"
#include "operator_bench.h"

#define HOLD_MS (24 * BENCH_HOUR_MS)
#define MUCH (INT64_C(1) << 40)

/* What one reading takes in the waiting room besides its body. */
#define WAITING_HEAD_BYTES 80

static struct gate_parameters parameters;
static struct bench_setup setup;
static struct bench *bench;

/* Begin with these parameters; the test ends with bench_close. */
static void
begin(enum gate_key key, bool as_of, int64_t hold_ms, int64_t hold_bytes)
{
    parameters = (struct gate_parameters){.key = key, .as_of = as_of, .hold_ms = hold_ms, .hold_bytes = hold_bytes,
                                          .hold_sender_bytes = hold_bytes};
    setup = bench_gate(&parameters);
    bench = bench_open(&setup);
}

static enum verdict
take_reading(const char *json)
{
    return bench_take(bench, GATE_STREAM, "", json);
}

static void
take_row(const char *row, const char *json)
{
    assert_int_equal(bench_take(bench, GATE_TABLE, row, json), VERDICT_PASSED);
}

static int64_t
counted(enum verdict verdict)
{
    return bench->counts[GATE_STREAM].verdicts[verdict];
}

/* Any order. */

/* Two persons share trainer s1, one has two trainers, one is no customer. Bit i of passes: reading i comes out. */
static void
what_passes_does_not_depend_on_the_order_of_arrival(void **state)
{
    static const struct {
        enum gate_key key;
        bool as_of;
        unsigned passes;
    } cases[] = {
        {GATE_BY_EMAIL, false, 0x7},
        {GATE_BY_EMAIL, true, 0x5}, /* ann's at 150 by her second row's consent; not the one at 99 */
        {GATE_BY_SERIAL_NUMBER, false, 0x7},
        {GATE_BY_SERIAL_NUMBER, true, 0x6},
    };

    (void)state;
    for (unsigned c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const bool by_email = cases[c].key == GATE_BY_EMAIL;
        const struct bench_record records[] = {
            {GATE_STREAM, "", by_email ? bench_phone("ann", 150, 1) : bench_step_trainer("s1", 99, 1)},
            {GATE_STREAM, "", by_email ? bench_phone("ann", 99, 1) : bench_step_trainer("s1", 100, 1)},
            {GATE_STREAM, "", by_email ? bench_phone("bob", 300, 1) : bench_step_trainer("s2", 300, 1)},
            {GATE_STREAM, "", by_email ? bench_phone("cleo", 900, 1) : bench_step_trainer("s9", 900, 1)},
            {GATE_TABLE, "a1", bench_customer("ann", "s1", 1000, 200)},
            {GATE_TABLE, "a2", bench_customer("ann", "s2", 1000, 100)},
            {GATE_TABLE, "b1", bench_customer("bob", "s1", 1000, by_email ? 300 : 100)},
        };
        struct buffer expected = {0};
        for (unsigned i = 0; i < 4; i++) {
            if (cases[c].passes >> i & 1)
                buffer_printf(&expected, "emit %s\n", records[i].json);
        }
        char *text = strdup(buffer_text(&expected));
        char *sorted = bench_sorted(text, "emit");
        begin(cases[c].key, cases[c].as_of, HOLD_MS, MUCH);
        bench_every_order(bench, records, 7, false, bench_output_emitted, sorted);
        bench_every_order(bench, records, 7, true, bench_output_emitted, sorted);
        bench_close(bench);
        free(sorted);
        free(text);
        buffer_free(&expected);
    }
}

static void
as_of_lets_through_from_the_date_of_consent_on(void **state)
{
    static const struct {
        int64_t time_ms;
        enum verdict verdict;
    } rows[] = {{0, VERDICT_WAITING},   {999, VERDICT_WAITING},  {1000, VERDICT_PASSED},
                {1001, VERDICT_PASSED}, {BENCH_START_MS, VERDICT_PASSED}};

    (void)state;
    for (unsigned late = 0; late < 2; late++) { /* whether the customer comes after the readings */
        begin(GATE_BY_EMAIL, true, HOLD_MS, MUCH);
        if (!late)
            take_row("a1", bench_customer("ann", "s1", 5000, 1000));
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
            assert_int_equal(take_reading(bench_phone("ann", rows[i].time_ms, 1)),
                             late ? VERDICT_WAITING : rows[i].verdict);
        if (late)
            take_row("a1", bench_customer("ann", "s1", 5000, 1000));
        bench_settle(bench, 1);
        assert_int_equal(counted(VERDICT_PASSED), 3);
        /* An earlier consent lets the next one through; what stays is refused when its time is up. */
        take_row("a2", bench_customer("ann", "s2", 5000, 999));
        bench_settle(bench, 1);
        assert_int_equal(counted(VERDICT_PASSED), 4);
        bench_advance(bench, HOLD_MS);
        assert_int_equal(counted(VERDICT_REFUSED), 1);
        assert_int_equal(bench_count_lines(bench, "refuse accelerometer expired"), 1);
        bench_close(bench);
    }
}

/* Withdrawal. */

static void
a_withdrawal_closes_the_gate_at_once(void **state)
{
    (void)state;
    begin(GATE_BY_EMAIL, true, HOLD_MS, MUCH);
    bench->rehearse = true;
    take_row("a1", bench_customer("ann", "s1", 100, 50));
    assert_int_equal(take_reading(bench_phone("ann", 60, 1)), VERDICT_PASSED);
    assert_int_equal(take_reading(bench_phone("ann", 10, 1)), VERDICT_WAITING);
    take_row("a1", bench_withdrawn(200));
    assert_int_equal(take_reading(bench_phone("ann", 61, 1)), VERDICT_REFUSED); /* before any work */
    bench_settle(bench, 1);
    assert_int_equal(counted(VERDICT_WAITING), 0);
    assert_int_equal(counted(VERDICT_REFUSED), 2);
    assert_int_equal(bench_count_lines(bench, "refuse accelerometer no_consent"), 2);
    /* An older row does not bring the person back. */
    assert_int_equal(bench_take(bench, GATE_TABLE, "a1", bench_customer("ann", "s1", 199, 50)), VERDICT_STALE);
    assert_int_equal(take_reading(bench_phone("ann", 62, 1)), VERDICT_REFUSED);
    /* A marker for a row that was never there closes nothing; one of two rows leaves the gate open. */
    take_row("b1", bench_withdrawn(200));
    assert_int_equal(take_reading(bench_phone("bob", 10, 1)), VERDICT_WAITING);
    take_row("b1", bench_customer("bob", "s1", 300, 5));
    take_row("b2", bench_customer("bob", "s2", 300, 50));
    take_row("b1", bench_withdrawn(400));
    assert_int_equal(take_reading(bench_phone("bob", 51, 1)), VERDICT_PASSED);
    assert_int_equal(take_reading(bench_phone("bob", 49, 1)), VERDICT_WAITING);
    /* Consent given again. */
    take_row("a1", bench_customer("ann", "s1", 500, 400));
    assert_int_equal(take_reading(bench_phone("ann", 400, 2)), VERDICT_PASSED);
    bench_close(bench);
}

static void
readings_released_but_not_yet_out_are_caught_by_a_withdrawal(void **state)
{
    (void)state;
    begin(GATE_BY_SERIAL_NUMBER, false, HOLD_MS, MUCH);
    for (int i = 0; i < 10; i++)
        take_reading(bench_step_trainer("s1", 100 + i, i));
    take_row("a1", bench_customer("ann", "s1", 100, 50));
    assert_int_equal(bench_work(bench, 4), 4);
    take_row("a1", bench_withdrawn(200));
    bench_settle(bench, 3);
    assert_int_equal(counted(VERDICT_PASSED), 4);
    assert_int_equal(counted(VERDICT_REFUSED), 6);
    bench_close(bench);
}

/* A release of thousands, a few at a time, with arrivals and a withdrawal in between. */
static void
thousands_are_released_in_chunks(void **state)
{
    enum { WAITING = 5000 };
    static const struct {
        unsigned budget, withdrawn_after; /* calls of work; 0: never */
    } cases[] = {{7, 0}, {100, 0}, {999, 0}, {7, 300}, {100, 20}, {5000, 1}};

    (void)state;
    for (unsigned c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        unsigned later = 0, calls = 0;
        int done;
        begin(GATE_BY_EMAIL, false, HOLD_MS, MUCH);
        for (int i = 0; i < WAITING; i++)
            assert_int_equal(take_reading(bench_phone("ann", (i * 37) % 1000, i)), VERDICT_WAITING);
        take_reading(bench_phone("bob", 5, 1));
        take_row("a1", bench_customer("ann", "s1", 100, 50));
        bench_commit(bench);
        do {
            done = bench_work(bench, cases[c].budget);
            assert_true(done <= (int)cases[c].budget + 100);
            if (++calls == cases[c].withdrawn_after) {
                take_row("a1", bench_withdrawn(200));
                break;
            }
            if (calls % 3 == 0) /* below and above where the release is */
                assert_int_equal(take_reading(bench_phone("ann", calls % 2 ? 1 : 999, -(int)++later)), VERDICT_PASSED);
            if (calls % 5 == 0)
                bench_commit(bench);
            if (calls % 40 == 0)
                bench_reopen(bench);
        } while (done >= (int)cases[c].budget);
        const unsigned out = bench_count_lines(bench, "emit ");
        assert_int_equal(out, cases[c].withdrawn_after == 0 ? WAITING + later : calls * cases[c].budget + later);
        bench_settle(bench, cases[c].budget);
        assert_int_equal(bench_count_lines(bench, "emit "), out);
        assert_int_equal(counted(VERDICT_PASSED), out);
        assert_int_equal(counted(VERDICT_REFUSED), WAITING + later - out);
        assert_int_equal(counted(VERDICT_WAITING), 1);
        char *all = bench_output_emitted(bench); /* nobody twice */
        for (char *line = all, *end; *line != '\0'; line = end + 1) {
            end = strchr(line, '\n');
            assert_true(strncmp(line, end + 1, (size_t)(end + 1 - line)) != 0);
        }
        free(all);
        bench_close(bench);
    }
}

/* Hold. */

static void
without_hold_no_reading_is_kept(void **state)
{
    (void)state;
    begin(GATE_BY_EMAIL, true, 0, MUCH);
    assert_int_equal(take_reading(bench_phone("secret.person", 100, 424242)), VERDICT_REFUSED);
    take_row("a1", bench_customer("ann", "s1", 300, 200));
    assert_int_equal(take_reading(bench_phone("ann", 199, 424242)), VERDICT_REFUSED);
    assert_int_equal(take_reading(bench_phone("ann", 200, 424242)), VERDICT_PASSED);
    assert_int_equal(bench_count_lines(bench, "refuse accelerometer no_consent"), 2);
    bench_commit(bench);
    const int room = store_table(bench->store, "waiting");
    assert_int_equal(store_snapshot(bench->store), 0);
    assert_int_equal(store_count(bench->store, room), 0);
    store_snapshot_end(bench->store);
    assert_false(bench_file_holds(bench, "secret.person"));
    assert_false(bench_file_holds(bench, "424242"));
    bench_close(bench);
    begin(GATE_BY_EMAIL, true, 1, MUCH); /* so that the look is one */
    take_reading(bench_phone("secret.person", 100, 424242));
    assert_true(bench_file_holds(bench, "secret.person"));
    bench_close(bench);
}

static void
a_reading_waits_for_exactly_hold(void **state)
{
    static const int64_t holds[] = {1, BENCH_SECOND_MS, BENCH_HOUR_MS, HOLD_MS};

    (void)state;
    for (unsigned i = 0; i < sizeof holds / sizeof holds[0]; i++) {
        begin(GATE_BY_SERIAL_NUMBER, false, holds[i], MUCH);
        take_reading(bench_step_trainer("s1", 1, 1));
        bench_advance(bench, holds[i] - 1);
        assert_int_equal(setup.operator->due_ms(bench->state), BENCH_START_MS + holds[i]);
        assert_int_equal(counted(VERDICT_WAITING), 1);
        bench_advance(bench, 1);
        assert_int_equal(counted(VERDICT_WAITING), 0);
        assert_int_equal(counted(VERDICT_REFUSED), 1);
        assert_string_equal(buffer_text(&bench->lines), "refuse step_trainer expired\n");
        take_row("a1", bench_customer("ann", "s1", 1, 1));
        bench_settle(bench, 1);
        assert_int_equal(counted(VERDICT_PASSED), 0);
        bench_close(bench);
    }
}

static void
the_waiting_room_has_a_size(void **state)
{
    const char *first = bench_phone("ann", 1, 1);
    const int64_t bytes = WAITING_HEAD_BYTES + (int64_t)strlen(first) - 2; /* without braces */
    struct gauge gauges[OPERATOR_GAUGES_MAX];

    (void)state;
    begin(GATE_BY_EMAIL, false, HOLD_MS, 2 * bytes);
    bench->rehearse = true;
    assert_int_equal(take_reading(first), VERDICT_WAITING);
    assert_int_equal(take_reading(bench_phone("bob", 1, 11)), VERDICT_REFUSED); /* one byte too many */
    assert_int_equal(bench_count_lines(bench, "refuse accelerometer hold_full"), 1);
    assert_int_equal(take_reading(bench_phone("bob", 1, 11)), VERDICT_REFUSED); /* and no duplicate */
    assert_int_equal(take_reading(bench_phone("bob", 1, 1)), VERDICT_WAITING);
    assert_int_equal(setup.operator->gauges(bench->state, gauges), 1);
    assert_int_equal(gauges[0].value, 2 * bytes);
    bench_reopen(bench);
    assert_int_equal(take_reading(bench_phone("bob", 2, 1)), VERDICT_REFUSED);
    take_row("a1", bench_customer("ann", "s1", 1, 1));
    bench_settle(bench, 1);
    assert_int_equal(take_reading(bench_phone("bob", 3, 1)), VERDICT_WAITING);
    bench_advance(bench, HOLD_MS);
    assert_int_equal(setup.operator->gauges(bench->state, gauges), 1);
    assert_int_equal(gauges[0].value, 0);
    bench_close(bench);
}

/* One device could fill the room of all. */
static void
bug_355_a_sender_has_a_share_of_the_waiting_room(void **state)
{
    const char *first = bench_phone("ann", 1, 1);
    const int64_t bytes = WAITING_HEAD_BYTES + (int64_t)strlen(first) - 2;

    (void)state;
    begin(GATE_BY_EMAIL, false, HOLD_MS, 5 * bytes);
    parameters.hold_sender_bytes = 2 * bytes;
    bench_reopen(bench);
    bench->rehearse = true;
    for (unsigned s = 0; s < 3; s++) {
        static const char *const senders[] = {NULL, "evil", "good"}; /* those without a level are one */
        bench->sender = senders[s];
        assert_int_equal(take_reading(bench_phone("ann", 1, (int)(3 * s + 1))), VERDICT_WAITING);
        bench_reopen(bench); /* what they have is kept */
        if (s == 2)
            break; /* there is room for five in all */
        assert_int_equal(take_reading(bench_phone("ann", 1, (int)(3 * s + 2))), VERDICT_WAITING);
        assert_int_equal(take_reading(bench_phone("ann", 1, (int)(3 * s + 3))), VERDICT_REFUSED);
    }
    assert_int_equal(take_reading(bench_phone("ann", 1, 8)), VERDICT_REFUSED);
    assert_int_equal(bench_count_lines(bench, "refuse accelerometer hold_full"), 3);
    /* What comes out is given back to whose it was. */
    take_row("a1", bench_customer("ann", "s1", 1, 1));
    bench_settle(bench, 1);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(take_reading(bench_phone("bob", 2, (int)i)), VERDICT_WAITING);
    assert_int_equal(take_reading(bench_phone("bob", 2, 2)), VERDICT_REFUSED);
    bench_advance(bench, HOLD_MS);
    bench_settle(bench, 1);
    assert_int_equal(take_reading(bench_phone("bob", 3, 0)), VERDICT_WAITING);
    bench_commit(bench);
    const int senders = store_table(bench->store, "waiting_senders");
    bench_begin(bench);
    assert_int_equal(store_count(bench->store, senders), 1); /* of those of whom nothing waits there is nothing */
    bench_close(bench);
}

/* Duplicates. */

static void
a_reading_passes_once_until_hold_is_over(void **state)
{
    static const struct {
        int64_t hold_ms, remembered_ms;
    } rows[] = {{0, 10 * BENCH_MINUTE_MS}, {BENCH_MINUTE_MS, 10 * BENCH_MINUTE_MS}, {BENCH_HOUR_MS, BENCH_HOUR_MS}};

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(GATE_BY_EMAIL, false, rows[i].hold_ms, MUCH);
        take_row("a1", bench_customer("ann", "s1", 1, 1));
        assert_int_equal(take_reading("{\"user\":\"ann\",\"timestamp\":5,\"x\":1,\"y\":0,\"z\":0}"), VERDICT_PASSED);
        assert_int_equal(take_reading("{\"user\":\"ann\",\"timeStamp\":5,\"x\":1.0,\"y\":0,\"z\":0e1}"),
                         VERDICT_DUPLICATE);
        bench_advance(bench, rows[i].remembered_ms - 1);
        assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_DUPLICATE);
        bench_advance(bench, 1);
        assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_PASSED);
        assert_int_equal(bench_count_lines(bench, "emit "), 2);
        bench_close(bench);
    }
}

static void
one_that_waits_comes_out_once_however_often_it_was_sent(void **state)
{
    (void)state;
    begin(GATE_BY_EMAIL, false, HOLD_MS, MUCH);
    assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_WAITING);
    assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_DUPLICATE);
    take_row("a1", bench_customer("ann", "s1", 1, 1));
    take_row("a2", bench_customer("ann", "s2", 1, 1));
    bench_settle(bench, 1);
    assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_DUPLICATE);
    assert_int_equal(bench_count_lines(bench, "emit "), 1);
    bench_close(bench);
}

/* With a hold of less than ten minutes a reading is refused before it is forgotten: it must not wait a second time
 * under the key of the first. */
static void
an_expired_reading_may_wait_again(void **state)
{
    (void)state;
    for (int64_t hold_ms = BENCH_MINUTE_MS; hold_ms <= HOLD_MS; hold_ms *= 24 * 60) {
        begin(GATE_BY_EMAIL, false, hold_ms, MUCH);
        bench->rehearse = true;
        for (unsigned round = 1; round <= 3; round++) {
            assert_int_equal(take_reading(bench_phone("ann", 5, 1)), VERDICT_WAITING);
            bench_advance(bench, hold_ms > REDELIVERY_MS ? hold_ms : REDELIVERY_MS);
            assert_int_equal(counted(VERDICT_REFUSED), round);
        }
        bench_close(bench);
    }
}

/* Seeded steps against the rule as one would write it down. */

#define PERSONS 3
#define ROWS 5
#define READINGS 40

#define SENDERS 3 /* the first has no level of its own */

struct model {
    int64_t now_ms;
    int64_t as_of_ms[ROWS]; /* −1 never there, 0 withdrawn */
    int64_t forgotten_ms[READINGS];
    int64_t expires_ms[READINGS]; /* of those that wait, else 0 */
    int64_t bytes;
    int64_t sender_bytes[SENDERS];
    struct buffer lines;
};

static unsigned
sender_of_reading(unsigned reading)
{
    return reading / 2 % SENDERS;
}

static unsigned
person_of_row(unsigned row)
{
    return row % PERSONS;
}

static unsigned
person_of_reading(unsigned reading)
{
    return reading % PERSONS;
}

static const char *
name_of(unsigned person)
{
    return bench_text("p%u", person);
}

static int64_t
time_of(unsigned reading)
{
    return 100 + reading / PERSONS * 10;
}

static const char *
json_of(unsigned reading)
{
    const char *name = name_of(person_of_reading(reading));

    return parameters.key == GATE_BY_EMAIL ? bench_phone(name, time_of(reading), (int)reading)
                                           : bench_step_trainer(name, time_of(reading), (int)reading);
}

static const char *
kind_word(void)
{
    return parameters.key == GATE_BY_EMAIL ? "accelerometer" : "step_trainer";
}

static void
model_decide(struct model *model, unsigned reading, bool arrives)
{
    bool open = false, known = false;
    const int64_t size = WAITING_HEAD_BYTES + (int64_t)strlen(json_of(reading)) - 2;
    int64_t *sender_bytes = &model->sender_bytes[sender_of_reading(reading)];

    for (unsigned r = 0; r < ROWS; r++) {
        if (person_of_row(r) != person_of_reading(reading) || model->as_of_ms[r] < 0)
            continue;
        known = known || model->as_of_ms[r] == 0;
        open = open || model->as_of_ms[r] > 0;
    }
    bool pass = false;
    for (unsigned r = 0; r < ROWS; r++)
        pass = pass || (person_of_row(r) == person_of_reading(reading) && model->as_of_ms[r] > 0 &&
                        (!parameters.as_of || time_of(reading) >= model->as_of_ms[r]));
    const char *refusal = NULL;
    if (known && !open)
        refusal = "no_consent";
    else if (!pass && arrives && parameters.hold_ms == 0)
        refusal = "no_consent";
    else if (!pass && arrives &&
             (model->bytes + size > parameters.hold_bytes || *sender_bytes + size > parameters.hold_sender_bytes))
        refusal = "hold_full";
    if (refusal != NULL && strcmp(refusal, "hold_full") == 0)
        model->forgotten_ms[reading] = 0; /* there may be room when it is sent again */
    if (pass)
        buffer_printf(&model->lines, "emit %s\n", json_of(reading));
    else if (refusal != NULL)
        buffer_printf(&model->lines, "refuse %s %s\n", kind_word(), refusal);
    if (arrives && !pass && refusal == NULL) {
        model->expires_ms[reading] = model->now_ms + parameters.hold_ms;
        model->bytes += size;
        *sender_bytes += size;
    } else if (!arrives && (pass || refusal != NULL)) {
        model->expires_ms[reading] = 0;
        model->bytes -= size;
        *sender_bytes -= size;
    }
}

static void
model_advance(struct model *model, int64_t ms)
{
    model->now_ms += ms;
    for (unsigned i = 0; i < READINGS; i++) {
        if (model->expires_ms[i] != 0 && model->expires_ms[i] <= model->now_ms) {
            buffer_printf(&model->lines, "refuse %s expired\n", kind_word());
            model->expires_ms[i] = 0;
            const int64_t size = WAITING_HEAD_BYTES + (int64_t)strlen(json_of(i)) - 2;
            model->bytes -= size;
            model->sender_bytes[sender_of_reading(i)] -= size;
        }
    }
}

static void
step_reading(struct model *model, unsigned reading)
{
    static const char *const senders[SENDERS] = {NULL, "phone-1", "phone-2"};
    const int64_t hold_ms = parameters.hold_ms > REDELIVERY_MS ? parameters.hold_ms : REDELIVERY_MS;

    bench->sender = senders[sender_of_reading(reading)];
    enum verdict verdict = take_reading(json_of(reading));
    bool duplicate = model->forgotten_ms[reading] > model->now_ms;
    bench_check(bench, (verdict == VERDICT_DUPLICATE) == duplicate, "a duplicate or not");
    if (duplicate)
        return;
    model->forgotten_ms[reading] = model->now_ms + hold_ms;
    model_decide(model, reading, true);
}

static void
step_row(struct model *model, unsigned row, int64_t as_of_ms)
{
    const char *name = name_of(person_of_row(row));
    const char *other = bench_text("r%u", row);
    const char *json = as_of_ms == 0 ? bench_withdrawn(1)
                       : parameters.key == GATE_BY_EMAIL ? bench_customer(name, other, 1, as_of_ms)
                                                         : bench_customer(other, name, 1, as_of_ms);

    take_row(bench_text("row%u", row), json);
    if (as_of_ms == 0 && model->as_of_ms[row] < 0)
        return; /* a marker of a row that is not known */
    model->as_of_ms[row] = as_of_ms;
    for (unsigned i = 0; i < READINGS; i++) {
        if (model->expires_ms[i] != 0 && person_of_reading(i) == person_of_row(row))
            model_decide(model, i, false);
    }
}

/* A transaction that comes to nothing: other steps than those that follow it must leave no trace in memory. */
static void
do_and_abort(uint64_t *chance)
{
    const bool rehearse = bench->rehearse;
    struct model nobodys = {.now_ms = bench->now_ms, .as_of_ms = {0}};

    bench_commit(bench);
    bench->rehearse = false;
    for (unsigned step = bench_chance(chance, 6); step > 0; step--) {
        if (bench_chance(chance, 2))
            take_reading(json_of(bench_chance(chance, READINGS)));
        else
            step_row(&nobodys, bench_chance(chance, ROWS), 200 * bench_chance(chance, 2));
        if (bench_chance(chance, 2))
            bench_work(bench, 1 + bench_chance(chance, 4));
    }
    bench_abort(bench);
    bench->rehearse = rehearse;
}

static void
run_seed(unsigned seed)
{
    static const int64_t holds[] = {0, BENCH_MINUTE_MS, BENCH_HOUR_MS};
    uint64_t chance = seed * UINT64_C(0x9E3779B97F4A7C15);
    struct model model = {.now_ms = BENCH_START_MS, .as_of_ms = {-1, -1, -1, -1, -1}};

    begin(bench_chance(&chance, 2) ? GATE_BY_EMAIL : GATE_BY_SERIAL_NUMBER, bench_chance(&chance, 2),
          holds[bench_chance(&chance, 3)], bench_chance(&chance, 2) ? MUCH : 600);
    if (bench_chance(&chance, 2)) {
        parameters.hold_sender_bytes = 300;
        bench_reopen(bench);
    }
    bench->seed = seed;
    bench->rehearse = bench_chance(&chance, 4) == 0;
    for (unsigned step = 0; step < 120; step++) {
        const unsigned what = bench_chance(&chance, 20);
        buffer_clear(&model.lines);
        bench_forget_lines(bench);
        if (what < 13) {
            step_reading(&model, bench_chance(&chance, READINGS));
        } else if (what < 17) {
            const unsigned row = bench_chance(&chance, ROWS);
            step_row(&model, row, bench_chance(&chance, 3) == 0 ? 0 : 100 + 10 * bench_chance(&chance, 14));
        } else {
            const int64_t ms = bench_chance(&chance, 2) ? BENCH_MINUTE_MS / 2 : 20 * BENCH_MINUTE_MS;
            bench_advance(bench, ms);
            model_advance(&model, ms);
        }
        bench_settle(bench, 1 + bench_chance(&chance, 4));
        char *got = bench_output(bench, "");
        char *lines = strdup(buffer_text(&model.lines));
        char *expected = bench_sorted(lines, "");
        free(lines);
        bench_assert_text(bench, got, expected);
        free(expected);
        if (bench_chance(&chance, 10) == 0)
            do_and_abort(&chance);
        if (bench_chance(&chance, 60) == 0)
            bench_reopen(bench);
    }
    bench_close(bench);
    buffer_free(&model.lines);
}

static void
chance_agrees_with_the_rule(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 500; seed++)
        run_seed(seed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_does_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(as_of_lets_through_from_the_date_of_consent_on),
        cmocka_unit_test(a_withdrawal_closes_the_gate_at_once),
        cmocka_unit_test(readings_released_but_not_yet_out_are_caught_by_a_withdrawal),
        cmocka_unit_test(thousands_are_released_in_chunks),
        cmocka_unit_test(without_hold_no_reading_is_kept),
        cmocka_unit_test(a_reading_waits_for_exactly_hold),
        cmocka_unit_test(the_waiting_room_has_a_size),
        cmocka_unit_test(bug_355_a_sender_has_a_share_of_the_waiting_room),
        cmocka_unit_test(a_reading_passes_once_until_hold_is_over),
        cmocka_unit_test(one_that_waits_comes_out_once_however_often_it_was_sent),
        cmocka_unit_test(an_expired_reading_may_wait_again),
        cmocka_unit_test(chance_agrees_with_the_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
