/* probe: a landing subscription that was granted and brings nothing is noticed, and nothing is said that is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory_process.h"

#define LANDING "gait/landing/accelerometer"
#define OWN LANDING "/.probe"
#define READING(user) "{\"user\":\"" user "\",\"timestamp\":1600000000000,\"x\":1.0,\"y\":-0.5,\"z\":0}"
#define CUSTOMER                                                                                      \
    "{\"customerName\":\"N\",\"email\":\"a\",\"phone\":\"1\",\"birthDay\":\"1990-01-01\","            \
    "\"serialNumber\":\"s\",\"registrationDate\":1600000000000,\"lastUpdateDate\":1600000000000,"     \
    "\"shareWithResearchAsOfDate\":1600000000000}"

/* What the broker does with messages to topics that begin so; NULL: nothing special. */
static struct {
    const char *hidden, *denied, *cut;
    unsigned probes; /* of ours that came by; */
    char token[INSIDE_PROBE_BYTES]; /* of the newest */
} acl;

static bool
begins(const struct wire_message *message, const char *topic)
{
    return topic != NULL && strncmp(message->topic.at, topic, strlen(topic)) == 0;
}

static bool
hides(void *context, const struct memory_wire *to, const struct wire_message *message)
{
    (void)context;
    (void)to;
    return begins(message, acl.hidden);
}

static bool
denies(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    (void)context;
    (void)from;
    return begins(message, acl.denied);
}

static bool
cuts(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    (void)context;
    (void)from;
    return begins(message, acl.cut);
}

static void
take(void *context, const struct memory_wire *from, const struct wire_message *message)
{
    if (begins(message, OWN)) {
        acl.probes++;
        assert_int_equal(message->correlation.len, INSIDE_PROBE_BYTES);
        memcpy(acl.token, message->correlation.at, sizeof acl.token);
        assert_true(message->tentative);
    }
    if (bench.heard_count == HEARD_MAX)
        bench_forget();
    bench_take(context, from, message);
}

static int
set_up(void **state)
{
    bench_begin(state);
    memset(&acl, 0, sizeof acl);
    bench.broker.hides = hides;
    bench.broker.refuses_message = denies;
    bench.broker.cuts_for = cuts;
    bench.broker.takes = take;
    return 0;
}

static void
pass(int64_t ms)
{
    for (const int64_t end_ms = bench.steady_ms + ms; bench.steady_ms < end_ms; bench.steady_ms += 100)
        bench_settle();
    bench_settle();
}

/* Whether the metrics' `why` has this text; empty: nothing is said. */
static bool
why_says(const char *text)
{
    struct buffer metrics = {0};

    inside_metrics(bench.process, &metrics);
    const char *why = strstr(buffer_text(&metrics), "\"why\":\"") + strlen("\"why\":\"");
    const bool says = text[0] == '\0' ? why[0] == '"' : memmem(why, strcspn(why, "\""), text, strlen(text)) != NULL;
    buffer_free(&metrics);
    return says;
}

static bool
is_silent(void)
{
    return why_says("our own message to " OWN " does not come back to user (without a name)") && why_says(LANDING "/#");
}

/* The broker ends a connection; it is made again. */
static void
cut(const char *client)
{
    for (unsigned i = 0; i < bench.broker.wire_count; i++) {
        if (strcmp(bench.broker.wires[i]->name, client) == 0)
            memory_wire_cut(bench.broker.wires[i]);
    }
    pass(2000);
    assert_true(inside_is_connected(bench.process, true));
}

static void
one_that_brings_our_own_message_is_asked_once_a_connection(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const uint64_t end = inside_inbox_end(bench.process);
    pass(4000);
    assert_int_equal(acl.probes, 0);
    pass(200000);
    assert_int_equal(acl.probes, 1);
    assert_string_equal(bench_heard(OWN, 0)->payload, "[]");
    assert_false(bench_heard(OWN, 0)->retained);
    assert_true(why_says(""));
    assert_int_equal(inside_inbox_end(bench.process), end); /* it is none of what was taken in */
    cut("gait-accelerometer-trusted-landing");
    pass(200000);
    assert_int_equal(acl.probes, 2);
    cut("gait-accelerometer-trusted");
    pass(200000);
    assert_int_equal(acl.probes, 3);
    assert_true(why_says(""));
}

static void
bug_400_a_landing_subscription_that_stays_silent_is_said_and_taken_back(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.hidden = "gait/landing/";
    pass(9000);
    assert_true(why_says(""));
    pass(3000);
    assert_true(is_silent());
    assert_true(process_ready(bench.process));
    pass(300000); /* somebody may be at work on it: tried again, but not often */
    assert_true(is_silent());
    assert_in_range(acl.probes, 8, 13);
    acl.hidden = NULL;
    pass(31000);
    assert_true(why_says(""));
    const unsigned before = acl.probes;
    pass(300000);
    assert_int_equal(acl.probes, before);
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 0);
}

/* With the first message of a device, too. */
static void
it_is_taken_back_when_anything_comes(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.hidden = "gait/landing/";
    pass(15000);
    assert_true(is_silent());
    acl.hidden = OWN;
    bench_send(LANDING "/phone-1", READING("a"), NULL, NULL);
    bench_settle();
    assert_true(why_says(""));
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 1);
}

/* The queue of the broker comes first, whatever it is worth as a proof: it may be from before the ACL was changed. */
static void
nothing_is_asked_as_long_as_messages_come(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.hidden = OWN;
    for (unsigned i = 0; i < 60; i++) {
        bench_send(LANDING "/phone-1", READING("a"), NULL, NULL);
        pass(3000);
    }
    assert_int_equal(acl.probes, 0);
    assert_true(why_says(""));
    pass(15000);
    assert_true(is_silent());
}

static void
what_may_not_be_published_says_nothing(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.denied = acl.hidden = "gait/landing/";
    pass(300000);
    assert_int_equal(acl.probes, 1);
    assert_true(why_says(""));
    acl.denied = NULL; /* the next connection may know more */
    cut("gait-accelerometer-trusted-landing");
    pass(12000);
    assert_true(is_silent());
    acl.denied = "gait/landing/"; /* or less */
    cut("gait-accelerometer-trusted-landing");
    pass(12000);
    assert_true(why_says(""));
}

/* As mosquitto 2.0.11 does with max_queued_messages 0. What worked before must go on. */
static void
a_broker_that_cuts_for_it_is_asked_ever_more_rarely(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.cut = "gait/landing/";
    pass(30000);
    assert_int_equal(acl.probes, 1);
    pass(100000);
    assert_int_equal(acl.probes, 2);
    for (unsigned i = 0; i < 18; i++) {
        pass(1000000);
        bench_send(LANDING "/phone-1", READING("a"), NULL, NULL);
    }
    assert_in_range(acl.probes, 7, 11);
    assert_true(inside_is_connected(bench.process, false));
    assert_true(why_says(""));
    acl.cut = NULL;
    acl.hidden = OWN;
    cut("gait-accelerometer-trusted-landing");
    pass(3700000);
    assert_true(is_silent());
}

/* The broker cuts whoever publishes to output: we are there in between, to be asked, and say what it may be; and it comes
 * when it may. */
static void
expect_held_back(const char *output)
{
    unsigned there = 0, told = 0, heard = 0;

    pass(20000);
    for (unsigned i = 0; i < 100; i++) {
        pass(1000);
        there += inside_is_connected(bench.process, false);
        told += why_says("may user (without a name) publish to gait/");
    }
    assert_in_range(there, 80, 100);
    assert_in_range(told, 80, 100);
    assert_true(why_says(output));
    bench_forget();
    acl.cut = NULL;
    pass(40000);
    for (unsigned i = 0; i < bench.heard_count; i++)
        heard += strncmp(bench.heard[i].topic, output, strlen(output)) == 0;
    assert_int_equal(heard, 1);
    pass(60000);
    assert_true(why_says(""));
}

static void
bug_713_a_broker_that_cuts_for_output_leaves_us_time_to_say_so(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.cut = "gait/rejected/accelerometer-trusted";
    bench_send(LANDING "/phone-1", "{\"x\":1}", NULL, NULL);
    expect_held_back(acl.cut);
}

static void
bug_713_likewise_for_rows_that_it_forgot(void **state)
{
    (void)state;
    bench_open_process(&customer_trusted, NULL);
    bench_send("gait/landing/customer/web", CUSTOMER, NULL, NULL);
    pass(2000);
    acl.cut = "gait/trusted/customer";
    memory_broker_forget(&bench.broker, true, true);
    expect_held_back(acl.cut);
}

/* A message that looks like ours, on the landing connection. */
static void
bring(const char *topic, const char *payload, const char *response, struct span correlation)
{
    const struct wire_events events = inside_events(bench.process, true);
    const struct wire_message message = {.topic = span_of(topic),
                                         .payload = span_of(payload),
                                         .response_topic = span_of(response),
                                         .correlation = correlation};

    events.message(events.context, &message);
    bench_settle();
}

/* Promise 3: a subscriber of the landing topics may have seen the token. */
static void
nothing_of_a_stranger_passes_for_ours(void **state)
{
    const struct span token = {acl.token, sizeof acl.token};

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    pass(6000);
    assert_int_equal(acl.probes, 1);
    uint64_t end = inside_inbox_end(bench.process);
    bring(OWN, "[]", "", token); /* it came twice, say */
    assert_int_equal(inside_inbox_end(bench.process), end);
    bring(OWN, READING("a"), "", token);
    bring(OWN, "[" READING("b") "]", "", token);
    bring(LANDING, READING("c"), "", token);
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 3);
    bring(OWN, "[]", "gait/receipt/.probe", token);
    assert_non_null(bench_heard("gait/receipt/.probe", 0));
    end = inside_inbox_end(bench.process);
    bring(OWN, "[]", "", span_at(acl.token, 15));
    assert_true(inside_inbox_end(bench.process) > end);
    end = inside_inbox_end(bench.process);
    bring(LANDING, "[]", "", token);
    assert_true(inside_inbox_end(bench.process) > end);
}

/* The broker kept it for us, and meanwhile somebody has changed the ACL. */
static void
one_of_an_earlier_connection_proves_nothing(void **state)
{
    char token[INSIDE_PROBE_BYTES];

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    acl.hidden = OWN;
    pass(6000);
    memcpy(token, acl.token, sizeof token);
    cut("gait-accelerometer-trusted-landing");
    bring(OWN, "[]", "", span_at(token, sizeof token));
    pass(15000);
    assert_true(is_silent());
    assert_int_equal(inside_ledger(bench.process)->inputs[0].taken, 0);
}

static void
a_process_without_landing_asks_nothing(void **state)
{
    (void)state;
    bench_open_process(&customer_curated, NULL);
    acl.hidden = "gait/landing/";
    pass(60000);
    for (unsigned i = 0; i < bench.heard_count; i++)
        assert_null(strstr(bench.heard[i].topic, ".probe"));
    assert_true(why_says(""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_brings_our_own_message_is_asked_once_a_connection),
        TEST(bug_400_a_landing_subscription_that_stays_silent_is_said_and_taken_back),
        TEST(it_is_taken_back_when_anything_comes),
        TEST(nothing_is_asked_as_long_as_messages_come),
        TEST(what_may_not_be_published_says_nothing),
        TEST(a_broker_that_cuts_for_it_is_asked_ever_more_rarely),
        TEST(bug_713_a_broker_that_cuts_for_output_leaves_us_time_to_say_so),
        TEST(bug_713_likewise_for_rows_that_it_forgot),
        TEST(nothing_of_a_stranger_passes_for_ours),
        TEST(one_of_an_earlier_connection_proves_nothing),
        TEST(a_process_without_landing_asks_nothing),
    };

    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
