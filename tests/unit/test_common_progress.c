/* progress: a bar that fits, and that does not say more than is true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/progress.h"

static char line[PROGRESS_LINE_BYTES];

static const char *
draw(uint64_t done, uint64_t total, uint64_t records, unsigned width)
{
    struct progress_state state = {done, total, records, NULL};

    return progress_line(&state, 10000, width, line);
}

static void
it_fits_at_any_width(void **state)
{
    (void)state;
    for (unsigned width = 0; width < 400; width++) {
        assert_true(strlen(draw(450, 1000, 81273, width)) <= width);
        assert_true(strlen(draw(1000, 1000, UINT64_MAX, width)) <= width);
        assert_true(strlen(draw(1, UINT64_MAX, 0, width)) <= width);
        assert_true(strlen(draw(0, 0, 81273, width)) <= width);
    }
}

static void
the_least_important_goes_first(void **state)
{
    (void)state;
    assert_string_equal(draw(450, 1000, 81273, 20), " 45%  81,273 records");
    assert_string_equal(draw(450, 1000, 81273, 30), " 45%  81,273 records  8,127/s");
    assert_string_equal(draw(450, 1000, 81273, 45), " 45%  81,273 records  8,127/s  0:12 left");
    assert_string_equal(draw(450, 1000, 81273, 60), "[=======>         ]  45%  81,273 records  8,127/s  0:12 left");
}

static void
a_wide_terminal_has_a_bar_that_grows(void **state)
{
    (void)state;
    assert_non_null(strstr(draw(0, 1000, 0, 80), "[>"));
    assert_non_null(strstr(draw(1000, 1000, 5, 80), "=]"));
    assert_non_null(strstr(draw(2000, 1000, 5, 80), "=] 100%")); /* the file has grown since */
}

static void
a_hundred_per_cent_are_not_said_before(void **state)
{
    (void)state;
    assert_null(strchr(draw(0, 0, 81273, 80), '%'));
    assert_null(strchr(draw(0, 0, 81273, 80), '['));
    assert_null(strstr(draw(999999, 1000000, 81273, 80), "100%"));
    assert_non_null(strstr(draw(999999, 1000000, 81273, 80), " 99%"));
    assert_non_null(strstr(draw(1000, 1000, 81273, 80), "100%"));
}

/* What progress_show writes to a terminal of so many columns, or to a file if columns is 0; at most size − 1 bytes. */
static size_t
show_on(unsigned columns, char *text, size_t size)
{
    struct progress progress;
    struct progress_state state = {450, 1000, 81273, NULL};
    struct winsize window = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int far = columns > 0 ? posix_openpt(O_RDWR | O_NOCTTY) : open("/tmp", O_RDWR | O_TMPFILE, 0600);
    int near = far;

    if (far < 0 && columns > 0)
        skip(); /* a bare machine may have no terminals (/dev/pts) */
    assert_true(far >= 0);
    if (columns > 0) {
        assert_int_equal(grantpt(far), 0);
        assert_int_equal(unlockpt(far), 0);
        near = open(ptsname(far), O_RDWR | O_NOCTTY);
        assert_int_equal(ioctl(near, TIOCSWINSZ, &window), 0);
    }
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    dup2(near, STDERR_FILENO);
    progress_start(&progress);
    progress_show(&progress, &state);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    if (columns == 0)
        lseek(far, 0, SEEK_SET);
    ssize_t got = read(far, text, size - 1);
    assert_true(got >= 0);
    text[got] = '\0';
    if (near != far)
        close(near);
    close(far);
    return (size_t)got;
}

static void
it_asks_the_terminal_how_wide_it_is(void **state)
{
    char text[512];

    (void)state;
    for (unsigned columns = 20; columns <= 200; columns += 20) {
        assert_true(show_on(columns, text, sizeof text) > 0);
        assert_int_equal(text[0], '\r');
        char *end = strstr(text, "\033[K");
        assert_non_null(end);
        assert_true(end - (text + 1) < columns); /* the last column stays free */
        assert_non_null(strstr(text, "45%"));
        *end = '\0';
        assert_true(columns < 60 || strchr(text, '[') != NULL);
    }
}

static void
off_a_terminal_it_is_silent(void **state)
{
    char text[512];

    (void)state;
    assert_int_equal(show_on(0, text, sizeof text), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fits_at_any_width),
        cmocka_unit_test(the_least_important_goes_first),
        cmocka_unit_test(a_wide_terminal_has_a_bar_that_grows),
        cmocka_unit_test(a_hundred_per_cent_are_not_said_before),
        cmocka_unit_test(it_asks_the_terminal_how_wide_it_is),
        cmocka_unit_test(off_a_terminal_it_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
