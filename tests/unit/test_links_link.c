/* link: applied once, in order, whatever the wire does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/name.h"
#include "links/link.h"

#define EPOCH 0x1122334455667788u
#define OTHER_EPOCH 0x0000000000000001u

static struct link link;
static int64_t now_ms;
static struct buffer text;

static int
set_up(void **state)
{
    (void)state;
    now_ms = 1000000;
    link_begin(&link, (struct link_position){0});
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    link_free(&link);
    buffer_free(&text);
    return 0;
}

static void
send(uint64_t epoch, uint64_t sequence)
{
    char payload[32];

    snprintf(payload, sizeof payload, "%llu", (unsigned long long)sequence);
    const struct wire_message message = {.payload = span_of(payload), .epoch = epoch, .sequence = sequence};
    link_receive(&link, &message, (struct span){0}, now_ms);
}

/* The report that the link wants to send now. */
static bool
report(struct link_position *position)
{
    bool rewind;

    link_report(&link, now_ms, &text);
    assert_false(link.report);
    assert_false(link.rewind);
    assert_int_equal(link_read_report(buffer_span(&text), position, &rewind), 0);
    return rewind;
}

/* Apply and commit everything in the queue; each must follow the one before. Returns the last sequence number. */
static uint64_t
apply_all(void)
{
    struct link_position position = link.committed;
    char number[32];

    for (const struct link_message *message = link.first; message != NULL; message = message->next) {
        if (message->position.epoch == position.epoch)
            assert_int_equal(message->position.applied, position.applied + 1);
        else if (message->oldest)
            assert_true(message->position.epoch != position.epoch);
        else
            assert_true(position.epoch == 0 && message->position.applied == 1);
        position = message->position;
        if (message->oldest)
            continue;
        snprintf(number, sizeof number, "%llu", (unsigned long long)message->position.applied);
        assert_true(span_is(message->payload, number));
    }
    if (link.first != NULL)
        link_commit(&link, link.message_count);
    assert_null(link.first);
    assert_int_equal(link.message_count, 0);
    assert_int_equal(link.bytes, 0);
    return position.applied;
}

static void
messages_in_order_are_queued_and_reported_once_committed(void **state)
{
    struct link_position position;

    (void)state;
    assert_true(link.report); /* hello */
    assert_true(report(&position));
    assert_int_equal(position.epoch, 0);
    assert_int_equal(position.applied, 0);
    for (uint64_t i = 1; i <= 3; i++)
        send(EPOCH, i);
    assert_int_equal(link.message_count, 3);
    assert_false(link.report); /* not before it is committed */
    link_commit(&link, 2);
    assert_int_equal(link.message_count, 1);
    assert_int_equal(link.first->position.applied, 3);
    assert_true(link.report);
    assert_false(report(&position));
    assert_true(position.epoch == EPOCH);
    assert_int_equal(position.applied, 2);
    assert_int_equal(apply_all(), 3);
}

/* One message, or a part of one. Whether the link stops at it. */
static bool
send_text(uint64_t sequence, const char *row, const char *payload, unsigned part, unsigned parts)
{
    const struct wire_message message = {
        .payload = span_of(payload), .epoch = EPOCH, .sequence = sequence, .part = part, .parts = parts};

    return link_receive(&link, &message, span_of(row), now_ms);
}

/* As issue 10 has it: the forged one was taken, the real one dropped in silence. */
static void
bug_345_another_message_under_a_known_number_stops_the_link(void **state)
{
    static const char *const others[] = {"", "{\"a\":2}", "{\"a\":1} ", "{\"a\":1}\n"};

    (void)state;
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        for (unsigned worked = 0; worked < 2; worked++) { /* whether it waits, or is applied */
            link_free(&link);
            link_begin(&link, (struct link_position){EPOCH, 0});
            assert_false(send_text(1, "", "{\"a\":1}", 0, 0));
            if (worked)
                link_commit(&link, 1);
            assert_false(send_text(1, "", "{\"a\":1}", 0, 0));
            assert_true(send_text(1, "", others[i], 0, 0));
            assert_int_equal(link.twofold, 1);
            assert_false(send_text(1, "", others[i], 0, 0)); /* once is enough */
            /* Whoever it is: nothing more. */
            assert_false(send_text(2, "", "{\"a\":3}", 0, 0));
            send(OTHER_EPOCH, 1);
            assert_false(link_adopt(&link, &(struct link_told){.position = {OTHER_EPOCH, 7}}));
            assert_int_equal(link.message_count, 1 - worked);
        }
    }
    link_free(&link);
    link_begin(&link, (struct link_position){EPOCH, 0});
    send_text(1, "row", "{}", 0, 0);
    assert_false(send_text(1, "row", "{}", 0, 0));
    assert_true(send_text(1, "wor", "{}", 0, 0)); /* the same of another row */
}

static void
what_comes_again_in_parts_is_the_same_message(void **state)
{
    (void)state;
    send_text(1, "", "{1}\n{2}\n{3}", 0, 0);
    send_text(2, "", "{4}", 1, 2);
    send_text(2, "", "{5}", 2, 2);
    assert_int_equal(link.message_count, 2);
    /* Cut otherwise, or not at all. */
    assert_false(send_text(1, "", "{1}", 1, 2));
    assert_false(send_text(1, "", "{2}\n{3}", 2, 2));
    assert_false(send_text(1, "", "{1}", 1, 3));
    assert_false(send_text(1, "", "{2}", 2, 3));
    assert_false(send_text(1, "", "{3}", 3, 3));
    assert_false(send_text(2, "", "{4}\n{5}", 0, 0));
    /* A repeat does not disturb one that is being put together. */
    assert_false(send_text(3, "", "{6}", 1, 2));
    assert_false(send_text(1, "", "{1}", 1, 2));
    assert_false(send_text(3, "", "{7}", 2, 2));
    assert_int_equal(link.message_count, 3);
    assert_true(span_is(link.last->payload, "{6}\n{7}"));
    /* Parts that don't follow each other say nothing. */
    assert_false(send_text(1, "", "{9}", 3, 3));
    assert_int_equal(link.twofold, 0);
    assert_false(send_text(1, "", "{1}", 1, 2));
    assert_true(send_text(1, "", "{9}\n{3}", 2, 2));
    assert_int_equal(link.twofold, 1);
}

static void
as_many_are_remembered_as_can_come_again(void **state)
{
    const uint64_t count = 3 * LINK_REMEMBERED;

    (void)state;
    for (uint64_t i = 1; i <= count; i++)
        send(EPOCH, i);
    assert_int_equal(link.message_count, count);
    for (uint64_t i = 1; i <= count; i++)
        send(EPOCH, i);
    assert_int_equal(link.twofold, 0);
    assert_false(send_text(count - LINK_REMEMBERED, "", "other", 0, 0)); /* too long ago to be told */
    assert_true(send_text(count - LINK_REMEMBERED + 1, "", "other", 0, 0));
    /* Nor is what was applied before we came. */
    link_free(&link);
    link_begin(&link, (struct link_position){EPOCH, 50});
    assert_false(send_text(50, "", "other", 0, 0));
}

static void
rows_and_payloads_are_kept(void **state)
{
    const struct wire_message message = {.payload = span_of("{\"a\":1}"), .epoch = EPOCH, .sequence = 1};
    const struct wire_message empty = {.epoch = EPOCH, .sequence = 2};

    (void)state;
    link_receive(&link, &message, span_of("row"), now_ms);
    link_receive(&link, &empty, (struct span){0}, now_ms);
    assert_true(span_is(link.first->row, "row"));
    assert_true(span_is(link.first->payload, "{\"a\":1}"));
    assert_int_equal(link.last->row.len + link.last->payload.len, 0);
}

static void
what_has_no_number_is_not_the_links(void **state)
{
    struct link_position position;

    (void)state;
    report(&position);
    send(0, 1);
    send(EPOCH, 0);
    assert_null(link.first);
    assert_false(link.report);
}

static void
a_duplicate_asks_for_a_report(void **state)
{
    struct link_position position;

    (void)state;
    send(EPOCH, 1);
    send(EPOCH, 2);
    apply_all();
    report(&position);
    send(EPOCH, 1);
    assert_null(link.first);
    assert_true(link.report);
    assert_false(report(&position));
    assert_int_equal(position.applied, 2);
    send(EPOCH, 3);
    assert_false(link.report);
    send(EPOCH, 3); /* queued, not applied */
    assert_int_equal(link.message_count, 1);
    assert_true(link.report);
}

static void
a_gap_asks_to_rewind_and_not_again_for_each_that_follows(void **state)
{
    struct link_position position;

    (void)state;
    send(EPOCH, 1);
    apply_all();
    report(&position);
    now_ms += 1000;
    send(EPOCH, 3);
    assert_null(link.first);
    assert_true(link.report);
    assert_true(report(&position));
    assert_int_equal(position.applied, 1);
    for (uint64_t i = 4; i < 10; i++) {
        now_ms += 10;
        send(EPOCH, i);
        assert_false(link.report);
    }
    now_ms += 1000; /* nothing came of it: once more */
    send(EPOCH, 10);
    assert_true(report(&position));
    send(EPOCH, 2);
    assert_int_equal(apply_all(), 2);
}

/* The producer's word at …/oldest, which had these lives before, the newest first, if there is one. */
static bool
tell(uint64_t epoch, uint64_t applied, bool lost, const struct lives *earlier)
{
    struct link_told told = {.position = {epoch, applied}, .rewind = lost, .until = LINK_NO_END};

    if (earlier != NULL)
        told.earlier = *earlier;
    return link_adopt(&link, &told);
}

static void
another_store_begins_where_its_producer_says_behind_what_is_queued(void **state)
{
    struct link_position position;

    (void)state;
    send(EPOCH, 1);
    send(EPOCH, 2);
    report(&position);
    now_ms += 1000;
    send(OTHER_EPOCH, 1); /* it may be another life of the same store, and this known under another number */
    assert_int_equal(link.message_count, 2);
    assert_true(report(&position));
    assert_true(tell(OTHER_EPOCH, 0, false, NULL));
    send(OTHER_EPOCH, 1);
    send(OTHER_EPOCH, 2);
    assert_int_equal(link.message_count, 5);
    link_commit(&link, 2);
    assert_int_equal(link.message_count, 3);
    assert_int_equal(apply_all(), 2);
    assert_true(link.committed.epoch == OTHER_EPOCH);
    report(&position);
    now_ms += 1000;
    send(EPOCH, 7);
    assert_null(link.first);
    assert_true(report(&position));
    assert_true(position.epoch == OTHER_EPOCH);
}

/* Its producer's state is an older copy, and its next messages have numbers that others had before. */
static void
what_another_life_has_under_a_known_number_is_not_twofold(void **state)
{
    const struct lives earlier = {1, {{.epoch = EPOCH, .last = 2}}};
    struct wire_message message = {.epoch = OTHER_EPOCH};

    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        send(EPOCH, i);
    assert_true(tell(OTHER_EPOCH, 2, false, &earlier));
    for (message.sequence = 1; message.sequence <= 4; message.sequence++) {
        message.payload = span_of("other");
        assert_false(link_receive(&link, &message, (struct span){0}, now_ms));
    }
    send(EPOCH, 4); /* under way for long: what is of the life that was left says nothing */
    assert_int_equal(link.twofold, 0);
    assert_int_equal(link.message_count, 4 + 1 + 2);
    /* In the life that it is in, it is as ever. */
    message.sequence = 4;
    message.payload = span_of("another");
    assert_true(link_receive(&link, &message, (struct span){0}, now_ms));
    assert_int_equal(link.twofold, 4);
}

static void
it_begins_behind_what_is_committed(void **state)
{
    (void)state;
    link_begin(&link, (struct link_position){EPOCH, 41});
    send(EPOCH, 41);
    assert_null(link.first);
    send(EPOCH, 42);
    assert_int_equal(apply_all(), 42);
}

static void
too_many_messages_are_cut_off_and_asked_for_again(void **state)
{
    struct link_position position;

    (void)state;
    report(&position);
    now_ms += 1000;
    for (uint64_t i = 1; i <= LINK_MESSAGES_MAX; i++)
        send(EPOCH, i);
    assert_false(link.report);
    send(EPOCH, LINK_MESSAGES_MAX + 1);
    assert_int_equal(link.message_count, LINK_MESSAGES_MAX);
    assert_true(link.rewind);
    apply_all();
    assert_true(report(&position));
    assert_int_equal(position.applied, LINK_MESSAGES_MAX);
    send(EPOCH, LINK_MESSAGES_MAX + 1);
    assert_int_equal(apply_all(), LINK_MESSAGES_MAX + 1);
}

static void
too_many_bytes_are_cut_off(void **state)
{
    const size_t size = LINK_PAYLOAD_BYTES_MAX + 1;
    char *bytes = calloc(1, size);
    struct wire_message message = {.payload = {bytes, size}, .epoch = EPOCH};

    (void)state;
    for (message.sequence = 1; message.sequence <= 200; message.sequence++)
        link_receive(&link, &message, (struct span){0}, now_ms);
    assert_true(link.bytes <= LINK_BYTES_MAX + size);
    assert_true(link.message_count < 200);
    free(bytes);
}

/* Every order and every loss. */

#define COUNT 6
#define ROUNDS_MAX 20

/* A producer of COUNT messages goes back where it is told to, and sends the last one again when it hears nothing. */
static void
finish(void)
{
    struct link_position position;

    for (int round = 0; link.committed.applied < COUNT; round++) {
        assert_true(round < ROUNDS_MAX);
        now_ms += 1000;
        if (!link.report)
            send(EPOCH, COUNT);
        apply_all();
        if (link.report && report(&position)) {
            for (uint64_t i = position.applied + 1; i <= COUNT; i++)
                send(EPOCH, i);
        }
        apply_all();
    }
}

/* Messages arrive in this order, without those whose bit in lost is set; apply after each or all at the end. */
static void
arrive(const unsigned *order, unsigned lost, bool apply_each)
{
    struct link_position position;

    link_begin(&link, (struct link_position){0});
    now_ms += 1000;
    report(&position);
    for (unsigned i = 0; i < COUNT; i++) {
        if ((lost >> i & 1) == 0)
            send(EPOCH, order[i]);
        if (apply_each)
            apply_all();
    }
    finish();
    assert_int_equal(apply_all(), COUNT);
    assert_true(link.committed.epoch == EPOCH);
    link_free(&link);
}

static unsigned arrivals;

static void
permute(unsigned *order, unsigned fixed)
{
    if (fixed < COUNT) {
        for (unsigned i = fixed; i < COUNT; i++) {
            unsigned swap = order[fixed];
            order[fixed] = order[i];
            order[i] = swap;
            permute(order, fixed + 1);
            order[i] = order[fixed];
            order[fixed] = swap;
        }
        return;
    }
    for (unsigned lost = 0; lost < 1u << COUNT; lost++) {
        arrive(order, lost, false);
        arrive(order, lost, true);
        arrivals++;
    }
}

static void
every_order_and_every_loss_ends_with_all_applied_once_and_in_order(void **state)
{
    unsigned order[COUNT];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        order[i] = i + 1;
    arrivals = 0;
    permute(order, 0);
    assert_int_equal(arrivals, 720 * 64);
}

/* Where to begin. */

static void
a_newcomer_begins_behind_the_oldest_and_asks_for_the_rest(void **state)
{
    struct link_position position;

    (void)state;
    (void)report(&position);
    assert_true(tell(EPOCH, 3, false, NULL));
    assert_true(link.first->oldest);
    link_commit(&link, 1);
    assert_true(report(&position));
    assert_true(position.epoch == EPOCH && position.applied == 3);
    send(EPOCH, 4);
    assert_int_equal(apply_all(), 4);
}

static void
who_knows_the_store_is_not_told_where_to_begin(void **state)
{
    (void)state;
    send(EPOCH, 1);
    tell(EPOCH, 3, false, NULL);
    tell(0, 3, false, NULL);
    assert_int_equal(link.message_count, 1);
    assert_int_equal(apply_all(), 1);
}

/* A table's rows were appended for it twice, since it could not commit, and said once more that it knows nothing: it took
 * itself for an older copy, and worked nothing any more. */
static void
bug_332_who_has_begun_and_is_told_once_more_goes_on(void **state)
{
    struct link_position position;

    (void)state;
    assert_true(tell(EPOCH, 23, false, NULL));
    send(EPOCH, 24);
    link_hello(&link);
    (void)report(&position); /* nothing is committed yet */
    assert_int_equal(position.epoch, 0);
    assert_false(tell(EPOCH, 42, false, NULL));
    assert_int_equal(link.lost, 0);
    assert_int_equal(apply_all(), 24);
}

/* Its own state went back in time, and what it needs is gone: it says so, and takes nothing, until that proves wrong. */
static void
bug_226_who_is_told_that_what_it_needs_is_gone_stands_still(void **state)
{
    (void)state;
    send(EPOCH, 1);
    assert_false(tell(EPOCH, 1, true, NULL)); /* it has that */
    assert_int_equal(link.lost, 0);
    assert_true(tell(EPOCH, 3, true, NULL));
    assert_int_equal(link.lost, 3);
    assert_false(tell(EPOCH, 3, true, NULL)); /* no news */
    send(EPOCH, 4);
    assert_int_equal(apply_all(), 1);
    assert_int_equal(link.lost, 3);
    send(EPOCH, 2); /* it is not gone: the word was an old one */
    assert_int_equal(link.lost, 0);
    assert_int_equal(apply_all(), 2);
}

static void
bug_331_who_is_told_of_another_life_goes_on_behind_what_it_has(void **state)
{
    const struct lives earlier = {1, {{EPOCH, 0, 8}}};
    const struct lives none = {0};

    (void)state;
    for (uint64_t i = 1; i <= 3; i++)
        send(EPOCH, i);
    send(OTHER_EPOCH, 4); /* not before it is told */
    assert_int_equal(link.message_count, 3);
    /* That was said of somebody who had more, an earlier state of ours. */
    assert_false(tell(OTHER_EPOCH, 5, false, &earlier));
    assert_int_equal(link.lost, 0);
    assert_true(link.rewind);
    /* It knows better than its producer, which heard an earlier report. */
    assert_true(tell(OTHER_EPOCH, 2, false, &earlier));
    assert_int_equal(link.last->position.applied, 3);
    send(OTHER_EPOCH, 4);
    assert_int_equal(link.message_count, 5);
    assert_int_equal(apply_all(), 4);
    assert_false(tell(EPOCH, 9, false, &none)); /* an old word: nobody goes back */
    assert_false(tell(EPOCH, 0, false, &none));
    assert_int_equal(link.lost, 0);
    assert_int_equal(lives_find(&link.left, EPOCH)->applied, 3);
    assert_int_equal(lives_find(&link.left, EPOCH)->last, 8);
}

static void
bug_331_who_lacks_what_is_gone_in_another_life_stands_still(void **state)
{
    const struct lives earlier = {1, {{EPOCH, 0, 8}}};

    (void)state;
    for (uint64_t i = 1; i <= 3; i++)
        send(EPOCH, i);
    assert_true(tell(OTHER_EPOCH, 5, true, &earlier));
    assert_int_equal(link.lost, 5);
    assert_int_equal(link.message_count, 3);
}

/* It has begun anew since its rows of a table are old: before its producer has said where all of them end it takes nothing,
 * nor what was said to what it was before. */
static void
who_awaits_rows_begins_where_it_is_told_and_nowhere_else(void **state)
{
    const struct lives earlier = {1, {{OTHER_EPOCH, 0, 8}}};

    (void)state;
    link_report(&link, 0, &text);
    assert_false(link_reads_anew(buffer_span(&text)));
    link.awaits = LINK_NO_END;
    link_report(&link, 0, &text);
    assert_true(link_reads_anew(buffer_span(&text)));
    send(EPOCH, 1);
    assert_int_equal(link.message_count, 0);
    assert_false(tell(EPOCH, 5, true, NULL)); /* that the rest is gone */
    assert_false(tell(EPOCH, 3, false, &earlier)); /* what it had of another life */
    assert_int_equal(link.lost, 0);
    assert_int_equal(link.queued.epoch, 0);
    const struct link_told rows = {.position = {EPOCH, 3}, .until = 5};
    assert_true(link_adopt(&link, &rows));
    assert_int_equal(link_change(link.last).until, 5);
    send(EPOCH, 4);
    assert_int_equal(link.message_count, 2);
}

/* What arrived while the transaction that begins behind the oldest message was under way was dropped with it, and the
 * consumer then believed that it had it: stuck if nothing more came, and lost if something did. */
static void
bug_001_messages_behind_the_oldest_stay_when_it_is_committed(void **state)
{
    (void)state;
    tell(EPOCH, 3, false, NULL);
    const unsigned worked = link.message_count; /* the transaction begins */
    send(EPOCH, 4);
    send(EPOCH, 5);
    link_commit(&link, worked);
    assert_int_equal(link.message_count, 2);
    assert_int_equal(apply_all(), 5);
}

/* What was worked was found by its position, which stood in the queue twice, and only what stood before the first was
 * removed: the rest was worked once more. */
static void
bug_121_a_position_that_is_in_the_queue_twice_is_committed_once(void **state)
{
    (void)state;
    send(EPOCH, 1);
    tell(OTHER_EPOCH, 0, false, NULL);
    send(OTHER_EPOCH, 1);
    tell(OTHER_EPOCH + 1, 0, false, NULL); /* two producers under one name, or somebody who plays one */
    send(OTHER_EPOCH + 1, 1);
    send(OTHER_EPOCH + 1, 2);
    link_commit(&link, 5);
    assert_int_equal(link.message_count, 1);
    assert_true(link.committed.epoch == OTHER_EPOCH + 1 && link.committed.applied == 1);
    assert_int_equal(apply_all(), 2);
}

/* A newcomer's first question got lost, and its producer had nothing to send that would have shown it: `gait status
 * --wait-idle` waited for ever. */
static void
bug_005_it_asks_again_as_long_as_nothing_was_heard(void **state)
{
    struct link_position position;

    (void)state;
    assert_true(report(&position));
    now_ms += 1000;
    link_remind(&link, now_ms);
    assert_false(link.report);
    now_ms += 10000;
    link_remind(&link, now_ms);
    assert_true(report(&position));
    send(EPOCH, 1);
    assert_int_equal(apply_all(), 1);
    assert_false(report(&position));
    now_ms += 10000;
    link_remind(&link, now_ms);
    assert_false(link.report);
}

/* Who went back in time says so once, and its producer, which has heard before that it has everything, has nothing to send:
 * the report is said again on a link that is quiet, and on no other. */
static void
bug_487_a_quiet_link_reports_again(void **state)
{
    struct link_position position;

    (void)state;
    send(EPOCH, 1);
    apply_all();
    report(&position);
    for (unsigned i = 0; i < 10; i++) { /* busy */
        now_ms += 20000;
        link_remind(&link, now_ms);
        assert_false(link.report);
        send(EPOCH, i + 2);
        apply_all();
        assert_false(report(&position));
    }
    now_ms += 60000;
    send(EPOCH, 12); /* waits to be worked: what its producer would send again is in the queue */
    link_remind(&link, now_ms);
    assert_false(link.report);
    apply_all();
    assert_false(report(&position));
    now_ms += 60000;
    link_remind(&link, now_ms);
    assert_true(report(&position));
    assert_int_equal(position.applied, 12);
    link_remind(&link, now_ms);
    assert_false(link.report);
}

/* Reports. */

static void
a_report_reads_back(void **state)
{
    static const struct link_position positions[] = {
        {0, 0}, {1, 1}, {UINT64_MAX, 9007199254740991u}, {0x8000000000000000u, 12345}, {EPOCH, 1}};

    (void)state;
    for (unsigned i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        struct link_position position;
        link_begin(&link, positions[i]);
        assert_true(report(&position));
        assert_true(position.epoch == positions[i].epoch);
        assert_true(position.applied == positions[i].applied);
    }
}

static void
what_is_no_report_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"epoch\":\"1122334455667788\",\"applied\":1,\"rewind\":0",
        "{\"epoch\":\"1122334455667788\",\"applied\":1,\"rewind\":0} x",
        "{\"epoch\":\"1122334455667788\",\"applied\":1}",
        "{\"epoch\":\"1122334455667788\",\"rewind\":0}",
        "{\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"112233445566778\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"11223344556677889\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"112233445566778g\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"0x22334455667788\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"-122334455667788\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"               1\",\"applied\":1,\"rewind\":0}",
        "{\"epoch\":1122334455667788,\"applied\":1,\"rewind\":0}",
        "{\"epoch\":\"1122334455667788\",\"applied\":-1,\"rewind\":0}",
        "{\"epoch\":\"1122334455667788\",\"applied\":1.5,\"rewind\":0}",
        "{\"epoch\":\"1122334455667788\",\"applied\":\"1\",\"rewind\":0}",
        "{\"epoch\":\"1122334455667788\",\"applied\":99999999999999999999,\"rewind\":0}",
        "{\"epoch\":\"1122334455667788\",\"applied\":1,\"rewind\":true}",
        "{\"epoch\":\"1122334455667788\",\"applied\":1,\"rewind\":0,\"rewind\":1}",
    };
    struct link_position position;
    bool rewind;

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (link_read_report(span_of(texts[i]), &position, &rewind) != -1)
            fail_msg("taken for a report: %s", texts[i]);
    }
}

/* Part `part` of message `sequence`, which has `parts`, each the number of the message and of the part. */
static void
send_part(uint64_t epoch, uint64_t sequence, unsigned part, unsigned parts)
{
    char payload[32];

    snprintf(payload, sizeof payload, "%llu.%u", (unsigned long long)sequence, part);
    const struct wire_message message = {
        .payload = span_of(payload), .epoch = epoch, .sequence = sequence, .part = part, .parts = parts};
    link_receive(&link, &message, (struct span){0}, now_ms);
}

static void
bug_231_a_message_in_parts_is_one_message(void **state)
{
    (void)state;
    send(EPOCH, 1);
    for (unsigned part = 1; part <= 3; part++) {
        assert_int_equal(link.message_count, 1);
        send_part(EPOCH, 2, part, 3);
    }
    assert_int_equal(link.message_count, 2);
    assert_true(span_is(link.first->next->payload, "2.1\n2.2\n2.3"));
    assert_int_equal(link.first->next->position.applied, 2);
    send_part(EPOCH, 2, 1, 3); /* a repeat */
    assert_int_equal(link.message_count, 2);
    send(EPOCH, 3);
    assert_int_equal(link.message_count, 3);
}

static void
a_part_that_is_missing_is_a_gap(void **state)
{
    static const struct {
        uint64_t epoch, sequence;
        unsigned part, parts;
    } wrong[] = {
        {EPOCH, 1, 3, 3},       /* the second is missing */
        {EPOCH, 1, 1, 3},       /* begins anew: no gap, but see below */
        {OTHER_EPOCH, 1, 2, 3}, /* of another store's message */
        {EPOCH, 2, 2, 3},       /* of another message */
        {EPOCH, 1, 2, 4},       /* of the message cut otherwise */
    };
    struct link_position position;

    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        link_free(&link);
        link_begin(&link, (struct link_position){0});
        report(&position);
        now_ms += 1000;
        send_part(EPOCH, 1, 1, 3);
        assert_false(link.rewind);
        send_part(wrong[i].epoch, wrong[i].sequence, wrong[i].part, wrong[i].parts);
        assert_int_equal(link.message_count, 0);
        assert_int_equal(link.rewind, i != 1);
        send_part(EPOCH, 1, 1, 2); /* and it comes again, whole */
        send_part(EPOCH, 1, 2, 2);
        assert_int_equal(link.message_count, 1);
        assert_true(span_is(link.first->payload, "1.1\n1.2"));
    }
}

/* The broker may take more than before, or less: the parts are cut elsewhere then, and may be as many. */
static void
bug_305_parts_of_two_connections_are_not_put_together(void **state)
{
    struct link_position position;

    (void)state;
    link_begin(&link, (struct link_position){0});
    send_part(EPOCH, 1, 1, 2);
    link_hello(&link);
    report(&position);
    now_ms += 1000;
    send_part(EPOCH, 1, 2, 2); /* its first part got lost */
    assert_int_equal(link.message_count, 0);
    assert_true(link.rewind);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_in_order_are_queued_and_reported_once_committed),
        TEST(bug_345_another_message_under_a_known_number_stops_the_link),
        TEST(what_comes_again_in_parts_is_the_same_message),
        TEST(as_many_are_remembered_as_can_come_again),
        TEST(rows_and_payloads_are_kept),
        TEST(what_has_no_number_is_not_the_links),
        TEST(a_duplicate_asks_for_a_report),
        TEST(a_gap_asks_to_rewind_and_not_again_for_each_that_follows),
        TEST(another_store_begins_where_its_producer_says_behind_what_is_queued),
        TEST(what_another_life_has_under_a_known_number_is_not_twofold),
        TEST(it_begins_behind_what_is_committed),
        TEST(too_many_messages_are_cut_off_and_asked_for_again),
        TEST(too_many_bytes_are_cut_off),
        TEST(every_order_and_every_loss_ends_with_all_applied_once_and_in_order),
        TEST(a_newcomer_begins_behind_the_oldest_and_asks_for_the_rest),
        TEST(who_knows_the_store_is_not_told_where_to_begin),
        TEST(bug_226_who_is_told_that_what_it_needs_is_gone_stands_still),
        TEST(who_awaits_rows_begins_where_it_is_told_and_nowhere_else),
        TEST(bug_332_who_has_begun_and_is_told_once_more_goes_on),
        TEST(bug_331_who_is_told_of_another_life_goes_on_behind_what_it_has),
        TEST(bug_331_who_lacks_what_is_gone_in_another_life_stands_still),
        TEST(bug_001_messages_behind_the_oldest_stay_when_it_is_committed),
        TEST(bug_121_a_position_that_is_in_the_queue_twice_is_committed_once),
        TEST(bug_005_it_asks_again_as_long_as_nothing_was_heard),
        TEST(bug_487_a_quiet_link_reports_again),
        TEST(bug_231_a_message_in_parts_is_one_message),
        TEST(a_part_that_is_missing_is_a_gap),
        TEST(bug_305_parts_of_two_connections_are_not_put_together),
        TEST(a_report_reads_back),
        TEST(what_is_no_report_is_refused),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
