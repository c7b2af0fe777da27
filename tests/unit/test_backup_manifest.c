/* manifest: what is in a backup, and nothing that could not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "backup/manifest.h"
#include "scratch_dir.h"

static char dir[SCRATCH_DIR_SIZE];

static int
set_up(void **state)
{
    (void)state;
    scratch_dir_make(dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(dir);
    return 0;
}

static const char *
path(void)
{
    static char text[128];

    snprintf(text, sizeof text, "%s/manifest", dir);
    return text;
}

static void
write_with(const char *file)
{
    struct manifest manifest = {.count = 0};

    buffer_add_text(&manifest.notes, "taken 2026-11-24T08:15:02Z\nprocess lake epoch 0 output 0 0\n"
                                     "missing customer-trusted\n");
    manifest_add(&manifest, "state/lake/store/data.mdb")->bytes = 4096;
    struct manifest_file *added = manifest_add(&manifest, file);
    added->bytes = UINT64_MAX;
    added->hash.bytes[0] = 0xab;
    assert_int_equal(manifest_write(&manifest, dir), 0);
    manifest_free(&manifest);
}

static int
read_back(void)
{
    struct manifest manifest = {.count = 0};
    const int rc = manifest_read(&manifest, dir);

    manifest_free(&manifest);
    return rc;
}

static void
what_was_written_is_read(void **state)
{
    struct manifest manifest = {.count = 0};
    struct span taken;

    (void)state;
    write_with("lake/a b/part.ndjson");
    assert_int_equal(manifest_read(&manifest, dir), 0);
    assert_int_equal(manifest.count, 2);
    assert_string_equal(manifest.files[0].path, "state/lake/store/data.mdb");
    assert_string_equal(manifest.files[1].path, "lake/a b/part.ndjson");
    assert_true(manifest.files[1].bytes == UINT64_MAX && manifest.files[1].hashed);
    assert_int_equal(manifest.files[1].hash.bytes[0], 0xab);
    assert_int_equal(manifest_note(&manifest, "taken", &taken), 1);
    assert_true(span_is(taken, "2026-11-24T08:15:02Z"));
    assert_int_equal(manifest_note(&manifest, "take", &taken), 0);
    assert_true(manifest_names(&manifest, "process", "lake"));
    assert_false(manifest_names(&manifest, "process", "customer-trusted"));
    assert_true(manifest_names(&manifest, "missing", "customer-trusted"));
    manifest_free(&manifest);
}

/* Whatever is changed, at any place, and wherever it ends. */
static void
a_damaged_one_is_refused(void **state)
{
    struct buffer text = {NULL, 0, 0};

    (void)state;
    assert_int_equal(read_back(), -1); /* there is none */
    write_with("lake/part");
    assert_int_equal(file_read(path(), &text), 0);
    for (size_t i = 0; i < text.len; i++) {
        const int fd = open(path(), O_WRONLY);
        assert_int_equal(file_write_at(fd, text.data[i] == '1' ? "2" : "1", 1, i), 0);
        assert_int_equal(read_back(), -1);
        assert_int_equal(file_write_at(fd, text.data, text.len, 0), 0);
        close(fd);
    }
    assert_int_equal(read_back(), 0);
    for (size_t len = 0; len < text.len; len++) {
        assert_int_equal(truncate(path(), (off_t)len), 0);
        assert_int_equal(read_back(), -1);
        assert_int_equal(truncate(path(), 0), 0);
        const int fd = open(path(), O_WRONLY);
        assert_int_equal(file_write_at(fd, text.data, text.len, 0), 0);
        close(fd);
    }
    buffer_free(&text);
}

/* Its checksum keeps nobody out. */
static void
a_path_that_leads_out_of_it_is_refused(void **state)
{
    static const char *const bad[] = {"/etc/passwd", "lake/../../x", "lake/..", "state//x", "state/./x", "x", "state/",
                                      "state",       "../state/x",   ""};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_with(bad[i]);
        assert_int_equal(read_back(), -1);
    }
    write_with("state/..x/...");
    assert_int_equal(read_back(), 0);
}

/* Who reads it may do so on a terminal. */
static void
what_is_not_to_be_shown_is_refused(void **state)
{
    static const char *const bad[] = {"lake/\x1b[2J", "lake/\r", "lake/\x7f", "lake/\xc2\x9b"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_with(bad[i]);
        assert_int_equal(read_back(), -1);
    }
}

static void
a_file_is_found_by_its_whole_path_or_its_folder(void **state)
{
    struct manifest manifest = {.count = 0};

    (void)state;
    assert_false(manifest_has(&manifest, "lake/"));
    manifest_add(&manifest, "lake/x/part-1");
    assert_true(manifest_has(&manifest, "lake/x/part-1"));
    assert_false(manifest_has(&manifest, "lake/x/part"));
    assert_true(manifest_has(&manifest, "lake/"));
    assert_false(manifest_has(&manifest, "state/"));
    manifest_free(&manifest);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(a_damaged_one_is_refused),
        TEST(a_path_that_leads_out_of_it_is_refused),
        TEST(what_is_not_to_be_shown_is_refused),
        TEST(a_file_is_found_by_its_whole_path_or_its_folder),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
