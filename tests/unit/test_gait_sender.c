/* sender: every record gets its receipt, and soon, whatever is lost on the way. The wire is one that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "mqtt/mqtt.h"
#include "sender.h"

#define MESSAGES_MAX 64

/* What the process on the other side does with the next messages: a letter for each, the last one for all that follow. */
enum { ANSWER = 'a', LOSE_RECEIPT = 'l', FAULTS = 'f', TOO_LARGE = 't' };

static struct {
    struct wire wire;
    struct wire_events events;
    const char *plan;
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
                  how == ANSWER ? 0 : 1);
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
    const struct wire_limits limits = {.packet_bytes_max = SIZE_MAX, .acknowledges = true, .retains = true};
    process.events.up(process.events.context, false, &limits);
    return 0;
}

static int
fake_subscribe(struct wire *wire, const char *const *filters, unsigned count, unsigned news_from,
               enum wire_delivery delivery)
{
    (void)wire;
    (void)filters;
    (void)count;
    (void)news_from;
    (void)delivery;
    process.events.subscribed(process.events.context, true, "");
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
    static const struct wire_calls calls = {fake_connect, fake_subscribe, fake_publish, fake_disconnect, fake_free};
    (void)broker;
    (void)options;
    process.wire.calls = &calls;
    process.events = *events;
    return &process.wire;
}

/* Send count records of one message each, or of one message in all, over a wire that does as plan says. */
static struct sender *
send_records(const char *plan, unsigned count, unsigned batch)
{
    static const struct broker broker;
    const struct sender_options options = {.command = "test", .broker = &broker, .prefix = "gait", .batch_records = batch};
    process.plan = plan;
    process.seen_count = process.questions = 0;
    struct sender *sender = sender_new(&options);
    assert_non_null(sender);
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
    (void)state;
    struct sender *sender = send_records("f", 6, 3);
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
    (void)state;
    struct sender *sender = send_records("f", 20, 1);
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
    (void)state;
    struct sender *sender = send_records("t", 8, 8);
    assert_int_equal(sender_totals(sender).invalid, 8);
    assert_int_equal(sender_fault(sender, 0, &fault), 1);
    assert_int_equal(fault.line, 10);
    sender_free(sender);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
