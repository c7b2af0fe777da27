/* suggest: a typing error finds the word that was meant, and a stranger none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/suggest.h"

static const char *const words[] = {"up", "check", "load", "simulate", "status", "tail", "help"};

static const char *
nearest(const char *typed)
{
    return suggest_nearest(typed, words, sizeof words[0], sizeof words / sizeof words[0]);
}

static void
distances_count_single_changes(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("load", "load"), 0);
    assert_int_equal(suggest_distance("", "load"), 4);
    assert_int_equal(suggest_distance("laod", "load"), 1);
    assert_int_equal(suggest_distance("loads", "load"), 1);
    assert_int_equal(suggest_distance("lod", "load"), 1);
    assert_int_equal(suggest_distance("lord", "load"), 1);
    assert_int_equal(suggest_distance("stauts", "status"), 1);
    assert_int_equal(suggest_distance("sttaus", "status"), 1);
    assert_int_equal(suggest_distance("ca", "abc"), 3); /* no letter is changed twice */
}

static void
typing_errors_find_their_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("laod"), "load");
    assert_string_equal(nearest("stauts"), "status");
    assert_string_equal(nearest("simualte"), "simulate");
    assert_string_equal(nearest("tial"), "tail");
    assert_string_equal(nearest("chekc"), "check");
    assert_string_equal(nearest("upp"), "up");
}

static void
other_words_find_none(void **state)
{
    static char endless[1000];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof endless; i++)
        endless[i] = 'x';
    assert_null(nearest("frobnicate"));
    assert_null(nearest(""));
    assert_null(nearest("x"));
    assert_null(nearest("subscribe"));
    assert_null(nearest(endless));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_count_single_changes),
        cmocka_unit_test(typing_errors_find_their_word),
        cmocka_unit_test(other_words_find_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
