/* lake: each record once, whatever happens between the write and the commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "lake/lake.h"
#include "scratch_dir.h"

#define MAP_BYTES (16u << 20)
#define PART_BYTES 100
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define NOON_MS (INT64_C(1774958400000)) /* 2026-03-31T12:00Z */

enum { STREAM, TABLE };

static char dir[SCRATCH_DIR_SIZE];
static char lake_dir[128];
static char store_dir[128];
static struct store *store;
static void *lake;
static struct lake_parameters parameters;

static void
open_lake(void)
{
    store = store_open(store_dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(lake_operator.open(&parameters, store, &lake), 0);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(lake_operator.load(lake), 0);
    assert_int_equal(store_commit(store), 0); /* as the skeleton does before anything is taken */
    assert_int_equal(store_begin(store), 0);
}

static void
close_lake(void)
{
    lake_operator.close(lake);
    store_close(store);
}

static int
set_up_in(const char *name)
{
    scratch_dir_make(dir);
    snprintf(lake_dir, sizeof lake_dir, "%s/%s", dir, name);
    snprintf(store_dir, sizeof store_dir, "%s/store", dir);
    parameters = (struct lake_parameters){.part_bytes = PART_BYTES,
                                          .table_count = 2,
                                          .tables = {{"trusted/stream", false}, {"curated/table", true}}};
    snprintf(parameters.dir, sizeof parameters.dir, "%s", lake_dir);
    open_lake();
    return 0;
}

static int
set_up(void **state)
{
    (void)state;
    return set_up_in("lake");
}

static int
tear_down(void **state)
{
    (void)state;
    close_lake();
    scratch_dir_remove(dir);
    return 0;
}

static void
take(unsigned input, const char *row, const char *line)
{
    const struct record record = {.kind = RECORD_LINE, .body = span_of(line)};
    const struct arrival arrival = {.input = input, .record = &record, .row = span_of(row)};
    assert_int_equal(lake_operator.take(lake, &arrival), VERDICT_PASSED);
}

static void
flush(int64_t now_ms)
{
    assert_int_equal(lake_operator.flush(lake, 0, now_ms), 0);
}

static void
commit(void)
{
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
}

/* A transaction of one record. */
static void
write_line(int64_t now_ms, const char *line)
{
    take(STREAM, "", line);
    flush(now_ms);
    commit();
}

/* As after kill -9: what was not committed is in the files, and not in the store. */
static void
crash(void)
{
    store_abort(store);
    close_lake();
    open_lake();
}

static const char *
path_of(const char *table, const char *date, unsigned number)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s/date=%s/part-%08u.ndjson", lake_dir, table, date, number);
    return path;
}

static void
expect_part(const char *date, unsigned number, const char *text)
{
    struct buffer content = {0};
    assert_int_equal(file_read(path_of("trusted/stream", date, number), &content), 0);
    assert_string_equal(buffer_text(&content), text);
    buffer_free(&content);
}

/* Parts of all tables. */
static unsigned
parts(void)
{
    char pattern[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*/*/*/date=*/part-*.ndjson", dir);
    unsigned count = glob(pattern, 0, NULL, &found) == 0 ? (unsigned)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void
records_go_to_the_part_of_the_day_one_a_line(void **state)
{
    (void)state;
    struct stat status;
    take(STREAM, "", "{\"a\":1}");
    take(STREAM, "", "{\"a\":2}");
    flush(NOON_MS);
    commit();
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    assert_int_equal(stat(path_of("trusted/stream", "2026-03-31", 1), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(parts(), 1);
}

static void
rows_of_a_table_get_their_name(void **state)
{
    (void)state;
    struct buffer content = {0};
    take(TABLE, "0a1b", "{\"email\":\"a@b\"}");
    take(TABLE, "0a1b", "{\"withdrawn\":5}");
    flush(NOON_MS);
    commit();
    assert_int_equal(file_read(path_of("curated/table", "2026-03-31", 1), &content), 0);
    assert_string_equal(buffer_text(&content),
                        "{\"row\":\"0a1b\",\"email\":\"a@b\"}\n{\"row\":\"0a1b\",\"withdrawn\":5}\n");
    buffer_free(&content);
}

static void
a_transaction_without_records_makes_no_file(void **state)
{
    (void)state;
    flush(NOON_MS);
    commit();
    assert_int_equal(parts(), 0);
}

static void
a_crash_between_write_and_commit_is_cut_back(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    take(STREAM, "", "{\"a\":2}");
    flush(NOON_MS);
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    crash();
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    write_line(NOON_MS, "{\"a\":2}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
}

static void
the_first_part_of_all_is_removed_if_it_was_not_committed(void **state)
{
    (void)state;
    take(STREAM, "", "{\"a\":1}");
    flush(NOON_MS);
    assert_int_equal(parts(), 1);
    crash();
    assert_int_equal(parts(), 0);
    write_line(NOON_MS + DAY_MS, "{\"a\":1}");
    expect_part("2026-04-01", 1, "{\"a\":1}\n");
    assert_int_equal(parts(), 1);
}

/* Somebody removed the state folder: the files are all there is, and must not be taken for what never was committed. */
static void
a_lake_that_lost_its_state_keeps_its_files_and_goes_on_behind_them(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS + DAY_MS, "{\"a\":2}");
    store_abort(store);
    close_lake();
    char file[512];
    snprintf(file, sizeof file, "%s/data.mdb", store_dir);
    assert_int_equal(unlink(file), 0);
    open_lake();
    assert_int_equal(parts(), 2);
    write_line(NOON_MS + DAY_MS, "{\"a\":3}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    expect_part("2026-04-01", 1, "{\"a\":2}\n{\"a\":3}\n");
}

/* The commit failed (a full disk) and the process lives on: what the transaction gathered is gone from memory, too. */
static void
an_aborted_transaction_is_taken_back(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    take(STREAM, "", "{\"a\":2}");
    flush(NOON_MS);
    take(STREAM, "", "{\"a\":3}"); /* gathered, not written */
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(lake_operator.load(lake), 0);
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    write_line(NOON_MS, "{\"a\":4}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":4}\n");
}

/* Transactions of different sizes; a crash after the write of each, before its commit, and then once more. */
static void
crashes_at_every_commit_over_many_parts_double_nothing(void **state)
{
    (void)state;
    struct buffer expected = {0};
    struct buffer content = {0};
    char line[64];
    unsigned number = 0;
    for (unsigned batch = 0; batch < 60; batch++) {
        const int64_t now_ms = NOON_MS + (int64_t)batch * (DAY_MS / 7);
        for (unsigned time = 0; time < 3; time++) {
            for (unsigned i = 0; i <= batch % 4; i++) {
                snprintf(line, sizeof line, "{\"number\":%u}", number + i);
                take(STREAM, "", line);
            }
            flush(now_ms);
            if (time < 2)
                crash();
        }
        commit();
        for (unsigned i = 0; i <= batch % 4; i++)
            buffer_printf(&expected, "{\"number\":%u}\n", number++);
    }
    char pattern[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/trusted/stream/date=*/part-*.ndjson", lake_dir);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc > 9);
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_int_equal(file_read(found.gl_pathv[i], &content), 0);
    globfree(&found);
    assert_string_equal(buffer_text(&content), buffer_text(&expected));
    buffer_free(&content);
    buffer_free(&expected);
}

#define LINE_60 "{\"a\":\"0123456789012345678901234567890123456789012345678\"}"

static void
a_part_that_has_reached_its_size_is_closed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        write_line(NOON_MS, LINE_60);
    expect_part("2026-03-31", 1, LINE_60 "\n" LINE_60 "\n");
    expect_part("2026-03-31", 2, LINE_60 "\n");
    assert_int_equal(parts(), 2);
}

static void
a_new_day_begins_with_part_one(void **state)
{
    (void)state;
    write_line(NOON_MS + DAY_MS / 2 - 1, "{\"a\":1}");
    write_line(NOON_MS + DAY_MS / 2, "{\"a\":2}");
    write_line(NOON_MS + 3 * DAY_MS / 2, "{\"a\":3}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    expect_part("2026-04-01", 1, "{\"a\":2}\n");
    expect_part("2026-04-02", 1, "{\"a\":3}\n");
}

static void
a_clock_that_goes_back_does_not_go_back_to_an_older_part(void **state)
{
    (void)state;
    write_line(NOON_MS, LINE_60);
    write_line(NOON_MS - 40 * DAY_MS, LINE_60);
    write_line(NOON_MS - 40 * DAY_MS, "{\"a\":3}"); /* a part by size, too */
    expect_part("2026-03-31", 1, LINE_60 "\n" LINE_60 "\n");
    expect_part("2026-03-31", 2, "{\"a\":3}\n");
    crash();
    write_line(NOON_MS - 40 * DAY_MS, "{\"a\":4}");
    expect_part("2026-03-31", 2, "{\"a\":3}\n{\"a\":4}\n");
    assert_int_equal(parts(), 2);
}

static void
newer_parts_that_were_not_committed_are_removed(void **state)
{
    (void)state;
    write_line(NOON_MS, LINE_60);
    write_line(NOON_MS, LINE_60);
    take(STREAM, "", "{\"by\":\"size\"}");
    flush(NOON_MS);
    take(STREAM, "", "{\"by\":\"date\"}");
    flush(NOON_MS + DAY_MS);
    assert_int_equal(parts(), 3);
    crash();
    assert_int_equal(parts(), 1);
    expect_part("2026-03-31", 1, LINE_60 "\n" LINE_60 "\n");
    write_line(NOON_MS, "{\"a\":3}"); /* the clock has gone back meanwhile */
    expect_part("2026-03-31", 2, "{\"a\":3}\n");
}

static int
set_up_in_brackets(void **state)
{
    (void)state;
    return set_up_in("lake[1]*?");
}

static void
so_they_are_if_the_folder_is_called_what_looks_like_a_pattern(void **state)
{
    newer_parts_that_were_not_committed_are_removed(state);
}

static void
a_part_that_its_reader_moved_away_is_not_missed(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    assert_int_equal(unlink(path_of("trusted/stream", "2026-03-31", 1)), 0);
    open_lake();
    write_line(NOON_MS, "{\"a\":2}");
    expect_part("2026-03-31", 2, "{\"a\":2}\n");
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 2, "{\"a\":2}\n{\"a\":3}\n");
    assert_int_equal(parts(), 1);
}

static void
what_cant_be_written_is_an_error_and_done_later(void **state)
{
    (void)state;
    char zone[192];
    snprintf(zone, sizeof zone, "%s/trusted", lake_dir);
    assert_int_equal(file_make_dirs(lake_dir), 0);
    assert_int_equal(file_replace(zone, "a file in the way"), 0);
    take(STREAM, "", "{\"a\":1}");
    assert_int_equal(lake_operator.flush(lake, 0, NOON_MS), -1);
    store_abort(store);
    unlink(zone);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(lake_operator.load(lake), 0);
    write_line(NOON_MS, "{\"a\":1}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
}

/* A transaction of one record that fails, and is taken back. */
static void
fail_to_write(int64_t now_ms)
{
    take(STREAM, "", "{\"a\":1}");
    assert_int_equal(lake_operator.flush(lake, 0, now_ms), -1);
    store_abort(store);
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(lake_operator.load(lake), 0);
}

/* It is tried again several times a second, for as long as a disk is full. */
static void
bug_102_what_cant_be_written_is_one_line_in_the_log_until_it_can(void **state)
{
    static const char *const dates[] = {"2026-03-31", "2026-04-01"};
    char path[192];
    struct buffer log = {0};
    unsigned lines = 0;
    (void)state;

    snprintf(path, sizeof path, "%s/log", dir);
    const int kept = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    for (unsigned day = 0; day < 2; day++) {
        snprintf(path, sizeof path, "%s/trusted/stream", lake_dir);
        assert_int_equal(file_make_dirs(path), 0);
        snprintf(path, sizeof path, "%s/trusted/stream/date=%s", lake_dir, dates[day]);
        assert_int_equal(file_replace(path, "a file in the way"), 0);
        for (unsigned i = 0; i < 3; i++)
            fail_to_write(NOON_MS + day * DAY_MS);
        unlink(path);
        write_line(NOON_MS + day * DAY_MS, "{\"a\":1}");
    }
    dup2(kept, STDERR_FILENO);
    close(kept);
    snprintf(path, sizeof path, "%s/log", dir);
    assert_int_equal(file_read(path, &log), 0);
    for (const char *at = buffer_text(&log); (at = strstr(at, "can't make")) != NULL; at++)
        lines++;
    buffer_free(&log);
    assert_int_equal(lines, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_go_to_the_part_of_the_day_one_a_line),
        TEST(rows_of_a_table_get_their_name),
        TEST(a_transaction_without_records_makes_no_file),
        TEST(a_crash_between_write_and_commit_is_cut_back),
        TEST(the_first_part_of_all_is_removed_if_it_was_not_committed),
        TEST(a_lake_that_lost_its_state_keeps_its_files_and_goes_on_behind_them),
        TEST(an_aborted_transaction_is_taken_back),
        TEST(crashes_at_every_commit_over_many_parts_double_nothing),
        TEST(a_part_that_has_reached_its_size_is_closed),
        TEST(a_new_day_begins_with_part_one),
        TEST(a_clock_that_goes_back_does_not_go_back_to_an_older_part),
        TEST(newer_parts_that_were_not_committed_are_removed),
        cmocka_unit_test_setup_teardown(so_they_are_if_the_folder_is_called_what_looks_like_a_pattern,
                                        set_up_in_brackets, tear_down),
        TEST(a_part_that_its_reader_moved_away_is_not_missed),
        TEST(what_cant_be_written_is_an_error_and_done_later),
        TEST(bug_102_what_cant_be_written_is_one_line_in_the_log_until_it_can),
    };
    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
