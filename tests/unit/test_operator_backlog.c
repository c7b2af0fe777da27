/*
 * backlog: whoever is added is there, found and waiting until settled or too old, and comes up in the order of numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "base/bytes.h"
#include "operator/backlog.h"
#include "panics.h"
#include "record/record.h"
#include "scratch_dir.h"
#include "splitmix.h"

#define MAP_BYTES (UINT64_C(1) << 30)
#define BLOCK BACKLOG_SETTLED_BLOCK
#define KEY_BYTES (8 + HASH_ID_BYTES + 8) /* time, person, number */
#define ALL UINT_MAX

static const struct backlog_names names = {"records", "settled", "index"};
static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static struct backlog backlog;
static uint64_t chance;
static struct buffer found, visited; /* visited: numbers, u64 BE */

/* The model: record number i + 1 is records[i]. */
enum { RECORDS_MAX = 60000 };

struct model_record {
    int64_t entered_ms, arrived_ms, time_ms;
    unsigned person;
    uint64_t body;
    bool settled;
};

static struct model {
    struct model_record records[RECORDS_MAX];
    uint64_t last, lowest;
} model, committed;

static unsigned
roll(unsigned sides)
{
    return splitmix_roll(&chance, sides);
}

static void
index_key(const void *context, const struct backlog_record *record, char *key)
{
    (void)context;
    bytes_put_u64(key, (uint64_t)record->time_ms);
    memcpy(key + 8, record->person.bytes, HASH_ID_BYTES);
    memset(key + KEY_BYTES - 8, 0xee, 8);
}

static uint64_t
time_token(const void *context, const char *key)
{
    (void)context;
    return bytes_get_u64(key);
}

/* The backlog's life. */

static void
load(void)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(backlog_load(&backlog), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    model = committed;
}

static void
start(void)
{
    const struct keyset_rules rules = {.key_bytes = KEY_BYTES, .token = time_token};

    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(backlog_open(&backlog, store, &names, &rules, index_key), 0);
    load();
}

static void
stop(void)
{
    backlog_free(&backlog);
    store_close(store);
    store = NULL;
}

static int
set_up(void **state)
{
    (void)state;
    chance = 1;
    scratch_dir_make(dir);
    memset(&committed, 0, sizeof committed);
    committed.lowest = 1;
    start();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    stop();
    scratch_dir_remove(dir);
    buffer_free(&found);
    buffer_free(&visited);
    return 0;
}

static void
commit(void)
{
    assert_int_equal(backlog_flush(&backlog), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    committed = model;
}

/* The process ends, with what was not committed, and starts again. */
static void
restart(void)
{
    stop();
    start();
}

static void
fail_transaction(void)
{
    store_abort(store);
    load();
}

/* Records. */

static struct hash_id
person_of(unsigned number)
{
    struct hash_id id = {{0}};

    bytes_put_u32(id.bytes, number);
    memset(id.bytes + 4, 0xa5, HASH_ID_BYTES - 4);
    return id;
}

/* Its body: 0 to 23 bytes, some of them NUL. */
static struct span
body_of(const struct model_record *record)
{
    static char body[24];

    for (unsigned i = 0; i < sizeof body; i += 8)
        bytes_put_u64(body + i, record->body >> i);
    return span_at(body, record->body % sizeof body);
}

static struct model_record *
model_record(uint64_t number)
{
    return &model.records[number - 1];
}

static void
assert_counted(void)
{
    assert_int_equal(backlog.last, model.last);
    assert_int_equal(backlog.lowest, model.lowest);
    assert_int_equal(backlog.first_ms, model.lowest > model.last ? INT64_MAX : model_record(model.lowest)->entered_ms);
}

/* It enters at now_ms, and arrived long before. Its number. */
static uint64_t
add(int64_t now_ms, int64_t time_ms, unsigned person, bool settled)
{
    const int64_t front_ms = model.lowest <= model.last ? model_record(model.last)->entered_ms : now_ms;
    struct model_record *expected = model_record(++model.last);

    assert_true(model.last <= RECORDS_MAX);
    *expected = (struct model_record){now_ms > front_ms ? now_ms : front_ms, now_ms / 2 + person, time_ms, person,
                                      roll(UINT_MAX), settled};
    struct backlog_record record = {.arrived_ms = expected->arrived_ms, .time_ms = time_ms, .person = person_of(person),
                                    .settled = settled, .body = body_of(expected)};

    assert_int_equal(backlog_add(&backlog, &record, now_ms), 0);
    assert_int_equal(record.number, model.last);
    return model.last;
}

/* count of them, which enter at now_ms, one for each millisecond of time. */
static void
add_many(unsigned count, int64_t now_ms, bool settled)
{
    for (unsigned i = 0; i < count; i++)
        add(now_ms, i, i % 100, settled);
}

static void
settle(uint64_t number)
{
    struct model_record *record = model_record(number);

    assert_false(record->settled);
    record->settled = true;
    assert_int_equal(backlog_settle(&backlog, number), 0);
}

static void
assert_is_record(const struct backlog_record *record, uint64_t number)
{
    const struct model_record *expected = model_record(number);
    const struct hash_id person = person_of(expected->person);

    assert_int_equal(record->number, number);
    assert_int_equal(record->arrived_ms, expected->arrived_ms);
    assert_int_equal(record->time_ms, expected->time_ms);
    assert_memory_equal(record->person.bytes, person.bytes, HASH_ID_BYTES);
    assert_true(span_equal(record->body, body_of(expected)));
}

static void
assert_record(uint64_t number)
{
    struct backlog_record record;
    const bool kept = number >= model.lowest && number <= model.last;

    assert_int_equal(backlog_get(&backlog, number, &record), kept);
    if (!kept)
        return;
    assert_is_record(&record, number);
    assert_int_equal(backlog_waits(&backlog, &record), !model_record(number)->settled);
}

static void
assert_records(void)
{
    for (uint64_t number = 0; number <= model.last + 1; number++)
        assert_record(number);
    assert_counted();
}

/* Find by time and compare with a scan of everything. How many there were. */
static unsigned
assert_found(int64_t time_ms, unsigned max)
{
    char from[KEY_BYTES] = {0}, to[KEY_BYTES];
    struct keyset_query query = {.from = from, .to = to, .horizon = 99, .tokens = {(uint64_t)time_ms}, .token_count = 1,
                                 .max = max};
    uint64_t before = 0;
    unsigned person = 0, count = 0;

    bytes_put_u64(from, (uint64_t)time_ms);
    memset(to, 0xff, sizeof to);
    bytes_put_u64(to, (uint64_t)time_ms);
    for (uint64_t number = model.lowest; number <= model.last; number++)
        count += model_record(number)->time_ms == time_ms;
    count = count < max ? count : max;
    assert_int_equal(backlog_find(&backlog, &query, &found), count);
    assert_int_equal(found.len, count * KEY_BYTES);
    for (unsigned i = 0; i < count; i++) { /* by person, and each person's as they came */
        const uint64_t number = backlog_number(&backlog, found.data + i * KEY_BYTES);
        assert_true(number >= model.lowest && number <= model.last);
        assert_int_equal(model_record(number)->time_ms, time_ms);
        assert_true(i == 0 || model_record(number)->person > person ||
                    (model_record(number)->person == person && number > before));
        before = number;
        person = model_record(number)->person;
    }
    return count;
}

/* What was read from the store is not valid when the store has changed; so the record is overwritten before it is looked
 * at. */
static int
visit(void *context, const struct backlog_record *record)
{
    static const char zeros[200];
    struct span value;
    char number[8];

    assert_ptr_equal(context, &visited);
    bytes_put_u64(number, record->number);
    assert_int_equal(store_get(store, backlog.records, span_at(number, 8), &value), 1);
    assert_int_equal(store_put(store, backlog.records, span_at(number, 8), span_at(zeros, value.len)), 0);
    assert_is_record(record, record->number);
    assert_false(model_record(record->number)->settled);
    buffer_add(&visited, number, 8);
    return 0;
}

/* Expire, with the same done to the model. How many were removed. */
static unsigned
expire(int64_t until_ms, bool settled_too, unsigned budget)
{
    unsigned removed = 0, visits = 0;

    buffer_clear(&visited);
    const int rc = backlog_expire(&backlog, until_ms, settled_too, budget, &visited, visit);
    for (; removed < budget && model.lowest <= model.last; removed++) {
        const struct model_record *record = model_record(model.lowest);
        if (record->entered_ms > until_ms && !(settled_too && record->settled))
            break;
        if (!record->settled) {
            assert_true(visited.len >= 8 * (visits + 1));
            assert_int_equal(bytes_get_u64(visited.data + 8 * visits++), model.lowest);
        }
        model.lowest++;
    }
    assert_int_equal(rc, removed);
    assert_int_equal(visited.len, 8 * visits);
    assert_counted();
    return removed;
}

static void
numbers_begin_with_one_and_none_is_given_twice(void **state)
{
    (void)state;
    assert_counted();
    assert_int_equal(add(10, 1, 1, false), 1);
    assert_int_equal(add(10, 1, 1, true), 2);
    commit();
    assert_int_equal(add(10, 1, 1, false), 3);
    fail_transaction(); /* that one never was */
    assert_int_equal(add(10, 1, 1, false), 3);
    commit();
    restart();
    assert_int_equal(add(10, 1, 1, false), 4);
    assert_int_equal(expire(100, false, ALL), 4);
    commit();
    restart();
    assert_counted();
    assert_int_equal(add(10, 1, 1, false), 5); /* though nobody is there */
    assert_records();
}

static void
a_record_is_what_was_added(void **state)
{
    const int64_t arrivals[] = {0, 1, 1700000000000, RECORD_TIME_MS_MAX};
    const int64_t times[] = {INT64_MAX, 1700000000000, 0, INT64_MIN}; /* what a version before took over links */

    (void)state;
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        for (unsigned j = 0; j < 30; j++)
            add(arrivals[i], times[i], i + j, j % 3 == 0);
    }
    assert_records();
    commit();
    assert_records();
    restart();
    assert_records();
}

static void
only_who_is_settled_does_not_wait(void **state)
{
    const uint64_t one = add(10, 1, 1, false);

    (void)state;
    add(10, 1, 2, true);
    const uint64_t three = add(10, 1, 3, false);
    assert_records();
    settle(three);
    assert_records();
    commit();
    restart();
    assert_records();
    settle(one);
    fail_transaction();
    assert_records();
    settle(one);
    commit();
    restart();
    assert_records();
}

static void
each_record_has_a_bit_of_its_own(void **state)
{
    const uint64_t borders[] = {BLOCK, 2 * BLOCK, 3 * BLOCK};

    (void)state;
    add_many(3 * BLOCK + 100, 10, false);
    commit();
    for (unsigned i = 0; i < 3; i++) { /* there and back: the blocks take turns in memory */
        settle(borders[i] - 1);
        settle(borders[2 - i] + 1 + i);
        settle(borders[i] + 8);
    }
    settle(BLOCK);
    assert_records();
    commit();
    settle(BLOCK + 20);
    settle(2 * BLOCK + 20);
    fail_transaction();
    assert_records();
    settle(1);
    settle(3 * BLOCK + 100);
    add_many(BLOCK, 10, true);
    commit();
    restart();
    assert_records();
}

/* What was done to the block in memory before the transaction failed is forgotten. */
static void
a_bit_is_not_kept_by_an_abort(void **state)
{
    (void)state;
    add_many(100, 10, false);
    commit();
    settle(50);
    assert_int_equal(backlog_flush(&backlog), 0); /* the commit would fail */
    fail_transaction();
    assert_records();
    settle(51);
    fail_transaction();
    commit();
    assert_int_equal(store_count(store, backlog.settled), 0);
    settle(52);
    commit();
    restart();
    assert_records();
}

static void
they_are_found_while_they_are_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++)
        add(i, i * 7919 % 2000, i * 31 % 50, i % 4 == 0);
    assert_int_equal(assert_found(1234, 100), 10);
    commit();
    assert_int_equal(assert_found(1234, 100), 10);
    assert_int_equal(assert_found(1234, 3), 3);
    assert_int_equal(expire(9999, false, ALL), 10000);
    assert_int_equal(assert_found(1234, 100), 5); /* at once */
    fail_transaction();
    assert_int_equal(assert_found(1234, 100), 10); /* again */
    assert_int_equal(expire(9999, false, ALL), 10000);
    commit();
    restart();
    assert_int_equal(assert_found(1234, 100), 5);
    assert_int_equal(expire(INT64_MAX, false, ALL), 10000);
    assert_int_equal(assert_found(1234, 100), 0);
}

static void
the_index_forgets_who_is_gone_and_nobody_else(void **state)
{
    (void)state;
    store_abort(store);
    const int index = store_table(store, names.index);
    load();
    add_many(40000, 10, false);
    commit();
    const int64_t entries = store_count(store, index);
    expire(INT64_MAX, false, 39999);
    for (unsigned i = 0; i < 12; i++) {
        add_many(1000, 100, false);
        commit();
        assert_int_equal(assert_found(39999, 100), 1); /* the last one of many that came together */
    }
    expire(INT64_MAX, false, 1);
    for (unsigned i = 0; i < 4; i++) {
        add_many(1000, 100, false);
        commit();
    }
    assert_true(store_count(store, index) < entries / 2);
    assert_int_equal(assert_found(39999, 100), 0);
    assert_int_equal(assert_found(0, 100), 16);
}

static void
the_time_is_up_exactly_then(void **state)
{
    (void)state;
    add(100, 1, 1, false);
    add(200, 1, 2, true);
    add(200, 1, 3, false);
    add(300, 1, 4, false);
    assert_int_equal(backlog_due_ms(&backlog, 50), 150);
    assert_int_equal(expire(99, false, ALL), 0);
    assert_int_equal(expire(100, false, ALL), 1);
    assert_int_equal(backlog_due_ms(&backlog, 50), 250);
    assert_int_equal(expire(200, false, ALL), 2);
    assert_int_equal(expire(299, false, ALL), 0);
    assert_int_equal(expire(300, false, ALL), 1);
    assert_int_equal(backlog_due_ms(&backlog, 50), INT64_MAX);
    assert_int_equal(expire(INT64_MAX, true, ALL), 0);
    add(400, 1, 5, false);
    assert_int_equal(backlog_due_ms(&backlog, 50), 450);
    assert_records();
}

static void
a_clock_that_goes_back_neither_loses_nor_reorders(void **state)
{
    (void)state;
    add(500, 1, 1, true);
    add(100, 1, 2, false);
    commit();
    restart();
    add(200, 1, 3, false);
    assert_int_equal(backlog_due_ms(&backlog, 0), 500);
    assert_int_equal(expire(499, true, ALL), 1);
    assert_int_equal(backlog_due_ms(&backlog, 0), 500); /* not before the one that stood in front of it */
    assert_int_equal(expire(499, false, ALL), 0);
    assert_int_equal(expire(500, false, ALL), 2);
    for (unsigned restarted = 0; restarted < 2; restarted++) { /* where nobody stands in front the clock is right */
        add(50, 1, 4, false);
        assert_int_equal(backlog_due_ms(&backlog, 0), 50);
        assert_int_equal(expire(50, false, ALL), 1);
        commit();
        restart();
    }
}

static void
a_budget_ends_it_early(void **state)
{
    (void)state;
    add_many(50, 10, false);
    add_many(50, 10, true);
    assert_int_equal(expire(10, false, 0), 0);
    assert_int_equal(expire(10, false, 30), 30);
    assert_int_equal(expire(10, false, 30), 30);
    assert_int_equal(expire(10, true, 30), 30);
    commit();
    restart();
    assert_int_equal(expire(10, false, 30), 10);
    assert_counted();
}

static void
who_is_settled_may_go_before_the_time(void **state)
{
    (void)state;
    add_many(10, 100, true);
    add_many(1, 100, false);
    add_many(10, 100, true);
    assert_int_equal(expire(99, false, ALL), 0);
    assert_int_equal(expire(99, true, ALL), 10);
    assert_int_equal(expire(99, true, ALL), 0); /* one waits, and the others stand behind it */
    settle(11);
    assert_int_equal(expire(99, true, 4), 4);
    assert_int_equal(expire(99, true, ALL), 7);
    assert_int_equal(visited.len, 0);
}

static void
bits_and_records_go_with_the_last_of_them(void **state)
{
    (void)state;
    add_many(4 * BLOCK - 1, 100, false);
    for (uint64_t number = 1; number < 4 * BLOCK; number += 100)
        settle(number);
    commit();
    assert_int_equal(store_count(store, backlog.settled), 4);
    assert_int_equal(store_count(store, backlog.records), 4 * BLOCK - 1);
    expire(100, false, 2 * BLOCK - 2);
    assert_int_equal(store_count(store, backlog.settled), 3);
    settle(2 * BLOCK - 1); /* in memory only */
    expire(100, false, 1);
    assert_records();
    commit();
    assert_int_equal(store_count(store, backlog.settled), 2 + 1); /* its state */
    restart();
    assert_records();
    expire(100, false, ALL);
    commit();
    assert_int_equal(store_count(store, backlog.settled), 1);
    assert_int_equal(store_count(store, backlog.records), 0);
    assert_int_equal(add(100, 1, 1, false), 4 * BLOCK);
    assert_records();
}

static int
fail_visit(void *context, const struct backlog_record *record)
{
    (void)context;
    (void)record;
    return -1;
}

static void
an_error_of_a_visit_ends_it(void **state)
{
    (void)state;
    add(10, 1, 1, true);
    add(10, 1, 1, false);
    commit();
    assert_int_equal(backlog_expire(&backlog, 10, false, 10, NULL, fail_visit), -1);
    fail_transaction();
    assert_records();
}

/* Whatever comes, in each transaction. */

static uint64_t
some_kept(void)
{
    return model.lowest + roll((unsigned)(model.last - model.lowest + 1));
}

static void
do_something(int64_t *now_ms)
{
    const unsigned what = roll(100);

    if (what < 70 || model.lowest > model.last) {
        *now_ms += roll(10) == 0 ? -(int64_t)roll(20) : (int64_t)roll(5);
        add(*now_ms, roll(3000), roll(20), roll(3) == 0);
    } else if (what < 90) {
        const uint64_t number = some_kept();
        if (!model_record(number)->settled)
            settle(number);
    } else if (what < 98) {
        assert_record(some_kept());
    } else if (what < 99) {
        assert_record(roll((unsigned)model.last + 10));
    } else {
        assert_found(roll(3000), 1 + roll(20));
    }
}

static void
a_plain_array_says_the_same(void **state)
{
    int64_t now_ms = 100000, committed_now_ms = now_ms;

    (void)state;
    while (model.last < RECORDS_MAX - 10000) {
        for (unsigned count = 1 + roll(roll(4) == 0 ? 2000 : 100); count > 0; count--)
            do_something(&now_ms);
        if (roll(3) == 0)
            expire(now_ms - roll(30000), roll(2) == 0, roll(3) == 0 ? ALL : roll(4000));
        assert_counted();
        switch (roll(12)) {
        case 0:
            assert_int_equal(backlog_flush(&backlog), 0); /* fall through */
        case 1:
            fail_transaction();
            now_ms = committed_now_ms;
            break;
        case 2:
            restart();
            now_ms = committed_now_ms;
            break;
        default:
            commit();
            committed_now_ms = now_ms;
        }
        assert_counted();
    }
    assert_records();
    assert_true(model.lowest > 3 * BLOCK);
}

static void
add_one(unsigned person)
{
    struct backlog_record record = {.time_ms = 1};

    record.person.bytes[0] = (unsigned char)person;
    assert_int_equal(backlog_add(&backlog, &record, 1), 0);
}

static void
add_one_of_nobody(void)
{
    add_one(0);
}

static void
settle_one_twice(void)
{
    backlog_settle(&backlog, 1);
    backlog_settle(&backlog, 1);
}

static void
settle_one_to_come(void)
{
    backlog_settle(&backlog, backlog.last + 1);
}

static void
settle_one_that_left(void)
{
    backlog_settle(&backlog, backlog.lowest - 1);
}

static void
add_behind_a_hole(void)
{
    backlog.lowest = backlog.last + 2;
    add_one(1);
}

static void
who_breaks_the_rules_of_a_backlog_panics(void **state)
{
    (void)state;
    add_one(1);
    assert_panics(add_one_of_nobody);
    assert_panics(settle_one_twice);
    assert_panics(settle_one_to_come);
    assert_panics(settle_one_that_left);
    assert_panics(add_behind_a_hole);
}

/* Numbers are added to. */
static void
numbers_near_the_end_of_all_are_damage(void **state)
{
    char key[8], value[1 + 8 + 8 + 8 + HASH_ID_BYTES] = {0}, ends[16];

    (void)state;
    memset(value + 25, 1, HASH_ID_BYTES);
    bytes_put_u64(key, UINT64_MAX - 1);
    assert_int_equal(store_put(store, backlog.records, span_at(key, sizeof key), span_at(value, sizeof value)), 0);
    bytes_put_u64(ends, UINT64_MAX - 1);
    bytes_put_u64(ends + 8, UINT64_MAX - 1);
    memset(key, 0xff, sizeof key);
    assert_int_equal(store_put(store, backlog.settled, span_at(key, sizeof key), span_at(ends, sizeof ends)), 0);
    assert_int_equal(backlog_load(&backlog), -1);
    assert_true(store_is_damaged(store));
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(numbers_begin_with_one_and_none_is_given_twice),
        EACH(a_record_is_what_was_added),
        EACH(only_who_is_settled_does_not_wait),
        EACH(each_record_has_a_bit_of_its_own),
        EACH(a_bit_is_not_kept_by_an_abort),
        EACH(they_are_found_while_they_are_kept),
        EACH(the_index_forgets_who_is_gone_and_nobody_else),
        EACH(the_time_is_up_exactly_then),
        EACH(a_clock_that_goes_back_neither_loses_nor_reorders),
        EACH(a_budget_ends_it_early),
        EACH(who_is_settled_may_go_before_the_time),
        EACH(bits_and_records_go_with_the_last_of_them),
        EACH(an_error_of_a_visit_ends_it),
        EACH(a_plain_array_says_the_same),
        EACH(who_breaks_the_rules_of_a_backlog_panics),
        EACH(numbers_near_the_end_of_all_are_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
