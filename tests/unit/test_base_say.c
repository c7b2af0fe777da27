/* say: who begins to speak leaves no core, with the keys and passwords in it; and what is said does not speak to a
 * terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/say.h"

enum { FINE, MAY_BE_DUMPED, HAS_ROOM_FOR_A_CORE, HAS_MEMORY_IN_A_CORE, WAS_SO_BEFORE };

/* Which kinds of memory go into a core, as core(5) has it; 0 none. */
static long
core_filter(void)
{
    FILE *file = fopen("/proc/self/coredump_filter", "re");
    char text[32] = "";

    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        return -1;
    fclose(file);
    return strtol(text, NULL, 16);
}

static int
begin(void)
{
    struct rlimit core;

    if (prctl(PR_GET_DUMPABLE) != 1 || core_filter() == 0)
        return WAS_SO_BEFORE;
    say_begin();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (prctl(PR_GET_DUMPABLE) != 0)
        return MAY_BE_DUMPED;
#endif
    if (core_filter() != 0)
        return HAS_MEMORY_IN_A_CORE;
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 ? FINE : HAS_ROOM_FOR_A_CORE;
}

static void
who_begins_to_speak_leaves_no_core(void **state)
{
    const pid_t pid = fork();
    int status;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(begin());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FINE);
}

static void
a_line_of_names_from_outside_does_not_speak_to_a_terminal(void **state)
{
    char text[256];
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    const int standard = dup(STDERR_FILENO);
    fflush(stderr);
    assert_true(standard >= 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    say("%s: %s", "\033]0;title\a/tmp/\xc2\x9b" "31m\n", "gone \xc3\xa9");
    assert_int_equal(dup2(standard, STDERR_FILENO), STDERR_FILENO);
    const ssize_t len = read(ends[0], text, sizeof text - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_string_equal(text, "gait: ?]0;title?/tmp/?31m?: gone \xc3\xa9\n");
    close(standard);
    close(ends[0]);
    close(ends[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_begins_to_speak_leaves_no_core),
        cmocka_unit_test(a_line_of_names_from_outside_does_not_speak_to_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
