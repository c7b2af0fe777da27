/* hold: while somebody asks, nothing is removed that a snapshot may need; and afterwards all goes on by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "memory_process.h"
#include "state/hold.h"

#define LANDING "gait/landing/accelerometer"
#define MARK "somebody@example.org"
#define READING "{\"user\":\"" MARK "\",\"timestamp\":1600000000000,\"x\":1.0,\"y\":-0.5,\"z\":0}"

static int
take(void)
{
    const int fd = hold_open(bench.dir);

    assert_true(fd >= 0);
    assert_int_equal(hold_take(fd), 0);
    return fd;
}

static void
pass_time(void)
{
    bench.steady_ms += 2000;
    bench_settle();
}

/* Whether the inbox's first file holds the reading. */
static bool
lies_in_the_inbox(void)
{
    struct buffer path = {0};
    struct buffer content = {0};

    buffer_printf(&path, "%s/state/accelerometer-trusted/inbox/%016x", bench.dir, 0);
    assert_int_equal(file_read(buffer_text(&path), &content), 0);
    const bool lies = memmem(content.data, content.len, MARK, strlen(MARK)) != NULL;
    buffer_free(&path);
    buffer_free(&content);
    return lies;
}

static void
an_outbox_is_trimmed_when_nobody_asks(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const int hold = take();
    bench_send(LANDING, "[1]", NULL, NULL);
    pass_time();
    pass_time();
    assert_non_null(bench_heard("gait/rejected/accelerometer-trusted", 0));
    assert_int_equal(inside_rejected(bench.process)->last.sequence, 1);
    assert_int_equal(inside_rejected(bench.process)->trimmed.sequence, 0);
    close(hold);
    pass_time();
    assert_int_equal(inside_rejected(bench.process)->trimmed.sequence, 1);
}

/* Not even if the disk is full: what else could be trimmed then is what a copy needs. */
static void
room_is_not_made_of_what_is_held(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const int hold = take();
    bench_send(LANDING, "[1]", NULL, NULL);
    bench_settle();
    assert_int_equal(inside_make_room(bench.process, inside_timekeeper(bench.process)->now_ms), 1);
    assert_int_equal(inside_rejected(bench.process)->trimmed.sequence, 0);
    close(hold);
    assert_int_equal(inside_make_room(bench.process, inside_timekeeper(bench.process)->now_ms), 1);
    assert_int_equal(inside_rejected(bench.process)->trimmed.sequence, 1);
}

static void
what_is_worked_stays_in_the_inbox_while_somebody_asks(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const int hold = take();
    bench_send(LANDING, READING, NULL, NULL);
    pass_time();
    assert_int_equal(inside_inbox_position(bench.process), inside_inbox_end(bench.process));
    assert_true(lies_in_the_inbox());
    close(hold);
    pass_time(); /* nothing arrives any more, and still it goes */
    assert_false(lies_in_the_inbox());
}

/* Whoever took a snapshot before this process died has a position before the one that it begins at. */
static void
a_process_that_begins_meanwhile_removes_nothing_either(void **state)
{
    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    const int hold = take();
    bench_send(LANDING, READING, NULL, NULL);
    bench_settle();
    bench_close_process();
    bench_open_process(&accelerometer_trusted, NULL);
    assert_true(lies_in_the_inbox());
    close(hold);
    pass_time();
    assert_false(lies_in_the_inbox());
}

static void
a_hold_ends_with_whoever_was_killed_in_it(void **state)
{
    int ready[2];
    char byte;

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (hold_take(hold_open(bench.dir)) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(hold_taken(inside_hold(bench.process)));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(hold_taken(inside_hold(bench.process)));
    close(ready[0]);
    close(ready[1]);
}

static void
where_there_is_no_pipeline_nothing_can_be_asked(void **state)
{
    (void)state;
    assert_int_equal(hold_open(bench.dir), -1);
    assert_int_equal(errno, ENOENT);
}

/* It would begin without state, and with a new key; and its folder would be in the way of the one that is to come. */
static void
nobody_begins_beside_a_restore(void **state)
{
    struct buffer partial = {0};
    struct buffer own = {0};

    (void)state;
    bench_open_process(&accelerometer_trusted, NULL);
    bench_close_process();
    buffer_printf(&own, "%s/state", bench.dir);
    assert_int_equal(file_remove_dir(buffer_text(&own)), 0);
    buffer_printf(&partial, "%s/" HOLD_RESTORE, bench.dir);
    assert_int_equal(mkdir(buffer_text(&partial), 0700), 0);
    assert_null(process_open(&bench.options));
    assert_int_equal(access(buffer_text(&own), F_OK), -1);
    assert_int_equal(rmdir(buffer_text(&partial)), 0);
    bench_open_process(&accelerometer_trusted, NULL);
    buffer_free(&partial);
    buffer_free(&own);
}

static void
a_restore_marks_a_state_until_that_is_forgotten(void **state)
{
    struct buffer mark = {0};

    (void)state;
    buffer_printf(&mark, "%s/" HOLD_RESTORED, bench.dir);
    assert_false(hold_is_restored(bench.dir));
    assert_int_equal(file_replace(buffer_text(&mark), ""), 0);
    assert_true(hold_is_restored(bench.dir));
    hold_forget_restored(bench.dir);
    assert_false(hold_is_restored(bench.dir));
    hold_forget_restored(bench.dir); /* nothing to say of one that is gone */
    buffer_free(&mark);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_outbox_is_trimmed_when_nobody_asks),
        TEST(room_is_not_made_of_what_is_held),
        TEST(what_is_worked_stays_in_the_inbox_while_somebody_asks),
        TEST(a_process_that_begins_meanwhile_removes_nothing_either),
        TEST(a_hold_ends_with_whoever_was_killed_in_it),
        TEST(where_there_is_no_pipeline_nothing_can_be_asked),
        TEST(nobody_begins_beside_a_restore),
        TEST(a_restore_marks_a_state_until_that_is_forgotten),
    };

    hash_init();
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
