/* folder: what is not ours alone is not worked in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/way.h"
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

/* The way to the folder. */

/* The name below dir again, for a second one. */
static const char *
other(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void
make_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(other(name), 0700), 0);
    assert_int_equal(chmod(other(name), mode), 0);
}

static void
expect_no_way(const char *name, const char *word, const char *advice)
{
    expect_refused(folder_look(below(name), "", &fault), EPERM, word, advice);
    expect_refused(folder_open(below(name), "", &fault), EPERM, word, advice);
    expect_refused(folder_open(below(name), "log", &fault), EPERM, word, advice);
}

static void
bug_456_nobody_else_may_change_the_way(void **state)
{
    static const mode_t good[] = {0700, 0755, 0775, 02775, 01777}, bad[] = {0777, 0757, 0702};

    (void)state;
    make_folder("way", 0700);
    make_folder("way/deep", 0700);
    make_folder("way/deep/dir", 0700);
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(chmod(other("way"), good[i]), 0);
        expect_opened(folder_look(below("way/deep/dir"), "", &fault));
        expect_opened(folder_look(below("way//./deep/../deep/dir/."), "", &fault));
        assert_int_equal(way_is_safe(below("way"), &fault), 0);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(other("way"), bad[i]), 0);
        expect_no_way("way/deep/dir", "/way, which has mode 0", "chmod o-w ");
        expect_no_way("way/deep/new/new", "/way, which has mode 0", "chmod o-w ");
        expect_refused(way_is_safe(below("way"), &fault), EPERM, "/way, which has mode 0", "chmod o-w ");
    }
    assert_int_not_equal(access(below("way/deep/new"), F_OK), 0);
    assert_int_not_equal(access(below("way/deep/dir/log"), F_OK), 0);
    expect_refused(way_is_safe(below("none"), &fault), ENOENT, "/none can't be opened", "No such file");
}

static void
bug_456_nor_go_through_what_is_somebody_elses(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("ours", 0755);
    make_folder("theirs", 0755);
    make_folder("theirs/ours", 0755);
    assert_int_equal(symlink("ours", below("link")), 0);
    assert_int_equal(symlink("../ours", below("theirs/link")), 0);
    assert_int_equal(symlink("link", below("twice")), 0);
    expect_opened(folder_open(below("twice"), "", &fault));
    assert_int_equal(lchown(below("link"), SOMEBODY, (gid_t)-1), 0);
    expect_no_way("link", "/link, which is a link of user 65534", "chown -h 0 ");
    expect_no_way("link/new", "/link, which is a link of user 65534", "chown -h 0 ");
    expect_no_way("twice", "/link, which is a link of user 65534", "chown -h 0 ");
    assert_int_equal(chown(below("theirs"), SOMEBODY, (gid_t)-1), 0);
    expect_no_way("theirs/ours", "/theirs, which belongs to user 65534", "chown -h 0 ");
    expect_no_way("theirs/link", "/theirs, which belongs to user 65534", "chown -h 0 ");
    expect_no_way("theirs/../ours", "/theirs, which belongs to user 65534", "chown -h 0 ");
    expect_refused(way_is_safe(below("theirs"), &fault), EPERM, "/theirs, which belongs", "chown -h 0 ");
    assert_int_not_equal(access(below("ours/new"), F_OK), 0);
    assert_int_not_equal(access(below("ours/log"), F_OK), 0);
}

static void
a_way_through_links_ends_where_they_do(void **state)
{
    char path[128];

    (void)state;
    make_folder("ours", 0755);
    make_folder("ours/deep", 0755);
    make_folder("side", 0755);
    assert_int_equal(symlink("/", below("root")), 0);
    assert_int_equal(symlink(other("ours/"), below("whole")), 0);
    assert_int_equal(symlink("../whole/deep", below("side/part")), 0);
    assert_int_equal(symlink("round", below("round")), 0);
    assert_int_equal(symlink("missing/deep", below("dangling")), 0);
    expect_opened(folder_open(below("side/part/new"), "log", &fault));
    assert_int_equal(access(below("ours/deep/new/log"), F_OK), 0);
    snprintf(path, sizeof path, "root/..%s/side/part/../made/deep/", dir);
    expect_opened(folder_open(below(path), "", &fault));
    assert_int_equal(access(below("ours/made/deep"), F_OK), 0);
    expect_refused(folder_look(below("round/x"), "", &fault), ELOOP, "/round can't be opened", "");
    expect_refused(folder_open(below("dangling"), "", &fault), ENOENT, "/missing is missing", "mend the link");
    expect_refused(folder_look(below("dangling/x"), "", &fault), ENOENT, "/missing is missing", "mend the link");
    assert_int_not_equal(access(below("missing"), F_OK), 0); /* the disk that is to be there may not be mounted */
    assert_int_equal(folder_look(below("ours/none/none"), "", &fault), -1);
    assert_int_equal(file_replace(below("file"), ""), 0);
    expect_refused(folder_open(below("file/x"), "", &fault), ENOTDIR, "/file can't be made", "Not a directory");
    expect_refused(folder_look("", "", &fault), ENOENT, "can't be opened", "No such file");
}

static void
the_way_of_a_relative_name_begins_at_the_root(void **state)
{
    const int before = open(".", O_PATH | O_CLOEXEC);

    (void)state;
    make_folder("way", 0755);
    make_folder("way/here", 0755);
    assert_int_equal(chdir(below("way/here")), 0);
    expect_opened(folder_open("new/dir", "", &fault));
    assert_int_equal(access(below("way/here/new/dir"), F_OK), 0);
    expect_opened(folder_look(".", "", &fault));
    expect_opened(folder_look("..", "here", &fault));
    assert_int_equal(chmod(other("way"), 0777), 0);
    expect_refused(folder_look("new", "", &fault), EPERM, "/way, which has mode 0777", "chmod o-w ");
    assert_int_equal(fchdir(before), 0);
    close(before);
}

/* In a user namespace in which we are root, and of the one around know user outside alone. 0 if the folder opens, 1 if not,
 * 2 if there is no such namespace. */
static int
look_as_root_of_a_namespace(const char *path, unsigned outside)
{
    char map[32];
    int status;
    const pid_t child = fork();

    if (child == 0) {
        const int len = snprintf(map, sizeof map, "0 %u 1", outside);
        if (outside != geteuid() && setresuid(outside, outside, outside) != 0)
            _exit(2);
        prctl(PR_SET_DUMPABLE, 1); /* or its own /proc is not its own */
        if (unshare(CLONE_NEWUSER) != 0)
            _exit(2);
        const int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, map, (size_t)len) != len)
            _exit(2);
        _exit(folder_look(path, "", &fault) >= 0 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* All that belongs to the host's root, / perhaps too, belongs to nobody in a container without root. */
static void
the_hosts_root_is_trusted_in_a_container_without_root(void **state)
{
    const unsigned us = geteuid() == 0 ? 1000 : geteuid();

    (void)state;
    assert_int_equal(chmod(dir, 0755), 0);
    make_folder("way", 0755);
    make_folder("way/mine", 0755);
    assert_int_equal(chown(below("way/mine"), us, (gid_t)-1), 0);
    const int found = look_as_root_of_a_namespace(below("way/mine"), us);
    if (found == 2)
        skip();
    assert_int_equal(found, 0);
    if (geteuid() != 0)
        return;
    /* One that knows the host's root knows whose that is not. */
    assert_int_equal(chown(below("way/mine"), 0, (gid_t)-1), 0);
    assert_int_equal(look_as_root_of_a_namespace(below("way/mine"), 0), 0);
    assert_int_equal(chown(below("way"), 1234, (gid_t)-1), 0);
    assert_int_equal(look_as_root_of_a_namespace(below("way/mine"), 0), 1);
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
    int fd = folder_open(dir, "store", &fault);

    (void)state;
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
        TEST(bug_456_nobody_else_may_change_the_way),
        TEST(bug_456_nor_go_through_what_is_somebody_elses),
        TEST(a_way_through_links_ends_where_they_do),
        TEST(the_way_of_a_relative_name_begins_at_the_root),
        TEST(the_hosts_root_is_trusted_in_a_container_without_root),
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
