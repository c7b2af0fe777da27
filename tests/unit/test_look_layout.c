/* layout: whatever the numbers and texts are, no line is wider than a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "look/layout.h"

static const char *const headers[] = {"taken", "passed", "wait", "refused", "dup", "stale", "invalid", "behind"};

#define COLUMNS (sizeof headers / sizeof headers[0])
#define LONGEST "  curated_machine_learning" /* of all names of inputs */

static size_t
widest_line(const char *text)
{
    size_t widest = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        widest = len > widest ? len : widest;
        text += len + (text[len] == '\n');
    }
    return widest;
}

/* A table of two rows. To be freed. */
static struct buffer
lay_out(const char *name, const int64_t *one, const int64_t *other)
{
    struct layout layout = {.title = "input", .headers = headers, .columns = COLUMNS, .kept = 2};
    struct buffer text = {NULL, 0, 0};

    layout_measure(&layout, name, one);
    layout_measure(&layout, "  b", other);
    layout_settle(&layout);
    layout_add_headers(&layout, &text);
    layout_add_row(&layout, name, one, &text);
    layout_add_row(&layout, "  b", other, &text);
    return text;
}

static void
columns_without_a_number_are_left_out(void **state)
{
    struct buffer text = lay_out("  a", (int64_t[COLUMNS]){102, 63, 0, 39}, (int64_t[COLUMNS]){0});

    (void)state;
    assert_string_equal(buffer_text(&text), "input taken passed refused\n"
                                            "  a     102     63      39\n"
                                            "  b       -      -       -\n");
    buffer_free(&text);
}

static void
numbers_stay_exact_while_they_fit(void **state)
{
    struct buffer text = lay_out(LONGEST, (int64_t[COLUMNS]){1234567890123, 1234567890000, 123}, (int64_t[COLUMNS]){1, 1});

    (void)state;
    assert_non_null(strstr(buffer_text(&text), " 1234567890123 1234567890000 "));
    assert_true(widest_line(buffer_text(&text)) <= LAYOUT_WIDTH);
    buffer_free(&text);
}

static void
large_numbers_are_rounded_down(void **state)
{
    struct buffer text = lay_out(LONGEST,
                                 (int64_t[COLUMNS]){INT64_MAX, 999999, 1000, 12349, 999, 123456789, 1000000, 45600000000},
                                 (int64_t[COLUMNS]){INT64_MIN, -1, -999999, 1});

    (void)state;
    assert_non_null(strstr(buffer_text(&text), " 9.22E "));
    assert_non_null(strstr(buffer_text(&text), "  999k "));
    assert_non_null(strstr(buffer_text(&text), " 1.00k "));
    assert_non_null(strstr(buffer_text(&text), " 12.3k "));
    assert_non_null(strstr(buffer_text(&text), "  999 "));
    assert_non_null(strstr(buffer_text(&text), "  123M "));
    assert_non_null(strstr(buffer_text(&text), " 1.00M "));
    assert_non_null(strstr(buffer_text(&text), " 45.6G\n"));
    assert_non_null(strstr(buffer_text(&text), " -999k "));
    assert_int_equal(widest_line(buffer_text(&text)), LAYOUT_WIDTH);
    buffer_free(&text);
}

static void
paragraphs_are_broken_between_words(void **state)
{
    static const char long_text[] =
        "  why: outbox full: the registered consumer study is behind or away, so nothing is taken in until it reports";
    struct buffer text = {NULL, 0, 0};

    (void)state;
    layout_add_paragraph("at rest", 4, &text);
    layout_add_paragraph(long_text, 4, &text);
    assert_string_equal(buffer_text(&text),
                        "at rest\n"
                        "  why: outbox full: the registered consumer study is behind or away, so nothing\n"
                        "    is taken in until it reports\n");
    buffer_free(&text);
}

static void
a_word_wider_than_a_line_is_cut(void **state)
{
    char word[3 * LAYOUT_WIDTH];
    struct buffer text = {NULL, 0, 0};
    size_t letters = 0;

    (void)state;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    word[1] = ' ';
    layout_add_paragraph(word, 4, &text);
    assert_true(widest_line(buffer_text(&text)) <= LAYOUT_WIDTH);
    for (const char *at = buffer_text(&text); *at != '\0'; at++)
        letters += *at == 'x';
    assert_int_equal(letters, sizeof word - 2);
    buffer_clear(&text);
    layout_add_paragraph("", 4, &text);
    assert_string_equal(buffer_text(&text), "\n");
    buffer_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_without_a_number_are_left_out),
        cmocka_unit_test(numbers_stay_exact_while_they_fit),
        cmocka_unit_test(large_numbers_are_rounded_down),
        cmocka_unit_test(paragraphs_are_broken_between_words),
        cmocka_unit_test(a_word_wider_than_a_line_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
