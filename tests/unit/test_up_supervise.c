/* supervise: a program that ends again and again is started ever more rarely, ready or not. The program is this one, told so
 * by its argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "scratch_dir.h"
#include "up/supervise.h"

/* The waits between them are those of supervise.c: 50 ms, and doubled each time. */
#define STARTS 7
#define FIRST_WAIT_MS 50
#define LIMIT_MS 60000

static char dir[SCRATCH_DIR_SIZE];
static char starts_path[SCRATCH_DIR_SIZE + 16], log_path[SCRATCH_DIR_SIZE + 16];

static int
set_up(void **state)
{
    char path[SCRATCH_DIR_SIZE + 16];

    (void)state;
    scratch_dir_make(dir);
    snprintf(path, sizeof path, "%s/log", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/pid", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(starts_path, sizeof starts_path, "%s/starts", dir);
    snprintf(log_path, sizeof log_path, "%s/said", dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_dir_remove(dir);
    return 0;
}

/* The program: note when it was started, say that it is ready if it is to be, or what is wrong with its configuration, and
 * end. */
static int
be_the_program(const char *path, const char *word)
{
    const int64_t now_ms = clock_steady_ms();
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, &now_ms, sizeof now_ms) != (ssize_t)sizeof now_ms)
        return 2;
    if (strcmp(word, "misconfigured") == 0) {
        char text[1500];
        snprintf(text, sizeof text, "%01400d set it back", 1);
        notify_status(text);
        return 78;
    }
    if (strcmp(word, "ready") == 0)
        notify_ready();
    return 1;
}

/* gait up, with this program alone. */
static pid_t
supervise(char *word)
{
    static char self[] = "/proc/self/exe";
    char *argv[] = {self, word, starts_path, NULL};
    const struct supervise_program program = {.name = "short-lived", .argv = argv};
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    log_open("up", LOG_INFO);
    _exit(supervise_run(&program, 1, dir));
}

/* When the program was started, for the first STARTS times. */
static void
wait_for_starts(int64_t *starts_ms)
{
    const int64_t until_ms = clock_steady_ms() + LIMIT_MS;
    const size_t wanted = STARTS * sizeof *starts_ms;
    ssize_t len = 0;

    while ((size_t)len < wanted) {
        assert_true(clock_steady_ms() < until_ms);
        usleep(10000);
        const int fd = open(starts_path, O_RDONLY | O_CLOEXEC);
        len = fd >= 0 ? read(fd, starts_ms, wanted) : 0;
        if (fd >= 0)
            close(fd);
    }
}

/* How many lines of the supervisor's log have this in them. */
static unsigned
lines_with(const char *part)
{
    char line[4096];
    unsigned count = 0;
    FILE *file = fopen(log_path, "re");

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, part) != NULL;
    fclose(file);
    return count;
}

static void
assert_put_off(char *word)
{
    int64_t starts_ms[STARTS];
    int status;
    const pid_t pid = supervise(word);

    wait_for_starts(starts_ms);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (unsigned i = 1; i < STARTS; i++)
        assert_true(starts_ms[i] - starts_ms[i - 1] >= FIRST_WAIT_MS << (i - 1));
    assert_int_equal(lines_with("short-lived ends again and again soon after its start: it is started ever more rarely"), 1);
    assert_int_equal(lines_with("short-lived is ready") > 0, strcmp(word, "ready") == 0);
}

/* 17 times a second for ever: being ready made the wait the first one again. */
static void
one_that_is_ready_and_ends_is_started_ever_more_rarely(void **state)
{
    char word[] = "ready";

    (void)state;
    assert_put_off(word);
}

static void
one_that_ends_before_it_is_ready_is_started_ever_more_rarely(void **state)
{
    char word[] = "unready";

    (void)state;
    assert_put_off(word);
}

/* Its log is nowhere that whoever started `gait up` looks. */
static void
one_whose_configuration_is_wrong_is_not_started_again_and_its_reason_is_said_whole(void **state)
{
    char word[] = "misconfigured";
    struct stat info;
    int status;
    const pid_t pid = supervise(word);
    const int64_t until_ms = clock_steady_ms() + LIMIT_MS;
    pid_t ended;

    (void)state;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_steady_ms() < until_ms)
        usleep(10000);
    if (ended == 0)
        kill(pid, SIGTERM);
    assert_int_equal(ended, pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 78);
    assert_int_equal(stat(starts_path, &info), 0);
    assert_int_equal(info.st_size, sizeof(int64_t));
    assert_int_equal(lines_with("short-lived is not ready: 000"), 1);
    assert_int_equal(lines_with("1 set it back\n"), 1);
    assert_int_equal(lines_with("finds its configuration wrong"), 1);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_is_ready_and_ends_is_started_ever_more_rarely, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_ends_before_it_is_ready_is_started_ever_more_rarely, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_whose_configuration_is_wrong_is_not_started_again_and_its_reason_is_said_whole,
                                        set_up, tear_down),
    };

    if (argc == 3)
        return be_the_program(argv[2], argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
