/* publisher: nobody is outrun, nobody is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "run/publisher.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)
#define EPOCH 7
#define TOKEN (UINT64_C(5) << 56)
#define SENT_MAX 2000
#define MESSAGE_BYTES 100

/* A wire that only remembers what it was given. */
struct sent {
    char topic[64];
    char payload[128];
    uint64_t epoch;
    uint64_t sequence;
    uint64_t token;
    bool retained;
    unsigned part, parts;
};

static struct sent sent[SENT_MAX];
static unsigned sent_count;
static bool broken;

static int
stub_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    (void)wire;
    if (broken)
        return -1;
    assert_true(sent_count < SENT_MAX);
    assert_int_equal(message->topic.at[message->topic.len], '\0');
    assert_int_equal(message->delivery, WIRE_AT_LEAST_ONCE);
    struct sent *one = &sent[sent_count++];
    snprintf(one->topic, sizeof one->topic, "%s", message->topic.at);
    snprintf(one->payload, sizeof one->payload, "%.*s", (int)message->payload.len, message->payload.at);
    one->epoch = message->epoch;
    one->sequence = message->sequence;
    one->token = token;
    one->retained = message->retained;
    one->part = message->part;
    one->parts = message->parts;
    return 0;
}

static const struct wire_calls stub_calls = {.publish = stub_publish};
static struct wire wire = {&stub_calls};

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static struct outbox outbox;
static struct publisher publisher;
static int64_t now_ms;

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    store = store_open(dir, MAP_BYTES);
    assert_int_equal(outbox_open(&outbox, store, "outbox"), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(outbox_load(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
    publisher = (struct publisher){
        .outbox = &outbox, .topic = "gait/out", .epoch = EPOCH, .window_bytes = 1u << 20, .token = TOKEN};
    now_ms = 5000;
    sent_count = 0;
    broken = false;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    publisher_free(&publisher);
    store_close(store);
    scratch_dir_remove(dir);
    return 0;
}

/* With these consumers; what is in the outbox is there already. */
static void
begin(unsigned consumers)
{
    static const char *const names[] = {"a", "b"};
    for (unsigned i = 0; i < consumers; i++)
        publisher_add(&publisher, names[i]);
    publisher_init(&publisher);
}

/* Messages of MESSAGE_BYTES as the outbox counts them. */
static void
append(unsigned count)
{
    char payload[MESSAGE_BYTES - 9 + 1];
    assert_int_equal(store_begin(store), 0);
    for (unsigned i = 0; i < count; i++) {
        snprintf(payload, sizeof payload, "%-*" PRIu64, MESSAGE_BYTES - 9, outbox.last.sequence + 1);
        assert_int_equal(outbox_append(&outbox, (struct span){0}, span_of(payload)), 0);
    }
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
}

static void
trim(uint64_t sequence)
{
    assert_int_equal(store_begin(store), 0);
    assert_true(outbox_trim(&outbox, sequence, 10000) >= 0);
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
}

static int
pump_now(void)
{
    assert_int_equal(store_snapshot(store), 0);
    int rc = publisher_pump(&publisher, &wire, now_ms);
    store_snapshot_end(store);
    return rc;
}

/* As the loop does it: only if it says that there is something. Checks that what is sent are the messages from first to
 * last (0, 0: none), and nothing else. */
static void
expect_sent(uint64_t first, uint64_t last)
{
    const uint64_t count = first == 0 ? 0 : last - first + 1;
    sent_count = 0;
    if (publisher_ready(&publisher, now_ms))
        assert_true(pump_now() >= 0);
    assert_int_equal(sent_count, count);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(sent[i].sequence, first + i);
        assert_int_equal(sent[i].epoch, EPOCH);
        assert_int_equal(atoll(sent[i].payload), first + i);
    }
}

static void
report(const char *name, uint64_t applied, bool rewind)
{
    publisher_report(&publisher, span_of(name), EPOCH, applied, rewind);
}

static void
messages_are_sent_once_in_order(void **state)
{
    (void)state;
    begin(1);
    expect_sent(0, 0);
    append(3);
    expect_sent(1, 3);
    expect_sent(0, 0);
    append(2);
    expect_sent(4, 5);
    assert_string_equal(sent[0].topic, "gait/out");
    assert_false(sent[0].retained);
    report("a", 5, false);
    expect_sent(0, 0);
    assert_int_equal(publisher_confirmed(&publisher), 5);
}

static void
rows_of_a_table_are_retained_under_their_names(void **state)
{
    (void)state;
    publisher.table = true;
    begin(1);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(outbox_append(&outbox, span_of("0a"), span_of("1")), 0);
    assert_int_equal(outbox_append(&outbox, span_of("0b"), span_of("2")), 0);
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
    expect_sent(1, 2);
    assert_string_equal(sent[0].topic, "gait/out/0a");
    assert_string_equal(sent[1].topic, "gait/out/0b");
    assert_true(sent[1].retained);
}

/* Else a connection that breaks behind 1 would leave the broker with what 2 has replaced. */
static void
rows_that_the_broker_has_are_not_retained_again(void **state)
{
    (void)state;
    publisher.table = true;
    begin(1);
    append(3);
    expect_sent(1, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(sent[i].retained);
    report("a", 0, true);
    append(1);
    expect_sent(1, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sent[i].retained, i == 3);
    publisher_restart(&publisher);
    publisher.copied = 2; /* so the broker says */
    expect_sent(1, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sent[i].retained, i >= 2);
}

static void
what_a_broken_connection_did_not_take_is_still_to_be_retained(void **state)
{
    (void)state;
    publisher.table = true;
    begin(1);
    append(1);
    broken = true;
    assert_int_equal(pump_now(), -1);
    broken = false;
    publisher_restart(&publisher);
    expect_sent(1, 1);
    assert_true(sent[0].retained);
}

static void
the_window_of_bytes_holds_until_the_slowest_has_applied(void **state)
{
    (void)state;
    publisher.window_bytes = 5 * MESSAGE_BYTES;
    begin(2);
    append(20);
    expect_sent(1, 5);
    report("a", 5, false);
    expect_sent(0, 0);
    report("b", 2, false);
    expect_sent(6, 7);
    assert_int_equal(publisher_confirmed(&publisher), 2);
    report("b", 7, false);
    expect_sent(8, 10);
    report("a", 10, false);
    expect_sent(11, 12);
}

/* Rows are few, and withdrawals are among them. */
static void
a_table_waits_for_its_fastest_consumer_alone(void **state)
{
    (void)state;
    publisher.table = true;
    publisher.window_bytes = 5 * MESSAGE_BYTES;
    begin(2);
    append(20);
    expect_sent(1, 5);
    report("a", 5, false);
    expect_sent(6, 10);
    report("a", 10, false);
    expect_sent(11, 15);
    assert_int_equal(publisher_confirmed(&publisher), 0);
}

static void
a_message_larger_than_the_window_goes_alone(void **state)
{
    (void)state;
    publisher.window_bytes = 10;
    begin(1);
    append(3);
    expect_sent(1, 1);
    expect_sent(0, 0);
    report("a", 1, false);
    expect_sent(2, 2);
}

static void
the_window_of_messages_keeps_below_what_a_broker_drops(void **state)
{
    (void)state;
    begin(1);
    append(1500);
    assert_true(pump_now() < 1000);
    const uint64_t first = sent_count;
    assert_true(first >= 100);
    report("a", 10, false);
    expect_sent(first + 1, first + 10);
}

static void
a_rewind_sends_again_what_follows(void **state)
{
    (void)state;
    begin(2);
    append(10);
    expect_sent(1, 10);
    report("a", 10, false);
    report("b", 3, true);
    expect_sent(4, 10);
    report("b", 3, true); /* it asks again */
    expect_sent(4, 10);
    publisher_rewind(&publisher, 8);
    expect_sent(8, 10);
    publisher_rewind(&publisher, 11); /* nothing to go back to */
    expect_sent(0, 0);
}

static void
a_rewind_in_the_middle_of_a_window_does_not_stop_the_rest(void **state)
{
    (void)state;
    publisher.window_bytes = 5 * MESSAGE_BYTES;
    begin(2);
    append(12);
    expect_sent(1, 5);
    report("a", 5, false);
    report("b", 2, true);
    expect_sent(3, 7);
    report("b", 7, false);
    report("a", 7, false);
    expect_sent(8, 12);
}

static void
older_and_impossible_reports_change_nothing(void **state)
{
    (void)state;
    begin(1);
    append(10);
    expect_sent(1, 10);
    report("a", 8, false);
    report("a", 5, false);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    report("a", 11, false); /* beyond the newest: of a store that is gone */
    assert_int_equal(publisher_confirmed(&publisher), 8);
    publisher_report(&publisher, span_of("a"), EPOCH + 1, 10, false);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    report("stranger", 10, true);
    report("", 10, true);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    expect_sent(0, 0);
}

static void
whoever_knows_another_life_of_the_store_gets_everything_there_is(void **state)
{
    (void)state;
    begin(1);
    append(10);
    expect_sent(1, 10);
    publisher_report(&publisher, span_of("a"), EPOCH + 1, 4, true);
    expect_sent(1, 10);
    report("a", 4, false);
    trim(4);
    publisher_report(&publisher, span_of("a"), EPOCH + 1, 8, true); /* logs that some of it is gone */
    expect_sent(5, 10);
}

static void
a_new_connection_sends_again_what_is_not_applied(void **state)
{
    (void)state;
    begin(1);
    append(10);
    expect_sent(1, 10);
    report("a", 6, false);
    publisher_restart(&publisher);
    expect_sent(7, 10);
    report("a", 10, false);
    publisher_restart(&publisher);
    expect_sent(0, 0);
}

static void
a_new_process_goes_on_behind_what_was_trimmed(void **state)
{
    (void)state;
    append(10);
    trim(4);
    begin(2);
    assert_int_equal(publisher_confirmed(&publisher), 4);
    expect_sent(5, 10);
    report("a", 10, false);
    report("b", 10, false);
    trim(10);
    assert_int_equal(outbox_bytes(&outbox), 0);
    append(1);
    expect_sent(11, 11);
}

static void
a_connection_that_breaks_loses_nothing(void **state)
{
    (void)state;
    begin(1);
    append(3);
    broken = true;
    assert_int_equal(pump_now(), -1);
    broken = false;
    publisher_restart(&publisher);
    expect_sent(1, 3);
}

/* Nobody registered: the broker stands in. */

static void
without_consumers_the_brokers_acknowledgements_confirm(void **state)
{
    (void)state;
    publisher.window_bytes = 3 * MESSAGE_BYTES;
    begin(0);
    append(8);
    expect_sent(1, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(sent[i].token == (TOKEN | sent[i].sequence));
    expect_sent(0, 0);
    publisher_delivered(&publisher, TOKEN | 2);
    publisher_delivered(&publisher, TOKEN | 1); /* late */
    assert_int_equal(publisher_confirmed(&publisher), 2);
    expect_sent(4, 5);
    publisher_delivered(&publisher, (UINT64_C(6) << 56) | 5); /* of another publisher */
    publisher_delivered(&publisher, TOKEN | 9);               /* never sent */
    assert_int_equal(publisher_confirmed(&publisher), 2);
    now_ms += 1000000;
    expect_sent(0, 0); /* a broker acknowledges or breaks the connection: nothing to probe for */
    publisher_restart(&publisher);
    expect_sent(3, 5);
    publisher_delivered(&publisher, TOKEN | 5);
    trim(5);
    expect_sent(6, 8);
}

static void
with_consumers_the_brokers_word_is_not_asked_for(void **state)
{
    (void)state;
    begin(1);
    append(1);
    expect_sent(1, 1);
    assert_int_equal(sent[0].token, 0);
    publisher_delivered(&publisher, TOKEN | 1);
    assert_int_equal(publisher_confirmed(&publisher), 0);
}

/* Probes. */

static void
what_nothing_is_heard_of_is_sent_again_ever_more_rarely(void **state)
{
    (void)state;
    begin(1);
    append(4);
    expect_sent(1, 4);
    int64_t last_ms = now_ms;
    int64_t gap_ms = 0;
    for (unsigned probes = 0; probes < 10;) {
        assert_true(now_ms - last_ms <= 30000);
        now_ms += 100;
        if (!publisher_ready(&publisher, now_ms))
            continue;
        expect_sent(4, 4);
        assert_true(now_ms - last_ms >= 1000);
        assert_true(now_ms - last_ms >= gap_ms);
        gap_ms = now_ms - last_ms;
        last_ms = now_ms;
        probes++;
    }
    assert_int_equal(gap_ms, 30000);
    report("a", 4, false);
    now_ms += 1000000;
    expect_sent(0, 0);
}

/* The broker dropped 3 and 4 for a slow consumer, and nothing follows. */
static void
a_report_of_a_part_does_not_end_the_probes_for_the_rest(void **state)
{
    (void)state;
    begin(1);
    append(4);
    expect_sent(1, 4);
    report("a", 2, false);
    expect_sent(0, 0);
    now_ms += 1000;
    expect_sent(4, 4);
    report("a", 2, true); /* it sees the gap */
    expect_sent(3, 4);
}

/* The window is full, and all of it was lost but what brought the last report. */
static void
a_full_window_is_probed_after_a_report_that_says_nothing_new(void **state)
{
    (void)state;
    publisher.window_bytes = 2 * MESSAGE_BYTES;
    begin(1);
    append(4);
    expect_sent(1, 2);
    report("a", 0, false);
    expect_sent(0, 0);
    now_ms += 1000;
    expect_sent(2, 2);
}

/* Some are deaf to everything in flight: each pattern of losses of 5 messages, and of the reports about them. */
static void
whatever_is_lost_both_ways_all_is_applied_in_the_end(void **state)
{
    (void)state;
    const uint64_t count = 5;
    begin(1);
    for (unsigned lost = 0; lost < 1u << (2 * count); lost++) {
        uint64_t applied = outbox.last.sequence;
        const uint64_t end = applied + count;
        unsigned dice = lost;
        append((unsigned)count);
        for (unsigned turn = 0; publisher_confirmed(&publisher) < end; turn++) {
            assert_true(turn < 40);
            sent_count = 0;
            if (publisher_ready(&publisher, now_ms))
                assert_true(pump_now() >= 0);
            for (unsigned i = 0; i < sent_count; i++, dice >>= 2) {
                const bool heard = (dice & 1) == 0;
                bool gap = heard && sent[i].sequence > applied + 1;
                if (heard && sent[i].sequence == applied + 1)
                    applied++;
                if (heard && (dice & 2) == 0)
                    report("a", applied, gap);
            }
            now_ms += 1000;
        }
        trim(publisher_confirmed(&publisher));
    }
}

/* Append one message; records stand in it as they are given. */
static void
append_text(const char *payload)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(outbox_append(&outbox, (struct span){0}, span_of(payload)), 0);
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
}

/* Packets that leave room for so many bytes of payload. */
static void
leave_room(size_t bytes)
{
    publisher.limits.packet_bytes_max = bytes + strlen("gait/out") + WIRE_OVERHEAD_BYTES;
}

static void
bug_231_what_was_stored_before_the_broker_named_its_limit_goes_out_in_parts(void **state)
{
    (void)state;
    static const char *const parts[] = {"{1}\n{22}", "{333333}", "{4}\n{55}"};
    begin(0);
    append_text("{1}\n{22}\n{333333}\n{4}\n{55}");
    append_text("{6}");
    leave_room(8);
    assert_int_equal(pump_now(), 2);
    assert_int_equal(sent_count, 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(sent[i].payload, parts[i]);
        assert_int_equal(sent[i].sequence, 1);
        assert_int_equal(sent[i].part, i + 1);
        assert_int_equal(sent[i].parts, 3);
        assert_true(sent[i].token == (i == 2 ? TOKEN + 1 : 0)); /* delivered is what is delivered whole */
    }
    assert_string_equal(sent[3].payload, "{6}");
    assert_int_equal(sent[3].parts, 0);
    assert_true(sent[3].token == TOKEN + 2);
}

static void
a_record_that_the_broker_does_not_take_is_stood_at_until_the_next_connection(void **state)
{
    (void)state;
    begin(1);
    append_text("{1}");
    append_text("{22}\n{4444444}");
    append_text("{3}");
    leave_room(8);
    pump_now();
    assert_int_equal(sent_count, 1);
    assert_int_equal(publisher.unfit_bytes, 9 + strlen("gait/out") + WIRE_OVERHEAD_BYTES);
    assert_false(publisher_ready(&publisher, now_ms)); /* and does not spin */
    report("a", 1, true);
    assert_false(publisher_ready(&publisher, now_ms));
    leave_room(9);
    publisher_restart(&publisher);
    assert_true(publisher_ready(&publisher, now_ms));
    sent_count = 0;
    assert_int_equal(pump_now(), 2);
    assert_int_equal(sent_count, 3);
    assert_int_equal(publisher.unfit_bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bug_231_what_was_stored_before_the_broker_named_its_limit_goes_out_in_parts),
        TEST(a_record_that_the_broker_does_not_take_is_stood_at_until_the_next_connection),
        TEST(messages_are_sent_once_in_order),
        TEST(rows_of_a_table_are_retained_under_their_names),
        TEST(rows_that_the_broker_has_are_not_retained_again),
        TEST(what_a_broken_connection_did_not_take_is_still_to_be_retained),
        TEST(the_window_of_bytes_holds_until_the_slowest_has_applied),
        TEST(a_table_waits_for_its_fastest_consumer_alone),
        TEST(a_message_larger_than_the_window_goes_alone),
        TEST(the_window_of_messages_keeps_below_what_a_broker_drops),
        TEST(a_rewind_sends_again_what_follows),
        TEST(a_rewind_in_the_middle_of_a_window_does_not_stop_the_rest),
        TEST(older_and_impossible_reports_change_nothing),
        TEST(whoever_knows_another_life_of_the_store_gets_everything_there_is),
        TEST(a_new_connection_sends_again_what_is_not_applied),
        TEST(a_new_process_goes_on_behind_what_was_trimmed),
        TEST(a_connection_that_breaks_loses_nothing),
        TEST(without_consumers_the_brokers_acknowledgements_confirm),
        TEST(with_consumers_the_brokers_word_is_not_asked_for),
        TEST(what_nothing_is_heard_of_is_sent_again_ever_more_rarely),
        TEST(a_report_of_a_part_does_not_end_the_probes_for_the_rest),
        TEST(a_full_window_is_probed_after_a_report_that_says_nothing_new),
        TEST(whatever_is_lost_both_ways_all_is_applied_in_the_end),
    };
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
