/* backoff: when to try again what was in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"

#define MIN_MS 20
#define MAX_MS 100
#define NOW_MS 5000

static void
what_was_not_in_vain_is_due(void **state)
{
    const struct backoff backoff = {0};

    (void)state;
    assert_true(backoff_is_due(&backoff, 0));
    assert_true(backoff_is_due(&backoff, NOW_MS));
}

static void
waits_double_up_to_a_most(void **state)
{
    static const int64_t waits_ms[] = {20, 40, 80, 100, 100};
    struct backoff backoff = {0};
    int64_t now_ms = NOW_MS;

    (void)state;
    for (unsigned i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        backoff_put_off(&backoff, MIN_MS, MAX_MS, now_ms);
        assert_int_equal(backoff.wait_ms, waits_ms[i]);
        assert_false(backoff_is_due(&backoff, now_ms + waits_ms[i] - 1));
        now_ms += waits_ms[i];
        assert_true(backoff_is_due(&backoff, now_ms));
    }
}

static void
a_lower_most_holds_at_once(void **state)
{
    struct backoff backoff = {.wait_ms = 800};

    (void)state;
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    assert_int_equal(backoff.wait_ms, MAX_MS);
    backoff_put_off(&backoff, MIN_MS, MIN_MS, NOW_MS);
    assert_int_equal(backoff.wait_ms, MIN_MS);
}

static void
waits_begin_anew_after_a_success(void **state)
{
    struct backoff backoff = {0};

    (void)state;
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    backoff_reset(&backoff);
    assert_true(backoff_is_due(&backoff, NOW_MS));
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    assert_int_equal(backoff.wait_ms, MIN_MS);
}

static void
it_stands_until_its_owner_moves_it(void **state)
{
    struct backoff backoff = {0};

    (void)state;
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    backoff.at_ms = INT64_MAX;
    assert_false(backoff_is_due(&backoff, INT64_MAX - 1));
    backoff_put_off(&backoff, MIN_MS, MAX_MS, NOW_MS);
    assert_int_equal(backoff.at_ms, NOW_MS + 2 * MIN_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_in_vain_is_due),
        cmocka_unit_test(waits_double_up_to_a_most),
        cmocka_unit_test(a_lower_most_holds_at_once),
        cmocka_unit_test(waits_begin_anew_after_a_success),
        cmocka_unit_test(it_stands_until_its_owner_moves_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
