/* printable: no byte of somebody else's speaks to a terminal, and everything else comes through as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "printable.h"

static void
assert_shown(const char *text, const char *expected)
{
    struct buffer line = {0};
    printable_add(&line, span_of(text));
    assert_string_equal(buffer_text(&line), expected);
    buffer_free(&line);
}

static void
bug_365_no_control_character_comes_through(void **state)
{
    (void)state;
    assert_shown("plain \t text", "plain \t text");
    assert_shown("\033[2J\a\r\x7f", "?[2J???");
    assert_shown("\xc2\x9b" "2J\xc2\x80\xc2\x9f", "?2J??");    /* C1, as UTF-8 */
    assert_shown("\x9b" "2J", "?2J");                             /* and bare */
    assert_shown("a\xe2\x80\xae" "b\xe2\x81\xa6" "c\xe2\x80\xa8\xd8\x9c\xe2\x80\x8f", "a?b?c???"); /* direction, lines */
    const char *const shown = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc2\xa0\xef\xbf\xbd";
    assert_shown(shown, shown);
    assert_shown("\xc0\x9b\xe0\x82\x9b\xf0\x80\x82\x9b", "?????????");    /* longer than they may be */
    assert_shown("\xc3", "?");
    assert_shown("\xe2\x82", "??");
    assert_shown("\xed\xa0\x80\xf8\xff", "?????");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_365_no_control_character_comes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
