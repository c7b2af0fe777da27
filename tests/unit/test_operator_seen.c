/*
 * seen: a record is a duplicate while its first arrival is remembered, for `hold` and for ten minutes at least.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operator/seen.h"
#include "operator_bench.h"
#include "panics.h"

static char dir[64];
static struct store *store;
static struct seen seen;
static struct hash_key key;
static struct record_decoder *decoder;

static void
start(int64_t hold_ms)
{
    store = store_open(dir, BENCH_MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(seen_open(&seen, store, &key, hold_ms), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(seen_load(&seen), 0);
}

static void
stop(void)
{
    seen_free(&seen);
    store_close(store);
}

static int
set_up(void **state)
{
    static const struct record_limits limits = {
        .json = {.depth_max = 4, .string_bytes_max = 64}, .payload_bytes_max = 4096, .ahead_ms = 0};

    (void)state;
    hash_init();
    bench_make_dir(dir);
    decoder = record_decoder_new(RECORD_ACCELEROMETER, &limits);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    record_decoder_free(decoder);
    bench_remove_dir(dir);
    return 0;
}

/* 1 new, 0 duplicate. */
static int
add(const char *json, int64_t now_ms)
{
    struct record record;
    uint64_t fingerprint;

    assert_int_equal(record_decode(decoder, span_of(json), RECORD_FROM_LANDING, BENCH_START_MS, &record).reason,
                     REASON_NONE);
    int rc = seen_add(&seen, &record, now_ms, &fingerprint);
    assert_int_equal(seen_flush(&seen, now_ms), 0);
    return rc;
}

#define READING "{\"user\":\"a\",\"timestamp\":7,\"x\":1,\"y\":0,\"z\":0}"

static void
equal_in_every_field_is_a_duplicate(void **state)
{
    static const struct {
        const char *json;
        int is_new;
    } rows[] = {
        {READING, 1},
        {READING, 0},
        {"{\"user\":\"a\",\"timestamp\":7,\"x\":1.0,\"y\":0,\"z\":0}", 0},
        {"{\"user\":\"a\",\"timestamp\":7,\"x\":10e-1,\"y\":-0.0,\"z\":0e5}", 0},
        {"{\"z\":0,\"timeStamp\":7,\"x\":1,\"y\":0,\"user\":\"\\u0061\",\"more\":1}", 0},
        {"{\"user\":\"a\",\"timestamp\":8,\"x\":1,\"y\":0,\"z\":0}", 1},
        {"{\"user\":\"A\",\"timestamp\":7,\"x\":1,\"y\":0,\"z\":0}", 1},
        {"{\"user\":\"a\",\"timestamp\":7,\"x\":1.0000000000000000001,\"y\":0,\"z\":0}", 1},
        {"{\"user\":\"a\",\"timestamp\":7,\"x\":0,\"y\":1,\"z\":0}", 1},
    };

    (void)state;
    start(BENCH_HOUR_MS);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(add(rows[i].json, 0), rows[i].is_new);
    stop();
}

static void
remembered_for_hold_and_ten_minutes_at_least(void **state)
{
    static const struct {
        int64_t hold_ms, remembered_ms;
    } rows[] = {
        {0, REDELIVERY_MS},
        {BENCH_MINUTE_MS, REDELIVERY_MS},
        {10 * BENCH_MINUTE_MS, 10 * BENCH_MINUTE_MS},
        {10 * BENCH_MINUTE_MS + 1, 10 * BENCH_MINUTE_MS + 1},
        {24 * BENCH_HOUR_MS, 24 * BENCH_HOUR_MS},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(rows[i].hold_ms);
        assert_int_equal(add(READING, BENCH_START_MS), 1);
        assert_int_equal(add(READING, BENCH_START_MS + rows[i].remembered_ms - 1), 0);
        assert_int_equal(add(READING, BENCH_START_MS + rows[i].remembered_ms), 1);
        stop(); /* without a commit: nothing is left for the next row */
    }
}

/* A duplicate does not make the first arrival younger. */
static void
a_duplicate_does_not_prolong(void **state)
{
    (void)state;
    start(BENCH_HOUR_MS);
    assert_int_equal(add(READING, BENCH_START_MS), 1);
    assert_int_equal(add(READING, BENCH_START_MS + BENCH_HOUR_MS - 1), 0);
    assert_int_equal(add(READING, BENCH_START_MS + BENCH_HOUR_MS), 1);
    stop();
}

static void
known_after_a_restart_and_forgotten_by_an_abort(void **state)
{
    (void)state;
    start(BENCH_HOUR_MS);
    assert_int_equal(add(READING, BENCH_START_MS), 1);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(seen_load(&seen), 0);
    assert_int_equal(add(READING, BENCH_START_MS), 1);
    assert_int_equal(store_commit(store), 0);
    stop();
    start(BENCH_HOUR_MS);
    assert_int_equal(add(READING, BENCH_START_MS), 0);
    stop();
}

/* One that is taken back may be sent again, and those before it are known still. */
static void
the_last_one_can_be_taken_back(void **state)
{
    struct record record;
    uint64_t fingerprint;

    (void)state;
    start(BENCH_HOUR_MS);
    assert_int_equal(add(READING, BENCH_START_MS), 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(record_decode(decoder, span_of("{\"user\":\"a\",\"timestamp\":8,\"x\":1,\"y\":0,\"z\":0}"),
                                       RECORD_FROM_LANDING, BENCH_START_MS, &record).reason, REASON_NONE);
        assert_int_equal(seen_add(&seen, &record, BENCH_START_MS, &fingerprint), 1);
        seen_take_back(&seen);
    }
    assert_int_equal(add(READING, BENCH_START_MS), 0);
    stop();
}

/* All that have none would be one record, and all but the first be lost. */
static void
add_one_without_an_identity(void)
{
    const struct record record = {.kind = RECORD_CUSTOMER, .withdrawn_ms = 7};
    uint64_t fingerprint;

    seen_add(&seen, &record, BENCH_START_MS, &fingerprint);
}

static void
who_asks_for_what_has_no_identity_panics(void **state)
{
    (void)state;
    start(BENCH_HOUR_MS);
    assert_panics(add_one_without_an_identity);
    stop();
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(equal_in_every_field_is_a_duplicate),
        EACH(remembered_for_hold_and_ten_minutes_at_least),
        EACH(a_duplicate_does_not_prolong),
        EACH(known_after_a_restart_and_forgotten_by_an_abort),
        EACH(the_last_one_can_be_taken_back),
        EACH(who_asks_for_what_has_no_identity_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
