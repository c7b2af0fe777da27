/*
 * timekeeper: nothing grows older because somebody sets the clock, and a clock that is evidently wrong is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/timekeeper.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define YEAR_MS (365 * DAY_MS)
#define BUILT_MS INT64_C(1700000000000)
#define START_MS (BUILT_MS + 30 * DAY_MS)

/* The host: its two clocks, and the process on it. */
static int64_t wall_ms, steady_ms;
static struct timekeeper timekeeper;

static int
set_up(void **state)
{
    (void)state;
    wall_ms = START_MS;
    steady_ms = 5000;
    timekeeper = (struct timekeeper){.built_ms = BUILT_MS, .behind_ms = DAY_MS};
    return 0;
}

static void
look(void)
{
    timekeeper_look(&timekeeper, wall_ms, steady_ms);
}

static void
pass(int64_t ms)
{
    wall_ms += ms;
    steady_ms += ms;
    look();
}

/* A commit, if there may be one now. */
static void
commit(void)
{
    assert_true(timekeeper_knows(&timekeeper));
    timekeeper_committed(&timekeeper);
}

/* The process ends, down_ms pass on the wall clock, and it starts again: the steady clock's zero may be another. */
static void
restart(int64_t down_ms)
{
    wall_ms += down_ms;
    steady_ms = 77;
    timekeeper = (struct timekeeper){
        .built_ms = BUILT_MS, .behind_ms = DAY_MS, .trusting = timekeeper.trusting, .committed = timekeeper.committed};
    look();
}

static void
time_passes_as_on_the_wall(void **state)
{
    (void)state;
    look();
    assert_true(timekeeper.now_ms == START_MS);
    pass(DAY_MS);
    assert_true(timekeeper.now_ms == START_MS + DAY_MS);
    assert_true(timekeeper.now_ms == timekeeper_latest_ms(&timekeeper));
    commit();
    restart(DAY_MS);
    assert_true(timekeeper.now_ms == START_MS + 2 * DAY_MS);
    assert_false(timekeeper.set);
}

static void
bug_243_a_clock_before_the_build_stops_intake_until_it_is_right(void **state)
{
    (void)state;
    wall_ms = MINUTE_MS;
    look();
    assert_false(timekeeper_knows(&timekeeper));
    assert_int_equal(timekeeper.fault, TIMEKEEPER_BEFORE_BUILD);
    assert_string_equal(timekeeper.why, "the clock says 1970-01-01T00:01:00Z, and this program was made on 2023-11-14: "
                                        "set it, then intake goes on");
    pass(DAY_MS);
    assert_false(timekeeper_knows(&timekeeper));
    wall_ms = START_MS;
    look();
    assert_true(timekeeper_knows(&timekeeper));
    assert_string_equal(timekeeper.why, "");
    assert_true(timekeeper.now_ms == START_MS);
}

static void
bug_243_a_clock_before_the_newest_commit_stops_intake_until_it_is_right(void **state)
{
    (void)state;
    look();
    commit();
    pass(MINUTE_MS);
    wall_ms = START_MS - DAY_MS; /* by as much as is allowed */
    look();
    assert_true(timekeeper_knows(&timekeeper));
    wall_ms--;
    look();
    assert_int_equal(timekeeper.fault, TIMEKEEPER_BEFORE_COMMIT);
    assert_non_null(strstr(timekeeper.why, "the newest commit is of 2023-12-14T22:13:20Z: set it"));
    assert_non_null(strstr(timekeeper.why, "clock_check"));
    restart(0); /* it knows by its store alone */
    assert_int_equal(timekeeper.fault, TIMEKEEPER_BEFORE_COMMIT);
    wall_ms = START_MS + 2 * MINUTE_MS;
    look();
    assert_true(timekeeper_knows(&timekeeper));
    assert_true(timekeeper.now_ms == START_MS + 2 * MINUTE_MS);
}

/* Ahead, with commits, and back: nothing has grown older, nor is the right clock taken for a wrong one, whether the process
 * lives all that time, or starts anew in the midst of it or after it. */
static void
bug_244_a_leap_that_is_taken_back_is_no_time_that_passed(void **state)
{
    (void)state;
    for (unsigned restarts = 0; restarts < 4; restarts++) {
        set_up(NULL);
        look();
        commit();
        pass(MINUTE_MS);
        wall_ms += YEAR_MS;
        look();
        assert_true(timekeeper.set);
        assert_true(timekeeper.now_ms == START_MS + MINUTE_MS);
        commit();
        assert_false(timekeeper.set);
        pass(MINUTE_MS);
        assert_true(timekeeper.now_ms == START_MS + 2 * MINUTE_MS);
        if ((restarts & 1) != 0) {
            restart(0); /* a minute behind the newest commit */
            assert_true(timekeeper.now_ms == START_MS + 2 * MINUTE_MS);
            commit();
        }
        wall_ms -= YEAR_MS;
        if ((restarts & 2) != 0)
            restart(0);
        else
            look();
        assert_true(timekeeper_knows(&timekeeper));
        assert_in_range(timekeeper.now_ms, START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS);
    }
}

/* What a clock of a year ahead made of the store is not held against the right one for ever: one setting, once. */
static void
bug_244_an_operator_can_say_that_the_clock_is_right(void **state)
{
    (void)state;
    wall_ms += YEAR_MS;
    look();
    commit();
    wall_ms -= YEAR_MS;
    restart(0);
    assert_int_equal(timekeeper.fault, TIMEKEEPER_BEFORE_COMMIT);
    timekeeper.trusting = true;
    restart(0);
    assert_true(timekeeper_knows(&timekeeper));
    commit();
    timekeeper.trusting = false;
    restart(MINUTE_MS);
    assert_true(timekeeper_knows(&timekeeper));
    assert_true(timekeeper.now_ms == START_MS + YEAR_MS + MINUTE_MS); /* what is stamped so grows older by a minute */
}

/* A clock that was behind and is put right makes nothing older, and one that is set back makes no record too new. */
static void
bug_244_a_step_for_good_makes_nothing_older_either(void **state)
{
    (void)state;
    look();
    wall_ms += 3 * DAY_MS;
    look();
    assert_true(timekeeper.now_ms == START_MS);
    assert_true(timekeeper_latest_ms(&timekeeper) == START_MS + 3 * DAY_MS);
    commit();
    restart(MINUTE_MS);
    assert_true(timekeeper.now_ms == START_MS + MINUTE_MS);
    assert_true(timekeeper_latest_ms(&timekeeper) == START_MS + 3 * DAY_MS + MINUTE_MS);
    wall_ms -= 3 * DAY_MS + DAY_MS / 2;
    look();
    assert_true(timekeeper_knows(&timekeeper));
    assert_true(timekeeper_latest_ms(&timekeeper) == START_MS + MINUTE_MS);
}

static void
small_corrections_are_no_steps(void **state)
{
    (void)state;
    look();
    for (unsigned i = 0; i < 100; i++) {
        wall_ms += i % 2 == 0 ? TIMEKEEPER_STEP_MS : -TIMEKEEPER_STEP_MS;
        look();
    }
    assert_false(timekeeper.set);
    wall_ms += TIMEKEEPER_STEP_MS + 1;
    look();
    assert_true(timekeeper.set);
}

/* The log's lines, as text. */
static void
steps_are_said_with_from_and_to(void **state)
{
    int ends[2];
    char text[1024];
    const int stderr_before = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    look();
    dup2(ends[1], STDERR_FILENO);
    wall_ms += YEAR_MS;
    look();
    wall_ms -= YEAR_MS;
    look();
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(ends[1]);
    const ssize_t len = read(ends[0], text, sizeof text - 1);
    assert_true(len > 0);
    text[len] = '\0';
    close(ends[0]);
    assert_non_null(strstr(text, "the clock was set from 2023-12-14T22:13:20Z to 2024-12-13T22:13:20Z"));
    assert_non_null(strstr(text, "the clock was set from 2024-12-13T22:13:20Z to 2023-12-14T22:13:20Z"));
}

#define EACH(test) cmocka_unit_test_setup(test, set_up)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(time_passes_as_on_the_wall),
        EACH(bug_243_a_clock_before_the_build_stops_intake_until_it_is_right),
        EACH(bug_243_a_clock_before_the_newest_commit_stops_intake_until_it_is_right),
        EACH(bug_244_a_leap_that_is_taken_back_is_no_time_that_passed),
        EACH(bug_244_an_operator_can_say_that_the_clock_is_right),
        EACH(bug_244_a_step_for_good_makes_nothing_older_either),
        EACH(small_corrections_are_no_steps),
        EACH(steps_are_said_with_from_and_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
