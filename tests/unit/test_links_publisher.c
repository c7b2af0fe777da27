/* publisher: nobody is outrun, nobody is forgotten, nobody waits for anybody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "links/publisher.h"
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
static size_t waiting; /* bytes that the wire holds */

static int
stub_publish(struct wire *wire, const struct wire_message *message, uint64_t token)
{
    (void)wire;
    if (broken)
        return -1;
    assert_true(sent_count < SENT_MAX);
    assert_int_equal(message->topic.at[message->topic.len], '\0');
    const bool feed = memmem(message->topic.at, message->topic.len, "/feed", 5) != NULL;
    assert_int_equal(message->delivery, feed ? WIRE_AT_MOST_ONCE : WIRE_AT_LEAST_ONCE);
    assert_true(!feed || token == 0);
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

static size_t
stub_waiting(struct wire *wire)
{
    (void)wire;
    return waiting;
}

static const struct wire_calls stub_calls = {.publish = stub_publish, .waiting = stub_waiting};
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
        .outbox = &outbox, .topic = "gait/out", .link = "gait/link/me", .epoch = EPOCH, .window_bytes = 1u << 20,
        .token = TOKEN};
    now_ms = 5000;
    sent_count = 0;
    broken = false;
    waiting = 0;
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

/* As the loop does it: only if it says that there is something. */
static void
turn(void)
{
    sent_count = 0;
    if (publisher_ready(&publisher, now_ms))
        assert_true(pump_now() >= 0);
}

/* In the last turn these messages, and no others, were sent on the topic, in order; 0, 0: none. */
static void
expect_on(const char *topic, uint64_t first, uint64_t last)
{
    const uint64_t count = first == 0 ? 0 : last - first + 1;
    uint64_t found = 0;

    for (unsigned i = 0; i < sent_count; i++) {
        if (strcmp(sent[i].topic, topic) != 0)
            continue;
        assert_int_equal(sent[i].sequence, first + found);
        assert_int_equal(sent[i].epoch, EPOCH);
        assert_int_equal(atoll(sent[i].payload), sent[i].sequence);
        assert_false(sent[i].retained);
        found++;
    }
    assert_int_equal(found, count);
}

#define BROKER "gait/out"
#define A "gait/link/me/a/feed"
#define B "gait/link/me/b/feed"

static void
report(const char *name, uint64_t applied, bool rewind)
{
    publisher_report(&publisher, span_of(name), &(struct publisher_word){.position = {EPOCH, applied}}, rewind, now_ms);
}

static void
acknowledge(uint64_t sequence)
{
    publisher_delivered(&publisher, TOKEN | sequence);
}

/* Both are there and know the store. */
static void
begin_with_both(void)
{
    begin(2);
    report("a", outbox.trimmed.sequence, true);
    report("b", outbox.trimmed.sequence, true);
}

static void
messages_are_sent_once_in_order_to_everybody(void **state)
{
    (void)state;
    begin_with_both();
    turn();
    assert_int_equal(sent_count, 0);
    append(3);
    turn();
    assert_int_equal(sent_count, 9);
    expect_on(BROKER, 1, 3);
    expect_on(A, 1, 3);
    expect_on(B, 1, 3);
    turn();
    assert_int_equal(sent_count, 0);
    append(2);
    turn();
    assert_int_equal(sent_count, 6);
    expect_on(BROKER, 4, 5);
    expect_on(A, 4, 5);
    expect_on(B, 4, 5);
}

static void
all_must_have_a_message_before_it_may_go(void **state)
{
    (void)state;
    begin_with_both();
    append(5);
    turn();
    report("a", 5, false);
    acknowledge(4);
    assert_int_equal(publisher_confirmed(&publisher), 0);
    report("b", 3, false);
    assert_int_equal(publisher_confirmed(&publisher), 3);
    report("b", 5, false);
    assert_int_equal(publisher_confirmed(&publisher), 4); /* what the broker has not got no subscriber has */
    acknowledge(5);
    assert_int_equal(publisher_confirmed(&publisher), 5);
}

/* The broker's copy of a table never hears an older state of a row again, whoever asks for it. */
static void
rows_are_retained_on_their_own_topics_and_nowhere_else(void **state)
{
    (void)state;
    publisher.table = true;
    begin(1);
    report("a", 0, true);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(outbox_append(&outbox, span_of("0a"), span_of("1")), 0);
    assert_int_equal(outbox_append(&outbox, span_of("0b"), span_of("2")), 0);
    assert_int_equal(outbox_flush(&outbox), 0);
    assert_int_equal(store_commit(store), 0);
    for (unsigned i = 0; i < 2; i++) {
        turn();
        const unsigned rows = sent_count - 2;
        assert_int_equal(rows, i == 0 ? 2 : 0);
        for (unsigned j = 0; j < sent_count; j++) {
            assert_int_equal(sent[j].retained, j >= 2);
            assert_string_equal(sent[j].topic, j >= 2 ? j % 2 == 0 ? BROKER "/0a" : BROKER "/0b"
                                                      : j % 2 == 0 ? A "/0a" : A "/0b");
        }
        report("a", 0, true);
    }
}

/* As bug 3 of issue 9: study stopped, the lake stood at 5,110 of 36,000 rows. */
static void
bug_220_nobody_waits_for_one_that_is_away(void **state)
{
    (void)state;
    publisher.window_bytes = 5 * MESSAGE_BYTES;
    begin_with_both();
    append(100);
    turn();
    expect_on(BROKER, 1, 5);
    expect_on(A, 1, 5);
    expect_on(B, 1, 5);
    for (uint64_t n = 5; n < 100; n += 5) {
        report("a", n, false);
        turn();
        expect_on(A, n + 1, n + 5);
        expect_on(BROKER, 0, 0);
        expect_on(B, 0, 0);
        acknowledge(n);
        turn();
        expect_on(BROKER, n + 1, n + 5);
        assert_int_equal(sent_count, 5);
    }
    assert_int_equal(publisher_confirmed(&publisher), 0);
    /* It comes back: nobody else hears of that, and it is not outrun either. */
    report("b", 3, true);
    for (uint64_t n = 3; n < 98; n += 5) {
        turn();
        expect_on(B, n + 1, n + 5);
        assert_int_equal(sent_count, 5);
        report("b", n + 5, false);
    }
    turn();
    expect_on(B, 99, 100);
    report("a", 100, false);
    acknowledge(100);
    append(1);
    turn();
    expect_on(B, 101, 101);
    expect_on(A, 101, 101);
    expect_on(BROKER, 101, 101);
}

static void
one_that_was_never_heard_of_is_sent_one_message(void **state)
{
    (void)state;
    append(10);
    begin(2);
    report("a", 0, true);
    turn();
    expect_on(A, 1, 10);
    expect_on(B, 1, 1);
    report("b", 0, false);
    turn();
    expect_on(B, 2, 10);
    assert_int_equal(sent_count, 9);
}

static void
a_message_larger_than_the_window_goes_alone(void **state)
{
    (void)state;
    publisher.window_bytes = 10;
    begin(1);
    report("a", 0, true);
    append(3);
    turn();
    expect_on(A, 1, 1);
    turn();
    assert_int_equal(sent_count, 0);
    report("a", 1, false);
    turn();
    expect_on(A, 2, 2);
}

static void
the_window_of_messages_keeps_below_what_a_broker_drops(void **state)
{
    (void)state;
    begin(0);
    append(1500);
    assert_true(pump_now() < 1000);
    const uint64_t first = sent_count;
    assert_true(first >= 100);
    acknowledge(10);
    turn();
    expect_on(BROKER, first + 1, first + 10);
}

static void
a_rewind_sends_again_what_follows_to_who_asked(void **state)
{
    (void)state;
    publisher.window_bytes = 6 * MESSAGE_BYTES;
    begin_with_both();
    append(10);
    turn();
    report("a", 6, false);
    turn();
    expect_on(A, 7, 10);
    acknowledge(10);
    report("b", 3, true);
    turn();
    expect_on(B, 4, 9);
    assert_int_equal(sent_count, 6);
    report("b", 3, true); /* for each message behind the gap that was under way */
    report("b", 3, true);
    turn();
    assert_int_equal(sent_count, 0);
    now_ms += 1000; /* but 4 got lost once more */
    turn();
    expect_on(B, 9, 9);
    report("b", 3, true);
    turn();
    expect_on(B, 4, 9);
}

static void
older_and_impossible_reports_change_nothing(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(10);
    turn();
    acknowledge(10);
    report("a", 8, false);
    report("a", 5, false);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {EPOCH + 1, 10}}, false, now_ms);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    report("stranger", 10, true);
    report("", 10, true);
    assert_int_equal(publisher_confirmed(&publisher), 8);
    turn();
    assert_int_equal(sent_count, 0);
}

/* Its state is an older one, or gone: what it said before holds nothing any more, and is not trimmed under its feet. */
static void
bug_221_one_that_went_back_in_time_holds_what_it_lacks(void **state)
{
    (void)state;
    begin_with_both();
    append(10);
    turn();
    acknowledge(10);
    report("a", 10, false);
    report("b", 1, false);
    report("a", 4, true);
    report("b", 10, false);
    assert_int_equal(publisher_confirmed(&publisher), 4);
    turn();
    expect_on(A, 5, 10);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {0}}, true, now_ms); /* all of it gone */
    assert_int_equal(publisher_confirmed(&publisher), 0);
    turn();
    expect_on(A, 1, 10);
}

static void
one_that_needs_what_is_gone_is_told_when_it_asks(void **state)
{
    (void)state;
    append(10);
    trim(4);
    begin(2);
    assert_false(publisher_tells(&publisher.consumers[0], now_ms));
    report("a", 2, false); /* which may be an old report, kept by the broker: then it knows better when it is told */
    assert_true(publisher.consumers[0].behind);
    assert_true(publisher_tells(&publisher.consumers[0], now_ms));
    assert_false(publisher_tells(&publisher.consumers[0], now_ms)); /* but now and then, since it may not have heard it */
    assert_false(publisher_tells(&publisher.consumers[0], now_ms + 1999));
    assert_true(publisher_tells(&publisher.consumers[0], now_ms + 2000));
    assert_false(publisher_tells(&publisher.consumers[0], now_ms + 4000));
    for (unsigned i = 0; i < 1000; i++) /* once a second to one who asks, however often */
        report("a", 2, i % 2 == 0);
    assert_false(publisher_tells(&publisher.consumers[0], now_ms + 2999));
    assert_true(publisher_tells(&publisher.consumers[0], now_ms + 4000));
    assert_true(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
    assert_int_equal(publisher_confirmed(&publisher), 4); /* and holds the rest */
    turn();
    expect_on(A, 5, 5);
    report("a", 2, true); /* it sees the gap: no reason to send it more of what it can't use */
    turn();
    expect_on(A, 0, 0);
    report("a", 6, true);
    assert_false(publisher.consumers[0].behind);
    assert_false(publisher_tells(&publisher.consumers[0], now_ms + 100000));
    turn();
    expect_on(A, 7, 10);
    for (unsigned i = 0; i < 1000; i++) { /* whatever it, or somebody in its name, says in between */
        report("a", i % 2 == 0 ? 2 : 10, i % 3 == 0);
        assert_false(publisher_tells(&publisher.consumers[0], now_ms + 4999));
    }
}

/* What the broker kept may be the word of a state that was replaced by an older one: it needs what that one had. */
static void
bug_710_what_the_broker_kept_of_a_consumer_removes_nothing(void **state)
{
    (void)state;
    append(10);
    trim(2);
    begin(1);
    acknowledge(10);
    const struct publisher_word kept = {.position = {EPOCH, 10}, .kept = true};
    publisher_report(&publisher, span_of("a"), &kept, false, now_ms);
    assert_int_equal(publisher_confirmed(&publisher), 2);
    turn();
    expect_on(A, 10, 10); /* once more, so that it answers */
    now_ms += 60000;
    turn();
    assert_false(publisher_consumer_silent(&publisher, &publisher.consumers[0])); /* it may be away, and has everything */
    report("a", 4, true); /* it has been restored */
    assert_int_equal(publisher_confirmed(&publisher), 4);
    publisher_report(&publisher, span_of("a"), &kept, false, now_ms); /* of another connection */
    assert_int_equal(publisher_confirmed(&publisher), 4);
    report("a", 10, false);
    assert_int_equal(publisher_confirmed(&publisher), 10);
}

/* It wants to be told where all rows end, though everything is there. */
static void
one_that_begins_anew_is_a_newcomer(void **state)
{
    (void)state;
    begin(1);
    append(10);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.anew = true}, true, now_ms);
    assert_true(publisher.consumers[0].newcomer);
    turn();
    assert_true(publisher.consumers[0].newcomer);
    report("a", 0, true); /* it was told */
    assert_false(publisher.consumers[0].newcomer);
}

static void
one_that_knows_another_store_is_a_newcomer(void **state)
{
    (void)state;
    begin(1);
    append(10);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {0}}, true, now_ms);
    assert_false(publisher.consumers[0].newcomer); /* it knows nothing, and everything is there */
    turn();
    expect_on(A, 1, 10);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {EPOCH + 1, 4}}, true, now_ms);
    assert_true(publisher.consumers[0].newcomer); /* it knows better than to take the first number for the next */
    report("a", 4, false);
    assert_false(publisher.consumers[0].newcomer);
    trim(4);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {EPOCH + 1, 8}}, true, now_ms);
    assert_true(publisher.consumers[0].newcomer);
    turn();
    expect_on(A, 0, 0);
    report("a", 4, true); /* it was told */
    assert_false(publisher.consumers[0].newcomer);
    turn();
    expect_on(A, 5, 10);
}

/* Issue 10: what came after a restored state's last number was taken for repeats, in silence. */
static void
bug_330_one_that_has_what_was_not_given_out_proves_that_the_store_is_an_older_copy(void **state)
{
    (void)state;
    append(8);
    begin(2);
    report("b", 3, true);
    report("a", 30, false);
    assert_true(publisher.older.seen);
    assert_string_equal(publisher.older.witness, "a");
    assert_int_equal(publisher.older.knew, 30);
    /* Nothing is sent of a life that ends: "a" may have other messages under its numbers. */
    assert_false(publisher_ready(&publisher, now_ms));
    assert_int_equal(pump_now(), 0); /* as when something else is to be sent */
    assert_int_equal(sent_count, 0);
    const struct lives earlier = publisher_end_life(&publisher);
    assert_int_equal(earlier.count, 1);
    assert_true(earlier.list[0].epoch == EPOCH && earlier.list[0].last == 8);
    publisher_begin_life(&publisher, EPOCH + 1, &earlier);
    assert_false(publisher.older.seen);
    assert_int_equal(publisher.consumers[0].feed.applied, 8); /* what it had it has; */
    assert_int_equal(publisher.consumers[1].feed.applied, 3); /* and nothing of the outbox is lost */
    assert_true(publisher_tells(&publisher.consumers[0], now_ms) && publisher_tells(&publisher.consumers[1], now_ms));
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){.position = {EPOCH + 1, 99}}, false, now_ms);
    assert_false(publisher.older.seen); /* a run believes a witness once */
    publisher_report(&publisher, span_of("b"), &(struct publisher_word){.position = {EPOCH, 6}}, true, now_ms);
    assert_int_equal(publisher.consumers[1].feed.applied, 6); /* one that comes later */
}

static void
bug_330_one_that_followed_a_later_life_proves_it_too(void **state)
{
    const struct lives left = {1, {{EPOCH, 5, 0}}};

    (void)state;
    append(8);
    begin(1);
    publisher_report(&publisher, span_of("a"), &(struct publisher_word){{EPOCH + 7, 2}, left, false, false}, false, now_ms);
    assert_true(publisher.older.seen);
    const struct lives earlier = publisher_end_life(&publisher);
    assert_non_null(lives_find(&earlier, EPOCH + 7)); /* so it proves nothing in the next run */
    publisher_begin_life(&publisher, EPOCH + 8, &earlier);
    assert_int_equal(publisher.consumers[0].feed.applied, 5);
}

static void
bug_330_one_that_may_be_in_an_earlier_life_is_sent_what_nobody_takes(void **state)
{
    (void)state;
    append(8);
    publisher.earlier = (struct lives){1, {{EPOCH + 1, 0, 4}}};
    begin(1);
    turn();
    assert_string_equal(sent[0].topic, A);
    assert_true(sent[0].part == 2 && sent[0].parts == 2);
}

static void
a_new_connection_sends_again_what_is_not_applied(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(10);
    turn();
    report("a", 6, false);
    acknowledge(8);
    publisher_restart(&publisher, 8, false, now_ms);
    turn();
    expect_on(A, 7, 10);
    expect_on(BROKER, 9, 10);
    report("a", 10, false);
    publisher_restart(&publisher, 3, false, now_ms); /* a broker that went back */
    assert_int_equal(publisher_confirmed(&publisher), 3);
    turn();
    expect_on(A, 0, 0);
    expect_on(BROKER, 4, 10);
}

static void
a_new_process_goes_on_behind_what_was_trimmed(void **state)
{
    (void)state;
    append(10);
    trim(4);
    begin_with_both();
    assert_int_equal(publisher_confirmed(&publisher), 4);
    turn();
    expect_on(A, 5, 10);
    expect_on(BROKER, 5, 10);
    report("a", 10, false);
    report("b", 10, false);
    acknowledge(10);
    trim(10);
    assert_int_equal(outbox_bytes(&outbox), 0);
    append(1);
    turn();
    expect_on(B, 11, 11);
}

static void
a_connection_that_breaks_loses_nothing(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(3);
    broken = true;
    assert_int_equal(pump_now(), -1);
    broken = false;
    publisher_restart(&publisher, 0, false, now_ms);
    turn();
    expect_on(A, 1, 3);
    expect_on(BROKER, 1, 3);
}

static void
the_brokers_acknowledgements_say_what_it_has(void **state)
{
    (void)state;
    publisher.window_bytes = 3 * MESSAGE_BYTES;
    begin(0);
    append(8);
    turn();
    expect_on(BROKER, 1, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(sent[i].token == (TOKEN | sent[i].sequence));
    acknowledge(2);
    acknowledge(1); /* late */
    assert_int_equal(publisher_confirmed(&publisher), 2);
    turn();
    expect_on(BROKER, 4, 5);
    publisher_delivered(&publisher, (UINT64_C(6) << 56) | 5); /* of another publisher */
    acknowledge(9);                                           /* never sent */
    assert_int_equal(publisher_confirmed(&publisher), 2);
    now_ms += 1000000;
    turn();
    assert_int_equal(sent_count, 0); /* a broker acknowledges or breaks the connection: nothing to probe for */
    publisher_restart(&publisher, 2, false, now_ms);
    turn();
    expect_on(BROKER, 3, 5);
    acknowledge(5);
    trim(5);
    turn();
    expect_on(BROKER, 6, 8);
}

static void
a_name_that_is_registered_twice_is_one_consumer(void **state)
{
    (void)state;
    publisher_add(&publisher, "a");
    begin(2);
    assert_int_equal(publisher.consumer_count, 2);
}

/* Probes. */

static void
what_nothing_is_heard_of_is_sent_again_ever_more_rarely(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(4);
    turn();
    acknowledge(4);
    int64_t last_ms = now_ms;
    int64_t gap_ms = 0;
    for (unsigned probes = 0; probes < 10;) {
        assert_true(now_ms - last_ms <= 30000);
        assert_int_equal(publisher_consumer_silent(&publisher, &publisher.consumers[0]), probes > 2);
        now_ms += 100;
        if (!publisher_ready(&publisher, now_ms))
            continue;
        turn();
        expect_on(A, 4, 4);
        assert_int_equal(sent_count, 1);
        assert_true(now_ms - last_ms >= 1000);
        assert_true(now_ms - last_ms >= gap_ms);
        gap_ms = now_ms - last_ms;
        last_ms = now_ms;
        probes++;
    }
    assert_int_equal(gap_ms, 30000);
    report("a", 4, false);
    assert_false(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
    now_ms += 1000000;
    turn();
    assert_int_equal(sent_count, 0);
}

/* gait status told its caller that something was wrong while a pipeline started. */
static void
bug_403_one_that_has_just_been_started_is_not_called_silent(void **state)
{
    (void)state;
    begin(1);
    append(4);
    const int64_t from_ms = now_ms;
    for (; now_ms - from_ms < 6000; now_ms += 100) {
        turn();
        assert_false(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
    }
    for (; now_ms - from_ms < 10000; now_ms += 100)
        turn();
    assert_true(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
    publisher.consumers[0].newcomer = true; /* it waits for us */
    assert_false(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
}

/* The broker dropped 3 and 4 for a slow consumer, and nothing follows. */
static void
a_report_of_a_part_does_not_end_the_probes_for_the_rest(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(4);
    turn();
    acknowledge(4);
    report("a", 2, false);
    turn();
    assert_int_equal(sent_count, 0);
    now_ms += 1000;
    turn();
    expect_on(A, 4, 4);
    report("a", 2, true); /* it sees the gap */
    turn();
    expect_on(A, 3, 4);
}

/* The window is full, and all of it was lost but what brought the last report. */
static void
a_full_window_is_probed_after_a_report_that_says_nothing_new(void **state)
{
    (void)state;
    publisher.window_bytes = 2 * MESSAGE_BYTES;
    begin(1);
    report("a", 0, true);
    append(4);
    turn();
    expect_on(A, 1, 2);
    report("a", 0, false);
    turn();
    assert_int_equal(sent_count, 0);
    now_ms += 1000;
    turn();
    expect_on(A, 2, 2);
}

/* 4 got lost, and when it was sent again, once more; new messages bring new questions for it all the while. */
static void
bug_300_new_messages_do_not_put_off_the_probe_for_a_lost_one(void **state)
{
    (void)state;
    begin(1);
    report("a", 0, true);
    append(5);
    turn();
    report("a", 3, true);
    turn();
    expect_on(A, 4, 5);
    const int64_t asked_ms = now_ms;
    bool again = false;
    while (!again && now_ms - asked_ms <= 2000) {
        append(1);
        now_ms += 500;
        turn();
        for (unsigned i = 0; i < sent_count; i++)
            again = again || (strcmp(sent[i].topic, A) == 0 && sent[i].sequence == 4);
        report("a", 3, true);
    }
    assert_true(again);
}

/* Rewinds. */

/* How many messages the consumer was sent in `ms`, and the most in one turn, while it reports like this a thousand times a
 * second. */
static unsigned
sent_while_asking(uint64_t one, uint64_t other, int64_t ms, unsigned *most)
{
    unsigned total = 0;

    *most = 0;
    for (int64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms++) {
        report("a", now_ms % 2 != 0 ? one : other, true);
        turn();
        total += sent_count;
        *most = sent_count > *most ? sent_count : *most;
    }
    return total;
}

/* A thousand questions a second for two places in turn: each took a whole window, 223 MB to 2.5 GB in the producer. */
static void
bug_344_rewinds_have_a_rate(void **state)
{
    unsigned most;

    (void)state;
    begin(1);
    report("a", 0, true);
    append(100);
    turn();
    acknowledge(100);
    /* The first few at once, then one a second, and a probe now and then. */
    assert_in_range(sent_while_asking(3, 4, 10000, &most), 300, 100 * (4 + 10 + 1));
    assert_int_equal(most, 97);
    /* Ever more rarely for one who stays where it is. Each is the whole window, the probes between are not. */
    begin(0);
    publisher.consumers[0].rewinds = (struct publisher_rewinds){0};
    assert_in_range(sent_while_asking(5, 5, 120000, &most), 95, 95 * 12);
}

/* The report of one that went back in time holds what it lacks at once, however often it has asked. */
static void
bug_344_who_has_to_wait_holds_what_it_asks_for_and_gets_it(void **state)
{
    unsigned most;

    (void)state;
    begin(1);
    report("a", 0, true);
    append(100);
    turn();
    acknowledge(100);
    sent_while_asking(3, 4, 5000, &most);
    report("a", 100, false);
    assert_int_equal(publisher_confirmed(&publisher), 100);
    report("a", 20, true);
    assert_int_equal(publisher_confirmed(&publisher), 20);
    unsigned waited_ms = 0;
    for (sent_count = 0; sent_count < 80; waited_ms += 100, now_ms += 100) {
        assert_true(waited_ms < 40000);
        turn();
    }
    expect_on(A, 21, 100);
    report("a", 100, false);
    now_ms += 1000000;
    turn();
    assert_int_equal(sent_count, 0);
}

/* It may have more than the newest question says by then. */
static void
a_question_that_waits_ends_with_progress(void **state)
{
    unsigned most;

    (void)state;
    begin(1);
    report("a", 0, true);
    append(100);
    turn();
    acknowledge(100);
    sent_while_asking(3, 4, 5000, &most);
    report("a", 4, true);
    assert_true(publisher.consumers[0].rewinds.waits);
    report("a", 4, false); /* the same once more: it still lacks the rest */
    assert_true(publisher.consumers[0].rewinds.waits);
    report("a", 50, false);
    assert_false(publisher.consumers[0].rewinds.waits);
}

/* What was sent before may not have left us yet. */
static void
bug_344_nothing_is_repeated_while_the_wire_holds_what_was_sent(void **state)
{
    (void)state;
    publisher.window_bytes = 10 * MESSAGE_BYTES;
    begin_with_both();
    append(100);
    turn();
    expect_on(A, 1, 10);
    waiting = 3 * publisher.window_bytes + 1;
    report("a", 3, true);
    for (unsigned i = 0; i < 9; i++) {
        now_ms += 100;
        turn();
        assert_int_equal(sent_count, 0);
    }
    report("b", 10, false);
    turn();
    expect_on(B, 11, 20); /* what is new is not held back */
    waiting = 3 * publisher.window_bytes;
    turn();
    expect_on(A, 4, 13);
}

/* 2,772 messages for 307, in 10 s: one that answers and applies nothing was sent everything again once a second. */
static void
bug_347_one_that_answers_and_cannot_go_on_is_probed_ever_more_rarely(void **state)
{
    unsigned total = 0;

    (void)state;
    begin(1);
    report("a", 0, true);
    append(100);
    turn();
    acknowledge(100);
    report("a", 40, false);
    for (unsigned ms = 0; ms < 120000; ms += 10) {
        now_ms += 10;
        turn();
        total += sent_count;
        if (sent_count > 0)
            report("a", 40, ms % 20 == 0);
    }
    assert_in_range(total, 5, 60 * 10);
    assert_true(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
    report("a", 41, false);
    assert_false(publisher_consumer_silent(&publisher, &publisher.consumers[0]));
}

/* What the broker refuses. */

static void
refuse(uint64_t sequence)
{
    publisher_refused(&publisher, TOKEN | sequence, now_ms);
}

static void
bug_342_a_refused_message_is_tried_again_alone_and_nothing_passes_it(void **state)
{
    int64_t wait_ms = 1000;

    (void)state;
    begin(0);
    append(5);
    turn();
    expect_on(BROKER, 1, 5);
    acknowledge(1);
    refuse(3); /* so it has 2 */
    assert_int_equal(publisher_confirmed(&publisher), 2);
    refuse(4);
    acknowledge(5);
    assert_int_equal(publisher_confirmed(&publisher), 2);
    for (unsigned i = 0; i < 8; i++) {
        now_ms += wait_ms - 1;
        turn();
        assert_int_equal(sent_count, 0);
        now_ms++;
        append(1);
        turn();
        expect_on(BROKER, 3, 3);
        now_ms += 100000; /* however long the answer takes */
        turn();
        assert_int_equal(sent_count, 0);
        refuse(3);
        wait_ms = wait_ms * 2 < 15000 ? wait_ms * 2 : 15000;
    }
    now_ms += wait_ms;
    turn();
    expect_on(BROKER, 3, 3);
    acknowledge(3);
    assert_int_equal(publisher_confirmed(&publisher), 3);
    turn();
    expect_on(BROKER, 4, 13);
    /* What is not ours, or was never sent, is no refusal. */
    publisher_refused(&publisher, (UINT64_C(6) << 56) | 5, now_ms);
    refuse(14);
    refuse(3);
    acknowledge(13);
    assert_int_equal(publisher_confirmed(&publisher), 13);
}

static void
bug_342_a_new_connection_tries_everything_anew(void **state)
{
    (void)state;
    begin(0);
    append(5);
    turn();
    refuse(2);
    publisher_restart(&publisher, 1, false, now_ms);
    turn();
    expect_on(BROKER, 2, 5);
    acknowledge(5);
    assert_int_equal(publisher_confirmed(&publisher), 5);
}

/* The broker cuts who may not publish, and its refusal is lost with the connection: what it is sent must not come at once,
 * or nobody could ask us in between. */
static void
bug_713_where_connections_end_again_and_again_the_next_message_waits_and_goes_alone(void **state)
{
    int64_t wait_ms = 1000;

    (void)state;
    begin(0);
    append(5);
    turn();
    acknowledge(1);
    for (unsigned i = 0; i < 8; i++) {
        publisher_restart(&publisher, 1, true, now_ms);
        now_ms += wait_ms - 1;
        turn();
        assert_int_equal(sent_count, 0);
        now_ms++;
        assert_true(publisher_ready(&publisher, now_ms));
        turn();
        expect_on(BROKER, 2, 2);
        wait_ms = wait_ms * 2 < 15000 ? wait_ms * 2 : 15000;
    }
    acknowledge(2);
    turn();
    expect_on(BROKER, 3, 5);
    acknowledge(5);
    /* Nothing waits, so nothing is held back; and what comes then goes at once. */
    publisher_restart(&publisher, 5, true, now_ms);
    append(2);
    turn();
    expect_on(BROKER, 6, 7);
}

/* Some are deaf to everything in flight: each pattern of losses of 5 messages, and of the reports about them, the first
 * report included. */
static void
whatever_is_lost_both_ways_all_is_applied_in_the_end(void **state)
{
    const uint64_t count = 5;

    (void)state;
    begin(1);
    for (unsigned lost = 0; lost < 1u << (2 * count); lost++) {
        uint64_t applied = outbox.last.sequence;
        const uint64_t end = applied + count;
        unsigned dice = lost;
        append((unsigned)count);
        for (unsigned turns = 0; publisher_confirmed(&publisher) < end; turns++) {
            assert_true(turns < 60);
            turn();
            for (unsigned i = 0; i < sent_count; i++) {
                if (sent[i].token != 0) {
                    publisher_delivered(&publisher, sent[i].token);
                    continue;
                }
                const bool heard = (dice & 1) == 0;
                bool gap = heard && sent[i].sequence > applied + 1;
                if (heard && sent[i].sequence == applied + 1)
                    applied++;
                if (heard && (dice & 2) == 0)
                    report("a", applied, gap);
                dice >>= 2;
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
    static const char *const parts[] = {"{1}\n{22}", "{333333}", "{4}\n{55}"};

    (void)state;
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
    begin(0);
    append_text("{1}");
    append_text("{22}\n{4444444}");
    append_text("{3}");
    leave_room(8);
    pump_now();
    assert_int_equal(sent_count, 1);
    assert_int_equal(publisher.unfit_bytes, 9 + strlen("gait/out") + WIRE_OVERHEAD_BYTES);
    assert_false(publisher_ready(&publisher, now_ms)); /* and does not spin */
    publisher_delivered(&publisher, TOKEN + 1);
    assert_false(publisher_ready(&publisher, now_ms));
    leave_room(9);
    publisher_restart(&publisher, 1, false, now_ms);
    assert_true(publisher_ready(&publisher, now_ms));
    sent_count = 0;
    assert_int_equal(pump_now(), 2);
    assert_int_equal(sent_count, 3); /* two parts, and the last one */
    assert_int_equal(publisher.unfit_bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_sent_once_in_order_to_everybody),
        TEST(all_must_have_a_message_before_it_may_go),
        TEST(rows_are_retained_on_their_own_topics_and_nowhere_else),
        TEST(bug_220_nobody_waits_for_one_that_is_away),
        TEST(one_that_was_never_heard_of_is_sent_one_message),
        TEST(bug_231_what_was_stored_before_the_broker_named_its_limit_goes_out_in_parts),
        TEST(a_record_that_the_broker_does_not_take_is_stood_at_until_the_next_connection),
        TEST(a_message_larger_than_the_window_goes_alone),
        TEST(the_window_of_messages_keeps_below_what_a_broker_drops),
        TEST(a_rewind_sends_again_what_follows_to_who_asked),
        TEST(older_and_impossible_reports_change_nothing),
        TEST(bug_221_one_that_went_back_in_time_holds_what_it_lacks),
        TEST(one_that_needs_what_is_gone_is_told_when_it_asks),
        TEST(bug_710_what_the_broker_kept_of_a_consumer_removes_nothing),
        TEST(one_that_begins_anew_is_a_newcomer),
        TEST(one_that_knows_another_store_is_a_newcomer),
        TEST(bug_330_one_that_has_what_was_not_given_out_proves_that_the_store_is_an_older_copy),
        TEST(bug_330_one_that_followed_a_later_life_proves_it_too),
        TEST(bug_330_one_that_may_be_in_an_earlier_life_is_sent_what_nobody_takes),
        TEST(a_new_connection_sends_again_what_is_not_applied),
        TEST(a_new_process_goes_on_behind_what_was_trimmed),
        TEST(a_connection_that_breaks_loses_nothing),
        TEST(the_brokers_acknowledgements_say_what_it_has),
        TEST(a_name_that_is_registered_twice_is_one_consumer),
        TEST(what_nothing_is_heard_of_is_sent_again_ever_more_rarely),
        TEST(bug_403_one_that_has_just_been_started_is_not_called_silent),
        TEST(a_report_of_a_part_does_not_end_the_probes_for_the_rest),
        TEST(a_full_window_is_probed_after_a_report_that_says_nothing_new),
        TEST(bug_300_new_messages_do_not_put_off_the_probe_for_a_lost_one),
        TEST(bug_344_rewinds_have_a_rate),
        TEST(bug_344_who_has_to_wait_holds_what_it_asks_for_and_gets_it),
        TEST(a_question_that_waits_ends_with_progress),
        TEST(bug_344_nothing_is_repeated_while_the_wire_holds_what_was_sent),
        TEST(bug_347_one_that_answers_and_cannot_go_on_is_probed_ever_more_rarely),
        TEST(bug_342_a_refused_message_is_tried_again_alone_and_nothing_passes_it),
        TEST(bug_342_a_new_connection_tries_everything_anew),
        TEST(bug_713_where_connections_end_again_and_again_the_next_message_waits_and_goes_alone),
        TEST(whatever_is_lost_both_ways_all_is_applied_in_the_end),
    };

    log_open("test", LOG_NOTHING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
