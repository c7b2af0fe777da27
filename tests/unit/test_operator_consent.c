/*
 * consent: one open row opens the gate, the earliest consent counts, and a withdrawn row names nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "operator/consent.h"
#include "operator_bench.h"
#include "panics.h"

static char dir[64];
static struct store *store;
static struct consent consent;

static int
set_up(void **state)
{
    (void)state;
    bench_make_dir(dir);
    store = store_open(dir, BENCH_MAP_BYTES);
    return store == NULL || consent_open(&consent, store, "rows", "persons") != 0 || store_begin(store) != 0;
}

static int
tear_down(void **state)
{
    (void)state;
    store_close(store);
    bench_remove_dir(dir);
    return 0;
}

static struct hash_id
person(unsigned number)
{
    struct hash_id id = {{0}};

    id.bytes[15] = (unsigned char)number; /* all in one slot of the cache */
    return id;
}

/* A record of this date; number 0: a marker, which names nobody. Returns 1 or 0. */
static int
apply_dated(const char *row, unsigned number, int64_t as_of_ms, int64_t date_ms)
{
    struct hash_id owner = person(number);
    struct hash_id changed;
    const struct record record = {
        .time_ms = number != 0 ? date_ms : 0, .research_as_of_ms = as_of_ms, .withdrawn_ms = number != 0 ? 0 : date_ms};
    int rc = consent_apply(&consent, span_of(row), number == 0 ? NULL : &owner, &record, &changed);

    if (rc == 1 && number != 0)
        assert_memory_equal(&changed, &owner, sizeof owner);
    return rc;
}

static int
apply(const char *row, unsigned number, int64_t as_of_ms)
{
    return apply_dated(row, number, as_of_ms, 1);
}

static void
assert_answer(unsigned number, enum consent_state expected, int64_t from_ms)
{
    struct hash_id id = person(number);

    for (unsigned i = 0; i < 2; i++) { /* the second comes from the cache */
        struct consent_answer answer;
        assert_int_equal(consent_ask(&consent, &id, &answer), 0);
        assert_int_equal(answer.state, expected);
        if (expected == CONSENT_OPEN)
            assert_int_equal(answer.from_ms, from_ms);
    }
}

static void
rows_open_and_close_the_gate(void **state)
{
    (void)state;
    assert_answer(1, CONSENT_UNKNOWN, 0);
    assert_int_equal(apply("r1", 1, 100), 1);
    assert_answer(1, CONSENT_OPEN, 100);
    assert_answer(2, CONSENT_UNKNOWN, 0);
    assert_int_equal(apply("r1", 0, 0), 1);
    assert_answer(1, CONSENT_CLOSED, 0);
    assert_int_equal(apply("r1", 1, 300), 1);
    assert_answer(1, CONSENT_OPEN, 300);
}

static void
one_open_row_of_several_is_enough_and_the_earliest_counts(void **state)
{
    (void)state;
    apply("r1", 1, 200);
    apply("r2", 1, 100);
    apply("r3", 1, 300);
    assert_answer(1, CONSENT_OPEN, 100);
    apply("r2", 0, 0);
    assert_answer(1, CONSENT_OPEN, 200);
    apply("r1", 0, 0);
    assert_answer(1, CONSENT_OPEN, 300);
    apply("r3", 0, 0);
    assert_answer(1, CONSENT_CLOSED, 0);
    apply("r2", 1, INT64_MAX);
    assert_answer(1, CONSENT_OPEN, INT64_MAX);
}

static void
a_marker_of_an_unknown_row_changes_nobody(void **state)
{
    (void)state;
    assert_int_equal(apply("r1", 0, 0), 0);
    assert_answer(1, CONSENT_UNKNOWN, 0);
    assert_int_equal(apply("r1", 1, 5), 1);
    assert_answer(1, CONSENT_OPEN, 5);
}

/* What the producer forgot, whose state went back in time, is not forgotten here: a record of before the withdrawal does not
 * open the row, whatever came in between. One of the same date does: the row waited for its date under a marker. */
static void
a_consent_of_before_the_withdrawal_opens_nothing(void **state)
{
    (void)state;
    assert_int_equal(apply_dated("r1", 1, 5, 100), 1);
    assert_int_equal(apply_dated("r1", 0, 0, 200), 1);
    assert_int_equal(apply_dated("r1", 1, 5, 100), 0);
    assert_int_equal(apply_dated("r1", 1, 5, 199), 0);
    assert_answer(1, CONSENT_CLOSED, 0);
    assert_int_equal(apply_dated("r1", 0, 0, 150), 1); /* the marker of a state that knows less */
    assert_int_equal(apply_dated("r1", 1, 5, 199), 0);
    assert_answer(1, CONSENT_CLOSED, 0);
    assert_int_equal(apply_dated("r1", 1, 6, 200), 1);
    assert_answer(1, CONSENT_OPEN, 6);
    assert_int_equal(apply_dated("r1", 0, 0, 300), 1);
    assert_int_equal(apply_dated("r1", 1, 7, 301), 1);
    assert_answer(1, CONSENT_OPEN, 7);
    /* Another row of the person is another matter; and of a store of before the date is not known. */
    assert_int_equal(apply_dated("r2", 1, 3, 1), 1);
    assert_answer(1, CONSENT_OPEN, 3);
    char key[HASH_ID_BYTES + 2] = {0}, zero[8] = {0};
    memcpy(key, person(2).bytes, HASH_ID_BYTES);
    memcpy(key + HASH_ID_BYTES, "r3", 2);
    assert_int_equal(store_put(store, consent.persons, span_at(key, sizeof key), span_at(zero, sizeof zero)), 0);
    assert_answer(2, CONSENT_CLOSED, 0);
    assert_int_equal(apply_dated("r3", 2, 4, 1), 1);
    assert_answer(2, CONSENT_OPEN, 4);
    /* A forged store's is survived. */
    bytes_put_u64(zero, (uint64_t)INT64_MIN);
    assert_int_equal(store_put(store, consent.persons, span_at(key, sizeof key), span_at(zero, sizeof zero)), 0);
    assert_int_equal(apply_dated("r3", 2, 4, 1), 0);
}

/* Row names whose one begins with the other, and persons whose keys are neighbours. */
static void
neighbours_are_not_mixed_up(void **state)
{
    (void)state;
    apply("r", 1, 10);
    apply("rr", 2, 20);
    apply("rrr", 3, 30);
    assert_answer(0, CONSENT_UNKNOWN, 0);
    assert_answer(1, CONSENT_OPEN, 10);
    assert_answer(2, CONSENT_OPEN, 20);
    assert_answer(3, CONSENT_OPEN, 30);
    assert_answer(4, CONSENT_UNKNOWN, 0);
    apply("rr", 0, 0);
    assert_answer(1, CONSENT_OPEN, 10);
    assert_answer(2, CONSENT_CLOSED, 0);
    assert_answer(3, CONSENT_OPEN, 30);
}

static void
the_longest_row_name(void **state)
{
    char name[NAME_BYTES_MAX + 1];

    (void)state;
    memset(name, 'n', NAME_BYTES_MAX);
    name[NAME_BYTES_MAX] = '\0';
    apply(name, 1, 10);
    assert_answer(1, CONSENT_OPEN, 10);
    apply(name, 0, 0);
    assert_answer(1, CONSENT_CLOSED, 0);
}

static void
the_cache_forgets_with_an_abort(void **state)
{
    (void)state;
    apply("r1", 1, 100);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    apply("r1", 0, 0);
    apply("r2", 2, 100);
    assert_answer(1, CONSENT_CLOSED, 0);
    assert_answer(2, CONSENT_OPEN, 100);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    consent_load(&consent);
    assert_answer(1, CONSENT_OPEN, 100);
    assert_answer(2, CONSENT_UNKNOWN, 0);
}

/* It would be taken for one of whoever has the row. */
static void
consent_of_nobody(void)
{
    const struct record record = {.time_ms = 7, .research_as_of_ms = 7};
    struct hash_id changed;

    consent_apply(&consent, span_of("row"), NULL, &record, &changed);
}

static void
who_consents_for_nobody_panics(void **state)
{
    (void)state;
    assert_int_equal(apply("row", 1, 7), 1);
    assert_panics(consent_of_nobody);
}

int
main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(rows_open_and_close_the_gate),
        EACH(one_open_row_of_several_is_enough_and_the_earliest_counts),
        EACH(a_marker_of_an_unknown_row_changes_nobody),
        EACH(a_consent_of_before_the_withdrawal_opens_nothing),
        EACH(neighbours_are_not_mixed_up),
        EACH(the_longest_row_name),
        EACH(the_cache_forgets_with_an_abort),
        EACH(who_consents_for_nobody_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
