/* folder: what is not ours alone is not worked in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "disk.h"
#include "scratch_dir.h"

#define SOMEBODY 65534

static char dir[SCRATCH_DIR_SIZE];
static struct buffer fault;

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
    disk_before = NULL;
    buffer_free(&fault);
    scratch_dir_remove(dir);
    return 0;
}

/* The name below dir; one at a time. */
static const char *
below(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* It is refused, and the fault says both words. */
static void
expect_refused(int fd, int error, const char *word, const char *other)
{
    const int said = errno;
    assert_int_equal(fd, -1);
    assert_int_equal(said, error);
    assert_non_null(strstr(buffer_text(&fault), word));
    assert_non_null(strstr(buffer_text(&fault), other));
    buffer_clear(&fault);
}

static void
expect_opened(int fd)
{
    assert_true(fd >= 0);
    assert_int_equal(fault.len, 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void
what_is_missing_is_made_for_the_owner_alone(void **state)
{
    struct stat info;
    (void)state;
    expect_opened(folder_open(below("new"), "state//lake/", &fault));
    assert_int_equal(stat(below("new/state/lake"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(stat(below("new"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    expect_opened(folder_open(below("new"), "", &fault));
}

static void
what_is_only_looked_at_stays_missing(void **state)
{
    (void)state;
    assert_int_equal(folder_look(dir, "state/lake", &fault), -1);
    assert_int_equal(folder_look(below("none"), "", &fault), -1);
    assert_int_equal(fault.len, 0);
    assert_int_not_equal(access(below("state"), F_OK), 0);
    assert_int_equal(mkdir(below("state"), 0777), 0);
    assert_int_equal(chmod(below("state"), 0777), 0);
    expect_refused(folder_look(dir, "state", &fault), EPERM, "/state has mode 0777", "chmod go-w ");
}

/* The user's own link names the folder; one below it was laid by who knows whom. */
static void
no_link_is_followed_below_the_folder(void **state)
{
    char path[256];
    (void)state;
    assert_int_equal(mkdir(below("real"), 0700), 0);
    assert_int_equal(symlink("real", below("link")), 0);
    expect_opened(folder_open(below("link"), "state", &fault));
    assert_int_equal(access(below("real/state"), F_OK), 0);
    snprintf(path, sizeof path, "%s/elsewhere", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(symlink(path, below("real/log")), 0);
    expect_refused(folder_open(below("real"), "log", &fault), ENOTDIR, "/real/log is a link", "move it away");
    expect_refused(folder_open(below("real"), "log/deeper", &fault), ENOTDIR, "/real/log is a link", "move it away");
    assert_int_not_equal(access(below("elsewhere/deeper"), F_OK), 0);
}

static void
nobody_else_may_write_there(void **state)
{
    static const mode_t modes[] = {0720, 0702, 01777, 02770};
    (void)state;
    assert_int_equal(mkdir(below("a"), 0700), 0);
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(below("a"), modes[i]), 0);
        expect_refused(folder_open(dir, "a", &fault), EPERM, "/a has mode ", "chmod go-w ");
        expect_refused(folder_open(dir, "a/b", &fault), EPERM, "/a has mode ", "chmod go-w ");
        expect_refused(folder_open(below("a"), "b", &fault), EPERM, "/a has mode ", "chmod go-w ");
    }
    assert_int_not_equal(access(below("a/b"), F_OK), 0);
    assert_int_equal(chmod(below("a"), 0755), 0);
    expect_opened(folder_open(dir, "a", &fault));
}

static void
somebody_elses_folder_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(below("a"), 0755), 0);
    assert_int_equal(chown(below("a"), SOMEBODY, (gid_t)-1), 0);
    expect_refused(folder_open(dir, "a/b", &fault), EPERM, "/a belongs to user 65534", "chown -R 0 ");
    expect_refused(folder_open(below("a"), "", &fault), EPERM, "/a belongs to user 65534", "chown -R 0 ");
    expect_refused(folder_file(below("a"), "", "file", O_RDWR | O_CREAT, &fault), EPERM, "/a belongs to user", "chown");
    assert_int_not_equal(access(below("a/file"), F_OK), 0);
}

static void
a_file_is_opened_through_no_link_and_is_one(void **state)
{
    char path[256];
    (void)state;
    expect_opened(folder_file(dir, "log", "lake.log", O_WRONLY | O_CREAT | O_APPEND, &fault));
    snprintf(path, sizeof path, "%s/target", dir);
    assert_int_equal(file_replace(path, "not ours to write\n"), 0);
    assert_int_equal(symlink(path, below("log/link")), 0);
    expect_refused(folder_file(dir, "log", "link", O_WRONLY | O_CREAT | O_APPEND, &fault), ELOOP, "/log/link ", "is a link");
    assert_int_equal(mkfifo(below("log/pipe"), 0600), 0);
    expect_refused(folder_file(dir, "log", "pipe", O_RDWR, &fault), EPERM, "/log/pipe is not a file", "move it away");
    if (geteuid() == 0) {
        assert_int_equal(chown(below("log/lake.log"), SOMEBODY, (gid_t)-1), 0);
        expect_refused(folder_file(dir, "log", "lake.log", O_WRONLY, &fault), EPERM, "/log/lake.log is not a file",
                       "move it away");
    }
}

static void
a_folder_with_links_is_not_clean(void **state)
{
    (void)state;
    int fd = folder_open(dir, "store", &fault);
    assert_true(fd >= 0);
    assert_int_equal(file_replace(below("store/data.mdb"), "x"), 0);
    assert_int_equal(mkdir(below("store/folder"), 0700), 0);
    assert_int_equal(folder_is_clean(fd, below("store"), &fault), 0);
    assert_int_equal(symlink("/etc/passwd", below("store/lock.mdb")), 0);
    expect_refused(folder_is_clean(fd, below("store"), &fault), ELOOP, "/store/lock.mdb is a link", "move it away");
    close(fd);
}

static void
assert_content(const char *path, const char *wanted)
{
    struct buffer content = {NULL, 0, 0};
    assert_int_equal(file_read(path, &content), 0);
    assert_string_equal(buffer_text(&content), wanted);
    buffer_free(&content);
}

static int
refuse_to_rename(const struct disk_call *call)
{
    return call->deed == DISK_RENAME ? EIO : 0;
}

static void
a_file_is_replaced_whole_and_through_no_link(void **state)
{
    char path[256];
    (void)state;
    expect_refused(folder_replace(dir, "pid", "lake.pid", "1\n", &fault), ENOENT, "/pid: ", "No such");
    assert_int_equal(mkdir(below("pid"), 0700), 0);
    assert_int_equal(folder_replace(dir, "pid", "lake.pid", "1\n", &fault), 0);
    assert_int_equal(folder_replace(dir, "pid", "lake.pid", "22\n", &fault), 0);
    assert_content(below("pid/lake.pid"), "22\n");
    disk_before = refuse_to_rename;
    expect_refused(folder_replace(dir, "pid", "lake.pid", "333\n", &fault), EIO, "/pid/lake.pid can't be written", "");
    disk_before = NULL;
    assert_content(below("pid/lake.pid"), "22\n");
    assert_int_not_equal(access(below("pid/lake.pid.new"), F_OK), 0);
    snprintf(path, sizeof path, "%s/target", dir);
    assert_int_equal(file_replace(path, "theirs\n"), 0);
    assert_int_equal(symlink(path, below("pid/lake.pid.new")), 0); /* laid in wait */
    assert_int_equal(folder_replace(dir, "pid", "lake.pid", "4444\n", &fault), 0);
    assert_content(below("pid/lake.pid"), "4444\n");
    assert_content(path, "theirs\n");
    snprintf(path, sizeof path, "%s/away", dir);
    assert_int_equal(rename(below("pid"), path), 0);
    assert_int_equal(symlink(path, below("pid")), 0);
    expect_refused(folder_replace(dir, "pid", "lake.pid", "5\n", &fault), ENOTDIR, "/pid is a link", "move it away");
    expect_refused(folder_remove(dir, "pid", "lake.pid", &fault), ENOTDIR, "/pid is a link", "move it away");
    assert_content(below("away/lake.pid"), "4444\n");
    assert_int_equal(folder_remove(dir, "away", "lake.pid", &fault), 0);
    assert_int_not_equal(access(below("away/lake.pid"), F_OK), 0);
    assert_int_equal(folder_remove(dir, "away", "lake.pid", &fault), 0);
    assert_int_equal(folder_remove(dir, "nowhere", "lake.pid", &fault), 0);
    assert_int_equal(fault.len, 0);
}

/* Write a word there; closed. */
static void
write_out(const char *word)
{
    const int fd = folder_output(below("out"), "people", &fault);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, word, strlen(word)), strlen(word));
    close(fd);
}

/* bug_451: root wrote through a link that somebody had laid in a folder that others may write in. */
static void
bug_451_what_a_person_wants_is_written_where_others_lay_nothing(void **state)
{
    static const mode_t modes[] = {01777, 0777, 0770};
    char target[256];
    (void)state;
    assert_int_equal(mkdir(below("out"), 0755), 0);
    snprintf(target, sizeof target, "%s/target", dir);
    assert_int_equal(file_replace(target, "a long text\n"), 0);
    assert_int_equal(symlink(target, below("out/people")), 0);
    write_out("mine\n"); /* one's own link, as any tool */
    assert_content(target, "mine\n");
    for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(below("out"), modes[i]), 0);
        expect_refused(folder_output(below("out"), "people", &fault), ELOOP, "people: others may write", "move it away");
        assert_content(target, "mine\n");
    }
    assert_int_equal(unlink(below("out/people")), 0);
    write_out("a longer text\n");
    write_out("new\n");
    assert_content(below("out/people"), "new\n");
    assert_int_equal(unlink(below("out/people")), 0);
    assert_int_equal(link(target, below("out/people")), 0); /* another name of it, laid there */
    expect_refused(folder_output(below("out"), "people", &fault), ELOOP, "people: others may write", "move it away");
    assert_int_equal(unlink(below("out/people")), 0);
    assert_int_equal(mkfifo(below("out/people"), 0600), 0);
    expect_refused(folder_output(below("out"), "people", &fault), ENXIO, "/out/people: ", "No such device");
    assert_int_equal(unlink(below("out/people")), 0);
    assert_content(target, "mine\n");
    if (geteuid() == 0) {
        assert_int_equal(file_replace(below("out/people"), "theirs\n"), 0);
        assert_int_equal(chown(below("out/people"), SOMEBODY, (gid_t)-1), 0);
        expect_refused(folder_output(below("out"), "people", &fault), ELOOP, "/out/people: others may write", "move");
        assert_content(below("out/people"), "theirs\n");
        assert_int_equal(chmod(below("out"), 0755), 0);
        assert_int_equal(chown(below("out"), SOMEBODY, (gid_t)-1), 0); /* its owner may write in it */
        expect_refused(folder_output(below("out"), "people", &fault), ELOOP, "/out/people: others may write", "move");
    }
    expect_refused(folder_output(below("nowhere"), "people", &fault), ENOENT, "/nowhere: ", "No such file");
}

static int
refuse_to_sync(const struct disk_call *call)
{
    char path[256];
    if (call->deed != DISK_SYNC)
        return 0;
    disk_path(call->fd, NULL, path, sizeof path);
    return strcmp(path, dir) == 0 ? EIO : 0;
}

static void
a_name_that_is_not_durable_is_an_error(void **state)
{
    (void)state;
    disk_before = refuse_to_sync;
    expect_refused(folder_open(dir, "state", &fault), EIO, "/state", "durable");
    disk_before = NULL;
    expect_opened(folder_open(dir, "state", &fault));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_is_made_for_the_owner_alone),
        TEST(what_is_only_looked_at_stays_missing),
        TEST(no_link_is_followed_below_the_folder),
        TEST(nobody_else_may_write_there),
        TEST(somebody_elses_folder_is_refused),
        TEST(a_file_is_opened_through_no_link_and_is_one),
        TEST(a_folder_with_links_is_not_clean),
        TEST(a_file_is_replaced_whole_and_through_no_link),
        TEST(bug_451_what_a_person_wants_is_written_where_others_lay_nothing),
        TEST(a_name_that_is_not_durable_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
