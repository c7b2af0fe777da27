/* cut: which states can be gone on from together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "memory_process.h"
#include "run/cut.h"

/* The producer's store has what follows `trimmed` up to `last`; the consumer has applied so much of `epoch`. */
struct link_case {
    uint64_t trimmed, last;
    uint64_t epoch, applied;
    bool good;
};

static int
check(const struct link_case *link, struct buffer *faults)
{
    const struct cut_member members[] = {
        {.stream = &customer_trusted,
         .positions = {.epoch = 7, .trimmed = {link->trimmed, 0}, .last = {link->last, 0}}},
        {.stream = &accelerometer_trusted, .positions = {.epoch = 8, .links = {{0}, {link->epoch, link->applied}}}},
    };
    assert_ptr_equal(accelerometer_trusted.inputs[1].from, &customer_trusted);
    return cut_check(members, 2, faults);
}

static void
a_link_goes_on_if_what_follows_is_there(void **state)
{
    static const struct link_case cases[] = {
        {0, 0, 7, 0, true},    {10, 20, 7, 10, true},  {10, 20, 7, 15, true}, {10, 20, 7, 20, true},
        {10, 20, 7, 9, false}, {10, 20, 7, 21, false}, {0, 0, 7, 1, false},   {10, 20, 7, 0, false},
        {10, 20, 0, 0, true}, /* begins as a newcomer, */
        {10, 20, 6, 5, true}, /* and so does one that knows another store */
    };
    struct buffer faults = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&faults);
        assert_int_equal(check(&cases[i], &faults), cases[i].good ? 0 : -1);
        assert_int_equal(faults.len > 0, !cases[i].good);
    }
    buffer_clear(&faults);
    check(&cases[5], &faults);
    assert_string_equal(buffer_text(&faults),
                        "accelerometer-trusted has applied 21 messages of customer-trusted, whose state has 11 to 20\n");
    buffer_free(&faults);
}

static void
a_producer_elsewhere_is_not_asked(void **state)
{
    const struct cut_member member = {.stream = &accelerometer_trusted, .positions = {.links = {{0}, {7, 1000}}}};
    struct buffer faults = {0};
    (void)state;
    assert_int_equal(cut_check(&member, 1, &faults), 0);
    buffer_free(&faults);
}

/* The store of the process that ran, open to be read. */
static struct store *
open_store(void)
{
    struct buffer path = {0};
    buffer_printf(&path, "%s/state/accelerometer-trusted/store", bench.dir);
    struct store *store = store_open_to_read(buffer_text(&path), true);
    assert_non_null(store);
    assert_int_equal(store_snapshot(store), 0);
    buffer_free(&path);
    return store;
}

static void
positions_are_those_that_the_process_had(void **state)
{
    struct cut_positions positions;
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_send("gait/landing/accelerometer", "[1]", NULL, NULL);
    bench_settle();
    assert_non_null(bench_heard("gait/rejected/accelerometer-trusted", 0)); /* which is no output */
    const uint64_t epoch = bench.process->epoch;
    const uint64_t inbox = bench.process->inbox_position;
    assert_true(inbox > 0);
    bench_close_process();
    struct store *store = open_store();
    assert_int_equal(cut_read(store, &accelerometer_trusted, &positions), 0);
    assert_true(positions.epoch == epoch && positions.inbox == inbox);
    assert_true(positions.links[1].epoch == 0 && positions.links[1].applied == 0);
    assert_true(positions.last.sequence == 0 && positions.trimmed.sequence == 0);
    store_close(store);
}

/* What a newer program wrote, what is too short, what is no process's: none is taken for positions. */
static void
what_is_not_known_is_refused(void **state)
{
    static const struct {
        const char *key;
        size_t bytes;
        uint64_t value;
    } wrong[] = {{"format", 8, 99}, {"epoch", 3, 0}, {"inbox", 7, 0}, {"link customer-trusted", 15, 0}};
    struct cut_positions positions;
    struct buffer path = {0};
    char value[16];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bench_open_process(&accelerometer_trusted, NULL);
        bench_close_process();
        buffer_clear(&path);
        buffer_printf(&path, "%s/state/accelerometer-trusted/store", bench.dir);
        struct store *store = store_open(buffer_text(&path), 16 << 20);
        const int meta = store_table(store, "meta");
        assert_int_equal(store_begin(store), 0);
        bytes_put_u64(value, wrong[i].value);
        bytes_put_u64(value + 8, 0);
        assert_int_equal(store_put(store, meta, span_of(wrong[i].key), span_at(value, wrong[i].bytes)), 0);
        assert_int_equal(store_commit(store), 0);
        store_close(store);
        store = open_store();
        assert_int_equal(cut_read(store, &accelerometer_trusted, &positions), -1);
        store_close(store);
        scratch_dir_remove(bench.dir);
        scratch_dir_make(bench.dir);
    }
    buffer_free(&path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_goes_on_if_what_follows_is_there),
        TEST(a_producer_elsewhere_is_not_asked),
        TEST(positions_are_those_that_the_process_had),
        TEST(what_is_not_known_is_refused),
    };
    hash_init();
    log_open("test", LOG_NOTHING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
