/* format: a store is of this version, of this process and of these persons, or it is left as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/name.h"
#include "record/record.h"
#include "scratch_dir.h"
#include "state/format.h"

#define MAP_BYTES (16u << 20)
#define VERSION 4 /* as in format.c: a new one needs a test of what becomes of this one */
#define OLDEST 2

static char dir[SCRATCH_DIR_SIZE];
static struct store *store;
static int meta;
static struct buffer said; /* by the log */

static void
follow(const char *text)
{
    buffer_add_text(&said, text);
}

static void
open_store(void)
{
    store = store_open(dir, MAP_BYTES);
    assert_non_null(store);
    meta = store_table(store, "meta");
}

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    open_store();
    log_open("test", LOG_NOTHING);
    log_follow(follow);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    log_follow(NULL);
    store_close(store);
    buffer_free(&said);
    scratch_dir_remove(dir);
    return 0;
}

static void
assert_said(const char *part)
{
    if (strstr(buffer_text(&said), part) == NULL)
        fail_msg("%s is not in: %s", part, buffer_text(&said));
    buffer_clear(&said);
}

/* Load it in a transaction of its own, which is committed if that is well. */
static int
load(const char *process, bool fold_email)
{
    assert_int_equal(store_begin(store), 0);
    const int rc = format_load(store, meta, process, fold_email, "the folder");
    if (rc == 0)
        assert_int_equal(store_commit(store), 0);
    store_abort(store);
    return rc;
}

static int
look(const char *process)
{
    assert_int_equal(store_snapshot(store), 0);
    const int rc = format_look(store, meta, process);
    store_snapshot_end(store);
    return rc;
}

static void
put(const char *key, const char *value, size_t len)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_put(store, meta, span_of(key), span_at(value, len)), 0);
    assert_int_equal(store_commit(store), 0);
}

static void
put_version(uint64_t version)
{
    char value[8];

    bytes_put_u64(value, version);
    put("format", value, sizeof value);
}

static void
take_away(const char *key)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(store_delete(store, meta, span_of(key)), 1);
    assert_int_equal(store_commit(store), 0);
}

/* What stands at key, to be compared at once; "" for nothing. */
static struct span
stored(const char *key)
{
    static char copy[64];
    struct span value;

    assert_int_equal(store_snapshot(store), 0);
    const int rc = store_get(store, meta, span_of(key), &value);
    assert_true(rc >= 0);
    const size_t len = rc == 1 && value.len < sizeof copy ? value.len : 0;
    if (len > 0)
        memcpy(copy, value.at, len);
    store_snapshot_end(store);
    return span_at(copy, len);
}

static uint64_t
stored_version(void)
{
    const struct span value = stored("format");

    assert_int_equal(value.len, 8);
    return bytes_get_u64(value.at);
}

static void
a_new_store_becomes_that_of_its_process(void **state)
{
    (void)state;
    assert_int_equal(load("gate", false), 0);
    assert_int_equal(stored_version(), VERSION);
    assert_true(span_is(stored("process"), "gate"));
    assert_int_equal(stored("email_case").len, 0);
    assert_int_equal(load("gate", false), 0);
    assert_int_equal(look("gate"), 1);
    assert_int_equal(said.len, 0);
}

/* But not one that has lost what it says of itself. */
static void
a_store_without_a_version_is_damaged(void **state)
{
    (void)state;
    assert_int_equal(look("gate"), 0); /* nothing is nobody's */
    assert_int_equal(said.len, 0);
    assert_int_equal(load("gate", false), 0);
    take_away("format");
    assert_int_equal(load("gate", false), -1);
    assert_said("it is missing");
    assert_int_equal(look("gate"), 0);
    put("format", "1234567", 7);
    assert_int_equal(load("gate", false), -1);
    buffer_clear(&said);
    assert_int_equal(look("gate"), 0);
    assert_int_equal(said.len, 0); /* that is no version */
}

static void
only_stores_of_versions_that_are_read_are_taken(void **state)
{
    (void)state;
    assert_int_equal(load("gate", false), 0);
    for (uint64_t version = 0; version <= VERSION + 2; version++) {
        const bool right = version >= OLDEST && version <= VERSION;
        put_version(version);
        assert_int_equal(look("gate"), right ? 1 : -1);
        assert_int_equal(stored_version(), version); /* who looks writes nothing */
        if (!right)
            assert_said("this program reads 2 to 4");
        assert_int_equal(load("gate", false), right ? 0 : -1);
        assert_int_equal(stored_version(), right ? VERSION : version);
        if (!right)
            assert_said("the state in the folder has format");
    }
    put_version(UINT64_MAX);
    assert_int_equal(load("gate", false), -1);
}

/* One that does not say whose it is, is of a version of before. */
static void
a_store_of_another_process_stays_so(void **state)
{
    (void)state;
    assert_int_equal(load("gate", false), 0);
    assert_int_equal(load("join", false), -1);
    assert_said("the place of join's state is that of gate");
    assert_int_equal(look("join"), -1);
    assert_said("the place of join's state is that of gate");
    assert_true(span_is(stored("process"), "gate"));
    take_away("process");
    assert_int_equal(look("join"), 1);
    assert_int_equal(stored("process").len, 0);
    assert_int_equal(load("join", false), 0);
    assert_true(span_is(stored("process"), "join"));
}

/* It goes to the log, where people read it. */
static void
a_name_that_is_none_is_not_shown(void **state)
{
    char longest[NAME_SIZE];

    (void)state;
    memset(longest, 'x', sizeof longest);
    const struct {
        struct span name;
        bool right;
    } names[] = {
        {span_of("a b~"), true},          {span_at(longest, NAME_SIZE - 1), true}, {span_at(longest, NAME_SIZE), false},
        {span_of(""), false},             {span_of("a\x1b[2J"), false},            {span_of("a\x7f"), false},
        {span_of("\xc3\xa9"), false},     {span_at("a\0b", 3), false},             {span_of("a\nb"), false},
    };
    assert_int_equal(load("gate", false), 0);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(format_is_name(names[i].name), names[i].right);
        if (names[i].right)
            continue;
        store_close(store);
        open_store();
        put("process", names[i].name.at, names[i].name.len);
        buffer_clear(&said);
        assert_int_equal(load("gate", false), -1);
        assert_said("a name that is none");
        assert_true(store_is_damaged(store));
    }
}

static void
how_persons_are_told_apart_is_not_changed(void **state)
{
    struct buffer fault = {0};

    (void)state;
    for (unsigned fold = 0; fold < 2; fold++) {
        assert_int_equal(load("gate", fold), 0);
        assert_int_equal(load("gate", !fold), -1);
        assert_said(fold ? "the state in the folder was made with [limits] email_case = fold" :
                           "the state in the folder was made with [limits] email_case = keep");
        assert_true(log_had_config_error());
        assert_int_equal(load("gate", fold), 0);
        assert_int_equal(store_snapshot(store), 0);
        assert_int_equal(format_fits_email_case(store, meta, fold, &fault), 1);
        assert_int_equal(fault.len, 0);
        assert_int_equal(format_fits_email_case(store, meta, !fold, &fault), 0);
        assert_true(fault.len > 0);
        buffer_clear(&fault);
        store_snapshot_end(store);
        store_close(store);
        scratch_dir_remove(dir);
        scratch_dir_make(dir);
        open_store();
    }
    buffer_free(&fault);
}

static int
load_time(struct timekeeper_mark *mark)
{
    assert_int_equal(store_begin(store), 0);
    const int rc = format_load_time(store, meta, mark);
    store_abort(store);
    return rc;
}

static void
the_time_of_the_newest_commit_comes_back(void **state)
{
    struct timekeeper_mark mark = {5, 6};

    (void)state;
    assert_int_equal(load_time(&mark), 0);
    assert_int_equal(mark.now_ms, 0);
    assert_int_equal(mark.wall_ms, 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(format_put_time(store, meta, (struct timekeeper_mark){0x0102030405, 0x0a0b0c0d0e}), 0);
    assert_int_equal(store_commit(store), 0);
    assert_memory_equal(stored("clock").at, "\0\0\0\1\2\3\4\5\0\0\0\12\13\14\15\16", 16);
    assert_int_equal(load_time(&mark), 0);
    assert_int_equal(mark.now_ms, 0x0102030405);
    assert_int_equal(mark.wall_ms, 0x0a0b0c0d0e);
}

static void
a_time_that_no_clock_says_is_damage(void **state)
{
    static const int64_t times[][2] = {
        {-1, 0}, {0, -1}, {RECORD_TIME_MS_MAX + 1, 0}, {0, RECORD_TIME_MS_MAX + 1}, {INT64_MIN, INT64_MAX}};
    struct timekeeper_mark mark;
    char value[16];

    (void)state;
    bytes_put_u64(value, (uint64_t)RECORD_TIME_MS_MAX);
    bytes_put_u64(value + 8, (uint64_t)RECORD_TIME_MS_MAX);
    put("clock", value, sizeof value);
    assert_int_equal(load_time(&mark), 0);
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        bytes_put_u64(value, (uint64_t)times[i][0]);
        bytes_put_u64(value + 8, (uint64_t)times[i][1]);
        put("clock", value, sizeof value);
        assert_int_equal(load_time(&mark), -1);
    }
    put("clock", value, sizeof value - 1);
    assert_int_equal(load_time(&mark), -1);
}

/* There is something to commit, and it is as before. */
static void
a_touch_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(load("gate", false), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(format_touch(store, meta), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(stored_version(), VERSION);
    assert_int_equal(load("gate", false), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_store_becomes_that_of_its_process),
        TEST(a_store_without_a_version_is_damaged),
        TEST(only_stores_of_versions_that_are_read_are_taken),
        TEST(a_store_of_another_process_stays_so),
        TEST(a_name_that_is_none_is_not_shown),
        TEST(how_persons_are_told_apart_is_not_changed),
        TEST(the_time_of_the_newest_commit_comes_back),
        TEST(a_time_that_no_clock_says_is_damage),
        TEST(a_touch_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
