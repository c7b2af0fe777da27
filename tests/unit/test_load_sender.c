/* sender: every record gets its receipt, and soon, whatever is lost on the way. The wire is one that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "mqtt/mqtt.h"
#include "load/sender.h"

#define MESSAGES_MAX 64

/* What the process on the other side does with the next messages: a letter for each, the last one for all that follow. */
enum { ANSWER = 'a', LOSE_RECEIPT = 'l', FAULTS = 'f', TOO_LARGE = 't', LEAVING = 'v' };

/* What the process, or the broker for it, says of the process. */
struct saying {
    const char *topic;
    const char *payload;
    bool retained;
};

static struct {
    struct wire wire;
    struct wire_events events;
    const char *plan;
    const char *refusal; /* of every connection; NULL: it is made */
    const struct saying *sayings; /* to whoever subscribes to metrics, up to one without topic; NULL: that is refused */
    char seen[MESSAGES_MAX][64]; /* what came, cut off */
    unsigned seen_count;
    unsigned questions;
} process;

static unsigned
count_records(struct span payload)
{
    unsigned count = payload.len > 0 && payload.at[0] == '{';

    for (size_t i = 0; i < payload.len; i++)
        count += payload.at[i] == '\n';
    return count;
}

static void
answer(const struct wire_message *message, char how)
{
    struct buffer receipt = {0};
    unsigned records = count_records(message->payload);

    buffer_printf(&receipt, "{\"taken\":%u,\"duplicate\":0,\"invalid\":%u", how == TOO_LARGE ? 1 : records,
                  how == ANSWER || how == LEAVING ? 0 : 1);
    if (how == LEAVING)
        buffer_add_text(&receipt, ",\"refused\":1,\"stale\":2,\"ahead\":3");
    if (how == FAULTS)
        buffer_printf(&receipt, ",\"faults\":[{\"record\":%u,\"reason\":\"missing_field\",\"field\":\"email\"}]",
                      records - 1);
    if (how == TOO_LARGE)
        buffer_add_text(&receipt, ",\"faults\":[{\"record\":0,\"reason\":\"too_large\"}]");
    buffer_add_byte(&receipt, '}');
    const struct wire_message answer = {.topic = message->response_topic,
                                        .payload = buffer_span(&receipt),
                                        .correlation = message->correlation};
    process.events.message(process.events.context, &answer);
    buffer_free(&receipt);
}

static int
fake_connect(struct wire *wire)
{
    (void)wire;
    if (process.refusal != NULL) {
        process.events.down(process.events.context, process.refusal);
        return 0;
    }
    const struct wire_limits limits = {.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};
    process.events.up(process.events.context, false, &limits);
    return 0;
}

static int
fake_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    bool metrics = strstr(filters[0], "/metrics/") != NULL;

    (void)wire;
    (void)count;
    (void)news_from;
    (void)delivery;
    process.events.subscribed(process.events.context, !metrics || process.sayings != NULL, "");
    for (const struct saying *saying = process.sayings; metrics && saying != NULL && saying->topic != NULL; saying++) {
        const struct wire_message message = {
            .topic = span_of(saying->topic), .payload = span_of(saying->payload), .retained = saying->retained};
        process.events.message(process.events.context, &message);
    }
    return 0;
}

static int
fake_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    (void)wire;
    (void)token;
    process.questions += span_is(message->payload, "[]");
    assert_true(process.seen_count < MESSAGES_MAX && process.questions <= 2); /* else it asks for ever */
    snprintf(process.seen[process.seen_count++], sizeof process.seen[0], "%.*s", (int)message->payload.len,
             message->payload.at);
    char how = *process.plan;
    if (process.plan[1] != '\0')
        process.plan++;
    if (how != LOSE_RECEIPT)
        answer(message, how);
    return 0;
}

static void
fake_disconnect(struct wire *wire, int timeout_ms)
{
    (void)wire;
    (void)timeout_ms;
}

static void
fake_free(struct wire *wire)
{
    (void)wire;
}

/* In place of lib/mqtt. */
struct wire *
mqtt_wire(const struct broker *broker, const struct wire_options *options, const struct wire_events *events)
{
    static const struct wire_calls calls = {fake_connect,    fake_subscribe,  fake_publish, NULL,
                                            fake_disconnect, fake_free};

    (void)broker;
    (void)options;
    process.wire.calls = &calls;
    process.events = *events;
    return &process.wire;
}

#define STOPPED_MS_MAX 300 /* less than the second after which a process is asked for receipts */

/* To a wire that does as plan says. */
static struct sender *
new_sender(const char *plan, unsigned batch, int64_t stopped_ms_max)
{
    static const struct broker broker;
    const struct sender_options options = {.command = "test",
                                           .broker = &broker,
                                           .prefix = "gait",
                                           .batch_records = batch,
                                           .stopped_ms_max = stopped_ms_max};

    process.plan = plan;
    process.seen_count = process.questions = 0;
    struct sender *sender = sender_new(&options);
    assert_non_null(sender);
    return sender;
}

/* Send count records of one message each, or of one message in all, over a wire that does as plan says. */
static struct sender *
send_records(const char *plan, unsigned count, unsigned batch)
{
    struct sender *sender = new_sender(plan, batch, STOPPED_MS_MAX);

    for (unsigned i = 0; i < count; i++) {
        char record[16];
        const struct sender_origin origin = {i / 4, 10 + i % 4, NULL};
        snprintf(record, sizeof record, "{%u}", i);
        assert_int_equal(sender_add(sender, RECORD_CUSTOMER, span_of(record), &origin), 0);
    }
    assert_int_equal(sender_finish(sender), 0);
    assert_int_equal(sender_totals(sender).receipted, count);
    return sender;
}

static void
expect_seen(const char *const *want, unsigned count)
{
    assert_int_equal(process.seen_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(process.seen[i], want[i]);
}

/* A load stood still for ten seconds although its message had been worked: receipts go at most once. */
static void
bug_252_a_lost_receipt_is_asked_for(void **state)
{
    static const char *const want[] = {"{0}\n{1}", "[]", "{0}\n{1}"};
    int64_t start_ms = clock_steady_ms();

    (void)state;
    sender_free(send_records("la", 2, 2));
    expect_seen(want, 3);
    assert_in_range(clock_steady_ms() - start_ms, 500, 5000);
}

static void
a_question_may_be_lost_too(void **state)
{
    static const char *const want[] = {"{0}", "[]", "[]", "{0}"};

    (void)state;
    sender_free(send_records("lla", 1, 1));
    expect_seen(want, 4);
}

static void
a_later_receipt_shows_that_one_is_lost(void **state)
{
    static const char *const want[] = {"{0}", "{1}", "{0}", "{2}"};
    int64_t start_ms = clock_steady_ms();

    (void)state;
    sender_free(send_records("la", 3, 1));
    expect_seen(want, 4);
    assert_in_range(clock_steady_ms() - start_ms, 0, 900); /* nobody had to be asked */
}

static void
what_has_its_receipt_is_not_sent_again(void **state)
{
    static const char *const want[] = {"{0}", "{1}", "[]", "{1}"};

    (void)state;
    sender_free(send_records("ala", 2, 1));
    expect_seen(want, 4);
}

static void
a_fault_is_known_by_file_and_line(void **state)
{
    struct sender_fault fault;
    struct sender *sender = send_records("f", 6, 3);

    (void)state;
    assert_int_equal(sender_totals(sender).invalid, 2);
    assert_int_equal(sender_fault(sender, 0, &fault), 1);
    assert_int_equal(fault.file, 0);
    assert_int_equal(fault.line, 12);
    assert_string_equal(fault.text, "missing_field: email is missing");
    assert_int_equal(sender_fault(sender, 1, &fault), 1);
    assert_int_equal(fault.file, 1);
    assert_int_equal(fault.line, 11);
    assert_int_equal(sender_fault(sender, 2, &fault), 0);
    sender_free(sender);
}

static void
the_first_faults_are_enough(void **state)
{
    struct sender_fault fault;
    struct sender *sender = send_records("f", 20, 1);

    (void)state;
    assert_int_equal(sender_totals(sender).invalid, 20);
    assert_int_equal(sender_fault(sender, SENDER_FAULTS_MAX - 1, &fault), 1);
    assert_int_equal(sender_fault(sender, SENDER_FAULTS_MAX, &fault), 0);
    sender_free(sender);
}

/* With `payload_bytes` below what we send the process counts one record, and none of those in it is taken. */
static void
a_message_that_is_refused_as_a_whole_counts_with_all_its_records(void **state)
{
    struct sender_fault fault;
    struct sender *sender = send_records("t", 8, 8);

    (void)state;
    assert_int_equal(sender_totals(sender).invalid, 8);
    assert_int_equal(sender_fault(sender, 0, &fault), 1);
    assert_int_equal(fault.line, 10);
    sender_free(sender);
}

static void
what_became_of_records_is_summed_up(void **state)
{
    struct sender *sender = send_records("v", 8, 4);
    const struct sender_totals totals = sender_totals(sender);

    (void)state;
    assert_int_equal(totals.records, 8);
    assert_int_equal(totals.receipted, 8);
    assert_int_equal(totals.refused, 2);
    assert_int_equal(totals.stale, 4);
    assert_int_equal(totals.ahead, 6);
    assert_int_equal(totals.invalid, 0);
    sender_free(sender);
}

#define STATUS "gait/status/customer-trusted"
#define METRICS "gait/metrics/customer-trusted"
#define SAYS(process, state, why) "{\"process\":\"" process "\",\"state\":\"" state "\",\"why\":\"" why "\"}"
#define STOPPED SAYS("customer-trusted", "stopped", "disk full")

static const struct saying stopped[] = {{STATUS, "online", true}, {METRICS, STOPPED, true}, {NULL, NULL, false}};

/* It was waited for without end, and the load said nothing but "does it run?". */
static void
bug_256_a_process_that_says_it_is_stopped_is_given_up(void **state)
{
    static const char *const want[] = {"{0}"};
    int64_t start_ms = clock_steady_ms();

    (void)state;
    process.sayings = stopped;
    struct sender *sender = new_sender("l", 1, STOPPED_MS_MAX);
    assert_string_equal(sender_given_up(sender), "");
    assert_int_equal(sender_add(sender, RECORD_CUSTOMER, span_of("{0}"), NULL), 0);
    assert_int_equal(sender_finish(sender), -1);
    assert_string_equal(sender_given_up(sender), "customer-trusted is stopped: disk full");
    assert_in_range(clock_steady_ms() - start_ms, STOPPED_MS_MAX, 900);
    assert_int_equal(sender_totals(sender).receipted, 0);
    assert_int_equal(sender_add(sender, RECORD_CUSTOMER, span_of("{1}"), NULL), -1);
    assert_int_equal(sender_finish(sender), -1);
    expect_seen(want, 1);
    sender_free(sender);
}

/* A receipt after a second is progress, so it has all its time again. */
/* A broker that is not there yet is waited for, one that knows us and lets us not in is not. */
static void
bug_293_a_broker_that_refuses_user_or_password_is_given_up(void **state)
{
    (void)state;
    process.refusal = "127.0.0.1:1: the broker refuses: Not authorized";
    struct sender *sender = new_sender("a", 1, STOPPED_MS_MAX);
    assert_int_equal(sender_add(sender, RECORD_CUSTOMER, span_of("{0}"), NULL), -1);
    assert_string_equal(sender_given_up(sender), process.refusal);
    assert_int_equal(sender_finish(sender), -1);
    expect_seen(NULL, 0);
    sender_free(sender);
    process.refusal = NULL;
}

static void
a_stopped_process_that_gives_receipts_is_not(void **state)
{
    int64_t start_ms = clock_steady_ms();

    (void)state;
    process.sayings = stopped;
    struct sender *sender = new_sender("lal", 1, 1500);
    assert_int_equal(sender_add(sender, RECORD_CUSTOMER, span_of("{0}"), NULL), 0);
    assert_int_equal(sender_finish(sender), -1);
    assert_in_range(clock_steady_ms() - start_ms, 2400, 10000);
    sender_free(sender);
}

/* They are waited for until they answer a question. Which states are meant says test_load_taker. */
static void
who_is_away_or_is_not_asked_for_anything_is_waited_for(void **state)
{
    static const struct saying cases[][4] = {
        {{STATUS, "offline", true}, {METRICS, STOPPED, true}},
        {{"gait/metrics/accelerometer-trusted", SAYS("accelerometer-trusted", "stopped", "disk full"), true},
         {METRICS, SAYS("accelerometer-trusted", "stopped", "disk full"), true},
         {METRICS, "stopped", true}},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        process.sayings = cases[i];
        sender_free(send_records("la", 1, 1));
    }
}

static void
who_may_not_read_metrics_loads_all_the_same(void **state)
{
    (void)state;
    process.sayings = NULL;
    sender_free(send_records("la", 1, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_252_a_lost_receipt_is_asked_for),
        cmocka_unit_test(a_question_may_be_lost_too),
        cmocka_unit_test(a_later_receipt_shows_that_one_is_lost),
        cmocka_unit_test(what_has_its_receipt_is_not_sent_again),
        cmocka_unit_test(a_fault_is_known_by_file_and_line),
        cmocka_unit_test(the_first_faults_are_enough),
        cmocka_unit_test(a_message_that_is_refused_as_a_whole_counts_with_all_its_records),
        cmocka_unit_test(what_became_of_records_is_summed_up),
        cmocka_unit_test(bug_256_a_process_that_says_it_is_stopped_is_given_up),
        cmocka_unit_test(bug_293_a_broker_that_refuses_user_or_password_is_given_up),
        cmocka_unit_test(a_stopped_process_that_gives_receipts_is_not),
        cmocka_unit_test(who_is_away_or_is_not_asked_for_anything_is_waited_for),
        cmocka_unit_test(who_may_not_read_metrics_loads_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
