/* attempt: deaths are counted at one place, and forgotten when it moves; those of opening are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "state/attempt.h"
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

static void
open_all(void)
{
    attempt_open(&attempt, dir);
    attempt_opens(&attempt, ATTEMPT_OPENS_STORE);
    attempt_opens(&attempt, ATTEMPT_OPENS_LANDING);
    attempt_opened(&attempt, fronts);
}

/* Start, and die with the inbox at work. Whether it was careful. */
static bool
die(void)
{
    open_all();
    const bool careful = attempt_is_careful(&attempt);
    if (careful)
        attempt_begin_one(&attempt, ATTEMPT_LANDING, fronts[ATTEMPT_LANDING]);
    else
        attempt_begin(&attempt, 1u << ATTEMPT_LANDING, fronts);
    attempt_close(&attempt);
    return careful;
}

static unsigned
deaths(void)
{
    open_all();
    const unsigned count = attempt_begin_one(&attempt, ATTEMPT_LANDING, fronts[ATTEMPT_LANDING]);
    attempt_close(&attempt);
    return count;
}

static void
deaths_at_one_place_are_counted(void **state)
{
    (void)state;
    fronts[ATTEMPT_LANDING] = (struct attempt_front){700, 3};
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
        fronts[ATTEMPT_LANDING].position++;
        assert_false(die());
    }
    for (unsigned i = 0; i < ATTEMPT_SUSPECTED + 1; i++)
        die();
    for (unsigned i = 0; i < 20; i++) { /* careful by now */
        fronts[ATTEMPT_LANDING].at++;
        assert_true(die());
        assert_true(die());
    }
    fronts[ATTEMPT_LANDING].at++;
    assert_int_equal(deaths(), 0);
}

static void
a_transaction_that_failed_is_no_death(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        open_all();
        attempt_begin(&attempt, 1u << ATTEMPT_LANDING, fronts);
        attempt_forget(&attempt);
        attempt_close(&attempt);
    }
    open_all();
    assert_false(attempt_is_careful(&attempt));
    attempt_close(&attempt);
}

/* Start, and die of what is stored at this place. How often it had died of it. */
static unsigned
die_of(uint64_t place)
{
    open_all();
    const unsigned count = attempt_begin_one(&attempt, ATTEMPT_STORED, (struct attempt_front){place, 0});
    attempt_close(&attempt);
    return count;
}

static void
deaths_of_what_is_stored_are_counted_until_it_is_committed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(die_of(5), i);
    assert_int_equal(die_of(6), 0);
    assert_int_equal(die_of(6), 1);
    for (unsigned i = 0; i < 3; i++) { /* it comes again, as what is asked about and stays does */
        open_all();
        attempt_begin_one(&attempt, ATTEMPT_STORED, (struct attempt_front){6, 0});
        attempt_end_one(&attempt);
        attempt_close(&attempt);
    }
    assert_int_equal(die_of(6), 0);
}

static char said[512];

static void
note_said(const char *text)
{
    snprintf(said, sizeof said, "%s", text);
}

/* Start, and end at this place. What was said. */
static const char *
start_up_to(unsigned place, bool die)
{
    said[0] = '\0';
    log_follow(note_said);
    attempt_open(&attempt, dir);
    log_follow(NULL);
    attempt_opens(&attempt, ATTEMPT_OPENS_STORE);
    if (place == ATTEMPT_OPENS_LANDING)
        attempt_opens(&attempt, ATTEMPT_OPENS_LANDING);
    if (die)
        close(attempt.fd);
    else
        attempt_close(&attempt);
    return said;
}

static void
deaths_of_opening_are_told_with_what_was_opened(void **state)
{
    static const struct {
        unsigned place;
        const char *folder;
    } opened[] = {{ATTEMPT_OPENS_STORE, "store"}, {ATTEMPT_OPENS_LANDING, "inbox"}};
    char line[SCRATCH_DIR_SIZE + 64];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal(start_up_to(opened[i].place, true), "");
        assert_string_equal(start_up_to(opened[i].place, true), "");
        start_up_to(opened[i].place, true);
        snprintf(line, sizeof line, "died 2 times in a row while it opened %s/%s:", dir, opened[i].folder);
        assert_non_null(strstr(said, line));
        start_up_to(opened[i].place, false);
        snprintf(line, sizeof line, "died 3 times in a row while it opened %s/%s:", dir, opened[i].folder);
        assert_non_null(strstr(said, line));
        assert_string_equal(start_up_to(opened[i].place, true), ""); /* it ended in good order */
        open_all();
        attempt_close(&attempt);
        assert_string_equal(start_up_to(opened[i].place, false), "");
    }
}

/* What was at work is compared when all is open, however often opening fails in between. */
static void
deaths_at_work_outlast_those_of_opening(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ATTEMPT_SUSPECTED; i++) {
        assert_false(die());
        start_up_to(ATTEMPT_OPENS_LANDING, true);
        start_up_to(ATTEMPT_OPENS_LANDING, false);
    }
    assert_true(die());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deaths_at_one_place_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_that_moves_forgets_its_deaths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deaths_of_what_is_stored_are_counted_until_it_is_committed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deaths_of_opening_are_told_with_what_was_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deaths_at_work_outlast_those_of_opening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_failed_is_no_death, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
