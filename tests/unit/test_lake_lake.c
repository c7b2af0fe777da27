/* lake: each record once, whatever happens between the commit and the write; and nothing else in the lake is touched. */
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
#include "disk.h"
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
    assert_int_equal(store_commit(store), 0); /* as the core does before anything is taken */
    assert_int_equal(store_begin(store), 0);
}

static void
close_lake(void)
{
    store_abort(store);
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

static enum verdict
verdict_of(unsigned input, const char *row, const char *line)
{
    const struct record record = {.kind = RECORD_LINE, .body = span_of(line)};
    const struct arrival arrival = {.input = input, .record = &record, .row = span_of(row)};

    return lake_operator.take(lake, &arrival);
}

static void
take(unsigned input, const char *row, const char *line)
{
    assert_int_equal(verdict_of(input, row, line), VERDICT_PASSED);
}

static void
flush(int64_t now_ms)
{
    assert_int_equal(lake_operator.flush(lake, now_ms, now_ms), 0);
}

static void
commit(void)
{
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(lake_operator.committed(lake), 0);
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

static int
refuse_everything(const struct disk_call *call)
{
    (void)call;
    return EIO;
}

/* As by kill -9: whatever a proper end would still do, it does not happen. */
static void
kill_lake(void)
{
    disk_before = refuse_everything;
    close_lake();
    disk_before = NULL;
}

static void
crash(void)
{
    kill_lake();
    open_lake();
}

/* The lake does not work with what is there. */
static void
expect_refusal(void)
{
    store = store_open(store_dir, MAP_BYTES);
    assert_non_null(store);
    assert_int_equal(lake_operator.open(&parameters, store, &lake), 0);
    for (unsigned i = 0; i < 2; i++) { /* nor if it is asked again */
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(lake_operator.load(lake), -1);
        assert_int_equal(store_fault(store), STORE_BESIDE);
        store_abort(store);
        assert_true(lake_operator.due_ms(lake) == 0);
    }
}

/* It does now, by itself. */
static void
expect_acceptance(void)
{
    assert_int_equal(store_begin(store), 0);
    assert_int_equal(lake_operator.load(lake), 0);
    assert_int_equal(store_commit(store), 0);
    assert_true(lake_operator.due_ms(lake) > 0);
    assert_int_equal(store_begin(store), 0);
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
    struct stat status;

    (void)state;
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
    struct buffer content = {0};

    (void)state;
    take(TABLE, "0a1b", "{\"email\":\"a@b\"}");
    take(TABLE, "0a1b", "{\"withdrawn\":5}");
    flush(NOON_MS);
    commit();
    assert_int_equal(file_read(path_of("curated/table", "2026-03-31", 1), &content), 0);
    assert_string_equal(buffer_text(&content),
                        "{\"row\":\"0a1b\",\"email\":\"a@b\"}\n{\"row\":\"0a1b\",\"withdrawn\":5}\n");
    buffer_free(&content);
}

/* As it is for a newcomer; what it was before its newest is no repeat. */
static void
a_row_that_is_given_out_again_is_written_once(void **state)
{
    struct buffer content = {0};

    (void)state;
    take(TABLE, "0a1b", "{\"a\":1}");
    assert_int_equal(verdict_of(TABLE, "0a1b", "{\"a\":1}"), VERDICT_DUPLICATE);
    take(TABLE, "0a1c", "{\"a\":1}");
    flush(NOON_MS);
    commit();
    crash();
    assert_int_equal(verdict_of(TABLE, "0a1b", "{\"a\":1}"), VERDICT_DUPLICATE);
    take(TABLE, "0a1b", "{\"a\":2}");
    take(TABLE, "0a1b", "{\"a\":1}");
    flush(NOON_MS);
    commit();
    assert_int_equal(file_read(path_of("curated/table", "2026-03-31", 1), &content), 0);
    assert_string_equal(buffer_text(&content), "{\"row\":\"0a1b\",\"a\":1}\n{\"row\":\"0a1c\",\"a\":1}\n"
                                               "{\"row\":\"0a1b\",\"a\":2}\n{\"row\":\"0a1b\",\"a\":1}\n");
    buffer_free(&content);
}

/* The one that things grow older by may be far from it, once the clock was set. */
static void
the_day_is_that_of_the_wall_clock(void **state)
{
    (void)state;
    take(STREAM, "", "{\"a\":1}");
    assert_int_equal(lake_operator.flush(lake, NOON_MS - DAY_MS, NOON_MS), 0);
    commit();
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    assert_int_equal(parts(), 1);
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
what_is_not_committed_is_in_no_file(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    take(STREAM, "", "{\"a\":2}");
    flush(NOON_MS);
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    crash();
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    take(STREAM, "", "{\"a\":2}");
    flush(NOON_MS + DAY_MS);
    crash();
    assert_int_equal(parts(), 1);
    write_line(NOON_MS, "{\"a\":2}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
}

/* Flush and commit, and die before anything is written. */
static void
commit_and_crash(int64_t now_ms)
{
    flush(now_ms);
    assert_int_equal(store_commit(store), 0);
    crash();
}

static void
what_is_committed_and_not_written_is_written_by_the_next_one(void **state)
{
    (void)state;
    take(STREAM, "", "{\"a\":1}");
    commit_and_crash(NOON_MS);
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    take(STREAM, "", "{\"a\":2}");
    commit_and_crash(NOON_MS);
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    take(STREAM, "", "{\"a\":3}");
    commit_and_crash(NOON_MS + DAY_MS);
    expect_part("2026-04-01", 1, "{\"a\":3}\n");
    crash();
    write_line(NOON_MS + DAY_MS, "{\"a\":4}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    expect_part("2026-04-01", 1, "{\"a\":3}\n{\"a\":4}\n");
}

/* A second later the part is all there is, and who takes it away finds it taken. */
static void
what_is_written_is_synced_when_a_second_has_passed(void **state)
{
    const int lines = store_table(store, "lines");

    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS + 900, "{\"a\":2}");
    assert_true(lake_operator.due_ms(lake) == NOON_MS + 1000);
    assert_int_equal(lake_operator.work(lake, NOON_MS + 999, NOON_MS + 999, 100, NULL), 0);
    assert_int_equal(store_count(store, lines), 2);
    assert_int_equal(lake_operator.work(lake, NOON_MS + 1000, NOON_MS + 1000, 100, NULL), 1);
    flush(NOON_MS + 1000);
    commit();
    assert_int_equal(store_count(store, lines), 0);
    assert_true(lake_operator.due_ms(lake) == INT64_MAX);
    kill_lake();
    assert_int_equal(unlink(path_of("trusted/stream", "2026-03-31", 1)), 0);
    open_lake();
    assert_int_equal(parts(), 0);
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 2, "{\"a\":3}\n");
}

/* The part's bytes from offset on become text; with that the part ends if cut. */
static void
change_part(unsigned number, uint64_t offset, const char *text, size_t len, bool cut)
{
    int fd = open(path_of("trusted/stream", "2026-03-31", number), O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, text, len, offset), 0);
    if (cut)
        assert_int_equal(ftruncate(fd, (off_t)(offset + len)), 0);
    close(fd);
}

/* A power cut may leave zeros for what was not synced, and the file shorter. */
static void
what_a_power_cut_took_is_written_again(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS, "{\"a\":2}");
    kill_lake();
    change_part(1, 3, "\0\0\0\0\0\0", 6, false);
    open_lake();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    kill_lake();
    change_part(1, 5, "\0\0", 2, true);
    open_lake();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    kill_lake();
    assert_int_equal(unlink(path_of("trusted/stream", "2026-03-31", 1)), 0);
    open_lake();
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
}

/* Somebody removed the state folder: the files are all there is, and must not be taken for what never was committed. */
static void
a_lake_that_lost_its_state_keeps_its_files_and_goes_on_behind_them(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS + DAY_MS, "{\"a\":2}");
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

/* Transactions of different sizes; a crash before the commit of each, and then once more, or after it. */
static void
crashes_at_every_commit_over_many_parts_double_nothing(void **state)
{
    struct buffer expected = {0};
    struct buffer content = {0};
    char line[64];
    unsigned number = 0;

    (void)state;
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
        if (batch % 3 == 0) {
            assert_int_equal(store_commit(store), 0);
            crash();
        } else {
            commit();
        }
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
store_file(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", store_dir, name);
}

/* Keep a copy of the state, or bring it back. */
static void
copy_state(bool back)
{
    char kept[512], file[512];
    struct buffer content = {0};

    store_file(kept, sizeof kept, "kept");
    store_file(file, sizeof file, "data.mdb");
    assert_int_equal(file_read(back ? kept : file, &content), 0);
    int fd = open(back ? file : kept, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, content.data, content.len, 0), 0);
    close(fd);
    buffer_free(&content);
}

/* Out of the lake, as the line in the log says. */
static void
move_away(const char *date, unsigned number)
{
    char path[512];

    snprintf(path, sizeof path, "%s/moved", dir);
    assert_int_equal(rename(path_of("trusted/stream", date, number), path), 0);
}

static void
bug_200_a_state_that_is_older_than_the_lake_is_refused(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    copy_state(false);
    open_lake();
    write_line(NOON_MS, "{\"a\":2}");
    kill_lake();
    copy_state(true);
    expect_refusal();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    move_away("2026-03-31", 1);
    expect_acceptance();
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 2, "{\"a\":3}\n");
}

static void
bug_200_so_it_is_if_only_newer_parts_say_it(void **state)
{
    (void)state;
    write_line(NOON_MS, LINE_60);
    write_line(NOON_MS, LINE_60);
    close_lake();
    copy_state(false);
    open_lake();
    write_line(NOON_MS, "{\"a\":3}");
    write_line(NOON_MS + DAY_MS, "{\"a\":4}");
    close_lake();
    copy_state(true);
    expect_refusal();
    expect_part("2026-03-31", 1, LINE_60 "\n" LINE_60 "\n");
    expect_part("2026-03-31", 2, "{\"a\":3}\n");
    expect_part("2026-04-01", 1, "{\"a\":4}\n");
    move_away("2026-03-31", 2);
    close_lake();
    expect_refusal();
    move_away("2026-04-01", 1);
    expect_acceptance();
}

/* A file in the folder of the part, or of another day, as somebody else may have put it there. */
static void
put_file(const char *day, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/trusted/stream/%s", lake_dir, day);
    assert_int_equal(file_make_dirs(path), 0);
    snprintf(path, sizeof path, "%s/trusted/stream/%s/%s", lake_dir, day, name);
    assert_int_equal(file_replace(path, "theirs"), 0);
}

static unsigned
files_in(const char *day)
{
    char pattern[512];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s/*/trusted/stream/%s/*", dir, day);
    const unsigned count = glob(pattern, 0, NULL, &found) == 0 ? (unsigned)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* Parts begin with 1: one of number 0 is somebody else's, and none that a state could go on behind. */
static void
a_lake_that_lost_its_state_does_not_take_a_part_0_for_its_own(void **state)
{
    char file[512];

    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    put_file("date=2026-04-02", "part-00000000.ndjson");
    snprintf(file, sizeof file, "%s/data.mdb", store_dir);
    assert_int_equal(unlink(file), 0);
    open_lake();
    crash();
    write_line(NOON_MS, "{\"a\":2}");
    crash();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
}

static void
bug_200_what_somebody_else_has_put_there_stays(void **state)
{
    static const char *const names[] = {"part-compacted.ndjson", "part-00000002.ndjson.gz", "part-0000002.ndjson",
                                        "part-000000002.ndjson", "part-0000000a.ndjson",    "part-.ndjson",
                                        "_SUCCESS",              "zz-part-00000009.ndjson"};
    const unsigned count = sizeof names / sizeof names[0];

    (void)state;

    write_line(NOON_MS, "{\"a\":1}");
    for (unsigned i = 0; i < count; i++)
        put_file("date=2026-03-31", names[i]);
    put_file("date=9999-12-31.old", "part-00000001.ndjson");
    put_file("date=all", "part-00000001.ndjson");
    put_file("date=2026-03-01", "part-00000001.ndjson");
    crash();
    write_line(NOON_MS, "{\"a\":2}");
    crash();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
    assert_int_equal(files_in("date=2026-03-31"), count + 1);
    assert_int_equal(files_in("date=9999-12-31.old"), 1);
    assert_int_equal(files_in("date=all"), 1);
    assert_int_equal(files_in("date=2026-03-01"), 1);
}

static void
bug_200_a_part_in_the_way_of_the_next_one_stays(void **state)
{
    (void)state;
    write_line(NOON_MS, LINE_60);
    write_line(NOON_MS, LINE_60);
    put_file("date=2026-03-31", "part-00000002.ndjson");
    take(STREAM, "", "{\"a\":1}");
    assert_int_equal(lake_operator.flush(lake, NOON_MS, NOON_MS), -1);
    assert_int_equal(store_fault(store), STORE_BESIDE);
    store_abort(store);
    expect_part("2026-03-31", 2, "theirs");
    close_lake();
    expect_refusal();
    expect_part("2026-03-31", 2, "theirs");
    move_away("2026-03-31", 2);
    expect_acceptance();
    write_line(NOON_MS, "{\"a\":1}");
    expect_part("2026-03-31", 2, "{\"a\":1}\n");
}

static int
set_up_in_brackets(void **state)
{
    (void)state;
    return set_up_in("lake[1]*?");
}

static void
bug_200_so_it_does_if_the_folder_is_called_what_looks_like_a_pattern(void **state)
{
    bug_200_a_part_in_the_way_of_the_next_one_stays(state);
}

static void
bug_201_a_part_that_somebody_has_cut_is_refused(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS, "{\"a\":2}");
    close_lake();
    change_part(1, 8, "", 0, true);
    expect_refusal();
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    change_part(1, 8, "{\"a\":2}\n", 8, true); /* brought back */
    expect_acceptance();
    close_lake();
    change_part(1, 16, "x", 1, false);
    expect_refusal();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\nx");
}

/* The first line is gone, and the lake was killed: what follows must not be written over what is left. */
static void
bug_201_a_part_that_somebody_has_changed_is_refused(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS, "{\"b\":22}");
    kill_lake();
    change_part(1, 0, "{\"b\":22}\n", 9, true);
    expect_refusal();
    expect_part("2026-03-31", 1, "{\"b\":22}\n");
}

static void
bug_202_what_is_no_file_is_not_written_to(void **state)
{
    char other[512];
    struct buffer content = {0};

    (void)state;

    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    move_away("2026-03-31", 1);
    snprintf(other, sizeof other, "%s/moved", dir);
    const char *path = path_of("trusted/stream", "2026-03-31", 1);
    assert_int_equal(symlink(other, path), 0);
    expect_refusal();
    close_lake();
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal();
    close_lake();
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refusal();
    assert_int_equal(rmdir(path), 0);
    expect_acceptance();
    assert_int_equal(file_read(other, &content), 0);
    assert_string_equal(buffer_text(&content), "{\"a\":1}\n");
    buffer_free(&content);
}

/* The path of a folder of the lake, or in the place of one; one at a time. */
static const char *
folder_of(const char *below)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", lake_dir, below);
    return path;
}

/* A day, or the folder above, is a link to a folder of somebody else, who has the same part there: what came was written to
 * that. */
static void
bug_392_no_part_is_written_through_a_folder_that_is_a_link(void **state)
{
    static const char *const levels[] = {"trusted/stream/date=2026-03-31", "trusted/stream", "trusted"};
    char theirs[256];

    (void)state;

    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    snprintf(theirs, sizeof theirs, "%s/theirs", dir);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rename(folder_of(levels[i]), theirs), 0);
        assert_int_equal(symlink(theirs, folder_of(levels[i])), 0);
        expect_refusal();
        assert_int_equal(unlink(folder_of(levels[i])), 0);
        assert_int_equal(rename(theirs, folder_of(levels[i])), 0);
        expect_acceptance();
        close_lake();
    }
    open_lake();
    write_line(NOON_MS, "{\"a\":2}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
}

/* Nor is one made there: the folder was replaced between a transaction's end and its files' beginning. */
static void
bug_392_no_part_is_made_in_a_folder_that_is_a_link(void **state)
{
    char theirs[256];

    (void)state;

    take(STREAM, "", "{\"a\":1}");
    flush(NOON_MS);
    snprintf(theirs, sizeof theirs, "%s/theirs", dir);
    assert_int_equal(rename(folder_of("trusted/stream/date=2026-03-31"), theirs), 0);
    assert_int_equal(symlink(theirs, folder_of("trusted/stream/date=2026-03-31")), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(lake_operator.committed(lake), -1);
    assert_int_equal(store_fault(store), STORE_BESIDE);
    assert_int_equal(rmdir(theirs), 0); /* there is nothing in it */
    assert_int_equal(unlink(folder_of("trusted/stream/date=2026-03-31")), 0);
    expect_acceptance();
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
}

static void
bug_392_no_part_is_written_that_is_somebody_elses_or_where_others_write(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    assert_int_equal(chmod(folder_of("trusted/stream/date=2026-03-31"), 0770), 0);
    expect_refusal();
    assert_int_equal(chmod(folder_of("trusted/stream/date=2026-03-31"), 0750), 0);
    expect_acceptance();
    close_lake();
    if (geteuid() == 0) {
        assert_int_equal(chown(path_of("trusted/stream", "2026-03-31", 1), 65534, (gid_t)-1), 0);
        expect_refusal();
        assert_int_equal(chown(path_of("trusted/stream", "2026-03-31", 1), 0, (gid_t)-1), 0);
        expect_acceptance();
        close_lake();
    }
    open_lake();
}

/* An operator may keep a part by another name as well. */
static void
a_part_with_a_second_name_is_written_to(void **state)
{
    char second[256];

    (void)state;

    write_line(NOON_MS, "{\"a\":1}");
    close_lake();
    snprintf(second, sizeof second, "%s/second", dir);
    assert_int_equal(link(path_of("trusted/stream", "2026-03-31", 1), second), 0);
    open_lake();
    write_line(NOON_MS, "{\"a\":2}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n");
}

/* The lake finds out before it writes on, and stands still. */
static void
expect_to_be_noticed(void)
{
    take(STREAM, "", "{\"a\":3}");
    assert_int_equal(lake_operator.flush(lake, NOON_MS, NOON_MS), -1);
    assert_int_equal(store_fault(store), STORE_BESIDE);
    store_abort(store);
}

static void
bug_207_a_part_that_is_changed_while_the_lake_works_is_noticed(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS, "{\"a\":2}");
    move_away("2026-03-31", 1);
    put_file("date=2026-03-31", "part-00000001.ndjson"); /* as an editor does */
    expect_to_be_noticed();
    close_lake();
    expect_refusal();
    expect_part("2026-03-31", 1, "theirs");
    move_away("2026-03-31", 1);
    expect_acceptance();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n"); /* the store had it still */
    change_part(1, 16, "theirs\n", 7, false);
    expect_to_be_noticed();
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\ntheirs\n");
    change_part(1, 16, "", 0, true);
    expect_acceptance();
    write_line(NOON_MS, "{\"a\":3}");
    expect_part("2026-03-31", 1, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
}

static int refusal; /* of what is written to parts */

static int
refuse_parts(const struct disk_call *call)
{
    char path[512];

    if (call->deed != DISK_WRITE)
        return 0;
    disk_path(call->fd, NULL, path, sizeof path);
    return strstr(path, "/part-") != NULL ? refusal : 0;
}

/* Whether the disk is full or somebody's share of it: the process waits for room, and goes on by itself. */
static void
bug_203_a_quota_is_a_full_disk(void **state)
{
    static const int errors[] = {ENOSPC, EDQUOT, EIO};

    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        refusal = errors[i];
        take(STREAM, "", "{\"a\":1}");
        flush(NOON_MS + i * DAY_MS);
        assert_int_equal(store_commit(store), 0);
        disk_before = refuse_parts;
        assert_int_equal(lake_operator.committed(lake), -1);
        assert_int_equal(store_fault(store), errors[i] == EIO ? STORE_BESIDE : STORE_FULL);
        assert_true(lake_operator.due_ms(lake) == 0);
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(lake_operator.load(lake), -1);
        assert_int_equal(store_fault(store), errors[i] == EIO ? STORE_BESIDE : STORE_FULL);
        store_abort(store);
        disk_before = NULL;
        expect_acceptance();
    }
    expect_part("2026-03-31", 1, "{\"a\":1}\n");
    expect_part("2026-04-01", 1, "{\"a\":1}\n");
    expect_part("2026-04-02", 1, "{\"a\":1}\n");
}

static unsigned part_syncs;

static int
count_part_syncs(const struct disk_call *call)
{
    char path[512];

    if (call->deed != DISK_SYNC)
        return 0;
    disk_path(call->fd, NULL, path, sizeof path);
    part_syncs += strstr(path, "/part-") != NULL;
    return 0;
}

/* Transactions of 300 KiB. */
static void
lines_leave_the_store_when_they_are_synced(void **state)
{
    static char line[300 << 10];

    (void)state;

    parameters.part_bytes = 1 << 30;
    close_lake();
    open_lake();
    part_syncs = 0;
    disk_before = count_part_syncs;
    const int lines = store_table(store, "lines");
    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "{\"a\":%u,\"b\":\"", i);
        memset(line + strlen(line), 'x', sizeof line - 1 - strlen(line));
        memcpy(line + sizeof line - sizeof "\"}", "\"}", 2);
        write_line(NOON_MS, line);
        assert_true(store_count(store, lines) <= 4 * 10 + 10);
        if (i % 7 == 6)
            crash();
        disk_before = count_part_syncs;
    }
    assert_true(part_syncs >= 4 && part_syncs <= 6);
    disk_before = NULL;
    close_lake();
    open_lake();
    assert_int_equal(store_count(store, lines), 0);
    struct stat status;
    assert_int_equal(stat(path_of("trusted/stream", "2026-03-31", 1), &status), 0);
    assert_int_equal(status.st_size, 20 * sizeof line);
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
    char zone[192];

    (void)state;
    snprintf(zone, sizeof zone, "%s/trusted", lake_dir);
    assert_int_equal(file_make_dirs(lake_dir), 0);
    assert_int_equal(file_replace(zone, "a file in the way"), 0);
    take(STREAM, "", "{\"a\":1}");
    assert_int_equal(lake_operator.flush(lake, NOON_MS, NOON_MS), -1);
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
    assert_int_equal(lake_operator.flush(lake, now_ms, now_ms), -1);
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

/* For copies: what the state at hand says is there, and nothing else. */
struct visited {
    unsigned count;
    char newest[128];
    uint64_t least, most; /* of it */
    unsigned unbounded;   /* those before it */
};

static int
note_visit(void *context, const char *part, uint64_t least, uint64_t most)
{
    struct visited *visited = context;

    visited->count++;
    visited->unbounded += most == UINT64_MAX;
    if (most != UINT64_MAX) {
        snprintf(visited->newest, sizeof visited->newest, "%s", part);
        visited->least = least;
        visited->most = most;
    }
    return 0;
}

static struct visited
visit(const char *table)
{
    struct visited visited = {0};
    struct lake_extent extent;
    struct store *other = store_open_to_read(store_dir, true);

    assert_non_null(other);
    assert_int_equal(store_snapshot(other), 0);
    assert_int_equal(lake_extent(other, table, &extent), 0);
    store_close(other);
    assert_int_equal(lake_visit(lake_dir, table, &extent, note_visit, &visited), 0);
    return visited;
}

static void
a_copy_takes_the_parts_that_the_state_knows(void **state)
{
    (void)state;
    write_line(NOON_MS, "{\"a\":1}");
    write_line(NOON_MS + DAY_MS, "{\"a\":2}");
    assert_int_equal(lake_operator.work(lake, NOON_MS + 2 * DAY_MS, NOON_MS + 2 * DAY_MS, 100, NULL), 1); /* it is synced */
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(store_begin(store), 0);
    write_line(NOON_MS + DAY_MS, "{\"a\":3}");
    kill_lake();
    const struct visited visited = visit("trusted/stream");
    assert_int_equal(visited.count, 2);
    assert_int_equal(visited.unbounded, 1);
    assert_string_equal(visited.newest, "trusted/stream/date=2026-04-01/part-00000001.ndjson");
    assert_int_equal(visited.least, 8);
    assert_int_equal(visited.most, 16);
    assert_int_equal(visit("curated/table").count, 0);

    /* Whoever writes on meanwhile, and whoever else puts files there. */
    assert_int_equal(file_replace(path_of("trusted/stream", "2026-04-01", 2), "{}\n"), 0);
    assert_int_equal(file_replace(path_of("trusted/stream", "2026-04-01", 1), "{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n"), 0);
    char foreign[256];
    snprintf(foreign, sizeof foreign, "%s/trusted/stream/date=2026-04-01/notes.txt", lake_dir);
    assert_int_equal(file_replace(foreign, ""), 0);
    snprintf(foreign, sizeof foreign, "%s/trusted/stream/date=2026-04-02", lake_dir);
    assert_int_equal(mkdir(foreign, 0700), 0);
    assert_int_equal(file_replace(path_of("trusted/stream", "2026-04-02", 1), "{}\n"), 0);
    assert_int_equal(visit("trusted/stream").count, 2);
    assert_int_equal(visit("trusted/stream").most, 16);
    assert_int_equal(unlink(path_of("trusted/stream", "2026-04-02", 1)), 0);
    assert_int_equal(unlink(path_of("trusted/stream", "2026-04-01", 2)), 0);
    assert_int_equal(file_replace(path_of("trusted/stream", "2026-04-01", 1), "{\"a\":2}\n{\"a\":3}\n"), 0);
    open_lake();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_go_to_the_part_of_the_day_one_a_line),
        TEST(rows_of_a_table_get_their_name),
        TEST(a_row_that_is_given_out_again_is_written_once),
        TEST(the_day_is_that_of_the_wall_clock),
        TEST(a_transaction_without_records_makes_no_file),
        TEST(what_is_not_committed_is_in_no_file),
        TEST(what_is_committed_and_not_written_is_written_by_the_next_one),
        TEST(what_is_written_is_synced_when_a_second_has_passed),
        TEST(what_a_power_cut_took_is_written_again),
        TEST(a_lake_that_lost_its_state_keeps_its_files_and_goes_on_behind_them),
        TEST(an_aborted_transaction_is_taken_back),
        TEST(crashes_at_every_commit_over_many_parts_double_nothing),
        TEST(a_part_that_has_reached_its_size_is_closed),
        TEST(a_new_day_begins_with_part_one),
        TEST(a_clock_that_goes_back_does_not_go_back_to_an_older_part),
        TEST(bug_200_a_state_that_is_older_than_the_lake_is_refused),
        TEST(bug_200_so_it_is_if_only_newer_parts_say_it),
        TEST(a_lake_that_lost_its_state_does_not_take_a_part_0_for_its_own),
        TEST(bug_200_what_somebody_else_has_put_there_stays),
        TEST(bug_200_a_part_in_the_way_of_the_next_one_stays),
        cmocka_unit_test_setup_teardown(bug_200_so_it_does_if_the_folder_is_called_what_looks_like_a_pattern,
                                        set_up_in_brackets, tear_down),
        TEST(bug_201_a_part_that_somebody_has_cut_is_refused),
        TEST(bug_201_a_part_that_somebody_has_changed_is_refused),
        TEST(bug_202_what_is_no_file_is_not_written_to),
        TEST(bug_392_no_part_is_written_through_a_folder_that_is_a_link),
        TEST(bug_392_no_part_is_made_in_a_folder_that_is_a_link),
        TEST(bug_392_no_part_is_written_that_is_somebody_elses_or_where_others_write),
        TEST(a_part_with_a_second_name_is_written_to),
        TEST(bug_207_a_part_that_is_changed_while_the_lake_works_is_noticed),
        TEST(bug_203_a_quota_is_a_full_disk),
        TEST(lines_leave_the_store_when_they_are_synced),
        TEST(a_part_that_its_reader_moved_away_is_not_missed),
        TEST(what_cant_be_written_is_an_error_and_done_later),
        TEST(bug_102_what_cant_be_written_is_one_line_in_the_log_until_it_can),
        TEST(a_copy_takes_the_parts_that_the_state_knows),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
