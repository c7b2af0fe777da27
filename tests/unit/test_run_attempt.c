/* attempt: deaths are counted at one place, and forgotten when it moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run/attempt.h"
#include "scratch_dir.h"

static char dir[SCRATCH_DIR_SIZE];
static struct attempt attempt;
static struct attempt_front fronts[ATTEMPT_PLACES];

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    memset(fronts, 0, sizeof fronts);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(dir);
    return 0;
}

/* Start, and die with the inbox at work. Whether it was careful. */
static bool
die(void)
{
    attempt_open(&attempt, dir, fronts);
    const bool careful = attempt_is_careful(&attempt);
    if (careful)
        attempt_begin_one(&attempt, ATTEMPT_INBOX, fronts[ATTEMPT_INBOX]);
    else
        attempt_begin(&attempt, 1u << ATTEMPT_INBOX, fronts);
    attempt_close(&attempt);
    return careful;
}

static unsigned
deaths(void)
{
    attempt_open(&attempt, dir, fronts);
    const unsigned count = attempt_begin_one(&attempt, ATTEMPT_INBOX, fronts[ATTEMPT_INBOX]);
    attempt_close(&attempt);
    return count;
}

static void
deaths_at_one_place_are_counted(void **state)
{
    (void)state;
    fronts[ATTEMPT_INBOX] = (struct attempt_front){700, 3};
    for (unsigned i = 0; i < ATTEMPT_SUSPECTED; i++)
        assert_false(die());
    for (unsigned i = 0; i < ATTEMPT_DEATHS; i++)
        assert_true(die());
    assert_int_equal(deaths(), ATTEMPT_DEATHS);
}

static void
a_place_that_moves_forgets_its_deaths(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        fronts[ATTEMPT_INBOX].position++;
        assert_false(die());
    }
    for (unsigned i = 0; i < ATTEMPT_SUSPECTED + 1; i++)
        die();
    for (unsigned i = 0; i < 20; i++) { /* careful by now */
        fronts[ATTEMPT_INBOX].at++;
        assert_true(die());
        assert_true(die());
    }
    fronts[ATTEMPT_INBOX].at++;
    assert_int_equal(deaths(), 0);
}

static void
a_transaction_that_failed_is_no_death(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        attempt_open(&attempt, dir, fronts);
        attempt_begin(&attempt, 1u << ATTEMPT_INBOX, fronts);
        attempt_forget(&attempt);
        attempt_close(&attempt);
    }
    attempt_open(&attempt, dir, fronts);
    assert_false(attempt_is_careful(&attempt));
    attempt_close(&attempt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deaths_at_one_place_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_that_moves_forgets_its_deaths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_failed_is_no_death, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
