/* log and notify: what reaches the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"

static char text[8192];

/* Run call in a process of its own with standard error read into text; returns its wait status. */
static int
capture(void (*call)(void))
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        call();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
expect_match(const char *pattern)
{
    regex_t regex;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (result != 0)
        print_error("'%s' does not match %s\n", text, pattern);
    assert_int_equal(result, 0);
}

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

static void
log_every_level(void)
{
    log_open("test", LOG_INFO);
    log_error("one %d", 1);
    log_warning("two");
    log_info("three");
    log_debug("four");
}

static void
a_line_has_time_level_program_and_text(void **state)
{
    (void)state;
    assert_int_equal(capture(log_every_level), 0);
    expect_match("^" TIME " error test: one 1\n" TIME " warning test: two\n" TIME " info test: three\n$");
}

static void
log_only_errors(void)
{
    log_open("test", LOG_ERROR);
    log_warning("two");
    log_info("three");
    log_error("one");
}

static void
less_important_lines_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(capture(log_only_errors), 0);
    expect_match("^" TIME " error test: one\n$");
}

static void
log_line_ends(void)
{
    log_open("test", LOG_INFO);
    log_info("a\nb\r\x1b[2J\x7f\xc2\x9b" "2J\x9b%s", "\xc3\xa9");
}

static void
an_event_stays_one_line_whatever_is_in_it(void **state)
{
    (void)state;
    assert_int_equal(capture(log_line_ends), 0);
    expect_match("^" TIME " info test: a\\?b\\?\\?\\[2J\\?\\?2J\\?\xc3\xa9\n$");
}

static void
log_long_lines(void)
{
    log_open("test", LOG_INFO);
    log_info("%05000d", 0);
    log_info("next");
}

static void
a_long_line_is_cut_and_ended(void **state)
{
    (void)state;
    assert_int_equal(capture(log_long_lines), 0);
    expect_match("^" TIME " info test: 0+\n" TIME " info test: next\n$");
    assert_int_equal(strcspn(text, "\n"), 2047 - 1);
}

static void
call_fatal(void)
{
    log_open("test", LOG_ERROR);
    log_fatal("no %s", "room");
}

static void
fatal_exits_with_1(void **state)
{
    int status = capture(call_fatal);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    expect_match("^" TIME " error test: no room\n$");
}

static void
call_panic(void)
{
    log_open("test", LOG_ERROR);
    log_panic("our fault");
}

static void
panic_aborts(void **state)
{
    int status = capture(call_panic);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    expect_match("^" TIME " error test: our fault\n");
}

static char log_dir[64];

/* The child's part: to the file at path, then a line. Its status: 0 taken, 1 refused with fault, which is said. */
static const char *log_path;

static void
log_into_file(void)
{
    struct buffer fault = {NULL, 0, 0};

    log_open("test", LOG_INFO);
    if (log_to_file(log_path, &fault) == 0)
        log_info("a line");
    else
        log_error("refused: %s", buffer_text(&fault));
    _exit(fault.len > 0);
}

/* What is at path as the child says it: in the file itself (true), or on its old standard error. */
static bool
goes_to_file(const char *path)
{
    log_path = path;
    const int status = capture(log_into_file);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0)
        assert_string_equal(text, "");
    return WEXITSTATUS(status) == 0;
}

static const char *
in_log_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", log_dir, name);
    return path;
}

/* bug_450: SIGHUP opened the file anew through a link that had taken the place of the folder since the start. */
static void
bug_450_a_log_is_opened_through_no_link(void **state)
{
    char target[128];

    (void)state;
    snprintf(log_dir, sizeof log_dir, "/tmp/gait-log-XXXXXX");
    assert_non_null(mkdtemp(log_dir));
    assert_true(goes_to_file(in_log_dir("log/lake.log")));
    assert_int_equal(access(log_path, F_OK), 0);
    assert_true(goes_to_file(log_path)); /* once more, appended */
    snprintf(target, sizeof target, "%s", in_log_dir("elsewhere"));
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(symlink(target, in_log_dir("link")), 0);
    assert_false(goes_to_file(in_log_dir("link/lake.log")));
    expect_match(" error test: refused: /tmp/gait-log-[^/]+/link is a link");
    assert_int_not_equal(access(in_log_dir("elsewhere/lake.log"), F_OK), 0);
    assert_int_equal(chdir(log_dir), 0);
    assert_true(goes_to_file("log/lake.log"));
    assert_true(goes_to_file("alone.log"));
    assert_false(goes_to_file("link/lake.log"));
    assert_int_equal(chdir("/"), 0);
    assert_true(goes_to_file(in_log_dir("link/log/lake.log"))); /* the user's own link to DIR */
    assert_int_equal(file_remove_dir(log_dir), 0);
}

/* A datagram socket bound to the len bytes of address. */
static int
bind_socket(const struct sockaddr_un *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)address, len), 0);
    return fd;
}

static void
expect_message(int fd, const char *wanted)
{
    char message[1024];
    ssize_t len = recv(fd, message, sizeof message - 1, 0);

    assert_true(len >= 0);
    message[len] = '\0';
    assert_string_equal(message, wanted);
}

/* fd is closed. */
static void
expect_ready(int fd)
{
    notify_ready();
    expect_message(fd, "READY=1\nSTATUS="); /* what was hindering is not any more */
    close(fd);
}

static void
readiness_is_told_on_an_abstract_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address;
    int fd = bind_socket(&address, sizeof address.sun_family); /* the kernel chooses a name */

    (void)state;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char name[sizeof address.sun_path + 1];
    snprintf(name, sizeof name, "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    expect_ready(fd);
}

static void
readiness_is_told_on_a_socket_with_a_path(void **state)
{
    char dir[] = "/tmp/gait-notify-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", dir);
    int fd = bind_socket(&address, sizeof address);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    expect_ready(fd);
    unlink(address.sun_path);
    rmdir(dir);
}

static void
what_hinders_is_told_and_whether_a_person_must_mend_it(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address;
    char name[sizeof address.sun_path + 1];
    char endless[2 * NOTIFY_BYTES_MAX];
    int fd = bind_socket(&address, sizeof address.sun_family);

    (void)state;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(name, sizeof name, "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_status("no broker");
    expect_message(fd, "STATUS=no broker");
    notify_refused("not authorized");
    expect_message(fd, "ERRNO=13\nSTATUS=not authorized");
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    notify_status(endless);
    assert_true(recv(fd, endless, sizeof endless, 0) < NOTIFY_BYTES_MAX);
    close(fd);
}

static char followed[64];

static void
follower(const char *told)
{
    snprintf(followed, sizeof followed, "%s", told);
}

static void
log_followed(void)
{
    log_open("test", LOG_NOTHING);
    log_follow(follower);
    log_warning("a %s", "warning");
    if (strcmp(followed, "a warning") == 0)
        log_error("an error");
    if (strcmp(followed, "an error") == 0)
        log_info("no news");
    log_follow(NULL);
    log_error("too late");
    if (strcmp(followed, "an error") == 0)
        dprintf(STDERR_FILENO, "as wanted");
}

static void
a_follower_hears_errors_and_warnings_at_any_level(void **state)
{
    (void)state;
    assert_int_equal(capture(log_followed), 0);
    expect_match("^as wanted$");
}

static void
nobody_to_tell_is_no_error(void **state)
{
    char endless[500];

    (void)state;
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    const char *const names[] = {"", "/", "@", "/nonexistent/socket", "@gait-nobody-is-here", endless};
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready();
    }
}

static void
clocks_go_forward(void **state)
{
    int64_t first = clock_steady_ms();

    (void)state;
    assert_true(clock_steady_ms() >= first);
    assert_true(clock_wall_ms() > INT64_C(1700000000000)); /* of 2023: ms, and not s or µs */
    assert_true(clock_wall_ms() < INT64_C(17000000000000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_program_and_text),
        cmocka_unit_test(less_important_lines_are_dropped),
        cmocka_unit_test(an_event_stays_one_line_whatever_is_in_it),
        cmocka_unit_test(a_long_line_is_cut_and_ended),
        cmocka_unit_test(fatal_exits_with_1),
        cmocka_unit_test(panic_aborts),
        cmocka_unit_test(bug_450_a_log_is_opened_through_no_link),
        cmocka_unit_test(readiness_is_told_on_an_abstract_socket),
        cmocka_unit_test(readiness_is_told_on_a_socket_with_a_path),
        cmocka_unit_test(what_hinders_is_told_and_whether_a_person_must_mend_it),
        cmocka_unit_test(a_follower_hears_errors_and_warnings_at_any_level),
        cmocka_unit_test(nobody_to_tell_is_no_error),
        cmocka_unit_test(clocks_go_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
