/*
 * waiting: whoever waits is asked about after each wake, once a round, is turned out when the time is up, and counted
 * in bytes all the while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "operator/waiting.h"
#include "operator_bench.h"

#define RECORD_BYTES(body_bytes) (80 + (body_bytes))

static char dir[64];
static struct store *store;
static struct waiting waiting;

static const struct waiting_names names = {{"room", "settled", "index"}, "wakes", "size", "senders"};

static void
start(void)
{
    store = store_open(dir, BENCH_MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(waiting_open(&waiting, store, &names), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(waiting_load(&waiting), 0);
}

static void
stop(void)
{
    waiting_free(&waiting);
    store_close(store);
}

static int
set_up(void **state)
{
    (void)state;
    bench_make_dir(dir);
    start();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    stop();
    bench_remove_dir(dir);
    return 0;
}

static struct hash_id
person(unsigned number)
{
    struct hash_id id = {{0}};

    id.bytes[15] = (unsigned char)number;
    return id;
}

/* A record of the person, whose body is one letter. */
static void
enter(unsigned owner, int64_t arrived_ms, char letter)
{
    struct backlog_record record = {.person = person(owner), .arrived_ms = arrived_ms, .time_ms = letter,
                                    .body = span_at(&letter, 1)};

    assert_int_equal(waiting_enter(&waiting, &record), 0);
}

static void
wake(unsigned owner)
{
    const struct hash_id id = person(owner);

    assert_int_equal(waiting_wake(&waiting, &id), 0);
}

/* Who was asked about and expired: a letter each, capital ones expired. */
static struct buffer asked;
static const char *go; /* letters that go */

static char last; /* no more is asked about behind this one */

static enum waiting_answer
ask(void *context, const struct backlog_record *record)
{
    (void)context;
    assert_int_equal(record->body.len, 1);
    assert_int_equal(record->time_ms, record->body.at[0]);
    buffer_add_byte(&asked, record->body.at[0]);
    if (record->body.at[0] == last)
        return WAITING_GO_LAST;
    return strchr(go, record->body.at[0]) != NULL ? WAITING_GO : WAITING_STAY;
}

static int
expire(void *context, const struct backlog_record *record)
{
    (void)context;
    buffer_add_byte(&asked, (char)(record->body.at[0] - 'a' + 'A'));
    return 0;
}

/* Work until less than budget is done; what was asked and expired must be `expected`. */
static void
assert_work(unsigned budget, int64_t expired_ms, const char *going, const char *expected)
{
    int done;

    buffer_clear(&asked);
    go = going;
    assert_int_equal(waiting_flush(&waiting), 0);
    do {
        done = waiting_work(&waiting, budget, expired_ms, NULL, ask, expire);
        assert_true(done >= 0);
    } while (done >= (int)budget);
    assert_string_equal(buffer_text(&asked), expected);
    buffer_free(&asked);
}

static void
nobody_is_asked_about_before_a_wake(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    assert_work(10, -1, "a", "");
    assert_int_equal(waiting_due_ms(&waiting, 50), 50);
    wake(1);
    assert_int_equal(waiting_due_ms(&waiting, 50), 0);
    assert_work(10, -1, "a", "a");
    assert_int_equal(waiting_due_ms(&waiting, 50), INT64_MAX);
    wake(1); /* nobody is there */
    assert_int_equal(waiting_due_ms(&waiting, 50), INT64_MAX);
}

/* Whatever the budget, everybody woken is asked about once, in order of arrival. */
static void
each_is_asked_about_once_a_wake(void **state)
{
    (void)state;
    for (unsigned budget = 1; budget <= 9; budget++) {
        enter(2, 0, 'g');
        enter(1, 0, 'a');
        enter(1, 0, 'b');
        enter(3, 0, 'x');
        enter(1, 0, 'c');
        enter(1, 0, 'd');
        enter(1, 0, 'e');
        enter(2, 0, 'h');
        wake(1);
        wake(2);
        wake(1);
        assert_work(budget, -1, "", "abcdegh");
        assert_work(budget, -1, "", "");
        wake(2);
        wake(1);
        assert_work(budget, -1, "bdg", "abcdegh");
        wake(1);
        assert_work(budget, -1, "ace", "ace");
        wake(2);
        wake(3);
        assert_work(budget, -1, "hx", "hx");
        assert_int_equal(waiting.bytes, 0);
        assert_int_equal(store_count(store, waiting.backlog.records), 0);
        assert_int_equal(store_count(store, waiting.wakes), 0);
    }
}

/* A change in the middle of a round concerns those who were asked about before it too. */
static void
a_wake_in_the_middle_begins_again(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    enter(1, 0, 'b');
    enter(1, 0, 'c');
    wake(1);
    go = "";
    assert_int_equal(waiting_work(&waiting, 2, -1, NULL, ask, expire), 2);
    wake(1);
    assert_work(2, -1, "abc", "abc");
}

/* A hundred more were asked about, whatever they put out. */
static void
bug_711_what_is_full_ends_the_round(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    enter(1, 0, 'b');
    enter(1, 0, 'c');
    enter(2, 0, 'd');
    wake(1);
    wake(2);
    go = "abcd";
    last = 'b';
    buffer_clear(&asked);
    assert_int_equal(waiting_work(&waiting, 100, -1, NULL, ask, expire), 2);
    assert_string_equal(buffer_text(&asked), "ab");
    last = 'd';
    assert_int_equal(waiting_work(&waiting, 100, -1, NULL, ask, expire), 4); /* and that both are done with */
    assert_string_equal(buffer_text(&asked), "abcd");
    last = 0;
    assert_work(2, -1, "", "");
}

static void
who_comes_during_a_round_is_asked_about_in_it(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    enter(1, 0, 'b');
    enter(1, 0, 'c');
    wake(1);
    go = "";
    assert_int_equal(waiting_work(&waiting, 2, -1, NULL, ask, expire), 2); /* a and b */
    enter(1, 0, 'd');
    assert_work(2, -1, "", "cd");
    wake(1);
    assert_work(2, -1, "abcd", "abcd");
}

static void
the_time_is_up_exactly_then(void **state)
{
    (void)state;
    enter(1, 100, 'a');
    enter(1, 200, 'b');
    assert_work(10, 99, "", "");
    assert_work(10, 100, "", "A");
    assert_int_equal(waiting.bytes, RECORD_BYTES(1));
    assert_work(10, 200, "", "B");
    assert_int_equal(waiting.bytes, 0);
}

/* Whoever went gives its room back when nobody who still waits came before it. */
static void
room_is_given_back_from_the_oldest_on(void **state)
{
    (void)state;
    enter(1, 100, 'a');
    enter(2, 100, 'b');
    enter(2, 200, 'c');
    wake(2);
    assert_work(10, -1, "bc", "bc");
    assert_int_equal(store_count(store, waiting.backlog.records), 3);
    wake(1);
    assert_work(10, -1, "a", "a");
    assert_int_equal(store_count(store, waiting.backlog.records), 0);
    assert_int_equal(waiting_due_ms(&waiting, 0), INT64_MAX);
}

static void
whose_time_is_up_is_turned_out_even_if_somebody_came(void **state)
{
    (void)state;
    enter(1, 100, 'a');
    enter(1, 100, 'b');
    wake(1);
    assert_work(1, 100, "ab", "AB");
}

/* Everything that a restart must find again: bytes, wakes and how far they are. */
static void
a_restart_goes_on_where_it_was(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 5; number++)
        enter(1, 0, (char)('a' + number));
    wake(1);
    go = "";
    assert_int_equal(waiting_flush(&waiting), 0);
    assert_int_equal(waiting_work(&waiting, 2, -1, NULL, ask, expire), 2);
    assert_int_equal(waiting_flush(&waiting), 0);
    assert_int_equal(store_commit(store), 0);
    stop();
    buffer_free(&asked);
    start();
    assert_int_equal(waiting.bytes, 5 * RECORD_BYTES(1));
    const uint64_t bytes_with = 5 * RECORD_BYTES(1) + RECORD_BYTES(7);
    assert_int_equal(waiting_has_room(&waiting, 0, 7, bytes_with, bytes_with), 1);
    assert_int_equal(waiting_has_room(&waiting, 0, 7, bytes_with - 1, bytes_with), 0);
    assert_int_equal(waiting_has_room(&waiting, 0, 7, bytes_with, bytes_with - 1), 0);
    assert_int_equal(waiting_due_ms(&waiting, 0), 0);
    assert_work(2, -1, "cd", "cde");
    assert_int_equal(waiting.bytes, 3 * RECORD_BYTES(1));
    assert_work(1, 0, "", "ABE");
}

static void
an_abort_undoes_entries_wakes_and_releases(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    enter(1, 0, 'b');
    assert_int_equal(waiting_flush(&waiting), 0);
    assert_int_equal(store_commit(store), 0);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(waiting_load(&waiting), 0);
        assert_int_equal(waiting.bytes, 2 * RECORD_BYTES(1));
        assert_int_equal(waiting_due_ms(&waiting, 9), 9);
        enter(2, 0, 'c');
        wake(2);
        wake(1);
        assert_work(10, -1, "ac", "abc");
        store_abort(store);
    }
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(waiting_load(&waiting), 0);
    assert_work(10, 0, "", "AB");
}

static enum waiting_answer
forget_the_wake(void *context, const struct backlog_record *record)
{
    (void)context;
    assert_int_equal(store_delete(store, waiting.wakes, span_at(record->person.bytes, HASH_ID_BYTES)), 1);
    return WAITING_STAY;
}

static void
a_wake_that_goes_before_it_is_done_is_damage(void **state)
{
    (void)state;
    enter(1, 0, 'a');
    wake(1);
    assert_int_equal(waiting_work(&waiting, 10, -1, NULL, forget_the_wake, expire), -1);
    assert_true(store_is_damaged(store));
}

/* Sums that are stored and can't be are damage, not what wraps around. */
static void
sums_that_can_not_be_are_damage(void **state)
{
    static const struct {
        uint64_t bytes, senders_bytes;
        bool enters, leaves;
    } rows[] = {
        {UINT64_MAX, 0, true, false},
        {UINT64_MAX - 10, UINT64_MAX - 10, true, false},
        {RECORD_BYTES(1) + 10, RECORD_BYTES(1), false, true}, /* of senders is more then than of all */
        {10, 20, false, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char value[8];
        if (i > 0)
            set_up(state);
        enter(1, 0, 'a');
        assert_int_equal(waiting_flush(&waiting), 0);
        bytes_put_u64(value, rows[i].bytes);
        assert_int_equal(store_put(store, waiting.size, span_of("bytes"), span_at(value, sizeof value)), 0);
        bytes_put_u64(value, rows[i].senders_bytes);
        assert_int_equal(store_put(store, waiting.size, span_of("senders"), span_at(value, sizeof value)), 0);
        int rc = waiting_load(&waiting);
        if (rc == 0 && rows[i].enters) {
            struct backlog_record record = {.person = person(2), .sender = 7, .body = span_of("b")};
            rc = waiting_enter(&waiting, &record);
        }
        if (rc == 0 && rows[i].leaves)
            rc = waiting_work(&waiting, 10, 0, NULL, ask, expire);
        assert_int_equal(rc, -1);
        assert_true(store_is_damaged(store));
        if (i + 1 < sizeof rows / sizeof rows[0])
            tear_down(state);
    }
}

static int
forget_asked(void **state)
{
    buffer_free(&asked);
    return tear_down(state);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, forget_asked)
    const struct CMUnitTest tests[] = {
        EACH(nobody_is_asked_about_before_a_wake),
        EACH(each_is_asked_about_once_a_wake),
        EACH(a_wake_in_the_middle_begins_again),
        EACH(bug_711_what_is_full_ends_the_round),
        EACH(who_comes_during_a_round_is_asked_about_in_it),
        EACH(the_time_is_up_exactly_then),
        EACH(room_is_given_back_from_the_oldest_on),
        EACH(whose_time_is_up_is_turned_out_even_if_somebody_came),
        EACH(a_restart_goes_on_where_it_was),
        EACH(an_abort_undoes_entries_wakes_and_releases),
        EACH(a_wake_that_goes_before_it_is_done_is_damage),
        EACH(sums_that_can_not_be_are_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
