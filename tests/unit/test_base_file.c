/* file: whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "disk.h"

static char dir[32];

static int
make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gait-file-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

/* The name below dir; one at a time. */
static const char *
below(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int
remove_dir(void **state)
{
    (void)state;
    unlink(below("file"));
    rmdir(below("a/b/c"));
    rmdir(below("a/b"));
    rmdir(below("a"));
    return rmdir(dir); /* fails if anything else was left behind */
}

static void
folders_are_made_to_the_last_for_the_owner_alone(void **state)
{
    struct stat info;

    (void)state;
    assert_int_equal(file_make_dirs(below("a//b/c/")), 0);
    assert_int_equal(stat(below("a/b/c"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(stat(below("a"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(file_make_dirs(below("a/b/c")), 0);
    assert_int_equal(file_make_dirs("/"), 0);
}

static void
a_file_in_the_way_of_a_folder_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(file_replace(below("file"), ""), 0);
    assert_int_equal(file_make_dirs(below("file")), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(file_make_dirs(below("file/below")), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(file_make_dirs(""), -1);
    assert_int_equal(errno, ENOENT);
}

static void
a_path_without_end_is_an_error(void **state)
{
    static char path[70000];

    (void)state;
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(file_make_dirs(path), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

static void
what_is_written_at_an_offset_is_read_there(void **state)
{
    char bytes[8];
    int fd = open(below("file"), O_RDWR | O_CREAT | O_EXCL, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, "abcdef", 6, 10), 0);
    assert_int_equal(file_read_at(fd, bytes, 4, 11), 4);
    assert_memory_equal(bytes, "bcde", 4);
    assert_int_equal(file_read_at(fd, bytes, sizeof bytes, 14), 2);
    assert_memory_equal(bytes, "ef", 2);
    assert_int_equal(file_read_at(fd, bytes, sizeof bytes, 16), 0);
    close(fd);
    assert_int_equal(file_read_at(fd, bytes, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(file_write_at(fd, "a", 1, 0), -1);
    assert_int_equal(errno, EBADF);
}

static void
reading_appends_the_whole_file(void **state)
{
    struct buffer text = {NULL, 0, 0};
    struct buffer content = {NULL, 0, 0};

    (void)state;
    for (int i = 0; i < 20000; i++)
        buffer_printf(&text, "%d\n", i);
    assert_int_equal(file_replace(below("file"), buffer_text(&text)), 0);
    buffer_add_text(&content, "before:");
    assert_int_equal(file_read(below("file"), &content), 0);
    assert_int_equal(content.len, 7 + text.len);
    assert_memory_equal(content.data, "before:", 7);
    assert_memory_equal(content.data + 7, text.data, text.len);
    assert_int_equal(file_read(below("none"), &content), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_read(dir, &content), -1);
    assert_int_equal(errno, EISDIR);
    buffer_free(&text);
    buffer_free(&content);
}

static void
replacing_makes_a_new_file_for_the_owner_alone(void **state)
{
    struct stat first;
    struct stat second;
    struct buffer content = {NULL, 0, 0};

    (void)state;
    assert_int_equal(file_replace(below("file"), "a long first text"), 0);
    assert_int_equal(stat(below("file"), &first), 0);
    int reader = open(below("file"), O_RDONLY);
    assert_int_equal(file_replace(below("file"), "second"), 0);
    assert_int_equal(stat(below("file"), &second), 0);
    assert_int_equal(second.st_mode & 07777, 0600);
    assert_int_not_equal(first.st_ino, second.st_ino);
    assert_int_equal(file_read(below("file"), &content), 0);
    assert_string_equal(buffer_text(&content), "second");
    char old[32];
    assert_int_equal(file_read_at(reader, old, sizeof old, 0), 17); /* who had it open still reads the old one whole */
    close(reader);
    buffer_free(&content);
}

static void
a_failed_replacement_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(file_replace(below("none/file"), "x"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_make_dirs(below("a/b")), 0);
    assert_int_equal(file_replace(below("a"), "x"), -1); /* a folder can't be replaced */
    assert_int_equal(errno, EISDIR);
    /* remove_dir fails if the temporary file is still there. */
}

static enum disk_deed deeds[8];
static unsigned deed_count;
static int failing = -1; /* the deed that fails */

static int
note_deed(const struct disk_call *call)
{
    if (deed_count < sizeof deeds / sizeof deeds[0])
        deeds[deed_count++] = call->deed;
    return (int)call->deed == failing ? EIO : 0;
}

/* A name on bytes that are not synced is an empty file after a power cut. */
static void
bug_206_a_replacement_is_synced_before_it_has_the_name(void **state)
{
    static const enum disk_deed order[] = {DISK_CREATE, DISK_WRITE, DISK_SYNC, DISK_RENAME};

    (void)state;

    deed_count = 0;
    disk_before = note_deed;
    const int rc = file_replace(below("file"), "text");
    disk_before = NULL;
    assert_int_equal(rc, 0);
    assert_int_equal(deed_count, 4);
    assert_memory_equal(deeds, order, sizeof order);
}

static void
bug_206_what_fails_leaves_the_old_file_and_nothing_else(void **state)
{
    static const enum disk_deed order[] = {DISK_CREATE, DISK_WRITE, DISK_SYNC, DISK_RENAME};
    struct buffer content = {0};

    (void)state;

    assert_int_equal(file_replace(below("file"), "old"), 0);
    disk_before = note_deed;
    for (unsigned i = 0; i < 4; i++) {
        failing = (int)order[i];
        errno = 0;
        const int rc = file_replace(below("file"), "new");
        assert_int_equal(rc, -1);
        assert_int_equal(errno, EIO);
    }
    failing = -1;
    disk_before = NULL;
    assert_int_equal(file_read(below("file"), &content), 0);
    assert_string_equal(buffer_text(&content), "old");
    buffer_free(&content);
    /* remove_dir fails if a temporary file is still there. */
}

static void
folders_can_be_made_durable(void **state)
{
    (void)state;
    assert_int_equal(file_sync_dir(dir), 0);
    assert_int_equal(file_sync_dir(below("none")), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_replace(below("file"), ""), 0);
    assert_int_equal(file_sync_dir(below("file")), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(file_sync_dir("/proc"), 0); /* whose folders can't be synced */
    assert_int_equal(file_sync_name(below("file")), 0);
    assert_int_equal(file_sync_name(below("none/file")), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_sync_name("/"), 0);
    assert_int_equal(file_sync_name("file"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folders_are_made_to_the_last_for_the_owner_alone),
        TEST(a_file_in_the_way_of_a_folder_is_an_error),
        TEST(a_path_without_end_is_an_error),
        TEST(what_is_written_at_an_offset_is_read_there),
        TEST(reading_appends_the_whole_file),
        TEST(replacing_makes_a_new_file_for_the_owner_alone),
        TEST(a_failed_replacement_leaves_nothing_behind),
        TEST(bug_206_a_replacement_is_synced_before_it_has_the_name),
        TEST(bug_206_what_fails_leaves_the_old_file_and_nothing_else),
        TEST(folders_can_be_made_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
