/* mailbox: whoever is woken does not wait, whenever that was; and nobody waits for longer than it was told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "links/mailbox.h"

/* Longer than any test may take: who waits so long has not been woken. */
#define FOREVER_MS 20000

static struct mailbox mailbox;

static int
set_up(void **state)
{
    (void)state;
    memset(&mailbox, 0, sizeof mailbox);
    mailbox_open(&mailbox);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mailbox_close(&mailbox);
    memset(&mailbox, 0, sizeof mailbox); /* what it has not freed nobody finds any more, and the leak detector says so */
    return 0;
}

/* How long a wait took. */
static int64_t
waited(int64_t timeout_ms)
{
    const int64_t begun_ms = clock_steady_ms();

    mailbox_wait(&mailbox, timeout_ms);
    return clock_steady_ms() - begun_ms;
}

static void
a_wake_before_the_wait_ends_it_and_no_other_one(void **state)
{
    (void)state;
    mailbox_wake(&mailbox);
    mailbox_wake(&mailbox);
    assert_true(waited(FOREVER_MS) < FOREVER_MS);
    assert_true(waited(30) >= 29); /* of both: what had come then has been looked at; the clocks are cut to ms */
}

/* Also where the ms are a second and more, or make one of what the clock has already. */
static void
a_wait_ends_by_itself(void **state)
{
    static const int64_t waits_ms[] = {0, 1, 25, 1990};

    (void)state;
    for (unsigned i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++)
        assert_in_range(waited(waits_ms[i]) + 1, waits_ms[i], FOREVER_MS);
    assert_true(waited(-999) < FOREVER_MS);
    /* One that did not wait has looked all the same. */
    mailbox_wake(&mailbox);
    assert_true(waited(0) < FOREVER_MS);
    assert_true(waited(30) >= 29);
}

static atomic_bool under_way;

static void *
wait_for_long(void *context)
{
    (void)context;
    atomic_store(&under_way, true);
    mailbox_wait(&mailbox, FOREVER_MS);
    return NULL;
}

/* Whether it has begun to wait by then or not. */
static void
another_thread_wakes_who_waits(void **state)
{
    const int64_t begun_ms = clock_steady_ms();

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        atomic_store(&under_way, false);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_long, NULL), 0);
        while (!atomic_load(&under_way))
            ;
        mailbox_wake(&mailbox);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(clock_steady_ms() - begun_ms < FOREVER_MS);
    }
}

static struct ask
ask(const char *topic)
{
    struct ask one = {.topic = strdup(topic)};

    buffer_add_text(&one.correlation, "id");
    return one;
}

/* What nobody has taken out goes with it: the leak detector of the sanitizers looks. */
static void
what_was_left_goes_with_the_box(void **state)
{
    struct ask taken[2] = {ask("a"), ask("b")};

    (void)state;
    mailbox_free_asks(taken, 2);
    for (unsigned i = 0; i < ASKS_MAX; i++)
        mailbox.asks[mailbox.ask_count++] = ask("c");
    buffer_add_text(&mailbox.recalled, "rows");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wake_before_the_wait_ends_it_and_no_other_one),
        TEST(a_wait_ends_by_itself),
        TEST(another_thread_wakes_who_waits),
        TEST(what_was_left_goes_with_the_box),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
