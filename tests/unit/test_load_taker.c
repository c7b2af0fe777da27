/* taker: only what a living process says of itself now counts, and it counts from when it began to say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "load/taker.h"

static void
says(struct taker *taker, const char *state, const char *why, int64_t now_ms)
{
    char text[128];
    struct answer answer;

    snprintf(text, sizeof text, "{\"process\":\"lake\",\"state\":\"%s\",\"why\":\"%s\"}", state, why);
    assert_int_equal(answer_decode(span_of(text), &answer), 0);
    taker_metrics(taker, &answer, now_ms);
}

static void
one_of_which_nothing_is_known_is_not_stopped(void **state)
{
    struct taker taker = {0};

    (void)state;
    assert_int_equal(taker_stopped_for_ms(&taker, 99), -1);
    taker_status(&taker, span_of("online"), false);
    assert_int_equal(taker_stopped_for_ms(&taker, 99), -1);
}

static void
stopped_counts_from_when_it_was_first_said(void **state)
{
    struct taker taker = {0};

    (void)state;
    taker_status(&taker, span_of("online"), false);
    says(&taker, "stopped", "disk full", 100);
    says(&taker, "stopped", "inbox full", 200); /* its numbers change, its reason may */
    assert_int_equal(taker_stopped_for_ms(&taker, 250), 150);
    assert_string_equal(taker.why, "inbox full");
    says(&taker, "stopped", "", 260);
    assert_string_equal(taker.why, "it does not say why");
}

/* A process that runs may say what hinders it. */
static void
running_ends_it(void **state)
{
    struct taker taker = {0};

    (void)state;
    says(&taker, "stopped", "disk full", 100);
    says(&taker, "running", "lake has applied nothing yet", 200);
    assert_int_equal(taker_stopped_for_ms(&taker, 250), -1);
    says(&taker, "stopped", "disk full", 300);
    assert_int_equal(taker_stopped_for_ms(&taker, 350), 50);
}

/* In whichever order the two come from what the broker keeps. */
static void
what_a_dead_process_has_said_does_not_count(void **state)
{
    struct taker taker = {0};

    (void)state;
    taker_status(&taker, span_of("offline"), false);
    says(&taker, "stopped", "disk full", 100);
    assert_int_equal(taker_stopped_for_ms(&taker, 250), -1);
    taker = (struct taker){0};
    says(&taker, "stopped", "disk full", 100);
    taker_status(&taker, span_of("offline"), false);
    assert_int_equal(taker_stopped_for_ms(&taker, 250), -1);
}

static void
one_that_has_come_back_must_say_so_anew(void **state)
{
    struct taker taker = {0};

    (void)state;
    says(&taker, "stopped", "disk full", 100);
    taker_status(&taker, span_of("offline"), true);
    taker_status(&taker, span_of("online"), true);
    assert_int_equal(taker_stopped_for_ms(&taker, 250), -1);
    says(&taker, "stopped", "disk full", 300);
    assert_int_equal(taker_stopped_for_ms(&taker, 350), 50);
    taker_status(&taker, span_of("online"), true); /* killed and started before its will was sent */
    assert_int_equal(taker_stopped_for_ms(&taker, 400), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_which_nothing_is_known_is_not_stopped),
        cmocka_unit_test(stopped_counts_from_when_it_was_first_said),
        cmocka_unit_test(running_ends_it),
        cmocka_unit_test(what_a_dead_process_has_said_does_not_count),
        cmocka_unit_test(one_that_has_come_back_must_say_so_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
