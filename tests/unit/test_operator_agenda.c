/*
 * agenda: everything that was added comes up once, oldest first, when its time has come and not before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "operator/agenda.h"
#include "operator_bench.h"

static char dir[64];
static struct store *store;
static struct agenda agenda;

static int
set_up(void **state)
{
    (void)state;
    bench_make_dir(dir);
    store = store_open(dir, BENCH_MAP_BYTES);
    return store == NULL || agenda_open(&agenda, store, "agenda", 4) != 0 || store_begin(store) != 0 ||
           agenda_load(&agenda) != 0;
}

static int
tear_down(void **state)
{
    (void)state;
    agenda_free(&agenda);
    store_close(store);
    bench_remove_dir(dir);
    return 0;
}

/* The process ends, with what was not committed, and starts again. */
static void
restart(void)
{
    agenda_free(&agenda);
    store_close(store);
    store = store_open(dir, BENCH_MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(agenda_open(&agenda, store, "agenda", 4), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(agenda_load(&agenda), 0);
}

static void
add(uint32_t first, uint32_t count, int64_t now_ms)
{
    char thing[4];
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u32(thing, first + i);
        agenda_add(&agenda, thing);
    }
    assert_int_equal(agenda_flush(&agenda, now_ms), 0);
}

static uint32_t visited[1000];
static unsigned visited_count;

static int
visit(void *context, struct span thing)
{
    (void)context;
    assert_int_equal(thing.len, 4);
    visited[visited_count++] = bytes_get_u32(thing.at);
    return 0;
}

/* Work and check that the things first to first + count - 1 came up in this order. */
static void
assert_due(int64_t until_ms, unsigned budget, uint32_t first, unsigned count)
{
    visited_count = 0;
    assert_int_equal(agenda_work(&agenda, until_ms, budget, visit, NULL), count);
    assert_int_equal(visited_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(visited[i], first + i);
}

static void
things_are_due_at_their_time_and_once(void **state)
{
    (void)state;
    assert_int_equal(agenda_due_ms(&agenda, 5), INT64_MAX);
    add(0, 3, 100);
    add(3, 2, 200);
    assert_int_equal(agenda_due_ms(&agenda, 5), 105);
    assert_due(99, 10, 0, 0);
    assert_due(100, 10, 0, 3);
    assert_int_equal(agenda_due_ms(&agenda, 5), 205);
    assert_due(199, 10, 0, 0);
    assert_due(1000, 10, 3, 2);
    assert_due(1000, 10, 0, 0);
    assert_int_equal(agenda_due_ms(&agenda, 5), INT64_MAX);
}

static void
many_come_up_in_the_order_they_were_added(void **state)
{
    (void)state;
    const unsigned sizes[] = {1, AGENDA_BATCH - 1, AGENDA_BATCH, AGENDA_BATCH + 1, 3 * AGENDA_BATCH};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        add(0, sizes[i], 100);
        assert_due(100, 10000, 0, sizes[i]);
    }
}

static void
a_budget_ends_behind_the_batch_that_reaches_it(void **state)
{
    (void)state;
    add(0, 3 * AGENDA_BATCH, 100);
    assert_due(100, 1, 0, AGENDA_BATCH);
    assert_due(100, AGENDA_BATCH, AGENDA_BATCH, AGENDA_BATCH);
    assert_int_equal(agenda_due_ms(&agenda, 0), 100);
    assert_due(100, 10000, 2 * AGENDA_BATCH, AGENDA_BATCH);
    assert_due(100, 0, 0, 0);
}

static void
a_clock_that_goes_back_neither_loses_nor_reorders(void **state)
{
    (void)state;
    add(0, 1, 500);
    add(1, 1, 100);
    assert_int_equal(agenda_due_ms(&agenda, 0), 500);
    assert_due(499, 10, 0, 0);
    assert_due(500, 10, 0, 2);
}

static void
an_abort_undoes_what_was_added_and_what_was_worked(void **state)
{
    (void)state;
    char thing[4] = {0};
    add(0, 2, 100);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    assert_due(100, 10, 0, 2);
    add(7, 1, 300);
    agenda_add(&agenda, thing);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(agenda_load(&agenda), 0);
    assert_int_equal(agenda_flush(&agenda, 300), 0); /* nothing is gathered any more */
    assert_int_equal(agenda_due_ms(&agenda, 0), 100);
    assert_due(1000, 10, 0, 2);
}

static void
it_goes_on_after_a_restart(void **state)
{
    (void)state;
    add(0, AGENDA_BATCH + 1, 500);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    add(1000, 5, 600); /* lost with the process */
    restart();
    assert_int_equal(agenda_due_ms(&agenda, 1), 501);
    add(AGENDA_BATCH + 1, 1, 100); /* behind what is there, though the clock went back */
    assert_due(500, 10000, 0, AGENDA_BATCH + 2);
}

static int
fail_visit(void *context, struct span thing)
{
    (void)context;
    (void)thing;
    return -1;
}

static void
an_error_of_a_visit_ends_the_work(void **state)
{
    (void)state;
    add(0, 2, 100);
    assert_int_equal(agenda_work(&agenda, 100, 10, fail_visit, NULL), -1);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(things_are_due_at_their_time_and_once),
        EACH(many_come_up_in_the_order_they_were_added),
        EACH(a_budget_ends_behind_the_batch_that_reaches_it),
        EACH(a_clock_that_goes_back_neither_loses_nor_reorders),
        EACH(an_abort_undoes_what_was_added_and_what_was_worked),
        EACH(it_goes_on_after_a_restart),
        EACH(an_error_of_a_visit_ends_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
