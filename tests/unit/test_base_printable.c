/* printable: no byte of somebody else's speaks to a terminal, and everything else comes through as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/printable.h"

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

static void
assert_document(const char *text, const char *expected)
{
    struct buffer line = {0};

    printable_add_json(&line, span_of(text));
    assert_string_equal(buffer_text(&line), expected);
    buffer_free(&line);
}

/* gait status --json gives out what processes, or whoever speaks in their name, said: JSON lets DEL and C1 stand bare. */
static void
a_document_stays_the_same_and_speaks_to_no_terminal(void **state)
{
    (void)state;
    assert_document("{\"why\":\"\xc2\x9b" "2J\x7f\xe2\x80\xae\"}", "{\"why\":\"\\u009b2J\\u007f\\u202e\"}");
    assert_document("{\n\t\"a\" :\r\n1}", "{ \t\"a\" :  1}");
    assert_document("{\"a\":\"\xc3\xa9\\n\"}", "{\"a\":\"\xc3\xa9\\n\"}");
    assert_document("\"\x9b\"", "\"\\ufffd\""); /* no JSON; it must not come through all the same */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bug_365_no_control_character_comes_through),
        cmocka_unit_test(a_document_stays_the_same_and_speaks_to_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
