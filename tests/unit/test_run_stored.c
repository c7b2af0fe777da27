/* stored: what was forged, damaged or deadly before it was stored, or there: no process dies of it at every start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "memory_process.h"
#include "operator/join.h"

#define FEED(producer) "gait/link/" producer "/machine-learning-curated/feed"
#define STEP(time) "{\"sensorReadingTime\":" time ",\"serialNumber\":\"s\",\"distanceFromObject\":1}"
#define CUSTOMER                                                                                                       \
    "{\"customerName\":\"A\",\"email\":\"a@example.org\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","                     \
    "\"serialNumber\":\"s\",\"registrationDate\":5,\"lastUpdateDate\":1234567,\"shareWithResearchAsOfDate\":1234567}"

/* As from a producer, or whoever may publish there. */
static void
feed(const char *topic, uint64_t sequence, const char *payload)
{
    const struct wire_message message = {
        .topic = span_of(topic), .payload = span_of(payload), .epoch = 7, .sequence = sequence};
    memory_route(&bench.broker, &message);
    bench_settle();
}

static uint64_t
counted(unsigned input, enum verdict verdict)
{
    return bench.process->ledger.inputs[input].verdicts[verdict];
}

static void
bug_361_a_forged_reading_is_invalid_and_its_link_goes_on(void **state)
{
    (void)state;
    static const char *const times[] = {"9223372036854775807", "-1", "-9223372036854775808", "253402300800000"};
    bench_open_process(&machine_learning_curated, NULL);
    for (unsigned i = 0; i < 4; i++) {
        char payload[256];
        snprintf(payload, sizeof payload, STEP("%s"), times[i]);
        feed(FEED("step-trainer-trusted"), 2 * i + 1, payload);
        assert_int_equal(counted(JOIN_STEP_TRAINER, VERDICT_INVALID), i + 1);
        assert_non_null(strstr(bench_heard("gait/rejected/machine-learning-curated", 0)->payload,
                               "\"out_of_range\",\"field\":\"sensorReadingTime\""));
        feed(FEED("step-trainer-trusted"), 2 * i + 2, STEP("1600000000000"));
        assert_int_equal(counted(JOIN_STEP_TRAINER, VERDICT_WAITING), i + 1);
        assert_int_equal(bench.process->links[JOIN_STEP_TRAINER].committed.applied, 2 * i + 2);
    }
    feed(FEED("customer-curated") "/r1", 1, CUSTOMER);
    assert_int_equal(counted(JOIN_TABLE, VERDICT_PASSED), 1);
}

static void
bug_362_a_row_that_has_no_name_is_a_strangers(void **state)
{
    (void)state;
    static const char *const rests[] = {"", "/", "/a/b", "/a b", "/\xc3\xa9",
                                        "/0123456789012345678901234567890123456789012345678901234567890123x"};
    bench_open_process(&machine_learning_curated, NULL);
    for (unsigned i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        char topic[256];
        snprintf(topic, sizeof topic, FEED("customer-curated") "%s", rests[i]);
        feed(topic, 1, CUSTOMER);
        assert_int_equal(bench.process->ledger.inputs[JOIN_TABLE].taken, 0);
    }
    feed(FEED("step-trainer-trusted") "/r1", 1, STEP("1600000000000"));
    assert_int_equal(bench.process->ledger.inputs[JOIN_STEP_TRAINER].taken, 0);
    feed(FEED("customer-curated") "/r_1-A", 1, CUSTOMER);
    assert_int_equal(counted(JOIN_TABLE, VERDICT_PASSED), 1);
}

/* A record that kills: the operator of the process dies of it, as of a fault of ours that nobody knows yet. */

#define LANDING "gait/landing/accelerometer"
#define READING(user, time) "{\"user\":\"" user "\",\"timestamp\":" time ",\"x\":1.0,\"y\":-0.5,\"z\":0}\n"
#define LIVES_MAX 40

static struct stream deadly;
static struct operator deadly_operator;
static unsigned taken_before_death; /* UINT_MAX: nothing kills but the record */

static enum verdict
take_or_die(void *state, const struct arrival *arrival)
{
    if (span_is(arrival->record->email, "poison") || taken_before_death-- == 0)
        _exit(9); /* no last words: the way of kill -9 and of a segmentation fault */
    return accelerometer_trusted.operator->take(state, arrival);
}

static void
make_deadly(void)
{
    deadly_operator = *accelerometer_trusted.operator;
    deadly_operator.take = take_or_die;
    deadly = accelerometer_trusted;
    deadly.operator = &deadly_operator;
    taken_before_death = UINT_MAX;
}

/* One life of the process, in a process of its own: opened, given what `send` sends, worked, closed. Whether it lived. */
static bool
live(void (*send)(void))
{
    const pid_t pid = fork();
    int status;
    assert_true(pid >= 0);
    if (pid == 0) {
        bench_open_process(&deadly, NULL);
        if (send != NULL)
            send();
        bench_settle();
        bench_close_process();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Start it again and again until it lives. How often it died. */
static unsigned
live_on(void)
{
    unsigned deaths = 0;
    while (!live(NULL))
        assert_true(++deaths < LIVES_MAX);
    return deaths;
}

static void
send_poison(void)
{
    struct buffer payload = {0};
    for (unsigned i = 0; i < 5; i++)
        buffer_add_text(&payload, READING("ann", "1600000000001"));
    buffer_add_text(&payload, READING("poison", "1600000000000"));
    for (unsigned i = 0; i < 5; i++)
        buffer_add_text(&payload, READING("bob", "1600000000001"));
    bench_send(LANDING, READING("eve", "1600000000000"), NULL, NULL);
    bench_send(LANDING "/phone", buffer_text(&payload), "somebody/else", "7");
    bench_send(LANDING, READING("dan", "1600000000000"), NULL, NULL);
    buffer_free(&payload);
}

static void
bug_363_a_record_that_kills_is_set_aside(void **state)
{
    (void)state;
    struct span value;
    char key[8];
    make_deadly();
    assert_false(live(send_poison));
    assert_int_equal(live_on(), ATTEMPT_SUSPECTED + ATTEMPT_DEATHS - 1);
    bench_open_process(&deadly, NULL);
    assert_int_equal(bench.process->ledger.inputs[0].taken, 13);
    assert_int_equal(counted(0, VERDICT_INVALID), 1);
    assert_int_equal(counted(0, VERDICT_WAITING), 4); /* repeats are duplicates */
    assert_int_equal(bench.process->ledger.reasons[REASON_POISON], 1);
    assert_int_equal(inbox_end(bench.process->inbox), bench.process->inbox_position);
    assert_int_equal(store_begin(bench.process->store), 0);
    bytes_put_u64(key, 1);
    assert_int_equal(store_get(bench.process->store, bench.process->aside, span_at(key, sizeof key), &value), 1);
    assert_true(value.len > 1 && strstr(strndupa(value.at + 1, value.len - 1), "poison") != NULL);
    store_abort(bench.process->store);
}

/* Three kills at one and the same record would be taken for its doing; but one that moves is nobody's. */
static void
kills_at_random_set_nothing_aside(void **state)
{
    (void)state;
    make_deadly();
    taken_before_death = 3;
    assert_false(live(send_poison));
    deadly_operator.take = accelerometer_trusted.operator->take;
    for (unsigned i = 0; i < 2; i++)
        assert_true(live(NULL));
    bench_open_process(&deadly, NULL);
    assert_int_equal(bench.process->ledger.inputs[0].taken, 13);
    assert_int_equal(bench.process->ledger.reasons[REASON_POISON], 0);
    assert_false(attempt_is_careful(&bench.process->attempt));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bug_361_a_forged_reading_is_invalid_and_its_link_goes_on, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_362_a_row_that_has_no_name_is_a_strangers, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(bug_363_a_record_that_kills_is_set_aside, bench_begin, bench_end),
        cmocka_unit_test_setup_teardown(kills_at_random_set_nothing_aside, bench_begin, bench_end),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
