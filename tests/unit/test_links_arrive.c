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
    const struct wire_events events = inside_events(bench.process, landing);
    const struct wire_message message = {.topic = span_of(topic), .payload = span_of(payload), .epoch = 7, .sequence = 1};

    events.message(events.context, &message);
}

/* What the newest entry of the inbox has for levels, as the sender's topic was this. */
static void
assert_levels(const char *topic, const char *levels)
{
    struct inbox_entry entry;
    uint64_t position = inside_inbox_end(bench.process);

    bring(true, topic, "{}");
    assert_int_equal(inbox_read(inside_inbox(bench.process), &position, &entry, &(struct inbox_gap){0}), 1);
    if (!span_is(entry.levels, levels))
        fail_msg("%s: '%.*s'", topic, (int)entry.levels.len, entry.levels.at);
    bench_settle();
}

static void
a_landing_message_brings_the_levels_of_its_sender(void **state)
{
    char topic[400], levels[400];

    (void)state;
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
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 1);
    assert_non_null(bench_heard("gait/receipt/me", 0));
}

/* The broker's own topics: no subscription of ours asks for them, and what came from there all the same is no record. */
static void
what_begins_with_a_dollar_is_not_ours(void **state)
{
    static const char *const topics[] = {
        "$SYS/broker/uptime", "$SYS/" LANDING, "$" LANDING, "$share/g/" LANDING, "$gait/trusted/customer/row", "$gait/ask",
    };

    (void)state;
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
    const uint64_t end = inside_inbox_end(bench.process);
    for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++) {
        bring(true, topics[t], READING("a"));
        bring(false, topics[t], READING("a"));
    }
    assert_int_equal(inside_inbox_end(bench.process), end);
    bench_settle();
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 0);
    assert_int_equal(inside_ledger(bench.process)->inputs[1].taken, 0);
    assert_int_equal(inside_link(bench.process, 1)->message_count, 0);
}

static void
topics_beside_ours_are_passed_over(void **state)
{
    static const char *const topics[] = {
        "gait/landing",      "gait/landing/accelerometers", "gait/landing/customer", "gai/landing/accelerometer",
        "landing/accelerometer", "gait/landing/accelerometer2/x", "", "/",
    };

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const uint64_t end = inside_inbox_end(bench.process);
    for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++)
        bring(true, topics[t], READING("a"));
    assert_int_equal(inside_inbox_end(bench.process), end);
    /* What a producer sends to others is theirs. */
    bring(false, "gait/trusted/customer/a", "{}");
    bring(false, FEED "s/a", "{}");
    bring(false, "gait/link/customer-trusted/lake/feed/a", "{}");
    assert_int_equal(inside_link(bench.process, 1)->message_count, 0);
    bring(false, FEED "/a", "{}");
    assert_int_equal(inside_link(bench.process, 1)->message_count, 1);
}

/* Response topics, and whether a receipt or an answer may go there. */
struct response {
    struct span topic;
    bool receipt, answer;
};

#define TOPIC(text) {text, sizeof(text) - 1}
#define LEVELS_29 "/////////////////////////////"

static const struct response responses[] = {
    {TOPIC("gait/receipt/me"), true, false},
    {TOPIC("gait/receipt/me/1"), true, false},
    {TOPIC("gait/answer/me"), false, true},
    {TOPIC("gait/receipt/" LEVELS_29 "x"), true, false}, /* 32 levels */
    {TOPIC("gait/receipt/" LEVELS_29 "/x"), false, false},
    {TOPIC("gait/answer/" LEVELS_29 "x"), false, true},
    {TOPIC("gait/answer/" LEVELS_29 "/x"), false, false},
    /* Where the broker may not let us publish. */
    {TOPIC("elsewhere"), false, false},
    {TOPIC("elsewhere/gait/receipt/me"), false, false},
    {TOPIC("gaiter/receipt/me"), false, false},
    {TOPIC("gai"), false, false},
    {TOPIC("/gait/receipt/me"), false, false},
    {TOPIC("Gait/receipt/me"), false, false},
    /* The broker's own. */
    {TOPIC("$SYS/broker/uptime"), false, false},
    {TOPIC("$share/group/topic"), false, false},
    {TOPIC("$"), false, false},
    /* No topics. */
    {TOPIC(""), false, false},
    {TOPIC("gait/receipt/+"), false, false},
    {TOPIC("gait/answer/#"), false, false},
    {TOPIC("#"), false, false},
    {TOPIC("gait/receipt/+/b"), false, false},
    {TOPIC("gait/receipt/m\0e"), false, false},
    /* Speaking for gait. */
    {TOPIC("gait"), false, false},
    {TOPIC("gait/"), false, false},
    {TOPIC("gait/receipt"), false, false},
    {TOPIC("gait/receipt/"), false, false},
    {TOPIC("gait/receipts/me"), false, false},
    {TOPIC("gait/receipt-me"), false, false},
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
    static const char begin[] = "gait/receipt/";
    char long_topic[514];
    uint64_t refused = 0;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        bench_forget();
        bench_send_bytes(LANDING, span_of("{}"), responses[i].topic, "receipt");
        bench_send_bytes("gait/ask", (struct span){0}, responses[i].topic, "answer");
        bench_settle();
        if (came(responses[i].topic, "receipt") != responses[i].receipt ||
            came(responses[i].topic, "answer") != responses[i].answer)
            fail_msg("%s", responses[i].topic.at);
        assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, i + 1);
        refused += responses[i].topic.len == 0 ? 0 : (unsigned)!responses[i].receipt + (unsigned)!responses[i].answer;
        assert_int_equal(inside_unanswered(bench.process), refused);
    }
    memset(long_topic, 'x', sizeof long_topic);
    memcpy(long_topic, begin, strlen(begin));
    for (size_t len = 512; len <= 513; len++) {
        bench_forget();
        bench_send_bytes(LANDING, span_of("{}"), span_at(long_topic, len), "receipt");
        bench_settle();
        long_topic[len] = '\0';
        assert_true(came(span_at(long_topic, len), "receipt") == (len == 512));
        long_topic[len] = 'x';
    }
}

/* Landing topics behind the table's name, receipt topics behind …/receipt/, and whether one is answered at the other. */
static const struct {
    const char *own, *asked;
    bool answered;
} own_levels[] = {
    {"", "me", true},
    {"/", "me", true}, /* an empty level is nobody's */
    {"/me", "me", true},
    {"/me", "me/1", true},
    {"/me", "me/", true},
    {"/me", "you", false},
    {"/me", "men", false},
    {"/me", "Me", false},
    {"/me", "m", false},
    {"/me", "you/me", false},
    {"/me", "/me", false},
    {"/site/me", "site/me", true},
    {"/site/me", "site/me/1", true},
    {"/site/me", "site", false},
    {"/site/me", "site/you", false},
    {"/site/me", "me", false},
    {"//me", "/me", true},
    {"//me", "me", false},
};

static void
bug_340_whoever_has_a_level_of_its_own_is_answered_there_and_nowhere_else(void **state)
{
    char landing[100], receipt[100];
    uint64_t refused = 0;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    for (size_t i = 0; i < sizeof own_levels / sizeof own_levels[0]; i++) {
        snprintf(landing, sizeof landing, LANDING "%s", own_levels[i].own);
        snprintf(receipt, sizeof receipt, "gait/receipt/%s", own_levels[i].asked);
        bench_forget();
        bench_send(landing, "{}", receipt, "receipt");
        bench_settle();
        if (came(span_of(receipt), "receipt") != own_levels[i].answered)
            fail_msg("%s at %s", landing, receipt);
        refused += !own_levels[i].answered;
    }
    assert_int_equal(inside_unanswered(bench.process), refused);
    bench_send("gait/ask", "", "gait/answer/me", "metrics");
    bench_settle();
    char shown[40];
    snprintf(shown, sizeof shown, "\"unanswered\":%" PRIu64 "}", refused);
    assert_non_null(strstr(bench_heard("gait/answer/me", 0)->payload, shown));
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
    unsigned answered = 0;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_forget();
    for (unsigned i = 0; i < inside_numbers.questions + 10; i++)
        bench_send("gait/ask", "", "gait/answer/me", "crowd");
    bench_settle();
    while (bench_heard("gait/answer/me", answered) != NULL)
        answered++;
    assert_int_equal(answered, inside_numbers.questions);
    bench_forget();
    bench_send("gait/ask", "", "gait/answer/me", "later");
    bench_settle();
    assert_string_equal(bench_heard("gait/answer/me", 0)->correlation, "later");
}

static void
reports_are_kept_if_they_are_ones_of_a_consumer(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "consumers", "one, two"}, {0}};
    static const char report[] = "{\"epoch\":\"0000000000000007\",\"applied\":3,\"rewind\":1}";
    const char *const self = "gait/link/accelerometer-trusted/";
    char topic[200];

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    /* No name, no report, more levels, a stranger. */
    bring(false, "gait/link/accelerometer-trusted/", report);
    bring(false, "gait/link/accelerometer-trusted/one", "{}");
    bring(false, "gait/link/accelerometer-trusted/one", "");
    bring(false, "gait/link/accelerometer-trusted/one/oldest", report);
    bring(false, "gait/link/accelerometer-trusted/lake", report);
    snprintf(topic, sizeof topic, "%s%0100d", self, 0);
    bring(false, topic, report);
    assert_false(inside_arrived(bench.process).reports[0].heard || inside_arrived(bench.process).reports[1].heard);
    bring(false, "gait/link/accelerometer-trusted/two", report);
    assert_true(!inside_arrived(bench.process).reports[0].heard && inside_arrived(bench.process).reports[1].heard);
    assert_int_equal(inside_arrived(bench.process).reports[1].position.epoch, 7);
    assert_int_equal(inside_arrived(bench.process).reports[1].position.applied, 3);
    assert_true(inside_arrived(bench.process).reports[1].rewind);
    bring(false, "gait/link/accelerometer-trusted/.kept", report);
    assert_false(inside_arrived(bench.process).reports[0].heard);
    assert_true(inside_arrived(bench.process).kept.heard);
    assert_int_equal(inside_arrived(bench.process).kept.position.applied, 3);
    bring(false, "gait/link/accelerometer-trusted/.sync", "");
    assert_true(inside_arrived(bench.process).synced);
    bench_settle();
    assert_false(inside_arrived(bench.process).reports[0].heard || inside_arrived(bench.process).reports[1].heard);
}

/* A flood of them takes no memory, and no place from others' (223 MB to 2.5 GB in the producer, as issue 10 found it). */
static void
bug_344_of_many_reports_the_newest_holds(void **state)
{
    static const struct setting settings[] = {{"accelerometer-trusted", "consumers", "one, two"}, {0}};
    char text[80];

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    for (unsigned i = 1; i <= 10000; i++) {
        snprintf(text, sizeof text, "{\"epoch\":\"0000000000000007\",\"applied\":%u,\"rewind\":%u}", i, i % 2);
        bring(false, "gait/link/accelerometer-trusted/one", text);
    }
    bring(false, "gait/link/accelerometer-trusted/two", text);
    assert_true(inside_arrived(bench.process).reports[0].heard && inside_arrived(bench.process).reports[1].heard);
    assert_int_equal(inside_arrived(bench.process).reports[0].position.applied, 10000);
    assert_false(inside_arrived(bench.process).reports[0].rewind);
    /* A question stays one when the same is said without it. */
    bring(false, "gait/link/accelerometer-trusted/one", "{\"epoch\":\"0000000000000007\",\"applied\":5,\"rewind\":1}");
    bring(false, "gait/link/accelerometer-trusted/one", "{\"epoch\":\"0000000000000007\",\"applied\":5,\"rewind\":0}");
    assert_true(inside_arrived(bench.process).reports[0].rewind);
    bring(false, "gait/link/accelerometer-trusted/one", "{\"epoch\":\"0000000000000007\",\"applied\":6,\"rewind\":0}");
    assert_false(inside_arrived(bench.process).reports[0].rewind);
}

/* What the broker's ACL refuses: everything to topics that begin so; NULL: nothing. */
static const char *denied;

static bool
deny(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    (void)context;
    (void)from;
    return denied != NULL && strncmp(message->topic.at, denied, strlen(denied)) == 0;
}

static unsigned
count_heard(const char *topic)
{
    unsigned count = 0;

    while (bench_heard(topic, count) != NULL)
        count++;
    return count;
}

/* Whether the metrics' `why` has this text. */
static bool
why_says(const char *text)
{
    bench_forget();
    bench_send("gait/ask", "", "gait/answer/me", "why");
    bench_settle();
    const char *why = strstr(bench_heard("gait/answer/me", 0)->payload, "\"why\":\"");
    return text[0] == '\0' ? why[7] == '"' : memmem(why, strcspn(why, "\n"), text, strlen(text)) != NULL;
}

/* Of 300 refused rejections none was kept: the broker's answer counted as an acknowledgement of those before. */
static void
bug_342_what_the_broker_refuses_is_kept_and_tried_again(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    struct process *process = bench.process;
    bench.broker.refuses_message = deny;
    denied = "gait/rejected/";
    for (unsigned i = 0; i < 3; i++) {
        bench_send(LANDING, "{}", NULL, NULL);
        bench_settle();
    }
    assert_int_equal(inside_rejected(process)->last.sequence, 3);
    assert_int_equal(inside_rejected(process)->trimmed.sequence, 0);
    assert_true(why_says("refused to user test"));
    /* Tried again, one message, ever more rarely. */
    bench_forget();
    for (unsigned i = 0; i < 100; i++) {
        bench.steady_ms += 900;
        bench_settle();
    }
    assert_in_range(count_heard("gait/rejected/accelerometer-trusted"), 3, 8);
    /* All of them arrive when they may, and nothing is told any more. */
    denied = NULL;
    for (unsigned i = 0; i < 40; i++) {
        bench.steady_ms += 1000;
        bench_settle();
    }
    assert_int_equal(inside_rejected(process)->trimmed.sequence, 3);
    bench.steady_ms += inside_numbers.refusal_shown_ms;
    assert_true(why_says(""));
}

/* At QoS 0 the broker's ACL drops them without a word, and nobody noticed. */
static void
bug_401_receipts_that_the_broker_refuses_are_said(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench.broker.refuses_message = deny;
    denied = "gait/receipt/";
    for (unsigned i = 0; i < 100; i++) {
        bench_send(LANDING, READING("a"), "gait/receipt/me", NULL);
        bench_settle();
        bench.steady_ms += 900;
    }
    assert_true(why_says("refused to user test"));
    denied = NULL;
    bench_send(LANDING, READING("b"), "gait/receipt/me", NULL);
    bench_settle();
    bench.steady_ms += inside_numbers.refusal_shown_ms;
    assert_true(why_says(""));
}

static void
answers_that_the_broker_refuses_are_said(void **state)
{
    (void)state;
    bench_open_process(&customer_curated, NULL);
    bench.broker.refuses_message = deny;
    denied = "gait/answer/you";
    assert_true(why_says(""));
    bench_send("gait/ask", "", "gait/answer/you", NULL);
    bench_settle();
    assert_true(why_says("refused to user test"));
    denied = NULL;
}

static void
a_payload_beyond_the_limit_is_kept_as_far_as_it_is_needed(void **state)
{
    static const struct setting settings[] = {{"limits", "payload", "1KiB"}, {0}};
    char payload[3000];
    struct inbox_entry entry;

    (void)state;
    bench_open_process(&accelerometer_trusted, settings);
    uint64_t position = inside_inbox_end(bench.process);
    snprintf(payload, sizeof payload, "%02999d", 0);
    bring(true, LANDING, payload);
    assert_int_equal(inbox_read(inside_inbox(bench.process), &position, &entry, &(struct inbox_gap){0}), 1);
    assert_int_equal(entry.payload.len, 1025);
}

static void
acknowledgements_are_told_apart(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const struct wire_events events = inside_events(bench.process, false);
    events.delivered(events.context, inside_token(INSIDE_OUTPUT, 5));
    events.delivered(events.context, inside_token(INSIDE_OUTPUT, 4));
    events.delivered(events.context, inside_token(INSIDE_REJECTED, 2));
    assert_int_equal(inside_arrived(bench.process).delivered_output, inside_token(INSIDE_OUTPUT, 5));
    assert_int_equal(inside_arrived(bench.process).delivered_rejected, inside_token(INSIDE_REJECTED, 2));
    assert_false(inside_arrived(bench.process).refill_delivered);
    events.delivered(events.context, inside_token(INSIDE_REFILL, 0));
    assert_false(inside_arrived(bench.process).refill_delivered);
    events.delivered(events.context, inside_token(INSIDE_REFILL_LAST, 0));
    assert_true(inside_arrived(bench.process).refill_delivered);
    /* Nothing that landing publishes is waited for. */
    const struct wire_events landing = inside_events(bench.process, true);
    landing.delivered(landing.context, inside_token(INSIDE_OUTPUT, 9));
    assert_int_equal(inside_arrived(bench.process).delivered_output, inside_token(INSIDE_OUTPUT, 5));
}

/* The broker may have gone back in time between two connections. */
static void
what_was_acknowledged_on_an_earlier_connection_does_not_count(void **state)
{
    const struct wire_limits limits = {.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const struct wire_events events = inside_events(bench.process, false);
    events.delivered(events.context, inside_token(INSIDE_OUTPUT, 5));
    events.delivered(events.context, inside_token(INSIDE_REJECTED, 2));
    events.delivered(events.context, inside_token(INSIDE_REFILL_LAST, 0));
    events.down(events.context, "gone");
    events.up(events.context, false, &limits);
    assert_int_equal(inside_arrived(bench.process).delivered_output, 0);
    assert_int_equal(inside_arrived(bench.process).delivered_rejected, 0);
    assert_false(inside_arrived(bench.process).refill_delivered);
    events.delivered(events.context, inside_token(INSIDE_OUTPUT, 3));
    assert_int_equal(inside_arrived(bench.process).delivered_output, inside_token(INSIDE_OUTPUT, 3));
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
        TEST(bug_340_whoever_has_a_level_of_its_own_is_answered_there_and_nowhere_else),
        TEST(questions_on_the_links_are_answered_likewise),
        TEST(a_question_is_answered_behind_what_came_before_it),
        TEST(more_questions_than_fit_are_dropped_and_later_ones_answered),
        TEST(reports_are_kept_if_they_are_ones_of_a_consumer),
        TEST(bug_344_of_many_reports_the_newest_holds),
        TEST(bug_342_what_the_broker_refuses_is_kept_and_tried_again),
        TEST(bug_401_receipts_that_the_broker_refuses_are_said),
        TEST(answers_that_the_broker_refuses_are_said),
        TEST(a_payload_beyond_the_limit_is_kept_as_far_as_it_is_needed),
        TEST(acknowledgements_are_told_apart),
        TEST(what_was_acknowledged_on_an_earlier_connection_does_not_count),
    };

    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
