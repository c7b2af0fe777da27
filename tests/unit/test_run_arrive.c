/* arrive: what strangers send is kept, heard or passed over; nobody makes gait speak where it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory_process.h"

#define FEED "gait/link/customer-trusted/accelerometer-trusted/feed"
#define LANDING "gait/landing/accelerometer"
#define READING(user) "{\"user\":\"" user "\",\"timestamp\":1600000000000,\"x\":1.0,\"y\":-0.5,\"z\":0}"

/* A message that the wire of the landing connection, or of the links, brings as it is. */
static void
bring(bool landing, const char *topic, const char *payload)
{
    const struct wire_events events = landing ? arrive_on_landing(bench.process) : arrive_on_links(bench.process);
    const struct wire_message message = {.topic = span_of(topic), .payload = span_of(payload), .epoch = 7, .sequence = 1};
    events.message(events.context, &message);
}

/* What the newest entry of the inbox has for levels, as the sender's topic was this. */
static void
assert_levels(const char *topic, const char *levels)
{
    struct inbox_entry entry;
    uint64_t position = inbox_end(bench.process->inbox);
    bring(true, topic, "{}");
    assert_int_equal(inbox_read(bench.process->inbox, &position, &entry), 1);
    if (!span_is(entry.levels, levels))
        fail_msg("%s: '%.*s'", topic, (int)entry.levels.len, entry.levels.at);
    bench_settle();
}

static void
a_landing_message_brings_the_levels_of_its_sender(void **state)
{
    (void)state;
    char topic[400], levels[400];
    bench_open_process(&accelerometer_trusted, NULL);
    assert_levels(LANDING, "");
    assert_levels(LANDING "/", "");
    assert_levels(LANDING "/phone-17", "phone-17");
    assert_levels(LANDING "/site 3/\xc3\xa9\"\\", "site 3/\xc3\xa9\"\\");
    assert_levels(LANDING "/a\x1b[31m\n\x7f", "a?[31m??");
    /* Too much is cut off, behind a whole character. */
    snprintf(topic, sizeof topic, LANDING "/%0127d\xc3\xa9xyz", 0);
    snprintf(levels, sizeof levels, "%0127d", 0);
    assert_levels(topic, levels);
    snprintf(topic, sizeof topic, LANDING "/%0126d\xc3\xa9xyz", 0);
    snprintf(levels, sizeof levels, "%0126d\xc3\xa9", 0);
    assert_levels(topic, levels);
}

static void
bug_271_an_empty_level_behind_the_landing_topic_is_taken(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send(LANDING "/", READING("a"), "gait/receipt/me", NULL);
    bench_settle();
    assert_int_equal(bench.process->ledger.inputs[0].taken, 1);
    assert_non_null(bench_heard("gait/receipt/me", 0));
}

/* The broker's own topics: no subscription of ours asks for them, and what came from there all the same is no record. */
static void
what_begins_with_a_dollar_is_not_ours(void **state)
{
    (void)state;
    static const char *const topics[] = {
        "$SYS/broker/uptime", "$SYS/" LANDING, "$" LANDING, "$share/g/" LANDING, "$gait/trusted/customer/row", "$gait/ask",
    };
    bench_open_process(&accelerometer_trusted, NULL);
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        const struct memory_wire *wire = bench.broker.wires[i];
        assert_true(wire->filter_count > 0);
        for (unsigned f = 0; f < wire->filter_count; f++) {
            for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++)
                assert_false(memory_matches(topics[t], wire->filters[f]));
        }
    }
    /* As every broker has it: the wildcards of others don't bring them either. */
    assert_false(memory_matches("$SYS/broker/uptime", "#"));
    assert_false(memory_matches("$SYS/broker/uptime", "+/broker/uptime"));
    assert_true(memory_matches("$SYS/broker/uptime", "$SYS/#"));
    bench_forget();
    const uint64_t end = inbox_end(bench.process->inbox);
    for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++) {
        bring(true, topics[t], READING("a"));
        bring(false, topics[t], READING("a"));
    }
    assert_int_equal(inbox_end(bench.process->inbox), end);
    bench_settle();
    assert_int_equal(bench.process->ledger.inputs[0].taken, 0);
    assert_int_equal(bench.process->ledger.inputs[1].taken, 0);
    assert_int_equal(bench.process->links[1].message_count, 0);
}

static void
topics_beside_ours_are_passed_over(void **state)
{
    (void)state;
    static const char *const topics[] = {
        "gait/landing",      "gait/landing/accelerometers", "gait/landing/customer", "gai/landing/accelerometer",
        "landing/accelerometer", "gait/landing/accelerometer2/x", "", "/",
    };
    bench_open_process(&accelerometer_trusted, NULL);
    const uint64_t end = inbox_end(bench.process->inbox);
    for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++)
        bring(true, topics[t], READING("a"));
    assert_int_equal(inbox_end(bench.process->inbox), end);
    /* What a producer sends to others is theirs. */
    bring(false, "gait/trusted/customer/a", "{}");
    bring(false, FEED "s/a", "{}");
    bring(false, "gait/link/customer-trusted/lake/feed/a", "{}");
    assert_int_equal(bench.process->links[1].message_count, 0);
    bring(false, FEED "/a", "{}");
    assert_int_equal(bench.process->links[1].message_count, 1);
}

/* Response topics, and whether a receipt or an answer may go there. */
struct response {
    struct span topic;
    bool receipt, answer;
};

#define TOPIC(text) {text, sizeof(text) - 1}
#define LEVELS_31 "/////////////////////////////" "//"

static const struct response responses[] = {
    {TOPIC("gait/receipt/me"), true, false},
    {TOPIC("gait/receipt/me/1"), true, false},
    {TOPIC("gait/answer/me"), false, true},
    {TOPIC("elsewhere"), true, true},
    {TOPIC("elsewhere/gait/trusted/customer/row"), true, true},
    {TOPIC("gaiter/receipts"), true, true},
    {TOPIC("gai"), true, true},
    {TOPIC("x" LEVELS_31), true, true}, /* 32 levels */
    {TOPIC("x" LEVELS_31 "/"), false, false},
    /* The broker's own. */
    {TOPIC("$SYS/broker/uptime"), false, false},
    {TOPIC("$share/group/topic"), false, false},
    {TOPIC("$"), false, false},
    /* No topics. */
    {TOPIC(""), false, false},
    {TOPIC("elsewhere/+"), false, false},
    {TOPIC("#"), false, false},
    {TOPIC("a/+/b"), false, false},
    {TOPIC("else\0where"), false, false},
    /* Speaking for gait. */
    {TOPIC("gait"), false, false},
    {TOPIC("gait/"), false, false},
    {TOPIC("gait/receipt"), false, false},
    {TOPIC("gait/trusted/customer/row"), false, false},
    {TOPIC("gait/landing/accelerometer"), false, false},
    {TOPIC("gait/link/accelerometer-trusted/lake"), false, false},
    {TOPIC("gait/rejected/accelerometer-trusted"), false, false},
    {TOPIC("gait/status/accelerometer-trusted"), false, false},
    {TOPIC("gait/metrics/accelerometer-trusted"), false, false},
    {TOPIC("gait/ask"), false, false},
};

/* Whether anything with this correlation was published to topic. */
static bool
came(struct span topic, const char *correlation)
{
    for (unsigned i = 0; i < bench.heard_count; i++) {
        if (span_is(topic, bench.heard[i].topic) && strcmp(bench.heard[i].correlation, correlation) == 0)
            return true;
    }
    return false;
}

static void
only_topics_that_are_anybodys_are_answered_to(void **state)
{
    (void)state;
    char long_topic[514];
    bench_open_process(&accelerometer_trusted, NULL);
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        bench_forget();
        bench_send_bytes(LANDING, span_of("{}"), responses[i].topic, "receipt");
        bench_send_bytes("gait/ask", (struct span){0}, responses[i].topic, "answer");
        bench_settle();
        if (came(responses[i].topic, "receipt") != responses[i].receipt ||
            came(responses[i].topic, "answer") != responses[i].answer)
            fail_msg("%s", responses[i].topic.at);
        assert_int_equal(bench.process->ledger.inputs[0].taken, i + 1);
    }
    memset(long_topic, 'x', sizeof long_topic);
    for (size_t len = 512; len <= 513; len++) {
        bench_forget();
        bench_send_bytes(LANDING, span_of("{}"), span_at(long_topic, len), "receipt");
        bench_settle();
        long_topic[len] = '\0';
        assert_true(came(span_at(long_topic, len), "receipt") == (len == 512));
        long_topic[len] = 'x';
    }
}

/* A process without a landing input takes questions where its links are. */
static void
questions_on_the_links_are_answered_likewise(void **state)
{
    (void)state;
    bench_open_process(&customer_curated, NULL);
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        bench_forget();
        bench_send_bytes("gait/ask", (struct span){0}, responses[i].topic, "answer");
        bench_settle();
        if (came(responses[i].topic, "answer") != responses[i].answer)
            fail_msg("%s", responses[i].topic.at);
    }
}

static void
a_question_is_answered_behind_what_came_before_it(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_forget();
    bench_send(LANDING, READING("a"), NULL, NULL);
    bench_send("gait/ask", "", "gait/answer/me", "first");
    bench_settle();
    assert_string_equal(bench_heard("gait/answer/me", 0)->correlation, "first");
    assert_non_null(strstr(bench_heard("gait/answer/me", 0)->payload, "\"taken\":1,"));
    assert_null(bench_heard("gait/answer/me", 1));
}

static void
more_questions_than_fit_are_dropped_and_later_ones_answered(void **state)
{
    (void)state;
    unsigned answered = 0;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_forget();
    for (unsigned i = 0; i < ASKS_MAX + 10; i++)
        bench_send("gait/ask", "", "gait/answer/me", "crowd");
    bench_settle();
    while (bench_heard("gait/answer/me", answered) != NULL)
        answered++;
    assert_int_equal(answered, ASKS_MAX);
    bench_forget();
    bench_send("gait/ask", "", "gait/answer/me", "later");
    bench_settle();
    assert_string_equal(bench_heard("gait/answer/me", 0)->correlation, "later");
}

static void
reports_are_kept_if_they_are_ones_and_there_is_room(void **state)
{
    (void)state;
    static const char report[] = "{\"epoch\":\"0000000000000007\",\"applied\":3,\"rewind\":1}";
    const char *const self = "gait/link/accelerometer-trusted/";
    char topic[200];
    bench_open_process(&accelerometer_trusted, NULL);
    const struct arrived *arrived = &bench.process->arrived;
    /* No name, no report, more levels. */
    bring(false, "gait/link/accelerometer-trusted/", report);
    bring(false, "gait/link/accelerometer-trusted/lake", "{}");
    bring(false, "gait/link/accelerometer-trusted/lake", "");
    bring(false, "gait/link/accelerometer-trusted/lake/oldest", report);
    snprintf(topic, sizeof topic, "%s%0100d", self, 0);
    bring(false, topic, report);
    assert_int_equal(arrived->report_count, 0);
    bring(false, "gait/link/accelerometer-trusted/lake", report);
    assert_int_equal(arrived->report_count, 1);
    assert_string_equal(arrived->reports[0].name, "lake");
    assert_int_equal(arrived->reports[0].position.epoch, 7);
    assert_int_equal(arrived->reports[0].position.applied, 3);
    assert_true(arrived->reports[0].rewind);
    bring(false, "gait/link/accelerometer-trusted/.kept", report);
    assert_int_equal(arrived->report_count, 1);
    assert_true(arrived->kept_heard);
    assert_int_equal(arrived->kept.position.applied, 3);
    bring(false, "gait/link/accelerometer-trusted/.sync", "");
    assert_true(arrived->synced);
    for (unsigned i = 0; i < REPORTS_MAX + 10; i++)
        bring(false, "gait/link/accelerometer-trusted/lake", report);
    assert_int_equal(arrived->report_count, REPORTS_MAX);
    bench_settle();
    assert_int_equal(arrived->report_count, 0);
}

static void
a_payload_beyond_the_limit_is_kept_as_far_as_it_is_needed(void **state)
{
    (void)state;
    static const struct setting settings[] = {{"limits", "payload", "1KiB"}, {0}};
    char payload[3000];
    struct inbox_entry entry;
    bench_open_process(&accelerometer_trusted, settings);
    uint64_t position = inbox_end(bench.process->inbox);
    snprintf(payload, sizeof payload, "%02999d", 0);
    bring(true, LANDING, payload);
    assert_int_equal(inbox_read(bench.process->inbox, &position, &entry), 1);
    assert_int_equal(entry.payload.len, 1025);
}

static void
acknowledgements_are_told_apart(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const struct wire_events events = arrive_on_links(bench.process);
    const struct arrived *arrived = &bench.process->arrived;
    events.delivered(events.context, TOKEN_OUTPUT | 5);
    events.delivered(events.context, TOKEN_OUTPUT | 4);
    events.delivered(events.context, TOKEN_REJECTED | 2);
    assert_int_equal(arrived->delivered_output, TOKEN_OUTPUT | 5);
    assert_int_equal(arrived->delivered_rejected, TOKEN_REJECTED | 2);
    assert_false(arrived->refill_delivered);
    events.delivered(events.context, TOKEN_REFILL);
    assert_true(arrived->refill_delivered);
    /* Nothing that landing publishes is waited for. */
    const struct wire_events landing = arrive_on_landing(bench.process);
    landing.delivered(landing.context, TOKEN_OUTPUT | 9);
    assert_int_equal(arrived->delivered_output, TOKEN_OUTPUT | 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_landing_message_brings_the_levels_of_its_sender),
        TEST(bug_271_an_empty_level_behind_the_landing_topic_is_taken),
        TEST(what_begins_with_a_dollar_is_not_ours),
        TEST(topics_beside_ours_are_passed_over),
        TEST(only_topics_that_are_anybodys_are_answered_to),
        TEST(questions_on_the_links_are_answered_likewise),
        TEST(a_question_is_answered_behind_what_came_before_it),
        TEST(more_questions_than_fit_are_dropped_and_later_ones_answered),
        TEST(reports_are_kept_if_they_are_ones_and_there_is_room),
        TEST(a_payload_beyond_the_limit_is_kept_as_far_as_it_is_needed),
        TEST(acknowledgements_are_told_apart),
    };
    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
