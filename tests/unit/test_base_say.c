/* say: who begins to speak leaves no core, with the keys and passwords in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/say.h"

enum { FINE, MAY_BE_DUMPED, HAS_ROOM_FOR_A_CORE, WAS_SO_BEFORE };

static int
begin(void)
{
    struct rlimit core;

    if (prctl(PR_GET_DUMPABLE) != 1)
        return WAS_SO_BEFORE;
    say_begin();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (prctl(PR_GET_DUMPABLE) != 0)
        return MAY_BE_DUMPED;
#endif
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

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_begins_to_speak_leaves_no_core)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
