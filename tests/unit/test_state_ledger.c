/* ledger: everything is accounted for, or nothing is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "state/ledger.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)
#define INPUTS 3

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static struct ledger ledger;

static void
open_ledger(void)
{
    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(ledger_open(&ledger, store, "meta", INPUTS), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(ledger_load(&ledger), 0);
}

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    open_ledger();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    store_close(store);
    scratch_dir_remove(dir);
    return 0;
}

/* Commit, and read it all from the disk again. */
static void
reopen(void)
{
    assert_int_equal(ledger_flush(&ledger), 0);
    assert_int_equal(store_commit(store), 0);
    store_close(store);
    open_ledger();
}

static uint64_t
count_of(unsigned input, enum verdict verdict)
{
    return ledger.inputs[input].verdicts[verdict];
}

static void
a_new_ledger_balances_at_nothing(void **state)
{
    (void)state;
    assert_true(ledger_balanced(&ledger));
    assert_false(ledger.changed);
    reopen();
    for (unsigned i = 0; i < INPUTS; i++)
        assert_int_equal(ledger.inputs[i].taken, 0);
}

static void
every_number_comes_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < INPUTS; i++) {
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            for (unsigned n = 0; n <= 10 * i + v; n++)
                ledger_count(&ledger, i, (enum verdict)v);
        }
    }
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        for (unsigned n = 0; n <= r; n++)
            ledger_reason(&ledger, (enum reason)r);
    }
    reopen();
    for (unsigned i = 0; i < INPUTS; i++) {
        uint64_t taken = 0;
        for (unsigned v = 0; v < VERDICT_COUNT; v++) {
            assert_int_equal(count_of(i, (enum verdict)v), 10 * i + v + 1);
            taken += 10 * i + v + 1;
        }
        assert_int_equal(ledger.inputs[i].taken, taken);
    }
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++)
        assert_int_equal(ledger.reasons[r], r + 1);
    assert_true(ledger_balanced(&ledger));
}

static void
a_move_changes_no_sum(void **state)
{
    (void)state;
    ledger_count(&ledger, 1, VERDICT_WAITING);
    ledger_count(&ledger, 1, VERDICT_WAITING);
    reopen();
    ledger_move(&ledger, 1, VERDICT_WAITING, VERDICT_PASSED);
    ledger_move(&ledger, 1, VERDICT_WAITING, VERDICT_REFUSED);
    reopen();
    assert_int_equal(ledger.inputs[1].taken, 2);
    assert_int_equal(count_of(1, VERDICT_WAITING), 0);
    assert_int_equal(count_of(1, VERDICT_PASSED), 1);
    assert_int_equal(count_of(1, VERDICT_REFUSED), 1);
    assert_int_equal(ledger.inputs[0].taken, 0);
}

static void
an_aborted_transaction_is_forgotten(void **state)
{
    (void)state;
    ledger_count(&ledger, 0, VERDICT_PASSED);
    reopen();
    ledger_count(&ledger, 0, VERDICT_STALE);
    ledger_reason(&ledger, REASON_EXPIRED);
    assert_int_equal(ledger_flush(&ledger), 0);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(ledger.inputs[0].taken, 1);
    assert_int_equal(count_of(0, VERDICT_STALE), 0);
    assert_int_equal(ledger.reasons[REASON_EXPIRED], 0);
}

/* A store of a program with fewer reasons: what follows them is 0. */
static void
reasons_that_did_not_exist_yet_are_zero(void **state)
{
    struct span value;
    char shorter[4096];

    (void)state;
    ledger_count(&ledger, 2, VERDICT_INVALID);
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++)
        ledger_reason(&ledger, (enum reason)r);
    assert_int_equal(ledger_flush(&ledger), 0);
    assert_int_equal(store_get(store, ledger.table, span_of("ledger"), &value), 1);
    memcpy(shorter, value.at, value.len);
    assert_int_equal(store_put(store, ledger.table, span_of("ledger"), span_at(shorter, value.len - 8)), 0);
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(ledger.inputs[2].taken, 1);
    assert_int_equal(ledger.reasons[REASON_COUNT - 2], 1);
    assert_int_equal(ledger.reasons[REASON_COUNT - 1], 0);
}

/* A store of before the process had its last input, as the lake's is when a sensor is added. */
static void
inputs_that_did_not_exist_yet_begin_at_nothing(void **state)
{
    (void)state;
    ledger_count(&ledger, 0, VERDICT_PASSED);
    ledger_count(&ledger, INPUTS - 1, VERDICT_INVALID);
    ledger_reason(&ledger, REASON_BAD_JSON);
    assert_int_equal(ledger_flush(&ledger), 0);
    assert_int_equal(ledger_open(&ledger, store, "meta", INPUTS + 1), 0);
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(ledger.inputs[0].taken, 1);
    assert_int_equal(count_of(INPUTS - 1, VERDICT_INVALID), 1);
    assert_int_equal(ledger.inputs[INPUTS].taken, 0);
    assert_int_equal(ledger.reasons[REASON_BAD_JSON], 1);
    ledger_count(&ledger, INPUTS, VERDICT_STALE);
    assert_int_equal(ledger_flush(&ledger), 0);
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(count_of(INPUTS, VERDICT_STALE), 1);
    assert_int_equal(ledger.reasons[REASON_BAD_JSON], 1);
}

/* What happens to a child that calls it: its wait status. */
static int
fate_of(void (*call)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        call();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
flush(void)
{
    ledger_flush(&ledger);
}

static void
load_with_fewer_inputs(void)
{
    struct ledger other;

    if (ledger_open(&other, store, "meta", INPUTS - 1) == 0 && ledger_load(&other) != 0 && store_is_damaged(store))
        _exit(1);
}

static void
what_does_not_balance_is_a_panic_not_a_commit(void **state)
{
    (void)state;
    ledger_count(&ledger, 0, VERDICT_PASSED);
    assert_int_equal(fate_of(flush), 0);
    ledger.inputs[0].taken++;
    int status = fate_of(flush);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* What waits is stored: more of it leaves than was counted where that is damaged. */
static void
bug_412_who_leaves_and_was_not_there_is_damage(void **state)
{
    (void)state;
    ledger_count(&ledger, 0, VERDICT_PASSED);
    ledger_move(&ledger, 0, VERDICT_WAITING, VERDICT_PASSED); /* of those, there are fewer than none now */
    assert_false(ledger_balanced(&ledger));
    assert_int_equal(ledger_flush(&ledger), -1);
    assert_true(store_is_damaged(store));
    assert_int_equal(store_commit(store), -1);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(ledger_load(&ledger), 0);
    assert_int_equal(ledger_flush(&ledger), 0);
}

static void
the_state_of_another_program_is_refused(void **state)
{
    (void)state;
    ledger_count(&ledger, 0, VERDICT_PASSED);
    assert_int_equal(ledger_flush(&ledger), 0);
    int status = fate_of(load_with_fewer_inputs);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void
every_verdict_has_its_word(void **state)
{
    static const char *const words[] = {"passed", "waiting", "refused", "duplicate", "stale", "invalid"};

    (void)state;
    assert_int_equal(VERDICT_COUNT, sizeof words / sizeof words[0]);
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        assert_string_equal(ledger_word((enum verdict)v), words[v]);
    assert_string_equal(ledger_word(VERDICT_ERROR), "error");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_ledger_balances_at_nothing),
        TEST(every_number_comes_back),
        TEST(a_move_changes_no_sum),
        TEST(an_aborted_transaction_is_forgotten),
        TEST(reasons_that_did_not_exist_yet_are_zero),
        TEST(inputs_that_did_not_exist_yet_begin_at_nothing),
        TEST(what_does_not_balance_is_a_panic_not_a_commit),
        TEST(bug_412_who_leaves_and_was_not_there_is_damage),
        TEST(the_state_of_another_program_is_refused),
        TEST(every_verdict_has_its_word),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
