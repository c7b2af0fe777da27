/*
 * What `gait status` reads out of a process's answer: the broker carries what anybody publishes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/answer.h"
#include "operator/gate.h"

#define MAX INT64_MAX

static const char document[] =
    "{\"process\":\"accelerometer-trusted\",\"version\":\"1\",\"pid\":7,\"state\":\"stopped\",\"why\":\"disk full\","
    "\"inputs\":["
    "{\"name\":\"customer\",\"from\":\"customer-trusted\",\"epoch\":\"00000000000000aa\",\"applied\":12,\"taken\":2,"
    "\"passed\":2},"
    "{\"name\":\"accelerometer\",\"from\":\"landing\",\"taken\":21,\"passed\":1,\"waiting\":2,\"refused\":3,"
    "\"duplicate\":4,\"stale\":5,\"invalid\":6}],"
    "\"output\":{\"topic\":\"trusted/accelerometer\",\"epoch\":\"00000000000000bb\",\"last\":9,"
    "\"consumers\":[{\"name\":\"customer-curated\",\"applied\":7},{\"name\":\"warehouse\",\"applied\":0}]},"
    "\"reasons\":{\"no_consent\":3,\"unheard_of\":1},\"gauges\":{},\"inbox_bytes\":100,\"due\":1}";

static void
test_reads_a_whole_document(void **state)
{
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(document), &answer), 0);
    assert_string_equal(answer.process, "accelerometer-trusted");
    assert_string_equal(answer.state, "stopped");
    assert_string_equal(answer.why, "disk full");
    assert_int_equal(answer.pid, 7);
    assert_int_equal(answer.inbox_bytes, 100);
    assert_int_equal(answer.due, 1);
    assert_string_equal(answer.epoch, "00000000000000bb");
    assert_int_equal(answer.last, 9);
    assert_int_equal(answer.consumer_count, 2);
    assert_int_equal(answer.consumers[0].applied, 7);
    assert_true(answer_has_consumer(&answer, "warehouse"));
    assert_false(answer_has_consumer(&answer, "lake"));
    assert_int_equal(answer.reasons[REASON_NO_CONSENT], 3);
}

static void
test_bug_276_the_newest_refusals_are_read(void **state)
{
    static const char text[] =
        "{\"process\":\"lake\",\"recent\":{\"bad_json\":[{\"topic\":\"landing/\\u001b[2J\",\"time\":5}],"
        "\"unheard_of\":[{\"topic\":\"t\",\"time\":1}],\"too_large\":7,\"expired\":[7,{\"field\":\"x\"},{},{},{},{}],"
        "\"bad_type\":[{\"field\":\"user\",\"topic\":\"t\",\"time\":1600000000000}]}}";
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    assert_int_equal(answer.recent_count[REASON_BAD_JSON], 1);
    assert_string_equal(answer.recent[REASON_BAD_JSON][0].topic, "landing/?[2J");
    assert_string_equal(answer.recent[REASON_BAD_JSON][0].field, "");
    assert_int_equal(answer.recent[REASON_BAD_JSON][0].time_ms, 5);
    assert_int_equal(answer.recent_count[REASON_TOO_LARGE], 0);
    assert_int_equal(answer.recent_count[REASON_EXPIRED], ANSWER_RECENT_MAX);
    assert_string_equal(answer.recent[REASON_EXPIRED][1].field, "x");
    assert_string_equal(answer.recent[REASON_BAD_TYPE][0].field, "user");
    assert_int_equal(answer.recent[REASON_BAD_TYPE][0].time_ms, INT64_C(1600000000000));
    assert_int_equal(answer_decode(span_of(document), &answer), 0);
    assert_int_equal(answer.recent_count[REASON_BAD_JSON], 0);
}

static void
test_inputs_stand_in_declared_order(void **state)
{
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(document), &answer), 0);
    for (int i = 0; i < ANSWER_COUNTERS; i++)
        assert_int_equal(answer.inputs[0].counters[i], i == ANSWER_TAKEN ? 21 : i);
    assert_int_equal(answer.inputs[1].applied, 12);
    assert_string_equal(answer.inputs[1].epoch, "00000000000000aa");
}

static void
test_an_input_from_elsewhere_is_not_ours(void **state)
{
    static const char text[] = "{\"process\":\"customer-trusted\",\"inputs\":[{\"name\":\"customer\",\"from\":\"lake\","
                               "\"taken\":5}]}";
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    assert_int_equal(answer.inputs[0].counters[ANSWER_TAKEN], 0);
}

static void
test_refuses_what_is_no_answer(void **state)
{
    static const char *const texts[] = {
        "", "online", "[]", "{}", "{\"process\":1}", "{\"process\":\"unheard-of\"}",
        "{\"process\":\"lake\"} x", "{\"process\":\"lake\",\"process\":\"lake\"}",
    };
    struct answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(answer_decode(span_of(texts[i]), &answer), -1);
}

static void
test_odd_types_count_as_absent(void **state)
{
    static const char text[] = "{\"process\":\"lake\",\"state\":[1],\"pid\":\"x\",\"inputs\":[3,null,{\"name\":{}}],"
                               "\"output\":[],\"reasons\":\"no_consent\",\"due\":1e999}";
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    assert_string_equal(answer.state, "");
    assert_int_equal(answer.pid, 0);
    assert_int_equal(answer.consumer_count, 0);
    assert_int_equal(answer.due, 0);
}

static void
test_texts_do_not_speak_to_the_terminal(void **state)
{
    static const char text[] = "{\"process\":\"lake\",\"state\":\"a\\u001b[2Jb\",\"why\":\"\\u00e9\"}";
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    assert_string_equal(answer.state, "a?[2Jb");
    assert_string_equal(answer.why, "??");
}

static void
test_more_consumers_than_fit_are_left_out(void **state)
{
    struct buffer text = {NULL, 0, 0};
    struct answer answer;

    (void)state;
    buffer_add_text(&text, "{\"process\":\"customer-trusted\",\"output\":{\"consumers\":[{\"name\":\"first\"}");
    for (int i = 0; i < 2 * CONSUMERS_MAX; i++)
        buffer_printf(&text, ",{\"name\":\"c%d\"}", i);
    buffer_add_text(&text, "]}}");
    assert_int_equal(answer_decode(buffer_span(&text), &answer), 0);
    assert_int_equal(answer.consumer_count, CONSUMERS_MAX);
    assert_string_equal(answer.consumers[0].name, "first");
    buffer_free(&text);
}

static void
test_balance_counts_everything(void **state)
{
    struct answer_input input = {.counters = {21, 1, 2, 3, 4, 5, 6}};

    (void)state;
    assert_true(answer_balances(&input));
    for (int i = 0; i < ANSWER_COUNTERS; i++) {
        input.counters[i]++;
        assert_false(answer_balances(&input));
        input.counters[i]--;
    }
    input = (struct answer_input){.counters = {0, MAX, MAX, MAX, 0, 0, 0}}; /* no overflow that UBSan would stop at */
    assert_false(answer_balances(&input));
}

static void
test_behind_knows_whose_outbox(void **state)
{
    struct answer producer = {.epoch = "aa", .last = 9};
    struct answer_input input = {.epoch = "aa", .applied = 7};

    (void)state;
    assert_int_equal(answer_behind(&input, &producer), 2);
    input.applied = 9;
    assert_int_equal(answer_behind(&input, &producer), 0);
    input.applied = 11; /* answered later than the producer */
    assert_int_equal(answer_behind(&input, &producer), 0);
    input.epoch[0] = 'b';
    assert_int_equal(answer_behind(&input, &producer), 9);
    producer.last = 0; /* nothing was ever given out: nobody is behind */
    assert_int_equal(answer_behind(&input, &producer), 0);
}

/* Numbers of a store that counts from far on, and what no process says: as many as fit, and no less than none. */
static void
test_numbers_beyond_a_double_are_exact(void **state)
{
    static const char text[] =
        "{\"process\":\"accelerometer-trusted\",\"inputs\":["
        "{\"name\":\"customer\",\"from\":\"customer-trusted\",\"epoch\":\"00000000000000aa\",\"applied\":9007199254740993},"
        "{\"name\":\"accelerometer\",\"from\":\"landing\",\"taken\":9007199254740995,\"passed\":-9223372036854775808}],"
        "\"output\":{\"epoch\":\"00000000000000bb\",\"last\":9223372036854775807,"
        "\"consumers\":[{\"name\":\"warehouse\",\"applied\":9223372036854775805},{\"name\":\"x\",\"applied\":-5}]},"
        "\"inbox_bytes\":9223372036854775808}";
    struct answer answer;

    (void)state;
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    assert_true(answer.inputs[GATE_TABLE].applied == INT64_C(9007199254740993));
    assert_true(answer.inputs[GATE_STREAM].counters[ANSWER_TAKEN] == INT64_C(9007199254740995));
    assert_true(answer.inputs[GATE_STREAM].counters[ANSWER_TAKEN + 1] == 0);
    assert_true(answer.last == INT64_MAX);
    assert_true(answer.last - answer.consumers[0].applied == 2);
    assert_true(answer.consumers[1].applied == 0);
    assert_true(answer.inbox_bytes == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_whole_document),
        cmocka_unit_test(test_bug_276_the_newest_refusals_are_read),
        cmocka_unit_test(test_inputs_stand_in_declared_order),
        cmocka_unit_test(test_an_input_from_elsewhere_is_not_ours),
        cmocka_unit_test(test_refuses_what_is_no_answer),
        cmocka_unit_test(test_odd_types_count_as_absent),
        cmocka_unit_test(test_texts_do_not_speak_to_the_terminal),
        cmocka_unit_test(test_more_consumers_than_fit_are_left_out),
        cmocka_unit_test(test_numbers_beyond_a_double_are_exact),
        cmocka_unit_test(test_balance_counts_everything),
        cmocka_unit_test(test_behind_knows_whose_outbox),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
