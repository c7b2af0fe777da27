/* topic: the names of all topics, and what matches them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "wire/topic.h"

static void
check_name(const char *want, enum topic topic, const char *name, const char *peer)
{
    char *text = topic_name(topic, "a/b", name, peer);

    assert_string_equal(text, want);
    free(text);
}

static void
names_are_as_the_contract_has_them(void **state)
{
    (void)state;
    check_name("a/b/landing/x", TOPIC_LANDING, "x", NULL);
    check_name("a/b/landing/x/#", TOPIC_LANDING_ALL, "landing/x", NULL);
    check_name("a/b/trusted/x", TOPIC_OUTPUT, "trusted/x", NULL);
    check_name("a/b/trusted/x/+", TOPIC_ROWS, "trusted/x", NULL);
    check_name("a/b/ask", TOPIC_ASK, NULL, NULL);
    check_name("a/b/link/x", TOPIC_LINK, "x", NULL);
    check_name("a/b/link/x/y", TOPIC_REPORT, "x", "y");
    check_name("a/b/link/+/y/feed/#", TOPIC_FEEDS, "y", NULL);
    check_name("a/b/link/x/y/oldest", TOPIC_OLDEST, "x", "y");
    check_name("a/b/link/+/y/oldest", TOPIC_OLDESTS, "y", NULL);
    check_name("a/b/link/x/.kept", TOPIC_KEPT, "x", NULL);
}

static void
feeds_and_rows_are_levels_behind(void **state)
{
    struct buffer topic = {0};

    (void)state;
    buffer_add_text(&topic, "a/link/x");
    topic_add_feed(&topic, "y");
    assert_string_equal(buffer_text(&topic), "a/link/x/y/feed");
    topic_add_row(&topic, span_of("7f"));
    assert_string_equal(buffer_text(&topic), "a/link/x/y/feed/7f");
    buffer_free(&topic);
}

static void
check_match(const char *topic, const char *filter, const char *level)
{
    struct span found;

    assert_true(topic_matches(span_of(topic), filter, &found));
    assert_true(span_is(found, level));
}

static void
check_no_match(const char *topic, const char *filter)
{
    struct span found;

    assert_false(topic_matches(span_of(topic), filter, &found));
}

static void
a_filter_without_wildcard_is_one_topic(void **state)
{
    (void)state;
    check_match("a/b", "a/b", "");
    check_no_match("a/bc", "a/b");
    check_no_match("a/b/c", "a/b");
    check_no_match("a", "a/b");
    check_match("a+", "a+", ""); /* no level of its own, so none */
    check_no_match("ab", "a+");
}

static void
plus_is_one_level_with_something_in_it(void **state)
{
    (void)state;
    check_match("a/b", "a/+", "b");
    check_no_match("a/b/c", "a/+");
    check_no_match("a/", "a/+");
    check_no_match("a", "a/+");
    check_no_match("ab/c", "a/+");
}

static void
hash_is_all_levels_and_none(void **state)
{
    struct span level;

    (void)state;
    check_match("a/b", "a/#", "b");
    check_match("a/b/c", "a/#", "b/c");
    check_match("a/", "a/#", "");
    check_no_match("ab", "a/#");
    assert_true(topic_matches(span_of("a"), "a/#", &level));
    assert_null(level.at);
}

/* What is longer than the topic says is not looked at: a topic has no NUL behind it. */
static void
nothing_is_looked_at_behind_a_topics_end(void **state)
{
    struct span level;

    (void)state;
    assert_false(topic_matches(span_at("a/b", 1), "a/+", &level));
    assert_false(topic_matches(span_at("a/b", 2), "a/+", &level));
    assert_false(topic_is(span_at("a/b", 2), "a", "b"));
    assert_false(topic_is_below(span_at("a/b/", 3), "a", "b", &level));
}

static void
at_and_below_are_told_apart(void **state)
{
    struct span rest;

    (void)state;
    assert_true(topic_is(span_of("a/link/x/y/feed"), "a/link/x/y", "feed"));
    assert_false(topic_is(span_of("a/link/x/y/feed/"), "a/link/x/y", "feed"));
    assert_false(topic_is(span_of("a/link/x/y/feeds"), "a/link/x/y", "feed"));
    assert_false(topic_is(span_of("a/link/x/yyfeed"), "a/link/x/y", "feed"));
    assert_false(topic_is(span_of("a/link/x/z/feed"), "a/link/x/y", "feed"));
    assert_true(topic_is_below(span_of("a/answer/x/y"), "a", "answer", &rest));
    assert_true(span_is(rest, "x/y"));
    assert_true(topic_is_below(span_of("a/answer/"), "a", "answer", &rest));
    assert_int_equal(rest.len, 0);
    assert_false(topic_is_below(span_of("a/answer"), "a", "answer", &rest));
    assert_false(topic_is_below(span_of("a/answers/x"), "a", "answer", &rest));
    assert_false(topic_is_below(span_of("b/answer/x"), "a", "answer", &rest));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_as_the_contract_has_them),
        cmocka_unit_test(feeds_and_rows_are_levels_behind),
        cmocka_unit_test(a_filter_without_wildcard_is_one_topic),
        cmocka_unit_test(plus_is_one_level_with_something_in_it),
        cmocka_unit_test(hash_is_all_levels_and_none),
        cmocka_unit_test(nothing_is_looked_at_behind_a_topics_end),
        cmocka_unit_test(at_and_below_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
